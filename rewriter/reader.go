package rewriter

import "bytes"

// state is the tokenizer's state at a reader's position.
type state uint8

const (
	stData       state = iota
	stTagName          // inside a tag's name
	stTag              // inside a tag, after its name
	stComment          // after <!--
	stBogus            // bogus comment or doctype, up to >
	stCDATA            // after <![CDATA[ in foreign content
	stRaw              // raw text or RCDATA up to the end tag `until`
	stScript           // script data
	stEscaped          // script data escaped
	stDouble           // script data double escaped
	stPlaintext        // up to the end of the document
	stUnsure           // behind a tag of which nobody knows whether text follows
	stLongTag          // inside a tag too long to hold
	stSheet            // a style sheet as a file
	stXMLComment       // the other states are of XML
	stPI
	stDoctype
)

// attrState is the tokenizer's state inside a tag.
type attrState uint8

const (
	asBefore attrState = iota
	asName
	asAfterName
	asBeforeValue
	asDouble
	asSingle
	asUnquoted
	asAfterQuoted
	asSlash
	asTagName // in the rest of a name too long to hold
)

// roles are the readers of a browser that a reading stands for. Where they agree, one reading
// stands for all of them.
type roles uint8

const (
	scanOn  roles = 1 << iota // the preload scanner, scripting on
	scanOff                   // the same, off
	treeOn                    // the tree builder, scripting on
	treeOff                   // the same, off

	scanners  = scanOn | scanOff
	trees     = treeOn | treeOff
	scripting = scanOn | treeOn
	everyRole = scanners | trees

	maxReadings = 4
)

// attr is one attribute of the tag being read. It has few enough fields to be kept in registers.
type attr struct {
	name, val span
	quote     byte // '"', '\'' or 0
	id        attrName
}

// span is a part of a tag, in offsets from the tag's first byte.
type span struct{ from, to int32 }

func (s span) empty() bool { return s.from == s.to }

// reader is one reading of the document: a tokenizer, and the tree builder's stack where it
// stands for one. All positions are offsets in the window.
type reader struct {
	tokenizer
	attrs []attr // of the tag being read
	inner foreignText
	outer []foreignText // of the elements around that one, which goes on behind it
	tree  tree
}

// tokenizer is what of a reader is copied as it stands.
type tokenizer struct {
	pos    int // next byte to read
	start  int // first byte of the tag, comment or text that is held; -1 if none
	tagAt  int // the last < in markup that was not read ahead
	st     state
	roles  roles
	subset subset
	entity bool // the document type declares entities
	early  bool // white space and other text must be told apart: a frameset may follow

	// The tag being read.
	as     attrState
	el     elem
	key    key
	endTag bool
	slash  bool    // self-closing
	nameTo int     // end of the tag's name; in a comment its opening dashes
	has    attrSet // the names of attrs, and perhaps others
	cur    attr
	long   longTag

	// What the tag just read is to the readers that this reading stands for.
	html   bool // an HTML element to some of them
	live   bool // an HTML element that the tree builder inserts
	svg    bool // a foreign element
	parent elem // the current node before it

	until   string // end tag name that leaves stRaw
	noEnd   int    // up to here there is none
	css     bool   // stRaw is a style element
	cssText cssState
	script  scriptText
}

func (rd *reader) reset(noQuirks bool) {
	t := rd.tree
	*rd = reader{attrs: rd.attrs[:0], inner: foreignText{src: rd.inner.src[:0], offsets: rd.inner.offsets[:0], attrs: rd.inner.attrs[:0]}, outer: rd.outer[:0]}
	rd.tokenizer = tokenizer{start: -1, roles: everyRole, early: true}
	rd.tree = t
	rd.tree.reset(noQuirks)
}

// copyFrom makes rd a second reading that stands where from does, but for the tree.
func (rd *reader) copyFrom(from *reader) {
	rd.tokenizer = from.tokenizer
	rd.attrs = append(rd.attrs[:0], from.attrs...)
	rd.outer = rd.outer[:0]
	if rd.inner.on = from.inner.on; rd.inner.on {
		rd.inner.copyFrom(&from.inner)
		for i := range from.outer {
			rd.outer = append(rd.outer, foreignText{})
			rd.outer[i].copyFrom(&from.outer[i])
		}
	}
}

