package rewriter

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/caddy-consent/caddy-consent/rules"
)

// cssState is where a style sheet is being read, kept across writes.
type cssState struct {
	mode     cssMode
	quote    byte       // of the string in cssString
	imported bool       // behind @import: the next token is the URL
	named    cssNamed   // behind @namespace: the next token, or the one behind a prefix, is a URL that nobody fetches
	fontFace bool       // inside @font-face
	decl     cssDecl    // the statement that is being read
	depth    int        // of brackets within a custom property
	colon    bool       // behind a custom property's name
	typed    bool       // behind an at-rule whose descriptors or arguments are like custom properties
	set      int        // depth of parentheses inside a function whose strings are URLs
	scanned  int        // how far the reference that is held has been read, from its first byte
	url      int        // where its URL begins, from its first byte; 0 if none is held
	ref      rules.Kind // what that URL would be fetched as
	apart    int        // of what is held, how much has no backslash any more that may be half a character
	head     cssHead    // the preload scanner's reading
}

// cssMode is the construct that the window begins inside.
type cssMode uint8

const (
	cssPlain   cssMode = iota
	cssComment         // up to */
	cssString          // up to the quote or a newline
	cssURL             // an unquoted URL that is decided, up to )
	cssName            // a name too long to be one that matters
)

// cssNamed is what may stand behind @namespace.
type cssNamed uint8

const (
	notNamed    cssNamed = iota
	namedPrefix          // a prefix or the URL
	namedURL             // the URL
)

// cssText reads CSS and puts blocked references out of use by an insertion in front of their URL.
// It is a tokenizer of the few constructs that matter: comments, strings, escapes, functions and
// at-rules (CSS Syntax Level 3, 4.3).
type cssText struct {
	r       *Rewriter
	at      int // offset in the window of src[0]
	owner   int // for a style attribute, the offset of its element; else -1
	src     []byte
	offsets []int32 // for decoded text: offsets of src's bytes from at
	st      *cssState
	final   bool // no more text follows src[:to]

	dry      bool // decide only, the text is not part of the page
	parts    bool // no browser fetches what it refers to, but documents that are written out
	doubtful bool // what is being read may have characters of two bytes in it
	sheets   int  // depth of style sheets in data: URLs
	blocked  bool
	first    rules.Decision

	floor    int // no name begins before this offset
	known    int // up to here st.decl is up to date
	progress int // up to here the reference that was held is known to have no end
	begin    int // where its URL begins

	needles   [len(cssNeedles)]int // where the next of each stands in src[:needlesTo]
	needlesTo int

	scanner, scannerEnd int // the last URL that the preload scanner fetches

	// The last reference of which nothing is on record. Style sheets repeat them.
	kept     []byte
	keptKind rules.Kind
}

// inert goes in front of a blocked URL: what follows becomes the text of an empty document. In
// quirks mode browsers read that as a style sheet where one is imported, so an @import gets
// inertSheet.
const (
	inert      = "data:,"
	inertSheet = "about:invalid#"
)

// scanCSS reads the style element's text in[from:to] and returns how far it came.
func (r *Rewriter) scanCSS(rd *reader, from, to int, final bool) int {
	c := cssText{r: r, owner: -1, src: r.in, st: &rd.cssText, final: final}
	return c.read(from, to)
}

// cssMargin is more than what a construct that is no reference is held for.
const cssMargin = maxCSSName + 2*maxEscape

// read reads src[i:to], gives up what is too long to hold, and returns the offset of what is cut off by the end, or
// to. Wherever the text is cut, a construct is read with as much behind it.
func (c *cssText) read(i, to int) int {
	final := c.final
	for stuck := 0; stuck < 3; stuck++ {
		// Where memory runs short the limit falls, though not behind what has been read.
		limit := min(to, i+max(c.r.maxTag()+cssMargin, c.st.scanned, c.st.head.ahead+c.st.head.rule.seen))
		c.final = final && limit == to
		n := c.scan(i, limit)
		if limit == to {
			return n
		}
		if n == i {
			n = c.giveUp(i, limit)
		}
		if n > i {
			i, stuck = n, 0
		}
	}
	return i
}

// scan reads src[i:to] and returns the offset of the first construct that is cut off by the end,
// or to.
func (c *cssText) scan(i, to int) int {
	st := c.st
	if c.inAttr() {
		st.head.done = true
	}
	if c.doubtful = c.r.untold && !c.dry && (beyondASCII(c.before(i)) || hasBeyondASCII(c.src[i:to])); c.doubtful {
		c.apart(i+st.apart, to)
	}
	pos := i + st.head.ahead // the preload scanner goes ahead, one rule at a time
	for more := true; more; {
		limit := to
		if more = false; !st.head.done {
			pos, limit, more = c.scanHead(pos, to)
		}
		c.progress, c.begin = i+st.scanned, i+st.url
		st.scanned, st.url = 0, 0
		final := c.final
		c.final = final && limit == to
		i = c.tokens(i, limit)
		c.final = final
	}
	if st.head.ahead = 0; !st.head.done {
		st.head.ahead = pos - i
	}
	st.apart = to - i
	return i
}

