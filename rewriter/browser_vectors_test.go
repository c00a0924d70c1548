package rewriter

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// notDocuments are types that browsers show as something else than a document.
var notDocuments = regexp.MustCompile(`^(application/(foo|atom)\+xml|text/(plain|css)|application/(json|octet-stream)|multipart/related|message/rfc822)$`)

// What browsers fetched for is changed, and what they did nothing for stays as it is.
func TestBrowserVectors(t *testing.T) {
	seen, identical, waivers := 0, 0, 0
	waived := shared.Waivers(t)
	for _, v := range shared.Vectors(t) {
		ct := "text/html; charset=utf-8"
		if v.ContentType != nil {
			ct = *v.ContentType
		}
		if v.Scope != "static" || notDocuments.MatchString(ct) || ct == "" {
			continue
		}
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: ct, XML: strings.Contains(ct, "xml")}
		seen++
		page := string(v.Body)
		out := rewrite(t, o, page)
		if v.MustBlock && out == page {
			t.Errorf("%s: browsers fetch, and nothing is blocked: %s", v.ID, page)
		}
		if v.Identical {
			identical++
			switch {
			case out == page && waived[v.ID] != "":
				t.Errorf("%s: the waiver is not needed", v.ID)
			case out != page && waived[v.ID] == "":
				t.Errorf("%s: browsers do nothing, and it is changed: %s", v.ID, out)
			case out != page:
				waivers++
			}
		}
		if got := rewrite(t, o, strings.Split(page, "")...); got != out {
			t.Errorf("%s: byte by byte: %s, want %s", v.ID, got, out)
		}
	}
	if seen < 1000 || waivers*10 > identical {
		t.Errorf("%d pages, %d waivers for %d that should stay as they are", seen, waivers, identical)
	}
	t.Logf("%d pages; of %d that should stay as they are %d are waived", seen, identical, waivers)
}
