package caddymodule

import (
	_ "embed"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

//go:embed bridge.js
var bridgeJS string

// maxBridge bounds the body of a posted state, in bytes.
const maxBridge = 256

// serveBridgeScript serves the script that listens to the page's consent manager.
func serveBridgeScript(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(bridgeJS))
}

// serveBridge stores what the page's consent manager says: 205 tells the page that more is allowed
// than it was made for, 204 that nothing is.
func (h *Handler) serveBridge(w http.ResponseWriter, r *http.Request, page *rules.Page, st consent.State) {
	if h.limited(w, r, choiceLimit) {
		return
	}
	if !sameOrigin(r, page) {
		http.Error(w, "a state is taken from this site's own pages only", http.StatusForbidden)
		return
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		http.Error(w, "send the state as application/x-www-form-urlencoded", http.StatusUnsupportedMediaType)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBridge)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the state cannot be read", http.StatusBadRequest)
		return
	}
	g := rules.Grants{Allowed: rules.SetOf(rules.Necessary), GPC: st.Grants.GPC}
	if allow := r.PostForm.Get("allow"); allow != "none" {
		for _, name := range strings.Split(allow, ".") {
			c, err := rules.ParseCategory(name)
			if err != nil {
				http.Error(w, "allow is none, or names of categories with dots between", http.StatusBadRequest)
				return
			}
			g.Allowed |= rules.SetOf(c)
		}
	}
	before := consent.Read(r.Header["Cookie"], consent.BridgeCookie, false)
	if before.Status != consent.Undecided && before.Grants.Allowed == g.Allowed {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: consent.BridgeCookie, Value: consent.Encode(g, time.Now(), h.Revision, ""), Path: "/",
		MaxAge: int(consent.MaxAge.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: page.Scheme() == "https",
	})
	if g.GPC {
		g.Allowed &^= rules.SetOf(rules.Marketing)
	}
	if !h.shadow {
		h.expireCookies(w.Header(), page, h.site().For(g), r.Header["Cookie"], "")
	}
	h.count(choiceEvent, "bridge")
	h.logChoice(r, st, g, "bridge", "")
	if g.Allowed&^st.Grants.Allowed != 0 {
		w.WriteHeader(http.StatusResetContent)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// bridgeTag is what is put into pages, "" for nothing.
func (h *Handler) bridgeTag() string {
	if h.Bridge == "" || h.shadow {
		return ""
	}
	return `<script src="` + h.Endpoint + `/bridge.js"></script>`
}

// untouched reports whether documents pass as they are.
func (rw *responseWriter) untouched() bool {
	return rw.policy.AllAllowed() && rw.h.bridgeTag() == ""
}
