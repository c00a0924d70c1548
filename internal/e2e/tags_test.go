package e2e

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// tagShapes are elements with attributes by which browsers fetch something, or might. The attributes of the tag behind
// <@ are varied. T stands for a URL, S for image candidates, C for style declarations, R for a refresh, P for a list of
// URLs, J for a script that loads a known service, D for a document, U for a plain URL in text, - for no value; other
// values are words.
var tagShapes = []string{
	`<@script src=T type=text/javascript></script>`, `<@script src=T type=module></script>`, `<@script src=T language=javascript></script>`, `<@script src=T type=text/plain language=javascript></script>`,
	`<@script src=T for=window event=onload></script>`, `<@script src=T nomodule=-></script>`, `<@script src=T crossorigin=anonymous integrity=sha256-x async=-></script>`, `<@script src=T type=application/json></script>`,
	`<@script type=importmap>{"imports":{"U":"U"}}</script>`, `<@script type=webbundle>{"source":"U","resources":["U"]}</script>`, `<@script type=speculationrules>{"prefetch":[{"source":"list","urls":["U"]}]}</script>`, `<@script data-src=T type=text/delayscript></script>`,
	`<@style type=text/css media=all>@import "U";</style>`, `<@style media=print title=x disabled=->@import url(U);</style>`, `<@style type=text/css blocking=render>b{background:url(U)}</style><b>x</b>`,
	`<@link rel=stylesheet href=T type=text/css media=all>`, `<@link rel=stylesheet href=T disabled=-></link>`, `<@link rel=stylesheet href=T title=x>`, `<@link rel=alternate href=T type=text/css>`,
	`<@link rel=preload href=T as=script>`, `<@link rel=preload href=T as=image imagesrcset=S imagesizes=100vw>`, `<@link rel=preload href=T as=font type=font/woff2 crossorigin=->`, `<@link rel=preload href=T as=style media=all>`,
	`<@link rel=preload href=T as=fetch crossorigin=use-credentials>`, `<@link rel=preload href=T as=video type=video/mp4>`, `<@link rel=modulepreload href=T as=script>`, `<@link rel=prefetch href=T as=document>`,
	`<@link rel=icon href=T type=image/png sizes=any>`, `<@link rel=manifest href=T crossorigin=->`, `<@link rel=preconnect href=T crossorigin=->`, `<@link rel=dns-prefetch href=T>`, `<@link rel=next href=T>`, `<@link rel=prerender href=T>`,
	`<@link rel=import href=T>`, `<@link rel=compression-dictionary href=T>`, `<@link rel=apple-touch-icon href=T>`, `<@link rel=canonical href=T>`, `<@link rev=stylesheet href=T>`, `<@link property=stylesheet href=T itemprop=x>`, `<@link imagesrcset=S rel=preload as=image>`,
	`<@img src=T alt=x>`, `<@img src=T loading=lazy width=9 height=9>`, `<@img srcset=S sizes=100vw src=/a>`, `<@img src=T srcset=S crossorigin=anonymous>`, `<@img lowsrc=T dynsrc=T longdesc=T usemap=T>`, `<@img data-src=T data-srcset=S>`,
	`<@img attributionsrc=P src=/a>`, `<@img src=/404 onerror=J>`, `<@img src=/a onload=J>`, `<@image src=T srcset=S>`, `<@image href=T xlink:href=T>`,
	`<picture><@source srcset=S type=image/gif media=all><img src=/a></picture>`, `<picture><@source src=T sizes=auto><img></picture>`, `<picture><@source srcset=S width=9 height=9><@img src=T></picture>`,
	`<@input type=image src=T>`, `<@input type=image srcset=S src=T alt=x>`, `<@input type=text src=T onfocus=J autofocus=->`, `<@input type=hidden src=T>`, `<@input type=image formaction=T list=T>`,
	`<@iframe src=T></iframe>`, `<@iframe src=T loading=lazy sandbox=allow-scripts allow=fullscreen></iframe>`, `<@iframe srcdoc=D src=T></iframe>`, `<@iframe srcdoc=D sandbox=allow-same-origin></iframe>`, `<@iframe data-src=T longdesc=T onload=J></iframe>`,
	`<@iframe src=T credentialless=- csp=default-src referrerpolicy=origin></iframe>`, `<@fencedframe src=T>`, `<@portal src=T>`, `<@embed src=T type=image/png>`, `<@embed src=T type=text/html>`, `<@embed code=T codebase=T>`, `<@embed src=T type=application/pdf>`,
	`<@object data=T type=image/png></object>`, `<@object data=T type=text/html>`, `<@object data=T classid=T codetype=text/html></object>`, `<@object codebase=T data=x archive=P></object>`, `<@object type=text/html><@param name=src value=T><@param name=movie value=T></object>`,
	`<@object type=image/svg+xml data=T codebase=T declare=- standby=x></object>`, `<@object code=T src=T type=application/x-java-applet></object>`, `<@applet code=T codebase=T archive=P object=T></applet>`,
	`<@video src=T preload=auto autoplay=- muted=-></video>`, `<@video poster=T preload=none></video>`, `<@video src=T controls=- crossorigin=-><@track src=T kind=subtitles default=- srclang=en></video>`, `<video><@source src=T type=video/webm media=all></video>`,
	`<video><@source srcset=S src=T></video>`, `<@audio src=T preload=metadata></audio>`, `<audio controls><@source src=T type=audio/mpeg><@track src=T kind=metadata default=-></audio>`, `<@bgsound src=T loop=1>`, `<@video src=T loading=lazy></video>`,
	`<@meta http-equiv=content-security-policy content=img-src>`, `<@meta http-equiv=x-dns-prefetch-control content=on>`, `<@meta http-equiv=link content=T>`, `<@meta http-equiv=default-style content=x>`, `<@meta name=refresh content=R>`, `<@meta property=og:image content=T>`,
	`<iframe srcdoc="<@meta http-equiv=refresh content=R>"></iframe>`, `<iframe srcdoc="<@meta http-equiv=refresh content=R name=x charset=utf-8>"></iframe>`, `<iframe srcdoc="<@base href=T><@img src=x.png><@script src=x.js></script>"></iframe>`,
	`<iframe srcdoc="<@html manifest=T><@head profile=T><@body background=T>"></iframe>`, `<iframe srcdoc="<frameset><@frame src=T longdesc=T></frameset>"></iframe>`, `<iframe srcdoc="<@frameset onload=J><@frame src=T></frameset>"></iframe>`,
	`<@body background=T style=C>`, `<@body onload=J>`, `<@html style=C>`, `<@table background=T><@tr background=T><@td background=T>x</table>`, `<table><@tbody background=T><@tr style=C><@th background=T>x</table>`,
	`<table><@colgroup background=T><@col background=T><tr><td>x</table>`, `<table><@caption background=T>x</caption><@thead background=T><tr><td>x<@tfoot background=T><tr><td>x</table>`, `<@div background=T style=C>x</div>`, `<@marquee background=T style=C behavior=slide>x</marquee>`,
	`<@p style=C>x</p>`, `<@span style=C data-x=T>x</span>`, `<@b style=C class=x>x</b>`, `<@details open=- style=C ontoggle=J>x</details>`, `<@dialog open=- style=C>x</dialog>`, `<select><@option style=C selected=->x</select>`, `<@select background=T style=C><@option src=T>x</select>`,
	`<@textarea style=C>x</textarea>`, `<@button style=C formaction=T>x</button>`, `<@form action=T style=C>x</form>`, `<@q cite=T style=C>x</q>`, `<@li style=C src=T>x`, `<@hr style=C>`, `<@input style=C>`, `<@fieldset style=C>x</fieldset>`, `<@x-y style=C src=T href=T>x</x-y>`,
	`<@a href=T ping=P attributionsrc=P>x</a>`, `<map><@area href=T ping=P shape=default></map>`, `<@a href=T style=C>x</a>`, `<@noscript style=C><@img src=T></noscript>`, `<template><@img src=T></template>`, `<div><@template shadowrootmode=open><@img src=T><@p style=C>x</p></template></div>`,
	`<svg><@image href=T width=9 height=9 /></svg>`, `<svg><@image xlink:href=T href=T width=9 height=9 /></svg>`, `<svg><@image src=T srcset=S width=9 height=9 /></svg>`, `<svg><@use href=T /></svg>`, `<svg><@use xlink:href=T width=9 /></svg>`,
	`<svg><filter id=f><@feImage href=T /></filter><rect width=9 height=9 filter=url(#f) /></svg>`, `<svg><filter id=g><@feImage xlink:href=T crossorigin=- /></filter><rect width=9 height=9 filter=url(#g) /></svg>`, `<svg><@script href=T type=text/javascript></script></svg>`,
	`<svg><@script xlink:href=T type=module></script></svg>`, `<svg><@script href=T language=javascript /></svg>`, `<svg><@script src=T /></svg>`, `<svg><@a href=T style=C><text>x</text></a></svg>`, `<svg><pattern id=p width=9 height=9><@image href=T width=9 height=9 /></pattern><rect width=9 height=9 fill=url(#p) /></svg>`,
	`<svg><@rect width=9 height=9 fill=V stroke=V /></svg>`, `<svg><@rect width=9 height=9 mask=V clip-path=V filter=V /></svg>`, `<svg><@path d=M0,0L9,9 marker-start=V marker-mid=V marker-end=V marker=V /></svg>`, `<svg><@g cursor=V style=C><rect width=9 height=9 /></g></svg>`,
	`<svg><@style type=text/css media=all>@import "U";</style></svg>`, `<svg><@style>rect{mask:url(U)}</style><rect width=9 height=9 /></svg>`, `<@svg style=C background=T><@rect width=9 height=9 style=C /></svg>`, `<svg><@pattern href=T /><@linearGradient xlink:href=T /><@filter href=T /></svg>`,
	`<svg><image width=9 height=9><@set attributeName=href to=T begin=0s /></image></svg>`, `<svg><image width=9 height=9 href=/a><@animate attributeName=href values=T dur=9s fill=freeze /></image></svg>`, `<svg><image width=9 height=9><@animate attributeName=xlink:href from=/a to=T by=T dur=0.1s fill=freeze /></image></svg>`,
	`<svg><rect width=9 height=9><@set attributeName=mask to=V /></rect></svg>`, `<svg><rect width=9 height=9><@animate attributeName=fill values=V dur=9s attributeType=XML /></rect></svg>`, `<svg><use><@animateTransform attributeName=href values=T to=T dur=9s /></use></svg>`, `<svg><image width=9 height=9><@animateMotion attributeName=href values=T dur=9s /></image></svg>`,
	`<svg><image id=i width=9 height=9 /><@set href=#i attributeName=href to=T onbegin=J /></svg>`, `<svg><image id=j width=9 height=9 /><@animate xlink:href=#j attributeName=href values=T begin=0s;1s dur=1s repeatCount=indefinite /></svg>`, `<svg><rect width=9 height=9 style=fill:red><@set attributeName=style to=C /></rect></svg>`,
	`<svg><@textPath href=T>x</textPath><@mpath href=T /><@cursor href=T /><@font-face-uri href=T /></svg>`, `<svg><@foreignObject style=C width=9 height=9><@img src=T></foreignObject></svg>`, `<svg><@video src=T /><@iframe src=T /><@embed src=T /></svg>`, `<svg><@link rel=stylesheet href=T /></svg>`,
	`<math><@mi href=T xlink:href=T style=C>x</mi></math>`, `<math><@mglyph src=T /></math>`, `<@math style=C background=T><@annotation-xml encoding=text/html src=T><@img src=T></math>`, `<math><@mtext style=C><@img src=T></mtext></math>`, `<math><maction actiontype=toggle><@mspace background=T style=C /></maction></math>`,
	`<@keygen src=T>`, `<@menuitem icon=T>x`, `<@command icon=T>`, `<@nextid src=T>`, `<@layer src=T background=T>x</layer>`, `<@ilayer src=T>x</ilayer>`, `<@xml src=T>x</xml>`, `<@object data=T type=text/html style=C usemap=T></object>`,
}

