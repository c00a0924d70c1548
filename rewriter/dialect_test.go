package rewriter

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

func dialectOf(t testing.TB, manager string, names map[string]string) *Dialect {
	t.Helper()
	d, err := NewDialect(manager, names)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var ourMarks = regexp.MustCompile(` data-consent-category="statistics" data-consent-service="hotjar" data-consent-rule="[^"]+"`)

// {} are our own marks, § an address of Hotjar (statistics).
func TestEachManagerFindsItsOwnPlaceholders(t *testing.T) {
	page := rules.NewPage("https", "site.test")
	p := policy(t, "block")
	const url = "https://static.hotjar.com/c/hotjar-1.js"
	for _, tt := range []struct{ manager, in, want string }{
		{"vanilla-cookieconsent", `<script async src="§"></script>`, `<script type="text/plain" data-category="analytics"{} async data-src="§"></script>`},
		{"vanilla-cookieconsent", `<script type=module src=§ integrity=x></script>`, `<script type="text/plain" data-category="analytics"{} data-type=module data-src=§ integrity=x></script>`},
		{"vanilla-cookieconsent", `<script>document.createElement("script").src="§"</script>`, `<script type="text/plain" data-category="analytics"{}>document.createElement("script").src="§"</script>`},
		{"vanilla-cookieconsent", `<iframe src="§"></iframe>`, `<iframe{} data-consent-src="§"></iframe>`},
		{"vanilla-cookieconsent-2", `<script src="§"></script>`, `<script type="text/plain" data-cookiecategory="analytics"{} data-src="§"></script>`},
		{"vanilla-cookieconsent-2", `<script type=module src=§></script>`, `<script type="text/plain" data-cookiecategory="analytics"{} data-type=module data-src=§></script>`},
		{"klaro", `<script src="§"></script>`, `<script type="text/plain" data-name="hotjar" data-type="application/javascript"{} data-src="§"></script>`},
		{"klaro", `<script type=module src="§"></script>`, `<script type="text/plain" data-name="hotjar"{} data-type=module data-src="§"></script>`},
		{"klaro", `<iframe src="§"></iframe>`, `<iframe data-name="hotjar"{} data-src="§"></iframe>`},
		{"klaro", `<iframe style="a:b" src="§"></iframe>`, `<iframe{} style="a:b" data-consent-src="§"></iframe>`},
		{"klaro", `<img class="lazyload" src="§">`, `<img{} class="lazyload" data-consent-src="§">`},
		{"klaro", `<iframe loading=lazy src="§"></iframe>`, `<iframe{} loading=lazy data-consent-src="§"></iframe>`},
		{"klaro", `<img uk-img src="§">`, `<img{} uk-img data-consent-src="§">`},
		{"klaro", `<img onerror="this.src=this.dataset.src" src="§">`, `<img{} onerror="this.src=this.dataset.src" data-consent-src="§">`},
		{"klaro", `<link rel=stylesheet onload="this.href=this.dataset.href" href="§">`, `<link{} rel=stylesheet onload="this.href=this.dataset.href" data-consent-href="§">`},
		{"klaro", `<link rel=stylesheet href="§">`, `<link type="text/plain" data-type="text/css" data-name="hotjar"{} rel=stylesheet data-href="§">`},
		{"klaro", `<link rel=preload as=script href="§">`, `<link{} rel=preload as=script data-consent-href="§">`},
		{"orejime", `<script src="§"></script>`, `<script type="opt-in" data-name="hotjar" data-type="application/javascript"{} data-src="§"></script>`},
		{"cookiebot", `<script src="§"></script>`, `<script type="text/plain" data-cookieconsent="statistics"{} src="§"></script>`},
		{"cookiebot", `<script type=module src="§"></script>`, `<script type="text/plain"{} data-consent-type=module data-consent-src="§"></script>`},
		{"cookiebot", `<iframe class=a src="§"></iframe>`, `<iframe data-cookieconsent="statistics"{} class=a data-cookieblock-src="§"></iframe>`},
		{"onetrust", `<script src="§"></script>`, `<script type="text/plain" class="optanon-category-C0002"{} src="§"></script>`},
		{"onetrust", `<script a="class='x'" Class = "b" src="§"></script>`, `<script type="text/plain"{} a="class='x'" Class = "optanon-category-C0002 b" src="§"></script>`},
		{"onetrust", `<script class=b src="§"></script>`, `<script type="text/plain"{} class=b data-consent-src="§"></script>`},
		{"complianz", `<iframe src="§"></iframe>`, `<iframe data-category="statistics" data-service="hotjar" data-cmplz-target="src" class="cmplz-placeholder-element cmplz-iframe cmplz-iframe-styles"{} data-src-cmplz="§"></iframe>`},
		{"cookieyes", `<script>document.createElement("script").src="§"</script>`, `<script type="text/plain"{}>document.createElement("script").src="§"</script>`},
		{"c15t", `<iframe src="§"></iframe>`, `<iframe data-category="measurement"{} data-src="§"></iframe>`},
		{"tarteaucitron", `<script src="§"></script>`, `<script type="text/plain"{} data-consent-src="§"></script>`},
		{"klaro", `<svg><script href="§"></script></svg>`, `<svg><script type="text/plain"{} data-consent-href="§"></script></svg>`},
	} {
		o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8", Dialect: dialectOf(t, tt.manager, nil)}
		in := strings.ReplaceAll(tt.in, "§", url)
		want := strings.NewReplacer("§", url).Replace(tt.want)
		if got := ourMarks.ReplaceAllString(rewrite(t, o, in), "{}"); got != want {
			t.Errorf("%s: %s\ngot  %s\nwant %s", tt.manager, tt.in, got, want)
		}
	}
	o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8", Dialect: dialectOf(t, "klaro", map[string]string{"hotjar": `a"b'`, "statistics": "stats"})}
	if got := rewrite(t, o, `<script src="`+url+`"></script>`); !strings.Contains(got, ` data-name="a&#34;b&#39;"`) {
		t.Error(got)
	}
	if _, err := NewDialect("klaroo", nil); err == nil || !strings.Contains(err.Error(), `did you mean "klaro"?`) {
		t.Error(err)
	}
}

// Whatever the manager, no browser fetches for a placeholder, no byte is lost, and chunks make no
// difference. Small limits make long tags.
func TestPlaceholdersOfAllManagersAreInert(t *testing.T) {
	p, page := policy(t, "block"), rules.NewPage("http", "site.test")
	names := map[string]string{"marketing": "m", "statistics": "s", "preferences": "p"}
	var docs []string
	for _, tt := range elementTests {
		docs = append(docs, expand(tt.in, ""))
	}
	for _, tt := range inlineTests {
		docs = append(docs, "<script>"+tt.script+"</script>")
	}
	for _, v := range shared.Vectors(t) {
		if v.Scope == "static" && (v.ContentType == nil || strings.HasPrefix(*v.ContentType, "text/html; charset=utf-8")) {
			docs = append(docs, string(v.Body))
		}
	}
	differ := 0
	for _, doc := range docs {
		if strings.HasPrefix(doc, "\xff\xfe") || strings.HasPrefix(doc, "\xfe\xff") {
			continue // insertions are in UTF-16 too
		}
		for _, limit := range []int{0, 40} {
			o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8", MaxTag: limit}
			own := rewrite(t, o, doc)
			if own == doc {
				continue
			}
			left := map[string]bool{}
			for _, l := range oracle.Fetchable([]byte(own), p, page.WithCharset("utf-8")) {
				left[l] = true
			}
			for _, manager := range Dialects() {
				o.Dialect = dialectOf(t, manager, names)
				got := rewrite(t, o, doc)
				if got == own {
					continue
				}
				differ++
				if differ%8 == 0 && limit == 0 && rewrite(t, o, strings.Split(doc, "")...) != got {
					t.Errorf("%s: byte by byte is not %q", manager, got)
				}
				rest := doc
				for i := 0; i < len(got) && rest != ""; i++ {
					if got[i] == rest[0] {
						rest = rest[1:]
					}
				}
				if rest != "" {
					t.Errorf("%s: %q is lost of %q in %q", manager, rest, doc, got)
				}
				for _, l := range oracle.Fetchable([]byte(got), p, page.WithCharset("utf-8")) {
					if !left[l] && !parked.MatchString(l) {
						t.Errorf("%s: left: %q in %q", manager, l, got)
					}
				}
			}
		}
	}
	if differ < 200 {
		t.Errorf("only %d placeholders of managers", differ)
	}
}

// parked are what the oracle lists for lazy loaders, though browsers take no notice.
var parked = regexp.MustCompile(`data-(src|href)`)
