package rewriter

import "math"

// tree is the tree builder's stack of open elements, without nodes: enough to know, at every
// token, in which namespace the tokenizer stands and whether a start tag is inserted at all
// (HTML Standard, 13.2.4 and 13.2.6, scripting aside). The zero value is not usable: call reset.
type tree struct {
	stack      []node
	formatting []format // list of active formatting elements; id 0 is a marker
	templates  []insertionMode
	mode       insertionMode
	nextID     uint32
	max        int // open elements, about

	slow        bool // the mode is none of those in which ordinary elements are just pushed
	reconstruct bool // a formatting element may have been closed by others
	form        bool // the form element pointer is set
	odd         bool // the tag just read did nothing here: browsers take the end tag in different ways, or it is a frameset too deep
	framesetOK  bool
	quirks      bool

	// stray says that Chromium's preload scanner, which has no stack, may take for HTML what stands in foreign elements:
	// it has seen a tag of HTML in one, or the end tag of an svg or math that was not the innermost.
	stray bool

	// lost says that the stack is followed no more: it got deeper than maxOpen, or a document made of
	// nothing but the tree builder's worst cases cost too much. Every element may then be HTML or
	// foreign, and what follows it text or markup: where that matters the document is sealed.
	lost  bool
	spent int64 // open elements looked at, where they were many
}

// node is an open element.
type node struct {
	key   key
	id    uint32
	el    elem
	ns    namespace
	quick bool // its own end tag, while it is the current node, does nothing but close it
	p     bool // a p element is in button scope here
}

type format struct {
	key key
	id  uint32
}

type namespace uint8

const (
	nsHTML namespace = iota
	nsSVG
	nsMath
	nsMathHTML // annotation-xml whose contents are HTML
)

// insertionMode is an insertion mode (HTML Standard, 13.2.4.1). "text" and "in table text" do not
// change the stack, "after body" and "after after body" behave like "in body" for tags.
type insertionMode uint8

const (
	beforeHTML insertionMode = iota
	beforeHead
	inHead
	inHeadNoscript
	afterHead
	inBody
	inTable
	inCaption
	inColumnGroup
	inTableBody
	inRow
	inCell
	inTemplate
	inFrameset
	afterFrameset
)

// maxOpen bounds the stack. Chromium makes no tree deeper than 512.
const maxOpen = 4096

// A look through up to fewOpen elements is not counted; what is counted may be spentFree elements
// and spentPerByte for each byte of the document.
const (
	fewOpen      = 32
	spentFree    = 1 << 20
	spentPerByte = 8
)

// spend counts a look through n open elements.
func (t *tree) spend(n int) {
	if n > fewOpen {
		t.spent += int64(n)
	}
}

// fosters reports whether what does not belong into a table may be put in front of it (HTML Standard, 13.2.6.1).
func (t *tree) fosters() bool {
	return t.mode == inTable || t.mode == inColumnGroup || t.mode == inTableBody || t.mode == inRow
}

// exhaust has the reader give up the tree when the tag is done.
func (t *tree) exhaust() { t.spent = math.MaxInt32 << 20 }

// lose gives up the stack. A frameset may still take the place of all that is open.
func (t *tree) lose() {
	*t = tree{stack: t.stack[:0], formatting: t.formatting[:0], templates: t.templates[:0], mode: inBody, slow: true, lost: true, framesetOK: t.framesetOK, max: t.max}
}

// maxFormat bounds the entries of one name behind the last marker in the list of active
// formatting elements. The Standard has this limit of three for elements with equal attributes.
const maxFormat = 3

// token is what the tree builder needs of a tag.
type token struct {
	key   key
	el    elem
	self  bool // self-closing
	flag  bool // font: color, face or size; annotation-xml: an HTML encoding; input: hidden
	noscr bool // scripting is off
}

// placed says what became of a start tag.
type placed struct {
	ns      namespace
	ignored bool
	parent  elem // current node before it
}

