package caddymodule

import (
	"strings"
	"testing"
)

func TestBridge(t *testing.T) {
	const page = `<!DOCTYPE html><html><head><meta charset="utf-8"><title>x</title></head><img src="https://www.facebook.com/tr?id=1">`
	const tag = `<head><script src="/.consent/bridge.js"></script><meta`
	s := newSite(t, &Handler{Bridge: "on"}, respond(200, page, html))
	s.host = "shop.example"
	form := []string{"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"}
	for _, cookie := range []string{"", "Cookie: consent_bridge=v1:marketing", yes} {
		a := s.get(t, "GET /")
		if cookie != "" {
			a = s.get(t, "GET /", cookie)
		}
		if strings.Count(a.body, "bridge.js") != 1 || !strings.Contains(a.body, tag) {
			t.Errorf("%s: the script stands not once in the head: %s", cookie, a.body)
		}
		if got := strings.Contains(a.body, blockedBy); got != (cookie == "") {
			t.Errorf("%s: blocked %v", cookie, got)
		}
	}
	if a := s.get(t, "GET /.consent/bridge.js"); a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/javascript") || !strings.Contains(a.body, "__tcfapi") {
		t.Errorf("script: status %d, %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
	for _, tt := range []struct {
		name, body string
		lines      []string
		status     int
		cookie     string
	}{
		{"more is allowed: the page loads again", "allow=statistics", form, 205, "v1:statistics:"},
		{"nothing is", "allow=none", form, 204, "v1:none:"},
		{"the same as before", "allow=statistics", append(form, "Cookie: consent_bridge=v1:statistics:1"), 204, ""},
		{"less than before", "allow=none", append(form, "Cookie: consent_bridge=v1:statistics:1"), 204, "v1:none:"},
		{"GPC keeps marketing off", "allow=marketing", append(form, "Sec-GPC: 1"), 204, "v1:marketing:"},
		{"another word", "allow=everything", form, 400, ""},
		{"no word", "", form, 400, ""},
		{"from another site", "allow=statistics", []string{form[0], "Sec-Fetch-Site: cross-site"}, 403, ""},
		{"another form", "allow=statistics", []string{"Content-Type: text/plain", form[1]}, 415, ""},
		{"too long", "allow=" + strings.Repeat("statistics.", 100), form, 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.send(t, "/.consent/bridge", tt.body, tt.lines...)
			got := a.Header.Get("Set-Cookie")
			if a.StatusCode != tt.status || !strings.HasPrefix(got, "consent_bridge="+tt.cookie) != (tt.cookie == "") || got != "" && !strings.Contains(got, "HttpOnly") {
				t.Errorf("status %d, %s", a.StatusCode, got)
			}
		})
	}
	off := newSite(t, &Handler{}, respond(200, page, html))
	if a := off.send(t, "/.consent/bridge", "allow=statistics", form...); a.StatusCode != 404 {
		t.Errorf("a site without it: status %d", a.StatusCode)
	}
	if a := off.get(t, "Cookie: consent_bridge=v1:marketing"); !strings.Contains(a.body, blockedBy) {
		t.Error("a site without it takes the cookie")
	}
}
