package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Style sheet files keep their caching unless they name what some visitors must not fetch.
func TestStyleSheetFiles(t *testing.T) {
	const (
		dirty  = `@import url("https://fonts.googleapis.com/css?family=Roboto");a{b:c}`
		clean  = `a{background:url(/own.png)}`
		cached = "public, max-age=31536000"
		inert  = `url("about:invalid#https://fonts`
	)
	var asked http.Header
	serve := func(body string) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			asked = r.Header.Clone()
			tag := fmt.Sprintf(`"%x"`, len(body))
			if r.Header.Get("If-None-Match") == tag {
				return respond(304, "", "Etag: "+tag, "Cache-Control: "+cached)(w, r)
			}
			return respond(200, body, "Content-Type: text/css", "Etag: "+tag, "Cache-Control: "+cached, fmt.Sprint("Content-Length: ", len(body)))(w, r)
		}
	}
	h := Handler{Block: map[string][]string{"marketing": {"fonts.googleapis.com"}}}
	style := []string{"GET /a.css", "Sec-Fetch-Dest: style", "Accept-Encoding: gzip"}

	t.Run("a clean one", func(t *testing.T) {
		h := h
		s := newSite(t, &h, serve(clean))
		for i := range 2 {
			a := s.get(t, style...)
			if a.body != clean || a.Header.Get("Cache-Control") != cached || a.Header.Get("Etag") == "" || a.ContentLength != int64(len(clean)) {
				t.Errorf("request %d: %s, %v", i+1, a.body, a.Header)
			}
			if got := asked.Get("Accept-Encoding"); (got == "gzip") != (i == 1) {
				t.Errorf("request %d asks for %q", i+1, got)
			}
		}
		if a := s.get(t, append(style, `If-None-Match: "1b"`)...); a.StatusCode != 304 || a.Header.Get("Cache-Control") != cached {
			t.Errorf("asked again: status %d, %v", a.StatusCode, a.Header)
		}
	})
	t.Run("one that names a third party", func(t *testing.T) {
		h := h
		s := newSite(t, &h, serve(dirty))
		for _, lines := range [][]string{style, style, append(style, yes), append(style, fmt.Sprintf(`If-None-Match: "%x"`, len(dirty)))} {
			a := s.get(t, lines...)
			all := strings.Contains(strings.Join(lines, " "), "v1:")
			if got := strings.Contains(a.body, inert); got == all {
				t.Errorf("%v: %s", lines, a.body)
			}
			if a.Header.Get("Cache-Control") != "private, no-cache" || strings.Join(a.Header["Vary"], ", ") != "Cookie, Sec-GPC" || a.Header.Get("Etag") == "" {
				t.Errorf("%v: %v", lines, a.Header)
			}
		}
		tag := s.get(t, style...).Header.Get("Etag")
		if a := s.get(t, append(style, "If-None-Match: "+tag)...); a.StatusCode != 304 {
			t.Errorf("its own variant asked again: status %d", a.StatusCode)
		}
		if a := s.get(t, append(style, yes, "If-None-Match: "+tag)...); a.StatusCode != 200 {
			t.Errorf("another visitor's variant: status %d", a.StatusCode)
		}
	})
	t.Run("whatever its type and status, as browsers use it", func(t *testing.T) {
		over := []string{"Accept: text/css,*/*;q=0.1"} // plain HTTP
		for _, tt := range []struct {
			lines     []string
			status    int
			header    string
			rewritten bool
		}{
			{style, 200, "Content-Type: text/plain", true}, {over, 200, "Content-Type: text/html", true}, {over, 200, "X-A: b", true}, {style, 200, "Content-Type: */*", true}, {style, 203, "Content-Type: text/css", true},
			{over, 300, "Content-Type: text/css", true}, {style, 206, "Content-Type: text/css", true}, {style, 404, "Content-Type: text/css", false}, {[]string{"Sec-Fetch-Dest: script"}, 200, "Content-Type: text/css", false},
		} {
			h := h
			a := newSite(t, &h, respond(tt.status, dirty, tt.header)).get(t, tt.lines...)
			if got := a.body != dirty; got != tt.rewritten {
				t.Errorf("%v: %q", tt, a.body)
			}
		}
	})
	t.Run("a page that is asked for as one is not kept", func(t *testing.T) {
		for _, status := range []int{200, 404} {
			for _, ct := range []string{"Content-Type: text/html", "Content-Type: image/svg+xml", "X-A: b"} {
				h := h
				a := newSite(t, &h, respond(status, doc, ct, `Etag: "a"`, "Cache-Control: public, max-age=9", "Last-Modified: Tue, 24 Nov 2026 00:00:00 GMT")).get(t, style...)
				if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Etag") != "" || a.Header.Get("Last-Modified") != "" || ct == "X-A: b" && a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
					t.Errorf("%d, %s: %v", status, ct, a.Header)
				}
			}
		}
	})
	t.Run("XSLT that Chromium asks for in the same words", func(t *testing.T) {
		h := h
		xslt := `<xsl:template><img src="https://fonts.googleapis.com/x"/></xsl:template>`
		a := newSite(t, &h, respond(200, "\n"+xslt, "Content-Type: text/xsl")).get(t, "Accept: text/css,*/*;q=0.1")
		if !strings.Contains(a.body, "data-consent-src") {
			t.Errorf("left: %s", a.body)
		}
	})
	t.Run("one longer than what is held", func(t *testing.T) {
		h := h
		long := strings.Repeat("a{b:c}", lookAhead/6+1) + dirty
		s := newSite(t, &h, serve(long))
		a := s.get(t, style...)
		if !strings.Contains(a.body, inert) || a.Header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%v", a.Header)
		}
	})
	t.Run("in shadow mode", func(t *testing.T) {
		h := h
		h.Mode = "shadow"
		s := newSite(t, &h, serve(dirty))
		if a := s.get(t, style...); a.body != dirty || a.Header.Get("Cache-Control") != cached || a.ContentLength != int64(len(dirty)) {
			t.Errorf("%s, %v", a.body, a.Header)
		}
	})
	t.Run("another version of the file", func(t *testing.T) {
		h := h
		body := clean
		s := newSite(t, &h, func(w http.ResponseWriter, r *http.Request) error { return serve(body)(w, r) })
		s.get(t, style...)
		body = dirty
		if a := s.get(t, style...); !strings.Contains(a.body, inert) {
			t.Errorf("%s", a.body)
		}
	})
}
