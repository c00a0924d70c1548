package rules

// Knows reports whether the catalogue or the site has a word about the host, which is in lower
// case, or a parent of it, or the host is first party. About any other host Decide only ever says
// that it is unclassified.
func (p *Policy) Knows(host string, page *Page) bool {
	var hits [maxMatches]*hostEntry
	if p.site.cat.hosts.match(host, &hits) > 0 || page.sameSite(host) {
		return true
	}
	if p.site.hosts.n > 0 {
		if _, ok := p.site.hosts.longest(host); ok {
			return true
		}
	}
	if p.site.firstParty.n > 0 {
		if _, ok := p.site.firstParty.longest(host); ok {
			return true
		}
	}
	return false
}

// HostService returns the service that has the host, which is in lower case, or the nearest parent
// of it, with the categories that open it.
func (c *Catalogue) HostService(host string) (*Service, Set, bool) {
	var hits [maxMatches]*hostEntry
	for n := c.hosts.match(host, &hits); n > 0; n-- {
		if e := hits[n-1]; e.svc != nil {
			return e.svc, e.cats, !e.broad
		}
	}
	return nil, 0, false
}

// CookieService returns the service that has a cookie of that name and domain ("" for any), with
// the categories that open it. Essential cookies belong to none and have Necessary.
func (c *Catalogue) CookieService(name, domain string) (*Service, Set, bool) {
	r, ok := c.cookies.find(name, domain)
	return r.svc, r.cats, ok
}

// HasHost returns the service in whose entry exactly that host stands.
func (c *Catalogue) HasHost(host string) (*Service, bool) {
	e, ok := c.hosts.get(host)
	if !ok || e.svc == nil {
		return nil, false
	}
	return e.svc, true
}
