package e2e

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

var (
	randomPath = regexp.MustCompile(`/(?:tags|tree|sheets)\d+-\d+/\d+\.\d+`)
	tagBefore  = regexp.MustCompile(`(?s)<([a-zA-Z][^\s/<>]*)[^<]*?([\w:-]+)\s*=\s*["']?[^"'=<>]*$`)
)

// A tally counts URLs that are blocked, and those among them that browsers ask for where nothing is enforced.
type tally struct{ blocked, asked int }

// blockedIn calls f for each URL of a random maker's that is blocked in a document, or in a style sheet's file.
func blockedIn(t *testing.T, p *rules.Policy, v *vector, css bool, f func(kind rules.Kind, path string)) {
	o := rewriter.Options{Policy: p, Page: rules.NewPage("http", "site.test").At("/v/" + v.ID), ContentType: "text/html; charset=utf-8", CSS: css}
	if v.ContentType != nil {
		o.ContentType = *v.ContentType
	}
	o.Report = func(res rules.Resource, d rules.Decision) {
		if path := randomPath.FindString(res.URL); path != "" && d.Action == rules.Block {
			f(res.Kind, path)
		}
	}
	r := rewriter.New(io.Discard, o)
	_, err := r.Write(v.Body)
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		t.Errorf("%s: %v", v.ID, err)
	}
}

// shapeOf says what the URL with that path stands in: element and attribute, as far as they can be told from the text.
func shapeOf(doc, path string, kind rules.Kind) string {
	if i := strings.Index(doc, path); i >= 0 {
		if m := tagBefore.FindStringSubmatch(doc[max(0, i-300):i]); m != nil {
			return strings.ToLower(m[1]+" "+m[2]) + ", " + kind.String()
		}
	}
	return "text, " + kind.String()
}

// Of what is blocked in random documents browsers ask for a good part where nothing is enforced, though most of it is
// damaged. What the rest stands in is in the log: much of it waits for a click or another medium, or for another browser.
// CONSENT_NEEDLESS is how many tags and style sheets are tried, and a sixth as many documents, and after a comma from which
// seed.
func TestMuchOfWhatIsBlockedIsAskedFor(t *testing.T) {
	if os.Getenv("CONSENT_NEEDLESS") == "" {
		t.Skip("set CONSENT_NEEDLESS to how many are to be tried, such as 150")
	}
	chromium(t)
	n, seed := countAndSeed("CONSENT_NEEDLESS", 0)
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := rules.NewSite(cat, rules.SiteConfig{Unclassified: "block"})
	if err != nil {
		t.Fatal(err)
	}
	policy := site.For(rules.Grants{Allowed: rules.SetOf(rules.Necessary)})
	m, sheets := randomSheets(n, seed)
	for _, c := range []struct {
		name      string
		vs, files []*vector
		percent   int // that browsers ask for, at least
	}{
		{"tags", randomTags(n, seed), nil, 25},
		{"trees", randomTrees(max(1, n/6), seed), nil, 45},
		{"sheets", sheets, m.files, 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := askedFor(t, c.vs, c.files)
			seen, all, shapes := make(map[string]bool), tally{}, make(map[string]*tally)
			for i, v := range slices.Concat(c.vs, c.files) {
				blockedIn(t, policy, v, i >= len(c.vs), func(kind rules.Kind, path string) {
					shape := shapeOf(string(v.Body), path, kind)
					if seen[shape+path] {
						return
					}
					seen[shape+path] = true
					if shapes[shape] == nil {
						shapes[shape] = new(tally)
					}
					for _, x := range []*tally{&all, shapes[shape]} {
						if x.blocked++; asked[path] {
							x.asked++
						}
					}
				})
			}
			var lines []string
			for _, shape := range sortedKeys(shapes) {
				if x := shapes[shape]; x.asked < x.blocked {
					lines = append(lines, fmt.Sprintf("%5d of %d: %s", x.blocked-x.asked, x.blocked, shape))
				}
			}
			slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(b, a) })
			t.Logf("%d documents; of %d blocked URLs %d are asked for; not so\n%s", len(c.vs), all.blocked, all.asked, strings.Join(lines, "\n"))
			if all.blocked == 0 || all.asked*100 < all.blocked*c.percent {
				t.Errorf("browsers ask for less than %d %% of what is blocked", c.percent)
			}
		})
	}
}

// askedFor opens documents with nothing enforced, with scripting and without, and returns the paths that any browser asks for.
func askedFor(t *testing.T, vs, files []*vector) map[string]bool {
	c := vectorSite(t, slices.Concat(vs, files))
	p, f := startPool(t, c.addr("8080"), vs), startFirefox(t, c.addr("8080"))
	asked := make(map[string]bool)
	for _, scripting := range []bool{true, false} {
		var visits []*visit
		for _, v := range vs {
			visits = append(visits, visit{scripting: scripting, direct: true}.of(v))
		}
		p.replay(visits)
		for _, x := range append(visits, f.replay(t, visit{scripting: scripting, direct: true}, vs)...) {
			if x.err != nil {
				t.Errorf("%s: %v", x.name(), x.err)
			}
			for _, s := range x.contacts {
				asked[randomPath.FindString(s)] = true
			}
		}
	}
	return asked
}
