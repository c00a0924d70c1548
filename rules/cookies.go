package rules

import "strings"

// cookieRule says what a cookie name means.
type cookieRule struct {
	verdict
	domain    string // "" for any
	essential bool
}

// cookieTable looks cookie names up: one hash that runs over the name finds it whole and, at each
// length that occurs, what it begins with.
type cookieTable struct {
	slots   []cookieSlot
	mask    uint32
	n       int
	lengths [256]uint64        // of prefixes by their first byte: bit n stands for length n
	globs   [256][]*cookieGlob // by the first byte of names that they may fit
}

type cookieSlot struct {
	hash   uint32
	key    string // "" if free
	exact  []cookieRule
	prefix []cookieRule
}

// maxCookiePrefix bounds what stands before the star of a pattern.
const maxCookiePrefix = 63

// slot returns the slot of key with hash h, or the free one where it would stand.
func (t *cookieTable) slot(h uint32, key string) *cookieSlot {
	for i := mix(h) & t.mask; ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		if s.key == "" || s.hash == h && s.key == key {
			return s
		}
	}
}

// grown returns the slot of key, in a table that has room for it.
func (t *cookieTable) grown(key string) *cookieSlot {
	if t.n*2 >= len(t.slots) {
		old := t.slots
		size := max(16, len(old)*2)
		t.slots, t.mask = make([]cookieSlot, size), uint32(size-1)
		for _, s := range old {
			if s.key != "" {
				*t.slot(s.hash, s.key) = s
			}
		}
	}
	h := uint32(hashSeed)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint32(key[i])) * hashPrime
	}
	s := t.slot(h, key)
	if s.key == "" {
		s.hash, s.key = h, key
		t.n++
	}
	return s
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
	r.rule = "cookie:" + pattern
	if r.essential {
		r.rule = "essential:" + pattern
	}
	if p := strings.TrimSuffix(pattern, "*"); strings.Contains(p, "*") || len(p) > maxCookiePrefix {
		g := &cookieGlob{strings.Split(pattern, "*"), r}
		for c := range t.globs {
			if g.parts[0] == "" || g.parts[0][0] == byte(c) {
				t.globs[c] = append(t.globs[c], g)
			}
		}
		return
	}
	p, star := strings.CutSuffix(pattern, "*")
	s := t.grown(p)
	if !star {
		s.exact = append(s.exact, r)
		return
	}
	s.prefix = append(s.prefix, r)
	t.lengths[p[0]] |= 1 << min(len(p), maxCookiePrefix)
}

func (t *cookieTable) addEssentials(list []Essential) {
	for _, e := range list {
		t.add(e.Name, cookieRule{verdict: verdict{cats: SetOf(Necessary)}, essential: true})
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
	t.add(c.Name, cookieRule{verdict: verdict{svc: s, id: s.ID, cats: cats}, domain: c.Domain})
}

// find returns the rule for a cookie in the order: exact tracker, essential, tracker prefix.
func (t *cookieTable) find(name, domain string) (r cookieRule, ok bool) {
	if name == "" {
		return r, false
	}
	var essential, tracker *cookieRule // of prefixes, the longest of each
	if t.n > 0 {
		h := uint32(hashSeed)
		lengths := t.lengths[name[0]] >> 1
		for i := 0; i < len(name); i++ {
			h = (h ^ uint32(name[i])) * hashPrime
			if lengths&1 != 0 {
				if s := t.slot(h, name[:i+1]); len(s.prefix) > 0 {
					essential, tracker = prefer(s.prefix, domain, essential, tracker)
				}
			}
			lengths >>= 1
		}
		if s := t.slot(h, name); len(s.exact) > 0 {
			if e, t := prefer(s.exact, domain, nil, nil); t != nil {
				return *t, true
			} else if e != nil {
				return *e, true
			}
		}
		if essential != nil {
			return *essential, true
		}
	}
	for _, g := range t.globs[name[0]] {
		if (g.essential || tracker == nil && g.covers(domain)) && g.match(name) {
			if g.essential {
				return g.cookieRule, true
			}
			tracker = &g.cookieRule
		}
	}
	if tracker == nil {
		return r, false
	}
	return *tracker, true
}

// prefer returns the first essential and the first tracker of rules that covers the domain, or
// what there was.
func prefer(rules []cookieRule, domain string, essential, tracker *cookieRule) (e, t *cookieRule) {
	for i := len(rules) - 1; i >= 0; i-- {
		switch r := &rules[i]; {
		case r.essential:
			essential = r
		case r.covers(domain):
			tracker = r
		}
	}
	return essential, tracker
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
