package rewriter

import "bytes"

// maxCSSName is the longest spelling, with escapes, of a name that matters: each of the 17
// characters of -webkit-image-set as \000000 and a space.
const maxCSSName = 17 * maxEscape

// maxEscape is the longest escape: six digits, and a CR and LF that end it.
const maxEscape = 9

// isName are the bytes of a name; the preprocessing turns NUL into a character that is one
// (CSS Syntax Level 3, 3.3 and 4.2).
var isName = func() (t [256]bool) {
	for b := range t {
		t[b] = b >= 0x80 || b == 0 || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_'
	}
	return t
}()

// name returns the end of the name at i; false if it may go on after the window.
func (c *cssText) name(i, to int) (int, bool) {
	for i < to {
		switch b := c.src[i]; {
		case isName[b]:
			i++
		case b == '\\':
			if i+1 >= to {
				if c.final {
					return to, true
				}
				return i, false
			}
			if isNewline(c.src[i+1]) {
				return i, true
			}
			i = escapeEnd(c.src[:to], i)
		default:
			return i, true
		}
	}
	return to, c.final
}

// escapeEnd returns the end of the escape at i, which is not followed by a newline.
func escapeEnd(src []byte, i int) int {
	i++
	n := 0
	for n < 6 && i+n < len(src) {
		if _, hex := digit(src[i+n]); !hex {
			break
		}
		n++
	}
	if n == 0 {
		return min(i+1, len(src))
	}
	if i += n; i < len(src) && class[src[i]]&space != 0 {
		if src[i] == '\r' && i+1 < len(src) && src[i+1] == '\n' {
			i++
		}
		i++
	}
	return i
}

// escapeGoesOn reports whether the escape at i, or the escaped newline in a string, may go on behind src. It is
// known as soon as it has ended: what follows may be a URL.
func escapeGoesOn(src []byte, i int) bool {
	end := i + 1
	if end < len(src) && isNewline(src[end]) {
		return src[end] == '\r' && end+1 == len(src)
	}
	end = escapeEnd(src, i)
	return end == len(src) && (end == i+1 || src[end-1] == '\r' || class[src[end-1]]&space == 0 && hexEscape(src[i+1:]))
}

// hexEscape reports whether an escape is of hexadecimal digits.
func hexEscape(v []byte) bool {
	_, hex := digit(v[0])
	return hex
}

// nameStart returns where the name that ends at end begins, with what in front of it decides
// whether it is one: # makes it a hash, and the dashes of <!-- are none of its.
func (c *cssText) nameStart(end int) int {
	i := end
	for i > c.floor && isName[c.src[i-1]] {
		i--
	}
	if i == c.floor {
		return i
	}
	switch c.src[i-1] {
	case '#':
		return i - 1
	case '!':
		if i-1 > c.floor && c.src[i-2] == '<' {
			return i - 2
		}
	case '<':
		if i == end {
			return i - 1
		}
	}
	return i
}

// function reads the function whose name, or the escape in it, or the parenthesis stands at i. It
// returns where to go on, or where the construct begins that the window cuts off.
func (c *cssText) function(i, to int) (int, bool) {
	src := c.src
	first := c.nameStart(i)
	from, end := first, i
	if from < i {
		switch src[from] {
		case '#':
			from++
		case '<':
			if from = min(from+len("<!"), i); bytes.HasPrefix(src[from:i], []byte("--")) {
				from += len("--")
			}
		}
	}
	if src[i] == '\\' {
		var ok bool
		if end, ok = c.name(i, to); !ok {
			if to-first > maxCSSName {
				return c.longName(first, i, to)
			}
			return first, false
		}
		c.floor = end
		if end == i { // a backslash and a newline
			c.floor = i + 1
			return i + 1, true
		}
		if end == to || src[end] != '(' {
			return end, true
		}
	}
	c.floor = end + 1
	name := src[from:end]
	var buf [64]byte
	if src[i] == '\\' {
		if len(name) > maxCSSName {
			name = nil
		} else {
			name = unescapeCSS(buf[:0], name, false)
		}
	}
	if from > first && src[first] == '#' {
		name = nil
	}
	switch set := cssFunction(name); {
	case set == fnURL:
		return c.urlFunction(first, end, to, true)
	case set == fnSrc:
		return c.urlFunction(first, end, to, false)
	case set == fnSet, c.st.set > 0:
		c.st.set++
	}
	return end + 1, true
}

// longName passes the name at first, which is too long to matter.
func (c *cssText) longName(first, i, to int) (int, bool) {
	if c.statement(first); c.st.decl == declNone {
		c.st.decl, c.st.depth, c.st.colon = c.st.declOf(c.src[first:to]), 0, false
	}
	c.st.mode = cssName
	return c.resume(i, to), true
}

type cssFn uint8

const (
	fnOther cssFn = iota
	fnURL         // url(): unquoted or a string
	fnSrc         // src(): a string
	fnSet         // strings anywhere inside are URLs, or can become some
)

func cssFunction(name []byte) cssFn {
	switch len(name) {
	case 0, 1:
		return fnOther
	case 2:
		if equalFold(name, "if") {
			return fnSet
		}
	case 3:
		if equalFold(name, "url") {
			return fnURL
		}
		if equalFold(name, "src") {
			return fnSrc
		}
	case 5:
		if equalFold(name, "image") {
			return fnSet
		}
	case 9:
		if equalFold(name, "image-set") {
			return fnSet
		}
	case 17:
		if equalFold(name, "-webkit-image-set") {
			return fnSet
		}
	}
	if name[0] == '-' && name[1] == '-' {
		return fnSet // a function of the author's, which may hand its arguments on
	}
	return fnOther
}

