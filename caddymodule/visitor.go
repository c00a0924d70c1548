package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-consent/caddy-consent/rules/consent"
)

const (
	defaultCookieName = "consent"
	defaultEndpoint   = "/.consent"
)

// visitor is what matchers, placeholders and the handler share of one request.
type visitor struct {
	h      *Handler // whose settings the state was read with; nil for the default ones
	state  consent.State
	served bool // a consent handler is at work on the request, and another one inside of it has nothing to do
}

const visitorVar = "consent_visitor"

// readState reads the visitor's consent from the request with h's settings, or with the default
// ones if h is nil.
func (h *Handler) readState(r *http.Request) consent.State {
	gpc := r.Header.Get("Sec-Gpc") == "1"
	if h == nil {
		return consent.Read(r.Header["Cookie"], defaultCookieName, gpc)
	}
	return h.reader.Read(r.Header["Cookie"], gpc)
}

// visitorOf returns what is known of the request's visitor by then, nil if nothing is.
func visitorOf(r *http.Request) *visitor {
	v, _ := caddyhttp.GetVar(r.Context(), visitorVar).(*visitor)
	return v
}

// expose makes the state available to placeholders and matchers, from the first directive or
// matcher on the request's way that knows it. v is what visitorOf returned.
func (h *Handler) expose(r *http.Request, v *visitor, st consent.State) *visitor {
	if v != nil {
		v.h, v.state = h, st
		return v
	}
	v = &visitor{h: h, state: st}
	caddyhttp.SetVar(r.Context(), visitorVar, v)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(v.placeholder)
	}
	return v
}

// placeholder returns the value of a {http.consent.…} placeholder.
func (v *visitor) placeholder(key string) (any, bool) {
	key, ok := strings.CutPrefix(key, "http.consent.")
	if !ok {
		return nil, false
	}
	switch key {
	case "state":
		return v.state.Status.String(), true
	case "categories":
		return v.state.Grants.Allowed.String(), true
	case "source":
		return v.state.Source, true
	case "gpc":
		return v.state.Grants.GPC, true
	case "revision":
		return v.state.Revision, true
	case "config":
		if v.h == nil {
			return "", true
		}
		return v.h.name, true
	}
	return nil, false
}
