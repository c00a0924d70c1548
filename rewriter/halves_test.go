package rewriter

import (
	"bytes"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/rules"
)

// In these pages a byte of ASCII is the second half of a character, so that something is a reference that would
// be a string, a comment or nothing if the bytes were read by themselves. ¶ stands for such a first half, § for
// the URL of a blocked host.
var halfTests = []struct{ name, in string }{
	{"a quote behind a backslash", `<style>a{b:"¶\"; background:url(§)}/*"*/</style>`},
	{"a quote behind a backslash in a style attribute", `<p style='b:"¶\"; background:url(§);/*"*/'>`},
	{"a quote behind a backslash in a srcdoc", `<iframe srcdoc='<style>a{b:"¶\"; background:url(§)}/*"*/</style>'></iframe>`},
	{"a quote behind a backslash in a style in svg", `<svg><style>a{b:"¶\"; background:url(§)}/*"*/</style></svg>`},
	{"a parenthesis behind a backslash", `<style>a{background:url(¶\) , url(§);c:")"}</style>`},
	{"a name of a custom property", `<style>a{--¶}:"§";background:image-set(var(--¶}) 1x)}</style>`},
	{"the end of a CDATA section", `<svg><![CDATA[¶]]><!--]]><image href="§"/></svg>`},
	{"a quote behind a backslash in an import map", `<script type=importmap>{"imports":{"¶\":"§"}}</script>`},
}

func TestSecondHalvesOfCharacters(t *testing.T) {
	for charset, lead := range map[string]string{"shift_jis": "\x83", "gbk": "\x81", "gb18030": "\x81", "big5": "\xa5", "": "\x83"} {
		contentType := "text/html"
		if charset != "" {
			contentType += ";charset=" + charset
		}
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: contentType}
		for _, tt := range halfTests {
			t.Run(charset+"/"+tt.name, func(t *testing.T) {
				doc := strings.NewReplacer("¶", lead, "§", "http://tracker.test/x").Replace(tt.in)
				got := rewrite(t, o, doc)
				switch {
				case charset == "" && !strings.Contains(got, lead+"-\\") && !strings.Contains(got, lead+" ") && !strings.Contains(got, otherCharset):
					t.Errorf("left as it is: %q", got)
				case charset != "" && !strings.Contains(got, inert+"http") && !strings.Contains(got, "data-consent-"):
					t.Errorf("left: %q", got)
				}
				sameAtEveryCut(t, o, doc, got)

				// The same bytes where each is a character.
				o := o
				if o.ContentType = "text/html;charset=windows-1252"; rewrite(t, o, doc) != doc {
					t.Errorf("changed: %q", rewrite(t, o, doc))
				}
			})
		}
	}
}

// The byte before the one that is set apart may be out already, with markup behind it.
func TestStylesInSVGWithoutAnEncoding(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html"}
	for _, doc := range []string{"<svg><style>a@\xff<g", "<svg><style>//tracker.test/a@import \\'\x83@\xf0<p style='x", "<svg><style>a\xff<g></g>\\b{c:url(//tracker.test/x)}</style></svg>"} {
		doc = strings.Repeat(" ", 1100) + doc
		want := rewrite(t, o, doc)
		for _, size := range []int{1, 2, 5, 1024} {
			if got := rewriteFlushed(t, o, pieces(doc, size)); got != want {
				t.Errorf("in pieces of %d: %q, want %q", size, got, want)
			}
		}
	}
}

// UTF-8 that is sent without a word of it stays as it is where no encoding takes it for anything else.
func TestSheetsOfLatinLetters(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/css", CSS: true}
	sheet := `.café{quotes:"«\00a0" "\00a0»"}/* © */.größe\:x{a:b}.à@media{}q{content:'é\a'}`
	sameAtEveryCut(t, o, sheet, sheet)
}

