package caddymodule

import (
	"net/http"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// Bounds of what one response says to expire cookies. Whatever does not fit goes with a later one,
// since cookies that are still there arrive again.
const (
	maxExpiries     = 60
	maxExpiryBytes  = 6 << 10
	maxExpiryPaths  = 7 // three folders with and without their slash, and the path itself
	maxExpiryParent = 3
)

// expired is what ends a cookie: both attributes, for browsers that know only one (RFC 6265, 5.3).
const expired = "=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path="

// expireCookies adds lines that end the cookies that the visitor does not allow and that the request
// brought all the same: on the host; for names that the catalogue or the configuration knows, on its
// parent domains up to the registrable one; and for others on those within cookie_domain only, since
// sibling sites have visitors' consents of their own. A cookie's path is not sent with it, so the root
// and what the request's path begins with are tried.
func (h *Handler) expireCookies(head http.Header, page *rules.Page, policy *rules.Policy, lines []string, path string) {
	if len(lines) == 0 || policy.AllAllowed() {
		return
	}
	e := expiry{head: head, secure: page.Scheme() == "https", paths: cookiePaths(path)}
	var seen []string
	for _, line := range lines {
		for line != "" {
			var p consent.Pair
			p, line = consent.NextPair(line)
			if !isCookieName(p.Name) || contains(seen, p.Name) || len(seen) == maxNames {
				continue
			}
			d := cookieDecision(policy, page, p.Name, page.Host())
			if d.Action != rules.Block {
				continue
			}
			seen = append(seen, p.Name)
			e.cookies = append(e.cookies, ending{name: p.Name, domains: h.cookieParents(page.Host(), !d.Unclassified)})
		}
	}
	e.write()
}

// cookieParents returns the domains above host on which a cookie may be ended.
func (h *Handler) cookieParents(host string, known bool) (domains []string) {
	site, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return nil // an address or a single label has host-only cookies
	}
	for d := host; len(domains) < maxExpiryParent; {
		if known || h.CookieDomain != "" && (d == h.CookieDomain || strings.HasSuffix(d, "."+h.CookieDomain)) {
			domains = append(domains, d)
		}
		if d == site {
			break
		}
		_, d, _ = strings.Cut(d, ".")
	}
	return domains
}

// ending is a cookie that has to go, and the domains on which it may stand.
type ending struct {
	name    string
	domains []string
}

type expiry struct {
	head    http.Header
	secure  bool
	paths   []string
	cookies []ending
	lines   int
	bytes   int
}

// write ends each cookie where it most likely stands, then deeper down, as far as there is room.
func (e *expiry) write() {
	attrs := ""
	if e.secure {
		attrs = "; Secure"
	}
	for _, c := range e.cookies {
		prefix := strings.ToLower(c.name)
		if !e.secure && (strings.HasPrefix(prefix, "__host-") || strings.HasPrefix(prefix, "__secure-")) {
			continue // browsers have no such cookie here
		}
		e.line(c.name + expired + "/" + attrs)
		if e.secure {
			// A partitioned cookie stands in a jar of its own.
			e.line(c.name + expired + "/; Secure; SameSite=None; Partitioned")
		}
		if c.hostOnly() {
			continue
		}
		for _, d := range c.domains {
			e.line(c.name + expired + "/; Domain=" + d + attrs)
		}
	}
	for _, c := range e.cookies {
		for _, p := range e.paths {
			if !c.hostOnly() {
				e.line(c.name + expired + p + attrs)
			}
		}
	}
	for _, c := range e.cookies {
		for _, p := range e.paths {
			for _, d := range c.domains {
				if !c.hostOnly() {
					e.line(c.name + expired + p + "; Domain=" + d + attrs)
				}
			}
		}
	}
}

func (c *ending) hostOnly() bool { return strings.HasPrefix(strings.ToLower(c.name), "__host-") }

func (e *expiry) line(l string) {
	if e.lines < maxExpiries && e.bytes+len(l) <= maxExpiryBytes {
		e.lines++
		e.bytes += len(l)
		e.head.Add("Set-Cookie", l)
	}
}

// cookiePaths returns what a cookie's path may be below the root (RFC 6265, 5.1.4): the request's path
// and its folders, the deepest first.
func cookiePaths(path string) (paths []string) {
	if len(path) > 256 || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' || r == ',' }) {
		return nil
	}
	for i := len(path) - 1; i > 0 && len(paths) < maxExpiryPaths; i-- {
		if path[i] == '/' {
			paths = append(paths, path[:i+1], path[:i]) // both are in use, and they differ
		} else if i == len(path)-1 {
			paths = append(paths, path)
		}
	}
	return paths
}

// isCookieName reports whether a name from a request can stand in a header of ours.
func isCookieName(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`;,="\`, r) })
}

// clearSiteDataWords are what Clear-Site-Data may name: cookies are ended one by one, so that those
// that log a visitor in stay.
var clearSiteDataWords = []string{"cache", "storage"}

// clearSiteData returns the header's value (Clear Site Data, 3.1): pages that were fetched ahead under the
// old choice go in any case, which costs a visitor nothing.
func (h *Handler) clearSiteData() string {
	return `"` + strings.Join(append([]string{"prefetchCache", "prerenderCache"}, h.ClearSiteData...), `", "`) + `"`
}
