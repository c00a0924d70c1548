// Package consent reads and writes what a visitor has chosen.
//
// The own cookie is
//
//	consent=v1:<allow>:<unix seconds>:<policy revision>:<receipt id>
//
// where <allow> is "none" or a dot-joined list of categories and of per-service exceptions, +id
// and -id; trailing parts may be left out. Whatever is damaged, unknown or contradictory never
// grants: it counts as no answer, or as the stricter one.
package consent

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Status says whether and how a visitor has answered.
type Status uint8

const (
	Undecided Status = iota // no answer, or none that can be read
	Refused                 // nothing but the necessary
	Partly                  // some categories or services
	Accepted                // everything
)

func (s Status) String() string {
	return [...]string{"undecided", "refused", "partly", "all"}[s]
}

// State is what is known of a visitor's consent for one request.
type State struct {
	Status   Status
	Grants   rules.Grants
	Source   string    // "none" or "own"; "gpc" is in Grants
	Time     time.Time // of the choice, zero if not stored
	Revision string    // policy revision that was answered
	Receipt  string    // id of the receipt
}

// MaxAge is how long an answer is kept, a refusal too.
const MaxAge = 180 * 24 * time.Hour

// maxCookie is the longest value that is read, in bytes.
const maxCookie = 1024

// Read returns the state that the request's Cookie header lines and Sec-GPC say. It reads raw
// bytes, since net/http drops cookies with quotes or non-ASCII bytes. Of several cookies with the
// name every one must be sound, and only what all grant is granted.
func Read(cookies []string, name string, gpc bool) State {
	st := State{Source: "none", Grants: rules.Grants{Allowed: rules.SetOf(rules.Necessary), GPC: gpc}}
	found := false
	for _, line := range cookies {
		for len(line) > 0 {
			var pair Pair
			pair, line = NextPair(line)
			if pair.Name != name {
				continue
			}
			one, ok := decode(pair.Value)
			if !ok {
				return State{Source: "none", Grants: rules.Grants{Allowed: rules.SetOf(rules.Necessary), GPC: gpc}}
			}
			one.Grants.GPC = gpc
			if found {
				st = stricter(st, one)
			} else {
				st, found = one, true
			}
		}
	}
	if found {
		st.Source = "own"
		st.finish()
	}
	return st
}

// finish applies GPC and names the status.
func (st *State) finish() {
	if st.Grants.GPC {
		st.Grants.Allowed &^= rules.SetOf(rules.Marketing)
	}
	switch allowed := st.Grants.Allowed & rules.Optional; {
	case allowed == rules.Optional && len(st.Grants.Minus) == 0:
		st.Status = Accepted
	case allowed == 0 && len(st.Grants.Plus) == 0:
		st.Status = Refused
	default:
		st.Status = Partly
	}
}

// stricter grants only what both grant.
func stricter(a, b State) State {
	a.Grants.Allowed &= b.Grants.Allowed
	var plus []string
	for _, p := range a.Grants.Plus {
		for _, q := range b.Grants.Plus {
			if p == q {
				plus = append(plus, p)
			}
		}
	}
	a.Grants.Plus = plus
	a.Grants.Minus = append(append([]string(nil), a.Grants.Minus...), b.Grants.Minus...)
	if b.Time.Before(a.Time) {
		a.Time = b.Time
	}
	if a.Revision != b.Revision {
		a.Revision = ""
	}
	if a.Receipt != b.Receipt {
		a.Receipt = ""
	}
	return a
}

// decode reads a cookie value strictly.
func decode(v string) (st State, ok bool) {
	if len(v) > maxCookie {
		return st, false
	}
	v, ok = strings.CutPrefix(v, "v1:")
	if !ok {
		return st, false
	}
	allow, rest, more := strings.Cut(v, ":")
	if st.Grants, ok = decodeAllow(allow); !ok || !more {
		return st, ok
	}
	var at string
	at, rest, more = strings.Cut(rest, ":")
	secs, err := strconv.ParseInt(at, 10, 64)
	if err != nil || secs <= 0 || secs > 1<<40 || at[0] == '+' {
		return st, false
	}
	st.Time = time.Unix(secs, 0).UTC()
	if !more {
		return st, true
	}
	st.Revision, rest, more = strings.Cut(rest, ":")
	if !isToken(st.Revision) {
		return st, false
	}
	if !more {
		return st, true
	}
	st.Receipt = rest
	return st, isToken(st.Receipt)
}

func decodeAllow(s string) (g rules.Grants, ok bool) {
	g.Allowed = rules.SetOf(rules.Necessary)
	if s == "none" {
		return g, true
	}
	for more := true; more; {
		var word string
		word, s, more = strings.Cut(s, ".")
		switch word {
		case "preferences":
			g.Allowed |= rules.SetOf(rules.Preferences)
		case "statistics":
			g.Allowed |= rules.SetOf(rules.Statistics)
		case "marketing":
			g.Allowed |= rules.SetOf(rules.Marketing)
		default:
			if len(word) < 2 || !isToken(word[1:]) {
				return rules.Grants{}, false
			}
			switch word[0] {
			case '+':
				g.Plus = append(g.Plus, word[1:])
			case '-':
				g.Minus = append(g.Minus, word[1:])
			default:
				return rules.Grants{}, false
			}
		}
	}
	for _, p := range g.Plus {
		for _, m := range g.Minus {
			if p == m {
				return rules.Grants{}, false
			}
		}
	}
	return g, true
}

// isToken reports whether s has letters, digits, dashes and underscores alone, and at most 64.
func isToken(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// Encode returns the cookie value for a choice. Revision and receipt are tokens, or "".
func Encode(g rules.Grants, at time.Time, revision, receipt string) string {
	var words []string
	for _, c := range rules.Categories[1:] {
		if g.Allowed.Has(c) {
			words = append(words, c.String())
		}
	}
	for _, id := range g.Plus {
		words = append(words, "+"+id)
	}
	for _, id := range g.Minus {
		words = append(words, "-"+id)
	}
	v := "v1:none"
	if len(words) > 0 {
		v = "v1:" + strings.Join(words, ".")
	}
	if at.IsZero() {
		return v
	}
	v += ":" + strconv.FormatInt(at.Unix(), 10)
	if revision == "" {
		return v
	}
	v += ":" + revision
	if receipt == "" {
		return v
	}
	return v + ":" + receipt
}
