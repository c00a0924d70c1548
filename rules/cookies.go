package rules

import (
	"slices"
	"strings"
)

// cookieRule says what a cookie name means.
type cookieRule struct {
	svc       *Service
	cats      Set
	domain    string // "" for any
	rule      string
	essential bool
}

// cookieTable looks cookie names up: exact names by hash, prefixes by one hash look-up for each
// length that occurs.
type cookieTable struct {
	exact   map[string][]cookieRule
	prefix  map[string][]cookieRule
	lengths [256][]int // of prefixes by their first byte, the longest first
	globs   []cookieGlob
}

// cookieGlob is a pattern of the catalogue with a star inside.
type cookieGlob struct {
	parts []string
	cookieRule
}

func (g *cookieGlob) match(name string) bool {
	if !strings.HasPrefix(name, g.parts[0]) {
		return false
	}
	name = name[len(g.parts[0]):]
	last := len(g.parts) - 1
	for _, p := range g.parts[1:last] {
		i := strings.Index(name, p)
		if i < 0 {
			return false
		}
		name = name[i+len(p):]
	}
	return strings.HasSuffix(name, g.parts[last])
}

func (t *cookieTable) add(pattern string, r cookieRule) {
	if t.exact == nil {
		t.exact, t.prefix = make(map[string][]cookieRule), make(map[string][]cookieRule)
	}
	r.rule = "cookie:" + pattern
	if r.essential {
		r.rule = "essential:" + pattern
	}
	if strings.Contains(strings.TrimSuffix(pattern, "*"), "*") {
		t.globs = append(t.globs, cookieGlob{strings.Split(pattern, "*"), r})
		return
	}
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		t.prefix[p] = append(t.prefix[p], r)
		return
	}
	t.exact[pattern] = append(t.exact[pattern], r)
}

func (t *cookieTable) addEssentials(list []Essential) {
	for _, e := range list {
		t.add(e.Name, cookieRule{cats: SetOf(Necessary), essential: true})
	}
}

func (t *cookieTable) addTracker(s *Service, c *Cookie) {
	if c.Listed {
		return
	}
	cats := s.Categories
	if c.Category != 0 {
		cats = c.Category
	}
	if cats == 0 || cats.Has(Necessary) {
		return
	}
	t.add(c.Name, cookieRule{svc: s, cats: cats, domain: c.Domain})
}

func (t *cookieTable) finish() {
	for p := range t.prefix {
		if l := &t.lengths[p[0]]; !slices.Contains(*l, len(p)) {
			*l = append(*l, len(p))
		}
	}
	for _, l := range t.lengths {
		slices.Sort(l)
		slices.Reverse(l)
	}
}

// find returns the rule for a cookie in the order: exact tracker, essential, tracker prefix.
func (t *cookieTable) find(name, domain string) (r cookieRule, ok bool) {
	for _, r := range t.exact[name] {
		if !r.essential && r.covers(domain) {
			return r, true
		}
	}
	for _, r := range t.exact[name] {
		if r.essential {
			return r, true
		}
	}
	var tracker cookieRule
	if name == "" {
		return r, false
	}
	for _, n := range t.lengths[name[0]] {
		if n > len(name) {
			continue
		}
		for _, r := range t.prefix[name[:n]] {
			if r.essential {
				return r, true
			}
			if !ok && r.covers(domain) {
				tracker, ok = r, true
			}
		}
	}
	for i := range t.globs {
		g := &t.globs[i]
		if (g.essential || !ok && g.covers(domain)) && g.match(name) {
			if g.essential {
				return g.cookieRule, true
			}
			tracker, ok = g.cookieRule, true
		}
	}
	return tracker, ok
}

// covers reports whether a cookie of that domain falls under the rule.
func (r *cookieRule) covers(domain string) bool {
	return r.domain == "" || isWithin(domain, r.domain)
}

// isWithin reports whether host is domain or below it.
func isWithin(host, domain string) bool {
	n := len(host) - len(domain)
	return n == 0 && host == domain || n > 0 && host[n-1] == '.' && host[n:] == domain
}
