package rewriter

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// form is what makes one sort of element a placeholder of a consent manager. In attrs and class, %
// stands for the manager's name of the category or service, and %s for our id of the service.
type form struct {
	attrs string // written behind the tag's name
	class string // a class that the element gets
	// before and after are written around the name of the attribute with the address: data- and
	// nothing make data-src of src. keep leaves the address where it is, for scripts only: browsers
	// do not fetch for a type that they do not know (HTML Standard, 4.12.1.1).
	before, after string
	keep          bool
	typ           string // in front of the name of the tag's own type; renamePrefix if empty
	untyped       string // written where the tag has no type
	unstyled      bool   // the manager damages a style attribute
}

// dialect is the markup that one consent manager revives. Kinds of elements without a form keep our
// own placeholder.
type dialect struct {
	script, inline, module, frame, image, style *form
	services                                    bool // goes by services, not by categories
	names                                       [4]string
}

// lazy are the forms of managers that load data-src of any element with their mark.
func lazy(attrs string) *form { return &form{attrs: attrs, before: "data-"} }

func kept(attrs string) *form { return &form{attrs: attrs, keep: true} }

const plain = ` type="text/plain"`

var (
	vanilla     = &form{attrs: plain + ` data-category="%"`, before: "data-", typ: "data-"}
	vanilla2    = &form{attrs: plain + ` data-cookiecategory="%"`, before: "data-", typ: "data-"}
	klaroScript = &form{attrs: plain + ` data-name="%"`, before: "data-", typ: "data-", untyped: ` data-type="application/javascript"`}
	klaroFrame  = &form{attrs: ` data-name="%"`, before: "data-", unstyled: true}
	klaroAny    = lazy(` data-name="%"`)
	orejime     = &form{attrs: ` type="opt-in" data-name="%"`, before: "data-", typ: "data-", untyped: ` data-type="application/javascript"`}
	complianz   = plain + ` data-category="%" data-service="%s"`
	borlabs     = &form{attrs: ` type="text/template" data-borlabs-cookie-script-blocker-id="%"`, before: "data-borlabs-cookie-script-blocker-"}
	cookiebot   = &form{attrs: ` data-cookieconsent="%"`, before: "data-cookieblock-"}
	optanon     = &form{class: "optanon-category-%", before: "data-"}
	optanonJS   = &form{attrs: plain, class: "optanon-category-%", keep: true}
	iubenda     = &form{attrs: ` data-iub-purposes="%"`, class: "_iub_cs_activate", before: "suppressed"}
	cookieInfo  = &form{attrs: ` data-category-consent="%"`, before: renamePrefix}
)

