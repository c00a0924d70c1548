package oracle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/rules"
)

// A Reference is what an element makes a browser fetch.
type Reference struct {
	Element string // its name, behind those of the frames that hold its document
	rules.Resource
	again bool // parsing with scripting has found it too
}

// Fetchable parses the document as browsers with and without scripting do, and returns the
// references to blocked resources from which either would fetch. Contents of templates count: one
// browser speculates in them. Where the parser gives up, nothing is said (see [Unparsed]).
//
// The parser is known to miss frames behind a style in a frameset, and the rest of a page behind a
// template in foreign content.
func Fetchable(doc []byte, p *rules.Policy, page *rules.Page) (left []string) {
	eachReference(string(doc), page, 0, func(r Reference) {
		if p.Decide(r.Resource).Action == rules.Block {
			left = append(left, r.Element+" "+r.Kind.String()+" "+r.URL)
		}
	})
	return left
}

// References returns every reference of the document that a browser with or without scripting
// fetches, once for each time it stands there, to the page's own hosts too.
func References(doc []byte, page *rules.Page) (all []Reference) {
	eachReference(string(doc), page, 0, func(r Reference) {
		if !r.again {
			all = append(all, r)
		}
	})
	return all
}

// Unparsed reports whether the document is nested deeper than the parser goes.
func Unparsed(doc []byte) bool {
	_, err := html.Parse(bytes.NewReader(doc))
	return err != nil
}

func eachReference(doc string, page *rules.Page, depth int, visit func(Reference)) {
	for _, scripting := range []bool{true, false} {
		root, err := html.ParseWithOptions(strings.NewReader(doc), html.ParseOptionEnableScripting(scripting))
		if err != nil {
			continue
		}
		f := &finder{page: page, scripting: scripting, depth: depth, visit: visit}
		f.base(root)
		f.walk(root)
	}
}

type finder struct {
	page      *rules.Page
	scripting bool
	based     bool
	depth     int // of documents within documents
	visit     func(Reference)
}

// again reports whether parsing with scripting finds the node too.
func (f *finder) again(n *html.Node) bool {
	for ; n != nil && !f.scripting; n = n.Parent {
		if n.Type == html.ElementNode && n.Data == "noscript" {
			return false
		}
	}
	return !f.scripting
}

// base finds the first base element, which gives all relative URLs their host.
func (f *finder) base(n *html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == "base" && d.Namespace == "" && !f.based {
			if i := slices.IndexFunc(d.Attr, func(a html.Attribute) bool { return a.Key == "href" }); i >= 0 {
				f.page, f.based = f.page.WithBase(d.Attr[i].Val), true
			}
		}
	}
}

func (f *finder) walk(n *html.Node) {
	if n.Type == html.ElementNode {
		f.element(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		f.walk(c)
	}
}

func value(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name && (a.Namespace == "" || a.Namespace == "xlink") && a.Val != "" {
			return a.Val, true
		}
	}
	return "", false
}

// document looks into a document within the document: srcdoc, or a data: URL.
func (f *finder) document(n *html.Node, text string) {
	if f.depth > 8 {
		return
	}
	eachReference(text, f.page, f.depth+1, func(r Reference) {
		r.Element = n.Data + ": " + r.Element
		r.again = r.again || f.again(n)
		f.visit(r)
	})
}

// data looks into the data: URL of a frame or style sheet.
func (f *finder) data(n *html.Node, url string) {
	url = strings.TrimLeft(url, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f\x1b ")
	if len(url) < 5 || !strings.EqualFold(url[:5], "data:") {
		return
	}
	head, body, ok := strings.Cut(url[5:], ",")
	if !ok {
		return
	}
	body, _, _ = strings.Cut(body, "#")
	body = unpercent(body)
	head = strings.ToLower(head)
	if strings.HasSuffix(strings.TrimRight(head, " "), "base64") {
		text, err := base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
			if r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' {
				return -1
			}
			return r
		}, body))
		if err != nil {
			return
		}
		body = string(text)
	}
	switch typ, _, _ := strings.Cut(head, ";"); strings.TrimSpace(typ) {
	case "text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml":
		f.document(n, body)
	case "text/css":
		f.css(n, body)
	}
}

