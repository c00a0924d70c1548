package rewriter

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"

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
				if d.Ambiguous() {
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

// A Rewriter that has grown its buffers allocates for nothing that it has seen before, and that is not very long.
func TestWhatAllocates(t *testing.T) {
	const tracker = "<script src=https://tracker.test/x></script>"
	for _, tt := range []struct {
		name, doc string
		most      float64
	}{
		{"ordinary", `<meta charset=utf-8><a href=/x?a=b&amp;c>` + tracker, 0},
		{"an encoding by pragma", `<meta http-equiv=Content-Type content="text/html; charset=UTF-8">` + tracker, 0},
		{"a document within", `<iframe srcdoc="` + tracker + `"></iframe><iframe srcdoc='<img src="//tracker.test/x?a&amp;b">'></iframe>`, 0},
		{"a document in a URL", `<iframe src="data:text/html,` + tracker + `"></iframe>`, 0},
		{"a host without a rule in a script", `<script>fetch("https://cdn.tracker.test/x.js")</script>`, 0},
		{"hosts with capitals in a script", `<script>a.src = "https://CDN.Tracker.test/x.js"; b = "//www.Google-Analytics.com/analytics.js"</script>`, 0},
		{"a base", `<base href=/a/>` + tracker, 0},
		{"a reference that the library decodes", `<img src=https://tracker.test/x?&hellip;=1>`, 0},
		{"a long path with dot segments", `<img src=https://www.google-analytics.com/` + strings.Repeat("x", 300) + `/../collect>`, 0},
		{"a host with capitals in an attribute", `<img src=https://Tracker.test/x>`, 0},
		{"a line break in a host", "<img src='https://tracker\n.test/x'>", 0},
		{"a URL in another encoding", "<meta charset=windows-1251><img src=https://tracker.test/\xf2>", 0},
		{"a URL too long to be remembered", `<img src=https://Tracker.test` + strings.Repeat("x", 600) + `/x>`, 2},
	} {
		r, doc := new(Rewriter), []byte(tt.doc)
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), Report: func(rules.Resource, rules.Decision) {}}
		n := testing.AllocsPerRun(10, func() {
			r.Reset(io.Discard, o)
			write(t, r, doc)
		})
		if n > tt.most || tt.most > 0 && n == 0 {
			t.Errorf("%s: %v allocations, expected up to %v", tt.name, n, tt.most)
		}
	}
}

// Pages seen before allocate nothing, unless more of what is remembered of them has one place in a table than it
// holds.
func TestPagesSeenBeforeAllocateNothing(t *testing.T) {
	pages := shared.Pages(t)
	p := policy(t, "block_active")
	r := New(io.Discard, pageOptions(p, pages[0]))
	for _, tagsOnly := range []bool{true, false} {
		some, all := 0, 0.0
		for _, page := range pages {
			o := pageOptions(p, page)
			o.tagsOnly = tagsOnly
			n := testing.AllocsPerRun(2, func() {
				r.Reset(io.Discard, o)
				write(t, r, page.Body)
			})
			if n > 0 {
				some++
			}
			if all += n; n > 20 {
				t.Errorf("%s: %v allocations", page.File, n)
			}
		}
		t.Logf("%v allocations in %d of %d pages", all, some, len(pages))
		if some > 3 || all > 9 {
			t.Errorf("tags only %v: %v allocations in %d of %d pages", tagsOnly, all, some, len(pages))
		}
	}
}
