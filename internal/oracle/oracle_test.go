package oracle

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

func undecided(t *testing.T) *rules.Policy {
	t.Helper()
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := rules.NewSite(cat, rules.SiteConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return site.For(rules.Grants{Allowed: rules.SetOf(rules.Necessary)})
}

const mark = ` data-consent-category="preferences" data-consent-service="aircall" data-consent-rule="host:aircall.io"`

func TestOracleSeesWrongEdits(t *testing.T) {
	p, page := undecided(t), rules.NewPage("https", "site.test")
	for name, c := range map[string]struct{ in, out, want string }{
		"untouched":          {`<p>x</p>`, `<p>x</p>`, ""},
		"a right rename":     {`<img src="//cdn.aircall.io/a.png">`, `<img` + mark + ` data-consent-src="//cdn.aircall.io/a.png">`, ""},
		"a right style edit": {`<style>a{background:url(//cdn.aircall.io/a.png)}</style>`, `<style>a{background:url(data:,//cdn.aircall.io/a.png)}</style>`, ""},
		"a lost byte":        {`<p>x</p>`, `<p>x</p`, "lacks"},
		"a changed byte":     {`<p>x</p>`, `<p>y</p>`, "at byte 3"},
		"an own image":       {`<img src="/a.png">`, `<img` + mark + ` data-consent-src="/a.png">`, "not a blocked resource"},
		"text":               {`<p>src</p>`, `<p>data-consent-src</p>`, "outside of a tag"},
		"an own style":       {`<style>a{background:url(/a.png)}</style>`, `<style>a{background:url(data:,/a.png)}</style>`, "not a blocked reference"},
		"an own script":      {`<script>track()</script>`, `<script type="text/plain"` + mark + `>track()</script>`, "loads nothing blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			edits, err := Edits([]byte(c.in), []byte(c.out))
			got := strings.Join(Misplaced([]byte(c.in), edits, p, page), "\n")
			if err != nil {
				got = err.Error()
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOracleSeesFetches(t *testing.T) {
	p, page := undecided(t), rules.NewPage("https", "site.test")
	for _, doc := range []string{
		`<script src=//cdn.aircall.io/a.js></script>`,
		"<script type='\u2003text/javascript\v' src=//cdn.aircall.io/a.js></script>",
		`<script language=x src=//cdn.aircall.io/a.js></script>`,
		`<noscript><img src=//cdn.aircall.io/a.png></noscript>`,
		`<img srcset="/a.png 1x, //cdn.aircall.io/a.png 2x">`,
		`<p style="background:url('//cdn.aircall.io/a.png')">`,
		`<style>@import "//cdn.aircall.io/a.css";</style>`,
		`<iframe srcdoc="&lt;img src=//cdn.aircall.io/a.png>"></iframe>`,
		`<meta http-equiv=refresh content="0;url=https://app.aircall.io/">`,
		`<base href="https://cdn.aircall.io/"><img src=a.png>`,
		`<link rel=preconnect href=//cdn.aircall.io>`,
		`<link rel="shortcut icon" href=//cdn.aircall.io/i.png>`,
		`<link rel=manifest href=//cdn.aircall.io/m>`,
		`<template><img src=//cdn.aircall.io/a.png></template>`,
		`<div><template shadowrootmode=open><img src=//cdn.aircall.io/a.png></template></div>`,
		`<table><tr background=//cdn.aircall.io/a.png>`,
		`<a href=/ ping="/p //cdn.aircall.io/p">x</a>`,
		`<svg><image xlink:href=//cdn.aircall.io/a.png /></svg>`,
		`<svg><filter><feImage href=//cdn.aircall.io/a.png /></filter></svg>`,
		`<svg><style>a{background:url(//cdn.air<!-- -->call.io/a.png)}</style></svg>`,
		`<svg><image><set attributeName=href to=//cdn.aircall.io/a.png /></image></svg>`,
		`<svg><script href=//cdn.aircall.io/a.js></script></svg>`,
		`<video><source src=//cdn.aircall.io/a.mp4></video>`,
		`<picture><source srcset=//cdn.aircall.io/a.png><img></picture>`,
		`<script type=importmap>{"imports":{"x":"//cdn.aircall.io/a.js"}}</script>`,
		`<script type=speculationrules>{"prefetch":[{"urls":["https://cdn.aircall.io/"]}]}</script>`,
		`<iframe srcdoc="&lt;iframe srcdoc='&amp;lt;img src=//cdn.aircall.io/a.png>'>"></iframe>`,
		`<iframe src="data:text/html,%3Cimg src=//cdn.aircall.io/a.png>"></iframe>`,
		`<iframe src="data:text/html;base64,PGltZyBzcmM9aHR0cHM6Ly9jZG4uYWlyY2FsbC5pby9hLnBuZz4="></iframe>`,
		`<link rel=stylesheet href="data:text/css,@import 'https://cdn.aircall.io/a.css'">`,
		`<style>a{background:u\72l(//cdn.aircall.io/a.png)}</style>`,
		`<style>a{background:image-set("//cdn.aircall.io/a.png" 1x)}</style>`,
		`<style>/* */@import/**/'//cdn.aircall.io/a.css';</style>`,
		`<p style="background:url(//cdn.air\63 all.io/a.png)">`,
	} {
		if len(Fetchable([]byte(doc), p, page)) == 0 {
			t.Errorf("no fetch seen in %s", doc)
		}
	}
	for _, doc := range []string{
		`<img data-consent-src=//cdn.aircall.io/a.png><a href=//aircall.io>x</a>`,
		`<style>a{content:"url(//cdn.aircall.io/a.png)"} /* url(//cdn.aircall.io/a.png) */ @namespace "https://cdn.aircall.io/";</style>`,
		`<!-- <img src=//cdn.aircall.io/a.png> --><textarea><img src=//cdn.aircall.io/a.png></textarea>`,
		`<p style='@import "//cdn.aircall.io/a.css"'>`,
		`<script type=" " src=//cdn.aircall.io/a.js></script>`,
		`<script type=text/plain src=//cdn.aircall.io/a.js></script><source src=//cdn.aircall.io/a.mp4><svg><a href=//cdn.aircall.io/></a></svg>`,
		`<iframe src="data:text/html,<img src=//cdn.aircall.io%9x/a.png>"></iframe>`,
	} {
		if left := Fetchable([]byte(doc), p, page); len(left) > 0 {
			t.Errorf("fetches seen in %s where there are none: %q", doc, left)
		}
	}
}

func TestEveryReferenceOfAPageIsCountedOnce(t *testing.T) {
	page := rules.NewPage("https", "site.test")
	doc := `<script src=1></script><img src=2><noscript><img src=3></noscript><img src=2><iframe srcdoc="<img src=4><noscript><img src=5></noscript>"></iframe>` +
		`<noscript><iframe srcdoc="<img src=6>"></iframe></noscript>`
	var got []string
	for _, r := range References([]byte(doc), page) {
		got = append(got, r.URL)
	}
	slices.Sort(got)
	if s := strings.Join(got, ""); s != "1223456" {
		t.Errorf("got the references %s, want 1223456", s)
	}
}
