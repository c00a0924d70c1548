package rewriter

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// vector is a page and what real browsers did with it.
type vector struct {
	ID, Group, Scope, HTML, Class string
	HTML64                        string `json:"html_b64"`
	MustBlock                     bool   `json:"must_block"`
	Identical                     bool
	ContentType                   *string `json:"content_type"`
}

func vectors(t testing.TB) (vs []vector) {
	t.Helper()
	f, err := os.Open(filepath.Join(shared.Dir(t), "vectors", "dev.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var v vector
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if v.HTML64 != "" {
			b, err := base64.StdEncoding.DecodeString(v.HTML64)
			if err != nil {
				t.Fatal(err)
			}
			v.HTML = string(b)
		}
		vs = append(vs, v)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return vs
}

// notDocuments are types that browsers show as something else than a document.
var notDocuments = regexp.MustCompile(`^(application/(foo|atom)\+xml|text/(plain|css)|application/(json|octet-stream)|multipart/related|message/rfc822)$`)

// What browsers fetched for is changed, and what they did nothing for stays as it is.
func TestBrowserVectors(t *testing.T) {
	seen, identical, waivers := 0, 0, 0
	for _, v := range vectors(t) {
		ct := "text/html; charset=utf-8"
		if v.ContentType != nil {
			ct = *v.ContentType
		}
		if v.Scope != "static" || notDocuments.MatchString(ct) || ct == "" {
			continue
		}
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: ct, XML: strings.Contains(ct, "xml")}
		seen++
		out := rewrite(t, o, v.HTML)
		if v.MustBlock && out == v.HTML {
			t.Errorf("%s: browsers fetch, and nothing is blocked: %s", v.ID, v.HTML)
		}
		if v.Identical {
			identical++
			switch {
			case out == v.HTML && shared.Waived[v.ID] != "":
				t.Errorf("%s: the waiver is not needed", v.ID)
			case out != v.HTML && shared.Waived[v.ID] == "":
				t.Errorf("%s: browsers do nothing, and it is changed: %s", v.ID, out)
			case out != v.HTML:
				waivers++
			}
		}
		if got := rewrite(t, o, strings.Split(v.HTML, "")...); got != out {
			t.Errorf("%s: byte by byte: %s, want %s", v.ID, got, out)
		}
	}
	if seen < 1000 || waivers*10 > identical {
		t.Errorf("%d pages, %d waivers for %d that should stay as they are", seen, waivers, identical)
	}
	t.Logf("%d pages; of %d that should stay as they are %d are waived", seen, identical, waivers)
}
