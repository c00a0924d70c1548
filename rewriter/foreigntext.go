package rewriter

import (
	"bytes"
	"math"
	"slices"

	"github.com/caddy-consent/caddy-consent/rules"
)

// foreignText is the text of a style or script element in svg as the tree builder sees it: made
// of character data with references decoded and of CDATA sections, without comments and tags.
type foreignText struct {
	on      bool
	script  bool
	deep    bool    // text of its descendants too
	split   bool    // there is another one with that
	depth   int     // of the element in the stack
	hold    int     // first byte that may still be edited, maxHold for none
	base    int     // what offsets count from
	src     []byte  // the text that is not decided yet
	offsets []int32 // of src's bytes
	textTo  int     // where text of it ended last
	seenTo  int     // where any text in it ended last
	unread  bool    // a style's src has grown since it was read
	css     cssState

	// The script's start tag.
	start, nameTo int
	attrs         []attr
	kind          scriptKind
}

// maxHold is beyond every byte.
const maxHold = math.MaxInt

func (f *foreignText) shift(n int) {
	if f.hold != maxHold {
		f.hold -= n
	}
	f.base -= n
	f.textTo -= n
	f.seenTo -= n
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

// enterInner begins to collect the text of the foreign style or script element just opened. That of an element
// around it goes on behind it: what a browser reads is the text of all its own text nodes (DOM, child text
// content).
func (r *Rewriter) enterInner(rd *reader) {
	if rd.el == elScript && !rd.script.held {
		return
	}
	f := &rd.inner
	if f.on {
		rd.outer = append(rd.outer, *f)
		*f = foreignText{}
	}
	f.deep, f.split, f.unread, f.textTo, f.seenTo = false, false, false, -1, -1
	f.on, f.script, f.depth, f.hold, f.base = true, rd.el == elScript, len(rd.tree.stack), rd.pos, rd.pos
	f.src, f.offsets, f.attrs, f.css = f.src[:0], f.offsets[:0], f.attrs[:0], cssState{}
	if f.script {
		f.hold, f.start, f.nameTo, f.kind = rd.start, rd.start, rd.nameTo, rd.script.kind
		f.attrs = append(f.attrs, rd.attrs...)
	}
	rd.script.held = false
}

// dropInner ends the collecting of the innermost element's text.
func (rd *reader) dropInner() {
	n := len(rd.outer) - 1
	if n < 0 {
		rd.inner.on = false
		return
	}
	rd.inner, rd.outer[n] = rd.outer[n], foreignText{}
	rd.outer = rd.outer[:n]
}

// innerText collects n bytes of character data at offset i, all that there is if n < 0. It returns
// false if a character reference may go on behind the window.
func (r *Rewriter) innerText(rd *reader, i, n int) bool {
	text := r.in[i:]
	if n >= 0 {
		text = text[:n]
	}
	cut := -1
	if n < 0 && !r.ended {
		if k := bytes.LastIndexByte(text, '&'); k >= 0 && len(text)-k < 40 {
			cut = i + k
			text = text[:k]
		}
	}
	if r.addInner(rd, text, i, true); cut >= 0 {
		rd.pos = cut
		return false
	}
	return true
}

// outerCost is what a text costs that is collected for another element, in elements looked at.
const outerCost = 8

// addInner collects character data at offset i for the elements that it belongs to.
func (r *Rewriter) addInner(rd *reader, text []byte, i int, references bool) {
	if i != rd.inner.seenTo { // text that goes on costs the same in one piece
		rd.tree.spend(outerCost * len(rd.outer))
	}
	rd.inner.seenTo = i + len(text)
	if r.limitInner(rd, i); !rd.inner.on {
		return
	}
	if len(text) > 0 {
		rd.splitInner()
	}
	for k := range rd.outer {
		r.addText(rd, &rd.outer[k], text, i, references)
	}
	r.addText(rd, &rd.inner, text, i, references)
}

// splitInner begins to collect the text of styles with that of their descendants, once there is such: Firefox looks
// for @import in all of the character data up to the end tag.
func (rd *reader) splitInner() {
	depth := len(rd.tree.stack)
	if rd.inner.splits(depth) {
		rd.inner.split = true
		rd.outer = append(rd.outer, foreignText{})
		rd.outer[len(rd.outer)-1].deepFrom(&rd.inner)
	}
	for k := len(rd.outer) - 1; k >= 0; k-- {
		if f := &rd.outer[k]; f.splits(depth) {
			f.split = true
			var deep foreignText
			deep.deepFrom(f)
			rd.outer = slices.Insert(rd.outer, k, deep)
		}
	}
}

func (f *foreignText) splits(depth int) bool {
	return !f.script && !f.deep && !f.split && depth != f.depth
}

func (f *foreignText) deepFrom(o *foreignText) {
	f.copyFrom(o)
	f.deep = true
}

// addText adds character data to an element's text, if it belongs there.
func (r *Rewriter) addText(rd *reader, f *foreignText, text []byte, i int, references bool) {
	if !f.deep && len(rd.tree.stack) != f.depth {
		return
	}
	f.textTo, f.unread = i+len(text), true
	for len(text) > 0 {
		k := bytes.IndexByte(text, '&')
		if k < 0 || !references {
			k = len(text)
		}
		f.add(text[:k], i)
		text, i = text[k:], i+k
		if len(text) == 0 {
			break
		}
		if rd.entity && !predefined(text[1:]) {
			r.insert(i+1, "amp;")
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
	if !f.script && (len(f.src) > r.maxTag() || !r.closesInner(rd, i)) {
		r.innerStyle(f, false)
	}
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

// limitInner gives up what is held for too long, up to the byte at pos: a reference in whose midst markup or other
// text stands, and a script with much markup in it.
func (r *Rewriter) limitInner(rd *reader, pos int) {
	for f := &rd.inner; f.on && r.heldTooLong(f, pos) && !r.giveUpInner(rd, f, pos); {
		rd.dropInner()
	}
	for i := len(rd.outer) - 1; i >= 0 && i < len(rd.outer); i-- {
		if f := &rd.outer[i]; r.heldTooLong(f, pos) && !r.giveUpInner(rd, f, pos) {
			rd.outer = slices.Delete(rd.outer, i, i+1)
		}
	}
}

func (r *Rewriter) heldTooLong(f *foreignText, pos int) bool {
	if f.script {
		return pos-f.hold > r.maxScript() || len(f.src) > r.maxScript()
	}
	if pos == f.textTo { // where text ends is known when markup follows; cssText limits it
		return false
	}
	limit := r.maxTag()
	if f.unread && len(f.src) > 0 && pos-(f.base+int(f.offsets[0])) > limit {
		r.innerStyle(f, false)
	}
	return pos-f.hold > limit
}

// giveUpInner lets go of what is held of an element's text up to pos, and reports whether its rest matters.
func (r *Rewriter) giveUpInner(rd *reader, f *foreignText, pos int) bool {
	if f.script {
		d := ambiguous("ambiguous:script-length")
		r.record(f.base, rules.Resource{Kind: rules.KindInlineScript, Page: r.page}, d)
		r.blockInner(rd, f, d)
		return false
	}
	for tries := 0; tries < 3; tries++ { // the preload scanner may hold more than the reference
		c := r.innerCSS(f, false)
		n := c.giveUp(0, len(f.src))
		if n == 0 {
			n = c.scan(0, len(f.src))
		}
		if r.innerRest(f, n); !r.heldTooLong(f, pos) {
			break
		}
	}
	return true
}

// innerStyle decides on the references of the text collected so far.
func (r *Rewriter) innerStyle(f *foreignText, final bool) {
	c := r.innerCSS(f, final)
	r.innerRest(f, c.read(0, len(f.src)))
	f.unread = false
}

// innerCSS returns the reader of f's text.
func (r *Rewriter) innerCSS(f *foreignText, final bool) *cssText {
	f.offsets = append(f.offsets, 0) // the end
	if n := len(f.src); n > 0 {
		f.offsets[n] = f.offsets[n-1] + 1
	}
	return &cssText{r: r, at: f.base, owner: -1, src: f.src, offsets: f.offsets, st: &f.css, final: final}
}

// innerRest keeps f's text from offset n on. An edit stands at the begin of a URL, so that nothing before one is
// held, but for a rule that is read as scanners do.
func (r *Rewriter) innerRest(f *foreignText, n int) {
	f.offsets = f.offsets[:len(f.src)]
	f.hold = maxHold
	if url := n + f.css.url; (f.css.url > 0 || f.css.imported || !f.css.head.done) && url < len(f.src) {
		f.hold = f.base + int(f.offsets[url])
	}
	rest := copy(f.src, f.src[n:])
	copy(f.offsets, f.offsets[n:])
	f.src, f.offsets = f.src[:rest], f.offsets[:rest]
}

// leaveInner decides on the rest of the text of the innermost element that is collected, which has been
// closed, or which the end of the document has cut off.
func (r *Rewriter) leaveInner(rd *reader) {
	n, f := len(rd.outer), &rd.inner
	rd.tree.spend(outerCost * n)
	if r.limitInner(rd, rd.pos); !f.on || len(rd.outer) != n {
		return // it may have been that one
	}
	if !f.script {
		r.innerStyle(f, true)
		rd.dropInner()
		return
	}
	if r.ended && rd.pos >= len(r.in) && len(rd.tree.stack) >= f.depth {
		rd.dropInner() // cut off by the end of the document: it does not run
		return
	}
	r.judgeInner(rd, f)
	rd.dropInner()
}

// judgeInner decides on the script whose text has been collected.
func (r *Rewriter) judgeInner(rd *reader, f *foreignText) {
	var d rules.Decision
	switch f.kind {
	case scriptRun:
		d = r.findLoader(f.base, f.src)
	case scriptMap:
		d = r.findURL(f.base, rules.KindScript, f.src)
	case scriptRules:
		d = r.speculation(f.base, f.src)
	}
	if d.Action == rules.Block {
		r.blockInner(rd, f, d)
	}
}

// blockInner makes a script whose text is collected inert.
func (r *Rewriter) blockInner(rd *reader, f *foreignText, d rules.Decision) {
	start, nameTo, attrs, has := rd.start, rd.nameTo, rd.attrs, rd.has
	rd.start, rd.nameTo, rd.attrs, rd.has = f.start, f.nameTo, f.attrs, ^attrSet(0)
	r.blockScript(rd, d)
	rd.start, rd.nameTo, rd.attrs, rd.has = start, nameTo, attrs, has
}
