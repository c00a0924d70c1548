package rewriter

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// policy returns a policy for an undecided visitor of a site with that setting for hosts that the
// catalogue does not know, such as tracker.test.
func policy(t testing.TB, unclassified string) *rules.Policy {
	t.Helper()
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := rules.NewSite(cat, rules.SiteConfig{Unclassified: unclassified})
	if err != nil {
		t.Fatal(err)
	}
	return site.For(rules.Grants{Allowed: rules.SetOf(rules.Necessary)})
}

// rewrite writes the document in the chunks and returns what came out.
func rewrite(t testing.TB, o Options, chunks ...string) string {
	t.Helper()
	var out bytes.Buffer
	r := New(&out, o)
	for _, c := range chunks {
		if n, err := r.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatalf("Write = %d, %v; want %d, nil", n, err, len(c))
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const (
	mark       = ` data-consent-category="marketing" data-consent-service="" data-consent-rule="unclassified"`
	markScript = ` type="text/plain"` + mark
)

// In these documents § stands for http://tracker.test/x, {} for the marks on a blocked element and
// {js} for those on a blocked script; ~ in front of an attribute name for data-consent-.
var elementTests = []struct{ name, in, want string }{
	{"an external script", `<script src="§"></script>`, `<script{js} ~src="§"></script>`},
	{"a script keeps its old type by another name", `<script type=module src=§>`, `<script{js} ~type=module ~src=§>`},
	{"every duplicate of src and type", `<script src=§ SRC=/a type=a type=module></script>`, `<script{js} ~src=§ ~SRC=/a ~type=a ~type=module></script>`},
	{"an import map's addresses without slashes", `<script type=importmap>{"imports":{"app:x":"/x.js","x":"https:tracker.test/x"}}</script>`, `<script{js} ~type=importmap>{"imports":{"app:x":"/x.js","x":"https:tracker.test/x"}}</script>`},
	{"documents of no type in data: URLs", `<iframe src="data:*/*,<html><img src=§>"></iframe><embed src="data:application/x-unknown-content-type;x=y,<?xml version='1.0'?><svg><image href='§'/></svg>"><iframe src="data:*/*,<html><img src=/x>"></iframe>`,
		`<iframe{} ~src="data:*/*,<html><img src=§>"></iframe><embed{} ~src="data:application/x-unknown-content-type;x=y,<?xml version='1.0'?><svg><image href='§'/></svg>"><iframe src="data:*/*,<html><img src=/x>"></iframe>`},
	{"parts of documents in a style sheet", `<style>a{clip-path:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f")}b{filter:url("data:text/xml,%3C?xml-stylesheet href='§'?%3E%3Cx/%3E#f")}i{background:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E");mask:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '/x';%3C/style%3E%3C/svg%3E#f")}</style>`,
		`<style>a{clip-path:url("data:,data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f")}b{filter:url("data:,data:text/xml,%3C?xml-stylesheet href='§'?%3E%3Cx/%3E#f")}i{background:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E");mask:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '/x';%3C/style%3E%3C/svg%3E#f")}</style>`},
	{"parts of documents in attributes", `<svg><rect filter="url(&quot;data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f&quot;)"/><pattern href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f"/><textPath xlink:href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f"/><feImage href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f"/><pattern href="#f"/><g filter="url(§#f)"/><mpath href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '/x';%3C/style%3E%3C/svg%3E#f"/></svg>`,
		`<svg><rect{} filter="url(&quot;data:,data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f&quot;)"/><pattern{} ~href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f"/><textPath{} ~xlink:href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f"/><feImage{} ~href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '§';%3C/style%3E%3C/svg%3E#f"/><pattern href="#f"/><g filter="url(§#f)"/><mpath href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Cstyle%3E@import '/x';%3C/style%3E%3C/svg%3E#f"/></svg>`},
	{"parts of documents in animations", `<svg><pattern><set attributeName="href" to="data:image/svg+xml,%3C?xml-stylesheet href='§'?%3E%3Cx/%3E#f"/><animate attributeName="href" values="#a; data:image/svg+xml,%3C?xml-stylesheet href='§'?%3E%3Cx/%3E#f"/><set attributeName="href" to="data:image/svg+xml;base64,PD94bWwtc3R5bGVzaGVldCBocmVmPSdodHRwOi8vdHJhY2tlci50ZXN0L3gnPz48eC8+#f"/><set attributeName="href" to="data:image/svg+xml,%3Cx/%3E#f"/></pattern></svg>`,
		`<svg><pattern><set{} attributeName="href" ~to="data:image/svg+xml,%3C?xml-stylesheet href='§'?%3E%3Cx/%3E#f"/><animate{} attributeName="href" ~values="#a; data:image/svg+xml,%3C?xml-stylesheet href='§'?%3E%3Cx/%3E#f"/><set{} attributeName="href" ~to="data:image/svg+xml;base64,PD94bWwtc3R5bGVzaGVldCBocmVmPSdodHRwOi8vdHJhY2tlci50ZXN0L3gnPz48eC8+#f"/><set attributeName="href" to="data:image/svg+xml,%3Cx/%3E#f"/></pattern></svg>`},
	{"an import map's module that is written out", `<script type=importmap>{"imports":{"x":"data:text/css,@import '§';"}}</script>`, `<script{js} ~type=importmap>{"imports":{"x":"data:text/css,@import '§';"}}</script>`},
	{"an import map of the site", `<script type=importmap>{"imports":{"app:x":"/x.js","node:fs":"./y.js","z":"data:text/javascript,1"}}</script>`, ""},
	{"a web bundle of the site", `<script type=webbundle>{"source":"/all.wbn","resources":["a.js"]}</script>`, ""},
	{"a JSON script is not run", `<script type="application/json" src="§"></script>`, ""},
	{"a type of spaces is no type of JavaScript's", `<script type=" " src=§></script>`, ""},
	{"a script of no type, whatever its language", `<script language=vbscript src=§></script>`, `<script{js} language=vbscript ~src=§></script>`},
	{"a MIME parameter is not a JavaScript type", `<script type="text/javascript;charset=utf-8" src="§"></script>`, ""},
	{"a script delayed by an optimizer", `<script type="rocketlazyloadscript" data-rocket-src="§"></script>`, `<script{js} ~type="rocketlazyloadscript" ~data-rocket-src="§"></script>`},
	{"a first-party script", `<script src="/x.js"></script>`, ""},
	{"an iframe", `<iframe width=1 src='§'></iframe>`, `<iframe{} width=1 ~src='§'></iframe>`},
	{"a frame", `<frameset><frame src=§></frameset>`, `<frameset><frame{} ~src=§></frameset>`},
	{"an image and its candidates", `<img src=§ srcset="/a 1x, § 2x" alt="">`, `<img{} ~src=§ ~srcset="/a 1x, § 2x" alt="">`},
	{"only the candidates", `<img src=/a srcset="/a 1x,§ 2x">`, `<img{} src=/a ~srcset="/a 1x,§ 2x">`},
	{"a picture source", `<picture><source srcset=§><img src=/a></picture>`, `<picture><source{} ~srcset=§><img src=/a></picture>`},
	{"video, poster and track", `<video src=§ poster=§><track src=§></video>`, `<video{} ~src=§ ~poster=§><track{} ~src=§></video>`},
	{"an embed's code", `<embed src=/a code=§ type=text/html>`, `<embed{} src=/a ~code=§ type=text/html>`},
	{"embed and object", `<embed src=§><object data=§></object>`, `<embed{} ~src=§><object{} ~data=§></object>`},
	{"an image button", `<input type="IMAGE" src=§><input type=" image" src=§><input type=text src=§>`, `<input{} type="IMAGE" ~src=§><input type=" image" src=§><input type=text src=§>`},
	{"style sheet and hints", `<link rel=stylesheet href=§><link rel="dns-prefetch preconnect" href=§><link rel=canonical href=§>`,
		`<link{} rel=stylesheet ~href=§><link{} rel="dns-prefetch preconnect" ~href=§><link rel=canonical href=§>`},
	{"icons of Firefox's", "<link rel=fluid-icon href=§><link rel='shortcut&nbsp;icon' href=§><link rel='x\vICON' href=§><link rel='x\u2003silicon' href=§>",
		"<link{} rel=fluid-icon ~href=§><link{} rel='shortcut&nbsp;icon' ~href=§><link{} rel='x\vICON' ~href=§><link rel='x\u2003silicon' href=§>"},
	{"a hint that only the preload scanner sees", `<link rel=canonical rel=preconnect href=§><link rel=canonical rel=next href=§>`, `<link{} rel=canonical rel=preconnect ~href=§><link rel=canonical rel=next href=§>`},
	{"a hint that the preload scanner reads without a base", `<link rel=preconnect href=https:tracker.test><link rel=preload as=image href=https:tracker.test/x>`, `<link{} rel=preconnect ~href=https:tracker.test><link rel=preload as=image href=https:tracker.test/x>`},
	{"a preload of what no browser loads ahead", `<link rel=preload as=document href=§><link rel=import rel=preload as=IFRAME href=§ imagesrcset="§ 1x"><link rel=preload as=xslt as=report href=§>`, ""},
	{"a preload of what some browser may load ahead", `<link rel=preload href=§><link rel=preload as=" iframe" href=§><link rel=preload as=worker href=§><link rel=preload as=x href=§><link rel=preload as=document as=script href=§><link rel="preload prefetch" as=document href=§>`,
		`<link{} rel=preload ~href=§><link{} rel=preload as=" iframe" ~href=§><link{} rel=preload as=worker ~href=§><link{} rel=preload as=x ~href=§><link{} rel=preload as=document as=script ~href=§><link{} rel="preload prefetch" as=document ~href=§>`},
	{"a preload and its candidates", `<link rel=preload as=image href=/a imagesrcset="§ 1x">`, `<link{} rel=preload as=image href=/a ~imagesrcset="§ 1x">`},
	{"SVG image, use and script", `<svg><image href=§ /><use xlink:href="§"/><script href=§></script></svg>`,
		`<svg><image{} ~href=§ /><use{} ~xlink:href="§"/><script{js} ~href=§></script></svg>`},
	{"a meta refresh", `<meta http-equiv=Refresh content="0; URL='§'">`, `<meta{} http-equiv=Refresh ~content="0; URL='§'">`},
	{"a meta refresh with Unicode's spaces", "<meta http-equiv=refresh content='0\u2003;url=\u3000§'>", "<meta{} http-equiv=refresh ~content='0\u2003;url=\u3000§'>"},
	{"a meta refresh with a quote in its URL", `<meta http-equiv=refresh content="0;url='//site.test'@tracker.test/'">`, `<meta{} http-equiv=refresh ~content="0;url='//site.test'@tracker.test/'">`},
	{"a meta description is not a refresh", `<meta name=description content="0; url=§">`, ""},
	{"a third-party base", `<base href=§>`, `<base{} ~href=§>`},
	{"a base that cannot be parsed", `<base href="http://["><img src="https:tracker.test/x">`, `<base data-consent-category="marketing" data-consent-service="" data-consent-rule="ambiguous:base" ~href="http://["><img src="https:tracker.test/x">`},
	{"a table background", `<table background=§><div background=§>`, `<table{} ~background=§><div background=§>`},
	{"a link that is only followed on a click", `<a href=§ ping=§>`, `<a{} href=§ ~ping=§>`},
	{"noscript contents", `<noscript><img src=§></noscript><img src=§>`, `<noscript><img{} ~src=§></noscript><img{} ~src=§>`},
	{"a comment", `<!-- <img src=§> --><!--><img src=§>`, `<!-- <img src=§> --><!--><img{} ~src=§>`},
	{"comment endings", `<!--a--!><img src=§><!--!><img src=§>--><!---!><img src=§>-->`, `<!--a--!><img{} ~src=§><!--!><img src=§>--><!---!><img src=§>-->`},
	{"bogus comments", `<?x <img src=§><img src=§></ <img src=§><img src=§>`, `<?x <img src=§><img{} ~src=§></ <img src=§><img{} ~src=§>`},
	{"text that only looks like markup", `<title><img src=§></title><textarea><img src=§></textarea><xmp><img src=§></xmp>`, ""},
	{"after raw text", `<title></titlex></title ><img src=§>`, `<title></titlex></title ><img{} ~src=§>`},
	{"plaintext", `<plaintext><img src=§>`, ""},
	{"the word script in a script comment", "<script><!-- <script></script><img src=§>--></script><img src=§>", "<script><!-- <script></script><img src=§>--></script><img{} ~src=§>"},
	{"a script comment that ends at once", "<script><!--><script></script><img src=§>", "<script><!--><script></script><img{} ~src=§>"},
	{"an end tag with attributes", `</div a="<img src=§>"><img src=§>`, `</div a="<img src=§>"><img{} ~src=§>`},
	{"a tag cut off by the end", `<p><img src=§ `, ""},
	{"quotes and slashes without spaces", `<img/src=§/alt=''title="">`, `<img{}/~src=§/alt=''title="">`},
	{"an upper-case name", `<IMG SRC="§">`, `<IMG{} ~SRC="§">`},
	{"a style sheet", `<style>a{background:url( "§" )} @import '§'; /* url(§) */ b{content:"url(§)"}</style>`,
		`<style>a{background:url( "data:,§" )} @import 'about:invalid#§'; /* url(§) */ b{content:"url(§)"}</style>`},
	{"escapes in a style sheet", `<style>a{b:\75 rl(§)}</style>`, `<style>a{b:\75 rl(data:,§)}</style>`},
	{"an image set", `<style>a{b:image-set("§" 1x, url(§) 2x)} c{d:"§"}</style>`, `<style>a{b:image-set("data:,§" 1x, url(data:,§) 2x)} c{d:"§"}</style>`},
	{"a namespace is a name", `<style>@namespace url(§);</style>`, ""},
	{"a style attribute", `<p style="background:url(§)">`, `<p{} style="background:url(data:,§)">`},
	{"a style attribute with references", `<p style="background:url(&quot;§&quot;)">`, `<p{} style="background:url(&quot;data:,§&quot;)">`},
	{"duplicates that only the tree builder reads", `<p style style="background:url(§)"><td><table background=/a background=§ style="a:url(§)" STYLE="b:url(§)"><a ping ping=§>`, `<p style style="background:url(§)"><td><table{} background=/a background=§ style="a:url(data:,§)" STYLE="b:url(§)"><a ping ping=§>`},
	{"duplicates of a background that is blocked", `<table background=§ background=/a>`, `<table{} ~background=§ ~background=/a>`},
	{"a document in an attribute", `<iframe srcdoc="<img src=&quot;§&quot;>"></iframe>`,
		`<iframe srcdoc="<img {esc}data-consent-src=&quot;§&quot;>"></iframe>`},
	{"a document in a data URL", `<iframe src="data:text/html,<img src=§>"></iframe>`, `<iframe{} ~src="data:text/html,<img src=§>"></iframe>`},
	{"a data URL with newlines, which Chromium keeps", "<iframe src=\"data:text/html,<img\nsrc=§>\"></iframe><embed src='data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\"><image\thref=\"§\"/></svg>'><iframe src=\"data:text/html;base\n64,<img src=§>\"></iframe><link rel=stylesheet href=\"data:text/css,@charset 'x&#10;;a{b:url(§)}\">",
		"<iframe{} ~src=\"data:text/html,<img\nsrc=§>\"></iframe><embed{} ~src='data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\"><image\thref=\"§\"/></svg>'><iframe{} ~src=\"data:text/html;base\n64,<img src=§>\"></iframe><link{} rel=stylesheet ~href=\"data:text/css,@charset 'x&#10;;a{b:url(§)}\">"},
	{"a data URL with newlines, which Firefox drops", "<iframe src=\"data:text/html,<i\nmg src=§>\"></iframe><style>@import 'data:text/css,@im\\a port \\22§\\22;'</style>",
		"<iframe{} ~src=\"data:text/html,<i\nmg src=§>\"></iframe><style>@import 'about:invalid#data:text/css,@im\\a port \\22§\\22;'</style>"},
	{"a control behind a data URL is no part of it", `<iframe src="data:text/html;base64,PGltZyBzcmM9Ly90cmFja2VyLnRlc3QvPg==&#4;"></iframe>`, `<iframe{} ~src="data:text/html;base64,PGltZyBzcmM9Ly90cmFja2VyLnRlc3QvPg==&#4;"></iframe>`},
	{"a form feed behind base64 makes it another word", "<iframe src=\"data:text/html;base64\f,<img src=§>\"></iframe>", "<iframe{} ~src=\"data:text/html;base64\f,<img src=§>\"></iframe>"},
	{"a data URL has no base", `<iframe src="data:text/html,<img src=https:tracker.test/x>"></iframe><link rel=stylesheet href="data:text/css,@import 'https:tracker.test/x'">`,
		`<iframe{} ~src="data:text/html,<img src=https:tracker.test/x>"></iframe><link{} rel=stylesheet ~href="data:text/css,@import 'https:tracker.test/x'">`},
	{"a base in a document in an attribute that the preload scanner reads without one", `<iframe srcdoc="<base href=https:tracker.test/><img src=x>"></iframe>`, `<iframe srcdoc="<base {esc}~href=https:tracker.test/><img src=x>"></iframe>`},
	{"a type that Chromium takes for HTML, once for XML", `<iframe src="data:text/xsl,<img src=§>"></iframe><iframe src="data:text/xsl,<x xmlns:h='http://www.w3.org/1999/xhtml'><![CDATA[>]]><h:img src='§'/></x>"></iframe>`,
		`<iframe{} ~src="data:text/xsl,<img src=§>"></iframe><iframe{} ~src="data:text/xsl,<x xmlns:h='http://www.w3.org/1999/xhtml'><![CDATA[>]]><h:img src='§'/></x>"></iframe>`},
	{"a document that is the value of a script", `<iframe src="javascript:'<img src=//static.hotjar.com/x>'"></iframe>`, `<iframe data-consent-category="statistics" data-consent-service="hotjar" data-consent-rule="host:hotjar.com" ~src="javascript:'<img src=//static.hotjar.com/x>'"></iframe>`},
	{"spaces before the reference that the preload scanner takes", `<script src=" " src=§></script><link rel=stylesheet href=&#32 href=§><input type=image src src="" src=§><video poster=" " poster=§>`,
		`<script{js} ~src=" " ~src=§></script><link{} rel=stylesheet ~href=&#32 ~href=§><input{} type=image ~src ~src="" ~src=§><video{} ~poster=" " ~poster=§>`},
	{"the first reference of an image is the one that counts", `<img src=" " src=§><link rel=stylesheet href=/a href=§>`, ""},
	{"the last reference of an image that is loaded ahead", `<link rel=preload as=image href=/a href=§>`, `<link{} rel=preload as=image ~href=/a ~href=§>`},
	{"candidates behind others that are none", `<picture><source srcset srcset="/a 1x 2w" srcset=§><source srcset=/a srcset=§><img></picture>`, `<picture><source{} ~srcset ~srcset="/a 1x 2w" ~srcset=§><source srcset=/a srcset=§><img></picture>`},
	{"a style sheet in a data URL that is loaded ahead", `<link rel=preload as=style as=image href="data:,@import '§'"><link rel=compression-dictionary as=style href="data:,@import '§'">`,
		`<link{} rel=preload as=style as=image ~href="data:,@import '§'"><link{} rel=compression-dictionary as=style ~href="data:,@import '§'">`},
	{"an import map without slashes behind a base without a host", `<base href=about:blank><script type=importmap>{"imports":{"x":"https:tracker.test/x"}}</script>`, `<base href=about:blank><script{js} ~type=importmap>{"imports":{"x":"https:tracker.test/x"}}</script>`},
	{"an import map", `<script type=importmap>{"imports":{"x":"§"}}</script>`, `<script{js} ~type=importmap>{"imports":{"x":"§"}}</script>`},
	{"a web bundle", `<script type=webbundle>{"source":"§","resources":["/a.js"]}</script>`, `<script{js} ~type=webbundle>{"source":"§","resources":["/a.js"]}</script>`},
	{"SVG title does not hide the page", `<svg><title/></svg><img src=§>`, `<svg><title/></svg><img{} ~src=§>`},
	{"SVG style does not hide the page", `<svg><style><!--</style><img src=§>--></style></svg><img src=§>`, `<svg><style><!--</style><img{} ~src=§>--></style></svg><img{} ~src=§>`},
	{"an SVG script whose type the preload scanner does not heed", `<svg><script type=text/plain href="§"></script></svg>`, `<svg><script{js} ~type=text/plain ~href="§"></script></svg>`},
	{"a frameset behind a template in the head", `<template>x</template><nobr><frameset><frame src=§></frameset>`, `<template>x</template><nobr><frameset><frame{} ~src=§></frameset>`},
	{"an end tag that browsers take differently", `<video><foreignObject><svg></foreignObject><source src=§>`, `<video><foreignObject><svg></data-consent-foreignObject><source src=§>`},
	{"such an end tag in a style", `<foreignObject><svg><style>a<g>b</foreignObject><![CDATA[><img src=§>]]>`, `<foreignObject><svg><style>a<g>b</data-consent-foreignObject><![CDATA[><img src=§>]]>`},
	{"a frameset that text in a CDATA section rules out", `<math><![CDATA[x]]></math><frameset></frameset><iframe src=§></iframe>`, `<math><![CDATA[x]]></math><frameset></frameset><iframe{} ~src=§></iframe>`},
	{"a frameset behind an empty CDATA section", `<math><![CDATA[ ]]></math><frameset></frameset><iframe src=§></iframe>`, ""},
	{"SVG that only the preload scanner sees", `<frameset></frameset><svg><image xlink:href=§ /><script href=§></script></svg><image src=§>`,
		`<frameset></frameset><svg><image{} ~xlink:href=§ /><script{js} ~href=§></script></svg><image{} ~src=§>`},
	{"an image in SVG with duplicates", `<svg><image href=/a href=§ xlink:href=/b></svg>`, `<svg><image{} ~href=/a ~href=§ xlink:href=/b></svg>`},
	{"an image in SVG behind an integration point", `<svg><desc><image href=§></desc></svg><image href=§>`, `<svg><desc><image{} ~href=§></desc></svg><image{} ~href=§>`},
	{"an image behind SVG that the tree builder has closed", `<svg><!--<svg>--><style><img src=/a></style><image href=§>`, `<svg><!--<svg>--><style><img src=/a></style><image{} ~href=§>`},
	{"an image that the preload scanner takes for HTML", `<math></svg><image src=§></math><svg><desc></math></desc><image src=§></svg>`, `<math></svg><image{} ~src=§></math><svg><desc></math></desc><image{} ~src=§></svg>`},
	{"a script that the preload scanner takes for HTML", `<svg></math><script src=§></script></svg>`, `<svg></math><script{js} ~src=§></script></svg>`},
	{"the same behind an integration point", `<svg><foreignObject><div></div></foreignObject><script src=§></script></svg>`, `<svg><foreignObject><div></div></foreignObject><script{js} ~src=§></script></svg>`},
	{"the same behind a tag in a CDATA section", `<svg><![CDATA[><p>]]><image src=§></svg>`, `<svg><![CDATA[><p>]]><image{} ~src=§></svg>`},
	{"an image and a script in SVG by src", `</math><svg><svg></svg><title>x<p></p></title><![CDATA[x]]><image src=§><script src=§></script></svg>`, ""},
	{"an image by href without SVG", `<image href=§><script href=§></script>`, ""},
	{"an SVG style around another", `<svg><style>@import "http:/<style>p{}</style>/tracker.test/x.css";</style></svg>`, `<svg><style>@import "about:invalid#http:/<style>p{}</style>/tracker.test/x.css";</style></svg>`},
	{"a CDATA section", `<svg><![CDATA[>]]><image href=§ />]]></svg><![CDATA[<img src=§>`, `<svg><![CDATA[>]]><image{} ~href=§ />]]></svg><![CDATA[<img src=§>`},
	{"an SVG style that the end cuts off in a tag", `<svg><style>@import "§";@import "§<`, `<svg><style>@import "about:invalid#§";@import "about:invalid#§<`},
	{"an SVG script that the end cuts off behind a tag", `<svg><script>a<b><img src=§><`, `<svg><script>a<b><img{} ~src=§><`},
	{"a template", `<template><img src=§></template>`, `<template><img{} ~src=§></template>`},
	{"a lazy image", `<img data-src="§">`, `<img{} ~data-src="§">`},
}

func expand(s, in string) string {
	if s == "" {
		s = in
	}
	return strings.NewReplacer("§", "http://tracker.test/x", "{}", mark, "{js}", markScript, "~", "data-consent-").Replace(s)
}

func TestBlockedElementsBecomeInert(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for _, tt := range elementTests {
		t.Run(tt.name, func(t *testing.T) {
			in, want := expand(tt.in, ""), expand(tt.want, tt.in)
			want = strings.Replace(want, " {esc}", strings.ReplaceAll(mark, `"`, "&#34;")+" ", 1)
			if got := rewrite(t, o, in); got != want {
				t.Errorf("\nin   %s\ngot  %s\nwant %s", in, got, want)
			}
		})
	}
}

// Where a document is cut into writes must not matter.
func TestEveryChunkingGivesTheSameOutput(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	var all strings.Builder
	docs := []string{}
	for _, tt := range elementTests {
		if tt.name == "plaintext" {
			continue
		}
		docs = append(docs, expand(tt.in, ""))
		all.WriteString(expand(tt.in, ""))
	}
	for _, doc := range docs {
		want := rewrite(t, o, doc)
		for i := 1; i < len(doc); i++ {
			if got := rewrite(t, o, doc[:i], doc[i:]); got != want {
				t.Fatalf("cut at %d of %q:\ngot  %s\nwant %s", i, doc, got, want)
			}
		}
		if got := rewrite(t, o, strings.Split(doc, "")...); got != want {
			t.Fatalf("byte by byte %q:\ngot  %s\nwant %s", doc, got, want)
		}
	}
	doc := all.String()
	want := rewrite(t, o, doc)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		if got := rewrite(t, o, randomChunks(rnd, doc)...); got != want {
			t.Fatal("random chunks change the output")
		}
	}
}

func randomChunks(rnd *rand.Rand, doc string) (chunks []string) {
	for len(doc) > 0 {
		n := 1 + rnd.IntN(min(len(doc), 1<<rnd.IntN(12)))
		chunks, doc = append(chunks, doc[:n]), doc[n:]
	}
	return chunks
}

// A chunk that comes in goes out, less at most one incomplete tag.
func TestTextLeavesAtOnce(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"})
	for _, step := range []struct{ in, want string }{
		{"<p>one", "<p>one"},
		{" two<b", "<p>one two"},
		{">three<!-- c", "<p>one two<b>three<!-- "},
	} {
		if _, err := r.Write([]byte(step.in)); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.HasPrefix(got, step.want) {
			t.Errorf("after %q: got %q, want %q", step.in, got, step.want)
		}
	}
}

func TestAbortEmitsNothingHeld(t *testing.T) {
	var out bytes.Buffer
	b := NewBudget(1 << 20)
	r := New(&out, Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", Budget: b})
	if _, err := r.Write([]byte(`<p>x<script src="http://tracker.te`)); err != nil {
		t.Fatal(err)
	}
	if b.Held() == 0 {
		t.Error("held bytes are not charged")
	}
	r.Abort()
	if got := out.String(); got != "<p>x" {
		t.Errorf("got %q, want the text before the cut tag", got)
	}
	if b.Held() != 0 {
		t.Errorf("%d bytes still charged", b.Held())
	}
	if _, err := r.Write([]byte("x")); err == nil {
		t.Error("a write after Abort succeeds")
	}
}

var inlineTests = []struct {
	name, script string
	blocked      bool
}{
	{"Tag Manager", `(function(w,d,s,l,i){w[l]=w[l]||[];var f=d.getElementsByTagName(s)[0],j=d.createElement(s);j.async=true;j.src='https://www.googletagmanager.com/gtm.js?id='+i;f.parentNode.insertBefore(j,f);})(window,document,'script','dataLayer','GTM-XXXX');`, true},
	{"ga.js with a computed host", `var ga=document.createElement('script');ga.src=('https:'==document.location.protocol?'https://ssl':'http://www')+'.google-analytics.com/ga.js';`, true},
	{"Meta pixel", `!function(f,b,e,v,n,t,s){t=b.createElement(e);t.src=v;}(window,document,'script','https://connect.facebook.net/en_US/fbevents.js');fbq('init','1');`, true},
	{"Hotjar", `(function(h,o,t,j,a,r){r=o.createElement('script');r.src=t+h._hjSettings.hjid+j;})(window,document,'https://static.hotjar.com/c/hotjar-','.js?sv=');`, true},
	{"escaped slashes", `var u="https:\/\/connect.facebook.net\/en_US\/fbevents.js";var s=document.createElement("script");s.src=u;`, true},
	{"configuration that names a vendor", `var config={"gtm":"https://www.googletagmanager.com/gtm.js","id":"GTM-1"};`, false},
	{"a comment that names a vendor", `// see hotjar.com for docs
document.createElement("p")`, false},
	{"a host that the path is added to", `var host = (("https:" == document.location.protocol) ? "https://s.adroll.com" : "http://a.adroll.com"); var scr = document.createElement("script"); scr.src = host + "/j/roundtrip.js";`, true},
	{"a folder that the path is added to", `var u = 'https://cdnssl.clicktale.net/'; u += 'x.js'; var s = document.createElement('script'); s.src = u;`, true},
	{"a pixel", `new Image().src = "//pixel.wp.com/g.gif?v=1";`, true},
	{"a beacon", `navigator.sendBeacon('https://api.mixpanel.com/track/?data=1');`, true},
	{"a written element", `document.write('<scr'+'ipt src="http://ad.doubleclick.net/adj/x"></scr'+'ipt>');`, true},
	{"a message's origin", `addEventListener("message", function (e) { if (e.origin === "https://www.youtube.com") document.createElement("p") });`, false},
	{"a link to a profile", `el.innerHTML = '<a href="https://www.facebook.com/mypage">us</a>';`, false},
	{"own code", `document.createElement("script").src="/app.js";`, false},
}

// A script that is marked for another of its attributes still loses its type.
func TestInlineLoaderWithABlockedStyle(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	in := `<script style="background:url(http://tracker.test/x)">document.createElement("script").src="//www.googletagmanager.com/gtm.js?id="</script>`
	if got := rewrite(t, o, in); !strings.HasPrefix(got, `<script type="text/plain" data-consent-`) || !strings.Contains(got, "url(data:,http") {
		t.Errorf("%s", got)
	}
}

func TestInlineLoaders(t *testing.T) {
	o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for _, tt := range inlineTests {
		t.Run(tt.name, func(t *testing.T) {
			got := rewrite(t, o, "<script>"+tt.script+"</script>x")
			if blocked := strings.HasPrefix(got, `<script type="text/plain" data-consent-category=`); blocked != tt.blocked {
				t.Errorf("blocked = %v: %s", blocked, got)
			}
			if !strings.HasSuffix(got, ">"+tt.script+"</script>x") {
				t.Errorf("the text changed: %s", got)
			}
			if data := rewrite(t, o, `<script type="application/json">`+tt.script+"</script>"); strings.Contains(data, "data-consent") {
				t.Errorf("a data block is not run: %s", data)
			}
		})
	}
}

// A script runs in Chromium with any of Unicode's spaces around its type, however they are encoded.
func TestSpacesAroundAScriptsType(t *testing.T) {
	for charset, spaces := range map[string][]string{
		"utf-8":     {"\v", "\u1680", "\u2003", "\u2028", "\u205f", "\u3000", "&#x2003;", "\u3000 \u2003", " &#11;"},
		"shift_jis": {"\x81@"}, "gbk": {"\xa1\xa1"}, "gb18030": {"\x81\x36\xa3\x36"}, "big5": {"\xa1@"}, "euc-kr": {"\xa1\xa1"},
	} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html;charset=" + charset}
		for _, space := range spaces {
			for _, typ := range []string{space + "text/javascript", "text/javascript" + space, space + "Module" + space, space + "text/javascript1.5" + space} {
				for _, doc := range []string{`" src="http://tracker.test/x.js"></script>`, `">var j=document.createElement(s);j.src='https://www.googletagmanager.com/gtm.js';</script>`} {
					if got := rewrite(t, o, `<script type="`+typ+doc); !strings.Contains(got, `type="text/plain"`) {
						t.Errorf("%s: left %q", charset, got)
					}
				}
			}
			doc := `<script type="` + space + `application/json` + space + `" src=http://tracker.test/x></script><script type="` + space + `" src=http://tracker.test/x></script>`
			if got := rewrite(t, o, doc); got != doc {
				t.Errorf("%s: %q is no script, but %q", charset, doc, got)
			}
		}
	}
}

// Past the limits a page is not cut, and nothing that was not read can fetch.
func TestLongTokens(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", MaxTag: 256, MaxScript: 512}
	long := strings.Repeat("x", 2000)
	u := "http://tracker.test/x"
	tests := []struct{ name, in, want string }{
		{"an image in a data URL stays", `<img src="data:image/png;base64,` + long + `" alt=a>`, ""},
		{"a long URL of a blocked host", `<img src="` + u + long + `">`, `<img` + mark + ` data-consent-src="` + u + long + `">`},
		{"JSON in an attribute stays", `<div data-json="` + long + `" class=a>t</div>`, ""},
		{"a source after the limit", `<img alt="` + long + `" src=` + u + `>`, `<img alt="` + long + `" data-consent-src=` + u + `>`},
		{"a candidate list over the limit", `<img srcset="` + strings.Repeat("/a 1x, ", 99) + `">`, ""},
		{"a comment", `<!--` + long + `--><img src=` + u + `>`, `<!--` + long + `--><img` + mark + ` data-consent-src=` + u + `>`},
		{"an inline script", `<script>` + strings.Repeat("a;", 999) + `</script>`, ""},
		{"a long name", `<` + long + ` a=b><img src=` + u + `>`, `<` + long + ` a=b><img` + mark + ` data-consent-src=` + u + `>`},
		{"a long name that goes on with what looks like a value", `<` + long + `="><img src=` + u + `>`, `<` + long + `="><img` + mark + ` data-consent-src=` + u + `>`},
		{"a long name behind an end tag's", `</` + long + `='><img src=` + u + `>`, `</` + long + `='><img` + mark + ` data-consent-src=` + u + `>`},
		{"a long attribute name", `<p ` + long + `=1><img src=` + u + `>`, `<p ` + long + `=1><img` + mark + ` data-consent-src=` + u + `>`},
		{"a data URL in a style sheet", `<style>a{b:url(data:image/png;base64,` + long + `)}c{d:url(` + u + `)}</style>`, `<style>a{b:url(data:image/png;base64,` + long + `)}c{d:url(data:,` + u + `)}</style>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.in
			}
			got := rewrite(t, o, strings.Split(tt.in, "")...)
			switch tt.name {
			case "a candidate list over the limit", "an inline script":
				if strings.NewReplacer("data-consent-srcset", "srcset").Replace(stripMarks(got)) != tt.in || got == tt.in {
					t.Errorf("got %.300s, want it inert", got)
				}
				return
			}
			if got != want {
				t.Errorf("\ngot  %.300s\nwant %.300s", got, want)
			}
		})
	}
}

// A tag whose name is too long is read the same wherever the tag before it was cut.
func TestLongNameBehindACutTag(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", MaxTag: 40}
	doc := `<p e="s"><` + strings.Repeat("n", 60) + ` style="b:url(//tracker.test/x)">`
	want := rewrite(t, o, doc)
	if !strings.Contains(want, renamePrefix+"style") {
		t.Errorf("left: %s", want)
	}
	for i := range doc {
		if got := rewrite(t, o, doc[:i], doc[i:]); got != want {
			t.Errorf("cut at %d: %s", i, got)
		}
	}
}

// The text of an element inside of a foreign style is none of the style's, wherever it is cut.
func TestTextInsideOfAForeignStyle(t *testing.T) {
	for _, doc := range []string{"<math><style><p><<t>", "<svg><style><a><![CDATA[x]]>", "<svg><style><a><<![CDATA[x]]></a>@import 'x'</style>"} {
		for _, o := range []Options{
			{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test")},
			{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "image/svg+xml", XML: true},
		} {
			want := rewrite(t, o, doc)
			for i := range doc {
				if got := rewrite(t, o, doc[:i], doc[i:]); got != want {
					t.Errorf("%q cut at %d: %s", doc, i, got)
				}
			}
		}
	}
}

// stripMarks removes what marks an element as blocked.
func stripMarks(s string) string {
	for {
		i := strings.Index(s, ` data-consent-category="`)
		if i < 0 {
			return strings.ReplaceAll(s, ` type="text/plain"`, "")
		}
		j := i
		for range 6 {
			j += strings.IndexByte(s[j:], '"') + 1
		}
		s = s[:i] + s[j:]
	}
}

func TestRecordHasEveryResourceOnce(t *testing.T) {
	var got []string
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", Report: func(r rules.Resource, d rules.Decision) {
		got = append(got, fmt.Sprint(r.Kind, " ", r.URL))
	}}
	rewrite(t, o, `<noscript><img src="//tracker.test/1"></noscript><img src="//tracker.test/2"><svg><style>a{b:url(//tracker.test/3)}</style><image href="//tracker.test/4"/></svg><p style="a:url(//tracker.test/5)"><iframe srcdoc="<script src=//tracker.test/6></script>"></iframe><script>document.createElement("script").src="//www.googletagmanager.com/gtm.js?id="</script>`)
	want := "image //tracker.test/1,image //tracker.test/2,image //tracker.test/3,image //tracker.test/4,image //tracker.test/5,script //tracker.test/6,inline_script //www.googletagmanager.com/gtm.js?id="
	if s := strings.Join(got, ","); s != want {
		t.Errorf("\ngot  %s\nwant %s", s, want)
	}
}

