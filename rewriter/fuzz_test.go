package rewriter

import (
	"bytes"
	"io"
	"iter"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// FuzzRewrite checks on any document that every chunking gives the same output, that no byte is lost,
// and that x/net/html finds nothing in the output that fetches from a blocked host.
func FuzzRewrite(f *testing.F) {
	for _, tt := range elementTests {
		f.Add(expand(tt.in, ""), uint16(3))
	}
	for _, tt := range inlineTests {
		f.Add("<script>"+tt.script+"</script>", uint16(7))
	}
	p := policy(f, "block")
	page := rules.NewPage("https", "site.test")
	decoded := page.WithCharset("utf-8")
	// With small limits, what is beyond them is reached by short documents.
	for _, doc := range append(longTagTests, "<math><style><p><<t>", `<img alt="X" src="T">`) {
		f.Add(expandLong(doc, 60), uint16(1<<15+8))
	}
	for _, doc := range longSheets {
		f.Add("<svg><style>"+expandLong(doc, 40+cssMargin), uint16(1<<15+8))
	}
	f.Fuzz(func(t *testing.T, doc string, at uint16) {
		o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8"}
		if at >= 1<<15 {
			at -= 1 << 15
			o.MaxTag, o.MaxScript = 40, 80
		}
		want := rewrite(t, o, doc)
		if n := int(at); n < len(doc) {
			o := o
			o.completing = 1 + n%8
			if got := rewrite(t, o, doc[:n], doc[n:]); got != want {
				t.Fatalf("cut at %d:\ngot  %q\nwant %q", n, got, want)
			}
		}
		if got := rewrite(t, o, strings.Split(doc, "")...); got != want {
			t.Fatalf("byte by byte:\ngot  %q\nwant %q", got, want)
		}
		if strings.HasPrefix(doc, "\xff\xfe") || strings.HasPrefix(doc, "\xfe\xff") {
			return // insertions are in UTF-16 too
		}
		if _, err := oracle.Edits([]byte(doc), []byte(want)); err != nil {
			t.Fatal(err)
		}
		// A script that the end cuts off does not run, which html.Parse does not tell.
		want = rewrite(t, o, doc+"</script>")
		for _, l := range oracle.Fetchable([]byte(strings.ToValidUTF8(want, "\ufffd")), p, decoded) {
			if !strings.Contains(l, "\ufffd") { // which names no host, or may stand for a NUL
				t.Fatalf("left: %q\nin %q", l, want)
			}
		}
	})
}

// FuzzParts looks for panics in the parsers of attribute values.
func FuzzParts(f *testing.F) {
	f.Add("0; url='http://tracker.test/'")
	f.Add("/a 1x, http://tracker.test/b (x,y) 2x")
	f.Add(`a{b:url("x\75 rl(") } @import 'y`)
	f.Add("&amp;&#x41;&#0;&notit;&ampx=&semi;")
	f.Fuzz(func(t *testing.T, s string) {
		v := []byte(s)
		RefreshURL(v)
		for rest := v; len(rest) > 0; {
			var url []byte
			before := len(rest)
			if url, rest = nextCandidate(rest); len(url) == 0 {
				break
			}
			if len(rest) >= before {
				t.Fatal("a candidate takes nothing")
			}
		}
		a := decodeAttr(nil, v)
		b, offsets := decodeAttrOffsets(nil, nil, v)
		if string(a) != string(b) || len(offsets) != len(b)+1 {
			t.Fatalf("two decoders differ: %q %q", a, b)
		}
		unescapeCSS(nil, v, true)
		new(Rewriter).parseData(append([]byte("data:"), v...), len(v)%2 > 0)
	})
}

// The hostile documents of public suites come out the same in any chunks: short ones cut at every
// place, long ones at random.
func TestSuites(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	docs := shared.Documents(t)
	for _, v := range shared.Vectors(t) {
		docs["vectors/"+v.ID] = string(v.Body)
	}
	cuts := 0
	for name, doc := range docs {
		want := rewrite(t, o, doc)
		same := func(chunks ...string) {
			if cuts++; rewrite(t, o, chunks...) != want {
				t.Errorf("%s: chunks of %d and more bytes change the output", name, len(chunks[0]))
			}
		}
		if len(doc) <= 160 {
			for i := 1; i < len(doc); i++ {
				o.completing = i % 8
				same(doc[:i], doc[i:])
			}
		} else {
			rnd := rand.New(rand.NewPCG(uint64(len(doc)), 3))
			for range 4 {
				same(randomChunks(rnd, doc)...)
			}
		}
		if doc != "" {
			same(slices.Collect(inPieces(doc, 7))...)
		}
		if strings.HasPrefix(doc, "\xff\xfe") || strings.HasPrefix(doc, "\xfe\xff") || strings.Contains(name, "UTF-16") {
			continue // insertions are in UTF-16 too
		}
		if _, err := oracle.Edits([]byte(doc), []byte(want)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Logf("%d documents, cut in %d ways", len(docs), cuts)
}

func inPieces(doc string, size int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(doc) > 0 {
			n := min(size, len(doc))
			if !yield(doc[:n]) {
				return
			}
			doc = doc[n:]
		}
	}
}

// Rewriters work side by side with one policy, one page and one budget, as those of a server do, and
// give what each gives alone.
func TestRewritersSideBySide(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", Budget: NewBudget(1 << 20)}
	var want []string
	for _, tt := range elementTests {
		want = append(want, rewrite(t, o, expand(tt.in, "")))
	}
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			var out bytes.Buffer
			r := New(&out, o)
			for i := range 400 {
				k := (i + n*7) % len(want)
				out.Reset()
				r.Reset(&out, o)
				for piece := range inPieces(expand(elementTests[k].in, ""), 5+n) {
					if _, err := r.Write([]byte(piece)); err != nil {
						t.Error(err)
					}
				}
				if err := r.Close(); err != nil || out.String() != want[k] {
					t.Errorf("%s: %q, %v, want %q", elementTests[k].name, out.String(), err, want[k])
				}
			}
		})
	}
	wg.Wait()
	if held := o.Budget.Held(); held != 0 {
		t.Errorf("%d bytes are still booked", held)
	}
}