// navigatingShapes leave the page, or decide what relative URLs mean in it.
var navigatingShapes = []string{
	`<@meta http-equiv=refresh content=R>`, `<@meta http-equiv=refresh content=R name=x property=y charset=utf-8>`, `<@base href=T target=_self><@img src=x.png><@script src=x.js></script>`, `<@base href=T><@base href=/><@link rel=stylesheet href=x.css>`,
	`<@base target=T><@base href=T><@video src=x.mp4 poster=x.png></video><@iframe src=x></iframe>`, `<noscript><@meta http-equiv=refresh content=R></noscript>`, `<svg><@base href=T /></svg><@img src=x.png>`, `<@a href=T xlink:href=T autofocus=- onfocus=J>x</a>`,
}

// framesetShapes stand in a frameset.
var framesetShapes = []string{`<@frame src=T>`, `<@frame src=T longdesc=T loading=lazy noresize=->`, `<@frame srcdoc=D data-src=T>`, `<@frameset rows=9,9 background=T style=C onload=J><@frame src=T></frameset>`, `<noframes><@iframe src=T></iframe></noframes>`}

// moreAttributes are put into any tag.
var moreAttributes = strings.Fields(`src=T href=T xlink:href=T srcset=S imagesrcset=S imagesizes=100vw sizes=auto data=T code=T codebase=T classid=T poster=T background=T action=T formaction=T cite=T longdesc=T dynsrc=T lowsrc=T ping=P attributionsrc=P
	manifest=T archive=P profile=T type=text/html type=text/css type=image/svg+xml type=module type=text/plain language=vbscript rel=stylesheet rel=preload rel=icon as=image as=script media=all media=print media=x disabled=- integrity=sha256-x crossorigin=- nomodule=- async=- defer=-
	for=window event=onload blocking=render fetchpriority=high loading=lazy loading=eager http-equiv=refresh content=R charset=utf-16 charset=utf-8 style=C srcdoc=D sandbox=- allow=x referrerpolicy=no-referrer onload=J onerror=J onfocus=J data-src=T data-srcset=S data-original=T data-lazy-src=T
	attributeName=href to=T from=T values=T begin=0s fill=V mask=V filter=V clip-path=V stroke=V marker-end=V hidden=- contenteditable=- autofocus=- tabindex=0 popover=- inert=- is=x-y slot=x name=src value=T id=x class=x width=9 height=0 alt=x title=x lang=tr dir=rtl elementtiming=x xml:base=T xmlns=x
	preload=none preload=auto autoplay=- controls=- kind=metadata default=- target=_blank nonce=x itemprop=image itemscope=- shadowrootmode=open parsererror=- color=red face=x size=9 encoding=text/html rev=stylesheet icon=T cursor=V`)

