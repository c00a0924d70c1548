package rewriter

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-consent/caddy-consent/rules"
)

// maxDepth bounds documents in documents (srcdoc, data: URLs); deeper ones are blocked unread.
const maxDepth = 4

type scheme uint8

const (
	schemeOther scheme = iota
	schemeData
	schemeJavaScript
)

// schemeOf looks for the two schemes whose URLs hold their contents, as the URL Standard reads
// it: leading controls and spaces, and tabs and newlines anywhere, do not count.
func schemeOf(url []byte) scheme {
	if len(url) == 0 || url[0] > ' ' && url[0]|0x20 != 'd' && url[0]|0x20 != 'j' {
		return schemeOther
	}
	var name [12]byte
	n := 0
	for _, c := range url {
		switch {
		case n == 0 && c <= ' ', c == '\t', c == '\n', c == '\r':
			continue
		case c == ':':
			switch string(name[:n]) {
			case "data":
				return schemeData
			case "javascript":
				return schemeJavaScript
			}
			return schemeOther
		}
		if n == len(name) || !isLetter(c) {
			return schemeOther
		}
		name[n] = lower[c]
		n++
	}
	return schemeOther
}

// nested reads a whole document inside this one, of a data: URL with that Content-Type or of a
// srcdoc attribute, and returns the rewriter that did, with its edits still in it. What it reports
// is on record at offset at.
func (r *Rewriter) nested(doc []byte, contentType string, at int) *Rewriter {
	if r.child == nil {
		r.child = new(Rewriter)
		r.child.o.Report = r.fromChild
	}
	n := r.child
	r.childAt, r.refused = at, rules.Decision{}
	n.Reset(nil, Options{Policy: r.o.Policy, Page: r.page, Report: n.o.Report, MaxTag: len(doc) + 1, MaxScript: len(doc) + 1, maxOpen: r.o.maxOpen,
		ContentType: contentType, XML: strings.Contains(contentType, "xml")})
	n.depth, n.network = r.depth+1, r.network
	n.ended = true
	if contentType != "" {
		n.take(doc, true)
		return n
	}
	n.in, n.begun, n.charset, n.untold = doc, true, r.charset, r.untold
	n.readings[0].tree.quirks = false // HTML Standard, 4.8.5: an iframe srcdoc document
	n.run()
	return n
}

// fromChild records what a document inside this one reports.
func (r *Rewriter) fromChild(res rules.Resource, d rules.Decision) {
	if d.Action == rules.Block && r.refused.Action != rules.Block {
		r.refused = d
		r.refused.Host = "" // it may be part of the document, and a mark does not show it
	}
	r.record(r.childAt, res, d)
}

// srcdoc edits the document in a srcdoc attribute in place: its insertions go to where the
// decoded text came from, escaped for the attribute.
func (r *Rewriter) srcdoc(rd *reader, a attr) {
	raw := r.raw(rd, a)
	if len(raw) == 0 {
		return
	}
	if r.depth >= maxDepth {
		d := ambiguous("ambiguous:nesting")
		r.record(rd.start, rules.Resource{Kind: rules.KindFrame, Page: r.page}, d)
		r.block(rd, a, d)
		return
	}
	doc, offsets := r.decodeOffsets(raw)
	n := r.nested(doc, "", rd.start)
	for _, e := range n.edits {
		n.out = appendEscaped(n.out[:0], n.arena[e.text:e.textEnd], a.quote)
		r.insert(rd.start+int(a.val.from)+int(offsets[e.at]), str(n.out))
	}
}

