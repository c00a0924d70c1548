package rewriter

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

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
			edits, err := oracle.Edits(page.Body, []byte(out))
			if err != nil {
				t.Errorf("%s: %v", page.File, err)
			}
			for _, wrong := range oracle.Misplaced(page.Body, edits, p, rp) {
				t.Errorf("%s: %s", page.File, wrong)
			}
			for _, left := range oracle.Fetchable([]byte(out), p, rp) {
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