// tagWords are what enumerated attributes are given.
var tagWords = map[string][]string{
	"type": strings.Fields(`text/javascript module importmap speculationrules text/plain application/javascript text/ecmascript text/javascript1.5 text/jscript text/livescript text/x-javascript application/x-ecmascript application/json text/html text/css text/xsl text/template text/babel webbundle
		text/javascript;charset=utf-8 text/css;charset=utf-8 image image/svg+xml image/png image/avif image/x-unknown video/mp4 audio/ogg application/xhtml+xml text/xml application/pdf application/x-shockwave-flash hidden submit font/woff2 rocketlazyloadscript text/partytown litespeed/javascript css javascript`),
	"rel": strings.Fields(`stylesheet alternate preload modulepreload prefetch dns-prefetch preconnect prerender icon shortcut apple-touch-icon mask-icon manifest next prev canonical nofollow import search pingback compression-dictionary expect author license amphtml alternate_stylesheet stylesheet_alternate
		shortcut_icon icon_stylesheet preload_stylesheet fluid-icon subresource apple-touch-startup-image apple-touch-icon-precomposed serviceworker webmention privacy-policy terms-of-service payment facilitated-payment monetization help tag opener noopener external`),
	"as":          strings.Fields(`script style image font fetch video audio track document worker sharedworker serviceworker audioworklet paintworklet embed object report manifest xslt iframe frame json x`),
	"media":       strings.Fields(`all screen print not_all only_screen (min-width:1px) (max-width:1px) screen,print x (prefers-color-scheme:dark) not_print speech`),
	"http-equiv":  strings.Fields(`refresh content-type default-style set-cookie content-security-policy link x-dns-prefetch-control content-language content-location location accept-ch delegate-ch origin-trial x-ua-compatible pics-label window-target imagetoolbar`),
	"crossorigin": strings.Fields(`anonymous use-credentials x`), "loading": strings.Fields(`lazy eager auto x`), "preload": strings.Fields(`none metadata auto x`), "kind": strings.Fields(`subtitles captions metadata chapters descriptions x`),
	"attributeName": strings.Fields(`href xlink:href xlink:HREF HREF mask fill stroke filter clip-path marker-start cursor style src class x:href :href`), "language": strings.Fields(`javascript javascript1.5 ecmascript vbscript jscript livescript x`),
	"encoding": strings.Fields(`text/html application/xhtml+xml x`), "shadowrootmode": strings.Fields(`open closed x`), "fetchpriority": strings.Fields(`high low auto`), "for": strings.Fields(`window document x`), "event": strings.Fields(`onload onload() onclick`),
	"sizes": strings.Fields(`auto 100vw 1px any 16x16 auto,100vw`), "imagesizes": strings.Fields(`auto 100vw 1px`), "name": strings.Fields(`src movie data code url filename x`), "codetype": strings.Fields(`text/html image/png application/java`),
	"blocking": strings.Fields(`render x`), "referrerpolicy": strings.Fields(`no-referrer origin unsafe-url x`), "sandbox": strings.Fields(`allow-scripts allow-same-origin allow-top-navigation x`), "target": strings.Fields(`_self _blank _top x`),
}

