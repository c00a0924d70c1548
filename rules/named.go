package rules

import (
	"slices"
	"strings"
)

// Site returns the site that the policy decides for.
func (p *Policy) Site() *Site { return p.site }

// NamedHosts returns, sorted, the third-party hosts that the policy allows and somebody has named:
// the site's own lines (first_party, allow, block lines whose category is granted, services with a
// line), the visitor's exceptions, and all of the catalogue that a granted optional category
// opens. Necessary services without a line are left out, and so is what stands below a host of
// the list. complete is false, and the list cut off, where the names alone would take more than
// limit bytes.
func (p *Policy) NamedHosts(limit int) (hosts []string, complete bool) {
	n := 0
	add := func(host string) bool {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
			n += len(host)
		}
		return n <= limit
	}
	for host := range p.site.firstParty.all() {
		if !add(host) {
			return hosts, false
		}
	}
	for host, r := range p.site.hosts.all() {
		if (r.allow || p.unless(r.cats, nil) == Keep) && !add(host) {
			return hosts, false
		}
	}
	for _, svc := range p.site.cat.services {
		named := p.site.cats[svc.index]&recategorised != 0 || slices.Contains(p.plus, svc)
		for _, h := range p.site.cat.serviceHosts(svc) {
			if named || h.cats&Optional&p.grants.Allowed != 0 {
				if p.keepsHost(svc, h) && !add(h.name) {
					return hosts, false
				}
			}
		}
	}
	return topmost(hosts), true
}

// serviceHost is a host on which some request of a service is decided.
type serviceHost struct {
	name string
	cats Set
}

// serviceHosts lists where a service lives: its whole hosts, and the hosts of its path rules.
func (c *Catalogue) serviceHosts(s *Service) (out []serviceHost) {
	for i := range s.Hosts {
		if h := &s.Hosts[i]; h.Flag.whole() {
			cats := s.Categories
			if h.Categories != 0 {
				cats = h.Categories
			}
			out = append(out, serviceHost{h.Name, cats})
		}
	}
	for i := range s.Rules {
		if r := &s.Rules[i]; r.Host != SiteHost {
			cats := s.Categories
			if r.Categories != 0 {
				cats = r.Categories
			}
			out = append(out, serviceHost{r.Host, cats})
		}
	}
	return out
}

// keepsHost reports whether the policy lets a service be asked on one of its hosts: a line of the
// site for the host, or for one above it, goes before.
func (p *Policy) keepsHost(svc *Service, h serviceHost) bool {
	if sr, ok := p.site.hosts.longest(h.name); ok {
		return sr.allow || p.unless(sr.cats, nil) == Keep
	}
	var d Decision
	p.byService(&verdict{svc: svc, id: svc.ID, cats: h.cats}, &d)
	return h.cats != 0 && d.Action == Keep
}

// topmost sorts hosts and drops those below another of the list.
func topmost(hosts []string) []string {
	slices.Sort(hosts)
	return slices.DeleteFunc(hosts, func(h string) bool {
		for parent := h; ; {
			_, rest, ok := strings.Cut(parent, ".")
			if !ok {
				return false
			}
			if parent = rest; slices.Contains(hosts, parent) {
				return true
			}
		}
	})
}
