package rules

import (
	"slices"
	"sort"
	"strings"
)

// pathMatcher is a PathRule compiled.
type pathMatcher struct {
	// What most rules are passed over by stands together.
	start8, mask8 uint64 // the first bytes of head, to compare at once
	kinds         kindMask
	same          bool     // the rule before it has the same path
	prefix        bool     // value is a prefix
	head          string   // of the path, up to the first star
	parts         []string // of the path, after each star

	key, value string // of the query
	start      string // key=value, how the query most often begins
	verdict
	weight int // longer patterns are more specific
}

func newPathMatcher(s *Service, r *PathRule) *pathMatcher {
	m := &pathMatcher{verdict: verdict{s, s.ID, "path:" + r.Host + r.Path, s.Categories}, kinds: ^kindMask(0), weight: len(r.Path)}
	m.head, m.parts = cutParts(r.Path)
	m.start8, m.mask8 = first8(m.head)
	if r.Categories != 0 {
		m.cats = r.Categories
	}
	if len(r.Elements) > 0 {
		m.kinds = 0
		for _, e := range r.Elements {
			m.kinds |= elementKinds[e]
		}
	}
	if r.Query != "" {
		m.rule += "?" + r.Query
		m.weight += 1000
		m.key, m.value, _ = strings.Cut(r.Query, "=")
		m.value, m.prefix = strings.CutSuffix(m.value, "*")
		m.start = m.key + "=" + m.value
	}
	return m
}

func cutParts(pattern string) (head string, parts []string) {
	parts = strings.Split(pattern, "*")
	return parts[0], parts[1:]
}

// load8 returns the first eight bytes of s, the first one lowest.
func load8(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// first8 returns the first eight bytes of s and a mask of those that it has.
func first8(s string) (bytes, mask uint64) {
	if len(s) >= 8 {
		return load8(s), ^uint64(0)
	}
	for i := 0; i < len(s); i++ {
		bytes |= uint64(s[i]) << (8 * i)
		mask |= 0xff << (8 * i)
	}
	return bytes, mask
}

func sortPaths(ms []*pathMatcher) {
	sort.SliceStable(ms, func(i, j int) bool { return ms[i].weight > ms[j].weight })
	for i := 1; i < len(ms); i++ {
		ms[i].same = ms[i].head == ms[i-1].head && slices.Equal(ms[i].parts, ms[i-1].parts)
	}
}

// matchPaths returns the first of the rules that covers a reference; first, if not nil, has the
// bytes after the slash with which they begin.
func matchPaths(ms []*pathMatcher, first *[256]bool, kind Kind, ref *reference, p *Page) *pathMatcher {
	if path, query, ok := ref.plain(); ok {
		return matchLocation(ms, kind, path, query)
	}
	buf := locations.Get().(*locationBuf)
	defer locations.Put(buf)
	path, query := ref.location(p, buf)
	if first != nil && (len(path) < 2 || !first[path[1]]) {
		return nil
	}
	return matchLocation(ms, kind, path, query)
}

func matchLocation(ms []*pathMatcher, kind Kind, path, query string) *pathMatcher {
	path8, _ := first8(path)
	cut := kind == KindInlineScript
	scanned, single, found, here := false, false, false, false
	var key, value, rest string
	for _, m := range ms {
		if !m.same {
			here = path8&m.mask8 == m.start8 && m.matchPath(path) && (kind != KindCollector || m.isWhole(path))
		}
		if !here || m.kinds&(1<<kind) == 0 {
			continue
		}
		if m.key == "" || m.prefix && strings.HasPrefix(query, m.start) {
			return m
		}
		if !scanned {
			query, single = scanQuery(query)
			scanned = true
		}
		if single && m.prefix && !cut {
			continue // had it matched, it would have above
		}
		if m.key != key {
			key = m.key // rules of one path mostly ask for the same parameter
			value, rest, found = findParam(query, key)
		}
		if cut && query == "" || found && m.matchValue(value, rest, cut) {
			return m
		}
	}
	return nil
}

// isWhole reports whether a path that begins as the rule says is the rule's path or below it: the
// beginning of a longer word is another page.
func (m *pathMatcher) isWhole(path string) bool {
	n := len(m.head)
	return len(m.parts) > 0 || len(path) == n || path[n] == '/' || m.head[n-1] == '/'
}

func (m *pathMatcher) matchPath(path string) bool {
	if !strings.HasPrefix(path, m.head) {
		return false
	}
	path = path[len(m.head):]
	for _, p := range m.parts {
		i := strings.Index(path, p)
		if i < 0 {
			return false
		}
		path = path[i+len(p):]
	}
	return true
}

// findParam returns the value of the first parameter of that name and the query behind it.
func findParam(query, key string) (value, rest string, ok bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" || pair[0] != key[0] && pair[0] != '%' {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		if left, ok := cutUnescaped(k, key); ok && left == "" {
			return v, query, true
		}
	}
	return "", "", false
}

// matchValue compares a parameter's value, then those of its repetitions in the rest. In script
// text (cut) the value is often computed, so that the string ends before it: there the key alone is
// enough, or no query at all.
func (m *pathMatcher) matchValue(value, rest string, cut bool) bool {
	for ok := true; ok; value, rest, ok = findParam(rest, m.key) {
		if left, ok := cutUnescaped(value, m.value); cut && value == "" || ok && (m.prefix || left == "") {
			return true
		}
	}
	return false
}

// cutUnescaped takes prefix off s, in which any byte may be percent-encoded: servers read it so.
func cutUnescaped(s, prefix string) (rest string, ok bool) {
	if strings.HasPrefix(s, prefix) {
		return s[len(prefix):], true
	}
	if s == "" || s[0] != '%' && s[0] != prefix[0] {
		return s, false
	}
	for i := 0; i < len(prefix); i++ {
		if s == "" {
			return s, false
		}
		c, n := s[0], 1
		if e, ok := escaped(s, 0); ok {
			c, n = e, 3
		}
		if c != prefix[i] {
			return s, false
		}
		s = s[n:]
	}
	return s, true
}
