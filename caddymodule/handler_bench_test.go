package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// sinkWriter takes responses and keeps nothing.
type sinkWriter struct{ header http.Header }

func (s *sinkWriter) Header() http.Header         { return s.header }
func (s *sinkWriter) WriteHeader(int)             {}
func (s *sinkWriter) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkServe is what the handler adds to a request beside reading a page, without a log. The first is
// the request without the handler.
func BenchmarkServe(b *testing.B) {
	h := new(Handler)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := h.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = h.Cleanup() }()
	h.logger = zap.NewNop()
	page := []byte("<!DOCTYPE html><title>x</title><p>one")
	cookie := fmt.Sprintf("consent=v1:preferences.statistics.marketing:%d; session=1", time.Now().Unix())
	for _, bench := range []struct{ name, cookie, accept, contentType string }{
		{"without", cookie, "text/html", "text/html; charset=utf-8"},
		{"allowed", cookie, "text/html", "text/html; charset=utf-8"},
		{"undecided", "session=1", "text/html", "text/html; charset=utf-8"},
		{"image", "session=1", "image/png", "image/png"},
	} {
		next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			w.Header()["Content-Type"] = []string{bench.contentType}
			_, err := w.Write(page)
			return err
		})
		b.Run(bench.name, func(b *testing.B) {
			w := &sinkWriter{http.Header{}}
			original := httptest.NewRequest("GET", "/", nil)
			original.Header = http.Header{"Accept": {bench.accept}, "Cookie": {bench.cookie}, "User-Agent": {"x"}, "Accept-Encoding": {"gzip"}}
			server := new(caddyhttp.Server)
			serve := func(r *http.Request) error { return h.ServeHTTP(w, r, next) }
			if bench.name == "without" {
				serve = func(r *http.Request) error { return next(w, r) }
			}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				if err := serve(caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, server)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
