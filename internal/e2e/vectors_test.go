package e2e

import (
	"bytes"
	"cmp"
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

type vector = shared.Vector

// loadVectors returns the vectors that -vector selects.
func loadVectors(t testing.TB) []*vector {
	t.Helper()
	only, err := regexp.Compile(*onlyVectors)
	if err != nil {
		t.Fatal(err)
	}
	vs := slices.DeleteFunc(shared.Vectors(t), func(v *vector) bool { return !only.MatchString(v.ID) })
	if len(vs) == 0 {
		t.Fatalf("no vector's id matches %q", *onlyVectors)
	}
	return vs
}

// listed are the scopes whose contacts are reported and do not fail: what reaches the network
// there is not in the page's markup.
var listed = map[string]string{
	"js":      "the page's own inline script asks at run time",
	"dynamic": "the page's own script writes the markup at run time",
}

// pieces are the sizes in which the origin writes: 0 is the whole body.
var pieces = []int{0, 1, 7, 1024}

// vectorSite runs Caddy before the origin of the vectors. Below /d/ nothing is enforced.
func vectorSite(t testing.TB, vs []*vector) *caddy {
	t.Helper()
	proxy := "reverse_proxy " + startUpstream(t, vectorOrigin(vs)) + " {\n\t\tflush_interval -1\n\t}\n"
	return startCaddy(t, "http://:8080 {\n\thandle /d/* {\n\t\t"+proxy+"\t}\n\thandle {\n\tconsent {\n\t\tunclassified block\n\t}\n\t"+proxy+"\t}\n}\n")
}

// vectorOrigin serves the vectors at /v/<id> and /d/<id>, several in frames at
// /frames/v/<id>/<id>, and an inert resource at any other path. A query is the size of the pieces.
func vectorOrigin(vs []*vector) http.HandlerFunc {
	byID := make(map[string]*vector)
	for _, v := range vs {
		byID[v.ID] = v
	}
	return func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.RawQuery)
		if ids, ok := strings.CutPrefix(r.URL.Path, "/frames"); ok && len(ids) > 3 {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><link rel=icon href=data:,><body style=margin:0>")
			for id := range strings.SplitSeq(ids[3:], "/") {
				fmt.Fprintf(w, "<iframe src=%s%s?%d style='width:24%%;height:220px;border:0'></iframe>", ids[:3], id, size)
			}
			return
		}
		var v *vector
		if id := r.URL.Path; strings.HasPrefix(id, "/v/") || strings.HasPrefix(id, "/d/") {
			v = byID[id[3:]]
		}
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
			h.Set("Content-Length", strconv.Itoa(len(v.Body)))
		}
		writeChunked(w, v.Body, size, 24<<10)
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

// changed returns the vectors of which a browser could still ask something in a mode: not those that
// come back as they were and on which it was recorded to ask nothing. CONSENT_BROWSER=all asks for
// all of them.
func changed(c *caddy, vs []*vector, contacted func(*vector) bool) (out []*vector) {
	if allInBrowser() {
		return vs
	}
	keep := make([]bool, len(vs))
	inParallel(4, len(vs), func(i int) {
		body, err := fetchVector(c, 0, vs[i])
		keep[i] = contacted(vs[i]) || err != nil || !bytes.Equal(body, vs[i].Body)
	})
	for i, v := range vs {
		if keep[i] {
			out = append(out, v)
		}
	}
	return out
}

// every returns one vector in n, all with CONSENT_BROWSER=all.
func every(n int, vs []*vector) (out []*vector) {
	if allInBrowser() || *onlyVectors != "" {
		return vs
	}
	for i := 0; i < len(vs); i += n {
		out = append(out, vs[i])
	}
	return out
}

// fetchVector gets a vector in pieces of that size, as a browser does that takes no compression.
func fetchVector(c *caddy, size int, v *vector) ([]byte, error) {
	req, err := http.NewRequest("GET", c.url("8080", "/v/"+v.ID+"?"+strconv.Itoa(size)), nil)
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

// inParallel calls f for the numbers below count, n at a time.
func inParallel(n, count int, f func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range count {
		next <- i
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
	c := vectorSite(t, vs)
	waived := shared.Waivers(t)
	var mu sync.Mutex
	report := newReport(t, "bytes")
	identical, waivers := 0, 0
	inParallel(4, len(vs), func(i int) {
		v := vs[i]
		var whole []byte
		for i, size := range pieces {
			body, err := fetchVector(c, size, v)
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
		same, reason := bytes.Equal(whole, v.Body), waived[v.ID]
		mu.Lock()
		identical++
		if reason != "" {
			waivers++
		}
		mu.Unlock()
		switch {
		case same && reason != "":
			t.Errorf("%s: the waiver is not needed", v.ID)
		case same:
		case reason != "":
			report.add("identity waived", v, difference(whole, v.Body))
		default:
			t.Errorf("%s: inert, and changed: %s\n\t%s", v.ID, difference(whole, v.Body), v.Note)
			report.add("identity broken", v, difference(whole, v.Body))
		}
	})
	t.Logf("%d vectors, %d of them inert, %d of these waived (%.1f %%)", len(vs), identical, waivers, 100*float64(waivers)/float64(max(identical, 1)))
	if *onlyVectors == "" && (waivers*10 > identical || waivers != len(waived)) {
		t.Errorf("%d of %d inert vectors are waived, of %d waivers: at most a tenth may be, and no waiver may be for another page", waivers, identical, len(waived))
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
