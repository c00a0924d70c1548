package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// deepVectors are pages with more open elements than are followed, or that cost too much to follow, in which something
// is hidden where nobody knows any more what is text.
func deepVectors() (out []*vector) {
	for i, begin := range []string{
		strings.Repeat("<q>", 4200), strings.Repeat("<q>", 4200) + "<svg>", strings.Repeat("<q>", 4200) + strings.Repeat("</q>", 4150) + "<math><mi>", strings.Repeat("<q>", 4200) + "<select>",
		strings.Repeat("<q>", 4200) + "<table><colgroup>", strings.Repeat("<q>", 4200) + "<template><col>", "<svg>" + strings.Repeat("<g>", 4200), "<svg><style>" + strings.Repeat("<g>", 4200),
		"<svg><desc>" + strings.Repeat("<b>", 4200), "<b>" + strings.Repeat("<div>", 4000) + strings.Repeat("</b>", 3000) + "<svg>", strings.Repeat("<frameset>", 4200), "<noscript>" + strings.Repeat("<q>", 4200),
		"<template>" + strings.Repeat("<i>", 4200) + "</template>", "<svg><style>" + strings.Repeat("<desc>", 4200),
	} {
		for k, rest := range []string{
			`<script src="T.js"></script><img src="T.png"><image href="T.svg">`, `<style><img src="T.png"></style><title><img src="T.gif"></title>`, `<title><style></title><iframe src="T.html"></iframe>`,
			`<![CDATA[><img src="T.png">]]><img src="T.gif">`, `<style>@import "T.css";</style>@import "T.css";</g></style>`, `<script>a<b;</script><img src="T.png">"<!--`, `<textarea></svg><textarea><img src="T.png">`,
			`<noscript><p title="</noscript><img src='T.png'>">`, `<plaintext><img src="T.png">`, `<frame src="T.html"><noframes></frameset><frame src="T.html"></noframes><style><frame src="T.html"></style>`,
			`</frameset><frame src="T.html">`, `</template><img src="T.png">`, `<xmp></svg><img src="T.png">`, `</select><style></svg><!--</style><img src="T.png">-->`,
		} {
			v := &vector{ID: fmt.Sprintf("deep%d-%d", i, k), Scope: "static"}
			v.Body = []byte("<!DOCTYPE html>" + begin + strings.ReplaceAll(rest, "T.", "http://tracker.test/"+v.ID+"/x."))
			out = append(out, v)
		}
	}
	return out
}

// No page is so deep that a browser contacts a blocked host.
func TestPagesTooDeepInABrowser(t *testing.T) {
	vs := deepVectors()
	if !allInBrowser() { // Chromium takes the better part of a second for each
		var some []*vector
		for i := 0; i < len(vs); i += 11 {
			some = append(some, vs[i])
		}
		vs = some
	}
	c := vectorSite(t, vs)
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), vs)
		noContacts(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: vs, {}: vs}))
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		noContacts(t, f.replay(t, visit{scripting: true}, vs))
	})
}