// hold returns the first byte that may still be edited.
func (rd *reader) hold() int {
	h := rd.pos
	if rd.start >= 0 {
		h = rd.start
	}
	if rd.inner.on {
		h = min(h, rd.inner.hold)
		for i := range rd.outer {
			h = min(h, rd.outer[i].hold)
		}
	}
	return h
}

// shift moves the window's begin n bytes on.
func (rd *reader) shift(n int) {
	rd.pos -= n
	if rd.start >= 0 {
		rd.start -= n
	}
	rd.tagAt -= n
	rd.nameTo -= n
	rd.noEnd -= n
	rd.script.shift(n)
	rd.inner.shift(n)
	for i := range rd.outer {
		rd.outer[i].shift(n)
	}
}

// step reads one token, or as much of one as there is. It returns false when it needs more input.
func (r *Rewriter) step(rd *reader) bool {
	switch rd.st {
	case stData:
		return r.stepData(rd)
	case stTagName:
		return r.stepTagName(rd)
	case stTag:
		return r.stepTag(rd)
	case stRaw:
		return r.stepRaw(rd)
	case stScript, stEscaped, stDouble:
		return r.stepScript(rd)
	case stComment:
		return r.stepComment(rd)
	case stBogus:
		return r.stepUntil(rd, ">")
	case stCDATA:
		return r.stepCDATA(rd)
	case stLongTag:
		return r.stepLongTag(rd)
	case stSheet:
		rd.pos = r.scanCSS(rd, rd.pos, len(r.in), r.ended)
		return false
	case stUnsure:
		return r.stepUnsure(rd)
	case stXMLComment:
		return r.stepUntil(rd, "-->")
	case stPI:
		return r.stepPI(rd)
	case stDoctype:
		return r.stepDoctype(rd)
	}
	// stPlaintext: the rest of the document is text.
	if rd.inner.on {
		r.addInner(rd, r.in[rd.pos:], rd.pos, false)
	}
	rd.pos = len(r.in)
	return false
}

// margin is how many bytes the fast path may look ahead without asking whether they are there.
const margin = 24

// fastData reads text and whole tags of the only reading, away from the window's end. It returns
// false once a tag was read that something else than the data state follows, else it stops in front
// of what it leaves to others.
func (r *Rewriter) fastData(rd *reader) (stay bool) {
	in, i, t := r.in, rd.pos, &rd.tree
	for limit := len(in) - margin; i < limit; {
		if in[i] != '<' {
			j := bytes.IndexByte(in[i:limit], '<')
			if j < 0 {
				j = limit - i
			}
			if rd.early {
				r.earlyText(rd, in[i:i+j], j)
			}
			if i += j; i == limit {
				break
			}
		}
		if c := in[i+1]; isLetter(c) {
			el, k, e := readKnown(in, i+1)
			if e == 0 {
				k, e = readOddName(in, i+1)
				el = shortElem(k)
			}
			switch {
			case e == 0:
				rd.pos = i
				return true
			case readsAttrs[el] == 0 && r.headDone:
				// Nothing in it can matter but attributes that every element may have.
				end, self := e+1, false
				if in[e] != '>' {
					end, self = skipTag(in, e, el)
					if end == 0 || end-i > r.maxTag() || t.foreign() && mayReferTo(in[e:end]) {
						rd.pos = i
						return true
					}
				}
				if !t.open(k, el) {
					r.svg = r.svg || el == elSvg
					t.startSlow(token{key: k, el: el, self: self})
				}
				if rd.early {
					rd.pastEarly()
				}
				i = end
				if t.spent > spentFree {
					r.tire(rd, i)
				}
				continue
			case !r.fastTag(rd, k, el, i, e):
				rd.pos = i
				return true
			}
			if rd.st != stData || r.n > 1 || rd.inner.on {
				return false
			}
			i = rd.pos
		} else if c == '/' && isLetter(in[i+2]) {
			k, e := readName(in, i+2)
			if e == 0 || in[e] != '>' {
				break
			}
			at := i
			i = e + 1
			if t.end(k, shortElem(k)); t.odd {
				r.dropEnd(rd, at)
			}
			if t.spent > spentFree {
				r.tire(rd, i)
			}
		} else {
			break
		}
	}
	rd.pos = i
	return true
}

