package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

const sitePolicy = "default-src 'self'; script-src 'nonce-abc' 'strict-dynamic'"

func policied(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Security-Policy", sitePolicy)
	if strings.HasSuffix(r.URL.Path, ".json") {
		w.Header().Set("Content-Type", "application/json")
	}
	_, err := io.WriteString(w, "<p>x")
	return err
}

func TestSecondLayer(t *testing.T) {
	const enforced, reported = "Content-Security-Policy", "Content-Security-Policy-Report-Only"
	allow := []string{"cdn.partner.example", "partner.example"}
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprintf("host%d.partner.example", i)
	}
	for _, tt := range []struct {
		name   string
		h      Handler
		req    []string
		header string // that carries the policy, "" for none
		has    []string
		hasNot []string
	}{
		{"off", Handler{}, nil, "", nil, nil},
		{"report, with every setting", Handler{CSP: "report", Unclassified: "allow", Allow: allow}, nil, reported,
			[]string{"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ", " shop.example:* *.shop.example:*", " partner.example:* *.partner.example:*", "; report-uri /.consent/report?g=none"},
			[]string{"cdn.partner", "nonce", "report-to", "youtube"}},
		{"enforce", Handler{CSP: "enforce", Unclassified: "block", FirstParty: []string{"shop-static.example"}}, nil, enforced,
			[]string{" shop-static.example:* *.shop-static.example:*"}, nil},
		{"enforce for a visitor who refused", Handler{CSP: "enforce", Unclassified: "block"}, []string{"Cookie: consent=v1:none"}, enforced, []string{"?g=none"}, nil},
		{"an exception names its hosts", Handler{CSP: "enforce", Unclassified: "block"}, []string{"Cookie: consent=v1:+youtube"}, enforced,
			[]string{" youtube.com:* *.youtube.com:*", "?g=%2Byoutube"}, nil},
		{"a named service that is allowed", Handler{CSP: "enforce", Unclassified: "block", Services: map[string]string{"youtube": "necessary"}}, nil, enforced, []string{" youtube.com:*"}, nil},
		{"a named service that is not", Handler{CSP: "enforce", Unclassified: "block", Services: map[string]string{"youtube": "preferences"}}, nil, enforced, nil, []string{"youtube"}},
		{"a block line that is granted", Handler{CSP: "report", Block: map[string][]string{"statistics": {"count.example"}}}, []string{"Cookie: consent=v1:statistics"}, reported, []string{"?g=statistics"}, []string{"count.example"}},
		{"enforce for a visitor who allows more than can be named", Handler{CSP: "enforce", Unclassified: "block"}, []string{"Cookie: consent=v1:statistics"}, "", nil, nil},
		{"enforce with more hosts than can be named", Handler{CSP: "enforce", Unclassified: "block", Allow: many}, nil, "", nil, nil},
		{"report for a visitor who allows more than can be named", Handler{CSP: "report"}, []string{"Cookie: consent=v1:statistics"}, reported, []string{"?g=statistics"}, nil},
		{"everything allowed", Handler{CSP: "enforce", Unclassified: "block"}, []string{yes}, "", nil, nil},
		{"everything allowed leaves nothing to report", Handler{CSP: "report"}, []string{yes}, "", nil, nil},
		{"shadow changes nothing", Handler{CSP: "report", Mode: "shadow"}, nil, "", nil, nil},
		{"no document", Handler{CSP: "report"}, []string{"GET /x.json"}, "", nil, nil},
		{"HEAD like GET", Handler{CSP: "report"}, []string{"HEAD /"}, reported, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &tt.h, policied)
			s.host = "shop.example"
			a := s.get(t, tt.req...)
			if lines := a.Header[enforced]; len(lines) == 0 || lines[0] != sitePolicy {
				t.Errorf("the site's own policy has become %q", lines)
			}
			got := append(append([]string{}, a.Header[enforced][1:]...), a.Header[reported]...)
			if tt.header == "" {
				if len(got) > 0 {
					t.Errorf("a policy is sent: %q", got)
				}
				return
			}
			if len(got) != 1 || a.Header[tt.header] == nil || !strings.Contains(got[0], cspSources) {
				t.Fatalf("got %q in %v", got, a.Header)
			}
			if len(got[0]) > 4096 {
				t.Errorf("the policy has %d bytes", len(got[0]))
			}
			for _, w := range tt.has {
				if !strings.Contains(got[0], w) {
					t.Errorf("%s lacks %s", got[0], w)
				}
			}
			for _, w := range tt.hasNot {
				if strings.Contains(got[0], w) {
					t.Errorf("%s has %s", got[0], w)
				}
			}
		})
	}
}

