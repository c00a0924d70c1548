package rewriter

import (
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/rules"
)

// Behind and in tags that are too long to hold, nothing that a browser fetches is left, and where the
// document is cut does not matter.
func TestLongTagsHideNothing(t *testing.T) {
	p, page := policy(t, "block"), rules.NewPage("https", "site.test")
	o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8", MaxTag: 256, MaxScript: 512}
	for _, short := range longTagTests {
		doc := expandLong(short, 300)
		want := rewrite(t, o, doc)
		for _, l := range oracle.Fetchable([]byte(want), p, page) {
			t.Errorf("%s: left %s", short, l)
		}
		if _, err := oracle.Edits([]byte(doc), []byte(want)); err != nil {
			t.Errorf("%s: %v", short, err)
		}
		for i := 1; i < len(doc); i++ {
			if got := rewrite(t, o, doc[:i], doc[i:]); got != want {
				t.Errorf("%s: cut at %d of %d\ngot  %s\nwant %s", short, i, len(doc), got, want)
				break
			}
		}
	}
}

// In longTagTests X stands for a text that is too long and T for a URL.
func expandLong(short string, n int) string {
	return strings.NewReplacer("X", strings.Repeat("x", n), "T", "http://tracker.test/t").Replace(short)
}

var longTagTests = []string{
	`<X><svg></X` + `X><script><body><img src="T">`,
	`<X><svg></X><script><body><img src="T"></script>`,
	`</X><svg><image href="T" id="X"/></svg>`,
	`</X><svg><use href="T" id="X"/></svg>`,
	`</X><svg><g mask="url(T)" id="X"></g></svg>`,
	`</X><video><source src="T" id="X"></video>`,
	`</X><video><track src="T" id="X"></video>`,
	`<X><svg><image href="T" id="X"/></svg></X><img src="T">`,
	`<svg><title></X><style>a{b:url(T)}</style></title></svg>`,
	`<svg><title></X><style><!--</style><img src="T">-->`,
	`<svg></X><style>&#64;import 'T';</style></svg>`,
	`<svg></X><style>a{b:url(&quot;T&quot;)}</style></svg>`,
	`</X><![CDATA[><svg><textarea><img src="T">`,
	`<svg><style title="X"><img src="T"></style></svg>`,
	`<svg><title title="X"><img src="T"></title></svg>`,
	`<svg><textarea title="X"><img src="T"></textarea></svg>`,
	`<svg><noscript title="X"><img src="T"></noscript></svg>`,
	`<math><style title="X"><img src="T"></style></math>`,
	`<svg><style title="X">&#64;import 'T';</style></svg>`,
	`<noscript id="X"><img src="T"></noscript>`,
	`<noscript>a</noscript><frameset id="X"></frameset><iframe src="T"></iframe>`,
	`<svg><title id="X"/><noembed><img src="T"></noembed>`,
	`<svg><foreignObject id="X"/><noembed><img src="T"></noembed>`,
	`<svg><style id="X"/><image href="T"/></svg>`,
	`<svg><foreignObject><img alt=x></foreignObject><X mask="url(T)"></X></svg>`,
	`<script style="display:block;background:url(T)" title="X` + "X" + `"></script>`,
	`<template>a<tr><td background="T">`,
	`<p>b<br></p><template>a<tr><td background="T">`,
	`<X="><img src="T">`,
	`</X='><img src="T">`,
	`<p e="s"><X style="b:url(T)">`,
	`<a title="X" href="/x" ping="T">x</a>`,
	`<area title="X" ping="T" href="/x">`,
	`<img title="X" attributionsrc="T" src="/x">`,
}

// In the rest of a long tag, what certainly fetches nothing stays.
func TestRestOfALongTag(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", MaxTag: 256}
	for _, tt := range []struct {
		in   string
		gone bool
	}{
		{`<div title="X" style="color:red">`, false},
		{`<div title="X" style="background:url(T)">`, true},
		{`<div title="X" onclick="f()">`, false},
		{`<body title="X" onload="s=document.createElement('script');s.src='T.js'">`, true},
		{`<img title="X" data-src="T">`, true},
		{`<img title="X" data-srcset="T 1x">`, true},
		{`<div title="X" data-src="T">`, false},
		{`<div title="X" ping="T">`, false},
	} {
		doc := expandLong(tt.in, 300)
		if got := rewrite(t, o, doc); strings.Contains(got, renamePrefix) != tt.gone {
			t.Errorf("%s: %s", tt.in, got)
		}
	}
}

