package rewriter

import (
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

func TestX(t *testing.T) {
	for _, page := range shared.Pages(t) {
		if !strings.Contains(page.File, "d44c5ef50718437984dca47627dee96b") {
			continue
		}
		o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("http", page.Host)}
		const tail = `<noscript> <img alt="" src="https://dc.ads.linkedin.com/collect/?pid=457772&fmt=gif" /> </noscript>`
		leak := func(s string) bool {
			return strings.Contains(rewrite(t, o, s+tail), ` src="https://dc.ads.linkedin.com`) && !strings.Contains(rewrite(t, o, s+"<img src=https://dc.ads.linkedin.com/collect/?pid=457772&fmt=gif>"), ` src=https://dc.ads.linkedin.com`)
		}
		s := string(page.Body)
		i := strings.Index(s, "dc.ads.linkedin.com")
		s = s[:strings.LastIndex(s[:i], "<noscript")]
		t.Log(leak(s), leak(""))
		for n := len(s) / 2; n > 0; n /= 2 {
			for from := 0; from+n <= len(s); {
				c := s[:from] + s[from+n:]
				if leak(c) {
					s = c
				} else {
					from += n
				}
			}
		}
		t.Logf("%q", s)
	}
}
