package rewriter

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// What an element's attributes are read for.
const (
	readOwn     = 1 << iota // attributes of its own that fetch, or contents that are text
	readForTree             // an attribute that the tree builder asks for
)

// readsAttrs says which elements need more than a look for the attributes that every element may have.
var readsAttrs = func() (t [elements]uint8) {
	for e := elScript; e <= elFrameset; e++ {
		t[e] = readOwn
	}
	t[elTable], t[elTbody], t[elThead], t[elTfoot], t[elTr], t[elTd], t[elTh] = 0, 0, 0, 0, 0, 0, 0
	t[elFont], t[elAnnotationXML] = readForTree, readForTree
	t[elInput] |= readForTree
	return t
}()

// watchedSecond is, for the first letters of the attributes that every element may have, their
// second letter.
var watchedSecond = func() (t [256]byte) {
	for _, n := range []string{"style", "background", "ping", "attributionsrc", "onload"} {
		t[n[0]], t[n[0]&^0x20] = n[1], n[1]
	}
	return t
}()

// skipTag passes over the attributes of an ordinary element from the end of its name on. It
// returns the offset behind the tag's >, or 0 if the tag has to be read: an attribute in it may
// matter, or it does not end in the window.
func skipTag(in []byte, i int, el elem) (end int, self bool) {
	slash := 0
	for i < len(in) {
		c := in[i]
		if c == '>' {
			return i + 1, slash == i
		}
		if class[c]&tagEnd != 0 { // space or slash
			i++
			if c == '/' {
				slash = i
			}
			continue
		}
		if w := watchedSecond[c]; w != 0 && i+1 < len(in) && in[i+1]|0x20 == w {
			if i = skipWatched(in, i, el); i == 0 {
				return 0, false
			}
			continue
		}
		i = skipName(in, i)
		if i+1 < len(in) && in[i] == '=' {
			if q := in[i+1]; q == '"' || q == '\'' {
				j := bytes.IndexByte(in[i+2:], q)
				if j < 0 {
					return 0, false
				}
				i += j + 3
				continue
			}
		}
		if i = skipOddValue(in, i); i == 0 {
			return 0, false
		}
	}
	return 0, false
}

// skipName returns the end of the attribute name at i; the first byte belongs to it in any case.
func skipName(in []byte, i int) int {
	for i++; i+8 <= len(in); i++ {
		m := below(binary.LittleEndian.Uint64(in[i:]))
		if m == 0 {
			i += 7
			continue
		}
		if i += bits.TrailingZeros64(m) >> 3; class[in[i]]&nameEnd != 0 {
			return i
		}
	}
	for i < len(in) && class[in[i]]&nameEnd == 0 {
		i++
	}
	return i
}

// skipOddValue passes over whatever follows an attribute's name that is not ="…" or ='…'.
func skipOddValue(in []byte, i int) int {
	for i < len(in) && class[in[i]]&space != 0 {
		i++
	}
	if i == len(in) {
		return 0
	}
	if in[i] != '=' {
		return i
	}
	for i++; i < len(in) && class[in[i]]&space != 0; {
		i++
	}
	if i == len(in) {
		return 0
	}
	switch q := in[i]; q {
	case '>':
		return i
	case '"', '\'':
		j := bytes.IndexByte(in[i+1:], q)
		if j < 0 {
			return 0
		}
		return i + j + 2
	}
	for i < len(in) && class[in[i]]&unqEnd == 0 {
		i++
	}
	if i == len(in) {
		return 0
	}
	return i
}

// skipWatched passes over an attribute whose name begins like one that every element may have,
// if it is none, or its value certainly holds no reference.
func skipWatched(in []byte, i int, el elem) int {
	from := i
	for i < len(in) && class[in[i]]&nameEnd == 0 {
		i++
	}
	id := attrOf(in[from:i])
	switch id {
	case atStyle, atEvent:
	case atBackground:
		if !hasBackground(el) {
			id = atNone
		}
	case atPing, atAttributionSrc:
		if el != elA && el != elArea {
			id = atNone
		}
	default:
		id = atNone
	}
	val := i
	if i = skipOddValue(in, i); i == 0 || id == atNone {
		return i
	}
	v := in[val:i]
	if id == atStyle && !mayRefer(v) ||
		id == atEvent && bytes.IndexByte(v, '/') < 0 && bytes.IndexByte(v, '&') < 0 {
		return i
	}
	return 0
}

// hasBackground reports whether browsers fetch the background attribute of an element.
func hasBackground(el elem) bool {
	switch el {
	case elBody, elTable, elTbody, elThead, elTfoot, elTr, elTd, elTh, elCol, elColgroup:
		return true
	}
	return false
}

