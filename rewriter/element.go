package rewriter

import (
	"bytes"
	"unsafe"

	"github.com/caddy-consent/caddy-consent/rules"
)

// str views b as a string without copying; the string is valid while b is unchanged.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// value returns an attribute's value with its character references decoded, valid until the
// next call.
func (r *Rewriter) value(rd *reader, a attr) []byte {
	v := r.raw(rd, a)
	if bytes.IndexByte(v, '&') < 0 {
		return v
	}
	r.scratch = decodeAttr(r.scratch[:0], v)
	return r.scratch
}

// decide asks the policy about a URL and puts the answer on record.
func (r *Rewriter) decide(at int, kind rules.Kind, url []byte) rules.Decision {
	res := rules.Resource{Kind: kind, URL: str(url), Page: r.page}
	d := r.o.Policy.Decide(res)
	if d.Action == rules.Block || d.Unclassified {
		r.record(at, res, d)
	}
	return d
}

// record reports a decision on what stands at offset at, once for both readings.
func (r *Rewriter) record(at int, res rules.Resource, d rules.Decision) {
	if r.o.Report != nil && at >= r.reported {
		r.o.Report(res, d)
	}
}

// ambiguous is the decision on what cannot be read with certainty.
func ambiguous(rule string) rules.Decision {
	return rules.Decision{Action: rules.Block, Ambiguous: true, Categories: rules.SetOf(rules.Marketing), Rule: rule}
}

// element looks for resources in the attributes of the start tag just read.
func (r *Rewriter) element(rd *reader, foreign bool) {
	switch rd.tag {
	case tagScript:
		r.scriptElement(rd, foreign)
	case tagLink:
		r.linkElement(rd)
	case tagMeta:
		r.metaElement(rd)
	case tagInput:
		if r.hasValue(rd, "type", "image") {
			r.urls(rd, rules.KindImage, "src")
		}
	case tagIframe:
		for _, a := range rd.attrs {
			if equalFold(r.name(rd, a), "srcdoc") {
				r.srcdoc(rd, a)
			}
		}
		r.urls(rd, rules.KindFrame, "src")
	case tagFrame, tagFencedFrame:
		r.urls(rd, rules.KindFrame, "src")
	case tagEmbed:
		r.urls(rd, rules.KindEmbed, "src", "code")
	case tagObject:
		r.urls(rd, rules.KindEmbed, "data")
	case tagImg:
		r.urls(rd, rules.KindImage, "src")
		r.srcsets(rd, "srcset")
	case tagSource:
		r.urls(rd, rules.KindMedia, "src")
		r.srcsets(rd, "srcset")
	case tagMedia:
		r.urls(rd, rules.KindMedia, "src")
		r.urls(rd, rules.KindImage, "poster")
	case tagTrack:
		r.urls(rd, rules.KindMedia, "src")
	case tagSVGImage: // in HTML <image> becomes <img>
		r.urls(rd, rules.KindImage, "href", "xlink:href", "src")
		r.srcsets(rd, "srcset")
	case tagSVGUse, tagFeImage:
		r.urls(rd, rules.KindImage, "href", "xlink:href")
	case tagAnimate:
		if r.hasValue(rd, "attributename", "href") || r.hasValue(rd, "attributename", "xlink:href") {
			r.urls(rd, rules.KindImage, "to", "from", "by", "values")
		}
	case tagBase:
		r.baseElement(rd)
	}
	r.common(rd)
	r.reported = max(r.reported, rd.start+1)
}

// common looks at the attributes that every element may have.
func (r *Rewriter) common(rd *reader) {
	for _, a := range rd.attrs {
		if a.val == a.valEnd {
			continue
		}
		n := r.name(rd, a)
		switch {
		case equalFold(n, "style"):
			r.styleAttr(rd, a)
		case equalFold(n, "background"):
			if hasBackground(r.in[rd.start+1 : rd.nameTo]) {
				r.url(rd, a, rules.KindImage)
			}
		case equalFold(n, "ping"):
			if el := r.in[rd.start+1 : rd.nameTo]; equalFold(el, "a") || equalFold(el, "area") {
				r.pings(rd, a)
			}
		case equalFold(n, "attributionsrc"):
			r.pings(rd, a)
		case lazyAttr(n) != 0 && rd.tag > tagPlain && rd.tag < tagNoscript && rd.tag != tagScript:
			if lazyAttr(n) == lazySrcset {
				r.srcset(rd, a)
			} else {
				r.url(rd, a, r.lazyKind(rd.tag))
			}
		}
	}
}

