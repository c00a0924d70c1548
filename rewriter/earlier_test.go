package rewriter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// outcome is all that a Rewriter does with a document.
type outcome struct {
	out     string
	reports []string
	saw     []string
	edited  bool
}

func (o outcome) String() string {
	return fmt.Sprintf("edited %t\nout %.3000q\nreports\n%s\nsaw\n%s", o.edited, o.out, strings.Join(o.reports, "\n"), strings.Join(o.saw, "\n"))
}

// rewriteAll returns the outcome, and the Rewriter, closed.
func rewriteAll(t testing.TB, o Options, begin func(*Rewriter), chunks ...string) (res outcome, r *Rewriter) {
	t.Helper()
	o.Report = func(r rules.Resource, d rules.Decision) {
		res.reports = append(res.reports, fmt.Sprint(r.Kind, " ", r.URL, " ", d))
	}
	o.Saw = func(url string) { res.saw = append(res.saw, strings.Clone(url)) }
	var out bytes.Buffer
	r = New(&out, o)
	if begin != nil {
		begin(r)
	}
	for _, c := range chunks {
		if n, err := r.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatalf("Write = %d, %v; want %d, nil", n, err, len(c))
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	res.out, res.edited = out.String(), r.Edited()
	return res, r
}

// equals compares reports as a set: where several readings go on, their order depends on how a document is cut.
func (o outcome) equals(p outcome) bool {
	slices.Sort(o.reports)
	slices.Sort(p.reports)
	return o.out == p.out && o.edited == p.edited && slices.Equal(o.reports, p.reports) && slices.Equal(o.saw, p.saw)
}

// earlier returns how doc is rewritten, nil if that cannot be kept.
func earlier(t testing.TB, o Options, doc string) *Earlier {
	t.Helper()
	want, _ := rewriteAll(t, o, nil, doc)
	got, r := rewriteAll(t, o, (*Rewriter).Keep, doc)
	if !got.equals(want) {
		t.Fatalf("taken down:\n%v\nwant\n%v", got, want)
	}
	return r.Kept()
}

// followed checks that doc comes out the same behind e, and returns how many of its bytes were not read.
func followed(t testing.TB, o Options, e *Earlier, doc string, chunks ...string) int {
	t.Helper()
	want, _ := rewriteAll(t, o, nil, doc)
	got, r := rewriteAll(t, o, func(r *Rewriter) { r.Follow(e) }, chunks...)
	if !got.equals(want) {
		t.Fatalf("%q\ngot  %v\nwant %v", doc, got, want)
	}
	return r.Followed()
}

// flushed checks that doc comes out the same behind e if it is flushed after any of its chunks.
func flushed(t testing.TB, o Options, e *Earlier, doc string, chunks []string) {
	t.Helper()
	for at := range chunks {
		var alone, behind bytes.Buffer
		a, b := New(&alone, o), New(&behind, o)
		b.Follow(e)
		for n, c := range chunks {
			for _, r := range []*Rewriter{a, b} {
				if _, err := io.WriteString(r, c); err != nil {
					t.Fatal(err)
				}
				if n == at {
					if err := r.Flush(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n == at && behind.String() != alone.String() {
				t.Fatalf("%q flushed behind %d chunks:\ngot  %q\nwant %q", doc, n+1, behind.String(), alone.String())
			}
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		if behind.String() != alone.String() {
			t.Fatalf("%q flushed behind %d chunks:\ngot  %q\nwant %q", doc, at+1, behind.String(), alone.String())
		}
	}
}

// change returns doc with some parts of it replaced, doubled, moved or gone.
func change(rnd *rand.Rand, doc string, other []string) string {
	for range 1 + rnd.IntN(4) {
		i := rnd.IntN(len(doc) + 1)
		j := min(len(doc), i+rnd.IntN(1<<rnd.IntN(12)))
		part := doc[i:j]
		switch rnd.IntN(6) {
		case 0:
			doc = doc[:i] + doc[j:]
		case 1:
			doc = doc[:j] + part + doc[j:]
		case 2:
			doc = doc[:i] + strings.Repeat("x", len(part)) + doc[j:]
		case 3:
			k := rnd.IntN(len(doc) + 1)
			doc = doc[:k] + part + doc[k:]
		case 4:
			doc = doc[:i] + other[rnd.IntN(len(other))] + doc[j:]
		case 5:
			doc = doc[:i] + other[rnd.IntN(len(other))] + doc[i:]
		}
	}
	return doc
}

var changes = []string{
	"<script>", "</script>", "<!--", "-->", "<style>", "</style>", `"`, "'", ">", "<", "<svg>", "</svg>", "<p>", "</p>", "<b>", "</b>", "<table>", "</table>",
	"<template>", "</template>", "<select>", "<noscript>", "</noscript>", "<title>", "</title>", `<base href="http://tracker.test/">`, "<math><mi>",
	"<a href=/>", "</a>", "<frameset>", "<textarea>", "</div>", "<div>", "<li>", "<button>", "<meta charset=iso-2022-jp>", `<img src="http://tracker.test/x">`,
	"<h1>", "<form>", "</form>", "<![CDATA[", "]]>", "</body>", "<nobr>", "<body><html>", "\x00", "é", "<iframe srcdoc=\"<script src=//tracker.test/x>\">",
}

// Pages that were seen before come out the same again, and so do pages in which something else stands.
func TestPagesLikeEarlierOnes(t *testing.T) {
	pages := shared.Pages(t)
	p := policy(t, "block_active")
	rnd := rand.New(rand.NewPCG(1, 2))
	kept, total, again, changed := 0, 0, 0, 0
	for i, page := range pages {
		doc := string(page.Body)
		o := Options{Policy: p, Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=" + page.Charset, Head: "<script></script>"}
		e := earlier(t, o, doc)
		if e == nil {
			continue
		}
		kept++
		if n := followed(t, o, e, doc, doc); n != len(doc) {
			t.Fatalf("page %d: %d of %d bytes were followed", i, n, len(doc))
		}
		followed(t, o, e, doc, randomChunks(rnd, doc)...)
		for k, token := range []string{"0123456789abcdef", "a longer one: 0123456789abcdef", "<p>markup</p>"} {
			at := len(doc) / 4 * (k + 1)
			next := doc[:at] + token + doc[min(len(doc), at+16):]
			total += len(next)
			again += followed(t, o, e, next, pieces(next, 32<<10)...)
		}
		for n := range 4 {
			next := doc[:rnd.IntN(len(doc)+1)] // it breaks off
			if n > 0 {
				next = change(rnd, doc, changes)
			}
			changed += followed(t, o, e, next, randomChunks(rnd, next)...)
		}
		next := string(pages[rnd.IntN(len(pages))].Body)
		followed(t, o, e, next, next)
	}
	t.Logf("%d of %d pages can be kept; of pages with one change %.0f %% of the bytes are followed, of others %d", kept, len(pages), 100*float64(again)/float64(total), changed)
	if kept < len(pages)*8/10 || again < total*6/10 {
		t.Error("too few")
	}
}

func pieces(doc string, n int) (chunks []string) {
	for len(doc) > n {
		chunks, doc = append(chunks, doc[:n]), doc[n:]
	}
	return append(chunks, doc)
}

// What depends on other options is not followed.
func TestEarlierPageWithOtherOptions(t *testing.T) {
	doc := `<p><script src="https://tracker.test/x"></script>`
	page := rules.NewPage("https", "site.test").At("/a/")
	o := Options{Policy: policy(t, "block"), Page: page, ContentType: "text/html; charset=utf-8"}
	e := earlier(t, o, doc)
	for name, change := range map[string]func(*Options){
		"policy":  func(o *Options) { o.Policy = policy(t, "block") },
		"host":    func(o *Options) { o.Page = rules.NewPage("https", "tracker.test").At("/a/") },
		"path":    func(o *Options) { o.Page = o.Page.At("/b/") },
		"scheme":  func(o *Options) { o.Page = rules.NewPage("http", "site.test").At("/a/") },
		"charset": func(o *Options) { o.ContentType = "text/html" },
		"head":    func(o *Options) { o.Head = "<script></script>" },
		"dialect": func(o *Options) { o.Dialect = new(Dialect) },
		"limit":   func(o *Options) { o.MaxTag = 100 },
		"xml":     func(o *Options) { o.XML = true },
	} {
		o := o
		change(&o)
		if n := followed(t, o, e, doc, doc); n != 0 {
			t.Errorf("another %s: %d bytes were followed", name, n)
		}
	}
	o.Page = rules.NewPage("https", "site.test").At("/a/")
	if n := followed(t, o, e, doc, doc); n != len(doc) {
		t.Errorf("an equal page: %d bytes were followed", n)
	}
}

// A document that its reader no longer wants to wait for goes on as it would by itself.
func TestPartingFromAnEarlierPage(t *testing.T) {
	doc := strings.Repeat(`<p>one two three</p><img src="https://tracker.test/x">`, 200)
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	e := earlier(t, o, doc)
	o.Report, o.Saw = func(rules.Resource, rules.Decision) {}, func(string) {}
	for _, n := range []int{0, 10, 500, 1020, 1030, 5000, 9000, len(doc)} {
		var alone, behind bytes.Buffer
		a := New(&alone, o)
		b := New(&behind, o)
		if !b.Follow(e) {
			t.Fatal("it does not follow")
		}
		for _, r := range []*Rewriter{a, b} {
			if _, err := io.WriteString(r, doc[:n]); err != nil {
				t.Fatal(err)
			}
		}
		if behind.Len() > 0 {
			t.Fatalf("at %d something is written before the documents part", n)
		}
		if err := b.Part(); err != nil {
			t.Fatal(err)
		}
		if alone.String() != behind.String() {
			t.Fatalf("at %d:\ngot  %q\nwant %q", n, behind.String(), alone.String())
		}
		for _, r := range []*Rewriter{a, b} {
			if _, err := io.WriteString(r, doc[n:]); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if alone.String() != behind.String() {
			t.Fatalf("after %d:\ngot  %q\nwant %q", n, behind.String(), alone.String())
		}
	}
}

// What came of a page while memory was used up is not what comes of it later.
func TestPageTakenDownWithoutMemory(t *testing.T) {
	doc := "<p>one<script>" + strings.Repeat("a = 1;\n", 1<<10) + "</script><p>two"
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8", Budget: NewBudget(2 << 10)}
	_, r := rewriteAll(t, o, (*Rewriter).Keep, pieces(doc, 1<<10)...)
	if e := r.Kept(); e != nil {
		t.Fatalf("it is kept: %q", e.out)
	}
	o.Budget = nil
	_, r = rewriteAll(t, o, (*Rewriter).Keep, pieces(doc, 1<<10)...)
	if r.Kept() == nil {
		t.Fatal("it is not kept with memory for it")
	}
}

// plainOptions are those of a page in UTF-8.
func plainOptions(t testing.TB) Options {
	return Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
}

// A page that ends where the earlier one goes on is read to its end, whatever limits it passes on the way.
func TestPageShorterThanTheEarlier(t *testing.T) {
	doc := "<!DOCTYPE html><html><head></head><body>" + strings.Repeat("<p>some text of the page</p>\n", 200) +
		`<div title="` + strings.Repeat("x", 70<<10) + `" data-state="` + strings.Repeat("y", 70<<10) + `">` +
		`<script src="https://www.google-analytics.com/analytics.js"></script><iframe src="https://tracker.test/"></iframe>`
	o := plainOptions(t)
	e := earlier(t, o, doc+"<!-- cached -->")
	if e == nil {
		t.Fatal("not kept")
	}
	for _, next := range []string{doc, doc + "<!-"} {
		want, _ := rewriteAll(t, o, nil, next)
		got, r := rewriteAll(t, o, func(r *Rewriter) { r.Follow(e) }, pieces(next, 32<<10)...)
		if !got.equals(want) {
			tail := func(s string) string { return s[max(0, len(s)-500):] }
			t.Errorf("%d of %d followed\ngot  %q\nwant %q\nreports got  %q\nreports want %q", r.Followed(), len(next), tail(got.out), tail(want.out), got.reports, want.reports)
		}
	}
}

// What is taken down of a document that was flushed before its encoding was known is not what comes of
// the same document when it is not flushed.
func TestPageFlushedWhileTakenDown(t *testing.T) {
	for _, charset := range []string{"iso-2022-jp", "koi8-r"} {
		first := "<!DOCTYPE html><html><head><link rel=icon href='//tr\xd0\xb0cker.test/x'>"
		doc := first + "<meta charset=" + charset + "></head><body>" + strings.Repeat("<p>some text of the page</p>\n", 400)
		o := plainOptions(t)
		o.ContentType = "text/html"
		var out strings.Builder
		r := New(&out, o)
		r.Keep()
		_, _ = r.Write([]byte(first))
		_ = r.Flush()
		_, _ = r.Write([]byte(doc[len(first):]))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		e := r.Kept()
		if e == nil {
			continue
		}
		ro := o
		ro.Report, ro.Saw = nil, nil
		var alone, behind strings.Builder
		a, b := New(&alone, ro), New(&behind, ro)
		if !b.Follow(e) {
			t.Fatal("does not follow")
		}
		for _, r := range []*Rewriter{a, b} {
			_, _ = r.Write([]byte(doc))
			_ = r.Close()
		}
		if alone.String() != behind.String() {
			t.Errorf("%s:\ngot  %.400q\nwant %.400q", charset, behind.String(), alone.String())
		}
	}
}

// What a page has cost counts for those that follow it, even in a reading that has ended.
func TestPageThatCostMuchIsNotFollowed(t *testing.T) {
	o := plainOptions(t)
	open, shut := strings.Repeat("<span>", 500), strings.Repeat("</span>", 500)
	// Each end tag looks through 500 elements.
	work := func(n int) string { return open + strings.Repeat("</x>", n) + shut }
	pad := ""
	for i := range 300 {
		pad += fmt.Sprintf("<p>some text of the page, which goes on %d</p>\n", i)
	}
	tail := "<svg><style>a{b:url(https://tracker.test/1)}</style></svg><div><image href=https://tracker.test/2></div>"
	for n := 1800; n <= 2800; n += 20 {
		doc := pad + "<noscript>" + work(n) + tail + "</noscript>" + pad + pad
		e := earlier(t, o, doc)
		if e == nil {
			break
		}
		next := work(1000) + doc
		want, _ := rewriteAll(t, o, nil, next)
		got, r := rewriteAll(t, o, func(r *Rewriter) { r.Follow(e) }, pieces(next, 32<<10)...)
		if !got.equals(want) {
			t.Fatalf("%d: %d of %d followed\ngot  %d bytes %q\nwant %d bytes %q", n, r.Followed(), len(next), len(got.out), got.reports, len(want.out), want.reports)
		}
	}
}

// To be taken down, a page is read in small pieces, which changes nothing.
func TestPageTakenDownInPieces(t *testing.T) {
	d, err := NewDialect("cookieadmin", nil)
	if err != nil {
		t.Fatal(err)
	}
	start := "<!DOCTYPE html><title>x</title>"
	start += strings.Repeat("<meta>", (1012-len(start)-len("<noscript><!--</noscript>-->"))/6)
	o := plainOptions(t)
	o.Dialect = d
	// The first piece ends in the text.
	earlier(t, o, start+"<noscript><!--</noscript>-->some text some text<script>document.write('<scr'+'ipt src=\"http://ad.doubleclick.net/adj/x\"></scr'+'ipt>');</script>")

	long := strings.Repeat("x", 70<<10)
	for _, doc := range []string{"<style>a{b:url(" + long + ")}</style>", "<style>@import '" + long + "';</style>", "<svg><style>@import '" + long + "';</style></svg>"} {
		earlier(t, plainOptions(t), doc)
	}
}

// fuzzTypes are content types of documents whose encoding is found in different ways.
var fuzzTypes = []string{"text/html", "text/html; charset=iso-2022-jp", "text/html; charset=windows-1251"}

// FuzzFollow checks that a document comes out the same whatever was seen before it.
func FuzzFollow(f *testing.F) {
	for i, tt := range elementTests {
		f.Add(expand(tt.in, "")+"<p>one</p><p>two</p>", uint64(i))
	}
	for i, tt := range inlineTests {
		f.Add("<p>one</p><script>"+tt.script+"</script><p>two</p>", uint64(i))
	}
	for i, c := range changes {
		f.Add("<!DOCTYPE html><html><head><title>x</title></head><body><div><b><p>one"+c+"</p>two</div><table><tr><td>x", uint64(i))
	}
	p := policy(f, "block")
	page := rules.NewPage("https", "site.test")
	var dialects []*Dialect
	for _, name := range []string{"cookieadmin", "klaro", "onetrust"} {
		d, err := NewDialect(name, nil)
		if err != nil {
			f.Fatal(err)
		}
		dialects = append(dialects, d)
	}
	f.Fuzz(func(t *testing.T, doc string, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		o := Options{Policy: p, Page: page, ContentType: "text/html; charset=utf-8", every: 1 + rnd.IntN(16)}
		if seed>>4&3 == 0 {
			o.MaxTag, o.MaxScript = 40+rnd.IntN(100), 100+rnd.IntN(200)
		}
		if seed>>6&3 == 0 {
			o.Dialect = dialects[rnd.IntN(len(dialects))]
		}
		if n := seed >> 1 % 8; n < uint64(len(fuzzTypes)) {
			o.ContentType = fuzzTypes[n]
		}
		if seed&1 != 0 {
			o.Head = "<script></script>"
		}
		e := earlier(t, o, doc)
		if e == nil {
			return
		}
		if n := followed(t, o, e, doc, randomChunks(rnd, doc)...); n != len(doc) {
			t.Fatalf("%q: %d of %d bytes were followed", doc, n, len(doc))
		}
		for n := range 4 {
			next := doc[:rnd.IntN(len(doc)+1)] // it breaks off
			if n > 0 {
				next = change(rnd, doc, changes)
			}
			followed(t, o, e, next, randomChunks(rnd, next)...)
			followed(t, o, e, next, next)
			flushed(t, o, e, next, randomChunks(rnd, next))
		}
	})
}
