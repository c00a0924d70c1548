package rewriter

import (
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// A reference in a style sheet that is too long to hold comes out the same wherever the document is cut.
func TestLongReferencesInStyleSheets(t *testing.T) {
	const limit = 64
	p := policy(t, "block")
	for _, sheet := range longSheets {
		for _, around := range [][2]string{{"", ""}, {"<style>", "</style><img src=//tracker.test/x>"},
			{"<svg><style>", "</style><image href=//tracker.test/x></svg>"}, {"<svg><style><g>a</g>", "<g>b</g></style><style>c</style></svg>"}} {
			o := Options{Policy: p, Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
			o.MaxTag, o.CSS = limit, around[0] == ""
			if o.CSS {
				o.ContentType = "text/css; charset=utf-8"
			}
			for _, n := range []int{limit - 20, limit + cssMargin - 20, limit + cssMargin - 1, limit + cssMargin, limit + cssMargin + 5, 2*limit + 2*cssMargin} {
				doc := around[0] + strings.NewReplacer("X", strings.Repeat("x", n), "S", strings.Repeat(" ", n), "Y", strings.Repeat("y", maxCSSName)).Replace(sheet) + around[1]
				if around[0] != "" && n > limit+cssMargin {
					doc = strings.Replace(doc, "xxxxx", "x<!--x-->&amp;x", 1)
				}
				want := rewrite(t, o, doc)
				if strings.Contains(want, ` src=//tracker`) || strings.Contains(want, ` href=//tracker`) {
					t.Errorf("%.60q: what follows is left", doc)
				}
				for _, size := range []int{1, 2, 3, 7, 16, 61, limit, limit + cssMargin, limit + cssMargin + 1} {
					for first := range min(size, 16) {
						chunks := []string{doc[:first+1]}
						for c := range inPieces(doc[first+1:], size) {
							chunks = append(chunks, c)
						}
						if got := rewrite(t, o, chunks...); got != want {
							t.Fatalf("in pieces of %d from %d: %.60q with %d\ngot  %s\nwant %s", size, first+1, doc, n, got, want)
						}
					}
				}
			}
		}
	}
}

// Where memory runs short in the midst of a reference, it is given up there.
func TestLongReferencesWithoutMemory(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for _, short := range []string{`<style>@import X//tracker.test/X</style>`, `<style>@import \</title><g>\</script><g><X\`, `<svg><style><g>@import "<svg><style>&amp;X`, `<svg><style>S@import <noscript>X`,
		`<style>a{b:url(//tracker.test/X`, `<style>a{b:"X`, `<svg><style>a{b:url(//tracker.test/X)}</style></svg>`} {
		doc := strings.NewReplacer("X", strings.Repeat("x", 3000), "S", strings.Repeat(" ", 3000)).Replace(short)
		for limit := int64(100); limit < 7000; limit += 150 {
			for _, size := range []int{100, 587, 1500} {
				o.Budget = NewBudget(limit)
				if out := rewrite(t, o, pieces(doc, size)...); strings.Contains(out, "url(//") || strings.Contains(out, `@import "//`) {
					t.Errorf("%s with %d bytes in pieces of %d: left: %.60s", short, limit, size, out)
				}
			}
		}
	}
}

// In longSheets X stands for a text that is too long, S for white space and Y for a name too long to matter.
var longSheets = []string{
	`@import "X";a{b:url(//tracker.test/x)}`,
	`@import "//tracker.test/X" screen;a{b:url(//tracker.test/x)}`,
	`@import X;a{b:url(//tracker.test/x)}`,
	`@import url(//tracker.test/X) screen;@import "//tracker.test/y";`,
	`@import url(  "X"  );@import "//tracker.test/y";`,
	`@import url(S//tracker.test/x);@import "//tracker.test/y";`,
	`@import S"//tracker.test/x"S;@import "//tracker.test/y";`,
	`<g>--Y\/<c>'t --b:`,
	`\/\}Y"X`,
	`@import/*X*/"//tracker.test/x";@import "//tracker.test/y";`,
	`@import "//tracker.test/x" XX;@import "//tracker.test/y";`,
	`/*X*/@media X{}a{b:url(//tracker.test/X);c:url(/X);d:url("X")}`,
	`a{b:image-set("//tracker.test/X" 1x,"//tracker.test/y" 2x)}`,
	`a{b:url(data:image/png,X);c:url("data:image/png,X)");d:url(//tracker.test/x)}`,
	`a{b:url(//tracker.test/X\29 y);c:url("//tracker.test/X\"y");d:url("X\
y")}`,
	`a{b:url(X\`,
	`a{b:url(//tracker.test/X`,
	`@import "X`,
	`a{X:url(//tracker.test/x);b:\75X rl(//tracker.test/x);--b:"//tracker.test/X"}`,
	`<!--@import "//tracker.test/X";-->a{b:url(//tracker.test/X)}`,
	`@import "//tracker.test/<!--X-->y<g>X</g>z";a{b:url(//tracker<g/>.test/<!--X-->)}`,
	`@import <g>X</g>"//tracker.test/<!-- -->X<!-- -->";a{b:url(<![CDATA[//tracker.test/X]]>X)}`,
	`<style>@import "//tracker.test/<g>X</g>X</style>";a{b:url(//tracker.test/<title>X</title>X)}`,
}
