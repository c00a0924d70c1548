package rewriter

import (
	"bytes"
	"slices"
)

// Managers is a set of consent managers that a site has. The placeholders that the site itself wrote
// for them stay as they are: their addresses stand where no browser looks, and under another name
// the manager would not find them.
type Managers uint32

// ownMark is how a manager knows its own placeholders among elements with a data-src or data-href, the
// names that it shares with lazy loaders. What else it may use to keep an address is read by nobody
// but itself, and needs no mark.
type ownMark struct {
	manager string
	attr    string   // the attribute that makes an element its own
	words   []string // all that may stand in it, separated by blanks or commas; any text if nil
	class   string   // how the class that does so begins
	only    []elem   // nil for all
}

// ownMarks are taken from the managers' sources and documentation. One may have several.
var ownMarks = []ownMark{
	{manager: "klaro", attr: "data-name"},
	{manager: "orejime", attr: "data-name"},
	{manager: "cookiebot", attr: "data-cookieconsent", words: []string{"necessary", "preferences", "statistics", "marketing"}},
	{manager: "onetrust", class: "optanon-category-"},
	{manager: "onetrust", class: "ot-vscat-"},
	{manager: "usercentrics", attr: "data-usercentrics"},
	{manager: "termly", attr: "data-categories", words: []string{"essential", "performance", "analytics", "advertising", "social_networking", "unclassified"}},
	{manager: "cookiefirst", attr: "data-cookiefirst-category"},
	{manager: "cookiehub", attr: "data-consent", words: []string{"necessary", "preferences", "analytics", "marketing"}},
	{manager: "cookiescript", attr: "data-cookiescript", words: []string{"accepted"}},
	{manager: "civic", attr: "data-cc-category"},
	{manager: "axeptio", attr: "data-requires-vendor-consent"},
	{manager: "c15t", attr: "data-category", words: []string{"necessary", "functionality", "experience", "measurement", "marketing"}, only: []elem{elIframe}},
	{manager: "complianz", attr: "data-category", words: []string{"functional", "preferences", "statistics", "marketing"}, only: []elem{elLink}},
	{manager: "didomi", attr: "type"}, // scripts of a type that is read like an optimizer's
}

// ManagersOf returns the set of those managers. Ids that mean none whose placeholders could be taken
// for something else are left out.
func ManagersOf(ids ...string) (m Managers) {
	for i := range ownMarks {
		if slices.Contains(ids, ownMarks[i].manager) {
			m |= 1 << i
		}
	}
	return m
}

var didomi = ManagersOf("didomi")

// managers are those that the document's site has.
func (r *Rewriter) managers() Managers {
	if r.o.Dialect == nil {
		return r.o.Managers
	}
	return r.o.Managers | r.o.Dialect.own
}

// lazyWords stand in the classes and attributes by which lazy loaders find what is theirs.
var lazyWords = []string{"lazy", "lozad", "defer", "unveil", "layzr", "yall", "progressive"}

func isLazy(v []byte) bool {
	for _, w := range lazyWords {
		for i := 0; i+len(w) <= len(v); i++ {
			if lower[v[i]] == w[0] && equalFold(v[i:i+len(w)], w) {
				return true
			}
		}
	}
	return false
}

// isOwn reports whether the tag is the site's own placeholder of a manager that it has, and a is
// where that keeps the address. A tag that a lazy loader would act upon is none, whatever else it has.
func (r *Rewriter) isOwn(rd *reader, a attr) bool {
	known := r.managers()
	if known == 0 || !rd.html || r.o.XML || rd.start < 0 || rd.nameTo <= rd.start || !isShared(r.name(rd, a)) {
		return false
	}
	for _, b := range rd.attrs {
		if b.id == atLazySrcset || b.id == atLazySrc && !isShared(r.name(rd, b)) {
			return false
		}
	}
	in := r.in[:min(len(r.in), rd.start+r.maxTag())]
	var met Managers // of two attributes of a name the first counts
	marked, classed := false, false
	for i := rd.nameTo; ; {
		b, next := r.attrAt(rd, in, i)
		if next < 0 {
			return false
		}
		if b.nameEnd == 0 {
			return marked
		}
		i = next
		name := r.name(rd, b)
		if isLazy(name) {
			return false
		}
		class := equalFold(name, "class")
		if class && (classed || isLazy(r.value(rd, b))) {
			return false
		}
		classed = classed || class
		for k := range ownMarks {
			m := &ownMarks[k]
			if known&(1<<k) == 0 || m.only != nil && !slices.Contains(m.only, rd.el) {
				continue
			}
			switch {
			case class:
				marked = marked || m.class != "" && hasClass(r.value(rd, b), m.class)
			case m.attr != "" && met&(1<<k) == 0 && equalFold(name, m.attr):
				met |= 1 << k
				marked = marked || m.matches(r.value(rd, b))
			}
		}
	}
}

// isShared reports whether managers keep addresses under that name as lazy loaders do.
func isShared(name []byte) bool { return equalFold(name, "data-src") || equalFold(name, "data-href") }

// hasClass reports whether a class in v begins with that prefix and goes on.
func hasClass(v []byte, prefix string) bool {
	for len(v) > 0 {
		v = bytes.TrimLeft(v, spaces)
		n := bytes.IndexAny(v, spaces)
		if n < 0 {
			n = len(v)
		}
		if n > len(prefix) && string(v[:len(prefix)]) == prefix {
			return true
		}
		v = v[n:]
	}
	return false
}

// matches reports whether v is what the manager writes into its attribute.
func (m *ownMark) matches(v []byte) bool {
	if m.words == nil {
		return len(bytes.Trim(v, spaces)) > 0
	}
	found := false
	for len(v) > 0 {
		n := bytes.IndexAny(v, spaces+",")
		if n < 0 {
			n = len(v)
		}
		if n > 0 {
			if !slices.Contains(m.words, str(v[:n])) {
				return false
			}
			found = true
		}
		v = v[min(n+1, len(v)):]
	}
	return found
}

// isDidomi reports whether a script of that type is left for Didomi to run.
func (r *Rewriter) isDidomi(rd *reader, typ []byte) bool {
	if r.managers()&didomi == 0 || !equalFold(bytes.Trim(typ, spaces), "didomi/javascript") {
		return false
	}
	_, delayed := rd.find(atLazySrc)
	return !delayed
}

// attrAt reads the attribute of the tag at i or behind, without one if there the tag ends, and
// returns where the next begins, negative if in does.
func (r *Rewriter) attrAt(rd *reader, in []byte, i int) (a attr, next int) {
	for i < len(in) && (class[in[i]]&space != 0 || in[i] == '/') {
		i++
	}
	if i == len(in) {
		return a, -1
	}
	if in[i] == '>' {
		return a, i
	}
	a.name = int32(i - rd.start)
	for i++; i < len(in) && class[in[i]]&nameEnd == 0; i++ {
	}
	a.nameEnd = int32(i - rd.start)
	v := skipSpace(in, i)
	if v < len(in) && in[v] == '=' {
		i = skipSpace(in, v+1)
		a.val = int32(i - rd.start)
		if i < len(in) && (in[i] == '"' || in[i] == '\'') {
			a.quote = in[i]
			a.val++
			for i++; i < len(in) && in[i] != a.quote; i++ {
			}
			a.valEnd = int32(i - rd.start)
			i++
		} else {
			for i < len(in) && class[in[i]]&unqEnd == 0 {
				i++
			}
			a.valEnd = int32(i - rd.start)
		}
	}
	if i > len(in) {
		return a, -1
	}
	return a, i
}
