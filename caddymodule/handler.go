// Package caddymodule is the Caddy v2 module http.handlers.consent: it enforces cookie consent on
// everything that passes between a visitor and a website.
package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler enforces cookie consent in front of a site. Until the visitor's consent cookie allows
// a category, that category's third-party resources leave inert in the HTML that passes, its
// cookies are neither set nor sent to the site, and what was blocked by which rule is logged.
//
// It works with no options. It must stand after `encode` and before whatever serves the site.
type Handler struct {
	// Config is the name of a configuration of the `consent` app. It stands alone: the options are
	// those of the named configuration, and so is everything that its users share.
	Config string `json:"config,omitempty"`

	// Mode is `enforce` (default), or `shadow`: decide and log everything, change nothing.
	Mode string `json:"mode,omitempty"`

	// Unclassified says what happens to third-party hosts that no rule knows: `block_active`
	// (default) blocks what can run code (scripts, frames, embeds, objects) and lets images, styles,
	// fonts and media pass; `block` blocks these too; `allow` lets all pass. All are logged.
	Unclassified string `json:"unclassified,omitempty"`

	// UnclassifiedCookies is `allow` (default) or `block`, for cookies that no rule knows.
	UnclassifiedCookies string `json:"unclassified_cookies,omitempty"`

	// Services moves services of the catalogue, by id, to another category: `necessary`,
	// `preferences`, `statistics` or `marketing`.
	Services map[string]string `json:"services,omitempty"`

	// Allow lists hosts, each with everything below it, that are never blocked.
	Allow []string `json:"allow,omitempty"`

	// Block lists hosts, each with everything below it, by the category that they need.
	Block map[string][]string `json:"block,omitempty"`

	// Cookies gives cookie names, or prefixes with a trailing `*`, a category.
	Cookies map[string]string `json:"cookies,omitempty"`

	// Essential lists cookie names, or prefixes with a trailing `*`, that always pass.
	Essential []string `json:"essential,omitempty"`

	// FirstParty lists domains, each with everything below it, that belong to the site. The public
	// host's own registrable domain always does.
	FirstParty []string `json:"first_party,omitempty"`

	// Collectors gives paths of the site at which data is collected, each with everything below it, by
	// the category that they need: `{"statistics": ["/metrics/"]}`. Until it is allowed, requests there
	// are answered with 204. The catalogue knows the usual ones.
	Collectors map[string][]string `json:"collectors,omitempty"`

	// MaxAge is the longest lifetime that cookies which need consent get, such as `13 months`,
	// `180 days` or `12h`; default: what the upstream says.
	MaxAge string `json:"max_age,omitempty"`

	// CookieDomain is the domain within which cookies that no rule knows are ended after a
	// withdrawal, beside those on the host itself. Names that a rule knows are ended up to the
	// registrable domain in any case.
	CookieDomain string `json:"cookie_domain,omitempty"`

	// ClearSiteData lists what browsers drop when a choice takes a category back: `cache`, `storage`.
	ClearSiteData []string `json:"clear_site_data,omitempty"`

	// Read names the site's own consent managers, whose records of visitors' answers grant. Without it
	// a record grants where its manager's script was seen on the site's pages.
	Read []ReadSource `json:"read,omitempty"`

	// Bridge is `on` for sites whose consent manager keeps visitors' answers where only scripts can read
	// them: a small script in each page reports them. Default `off`.
	Bridge string `json:"bridge,omitempty"`

	// Placeholder names the site's own consent manager that shall revive what was blocked. By default
	// placeholders are our own, and pages load once more after a choice.
	Placeholder *Placeholder `json:"placeholder,omitempty"`

	// Catalogue lists files in the catalogue's format that extend or override its entries.
	Catalogue []string `json:"catalogue,omitempty"`

	// CookieName is the name of the consent cookie; default `consent`.
	CookieName string `json:"cookie_name,omitempty"`

	// Endpoint is the path under which visitors choose; default `/.consent`. It is matched on the
	// request's original path.
	Endpoint string `json:"endpoint,omitempty"`

	// Fail says, by cause or for all causes with `*`, whether a response that cannot be rewritten is
	// replaced by an error (`closed`, default) or passed unread (`open`). The causes are
	// `unsupported_encoding`, `unsupported_charset`, `partial_content`, `multipart_document` (documents
	// that replace each other, which Firefox shows), `signed_exchange` (a page that its signature keeps
	// from being changed) and `upstream_abort`, which is always closed.
	Fail map[string]string `json:"fail,omitempty"`

	// NoTransform says what `Cache-Control: no-transform` of the upstream means: `enforce` (default)
	// rewrites all the same, since this is the site's own edge (RFC 9110, 7.7); `pass` leaves the
	// body alone.
	NoTransform string `json:"no_transform,omitempty"`

	// Revision names the policy that visitors answer; by default it is a hash over the services and
	// categories that this configuration declares. Changing it asks visitors again.
	Revision string `json:"policy_revision,omitempty"`

	// LogResources is how many blocked or unclassified resources one log line lists; default 50.
	// The counts beside them are always exact.
	LogResources *int `json:"log_resources,omitempty"`

	// CSP is the second layer: a Content-Security-Policy beside the site's own, which names the hosts
	// that the visitor's consent and this configuration allow. `off` (default) sends none; `report`
	// lets browsers report what asks for other hosts at run time, and logs it; `enforce`, which
	// needs `unclassified block`, makes browsers stop it.
	CSP string `json:"csp,omitempty"`

	app        *App
	name       string   // of a named configuration
	shared     *Handler // the named configuration that h refers to
	live       *live
	siteConfig rules.SiteConfig
	counters   *counters
	leaks      *leakLog
	seen       *seen
	prompt     *promptness  // of documents that are rewritten
	promptPass *promptness  // of those that pass as they are
	leftOut    *atomic.Bool // a policy that would be too long has been reported

	shadow   bool
	lifetime lifetime
	logMax   int
	logger   *zap.Logger
	metrics  *metrics
	pages    *pageCache
	reader   *consent.Reader
	sheets   *sheets
	markup   string // see markupKey
	dialect  *rewriter.Dialect
	records  *consent.Cache
	nested   *atomic.Bool // a doubled directive has been reported
	plain    *atomic.Bool // missing compression has been reported
	outside  *atomic.Bool // a cache in front has been reported
}