// appendEscaped appends s as it is safe inside an attribute with that quote, 0 for an unquoted one.
func appendEscaped(dst, s []byte, quote byte) []byte {
	for _, c := range s {
		switch {
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c == '"' || c == '\'' || quote == 0 && (c == ' ' || c == '>' || c == '='):
			dst = append(strconv.AppendUint(append(dst, "&#"...), uint64(c), 10), ';')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// judgeData decides on a data: URL that is a document, a style sheet or a script: it is blocked as
// a whole if anything in it is.
func (r *Rewriter) judgeData(at int, kind rules.Kind, url []byte) rules.Decision {
	if isPath(url) && !r.o.Policy.AllAllowed() {
		return r.recordPath(at, kind)
	}
	d := r.judgeDataAs(at, kind, url, false)
	if d.Action != rules.Block && hasBreaks(url) {
		d = r.judgeDataAs(at, kind, url, true)
	}
	return d
}

// judgePart decides on a data: URL that may be one of a part of a document, such as a filter: Firefox loads the style
// sheets of that document.
func (r *Rewriter) judgePart(at int, url []byte) rules.Decision {
	if bytes.IndexByte(url, '#') < 0 || schemeOf(url) != schemeData || !mayBeXML(url) {
		return rules.Decision{}
	}
	return r.judgeData(at, rules.KindImage, url)
}

// mayBeXML reports whether a data: URL, or the begin of one, may say that it is a document of XML.
func mayBeXML(url []byte) bool {
	head := url[:min(len(url), 256)]
	if i := bytes.IndexByte(head, ','); i >= 0 {
		head = head[:i]
	} else if len(url) > len(head) {
		return true
	}
	for i, c := range head {
		switch {
		case c == '\\' || c == '*' || c < ' ':
			return true
		case c|0x20 == 'm' && i > 0 && head[i-1]|0x20 == 'x', c|0x20 == 'n' && i > 0 && head[i-1]|0x20 == 'u': // xml, unknown
			return true
		}
	}
	return len(head) == len(url)
}

// DataBlocked reports whether a URL in a header, of which a browser makes something of that kind, is a data: URL in which
// something is blocked. Style sheets are read where they are only preloaded, too, as those of link elements are.
func (r *Rewriter) DataBlocked(kind rules.Kind, url []byte) bool {
	switch {
	case schemeOf(url) != schemeData:
		return false
	case kind == rules.KindStyle, kind == rules.KindFetch:
		return r.judgeSheet(0, url, 0).Action == rules.Block
	case kind == rules.KindPrefetch:
		return r.rulesInURL(url, false) || hasBreaks(url) && r.rulesInURL(url, true)
	case kind.Active(), kind == rules.KindNavigation:
		return r.judgeData(0, kind, url).Action == rules.Block
	}
	return false
}

// rulesInURL reports whether a data: URL is a file of speculation rules that is blocked.
func (r *Rewriter) rulesInURL(url []byte, breaks bool) bool {
	defer r.dropData(len(r.data))
	head, body, ok := r.parseData(url, breaks)
	if !ok || !strings.Contains(head, "speculationrules") {
		return false
	}
	if isPath(url) && !r.o.Policy.AllAllowed() {
		return r.recordPath(0, rules.KindPrefetch).Action == rules.Block
	}
	return r.RulesBlocked(body)
}

// isPath reports whether what a data: URL says is a path, in which the URL Standard has dots between slashes taken away and
// spaces written in percent, so that it says something else by then.
func isPath(url []byte) bool {
	rest := bytes.TrimLeft(url[bytes.IndexByte(url, ':')+1:], "\t\n\r")
	return len(rest) > 0 && rest[0] == '/'
}

// recordPath puts on record that such a URL is not read.
func (r *Rewriter) recordPath(at int, kind rules.Kind) rules.Decision {
	d := ambiguous("ambiguous:data-path")
	r.record(at, rules.Resource{Kind: kind, Page: r.page}, d)
	return d
}

// hasBreaks reports whether tabs or newlines stand in a URL.
func hasBreaks(url []byte) bool { return bytes.ContainsAny(url, "\t\n\r") }

func (r *Rewriter) judgeDataAs(at int, kind rules.Kind, url []byte, breaks bool) rules.Decision {
	defer r.dropData(len(r.data))
	head, body, ok := r.parseData(url, breaks)
	if !ok {
		return rules.Decision{}
	}
	media, _, _ := strings.Cut(head, ";")
	if r.depth >= maxDepth {
		d := ambiguous("ambiguous:nesting")
		r.record(at, rules.Resource{Kind: kind, Page: r.page}, d)
		return d
	}
	if kind == rules.KindScript {
		if mayBeOther(body) && !r.o.Policy.AllAllowed() {
			return r.recordCharset(at)
		}
		return r.findLoader(at, body)
	}
	defer r.setPage(r.page)
	r.dropBase()
	if r.otherBytes(head, body, url) {
		return r.recordCharset(at)
	}
	switch {
	case strings.Contains(media, "html"), strings.Contains(media, "xml"):
	case strings.Contains(media, "xsl"): // HTML to Chromium, XML before it gave up XSLT
		if r.nested(body, "text/xml"+head[len(media):], at); r.refused.Action == rules.Block {
			return r.refused
		}
	case sniffed(media): // by Firefox, which finds XML and HTML
		if r.nested(body, "text/xml"+head[len(media):], at); r.refused.Action == rules.Block {
			return r.refused
		}
		head = "text/html" + head[len(media):]
	default:
		return rules.Decision{}
	}
	r.nested(body, head, at)
	return r.refused
}

// sniffed reports whether the type of a data: URL is one for which what it holds decides.
func sniffed(media string) bool {
	media = strings.TrimSpace(media)
	return media == "*/*" || media == "application/x-unknown-content-type"
}

// otherBytes reports whether a browser may read something else in the body of a document in a data: URL. Letters that stand
// in the page become UTF-8 there, whatever the page is in; and Chromium finds names of encodings in quotes.
func (r *Rewriter) otherBytes(head string, body, url []byte) bool {
	if r.o.Policy.AllAllowed() {
		return false
	}
	known := strings.IndexByte(head, '"') < 0
	if known && hasBeyondASCII(url) {
		switch r.charset {
		case "utf-8", "utf-16be", "utf-16le", "iso-2022-jp":
			known = utf8.Valid(url)
		default:
			known = false
		}
	}
	return !known && (mayBeOther(body) || mayHide(body) || hasMark(body) || lettersInURL(body))
}

// lettersInURL reports whether letters outside ASCII may stand in the host of a URL.
func lettersInURL(b []byte) bool {
	url, last := false, byte(0) // a byte that is no part of a URL is not the last one
	for i, c := range b {
		switch {
		case c == '\t' || c == '\n' || c == '\r':
			continue
		case beyondASCII(c):
			if url {
				return true
			}
		case c == ' ' || c == '"' || c == '\'' || c == '<' || c == '>':
			url = false
		case c == '@' && beyondASCII(last):
			return true
		case c == ':' || c == '\\' || c == '@' || c == '/' && last == '/' || c == '&' && mayBeSlash(b[i+1:]):
			url = true // spaces and quotes may stand before an @, too
		case c == '/' && url && (isLetter(last) || '0' <= last && last <= '9'):
			url = false // the path
		}
		last = c
	}
	return false
}

// mayBeSlash reports whether a character reference, without its ampersand, may be to what begins a host, or to what is no part
// of a URL.
func mayBeSlash(ref []byte) bool {
	for _, name := range [...]string{"#", "sol;", "bsol;", "colon;", "Tab;", "NewLine;"} {
		if bytes.HasPrefix(ref, []byte(name)) {
			return true
		}
	}
	return false
}

// parseData takes a data: URL apart into its media type with parameters, in lower case, and its
// body (Fetch Standard, "data: URL processor"). Both stand in r.data, from where dropData takes them. Tabs and newlines
// are no part of a URL, but Chromium keeps those of a data: URL, where they end a name, a string or a comment.
func (r *Rewriter) parseData(url []byte, breaks bool) (head string, body []byte, ok bool) {
	for len(url) > 0 && url[len(url)-1] <= ' ' { // no part of a URL
		url = url[:len(url)-1]
	}
	from, comma := len(r.data), -1
	for i := bytes.IndexByte(url, ':') + 1; i < len(url); i++ {
		switch c := url[i]; {
		case !breaks && (c == '\t' || c == '\n' || c == '\r'):
			continue
		case c == '#':
			i = len(url)
			continue
		case comma < 0 && c == ',':
			comma = len(r.data) - from
		case comma < 0:
			r.data = append(r.data, lower[c])
			continue
		case c == '%' && i+2 < len(url):
			if x, ok := hexValue(url[i+1:i+3], 2); ok {
				r.data = append(r.data, byte(x))
				i += 2
				continue
			}
		}
		r.data = append(r.data, url[i])
	}
	if comma < 0 {
		return "", nil, false
	}
	head, body = strings.Trim(str(r.data[from:from+comma]), " "), r.data[from+comma+1:]
	if h, coded := strings.CutSuffix(head, "base64"); coded {
		if h, coded = strings.CutSuffix(strings.TrimRight(h, " "), ";"); coded {
			n := 0
			for _, c := range body {
				if class[c]&space == 0 && c != '=' {
					body[n] = c
					n++
				}
			}
			text := len(r.data)
			var err error
			if r.data, err = base64.RawStdEncoding.AppendDecode(r.data, body[:n]); err != nil {
				return "", nil, false
			}
			head, body = h, r.data[text:]
		}
	}
	return head, body, true
}

// dropData takes from r.data what was put there since it had n bytes.
func (r *Rewriter) dropData(n int) { r.data = r.data[:n] }

func unescapePercent(out, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if x, ok := hexValue(s[i+1:i+3], 2); ok {
				out = append(out, byte(x))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// judgeJavaScript looks for loaders in a javascript: URL.
func (r *Rewriter) judgeJavaScript(at int, url []byte) rules.Decision {
	defer r.dropData(len(r.data))
	n := len(r.data)
	r.data = unescapePercent(r.data, url)
	fetches := unknown
	if bytes.IndexByte(r.data[n:], '<') >= 0 {
		fetches = yes // a string that is its value is a document
	}
	return r.findReference(at, r.data[n:], fetches)
}
