package shared

import (
	"bufio"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Vector is a small page with what browsers were seen to request for it.
type Vector struct {
	ID, Group, Note string
	ContentType     *string           `json:"content_type"` // nil: text/html; charset=utf-8. Empty: no header
	Headers         map[string]string // further response headers
	Wait            int               // milliseconds after the load
	Scope           string            // static, js, dynamic, header or css-file
	Observed                          // Chromium with scripting
	NoJS            Observed          // Chromium without
	Firefox         struct {
		Requests []string
		NoJS     []string `json:"nojs_requests"`
	}
	MustBlock bool `json:"must_block"` // some browser contacted a third party
	Identical bool // none did, and none would later

	HTML   string  // for reading
	Base64 *string `json:"html_b64"`
	Body   []byte  `json:"-"` // the page's bytes
}

// Observed is what a browser did with a page.
type Observed struct {
	Requests []string // URLs of third parties
	Connects []string // hosts to which a connection was opened, and nothing sent
	Class    string   // fetch, connect, latent or inert
}

// Contacted reports whether the browser had anything to do with a third party.
func (o *Observed) Contacted() bool { return len(o.Requests)+len(o.Connects) > 0 }

// Vectors returns the pages with recorded behaviour of browsers.
func Vectors(t testing.TB) (vs []*Vector) {
	t.Helper()
	f, err := os.Open(filepath.Join(Dir(t), "vectors", "dev.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		v := new(Vector)
		if err := json.Unmarshal(s.Bytes(), v); err != nil {
			t.Fatal(err)
		}
		v.Body = []byte(v.HTML)
		if v.Base64 != nil {
			if v.Body, err = base64.StdEncoding.DecodeString(*v.Base64); err != nil {
				t.Fatal(err)
			}
		}
		vs = append(vs, v)
	}
	if s.Err() != nil || len(vs) == 0 {
		t.Fatalf("%d vectors: %v", len(vs), s.Err())
	}
	return vs
}

//go:embed waivers.tsv
var waivers string

// Waivers returns the ids of the vectors that browsers do nothing for and that are changed all the
// same, each with the reason.
func Waivers(t testing.TB) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for i, line := range strings.Split(waivers, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		id, reason, _ := strings.Cut(line, "\t")
		if reason == "" || m[id] != "" {
			t.Fatalf("waivers.tsv:%d: want an id that no other line has, a tab, and the reason", i+1)
		}
		m[id] = reason
	}
	return m
}
