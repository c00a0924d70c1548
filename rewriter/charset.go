package rewriter

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/net/html/charset"

	"github.com/caddy-consent/caddy-consent/rules"
)

// prescan is how many bytes of a document browsers search for the name of its encoding
// (HTML Standard, 13.2.3.2).
const prescan = 1024

// begin settles how the document's bytes are read, from the first of them. It returns false while
// more are needed: up to three for a byte order mark, up to 1,024 where the header names no encoding.
func (r *Rewriter) begin(first []byte, final bool) bool {
	if len(first) < 3 && !final {
		return false
	}
	label := ""
	switch {
	case bytes.HasPrefix(first, []byte("\xef\xbb\xbf")):
		label = "utf-8"
		r.readings[0].pos = 3
	case bytes.HasPrefix(first, []byte("\xfe\xff")):
		label = "utf-16be"
	case bytes.HasPrefix(first, []byte("\xff\xfe")):
		label = "utf-16le"
	default:
		label = headerCharset(r.o.ContentType)
	}
	if label == "" && r.o.CSS {
		if len(first) < prescan && !final && bytes.HasPrefix([]byte(charsetRule), first[:min(len(first), len(charsetRule))]) {
			return false
		}
		label = sheetCharset(first)
	} else if label == "" {
		if len(first) < prescan && !final {
			return false
		}
		label = metaCharset(first[:min(len(first), prescan)], r.o.XML)
	}
	r.begun = true
	r.charset = label
	if r.o.XML && !XMLCharset(r.o.ContentType, first) {
		r.err = ErrCharset
	}
	switch label {
	case "utf-16be", "utf-16le", "iso-2022-jp":
		r.coder = newCoder(label)
		label = "utf-8"
	case "replacement":
		// Browsers show nothing of it.
		r.readings[0].st = stPlaintext
	}
	if label != "" {
		if l := &r.last; l.page != r.o.Page || l.charset != label {
			*l = lastPage{r.o.Page, r.o.Page.WithCharset(label), label}
		}
		r.page = r.last.view
	}
	r.base = r.page
	return true
}

const charsetRule = `@charset "`

// sheetCharset returns the encoding that a style sheet names in its first bytes (CSS Syntax Level 3,
// 3.2), "" if none.
func sheetCharset(first []byte) string {
	rest, ok := bytes.CutPrefix(first, []byte(charsetRule))
	if !ok {
		return ""
	}
	label, _, ok := bytes.Cut(rest[:min(len(rest), prescan)], []byte(`";`))
	if !ok {
		return ""
	}
	_, name := charset.Lookup(string(label))
	if strings.HasPrefix(name, "utf-16") {
		return "utf-8" // the rule was read as ASCII
	}
	return name
}

// lastPage is the page of the document before, since documents of a site follow each other.
type lastPage struct {
	page, view *rules.Page
	charset    string
}

// headerCharset returns the encoding that a Content-Type names, "" if none.
func headerCharset(contentType string) string {
	i := strings.IndexByte(contentType, ';')
	if i < 0 {
		return ""
	}
	if strings.EqualFold(strings.TrimSpace(contentType[i+1:]), "charset=utf-8") {
		return "utf-8"
	}
	_, name := charset.Lookup(parameter(contentType[i:], "charset"))
	return name
}

// parameter returns the first parameter of that name, read as browsers do (MIME Sniffing, 4.4),
// who take no white space before or after the equals sign.
func parameter(s, name string) string {
	for s != "" {
		s = strings.TrimLeft(s[1:], " \t\r\n")
		i := strings.IndexAny(s, ";=")
		if i < 0 {
			return ""
		}
		n := s[:i]
		if s = s[i:]; s[0] == ';' {
			continue
		}
		s = s[1:]
		var v string
		if strings.HasPrefix(s, `"`) {
			var b strings.Builder
			for i = 1; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				b.WriteByte(s[i])
			}
			v = b.String()
			if s = s[min(i, len(s)):]; s != "" {
				s = s[max(0, strings.IndexByte(s, ';')):]
			}
		} else {
			if i = strings.IndexByte(s, ';'); i < 0 {
				i = len(s)
			}
			v, s = strings.TrimRight(s[:i], " \t\r\n"), s[i:]
		}
		if strings.EqualFold(n, name) && v != "" {
			return v
		}
		if s != "" && s[0] != ';' {
			return ""
		}
	}
	return ""
}

// ErrCharset is the error of an XML document whose encoding is none of the Encoding Standard's, so
// that it is not certain how browsers read it.
var ErrCharset = errors.New("rewriter: the document's encoding is not known")

// XMLCharset reports whether the encoding that a Content-Type or an XML declaration names is known,
// as far as the first bytes tell.
func XMLCharset(contentType string, first []byte) bool {
	if i := strings.IndexByte(contentType, ';'); i >= 0 {
		if v := parameter(contentType[i:], "charset"); v != "" {
			_, name := charset.Lookup(v)
			return name != ""
		}
	}
	label := declared(first)
	_, name := charset.Lookup(label)
	return label == "" || name != ""
}

// declared returns the encoding in the XML declaration that a document begins with.
func declared(first []byte) string {
	i := bytes.Index(first, []byte("?>"))
	if i < 0 || !bytes.HasPrefix(first, []byte("<?xml")) {
		return ""
	}
	_, v, ok := bytes.Cut(first[:i], []byte("encoding"))
	if v = bytes.TrimLeft(v, spaces+"="); !ok || len(v) < 2 {
		return ""
	}
	v, _, _ = bytes.Cut(v[1:], v[:1])
	return string(v)
}

// metaCharset returns the encoding that a meta element in the first bytes names, or an XML
// declaration; "" if none.
func metaCharset(prefix []byte, xml bool) string {
	if xml {
		if _, name := charset.Lookup(declared(prefix)); name != "" {
			return name
		}
		return "utf-8"
	}
	if !hasCharsetWord(prefix) {
		return ""
	}
	_, name, certain := charset.DetermineEncoding(prefix, "text/html")
	if !certain {
		return ""
	}
	return name
}

// hasCharsetWord reports whether the word stands in b, in any case.
func hasCharsetWord(b []byte) bool {
	for i := 0; i+7 <= len(b); {
		j := bytes.IndexByte(b[i:], '=')
		if j < 0 {
			return false
		}
		i += j + 1
		if w := bytes.TrimRight(b[:i-1], spaces); len(w) >= 7 && equalFold(w[len(w)-7:], "charset") {
			return true
		}
	}
	return false
}

// lateCharset reports whether a meta element that the document's first bytes did not have changes
// the encoding to one in which its bytes are other characters.
func (r *Rewriter) lateCharset(label []byte) bool {
	if r.charset != "" {
		return false
	}
	_, name := charset.Lookup(strings.TrimSpace(string(label)))
	return name == "iso-2022-jp" || name == "replacement"
}
