package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What each kind of body that sites send becomes: rewritten, or left alone because browsers make nothing
// of markup in it.
func TestBodiesOfEveryKind(t *testing.T) {
	const xml = `<svg xmlns="http://www.w3.org/2000/svg"><image href="https://www.facebook.com/tr?id=1"/></svg>`
	for _, tt := range []struct {
		name, body string
		header     []string
		read       bool
	}{
		{"a fragment for htmx", `<div hx-get="/x"><img src="https://www.facebook.com/tr?id=1"></div>`, []string{html}, true},
		{"a stream for Turbo", `<turbo-stream action="append" target="m"><template><img src="https://www.facebook.com/tr?id=1"></template></turbo-stream>`, []string{"Content-Type: text/vnd.turbo-stream.html; charset=utf-8"}, true},
		{"an AMP page", `<!DOCTYPE html><html amp><amp-pixel src="x"></amp-pixel><img src="https://www.facebook.com/tr?id=1">`, []string{html}, true},
		{"a saved page", doc, []string{html, "Content-Disposition: attachment; filename=a.html"}, true},
		{"an svg document", xml, []string{"Content-Type: image/svg+xml"}, true},
		{"a document that Firefox reads as XML", xml, []string{"Content-Type: application/rdf+xml; charset=utf-8"}, true},
		{"another", xml, []string{"Content-Type: application/mathml+xml"}, true},
		{"a feed under the type of XML", `<?xml version="1.0"?><rss><x:img xmlns:x="http://www.w3.org/1999/xhtml" src="https://www.facebook.com/tr?id=1"/></rss>`, []string{"Content-Type: text/xml"}, true},
		{"a feed under its own type", doc, []string{"Content-Type: application/rss+xml"}, false},
		{"JSON", `{"html":"<img src=https://www.facebook.com/tr?id=1>"}`, []string{"Content-Type: application/json"}, false},
		{"React Flight", `0:["$","img",null,{"src":"https://www.facebook.com/tr?id=1"}]`, []string{"Content-Type: text/x-component"}, false},
		{"a PDF", "%PDF-1.7 https://www.facebook.com/tr?id=1", []string{"Content-Type: application/pdf"}, false},
		{"a download", doc, []string{"Content-Type: application/octet-stream", "Content-Disposition: attachment"}, false},
		{"pictures that replace one another", "--b\r\nContent-Type: text/html\r\n\r\n" + doc + "\r\n--b--", []string{"Content-Type: multipart/x-mixed-replace; boundary=b"}, false},
		{"a script", `new Image().src="https://www.facebook.com/tr?id=1"`, []string{"Content-Type: text/javascript"}, false},
		{"text", doc, []string{"Content-Type: text/plain"}, false},
	} {
		for _, status := range []int{200, 404, 500} {
			a := newSite(t, &Handler{}, respond(status, tt.body, append(tt.header, fmt.Sprint("Content-Length: ", len(tt.body)))...)).get(t)
			read := !strings.Contains(a.body, ` src="https://www.facebook`) && strings.Contains(a.body, "data-consent-") && !strings.Contains(a.body, ` href="https://www.facebook`)
			if a.StatusCode != status || read != tt.read || !tt.read && a.body != tt.body {
				t.Errorf("%s, %d: %d %s", tt.name, status, a.StatusCode, a.body)
			}
			if private := strings.Contains(a.Header.Get("Cache-Control"), "private"); private != tt.read {
				t.Errorf("%s: Cache-Control %q", tt.name, a.Header.Get("Cache-Control"))
			}
		}
	}
}

// Headers that make browsers fetch are taken out with what they name; those that only ask for hints stay.
func TestHeadersThatFetch(t *testing.T) {
	a := newSite(t, &Handler{}, respond(200, "<p>", html,
		`Speculation-Rules: "https://www.facebook.com/rules.json"`, `Speculation-Rules: "/rules.json"`,
		"Accept-CH: Sec-CH-UA-Model", "Critical-CH: Sec-CH-UA-Model", "Permissions-Policy: ch-ua-model=(self \"https://www.facebook.com\")",
		"Refresh: 3; url=https://www.facebook.com/tr?id=1")).get(t)
	for k, want := range map[string]string{
		"Speculation-Rules": `"/rules.json"`, "Accept-Ch": "Sec-CH-UA-Model", "Critical-Ch": "Sec-CH-UA-Model",
		"Permissions-Policy": `ch-ua-model=(self "https://www.facebook.com")`, "Refresh": "",
	} {
		if got := strings.Join(a.Header[k], "|"); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
}

// A compressed playlist that comes in many small pieces is not decoded for each of them.
func TestCompressedPlaylistInSmallPieces(t *testing.T) {
	var text strings.Builder
	text.WriteString(playlistOf("a.ts"))
	for i := range 20000 {
		fmt.Fprintf(&text, "%x.ts\n", i*i*i)
	}
	body := compress(t, "gzip", text.String())
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/x-mpegurl")
		w.Header().Set("Content-Encoding", "gzip")
		for piece := range slices.Chunk([]byte(body), 16) {
			_, _ = w.Write(piece)
		}
		return nil
	})
	n := testing.AllocsPerRun(1, func() {
		if a := s.get(t, "Sec-Fetch-Dest: video"); a.StatusCode != 200 {
			t.Errorf("status %d", a.StatusCode)
		}
	})
	if pieces := len(body) / 16; n > float64(5*pieces) {
		t.Errorf("%.0f allocations for %d pieces", n, pieces)
	}
}
