package rewriter

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
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
func TestX(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test")}
	for _, v := range vectors(t) {
		if v.Scope != "static" {
			continue
		}
		out := rewrite(t, o, v.HTML)
		if v.MustBlock && out == v.HTML {
			t.Errorf("LEAK %s %s %.300q", v.Group, v.ID, v.HTML)
		}
		if v.Identical && out != v.HTML {
			t.Errorf("CHANGED %s %s %.300q", v.Group, v.ID, v.HTML)
		}
	}
}