// What is the second half of a character there stays with it: nothing is changed where nothing is blocked.
func TestPagesOfTwoByteCharactersStayAsTheyAre(t *testing.T) {
	for charset, text := range map[string]string{
		"shift_jis": "\x95\x5c\x8e\xa6\x83\x5c\x83\x7b\x83\x7d\x81\x40\xb1\xf0\x5c\xfa\x5c", "gbk": "\x81\x5c\x81\x40\x80\x81\x7d", "gb18030": "\x81\x5c\x81\x30\x81\x30\x81\x7b", "big5": "\xa5\x5c\xa5\x40\xb3\x5c",
	} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html;charset=" + charset}
		doc := strings.ReplaceAll(`<title>¶</title><style>a:after{content:"¶"}/* ¶ */</style><p title="¶" style="content:'¶'">¶<svg><![CDATA[¶]]></svg><script>"¶"</script><img src="/¶.png">`, "¶", text)
		sameAtEveryCut(t, o, doc, doc)
		blocked := doc + "<img src=http://tracker.test/x>"
		if got := rewrite(t, o, blocked); !strings.HasPrefix(got, doc+"<img data-consent") {
			t.Errorf("%s: %q", charset, got)
		}
	}
}

func sameAtEveryCut(t *testing.T, o Options, doc, want string) {
	t.Helper()
	for i := range doc {
		if got := rewrite(t, o, doc[:i], doc[i:]); got != want {
			t.Errorf("cut at %d:\ngot  %q\nwant %q", i, got, want)
			return
		}
	}
	if got := rewrite(t, o, strings.Split(doc, "")...); got != want {
		t.Errorf("byte by byte:\ngot  %q\nwant %q", got, want)
	}
}

// A document that names no encoding may be read in that of the page that shows it in a frame, and a style sheet in
// that of the page or the element that asks for it.
func TestEncodingsThatOthersLend(t *testing.T) {
	utf16 := func(s string) string { return "\x00" + strings.Join(strings.Split(s, ""), "\x00") }
	html := `<img src=http://tracker.test/x>`
	css := `a{background:url(http://tracker.test/x)}`
	for name, doc := range map[string]string{
		"UTF-16": utf16(html), "UTF-16LE": utf16(html)[1:] + "\x00", "ISO-2022-JP": "<p a='\x1b$B!'\x1b(B b=' >" + html + " '>",
	} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html", Framed: true}
		if got := rewrite(t, o, doc); mayBeOther([]byte(got)) {
			t.Errorf("%s: left %q", name, got)
		}
		sameAtEveryCut(t, o, doc, rewrite(t, o, doc))
		for _, c := range []struct {
			framed      bool
			contentType string
		}{{false, "text/html"}, {true, "text/html;charset=utf-8"}} {
			o.Framed, o.ContentType = c.framed, c.contentType
			if got := rewrite(t, o, doc); strings.Count(got, "\x00") != strings.Count(doc, "\x00") || strings.Count(got, "\x1b") != strings.Count(doc, "\x1b") {
				t.Errorf("%s, %v: %q", name, c, got)
			}
		}
	}
	for name, sheet := range map[string]string{
		"UTF-16": utf16(css), "UTF-16LE": utf16(css)[1:] + "\x00", "ISO-2022-JP": "a{b:'\x1b$B!'\x1b(B '}" + css + " '", "Shift_JIS": `a{b:"` + "\x83" + `\"}` + css + `/*"*/`,
	} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/css", CSS: true}
		reports := 0
		o.Report = func(rules.Resource, rules.Decision) { reports++ }
		if got := rewrite(t, o, sheet); got == sheet || mayBeOther([]byte(got)) || reports == 0 {
			t.Errorf("%s: left %q", name, got)
		}
		o.Report = nil
		sameAtEveryCut(t, o, sheet, rewrite(t, o, sheet))
		if o.Policy = o.Policy.Site().For(rules.Grants{Allowed: rules.SetOf(rules.Necessary, rules.Preferences, rules.Statistics, rules.Marketing)}); rewrite(t, o, sheet) != sheet {
			t.Errorf("%s: changed where everything is allowed", name)
		}
	}
}

