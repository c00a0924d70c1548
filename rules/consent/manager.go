package consent

import (
	"fmt"
	"sort"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Manager is a consent manager whose record of a visitor's answer an edge can read.
type Manager struct {
	ID      string   // as `read` names it
	Name    string   // as its makers spell it
	Cookies []string // names of the cookies that are read; a trailing * stands for anything
	Scripts []string // any of these, in lower case, stands in the URL of its script

	// class says which records go before others where several are there.
	class  class
	decode func(*jar, *mapping) answer
}

type class uint8

const (
	named   class = iota // a manager's own record
	generic              // the WP Consent API
	tcf                  // TCF strings, which say what a manager's vendors may do
	optOut               // signals that grant only where the site's configuration names them
)

// answer is what a record says.
type answer struct {
	verdict verdict
	allowed rules.Set
	implied bool // granted by a rule of the region, not by the visitor
}

type verdict uint8

const (
	notMine   verdict = iota // another product's cookie, or damaged
	undecided                // the manager's, before the visitor has answered
	decided
)

// both is the answer of two records of one manager: deny wins, unless one is undecided.
func both(a, b answer) answer {
	switch {
	case b.verdict <= a.verdict && b.verdict != decided:
		return a
	case a.verdict < b.verdict:
		return b
	}
	a.allowed &= b.allowed
	a.implied = a.implied || b.implied
	return a
}

// maxForeign is the longest record that is read, in bytes; browsers keep cookies up to 4,096.
const maxForeign = 8 << 10

// maxRecords bounds the cookies of one request that are looked into.
const maxRecords = 48

// jar holds the cookies of a request that some manager reads.
type jar struct {
	pairs [maxRecords]Pair
	n     int
}

// recognise returns the managers that read any cookie of the header's lines, and calls keep, if it is
// not nil, with each such cookie.
func recognise(lines []string, keep func(Pair)) (found managerSet) {
	for _, line := range lines {
		for line != "" {
			var p Pair
			p, line = NextPair(line)
			if p.Name == "" || len(p.Value) > maxForeign {
				continue
			}
			if m := readersOf(p.Name); !m.empty() {
				found.add(m)
				if keep != nil {
					keep(p)
				}
			}
		}
	}
	return found
}

func (j *jar) put(p Pair) {
	if j.n < maxRecords {
		j.pairs[j.n] = p
		j.n++
	}
}

// each reads every cookie of that name; a trailing * stands for anything.
func (j *jar) each(name string, read func(value string) answer) (a answer) {
	prefix, star := strings.CutSuffix(name, "*")
	for _, p := range j.pairs[:j.n] {
		if p.Name == name || star && strings.HasPrefix(p.Name, prefix) {
			a = both(a, read(p.Value))
		}
	}
	return a
}

// get returns the first cookie of that name.
func (j *jar) get(name string) (value string, ok bool) {
	for _, p := range j.pairs[:j.n] {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// mapping says what the names in a record mean.
type mapping struct {
	own map[string]rules.Category // of the site's configuration
}

// category returns what a manager's category or service means: by the site's configuration, by what
// the manager defines, else by the word itself.
func (m *mapping) category(name string, defined map[string]rules.Category) (rules.Category, bool) {
	if m != nil {
		if c, ok := m.own[name]; ok {
			return c, true
		}
	}
	if c, ok := defined[name]; ok {
		return c, true
	}
	return categoryOfWord(name)
}

// tally grants a category that is named at least once and refused never.
type tally struct{ on, off rules.Set }

func (t *tally) add(c rules.Category, on bool) {
	if on {
		t.on |= rules.SetOf(c)
	} else {
		t.off |= rules.SetOf(c)
	}
}

func (t *tally) answer() answer {
	return answer{verdict: decided, allowed: t.on &^ t.off & rules.Optional}
}

// words are the parts of names that tell a category, in the languages of the field.
var words = []struct {
	part string
	cat  rules.Category
}{
	{"unclassified", none}, {"uncategor", none}, {"non-necessary", none}, {"non_necessary", none}, {"nonnecessary", none}, {"unnecessary", none},
	{"ad_storage", rules.Marketing}, {"ad_user", rules.Marketing}, {"ad_personal", rules.Marketing}, {"security", rules.Necessary},
	{"strict", rules.Necessary}, {"necess", rules.Necessary}, {"essential", rules.Necessary}, {"essenziel", rules.Necessary}, {"essentiel", rules.Necessary}, {"mandatory", rules.Necessary},
	{"required", rules.Necessary}, {"technical", rules.Necessary},
	{"analytic", rules.Statistics}, {"statisti", rules.Statistics}, {"performance", rules.Statistics}, {"measurement", rules.Statistics}, {"matomo", rules.Statistics}, {"audience", rules.Statistics},
	{"marketing", rules.Marketing}, {"advert", rules.Marketing}, {"targeting", rules.Marketing}, {"social", rules.Marketing}, {"adsense", rules.Marketing}, {"facebook", rules.Marketing},
	{"functional", rules.Preferences}, {"preference", rules.Preferences}, {"personali", rules.Preferences}, {"experience", rules.Preferences}, {"comfort", rules.Preferences},
}

// categoryOfWord reads a name by the word in it. An unknown word is no category, which grants nothing.
func categoryOfWord(name string) (rules.Category, bool) {
	if len(name) > 64 {
		return 0, false
	}
	low := strings.ToLower(name)
	switch low {
	case "ads", "ad", "google-ads", "google_ads", "googleads":
		return rules.Marketing, true
	case "system":
		return rules.Necessary, true
	}
	for _, w := range words {
		if strings.Contains(low, w.part) {
			return w.cat, w.cat != none
		}
	}
	return 0, false
}

// Managers lists the managers that can be read, in the order of their ids.
func Managers() []*Manager { return managers }

// ManagerByID returns the manager that `read` names so. The error of an unknown one names the nearest.
func ManagerByID(id string) (*Manager, error) {
	for _, m := range managers {
		if m.ID == id {
			return m, nil
		}
	}
	ids := make([]string, len(managers))
	for i, m := range managers {
		ids[i] = m.ID
	}
	return nil, fmt.Errorf("unknown consent manager %q%s", id, rules.DidYouMean(id, ids))
}

// managerSet is a set of indices into managers.
type managerSet uint64

func (s managerSet) empty() bool           { return s == 0 }
func (s managerSet) has(i int) bool        { return s&(1<<i) != 0 }
func (s *managerSet) add(other managerSet) { *s |= other }

var (
	byCookie   = make(map[string]managerSet)
	byPrefixes []cookiePrefix

	firstOfPrefix [256]bool
)

type cookiePrefix struct {
	prefix string
	set    managerSet
}

// readersOf returns the managers that read a cookie of that name.
func readersOf(name string) managerSet {
	if m := byCookie[name]; !m.empty() || !firstOfPrefix[name[0]] {
		return m
	}
	var s managerSet
	for i := range byPrefixes {
		if p := &byPrefixes[i]; p.prefix[0] == name[0] && strings.HasPrefix(name, p.prefix) {
			s |= p.set
		}
	}
	return s
}

// IsRecord reports whether a cookie is a record of a consent manager, by its name. Records are
// necessary: they are neither stripped nor ended.
func IsRecord(name string) bool {
	return name != "" && !readersOf(name).empty()
}

func init() {
	sort.Slice(managers, func(i, k int) bool { return managers[i].ID < managers[k].ID })
	if len(managers) > 64 {
		panic("consent: more managers than a set holds")
	}
	for i, m := range managers {
		for _, c := range m.Cookies {
			if p, star := strings.CutSuffix(c, "*"); star {
				byPrefixes = append(byPrefixes, cookiePrefix{p, 1 << i})
				firstOfPrefix[p[0]] = true
			} else {
				byCookie[c] |= 1 << i
			}
		}
	}
}
