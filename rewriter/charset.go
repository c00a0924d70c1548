package rewriter

import (
	"bytes"
	"errors"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

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
		label = HeaderCharset(r.o.ContentType)
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
		label = documentCharset(first[:min(len(first), prescan)], r.o.XML)
	}
	r.begun = true
	r.charset = label
	if r.o.XML && !XMLCharset(r.o.ContentType, first) {
		r.err = ErrCharset
	}
	r.setVeil(label)
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
	if label == "" && !r.o.CSS {
		r.lateDeclaration(first[:min(len(first), prescan)])
	}
	return true
}

// hasMark reports whether a byte order mark begins a text.
func hasMark(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(b, []byte("\xfe\xff")) || bytes.HasPrefix(b, []byte("\xff\xfe"))
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
	if !ok || len(bytes.Trim(label, spaces)) != len(label) {
		return "" // Chromium knows no label with white space around it
	}
	return markupEncoding(str(label))
}

// lastPage is the page of the document before, since documents of a site follow each other.
type lastPage struct {
	page, view *rules.Page
	charset    string
}

// HeaderCharset returns the encoding that a Content-Type names, in the words of the Encoding Standard (4.2), "" if none.
func HeaderCharset(contentType string) string {
	i := strings.IndexByte(contentType, ';')
	if i < 0 {
		return ""
	}
	if v := strings.Trim(contentType[i+1:], " \t"); len(v) == len("charset=utf-8") && strings.EqualFold(v, "charset=utf-8") {
		return "utf-8"
	}
	return encodingName(parameter(contentType[i:], "charset"))
}

// parameter returns the first parameter of that name, read as browsers do (MIME Sniffing, 4.4),
// who take no white space before or after the equals sign. One in quotes is the first even if it is empty.
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
		quoted := strings.HasPrefix(s, `"`)
		if quoted {
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
		if len(n) == len(name) && strings.EqualFold(n, name) && (v != "" || quoted) {
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
			return encodingName(v) != ""
		}
	}
	label := declared(first)
	return label == "" || encodingName(label) != ""
}

// declared returns the encoding in the XML declaration that a document begins with (HTML Standard,
// 13.2.3.2, "get an XML encoding").
func declared(first []byte) string { return declaredAs(first, trimControls) }

func declaredAs(first []byte, trim func([]byte) []byte) string {
	if !bytes.HasPrefix(first, []byte(xmlDeclaration)) {
		return ""
	}
	first, _, _ = bytes.Cut(first, []byte(">"))
	_, v, _ := bytes.Cut(first, []byte("encoding"))
	v, ok := bytes.CutPrefix(trim(v), []byte("="))
	if v = trim(v); !ok || len(v) == 0 || v[0] != '"' && v[0] != '\'' {
		return ""
	}
	label, _, ok := bytes.Cut(v[1:], v[:1])
	if !ok {
		return ""
	}
	return str(label)
}

const xmlDeclaration = "<?xml"

func trimControls(b []byte) []byte {
	return bytes.TrimLeftFunc(b, func(c rune) bool { return c <= ' ' })
}

// trimLoosely does so as Chromium does, to which bytes outside ASCII are less than a space.
func trimLoosely(b []byte) []byte {
	for len(b) > 0 && (b[0] <= ' ' || beyondASCII(b[0])) {
		b = b[1:]
	}
	return b
}

// documentCharset returns the encoding that a document's first bytes name, "" if it is not certain.
func documentCharset(first []byte, xml bool) string {
	switch {
	case bytes.HasPrefix(first, []byte("<\x00?\x00x\x00")):
		return "utf-16le"
	case bytes.HasPrefix(first, []byte("\x00<\x00?\x00x")):
		return "utf-16be"
	case !xml:
		return metaEncoding(first)
	}
	if name := markupEncoding(declared(first)); name != "" {
		return name
	}
	return "utf-8"
}

// prescanOn goes on to search the first bytes, of which some have been read already, with p. An encoding
// in which ASCII is the same counts from here on.
func (r *Rewriter) prescanOn(p []byte) {
	before := len(r.first)
	r.first = append(r.first, p[:min(len(p), prescan-len(r.first))]...)
	name := metaEncoding(r.first)
	if name != "" || len(r.first) == prescan {
		defer func() { r.first = r.first[:0] }()
	}
	if name == "" || lateCharset(name) {
		return
	}
	if r.setVeil(name); r.veil != nil {
		r.veil.hide(bytes.Clone(r.first[:before:before]))
		r.veil.raw = append(r.veil.raw, r.buf...)
	}
	r.charset = name
	r.page = r.page.WithCharset(name)
}

// lateDeclaration makes the XML declaration of an HTML document none where it may change what the
// bytes mean: browsers follow it unless they find a meta element, which may stand far behind. What
// they show nothing of need not be taken back.
func (r *Rewriter) lateDeclaration(first []byte) {
	if !bytes.HasPrefix(first, []byte(xmlDeclaration)) {
		return
	}
	label := declaredAs(first, trimLoosely)
	open := label == "" && bytes.IndexByte(first, '>') < 0 && !(r.ended && len(first) < prescan)
	if !open && encodingName(label) != "iso-2022-jp" {
		return
	}
	r.record(0, rules.Resource{Kind: rules.KindFetch, Page: r.page}, ambiguous(lateRule))
	r.insert(len("<?"), renamePrefix)
}

// lateRule is the rule of what names an encoding that cannot be followed any more.
const lateRule = "ambiguous:late-charset"

// lateCharset reports whether ASCII is read as other characters in the encoding. Of what is replaced nothing is shown.
func lateCharset(label string) bool { return encodingName(label) == "iso-2022-jp" }

// lateMeta takes back a change of the encoding that comes too late to be followed.
func (r *Rewriter) lateMeta(rd *reader) {
	if r.charset != "" || !r.begun {
		return
	}
	for _, a := range rd.attrs {
		late := false
		switch a.id {
		case atCharset:
			late = lateCharset(str(r.value(rd, a)))
		case atContent:
			late = lateContent(r.value(rd, a))
		}
		if late {
			d := ambiguous(lateRule)
			r.record(rd.start, rules.Resource{Kind: rules.KindFetch, Page: r.page}, d)
			r.block(rd, a, d)
		}
	}
}

// lateContent reports whether any browser may read such an encoding in the attribute.
func lateContent(v []byte) bool {
	const word = "charset"
	for ; len(v) > len(word); v = v[1:] {
		if v[0]|0x20 != 'c' || !equalFold(v[:len(word)], word) {
			continue
		}
		apart := func(c rune) bool { return c <= ' ' || strings.ContainsRune(`="';`, c) }
		label := bytes.TrimLeftFunc(v[len(word):], apart)
		if n := bytes.IndexFunc(label, apart); n >= 0 {
			label = label[:n]
		}
		if lateCharset(str(label)) {
			return true
		}
	}
	return false
}
