package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// linkElement decides on the references of a link by what its rel makes of them. Duplicate
// attributes count together: the scanner believes the last, the tree builder the first.
func (r *Rewriter) linkElement(rd *reader) {
	var kinds kindSet
	as := rules.Kind(0)
	for _, a := range rd.attrs {
		switch n := r.name(rd, a); {
		case equalFold(n, "rel"):
			kinds |= relKinds(r.value(rd, a))
		case equalFold(n, "as"):
			if k := asKind(bytes.Trim(r.value(rd, a), spaces)); as == 0 || k.Active() {
				as = k
			}
		}
	}
	if kinds == 0 {
		return
	}
	for _, a := range rd.attrs {
		if a.val == a.valEnd {
			continue
		}
		switch n := r.name(rd, a); {
		case equalFold(n, "href"):
			if d, blocked := r.anyKind(rd.start, kinds, as, r.value(rd, a)); blocked {
				r.block(rd, a, d)
			}
		case equalFold(n, "imagesrcset"):
			r.srcset(rd, a)
		}
	}
}

// kindSet is a set of rules.Kind.
type kindSet uint32

// preload stands in a kindSet for the kind that the as attribute names.
const preload = rules.Kind(31)

func (r *Rewriter) anyKind(at int, kinds kindSet, as rules.Kind, url []byte) (rules.Decision, bool) {
	for k := rules.Kind(1); k <= preload; k++ {
		if kinds&(1<<k) == 0 {
			continue
		}
		kind := k
		if k == preload {
			if kind = as; kind == 0 {
				kind = rules.KindFetch
			}
		}
		if d := r.decide(at, kind, url); d.Action == rules.Block {
			return d, true
		}
	}
	return rules.Decision{}, false
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
	for {
		rel = bytes.TrimLeft(rel, spaces)
		if len(rel) == 0 {
			return s
		}
		n := bytes.IndexAny(rel, spaces)
		if n < 0 {
			n = len(rel)
		}
		if k := relKind(rel[:n]); k != 0 {
			s |= 1 << k
		}
		rel = rel[n:]
	}
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
	case "modulepreload", "import", "serviceworker":
		return rules.KindScript
	case "preconnect", "dns-prefetch":
		return rules.KindHint
	case "prefetch", "prerender", "next", "subresource":
		return rules.KindPrefetch
	case "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "apple-touch-startup-image", "mask-icon", "fluid-icon":
		return rules.KindImage
	case "manifest", "compression-dictionary", "dictionary":
		return rules.KindFetch
	}
	return 0
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
