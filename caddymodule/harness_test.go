package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// site is a handler under test in a real server, in front of next.
type site struct {
	*httptest.Server
	h       *Handler
	next    caddyhttp.HandlerFunc
	logs    *observer.ObservedLogs
	host    string // of requests, if not the server's address
	trusted bool   // requests come through a trusted proxy
}

func newSite(t *testing.T, h *Handler, next caddyhttp.HandlerFunc) *site {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Cleanup() })
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	h.logger = zap.New(core)
	s := &site{h: h, next: next, logs: logs}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repl := caddy.NewReplacer()
		r = caddyhttp.PrepareRequest(r, repl, w, nil)
		caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, s.trusted)
		if err := h.ServeHTTP(w, r, next); err != nil {
			status := http.StatusInternalServerError
			var he caddyhttp.HandlerError
			if errors.As(err, &he) {
				status = he.StatusCode
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "error page")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// answer is a response as it came over the wire.
type answer struct {
	*http.Response
	body string
	err  error // of reading the body
}

// get requests "/" with header lines "Name: value" added; the first may be "METHOD path".
func (s *site) get(t *testing.T, lines ...string) answer {
	t.Helper()
	method, path := http.MethodGet, "/"
	if len(lines) > 0 && !strings.Contains(lines[0], ": ") {
		method, path, _ = strings.Cut(lines[0], " ")
		lines = lines[1:]
	}
	req, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, req, lines)
}

// send posts a body.
func (s *site) send(t *testing.T, path, body string, lines ...string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, req, lines)
}

// do sends a request with header lines added.
func (s *site) do(t *testing.T, req *http.Request, lines []string) answer {
	t.Helper()
	if s.host != "" {
		req.Host = s.host
	}
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		req.Header.Add(k, v)
	}
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return answer{err: err, Response: &http.Response{Header: http.Header{}}}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(bufio.NewReader(resp.Body))
	return answer{Response: resp, body: string(body), err: err}
}

// outcome returns the outcome of the last log line.
func (s *site) outcome() string {
	all := s.logs.FilterMessage("response").All()
	if len(all) == 0 {
		return ""
	}
	v, _ := all[len(all)-1].ContextMap()["outcome"].(string)
	return v
}
