package rewriter

import "bytes"

// stepTagName reads a tag's name and prepares to read its attributes.
func (r *Rewriter) stepTagName(rd *reader) bool {
	in := r.in
	i := rd.pos
	for i < len(in) && class[in[i]]&unqEnd == 0 && in[i] != '/' {
		i++
	}
	if i == len(in) {
		rd.pos = i
		if i-rd.start > r.maxTag() {
			rd.tag, rd.nameTo = tagPlain, i
			r.enterLongTag(rd)
			return true
		}
		return r.atEnd(rd)
	}
	from := rd.start + 1
	if rd.endTag {
		from++
	}
	rd.tag = tagOf(in[from:i])
	rd.nameTo, rd.pos = i, i
	rd.attrs = rd.attrs[:0]
	rd.slash = false
	rd.all = rd.tag != tagPlain && rd.tag < tagNoscript && !rd.endTag
	if (rd.tag == tagFont || rd.tag == tagAnnotationXML) && len(rd.ns) > 0 {
		rd.all = true
	}
	rd.as, rd.st = asBefore, stTag
	return true
}

// stepTag reads attributes up to the tag's end (HTML Standard, 13.2.5.32 to 13.2.5.40).
func (r *Rewriter) stepTag(rd *reader) bool {
	if r.lexAttrs(rd) {
		return r.finishTag(rd)
	}
	if r.ended {
		return r.atEnd(rd) // a tag cut off by the end of the document is dropped by browsers
	}
	limit := r.maxTag()
	if rd.tag == tagScript {
		limit = max(limit, r.maxScript()) // its src may be the script itself, as a data: URL
	}
	if rd.pos-rd.start > limit {
		r.enterLongTag(rd)
		return true
	}
	return false
}

// lexAttrs goes on from pos and returns true once it has passed the closing >.
func (r *Rewriter) lexAttrs(rd *reader) bool {
	in, i, base := r.in, rd.pos, rd.start
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
			rd.cur = attr{name: int32(i - base)}
			as = asName
			i++ // the first byte belongs to the name, even a =
		case asName:
			for i < len(in) && class[in[i]]&nameEnd == 0 {
				i++
			}
			if i == len(in) {
				break
			}
			rd.cur.nameEnd = int32(i - base)
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
				rd.cur.val, rd.cur.quote = int32(i-base), c
			case c == '\'':
				as = asSingle
				i++
				rd.cur.val, rd.cur.quote = int32(i-base), c
			case c == '>':
				rd.cur.val = int32(i - base)
				rd.cur.valEnd = rd.cur.val
				r.addAttr(rd)
				rd.slash = false
				rd.pos = i + 1
				return true
			default:
				as = asUnquoted
				rd.cur.val = int32(i - base)
			}
		case asDouble, asSingle:
			j := bytes.IndexByte(in[i:], rd.cur.quote)
			if j < 0 {
				i = len(in)
				break
			}
			i += j
			rd.cur.valEnd = int32(i - base)
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
			rd.cur.valEnd = int32(i - base)
			r.addAttr(rd)
			as = asBefore
		}
	}
	rd.pos, rd.as = i, as
	return false
}

// addAttr records the current attribute where its element, or any element, has a use for it.
func (r *Rewriter) addAttr(rd *reader) {
	a := rd.cur
	if !rd.all {
		if a.valEnd == a.val || rd.endTag {
			return
		}
		switch n := a.nameEnd - a.name; lower[r.in[rd.start+int(a.name)]] {
		case 's':
			if n != int32(len("style")) {
				return
			}
		case 'b':
			if n != int32(len("background")) {
				return
			}
		case 'p':
			if n != int32(len("ping")) {
				return
			}
		case 'a':
			if n != int32(len("attributionsrc")) {
				return
			}
		default:
			return
		}
	}
	rd.attrs = append(rd.attrs, a)
}

// name and raw are the bytes of an attribute's name and value in the window.
func (r *Rewriter) name(rd *reader, a attr) []byte {
	return r.in[rd.start+int(a.name) : rd.start+int(a.nameEnd)]
}

func (r *Rewriter) raw(rd *reader, a attr) []byte {
	return r.in[rd.start+int(a.val) : rd.start+int(a.valEnd)]
}

// finishTag acts on a complete tag and sets the state that follows it.
func (r *Rewriter) finishTag(rd *reader) bool {
	rd.st = stData
	if rd.endTag {
		if len(rd.ns) > 0 && !r.scannerOnly(rd) {
			rd.popEnd(r.in[rd.start+2 : rd.nameTo])
		}
		rd.start = -1
		return true
	}
	foreign := false
	if (len(rd.ns) > 0 || rd.tag == tagSVG || rd.tag == tagMath) && !r.scannerOnly(rd) {
		foreign = r.pushStart(rd)
	}
	if rd.tag != tagPlain || len(rd.attrs) > 0 {
		r.element(rd, foreign)
		r.enterText(rd, foreign)
	}
	if rd.st != stScript || !rd.script.held {
		rd.start = -1
	}
	return true
}

// scannerOnly reports whether rd is the preload scanner's reading alone, which knows no
// namespaces and runs no inline script.
func (r *Rewriter) scannerOnly(rd *reader) bool {
	return r.forked && r.forkForeign && rd == &r.main
}

// noScripting reports whether rd reads noscript contents as a browser without scripting does.
func (r *Rewriter) noScripting(rd *reader) bool {
	return r.forked && !r.forkForeign && rd == &r.second
}

// enterText switches the tokenizer's state for elements whose contents are text.
func (r *Rewriter) enterText(rd *reader, foreign bool) {
	st, until := stRaw, ""
	switch rd.tag {
	case tagScript:
		st = stScript
	case tagStyle:
		until = "style"
	case tagTitle:
		until = "title"
	case tagTextarea:
		until = "textarea"
	case tagXmp:
		until = "xmp"
	case tagIframe:
		until = "iframe"
	case tagNoembed:
		until = "noembed"
	case tagNoframes:
		until = "noframes"
	case tagNoscript:
		until = "noscript"
	case tagPlaintext:
		st = stPlaintext
	default:
		return
	}
	if foreign {
		// The tree builder goes on with markup, the preload scanner looks at the name only.
		if rd == &r.second || r.forked {
			return
		}
		r.fork(rd).start = -1
		r.forkForeign = true
		rd.script.held = false
	}
	if rd.tag == tagNoscript {
		// Text with scripting, markup without.
		if r.noScripting(rd) || rd == &r.second {
			return
		}
		if !r.forked {
			r.fork(rd).start = -1
			r.forkForeign = false
		}
	}
	rd.st, rd.until = st, until
	rd.css = rd.tag == tagStyle
	rd.cssText = cssState{}
}