// oddities stand before, behind and in words, as they are in markup: what one reader may drop, take for a space or for a
// letter, and another not.
var oddities = []string{
	" ", "\t", "\n", "\f", "\r", "\v", "\u0085", "\u00a0", "\u1680", "\u180e", "\u2003", "\u2028", "\u200b", "\u3000", "\ufeff", "\x00", "\x01", "\x1c", "\x1f", "\x7f", "\x80", "\xa0", "\xff", ",", ";", "/", "+", "'", `"`, "=", "\\", "|", "`", "*",
	"&Tab;", "&NewLine;", "&nbsp;", "&nbsp", "&#0;", "&#11;", "&#12", "&#13;", "&#32", "&#x2003;", "&emsp;", "&#xfeff;", "&ZeroWidthSpace;", "&shy;", "&#x85;", "&#xD800;", "&#x3000;", "&#1;", "&amp;", "&quot;", "&apos;", "&comma;", "&", "&#", "\u00ad", "\u202e", "\u017f", "\u212a", "\u0131", "\u0130",
}

// folds are characters that some way to fold case makes ASCII of.
var folds = map[byte]string{'s': "\u017f", 'k': "\u212a", 'i': "\u0131", 'I': "\u0130", 'a': "\uff41", 'r': "\uff32", 'c': "\u0441", 'e': "\u0435"}

