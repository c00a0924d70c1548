package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// longTag is a start tag that is longer than the limit: what was read of it is decided and gone,
// and its attributes are read one at a time from here on.
type longTag struct {
	tooLong bool // the attribute that is being read is itself too long to hold
}

// enterLongTag decides on the part of the tag that is held and lets it go.
func (r *Rewriter) enterLongTag(rd *reader) {
	if rd.endTag || rd.st == stTagName {
		if rd.st == stTagName {
			rd.as = asTagName
			from := rd.start + 1
			if rd.endTag {
				from++
			}
			rd.key = keyOf(r.in[from : from+r.maxTag()-2])
			rd.html, rd.live, rd.svg, rd.parent = true, true, true, elVideo
		}
		rd.st, rd.start, rd.long = stLongTag, -1, longTag{tooLong: true}
		rd.attrs = rd.attrs[:0]
		return
	}
	rd.st = stTag
	if rd.tree.lost && textElement(rd.el) {
		r.seal(rd, rd.start)
		return
	}
	switch rd.el {
	case elNoscript:
		if off := rd.roles &^ scripting; off != 0 && off != rd.roles && !r.o.XML {
			r.enterLongTag(r.fork(rd, off))
		}
	case elFrameset:
		if off := r.splitFrameset(rd); off != nil && !r.o.XML {
			r.enterLongTag(off)
		}
	}
	whole := len(rd.attrs)
	rd.slash = false
	r.placeLong(rd)
	switch rd.el {
	case elScript:
		// What is not read could be its source, and its text could load.
		d := ambiguous("ambiguous:tag-length")
		r.record(rd.start, rules.Resource{Kind: rules.KindScript, Page: r.page}, d)
		r.blockScript(rd, d)
		r.common(rd)
		rd.script = scriptText{}
	case elLink, elMeta, elInput, elBase:
		d := ambiguous("ambiguous:tag-length")
		r.record(rd.start, rules.Resource{Kind: rules.KindFetch, Page: r.page}, d)
		for _, a := range rd.attrs {
			if fetches(a.id) {
				r.block(rd, a, d)
			}
		}
	default:
		r.element(rd)
	}
	rd.attrs = rd.attrs[:whole]
	r.longAttr(rd)
	rd.attrs = rd.attrs[:0]
	if rd.st = stLongTag; rd.as == asName || rd.as == asAfterName || rd.as == asBeforeValue {
		from := rd.cur.name.from // its value is still to come
		rd.start += int(from)
		rd.cur = attr{name: span{to: rd.cur.name.to - from}}
		rd.long.tooLong = false
		return
	}
	rd.start = -1
}

// placeLong tells the tree builder of a tag whose rest is not read yet.
func (r *Rewriter) placeLong(rd *reader) {
	rd.html, rd.live, rd.svg = true, true, r.o.XML
	r.svg = r.svg || rd.el == elSvg
	if r.o.XML {
		rd.tree.push(rd.key, rd.el, nsSVG)
		return
	}
	if rd.roles&trees != 0 {
		at := rd.tree.start(token{key: rd.key, el: rd.el, noscr: rd.roles&scripting == 0, flag: r.treeFlag(rd)})
		if rd.tree.odd {
			r.dropStart(rd)
		}
		rd.live = at.ns == nsHTML && !at.ignored
		rd.svg = at.ns != nsHTML
		rd.parent = at.parent
		rd.pastEarly()
	}
	if rd.tree.lost {
		rd.live, rd.svg, rd.parent = true, true, elVideo
	}
}

// fetches reports whether browsers fetch from an attribute on some element, or read from it how
// to, or what the document's bytes mean.
func fetches(id attrName) bool {
	switch id {
	case atNone, atLanguage, atEncoding, atFontBreak, atEvent, atLazySrc, atLazySrcset, atAttributeName:
		return false
	}
	return true
}

// ownAttr reports whether an attribute of that name can fetch on the element that is being read.
func (rd *reader) ownAttr(id attrName) bool {
	switch id {
	case atEvent:
		return true
	case atPing:
		return rd.el == elA || rd.el == elArea
	case atAttributionSrc:
		return rd.el == elA || rd.el == elArea || rd.el == elImg || rd.el == elScript
	case atLazySrc, atLazySrcset:
		_, ok := lazyKind(rd.el)
		return ok
	}
	if readsAttrs[rd.el]&readOwn != 0 {
		return fetches(id)
	}
	return id == atStyle || id == atBackground && hasBackground(rd.el) || id == atPaint && rd.svg
}