func (t *tree) reset(noQuirks bool) {
	*t = tree{stack: t.stack[:0], formatting: t.formatting[:0], templates: t.templates[:0], framesetOK: true, quirks: !noQuirks, slow: true, max: t.max}
}

func (t *tree) copyFrom(o *tree) {
	stack, formatting, templates := append(t.stack[:0], o.stack...), append(t.formatting[:0], o.formatting...), append(t.templates[:0], o.templates...)
	*t = *o
	t.stack, t.formatting, t.templates = stack, formatting, templates
}

// equals reports whether two trees answer every later token alike.
func (t *tree) equals(o *tree) bool {
	if t.mode != o.mode || t.framesetOK != o.framesetOK || t.form != o.form || t.lost != o.lost || len(t.stack) != len(o.stack) ||
		len(t.formatting) != len(o.formatting) || len(t.templates) != len(o.templates) {
		return false
	}
	for i := range t.stack {
		if t.stack[i].key != o.stack[i].key || t.stack[i].ns != o.stack[i].ns {
			return false
		}
	}
	for i := range t.formatting {
		if t.formatting[i].key != o.formatting[i].key {
			return false
		}
	}
	for i := range t.templates {
		if t.templates[i] != o.templates[i] {
			return false
		}
	}
	return true
}

// top returns the current node, nil before the first element.
func (t *tree) top() *node {
	if n := len(t.stack); n > 0 {
		return &t.stack[n-1]
	}
	return nil
}

// foreign reports whether the current node is not an HTML element, which is when <![CDATA[ is a
// CDATA section (HTML Standard, 13.2.5.42).
func (t *tree) foreign() bool {
	n := len(t.stack)
	return n > 0 && t.stack[n-1].ns != nsHTML || t.lost
}

func (t *tree) setMode(m insertionMode) {
	t.mode = m
	t.slow = m < inBody || m == inColumnGroup || m >= inTemplate
}

// push opens an element.
func (t *tree) push(k key, el elem, ns namespace) {
	n := len(t.stack)
	if n >= t.max {
		t.exhaust()
	}
	t.nextID++
	p := n > 0 && t.stack[n-1].p
	quick := false
	if ns == nsHTML {
		f := props[el]
		p = el == elP || p && f&buttonScope == 0
		quick = f&structural == 0
	} else if isPoint(el, ns) {
		p = false
		t.stray = t.stray || el != elTitle // which is text to the scanner
	}
	t.stack = append(t.stack, node{})
	t.stack[n].set(k, t.nextID, el, ns, quick, p)
}

// set fills a node in place, since a copy of what was just written in small pieces waits for them.
func (nd *node) set(k key, id uint32, el elem, ns namespace, quick, p bool) {
	nd.key, nd.id, nd.el, nd.ns, nd.quick, nd.p = k, id, el, ns, quick, p
}

// pop closes the current node.
func (t *tree) pop() {
	n := len(t.stack) - 1
	if n <= 0 {
		return
	}
	if nd := &t.stack[n]; nd.ns == nsHTML && props[nd.el]&formatting != 0 {
		t.reconstruct = true
	}
	t.stack = t.stack[:n]
}

// popTo closes elements until the one at index i is closed.
func (t *tree) popTo(i int) {
	for j := i; j < len(t.stack) && !t.reconstruct; j++ {
		if nd := &t.stack[j]; nd.ns == nsHTML && props[nd.el]&formatting != 0 {
			t.reconstruct = true
		}
	}
	t.stack = t.stack[:i]
}

// remove takes the element at index i out of the stack without closing those above it.
func (t *tree) remove(i int) {
	t.spend(len(t.stack) - i)
	t.stack = append(t.stack[:i], t.stack[i+1:]...)
	t.rescope(i)
}

// rescope makes node.p right again from index i up.
func (t *tree) rescope(i int) {
	for ; i < len(t.stack); i++ {
		nd := &t.stack[i]
		below := i > 0 && t.stack[i-1].p
		if nd.ns == nsHTML {
			nd.p = nd.el == elP || below && props[nd.el]&buttonScope == 0
		} else {
			nd.p = below && !isPoint(nd.el, nd.ns)
		}
	}
}

