package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// serveConnect passes a tunnel on: a websocket over HTTP/2 or 3 (RFC 8441, RFC 9220), whose cookies are
// filtered like any other's, or one of a forward proxy. Its answer goes out at once and is never wrapped
// in what could hold it.
func (h *Handler) serveConnect(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, page *rules.Page, policy *rules.Policy, state consent.State) error {
	rec := &record{h: h, r: r, state: state}
	rw := &responseWriter{inner: w, h: h, r: r, rec: rec, policy: policy, page: page}
	if h.shadow {
		rw.scrubCookies(r.Header["Cookie"])
	} else if lines := r.Header["Cookie"]; len(lines) > 0 {
		defer func() { r.Header["Cookie"] = lines }()
		if out := rw.scrubCookies(lines); len(out) > 0 {
			r.Header["Cookie"] = out
		} else {
			delete(r.Header, "Cookie")
		}
	}
	rec.outcome = "passed:connect"
	t := &tunnelWriter{ResponseWriter: w, filter: rw}
	err := next.ServeHTTP(t, r)
	rec.log(t.status)
	return err
}

// tunnelWriter filters the header of a tunnel's answer as it goes out.
type tunnelWriter struct {
	http.ResponseWriter
	filter *responseWriter
	status int // of the final header, 0 before
}

// WriteHeader filters the header and sends it.
func (t *tunnelWriter) WriteHeader(status int) {
	if t.status != 0 {
		return
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		t.status = status
	}
	t.filter.filterHeader()
	t.ResponseWriter.WriteHeader(status)
}

// Write sends p, with the header before it if that is not out yet.
func (t *tunnelWriter) Write(p []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	return t.ResponseWriter.Write(p)
}

// FlushError sends what was written, with the header before it.
func (t *tunnelWriter) FlushError() error {
	t.WriteHeader(http.StatusOK)
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the inner writer.
func (t *tunnelWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }
