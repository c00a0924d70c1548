package rewriter

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// A style sheet that is a file of its own is read like a style element, without an end tag.
func TestStyleSheetFiles(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/css; charset=utf-8", CSS: true}
	for in, want := range map[string]string{
		`@import "https://tracker.test/a.css";`:                                      `@import "about:invalid#https://tracker.test/a.css";`,
		`@import url(//tracker.test/a.css) screen;b{c:d}`:                            `@import url(about:invalid#//tracker.test/a.css) screen;b{c:d}`,
		`@font-face{src:url("/own.woff2"),url('//tracker.test/f.woff2')}`:            `@font-face{src:url("/own.woff2"),url('data:,//tracker.test/f.woff2')}`,
		`a{background:u\72l(//tracker.test/x)}`:                                      `a{background:u\72l(data:,//tracker.test/x)}`,
		`a{b:"</style><img src=//tracker.test/x>"}/*url(//tracker.test/y)*/`:         `a{b:"</style><img src=//tracker.test/x>"}/*url(//tracker.test/y)*/`,
		"\xef\xbb\xbf" + `@import '//tracker.test/a'`:                                "\xef\xbb\xbf" + `@import 'about:invalid#//tracker.test/a'`,
		`@charset "utf-8";@import url(//tracker.test/a)`:                             `@charset "utf-8";@import url(about:invalid#//tracker.test/a)`,
		`.a{background:url(/img/a.png)}.b{background:url(data:image/png;base64,AA)}`: `.a{background:url(/img/a.png)}.b{background:url(data:image/png;base64,AA)}`,
		``: ``,
	} {
		if got := rewrite(t, o, in); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := rewrite(t, o, strings.Split(in, "")...); got != want {
			t.Errorf("byte by byte: got  %s\nwant %s", got, want)
		}
	}
	o.ContentType = "text/css"
	if got := rewrite(t, o, `@charset "iso-8859-1";`+"a{b:url(//tr\xe4cker.test/)}"); !strings.Contains(got, "data:,") {
		t.Errorf("a host in the sheet's encoding is left: %q", got)
	}
}

// What the preload scanner might fetch behind an @import without quotes is blocked over the limit, and on record.
func TestLongImportIsOnRecord(t *testing.T) {
	o := plainOptions(t)
	o.MaxTag = 40
	var asked []string
	o.Report = func(_ rules.Resource, d rules.Decision) { asked = append(asked, d.Rule) }
	out := rewrite(t, o, strings.Split("<style>@import "+strings.Repeat("0", 60+cssMargin)+" ;</style>", "")...)
	if !strings.Contains(out, "@import "+inertSheet+"000") || !slices.Contains(asked, "ambiguous:import") {
		t.Errorf("%s\non record: %q", out, asked)
	}
}
