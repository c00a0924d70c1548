package rewriter

import (
	"bytes"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// What the rewriter inserts, and nothing else, may differ between a page and its rewritten form.
var insertions = regexp.MustCompile(quoted(`^(?:(?: type=Qtext/plainQ)?(?: data-consent-category=Q[a-z.]*Q data-consent-service=Q[a-z0-9-]*Q data-consent-rule=Q[^"]*?Q)|data-consent-|data:,)`))

// quoted puts the quote in for Q, as it is or as it stands inside a srcdoc attribute.
func quoted(pattern string) string { return strings.ReplaceAll(pattern, "Q", `(?:"|&#34;)`) }

// checkEdits walks both byte streams side by side: where they differ the output must have one of
// the insertions.
func checkEdits(in, out []byte) (at int, ok bool) {
	i := 0
	for o := 0; o < len(out); {
		if out[o] == ' ' || out[o] == 'd' {
			// The input may hold the same bytes by itself.
			if loc := insertions.FindIndex(out[o:min(len(out), o+400)]); loc != nil && !bytes.HasPrefix(in[i:], out[o:o+loc[1]]) {
				o += loc[1]
				continue
			}
		}
		if i >= len(in) || in[i] != out[o] {
			return o, false
		}
		i++
		o++
	}
	return len(out), i == len(in)
}

func TestRealPagesUndecided(t *testing.T) {
	pages := shared.Pages(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, unclassified := range []string{"block_active", "block"} {
		p := policy(t, unclassified)
		ambiguous := 0
		for _, page := range pages {
			rp := rules.NewPage("https", page.Host)
			o := Options{Policy: p, Page: rp, Report: func(_ rules.Resource, d rules.Decision) {
				if d.Ambiguous {
					ambiguous++
					t.Logf("%s: %s %s", page.File, d.Rule, d.Host)
				}
			}}
			in := string(page.Body)
			out := rewrite(t, o, in)
			o.Report = nil
			if got := rewrite(t, o, randomChunks(rnd, in)...); got != out {
				t.Errorf("%s: chunks change the output", page.File)
			}
			if at, ok := checkEdits(page.Body, []byte(out)); !ok {
				t.Errorf("%s: an edit that is no insertion at %d: %.200q", page.File, at, out[max(0, at-60):])
			}
			for _, left := range fetchable(t, out, p, rp, unclassified == "block") {
				t.Errorf("%s: left fetchable: %s", page.File, left)
			}
		}
		t.Logf("%s: %d ambiguous on %d pages", unclassified, ambiguous, len(pages))
	}
}

func TestNoRulesNoEdits(t *testing.T) {
	pages := shared.Pages(t)
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := rules.NewSite(cat, rules.SiteConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := site.For(rules.Grants{Allowed: rules.All})
	for _, page := range pages {
		if out := rewrite(t, Options{Policy: p, Page: rules.NewPage("https", page.Host)}, string(page.Body)); out != string(page.Body) {
			t.Errorf("%s: changed though everything is allowed", page.File)
		}
	}
}

// fetchable parses the document as browsers with and without scripting do, and returns the
// references to blocked resources that it still fetches.
func fetchable(t *testing.T, doc string, p *rules.Policy, page *rules.Page, _ bool) (left []string) {
	t.Helper()
	for _, scripting := range []bool{true, false} {
		root, err := html.ParseWithOptions(strings.NewReader(doc), html.ParseOptionEnableScripting(scripting))
		if err != nil {
			continue // deeper than the oracle goes
		}
		base := page
		seenBase := false
		var walk func(n *html.Node)
		walk = func(n *html.Node) {
			if n.Type == html.ElementNode {
				if n.Data == "base" && !seenBase {
					if h := attribute(n, "href"); h != "" {
						base, seenBase = page.WithBase(h), true
					}
				}
				for _, f := range nodeFetches(n, scripting) {
					d := p.Decide(rules.Resource{Kind: f.kind, URL: f.url, Page: base})
					if d.Action == rules.Block {
						left = append(left, n.Data+" "+f.kind.String()+" "+f.url)
					}
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c)
			}
		}
		walk(root)
	}
	return left
}

type fetch struct {
	kind rules.Kind
	url  string
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name && (a.Namespace == "" || a.Namespace == "xlink") {
			return a.Val
		}
	}
	return ""
}

// nodeFetches is the oracle's own idea of what an element fetches.
func nodeFetches(n *html.Node, scripting bool) (fs []fetch) {
	add := func(kind rules.Kind, name string) {
		if v := attribute(n, name); v != "" {
			fs = append(fs, fetch{kind, v})
		}
	}
	candidates := func(name string) {
		for _, c := range strings.Split(attribute(n, name), ", ") {
			if f := strings.Fields(c); len(f) > 0 {
				fs = append(fs, fetch{rules.KindImage, strings.TrimRight(f[0], ",")})
			}
		}
	}
	for _, m := range cssURL.FindAllStringSubmatch(attribute(n, "style"), -1) {
		fs = append(fs, fetch{rules.KindImage, m[1]})
	}
	switch n.Data {
	case "script":
		typ := strings.ToLower(strings.TrimSpace(attribute(n, "type")))
		if scripting && (typ == "" || typ == "module" || isJavaScript(typ)) {
			add(rules.KindScript, "src")
			add(rules.KindScript, "href")
		}
	case "iframe", "frame":
		add(rules.KindFrame, "src")
	case "img":
		add(rules.KindImage, "src")
		candidates("srcset")
	case "image", "use":
		add(rules.KindImage, "href")
	case "source":
		add(rules.KindMedia, "src")
		candidates("srcset")
	case "video", "audio":
		add(rules.KindMedia, "src")
		add(rules.KindImage, "poster")
	case "track":
		add(rules.KindMedia, "src")
	case "embed":
		add(rules.KindEmbed, "src")
	case "object":
		add(rules.KindEmbed, "data")
	case "input":
		if strings.EqualFold(attribute(n, "type"), "image") {
			add(rules.KindImage, "src")
		}
	case "link":
		for _, rel := range strings.Fields(strings.ToLower(attribute(n, "rel"))) {
			switch rel {
			case "stylesheet":
				add(rules.KindStyle, "href")
			case "preconnect", "dns-prefetch":
				add(rules.KindHint, "href")
			case "icon", "apple-touch-icon":
				add(rules.KindImage, "href")
			case "preload":
				if strings.EqualFold(attribute(n, "as"), "script") {
					add(rules.KindScript, "href")
				}
			case "modulepreload":
				add(rules.KindScript, "href")
			}
		}
	case "style":
		if n.FirstChild != nil {
			text := cssComment.ReplaceAllString(n.FirstChild.Data, "")
			for _, m := range cssURL.FindAllStringSubmatch(text, -1) {
				fs = append(fs, fetch{rules.KindImage, m[1]})
			}
			for _, m := range cssImport.FindAllStringSubmatch(text, -1) {
				fs = append(fs, fetch{rules.KindStyle, m[1]})
			}
		}
	}
	return fs
}

var (
	cssURL     = regexp.MustCompile(`(?i)url\(\s*["']?([^"')\s]+)`)
	cssImport  = regexp.MustCompile(`(?i)@import\s+["']([^"']+)`)
	cssComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
)

// BenchmarkRewriteRealPages and BenchmarkXNetTokenizer read the same pages on one core.
func BenchmarkRewriteRealPages(b *testing.B) {
	pages := shared.Pages(b)
	p := policy(b, "block_active")
	r := New(io.Discard, Options{Policy: p, Page: rules.NewPage("https", "x.test")})
	origins := make([]*rules.Page, len(pages))
	total := 0
	for i, page := range pages {
		origins[i] = rules.NewPage("https", page.Host)
		total += len(page.Body)
	}
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		for i, page := range pages {
			r.Reset(io.Discard, Options{Policy: p, Page: origins[i]})
			for body := page.Body; len(body) > 0; {
				n := min(len(body), 32<<10)
				if _, err := r.Write(body[:n]); err != nil {
					b.Fatal(err)
				}
				body = body[n:]
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkXNetTokenizer(b *testing.B) {
	pages := shared.Pages(b)
	total := 0
	for _, page := range pages {
		total += len(page.Body)
	}
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		for _, page := range pages {
			z := html.NewTokenizer(bytes.NewReader(page.Body))
			for tt := z.Next(); tt != html.ErrorToken; tt = z.Next() {
				if tt != html.StartTagToken && tt != html.SelfClosingTagToken {
					continue
				}
				_, more := z.TagName()
				for more {
					_, _, more = z.TagAttr()
				}
			}
		}
	}
}