// certainHost is a host that net/url and the URL Standard (3.5) both take for one: no address, no Punycode, nothing
// that only one of them forbids.
var certainHost = regexp.MustCompile(`^(?i:(?:[a-wyz0-9][a-z0-9-]*\.)*[a-wyz][a-z0-9]*)(?::[0-9]{1,4})?$`)

// What another reading of URLs finds in a playlist that passes is of the site's own.
func FuzzPlaylist(f *testing.F) {
	for _, s := range []string{"a.ts", "https://tracker.test/a.ts", "#EXT-X-KEY:URI=\"//tracker.test/k\"", "https://{$h}/a.ts", "data:,%23EXTM3U%0Ahttps://tracker.test/", "/\\tracker.test\r", "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"x\""} {
		f.Add([]byte(s))
	}
	base, p := &url.URL{Scheme: "https", Host: "site.test", Path: "/a/b.m3u8"}, policy(f, "block")
	f.Fuzz(func(t *testing.T, lines []byte) {
		r := New(io.Discard, Options{Policy: p, Page: rules.NewPage("https", "site.test")})
		if r.PlaylistBlocked(append([]byte(playlistHeader+"\n"), lines...)) {
			return
		}
		for line := range strings.SplitSeq(string(lines), "\n") {
			if strings.HasPrefix(line, "#") {
				tag := strings.HasPrefix(line, "#EXT-X-")
				if _, line, _ = strings.Cut(line, `URI="`); line == "" || !tag {
					continue
				}
				line, _, _ = strings.Cut(line, `"`)
			}
			u, err := url.Parse(strings.TrimSpace(line))
			if err != nil {
				continue
			}
			if u = base.ResolveReference(u); (u.Scheme == "https" || u.Scheme == "http") && certainHost.MatchString(u.Host) && !strings.EqualFold(u.Hostname(), "site.test") {
				t.Errorf("%q passes with %s", lines, u)
			}
		}
	})
}
