package oracle

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Fetchable parses the document as browsers with and without scripting do, and returns the
// references to blocked resources from which either would fetch.
func Fetchable(doc []byte, p *rules.Policy, page *rules.Page) (left []string) {
	for _, scripting := range []bool{true, false} {
		root, err := html.ParseWithOptions(strings.NewReader(string(doc)), html.ParseOptionEnableScripting(scripting))
		if err != nil {
			continue // nested deeper than the parser goes
		}
		f := &finder{p: p, page: page, scripting: scripting}
		f.base(root)
		f.walk(root)
		left = append(left, f.left...)
	}
	return left
}

type finder struct {
	p         *rules.Policy
	page      *rules.Page
	scripting bool
	based     bool
	left      []string
}

// base finds the first base element, which gives all relative URLs their host.
func (f *finder) base(n *html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == "base" && !f.based {
			if href, ok := value(d, "href"); ok {
				f.page, f.based = f.page.WithBase(href), true
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

func (f *finder) fetch(n *html.Node, kind rules.Kind, url string) {
	if f.p.Decide(rules.Resource{Kind: kind, URL: url, Page: f.page}).Action == rules.Block {
		f.left = append(f.left, n.Data+" "+kind.String()+" "+url)
	}
}

func (f *finder) attrs(n *html.Node, kind rules.Kind, names ...string) {
	for _, name := range names {
		if v, ok := value(n, name); ok {
			f.fetch(n, kind, v)
		}
	}
}

var comma = regexp.MustCompile(`,\s+|\s*$`)

func (f *finder) candidates(n *html.Node, name string) {
	v, _ := value(n, name)
	for _, c := range comma.Split(v, -1) {
		if w := strings.Fields(c); len(w) > 0 {
			f.fetch(n, rules.KindImage, strings.Trim(w[0], ","))
		}
	}
}

// element looks at what an element fetches, by the HTML Standard's own lists.
func (f *finder) element(n *html.Node) {
	if v, ok := value(n, "style"); ok {
		f.css(n, v)
	}
	switch n.Data {
	case "script":
		typ, _ := value(n, "type")
		if typ = strings.ToLower(strings.TrimSpace(typ)); f.scripting && (typ == "" || typ == "module" || javaScript.MatchString(typ)) {
			f.attrs(n, rules.KindScript, "src", "href")
		}
	case "iframe", "frame":
		f.attrs(n, rules.KindFrame, "src")
		if v, ok := value(n, "srcdoc"); ok {
			for _, l := range Fetchable([]byte(v), f.p, f.page) {
				f.left = append(f.left, "srcdoc: "+l)
			}
		}
	case "img":
		f.attrs(n, rules.KindImage, "src")
		f.candidates(n, "srcset")
	case "image", "use", "feImage":
		f.attrs(n, rules.KindImage, "href")
	case "source":
		f.attrs(n, rules.KindMedia, "src")
		f.candidates(n, "srcset")
	case "video", "audio":
		f.attrs(n, rules.KindMedia, "src")
		f.attrs(n, rules.KindImage, "poster")
	case "track":
		f.attrs(n, rules.KindMedia, "src")
	case "embed":
		f.attrs(n, rules.KindEmbed, "src")
	case "object":
		f.attrs(n, rules.KindEmbed, "data")
	case "input":
		if typ, _ := value(n, "type"); strings.EqualFold(typ, "image") {
			f.attrs(n, rules.KindImage, "src")
		}
	case "body", "table", "td", "th":
		f.attrs(n, rules.KindImage, "background")
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
		if n.FirstChild != nil {
			f.css(n, n.FirstChild.Data)
		}
	}
}

func (f *finder) link(n *html.Node) {
	rel, _ := value(n, "rel")
	for r := range strings.FieldsSeq(strings.ToLower(rel)) {
		switch r {
		case "stylesheet":
			f.attrs(n, rules.KindStyle, "href")
		case "preconnect", "dns-prefetch":
			f.attrs(n, rules.KindHint, "href")
		case "prefetch", "prerender":
			f.attrs(n, rules.KindPrefetch, "href")
		case "icon", "apple-touch-icon":
			f.attrs(n, rules.KindImage, "href")
		case "manifest":
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
			case "image":
				f.attrs(n, rules.KindImage, "href")
				f.candidates(n, "imagesrcset")
			}
		}
	}
}

var (
	javaScript = regexp.MustCompile(`^(?:text|application)/(?:x-)?(?:java|ecma)script$|^text/(?:jscript|livescript|javascript1\.[0-5])$`)
	refresh    = regexp.MustCompile(`(?i)^\s*[\d.]*\s*[;,]?\s*(?:url\s*=\s*)?["']?([^"']+)`)
	cssComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	cssURL     = regexp.MustCompile(`(?i)url\(\s*["']?([^"')\s]+)`)
	cssImport  = regexp.MustCompile(`(?i)@import\s+["']([^"']+)`)
)

func (f *finder) css(n *html.Node, text string) {
	text = cssComment.ReplaceAllString(text, "")
	for _, m := range cssURL.FindAllStringSubmatch(text, -1) {
		f.fetch(n, rules.KindImage, m[1])
	}
	for _, m := range cssImport.FindAllStringSubmatch(text, -1) {
		f.fetch(n, rules.KindStyle, m[1])
	}
}