// apart keeps the backslashes in src[i:to] from being the second halves of characters, in an encoding that is not
// known. The name that one is in stays one.
func (c *cssText) apart(i, to int) {
	for i < to {
		n := bytes.IndexByte(c.src[i:to], '\\')
		if n < 0 {
			return
		}
		if i += n; c.mayBeSecond(i) {
			c.r.apart(c.offset(i), "-")
		}
		i++
	}
}

// before returns the byte before src[i].
func (c *cssText) before(i int) byte {
	switch at := c.offset(i); {
	case c.offsets == nil && i > 0:
		return c.src[i-1]
	case at < 0: // it is out, and was read before
		return 0
	default:
		return c.r.before(at)
	}
}

// mayBeSecond reports whether src[i] may be the second half of a character. Behind most letters of UTF-8's two bytes it is none
// in any encoding: they are one character of two bytes, or two of one.
func (c *cssText) mayBeSecond(i int) bool {
	last := c.before(i)
	if c.offsets != nil || last != 0x80 && (last < 0xa0 || last > 0xbf) {
		return beyondASCII(last)
	}
	at := c.offset(i)
	first := c.r.byteBefore(at, 2)
	return first < 0xc2 || first > 0xdf || beyondASCII(c.r.byteBefore(at, 3))
}

// apartPlain does the same to what begins and ends blocks and rules in src[i:to], in which no construct is.
func (c *cssText) apartPlain(i, to int) {
	for ; i < to; i++ {
		if b := c.src[i]; (b == '{' || b == '}' || b == '@') && c.mayBeSecond(i) {
			c.r.apart(c.offset(i), " ")
		}
	}
}

// inAttr reports whether the text is that of a style attribute, which has no at-rules.
func (c *cssText) inAttr() bool { return c.owner >= 0 && !c.dry }

