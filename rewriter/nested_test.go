package rewriter

import (
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Of a data: URL that is a path a browser takes dots between slashes away, and with them what hides the rest.
func TestDataURLsThatArePathsHideNothing(t *testing.T) {
	const marked = ` data-consent-category="marketing" data-consent-service="" data-consent-rule="ambiguous:data-path"`
	p := policy(t, "block")
	o := Options{Policy: p, Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for _, tt := range []struct{ in, want string }{
		{`<iframe src="data://text/plain,/../html,<img src=//tracker.test>">`, `<iframe` + marked + ` data-consent-src="data://text/plain,/../html,<img src=//tracker.test>">`},
		{`<iframe src="data:` + "\n" + `/x,<!--/%2e./html,<img src=//tracker.test>">`, `<iframe` + marked + ` data-consent-src="data:` + "\n" + `/x,<!--/%2e./html,<img src=//tracker.test>">`},
		{`<iframe src="data://image/svg+xml; base64,<svg>">`, `<iframe` + marked + ` data-consent-src="data://image/svg+xml; base64,<svg>">`},
		{`<link rel=stylesheet href="data:/text/css,/*/../*/">`, `<link` + marked + ` rel=stylesheet data-consent-href="data:/text/css,/*/../*/">`},
		{`<script src="data://text/javascript,x"></script>`, `<script type="text/plain"` + marked + ` data-consent-src="data://text/javascript,x"></script>`},
		{`<style>@import "data:/text/css,";</style>`, `<style>@import "about:invalid#data:/text/css,";</style>`},
		{`<img src="data://image/gif;base64,R0lG"><iframe src="data:text/html,/x/../"></iframe>`, `<img src="data://image/gif;base64,R0lG"><iframe src="data:text/html,/x/../"></iframe>`},
	} {
		if got := rewrite(t, o, tt.in); got != tt.want {
			t.Errorf("\nin   %s\ngot  %s\nwant %s", tt.in, got, tt.want)
		}
		all := o
		all.Policy = p.Site().For(rules.Grants{Allowed: rules.Optional})
		if got := rewrite(t, all, tt.in); got != tt.in {
			t.Errorf("allowed: %s became %s", tt.in, got)
		}
	}
}