// readAttrName returns the attribute whose name begins at i, and the name's end.
func readAttrName(in []byte, i int) (attrName, int) {
	if i+8 <= len(in) {
		w := binary.LittleEndian.Uint64(in[i:])
		m := below(w)
		if n := bits.TrailingZeros64(m) >> 3; 2 < n && n < 8 && in[i+n] == '=' {
			k := key((w | low5) & lead(m))
			if s := &shortAttrs[attrSlot(k)]; s.key == k {
				return s.name, i + n
			}
			if n > 3 && uint16(k) == 'o'|'n'<<8 {
				return atEvent, i + n
			}
			return atNone, i + n
		}
	}
	end := skipName(in, i)
	return attrOf(in[i:end]), end
}

// fastTag reads a whole start tag that lies in the window. It returns false, with nothing done, if
// the tag does not end there.
func (r *Rewriter) fastTag(rd *reader, k key, el elem, start, i int) bool {
	in := r.in
	rd.el, rd.key = el, k
	rd.attrs = rd.attrs[:0]
	nameTo, slash, limit := i, false, r.tagLimit(el)-2
	has := attrSet(0)
	for {
		for i < len(in) && class[in[i]]&space != 0 {
			i++
			slash = false
		}
		if i == len(in) || i-start > limit {
			return false
		}
		switch in[i] {
		case '>':
			rd.start, rd.endTag, rd.slash, rd.nameTo = start, false, slash, nameTo
			rd.pos, rd.has = i+1, has
			r.finishTag(rd)
			return true
		case '/':
			slash = true
			i++
			continue
		}
		slash = false
		a := attr{name: span{from: int32(i - start)}}
		a.id, i = readAttrName(in, i)
		a.name.to = int32(i - start)
		to := 0
		if i+1 < len(in) && in[i] == '=' && (in[i+1] == '"' || in[i+1] == '\'') {
			j := bytes.IndexByte(in[i+2:], in[i+1])
			if j < 0 {
				return false
			}
			if a.id == atNone {
				i += j + 3
				continue
			}
			a.val.from, a.quote = int32(i+2-start), in[i+1]
			to = i + 2 + j
			i = to + 1
		} else {
			if to = skipOddValue(in, i); to == 0 {
				return false
			}
			if to != i { // there may be a value
				v := i
				for class[in[v]]&space != 0 {
					v++
				}
				if in[v] == '=' {
					for v++; class[in[v]]&space != 0; {
						v++
					}
					a.val.from = int32(v - start)
					i = to
					if q := in[v]; (q == '"' || q == '\'') && v < to {
						a.quote = q
						a.val.from++
						to--
					}
				} else {
					i, to = v, v
				}
			}
		}
		if a.id != atNone {
			if a.val.from > 0 {
				a.val.to = int32(to - start)
			}
			has |= 1 << a.id
			rd.attrs = append(rd.attrs, a)
		}
	}
}

// stepTagName reads a tag's name and prepares to read its attributes.
func (r *Rewriter) stepTagName(rd *reader) bool {
	in := r.in[:min(len(r.in), rd.start+r.maxTag())]
	i := rd.pos
	for i < len(in) && class[in[i]]&tagEnd == 0 {
		i++
	}
	if i == len(in) {
		rd.pos = i
		if i-rd.start >= r.maxTag() {
			rd.el, rd.key, rd.nameTo = elUnknown, keyOf(in[rd.start:i]), i
			r.enterLongTag(rd)
			return true
		}
		return r.atEnd(rd)
	}
	from := rd.start + 1
	if rd.endTag {
		from++
	}
	name := in[from:i]
	if r.o.XML {
		name = localName(name)
	}
	rd.key = keyOf(name)
	rd.el = elemOf(rd.key)
	rd.nameTo, rd.pos = i, i
	rd.attrs, rd.has = rd.attrs[:0], 0
	rd.slash = false
	rd.as, rd.st = asBefore, stTag
	return true
}

// stepTag reads attributes up to the tag's end (HTML Standard, 13.2.5.32 to 13.2.5.40).
func (r *Rewriter) stepTag(rd *reader) bool {
	if r.lexAttrs(rd) {
		r.finishTag(rd)
		return true
	}
	if rd.pos-rd.start >= r.tagLimit(rd.el) {
		r.enterLongTag(rd)
		return true
	}
	// A tag cut off by the end of the document is dropped by browsers.
	return r.atEnd(rd)
}

// tagLimit is the longest start tag of an element that is read as a whole.
func (r *Rewriter) tagLimit(el elem) int {
	if el == elScript {
		return max(r.maxTag(), r.maxScript()) // its src may be the script itself, as a data: URL
	}
	return r.maxTag()
}

