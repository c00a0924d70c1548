package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func testSite(t testing.TB, cfg SiteConfig) *Site {
	t.Helper()
	cat, err := DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSite(cat, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecide(t *testing.T) {
	page := NewPage("https", "www.shop.example.co.uk")
	site := testSite(t, SiteConfig{
		Services: map[string]string{"youtube": "preferences"}, Allow: []string{"cdn.partner.example"}, FirstParty: []string{"shop-static.example"},
		Block: map[string][]string{"statistics": {"stats.shop.example.co.uk"}},
	})
	none, all := Grants{}, Grants{Allowed: All}
	marketing := Grants{Allowed: SetOf(Marketing)}
	tests := []struct {
		name string
		g    Grants
		kind Kind
		url  string
		want string // action service rule
	}{
		{"a path of the site", none, KindScript, "/app.js", "keep  "},
		{"the site's own host", none, KindScript, "https://www.shop.example.co.uk/app.js", "keep  "},
		{"a sibling host", none, KindScript, "//img.example.co.uk/app.js", "keep  "},
		{"another site below the public suffix", none, KindScript, "https://other.co.uk/x.js", "block  unclassified"},
		{"a host the site owns", none, KindScript, "https://a.shop-static.example/x.js", "keep  "},
		{"a host the site allows", none, KindScript, "https://cdn.partner.example/x.js", "keep  site:allow cdn.partner.example"},
		{"a host the site blocks, its own", none, KindImage, "https://stats.shop.example.co.uk/p.gif", "block  site:block stats.shop.example.co.uk"},
		{"the same once allowed", all, KindImage, "https://stats.shop.example.co.uk/p.gif", "keep  site:block stats.shop.example.co.uk"},
		{"Aircall", none, KindScript, "https://cdn.aircall.io/c2c/v1/c2c.min.js#c2c_token=x", "block aircall path:cdn.aircall.io/c2c/"},
		{"Aircall's API", none, KindFetch, "https://api.aircall.io/v1", "block aircall host:aircall.io"},
		{"Aircall with preferences", Grants{Allowed: SetOf(Preferences)}, KindScript, "https://cdn.aircall.io/c2c/v1/c2c.min.js", "keep aircall path:cdn.aircall.io/c2c/"},
		{"the most specific rule wins", Grants{Allowed: SetOf(Statistics)}, KindScript, "https://www.googletagmanager.com/gtag/js?id=AW-1", "block google-ads path:www.googletagmanager.com/gtag/js?id=AW-*"},
		{"any of several categories", Grants{Allowed: SetOf(Statistics)}, KindScript, "https://www.googletagmanager.com/gtm.js?id=GTM-1", "keep google-tag-manager path:www.googletagmanager.com/gtm.js?id=GTM-*"},
		{"a path with dots", none, KindImage, "https://www.facebook.com/x/../tr?id=1", "block meta-pixel path:www.facebook.com/tr"},
		{"an exception for a service", Grants{Plus: []string{"hotjar"}}, KindScript, "https://static.hotjar.com/c/hotjar-1.js", "keep hotjar path:static.hotjar.com/c/hotjar-*.js"},
		{"an exception against a service", Grants{Allowed: All, Minus: []string{"hotjar"}}, KindScript, "https://static.hotjar.com/c/hotjar-1.js", "block hotjar path:static.hotjar.com/c/hotjar-*.js"},
		{"GPC beats a grant", Grants{Allowed: All, GPC: true}, KindImage, "https://www.facebook.com/tr?id=1", "block meta-pixel path:www.facebook.com/tr"},
		{"a service in another category", Grants{Allowed: SetOf(Preferences)}, KindFrame, "https://www.youtube.com/embed/x", "keep youtube path:www.youtube.com/embed/"},
		{"an unknown script", none, KindScript, "https://unknown.example/x.js", "block  unclassified"},
		{"an unknown script with marketing", marketing, KindScript, "https://unknown.example/x.js", "keep  unclassified"},
		{"an unknown image", none, KindImage, "https://unknown.example/x.png", "keep  unclassified"},
		{"a necessary service", none, KindScript, "https://js.stripe.com/v3/", "keep stripe path:js.stripe.com/"},
		{"a data URL", none, KindImage, "data:image/png;base64,AA", "keep  "},
		{"a URL no browser fetches", none, KindScript, "https://a^b/x", "keep  "},
		{"a space in a host, which Chromium fetches", none, KindScript, "https://a b/x", "block  unclassified"},
		{"a socket that no image opens", none, KindImage, "wss://www.facebook.com/tr", "keep  "},
		{"a hint to a socket", none, KindHint, "wss://www.facebook.com", "block facebook host:facebook.com"},
		{"an IPv4 address in IPv6", none, KindScript, "https://[::ffff:203.0.113.7]/x", "block  unclassified"},
		{"a path with escaped letters", none, KindImage, "https://www.facebook.com/%74r?id=1", "block meta-pixel path:www.facebook.com/tr"},
		{"a query with escaped letters", Grants{Allowed: SetOf(Statistics)}, KindScript, "https://www.googletagmanager.com/gtag/js?%69d=%41W-1", "block google-ads path:www.googletagmanager.com/gtag/js?id=AW-*"},
		{"a parameter behind others, and repeated", Grants{Allowed: SetOf(Statistics)}, KindScript, "https://www.googletagmanager.com/gtag/js?l=x&id=&id=AW-1", "block google-ads path:www.googletagmanager.com/gtag/js?id=AW-*"},
		{"a query with a newline", Grants{Allowed: SetOf(Statistics)}, KindScript, "https://www.googletagmanager.com/gtag/js?i\nd=AW-1", "block google-ads path:www.googletagmanager.com/gtag/js?id=AW-*"},
		{"case, userinfo, port and dot", none, KindImage, "HTTPS://u:p@WWW.Facebook.COM.:443/tr", "block meta-pixel path:www.facebook.com/tr"},
		{"backslashes", none, KindImage, `\\www.facebook.com\tr`, "block meta-pixel path:www.facebook.com/tr"},
		{"a tab inside", none, KindImage, "ht\ttps://www.face\nbook.com/tr", "block meta-pixel path:www.facebook.com/tr"},
		{"percent-encoded", none, KindImage, "https://www.%66acebook.com/tr", "block meta-pixel path:www.facebook.com/tr"},
		{"full-width", none, KindImage, "https://ｗｗｗ．ｆａｃｅｂｏｏｋ．ｃｏｍ/tr", "block meta-pixel path:www.facebook.com/tr"},
		{"missing slashes in another scheme", none, KindImage, "http:www.facebook.com/tr", "block meta-pixel path:www.facebook.com/tr"},
		{"missing slashes in the page's scheme are a path", none, KindImage, "https:www.facebook.com/tr", "keep  "},
		{"bytes that are no UTF-8", none, KindImage, "https://\xff.example/x", "block  ambiguous:host"},
		{"the site's host in full-width letters, which is another one in other encodings", none, KindImage, "https://ｓ" + page.Host()[1:] + "/x", "block  ambiguous:host"},
		{"a mention of it", none, KindInlineScript, "https://ｓ" + page.Host()[1:] + "/x", "keep  "},
		{"a collector on the site's own host", none, KindFetch, "/g/collect?v=2", "block google-analytics path:@site/g/collect"},
		{"the same over a folder", none, KindFetch, "/x/../g/collect?v=2", "block google-analytics path:@site/g/collect"},
		{"the same without a slash", none, KindFetch, "g/collect?v=2", "block google-analytics path:@site/g/collect"},
		{"a hint to a host of several services", none, KindHint, "https://www.googletagmanager.com", "block google-tag-manager host:googletagmanager.com"},
		{"a loader", none, KindInlineScript, "//connect.facebook.net/en_US/fbevents.js", "block meta-pixel path:connect.facebook.net*/fbevents.js"},
		{"a mention", none, KindInlineScript, "//www.facebook.com/mypage", "keep  "},
		{"an unknown host in a script", none, KindInlineScript, "//unknown.example/x.js", "keep  unclassified"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := site.For(tt.g).Decide(Resource{Kind: tt.kind, URL: tt.url, Page: page})
			if got := d.Action.String() + " " + d.Service + " " + d.Rule; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecideCookie(t *testing.T) {
	site := testSite(t, SiteConfig{Cookies: map[string]string{"promo_*": "marketing"}, Essential: []string{"_ga_keep"}})
	strict := testSite(t, SiteConfig{UnclassifiedCookies: "block", OwnCookie: "choice"})
	for _, tt := range []struct {
		name         string
		site         *Site
		g            Grants
		cookie, host string
		want         string
	}{
		{"our own", site, Grants{}, "consent", "shop.example", "keep own"},
		{"our own by another name", strict, Grants{}, "choice", "shop.example", "keep own"},
		{"an exact tracker", site, Grants{}, "_ga", "shop.example", "block cookie:_ga"},
		{"the same with statistics", site, Grants{Allowed: SetOf(Statistics)}, "_ga", "shop.example", "keep cookie:_ga"},
		{"a tracker prefix", site, Grants{}, "_ga_ABC123", "shop.example", "block cookie:_ga_*"},
		{"the site's essential", site, Grants{}, "_ga_keep", "shop.example", "keep essential:_ga_keep"},
		{"the site's own rule", site, Grants{}, "promo_x", "shop.example", "block cookie:promo_*"},
		{"a login", site, Grants{}, "PHPSESSID", "shop.example", "keep essential:PHPSESSID"},
		{"a generic name", site, Grants{}, "session_id", "shop.example", "keep unclassified"},
		{"the same on its vendor's host", site, Grants{}, "auth_token", "api.aircall.io", "block cookie:auth_token"},
		{"unknown", site, Grants{}, "whatever", "shop.example", "keep unclassified"},
		{"unknown, strictly", strict, Grants{}, "whatever", "shop.example", "block unclassified"},
		{"a consent manager's", strict, Grants{}, "OptanonConsent", "shop.example", "keep essential:OptanonConsent"},
		{"names are case-sensitive", site, Grants{}, "_GA", "shop.example", "keep unclassified"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.site.For(tt.g).Decide(Resource{Kind: KindCookie, Name: tt.cookie, Domain: tt.host})
			got := d.Action.String() + " " + d.Rule
			if got != tt.want && !(strings.HasSuffix(tt.want, "unclassified") && d.Rule == "essential:"+tt.cookie) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSiteConfigErrorsNameTheNearestWord(t *testing.T) {
	cat, _ := DefaultCatalogue()
	for _, tt := range []struct {
		name string
		cfg  SiteConfig
		want string
	}{
		{"service", SiteConfig{Services: map[string]string{"hotjr": "necessary"}}, `unknown service "hotjr", did you mean "hotjar"?`},
		{"category", SiteConfig{Services: map[string]string{"hotjar": "statistic"}}, `did you mean "statistics"?`},
		{"mode", SiteConfig{Unclassified: "blok"}, `did you mean "block"?`},
		{"host with a path", SiteConfig{Allow: []string{"https://x.example/a"}}, "write it without scheme and path"},
		{"public suffix", SiteConfig{FirstParty: []string{"co.uk"}}, "is a public suffix"},
		{"necessary blocked", SiteConfig{Block: map[string][]string{"necessary": {"x.example"}}}, "necessary is never blocked"},
		{"cookie pattern", SiteConfig{Cookies: map[string]string{"a*b": "marketing"}}, "only one *"},
		{"allowed and blocked", SiteConfig{Allow: []string{"x.example"}, Block: map[string][]string{"marketing": {"x.example"}}}, "two lines that differ"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewSite(cat, tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestRevisionChangesWithWhatIsDeclaredOnly(t *testing.T) {
	a := testSite(t, SiteConfig{}).Revision()
	if b := testSite(t, SiteConfig{Unclassified: "block", Essential: []string{"x"}}).Revision(); b != a {
		t.Error("a technical setting asks visitors again")
	}
	if b := testSite(t, SiteConfig{Services: map[string]string{"hotjar": "marketing"}}).Revision(); b == a {
		t.Error("a new purpose does not ask visitors again")
	}
}

func TestSameSite(t *testing.T) {
	for _, tt := range []struct {
		page, host string
		want       bool
	}{
		{"www.example.com", "cdn.example.com", true},
		{"www.example.com", "example.com", true},
		{"www.example.com", "notexample.com", false},
		{"www.example.com", "example.com.evil.test", false},
		{"user.github.io", "other.github.io", false},
		{"www.amazonaws.com", "bucket.s3.amazonaws.com", false},
		{"localhost", "localhost", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"localhost", "x.localhost", false},
	} {
		if got := NewPage("https", tt.page).sameSite(tt.host); got != tt.want {
			t.Errorf("%s in %s = %v, want %v", tt.host, tt.page, got, tt.want)
		}
	}
}

var benchmarkURLs = []struct {
	name string
	kind Kind
	url  string
}{
	{"host", KindScript, "https://static.criteo.net/js/ld/ld.js?a=123&b=456"},
	{"path", KindScript, "https://www.googletagmanager.com/gtag/js?id=G-ABCDEF1234"},
	{"manypaths", KindImage, "https://www.google.com/images/branding/logo.png"},
	{"query", KindScript, "https://www.googletagmanager.com/gtag/js?l=dataLayer&cx=c&id=AW-123456789"},
	{"script", KindInlineScript, "//connect.facebook.net/en_US/fbevents.js"},
	{"unknown", KindImage, "https://images.some-unknown-host.example/a/b/c.png"},
	{"firstparty", KindImage, "https://www.shop.example/a/b/c.png"},
	{"sibling", KindImage, "https://cdn.shop.example/a/b/c.png"},
	{"relative", KindImage, "/a/b/c.png"},
	{"folder", KindImage, "../img/c.png"},
	{"capitals", KindScript, "https://Static.Criteo.net/js/ld/ld.js"},
}

func TestDecideDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("a sync.Pool drops buffers at random under the race detector")
	}
	p := testSite(t, SiteConfig{}).For(Grants{})
	page := NewPage("https", "www.shop.example").At("/shop/cart")
	for _, b := range benchmarkURLs {
		if n := testing.AllocsPerRun(100, func() { p.Decide(Resource{Kind: b.kind, URL: b.url, Page: page}) }); n != 0 {
			t.Errorf("%s: %v allocations", b.name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.Decide(Resource{Kind: KindCookie, Name: "_ga_ABCDEF", Domain: "shop.example"}) }); n != 0 {
		t.Errorf("cookie: %v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) { benchmarkDecide(b, testSite(b, SiteConfig{})) }

// BenchmarkDecideTenfold is BenchmarkDecide with ten times the services.
func BenchmarkDecideTenfold(b *testing.B) {
	cat, err := DefaultCatalogue()
	if err != nil {
		b.Fatal(err)
	}
	big := &Catalogue{byID: make(map[string]*Service), essentials: cat.essentials}
	for i := range 10 {
		for _, s := range cat.services {
			c := *s
			if i > 0 {
				c.ID = fmt.Sprintf("%s-copy-%d", s.ID, i)
				c.Hosts = slices.Clone(s.Hosts)
				for j := range c.Hosts {
					c.Hosts[j].Name = fmt.Sprintf("x%d-%s", i, s.Hosts[j].Name)
				}
				c.Rules = slices.Clone(s.Rules)
				for j := range c.Rules {
					if r := &c.Rules[j]; r.Host != SiteHost {
						r.Host = fmt.Sprintf("x%d-%s", i, r.Host)
					} else {
						r.Path = fmt.Sprintf("/x%d%s", i, r.Path)
					}
				}
				c.Loaders = nil
				c.Cookies = slices.Clone(s.Cookies)
				for j := range c.Cookies {
					c.Cookies[j].Name = fmt.Sprintf("%sx%d", s.Cookies[j].Name[:1], i) + s.Cookies[j].Name
				}
			}
			big.byID[c.ID] = &c
		}
	}
	big.compile()
	if len(big.problems) > 0 || len(big.services) != 10*len(cat.services) {
		b.Fatalf("%d services: %v", len(big.services), errors.Join(big.problems...))
	}
	site, err := NewSite(big, SiteConfig{})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkDecide(b, site)
}

func benchmarkDecide(b *testing.B, site *Site) {
	p := site.For(Grants{})
	page := NewPage("https", "www.shop.example").At("/shop/cart")
	for _, bb := range benchmarkURLs {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(Resource{Kind: bb.kind, URL: bb.url, Page: page})
			}
		})
	}
	for _, name := range []string{"_ga_ABCDEF", "whatever"} {
		b.Run("cookie/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(Resource{Kind: KindCookie, Name: name, Domain: "www.shop.example"})
			}
		})
	}
}
