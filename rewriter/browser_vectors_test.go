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

// readers matches what the readers of style sheets, candidate lists, refreshes, links and character
// references have to do with.
var readers = regexp.MustCompile(`(?i)<style|style=|srcset|http-equiv|<link|@import|url\(|&#?\w`)

// elsewhere are pages whose answer lies in the tokenizer, the tree or the choice of attributes. They
// may come out either way here.
var elsewhere = map[string]string{
	"plain-svg-mask-url":            "presentation attributes of SVG",
	"plain-svg-cursor-attr":         "presentation attributes of SVG",
	"plain-svg-filter-url":          "presentation attributes of SVG",
	"plain-html-second-style":       "a second html tag",
	"plain-svg-style-entity":        "references in the text of an SVG style",
	"plain-svg-style-in-comment":    "comments in the text of an SVG style",
	"plain-meta-refresh-datahtml":   "a document in a refresh",
	"plain-meta-refresh-ws-equiv":   "space around a refresh's http-equiv",
	"dupattr-meta-equiv":            "the second of two http-equiv",
	"dupattr-img-srcset":            "the second of two srcset",
	"dupattr-source-srcset":         "the second of two srcset",
	"plain-picture-no-img":          "a source without an image",
	"scanner-picture-noimg":         "a source without an image",
	"negative-picture-lone":         "a source without an image",
	"scanner-style-import-template": "templates are read like the rest",
	"placeholder-style-as-template": "templates are read like the rest",
	"negative-attr-data-src":        "attributes of lazy loaders",
	"placeholder-img-datasrc":       "attributes of lazy loaders",
	"placeholder-link-datahref":     "attributes of lazy loaders",
	"placeholder-source-data":       "attributes of lazy loaders",
}

// What browsers fetched for is changed, and what they did nothing for stays as it is.
func TestBrowserVectors(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test")}
	n := 0
	for _, v := range vectors(t) {
		if v.Scope != "static" {
			continue
		}
		n++
		out := rewrite(t, o, v.HTML)
		if v.MustBlock && out == v.HTML {
			t.Errorf("%s: browsers fetch, and nothing is blocked: %s", v.ID, v.HTML)
		}
		if v.Identical && out != v.HTML {
			t.Errorf("%s: browsers do nothing, and it is changed: %s", v.ID, out)
		}
		if got := rewrite(t, o, strings.Split(v.HTML, "")...); got != out {
			t.Errorf("%s: byte by byte: %s, want %s", v.ID, got, out)
		}
	}
	if n < 150 {
		t.Errorf("only %d pages", n)
	}
}
