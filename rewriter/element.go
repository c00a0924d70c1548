package rewriter

import (
	"bytes"
	"hash/maphash"
	"unsafe"

	"github.com/caddy-consent/caddy-consent/rules"
)

// str views b as a string without copying; the string is valid while b is unchanged.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// value returns an attribute's value with its character references decoded, valid until the
// next call.
func (r *Rewriter) value(rd *reader, a attr) []byte {
	v := r.raw(rd, a)
	if bytes.IndexByte(v, '&') < 0 && bytes.IndexByte(v, 0) < 0 {
		return v
	}
	r.scratch = decodeAttr(r.scratch[:0], v)
	return r.scratch
}

// decide asks the policy about a URL and puts the answer on record. It is valid until the next call.
func (r *Rewriter) decide(at int, kind rules.Kind, url []byte) *rules.Decision {
	res, d := rules.Resource{Kind: kind, URL: str(url), Page: r.page}, &r.decision
	r.o.Policy.DecideInto(&res, d)
	if d.Action == rules.Block || d.Unclassified {
		r.record(at, res, *d)
	}
	if r.o.Saw != nil && kind == rules.KindScript && d.Action == rules.Keep {
		r.o.Saw(res.URL)
	}
	return d
}

// decideBare decides on a URL as it is read by who knows of no base.
func (r *Rewriter) decideBare(at int, kind rules.Kind, url []byte) *rules.Decision {
	defer r.setPage(r.page)
	r.dropBase()
	return r.decide(at, kind, url)
}

// dropBase has URLs read as in documents of data: URLs.
func (r *Rewriter) dropBase() {
	if r.bare.page != r.page {
		r.bare = lastPage{page: r.page, view: r.page.WithoutBase()}
	}
	r.page = r.bare.view
}

func (r *Rewriter) setPage(p *rules.Page) { r.page = p }

// seen is a resource on record: its offset in the document, kind and URL.
type seen struct {
	at   int64
	hash uint64
}

// maxSeen bounds what is remembered while several readings go on.
const maxSeen = 1 << 10

// record reports a decision on what stands at offset at, once for all readings.
func (r *Rewriter) record(at int, res rules.Resource, d rules.Decision) {
	if r.o.Report == nil {
		return
	}
	if r.n > 1 {
		s := seen{r.offset + int64(at), maphash.String(seed, res.URL) + uint64(res.Kind)}
		for i := range r.seen {
			if r.seen[i] == s {
				return
			}
		}
		if len(r.seen) == maxSeen {
			r.seen = append(r.seen[:0], r.seen[maxSeen/2:]...)
		}
		r.seen = append(r.seen, s)
	} else if len(r.seen) > 0 {
		r.seen = r.seen[:0]
	}
	r.o.Report(res, d)
}

// ambiguous is the decision on what cannot be read with certainty.
func ambiguous(rule string) rules.Decision {
	return rules.Decision{Action: rules.Block, Categories: rules.SetOf(rules.Marketing), Rule: rule}
}

