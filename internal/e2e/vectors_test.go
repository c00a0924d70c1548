package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-consent/caddy-consent/internal/shared"
)

var onlyVectors = flag.String("vector", "", "regular expression: the ids of the vectors to replay")

// A vector is a small page with what browsers were seen to request for it.
type vector struct {
	ID          string            `json:"id"`
	Group       string            `json:"group"`
	Note        string            `json:"note"`
	HTML        string            `json:"html"`
	Base64      *string           `json:"html_b64"`
	ContentType *string           `json:"content_type"`
	Headers     map[string]string `json:"headers"`
	Wait        int               `json:"wait"` // milliseconds
	Scope       string            `json:"scope"`
	observed
	NoJS    observed `json:"nojs"`
	Firefox struct {
		Requests []string `json:"requests"`
		NoJS     []string `json:"nojs_requests"`
	} `json:"firefox"`
	MustBlock bool `json:"must_block"`
	Identical bool `json:"identical"`

	body []byte
}

type observed struct {
	Requests []string `json:"requests"`
	Connects []string `json:"connects"`
	Class    string   `json:"class"`
}

// loadVectors reads the vectors that -vector selects.
func loadVectors(t testing.TB) (vs []*vector) {
	t.Helper()
	f, err := os.Open(filepath.Join(shared.Dir(t), "vectors", "dev.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	only, err := regexp.Compile(*onlyVectors)
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		v := new(vector)
		if err := json.Unmarshal(s.Bytes(), v); err != nil {
			t.Fatal(err)
		}
		if !only.MatchString(v.ID) {
			continue
		}
		v.body = []byte(v.HTML)
		if v.Base64 != nil {
			if v.body, err = base64.StdEncoding.DecodeString(*v.Base64); err != nil {
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

// listed are the scopes whose contacts are reported and do not fail: what reaches the network
// there is not in the page's markup.
var listed = map[string]string{
	"js":       "the page's own inline script asks at run time",
	"dynamic":  "the page's own script writes the markup at run time",
	"css-file": "a first-party style sheet names the third party; style sheet responses are not rewritten",
}

// waivers reads testdata/waivers.tsv: a test, the beginning of an id, and the reason.
func waivers(t testing.TB, test string) (prefixes map[string]string) {
	t.Helper()
	data, err := os.ReadFile("testdata/waivers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	prefixes = make(map[string]string)
	for i, line := range strings.Split(string(data), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		c := strings.Split(line, "\t")
		if len(c) != 3 || c[2] == "" {
			t.Fatalf("testdata/waivers.tsv:%d: want test, id prefix and reason", i+1)
		}
		if c[0] == test {
			prefixes[c[1]] = c[2]
		}
	}
	return prefixes
}

// waived returns the prefix that covers id.
func waived(prefixes map[string]string, id string) (string, bool) {
	for p := range prefixes {
		if strings.HasPrefix(id, p) {
			return p, true
		}
	}
	return "", false
}

// pieces are the sizes in which the origins write: 0 is the whole body.
var pieces = []int{0, 1, 7, 1024}

// vectorSites runs Caddy with one site for each of pieces, in that order on ports 8080 and up.
func vectorSites(t testing.TB, vs []*vector) *caddy {
	t.Helper()
	var file strings.Builder
	for i, size := range pieces {
		fmt.Fprintf(&file, "http://:%d {\n\tconsent {\n\t\tunclassified block\n\t}\n\treverse_proxy %s {\n\t\tflush_interval -1\n\t}\n}\n", 8080+i, startUpstream(t, vectorOrigin(vs, size)))
	}
	return startCaddy(t, file.String())
}

// vectorOrigin serves the vectors at /v/<id> in pieces of that size, and an inert resource at any
// other path.
func vectorOrigin(vs []*vector, size int) http.HandlerFunc {
	byID := make(map[string]*vector)
	for _, v := range vs {
		byID[v.ID] = v
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if ids, ok := strings.CutPrefix(r.URL.Path, "/frames/"); ok {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><link rel=icon href=data:,><body style=margin:0>")
			for id := range strings.SplitSeq(ids, "/") {
				fmt.Fprintf(w, "<iframe src=/v/%s style='width:24%%;height:220px;border:0'></iframe>", id)
			}
			return
		}
		id, _ := strings.CutPrefix(r.URL.Path, "/v/")
		v := byID[id]
		if v == nil {
			inertResource(w, r)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		for name, value := range v.Headers {
			h.Set(name, value)
		}
		switch {
		case v.ContentType == nil:
			h.Set("Content-Type", "text/html; charset=utf-8")
		case *v.ContentType == "":
			h["Content-Type"] = nil // or net/http guesses
		default:
			h.Set("Content-Type", *v.ContentType)
		}
		if size == 0 {
			h.Set("Content-Length", strconv.Itoa(len(v.body)))
		}
		writeChunked(w, v.body, size, 24<<10)
	}
}

// inertTypes are media types and bodies by the path's extension.
var inertTypes = map[string][2]string{
	".js": {"text/javascript", "/**/"}, ".mjs": {"text/javascript", "export default 0;"}, ".css": {"text/css", "/**/"},
	".png": {"image/gif", string(pixel)}, ".gif": {"image/gif", string(pixel)}, ".ico": {"image/gif", string(pixel)}, ".cur": {"image/gif", string(pixel)},
	".svg":  {"image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg"><g id="a"/><g id="p"/></svg>`},
	".json": {"application/json", "{}"}, ".webmanifest": {"application/manifest+json", "{}"}, ".mp4": {"video/mp4", ""}, ".webm": {"video/webm", ""},
	".mp3": {"audio/mpeg", ""}, ".vtt": {"text/vtt", "WEBVTT\n\n"}, ".woff2": {"font/woff2", ""}, ".xml": {"text/xml", "<r/>"},
	".xsl": {"text/xsl", "<x/>"}, ".swf": {"application/x-shockwave-flash", ""},
}

// lateWrites are first-party scripts that arrive late and write an opening into the page.
var lateWrites = map[string]string{
	"/slow.js": "/**/", "/write-comment.js": `document.write("<!--")`, "/write-style.js": `document.write("<style>")`,
	"/write-noscript-type.js": `document.write("<script type=text/plain>")`,
}

var importingCSS = regexp.MustCompile(`^/css/import-([a-z0-9-]+)\.css$`)

func inertResource(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Access-Control-Allow-Origin", cmp.Or(r.Header.Get("Origin"), "*"))
	h.Set("Access-Control-Allow-Credentials", "true")
	if strings.HasPrefix(r.URL.Path, "/404") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	kind, ok := inertTypes[path.Ext(r.URL.Path)]
	if !ok {
		kind = [2]string{"text/html", "<!doctype html><title>r</title>"}
	}
	if script, ok := lateWrites[r.URL.Path]; ok {
		time.Sleep(400 * time.Millisecond)
		kind[1] = script
	}
	if m := importingCSS.FindStringSubmatch(r.URL.Path); m != nil {
		kind[1] = `@import "http://tracker.test/` + m[1] + `/x.css";`
	}
	h.Set("Content-Type", kind[0])
	_, _ = io.WriteString(w, kind[1])
}

// fetchVector gets a vector as a browser does that takes no compression.
func fetchVector(c *caddy, site int, v *vector) ([]byte, error) {
	req, err := http.NewRequest("GET", c.url(strconv.Itoa(8080+site), "/v/"+v.ID), nil)
	if err != nil {
		return nil, err
	}
	req.Host = "site.test"
	req.Header.Set("Accept", "text/html")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		return nil, refusal(res.StatusCode)
	}
	return body, err
}

// refusal is the status of an answer that stands in for a page which cannot be read.
type refusal int

func (r refusal) Error() string { return fmt.Sprintf("refused with status %d", int(r)) }

// inParallel calls f for every vector, n at a time.
func inParallel(n int, vs []*vector, f func(*vector)) {
	next := make(chan *vector)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for v := range next {
				f(v)
			}
		})
	}
	for _, v := range vs {
		next <- v
	}
	close(next)
	wg.Wait()
}

// difference shows where two bodies part.
func difference(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	cut := func(b []byte) []byte { return b[min(len(b), max(0, i-20)):min(len(b), i+100)] }
	return fmt.Sprintf("at byte %d: %q, want %q", i, cut(got), cut(want))
}

// What a browser would not act on comes back byte for byte, and in whatever pieces a page arrives,
// the answer is the same.
func TestVectorsBytes(t *testing.T) {
	vs := loadVectors(t)
	c := vectorSites(t, vs)
	var mu sync.Mutex
	total := 0
	report := newReport(t, "bytes")
	identical := 0
	inParallel(4, vs, func(v *vector) {
		var whole []byte
		for i, size := range pieces {
			body, err := fetchVector(c, i, v)
			var refused refusal
			if errors.As(err, &refused) {
				body = []byte(err.Error())
			} else if err != nil {
				t.Errorf("%s, pieces of %d bytes: %v", v.ID, size, err)
				report.add("error", v, err.Error())
				continue
			}
			if refused != 0 && i == 0 {
				report.add(fmt.Sprintf("refused, identical %v", v.Identical), v, err.Error())
			}
			if i == 0 {
				whole = body
			} else if !bytes.Equal(body, whole) {
				t.Errorf("%s: pieces of %d bytes give another result than the whole page: %s", v.ID, size, difference(body, whole))
				report.add(fmt.Sprintf("pieces of %d bytes differ", size), v, difference(body, whole))
			}
		}
		if !v.Identical {
			return
		}
		mu.Lock()
		identical++
		mu.Unlock()
		if bytes.Equal(whole, v.body) {
			return
		}
		if shared.Waived[v.ID] != "" {
			mu.Lock()
			total++
			mu.Unlock()
			report.add("identity waived", v, difference(whole, v.body))
			return
		}
		t.Errorf("%s: inert, and changed: %s\n\t%s", v.ID, difference(whole, v.body), v.Note)
		report.add("identity broken", v, difference(whole, v.body))
	})
	t.Logf("%d vectors, %d of them inert, %d of these waived (%.1f %%)", len(vs), identical, total, 100*float64(total)/float64(max(identical, 1)))
	if *onlyVectors == "" && total*10 > identical {
		t.Errorf("%d of %d inert vectors are waived, more than a tenth", total, identical)
	}
}

// A report counts findings by kind and group. CONSENT_VECTORS_REPORT names a folder to which they
// are written as well.
type report struct {
	t     testing.TB
	name  string
	mu    sync.Mutex
	lines []string
	count map[string]map[string]int
}

func newReport(t testing.TB, name string) *report {
	r := &report{t: t, name: name, count: make(map[string]map[string]int)}
	t.Cleanup(r.write)
	return r
}

func (r *report) add(kind string, v *vector, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count[kind] == nil {
		r.count[kind] = make(map[string]int)
	}
	r.count[kind][v.Group]++
	r.lines = append(r.lines, kind+"\t"+v.Scope+"\t"+v.Group+"\t"+v.ID+"\t"+what)
}

func (r *report) write() {
	var b strings.Builder
	for _, kind := range sortedKeys(r.count) {
		total := 0
		var groups []string
		for _, g := range sortedKeys(r.count[kind]) {
			total += r.count[kind][g]
			groups = append(groups, fmt.Sprintf("%s %d", g, r.count[kind][g]))
		}
		fmt.Fprintf(&b, "%s: %d (%s)\n", kind, total, strings.Join(groups, ", "))
	}
	if b.Len() > 0 {
		r.t.Log("\n" + b.String())
	}
	if dir := os.Getenv("CONSENT_VECTORS_REPORT"); dir != "" {
		slices.Sort(r.lines)
		if err := os.WriteFile(filepath.Join(dir, "vectors-"+r.name+".txt"), []byte(b.String()+"\n"+strings.Join(r.lines, "\n")+"\n"), 0o644); err != nil {
			r.t.Error(err)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
