package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// speculation decides on speculation rules (HTML Standard, 7.6.1): on the URLs in them, and on rules for the document's
// links, which browsers may fetch before anybody follows them. Those that may match a link to another site are blocked,
// as are rules that cannot be read.
func (r *Rewriter) speculation(at int, text []byte) rules.Decision {
	if d := r.findURL(at, rules.KindPrefetch, text); d.Action == rules.Block || r.o.Policy.AllAllowed() {
		return d
	}
	if p := (ruleReader{r: r, at: at, b: text}); !p.set() || p.space() != 0 {
		d := ambiguous("ambiguous:speculation")
		r.record(at, rules.Resource{Kind: rules.KindPrefetch, Page: r.page}, d)
		return d
	}
	return rules.Decision{}
}

// RulesBlocked reports whether a file of speculation rules, given whole, is blocked by the policy.
func (r *Rewriter) RulesBlocked(text []byte) bool {
	return r.speculation(0, bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))).Action == rules.Block
}

// ruleReader reads JSON. Its methods return false at what is none, and at rules that are not safe.
type ruleReader struct {
	r     *Rewriter
	at    int
	b     []byte
	i     int
	depth int
}

// maxRuleDepth bounds conditions in conditions.
const maxRuleDepth = 16

// space returns the next byte that is no white space, 0 at the end.
func (p *ruleReader) space() byte {
	for ; p.i < len(p.b); p.i++ {
		if c := p.b[p.i]; class[c]&space == 0 {
			return c
		}
	}
	return 0
}

// next passes c.
func (p *ruleReader) next(c byte) bool {
	if p.space() != c {
		return false
	}
	p.i++
	return true
}

// str returns a string, valid until the next call.
func (p *ruleReader) str() ([]byte, bool) {
	if !p.next('"') {
		return nil, false
	}
	from := p.i
	for ; p.i < len(p.b); p.i++ {
		switch p.b[p.i] {
		case '\\':
			p.i++
		case '"':
			v := p.b[from:p.i]
			p.i++
			if bytes.IndexByte(v, '\\') >= 0 {
				p.r.plain = unescapeJSON(p.r.plain[:0], v)
				v = p.r.plain
			}
			return v, true
		}
	}
	return nil, false
}

// begin passes a bracket, and reports whether a member follows before the other one.
func (p *ruleReader) begin(open, end byte) (member, ok bool) {
	if p.depth++; p.depth > maxRuleDepth || !p.next(open) {
		return false, false
	}
	if p.next(end) {
		p.depth--
		return false, true
	}
	return true, true
}

// more does the same behind a member.
func (p *ruleReader) more(end byte) (member, ok bool) {
	if p.next(',') {
		return true, true
	}
	p.depth--
	return false, p.next(end)
}

// key passes a member's name, valid until the next string is read.
func (p *ruleReader) key() ([]byte, bool) {
	k, ok := p.str()
	return k, ok && p.next(':')
}

// skip passes a value.
func (p *ruleReader) skip() bool {
	switch p.space() {
	case '{':
		member, ok := p.begin('{', '}')
		for member && ok {
			if _, ok = p.key(); ok && p.skip() {
				member, ok = p.more('}')
			} else {
				return false
			}
		}
		return ok
	case '[':
		member, ok := p.begin('[', ']')
		for member && ok {
			if !p.skip() {
				return false
			}
			member, ok = p.more(']')
		}
		return ok
	case '"':
		_, ok := p.str()
		return ok
	}
	from := p.i
	for p.i < len(p.b) && (isLetter(p.b[p.i]) || '0' <= p.b[p.i] && p.b[p.i] <= '9' || p.b[p.i] == '-' || p.b[p.i] == '+' || p.b[p.i] == '.') {
		p.i++
	}
	return p.i > from
}

// set reads a whole rule set.
func (p *ruleReader) set() bool {
	member, ok := p.begin('{', '}')
	for member && ok {
		if _, ok = p.key(); !ok {
			return false
		}
		if p.space() != '[' {
			ok = p.skip()
		} else {
			ok = p.rules()
		}
		if ok {
			member, ok = p.more('}')
		}
	}
	return ok
}

