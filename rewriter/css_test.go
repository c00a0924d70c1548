package rewriter

import (
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// In these style sheets § stands for http://tracker.test/x, and ~ in front of it for what puts a
// URL out of use.
var cssTests = []struct{ name, css string }{
	{"an import with a string", `@import "^§";`},
	{"an import without an end", `@import url(^§`},
	{"an import without white space", `@import"^§"screen;`},
	{"an import with an escaped name", `@\69 mport '^§';`},
	{"an import behind comments", `/*"*/@import/*'*/ /**/ "^§" layer(x);`},
	{"an import behind a layer", `@layer a;@import url( '^§' );`},
	{"an import has one URL", `@import "/a" supports(content:"§") "§";`},
	{"an import that is none", `@import-x "§"; @import x "§"; @import {"§"}`},
	{"a string that is broken off, which only Firefox's scanner fetches", "@import \"^§\n\";"},
	{"an address with a space, which only Firefox's scanner fetches", `@import url(^§ x);`},
	{"a function of letters, which only Firefox's scanner fetches", `@import ^UR<x>L(§);`},
	{"the same in another function", `@import ^ux(rl(§));`},
	{"strings and addresses that nobody fetches", "a{b:url(§ x);c:url(\"§\n\")}"},
	{"a bare import, which only the preload scanner fetches", `@import ^§;`},
	{"a bare import of the site, which the scanner reads in pieces", `@import ^//tracker.test.site.test/x;@import ^http:site.test;@import /x:y;@import x.css;@import '//site.test/';`},
	{"a value that the scanner may find closed too early", `@import 'a b;@import "^//tracker.test".site.test/x";@import url(^//tracker.test).site.test);`},
	{"a bare import behind slashes", `/a/b@import ^§;`},
	{"a bare import at the end", `@import ^§`},
	{"a bare import past the rules that the scanner reads", `@import x {;@import §;`},
	{"a value ends in white space for the scanner, even in a string", `@import 'a b;@import "^§";`},
	{"a semicolon in a string ends no value for the scanner", `@import 'a b;@import "x;y";@import "^§;z" ;@import url(^§;z) ;@import "x;y "§";@import "^§";`},
	{"a value with what closes it escaped goes on for the scanner", `@import 'a b;@import "x\";y";@import "^§";`},
	{"what the scanner reads on behind", `@import 'a b;@import x y{z;@layer a;@charset "x";@import "x{y" layer(a);@import "^§";`},
	{"what the scanner does not read on behind", `@import 'a b;@import x y {;@import "§";`},
	{"where other scanners end a value at a semicolon", `@import 'x; @import "^§";`},
	{"an import without a space in front of what it is for", `@import url(/a)screen;@import "/b"screen;@import url(/c);@import "^§";a{b:c}`},
	{"a comment behind one", `@import url(/a)screen;/*a;*/@import "^§";`},
	{"one in a comment", `@import url(/a)screen;/*a b;^ @import "§";*/@import "^§";`},
	{"a semicolon in a string ends a rule for the scanner", `@charset "a;@import '^§';";`},
	{"backslashes that the scanner does not decode", `@import "^\\tracker.test/x";`},
	{"backslashes that Firefox's scanner does not decode", "@import \"^\\/tracker.test/\\78\ny\";@import url(^http:/\\c\n/tracker.test/x);@import 'a\\61\\78\ny';"},
	{"a comment ends in asterisks", `/***/a{b:url(~§)}/*url(§)**/a{b:url(~§)}`},
	{"a comment that never ends", `a{}/*url(§)`},
	{"comment signs in a URL", `a{b:url(/*x)}c{d:url(~§)}/**/`},
	{"a namespace", `@namespace "§";@namespace x url(§);a{b:url(~§)}`},
	{"a namespace with a prefix and comments", "@namespace/**/x/*;*/'§';@namespace x\n\turl( '§' );@namespace x§;a{b:url(~§)}"},
	{"a namespace where none may be", `a{b:var(--c,@namespace)url(~§);d:@namespace x,url(~§)}@font-face{src:@namespace x y url(~§),@namespace url(§),url(~§)}`},
	{"a name is not url", `a{b:#url(§);c:@url(§);d:5url(§);e:xurl(§);f:url-x(§);g:-url(§)}`},
	{"a number and a sign", `a{b:1.url(~§) +url(~§)}`},
	{"an escaped name", `a{b:\75rl(~§);c:u\72 l(~§);d:UR\4C(~§);e:\u\r\l(~§)}`},
	{"a line break is no escape", "a{b:u\\\nrl(§) \\\nurl(~§)}"},
	{"spaces in url()", "a{b:url(\n\t ~§ \f)}"},
	{"a bad URL", `a{b:url(§ x);c:url(§"x);d:url(§(x);e:url(§'\)x)}f{g:url(~§)}`},
	{"a backslash behind white space in a URL, which is none of an escape to Firefox", `a{b:url(x \¬)}c{d:url(~§)}e{f:url(x \\¬)g{h:url(~§)}i{j:url(x \\¬\)k{l:url(§)}m{n:url( \)x\20 \)\ \)y \z)}`},
	{"an escaped URL", `a{b:url(~\68ttp://tracker.test/x);c:url("~\68 ttp://tr\acker.test/x")}`},
	{"an escaped space at the end of a URL", `a{b:url(~§\ );c:url(§\\ x)}`},
	{"a string broken over lines", "a{b:url(\"~http://track\\\ner.test/x\")}"},
	{"a line break ends an escape in a string", "a{b:url(\"~http://tracker.test/\\78\n\");c:url(\"~http://tracker.test/\\78\r\n\")}"},
	{"a string that is not one for url()", `a{b:url("/a" x("§"))}`},
	{"a comment in front of a string", `a{b:url(/**/"§")}`},
	{"a modifier", `a{b:url("~§" crossorigin(anonymous))}`},
	{"src takes a string only", `a{b:src("~§");c:src(§)}`},
	{"an image set", `a{b:image-set("~§" 1x, "/a" 2x);c:-webkit-image-set(url(~§) 1x);d:\69mage-set('~§')}e{f:"§"}`},
	{"an image set in an image set", `a{b:image-set(x(y()) "~§" 1x) "§"}`},
	{"a string that a variable carries into an image set", `a{--u: "~§" 1x;b:image-set(var(--u))}c{d:"§"}`},
	{"a default that is carried into an image set", `@property --u{syntax:"<string>";initial-value:"~§"}@function --f(--a:"~§"){result:"~§"}`},
	{"an argument that is carried into an image set", `a{b:--f("~§")}`},
	{"a condition", `a{--u:if(style(--a):"~§";else:"~§")}`},
	{"a comment inside a custom property", `a{--u:/*;*/"~§" 1x,url(a;b) 1x,"~§";c:"§"}`},
	{"brackets in a custom property", `a{--e:;--u:var(--e,[;x])"~§";--v:var(--e,{;/**/x})"~§";--w:var(--e,(;"~§"))/*;*/"~§";b:"§";c:image-set(var(--u) 1x)}d{e:"§"}`},
	{"brackets in what a function returns", `@function --f(){result:env(x,[;"~§"])"~§"}a{b:"§"}@property --x{initial-value:[;x]"~§";syntax:"§"}`},
	{"what only looks like a custom property", `--> a:not(b){c:"§"}--d{e:"§"}.f--g{h:"§"}i{j:k;\--l:"~§"}`},
	{"strings that are text", `a[href="§"]{content:"§";quotes:"§" '§'}@font-face{font-family:"§"}`},
	{"a font", `@font-face{font-family:x;src:local("§"),url(~§) format("woff2")}`},
	{"HTML comment signs mean nothing", `<!--@import "^§";-->a{b:url(~§)}<!-- url(x') --> c{d:url(~§)}`},
	{"url() behind an HTML comment sign", `<!--url(x')y{a:b}c{d:url(~§)}`},
	{"an end without a parenthesis", `a{b:url("~§`},
	{"an end in a backslash", `a{b:url("~§\`},
	{"a NUL is part of a name", "a{b:\x00url(§);c:u\x00rl(§)}"},
	{"a data URL", `a{b:url(data:image/png;base64,AA==);c:url("data:image/svg+xml,<a b='§'>")}d{e:url(~§)}`},
}

// cssExpand returns a style sheet and what it becomes: ~ marks a blocked URL, ^ that of an @import.
func cssExpand(css string) (in, want string) {
	css = strings.ReplaceAll(css, "§", "http://tracker.test/x")
	return strings.NewReplacer("~", "", "^", "", "¬", "").Replace(css), strings.NewReplacer("~", inert, "^", inertSheet, "¬", "-").Replace(css)
}

func cssOptions(t testing.TB) Options {
	return Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: "text/html; charset=utf-8"}
}

func TestStyleSheets(t *testing.T) {
	o := cssOptions(t)
	for _, tt := range cssTests {
		t.Run(tt.name, func(t *testing.T) {
			in, want := cssExpand(tt.css)
			in, want = "<style>"+in+"</style>x", "<style>"+want+"</style>x"
			if got := rewrite(t, o, in); got != want {
				t.Errorf("\ngot  %q\nwant %q", got, want)
			}
			for i := 1; i < len(in); i++ {
				if got := rewrite(t, o, in[:i], in[i:]); got != want {
					t.Fatalf("cut at %d:\ngot  %q\nwant %q", i, got, want)
				}
			}
			if got := rewrite(t, o, strings.Split(in, "")...); got != want {
				t.Errorf("byte by byte:\ngot  %q\nwant %q", got, want)
			}
		})
	}
}

func TestStyleAttributes(t *testing.T) {
	o := cssOptions(t)
	for _, tt := range []struct{ name, css string }{
		{"a background", `background:url(~§)`},
		{"an unclosed url()", `background:url(~§`},
		{"no at-rules", `@import '§';color:url()`},
		{"a character reference in a name", `background:&#117;r&#x6c;(~§)`},
		{"a character reference for a backslash", `background:&bsol;75 rl(~§)`},
		{"quotes by reference", `background:url(&quot;~§&quot;),url(&apos;~§)`},
		{"a comment by reference", `background:/&ast;url(§)&#42;/url(~§)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, want := cssExpand(tt.css)
			mk := ""
			if in != want {
				mk = mark
			}
			in, want = `<p style="`+in+`">x`, `<p`+mk+` style="`+want+`">x`
			if got := rewrite(t, o, in); got != want {
				t.Errorf("\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

// A style sheet in a data: URL is read like any other, in quirks mode whatever its type is.
func TestStyleSheetsInDataURLs(t *testing.T) {
	o := cssOptions(t)
	for _, tt := range []struct{ name, in, want string }{
		{"an import", `<style>@import "~data:text/css,@import%20'§';";</style>`, ""},
		{"an import in base64", `<style>@import url(~data:text/css;base64,QGltcG9ydCAiaHR0cDovL3RyYWNrZXIudGVzdC8i);</style>`, ""},
		{"without a type", `<style>@import "~data:,a{b:url(§)}";</style>`, ""},
		{"of its own style sheets", `<style>@import "data:text/css,@import%20'/a'";</style>`, ""},
		{"a link", `<link rel=stylesheet href="data:text/css,a{b:url(§)}">`, `<link` + mark + ` rel=stylesheet data-consent-href="data:text/css,a{b:url(§)}">`},
		{"a link to an image", `<link rel=icon href="data:text/css,a{b:url(§)}">`, ""},
		{"a URL that becomes a style sheet", `<style>@import "~§{}a{b:url(/c)}";</style>`, ""},
		{"a URL that becomes a style sheet when it is decoded", `<style>@import "~§%7B%7Da%7Bb:url(§)%7D";</style>`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.in
			}
			u := strings.NewReplacer("§", "http://tracker.test/x", "~", "")
			in, want := u.Replace(tt.in), strings.NewReplacer("§", "http://tracker.test/x", "~", inertSheet).Replace(tt.want)
			if got := rewrite(t, o, in); got != want {
				t.Errorf("\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

// What is too long to hold is neither lost nor fetched, and text passes.
func TestLongStyleSheets(t *testing.T) {
	o := cssOptions(t)
	o.MaxTag = 512
	x := strings.Repeat("x", 2000)
	for _, tt := range []struct{ name, css string }{
		{"a string of text", `a{content:"` + x + `url(§)"}b{c:url(~§)}`},
		{"a URL", `a{b:url(~§` + x + `)}b{c:url(~§)}`},
		{"a URL in quotes", `a{b:url("~§` + x + `)")}b{c:url(~§)}`},
		{"an image set", `a{b:image-set("~§` + x + `" 1x, "~§")}b{c:url(~§) "§"}`},
		{"an image in a data URL", `a{b:url('data:image/png;base64,` + x + `\')§')}b{c:url(~§)}`},
		{"a relative URL", `a{b:url(../` + x + `)}b{c:url(~§)}`},
		{"spaces in front of a URL", `a{b:url(` + strings.Repeat(" ", 400) + `~§)}b{c:url(~§)}`},
		{"a name", `a{b:` + x + `url(§)}b{c:url(~§)}`},
		{"a name of escapes", `a{b:` + strings.Repeat(`\78 `, 500) + `url(§)}b{c:url(~§)}`},
		{"a comment", `/*` + x + `*` + x + `*/b{c:url(~§)}`},
		{"a variable", `a{--x:"<` + x + `"}b{c:url(~§)}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, want := cssExpand(tt.css)
			in, want = "<style>"+in+"</style>x", "<style>"+want+"</style>x"
			for _, n := range []int{1, 7, 100} {
				var chunks []string
				for rest := in; rest != ""; {
					k := min(n, len(rest))
					chunks, rest = append(chunks, rest[:k]), rest[k:]
				}
				if got := rewrite(t, o, chunks...); got != want {
					t.Errorf("chunks of %d:\ngot  %.600q\nwant %.600q", n, got, want)
				}
			}
		})
	}
	t.Run("an import that never ends", func(t *testing.T) {
		in, want := cssExpand(`@import "^§` + x + `" ` + x)
		in, want = "<style>"+in+"</style>x", "<style>"+want+"</style>x"
		if got := rewrite(t, o, strings.Split(in, "")...); got != want {
			t.Errorf("got %.600q\nwant %.600q", got, want)
		}
	})
}

// FuzzCSS checks that cuts do not change what a style sheet becomes, and that it only gains what
// puts a URL out of use.
func FuzzCSS(f *testing.F) {
	for _, tt := range cssTests {
		in, _ := cssExpand(tt.css)
		f.Add(in, uint64(1))
	}
	o := cssOptions(f)
	f.Fuzz(func(t *testing.T, css string, seed uint64) {
		if strings.Contains(strings.ToLower(css), "</") {
			return
		}
		css = "<style>" + css + "</style>"
		want := rewrite(t, o, css)
		if got := rewrite(t, o, strings.Split(css, "")...); got != want {
			t.Fatalf("byte by byte:\ngot  %q\nwant %q", got, want)
		}
		if got := rewrite(t, o, randomChunks(rand.New(rand.NewPCG(seed, 1)), css)...); got != want {
			t.Fatalf("seed %d:\ngot  %q\nwant %q", seed, got, want)
		}
		edits, err := oracle.Edits([]byte(css), []byte(want))
		if err != nil {
			t.Fatal(err)
		}
		if len(edits) == 0 && want != css {
			t.Fatal("an edit is not seen")
		}
		if again := rewrite(t, o, want); again != want {
			t.Fatalf("what is out of use is put out of use again:\ngot  %q\nwant %q", again, want)
		}
	})
}

var styleElement = regexp.MustCompile(`(?is)<style[^>]*>.*?</style`)

func benchStyle(b *testing.B, o Options, sheets ...string) {
	var docs [][]byte
	total := 0
	for _, s := range sheets {
		docs = append(docs, []byte(s))
		total += len(s)
	}
	r := New(io.Discard, o)
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		for _, doc := range docs {
			r.Reset(io.Discard, o)
			for len(doc) > 0 {
				n := min(len(doc), 32<<10)
				if _, err := r.Write(doc[:n]); err != nil {
					b.Fatal(err)
				}
				doc = doc[n:]
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkStyleSheets reads the style elements of the saved pages.
func BenchmarkStyleSheets(b *testing.B) {
	var sheets []string
	for _, p := range shared.Pages(b) {
		for _, s := range styleElement.FindAllString(string(p.Body), -1) {
			sheets = append(sheets, s+">")
		}
	}
	benchStyle(b, Options{Policy: policy(b, "block_active"), Page: rules.NewPage("https", "site.test")}, sheets...)
}

func BenchmarkWorstStyle(b *testing.B) {
	o := cssOptions(b)
	for _, tt := range []struct{ name, head, unit string }{
		{"Rules", "", "a{b:c}"},
		{"Parentheses", "", "("},
		{"Strings", "", `""`},
		{"Quote", `"`, "x "},
		{"CustomStrings", "a{--x:", `"/a"`},
		{"Comments", "", "/**/"},
		{"Slashes", "", "/"},
		{"Backslashes", "", `\`},
		{"Escapes", "a", `\61 `},
		{"Ats", "", "@a"},
		{"Name", "", "a"},
		{"URLs", "a{b:", "url(/a)"},
		{"OtherStrings", "a{--x:", `"/a""/b"`},
		{"OtherURLs", "a{b:", "url(/a)url(/b)"},
		{"OpenURL", "a{b:url(//a.test/", "x"},
		{"OpenURLs", "a{b:", "url("},
		{"DataURL", "a{b:url(data:,", "x"},
		{"ImageSets", "a{b:", "image-set("},
		{"Imports", "", "@import a;"},
		{"OpenImport", "@import url(", ";"},
		{"OpenComment", "/*", "*"},
		{"FontFace", "@font-face{", "a:b;"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			benchStyle(b, o, "<style>"+tt.head+strings.Repeat(tt.unit, 5<<20/len(tt.unit)))
		})
	}
}