// isPoint reports whether a foreign element bounds a scope (HTML Standard, 13.2.4.2, "special").
func isPoint(el elem, ns namespace) bool {
	if ns == nsSVG {
		return el == elForeignObject || el == elDesc || el == elTitle
	}
	return isTextPoint(el) || el == elAnnotationXML
}

func isTextPoint(el elem) bool {
	return el == elMi || el == elMo || el == elMn || el == elMs || el == elMtext
}

// find returns the index of the topmost element el in scope, -1 if there is none. scope is the
// property of the elements that bound it.
func (t *tree) find(el elem, scope uint16) int {
	i := len(t.stack) - 1
	for ; i >= 0; i-- {
		nd := &t.stack[i]
		if nd.ns != nsHTML {
			if scope&foreignBounds != 0 && isPoint(nd.el, nd.ns) {
				break
			}
			continue
		}
		if nd.el == el {
			return i
		}
		if props[nd.el]&scope&^foreignBounds != 0 {
			break
		}
	}
	t.spend(len(t.stack) - i)
	return -1
}

// impliedEnd closes elements whose end tags may be left out, but not one named except.
func (t *tree) impliedEnd(except elem) {
	for n := len(t.stack) - 1; n > 0; n-- {
		nd := &t.stack[n]
		if nd.ns != nsHTML || props[nd.el]&implied == 0 || nd.el == except {
			return
		}
		t.stack = t.stack[:n]
	}
}

// closeUpTo closes the element el if it is in scope, and all above it.
func (t *tree) closeUpTo(el elem, scope uint16) bool {
	i := t.find(el, scope)
	if i < 0 {
		return false
	}
	t.popTo(i)
	return true
}

// start places a start tag.
func (t *tree) start(tok token) placed {
	var at placed
	if n := len(t.stack); n > 0 {
		at.parent = t.stack[n-1].el
	}
	if t.open(tok.key, tok.el) {
		return at
	}
	return t.startSlow(tok)
}

// open places a start tag of the ordinary kind among HTML elements in the body. It does nothing and
// returns false for any other.
func (t *tree) open(k key, el elem) bool {
	f, n := opens[el], len(t.stack)
	if f == 0 || t.slow || n == 0 || n >= t.max {
		return false
	}
	cur := &t.stack[n-1]
	if cur.ns != nsHTML {
		return false
	}
	if f&(opensItem|opensAnchor) != 0 {
		if f&opensItem != 0 {
			if cur.el != elUl && cur.el != elOl {
				return false
			}
			t.framesetOK = false
		} else {
			for i := len(t.formatting) - 1; i >= 0 && t.formatting[i].id != 0; i-- {
				if t.formatting[i].key == k {
					return false
				}
			}
		}
	}
	p := cur.p
	if p && f&opensBlock != 0 {
		t.closeP()
		n = len(t.stack)
		p = t.stack[n-1].p
	}
	if t.reconstruct && f&opensRebuilt != 0 {
		t.reconstructFormatting()
		if n = len(t.stack); n >= t.max && f&opensNothing == 0 {
			t.push(k, el, nsHTML)
			return true
		}
		p = t.stack[n-1].p
	}
	if f&opensNothing != 0 {
		if f&opensRebuilt != 0 {
			t.framesetOK = false
		}
		return true
	}
	t.nextID++
	t.stack = append(t.stack, node{})
	t.stack[n].set(k, t.nextID, el, nsHTML, f&opensQuick != 0, el == elP || p && f&opensScope == 0)
	if f&(opensFormat|opensAnchor) != 0 {
		if f&opensAnchor != 0 {
			t.formatting = append(t.formatting, format{k, t.nextID})
		} else {
			t.addFormatting()
		}
	}
	return true
}