// dialects are taken from the managers' own sources and documentation.
var dialects = map[string]dialect{
	"vanilla-cookieconsent": {script: vanilla, inline: vanilla, module: vanilla,
		names: [4]string{"necessary", "functionality", "analytics", "marketing"}},
	"vanilla-cookieconsent-2": {script: vanilla2, inline: vanilla2, module: vanilla2,
		names: [4]string{"necessary", "functionality", "analytics", "marketing"}},
	"klaro": {script: klaroScript, inline: klaroScript, module: klaroScript, frame: klaroFrame, image: klaroAny,
		style: lazy(plain + ` data-type="text/css" data-name="%"`), services: true},
	"orejime": {script: orejime, inline: orejime, module: orejime, frame: klaroFrame, image: klaroAny,
		services: true},
	"cookiebot": {script: kept(plain + ` data-cookieconsent="%"`), inline: kept(plain + ` data-cookieconsent="%"`), frame: cookiebot, image: cookiebot,
		names: [4]string{"", "preferences", "statistics", "marketing"}},
	"onetrust": {script: optanonJS, inline: optanonJS, frame: optanon, image: optanon,
		names: [4]string{"C0001", "C0003", "C0002", "C0004"}},
	"iubenda": {script: &form{attrs: plain + ` data-iub-purposes="%"`, class: "_iub_cs_activate", before: "data-suppressed"},
		inline: &form{attrs: plain + ` data-iub-purposes="%"`, class: "_iub_cs_activate-inline"}, frame: iubenda,
		names: [4]string{"1", "2", "4", "5"}},
	"complianz": {script: &form{attrs: complianz, before: "data-cmplz-"}, inline: kept(complianz),
		module: &form{attrs: complianz + ` data-script-type="module"`, before: "data-cmplz-"},
		frame: &form{attrs: ` data-category="%" data-service="%s" data-cmplz-target="src"`,
			class: "cmplz-placeholder-element cmplz-iframe cmplz-iframe-styles", before: "data-", after: "-cmplz"},
		image: &form{attrs: ` data-category="%" data-service="%s"`, class: "cmplz-image", before: "data-", after: "-cmplz"},
		style: lazy(` data-category="%" data-service="%s"`),
		names: [4]string{"functional", "preferences", "statistics", "marketing"}},
	"cookieyes": {script: kept(plain + ` data-cookieyes="cookieyes-%"`),
		names: [4]string{"necessary", "functional", "analytics", "advertisement"}},
	"webtoffee": {script: kept(plain + ` data-cli-class="cli-blocker-script" data-cli-script-type="%" data-cli-block="true" data-cli-element-position="head"`),
		inline: kept(plain + ` data-cli-class="cli-blocker-script" data-cli-script-type="%" data-cli-block="true" data-cli-element-position="head"`),
		names:  [4]string{"necessary", "functional", "analytics", "advertisement"}},
	"usercentrics": {script: kept(plain + ` data-usercentrics="%"`), inline: kept(plain + ` data-usercentrics="%"`),
		frame: lazy(` data-usercentrics="%"`), image: lazy(` data-usercentrics="%"`), services: true},
	"didomi": {script: kept(` type="didomi/javascript" data-vendor="%"`), inline: kept(` type="didomi/javascript" data-vendor="%"`),
		services: true},
	"termly": {script: lazy(plain + ` data-categories="%"`), inline: kept(plain + ` data-categories="%"`), frame: lazy(` data-categories="%"`),
		image: lazy(` data-categories="%"`), style: lazy(` data-categories="%"`),
		names: [4]string{"essential", "performance", "analytics", "advertising"}},
	"cookiefirst": {script: lazy(plain + ` data-cookiefirst-category="%"`), inline: kept(plain + ` data-cookiefirst-category="%"`),
		frame: lazy(` data-cookiefirst-category="%"`),
		names: [4]string{"necessary", "functional", "performance", "advertising"}},
	"cookiehub": {script: lazy(plain + ` data-consent="%"`), inline: kept(plain + ` data-consent="%"`), frame: lazy(` data-consent="%"`),
		names: [4]string{"necessary", "preferences", "analytics", "marketing"}},
	"cookiescript": {script: lazy(plain + ` data-cookiescript="accepted" data-cookiecategory="%"`),
		inline: kept(plain + ` data-cookiescript="accepted" data-cookiecategory="%"`),
		frame:  lazy(` data-cookiescript="accepted" data-cookiecategory="%"`),
		image:  lazy(` data-cookiescript="accepted" data-cookiecategory="%"`),
		style:  lazy(` data-cookiescript="accepted" data-cookiecategory="%"`),
		names:  [4]string{"strict", "functionality", "performance", "targeting"}},
	"cookie-information": {script: &form{attrs: plain + ` data-category-consent="%"`, before: renamePrefix},
		frame: cookieInfo, image: cookieInfo,
		names: [4]string{"cookie_cat_necessary", "cookie_cat_functional", "cookie_cat_statistic", "cookie_cat_marketing"}},
	"civic": {script: lazy(plain + ` data-cc-category="%"`), inline: kept(plain + ` data-cc-category="%"`), frame: lazy(` data-cc-category="%"`),
		names: [4]string{"necessary", "functional", "analytics", "marketing"}},
	"consentmanager": {script: &form{attrs: plain + ` data-cmp-vendor="%"`, class: "cmplazyload", before: "data-cmp-"},
		inline: &form{attrs: plain + ` data-cmp-vendor="%"`, class: "cmplazyload"},
		frame:  &form{attrs: ` data-cmp-vendor="%"`, class: "cmplazyload", before: "data-cmp-"}, services: true},
	"c15t": {frame: lazy(` data-category="%"`),
		names: [4]string{"necessary", "functionality", "measurement", "marketing"}},
	"finsweet": {script: kept(` type="fs-cc" fs-cc-categories="%"`), inline: kept(` type="fs-cc" fs-cc-categories="%"`),
		frame: &form{attrs: ` fs-cc-categories="%"`, before: "fs-cc-"},
		names: [4]string{"essential", "personalization", "analytics", "marketing"}},
	"borlabs": {script: borlabs, inline: borlabs,
		module: &form{attrs: ` type="text/template-module" data-borlabs-cookie-script-blocker-id="%"`, before: "data-borlabs-cookie-script-blocker-"}, services: true},
	"ccm19": {script: &form{attrs: ` type="text/x-ccm-loader" data-ccm-loader-group="%"`, before: "data-ccm-loader-"},
		inline: kept(` type="text/x-ccm-loader" data-ccm-loader-group="%"`), services: true},
	"cookieadmin": {script: kept(plain + ` data-cookieadmin-category="%"`), inline: kept(plain + ` data-cookieadmin-category="%"`),
		names: [4]string{"necessary", "functional", "analytics", "marketing"}},
	"consented":     {script: kept(plain + ` data-consented="%"`), inline: kept(plain + ` data-consented="%"`), services: true},
	"moove":         {frame: &form{before: "data-gdpr-iframe"}, names: [4]string{"-", "-", "-", "-"}},
	"pandectes":     {script: kept(` type="javascript/blocked" data-cookiecategory="%"`), inline: kept(` type="javascript/blocked" data-cookiecategory="%"`), names: [4]string{"", "functionality", "performance", "targeting"}},
	"tarteaucitron": {services: true}, // scripts and frames become calls and elements of its own
	"cookieconsent": {},               // Osano's cookieconsent 3 revives nothing
}