// longAttr decides on the attribute whose value is cut by the limit. Its beginning is enough for
// a single URL, since the host stands there; everything else is renamed unread.
func (r *Rewriter) longAttr(rd *reader) {
	rd.long.tooLong = true
	a := rd.cur
	if rd.as != asDouble && rd.as != asSingle && rd.as != asUnquoted {
		return
	}
	a.val.to = int32(rd.pos - rd.start)
	a.id = r.attrOf(r.name(rd, a))
	if !rd.ownAttr(a.id) {
		return
	}
	rd.attrs = append(rd.attrs, a)
	rd.has |= 1 << a.id
	v := r.value(rd, a)
	single := a.id == atSrc || a.id == atHref || a.id == atData || a.id == atPoster || a.id == atXlinkHref
	kind, _ := lazyKind(rd.el)
	if single && hostKnown(v) && !(kind.Active() && schemeOf(v) != schemeOther) {
		if d := r.decide(rd.start, kind, v); d.Action == rules.Block {
			r.block(rd, a, *d)
		}
		return
	}
	if a.id == atStyle && onlyData(v) {
		return
	}
	d := ambiguous("ambiguous:tag-length")
	r.record(rd.start, rules.Resource{Kind: kind, Page: r.page}, d)
	r.block(rd, a, d)
}

// hostKnown reports whether the beginning of a URL says which host it names: whether something
// that ends a host stands in it.
func hostKnown(v []byte) bool {
	if schemeOf(v) == schemeData {
		return true
	}
	v = bytes.TrimLeftFunc(v, func(c rune) bool { return c <= ' ' })
	if i := bytes.IndexByte(v, ':'); i >= 0 && i < 16 {
		v = v[i+1:]
	}
	return bytes.ContainsAny(bytes.TrimLeft(v, "/\\\t\n\r"), `/\?#`)
}

// onlyData reports whether every reference that begins in a style value is a data: URL, and the
// value is still inside the last of them.
func onlyData(v []byte) bool {
	i := bytes.LastIndex(v, []byte("url("))
	if i < 0 || bytes.Count(v, []byte("(")) != 1 {
		return false
	}
	j := skip(v, i+4, spaces+`"'`)
	return schemeOf(v[j:]) == schemeData && bytes.IndexByte(v[j:], ')') < 0
}

// stepLongTag reads the rest of a long tag, holding one attribute at a time.
func (r *Rewriter) stepLongTag(rd *reader) bool {
	for {
		done := r.lexLong(rd)
		if len(rd.attrs) > 0 {
			a := rd.attrs[0]
			rd.attrs = rd.attrs[:0]
			if !rd.long.tooLong && !rd.endTag && r.mayFetch(rd, a) {
				r.refuseLong(rd, a)
			}
			rd.long.tooLong = false
			if !done {
				rd.start = -1
				continue
			}
		}
		if done {
			rd.start, rd.long = -1, longTag{}
			rd.st = stData
			if rd.endTag {
				if rd.roles&trees != 0 {
					if rd.tree.end(rd.key, rd.el); rd.tree.odd {
						rd.tree.odd = false
						rd.tree.exhaust()
					}
					r.closed(rd)
				}
			} else {
				rd.script = scriptText{}
				if rd.slash = rd.as == asSlash; rd.slash && rd.svg && rd.roles&trees != 0 && !r.o.XML && !rd.tree.lost && rd.tree.foreign() {
					rd.tree.pop()
				}
				r.enterText(rd)
			}
			return true
		}
		break
	}
	if r.ended && rd.pos == len(r.in) {
		return r.atEnd(rd)
	}
	switch {
	case rd.as == asBefore || rd.as == asSlash || rd.as == asAfterQuoted || rd.long.tooLong:
		rd.start = -1
	case rd.start >= 0 && rd.pos-rd.start >= r.maxTag():
		r.longAttrCut(rd)
		return true
	}
	return false
}