// Attributes from which the scripts of lazy loaders fill src and srcset.
const (
	lazySrc = iota + 1
	lazySrcset
)

func lazyAttr(name []byte) int {
	if len(name) < 8 || lower[name[0]] != 'd' || !equalFold(name[:5], "data-") {
		return 0
	}
	switch rest := name[5:]; {
	case equalFold(rest, "src"), equalFold(rest, "lazy-src"), equalFold(rest, "original"), equalFold(rest, "rocket-src"),
		equalFold(rest, "litespeed-src"), equalFold(rest, "orig-src"), equalFold(rest, "lazy"), equalFold(rest, "ezsrc"),
		equalFold(rest, "opt-src"), equalFold(rest, "wpfc-original-src"), equalFold(rest, "pmdelayedscript"),
		equalFold(rest, "href"), equalFold(rest, "rocket-lazyload-src"), equalFold(rest, "cfsrc"), equalFold(rest, "pagespeed-lazy-src"):
		return lazySrc
	case equalFold(rest, "srcset"), equalFold(rest, "lazy-srcset"), equalFold(rest, "rocket-srcset"), equalFold(rest, "ezsrcset"):
		return lazySrcset
	}
	return 0
}

func (r *Rewriter) lazyKind(t tag) rules.Kind {
	switch t {
	case tagScript:
		return rules.KindScript
	case tagIframe, tagFrame, tagFencedFrame:
		return rules.KindFrame
	case tagEmbed, tagObject:
		return rules.KindEmbed
	case tagMedia, tagTrack:
		return rules.KindMedia
	case tagLink:
		return rules.KindStyle
	}
	return rules.KindImage
}

// hasBackground reports whether browsers fetch the background attribute of an element.
func hasBackground(name []byte) bool {
	switch len(name) {
	case 2:
		return equalFold(name, "td") || equalFold(name, "th") || equalFold(name, "tr")
	case 4:
		return equalFold(name, "body")
	case 5:
		return equalFold(name, "table") || equalFold(name, "tbody") || equalFold(name, "thead") || equalFold(name, "tfoot")
	}
	return false
}

// hasValue reports whether any of the element's attributes of that name has the lower-case
// value; with duplicates the scanner believes the last, the tree builder the first.
func (r *Rewriter) hasValue(rd *reader, name, want string) bool {
	for _, a := range rd.attrs {
		if equalFold(r.name(rd, a), name) && equalFold(bytes.Trim(r.value(rd, a), spaces), want) {
			return true
		}
	}
	return false
}

const spaces = "\t\n\f\r "

// urls decides on every attribute that has one of the names.
func (r *Rewriter) urls(rd *reader, kind rules.Kind, names ...string) {
	for _, a := range rd.attrs {
		for _, n := range names {
			if equalFold(r.name(rd, a), n) {
				r.url(rd, a, kind)
				break
			}
		}
	}
}

// url decides on an attribute that holds one URL, and renames it if that is blocked.
func (r *Rewriter) url(rd *reader, a attr, kind rules.Kind) {
	if a.val == a.valEnd {
		return
	}
	if d := r.judge(rd.start, kind, r.value(rd, a)); d.Action == rules.Block {
		r.block(rd, a, d)
	}
}

// judge decides on a URL of the element that begins at offset at, and on the contents of URLs
// that are documents or scripts themselves.
func (r *Rewriter) judge(at int, kind rules.Kind, url []byte) rules.Decision {
	if kind.Active() {
		switch s := schemeOf(url); s {
		case schemeData:
			return r.judgeData(at, kind, url)
		case schemeJavaScript:
			return r.judgeJavaScript(at, url)
		}
	}
	return r.decide(at, kind, url)
}