// A tagMaker writes random tags.
type tagMaker struct {
	rnd   *rand.Rand
	id    string // of the document
	tag   int    // the number of the tag
	urls  int    // and of its last URL, through all documents
	depth int

	secure bool // its pages are opened over TLS
}

func (m *tagMaker) in(n int) bool { return m.rnd.IntN(n) == 0 }

func (m *tagMaker) oneOf(from ...string) string { return from[m.rnd.IntN(len(from))] }

// path is one that no other URL has.
func (m *tagMaker) path() string {
	m.urls++
	return fmt.Sprintf("/%s/%d.%d", m.id, m.tag, m.urls)
}

// plain returns a URL of a third party without any oddity.
func (m *tagMaker) plain() string { return m.scheme() + "//tracker.test" + m.path() }

func (m *tagMaker) scheme() string {
	if m.secure {
		return "https:"
	}
	return "http:"
}

func (m *tagMaker) url() string {
	u := m.plain()
	switch m.rnd.IntN(30) {
	case 0:
		u = m.oneOf("//tracker.test", "https://tracker.test", `HTTP:\\tracker.test`, "http://user@tracker.test", "http://sub.tracker.test:80", `\/tracker.test`, "http:///tracker.test", "https:tracker.test", "http:tracker.test") + m.path()
	case 1:
		u = m.around(u)
	case 2:
		i := m.rnd.IntN(len(u) - 8)
		u = u[:i] + m.odd() + u[i:]
	case 3:
		i := m.rnd.IntN(10)
		u = u[:i] + m.reference(u[i]) + u[i+1:]
	case 4:
		return m.path()[1:]
	case 5, 6:
		return m.data()
	case 7:
		return "javascript:" + m.handler()
	case 8:
		return ""
	}
	return u
}

// data returns a data: URL of a document, a style sheet or a script.
func (m *tagMaker) data() string {
	u := m.plain()
	kind := m.rnd.IntN(4)
	head, body := "text/html", "<img src='"+u+"'>"
	switch kind {
	case 0:
		head, body = "text/css", "@import '"+u+"';"
	case 1:
		head, body = "image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'><image href='"+u+"' width='9' height='9'/></svg>"
	case 2:
		head, body = "text/javascript", "import '"+strings.Replace(u, "tracker.test", "static.hotjar.com", 1)+".js'"
	}
	if m.in(2) {
		head = m.oneOf(m.mangle(head), "", "text/plain", "application/xhtml+xml", "text/xml", "application/xml", "application/octet-stream", "image/png", head+";charset=utf-8", head+";charset=utf-16", head+"; base64", "text/html;x,y", "*/*", "text/xsl", "multipart/x-mixed-replace", "image/svg", "application/x-x+xml")
	}
	switch m.rnd.IntN(4) {
	case 0:
		body = url.PathEscape(body)
	case 1:
		head, body = head+";base64", base64.StdEncoding.EncodeToString([]byte(body))
	case 2:
		if kind > 2 {
			body = strings.NewReplacer("'", "", " ", "%20").Replace(body)
		}
	}
	return m.oneOf("data:", "data:", "data:", "DATA:", " data:", "da\nta:", "data://") + head + "," + body
}

func (m *tagMaker) handler() string {
	u := "'http://static.hotjar.com" + m.path() + ".js'"
	return m.oneOf("new Image().src=", "fetch(", "import(", "navigator.sendBeacon(", "document.createElement('script').src=") + u + m.oneOf("", ")", ");")
}

func (m *tagMaker) odd() string { return oddities[m.rnd.IntN(len(oddities))] }

// around puts oddities around a word.
func (m *tagMaker) around(w string) string {
	if !m.in(3) {
		w = m.odd() + w
	}
	if !m.in(3) {
		w += m.odd()
	}
	return w
}

// reference writes a character as a reference.
func (m *tagMaker) reference(c byte) string {
	return fmt.Sprintf(m.oneOf("&#%d;", "&#%d", "&#0%d;", "&#x%x;", "&#X%X;", "&#x%x"), c)
}

