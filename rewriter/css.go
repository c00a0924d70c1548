package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// cssState is where a style sheet is being read, kept across writes.
type cssState struct {
	comment  bool // inside a comment
	skip     byte // inside a reference too long to hold: its closing quote or ')'
	imported bool // after @import: a string is a URL
	ignored  bool // after @namespace: no URL is fetched
	fontFace bool // inside @font-face
	set      int  // depth of parentheses inside image-set(): strings are URLs
}

// cssText reads CSS and puts blocked references out of use by an insertion of "data:," in front
// of their URL. It is a tokenizer of the few constructs that matter: comments, strings, escapes,
// functions and at-rules (CSS Syntax Level 3, 4.3).
type cssText struct {
	r       *Rewriter
	at      int // offset in the window of src[0]
	owner   int // for a style attribute, the offset of its element; else -1
	src     []byte
	offsets []int32 // for decoded text: offsets of src's bytes from at
	st      *cssState
	final   bool // no more text follows src[:to]

	blocked bool
	first   rules.Decision
}

// inert goes in front of a blocked URL: what follows becomes the text of an empty document.
const inert = "data:,"

// scanCSS reads the style element's text in[from:to] and returns how far it came.
func (r *Rewriter) scanCSS(rd *reader, from, to int, final bool) int {
	c := cssText{r: r, owner: -1, src: r.in, st: &rd.cssText, final: final}
	n := c.scan(from, to)
	if n < to && to-n > r.maxTag() {
		return c.giveUp(n, to)
	}
	return n
}

// Stops of the main loop.
var cssStop = func() (t [256]bool) {
	for _, c := range `/"'@(){}\;` {
		t[c] = true
	}
	return t
}()

// scan reads src[i:to] and returns the offset of the first construct that is cut off by the end,
// or to.
func (c *cssText) scan(i, to int) int {
	src := c.src
	if c.st.comment || c.st.skip != 0 {
		if i = c.resume(i, to); i >= to {
			return to
		}
	}
	start := i
	for i < to {
		if !cssStop[src[i]] {
			i++
			continue
		}
		switch src[i] {
		case '/':
			if i+1 == to && !c.final {
				return i
			}
			if i+1 < to && src[i+1] == '*' {
				c.st.comment = true
				if i = c.resume(i+2, to); i >= to {
					return to
				}
				continue
			}
			i++
		case '"', '\'':
			end := c.stringEnd(i, to)
			if end < 0 {
				if !c.final {
					return i
				}
				end = to
			}
			if c.st.imported || c.st.set > 0 {
				c.reference(i+1, end)
			}
			if i = end; i < to {
				i++
			}
		case '@':
			end, ok := c.name(i+1, to)
			if !ok {
				return i
			}
			c.atRule(src[i+1 : end])
			i = end
		case '\\':
			// An escape may be part of a function's name: \75rl(
			first := nameStart(src, start, i)
			end, ok := c.name(first, to)
			if !ok {
				return first
			}
			if end < to && src[end] == '(' && bytes.IndexByte(src[first:end], '\\') >= 0 {
				next, ok := c.function(first, unescapeCSS(src[first:end]), end, to)
				if !ok {
					return first
				}
				i = next
				continue
			}
			i = max(end, i+1)
		case '(':
			first := nameStart(src, start, i)
			next, ok := c.function(first, src[first:i], i, to)
			if !ok {
				return first
			}
			i = next
		case ')':
			if c.st.set > 0 {
				c.st.set--
			}
			i++
		case '{', ';':
			c.st.imported, c.st.ignored = false, false
			i++
		case '}':
			c.st.fontFace = false
			i++
		}
	}
	if c.final {
		return to
	}
	// A name at the end may be that of a function, once its parenthesis comes.
	first := nameStart(src, start, to)
	if to-first > 64 {
		return to
	}
	return first
}

// resume goes on inside a comment or a long reference.
func (c *cssText) resume(i, to int) int {
	if c.st.comment {
		j := bytes.Index(c.src[i:to], []byte("*/"))
		if j < 0 {
			if to > i && c.src[to-1] == '*' && !c.final {
				return to // the slash may follow: the comment is found to go on, which hides nothing
			}
			return to
		}
		c.st.comment = false
		return i + j + 2
	}
	j := bytes.IndexByte(c.src[i:to], c.st.skip)
	if j < 0 {
		return to
	}
	c.st.skip = 0
	return i + j + 1
}

// giveUp passes a construct that is too long to hold: unless it is a data: URL it is put out of use.
func (c *cssText) giveUp(i, to int) int {
	src := c.src
	end := i
	for end < to && src[end] != '(' && src[end] != '"' && src[end] != '\'' {
		end++
	}
	quote := byte(')')
	if end < to {
		if src[end] == '(' {
			end = skip(src, end+1, spaces)
		}
		if end < to && (src[end] == '"' || src[end] == '\'') {
			quote = src[end]
			end++
		}
	}
	if end < to && schemeOf(src[end:to]) != schemeData {
		c.refuse(end, ambiguous("ambiguous:style-length"))
	}
	c.st.skip = quote
	return to
}

