package rules

import (
	"strings"
	"sync/atomic"

	"golang.org/x/net/html/charset"
	"golang.org/x/net/publicsuffix"

	"github.com/caddy-consent/caddy-consent/internal/memo"
)

// Page is the document that a resource stands in. It does not change and is safe for concurrent use.
type Page struct {
	scheme, host, site string
	baseScheme         string
	baseClass          urlClass // of relative references
	baseHost           string
	basePath           string // begins with a slash, dot segments resolved
	baseQuery          string
	charset            string              // "" if it is not known for certain
	legacy             func(string) string // to UTF-8; nil if charset is that or unknown
	siblings           *siblings
	plainHost          string // host, if nothing in it takes a longer look, else ""
}

// siblings remembers whether hosts below the page's registrable domain have it too, since the
// public suffix list is slow to ask and pages name the same few hosts again and again: in the lowest
// bit the answer, in the others the host's hash.
type siblings [512]atomic.Uint64

// NewPage returns the page with that scheme ("http" or "https") and host, which may have a port.
// Its path is "/" until At says otherwise.
func NewPage(scheme, host string) *Page {
	h, err := NormalizeHost(host)
	if err != nil {
		h = strings.ToLower(host)
	}
	p := &Page{scheme: scheme, host: h, baseScheme: scheme, baseHost: h, basePath: "/", siblings: new(siblings)}
	p.site = registrable(h)
	var ref reference
	if parseURL("//"+h+"/", p, &ref); ref.class == urlNetwork && ref.host == h {
		p.plainHost = h
	}
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

// At returns the page as it stands at a path and query, such as "/shop/cart?step=2", so that
// relative references are resolved against them; p itself if they change nothing.
func (p *Page) At(uri string) *Page {
	if strings.HasPrefix(uri, "//") {
		uri = "/." + uri // a path, not a host
	}
	return p.WithBase(uri)
}

// WithCharset returns the page with the encoding in which a browser reads it for certain, by any
// of the Encoding Standard's labels (4.2), which decides what bytes outside ASCII mean in a host;
// p itself if the label is unknown.
func (p *Page) WithCharset(label string) *Page {
	if label == p.charset {
		return p
	}
	enc, name := charset.Lookup(label)
	if enc == nil || name == p.charset {
		return p
	}
	q := *p
	q.charset, q.legacy = name, nil
	if name != "utf-8" {
		q.legacy = func(s string) string {
			if d, err := enc.NewDecoder().String(s); err == nil {
				return d
			}
			return s
		}
	}
	return &q
}

// WithBase returns the page with relative references resolved against a base URL (HTML Standard,
// 2.4.2); p itself if browsers do not take it for a base or if it changes nothing. Against a base
// without a host, such as about:blank, relative references reach nobody.
func (p *Page) WithBase(url string) *Page {
	if len(url) > memo.Longest {
		return p.withBase(url)
	}
	h := memo.Hash(url) + memo.Hash(p.host)
	if b := bases.Get(h, func(b *based) bool { return b.url == url && b.of.Same(p) }); b != nil {
		if b.page == b.of {
			return p
		}
		return b.page
	}
	b := &based{p, strings.Clone(url), p.withBase(url)}
	bases.Put(h, b)
	return b.page
}

// bases are pages with bases that were asked for before.
var bases memo.Table[based]

type based struct {
	of   *Page
	url  string
	page *Page
}

func (p *Page) withBase(url string) *Page {
	var ref reference
	parseURL(url, p, &ref)
	class, scheme, host, path, query := ref.class, ref.scheme, ref.host, "/", ""
	var buf locationBuf
	switch class {
	case urlInvalid, urlAmbiguous:
		return p
	case urlOther:
		if noBase(scheme) || scheme == "" {
			return p
		}
	default:
		path, query = ref.location(p, &buf)
		query = cleanQuery(query)
	}
	if class == urlRelative {
		class, scheme, host = p.baseClass, p.baseScheme, p.baseHost
	}
	if scheme == "" {
		scheme = p.baseScheme
	}
	if scheme == p.baseScheme && host == p.baseHost && path == p.basePath && query == p.baseQuery {
		return p
	}
	q := *p
	q.baseClass, q.baseScheme, q.baseHost = class, strings.Clone(scheme), strings.Clone(host)
	q.basePath, q.baseQuery = strings.Clone(path), strings.Clone(query)
	return &q
}

// WithoutBase returns the page as what stands in a data: URL is read: http:host/path names a host, as it does not
// against a base of that scheme. What else is relative reaches nobody there, and is read as if it did.
func (p *Page) WithoutBase() *Page {
	if p.baseScheme == "data" {
		return p
	}
	q := *p
	q.baseClass, q.baseScheme = urlNetwork, "data"
	return &q
}

// ValidBase reports whether url may be a document's base: it can be parsed against the page's address, and its
// scheme is not data or javascript (HTML Standard, 4.2.3).
func (p *Page) ValidBase(url string) bool {
	var ref reference
	parseURL(url, p, &ref)
	return ref.class != urlInvalid && !(ref.class == urlOther && noBase(ref.scheme))
}

func noBase(scheme string) bool { return scheme == "data" || scheme == "javascript" }

// Same reports whether resources are decided on alike in both pages.
func (p *Page) Same(q *Page) bool {
	return p == q || p.scheme == q.scheme && p.host == q.host && p.site == q.site && p.baseScheme == q.baseScheme &&
		p.baseClass == q.baseClass && p.baseHost == q.baseHost && p.basePath == q.basePath && p.baseQuery == q.baseQuery && p.charset == q.charset
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
	h := memo.Hash(host)
	first, second := &p.siblings[h>>55], &p.siblings[h>>55^1]
	old := first.Load()
	if old>>1 == h>>1 && old != 0 {
		return old&1 != 0
	}
	if s := second.Load(); s>>1 == h>>1 && s != 0 {
		return s&1 != 0
	}
	h &^= 1
	if registrable(host) == p.site {
		h |= 1
	}
	if old != 0 {
		second.Store(old)
	}
	first.Store(h)
	return h&1 != 0
}
