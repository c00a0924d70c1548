package rewriter

import (
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// ownPlaceholders are what sites write for their consent managers; § is an address that is blocked.
var ownPlaceholders = []struct{ manager, markup string }{
	{"klaro", `<script type="text/plain" data-type="application/javascript" data-name="x" data-src="§"></script>`},
	{"klaro", `<script type="text/plain" data-type="application/javascript" data-name="x">document.createElement("script").src="§"</script>`},
	{"klaro", `<iframe width=9 data-name='x' title="a>b" data-src='§'></iframe>`},
	{"klaro", `<img class="photo wide" data-name=x data-src=§ alt="">`},
	{"klaro", `<link rel=stylesheet type="text/plain" data-type="text/css" data-name="x" data-href="§">`},
	{"orejime", `<script type="opt-in" data-type="application/javascript" data-name="x" data-src="§"></script>`},
	{"orejime", `<iframe data-name="x" data-src="§"></iframe>`},
	{"onetrust", `<script type="text/plain" class="optanon-category-C0002" src="§"></script>`},
	{"onetrust", `<iframe data-src="§" class="embed optanon-category-C0002-C0004"></iframe>`},
	{"onetrust", `<IMG DATA-SRC="§" CLASS="ot-vscat-C0004">`},
	{"cookiebot", `<script type="text/plain" data-cookieconsent="statistics" src="§"></script>`},
	{"cookiebot", `<iframe data-cookieblock-src="§" data-cookieconsent="marketing"></iframe>`},
	{"cookiebot", `<iframe data-src="§" data-cookieconsent="statistics, marketing"></iframe>`},
	{"vanilla-cookieconsent", `<script type="text/plain" data-category="analytics" data-src="§"></script>`},
	{"vanilla-cookieconsent", `<script type="text/plain" data-category="analytics" src="§"></script>`},
	{"borlabs", `<script type="text/template" data-borlabs-cookie-script-blocker-id="x" data-borlabs-cookie-script-blocker-src="§"></script>`},
	{"borlabs", `<div class="brlbs-cmpnt-container brlbs-cmpnt-content-blocker" data-borlabs-cookie-content-blocker-id="x" data-borlabs-cookie-content="PGltZz4="></div>`},
	{"complianz", `<script type="text/plain" data-service="x" data-category="marketing" data-cmplz-src="§"></script>`},
	{"complianz", `<iframe class="cmplz-placeholder-element cmplz-iframe" data-service="x" data-category="marketing" data-cmplz-target="src" data-src-cmplz="§" src="about:blank"></iframe>`},
	{"complianz", `<link rel=stylesheet data-service="x" data-category="marketing" data-href="§">`},
	{"tarteaucitron", `<div class="youtube_player" videoID="x" width="1" height="1"></div><div class="tac_iframe" url="§"></div>`},
	{"iubenda", `<script type="text/plain" class="_iub_cs_activate" data-iub-purposes="4" data-suppressedsrc="§"></script>`},
	{"iubenda", `<iframe class="_iub_cs_activate" data-iub-purposes="3" suppressedsrc="§"></iframe>`},
	{"usercentrics", `<iframe data-usercentrics="YouTube Video" data-src="§"></iframe>`},
	{"termly", `<iframe data-categories="advertising" data-src="§"></iframe>`},
	{"didomi", `<script type="didomi/javascript" data-vendor="c:x" src="§"></script>`},
	{"didomi", `<script type="didomi/javascript" data-vendor="c:x">document.createElement("script").src="§"</script>`},
	{"cookiefirst", `<iframe data-cookiefirst-category="advertising" data-src="§"></iframe>`},
	{"cookiehub", `<iframe data-consent="marketing" data-src="§"></iframe>`},
	{"cookiescript", `<iframe data-cookiescript="accepted" data-cookiecategory="targeting" data-src="§"></iframe>`},
	{"civic", `<iframe data-cc-category="marketing" data-src="§"></iframe>`},
	{"c15t", `<iframe data-category="marketing" data-src="§"></iframe>`},
	{"axeptio", `<iframe data-requires-vendor-consent="youtube" data-src="§"></iframe>`},
	{"consentmanager", `<iframe class="cmplazyload" src="about:blank" data-cmp-src="§" data-cmp-vendor="s1"></iframe>`},
	{"moove", `<iframe data-gdpr-iframesrc="§"></iframe>`},
	{"finsweet", `<script type="fs-cc" fs-cc-categories="analytics" src="§"></script><iframe fs-cc-src="§" fs-cc-categories="marketing"></iframe>`},
	{"real-cookie-banner", `<iframe consent-original-src-_="§" consent-required="12" consent-by="services" consent-id="34"></iframe>`},
}

// What a site wrote for its consent manager reaches that as it is, and nothing of it is on record as blocked.
func TestPlaceholdersOfTheSitesOwnManagerStayAsTheyAre(t *testing.T) {
	const url = "https://static.hotjar.com/c/hotjar-1.js"
	for _, tt := range ownPlaceholders {
		in := strings.ReplaceAll(tt.markup, "§", url) + `<p title="x">`
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8",
			Managers: ManagersOf("x", tt.manager)}
		o.Report = func(r rules.Resource, d rules.Decision) { t.Errorf("%s: on record: %s %s", tt.manager, r.URL, d.Rule) }
		if got := rewrite(t, o, in); got != in {
			t.Errorf("%s:\nin  %s\ngot %s", tt.manager, in, got)
		}
		if got := rewrite(t, o, strings.Split(in, "")...); got != in {
			t.Errorf("%s, byte by byte:\nin  %s\ngot %s", tt.manager, in, got)
		}
		if _, err := NewDialect(tt.manager, nil); err != nil {
			continue
		}
		o.Managers, o.Dialect = 0, dialectOf(t, tt.manager, nil)
		if got := rewrite(t, o, in); got != in {
			t.Errorf("%s as dialect:\nin  %s\ngot %s", tt.manager, in, got)
		}
	}
}

