package rules

import (
	"sort"
	"strings"
)

// pathMatcher is a PathRule compiled.
type pathMatcher struct {
	svc    *Service
	cats   Set
	kinds  kindMask // 0: all
	parts  []string // of the path, between the stars; the first is anchored
	key    string   // of the query
	value  string
	prefix bool   // value is a prefix
	start  string // key=value, how the query most often begins
	loader bool
	rule   string
	weight int // longer patterns are more specific
}

func newPathMatcher(s *Service, r *PathRule) *pathMatcher {
	m := &pathMatcher{svc: s, cats: s.Categories, rule: "path:" + r.Host + r.Path, parts: strings.Split(r.Path, "*"), weight: len(r.Path)}
	if r.Categories != 0 {
		m.cats = r.Categories
	}
	for _, e := range r.Elements {
		m.kinds |= elementKinds[e]
	}
	m.loader = m.kinds&kinds(KindInlineScript) != 0
	if r.Query != "" {
		m.rule += "?" + r.Query
		m.weight += 1000
		m.key, m.value, _ = strings.Cut(r.Query, "=")
		m.value, m.prefix = strings.CutSuffix(m.value, "*")
		m.start = m.key + "=" + m.value
	}
	return m
}

func sortPaths(ms []*pathMatcher) {
	sort.SliceStable(ms, func(i, j int) bool { return ms[i].weight > ms[j].weight })
}

// match reports whether the rule covers a request of that kind.
func (m *pathMatcher) match(kind Kind, path, query string) bool {
	if m.kinds != 0 && m.kinds&(1<<kind) == 0 {
		return false
	}
	if path == "" {
		path = "/"
	}
	if !strings.HasPrefix(path, m.parts[0]) {
		return false
	}
	path = path[len(m.parts[0]):]
	for _, p := range m.parts[1:] {
		i := strings.Index(path, p)
		if i < 0 {
			return false
		}
		path = path[i+len(p):]
	}
	return m.key == "" || m.matchQuery(query, kind == KindInlineScript)
}

// matchQuery looks for the parameter. In script text the value is often computed, so that the
// string ends before it: there the key alone is enough, or no query at all.
func (m *pathMatcher) matchQuery(query string, cut bool) bool {
	if cut && query == "" || m.prefix && strings.HasPrefix(query, m.start) {
		return true
	}
	if !cut && m.prefix && strings.IndexByte(query, '&') < 0 {
		return false
	}
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != m.key {
			continue
		}
		if cut && v == "" || v == m.value || m.prefix && strings.HasPrefix(v, m.value) {
			return true
		}
	}
	return false
}
