package rewriter

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/internal/memo"
)

// decodeAttr appends an attribute value as the tokenizer hands it on (HTML Standard, 13.2.5.36 to
// 13.2.5.38 and 13.2.5.72 to 13.2.5.80): character references are decoded, but a named one without
// a semicolon stays as it is before = or an alphanumeric; NUL becomes a replacement character.
func decodeAttr(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, '&')
		if i < 0 {
			return appendText(dst, v)
		}
		dst = appendText(dst, v[:i])
		v = v[i:]
		n := 0
		if dst, n = decodeReference(dst, v); n == 0 {
			dst = append(dst, '&')
			n = 1
		}
		v = v[n:]
	}
}

// appendText appends text without references.
func appendText(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, 0)
		if i < 0 {
			return append(dst, v...)
		}
		dst = utf8.AppendRune(append(dst, v[:i]...), utf8.RuneError)
		v = v[i+1:]
	}
}

// decodeAttrOffsets is decodeAttr that also appends, for each decoded byte and for the end, the
// offset in v of what it was made from.
func decodeAttrOffsets(dst []byte, offsets []int32, v []byte) ([]byte, []int32) {
	for i := 0; i < len(v); {
		n, from := 0, len(dst)
		switch v[i] {
		case '&':
			dst, n = decodeReference(dst, v[i:])
		case 0:
			dst, n = utf8.AppendRune(dst, utf8.RuneError), 1
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

// decodeOffsets returns an attribute's value as the document's kind has it, and the offsets in v of its bytes, until the next
// call.
func (r *Rewriter) decodeOffsets(v []byte) ([]byte, []int32) {
	r.scratch, r.offsets = decodeAttrOffsets(r.scratch[:0], r.offsets[:0], v)
	if r.o.XML {
		r.scratch, r.offsets = normalizeBreaks(r.scratch, r.offsets, v)
	}
	return r.scratch, r.offsets
}

// normalizeBreaks makes tabs and line ends that stand in v one space each, as XML has it in attributes, where they end no
// string and no comment (XML 1.0, 2.11 and 3.3.3). Those that are made of references stay.
func normalizeBreaks(b []byte, offsets []int32, v []byte) ([]byte, []int32) {
	n := 0
	for i, c := range b {
		from := offsets[i]
		if (c == '\t' || c == '\n' || c == '\r') && v[from] == c {
			if c == '\n' && from > 0 && v[from-1] == '\r' {
				continue
			}
			c = ' '
		}
		b[n], offsets[n] = c, from
		n++
	}
	offsets[n] = offsets[len(b)]
	return b[:n], offsets[:n+1]
}

// references has the character references that the library was asked for.
var references memo.Strings

// maxEntity is longer than any name of a character reference.
const maxEntity = 34

// decodeReference decodes the character reference at the & that v begins with and returns how
// many bytes of v it took, 0 if there is none. Since what follows a reference without a semicolon
// decides in attributes, only the whole run of alphanumerics can be a name.
func decodeReference(dst, v []byte) ([]byte, int) {
	if len(v) < 2 {
		return dst, 0
	}
	if v[1] == '#' {
		return decodeNumeric(dst, v)
	}
	n := 1
	for n < len(v) && n < maxEntity && (isLetter(v[n]) || '0' <= v[n] && v[n] <= '9') {
		n++
	}
	if n < len(v) && v[n] == ';' {
		// The usual ones, then the library that has the table.
		switch string(v[1:n]) {
		case "apos":
			return append(dst, '\''), n + 1
		case "semi":
			return append(dst, ';'), n + 1
		}
		if x := legacyNames[string(v[1:n])]; x != 0 {
			return utf8.AppendRune(dst, x), n + 1
		}
		if s := references.Of("", str(v[:n+1]), html.UnescapeString); n > 1 && !strings.HasSuffix(s, ";") {
			return append(dst, s...), n + 1
		}
		return dst, 0
	}
	if n < 3 || n > 7 || n < len(v) && v[n] == '=' { // names that need no semicolon have 2 to 6 letters
		return dst, 0
	}
	if x := legacyNames[string(v[1:n])]; x != 0 {
		return utf8.AppendRune(dst, x), n
	}
	return dst, 0
}

// legacyNames are the names of references that need no semicolon (HTML Standard, 13.5): those of ASCII, and
// of U+00A0 to U+00FF in their order.
var legacyNames = func() map[string]rune {
	m := map[string]rune{"amp": '&', "AMP": '&', "lt": '<', "LT": '<', "gt": '>', "GT": '>', "quot": '"', "QUOT": '"', "COPY": '©', "REG": '®'}
	for i, name := range strings.Fields(`
		nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr
		deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest
		Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml
		ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig
		agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml
		eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml`) {
		m[name] = 0xa0 + rune(i)
	}
	return m
}()

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
		return append(dst, references.Of("", str(v[:i]), html.UnescapeString)...), i
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
	for i := range len(s) {
		if escapes[s[i]] {
			return html.EscapeString(s)
		}
	}
	return s
}

var escapes = [256]bool{'"': true, '&': true, '<': true, '>': true, 0: true}
