package rewriter

import "bytes"

// state is the tokenizer's state at a reader's position.
type state uint8

const (
	stData      state = iota
	stTagName         // inside a tag's name
	stTag             // inside a tag, after its name
	stComment         // after <!--
	stBogus           // bogus comment or doctype, up to >
	stCDATA           // after <![CDATA[ in foreign content
	stRaw             // raw text or RCDATA up to the end tag `until`
	stScript          // script data
	stEscaped         // script data escaped
	stDouble          // script data double escaped
	stPlaintext       // up to the end of the document
	stLongTag         // inside a tag too long to hold
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
)

// attr is one attribute of the tag being read, in offsets from the tag's first byte.
type attr struct {
	name, nameEnd int32
	val, valEnd   int32
	quote         byte // '"', '\'' or 0
}

// reader is one reading of the document: a tokenizer and the stack of open foreign elements.
// All positions are offsets in the window.
type reader struct {
	pos   int // next byte to read
	start int // first byte of the tag, comment or text that is held; -1 if none
	st    state

	// The tag being read.
	as      attrState
	tag     tag
	endTag  bool
	slash   bool // self-closing
	all     bool // record every attribute
	nameTo  int  // end of the tag's name; in a comment its opening dashes
	cur     attr
	attrs   []attr
	long    longTag
	until   string // end tag name that leaves stRaw
	css     bool   // stRaw is a style element
	cssText cssState
	script  scriptText

	// Open elements since the outermost svg or math, as the tree builder sees them; empty in HTML.
	ns []element
}

func (rd *reader) reset() {
	*rd = reader{attrs: rd.attrs[:0], ns: rd.ns[:0], start: -1}
}

// copyFrom makes rd a second reading that stands where from does, at a token boundary.
func (rd *reader) copyFrom(from *reader) {
	attrs, ns := rd.attrs[:0], rd.ns[:0]
	*rd = *from
	rd.attrs, rd.ns = attrs, append(ns, from.ns...)
}

// hold returns the first byte that may still be edited.
func (rd *reader) hold() int {
	if rd.start >= 0 {
		return rd.start
	}
	return rd.pos
}

// shift moves the window's begin n bytes on.
func (rd *reader) shift(n int) {
	rd.pos -= n
	if rd.start >= 0 {
		rd.start -= n
	}
	rd.nameTo -= n
	rd.script.shift(n)
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
		return r.stepUntil(rd, "]]>")
	case stLongTag:
		return r.stepLongTag(rd)
	}
	// stPlaintext: the rest of the document is text.
	rd.pos = len(r.in)
	return false
}

// stepData skips text up to the next tag or markup declaration and enters it.
func (r *Rewriter) stepData(rd *reader) bool {
	in := r.in
	i := rd.pos
	for {
		j := bytes.IndexByte(in[i:], '<')
		if j < 0 {
			rd.pos = len(in)
			return false
		}
		i += j
		if i+1 >= len(in) {
			rd.pos = i
			return r.atEnd(rd)
		}
		c := in[i+1]
		if isLetter(c) {
			rd.start, rd.endTag = i, false
			rd.pos, rd.st = i+1, stTagName
			return true
		}
		switch c {
		case '/':
			if i+2 >= len(in) {
				rd.pos = i
				return r.atEnd(rd)
			}
			if isLetter(in[i+2]) {
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
		i++
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
			if n == len(cdata) && rd.foreign() {
				// The preload scanner knows no namespaces: to it this is a bogus comment.
				if b := r.fork(rd); b != nil {
					b.pos, b.st = rd.pos+2+n, stCDATA
				} else if rd == &r.second {
					rd.pos, rd.st = rd.pos+2+n, stCDATA
					return true
				}
			}
		}
	}
	if len(rest) == 0 && !r.ended {
		return false
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

// stepRaw skips raw text or RCDATA up to its end tag.
func (r *Rewriter) stepRaw(rd *reader) bool {
	end, found := r.findEndTag(rd.pos, rd.until)
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
	rd.start, rd.endTag = end, true
	rd.pos, rd.st = end+2, stTagName
	return true
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