// mangle changes a word so that some readers may still see it.
func (m *tagMaker) mangle(w string) string {
	if w == "" {
		return m.odd()
	}
	i := m.rnd.IntN(len(w))
	switch m.rnd.IntN(12) {
	case 0:
		return strings.ToUpper(w[:i]) + w[i:]
	case 1, 2, 3:
		return m.around(w)
	case 4:
		return w[:i] + m.odd() + w[i:]
	case 5:
		return w[:i] + m.reference(w[i]) + w[i+1:]
	case 6:
		if f, ok := folds[w[i]]; ok {
			return w[:i] + f + w[i+1:]
		}
		for from, f := range folds {
			if i := strings.IndexByte(w, from); i >= 0 {
				return w[:i] + f + w[i+1:]
			}
		}
		return w
	case 7:
		return w + m.odd() + w
	case 8:
		return w[:i] + w[i+1:]
	case 9:
		return m.oneOf("", "x", " ")
	case 10:
		return m.oneOf("x", "text/", "-", "no") + w
	}
	return m.around(m.around(w))
}

// word returns a value for an enumerated attribute.
func (m *tagMaker) word(name, w string) string {
	if words := tagWords[name]; words != nil && m.in(3) {
		w = words[m.rnd.IntN(len(words))]
		if m.in(4) {
			w += m.odd() + words[m.rnd.IntN(len(words))]
		}
	}
	w = strings.ReplaceAll(w, "_", " ")
	if m.in(3) {
		w = m.mangle(w)
	}
	return w
}

func (m *tagMaker) srcset() string {
	s := ""
	for range 1 + m.rnd.IntN(3) {
		if m.in(8) {
			s += m.odd()
		}
		s += m.oneOf(m.url(), m.url(), "/a", m.odd()) + m.oneOf(" 1x", " 2x", " 100w", "", " 1x 2w", " 9h", " (1x", " x", ",", " -1x", " 1e3x", " 0.5x ", " 1X", "\t1x\n", "\u00a01x") + m.oneOf(",", ", ", ",,", " ")
	}
	return s
}

// function returns a function of style sheets that refers to a URL, or something that looks like one.
func (m *tagMaker) function() string {
	u := m.url()
	if m.in(2) {
		u = m.plain()
	}
	q := m.oneOf("", "'", `"`, "&quot;", "&#39;")
	open, end := "url(", ")"
	switch m.rnd.IntN(6) {
	case 0:
		open = m.oneOf("URL(", "url( ", `u\72l(`, "ur&#108;(", "src(", "url\x00(", "url (", "\u016frl(", "url("+m.odd())
	case 1:
		end = m.oneOf(" )", "", " x)", "))", "#a)", m.odd()+")")
	}
	return open + q + u + q + end
}

func (m *tagMaker) style() string {
	f := m.function()
	property := m.oneOf("background:", "background-image:", "mask:", "content:", "list-style:", "border-image:", "filter:", "clip-path:", "shape-outside:", "cursor:")
	switch m.rnd.IntN(8) {
	case 0:
		property = m.oneOf("", "x:y;", "color:red}", "/**/", "\\;", "{}", "--y:{;", m.odd()) + property + m.odd()
	case 1:
		property, f = m.oneOf("background:", "content:", "mask:")+m.oneOf("image-set(", "-webkit-image-set(", "-webkit-cross-fade(url(/a),", "image-set('"+m.plain()+"' 1x),", "image-set(attr(data-x) 1x),", "red "), f+m.oneOf(" 1x)", ",50%)", "")
	case 2:
		f = m.oneOf("--x:"+f+";"+property+"var(--x)", "--x:'"+m.plain()+"';background:image-set(var(--x) 1x)", "--x:"+f)
		property = ""
	case 3:
		property = m.oneOf("BACKGROUND :", `b\61ckground:`, "behavior:", "fill:", "offset-path:", "-webkit-border-image:", "-webkit-mask-image:", "-moz-binding:")
	}
	return property + f + m.oneOf("", "", ",auto", ";", " no-repeat", "!important", " 30", "/**/", ";color:red", m.odd())
}

func (m *tagMaker) refresh() string {
	r := m.oneOf("0", "0", "0", "0", " 0", ".0", "0.5", "00", "0.", "1", "", "-0", "+0", "0x", "&#48;", "\u0660", "٠0", "0e0") + m.oneOf("", "", "", m.odd()) + m.oneOf(";", ";", ";", ",", " ", "", "; ", " ;", ";;", ", ", " , ", ";,", m.odd()) + m.oneOf("", "", "", m.odd()) +
		m.oneOf("url=", "url=", "URL=", "url =", "url = ", "", "", "uRl", "url==", "url=url=", "=", "u&#114;l=", "\u016frl=", "url\u00a0=", m.mangle("url")+"=", "url"+m.odd()+"=") + m.oneOf("", "", "", m.odd())
	q := m.oneOf("", "", "'", `"`, "&quot;")
	u := m.url()
	if m.in(2) {
		u = m.plain()
	}
	return r + q + u + m.oneOf(q, q, "", q+" x")
}

