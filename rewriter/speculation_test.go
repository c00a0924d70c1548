package rewriter

import (
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

func TestSpeculationRules(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for text, blocked := range map[string]bool{
		`{"prefetch":[{"urls":["/a","b.html"]}]}`:               false,
		`{"prefetch":[{"source":"list","urls":["/a"]}]}`:        false,
		`{"prefetch":[{"urls":["https://tracker.test/"]}]}`:     true,
		`{"prerender":[{"urls":["\/\/tracker.test/"]}]}`:        true,
		`{"prefetch":[{"where":{"href_matches":"/*"}}]}`:        false,
		`{"prefetch":[{"where":{"href_matches":"\/*"}}]}`:       false,
		`{"prefetch":[{"where":{"href_matches":["/a","/b"]}}]}`: false,
		`{"prefetch":[{"source":"document","where":{"and":[{"href_matches":"/*"},{"not":{"href_matches":["/wp-admin/*","/*\\?(.+)"]}},{"not":{"selector_matches":"a[rel~=\"nofollow\"]"}}]},"eagerness":"conservative"}]}`: false,
		`{"prefetch":[{"where":{"or":[{"href_matches":"/a"},{"href_matches":"/b"}]}}], "tag": "x", "n": [1, true, -1.5e3, "{"]}`:                                                                                           false,
		`{"prefetch":[{"where":{"or":[{"href_matches":"/a"},{"selector_matches":"a"}]}}]}`:                                                                                                                                 true,
		`{"prefetch":[{"where":{"or":[]}}]}`:                                              true,
		`{"prefetch":[{"where":{"and":[]}}]}`:                                             true,
		`{"prefetch":[{"where":{}}]}`:                                                     true,
		`{"prefetch":[{"source":"document"}]}`:                                            true,
		`{"prefetch":[{"eagerness":"immediate"}]}`:                                        true,
		`{"prefetch":[{"where":{"not":{"href_matches":"/*"}}}]}`:                          true,
		`{"prefetch":[{"where":{"selector_matches":"a"}}]}`:                               true,
		`{"prefetch":[{"where":{"href_matches":"*"}}]}`:                                   false,
		`{"prefetch":[{"where":{"href_matches":"./*"}}]}`:                                 false,
		`{"prefetch":[{"where":{"href_matches":"https://site.test/*"}}]}`:                 false,
		`{"prefetch":[{"where":{"href_matches":{"pathname":"/a/*"}}}]}`:                   false,
		`{"prefetch":[{"where":{"href_matches":"https://*/*"}}]}`:                         true,
		`{"prefetch":[{"where":{"href_matches":"http{s}?://site.test/*"}}]}`:              true,
		`{"prefetch":[{"where":{"href_matches":"https://site.test:*/*"}}]}`:               true,
		`{"prefetch":[{"where":{"href_matches":"//*/*"}}]}`:                               true,
		`{"prefetch":[{"where":{"href_matches":["/a","*://*"]}}]}`:                        true,
		`{"prefetch":[{"where":{"href_matches":"/*","href_matches":{"hostname":"*"}}}]}`:  true,
		`{"prefetch":[{"where":{"and":[{"href_matches":"/*"}],"and":[]}}]}`:               true,
		`{"prefetch":[{"urls":["/\\tracker.test/x"]}]}`:                                   true,
		`{"prefetch":[{"urls":["\\\/tracker.test/x"]}]}`:                                  true,
		`{"prefetch":[{"urls":["/\t/tracker.test/x"]}]}`:                                  true,
		`{"prefetch":[{"urls":["\b//tracker.test/x"]}]}`:                                  true,
		`{"prefetch":[{"urls":["/a:b","c:d", "mailto:x"]}]}`:                              false,
		`{"prefetch":[{"where":{"href_matches":"/\\tracker.test/*"}}]}`:                   true,
		`{"prefetch":[{"where":{"href_matches":"/\u002ftracker.test/*"}}]}`:               true,
		`{"prefetch":[{"where":{"href_matches":{"hostname":"*"}}}]}`:                      true,
		`{"prefetch":[{"where":{"href_matches":"/*"}},{"where":{"href_matches":"*:*"}}]}`: true,
		`{"prefetch":[{"where":{"href_matches":"/*"},"where":{"href_matches":"*:*"}}]}`:   true,
		`{"\u0070refetch":[{"\u0077here":{"selector_matches":"a"}}]}`:                     true,
		`{"prefetch":[{"where":{"href_matches":"/*"}}]`:                                   true,
		`{"prefetch":[{"where":{"href_matches":"/*"}}]} x`:                                true,
		strings.Repeat(`{"prefetch":[{"where":{"and":[`, 9) + strings.Repeat("]}}]}", 9):  true,
		strings.Repeat("[", 1e6):                                                          true,
	} {
		doc := `<script type=speculationrules>` + text + `</script>`
		if got := rewrite(t, o, doc); (got != doc) != blocked {
			t.Errorf("blocked %v: %.200s", got != doc, text)
		}
	}
}