// end follows an end tag.
func (t *tree) end(k key, el elem) {
	if n := len(t.stack) - 1; n > 0 {
		if nd := &t.stack[n]; nd.key == k {
			if nd.quick {
				t.stack = t.stack[:n]
				return
			}
			if f := len(t.formatting) - 1; f >= 0 && t.formatting[f].id == nd.id && !t.slow {
				t.stack, t.formatting = t.stack[:n], t.formatting[:f]
				return
			}
		}
	}
	t.endSlow(k, el)
}

func (t *tree) closeP() {
	if top := t.top(); top == nil || !top.p {
		return
	}
	t.closeUpTo(elP, buttonScope|foreignBounds)
}

// hasTemplate reports whether a template element is open.
func (t *tree) hasTemplate() bool { return len(t.templates) > 0 }

// text follows character data that is not white space.
func (t *tree) text() {
	switch {
	case t.mode < inBody && len(t.stack) > 0 && t.foreign():
	case t.mode == beforeHTML, t.mode == beforeHead, t.mode == inHead, t.mode == inHeadNoscript, t.mode == afterHead:
		t.toBody()
	case t.mode == inColumnGroup:
		if top := t.top(); top != nil && top.el == elColgroup {
			t.pop()
			t.setMode(inTable)
		}
		return
	case t.mode == inFrameset, t.mode == afterFrameset:
		return
	}
	t.framesetOK = false
}

// toBody goes on to "in body" from whatever comes before it.
func (t *tree) toBody() {
	if t.mode == beforeHTML {
		t.push(keyHTML, elHTML, nsHTML)
	}
	t.stack = t.stack[:1]
	t.impliedBody()
}

// impliedBody opens a body without a tag. Browsers forget there what a template in the head said about framesets.
func (t *tree) impliedBody() {
	t.push(keyBody, elBody, nsHTML)
	t.framesetOK = true
	t.setMode(inBody)
}

// switchTemplate changes the insertion mode of the innermost template's contents.
func (t *tree) switchTemplate(m insertionMode) {
	if n := len(t.templates); n > 0 {
		t.templates[n-1] = m
	}
	t.setMode(m)
}

// resetMode is "reset the insertion mode appropriately" (HTML Standard, 13.2.4.1).
func (t *tree) resetMode() {
	t.spend(len(t.stack))
	for i := len(t.stack) - 1; i >= 0; i-- {
		nd := &t.stack[i]
		if nd.ns != nsHTML {
			continue
		}
		m := inBody
		switch nd.el {
		case elTd, elTh:
			m = inCell
		case elTr:
			m = inRow
		case elTbody, elThead, elTfoot:
			m = inTableBody
		case elCaption:
			m = inCaption
		case elColgroup:
			m = inColumnGroup
		case elTable:
			m = inTable
		case elTemplate:
			m = t.templates[len(t.templates)-1]
		case elHead:
			m = inHead
		case elBody:
		case elFrameset:
			m = inFrameset
		case elHTML:
			m = afterHead
		default:
			continue
		}
		t.setMode(m)
		return
	}
	t.setMode(inBody)
}

// lastMarker returns the index behind the last marker in the list of active formatting elements.
func (t *tree) lastMarker() int {
	i := len(t.formatting)
	for i > 0 && t.formatting[i-1].id != 0 {
		i--
	}
	return i
}

func (t *tree) clearToMarker() {
	i := t.lastMarker()
	t.formatting = t.formatting[:max(0, i-1)]
}

// addFormatting puts the current node into the list of active formatting elements.
func (t *tree) addFormatting() {
	nd := t.top()
	if nd == nil {
		return
	}
	first, count := -1, 0
	for i := t.lastMarker(); i < len(t.formatting); i++ {
		if t.formatting[i].key == nd.key {
			if first < 0 {
				first = i
			}
			count++
		}
	}
	if count >= maxFormat {
		t.formatting = append(t.formatting[:first], t.formatting[first+1:]...)
	}
	t.formatting = append(t.formatting, format{nd.key, nd.id})
}