// Chromium takes no white space for a part of a label.
func TestSheetsWithSpaceAroundTheirEncoding(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/css", CSS: true}
	for _, label := range []string{" utf-8", "utf-8 ", "\tutf-8", "utf-8\n", "utf-8" + strings.Repeat(" ", 100)} {
		sheet := `@charset "` + label + "\";a{b:'\x1b$B!'\x1b(B '}p{background:url(http://tracker.test/x)}/* '}*/"
		if got := rewrite(t, o, sheet); mayBeOther([]byte(got)) {
			t.Errorf("%q: left %q", label, got)
		}
		sameAtEveryCut(t, o, sheet, rewrite(t, o, sheet))
	}
	sheet := "@charset \"utf-8\";a{b:'\x1b'}"
	sameAtEveryCut(t, o, sheet, sheet)
}

// A data: URL that is a style sheet or a script can be in any encoding: it says so itself, or the element, or the page.
func TestDataURLsInOtherEncodings(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for _, doc := range []string{
		`<link rel=stylesheet charset=utf-16le href="data:text/css,a%00%7B%00">`,
		`<link rel=stylesheet href="data:text/css;charset=utf-16be,%00a%00%7B">`,
		`<link rel=stylesheet href="data:text/css;base64,//5hAHsA">`,
		`<link rel=stylesheet href="data:text/css,a%7Bb:'%1B$B!'%1B(B '%7D">`,
		`<link rel=stylesheet charset=gbk href="data:text/css,a%7Bb:'%81%5C'%7D">`,
		`<style>@import "data:text/css;charset=utf-16le,a%00";</style>`,
		`<script charset=utf-16le src="data:text/javascript,a%00"></script>`,
		`<script src="data:text/javascript;charset=iso-2022-jp,'%1B$B!'%1B(B'"></script>`,
		`<iframe src="data:text/html;charset=utf-16le,%3C%00i%00m%00g%00 %00s%00r%00c%00=%00/%00/%00t%00.%00e%00x%00a%00m%00p%00l%00e%00%3E%00"></iframe>`,
		`<iframe src="data:text/html;charset=gbk,%3Cstyle%3Ea%7Bb:%22%81\%22;c:url(//t.example)%7D/*%22*/"></iframe>`,
	} {
		if got := rewrite(t, o, doc); got == doc {
			t.Errorf("left: %q", got)
		}
	}
	for _, doc := range []string{
		`<link rel=stylesheet href="data:text/css,a%7Bcontent:'é%C3%A9'%7D">`, `<script src="data:text/javascript,'%C3%A9'"></script>`,
		`<img src="data:image/png;base64,iVBORwAA">`, `<style>@font-face{src:url(data:font/woff2;base64,AAAA)}</style>`,
	} {
		if got := rewrite(t, o, doc); got != doc {
			t.Errorf("changed: %q", got)
		}
	}
}

