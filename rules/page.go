package rules

import (
	"strings"
	"sync/atomic"

	"golang.org/x/net/publicsuffix"
)

// Page is the document that a resource stands in. It does not change and is safe for concurrent use.
type Page struct {
	scheme, host, site string
	baseHost           string // host of relative references
	baseScheme         string
	siblings           *siblings
}

// siblings remembers whether hosts below the page's registrable domain have it too, since the
// public suffix list is slow to ask and pages name the same few hosts again and again.
type siblings [8]atomic.Pointer[sibling]

type sibling struct {
	host string
	same bool
}

// NewPage returns the page with that scheme ("http" or "https") and host, which may have a port.
func NewPage(scheme, host string) *Page {
	h, err := NormalizeHost(host)
	if err != nil {
		h = strings.ToLower(host)
	}
	p := &Page{scheme: scheme, host: h, baseHost: h, baseScheme: scheme, siblings: new(siblings)}
	p.site = registrable(h)
	return p
}

// registrable returns the registrable domain of a host, or the host itself where it has none.
func registrable(host string) string {
	if site, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return site
	}
	return host
}

// Scheme returns "http" or "https".
func (p *Page) Scheme() string { return p.scheme }

// Host returns the page's host, normalised.
func (p *Page) Host() string { return p.host }

// Site returns the page's registrable domain.
func (p *Page) Site() string { return p.site }

// WithBase returns the page with relative references resolved against a base URL; p itself if
// the base names no other host.
func (p *Page) WithBase(url string) *Page {
	ref := parseURL(url, p.scheme)
	if ref.class != urlNetwork || ref.host == p.host {
		return p
	}
	q := *p
	q.baseHost = ref.host
	if scheme, _ := cutScheme(strings.TrimSpace(url)); scheme != "" {
		q.baseScheme = scheme
	}
	return &q
}

// sameSite reports whether host has the page's registrable domain.
func (p *Page) sameSite(host string) bool {
	if host == p.host || host == p.site {
		return true
	}
	n := len(host) - len(p.site)
	if n < 2 || host[n-1] != '.' || host[n:] != p.site {
		return false
	}
	// A longer public suffix may lie below: bucket.s3.amazonaws.com is no part of amazonaws.com.
	slot := &p.siblings[(len(host)^int(host[0]))%len(p.siblings)]
	if s := slot.Load(); s != nil && s.host == host {
		return s.same
	}
	s := &sibling{strings.Clone(host), registrable(host) == p.site}
	slot.Store(s)
	return s.same
}
