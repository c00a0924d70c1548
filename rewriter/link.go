package rewriter

import (
	"bytes"
	"math/bits"

	"github.com/caddy-consent/caddy-consent/rules"
)

// linkElement decides on the references of a link by what its rel makes of them. Of duplicates the
// tree builder believes the first. The preload scanner believes the last rel and as, and the first
// href that is not blank, or the last of an image's preload.
func (r *Rewriter) linkElement(rd *reader) {
	var first, last kindSet
	rels, as, idle, ahead := 0, rules.Kind(0), false, false
	for _, a := range rd.attrs {
		switch a.id {
		case atRel:
			if last = relKinds(r.value(rd, a)); rels == 0 {
				first = last
			}
			rels++
		case atAs:
			v := r.value(rd, a)
			if k := asKind(bytes.Trim(v, spaces)); as == 0 || k.Active() {
				as = k
			}
			if isIdle(v) { // with white space it is another word
				idle = true
			} else {
				ahead = true
			}
		}
	}
	kinds := first | last&scannerKinds
	if idle && !ahead {
		kinds &^= 1 << preload
	}
	if kinds == 0 {
		return
	}
	var d rules.Decision
	href, srcset, blocked := false, false, false
	for _, a := range rd.attrs {
		if a.id != atHref && a.id != atImageSrcset || r.blank(rd, a) {
			continue
		}
		switch a.id {
		case atHref:
			if !href || !blocked && kinds&(1<<preload) != 0 {
				href = true
				if b := r.anyKind(rd.start, kinds, as, r.value(rd, a)); b != nil {
					d, blocked = *b, true
				}
			}
			if blocked { // else a duplicate would take its place
				r.block(rd, a, d)
			}
		case atImageSrcset:
			if !srcset {
				srcset = true
				r.srcset(rd, a)
			}
		}
	}
}

// kindSet is a set of rules.Kind.
type kindSet uint32

// preload stands in a kindSet for the kind that the as attribute names.
const preload = rules.Kind(31)

// scannerKinds are what the preload scanner fetches for a link, or connects to.
const scannerKinds = kindSet(1<<rules.KindStyle | 1<<rules.KindScript | 1<<rules.KindHint | 1<<preload)

// anyKind decides on a URL as each of those kinds. It returns the decision that blocks it, valid until
// the next one, or nil.
func (r *Rewriter) anyKind(at int, kinds kindSet, as rules.Kind, url []byte) *rules.Decision {
	for ; kinds != 0; kinds &= kinds - 1 {
		k := rules.Kind(bits.TrailingZeros32(uint32(kinds)))
		kind := k
		if k == preload {
			if kind = as; kind == 0 {
				kind = rules.KindFetch
			}
		}
		d := &r.decision
		switch {
		case (k == rules.KindStyle || k == preload || k == rules.KindFetch) && schemeOf(url) == schemeData:
			// Firefox reads style sheets that are only preloaded, or dictionaries, too.
			*d = r.judgeSheet(at, url, 0)
		case k == rules.KindScript: // a module in a data: URL loads what it imports
			d = r.judge(at, kind, url)
		case k == rules.KindHint && bytes.IndexByte(url, ':') >= 0 && !bytes.Contains(url, []byte("://")):
			// The preload scanner connects to the host in http:host whatever the base, if it has seen no base element.
			if d = r.decide(at, kind, url); d.Action != rules.Block && !d.Unclassified {
				d = r.decideBare(at, kind, url)
			}
		default:
			d = r.decide(at, kind, url)
		}
		if d.Action == rules.Block {
			return d
		}
	}
	return nil
}

// LinkKinds calls f with the kind of each fetch that a link with these rel and as values causes,
// in a link element as in a Link header.
func LinkKinds(rel, as string, f func(rules.Kind)) {
	kinds := relKinds([]byte(rel))
	for k := rules.Kind(1); k <= preload; k++ {
		if kinds&(1<<k) == 0 {
			continue
		}
		if k == preload {
			if ak := asKind([]byte(as)); ak != 0 {
				f(ak)
			} else {
				f(rules.KindFetch)
			}
			continue
		}
		f(k)
	}
}

// relKinds returns what the tokens of a rel value fetch (HTML Standard, 4.6.7, and what browsers do).
func relKinds(rel []byte) (s kindSet) {
	for i := 0; i < len(rel); i++ {
		from := i
		for i < len(rel) && class[rel[i]]&space == 0 {
			i++
		}
		if k := relKind(rel[from:i]); k != 0 {
			s |= 1 << k
		} else if oddIcon(rel[from:i]) {
			s |= 1 << rules.KindImage
		}
	}
	return s
}

// oddIcon reports whether a token has the word for an icon in it where other white space ends words than that of HTML: Firefox looks
// for icons with JavaScript, to which vertical tabs, no-break spaces and much of Unicode's punctuation are white space.
func oddIcon(token []byte) bool {
	odd := func(c rune) bool { return c == '\v' || c >= 0x80 }
	if bytes.IndexFunc(token, odd) < 0 {
		return false
	}
	for word := range bytes.FieldsFuncSeq(token, odd) {
		if relKind(word) == rules.KindImage {
			return true
		}
	}
	return false
}

func relKind(token []byte) rules.Kind {
	var low [32]byte
	if len(token) > len(low) {
		return 0
	}
	for i, c := range token {
		low[i] = lower[c]
	}
	switch string(low[:len(token)]) {
	case "stylesheet":
		return rules.KindStyle
	case "preload":
		return preload
	case "modulepreload":
		return rules.KindScript
	case "preconnect", "dns-prefetch":
		return rules.KindHint
	case "prefetch", "prerender", "next":
		return rules.KindPrefetch
	case "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "apple-touch-startup-image", "mask-icon", "fluid-icon":
		return rules.KindImage
	case "manifest", "compression-dictionary":
		return rules.KindFetch
	}
	return 0
}

// isIdle reports whether as is a destination for which no browser loads anything ahead (HTML Standard, "translate a
// preload destination"). Workers and worklets are none of them, which WebKit loads, nor words that browsers may learn.
func isIdle(as []byte) bool {
	for _, word := range [...]string{"document", "embed", "iframe", "manifest", "object", "report", "xslt"} {
		if equalFold(as, word) {
			return true
		}
	}
	return false
}

func asKind(as []byte) rules.Kind {
	var low [16]byte
	if len(as) > len(low) {
		return 0
	}
	for i, c := range as {
		low[i] = lower[c]
	}
	switch string(low[:len(as)]) {
	case "script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet":
		return rules.KindScript
	case "style":
		return rules.KindStyle
	case "image":
		return rules.KindImage
	case "font":
		return rules.KindFont
	case "audio", "video", "track":
		return rules.KindMedia
	case "document", "frame", "iframe":
		return rules.KindFrame
	case "embed", "object":
		return rules.KindEmbed
	case "fetch", "json":
		return rules.KindFetch
	}
	return 0
}
