package rewriter

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// The machine may be shared: beside wall time every benchmark reports cpuMB/s, the bytes read in a
// second of the thread's own time. Compare ratios of one run.
func measure(b *testing.B, total int, pass func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pass() // buffers grow once
	b.SetBytes(int64(total))
	b.ReportAllocs()
	before := threadTime()
	n := 0
	for b.Loop() {
		pass()
		n++
	}
	if d := threadTime() - before; d > 0 {
		b.ReportMetric(float64(total)*float64(n)/d/1e6, "cpuMB/s")
	}
}

// threadTime returns the seconds of processor time that the calling thread has used.
func threadTime() float64 {
	var u syscall.Rusage
	const thread = 1 // RUSAGE_THREAD
	if err := syscall.Getrusage(thread, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

const chunk = 32 << 10

// benchmarkPages rewrites the real pages for an undecided visitor.
func benchmarkPages(b *testing.B, p *rules.Policy, tagsOnly bool) {
	pages := shared.Pages(b)
	options := make([]Options, len(pages))
	total := 0
	for i, page := range pages {
		options[i] = pageOptions(p, page)
		options[i].tagsOnly = tagsOnly
		total += len(page.Body)
	}
	r := New(io.Discard, options[0])
	measure(b, total, func() {
		for i, page := range pages {
			r.Reset(io.Discard, options[i])
			write(b, r, page.Body)
		}
	})
}

// pageOptions are those of a real page as a server with its encoding in the header sends it.
func pageOptions(p *rules.Policy, page shared.Page) Options {
	return Options{Policy: p, Page: rules.NewPage("https", page.Host).WithCharset(page.Charset), ContentType: "text/html; charset=" + page.Charset}
}

func write(b testing.TB, r *Rewriter, body []byte) {
	for len(body) > 0 {
		n := min(len(body), chunk)
		if _, err := r.Write(body[:n]); err != nil {
			b.Fatal(err)
		}
		body = body[n:]
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRewriteRealPages(b *testing.B) { benchmarkPages(b, policy(b, "block_active"), false) }

// BenchmarkRewriteTagsOnly leaves inline scripts and style sheets unread.
func BenchmarkRewriteTagsOnly(b *testing.B) { benchmarkPages(b, policy(b, "block_active"), true) }

// BenchmarkWalk hops from < to < and copies, which no reader can beat.
func BenchmarkWalk(b *testing.B) {
	benchmarkCopy(b, func(c []byte) (n int) {
		for ; ; n++ {
			i := bytes.IndexByte(c, '<')
			if i < 0 {
				return n
			}
			c = c[i+1:]
		}
	})
}

// benchmarkCopy looks at the real pages, piece by piece, and copies them.
func benchmarkCopy(b *testing.B, look func(c []byte) int) {
	pages := shared.Pages(b)
	total := 0
	for _, page := range pages {
		total += len(page.Body)
	}
	buf := make([]byte, chunk)
	n := 0
	measure(b, total, func() {
		for _, page := range pages {
			for body := page.Body; len(body) > 0; {
				c := body[:min(len(body), chunk)]
				n += look(c)
				copy(buf, c)
				body = body[len(c):]
			}
		}
	})
}

// BenchmarkSkeleton finds tags, their names and the ends of their attributes, and passes over scripts and style
// sheets: what every reader has to do before it decides anything. It knows no tree and handles no tag that is cut.
func BenchmarkSkeleton(b *testing.B) { benchmarkCopy(b, skeleton) }

// skeleton returns a sum over the elements, so that none of it is idle.
func skeleton(in []byte) (n int) {
	for i := 0; ; {
		j := bytes.IndexByte(in[i:], '<')
		if j < 0 || i+j+margin > len(in) {
			return n
		}
		i += j + 1
		if !isLetter(in[i]) {
			continue
		}
		k, e := readName(in, i)
		el := shortElem(k)
		n += int(el)
		if e == 0 {
			continue
		}
		if in[e] == '>' {
			i = e
		} else if i, _ = skipTag(in, e, el); i == 0 {
			i = e // an attribute that matters; here none does
		}
		if el == elScript || el == elStyle {
			if j = bytes.Index(in[i:], []byte("</s")); j < 0 {
				return n
			}
			i += j
		}
	}
}

func BenchmarkXNetTokenizer(b *testing.B) {
	pages := shared.Pages(b)
	total := 0
	for _, page := range pages {
		total += len(page.Body)
	}
	measure(b, total, func() {
		for _, page := range pages {
			z := html.NewTokenizer(bytes.NewReader(page.Body))
			for tt := z.Next(); tt != html.ErrorToken; tt = z.Next() {
				if tt != html.StartTagToken && tt != html.SelfClosingTagToken {
					continue
				}
				_, more := z.TagName()
				for more {
					_, _, more = z.TagAttr()
				}
			}
		}
	})
}

// BenchmarkWorst has a line for each way to make a reader slow that is known.
func BenchmarkWorst(b *testing.B) {
	cases := []struct{ name, doc string }{
		{"attributes", "<img " + strings.Repeat("a=b ", 1e6) + ">"},
		{"plain attributes", "<div " + strings.Repeat("a=b ", 1e6) + ">"},
		{"less-than signs", strings.Repeat("<", 1e6)},
		{"open tags", strings.Repeat("<div>", 1e6)},
		{"open formatting", strings.Repeat("<b><p>", 1e6)},
		{"open anchors", strings.Repeat("<a><div>", 1e6)},
		{"open tables", strings.Repeat("<table><tr><td>", 3e5)},
		{"open lists", strings.Repeat("<ul><li>", 5e5)},
		{"open elements", strings.Repeat("<i1><i2>", 2000) + strings.Repeat("</x></p></li></b></section>", 2e5)},
		{"open anchors in tables", strings.Repeat("<a><div>", 1500) + strings.Repeat("<table></table></a>", 2e5)},
		{"misnested formatting", "<b>" + strings.Repeat("<div>", 4000) + strings.Repeat("</b>", 1e6)},
		{"noscript deep down", strings.Repeat("<div>", 4000) + strings.Repeat("<noscript><p>x</noscript>", 2e5)},
		{"foreign ends", "<svg>" + strings.Repeat("<g>", 4000) + strings.Repeat("</x>", 1e6)},
		{"too deep", strings.Repeat("<q>", 5000) + strings.Repeat("<svg><style></style></svg>", 2e5)},
		{"templates", strings.Repeat("<template>", 3e5)},
		{"closed templates", strings.Repeat("<template>", 3e5) + strings.Repeat("</template>", 3e5)},
		{"svg", strings.Repeat("<svg>", 1e6)},
		{"foreign and back", strings.Repeat("<svg><desc>", 4e5)},
		{"svg styles", "<svg>" + strings.Repeat("<style>a{b:c}</style>", 3e5)},
		{"scripts by href deep down", strings.Repeat("<div>", 4000) + strings.Repeat("<script href=x></script>", 2e5)},
		{"elements in an svg style", `<svg><style>@import "http:/<g>` + strings.Repeat("<a></a>", 1e6)},
		{"svg styles in each other", "<svg>" + strings.Repeat("<style>a", 3000) + strings.Repeat("<a></a>b", 5e5)},
		{"an svg script of elements", `<svg><script>fetch("a")` + strings.Repeat("<a></a>", 1e6)},
		{"noscript", strings.Repeat("<noscript><p>x</noscript>", 2e5)},
		{"open noscript", "<noscript>" + strings.Repeat("<div>", 1e6)},
		{"end tags", strings.Repeat("</div></b>", 4e5)},
		{"unmatched ends", strings.Repeat("<div>", 3000) + strings.Repeat("</x></b></p>", 3e5)},
		{"open quote", `<img src="` + strings.Repeat("x", 4e6)},
		{"open comment", "<!--" + strings.Repeat("- -", 1e6)},
		{"open comments", strings.Repeat("<!-- ", 1e6)},
		{"open script", "<script>" + strings.Repeat("<!--<script>", 3e5)},
		{"open textarea", "<textarea>" + strings.Repeat("</textare ", 4e5)},
		{"entities", `<p style="` + strings.Repeat("&amp;(", 5e5) + `">`},
		{"inline style", "<style>" + strings.Repeat("a{background:red}\n", 3e5) + "</style>"},
		{"inline script", "<script>" + strings.Repeat("var a = b / c; // d.e/f\n", 1.3e5) + "</script>"},
		{"srcset", `<img srcset="` + strings.Repeat("/a 1x,", 1e4) + `">`},
	}
	o := Options{Policy: policy(b, "block_active"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	r := New(io.Discard, o)
	for _, c := range cases {
		doc := []byte(c.doc)
		b.Run(c.name, func(b *testing.B) {
			measure(b, len(doc), func() {
				r.Reset(io.Discard, o)
				write(b, r, doc)
			})
		})
	}
}

// BenchmarkTenfoldCatalogue is BenchmarkRewriteRealPages with ten times as many services.
func BenchmarkTenfoldCatalogue(b *testing.B) {
	var y strings.Builder
	for i := range 29000 {
		fmt.Fprintf(&y, "- id: made-up-%d\n  name: \"made up %d\"\n  category: marketing\n  hosts: [made-up-%d.com, cdn%d.made-up.net]\n", i, i, i, i)
	}
	file := filepath.Join(b.TempDir(), "tenfold.yaml")
	if err := os.WriteFile(file, []byte(y.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	cat, err := rules.LoadCatalogue(file)
	if err != nil {
		b.Fatal(err)
	}
	site, err := rules.NewSite(cat, rules.SiteConfig{})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkPages(b, site.For(rules.Grants{Allowed: rules.SetOf(rules.Necessary)}), false)
}
