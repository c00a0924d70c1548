package rules

// Policy decides for one site and one set of grants. It is immutable and safe for concurrent use.
type Policy struct {
	site        *Site
	grants      Grants
	plus, minus []*Service
}

func newPolicy(s *Site, g Grants) *Policy {
	p := &Policy{site: s, grants: g}
	for _, id := range g.Plus {
		if svc, ok := s.cat.byID[id]; ok {
			p.plus = append(p.plus, svc)
		}
	}
	for _, id := range g.Minus {
		if svc, ok := s.cat.byID[id]; ok {
			p.minus = append(p.minus, svc)
		}
	}
	return p
}

// Grants returns what the visitor allows.
func (p *Policy) Grants() Grants { return p.grants }

// AllAllowed reports whether the policy can block nothing.
func (p *Policy) AllAllowed() bool { return p.grants.Allowed == All && len(p.minus) == 0 }

// Decide says whether a resource is blocked, and by which rule. It is the only place where that
// is decided. It does not allocate for ordinary URLs and cookie names.
func (p *Policy) Decide(r Resource) Decision {
	if r.Kind == KindCookie {
		return p.decideCookie(r)
	}
	ref := parseURL(r.URL, r.Page)
	host, class := ref.host, ref.class
	if class == urlRelative {
		host, class = r.Page.baseHost, r.Page.baseClass
	}
	switch class {
	case urlSocket:
		if r.Kind != KindInlineScript && r.Kind != KindHint {
			return Decision{}
		}
	case urlOther, urlInvalid:
		return Decision{}
	case urlAmbiguous:
		if r.Kind == KindInlineScript {
			return Decision{}
		}
		return Decision{Action: p.unless(SetOf(Marketing), nil), Ambiguous: true, Categories: SetOf(Marketing), Rule: "ambiguous:host", Host: host}
	}
	if p.site.hosts.n > 0 {
		if sr, ok := p.site.hosts.longest(host); ok {
			if sr.allow {
				return Decision{Rule: sr.rule, Host: host}
			}
			return Decision{Action: p.unless(sr.cats, nil), Categories: sr.cats, Rule: sr.rule, Host: host}
		}
	}
	first := r.Page.sameSite(host)
	if !first && p.site.firstParty.n > 0 {
		_, first = p.site.firstParty.longest(host)
	}
	if first {
		return p.decideSite(&r, host, &ref)
	}
	return p.decideHost(&r, host, &ref)
}

// decideSite decides on a first-party host: only collector paths are anything but first party.
func (p *Policy) decideSite(r *Resource, host string, ref *reference) Decision {
	if len(p.site.collectors) > 0 {
		if m := matchPaths(p.site.collectors, nil, r.Kind, ref, r.Page); m != nil {
			return Decision{Action: p.unless(m.cats, nil), Categories: m.cats, Rule: m.rule, Host: host}
		}
	}
	if r.Kind != KindInlineScript && ref.maybePath(r.Page, &p.site.cat.siteFirst) {
		if m := matchPaths(p.site.cat.sitePaths, &p.site.cat.siteFirst, r.Kind, ref, r.Page); m != nil {
			return p.byService(m.svc, m.cats, m.rule, host)
		}
	}
	if host == r.Page.host && r.Kind != KindCollector {
		return Decision{Host: host}
	}
	// Hosts known as collectors that sites give a name of their own keep their service.
	if e, ok := p.site.cat.hosts.get(host); ok && e.flag == FlagCNAME {
		return p.byService(e.svc, e.cats, e.rule, host)
	}
	return Decision{Host: host}
}

// decideHost decides on a third-party host by the most specific rule that knows it.
func (p *Policy) decideHost(r *Resource, host string, ref *reference) Decision {
	var hits [maxMatches]*hostEntry
	kind := r.Kind
	for n := p.site.cat.hosts.match(host, &hits); n > 0; n-- {
		e := hits[n-1]
		if len(e.paths) > 0 {
			if m := matchPaths(e.paths, nil, kind, ref, r.Page); m != nil {
				return p.byService(m.svc, m.cats, m.rule, host)
			}
		}
		if e.svc == nil || e.cats == 0 {
			continue
		}
		// A connection hint names no path: it serves whatever the host is used for.
		if !e.flag.whole() && !e.cats.Has(Necessary) && kind != KindHint {
			continue
		}
		if kind == KindInlineScript && !ref.isScript(r.Page) {
			return Decision{Host: host}
		}
		return p.byService(e.svc, e.cats, e.rule, host)
	}
	if kind == KindInlineScript {
		// Scripts are blocked for what the catalogue knows; the rest is reported.
		if ref.isScript(r.Page) {
			return Decision{Unclassified: true, Categories: SetOf(Marketing), Rule: "unclassified", Host: host}
		}
		return Decision{Host: host}
	}
	d := Decision{Unclassified: true, Categories: SetOf(Marketing), Rule: "unclassified", Host: host}
	if p.site.blockPassive || p.site.blockActive && kind.Active() {
		d.Action = p.unless(d.Categories, nil)
	}
	return d
}

// byService decides by a service's category, which the site may have changed.
func (p *Policy) byService(s *Service, cats Set, rule, host string) Decision {
	if c := p.site.cats[s.index]; c&recategorised != 0 {
		cats = c &^ recategorised
	}
	return Decision{Action: p.unless(cats, s), Categories: cats, Service: s.ID, Rule: rule, Host: host}
}

// unless blocks what none of the allowed categories opens.
func (p *Policy) unless(cats Set, s *Service) Action {
	if s != nil && (p.plus != nil || p.minus != nil) {
		for _, m := range p.minus {
			if m == s && !cats.Has(Necessary) {
				return Block
			}
		}
		for _, m := range p.plus {
			if m == s && !(p.grants.GPC && cats == SetOf(Marketing)) {
				return Keep
			}
		}
	}
	if cats == 0 || cats.Intersects(p.grants.Allowed) {
		return Keep
	}
	return Block
}

// decideCookie decides on a cookie: the site's own lines first, then the catalogue's, then the
// setting for unknown ones.
func (p *Policy) decideCookie(r Resource) Decision {
	d := Decision{Host: r.Domain}
	if r.Name == p.site.own {
		d.Rule = "own"
		return d
	}
	rule, ok := p.site.cookies.find(r.Name, r.Domain)
	if !ok {
		rule, ok = p.site.cat.cookies.find(r.Name, r.Domain)
	}
	switch {
	case !ok:
		d.Unclassified, d.Rule = true, "unclassified"
		if p.site.blockCookies {
			d.Categories = SetOf(Marketing)
			d.Action = p.unless(d.Categories, nil)
		}
	case rule.essential:
		d.Rule, d.Categories = rule.rule, rule.cats
	case rule.svc != nil:
		return p.byService(rule.svc, rule.cats, rule.rule, r.Domain)
	default:
		d.Rule, d.Categories = rule.rule, rule.cats
		d.Action = p.unless(rule.cats, nil)
	}
	return d
}
