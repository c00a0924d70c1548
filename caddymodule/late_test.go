package caddymodule

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// A header that waits for the body does not take along what came as trailers.
func TestTrailersOfWhatWaits(t *testing.T) {
	for _, contentType := range [][]string{{"text/css"}, nil} {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h["Content-Type"] = contentType
			h.Set("Trailer", "Link, Refresh, Set-Cookie, Location, X-Sum")
			_, _ = io.WriteString(w, "p{}")
			h.Set("Link", "<https://www.facebook.com/tr.js>; rel=preload; as=script")
			h.Set("Refresh", "0;url=https://www.facebook.com/")
			h.Set("Set-Cookie", "_ga=1")
			h.Set("Location", "https://www.facebook.com/")
			h.Set("X-Sum", "1")
		}))
		defer up.Close()
		u, err := url.Parse(up.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(u)
		s := newSite(t, &Handler{}, func(w http.ResponseWriter, r *http.Request) error {
			proxy.ServeHTTP(w, r)
			return nil
		})
		a := s.get(t, "GET /a.css", "Sec-Fetch-Dest: style")
		for _, k := range []string{"Link", "Refresh", "Set-Cookie", "Location"} {
			if v := a.Header[k]; len(v) > 0 {
				t.Errorf("%q: %s left: %q", contentType, k, v)
			}
		}
		if a.body != "p{}" || a.Trailer.Get("X-Sum") != "1" {
			t.Errorf("%q: %q with trailers %v", contentType, a.body, a.Trailer)
		}
	}
}

// waiting is a writer whose header waits for the body, as that of encode does.
type waiting struct {
	http.ResponseWriter
	status int
}

func (w *waiting) WriteHeader(status int) { w.status = status }

// What is set behind a header that a writer outside holds is filtered, too.
func TestHeaderThatWaitsOutside(t *testing.T) {
	s := newSite(t, &Handler{}, nil)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		rec := httptest.NewRecorder()
		w := &waiting{ResponseWriter: rec}
		r := httptest.NewRequest(method, "/", nil)
		rw := &responseWriter{inner: w, h: s.h, r: r, url: r.URL, policy: s.h.site().For(s.h.readState(r).Grants), page: s.h.page(r), rec: &record{h: s.h, r: r}}
		rw.Header().Set("Content-Type", "text/plain")
		rw.WriteHeader(http.StatusOK)
		rw.Header().Set("Link", "<https://www.facebook.com/tr.js>; rel=preload; as=script")
		if rw.finish() || w.status != http.StatusOK {
			t.Fatal("no answer")
		}
		if v := rec.Header().Get("Link"); v != "" {
			t.Errorf("%s: Link left: %q", method, v)
		}
	}
}
