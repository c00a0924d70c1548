package rewriter

import (
	"bytes"
	"slices"

	"github.com/caddy-consent/caddy-consent/rules"
)

// sealText makes text of all that follows, whatever is open (HTML Standard, 13.2.6.4.7 and 13.2.6.5): only </select>
// leaves a select, only the template is taken in a column group, and only the p leaves foreign content. What is in a
// template is not shown.
const (
	sealText    = "</select><template><p><plaintext>"
	sealXML     = "<>" // no document is well-formed with this
	notSealed   = -1
	sealingRule = "ambiguous:depth"
)

// tire gives up the tree of a document that has cost more than its first at bytes may, or is too deep. Where text
// that goes on may be of a style or a script, nothing more of the document counts. A tree of framesets goes no
// deeper, and one that is lost takes none.
func (r *Rewriter) tire(rd *reader, at int) {
	t := &rd.tree
	r.limitInner(rd, at)
	switch {
	case t.lost || t.spent-spentFree <= spentPerByte*(r.offset+int64(at)) || t.mode >= inFrameset && !r.o.XML:
	case r.o.XML || rd.inner.on:
		r.sealFrom(at)
	default:
		t.lose()
	}
}

// sealFrom ends the document for all readings at the first < from offset at on that is none in a text.
func (r *Rewriter) sealFrom(at int) {
	if s := r.offset + int64(at); r.sealed == notSealed || s < r.sealed {
		if r.sealed == notSealed && !r.o.Policy.AllAllowed() {
			r.record(at, rules.Resource{Kind: rules.KindFetch, Page: r.page}, ambiguous(sealingRule))
		}
		r.sealed = s
	}
}

// isSealed reports whether the document ends for rd with the < at offset i. A tree of framesets takes none of what
// ends it.
func (r *Rewriter) isSealed(rd *reader, i int) bool {
	return r.sealed != notSealed && r.offset+int64(i) >= r.sealed && !(rd.roles&trees != 0 && rd.tree.mode >= inFrameset && !r.o.XML)
}

// seal ends the document at the < at offset at, for rd and those readings which have taken that < already.
func (r *Rewriter) seal(rd *reader, at int) {
	r.sealFrom(at)
	if text := sealText; !r.o.Policy.AllAllowed() {
		if r.o.XML {
			text = sealXML
		}
		r.insert(at, text)
	}
	for i := range r.n {
		if o := &r.readings[i]; o == rd || o.tagAt == at && r.isSealed(o, at) {
			r.limitInner(o, at)
			o.st, o.pos, o.start, o.script = stPlaintext, max(o.pos, at), -1, scriptText{}
			r.sealOuter(o)
		}
	}
}

// sealOuter judges the scripts and styles that the end of the document closes. Only in the style that began last
// Firefox goes on to look for @import.
func (r *Rewriter) sealOuter(rd *reader) {
	n := max(0, len(rd.outer)-1)
	for i := range rd.outer {
		switch f := &rd.outer[i]; {
		case f.script && !r.o.XML: // XML that ends so runs none
			r.judgeInner(rd, f)
		case !f.script && i < n:
			r.innerStyle(f, true)
		}
	}
	if rd.inner.on && rd.inner.script && !r.o.XML {
		r.judgeInner(rd, &rd.inner)
	}
	rd.outer = slices.Delete(rd.outer, 0, n)
}

// stepUnsure reads the text of an element that may be an HTML element or a foreign one, since nobody knows any more
// what is open: text without markup and references is the same to all readers.
func (r *Rewriter) stepUnsure(rd *reader) bool {
	in, more := r.limited(rd.pos, rd.pos)
	text, n := in[rd.pos:], len("</")+len(rd.until)
	from := min(max(rd.noEnd-rd.pos, 0), len(text)) // memory may have run short since
	j := bytes.IndexByte(text[from:], '<')
	if j < 0 {
		rd.noEnd = len(in)
	} else {
		j += from
	}
	switch {
	case j >= 0 && j+n < len(text):
		refers := (rd.el == elScript || rd.el == elStyle) && bytes.IndexByte(text[:j], '&') >= 0
		if rd.el != elPlaintext && !refers && text[j+1] == '/' && equalFold(text[j+2:j+n], rd.until) && class[text[j+n]]&tagEnd != 0 {
			r.setText(rd)
			return true
		}
	case !more && !r.ended:
		return false
	}
	r.seal(rd, rd.start)
	return true
}