// A host that the client made up ends no directive.
func TestSecondLayerEscapesTheHost(t *testing.T) {
	for _, host := range []string{"a;script-src *", "a,b", "*", "a b", "[::1]"} {
		var b strings.Builder
		if writeSource(&b, host); b.Len() > 0 {
			t.Errorf("%q gives %q", host, b.String())
		}
	}
}

func TestEnforceLeavesOutOnceIsLogged(t *testing.T) {
	s := newSite(t, &Handler{CSP: "enforce", Unclassified: "block"}, policied)
	for range 3 {
		s.get(t, "Cookie: consent=v1:statistics")
	}
	if n := s.logs.FilterLevelExact(zapcore.WarnLevel).Len(); n != 1 || s.h.counters.snapshot().CSP["left_out"] != 3 {
		t.Errorf("%d warnings, counted %v", n, s.h.counters.snapshot().CSP)
	}
}

// On HTTPS browsers are told both ways of reporting.
func TestReportingEndpointOnHTTPS(t *testing.T) {
	h := &Handler{CSP: "report"}
	s := newSite(t, h, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Reporting-Endpoints", `own="/reports"`)
		return policied(w, r)
	})
	s.trusted = true
	a := s.get(t, "X-Forwarded-Proto: https")
	if got := a.Header["Reporting-Endpoints"]; len(got) != 2 || got[0] != `own="/reports"` || got[1] != `caddy-consent="/.consent/report?g=none"` {
		t.Errorf("got %q", got)
	}
	if got := a.Header.Get("Content-Security-Policy-Report-Only"); !strings.HasSuffix(got, "; report-to caddy-consent") {
		t.Errorf("got %q", got)
	}
}

const (
	cspReport    = "Content-Type: application/csp-report"
	reportingAPI = "Content-Type: application/reports+json"
)

// report posts a report in the older form.
func (s *site) report(t *testing.T, path, blocked, directive string, lines ...string) answer {
	t.Helper()
	body := fmt.Sprintf(`{"csp-report":{"document-uri":%q,"blocked-uri":%q,"effective-directive":%q,"disposition":"report"}}`, s.URL+"/shop?mail=a@b.example", blocked, directive)
	return s.send(t, path, body, append([]string{cspReport, "Sec-Fetch-Site: same-origin"}, lines...)...)
}

func TestReports(t *testing.T) {
	for _, tt := range []struct {
		name, path, blocked, directive string
		result                         string
		fields                         map[string]any
	}{
		{"a known service that a bundle inserted", "?g=none", "https://cdn.aircall.io/c2c/x.js?user=1", "script-src-elem", "leak",
			map[string]any{"leak_host": "cdn.aircall.io", "action": "block", "service": "aircall", "category": "preferences", "directive": "script-src-elem", "path": "/shop", "stopped": false}},
		{"the same under consent that the page was sent with", "?g=preferences", "https://cdn.aircall.io/c2c/x.js", "script-src-elem", "unnamed",
			map[string]any{"action": "keep", "settle": "service aircall preferences"}},
		{"an exception", "?g=%2Baircall", "https://cdn.aircall.io/c2c/x.js", "script-src-elem", "unnamed", map[string]any{"service": "aircall"}},
		{"a host that nobody knows", "?g=none", "https://unknown.example", "script-src-elem", "leak", map[string]any{"rule": "unclassified", "settle": "allow unknown.example"}},
		{"a passive one that passes by the default", "?g=none", "https://unknown.example/x.png", "img-src", "unnamed", map[string]any{"action": "keep", "settle": "allow unknown.example"}},
		{"a beacon", "?g=none", "https://region1.google-analytics.com/g/collect", "connect-src", "leak", map[string]any{"category": "statistics"}},
		{"the site itself", "?g=none", "{url}/x.js", "script-src-elem", "ignored", nil},
		{"inline", "?g=none", "inline", "script-src-elem", "ignored", nil},
		{"an unknown directive", "?g=none", "https://unknown.example/", "x-src", "ignored", nil},
		{"no grants", "", "https://cdn.aircall.io/c2c/x.js", "script-src-elem", "leak", nil},
		{"damaged grants", "?g=all", "https://cdn.aircall.io/c2c/x.js", "script-src-elem", "leak", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &Handler{CSP: "report"}, nil)
			a := s.report(t, "/.consent/report"+tt.path, strings.ReplaceAll(tt.blocked, "{url}", s.URL), tt.directive)
			if a.StatusCode != 204 || s.h.counters.snapshot().Reports[tt.result] != 1 {
				t.Fatalf("%d, counted %v", a.StatusCode, s.h.counters.snapshot().Reports)
			}
			lines := s.logs.FilterMessage("leak").All()
			if logged := tt.result != "ignored"; logged != (len(lines) == 1) {
				t.Fatalf("%d lines", len(lines))
			}
			if len(lines) == 1 {
				got := lines[0].ContextMap()
				for k, want := range tt.fields {
					if got[k] != want {
						t.Errorf("%s is %v, want %v", k, got[k], want)
					}
				}
				if text := fmt.Sprint(got); strings.Contains(text, "user=1") || strings.Contains(text, "b.example") || strings.Contains(text, "127.0.0.1:0") {
					t.Errorf("a query is logged: %s", text)
				}
			}
		})
	}
}