// indexOf returns the index of an open element, -1 if it is not open.
func (t *tree) indexOf(id uint32) int {
	i := len(t.stack) - 1
	for i >= 0 && t.stack[i].id != id {
		i--
	}
	t.spend(len(t.stack) - i)
	return i
}

// reconstructFormatting is "reconstruct the active formatting elements" (HTML Standard, 13.2.4.3).
func (t *tree) reconstructFormatting() {
	t.reconstruct = false
	i := len(t.formatting)
	for i > 0 && t.formatting[i-1].id != 0 && t.indexOf(t.formatting[i-1].id) < 0 {
		i--
	}
	for ; i < len(t.formatting); i++ {
		k := t.formatting[i].key
		t.push(k, elemOf(k), nsHTML)
		t.formatting[i].id = t.nextID
	}
}

// adopt is the adoption agency algorithm for an end tag (HTML Standard, 13.2.6.4.7). It reports
// whether the tag is to be handled like any other end tag.
func (t *tree) adopt(k key) (other bool) {
	inList := func(id uint32) int {
		for i := len(t.formatting) - 1; i >= 0; i-- {
			if t.formatting[i].id == id {
				return i
			}
		}
		return -1
	}
	if top := t.top(); top.key == k && top.ns == nsHTML && inList(top.id) < 0 {
		t.stack = t.stack[:len(t.stack)-1]
		return false
	}
	for range 8 {
		f := len(t.formatting) - 1
		for f >= 0 && t.formatting[f].id != 0 && t.formatting[f].key != k {
			f--
		}
		if f < 0 || t.formatting[f].id == 0 {
			return true
		}
		fe := t.indexOf(t.formatting[f].id)
		if fe < 0 {
			t.formatting = append(t.formatting[:f], t.formatting[f+1:]...)
			return false
		}
		t.spend(3 * (len(t.stack) - fe))
		block := -1
		for i := len(t.stack) - 1; i > fe; i-- {
			nd := &t.stack[i]
			if nd.ns == nsHTML && props[nd.el]&bounds != 0 || nd.ns != nsHTML && isPoint(nd.el, nd.ns) {
				return false // not in scope
			}
			if nd.ns == nsHTML && props[nd.el]&special != 0 {
				block = i
			}
		}
		if block < 0 {
			t.popTo(fe)
			t.formatting = append(t.formatting[:f], t.formatting[f+1:]...)
			return false
		}
		blockID := t.stack[block].id
		bookmark := f
		count := 0
		for i := block - 1; i > fe; i-- {
			count++
			l := inList(t.stack[i].id)
			if count > 3 && l >= 0 {
				t.formatting = append(t.formatting[:l], t.formatting[l+1:]...)
				if l < f {
					f--
				}
				if l < bookmark {
					bookmark--
				}
				l = -1
			}
			if l < 0 {
				t.stack = append(t.stack[:i], t.stack[i+1:]...)
				continue
			}
			t.nextID++
			t.stack[i].id, t.formatting[l].id = t.nextID, t.nextID
			if blockID == t.stack[min(i+1, len(t.stack)-1)].id {
				bookmark = l + 1
			}
		}
		t.nextID++
		clone := t.stack[fe]
		clone.id = t.nextID
		t.formatting = append(t.formatting[:f], t.formatting[f+1:]...)
		if bookmark > f {
			bookmark--
		}
		bookmark = min(bookmark, len(t.formatting))
		t.formatting = append(t.formatting, format{})
		copy(t.formatting[bookmark+1:], t.formatting[bookmark:])
		t.formatting[bookmark] = format{k, clone.id}
		t.stack = append(t.stack[:fe], t.stack[fe+1:]...)
		at := t.indexOf(blockID) + 1
		t.stack = append(t.stack, node{})
		copy(t.stack[at+1:], t.stack[at:])
		t.stack[at] = clone
		t.rescope(fe)
		t.reconstruct = true
	}
	return false
}