// longAttrCut lets go of an attribute in the rest of a long tag that is itself too long.
func (r *Rewriter) longAttrCut(rd *reader) {
	if rd.as >= asAfterName && !rd.endTag {
		if rd.ownAttr(r.attrOf(r.name(rd, rd.cur))) {
			r.refuseLong(rd, rd.cur)
		}
	}
	rd.long.tooLong = true
	rd.start = -1
}

// mayFetch reports whether the attribute that has just been read in the rest of a long tag can fetch.
func (r *Rewriter) mayFetch(rd *reader, a attr) bool {
	id := r.attrOf(r.name(rd, a))
	switch raw := r.in[rd.start:rd.pos]; id {
	case atStyle:
		if !mayRefer(raw) {
			return false
		}
	case atEvent:
		if bytes.IndexByte(raw, '/') < 0 && bytes.IndexByte(raw, '&') < 0 {
			return false
		}
	}
	return rd.ownAttr(id)
}

// refuseLong renames an attribute in the rest of a long tag.
func (r *Rewriter) refuseLong(rd *reader, a attr) {
	kind, _ := lazyKind(rd.el)
	r.record(rd.start, rules.Resource{Kind: kind, Page: r.page}, ambiguous("ambiguous:tag-length"))
	r.insert(rd.start+int(a.name.from), renamePrefix)
}

// lexLong reads one attribute of a long tag, or its end. Unlike lexAttrs it counts offsets from
// the attribute's first byte, and it stops after each attribute with that in attrs[0].
func (r *Rewriter) lexLong(rd *reader) bool {
	in, i := r.in, rd.pos
	defer func() { rd.pos = i }()
	whole := in
	if rd.start >= 0 {
		in = whole[:min(len(whole), rd.start+r.maxTag())]
	}
	finish := func() {
		rd.attrs = append(rd.attrs[:0], rd.cur)
		if rd.long.tooLong {
			rd.attrs[0] = attr{}
		}
	}
	for i < len(in) {
		c := in[i]
		switch rd.as {
		case asBefore, asAfterName, asAfterQuoted, asSlash:
			switch {
			case class[c]&space != 0:
				if rd.as != asAfterName {
					rd.as = asBefore
				}
				i++
				continue
			case rd.as == asAfterName && c == '=':
				rd.as = asBeforeValue
				i++
				continue
			case rd.as == asAfterName:
				rd.as = asBefore
				finish()
				return false
			case c == '>':
				i++
				return true
			case c == '/':
				rd.as = asSlash
				i++
				continue
			}
			rd.start, rd.cur = i, attr{}
			in = whole[:min(len(whole), rd.start+r.maxTag())]
			rd.long.tooLong = false
			rd.as = asName
			i++
		case asTagName:
			for i < len(in) && class[in[i]]&tagEnd == 0 {
				rd.key = rd.key.with(in[i])
				i++
			}
			if i < len(in) {
				if rd.as = asBefore; rd.roles&trees != 0 && !r.o.XML && !rd.endTag {
					rd.tree.start(token{key: rd.key}) // no element that is known has such a name
				}
			}
		case asName:
			for i < len(in) && class[in[i]]&nameEnd == 0 {
				i++
			}
			if i == len(in) {
				return false
			}
			if !rd.long.tooLong {
				rd.cur.name.to = int32(i - rd.start)
			}
			if in[i] == '=' {
				rd.as = asBeforeValue
				i++
			} else {
				rd.as = asAfterName
			}
		case asBeforeValue:
			switch {
			case class[c]&space != 0:
				i++
			case c == '"' || c == '\'':
				rd.as, rd.cur.quote = asDouble, c
				i++
			case c == '>':
				rd.as = asBefore
				finish()
				return false
			default:
				rd.as = asUnquoted
			}
		case asDouble, asSingle:
			j := bytes.IndexByte(in[i:], rd.cur.quote)
			if j < 0 {
				i = len(in)
				return false
			}
			i += j + 1
			rd.as = asAfterQuoted
			finish()
			return false
		case asUnquoted:
			for i < len(in) && class[in[i]]&unqEnd == 0 {
				i++
			}
			if i == len(in) {
				return false
			}
			rd.as = asBefore
			finish()
			return false
		}
	}
	return false
}
