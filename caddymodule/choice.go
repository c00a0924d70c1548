package caddymodule

import (
	"crypto/rand"
	_ "embed"
	"encoding/base32"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

//go:embed choice.html
var choiceHTML string

var choiceTemplate = template.Must(template.New("choice").Parse(choiceHTML))

// maxForm bounds the body of a posted choice, in bytes.
const maxForm = 16 << 10

// choicePage is what the template shows.
type choicePage struct {
	Host       string
	Action     string
	Policy     string
	Return     string
	Status     string
	Saved      bool
	GPC        bool
	Categories []choiceCategory
}

type choiceCategory struct {
	Name, Title, Text string
	Checked, Disabled bool
}

var categoryTexts = map[rules.Category][2]string{
	rules.Preferences: {"Preferences", "Extras that you use here, such as chat, calls, maps and fonts from other companies."},
	rules.Statistics:  {"Statistics", "Counting visits and finding faults, so that the site can be improved."},
	rules.Marketing:   {"Marketing", "Advertising and social networks that follow visits over several sites, videos included."},
}

// serveEndpoint answers requests under the endpoint.
func (h *Handler) serveEndpoint(w http.ResponseWriter, r *http.Request, page *rules.Page, st consent.State, rest string) error {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "same-origin")
	switch rest {
	case "":
		http.Redirect(w, r, h.Endpoint+"/", http.StatusPermanentRedirect)
	case "/":
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return methodNotAllowed(w, "GET, HEAD")
		}
		return h.serveChoicePage(w, r, page, st)
	case "/choice":
		if r.Method != http.MethodPost {
			return methodNotAllowed(w, "POST")
		}
		return h.serveChoice(w, r, page, st)
	case "/policy", "/policy.json":
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return methodNotAllowed(w, "GET, HEAD")
		}
		return h.servePolicy(w, r, page, rest == "/policy.json")
	case "/bridge.js":
		if h.Bridge == "" {
			http.NotFound(w, r)
			return nil
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return methodNotAllowed(w, "GET, HEAD")
		}
		serveBridgeScript(w, r)
	case "/bridge":
		if h.Bridge == "" {
			http.NotFound(w, r)
			return nil
		}
		if r.Method != http.MethodPost {
			return methodNotAllowed(w, "POST")
		}
		h.serveBridge(w, r, page, st)
	case "/report":
		if r.Method != http.MethodPost {
			return methodNotAllowed(w, "POST")
		}
		return h.serveReport(w, r, page)
	default:
		http.NotFound(w, r)
	}
	return nil
}

func methodNotAllowed(w http.ResponseWriter, allow string) error {
	w.Header().Set("Allow", allow)
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return nil
}

