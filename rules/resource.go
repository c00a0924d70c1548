package rules

import "strings"

// Kind says what a resource is, which decides whether it is active (can run code).
type Kind uint8

const (
	KindScript       Kind = iota + 1 // external or module script, preload as=script, modulepreload
	KindInlineScript                 // a call in an inline script that loads URL
	KindFrame                        // iframe, frame, portal
	KindEmbed                        // embed, object, applet
	KindStyle                        // style sheet, @import
	KindImage                        // img, srcset, poster, icon, CSS url(), SVG image
	KindMedia                        // video, audio, source, track
	KindFont                         // font preload, CSS @font-face
	KindFetch                        // preload as=fetch, manifest, ping, reporting endpoint
	KindHint                         // preconnect, dns-prefetch
	KindPrefetch                     // prefetch, prerender, speculation rule
	KindNavigation                   // meta refresh, Refresh header
	KindBase                         // base href
	KindCookie                       // Set-Cookie or Cookie
	KindCollector                    // request to a first-party collector path
)

var kindNames = [...]string{"", "script", "inline_script", "frame", "embed", "style", "image", "media", "font",
	"fetch", "hint", "prefetch", "navigation", "base", "cookie", "collector"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}

// Kinds counts the kinds, for tables indexed by Kind.
const Kinds = int(KindCollector) + 1

// Active reports whether a resource of this kind can run code in the page or in a frame of it.
func (k Kind) Active() bool {
	switch k {
	case KindScript, KindInlineScript, KindFrame, KindEmbed, KindBase:
		return true
	}
	return false
}

// Resource is what a decision is asked for. URL is the reference as the browser's attribute
// holds it (character references decoded, not resolved); for a cookie, Name and Domain are
// set instead. Decide keeps none of the strings, so they may alias a buffer.
type Resource struct {
	Kind   Kind
	URL    string
	Name   string // cookie name
	Domain string // the cookie's Domain attribute, or the host of the response
	Page   *Page
}

// Action says what happens to a resource.
type Action uint8

const (
	Keep Action = iota
	Block
)

func (a Action) String() string {
	if a == Block {
		return "block"
	}
	return "keep"
}

// Decision is the answer to a Resource. Service and Rule are static strings of the catalogue
// or of the site's configuration; Host may alias the Resource's URL. It has no more words than are
// returned in registers.
type Decision struct {
	Action       Action
	Unclassified bool   // no rule of the catalogue or the site knows it
	Categories   Set    // any of these opens it; zero for what needs no consent
	Service      string // service id, "" if unknown
	Rule         string // what decided, such as "host:aircall.io" or "path:www.googletagmanager.com/gtm.js"
	Host         string // normalised host, "" where there is none
}

// Ambiguous reports whether the resource was blocked because it cannot be read exactly like a
// browser does.
func (d Decision) Ambiguous() bool { return strings.HasPrefix(d.Rule, "ambiguous:") }
