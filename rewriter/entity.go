package rewriter

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// decodeAttr appends an attribute value with its character references decoded as the tokenizer
// does in attributes (HTML Standard, 13.2.5.72 to 13.2.5.80): a named reference without a
// semicolon stays as it is before = or an alphanumeric.
func decodeAttr(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, '&')
		if i < 0 {
			return append(dst, v...)
		}
		dst = append(dst, v[:i]...)
		v = v[i:]
		n := 0
		if dst, n = decodeReference(dst, v); n == 0 {
			dst = append(dst, '&')
			n = 1
		}
		v = v[n:]
	}
}

// decodeAttrOffsets is decodeAttr that also appends, for each decoded byte and for the end, the
// offset in v of what it was made from.
func decodeAttrOffsets(dst []byte, offsets []int32, v []byte) ([]byte, []int32) {
	for i := 0; i < len(v); {
		n, from := 0, len(dst)
		if v[i] == '&' {
			dst, n = decodeReference(dst, v[i:])
		}
		if n == 0 {
			dst = append(dst, v[i])
			n = 1
		}
		for range len(dst) - from {
			offsets = append(offsets, int32(i))
		}
		i += n
	}
	return dst, append(offsets, int32(len(v)))
}

// decodeReference decodes the character reference at the & that v begins with and returns how
// many bytes of v it took, 0 if there is none.
func decodeReference(dst, v []byte) ([]byte, int) {
	if len(v) < 2 {
		return dst, 0
	}
	if v[1] == '#' {
		return decodeNumeric(dst, v)
	}
	n := 1
	for n < len(v) && n < 34 && (isLetter(v[n]) || '0' <= v[n] && v[n] <= '9') {
		n++
	}
	if n == 1 {
		return dst, 0
	}
	if n < len(v) && v[n] == ';' {
		if n == 4 && v[1] == 'a' && v[2] == 'm' && v[3] == 'p' {
			return append(dst, '&'), 5
		}
		if s := html.UnescapeString(string(v[:n+1])); s == ";" && string(v[:n+1]) == "&semi;" || !strings.HasSuffix(s, ";") {
			return append(dst, s...), n + 1
		}
		return dst, 0 // a shorter name before an alphanumeric does not count in attributes
	}
	if n < len(v) && v[n] == '=' {
		return dst, 0
	}
	if s := html.UnescapeString(string(v[:n])); s[0] != '&' || s == "&" {
		if utf8.RuneCountInString(s) == 1 {
			return append(dst, s...), n
		}
	}
	return dst, 0
}

// decodeNumeric decodes &#…; (HTML Standard, 13.2.5.75 to 13.2.5.80).
func decodeNumeric(dst, v []byte) ([]byte, int) {
	i, base := 2, rune(10)
	if i < len(v) && v[i]|0x20 == 'x' {
		i, base = 3, 16
	}
	from, x := i, rune(0)
	for ; i < len(v); i++ {
		d, ok := digit(v[i])
		if !ok || d >= base {
			break
		}
		if x = x*base + d; x > 0x10ffff {
			x = 0x110000
		}
	}
	if i == from {
		return dst, 0
	}
	if i < len(v) && v[i] == ';' {
		i++
	}
	if 0x80 <= x && x <= 0x9f { // windows-1252, by way of the library that has the table
		return append(dst, html.UnescapeString(string(v[:i]))...), i
	}
	if x == 0 || x > 0x10ffff || 0xd800 <= x && x <= 0xdfff {
		x = utf8.RuneError
	}
	return utf8.AppendRune(dst, x), i
}

func digit(c byte) (rune, bool) {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10, true
	}
	return 0, false
}

// hexValue reads up to n hexadecimal digits, all of which must be there.
func hexValue(v []byte, n int) (rune, bool) {
	if len(v) < n {
		return 0, false
	}
	var x rune
	for _, c := range v[:n] {
		d, ok := digit(c)
		if !ok {
			return 0, false
		}
		x = x<<4 | d
	}
	return x, true
}

func appendRune(dst []byte, x rune) []byte { return utf8.AppendRune(dst, x) }

// escapeAttr makes s safe inside a double-quoted attribute.
func escapeAttr(s string) string {
	if !strings.ContainsAny(s, `"&<>`+"\x00") {
		return s
	}
	return html.EscapeString(s)
}