// element looks for resources in the attributes of the start tag just read, for each of the readers
// that rd stands for: the preload scanner goes by names, the tree builder by what it inserts.
func (r *Rewriter) element(rd *reader) {
	if rd.entity {
		for _, a := range rd.attrs {
			r.escapeReferences(rd.start+int(a.val.from), r.raw(rd, a))
		}
	}
	if r.coder != nil && r.o.Lends != nil {
		r.lend(rd.el)
	}
	switch rd.el {
	case elScript:
		if rd.html || rd.svg {
			r.scriptElement(rd)
		}
	case elLink:
		if rd.html {
			r.linkElement(rd)
		}
	case elMeta:
		r.lateMeta(rd)
		if rd.live {
			r.metaElement(rd)
		}
	case elInput:
		if rd.html && r.hasValue(rd, atType, "image") {
			r.urls(rd, rules.KindImage, atSrc)
		}
	case elIframe:
		if rd.live {
			for _, a := range rd.attrs {
				if a.id == atSrcdoc {
					r.srcdoc(rd, a)
				}
			}
			r.urls(rd, rules.KindFrame, atSrc)
		}
	case elFrame, elFencedFrame, elPortal:
		if rd.live {
			r.urls(rd, rules.KindFrame, atSrc)
		}
	case elEmbed:
		if rd.live {
			r.urls(rd, rules.KindEmbed, atSrc)
			r.urls(rd, rules.KindEmbed, atCode) // Chromium takes the later of the two
		}
	case elObject:
		if rd.live {
			r.urls(rd, rules.KindEmbed, atData)
		}
	case elImg:
		if rd.html {
			r.urls(rd, rules.KindImage, atSrc)
			r.srcsets(rd, atSrcset)
		}
	case elSource:
		if rd.html {
			if rd.roles&trees == 0 || rd.parent == elVideo || rd.parent == elAudio {
				r.urls(rd, rules.KindMedia, atSrc)
			}
			for _, a := range rd.attrs {
				if a.id != atSrcset {
					continue
				}
				r.srcset(rd, a)
				// The scanner believes the first with a valid candidate, as a URL alone is for certain.
				if !r.blank(rd, a) && !bytes.ContainsAny(bytes.Trim(r.value(rd, a), spaces), spaces+",") {
					break
				}
			}
		}
	case elVideo:
		if rd.html {
			r.urls(rd, rules.KindMedia, atSrc)
			r.urls(rd, rules.KindImage, atPoster)
		}
	case elAudio:
		if rd.live {
			r.urls(rd, rules.KindMedia, atSrc)
		}
	case elTrack:
		if rd.live && (rd.parent == elVideo || rd.parent == elAudio) {
			r.urls(rd, rules.KindMedia, atSrc)
		}
	case elImage: // in HTML it becomes an img
		if r.hrefs(rd) {
			for _, a := range rd.attrs { // the tree builder believes the first, the scanner the last
				if a.id == atHref || a.id == atXlinkHref {
					r.url(rd, a, rules.KindImage)
				}
			}
		}
		if !rd.foreign() && (rd.html || rd.live) {
			r.urls(rd, rules.KindImage, atSrc)
			r.srcsets(rd, atSrcset)
		}
	case elUse, elFeImage:
		if rd.svg {
			if rd.el == elFeImage {
				r.partURLs(rd)
			}
			r.urls(rd, rules.KindImage, atHref)
			r.urls(rd, rules.KindImage, atXlinkHref)
		}
	case elAnimate, elSet:
		if rd.svg {
			r.animation(rd)
		}
	case elBase:
		if rd.html {
			r.baseElement(rd)
		}
	case elUnknown:
		if rd.svg {
			r.partURLs(rd)
		}
	}
	r.common(rd)
}

// partURLs looks for a document that is written out in the href of an element of SVG which takes a part of one, such as a
// pattern or a textPath.
func (r *Rewriter) partURLs(rd *reader) {
	for _, a := range rd.attrs {
		if a.id == atHref || a.id == atXlinkHref {
			if d := r.judgePart(rd.start, r.value(rd, a)); d.Action == rules.Block {
				r.block(rd, a, d)
				return
			}
		}
	}
}

// foreign reports whether the tag just read is that of a foreign element to all readers that take it for an element.
func (rd *reader) foreign() bool { return rd.svg && !rd.live && !(rd.html && rd.tree.stray) }

// hrefs reports whether an image or script refers by href to some of the readers. Chromium's preload scanner
// takes it so wherever an svg is open to it: behind integration points, where the tree builder has closed it, and
// where that ignores the tag.
func (r *Rewriter) hrefs(rd *reader) bool {
	return rd.svg || rd.roles&scanners != 0 && (r.svg || !rd.live)
}

var commonAttrs = attrsOf(atStyle, atPaint, atBackground, atPing, atAttributionSrc, atEvent, atLazySrc, atLazySrcset)

// firstCounts are those of them that only the tree builder reads, which drops duplicates (HTML Standard, 13.2.5.33).
const firstCounts = attrSet(1<<atStyle | 1<<atBackground | 1<<atPing)

// common looks at the attributes that every element may have.
func (r *Rewriter) common(rd *reader) {
	if rd.has&commonAttrs == 0 || !rd.live && !rd.svg {
		return
	}
	seen := attrSet(0)
	for _, a := range rd.attrs {
		dropped := (seen & firstCounts).has(a.id)
		seen |= 1 << a.id
		if a.val.empty() || dropped {
			continue
		}
		switch a.id {
		case atStyle:
			r.styleAttr(rd, a)
		case atPaint:
			if rd.svg {
				r.styleAttr(rd, a)
			}
		case atBackground:
			if rd.live && hasBackground(rd.el) {
				r.url(rd, a, rules.KindImage)
			}
		case atPing:
			if rd.el == elA || rd.el == elArea {
				r.pings(rd, a)
			}
		case atAttributionSrc:
			if rd.el == elA || rd.el == elArea || rd.el == elImg || rd.el == elScript {
				r.pings(rd, a)
			}
		case atEvent:
			if rd.roles&scripting != 0 {
				if d := r.findLoader(rd.start, r.value(rd, a)); d.Action == rules.Block {
					r.block(rd, a, d)
				}
			}
		case atLazySrc, atLazySrcset:
			kind, ok := lazyKind(rd.el)
			switch {
			case !ok || rd.el == elScript:
			case a.id == atLazySrcset:
				r.srcset(rd, a)
			default:
				r.url(rd, a, kind)
			}
		}
	}
}