// block renames an attribute, and says on the element which rule asked for it.
func (r *Rewriter) block(rd *reader, a attr, d rules.Decision) {
	r.insert(rd.start+int(a.name), renamePrefix)
	r.mark(rd, d, "")
}

// renamePrefix makes src data-consent-src.
const renamePrefix = "data-consent-"

// mark adds category, service and rule to the element, and extra before them.
func (r *Rewriter) mark(rd *reader, d rules.Decision, extra string) {
	at := rd.nameTo
	if at < 0 { // the tag's begin is out already
		return
	}
	r.insert(at, extra, ` data-consent-category="`, escapeAttr(d.Categories.String()), `" data-consent-service="`,
		escapeAttr(d.Service), `" data-consent-rule="`, escapeAttr(d.Rule), `"`)
}

// srcsets decides on every attribute of that name as a list of image candidates.
func (r *Rewriter) srcsets(rd *reader, name string) {
	for _, a := range rd.attrs {
		if equalFold(r.name(rd, a), name) {
			r.srcset(rd, a)
		}
	}
}

func (r *Rewriter) srcset(rd *reader, a attr) {
	v := r.value(rd, a)
	for len(v) > 0 {
		var url []byte
		url, v = nextCandidate(v)
		if len(url) == 0 {
			return
		}
		if d := r.decide(rd.start, rules.KindImage, url); d.Action == rules.Block {
			r.block(rd, a, d)
			return
		}
	}
}

// pings decides on a space-separated list of URLs.
func (r *Rewriter) pings(rd *reader, a attr) {
	for v := r.value(rd, a); ; {
		v = bytes.TrimLeft(v, spaces)
		if len(v) == 0 {
			return
		}
		n := bytes.IndexAny(v, spaces)
		if n < 0 {
			n = len(v)
		}
		if d := r.decide(rd.start, rules.KindFetch, v[:n]); d.Action == rules.Block {
			r.block(rd, a, d)
			return
		}
		v = v[n:]
	}
}

// baseElement neutralises a base that is blocked; a kept one changes what relative URLs mean.
func (r *Rewriter) baseElement(rd *reader) {
	for _, a := range rd.attrs {
		if !equalFold(r.name(rd, a), "href") || a.val == a.valEnd {
			continue
		}
		v := r.value(rd, a)
		if d := r.decide(rd.start, rules.KindBase, v); d.Action == rules.Block {
			r.block(rd, a, d)
			continue
		}
		if r.page == r.o.Page {
			r.page = r.page.WithBase(string(v))
		}
	}
}

// metaElement blocks a meta refresh to a blocked URL.
func (r *Rewriter) metaElement(rd *reader) {
	if !r.hasValue(rd, "http-equiv", "refresh") {
		return
	}
	for _, a := range rd.attrs {
		if !equalFold(r.name(rd, a), "content") {
			continue
		}
		if url := RefreshURL(r.value(rd, a)); len(url) > 0 {
			if d := r.judge(rd.start, rules.KindNavigation, url); d.Action == rules.Block {
				r.block(rd, a, d)
			}
		}
	}
}

// styleAttr puts blocked references in a style attribute out of use.
func (r *Rewriter) styleAttr(rd *reader, a attr) {
	raw := r.raw(rd, a)
	if bytes.IndexByte(raw, '(') < 0 && bytes.IndexByte(raw, '&') < 0 {
		return // without a function there is no URL
	}
	at := rd.start + int(a.val)
	var st cssState
	c := cssText{r: r, at: at, owner: rd.start, src: raw, st: &st, final: true}
	if bytes.IndexByte(raw, '&') >= 0 {
		r.scratch, r.offsets = decodeAttrOffsets(r.scratch[:0], r.offsets[:0], raw)
		c.src, c.offsets = r.scratch, r.offsets
	}
	c.scan(0, len(c.src))
	if c.blocked {
		r.mark(rd, c.first, "")
	}
}