// atRule notes what the strings and URLs after the at-keyword at i are.
func (c *cssText) atRule(i, to int) (int, bool) {
	src := c.src
	end, ok := c.name(i+1, to)
	if !ok {
		if to-i > maxCSSName {
			return c.longName(i, end, to)
		}
		return i, false
	}
	c.floor = end
	if end == i+1 {
		return end, true
	}
	name := src[i+1 : end]
	var buf [64]byte
	if bytes.IndexByte(name, '\\') >= 0 {
		if len(name) > maxCSSName {
			return end, true
		}
		name = unescapeCSS(buf[:0], name, false)
	}
	switch {
	case c.inAttr():
	case equalFold(name, "import"):
		c.st.imported = true
	case equalFold(name, "namespace"):
		c.st.named = namedPrefix
	case equalFold(name, "font-face"):
		c.st.fontFace = true
	case equalFold(name, "property"), equalFold(name, "function"), equalFold(name, "mixin"), equalFold(name, "apply"):
		c.st.typed = true
	}
	return end, true
}

// toToken passes white space, and a comment behind it. more says that a token which is no comment begins at i.
func (c *cssText) toToken(from, to int) (i int, ok, more bool) {
	src := c.src
	for i = from; i < to && class[src[i]]&space != 0; {
		i++
	}
	switch {
	case i == to:
		return to, true, false
	case src[i] != '/':
		return i, true, true
	case i+1 == to && !c.final:
		return i, false, false
	case i+1 < to && src[i+1] == '*':
		return c.comment(i, to), true, false
	}
	return i, true, true
}

// importURL reads up to the token after @import, which is its URL if it is one at all.
func (c *cssText) importURL(i, to int) (int, bool) {
	src, st := c.src, c.st
	i, ok, more := c.toToken(i, to)
	if !more {
		return i, ok
	}
	switch b := src[i]; {
	case b == '"' || b == '\'':
		return c.str(i, i, to, true)
	case isName[b] || b == '\\':
		c.floor = i
		end, ok := c.name(i, to)
		if !ok && to-i <= maxCSSName {
			return i, false
		}
		if b|0x20 == 'u' && (end == to || src[end] != '(' || !equalFold(src[i:end], "url")) {
			c.badImport(i) // Firefox's scanner finds url( in more than that
		}
		if ok && end < to && src[end] == '(' {
			at := end
			if j := bytes.IndexByte(src[i:end], '\\'); j >= 0 {
				at = i + j
			}
			j, ok := c.function(at, to)
			st.imported = st.imported && !ok
			return j, ok
		}
	}
	st.imported = false
	return i, true
}

// namespaceURL reads up to the token after @namespace, or after the prefix behind that, which is a URL that nobody fetches
// if it is one at all. In a value, what stands behind that is no part of a namespace rule.
func (c *cssText) namespaceURL(i, to int) (int, bool) {
	src, st := c.src, c.st
	i, ok, more := c.toToken(i, to)
	if !more {
		return i, ok
	}
	was := st.named
	switch b := src[i]; {
	case b == '"' || b == '\'':
		return c.str(i, i, to, false)
	case isName[b]:
		c.floor = i
		end, ok := c.name(i, to)
		if !ok && to-i <= maxCSSName {
			return i, false
		}
		if escaped := bytes.IndexByte(src[i:end], '\\') >= 0; ok && end < to && src[end] == '(' && !escaped {
			j, ok := c.function(end, to)
			if ok {
				st.named = notNamed
			}
			return j, ok
		} else if ok && was == namedPrefix && !escaped {
			st.named, c.floor = namedURL, end
			return end, true
		}
	}
	st.named = notNamed
	return i, true
}

// unescapeCSS appends v with its escapes decoded (CSS Syntax Level 3, 4.3.7). In an unquoted URL a
// backslash at the end stands for a replacement character, in a string for nothing.
func unescapeCSS(dst, v []byte, bare bool) []byte {
	for i := 0; i < len(v); {
		switch {
		case v[i] == 0:
			dst = appendRune(dst, 0xfffd)
			i++
		case v[i] != '\\':
			dst = append(dst, v[i])
			i++
		case i+1 == len(v):
			if bare {
				dst = appendRune(dst, 0xfffd)
			}
			i++
		case isNewline(v[i+1]):
			if i += 2; v[i-1] == '\r' && i < len(v) && v[i] == '\n' {
				i++
			}
		default:
			end := escapeEnd(v, i)
			x, n := rune(0), 0
			for _, b := range v[i+1 : end] {
				d, ok := digit(b)
				if !ok {
					break
				}
				x = x<<4 | d
				n++
			}
			switch {
			case n == 0 && v[i+1] != 0:
				dst = append(dst, v[i+1])
			case n == 0 || x == 0 || x > 0x10ffff || 0xd800 <= x && x <= 0xdfff:
				dst = appendRune(dst, 0xfffd)
			default:
				dst = appendRune(dst, x)
			}
			i = end
		}
	}
	return dst
}