// lazyKind returns the kind of resource that the script of a lazy loader makes of an element.
func lazyKind(el elem) (rules.Kind, bool) {
	switch el {
	case elScript:
		return rules.KindScript, true
	case elIframe, elFrame, elFencedFrame:
		return rules.KindFrame, true
	case elEmbed, elObject:
		return rules.KindEmbed, true
	case elVideo, elAudio, elTrack:
		return rules.KindMedia, true
	case elLink:
		return rules.KindStyle, true
	case elImg, elImage, elSource, elInput:
		return rules.KindImage, true
	}
	return rules.KindImage, false
}

// hasValue reports whether any of the element's attributes of that name has the lower-case
// value; with duplicates the scanner believes the last, the tree builder the first.
func (r *Rewriter) hasValue(rd *reader, id attrName, want string) bool {
	if !rd.has.has(id) {
		return false
	}
	for _, a := range rd.attrs {
		if a.id == id && equalFold(r.value(rd, a), want) {
			return true
		}
	}
	return false
}

const spaces = "\t\n\f\r "

// urls decides on the attribute of that name: on the first, which the tree builder believes, and
// on the first that is not blank, which the preload scanner does for some elements.
func (r *Rewriter) urls(rd *reader, kind rules.Kind, id attrName) {
	for _, a := range rd.attrs {
		if a.id != id || rd.el != elImg && r.blank(rd, a) {
			continue
		}
		r.url(rd, a, kind)
		return
	}
}

// blank reports whether an attribute's value is nothing but spaces.
func (r *Rewriter) blank(rd *reader, a attr) bool {
	if a.val.empty() {
		return true
	}
	if c := r.raw(rd, a)[0]; class[c]&space == 0 && c != '&' {
		return false
	}
	return len(bytes.Trim(r.value(rd, a), spaces)) == 0
}

// url decides on an attribute that holds one URL, and renames it if that is blocked.
func (r *Rewriter) url(rd *reader, a attr, kind rules.Kind) {
	if a.val.empty() {
		return
	}
	if d := r.judge(rd.start, kind, r.value(rd, a)); d.Action == rules.Block {
		r.block(rd, a, *d)
	}
}

// judge decides on a URL of the element that begins at offset at, and on the contents of URLs
// that are documents or scripts themselves. It is valid until the next call.
func (r *Rewriter) judge(at int, kind rules.Kind, url []byte) *rules.Decision {
	if kind.Active() || kind == rules.KindNavigation || kind == rules.KindStyle {
		switch s := schemeOf(url); s {
		case schemeData:
			if r.decision = r.judgeData(at, kind, url); kind == rules.KindStyle && r.decision.Action != rules.Block {
				r.decision = r.judgeSheet(at, url, 0) // of CSS; the former has read one of XSLT
			}
			return &r.decision
		case schemeJavaScript:
			r.decision = r.judgeJavaScript(at, url)
			return &r.decision
		}
	}
	return r.decide(at, kind, url)
}

// block renames an attribute with all its duplicates, and says on the element which rule asked for it.
func (r *Rewriter) block(rd *reader, a attr, d rules.Decision) {
	if r.dialect(rd) && r.blockAs(rd, a, d) {
		return
	}
	r.mark(rd, d, "")
	for _, b := range rd.attrs {
		if b.id == a.id && (a.id != atEvent && a.id != atLazySrc && a.id != atLazySrcset && a.id != atPaint && a.id != atValues || b.name == a.name) {
			r.insert(rd.start+int(b.name.from), renamePrefix)
		}
	}
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

// srcsets decides on the first attribute of that name as a list of image candidates.
func (r *Rewriter) srcsets(rd *reader, id attrName) {
	if a, ok := rd.find(id); ok {
		r.srcset(rd, a)
	}
}

// animation decides on the values that an animation gives to a reference of its parent.
func (r *Rewriter) animation(rd *reader) {
	reference := r.animatesReference(rd)
	for _, a := range rd.attrs {
		if a.id != atValues {
			continue
		}
		if !reference {
			r.styleAttr(rd, a) // of a presentation attribute, such as mask
			continue
		}
		v := r.value(rd, a)
		if d := r.judgePart(rd.start, v); d.Action == rules.Block { // not in a list, with semicolons of its own
			r.block(rd, a, d)
			continue
		}
		for len(v) > 0 {
			url, rest, _ := bytes.Cut(v, []byte(";"))
			url = bytes.Trim(url, spaces)
			d := r.judgePart(rd.start, url)
			if d.Action != rules.Block {
				d = *r.decide(rd.start, rules.KindImage, url)
			}
			if d.Action == rules.Block {
				r.block(rd, a, d)
				break
			}
			v = rest
		}
	}
}

// animatesReference reports whether an animation is one of href; in XML any prefix may be that of XLink.
func (r *Rewriter) animatesReference(rd *reader) bool {
	for _, a := range rd.attrs {
		if a.id != atAttributeName {
			continue
		}
		v := r.value(rd, a)
		if r.o.XML {
			v = localName(v)
		}
		if equalFold(v, "href") || equalFold(v, "xlink:href") {
			return true
		}
	}
	return false
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
			r.block(rd, a, *d)
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
			r.block(rd, a, *d)
			return
		}
		v = v[n:]
	}
}