func (f *finder) fetch(n *html.Node, kind rules.Kind, url string) {
	f.visit(Reference{n.Data, rules.Resource{Kind: kind, URL: url, Page: f.page}, f.again(n)})
}

func (f *finder) attrs(n *html.Node, kind rules.Kind, names ...string) {
	for _, name := range names {
		if v, ok := value(n, name); ok {
			f.fetch(n, kind, v)
		}
	}
}

// isSpace reports white space of ASCII, which is what separates URLs in attributes (Infra Standard, 4.6).
func isSpace(r rune) bool { return strings.ContainsRune(" \t\n\f\r", r) }

var comma = regexp.MustCompile(`,\s+|\s*$`)

func (f *finder) candidates(n *html.Node, name string) {
	v, _ := value(n, name)
	for _, c := range comma.Split(v, -1) {
		if w := strings.FieldsFunc(c, isSpace); len(w) > 0 {
			f.fetch(n, rules.KindImage, strings.Trim(w[0], ","))
		}
	}
}

// element looks at what an element fetches, by the HTML Standard's own lists.
func (f *finder) element(n *html.Node) {
	if v, ok := value(n, "style"); ok {
		f.declarations(n, v)
	}
	switch n.Namespace {
	case "svg":
		f.svg(n)
		return
	case "math":
		return
	}
	switch n.Data {
	case "a", "area", "img", "script": // Attribution Reporting, 3
		f.attrs(n, rules.KindFetch, "attributionsrc")
	}
	switch n.Data {
	case "script":
		f.script(n, "src")
	case "iframe", "frame":
		f.attrs(n, rules.KindFrame, "src")
		if v, ok := value(n, "src"); ok {
			f.data(n, v)
		}
		if v, ok := value(n, "srcdoc"); ok && n.Data == "iframe" {
			f.document(n, v)
		}
	case "img":
		f.attrs(n, rules.KindImage, "src")
		f.candidates(n, "srcset")
	case "source":
		switch parent(n) {
		case "picture":
			f.candidates(n, "srcset")
		case "audio", "video":
			f.attrs(n, rules.KindMedia, "src")
		}
	case "video", "audio":
		f.attrs(n, rules.KindMedia, "src")
		if n.Data == "video" {
			f.attrs(n, rules.KindImage, "poster")
		}
	case "track":
		if p := parent(n); p == "audio" || p == "video" {
			f.attrs(n, rules.KindMedia, "src")
		}
	case "embed", "object":
		name := "src"
		if n.Data == "object" {
			name = "data"
		}
		f.attrs(n, rules.KindEmbed, name)
		if v, ok := value(n, name); ok {
			f.data(n, v)
		}
	case "input":
		if typ, _ := value(n, "type"); strings.EqualFold(typ, "image") {
			f.attrs(n, rules.KindImage, "src")
		}
	case "body", "table", "thead", "tbody", "tfoot", "tr", "td", "th":
		f.attrs(n, rules.KindImage, "background")
	case "a", "area":
		if _, ok := value(n, "href"); ok {
			v, _ := value(n, "ping")
			for u := range strings.FieldsFuncSeq(v, isSpace) {
				f.fetch(n, rules.KindFetch, u)
			}
		}
	case "base":
		f.attrs(n, rules.KindBase, "href")
	case "meta":
		if v, _ := value(n, "http-equiv"); strings.EqualFold(v, "refresh") {
			c, _ := value(n, "content")
			if m := refresh.FindStringSubmatch(c); m != nil {
				f.fetch(n, rules.KindNavigation, m[1])
			}
		}
	case "link":
		f.link(n)
	case "style":
		f.css(n, text(n))
	}
}

// svg looks at an element of SVG 2, section 16 and Filter Effects, section 9.
func (f *finder) svg(n *html.Node) {
	for _, a := range n.Attr {
		switch a.Key {
		case "fill", "stroke", "mask", "clip-path", "marker-start", "marker-mid", "marker-end", "cursor":
			f.declarations(n, a.Val)
		}
	}
	switch n.Data {
	case "script":
		f.script(n, "href")
		f.attrs(n, rules.KindScript, "href") // Chromium's preload scanner asks for it whatever its type is
	case "image", "use", "feImage":
		f.attrs(n, rules.KindImage, "href")
	case "set", "animate":
		if name, _ := value(n, "attributeName"); strings.TrimPrefix(name, "xlink:") == "href" {
			f.attrs(n, rules.KindImage, "to", "from", "by")
			v, _ := value(n, "values")
			for u := range strings.SplitSeq(v, ";") {
				f.fetch(n, rules.KindImage, strings.TrimSpace(u))
			}
		}
	case "style":
		f.css(n, text(n))
	}
}

