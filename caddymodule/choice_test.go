package caddymodule

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// post sends a choice as a browser's form does.
func (s *site) post(t *testing.T, form url.Values, lines ...string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.URL+"/.consent/choice", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		if v == "-" {
			req.Header.Del(k)
			continue
		}
		req.Header.Set(k, strings.ReplaceAll(v, "{host}", strings.TrimPrefix(s.URL, "http://")))
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return answer{Response: resp, body: string(body)}
}

func TestChoosing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		form   string
		lines  []string
		status int
		cookie string // prefix of the value
		to     string
	}{
		{"accept all", "decision=accept_all&return=/shop?a=1", nil, 303, "v1:preferences.statistics.marketing:", "/shop?a=1"},
		{"refuse all", "decision=reject_all", nil, 303, "v1:none:", "/"},
		{"some", "decision=custom&category=preferences&category=marketing", nil, 303, "v1:preferences.marketing:", "/"},
		{"none ticked", "decision=custom", nil, 303, "v1:none:", "/"},
		{"GPC keeps marketing off", "decision=accept_all", []string{"Sec-Gpc: 1"}, 303, "v1:preferences.statistics:", "/"},
		{"a foreign return", "decision=accept_all&return=https://evil.test/", nil, 303, "v1:", "/"},
		{"a protocol-relative return", "decision=accept_all&return=//evil.test/", nil, 303, "v1:", "/"},
		{"a backslash return", `decision=accept_all&return=/\evil.test/`, nil, 303, "v1:", "/"},
		{"a return with a tab", "decision=accept_all&return=/%09/evil.test/", nil, 303, "v1:", "/"},
		{"a return with a line break", "decision=accept_all&return=/a%0d%0aSet-Cookie:x", nil, 303, "v1:", "/"},
		{"no decision", "category=marketing", nil, 400, "", ""},
		{"an unknown category", "decision=custom&category=all", nil, 400, "", ""},
		{"from another site", "decision=accept_all", []string{"Sec-Fetch-Site: cross-site"}, 403, "", ""},
		{"from a sibling site", "decision=accept_all", []string{"Sec-Fetch-Site: same-site"}, 403, "", ""},
		{"Origin: null on the same origin", "decision=accept_all", []string{"Origin: null"}, 303, "v1:", "/"},
		{"an old browser, same origin", "decision=accept_all", []string{"Sec-Fetch-Site: -", "Origin: http://{host}"}, 303, "v1:", "/"},
		{"an old browser, other port", "decision=accept_all", []string{"Sec-Fetch-Site: -", "Origin: http://127.0.0.1:1"}, 403, "", ""},
		{"an old browser, other host", "decision=accept_all", []string{"Sec-Fetch-Site: -", "Origin: https://evil.test"}, 403, "", ""},
		{"neither header", "decision=accept_all", []string{"Sec-Fetch-Site: -"}, 403, "", ""},
		{"another form type", "decision=accept_all", []string{"Content-Type: text/plain"}, 415, "", ""},
		{"a huge form", "decision=accept_all&x=" + strings.Repeat("a", maxForm), nil, 400, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &Handler{}, nil)
			form, _ := url.ParseQuery(tt.form)
			a := s.post(t, form, tt.lines...)
			if a.StatusCode != tt.status || a.Header.Get("Location") != tt.to {
				t.Fatalf("got %d to %q, want %d to %q: %s", a.StatusCode, a.Header.Get("Location"), tt.status, tt.to, a.body)
			}
			c := a.Header.Get("Set-Cookie")
			if tt.cookie == "" {
				if c != "" || s.logs.Len() != 0 {
					t.Errorf("a refused post sets %q", c)
				}
				return
			}
			if !strings.HasPrefix(c, "consent="+tt.cookie) || !strings.Contains(c, "; Path=/; Max-Age=15552000; HttpOnly; SameSite=Lax") || strings.Contains(c, "Secure") {
				t.Errorf("cookie %q", c)
			}
			if s.logs.FilterMessage("choice").Len() != 1 {
				t.Error("no log line for the choice")
			}
			if strings.Contains(a.Header.Get("Cache-Control"), "no-store") == false {
				t.Error("the answer may be cached")
			}
		})
	}
}

func TestChoicePage(t *testing.T) {
	s := newSite(t, &Handler{}, nil)
	a := s.get(t, "GET /.consent/?return=/a%22b")
	for _, want := range []string{`<html lang="en">`, "<main>", `value="accept_all"`, `value="reject_all"`, `value="custom"`, `name="category" value="marketing"`, "You have not chosen yet", `<label for="statistics">`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(a.body, `value="marketing" checked`) || strings.Contains(a.body, "<script") || a.Header.Get("Set-Cookie") != "" || strings.Contains(a.body, `/a"b`) {
		t.Errorf("pre-ticked, scripted, unescaped or setting a cookie: %s", a.body)
	}
	if a = s.get(t, "GET /.consent/", yes, "Sec-GPC: 1"); !strings.Contains(a.body, "Opt-Out Request Honored") || !strings.Contains(a.body, `value="marketing" disabled`) || !strings.Contains(a.body, `value="statistics" checked`) {
		t.Errorf("GPC does not show: %s", a.body)
	}
	for _, tt := range []struct {
		req    string
		status int
	}{{"GET /.consent", 308}, {"HEAD /.consent/", 200}, {"POST /.consent/", 405}, {"GET /.consent/choice", 405}, {"GET /.consent/nothing", 404}} {
		if a := s.get(t, tt.req); a.StatusCode != tt.status || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d", tt.req, a.StatusCode)
		}
	}
}