// What anybody can send is refused, or does no harm.
func TestHostileReports(t *testing.T) {
	ok := `{"csp-report":{"document-uri":"{url}/","blocked-uri":"https://x.example/","effective-directive":"img-src"}}`
	for _, tt := range []struct {
		name, body string
		lines      []string
		status     int
		result     string
	}{
		{"from another site", ok, []string{cspReport, "Sec-Fetch-Site: cross-site"}, 403, "refused"},
		{"as a form", ok, []string{"Content-Type: text/plain"}, 415, "refused"},
		{"without a type", ok, nil, 415, "refused"},
		{"too large", `{"csp-report":{"document-uri":"` + strings.Repeat("x", maxReportBody) + `"}}`, []string{cspReport}, 413, "refused"},
		{"no JSON", "<xml/>", []string{cspReport}, 400, "refused"},
		{"another JSON", "[]", []string{cspReport}, 400, "refused"},
		{"nothing inside", "{}", []string{cspReport}, 400, "refused"},
		{"an object for a list", ok, []string{reportingAPI}, 400, "refused"},
		{"an empty list", "[]", []string{reportingAPI}, 204, ""},
		{"another type of report", `[{"type":"deprecation","url":"{url}/"}]`, []string{reportingAPI}, 204, ""},
		{"of another site's page", strings.ReplaceAll(ok, "{url}", "https://evil.example"), []string{cspReport}, 204, "ignored"},
		{"of no page", strings.ReplaceAll(ok, "{url}/", ":"), []string{cspReport}, 204, "ignored"},
		{"in the newer form", `[{"type":"csp-violation","url":"{url}/a","body":{"blockedURL":"https://cdn.aircall.io/","effectiveDirective":"script-src-elem","disposition":"enforce"}}]`, []string{reportingAPI}, 204, "leak"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &Handler{CSP: "report"}, nil)
			a := s.send(t, "/.consent/report", strings.ReplaceAll(tt.body, "{url}", s.URL), tt.lines...)
			n := s.h.counters.snapshot().Reports
			if a.StatusCode != tt.status || tt.result != "" && n[tt.result] != 1 || tt.result == "" && len(n) != 0 {
				t.Errorf("%d, counted %v", a.StatusCode, n)
			}
		})
	}
	s := newSite(t, &Handler{CSP: "report"}, nil)
	one := `{"type":"csp-violation","url":"` + s.URL + `/","body":{"blockedURL":"https://x.example/","effectiveDirective":"img-src"}},`
	s.send(t, "/.consent/report", "["+strings.TrimSuffix(strings.Repeat(one, maxReports+20), ",")+"]", reportingAPI)
	if n := s.h.counters.snapshot().Reports["unnamed"]; n != maxReports {
		t.Errorf("%d reports of one post are read", n)
	}
	if n := s.logs.FilterMessage("leak").Len(); n != 1 {
		t.Errorf("%d lines for one leak", n)
	}
}

// The log is bounded whatever is posted; nothing that was seen is lost from the counts.
func TestLeakLogIsBounded(t *testing.T) {
	now := time.Unix(1764000000, 0)
	l := newLeakLog()
	l.now = func() time.Time { return now }
	a := leak{"a.example", "img-src", 0}
	if got := [3]int{l.note(a), l.note(a), l.note(a)}; got != [3]int{1, 0, 0} {
		t.Errorf("got %v", got)
	}
	now = now.Add(leakPause)
	if n := l.note(a); n != 3 {
		t.Errorf("after the pause %d reports are logged, want 3", n)
	}
	lines := 0
	for i := range 10 * maxLeaks {
		if l.note(leak{fmt.Sprintf("h%d.example", i), "img-src", 0}) > 0 {
			lines++
		}
		if len(l.seen) > maxLeaks {
			t.Fatalf("%d leaks are kept", len(l.seen))
		}
	}
	if lines > 50 {
		t.Errorf("%d lines at once", lines)
	}
}