// stepData skips text up to the next tag or markup declaration. While there is one reading it goes
// on through whole tags; of several it reads one token, so that they meet at token boundaries.
func (r *Rewriter) stepData(rd *reader) bool {
	in := r.in
	fast := !rd.inner.on && !r.o.XML && r.sealed == notSealed
	if fast && r.n == 1 && !r.fastData(rd) {
		return true
	}
	i := rd.pos
	for {
		j := bytes.IndexByte(in[i:], '<')
		if j != 0 && rd.early {
			r.earlyText(rd, in[i:], j)
		}
		if rd.inner.on {
			if !r.innerText(rd, i, j) {
				return false
			}
		}
		if j < 0 {
			rd.pos = len(in)
			return false
		}
		if i += j; r.n > 1 && i > rd.pos {
			rd.pos = i // where readings may meet, wherever pieces end
			return true
		}
		if r.isSealed(rd, i) {
			r.seal(rd, i)
			return true
		}
		rd.tagAt = i
		if i+1 >= len(in) {
			rd.pos = i
			return r.atEnd(rd)
		}
		c := in[i+1]
		if isLetter(c) {
			if fast && i+margin < len(in) {
				// fastData leaves the tags in which every attribute has to be read.
				if k, e := readName(in, i+1); e != 0 && r.fastTag(rd, k, shortElem(k), i, e) {
					return true
				}
			}
			rd.start, rd.endTag = i, false
			rd.pos, rd.st = i+1, stTagName
			return true
		}
		if r.o.XML && (c == '?' || c == '!') {
			rd.pos = i
			return r.enterXMLDeclaration(rd)
		}
		switch c {
		case '/':
			if i+2 >= len(in) {
				rd.pos = i
				return r.atEnd(rd)
			}
			if isLetter(in[i+2]) {
				if k, e := r.plainEndAt(rd, i); e != 0 {
					r.plainEnd(rd, k, i, e)
					return true
				}
				rd.start, rd.endTag = i, true
				rd.pos, rd.st = i+2, stTagName
				return true
			}
			if in[i+2] == '>' { // </> is nothing
				i += 3
				continue
			}
			rd.pos, rd.st = i+2, stBogus
			return true
		case '?':
			rd.pos, rd.st = i+1, stBogus
			return true
		case '!':
			rd.pos = i
			return r.enterDeclaration(rd)
		}
		if rd.early {
			rd.text()
		}
		if rd.inner.on {
			r.addInner(rd, in[i:i+1], i, false)
		}
		i++
	}
}

// earlyText looks at the n bytes of character data that text begins with (all of it if n < 0)
// while a frameset may still follow.
func (r *Rewriter) earlyText(rd *reader, text []byte, n int) {
	if n >= 0 {
		text = text[:n]
	}
	for _, c := range text {
		if class[c]&space == 0 && c != 0 {
			rd.text()
			return
		}
	}
}

func (rd *reader) text() {
	if rd.tree.foreign() {
		rd.tree.framesetOK = false
		return
	}
	rd.tree.text()
	rd.pastEarly()
}

// pastEarly notes that no frameset can follow any more.
func (rd *reader) pastEarly() {
	if !rd.tree.framesetOK && rd.tree.mode == inBody && !rd.tree.hasTemplate() {
		rd.early = false
	}
}

// atEnd is where a token is cut: at the end of the document its bytes are text.
func (r *Rewriter) atEnd(rd *reader) bool {
	if r.ended {
		rd.pos, rd.start = len(r.in), -1
	}
	return false
}

const cdata = "[CDATA["