// A manager's mark opens nothing to anything else that could fetch: not to browsers, not to lazy
// loaders, not to script optimizers, and not on a site that does not have the manager.
func TestManagersMarksOpenNothingToOthers(t *testing.T) {
	const url = "https://static.hotjar.com/c/hotjar-1.js"
	for _, tt := range []struct{ name, managers, markup string }{
		{"the site has no manager", "", `<iframe data-name="x" data-src="§"></iframe>`},
		{"the site has another manager", "onetrust", `<iframe data-name="x" data-src="§"></iframe>`},
		{"no mark", "klaro onetrust", `<iframe data-src="§"></iframe>`},
		{"an empty mark", "klaro", `<iframe data-name=" " data-src="§"></iframe>`},
		{"a word that the manager does not know", "c15t cookiebot", `<iframe data-category="holidays" data-src="§" data-cookieconsent="ignore"></iframe>`},
		{"one word of two that it does not know", "cookiebot", `<iframe data-src="§" data-cookieconsent="marketing,x"></iframe>`},
		{"elements that the manager does not revive", "c15t", `<img data-category="marketing" data-src="§">`},
		{"the second mark, which browsers drop", "c15t", `<iframe data-category="x" data-category="marketing" data-src="§"></iframe>`},
		{"a class in the second class attribute", "onetrust", `<iframe class="a" class="optanon-category-1" data-src="§"></iframe>`},
		{"a class that only ends like the mark", "onetrust", `<iframe class="x-optanon-category-1 optanon-category-" data-src="§"></iframe>`},
		{"lazysizes", "klaro", `<img class="photo lazyload" data-name="x" data-src="§">`},
		{"vanilla-lazyload", "klaro", `<img data-name="x" data-src="§" class=lazy>`},
		{"lozad", "klaro", `<iframe data-name="x" data-src="§" class="LOZAD"></iframe>`},
		{"a class in character references", "klaro", `<iframe data-name="x" data-src="§" class="la&#122;yload"></iframe>`},
		{"both classes", "onetrust", `<iframe class="optanon-category-C0004 js-lazy-frame" data-src="§"></iframe>`},
		{"an attribute of a lazy loader", "klaro", `<iframe data-name="x" data-src="§" data-lazyloaded="1"></iframe>`},
		{"another address of a lazy loader", "klaro", `<img data-name="x" data-src="§" data-lazy-src="/a">`},
		{"its candidates", "klaro", `<img data-name="x" data-src="§" data-srcset="§ 2x">`},
		{"an address that no manager reads", "klaro", `<img data-name="x" data-original="§">`},
		{"an optimizer's script", "klaro", `<script type="rocketlazyloadscript" data-name="x" data-rocket-src="§"></script>`},
		{"an optimizer's script with the address for all", "klaro", `<script type="litespeed/javascript" data-name="x" data-src="§"></script>`},
		{"a script without a type", "klaro onetrust", `<script class="optanon-category-C0002" data-name="x" src="§"></script>`},
		{"Didomi's type on a site without it", "klaro", `<script type="didomi/javascript" src="§"></script>`},
		{"Didomi's type before one that runs", "didomi", `<script type="didomi/javascript" type="module" src="§"></script>`},
		{"Didomi's type and an optimizer's address", "didomi", `<script type="didomi/javascript" data-rocket-src="§"></script>`},
		{"a document in an attribute", "klaro", `<iframe srcdoc='<iframe data-name="x" data-src="§"></iframe>'></iframe>`},
		{"SVG", "klaro", `<svg><image data-name="x" data-src="/a" href="§"/></svg>`},
	} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8",
			Managers: ManagersOf(strings.Fields(tt.managers)...)}
		in := strings.ReplaceAll(tt.markup, "§", url)
		none := o
		none.Managers = 0
		if got := rewrite(t, o, in); !strings.Contains(got, renamePrefix) || got != rewrite(t, none, in) {
			t.Errorf("%s:\nin  %s\ngot %s", tt.name, in, got)
		}
	}
}

