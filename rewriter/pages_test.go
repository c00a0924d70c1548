package rewriter

import (
	"math/rand/v2"
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
