package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A document that names no encoding stays as it is as a page of its own; in a frame a page may lend it UTF-16.
func TestDocumentsInFramesOfAnotherEncoding(t *testing.T) {
	before := lent.Swap(false)
	t.Cleanup(func() { lent.Store(before) })
	doc := "\x00<\x00i\x00m\x00g\x00>"
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Etag", `"a"`)
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Type", "text/html; charset=utf-16be")
			_, err := io.WriteString(w, strings.ReplaceAll(doc, "\x00m\x00g", "\x00f\x00r\x00a\x00m\x00e"))
			return err
		}
		_, err := io.WriteString(w, doc)
		return err
	})
	same := func(want bool, lines ...string) {
		t.Helper()
		if got := s.get(t, lines...).body; (got == doc) != want || strings.Contains(got, "\x00") != want {
			t.Errorf("%q: got %q", lines, got)
		}
	}
	same(true, "GET /doc")
	same(true, "GET /doc", "Sec-Fetch-Dest: document")
	same(false, "GET /doc", "Sec-Fetch-Dest: iframe")
	same(false, "GET /doc", "Sec-Fetch-Dest: object")
	same(true, "GET /doc")
	own, framed := s.get(t, "GET /doc", "Sec-Fetch-Dest: document"), s.get(t, "GET /doc", "Sec-Fetch-Dest: iframe")
	if own.Header.Get("Etag") == framed.Header.Get("Etag") {
		t.Errorf("both have the entity tag %s", own.Header.Get("Etag"))
	}
	s.get(t, "GET /page")
	same(false, "GET /doc")
	same(true, "GET /doc", "Sec-Fetch-Dest: document")
}