// What browsers fetch of a placeholder goes, whatever stands beside it.
func TestAManagersPlaceholderWithALiveAddressLosesThat(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), Managers: ManagersOf("klaro")}
	for in, want := range map[string]string{
		`<iframe data-name="x" data-src="§" src="§"></iframe>`: `<iframe{} data-name="x" data-src="§" ~src="§"></iframe>`,
		`<img data-name="x" data-src="§" srcset="§ 2x">`:       `<img{} data-name="x" data-src="§" ~srcset="§ 2x">`,
		`<img data-name="x" data-src="§" style="a:url(§)">`:    `<img{} data-name="x" data-src="§" style="a:url(data:,§)">`,
	} {
		if got := rewrite(t, o, expand(in, "")); got != expand(want, in) {
			t.Errorf("\nin   %s\ngot  %s\nwant %s", in, got, expand(want, in))
		}
	}
}

// Long tags are let through in pieces: what a lazy loader goes by may stand behind the limit.
func TestATagThatIsNotReadToItsEndIsNoManagers(t *testing.T) {
	in := `<iframe data-name=x data-src="https://static.hotjar.com/" ` + strings.Repeat("a ", 64) + `></iframe>`
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), Managers: ManagersOf("klaro")}
	if got := rewrite(t, o, in); got != in {
		t.Errorf("in  %s\ngot %s", in, got)
	}
	o.MaxTag = 100
	want := rewrite(t, o, in)
	if !strings.Contains(want, renamePrefix) {
		t.Error(want)
	}
	if got := rewrite(t, o, strings.Split(in, "")...); got != want {
		t.Errorf("byte by byte: %s\nwant %s", got, want)
	}
}

func TestReadingMarksAllocatesNothing(t *testing.T) {
	in := []byte(strings.Repeat(`<iframe class="a &amp; b" data-cookieconsent="marketing" data-name="x" data-src="https://static.hotjar.com/"></iframe>`, 100))
	r := New(discard{}, Options{})
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", Managers: ^Managers(0)}
	n := testing.AllocsPerRun(20, func() {
		r.Reset(discard{}, o)
		_, _ = r.Write(in)
		_ = r.Close()
	})
	if n > 2 {
		t.Errorf("%v allocations", n)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