// lexAttrs goes on from pos and returns true once it has passed the closing >.
func (r *Rewriter) lexAttrs(rd *reader) bool {
	// Where a long tag is cut must not depend on how the bytes arrive.
	in, i, base := r.in[:min(len(r.in), rd.start+r.tagLimit(rd.el))], rd.pos, rd.start
	as := rd.as
	for i < len(in) {
		switch as {
		case asBefore, asAfterName, asAfterQuoted, asSlash:
			c := in[i]
			switch {
			case class[c]&space != 0:
				if as != asAfterName {
					as = asBefore
				}
				i++
				continue
			case c == '>':
				if as == asAfterName {
					r.addAttr(rd)
				}
				rd.slash = as == asSlash
				rd.pos = i + 1
				return true
			case c == '/':
				if as == asAfterName {
					r.addAttr(rd)
				}
				as = asSlash
				i++
				continue
			case c == '=' && as == asAfterName:
				as = asBeforeValue
				i++
				continue
			}
			if as == asAfterName {
				r.addAttr(rd)
			}
			rd.cur = attr{name: span{from: int32(i - base)}}
			as = asName
			i++ // the first byte belongs to the name, even a =
		case asName:
			for i < len(in) && class[in[i]]&nameEnd == 0 {
				i++
			}
			if i == len(in) {
				break
			}
			rd.cur.name.to = int32(i - base)
			if in[i] == '=' {
				as = asBeforeValue
				i++
			} else {
				as = asAfterName
			}
		case asBeforeValue:
			switch c := in[i]; {
			case class[c]&space != 0:
				i++
			case c == '"':
				as = asDouble
				i++
				rd.cur.val.from, rd.cur.quote = int32(i-base), c
			case c == '\'':
				as = asSingle
				i++
				rd.cur.val.from, rd.cur.quote = int32(i-base), c
			case c == '>':
				rd.cur.val.from = int32(i - base)
				rd.cur.val.to = rd.cur.val.from
				r.addAttr(rd)
				rd.slash = false
				rd.pos = i + 1
				return true
			default:
				as = asUnquoted
				rd.cur.val.from = int32(i - base)
			}
		case asDouble, asSingle:
			j := bytes.IndexByte(in[i:], rd.cur.quote)
			if j < 0 {
				i = len(in)
				break
			}
			i += j
			rd.cur.val.to = int32(i - base)
			r.addAttr(rd)
			as = asAfterQuoted
			i++
		case asUnquoted:
			for i < len(in) && class[in[i]]&unqEnd == 0 {
				i++
			}
			if i == len(in) {
				break
			}
			rd.cur.val.to = int32(i - base)
			r.addAttr(rd)
			as = asBefore
		}
	}
	rd.pos, rd.as = i, as
	return false
}

// addAttr records the current attribute if any element has a use for it.
func (r *Rewriter) addAttr(rd *reader) {
	if rd.endTag {
		return
	}
	a := rd.cur
	name := r.name(rd, a)
	if a.id = attrOf(name); r.o.XML {
		a.id = inXML(a.id, name)
	}
	if a.id != atNone {
		rd.attrs = append(rd.attrs, a)
		rd.has |= 1 << a.id
	}
}

// name and raw are the bytes of an attribute's name and value in the window.
func (r *Rewriter) name(rd *reader, a attr) []byte {
	return r.in[rd.start+int(a.name.from) : rd.start+int(a.name.to)]
}

func (r *Rewriter) raw(rd *reader, a attr) []byte {
	return r.in[rd.start+int(a.val.from) : rd.start+int(a.val.to)]
}

// find returns the first attribute of that name.
func (rd *reader) find(id attrName) (attr, bool) {
	if !rd.has.has(id) {
		return attr{}, false
	}
	for _, a := range rd.attrs {
		if a.id == id {
			return a, true
		}
	}
	return attr{}, false
}

// finishTag acts on a complete tag and sets the state that follows it.
func (r *Rewriter) finishTag(rd *reader) {
	rd.st = stData
	if rd.endTag {
		if rd.roles&trees != 0 {
			if rd.tree.end(rd.key, rd.el); rd.tree.odd {
				r.dropEnd(rd, rd.start)
			}
			r.closed(rd)
		}
		rd.start = -1
		return
	}
	if r.o.XML {
		r.placeXML(rd)
		return
	}
	switch rd.el {
	case elNoscript:
		// Text with scripting, markup without.
		if off := rd.roles &^ scripting; off != 0 && off != rd.roles && !rd.tree.lost {
			r.placeTag(r.fork(rd, off))
		}
	case elFrameset:
		if off := r.splitFrameset(rd); off != nil {
			r.placeTag(off)
		}
	}
	r.placeTag(rd)
}

// closed goes on behind an end tag that the tree builder has been told of.
func (r *Rewriter) closed(rd *reader) {
	for rd.inner.on && len(rd.tree.stack) < rd.inner.depth {
		r.leaveInner(rd)
	}
	if rd.tree.spent > spentFree {
		r.tire(rd, rd.pos)
	}
}

