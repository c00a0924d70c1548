package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// foreignText is the text of a style or script element in svg as the tree builder sees it: made
// of character data with references decoded and of CDATA sections, without comments and tags.
type foreignText struct {
	on      bool
	script  bool
	depth   int     // of the element in the stack
	hold    int     // first byte that may still be edited
	base    int     // what offsets count from
	src     []byte  // the text that is not decided yet
	offsets []int32 // of src's bytes
	css     cssState

	// The script's start tag.
	start, nameTo int
	attrs         []attr
	kind          scriptKind
}

func (f *foreignText) shift(n int) {
	f.hold -= n
	f.base -= n
	f.start -= n
	f.nameTo -= n
}

func (f *foreignText) copyFrom(o *foreignText) {
	src, offsets, attrs := append(f.src[:0], o.src...), append(f.offsets[:0], o.offsets...), append(f.attrs[:0], o.attrs...)
	*f = *o
	f.src, f.offsets, f.attrs = src, offsets, attrs
}

// add appends text as it stands at an offset of the window.
func (f *foreignText) add(text []byte, at int) {
	f.src = append(f.src, text...)
	for i := range text {
		f.offsets = append(f.offsets, int32(at+i-f.base))
	}
}

// enterInner begins to collect the text of the foreign style or script element just opened.
func (r *Rewriter) enterInner(rd *reader) {
	f := &rd.inner
	f.on, f.script, f.depth, f.hold, f.base = true, rd.el == elScript, len(rd.tree.stack), rd.pos, rd.pos
	f.src, f.offsets, f.attrs, f.css = f.src[:0], f.offsets[:0], f.attrs[:0], cssState{}
	if f.script {
		if !rd.script.held {
			f.on = false
			return
		}
		f.hold, f.start, f.nameTo, f.kind = rd.start, rd.start, rd.nameTo, rd.script.kind
		f.attrs = append(f.attrs, rd.attrs...)
	}
	rd.script.held = false
}

// innerText collects n bytes of character data at offset i, all that there is if n < 0. It returns
// false if a character reference may go on behind the window.
func (r *Rewriter) innerText(rd *reader, i, n int) bool {
	f := &rd.inner
	if len(rd.tree.stack) != f.depth {
		return true // text of a child element
	}
	text := r.in[i:]
	if n >= 0 {
		text = text[:n]
	}
	cut := -1
	if n < 0 && !r.ended {
		if k := bytes.LastIndexByte(text, '&'); k >= 0 && len(text)-k < 40 {
			cut = k
			text = text[:k]
		}
	}
	for len(text) > 0 {
		k := bytes.IndexByte(text, '&')
		if k < 0 {
			k = len(text)
		}
		f.add(text[:k], i)
		text, i = text[k:], i+k
		if len(text) == 0 {
			break
		}
		from := len(f.src)
		var m int
		if f.src, m = decodeReference(f.src, text); m == 0 {
			f.src, m = decodeLegacy(f.src, text)
		}
		for range len(f.src) - from {
			f.offsets = append(f.offsets, int32(i-f.base))
		}
		text, i = text[m:], i+m
	}
	if n < 0 || f.script || len(f.src) > r.maxTag() || !r.closesInner(rd, i) {
		r.innerStyle(rd, false)
	}
	if cut >= 0 {
		rd.pos = i
		return false
	}
	return true
}

// closesInner reports whether the tag at i closes the element at once, which decides on all its text.
func (r *Rewriter) closesInner(rd *reader, i int) bool {
	if i+2 >= len(r.in) || r.in[i+1] != '/' || !isLetter(r.in[i+2]) {
		return false
	}
	k, e := r.plainEndAt(rd, i)
	return e != 0 && k == rd.tree.top().key
}

// decodeLegacy decodes a reference without a semicolon that counts in text, though not before an
// alphanumeric in attributes; an ampersand that begins none is itself.
func decodeLegacy(dst, v []byte) ([]byte, int) {
	for _, e := range [...]struct {
		name string
		c    byte
	}{{"&quot", '"'}, {"&amp", '&'}, {"&lt", '<'}, {"&gt", '>'}, {"&QUOT", '"'}, {"&AMP", '&'}, {"&LT", '<'}, {"&GT", '>'}} {
		if len(v) >= len(e.name) && string(v[:len(e.name)]) == e.name {
			return append(dst, e.c), len(e.name)
		}
	}
	return append(dst, v[0]), 1
}

// innerStyle decides on the references of the text collected so far.
func (r *Rewriter) innerStyle(rd *reader, final bool) {
	f := &rd.inner
	if f.script {
		if len(f.src) > r.maxScript() {
			d := ambiguous("ambiguous:script-length")
			r.record(f.base, rules.Resource{Kind: rules.KindInlineScript, Page: r.page}, d)
			r.blockInner(rd, d)
		}
		return
	}
	f.offsets = append(f.offsets, 0) // the end
	if n := len(f.src); n > 0 {
		f.offsets[n] = f.offsets[n-1] + 1
	}
	c := cssText{r: r, at: f.base, owner: -1, src: f.src, offsets: f.offsets, st: &f.css, final: final}
	n := c.scan(0, len(f.src))
	if len(f.src)-n > r.maxTag() {
		n = c.giveUp(n, len(f.src))
	}
	f.offsets = f.offsets[:len(f.src)]
	if n < len(f.src) {
		f.hold = f.base + int(f.offsets[n])
	}
	rest := copy(f.src, f.src[n:])
	copy(f.offsets, f.offsets[n:])
	f.src, f.offsets = f.src[:rest], f.offsets[:rest]
	if rest == 0 {
		f.hold = int(^uint(0) >> 1)
		if final {
			f.on = false
		}
	}
}

// leaveInner decides on the rest of the text of an element that has been closed, or that the end of
// the document has cut off.
func (r *Rewriter) leaveInner(rd *reader) {
	f := &rd.inner
	if !f.on {
		return
	}
	if !f.script {
		r.innerStyle(rd, true)
		f.on = false
		return
	}
	f.on = false
	if r.ended && rd.pos >= len(r.in) && len(rd.tree.stack) >= f.depth {
		return // cut off by the end of the document: it does not run
	}
	var d rules.Decision
	switch f.kind {
	case scriptRun:
		d = r.findLoader(f.base, f.src)
	case scriptMap:
		d = r.findURL(f.base, rules.KindScript, f.src)
	case scriptRules:
		d = r.findURL(f.base, rules.KindPrefetch, f.src)
	}
	if d.Action == rules.Block {
		r.blockInner(rd, d)
	}
}

// blockInner makes the script whose text is collected inert.
func (r *Rewriter) blockInner(rd *reader, d rules.Decision) {
	f := &rd.inner
	start, nameTo, attrs := rd.start, rd.nameTo, rd.attrs
	rd.start, rd.nameTo, rd.attrs = f.start, f.nameTo, f.attrs
	r.blockScript(rd, d)
	rd.start, rd.nameTo, rd.attrs = start, nameTo, attrs
	f.on, f.src, f.offsets = false, f.src[:0], f.offsets[:0]
}
