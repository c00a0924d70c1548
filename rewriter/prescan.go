package rewriter

import (
	"bytes"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// prescan is how many bytes of a document are searched for the name of its encoding.
const prescan = 1024

// metaEncoding returns the encoding that a meta element in a document's first bytes names, "" if there
// is none or if readers differ. The HTML Standard (13.2.3.2) does not know the contents of text elements
// from markup; browsers search with their tokenizers, which do. What stands before the element Firefox may
// have fetched by then, as it reads it without.
func metaEncoding(first []byte) string {
	browsers := prescanner{b: first, tokens: true}
	name := browsers.meta()
	if name == "" || browsers.unsure {
		return ""
	}
	if standard := (prescanner{b: first}); standard.meta() != name {
		return ""
	}
	before := first[:browsers.at]
	if name == "replacement" || name == "iso-2022-jp" && bytes.IndexByte(before, escape) >= 0 || lettersInURL(before) {
		return ""
	}
	return name
}

// prescanner searches bytes for a meta element that names the encoding.
type prescanner struct {
	b      []byte
	i      int
	at     int  // where the tag begins that was read last
	tokens bool // as a tokenizer reads them
	unsure bool // something was met that not all browsers read alike
	value  [prescan]byte
}

// meta returns the encoding, "" if none.
func (p *prescanner) meta() string {
	for p.skipTo('<') {
		rest := p.b[p.i+1:]
		end := len(rest) > 0 && rest[0] == '/'
		if end {
			rest = rest[1:]
		}
		switch {
		case bytes.HasPrefix(rest, []byte("!--")) && !end:
			p.comment()
		case len(rest) > 0 && isLetter(rest[0]):
			p.at, p.i = p.i, len(p.b)-len(rest)
			if name := p.tag(end); name != "" {
				return name
			}
		case end || len(rest) > 0 && (rest[0] == '!' || rest[0] == '?'):
			p.skipTo('>')
		default:
			p.i++
		}
	}
	return ""
}

// skipTo moves to the next byte c, or to the end, and reports which.
func (p *prescanner) skipTo(c byte) bool {
	n := bytes.IndexByte(p.b[p.i:], c)
	if n < 0 {
		p.i = len(p.b)
		return false
	}
	p.i += n
	return true
}

// comment moves to the > that ends the comment which begins at i. Only a tokenizer ends one at --!>.
func (p *prescanner) comment() {
	begin := p.i
	for p.i += len("<!"); p.i < len(p.b); p.i++ {
		rest := p.b[p.i:]
		if bytes.HasPrefix(rest, []byte("-->")) {
			p.i += len("--")
			return
		}
		if p.tokens && p.i >= begin+len("<!--") && bytes.HasPrefix(rest, []byte("--!>")) {
			p.i += len("--!")
			return
		}
	}
}

// tag reads the tag whose name begins at i, and returns the encoding if it is a meta element's.
func (p *prescanner) tag(end bool) string {
	from := p.i
	p.skipUntil(tagEnd)
	name := p.b[from:p.i]
	isMeta := !end && equalFold(name, "meta")
	if !p.tokens && !isMeta {
		p.skipUntil(unqEnd) // a slash does not end the name
	}
	encoding := p.attributes(isMeta)
	switch {
	case p.i == len(p.b):
		return "" // cut off
	case p.tokens && !end && !isMeta:
		p.text(name)
	}
	return encoding
}

// skipUntil moves to the next byte of that class.
func (p *prescanner) skipUntil(c uint8) {
	for p.i < len(p.b) && class[p.b[p.i]]&c == 0 {
		p.i++
	}
}

// What a meta element names its encoding with.
const (
	metaHTTPEquiv = 1 << iota
	metaContent
	metaCharset
)

// attributes reads the attributes of a tag up to the > that ends it.
func (p *prescanner) attributes(isMeta bool) (encoding string) {
	had, pragma, needPragma := 0, false, false
	for {
		name, value, ok := p.attribute()
		if !ok {
			break
		}
		which := 0
		switch {
		case !isMeta:
		case equalFold(name, "http-equiv"):
			which = metaHTTPEquiv
		case equalFold(name, "content"):
			which = metaContent
		case equalFold(name, "charset"):
			which = metaCharset
		}
		if had&which != 0 {
			p.unsure = true // Chromium takes the last of them
			continue
		}
		had |= which
		if which != 0 && p.tokens && bytes.IndexByte(value, '&') >= 0 {
			value = decodeAttr(p.value[:0], value)
		}
		switch which {
		case metaHTTPEquiv:
			pragma = equalFold(value, "content-type")
		case metaCharset:
			encoding, needPragma = markupEncoding(str(value)), false
		case metaContent:
			e, unsure := contentEncoding(value)
			p.unsure = p.unsure || unsure
			if e != "" && had&metaCharset == 0 {
				encoding, needPragma = e, true
			}
		}
	}
	switch {
	case needPragma && !pragma:
		return ""
	case encoding == "x-user-defined":
		return "windows-1252"
	}
	return encoding
}

// attribute is "get an attribute". At the end of the tag it returns false, and at that of the bytes.
func (p *prescanner) attribute() (name, value []byte, ok bool) {
	b, i := p.b, p.i
	for i < len(b) && (class[b[i]]&space != 0 || b[i] == '/') {
		i++
	}
	from := i
	for i < len(b) && class[b[i]]&space == 0 && b[i] != '/' && b[i] != '>' && (b[i] != '=' || i == from) {
		i++
	}
	if name = b[from:i]; len(name) == 0 {
		p.i = i
		return nil, nil, false
	}
	i = skipSpace(b, i)
	if i == len(b) || b[i] != '=' {
		p.i = i
		return name, nil, true
	}
	i = skipSpace(b, i+1)
	if i < len(b) && (b[i] == '"' || b[i] == '\'') {
		n := bytes.IndexByte(b[i+1:], b[i])
		if n < 0 {
			p.i = len(b)
			return nil, nil, false
		}
		p.i = i + 1 + n + 1
		return name, b[i+1 : i+1+n], true
	}
	for from = i; i < len(b) && class[b[i]]&space == 0 && b[i] != '>'; {
		i++
	}
	p.i = i
	return name, b[from:i], true
}

// text moves behind the contents of a text element whose start tag has just been read.
func (p *prescanner) text(name []byte) {
	var low [len("plaintext")]byte
	if len(name) > len(low) {
		return
	}
	for i, c := range name {
		low[i] = lower[c]
	}
	switch word := string(low[:len(name)]); word {
	case "plaintext":
		p.i = len(p.b)
	case "svg", "math", "select", "frameset", "noscript", "noembed":
		p.unsure = true // what is text in them depends on the browser
	case "title", "textarea", "script", "style", "iframe", "xmp", "noframes":
		begin := p.i
		for p.skipTo('<') {
			rest := p.b[p.i+1:]
			if n := len("/") + len(name); len(rest) > n && rest[0] == '/' && equalFold(rest[1:n], word) && class[rest[n]]&tagEnd != 0 {
				break
			}
			p.i++
		}
		if word == "script" && bytes.Contains(p.b[begin:p.i], []byte("<!--")) {
			p.unsure = p.unsure || containsFold(p.b[begin:p.i], "<script") // the end tag may not be one
		}
	}
}

func containsFold(b []byte, word string) bool {
	for ; len(b) >= len(word); b = b[1:] {
		if equalFold(b[:len(word)], word) {
			return true
		}
	}
	return false
}

// contentEncoding is "extracting a character encoding from a meta element"; unsure says that browsers
// may read something else.
func contentEncoding(v []byte) (name string, unsure bool) {
	const word = "charset"
	for i := 0; i+len(word) <= len(v); i++ {
		if !equalFold(v[i:i+len(word)], word) {
			continue
		}
		// Chromium takes controls for spaces and ends a name at quotes; Firefox misses a word that begins
		// within its own first letters.
		unsure = unsure || i > 0 && isLetter(v[i-1]) || bytes.ContainsFunc(v, isControl)
		at := skipSpace(v, i+len(word))
		if at == len(v) || v[at] != '=' {
			continue
		}
		rest := v[skipSpace(v, at+1):]
		if len(rest) > 0 && (rest[0] == '"' || rest[0] == '\'') {
			label, _, ok := bytes.Cut(rest[1:], rest[:1])
			if !ok {
				return "", unsure
			}
			return markupEncoding(str(label)), unsure
		}
		if n := bytes.IndexAny(rest, spaces+";"); n >= 0 {
			rest = rest[:n]
		}
		return markupEncoding(str(rest)), unsure || bytes.ContainsAny(rest, `"'`)
	}
	return "", unsure
}

// isControl reports whether Chromium takes for white space what is none.
func isControl(c rune) bool { return c < ' ' && class[byte(c)]&space == 0 }

// markupEncoding returns the encoding with that label as a document's own bytes may name it, which have
// been read as ASCII then; "" if there is none.
func markupEncoding(label string) string {
	name := encodingName(label)
	if name == "utf-16be" || name == "utf-16le" {
		return "utf-8"
	}
	return name
}

// encodingName returns the name of the encoding with that label (Encoding Standard, 4.2), "" if there
// is none.
func encodingName(label string) string {
	label = strings.Trim(label, spaces)
	var low [32]byte // longer than any
	if len(label) > len(low) {
		return ""
	}
	for i := range len(label) {
		if label[i] <= ' ' || label[i] > '~' {
			return ""
		}
		low[i] = lower[label[i]]
	}
	e, err := htmlindex.Get(str(low[:len(label)]))
	if err != nil {
		return ""
	}
	name, _ := htmlindex.Name(e)
	return name
}