// heldBytes bounds what all rewriters of the process hold back together.
var heldBudget = rewriter.NewBudget(256 << 20)

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.consent",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Words that options take.
var (
	modeWords = []string{"enforce", "shadow"}
	failWords = []string{"closed", "open"}

	bridgeWords      = []string{"off", "on"}
	noTransformWords = []string{"enforce", "pass"}
)

// Provision sets up h: it compiles the catalogue and the site's rules.
func (h *Handler) Provision(ctx caddy.Context) error {
	if h.app == nil && ctx.Module() != nil { // in a test there may be no configuration around h
		app, err := ctx.App("consent")
		if err != nil {
			return err
		}
		h.app = app.(*App)
	}
	if h.Config != "" {
		return h.refer()
	}
	h.logger = ctx.Logger(h)
	h.nested, h.plain, h.leftOut, h.outside = new(atomic.Bool), new(atomic.Bool), new(atomic.Bool), new(atomic.Bool)
	h.counters, h.leaks, h.sheets, h.seen = newCounters(), newLeakLog(), newSheets(), newSeen()
	h.prompt, h.promptPass = new(promptness), new(promptness)
	if h.CookieName == "" {
		h.CookieName = defaultCookieName
	}
	if h.Endpoint == "" {
		h.Endpoint = defaultEndpoint
	}
	if h.Endpoint != "/" {
		h.Endpoint = strings.TrimSuffix(h.Endpoint, "/")
	}
	h.shadow = h.Mode == "shadow"
	if h.Bridge == "off" {
		h.Bridge = ""
	}
	if h.MaxAge != "" {
		h.lifetime, _ = parseLifetime(h.MaxAge) // Validate says what is wrong with it
	}
	h.logMax = 50
	if h.LogResources != nil {
		h.logMax = *h.LogResources
	}
	var err error
	if reg := ctx.GetMetricsRegistry(); reg != nil {
		if h.metrics, err = newMetrics(reg); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	h.siteConfig = h.siteOptions()
	rs, err := newRuleset(h.Catalogue, h.siteConfig)
	if err != nil {
		return err
	}
	h.live = new(live)
	h.live.swap(rs)
	if h.Revision == "" {
		h.Revision = h.site().Revision()
	}
	if h.pages, err = newPageCache(); err != nil {
		return err
	}
	if h.records, err = consent.NewCache(); err != nil {
		return fmt.Errorf("making cache of consent records: %w", err)
	}
	if h.reader, err = h.newReader(h.records); err != nil {
		return err
	}
	if h.dialect, err = h.newDialect(); err != nil {
		return err
	}
	h.markup = h.markupKey()
	if h.app != nil {
		h.app.add(h)
	}
	return nil
}

// markupKey names what a page's bytes depend on beside the visitor's grants and the rules: options,
// and the version of this module, since a page of an older one must not be confirmed as current.
func (h *Handler) markupKey() string {
	key, err := json.Marshal([]any{h.Revision, h.CSP, h.Endpoint, h.Bridge, h.Placeholder, moduleVersion()})
	if err != nil {
		return h.Revision // of texts and maps of texts: it does not happen
	}
	return string(key)
}

// moduleVersion identifies the code of this module, as far as the build knows.
var moduleVersion = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == "github.com/caddy-consent/caddy-consent" && m.Version != "(devel)" {
			return m.Version + m.Sum
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
})

