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