// Letters outside ASCII in a data: URL are those of the page, and become UTF-8 in the document; Chromium also takes an
// encoding that stands in quotes.
func TestDataURLsWithLettersOfThePage(t *testing.T) {
	utf16 := strings.NewReplacer(".", "%00").Replace("<.i.m.g. .s.r.c.=./././.t./.x.>.")
	for _, tt := range []struct{ name, charset, url string }{
		{"letters that look like a byte order mark", "windows-1252", "data:text/html,\xff\xfe<img src=//tracker.test/x>"},
		{"a letter that becomes two bytes", "windows-1252", "data:text/html;charset=utf-16le,\xe9" + utf16},
		{"a letter that looks like a first half", "windows-1252", `data:text/html;charset=gbk,<style>a{b:"` + "\x81" + `\"/*";c:url(//tracker.test/x);d:"*/"}</style>`},
		{"no letter in UTF-8", "utf-8", `data:text/html;charset=gbk,<style>a{b:"` + "\xe4\xb8" + `\";c:url(//tracker.test/x)}/*"*/</style>`},
		{"a letter in a host", "windows-1252", "data:text/html;charset=utf-8,<img src=http://tr\xe4cker.test/x>"},
		{"an encoding in quotes", "utf-8", `data:text/html;x="a;charset=utf-16le;",` + utf16},
	} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html;charset=" + tt.charset}
		doc := `<iframe src='` + tt.url + `'></iframe>`
		if got := rewrite(t, o, doc); got == doc {
			t.Errorf("%s: left %q", tt.name, got)
		}
		if o.Policy = o.Policy.Site().For(rules.Grants{Allowed: rules.All}); rewrite(t, o, doc) != doc {
			t.Errorf("%s: changed where everything is allowed", tt.name)
		}
	}
	for charset, url := range map[string]string{"windows-1252": "data:text/html,<p>\xe9", "utf-8": `data:text/html,<style>a{b:"é\a"}</style>`, "koi8-r": "data:text/html;charset=utf-8,\xff\xf0<p title=x>", "gbk": `data:text/html;x="y",<p>`} {
		o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html;charset=" + charset}
		if doc := `<iframe src='` + url + `'></iframe>`; rewrite(t, o, doc) != doc {
			t.Errorf("%s: changed: %q", charset, rewrite(t, o, doc))
		}
	}
}

// encodingParts are joined to documents whose bytes mean different things in different encodings.
var encodingParts = []string{"\x81", "\x83", "\x95", "\x95\\", "\x83}", "\xa1\\", "\x85", "\xa5", "\xf0", "\xff", "\x80", "\\", `\"`, `\'`, `"`, "'", "{", "}", "@", "]", "]]>", "<![CDATA[", "<style>", "</style>", "<svg>", "</svg>", "url(", ")",
	"//tracker.test/a", "@import ", ";", ":", "a", "/*", "*/", "<img src=//tracker.test/b>", "<p style='", "'>", "<!--", "-->", "\x1b$B", "\x1b(B", "\x00", "<", ">", "--x", "image-set(", "0", " ", "\n", "<iframe srcdoc='",
	`<link rel=stylesheet href="data:text/css,`, `">`, "<script type=importmap>{\"imports\":{\"", "</script>"}