// Dialects returns the names that [NewDialect] knows, sorted.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

// Dialect is the markup of the placeholders of a site, made for the consent manager that revives
// them. It is immutable and safe for concurrent use.
type Dialect struct {
	d     dialect
	names map[string]string
}

// NewDialect returns the dialect of a consent manager. The keys of names are categories, or ids of
// services, which go first; the values are what the manager calls them. Managers that go by services
// know those that are not named by our ids. The error of an unknown manager says the nearest one.
func NewDialect(manager string, names map[string]string) (*Dialect, error) {
	d, ok := dialects[manager]
	if !ok {
		return nil, fmt.Errorf("unknown consent manager %q%s", manager, rules.DidYouMean(manager, Dialects()))
	}
	for key, name := range names {
		if key == "" || name == "" || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return nil, fmt.Errorf("%q cannot stand for %q: use a name without control characters", name, key)
		}
	}
	return &Dialect{d, maps.Clone(names)}, nil
}

// name is what the manager calls the decision's service or category, "" if it knows neither.
func (d *Dialect) name(dec rules.Decision) string {
	if n := d.names[dec.Service]; n != "" {
		return n
	}
	// Of several categories the strictest counts.
	for i := len(rules.Categories) - 1; i >= 0; i-- {
		c := rules.Categories[i]
		if !dec.Categories.Has(c) {
			continue
		}
		if n := d.names[c.String()]; n != "" {
			return n
		}
		if d.d.services {
			return dec.Service
		}
		return d.d.names[c]
	}
	return ""
}

// blockScriptAs makes a script a placeholder of the site's consent manager, or returns false if
// that cannot revive it.
func (r *Rewriter) blockScriptAs(rd *reader, d rules.Decision) bool {
	f, typed, module, external := r.o.Dialect.d.inline, false, false, false
	for _, a := range rd.attrs {
		switch a.id {
		case atType:
			if !typed {
				module = equalFold(r.value(rd, a), "module")
				if k := typeKind(r.value(rd, a)); k != scriptRun {
					return false // import maps and speculation rules
				}
			}
			typed = true
		case atSrc:
			external = true
		case atLazySrc, atHref, atXlinkHref:
			return false
		}
	}
	switch {
	case module:
		f = r.o.Dialect.d.module
	case external:
		f = r.o.Dialect.d.script
	}
	if f == nil {
		return false
	}
	extra := f.attrs
	if !typed {
		extra += f.untyped
	}
	if !r.markAs(rd, d, f, extra) {
		return false
	}
	for _, a := range rd.attrs {
		switch a.id {
		case atSrc:
			r.renameAs(rd, a, f)
		case atType:
			prefix := renamePrefix
			if f.typ != "" {
				prefix = f.typ
			}
			r.insert(rd.start+int(a.name.from), prefix)
		}
	}
	return true
}

// lazySigns are attributes by which lazy loaders find elements.
var lazySigns = []string{"class", "loading", "uk-img", "data-uk-img"}