// serveChoicePage shows the categories with the visitor's state. It changes nothing.
func (h *Handler) serveChoicePage(w http.ResponseWriter, r *http.Request, page *rules.Page, st consent.State) error {
	p := choicePage{Host: page.Host(), Action: h.Endpoint + "/choice", Policy: h.Endpoint + "/policy", Return: returnPath(r.URL.Query().Get("return")), GPC: st.Grants.GPC}
	if p.Return == "/" {
		p.Return = refererPath(r, h.Endpoint)
	}
	switch st.Status {
	case consent.Undecided:
		p.Status = "You have not chosen yet. Until you do, only what is necessary is loaded."
	case consent.Refused:
		p.Status = "You have refused everything that is not necessary."
	case consent.Accepted:
		p.Status = "You have accepted everything."
	default:
		p.Status = "You have accepted: " + strings.ReplaceAll(st.Grants.Allowed.String(), ".", ", ") + "."
	}
	for _, c := range rules.Categories[1:] {
		t := categoryTexts[c]
		p.Categories = append(p.Categories, choiceCategory{Name: c.String(), Title: t[0], Text: t[1],
			Checked: st.Grants.Allowed.Has(c), Disabled: st.Grants.GPC && c == rules.Marketing})
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Vary", "Cookie, Sec-GPC")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return choiceTemplate.Execute(w, p)
}

// serveChoice stores a choice and sends the visitor back.
func (h *Handler) serveChoice(w http.ResponseWriter, r *http.Request, page *rules.Page, st consent.State) error {
	if h.limited(w, r, choiceLimit) {
		return nil
	}
	if !sameOrigin(r, page) {
		http.Error(w, "a choice is taken from this site's own pages only", http.StatusForbidden)
		return nil
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		http.Error(w, "send the choice as application/x-www-form-urlencoded", http.StatusUnsupportedMediaType)
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the choice cannot be read", http.StatusBadRequest)
		return nil
	}
	g := rules.Grants{Allowed: rules.SetOf(rules.Necessary), GPC: st.Grants.GPC}
	decision := r.PostForm.Get("decision")
	switch decision {
	case "accept_all":
		g.Allowed = rules.All
	case "reject_all":
	case "custom":
		for _, name := range r.PostForm["category"] {
			c, err := rules.ParseCategory(name)
			if err != nil {
				http.Error(w, "unknown category", http.StatusBadRequest)
				return nil
			}
			g.Allowed |= rules.SetOf(c)
		}
	default:
		http.Error(w, "decision is accept_all, reject_all or custom", http.StatusBadRequest)
		return nil
	}
	if g.GPC {
		g.Allowed &^= rules.SetOf(rules.Marketing)
	}
	receipt := newReceipt()
	http.SetCookie(w, &http.Cookie{
		Name: h.CookieName, Value: consent.Encode(g, time.Now(), h.Revision, receipt), Path: "/",
		MaxAge: int(consent.MaxAge.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: page.Scheme() == "https",
	})
	if !h.shadow {
		back := r.PostForm.Get("return")
		if u, err := url.Parse(returnPath(back)); err == nil {
			back = u.EscapedPath()
		}
		h.expireCookies(w.Header(), page, h.site().For(g), r.Header["Cookie"], back)
		if st.Grants.Allowed&^g.Allowed&rules.Optional != 0 {
			w.Header().Set("Clear-Site-Data", h.clearSiteData())
		}
	}
	h.count(choiceEvent, decision)
	h.logChoice(r, st, g, decision, receipt)
	w.Header().Set("Location", returnPath(r.PostForm.Get("return")))
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// newReceipt returns a pseudonymous id: 128 random bits in base32.
func newReceipt() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])
}

func (h *Handler) logChoice(r *http.Request, old consent.State, g rules.Grants, decision, receipt string) {
	path, id := requestNames(r)
	h.logger.Info("choice",
		zap.String("request_id", id),
		zap.String("host", r.Host),
		zap.String("path", path),
		zap.String("decision", decision),
		zap.String("old_state", old.Status.String()),
		zap.String("old_categories", old.Grants.Allowed.String()),
		zap.String("categories", g.Allowed.String()),
		zap.Bool("gpc", g.GPC),
		zap.String("policy_revision", h.Revision),
		zap.String("receipt", receipt),
	)
}

// sameOrigin reports whether a post comes from a page of this very origin. Sec-Fetch-Site decides
// where there is one, even with Origin: null; else Origin's host and port must be the public
// ones. A post with neither header comes from no browser that could be misled, but is refused.
func sameOrigin(r *http.Request, page *rules.Page) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	if err != nil || u.Host == "" {
		return false
	}
	host := r.Host
	if u.Hostname() != "" && page.Host() != strings.ToLower(hostname(host)) {
		return strings.EqualFold(u.Hostname(), page.Host()) // behind a trusted proxy
	}
	return strings.EqualFold(u.Host, host)
}

func hostname(host string) string {
	u := url.URL{Host: host}
	return u.Hostname()
}

// returnPath returns v if it is a path on this origin for certain, else "/".
func returnPath(v string) string {
	if len(v) == 0 || len(v) > 2048 || v[0] != '/' || len(v) > 1 && (v[1] == '/' || v[1] == '\\') {
		return "/"
	}
	for i := range len(v) {
		if v[i] <= ' ' || v[i] >= 0x7f || v[i] == '\\' {
			return "/"
		}
	}
	if _, err := url.Parse(v); err != nil {
		return "/"
	}
	return v
}

// refererPath is where the visitor came from, on this origin.
func refererPath(r *http.Request, endpoint string) string {
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || !strings.EqualFold(u.Host, r.Host) {
		return "/"
	}
	if p := u.RequestURI(); !strings.HasPrefix(p, endpoint) {
		return returnPath(p)
	}
	return "/"
}