// stringEnd returns the offset of the quote that ends the string at i, of the newline that breaks
// it off, or -1.
func (c *cssText) stringEnd(i, to int) int {
	q := c.src[i]
	for i++; i < to; i++ {
		switch c.src[i] {
		case q, '\n', '\r', '\f':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// name returns the end of the name at i; false if it may go on after the window.
func (c *cssText) name(i, to int) (int, bool) {
	for i < to {
		switch b := c.src[i]; {
		case isName[b]:
			i++
		case b == '\\':
			if i+1 >= to {
				return to, c.final
			}
			if c.src[i+1] == '\n' || c.src[i+1] == '\f' || c.src[i+1] == '\r' {
				return i, true
			}
			i += 2
			for n := 1; n < 6 && i < to; n++ {
				if _, hex := digit(c.src[i]); !hex {
					break
				}
				i++
			}
			if i < to && class[c.src[i]]&space != 0 {
				i++
			}
		default:
			return i, true
		}
	}
	return i, c.final || i > 0 && to-i > 64
}

var isName = func() (t [256]bool) {
	for b := range t {
		t[b] = b >= 0x80 || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_'
	}
	return t
}()

// nameStart returns where the name that ends at end begins, not before from.
func nameStart(src []byte, from, end int) int {
	i := end
	for i > from && isName[src[i-1]] {
		i--
	}
	return i
}

// atRule notes what the strings and URLs after an at-keyword are.
func (c *cssText) atRule(name []byte) {
	if bytes.IndexByte(name, '\\') >= 0 {
		name = unescapeCSS(name)
	}
	switch {
	case equalFold(name, "import"):
		c.st.imported = true
	case equalFold(name, "namespace"):
		c.st.ignored = true
	case equalFold(name, "font-face"):
		c.st.fontFace = true
	}
}

// function reads what follows name and the parenthesis at open. It returns where to go on, and
// false if the window ends inside a url().
func (c *cssText) function(first int, name []byte, open, to int) (int, bool) {
	src := c.src
	switch {
	case equalFold(name, "url") || equalFold(name, "src"):
	case equalFold(name, "image-set") || equalFold(name, "-webkit-image-set") || equalFold(name, "image"):
		c.st.set++
		return open + 1, true
	default:
		if c.st.set > 0 {
			c.st.set++
		}
		return open + 1, true
	}
	i := open + 1
	for i < to && class[src[i]]&space != 0 {
		i++
	}
	if i == to {
		return to, c.final
	}
	if src[i] == '"' || src[i] == '\'' {
		end := c.stringEnd(i, to)
		if end < 0 {
			if !c.final {
				return first, false
			}
			end = to
		}
		c.reference(i+1, end)
		if end < to && src[end] == src[i] {
			end++
		}
		if c.st.set > 0 {
			c.st.set++ // for the parenthesis that closes url()
		}
		return end, true
	}
	end := i
	for end < to && src[end] != ')' {
		if src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= to {
		if !c.final {
			return first, false
		}
		end = to
	}
	c.reference(i, end)
	return min(end+1, to), true
}

// reference decides on the URL src[i:end].
func (c *cssText) reference(i, end int) {
	if c.st.ignored || i >= end {
		return
	}
	url := c.src[i:end]
	if bytes.IndexByte(url, '\\') >= 0 {
		url = unescapeCSS(url)
	}
	kind := rules.KindImage
	switch {
	case c.st.imported:
		kind = rules.KindStyle
	case c.st.fontFace:
		kind = rules.KindFont
	}
	at := c.owner
	if at < 0 {
		at = c.offset(i)
	}
	if d := c.r.decide(at, kind, url); d.Action == rules.Block {
		c.refuse(i, d)
	}
}

func (c *cssText) refuse(i int, d rules.Decision) {
	c.r.insert(c.offset(i), inert)
	if !c.blocked {
		c.blocked, c.first = true, d
	}
}

func (c *cssText) offset(i int) int {
	if c.offsets != nil {
		i = int(c.offsets[i])
	}
	return c.at + i
}

// unescapeCSS decodes the escapes of a name, string or URL (CSS Syntax Level 3, 4.3.7).
func unescapeCSS(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] != '\\' || i+1 == len(v) {
			out = append(out, v[i])
			continue
		}
		i++
		n, x := 0, rune(0)
		for n < 6 && i+n < len(v) {
			d, ok := digit(v[i+n])
			if !ok {
				break
			}
			x = x<<4 | d
			n++
		}
		switch {
		case n > 0:
			if x == 0 || x > 0x10ffff || 0xd800 <= x && x <= 0xdfff {
				x = 0xfffd
			}
			out = appendRune(out, x)
			i += n
			if i < len(v) && class[v[i]]&space != 0 {
				if v[i] == '\r' && i+1 < len(v) && v[i+1] == '\n' {
					i++
				}
				i++
			}
			i--
		case v[i] == '\n' || v[i] == '\f':
		case v[i] == '\r':
			if i+1 < len(v) && v[i+1] == '\n' {
				i++
			}
		default:
			out = append(out, v[i])
		}
	}
	return out
}