// value returns an attribute's value, as it stands in markup but for quotes.
func (m *tagMaker) value(name, v string) string {
	switch v {
	case "T":
		return m.url()
	case "S":
		return m.srcset()
	case "C":
		return m.style()
	case "V":
		return m.oneOf(m.function(), m.function(), m.function()+" red", m.odd()+m.function(), "none "+m.function())
	case "R":
		return m.refresh()
	case "P":
		return m.oneOf("", "/a ", m.odd()) + m.url() + m.oneOf("", " /a", m.odd())
	case "J":
		return m.handler()
	case "D":
		if m.depth > 1 {
			return ""
		}
		m.depth++
		defer func() { m.depth-- }()
		return escapeSrcdoc.Replace(m.shape(tagShapes))
	}
	return m.word(name, v)
}

var (
	escapeSrcdoc = strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;")
	unquotable   = strings.NewReplacer("\t", "&#9;", "\n", "&#10;", "\f", "&#12;", "\r", "&#13;", " ", "&#32;", ">", "&gt;")
)

// An attribute's name is mangled seldom; between attributes there may be anything that begins no value.
func (m *tagMaker) attribute(name, v string) string {
	none := v == "-"
	if none {
		v = m.oneOf("", name, "false", "x")
	} else {
		v = m.value(name, v)
	}
	switch m.rnd.IntN(40) {
	case 0:
		name = strings.Map(unicode.ToUpper, name)
	case 1:
		if i := m.rnd.IntN(len(name)); folds[name[i]] != "" {
			name = name[:i] + folds[name[i]] + name[i+1:]
		}
	case 2:
		name = m.oneOf("=", "\x00", "'", `"`, "<", "\v", "\u00a0", "`", "&#32;", "xlink:", "data-", ":", "-") + name
	case 3:
		name += m.oneOf("\x00", "'", `"`, "<", "\v", "\u00a0", "&#32;", ":", "-", "\u3000")
	}
	out := m.oneOf(" ", " ", " ", " ", "\n", "\t", "\f", "\r\n", "/", " / ", "//", "  ", " = ", " x ", ` " `, " ' ", " < ", "\x00 ", " \v ", " \u2003 ", " &Tab; ", " == ", " ` ")
	if !strings.ContainsAny(out, `="'<`) || m.in(8) {
		out += name
	} else {
		out = " " + name
	}
	if none && !m.in(4) {
		return out
	}
	out += m.oneOf("=", "=", "=", "=", "=", " = ", "\n=", "=\t", "=\f", "= \r\n")
	switch m.rnd.IntN(4) {
	case 0:
		if v != "" && !strings.ContainsAny(v[:1], `"'`) {
			return out + unquotable.Replace(v)
		}
		fallthrough
	case 1, 2:
		return out + `"` + strings.ReplaceAll(v, `"`, "&#34;") + `"`
	}
	return out + "'" + strings.ReplaceAll(v, "'", "&#39;") + "'"
}

var (
	varied    = regexp.MustCompile(`<@([^ />]+)([^>]*)>`)
	plainURL  = regexp.MustCompile(`\bU\b`)
	openFrame = regexp.MustCompile(`srcdoc="(.*)"`)
)

// shape writes the tags of one of the shapes.
func (m *tagMaker) shape(from []string) string {
	s := from[m.rnd.IntN(len(from))]
	inner := openFrame.FindStringSubmatch(s)
	if inner != nil {
		s = strings.Replace(s, inner[1], "", 1)
	}
	s = m.vary(s)
	if inner != nil {
		s = strings.Replace(s, `srcdoc="`, `srcdoc="`+escapeSrcdoc.Replace(m.vary(inner[1])), 1)
	}
	return s
}