// siteOptions returns the options that the rules are compiled from.
func (h *Handler) siteOptions() rules.SiteConfig {
	return rules.SiteConfig{
		Unclassified: h.Unclassified, UnclassifiedCookies: h.UnclassifiedCookies, Services: h.Services, Allow: h.Allow,
		Block: h.Block, Cookies: h.Cookies, Essential: h.Essential, FirstParty: h.FirstParty,
		Collectors: h.Collectors, OwnCookie: h.CookieName,
	}
}

// Validate checks the options that need no catalogue.
func (h *Handler) Validate() error {
	if h.shared != nil {
		return nil
	}
	err := h.checkOptions()
	if h.CSP == "enforce" && h.Unclassified != "block" {
		err = errors.Join(err, errors.New(cspNeedsBlock))
	}
	return err
}

// checkOptions checks each option that is given by itself.
func (h *Handler) checkOptions() error {
	var errs []error
	word := func(option, v string, valid []string) {
		if v != "" && !contains(valid, v) {
			errs = append(errs, fmt.Errorf("%s: unknown word %q%s", option, v, rules.DidYouMean(v, valid)))
		}
	}
	word("mode", h.Mode, modeWords)
	word("no_transform", h.NoTransform, noTransformWords)
	word("csp", h.CSP, cspWords)
	word("bridge", h.Bridge, bridgeWords)
	for cause, how := range h.Fail {
		if cause != "*" && !contains(causes, cause) {
			errs = append(errs, fmt.Errorf("fail: unknown cause %q%s", cause, rules.DidYouMean(cause, causes)))
		}
		word("fail "+cause, how, failWords)
		if cause == causeAbort && how == "open" {
			errs = append(errs, errors.New("fail upstream_abort open: a response that breaks off cannot be completed; leave it closed"))
		}
	}
	if endpoint := cmp.Or(h.Endpoint, defaultEndpoint); endpoint[0] != '/' || endpoint == "/" || strings.ContainsAny(endpoint, "?#*{} \\") || strings.Contains(endpoint, "//") {
		errs = append(errs, fmt.Errorf("endpoint: %q is not a path below the root, such as /.consent", endpoint))
	}
	if h.CookieName != "" && !isToken(h.CookieName) {
		errs = append(errs, fmt.Errorf("cookie_name: %q is not a cookie name (RFC 6265, 4.1.1)", h.CookieName))
	}
	if h.Revision != "" && !isRevision(h.Revision) {
		errs = append(errs, fmt.Errorf("policy_revision: %q: use up to 64 letters, digits, dashes and underscores", h.Revision))
	}
	if _, err := h.newReader(nil); err != nil {
		errs = append(errs, err)
	}
	if _, err := h.newDialect(); err != nil {
		errs = append(errs, err)
	}
	if _, err := parseLifetime(h.MaxAge); h.MaxAge != "" && err != nil {
		errs = append(errs, fmt.Errorf("max_age: %q: %w", h.MaxAge, err))
	}
	if d, err := rules.NormalizeHost(h.CookieDomain); h.CookieDomain != "" && (err != nil || d != h.CookieDomain) {
		errs = append(errs, fmt.Errorf("cookie_domain: %q is not a domain in lower case, such as shop.example", h.CookieDomain))
	}
	for _, v := range h.ClearSiteData {
		word("clear_site_data", v, clearSiteDataWords)
	}
	if h.logMax < 0 {
		errs = append(errs, errors.New("log_resources: use a number from 0 up"))
	}
	return errors.Join(errs...)
}

