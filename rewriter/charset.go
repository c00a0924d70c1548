package rewriter

import (
	"strings"

	"golang.org/x/net/html/charset"
)

// CertainCharset returns the encoding of an HTML document where its Content-Type, a byte order mark
// or a meta element in its first bytes names it, else "".
func CertainCharset(contentType string, prefix []byte) string {
	_, name, certain := charset.DetermineEncoding(prefix, contentType)
	if !certain {
		return ""
	}
	return name
}

// Charset returns the encoding of an HTML document as a browser determines it from its
// Content-Type and its first bytes (up to 1,024 count), and whether the Rewriter can read it:
// encodings that are not supersets of ASCII cannot be read as bytes (HTML Standard, 13.2.3.2).
func Charset(contentType string, prefix []byte) (label string, ok bool) {
	_, name, _ := charset.DetermineEncoding(prefix, contentType)
	switch strings.ToLower(name) {
	case "utf-16be", "utf-16le", "iso-2022-jp", "replacement":
		return name, false
	}
	return name, true
}
