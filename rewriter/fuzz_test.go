package rewriter

import (
	"strings"
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
	f.Fuzz(func(t *testing.T, doc string, at uint16) {
		o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8"}
		want := rewrite(t, o, doc)
		if n := int(at); n < len(doc) {
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
		new(Rewriter).parseData(append([]byte("data:"), v...))
	})
}

// The hostile documents of public suites go through without a panic, in any chunks.
func TestSuites(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test")}
	n := 0
	for name, doc := range shared.Documents(t) {
		n++
		want := rewrite(t, o, doc)
		var chunks []string
		for rest := doc; len(rest) > 0; {
			k := min(7, len(rest))
			chunks, rest = append(chunks, rest[:k]), rest[k:]
		}
		if got := rewrite(t, o, chunks...); got != want {
			t.Errorf("%s: chunks of 7 change the output", name)
		}
		if strings.HasPrefix(doc, "\xff\xfe") || strings.HasPrefix(doc, "\xfe\xff") || strings.Contains(name, "UTF-16") {
			continue // insertions are in UTF-16 too
		}
		if _, err := oracle.Edits([]byte(doc), []byte(want)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Logf("%d documents", n)
}