// blockAs makes the element with that address a placeholder of the site's consent manager, or
// returns false if that cannot revive it.
func (r *Rewriter) blockAs(rd *reader, a attr, d rules.Decision) bool {
	var f *form
	switch {
	case rd.el == elIframe && a.id == atSrc:
		f = r.o.Dialect.d.frame
	case rd.el == elImg && a.id == atSrc:
		f = r.o.Dialect.d.image
	case rd.el == elLink && a.id == atHref:
		// Style sheets alone: hints and preloads serve nothing once a page is there.
		if b, ok := rd.find(atRel); ok && equalFold(r.value(rd, b), "stylesheet") {
			f = r.o.Dialect.d.style
		}
	}
	if f == nil {
		return false
	}
	for _, b := range rd.attrs {
		if b.id == atLazySrc || b.id == atLazySrcset || b.id == atSrcset || b.id == atSrcdoc || b.id == atType || b.id == atStyle && f.unstyled {
			return false // there is more to the element than its address
		}
	}
	if f.before == "data-" && f.after == "" {
		// The element's own handlers and lazy loaders would load data-src before anybody has agreed.
		if _, handled := rd.find(atEvent); handled {
			return false
		}
		if rd.el != elLink {
			for _, name := range lazySigns {
				if _, found := r.findAttr(rd, name); found {
					return false
				}
			}
		}
	}
	if !r.markAs(rd, d, f, f.attrs) {
		return false
	}
	for _, b := range rd.attrs {
		if b.id == a.id {
			r.renameAs(rd, b, f)
		}
	}
	return true
}

func (r *Rewriter) renameAs(rd *reader, a attr, f *form) {
	if f.keep {
		return
	}
	r.insert(rd.start+int(a.name.from), f.before)
	if f.after != "" {
		r.insert(rd.start+int(a.name.to), f.after)
	}
}

// markAs writes attrs and the form's class into the tag.
func (r *Rewriter) markAs(rd *reader, d rules.Decision, f *form, attrs string) bool {
	name := r.o.Dialect.name(d)
	if name == "" {
		return false
	}
	fill := strings.NewReplacer("%s", html.EscapeString(d.Service), "%", html.EscapeString(name)).Replace
	if f.class != "" {
		class := fill(f.class)
		a, ok := r.findAttr(rd, "class")
		switch {
		case !ok:
			attrs += ` class="` + class + `"`
		case a.quote != 0:
			r.insert(rd.start+int(a.val.from), class+" ")
		default:
			return false
		}
	}
	r.mark(rd, d, fill(attrs))
	return true
}

// dialect reports whether the element may become a placeholder of the site's consent manager: where
// all readings agree on an HTML element whose tag is held as a whole.
func (r *Rewriter) dialect(rd *reader) bool {
	if r.o.Dialect == nil || r.n > 1 || !rd.html || r.o.XML || rd.start < 0 || rd.nameTo <= rd.start {
		return false
	}
	_, whole := r.lookFor(rd, "")
	return whole
}

// findAttr returns the first attribute of that lower-case name. The readers keep attributes only if
// they can fetch.
func (r *Rewriter) findAttr(rd *reader, name string) (attr, bool) {
	a, _ := r.lookFor(rd, name)
	return a, a.name.to > 0
}

// lookFor reads the tag once more for an attribute of that name, and says whether the tag ends
// within its limit.
func (r *Rewriter) lookFor(rd *reader, name string) (found attr, whole bool) {
	in := r.in[:min(len(r.in), rd.start+r.maxTag())]
	for i := rd.nameTo; i < len(in); {
		if class[in[i]]&space != 0 || in[i] == '/' {
			i++
			continue
		}
		if in[i] == '>' {
			return found, true
		}
		a := attr{name: span{from: int32(i - rd.start)}}
		for i++; i < len(in) && class[in[i]]&nameEnd == 0; i++ {
		}
		a.name.to = int32(i - rd.start)
		v := skipSpace(in, i)
		if v < len(in) && in[v] == '=' {
			i = skipSpace(in, v+1)
			a.val.from = int32(i - rd.start)
			if i < len(in) && (in[i] == '"' || in[i] == '\'') {
				a.quote = in[i]
				a.val.from++
				for i++; i < len(in) && in[i] != a.quote; i++ {
				}
				a.val.to = int32(i - rd.start)
				i++
			} else {
				for i < len(in) && class[in[i]]&unqEnd == 0 {
					i++
				}
				a.val.to = int32(i - rd.start)
			}
		}
		if found.name.to == 0 && i <= len(in) && equalFold(r.name(rd, a), name) {
			found = a
		}
	}
	return found, false
}

func skipSpace(in []byte, i int) int {
	for i < len(in) && class[in[i]]&space != 0 {
		i++
	}
	return i
}