// Bytes at which the main loop stops where a block, a parenthesis or a semicolon ends something.
var cssStop = func() (t [256]bool) {
	for _, c := range `/"'@(){};\` {
		t[c] = true
	}
	return t
}()

// cssNeedles are the bytes that may begin a construct anywhere.
const cssNeedles = `("/'@\`

var isNeedle = func() (t [256]bool) {
	for _, c := range cssNeedles {
		t[c] = true
	}
	return t
}()

// next returns the offset of the next byte of src[i:to] that may begin a construct, or to.
func (c *cssText) next(i, to int) int {
	src := c.src[:to]
	if st := c.st; st.set > 0 || st.fontFace {
		for i < len(src) && !cssStop[src[i]] {
			i++
		}
		return i
	}
	if i < len(src) && cssStop[src[i]] {
		return i
	}
	if len(src)-i <= 16 {
		for i < len(src) && !isNeedle[src[i]] {
			i++
		}
		return i
	}
	// Each needle is looked for once: where the next one of its kind stands is kept.
	if c.needlesTo != to {
		c.needlesTo = to
		c.needles = [len(cssNeedles)]int{}
	}
	first := to
	for k := range c.needles {
		p := c.needles[k]
		if p <= i {
			if p = bytes.IndexByte(src[i:], cssNeedles[k]); p < 0 {
				p = to
			} else {
				p += i
			}
			c.needles[k] = p
		}
		first = min(first, p)
	}
	return first
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zeroBytes sets the high bit of each zero byte of w; above the lowest one there may be others,
// and other bits must be masked off.
func zeroBytes(w uint64) uint64 { return (w - ones) &^ w }

// tokens is scan for the tree builder's reading.
func (c *cssText) tokens(i, to int) int {
	st := c.st
	c.floor, c.known = i, i
	if st.mode != cssPlain {
		if i = c.resume(i, to); st.mode != cssPlain {
			return i
		}
	}
	src := c.src
	for i < to {
		if st.imported || st.named != notNamed {
			j, ok := i, false
			if st.imported {
				j, ok = c.importURL(i, to)
			} else {
				j, ok = c.namespaceURL(i, to)
			}
			if !ok {
				return c.cut(j)
			}
			if i = j; st.mode != cssPlain || i >= to {
				break
			}
			continue
		}
		plain := i
		i = c.next(i, to)
		if c.doubtful {
			c.apartPlain(plain, min(i+1, to))
		}
		if i == to {
			break
		}
		ok := true
		j := i + 1
		switch src[i] {
		case '/':
			if j == to && !c.final {
				return c.cut(i)
			}
			if j < to && src[j] == '*' {
				j = c.comment(i, to)
			}
		case '"', '\'':
			j, ok = c.str(i, i, to, false)
		case '@':
			j, ok = c.atRule(i, to)
		case '\\', '(':
			j, ok = c.function(i, to)
		case ')':
			if st.set > 0 {
				st.set--
			}
		case '}':
			st.fontFace = false
		}
		if !ok {
			return c.cut(j)
		}
		if i = j; st.mode != cssPlain {
			break
		}
	}
	if st.mode != cssPlain {
		return i // resume stands where it has to go on
	}
	if c.final {
		return to
	}
	// A name at the end may be that of a function, once its parenthesis comes.
	first := c.nameStart(to)
	if to-first > maxCSSName {
		i, _ = c.longName(first, to, to)
		return i
	}
	return c.cut(first)
}

// cut is where the window ends inside the construct at i.
func (c *cssText) cut(i int) int {
	c.statement(i)
	return i
}

// comment passes the comment at i.
func (c *cssText) comment(i, to int) int {
	c.statement(i)
	c.st.mode = cssComment
	return c.resume(i+2, to)
}

// resume goes on inside a construct that only has to end. It leaves the mode as it is if the
// window ends first, and returns where to go on.
func (c *cssText) resume(i, to int) int {
	st, src := c.st, c.src
	switch st.mode {
	case cssComment:
		j := bytes.Index(src[i:to], []byte("*/"))
		if j < 0 {
			if to > i && src[to-1] == '*' && !c.final {
				return to - 1 // the slash may follow
			}
			return to
		}
		i += j + 2
	case cssString:
		end, ok := c.stringEnd(st.quote, i, to)
		if !ok {
			return end
		}
		if i = end; i < to && src[i] == st.quote {
			i++
		}
	case cssURL:
		end, ok := c.urlEnd(0, i, to)
		c.halfEscapes(0, i, end)
		if !ok {
			return end
		}
		i = min(end+1, to)
	case cssName:
		for {
			for i < to && isName[src[i]] {
				i++
			}
			if i == to {
				return to
			}
			if src[i] != '\\' || i+1 < to && isNewline(src[i+1]) {
				break
			}
			if !c.final && escapeGoesOn(src[:to], i) {
				return i
			}
			i = escapeEnd(src[:to], i)
		}
	}
	st.mode = cssPlain
	c.floor, c.known = i, i
	return i
}

// str reads the string at i, which is part of the construct that begins at first. What it names is
// fetched where call says so, and where the text around it can make it a URL.
func (c *cssText) str(first, i, to int, call bool) (int, bool) {
	st, src := c.st, c.src
	c.statement(i)
	fetched := st.named == notNamed && (call || st.imported || st.set > 0 || st.decl == declCustom)
	end, ok := c.stringEnd(src[i], max(i+1, c.progress), to)
	switch {
	case !ok && fetched && !c.passes(i+1, to):
		c.held(first, i+1, end)
		return first, false
	case !ok:
		if st.imported {
			c.badImport(i + 1)
		}
		st.mode, st.quote, st.imported, st.named = cssString, src[i], false, notNamed
		c.passed(end)
		return end, true
	case fetched && (end == to || src[end] == src[i]):
		c.reference(i+1, end, false)
	case st.imported:
		c.badImport(i + 1)
	}
	st.imported, st.named = false, notNamed
	if end < to && src[end] == src[i] {
		end++
	}
	c.passed(end)
	return end, true
}

// passed is behind a string or an unquoted URL.
func (c *cssText) passed(end int) {
	c.known, c.floor = end, end
	if c.st.decl == declNone {
		c.st.decl = declOther
	}
}

// held notes that the reference at first, whose URL begins at url, has no end before end.
func (c *cssText) held(first, url, end int) {
	c.st.scanned, c.st.url = end-first, url-first
	c.st.ref = c.kind()
}

// kind is what a URL at this place is fetched as.
func (c *cssText) kind() rules.Kind {
	switch {
	case c.st.imported:
		return rules.KindStyle
	case c.st.fontFace:
		return rules.KindFont
	}
	return rules.KindImage
}

// stringEnd returns the offset of the quote that ends a string, of the newline that breaks it
// off, or false and where to go on once there is more.
func (c *cssText) stringEnd(quote byte, i, to int) (int, bool) {
	src := c.src[:to]
	q := uint64(quote) * ones
	for {
		// The quote, a backslash or a control character.
		for i+8 <= len(src) {
			w := binary.LittleEndian.Uint64(src[i:])
			if m := (zeroBytes(w^q) | zeroBytes(w^'\\'*ones) | (w-0x20*ones)&^w) & highs; m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		for i < len(src) && src[i] >= 0x20 && src[i] != quote && src[i] != '\\' {
			i++
		}
		if i >= len(src) {
			return to, c.final
		}
		switch b := src[i]; {
		case b == quote || isNewline(b):
			return i, true
		case b == '\\':
			if !c.final && escapeGoesOn(src, i) {
				return i, false
			}
			if i+1 >= to {
				return to, true
			}
			if isNewline(src[i+1]) {
				if i++; src[i] == '\r' && i+1 < to && src[i+1] == '\n' {
					i++
				}
				break
			}
			i = escapeEnd(src, i) - 1
		}
		i++
	}
}

func isNewline(b byte) bool { return b == '\n' || b == '\r' || b == '\f' }