// cspNeedsBlock: a header that names hosts stops every other host, whatever kind of resource asks.
const cspNeedsBlock = "csp enforce needs unclassified block, since a policy of hosts stops what no rule knows too; csp report works with every setting"

// Cleanup lets go of the catalogue and ends the goroutines of the page cache. It may be called more
// than once.
func (h *Handler) Cleanup() error {
	if h.live != nil {
		h.live.close()
	}
	if h.pages != nil {
		h.pages.close()
	}
	if h.records != nil {
		h.records.Close()
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) })
}

func isRevision(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

// ServeHTTP enforces consent on the request and on what next answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.shared != nil {
		h = h.shared
	}
	v := visitorOf(r)
	if v != nil && v.served {
		if h.nested.CompareAndSwap(false, true) {
			h.logger.Warn("consent stands twice on the way of a request; the inner one does nothing: remove one of the two directives")
		}
		return next.ServeHTTP(w, r)
	}
	h.warnCacheOutside(r)
	page := h.page(r)
	state := h.readState(r)
	v = h.expose(r, v, state)
	u := originalURL(r)
	if rest, ok := h.endpointPath(u); ok {
		return h.serveEndpoint(w, r, page, state, rest)
	}
	policy := h.site().For(state.Grants)
	v.served = true
	defer func() { v.served = false }()
	if r.Method == http.MethodConnect {
		return h.serveConnect(w, r, next, page, policy, state)
	}
	if h.collector(w, r, page, policy, state) {
		return nil
	}
	rw := &responseWriter{inner: w, h: h, r: r, url: u, record: record{h: h, r: r, state: state}, policy: policy, page: page}
	rec := &rw.record
	rw.rec = rec
	if h.shadow {
		rw.countRequestCookies()
	} else {
		rw.scrubRequest()
		defer rw.restoreRequest()
	}

	done := false
	defer func() {
		if !done { // next panics: http.ErrAbortHandler where the upstream broke off
			defer func() {
				if rw.failed == "" {
					rec.fail(causeAbort)
				}
				rec.log(rw.status)
			}()
			rw.abort()
		}
	}()
	err := next.ServeHTTP(rw, r)
	if err != nil {
		done = true
		rw.abort()
		if rw.sent {
			rec.fail(causeAbort)
			rec.log(rw.status)
		}
		return err
	}
	broken := rw.finish()
	if done = true; broken {
		rec.log(rw.status)
		panic(http.ErrAbortHandler)
	}
	rec.log(rw.status)
	return nil
}

// cacheHeaders are what shared caches and CDNs add to the requests that they pass on (RFC 8586 for
// CDN-Loop; the others by their documentation), in canonical form.
var cacheHeaders = [...]string{"Cdn-Loop", "Cf-Ray", "X-Varnish", "Fastly-Ff", "X-Amz-Cf-Id", "Akamai-Origin-Hop", "X-Azure-Ref"}

// warnCacheOutside says once that a shared cache stands in front: one that is set to keep pages whatever
// their header says would give one visitor's page to another.
func (h *Handler) warnCacheOutside(r *http.Request) {
	if h.outside.Load() {
		return
	}
	for _, k := range cacheHeaders {
		if _, ok := r.Header[k]; ok && h.outside.CompareAndSwap(false, true) {
			h.logger.Warn("a shared cache stands in front of consent: it must keep to Cache-Control, since it would give the page of one visitor's choice to others; take pages out of rules such as cache everything",
				zap.String("seen_by", k))
			return
		}
	}
}

// page returns the public page's origin. X-Forwarded headers count from trusted proxies only.
func (h *Handler) page(r *http.Request) *rules.Page {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if v := firstValue(r.Header.Get("X-Forwarded-Proto")); v == "http" || v == "https" {
			scheme = v
		}
		if v := firstValue(r.Header.Get("X-Forwarded-Host")); v != "" {
			host = v
		}
	}
	return h.pages.get(scheme, host)
}

// firstValue returns the first element of a comma-separated header value.
func firstValue(v string) string {
	v, _, _ = strings.Cut(v, ",")
	return strings.TrimSpace(v)
}

// endpointPath returns what follows the endpoint in the path of a request's original URL.
func (h *Handler) endpointPath(u *url.URL) (string, bool) {
	rest, ok := strings.CutPrefix(u.Path, h.Endpoint)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return rest, true
}

// originalURL returns the request's URL before any rewrite, which is the one that the browser has.
func originalURL(r *http.Request) *url.URL {
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && orig.URL != nil {
		return orig.URL
	}
	return r.URL
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
