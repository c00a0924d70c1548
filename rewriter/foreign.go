package rewriter

// element is an open element since the outermost svg or math.
type element struct {
	hash uint32 // of the lower-case name
	kind elementKind
}

type elementKind uint8

const (
	foreignElement elementKind = iota
	htmlPoint                  // HTML integration point: foreignObject, desc, title in svg
	textPoint                  // MathML text integration point: mi, mo, mn, ms, mtext
	htmlElement                // HTML inside an integration point
)

// nameHash is FNV-1a over the lower-case name.
func nameHash(name []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range name {
		h = (h ^ uint32(lower[c])) * 16777619
	}
	return h
}

var hashP, hashBR = nameHash([]byte("p")), nameHash([]byte("br"))

// foreign reports whether the current node is a foreign element, which is when <![CDATA[ is a
// CDATA section (HTML Standard, 13.2.5.42).
func (rd *reader) foreign() bool {
	n := len(rd.ns)
	return n > 0 && rd.ns[n-1].kind != htmlElement
}

// maxNesting bounds the stack; deeper elements of a hostile page are not tracked, which leaves
// the two readings to differ where a browser would stop nesting too (at 512).
const maxNesting = 512

// pushStart follows the tree builder over a start tag in or at the edge of foreign content and
// reports whether the element is a foreign one (HTML Standard, 13.2.6, 13.2.6.5).
func (r *Rewriter) pushStart(rd *reader) bool {
	name := r.in[rd.start+1 : rd.nameTo]
	if n := len(rd.ns); n > 0 && rd.ns[n-1].kind == foreignElement {
		if r.breaksOut(rd, name) {
			rd.popForeign()
		} else {
			kind := foreignElement
			switch rd.tag {
			case tagForeignObject, tagDesc, tagTitle:
				kind = htmlPoint
			case tagMathText:
				kind = textPoint
			case tagAnnotationXML:
				if r.htmlEncoding(rd) {
					kind = htmlPoint
				}
			}
			if !rd.slash && n < maxNesting {
				rd.ns = append(rd.ns, element{nameHash(name), kind})
			}
			return true
		}
	}
	if rd.tag == tagSVG || rd.tag == tagMath {
		if !rd.slash && len(rd.ns) < maxNesting {
			rd.ns = append(rd.ns, element{nameHash(name), foreignElement})
		}
		return true
	}
	if len(rd.ns) > 0 && len(rd.ns) < maxNesting && !isVoid(name) {
		rd.ns = append(rd.ns, element{nameHash(name), htmlElement})
	}
	return false
}

// breaksOut reports whether a start tag ends foreign content.
func (r *Rewriter) breaksOut(rd *reader, name []byte) bool {
	if rd.tag == tagFont {
		for _, a := range rd.attrs {
			if n := r.name(rd, a); equalFold(n, "color") || equalFold(n, "face") || equalFold(n, "size") {
				return true
			}
		}
		return false
	}
	if len(name) > 10 {
		return false
	}
	var low [10]byte
	for i, c := range name {
		low[i] = lower[c]
	}
	return breakouts[string(low[:len(name)])]
}

func (r *Rewriter) htmlEncoding(rd *reader) bool {
	for _, a := range rd.attrs {
		if equalFold(r.name(rd, a), "encoding") {
			v := r.value(rd, a)
			return equalFold(v, "text/html") || equalFold(v, "application/xhtml+xml")
		}
	}
	return false
}

// popForeign pops foreign elements up to an integration point or HTML.
func (rd *reader) popForeign() {
	n := len(rd.ns)
	for n > 0 && rd.ns[n-1].kind == foreignElement {
		n--
	}
	rd.ns = rd.ns[:n]
}

// popEnd follows the tree builder over an end tag. An end tag that matches no open element since
// the outermost svg or math is taken to close an HTML element outside, and so everything inside.
func (rd *reader) popEnd(name []byte) {
	h := nameHash(name)
	if n := len(rd.ns); rd.ns[n-1].kind <= textPoint && (h == hashP || h == hashBR) {
		rd.popForeign()
		return
	}
	for i := len(rd.ns) - 1; i >= 0; i-- {
		if rd.ns[i].hash == h {
			rd.ns = rd.ns[:i]
			return
		}
		if k := rd.ns[i].kind; (k == htmlPoint || k == textPoint) && i < len(rd.ns)-1 && rd.ns[i+1].kind == htmlElement {
			return // an HTML end tag does not reach over an integration point
		}
	}
	rd.ns = rd.ns[:0]
}

var voids = func() map[uint32]bool {
	m := make(map[uint32]bool)
	for _, n := range []string{"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta",
		"param", "source", "track", "wbr", "keygen", "basefont", "bgsound", "frame"} {
		m[nameHash([]byte(n))] = true
	}
	return m
}()

func isVoid(name []byte) bool { return voids[nameHash(name)] }