// rules reads a list of rules.
func (p *ruleReader) rules() bool {
	member, ok := p.begin('[', ']')
	for member && ok {
		if p.space() != '{' {
			ok = p.skip()
		} else {
			ok = p.rule()
		}
		if ok {
			member, ok = p.more(']')
		}
	}
	return ok
}

// rule reads a rule. One of links has a condition under which all of them are on the site.
func (p *ruleReader) rule() bool {
	urls, where, document := false, false, false
	member, ok := p.begin('{', '}')
	for member && ok {
		key, found := p.key()
		switch {
		case !found:
			return false
		case string(key) == "urls":
			urls = true
			ok = p.skip()
		case string(key) == "source":
			var v []byte
			v, ok = p.str()
			document = document || string(v) != "list"
		case string(key) == "where":
			var within bool
			within, ok = p.condition()
			where, ok = true, ok && within
		default:
			ok = p.skip()
		}
		if ok {
			member, ok = p.more('}')
		}
	}
	return ok && (where || urls && !document)
}

// condition reads a document rule predicate, and reports whether all links that it matches are on the site.
func (p *ruleReader) condition() (within, ok bool) {
	member, ok := p.begin('{', '}')
	for predicates := 0; member && ok; {
		key, found := p.key()
		if !found {
			return false, false
		}
		switch string(key) {
		case "href_matches", "selector_matches", "and", "or", "not":
			if predicates++; predicates > 1 {
				return false, false // the last of a name counts; of two names none does
			}
		}
		switch string(key) {
		case "href_matches":
			within, ok = p.patterns()
		case "and", "or":
			within, ok = p.conditions(key[0] == 'o')
		default:
			ok = p.skip()
		}
		if ok {
			member, ok = p.more('}')
		}
	}
	return within, ok
}

// conditions reads a list of them, of which all or one must hold.
func (p *ruleReader) conditions(one bool) (within, ok bool) {
	member, ok := p.begin('[', ']')
	within = one && member
	for member && ok {
		var w bool
		if w, ok = p.condition(); one {
			within = within && w
		} else {
			within = within || w
		}
		if ok {
			member, ok = p.more(']')
		}
	}
	return within, ok
}

// patterns reads one URL pattern or a list of them (URL Pattern Standard, 1.5), and reports whether each matches URLs of
// one site alone, which is not blocked.
func (p *ruleReader) patterns() (within, ok bool) {
	switch p.space() {
	case '"':
		v, ok := p.str()
		return ok && p.within(v), ok
	case '[':
		member, ok := p.begin('[', ']')
		within = member
		for member && ok {
			var w bool
			w, ok = p.patterns()
			if within = within && w; ok {
				member, ok = p.more(']')
			}
		}
		return within, ok
	case '{':
		member, ok := p.begin('{', '}')
		within = p.here()
		for member && ok {
			key, found := p.key()
			switch string(key) {
			case "pathname", "search", "hash": // the rest is that of the base
			default:
				within = false
			}
			if ok = found && p.skip(); ok {
				member, ok = p.more('}')
			}
		}
		return within, ok
	}
	return false, p.skip()
}

// within reports whether a pattern has no other scheme and host than the base, or names a host that is not blocked.
func (p *ruleReader) within(v []byte) bool {
	if bytes.ContainsFunc(v, func(c rune) bool { return c <= ' ' }) {
		return false
	}
	if bytes.IndexByte(v, ':') < 0 {
		return (len(v) < 2 || !isSlash(v[0]) || !isSlash(v[1])) && p.here()
	}
	scheme, rest, _ := bytes.Cut(v, []byte("://"))
	if !equalFold(scheme, "https") && !equalFold(scheme, "http") {
		return false
	}
	host, _, found := bytes.Cut(rest, []byte("/"))
	return found && !bytes.ContainsFunc(host, func(c rune) bool {
		return !isLetter(byte(c)) && (c < '0' || c > '9') && c != '-' && c != '.' || c >= 0x80
	}) &&
		p.r.decide(p.at, rules.KindPrefetch, v).Action != rules.Block
}

var rootPath = []byte("/")

// here reports whether what is relative is not blocked.
func (p *ruleReader) here() bool {
	return p.r.decide(p.at, rules.KindPrefetch, rootPath).Action != rules.Block
}