// script looks at an external script, an import map or speculation rules.
func (f *finder) script(n *html.Node, src string) {
	if !f.scripting {
		return
	}
	typ, _ := value(n, "type")
	untyped := typ == "" // the language is nothing to Firefox's preload scanner; a type of spaces is one
	typ = strings.ToLower(strings.TrimSpace(typ))
	switch {
	case untyped || javaScript.MatchString(typ):
		for _, a := range n.Attr {
			if a.Key == "nomodule" {
				return
			}
		}
		f.attrs(n, rules.KindScript, src)
	case typ == "module":
		f.attrs(n, rules.KindScript, src)
	case typ == "importmap" || typ == "webbundle" || typ == "speculationrules":
		var v any
		if json.Unmarshal([]byte(text(n)), &v) != nil {
			return
		}
		kind := rules.KindScript
		if typ == "speculationrules" {
			kind = rules.KindPrefetch
		}
		f.values(n, kind, v)
	}
}

// values looks at the strings in JSON that can be nothing but URLs.
func (f *finder) values(n *html.Node, kind rules.Kind, v any) {
	switch v := v.(type) {
	case string:
		if i := strings.IndexAny(v, ":/"); i >= 0 && strings.Contains(v[i:], "//") {
			f.fetch(n, kind, v)
		}
	case []any:
		for _, w := range v {
			f.values(n, kind, w)
		}
	case map[string]any:
		for _, w := range v {
			f.values(n, kind, w)
		}
	}
}

func parent(n *html.Node) string {
	if n.Parent == nil || n.Parent.Namespace != "" {
		return ""
	}
	return n.Parent.Data
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

func (f *finder) link(n *html.Node) {
	rel, _ := value(n, "rel")
	for r := range strings.FieldsSeq(strings.ToLower(rel)) {
		switch r {
		case "stylesheet":
			f.attrs(n, rules.KindStyle, "href")
			if v, ok := value(n, "href"); ok {
				f.data(n, v)
			}
		case "preconnect", "dns-prefetch":
			f.attrs(n, rules.KindHint, "href")
		case "prefetch", "prerender", "next":
			f.attrs(n, rules.KindPrefetch, "href")
		case "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon":
			f.attrs(n, rules.KindImage, "href")
		case "manifest", "compression-dictionary":
			f.attrs(n, rules.KindFetch, "href")
		case "modulepreload":
			f.attrs(n, rules.KindScript, "href")
		case "preload":
			as, _ := value(n, "as")
			switch strings.ToLower(as) {
			case "script":
				f.attrs(n, rules.KindScript, "href")
			case "style":
				f.attrs(n, rules.KindStyle, "href")
			case "font":
				f.attrs(n, rules.KindFont, "href")
			case "fetch":
				f.attrs(n, rules.KindFetch, "href")
			case "track", "audio", "video":
				f.attrs(n, rules.KindMedia, "href")
			case "image":
				f.attrs(n, rules.KindImage, "href")
				f.candidates(n, "imagesrcset")
			}
		}
	}
}

var (
	javaScript = regexp.MustCompile(`^(?:text|application)/(?:x-)?(?:java|ecma)script$|^text/(?:jscript|livescript|javascript1\.[0-5])$`)
	refresh    = regexp.MustCompile(`(?i)^\s*(?:\d[\d.]*|\.[\d.]*)(?:\s*[;,]\s*|\s+)(?:url\s*=\s*)?["']?([^"']+)`)
)

// declarations looks at what may stand in a style attribute, in which an @import is none.
func (f *finder) declarations(n *html.Node, text string) {
	urls, _ := references(text)
	for _, u := range urls {
		f.fetch(n, rules.KindImage, u)
	}
}

func (f *finder) css(n *html.Node, text string) {
	f.declarations(n, text)
	_, imports := references(text)
	for _, u := range imports {
		f.fetch(n, rules.KindStyle, u)
		f.data(n, u)
	}
}
