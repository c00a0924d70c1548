package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// startPages serves the saved pages at /<number>, in pieces of ?chunk bytes.
func startPages(t testing.TB, pages []shared.Page) string {
	t.Helper()
	return startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil || i >= len(pages) {
			http.NotFound(w, r)
			return
		}
		chunk, _ := strconv.Atoi(r.URL.Query().Get("chunk"))
		w.Header().Set("Content-Type", "text/html")
		if chunk == 0 {
			w.Header().Set("Content-Length", strconv.Itoa(len(pages[i].Body)))
		}
		writeChunked(w, pages[i].Body, chunk, 24<<10)
	})
}

func undecidedPolicy(t testing.TB) *rules.Policy {
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

// TestRealPagesThroughCaddy sends every saved page through Caddy from a real upstream, in three
// chunkings, and judges what arrives with an oracle that shares nothing with the rewriter.
func TestRealPagesThroughCaddy(t *testing.T) {
	pages := shared.Pages(t)
	upstream := startPages(t, pages)
	c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+upstream+" {\n\t\tflush_interval -1\n\t}\n}\n")
	policy := undecidedPolicy(t)

	var mu sync.Mutex
	edited, edits := 0, 0
	page := func(i int) {
		p := pages[i]
		host := "Host: " + p.Host
		origin := rules.NewPage("http", p.Host)
		var first []byte
		for _, chunk := range []int{0, 1024, 7} {
			url := c.url("8080", fmt.Sprintf("/%d?chunk=%d", i, chunk))
			res, body, err := get(t, url, host, "Cookie: "+everything)
			switch {
			case err != nil:
				t.Errorf("%s: all allowed: %v", p.File, err)
			case !bytes.Equal(body, p.Body):
				t.Errorf("%s: all allowed, pieces of %d bytes: the body is not the upstream's", p.File, chunk)
			case chunk == 0 && res.ContentLength != int64(len(p.Body)):
				t.Errorf("%s: all allowed: Content-Length is %d, the upstream's %d", p.File, res.ContentLength, len(p.Body))
			}
			if _, body, err = get(t, url, host); err != nil {
				t.Errorf("%s: undecided: %v", p.File, err)
				return
			}
			if first != nil {
				if !bytes.Equal(body, first) {
					t.Errorf("%s: pieces of %d bytes give another result than the whole page", p.File, chunk)
				}
				continue
			}
			first = body
			found, err := oracle.Edits(p.Body, body)
			if err != nil {
				t.Errorf("%s: %v", p.File, err)
				continue
			}
			for _, w := range oracle.Misplaced(p.Body, found, policy, origin) {
				t.Errorf("%s: %s", p.File, w)
			}
			for _, l := range oracle.Fetchable(body, policy, origin) {
				t.Errorf("%s: still fetched: %s", p.File, l)
			}
			mu.Lock()
			edits += len(found)
			if len(found) > 0 {
				edited++
			}
			mu.Unlock()
		}
	}
	inParallel(2, len(pages), page)
	if edited < len(pages)/2 {
		t.Errorf("only %d of %d pages were edited", edited, len(pages))
	}
	t.Logf("%d pages, %d edited, %d insertions", len(pages), edited, edits)

	// One line a document, each with its outcome.
	outcomes := map[string]int{}
	for _, l := range c.records("response", 6*len(pages)) {
		outcomes[l["outcome"].(string)]++
	}
	if outcomes["all_allowed"] != 3*len(pages) || outcomes["rewritten"] != 3*edited || outcomes["clean"] != 3*(len(pages)-edited) {
		t.Errorf("%d pages, %d of them edited, are logged as %v", len(pages), edited, outcomes)
	}
}