func (m *tagMaker) vary(s string) string {
	s = varied.ReplaceAllStringFunc(s, func(tag string) string {
		parts := varied.FindStringSubmatch(tag)
		m.tag++
		name, attributes := parts[1], strings.Fields(parts[2])
		self := ""
		if n := len(attributes); n > 0 && attributes[n-1] == "/" {
			attributes, self = attributes[:n-1], " /"
		}
		if len(attributes) > 1 && m.in(8) {
			i := m.rnd.IntN(len(attributes))
			attributes = slices.Delete(attributes, i, i+1)
		}
		for m.in(3) {
			attributes = append(attributes, moreAttributes[m.rnd.IntN(len(moreAttributes))])
		}
		for len(attributes) > 0 && m.in(4) { // a duplicate
			name, v, _ := strings.Cut(attributes[m.rnd.IntN(len(attributes))], "=")
			attributes = slices.Insert(attributes, m.rnd.IntN(len(attributes)+1), name+"="+m.oneOf(v, v, v, "", " ", "&#32;", ",", "/a", "T", "x"))
		}
		if m.in(2) {
			m.rnd.Shuffle(len(attributes), func(i, j int) { attributes[i], attributes[j] = attributes[j], attributes[i] })
		}
		switch m.rnd.IntN(30) {
		case 0:
			name = strings.ToUpper(name)
		case 1:
			name = m.mangleName(name)
		}
		out := "<" + name
		for _, a := range attributes {
			name, v, _ := strings.Cut(a, "=")
			out += m.attribute(name, v)
		}
		return out + m.oneOf("", "", "", " ", "\n", "/", " ") + self + ">"
	})
	return plainURL.ReplaceAllStringFunc(s, func(string) string { return m.plain() })
}

// mangleName changes an element's name in a way that makes it another one.
func (m *tagMaker) mangleName(name string) string {
	if f := folds[name[len(name)-1]]; f != "" && m.in(2) {
		return name[:len(name)-1] + f
	}
	return name + m.oneOf("\x00", "\u00a0", "\v", ":", "-x", "\x1f")
}

// tagsPerDocument is a mean; documents that may leave themselves have few.
const tagsPerDocument = 40

// randomTags returns documents with n tags altogether.
func randomTags(n int, seed uint64) (out []*vector) {
	m := tagMaker{rnd: rand.New(rand.NewPCG(seed, 9))}
	for i := 0; n > 0; i++ {
		m.id, m.tag = fmt.Sprintf("tags%d-%d", seed, i), 0
		var b strings.Builder
		b.WriteString(m.oneOf("<!doctype html>", "<!doctype html>", "", "<!doctype html><head>", "<!doctype html><title>x</title><body>"))
		switch m.rnd.IntN(8) {
		case 0:
			b.WriteString("<frameset>")
			for range 4 {
				b.WriteString(m.shape(framesetShapes))
			}
		case 1:
			b.WriteString(m.shape(navigatingShapes))
		default:
			for count := tagsPerDocument/2 + m.rnd.IntN(tagsPerDocument); m.tag < count; {
				b.WriteString(m.shape(tagShapes))
			}
		}
		n -= m.tag
		out = append(out, &vector{ID: m.id, Scope: "static", Body: []byte(b.String())})
	}
	return out
}

var tagNumber = regexp.MustCompile(`/tags\d+-\d+/\d+\.`)

// tagsIn returns how many tags the URLs in texts tell.
func tagsIn(texts ...string) int {
	tags := make(map[string]bool)
	for _, s := range texts {
		for _, tag := range tagNumber.FindAllString(s, -1) {
			tags[tag] = true
		}
	}
	return len(tags)
}

// Tags with attributes and values at random make no browser contact a blocked host. CONSENT_TAGS is how many are tried,
// and after a comma from which seed. Without the enforcement one in ten at least contacts one, or the test shows nothing.
func TestRandomTagsInBrowsers(t *testing.T) {
	vs := randomTags(countAndSeed("CONSENT_TAGS", 900))
	some := vs[:min(len(vs), 8)]
	replayInBrowsers(t, vs, some, noContacts, func(t *testing.T, visits []*visit) {
		var contacts, bodies []string
		for _, x := range visits {
			contacts = append(contacts, x.contacts...)
		}
		for _, v := range some {
			bodies = append(bodies, string(v.Body))
		}
		got, all := tagsIn(contacts...), tagsIn(bodies...)
		t.Logf("not enforced, %d of %d tags contact a blocked host", got, all)
		if got*10 < all {
			t.Error("too few")
		}
	})
}

// replayInBrowsers opens documents in both browsers. What comes of them goes to enforced, and what some do without the
// enforcement to direct; files are served, too.
func replayInBrowsers(t *testing.T, vs, some []*vector, enforced, direct func(*testing.T, []*visit), files ...*vector) {
	c := vectorSite(t, slices.Concat(vs, files))
	unenforced := visit{scripting: true, direct: true}
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), vs)
		enforced(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: vs, {}: vs[:(len(vs)+1)/2]}))
		var visits []*visit
		for _, v := range some {
			visits = append(visits, unenforced.of(v))
		}
		p.replay(visits)
		direct(t, visits)
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		enforced(t, f.replay(t, visit{scripting: true}, vs))
		direct(t, f.replay(t, unenforced, some))
	})
}