// enterDeclaration reads what follows <! at pos.
func (r *Rewriter) enterDeclaration(rd *reader) bool {
	rest := r.in[rd.pos+2:]
	if len(rest) > 0 && rest[0] == '-' {
		if len(rest) < 2 {
			return r.atEnd(rd)
		}
		if rest[1] == '-' {
			// The comment may end at once: <!--> and <!--->.
			rd.pos, rd.st = rd.pos+2, stComment
			rd.nameTo = rd.pos
			return true
		}
	}
	if len(rest) > 0 && rest[0] == '[' {
		if n := min(len(rest), len(cdata)); string(rest[:n]) == cdata[:n] {
			if n < len(cdata) && !r.ended {
				return false
			}
			if n == len(cdata) && rd.roles&trees != 0 && rd.tree.lost {
				r.seal(rd, rd.pos)
				return true
			}
			if n == len(cdata) && rd.roles&trees != 0 && rd.tree.foreign() {
				// The preload scanner knows no namespaces: to it this is a bogus comment.
				t := rd
				if rd.roles&scanners != 0 {
					t = r.fork(rd, rd.roles&trees)
				}
				t.pos, t.st = rd.pos+2+n, stCDATA
				if t == rd {
					return true
				}
			}
		}
	}
	if len(rest) == 0 && !r.ended {
		return false
	}
	if rd.tree.mode == beforeHTML && len(rd.tree.stack) == 0 {
		if len(rest) < 14 && !r.ended && bytes.IndexByte(rest, '>') < 0 {
			return false
		}
		if len(rest) >= 12 && equalFold(rest[:7], "doctype") && equalFold(rest[8:12], "html") {
			rd.tree.quirks = false
		}
	}
	rd.pos, rd.st = rd.pos+2, stBogus
	return true
}

// stepComment looks for the end of a comment whose text begins at or after pos, which stands on
// the first dash of the opening (nameTo) so that <!--> and <!---> end it, but <!--!> does not
// (HTML Standard, 13.2.5.43 to 13.2.5.52).
func (r *Rewriter) stepComment(rd *reader) bool {
	in := r.in
	i := rd.pos
	for {
		j := bytes.Index(in[i:], []byte("--"))
		if j < 0 {
			rd.pos = max(i, len(in)-1)
			if r.ended {
				rd.pos = len(in)
			}
			return false
		}
		i += j
		switch {
		case i+2 < len(in) && in[i+2] == '>':
			rd.pos, rd.st = i+3, stData
			return true
		case i+3 < len(in) && in[i+2] == '!' && in[i+3] == '>' && i >= rd.nameTo+2:
			rd.pos, rd.st = i+4, stData
			return true
		case i+3 >= len(in) && !r.ended:
			rd.pos = i
			return false
		}
		i++
	}
}

// stepUntil skips to the end of a bogus comment, doctype or CDATA section.
func (r *Rewriter) stepUntil(rd *reader, mark string) bool {
	j := bytes.Index(r.in[rd.pos:], []byte(mark))
	if j < 0 {
		rd.pos = max(rd.pos, len(r.in)-len(mark)+1)
		if r.ended {
			rd.pos = len(r.in)
		}
		return false
	}
	rd.pos += j + len(mark)
	rd.st = stData
	return true
}

func (r *Rewriter) stepCDATA(rd *reader) bool {
	from := rd.pos
	found := r.stepUntil(rd, "]]>")
	if end := rd.pos - len("]]>"); found && r.untold && beyondASCII(r.before(end)) {
		r.apart(end, " ")
	}
	to := rd.pos
	if found {
		to -= len("]]>")
	}
	if rd.early {
		r.earlyText(rd, r.in[from:to], to-from)
	}
	if rd.inner.on {
		r.addInner(rd, r.in[from:to], from, false)
	}
	return found
}