// secondHalves returns for each first byte of an encoding which of halfBytes are its second, as a browser says.
func secondHalves(t testing.TB) map[string][]byte {
	text, err := os.ReadFile("testdata/halves.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		if name, bits, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			if all[name], err = hex.DecodeString(bits); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func TestSecondHalvesAreThoseOfBrowsers(t *testing.T) {
	all := secondHalves(t)
	if len(all) != len(doubleBytes) {
		t.Errorf("%d encodings", len(all))
	}
	for name, want := range all {
		got := doubleBytes[name]()
		for lead := range got {
			if lead <= 0x80 || lead == 0xff || name == "shift_jis" && (0xa0 <= lead && lead <= 0xdf || lead > 0xfc) {
				if got[lead] != 0 {
					t.Errorf("%s: %x begins a character", name, lead)
				}
			} else if got[lead] != isLead|want[lead-0x81] {
				t.Errorf("%s: %x has %b, want %b", name, lead, got[lead], want[lead-0x81])
			}
		}
	}
}

// decoded returns a document as a browser decodes it, with one character for all those of two bytes.
func decoded(halves map[string][]byte, name, doc string) string {
	bits := halves[name]
	var b strings.Builder
	for i := 0; i < len(doc); i++ {
		c := doc[i]
		lead := 0x81 <= c && c <= 0xfe && !(name == "shift_jis" && (0xa0 <= c && c <= 0xdf || c > 0xfc))
		switch {
		case c < 0x80:
			b.WriteByte(c)
		case lead && i+1 < len(doc) && doc[i+1] >= 0x80:
			b.WriteString("一")
			i++
		case lead && i+1 < len(doc) && bits[c-0x81]&halfBit[doc[i+1]] != 0:
			b.WriteString("一")
			i++
		default:
			b.WriteString("\ufffd")
		}
	}
	return b.String()
}

func rewriteFlushed(t testing.TB, o Options, pieces []string) string {
	var out bytes.Buffer
	r := New(&out, o)
	for _, p := range pieces {
		if _, err := r.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// FuzzEncodings checks that nothing fetches from a blocked host in a document as it is decoded, in any of the encodings
// that browsers may take where it names none.
func FuzzEncodings(f *testing.F) {
	for seed := range uint64(600) {
		f.Add(seed)
	}
	p := policy(f, "block")
	page := rules.NewPage("https", "site.test")
	halves := secondHalves(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 13))
		names := slices.Sorted(maps.Keys(doubleBytes))
		o := Options{Policy: p, Page: page, ContentType: "text/html"}
		if i := int(seed % 6); i < len(names) {
			names = names[i : i+1]
			o.ContentType += ";charset=" + names[0]
		} else {
			o.Framed = i == 5
		}
		if rnd.IntN(3) == 0 {
			o.MaxTag, o.MaxScript = 64, 128
		}
		doc := []string{"", "<style>", "<svg><![CDATA[", "<svg><style>", "<p style='", `<p style="`}[rnd.IntN(6)]
		for range 3 + rnd.IntN(30) {
			part := encodingParts[rnd.IntN(len(encodingParts))]
			if rnd.IntN(12) == 0 {
				part = strings.Repeat(part, 30)
			}
			doc += part
		}
		doc += "</script>" // one that the end cuts off does not run, which html.Parse does not tell
		known := len(names) == 1
		if !known && rnd.IntN(2) == 0 {
			doc, known = strings.Repeat(" ", prescan)+doc, true
		}
		want := rewrite(t, o, doc)
		for _, size := range []int{1, 2, 7, 30} {
			if got := rewrite(t, o, pieces(doc, size)...); got != want {
				t.Fatalf("in pieces of %d: %q\ngot  %q\nwant %q", size, doc, got, want)
			}
			if got := rewriteFlushed(t, o, pieces(doc, size)); known && got != want {
				t.Fatalf("in pieces of %d, flushed: %q\ngot  %q\nwant %q", size, doc, got, want)
			}
		}
		if _, err := oracle.Edits([]byte(doc), []byte(want)); err != nil && len(names) == 1 { // nor does the oracle know what keeps characters apart
			t.Fatalf("%v\nin  %q\nout %q", err, doc, want)
		}
		if o.Framed && mayBeOther([]byte(want)) {
			t.Fatalf("left: %q", want)
		}
		for _, name := range names {
			for _, l := range oracle.Fetchable([]byte(decoded(halves, name, want)), p, page.WithCharset("utf-8")) {
				if !strings.ContainsRune(l, utf8.RuneError) {
					t.Fatalf("left as %s: %q\nin  %q\nout %q", name, l, doc, want)
				}
			}
		}
	})
}

// A document that is remembered from a page of its own may be followed in a frame: none is remembered that differs there.
func TestDocumentsInFramesAreFollowed(t *testing.T) {
	own := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html", every: 64}
	framed := own
	framed.Framed = true
	page := strings.Repeat("<p>text</p>\n<img src=//tracker.test/x>", 200)
	if earlier(t, own, page+"\x1b$B") != nil || earlier(t, own, page+"<\x00") != nil {
		t.Error("a document is remembered that differs in a frame")
	}
	e := earlier(t, own, page)
	if e == nil {
		t.Fatal("nothing is remembered")
	}
	for _, doc := range []string{page, page[:3000] + "\x1b$B<\x00" + page[3000:], page + "\x00"} {
		want, _ := rewriteAll(t, framed, nil, doc)
		got, r := rewriteAll(t, framed, func(r *Rewriter) { r.Follow(e) }, pieces(doc, 500)...)
		if !got.equals(want) || r.Followed() == 0 {
			t.Errorf("%d bytes were followed; got %q\nwant %q", r.Followed(), got.out, want.out)
		}
	}
}
