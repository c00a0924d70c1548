package caddymodule

import (
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// collector answers a request to one of the site's own paths behind which a service collects data,
// until its category is allowed: with nothing, which scripts take for success. It reports whether it
// did. In shadow mode it only says so in the log.
func (h *Handler) collector(w http.ResponseWriter, r *http.Request, page *rules.Page, policy *rules.Policy, st consent.State) bool {
	if policy.AllAllowed() {
		return false
	}
	u := originalURL(r)
	uri := u.EscapedPath()
	if u.RawQuery != "" {
		uri += "?" + u.RawQuery
	}
	if uri == "" || uri[0] != '/' {
		return false
	}
	if len(uri) > 1 && uri[1] == '/' {
		uri = "/." + uri // a path, not a host
	}
	res := rules.Resource{Kind: rules.KindCollector, URL: uri, Page: page}
	d := policy.Decide(res)
	if d.Action != rules.Block {
		return false
	}
	h.metrics.resource(rules.KindCollector, d)
	h.counters.update(func(n *counts) { n.Blocked++ })
	if ce := h.logger.Check(zapcore.InfoLevel, "collector"); ce != nil {
		path, id := requestNames(r)
		ce.Write(
			zap.String("request_id", id),
			zap.String("host", r.Host),
			zap.String("method", r.Method),
			zap.String("path", path),
			zap.String("mode", h.modeName()),
			zap.String("state", st.Status.String()),
			zap.String("source", st.Source),
			zap.String("service", d.Service),
			zap.String("category", d.Categories.String()),
			zap.String("rule", d.Rule),
		)
	}
	if h.shadow {
		return false
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return true
}
