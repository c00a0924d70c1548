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
		rd.st, rd.start, rd.long = stLongTag, -1, longTag{tooLong: true}
		rd.attrs = rd.attrs[:0]
		if rd.as == asBefore {
			rd.as = asName
		}
		return
	}
	rd.st = stTag
	whole := len(rd.attrs)
	foreign := len(rd.ns) > 0 && !r.scannerOnly(rd)
	rd.slash = false
	switch rd.tag {
	case tagScript:
		// What is not read could be its source, and its text could load.
		d := ambiguous("ambiguous:tag-length")
		r.record(rd.start, rules.Resource{Kind: rules.KindScript, Page: r.page}, d)
		r.blockScript(rd, d)
		rd.script = scriptText{}
	case tagLink, tagMeta, tagInput, tagBase:
		d := ambiguous("ambiguous:tag-length")
		r.record(rd.start, rules.Resource{Kind: rules.KindFetch, Page: r.page}, d)
		for _, a := range rd.attrs {
			if fetches(r.name(rd, a)) {
				r.block(rd, a, d)
			}
		}
	default:
		r.element(rd, foreign)
	}
	rd.attrs = rd.attrs[:whole]
	r.longAttr(rd)
	rd.attrs = rd.attrs[:0]
	rd.st, rd.start = stLongTag, -1
}

// fetches reports whether browsers fetch from an attribute of that name on some element.
func fetches(name []byte) bool {
	for _, n := range []string{"src", "href", "srcset", "srcdoc", "data", "poster", "content", "type", "rel", "http-equiv", "as",
		"imagesrcset", "background", "xlink:href", "ping", "attributionsrc", "style", "code", "to", "values", "from"} {
		if equalFold(name, n) {
			return true
		}
	}
	return false
}

// longAttr decides on the attribute whose value is cut by the limit. Its beginning is enough for
// a single URL, since the host stands there; everything else is renamed unread.
func (r *Rewriter) longAttr(rd *reader) {
	rd.long.tooLong = true
	a := rd.cur
	if rd.as != asDouble && rd.as != asSingle && rd.as != asUnquoted {
		return
	}
	a.valEnd = int32(rd.pos - rd.start)
	name := r.name(rd, a)
	if !fetches(name) || rd.tag == tagPlain && !equalFold(name, "style") && !equalFold(name, "background") {
		return
	}
	v := r.value(rd, a)
	single := equalFold(name, "src") || equalFold(name, "href") || equalFold(name, "data") || equalFold(name, "poster") || equalFold(name, "xlink:href")
	kind := r.lazyKind(rd.tag)
	if single && !(kind.Active() && schemeOf(v) != schemeOther) {
		if d := r.decide(rd.start, kind, v); d.Action == rules.Block {
			r.block(rd, a, d)
		}
		return
	}
	if equalFold(name, "style") && onlyData(v) {
		return
	}
	d := ambiguous("ambiguous:tag-length")
	r.record(rd.start, rules.Resource{Kind: kind, Page: r.page}, d)
	r.block(rd, a, d)
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
			if !rd.long.tooLong && fetches(r.name(rd, a)) && (rd.tag != tagPlain || equalFold(r.name(rd, a), "style")) {
				d := ambiguous("ambiguous:tag-length")
				r.record(rd.start, rules.Resource{Kind: r.lazyKind(rd.tag), Page: r.page}, d)
				r.insert(rd.start+int(a.name), renamePrefix)
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
			if !rd.endTag {
				r.enterText(rd, len(rd.ns) > 0 && !r.scannerOnly(rd))
				rd.script = scriptText{}
			}
			return true
		}
		break
	}
	if r.ended {
		return r.atEnd(rd)
	}
	switch {
	case rd.as == asBefore || rd.as == asSlash || rd.as == asAfterQuoted || rd.long.tooLong:
		rd.start = -1
	case rd.start >= 0 && rd.pos-rd.start > r.maxTag():
		r.longAttrCut(rd)
	}
	return false
}

// longAttrCut lets go of an attribute in the rest of a long tag that is itself too long.
func (r *Rewriter) longAttrCut(rd *reader) {
	if rd.as >= asAfterName {
		if n := r.in[rd.start+int(rd.cur.name) : rd.start+int(rd.cur.nameEnd)]; fetches(n) && (rd.tag != tagPlain || equalFold(n, "style")) {
			d := ambiguous("ambiguous:tag-length")
			r.record(rd.start, rules.Resource{Kind: r.lazyKind(rd.tag), Page: r.page}, d)
			r.insert(rd.start+int(rd.cur.name), renamePrefix)
		}
	}
	rd.long.tooLong = true
	rd.start = -1
}

// lexLong reads one attribute of a long tag, or its end. Unlike lexAttrs it counts offsets from
// the attribute's first byte, and it stops after each attribute with that in attrs[0].
func (r *Rewriter) lexLong(rd *reader) bool {
	in, i := r.in, rd.pos
	defer func() { rd.pos = i }()
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
			rd.long.tooLong = false
			rd.as = asName
			i++
		case asName:
			for i < len(in) && class[in[i]]&nameEnd == 0 {
				i++
			}
			if i == len(in) {
				return false
			}
			if !rd.long.tooLong {
				rd.cur.nameEnd = int32(i - rd.start)
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
