package caddymodule

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-consent/caddy-consent/rules"
)

// expiries returns what the answer's Set-Cookie lines end, as "name path domain" and flags.
func expiries(a answer) (out []string) {
	for _, l := range a.Header["Set-Cookie"] {
		c, err := http.ParseSetCookie(l)
		if err != nil || c.MaxAge >= 0 && !strings.Contains(l, "Max-Age=0") {
			continue
		}
		s := c.Name + " " + c.Path
		if c.Domain != "" {
			s += " " + c.Domain
		}
		if c.Secure {
			s += " secure"
		}
		if c.Partitioned {
			s += " partitioned"
		}
		out = append(out, s)
	}
	return out
}

func TestCookiesOfAWithdrawnCategoryEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    Handler
		host string
		req  []string
		want []string
	}{
		{"a known name: on the host, its parents and the request's folders", Handler{}, "www.shop.example", []string{"GET /a/b/c", "Cookie: _ga=GA1.2; sid=1; consent=v1:none"},
			[]string{"_ga /", "_ga / www.shop.example", "_ga / shop.example", "_ga /a/b/c", "_ga /a/b/", "_ga /a/b", "_ga /a/", "_ga /a",
				"_ga /a/b/c www.shop.example", "_ga /a/b/c shop.example", "_ga /a/b/ www.shop.example", "_ga /a/b/ shop.example", "_ga /a/b www.shop.example", "_ga /a/b shop.example",
				"_ga /a/ www.shop.example", "_ga /a/ shop.example", "_ga /a www.shop.example", "_ga /a shop.example"}},
		{"an unknown name stays where it is", Handler{}, "www.shop.example", []string{"Cookie: who=1; consent=v1:none"}, nil},
		{"an unknown name that is blocked: on the host only", Handler{UnclassifiedCookies: "block"}, "www.shop.example", []string{"Cookie: who=1; consent=v1:none"}, []string{"who /"}},
		{"and within cookie_domain", Handler{UnclassifiedCookies: "block", CookieDomain: "shop.example"}, "a.b.shop.example", []string{"Cookie: who=1"},
			[]string{"who /", "who / a.b.shop.example", "who / b.shop.example", "who / shop.example"}},
		{"a name of the configuration", Handler{Cookies: map[string]string{"promo_*": "marketing"}}, "shop.example", []string{"Cookie: promo_1=x"}, []string{"promo_1 /", "promo_1 / shop.example"}},
		{"an address has no parents", Handler{}, "127.0.0.1", []string{"Cookie: _ga=1"}, []string{"_ga /"}},
		{"what is allowed stays", Handler{}, "shop.example", []string{"Cookie: _ga=1; consent=v1:statistics"}, nil},
		{"a prefixed name needs HTTPS to be there at all", Handler{Cookies: map[string]string{"__Host-t": "marketing"}}, "shop.example", []string{"Cookie: __Host-t=1"}, nil},
		{"each name once", Handler{}, "127.0.0.1", []string{"Cookie: _ga=1; _ga=2"}, []string{"_ga /"}},
		{"in shadow mode nothing ends", Handler{Mode: "shadow"}, "shop.example", []string{"Cookie: _ga=1"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &tt.h, respond(200, doc, html))
			s.host = tt.host
			if got := expiries(s.get(t, tt.req...)); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	t.Run("not on images", func(t *testing.T) {
		s := newSite(t, &Handler{}, respond(200, "x", "Content-Type: image/png"))
		if got := expiries(s.get(t, "Cookie: _ga=1")); got != nil {
			t.Errorf("got %q", got)
		}
	})
	t.Run("over HTTPS, partitioned ones too", func(t *testing.T) {
		s := newSite(t, &Handler{Cookies: map[string]string{"__Host-t": "marketing"}}, respond(200, doc, html))
		s.host, s.trusted = "shop.example", true
		got := expiries(s.get(t, "X-Forwarded-Proto: https", "Cookie: _ga=1; __Host-t=2"))
		want := []string{"_ga / secure", "_ga / secure partitioned", "_ga / shop.example secure", "__Host-t / secure", "__Host-t / secure partitioned"}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
	t.Run("bounded, whatever is sent", func(t *testing.T) {
		s := newSite(t, &Handler{}, respond(200, doc, html))
		s.host = "www.shop.example"
		a := s.get(t, "Cookie: "+strings.Repeat("_ga_"+strings.Repeat("x", 90)+"=1; ", 1)+strings.Join(manyCookies(300), "; "))
		bytes := 0
		for _, l := range a.Header["Set-Cookie"] {
			bytes += len(l)
		}
		if n := len(a.Header["Set-Cookie"]); n == 0 || n > maxExpiries || bytes > maxExpiryBytes {
			t.Errorf("%d lines, %d bytes", n, bytes)
		}
	})
	t.Run("names that no header can hold are left out", func(t *testing.T) {
		s := newSite(t, &Handler{UnclassifiedCookies: "block"}, respond(200, doc, html))
		if got := s.get(t, `Cookie: a b=1; c"d=2; é=3; ok=4`).Header["Set-Cookie"]; len(got) != 1 || !strings.HasPrefix(got[0], "ok=") {
			t.Errorf("got %q", got)
		}
	})
}

func manyCookies(n int) (out []string) {
	for i := range n {
		out = append(out, "_ga_"+strings.Repeat(string(rune('A'+i%26)), 1+i/26)+"=1")
	}
	return out
}

func TestChoiceThatTakesBack(t *testing.T) {
	s := newSite(t, &Handler{ClearSiteData: []string{"cache", "storage"}}, respond(200, doc, html))
	s.host = "shop.example"
	form := []string{"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"}
	a := s.send(t, "/.consent/choice", "decision=reject_all&return=/shop/cart", append(form, "Cookie: consent=v1:statistics; _ga=1; sid=2")...)
	want := []string{"_ga /", "_ga / shop.example", "_ga /shop/cart", "_ga /shop/", "_ga /shop", "_ga /shop/cart shop.example", "_ga /shop/ shop.example", "_ga /shop shop.example"}
	if got := expiries(a); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := a.Header.Get("Clear-Site-Data"); got != `"prefetchCache", "prerenderCache", "cache", "storage"` {
		t.Errorf("Clear-Site-Data: %s", got)
	}
	a = s.send(t, "/.consent/choice", "decision=accept_all", append(form, "Cookie: _ga=1")...)
	if got := expiries(a); got != nil || a.Header.Get("Clear-Site-Data") != "" {
		t.Errorf("accepting ends %q, clears %q", got, a.Header.Get("Clear-Site-Data"))
	}
}

func TestLifetimesAreClamped(t *testing.T) {
	l, err := parseLifetime("13 months")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"_ga=1; Max-Age=63072000; Path=/; Secure":                        "_ga=1; Max-Age=34214400; Path=/; Secure",
		"_ga=1;max-age = 63072000 ;path=/":                               "_ga=1;max-age =34214400;path=/",
		"_ga=1; Max-Age=99999999999999999999":                            "_ga=1; Max-Age=34214400",
		"_ga=1; Max-Age=-99999999999999999999":                           "_ga=1; Max-Age=-99999999999999999999",
		"_ga=1; Max-Age=3600; Path=/":                                    "_ga=1; Max-Age=3600; Path=/",
		"_ga=1; Path=/":                                                  "_ga=1; Path=/",
		"_ga=\"a; b\"; Expires=Sat, 01 Jan 2028 00:00:00 GMT":            "_ga=\"a; b\"; Expires=Wed, 03 Mar 2027 12:00:00 GMT",
		"_ga=1; Expires=Sat, 01-Jan-2028 00:00:00 GMT; HttpOnly":         "_ga=1; Expires=Wed, 03 Mar 2027 12:00:00 GMT; HttpOnly",
		"_ga=1; Expires=Sun, 01 Feb 2026 00:00:00 GMT; Max-Age=x":        "_ga=1; Expires=Sun, 01 Feb 2026 00:00:00 GMT; Max-Age=x",
		"max-age=63072000; Path=/":                                       "max-age=63072000; Path=/",
		"_ga=1; Max-Age=63072000; Expires=Sat, 01 Jan 2028 00:00:00 GMT": "_ga=1; Max-Age=34214400; Expires=Wed, 03 Mar 2027 12:00:00 GMT",
	} {
		if got := l.clamp(in, now); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
	for _, bad := range []string{"", "13", "months", "0 days", "-1 days", "5 fortnights", "9999 days", "-3h"} {
		if _, err := parseLifetime(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	s := newSite(t, &Handler{MaxAge: "180 days"}, respond(200, "x", "Content-Type: text/plain", "Set-Cookie: _ga=1; Max-Age=63072000", "Set-Cookie: sid=1; Max-Age=63072000", "Set-Cookie: own=1; Max-Age=63072000"))
	a := s.get(t, yes)
	want := []string{"_ga=1; Max-Age=15552000", "sid=1; Max-Age=63072000", "own=1; Max-Age=63072000"}
	if got := a.Header["Set-Cookie"]; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCollectorsWaitForConsent(t *testing.T) {
	called := 0
	next := func(w http.ResponseWriter, r *http.Request) error {
		called++
		return respond(200, "taken", "Content-Type: text/plain")(w, r)
	}
	for _, tt := range []struct {
		name, req string
		lines     []string
		h         Handler
		blocked   bool
	}{
		{"a tag gateway's path", "POST /g/collect?v=2", nil, Handler{}, true},
		{"an analytics server of the site's own", "GET /matomo.php?idsite=1", nil, Handler{}, true},
		{"below a folder", "POST /_vercel/insights/view", nil, Handler{}, true},
		{"in other words", "GET /x/../g/./collect", nil, Handler{}, true},
		{"with an escaped letter", "GET /g/%63ollect", nil, Handler{}, true},
		{"a page whose name begins alike", "GET /g/collection", nil, Handler{}, false},
		{"the same path deeper", "GET /help/g/collect", nil, Handler{}, false},
		{"once it is allowed", "POST /g/collect", []string{"Cookie: consent=v1:statistics"}, Handler{}, false},
		{"a path of the configuration", "POST /metrics/x", nil, Handler{Collectors: map[string][]string{"statistics": {"/metrics/"}}}, true},
		{"next to it", "POST /metrics-page", nil, Handler{Collectors: map[string][]string{"statistics": {"/metrics"}}}, false},
		{"in shadow mode", "POST /g/collect", nil, Handler{Mode: "shadow"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			called = 0
			s := newSite(t, &tt.h, next)
			s.host = "shop.example"
			a := s.get(t, append([]string{tt.req}, tt.lines...)...)
			if tt.blocked != (called == 0) || tt.blocked && (a.StatusCode != 204 || a.Header.Get("Cache-Control") != "no-store") {
				t.Errorf("status %d, %s, upstream called %d times", a.StatusCode, a.Header.Get("Cache-Control"), called)
			}
			logged := s.logs.FilterMessage("collector").Len()
			if want := tt.blocked || tt.h.Mode == "shadow"; (logged == 1) != want {
				t.Errorf("%d log lines", logged)
			}
		})
	}
	t.Run("a host that is a collector's by its name", func(t *testing.T) {
		called = 0
		s := newSite(t, &Handler{Block: map[string][]string{"statistics": {"metrics.shop.example"}}}, next)
		s.host = "metrics.shop.example"
		if a := s.get(t, "GET /anything"); a.StatusCode != 204 || called != 0 {
			t.Errorf("status %d", a.StatusCode)
		}
	})
}

func TestHeadersThatReport(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  map[string]string
	}{
		{"an endpoint of another company", []string{`Reporting-Endpoints: a="https://www.google-analytics.com/r", b="/own"`}, map[string]string{"Reporting-Endpoints": `b="/own"`}},
		{"an endpoint in a list", []string{`Reporting-Endpoints: b="/own", a=("https://www.google-analytics.com/r" "/b")`}, map[string]string{"Reporting-Endpoints": `b="/own"`}},
		{"endpoints of the site", []string{`Reporting-Endpoints: a="/own",  b="https://log.shop.example/r"`}, map[string]string{"Reporting-Endpoints": `a="/own",  b="https://log.shop.example/r"`}},
		{"a group and the error log that names it", []string{`Report-To: {"group":"g","max_age":1,"endpoints":[{"url":"https://www.google-analytics.com/r"}]}`, `NEL: {"report_to":"g","max_age":1}`},
			map[string]string{"Report-To": noGroups, "Nel": noErrorLogging}},
		{"a group of the site", []string{`Report-To: {"group":"g","max_age":1,"endpoints":[{"url":"https://shop.example/r"}]}`, `NEL: {"report_to":"g","max_age":1}`},
			map[string]string{"Nel": `{"report_to":"g","max_age":1}`}},
		{"reports of a policy to another company", []string{`Content-Security-Policy: img-src 'none'; Report-URI https://www.google-analytics.com/r /own; base-uri 'self', report-uri https://www.google-analytics.com/r`},
			map[string]string{"Content-Security-Policy": `img-src 'none'; Report-URI /own; base-uri 'self',`}},
		{"a policy that does nothing but report", []string{`Content-Security-Policy-Report-Only: report-uri https://www.google-analytics.com/r`}, map[string]string{"Content-Security-Policy-Report-Only": ""}},
		{"reports of a policy to the site", []string{`Content-Security-Policy: img-src  'none';report-uri /r;`}, map[string]string{"Content-Security-Policy": `img-src  'none';report-uri /r;`}},
		{"a group with more in it", []string{`Report-To: {"group":"g","endpoints":[{"url":"https://www.google-analytics.com/r"},{"url":5}]}, 7`}, map[string]string{"Report-To": noGroups}},
		{"JSON with a comment", []string{`Report-To: /**/{"group":"g","endpoints":[{"url":"https://www.google-analytics.com/r"}]}`}, map[string]string{"Report-To": noGroups}},
		{"rules for what is fetched ahead", []string{`Speculation-Rules: "/own.json", "https://www.google-analytics.com/rules.json"`, `Speculation-Rules: "/a,b.json"`}, map[string]string{"Speculation-Rules": `"/a,b.json"`}},
		{"rules of the site", []string{`Speculation-Rules: "/own.json", "/a,b.json"`, `Speculation-Rules: "/c"`}, map[string]string{"Speculation-Rules": `"/own.json", "/a,b.json", "/c"`}},
		{"an escape in a string", []string{`Speculation-Rules: "http://shop.example\"@t.example/x"`, `Alt-Svc: h3="www.face\book.com:443"`}, map[string]string{"Speculation-Rules": "", "Alt-Svc": "clear"}},
		{"an escape in an endpoint", []string{`Reporting-Endpoints: a="https://shop.example\"@t.example/r", b="/own"`}, map[string]string{"Reporting-Endpoints": ""}},
		{"a string in two lines", []string{`Speculation-Rules: "http://shop.example`, `Speculation-Rules: @t.example/x"`}, map[string]string{"Speculation-Rules": ""}},
		{"a group in two lines", []string{`Report-To: {"group":"g","max_age":1`, `Report-To: "endpoints":[{"url":"https:\/\/www.google-analytics.com/r"}]}`}, map[string]string{"Report-To": noGroups}},
		{"alternatives without quotes", []string{"Alt-Svc: h2=www.google-analytics.com:443; ma=9", "Alt-Svc: h3=shop.example:443; ma=9", `Alt-Svc: h3=":443", h2 = www.google-analytics.com:443`}, map[string]string{"Alt-Svc": "h3=shop.example:443; ma=9"}},
		{"alternatives of other companies", []string{`Alt-Svc: h3=":443"; ma=9, h2="www.google-analytics.com:443"`, `Alt-Svc: h3=":443"; ma="9", h2="shop.example:443"`}, map[string]string{"Alt-Svc": `h3=":443"; ma="9", h2="shop.example:443"`}},
		{"a line that is no JSON", []string{`Report-To: {"group`}, map[string]string{"Report-To": noGroups}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &Handler{}, respond(200, doc, append(tt.lines, html)...))
			s.host = "shop.example"
			a := s.get(t)
			for k, want := range tt.want {
				if got := strings.Join(a.Header.Values(k), ", "); got != want {
					t.Errorf("%s: got %s, want %s", k, got, want)
				}
			}
		})
	}
}

func TestRedirectsOfPartsOfAPage(t *testing.T) {
	for _, tt := range []struct {
		name, dest, to string
		status         int
		line           string
	}{
		{"an image sent on to a tracker", "image", "https://www.facebook.com/tr?id=1", 204, ""},
		{"a script sent on to a tracker", "script", "//www.googletagmanager.com/gtm.js?id=GTM-X", 204, ""},
		{"an image of the site", "image", "/other.png", 302, ""},
		{"an image of a host with letters outside ASCII, which nobody blocks", "image", "https://vidéo.example/x.png", 302, ""},
		{"a tracker in letters outside ASCII", "image", "https://ｗｗｗ.facebook.com/tr?id=1", 204, ""},
		{"letters of another encoding", "image", "https://www.vid\xe9o.example/x.png", 204, ""},
		{"a visitor who goes there", "document", "https://www.facebook.com/tr?id=1", 302, ""},
		{"a client that does not say", "", "https://www.facebook.com/tr?id=1", 302, ""},
		{"speculation rules", "speculationrules", "https://www.facebook.com/rules.json", 204, ""},
		{"a page fetched ahead", "document", "https://www.facebook.com/tr?id=1", 503, "Sec-Purpose: prefetch;prerender"},
		{"a page that a link names to be fetched ahead", "empty", "https://www.facebook.com/tr?id=1", 503, "Sec-Purpose: prefetch"},
		{"a script of a page rendered ahead", "script", "https://cdn.unknown.example/a.js", 204, "Sec-Purpose: prefetch;prerender"},
		{"a page of the site fetched ahead", "document", "/other", 302, "Sec-Purpose: prefetch"},
		{"reports", "", "https://www.facebook.com/tr?id=1", 204, "Content-Type: application/reports+json"},
		{"speculation rules of the site", "speculationrules", "/rules.json", 302, ""},
		{"an image over plain HTTP, in Chromium", "", "https://www.facebook.com/tr?id=1", 204, "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"},
		{"an image over plain HTTP, in Firefox", "", "https://www.facebook.com/tr?id=1", 204, "Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"},
		{"a style sheet over plain HTTP", "", "https://www.facebook.com/tr.css", 204, "Accept: text/css,*/*;q=0.1"},
		{"a video over plain HTTP, in Firefox", "", "https://www.facebook.com/tr.webm", 204, "Accept: video/webm,video/ogg,video/*;q=0.9,application/ogg;q=0.7,audio/*;q=0.6,*/*;q=0.5"},
		{"a font over plain HTTP, in Firefox", "", "https://www.facebook.com/tr.woff2", 204, "Accept: application/font-woff2;q=1.0,application/font-woff;q=0.9,*/*;q=0.8"},
		{"an image of the site over plain HTTP", "", "/other.png", 302, "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"},
		{"a visitor who goes there over plain HTTP", "", "https://www.facebook.com/tr?id=1", 302, "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"},
		{"a client that wants an image", "", "https://www.facebook.com/tr?id=1", 302, "Accept: image/png"},
		{"a visitor who goes to what has a destination", "document", "https://www.facebook.com/tr?id=1", 302, "Accept: image/avif,image/webp,*/*;q=0.8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &Handler{}, respond(302, "gone", "Content-Type: text/plain", "Location: "+tt.to, "Set-Cookie: sid=1"))
			s.host = "shop.example"
			a := s.get(t, "Sec-Fetch-Dest: "+tt.dest, cmp.Or(tt.line, "Accept: */*"))
			if a.StatusCode != tt.status || (a.Header.Get("Location") == "") != (tt.status != 302) || len(a.Header["Set-Cookie"]) != 1 {
				t.Errorf("status %d, Location %s, cookies %q", a.StatusCode, a.Header.Get("Location"), a.Header["Set-Cookie"])
			}
		})
	}
}

// What a visitor has allowed is kept by no cache for others, nor for themselves after a withdrawal.
func TestCachesKeepNoRedirectThatNeedsConsent(t *testing.T) {
	for to, want := range map[string]string{"https://www.facebook.com/tr?id=1": "private, no-cache Cookie, Sec-GPC", "/other.png": "public, max-age=9 "} {
		s := newSite(t, &Handler{}, respond(301, "gone", "Content-Type: text/plain", "Cache-Control: public, max-age=9", "Location: "+to))
		s.host = "shop.example"
		a := s.get(t, "Sec-Fetch-Dest: image", "Cookie: consent=v1:preferences.statistics.marketing")
		if got := a.Header.Get("Cache-Control") + " " + strings.Join(a.Header.Values("Vary"), ", "); a.StatusCode != 301 || got != want {
			t.Errorf("%s: status %d, %s, want %s", to, a.StatusCode, got, want)
		}
	}
}

func TestSiteRulesOfCollectors(t *testing.T) {
	for path, want := range map[string]string{"metrics": "is not a path", "/": "is not a path", "/a?b": "is not a path", "/*": "is not a path"} {
		_, err := rules.NewSite(mustCatalogue(t), rules.SiteConfig{Collectors: map[string][]string{"statistics": {path}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func mustCatalogue(t *testing.T) *rules.Catalogue {
	t.Helper()
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	return cat
}