// The limit of what is held may fall anywhere in a tag.
func TestLimitFallsAnywhere(t *testing.T) {
	p, page := policy(t, "block"), rules.NewPage("https", "site.test")
	o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8", MaxTag: 96}
	for _, short := range []string{
		`<img alt="Y" src="T">`, `<img alt="Y" src = T>`, `<img alt=Y SRC='T' >`, `<iframe title="Y" src="T"></iframe>`, `<iframe title="Y" srcdoc="<img src='T'>"></iframe>`,
		`<p title="Y" style="background:url(T)">`, `<base title="Y" href="T"><img src="a.png">`, `<link title="Y" rel=stylesheet href="T">`, `<svg><image class="Y" xlink:href="T"/></svg>`,
		`<video title="Y" poster="T" src="T"></video>`, `<object title="Y" data="T"></object>`, `<td title="Y" background="T">`, `<table background="T" title="Y" >`,
		`<a title="Y" ping="T" href="/x">x</a>`, `<script title="Y" src="T"></script>`, `<meta title="Y" http-equiv="refresh" content="0;url=T">`, `<input title="Y" type=image src="T">`,
	} {
		for n := 40; n < 110; n++ {
			doc := strings.NewReplacer("Y", strings.Repeat("y", n), "T", "http://tracker.test/t").Replace(short)
			want := rewrite(t, o, doc)
			for _, l := range oracle.Fetchable([]byte(want), p, page) {
				t.Errorf("%s with %d: left %s", short, n, l)
			}
			for _, size := range []int{1, 7, 97} {
				if got := rewrite(t, o, slicesOf(doc, size)...); got != want {
					t.Errorf("%s with %d in pieces of %d\ngot  %s\nwant %s", short, n, size, got, want)
				}
			}
		}
	}
}

func slicesOf(doc string, size int) (pieces []string) {
	for piece := range inPieces(doc, size) {
		pieces = append(pieces, piece)
	}
	return pieces
}

// Ordinary elements with more than is held in one attribute come out the same wherever they are cut,
// as does what is put into the head.
func TestLongAttributesAndHeadAtEveryCut(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tt := range []struct{ doc, head string }{
		{`<div data-props="` + long + `" style="color:red">a</div>`, ""},
		{`<div data-props="` + long + `" onclick="f(1/2)">a</div>`, ""},
		{`</p ` + long + ` style="color:red"><p>`, ""},
		{"<html><head>\n<title>t</title>", "<meta name=x>"},
		{`<p>Hello</p><div>a</div><script>b</script>`, "<meta name=x>"},
		{`<div>a</div>`, "<meta name=x>"},
	} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", MaxTag: 256, Head: tt.head}
		want := rewrite(t, o, tt.doc)
		if tt.head == "" && strings.HasPrefix(tt.doc, "</p") && want != tt.doc {
			t.Errorf("an end tag fetches nothing: %s", want)
		}
		for i := 1; i < len(tt.doc); i++ {
			if got := rewrite(t, o, tt.doc[:i], tt.doc[i:]); got != want {
				t.Errorf("%s cut at %d\ngot  %s\nwant %s", tt.doc, i, got, want)
				break
			}
		}
	}
}

// The rest of a long tag is passed to its end where the document ends behind it, and it was not read before.
func TestLongTagReadAtTheEnd(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html", MaxTag: 100}
	doc := `<div title="` + strings.Repeat("x", 150) + `" data-s="` + strings.Repeat("y", 150) + `"><script src="https://tracker.test/x"></script>`
	if out := rewrite(t, o, doc); strings.Contains(out, ` src=`) {
		t.Error(out)
	}
}