// baseElement neutralises a base that is blocked; the first that is kept changes what relative URLs mean (HTML
// Standard, 2.4.3 and 4.2.3).
func (r *Rewriter) baseElement(rd *reader) {
	a, ok := rd.find(atHref)
	if !ok {
		return
	}
	v := r.value(rd, a)
	d := r.decide(rd.start, rules.KindBase, v)
	if d.Action != rules.Block && !d.Unclassified && r.depth > 0 && r.o.ContentType == "" {
		d = r.decideBare(rd.start, rules.KindBase, v) // Chromium's preload scanner reads it against about:srcdoc
	}
	if d.Action == rules.Block {
		r.block(rd, a, *d)
		return
	}
	everybody := rd.live && rd.roles == everyRole && !rd.tree.hasTemplate() && !rd.tree.lost
	fostered := rd.roles&trees != 0 && rd.tree.fosters()
	if (!r.page.ValidBase(str(v)) || fostered || !everybody && !r.based) && !r.o.Policy.AllAllowed() {
		// It counts for some readers only. At one that may not be a base browsers go on to the next, and Chromium's
		// preload scanner without any, which takes http:host/path for a host. One that the tree builder puts in
		// front of a table comes before those in it.
		d := ambiguous("ambiguous:base")
		r.record(rd.start, rules.Resource{Kind: rules.KindBase, URL: str(v), Page: r.page}, d)
		r.block(rd, a, d)
		return
	}
	if !r.based {
		r.page, r.based = r.page.WithBase(str(v)), true
	}
}

// metaElement blocks a meta refresh to a blocked URL.
func (r *Rewriter) metaElement(rd *reader) {
	e, ok := rd.find(atHTTPEquiv)
	if !ok || !equalFold(r.value(rd, e), "refresh") {
		return
	}
	a, ok := rd.find(atContent)
	if !ok {
		return
	}
	v := r.value(rd, a)
	url, loose := RefreshURL(v), LooseRefreshURL(v)
	if bytes.Equal(url, loose) {
		loose = nil
	}
	for _, u := range [...][]byte{url, loose} {
		if len(u) == 0 {
			continue
		}
		if d := r.judge(rd.start, rules.KindNavigation, u); d.Action == rules.Block {
			r.block(rd, a, *d)
			return
		}
	}
}

// mayRefer reports whether a style attribute may hold a URL: there is a function in it, or a custom
// property whose string another style sheet may use, or either behind a character reference.
func mayRefer(v []byte) bool {
	return bytes.IndexByte(v, '(') >= 0 || bytes.IndexByte(v, '&') >= 0 || bytes.Contains(v, []byte("--"))
}

// styleAttr puts blocked references in a style attribute out of use.
func (r *Rewriter) styleAttr(rd *reader, a attr) {
	raw := r.raw(rd, a)
	if !mayRefer(raw) {
		return
	}
	r.attrState = cssState{}
	c := &r.attrText
	*c = cssText{r: r, at: rd.start + int(a.val.from), owner: rd.start, src: raw, st: &r.attrState, final: true}
	c.parts = a.id == atPaint && equalFold(r.name(rd, a), "filter")
	if bytes.IndexByte(raw, '&') >= 0 || bytes.IndexByte(raw, 0) >= 0 || r.o.XML && hasBreaks(raw) {
		c.src, c.offsets = r.decodeOffsets(raw)
	}
	c.scan(0, len(c.src))
	if c.blocked {
		r.mark(rd, c.first, "")
	}
}
