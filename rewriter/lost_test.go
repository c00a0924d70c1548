package rewriter

import (
	"io"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/rules"
)

// Where the stack of open elements is given up, whatever any reading of the rest could fetch is out
// of reach, and the same at every cut.
func TestPagesTooDeepToFollow(t *testing.T) {
	o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	const tracker = "https://www.google-analytics.com/a.js"
	// html.Parse goes no deeper than 512 elements.
	const few = 40
	for _, deep := range []struct {
		name, begin string
		maxOpen     int
		sizes       []int
	}{
		{"more elements than are kept", strings.Repeat("<q>", few+10), few, []int{1, 7}},
		{"closed again", strings.Repeat("<q>", few+10) + strings.Repeat("</q>", few+10), few, []int{1, 7}},
		{"an svg beyond them", strings.Repeat("<q>", few+10) + "<svg>", few, []int{1, 7}},
		{"as many as there may be", strings.Repeat("<q>", maxOpen+10) + "<svg>", 0, []int{1, 7}},
		{"end tags of elements far below", "<b>" + strings.Repeat("<div>", 4000) + strings.Repeat("</b>", 3000), 0, []int{7}},
		{"svg styles in each other", "<svg>" + strings.Repeat("<style>a", 3000) + strings.Repeat("<a></a>b", 4000) + "</style>", 0, []int{997}},
	} {
		o.maxOpen = deep.maxOpen
		for _, tt := range []struct{ name, rest string }{
			{"a script", `<script src="` + tracker + `"></script>`},
			{"a frame", `<iframe src="` + tracker + `"></iframe>`},
			{"a frame in a style", `<style><iframe src="` + tracker + `"></iframe></style>`},
			{"a frame behind a style's end in a title", `<title><style></title><iframe src="` + tracker + `"></iframe>`},
			{"a frame in a CDATA section", `<![CDATA[><iframe src="` + tracker + `"></iframe>]]>`},
			{"an svg image", `<image href="` + tracker + `"/>`},
			{"a style", `<style>@import "` + tracker + `";</style>`},
			{"a style attribute", `<p style="background:url(` + tracker + `)">`},
			{"a loader", `<script>var s=document.createElement('script');s.src='` + tracker + `'</script>`},
			{"a media source", `<source src="` + tracker + `">`},
		} {
			t.Run(deep.name+"/"+tt.name, func(t *testing.T) {
				in := deep.begin + tt.rest
				out := rewrite(t, o, in)
				for _, l := range oracle.Fetchable([]byte(out), o.Policy, o.Page) {
					t.Errorf("left: %s", l)
				}
				for _, n := range append(deep.sizes, len(in)-5) {
					if rewrite(t, o, pieces(in, n)...) != out {
						t.Errorf("chunks of %d change the output", n)
					}
				}
			})
		}
	}
}

// A frameset that could still take the place of all that is open, and would take no notice of what ends the document,
// is none.
func TestFramesetsInATreeThatIsLost(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", maxOpen: 5}
	if out := rewrite(t, o, strings.Repeat("<q>", 6)+"<frameset><style><frame src=//tracker.test/a>"); !strings.Contains(out, "<"+renamePrefix+"frameset>"+sealText) {
		t.Error(out)
	}
}

// A document that is lost and short of memory is read on.
func TestTextInATreeThatIsLostWithoutMemory(t *testing.T) {
	budget := NewBudget(6000)
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", maxOpen: 5, Budget: budget}
	doc := strings.Repeat("<q>", 6) + "<title>" + strings.Repeat("x", 9000) + "</title><img src=//tracker.test/x>"
	if out := rewrite(t, o, pieces(doc, 500)...); strings.Contains(out, "<img src") && !strings.Contains(out, sealText) {
		t.Error(out)
	}
	if n := budget.Held(); n != 0 {
		t.Errorf("%d bytes are booked", n)
	}
}

// A script in svg that the end of a document closes is judged.
func TestScriptsInATreeThatIsLost(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", maxOpen: 5}
	if out := rewrite(t, o, "<svg><script>new Image().src='//www.google-analytics.com/collect?'"+strings.Repeat("<g>", 6)); !strings.Contains(out, `<script type="text/plain"`) {
		t.Error(out)
	}
}

// A name behind @import is still there when it turns out to be none.
func TestImportOfANameInSVG(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for _, doc := range []string{"<svg><style>4@import u&", "<svg><style>a{}@import u<g", "<svg><style>{@import u<br>1 x</style>"} {
		want := rewrite(t, o, doc)
		if got := rewrite(t, o, strings.Split(doc, "")...); got != want || !strings.Contains(got, "@import "+inertSheet+"u") {
			t.Errorf("%q: got %q, want %q", doc, got, want)
		}
	}
}

// What a document over the common limit still holds is not booked, nor given back.
func TestBudgetIsEvenAfterDocumentsOverIt(t *testing.T) {
	b := NewBudget(300)
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", Budget: b}
	for n := 1; n < 700; n += 7 {
		r := New(io.Discard, o)
		for _, p := range []string{`<p><img alt="`, strings.Repeat("y ", n), strings.Repeat("z ", n), `" src=//tracker.test/x><script>`, strings.Repeat("a()\n", n), "</script>"} {
			if _, err := r.Write([]byte(p)); err != nil {
				t.Fatal(err)
			}
			if h := b.Held(); h < 0 || h > 300 {
				t.Fatalf("%d: %d bytes booked", n, h)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if h := b.Held(); h != 0 {
			t.Fatalf("%d: %d bytes booked after the end", n, h)
		}
	}
}