// The text of an element in svg is that of all its own text nodes, whatever stands between them; Firefox looks for
// @import in that of its descendants too.
func TestTextAroundElementsInSVG(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: "text/html; charset=utf-8"}
	const mark = ` type="text/plain" data-consent-category="statistics" data-consent-service="google-analytics" data-consent-rule="host:google-analytics.com"`
	for _, tt := range []struct{ in, want string }{
		{
			`<svg><style>a{b:url(http:/<script>fetch("//www.google-analytics.com/x")</script>/tracker.test/x)}</style></svg>`,
			`<svg><style>a{b:url(data:,http:/<script` + mark + `>fetch("//www.google-analytics.com/x")</script>/tracker.test/x)}</style></svg>`,
		},
		{
			`<svg><script>fetch("http:/<style>@import '//tracker.test/x';</style>/www.google-analytics.com/x")</script></svg>`,
			`<svg><script` + mark + `>fetch("http:/<style>@import 'about:invalid#//tracker.test/x';</style>/www.google-analytics.com/x")</script></svg>`,
		},
		{
			`<svg><script>fetch("http:/<script>a()</script>/www.google-analytics.com/x")</script></svg>`,
			`<svg><script` + mark + `>fetch("http:/<script>a()</script>/www.google-analytics.com/x")</script></svg>`,
		},
		{
			`<svg><style>@import "http:/<style>a{}<style>b{c:url(http:/<g/>/tracker.test/1)}</style></style>/tracker.test/2";</style></svg>`,
			`<svg><style>@import "about:invalid#http:/<style>a{}<style>b{c:url(data:,http:/<g/>/tracker.test/1)}</style></style>/tracker.test/2";</style></svg>`,
		},
		{
			`<svg><style>@imp<g>ort "//tracker.test/1";</g></style><style>@imp<g>x</g>ort "//tracker.test/2";</style></svg>`,
			`<svg><style>@imp<g>ort "about:invalid#//tracker.test/1";</g></style><style>@imp<g>x</g>ort "about:invalid#//tracker.test/2";</style></svg>`,
		},
		{
			`<svg><style><g>a{--x:\</g>@import "//tracker.test/1";</style></svg><p>some text behind it`,
			`<svg><style><g>a{--x:\</g>@import "about:invalid#//tracker.test/1";</style></svg><p>some text behind it`,
		},
		{
			`<svg><style>@import <g>"http:/</g>/tracker.test/1";</style></svg>`,
			`<svg><style>@import <g>"about:invalid#http:/</g>/tracker.test/1";</style></svg>`,
		},
		{
			`<svg><style><style>@import "http:/<xmp>/tracker.test/1";</style></svg>`,
			`<svg><style><style>@import "about:invalid#http:/<xmp>/tracker.test/1";</style></svg>`,
		},
		{
			`<svg><style>@import "http:/<style>a{}</svg>/tracker.test/2";`,
			`<svg><style>@import "http:/<style>a{}</svg>/tracker.test/2";`,
		},
	} {
		r := new(Rewriter)
		for n := range len(tt.in) {
			var out bytes.Buffer
			r.Reset(&out, o) // as a server uses it
			_, _ = io.WriteString(r, tt.in[:n])
			_, _ = io.WriteString(r, tt.in[n:])
			_ = r.Close()
			if got := out.String(); got != tt.want {
				t.Fatalf("cut at %d\ngot  %s\nwant %s", n, got, tt.want)
			}
		}
	}
}