// stepRaw skips raw text or RCDATA up to its end tag.
func (r *Rewriter) stepRaw(rd *reader) bool {
	end, found := r.findEndTag(max(rd.pos, rd.noEnd), rd.until)
	rd.noEnd = end
	if rd.css {
		rd.pos = r.scanCSS(rd, rd.pos, end, found || r.ended)
		if rd.pos < end {
			return false
		}
	}
	rd.pos = end
	if !found {
		if r.ended {
			rd.pos = len(r.in)
		}
		return false
	}
	rd.css = false
	if k, e := r.plainEndAt(rd, end); e != 0 {
		r.plainEnd(rd, k, end, e)
		return true
	}
	rd.start, rd.endTag = end, true
	rd.pos, rd.st = end+2, stTagName
	return true
}

// plainEndAt returns the key of the end tag at i and the end of its name, if the tag ends there too
// and rd can act on it at once, else 0. Of more than two readings none can: one that is ahead of
// others within a tag would change which of them join first. Nor can one of two that collects text
// while the other is behind, since what is on record stands in the order of the document.
func (r *Rewriter) plainEndAt(rd *reader, i int) (key, int) {
	if r.n > 2 || i+margin >= len(r.in) || r.o.XML {
		return 0, 0
	}
	k, e := readName(r.in, i+2)
	if e == 0 || r.in[e] != '>' || e-i >= r.maxTag() {
		return 0, 0
	}
	if rd.inner.on {
		for j := range r.n {
			if o := &r.readings[j]; o != rd && o.pos <= e {
				return 0, 0
			}
		}
	}
	return k, e
}

// plainEnd acts on the end tag of that key that begins at i and whose name ends at e.
func (r *Rewriter) plainEnd(rd *reader, k key, i, e int) {
	rd.start = i
	rd.key, rd.el, rd.endTag = k, shortElem(k), true
	rd.as, rd.attrs = asBefore, rd.attrs[:0]
	rd.pos = e + 1
	r.finishTag(rd)
}

// findEndTag returns the offset of the first "</name" followed by a space, / or >, or, if there
// is none yet, the offset up to which there certainly is none.
func (r *Rewriter) findEndTag(from int, name string) (int, bool) {
	in := r.in
	i := from
	for {
		j := bytes.IndexByte(in[i:], '<')
		if j < 0 {
			return len(in), false
		}
		i += j
		switch r.endTagAt(i, name) {
		case yes:
			return i, true
		case unknown:
			return i, false
		}
		i++
	}
}

type answer uint8

const (
	no answer = iota
	yes
	unknown // the window ends too early
)

// endTagAt reports whether the "<" at i begins an appropriate end tag.
func (r *Rewriter) endTagAt(i int, name string) answer {
	if i+1 < len(r.in) && r.in[i+1] != '/' {
		return no
	}
	return r.wordAt(i+1, "/", name)
}

// wordAt reports whether the window has prefix and the lower-case word at i, case-insensitively,
// followed by a space, / or >.
func (r *Rewriter) wordAt(i int, prefix, word string) answer {
	rest := r.in[i:]
	n := len(prefix) + len(word)
	for k := 0; k < n; k++ {
		if k >= len(rest) {
			return r.cutOff()
		}
		want := byte(0)
		if k < len(prefix) {
			want = prefix[k]
		} else {
			want = word[k-len(prefix)]
		}
		if lower[rest[k]] != want {
			return no
		}
	}
	if n >= len(rest) {
		return r.cutOff()
	}
	if c := rest[n]; c == '>' || c == '/' || class[c]&space != 0 {
		return yes
	}
	return no
}

func (r *Rewriter) cutOff() answer {
	if r.ended {
		return no
	}
	return unknown
}

// mayReferTo reports whether attributes of a foreign element may hold a function of style sheets, or a data: URL, whatever is
// in between its letters.
func mayReferTo(v []byte) bool {
	if bytes.IndexByte(v, '(') >= 0 || bytes.IndexByte(v, '&') >= 0 {
		return true
	}
	for {
		i := bytes.IndexByte(v, ':')
		if i < 0 {
			return false
		}
		if i > 0 && (v[i-1]|0x20 == 'a' || v[i-1] <= ' ') {
			return true
		}
		v = v[i+1:]
	}
}