// dropEnd gives the end tag at offset at a name that closes nothing, since browsers disagree on what it closes.
func (r *Rewriter) dropEnd(rd *reader, at int) {
	if rd.tree.odd = false; !r.o.Policy.AllAllowed() {
		r.insert(at+len("</"), renamePrefix)
	}
}

// dropStart gives the start tag being read a name of no element.
func (r *Rewriter) dropStart(rd *reader) {
	if rd.tree.odd = false; !r.o.Policy.AllAllowed() {
		r.insert(rd.start+len("<"), renamePrefix)
	}
}

// placeTag acts on a start tag for the readers that rd stands for.
func (r *Rewriter) placeTag(rd *reader) {
	var at placed
	r.svg = r.svg || rd.el == elSvg
	rd.html, rd.live, rd.svg = rd.roles&scanners != 0, false, false
	if rd.roles&trees != 0 {
		t := token{key: rd.key, el: rd.el, self: rd.slash, noscr: rd.roles&scripting == 0}
		if readsAttrs[rd.el]&readForTree != 0 && len(rd.attrs) > 0 {
			t.flag = r.treeFlag(rd)
		}
		if at = rd.tree.start(t); rd.tree.odd {
			r.dropStart(rd)
		}
		rd.live = at.ns == nsHTML && !at.ignored
		rd.svg = at.ns != nsHTML
		rd.html = rd.html || rd.live
		rd.parent = at.parent
		if rd.early {
			rd.pastEarly()
		}
		if rd.tree.spent > spentFree {
			r.tire(rd, rd.pos)
		}
		if !r.headDone && rd.live && rd.el != elHTML && !rd.tree.hasTemplate() {
			r.putHead(rd)
		}
	}
	if rd.roles&trees == 0 && (breakout[rd.el] || rd.el == elFont) {
		rd.tree.stray = true
	}
	if rd.tree.lost {
		rd.html, rd.live, rd.svg, rd.parent = true, true, true, elVideo
	}
	if readsAttrs[rd.el]&readOwn != 0 || len(rd.attrs) > 0 {
		r.element(rd)
		r.enterText(rd)
	}
	if !(rd.st == stScript && rd.script.held) && rd.st != stUnsure {
		rd.start = -1
	}
}

// putHead puts what belongs into the head behind its tag, or before the first element that would end it.
func (r *Rewriter) putHead(rd *reader) {
	at := rd.start
	if rd.el == elHead {
		at = rd.pos
	}
	r.headDone = true
	r.insertHead(at, r.o.Head)
}

// treeFlag reads the attribute that the tree builder asks for on some elements.
func (r *Rewriter) treeFlag(rd *reader) bool {
	switch rd.el {
	case elFont:
		_, ok := rd.find(atFontBreak)
		return ok
	case elAnnotationXML:
		if a, ok := rd.find(atEncoding); ok {
			v := r.value(rd, a)
			return equalFold(v, "text/html") || equalFold(v, "application/xhtml+xml")
		}
	case elInput:
		if a, ok := rd.find(atType); ok {
			return equalFold(r.value(rd, a), "hidden")
		}
	}
	return false
}

// textElement reports whether what an HTML element of that name holds is text to some readers.
func textElement(el elem) bool {
	switch el {
	case elScript, elStyle, elTitle, elTextarea, elXmp, elIframe, elNoembed, elNoframes, elNoscript, elPlaintext:
		return true
	}
	return false
}

// enterText switches the tokenizer's state for elements whose contents are text: by name for the
// preload scanner, by what was inserted for the tree builder.
func (r *Rewriter) enterText(rd *reader) {
	if !textElement(rd.el) || rd.el == elNoscript && rd.roles&scripting == 0 && !rd.tree.lost {
		return
	}
	rd.until = elementNames[rd.el]
	if rd.tree.lost {
		rd.st = stUnsure
		return
	}
	if rd.roles&trees != 0 && !rd.live {
		t := rd
		if rd.roles&scanners != 0 {
			t = r.fork(rd, rd.roles&trees)
			rd.script.held = false
		}
		if rd.svg && !rd.slash && (rd.el == elStyle || rd.el == elScript) {
			r.enterInner(t)
		}
		t.script.held = false
		t.start = -1
		if t == rd {
			return
		}
	}
	r.setText(rd)
}

// setText enters the text of the element whose start tag has been read.
func (r *Rewriter) setText(rd *reader) {
	if rd.roles&trees == 0 || r.o.tagsOnly {
		rd.script.held = false
	}
	switch rd.el {
	case elScript:
		rd.st = stScript
	case elPlaintext:
		rd.st = stPlaintext
	default:
		rd.st = stRaw
	}
	if rd.st != stScript || !rd.script.held {
		rd.start = -1
	}
	rd.css = rd.el == elStyle && !r.o.tagsOnly
	rd.cssText = cssState{}
}
