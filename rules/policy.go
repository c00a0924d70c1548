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
func (p *Policy) Decide(r Resource) (d Decision) {
	p.DecideInto(&r, &d)
	return d
}

// DecideInto is Decide without a copy of what it is asked and says.
func (p *Policy) DecideInto(r *Resource, d *Decision) {
	*d = Decision{}
	if r.Kind == KindCookie {
		p.decideCookie(r, d)
		return
	}
	var ref reference
	parseURL(r.URL, r.Page, &ref)
	host, class := ref.host, ref.class
	if class == urlRelative {
		host, class = r.Page.baseHost, r.Page.baseClass
	}
	switch class {
	case urlSocket:
		if r.Kind != KindInlineScript && r.Kind != KindHint {
			return
		}
	case urlOther, urlInvalid:
		return
	case urlAmbiguous:
		p.ambiguousHost(r, host, d)
		return
	}
	p.decideOn(r, &ref, host, d)
	if ref.unsure && d.Action != Block {
		p.ambiguousHost(r, "", d)
	}
}

// ambiguousHost decides where it cannot be told which host is asked.
func (p *Policy) ambiguousHost(r *Resource, host string, d *Decision) {
	if r.Kind != KindInlineScript {
		*d = Decision{Host: host, Rule: "ambiguous:host", Categories: SetOf(Marketing)}
		d.Action = p.unless(d.Categories, nil)
	}
}

// decideOn decides on what is on a host of the network.
func (p *Policy) decideOn(r *Resource, ref *reference, host string, d *Decision) {
	d.Host = host
	if p.site.hosts.n > 0 {
		if sr, ok := p.site.hosts.longest(host); ok {
			if d.Rule = sr.rule; !sr.allow {
				d.Categories, d.Action = sr.cats, p.unless(sr.cats, nil)
			}
			return
		}
	}
	first := r.Page.sameSite(host)
	if !first && p.site.firstParty.n > 0 {
		_, first = p.site.firstParty.longest(host)
	}
	if first {
		p.decideSite(r, ref, d)
		return
	}
	p.decideHost(r, ref, d)
}

// decideSite decides on a first-party host: only collector paths are anything but first party.
func (p *Policy) decideSite(r *Resource, ref *reference, d *Decision) {
	if len(p.site.collectors) > 0 {
		if m := matchPaths(p.site.collectors, nil, r.Kind, ref, r.Page); m != nil {
			d.Action, d.Categories, d.Rule = p.unless(m.cats, nil), m.cats, m.rule
			return
		}
	}
	if r.Kind != KindInlineScript && p.site.cat.siteKinds&(1<<r.Kind) != 0 && ref.maybePath(r.Page, &p.site.cat.siteFirst) {
		if m := matchPaths(p.site.cat.sitePaths, &p.site.cat.siteFirst, r.Kind, ref, r.Page); m != nil {
			p.byService(&m.verdict, d)
			return
		}
	}
	if d.Host == r.Page.host && r.Kind != KindCollector {
		return
	}
	// Hosts known as collectors that sites give a name of their own keep their service.
	if e, ok := p.site.cat.hosts.get(d.Host); ok && e.cname {
		p.byService(&e.verdict, d)
	}
}

// decideHost decides on a third-party host by the most specific rule that knows it.
func (p *Policy) decideHost(r *Resource, ref *reference, d *Decision) {
	var hits [maxMatches]*hostEntry
	kind := r.Kind
	for n := p.site.cat.hosts.match(d.Host, &hits); n > 0; n-- {
		e := hits[n-1]
		if e.paths != nil {
			if m := matchPaths(*e.paths, nil, kind, ref, r.Page); m != nil {
				p.byService(&m.verdict, d)
				return
			}
		}
		if e.svc == nil || e.cats == 0 {
			continue
		}
		// A connection hint names no path: it serves whatever the host is used for.
		if e.broad && !e.cats.Has(Necessary) && kind != KindHint {
			continue
		}
		if kind != KindInlineScript || ref.isScript(r.Page) {
			p.byService(&e.verdict, d)
		}
		return
	}
	if kind == KindInlineScript && !ref.isScript(r.Page) {
		return
	}
	d.Unclassified, d.Categories, d.Rule = true, SetOf(Marketing), "unclassified"
	// Inline scripts are blocked for what the catalogue knows; the rest is reported.
	if kind != KindInlineScript && (p.site.blockPassive || p.site.blockActive && kind.Active()) {
		d.Action = p.unless(d.Categories, nil)
	}
}

// byService decides by a service's category, which the site may have changed.
func (p *Policy) byService(v *verdict, d *Decision) {
	cats := v.cats
	if p.site.recategorises {
		if c := p.site.cats[v.svc.index]; c&recategorised != 0 {
			cats = c &^ recategorised
		}
	}
	d.Action, d.Categories, d.Service, d.Rule = p.unless(cats, v.svc), cats, v.id, v.rule
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
func (p *Policy) decideCookie(r *Resource, d *Decision) {
	d.Host = r.Domain
	if r.Name == p.site.own {
		d.Rule = "own"
		return
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
		p.byService(&rule.verdict, d)
	default:
		d.Rule, d.Categories = rule.rule, rule.cats
		d.Action = p.unless(rule.cats, nil)
	}
}
