package rewriter

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// standardEncoding is what the HTML Standard's algorithm alone gives.
func standardEncoding(doc string) string {
	p := prescanner{b: []byte(doc[:min(len(doc), prescan)])}
	return p.meta()
}

func TestPrescan(t *testing.T) {
	fill := func(n int) string { return "<!--" + strings.Repeat("x", n-len("<!---->")) + "-->" }
	for _, tt := range []struct{ name, doc, standard, want string }{
		{"double quotes", `<meta charset="windows-1251">`, "windows-1251", "windows-1251"},
		{"single quotes", `<meta charset='windows-1251'>`, "windows-1251", "windows-1251"},
		{"no quotes", `<meta charset=windows-1251>`, "windows-1251", "windows-1251"},
		{"no quotes before a slash", `<meta charset=windows-1251/>`, "", ""},
		{"no quotes, a space and a slash", `<meta charset=windows-1251 />`, "windows-1251", "windows-1251"},
		{"capitals", `<META CHARSET="Windows-1251">`, "windows-1251", "windows-1251"},
		{"another label", `<meta charset=cp1251>`, "windows-1251", "windows-1251"},
		{"latin-1 is windows-1252", `<meta charset=iso-8859-1>`, "windows-1252", "windows-1252"},
		{"spaces around the label", "<meta charset=' \twindows-1251\n '>", "windows-1251", "windows-1251"},
		{"a vertical tab is no space", "<meta charset='\vwindows-1251'>", "", ""},
		{"a Kelvin sign is no K", "<meta charset=\u212Aoi8-r>", "", ""},
		{"spaces around =", "<meta\tcharset \n= \f'koi8-r'>", "koi8-r", "koi8-r"},
		{"a slash for a space", `<meta/charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"an attribute before", `<meta name="a>b" charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"a slash ends a name", `<meta charset/=koi8-r>`, "", ""},
		{"no attributes", `<meta><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"no value", `<meta charset><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"another element", `<metas charset=gbk><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"a tag in a tag", `<meta <meta charset='euc-jp'>`, "euc-jp", "euc-jp"},
		{"iso-2022-jp", `<meta charset="iso-2022-jp">`, "iso-2022-jp", "iso-2022-jp"},
		{"replacement", `<meta charset="iso-2022-kr">`, "replacement", ""},
		{"letters in a host behind a tab", "<img src='/\t/a\xaa.test/'><meta charset=gbk>", "gbk", ""},
		{"letters in a host behind a slash in a reference", "<img src='&#47;/a\xaa.test/'><meta charset=gbk>", "gbk", ""},
		{"letters in a host behind a backslash in a reference", "<img src='/&bsol;a\xaa.test/'><meta charset=gbk>", "gbk", ""},
		{"letters in a host behind a name with a space", "<img src='//a b@a\xaa.test/'><meta charset=gbk>", "gbk", ""},
		{"letters that may hide an @", "<img src='//a b\x81@a.test/'><meta charset=gbk>", "gbk", ""},
		{"letters behind a reference that is no slash", "<title>A &amp;\xaa &mdash;\xaa</title><meta charset=gbk>", "gbk", "gbk"},
		{"iso-2022-jp behind an escape", "\x1b$B<meta charset=iso-2022-jp>", "iso-2022-jp", ""},
		{"iso-2022-jp before an escape", "<meta charset=iso-2022-jp>\x1b$B", "iso-2022-jp", "iso-2022-jp"},
		{"UTF-16 means UTF-8", `<meta charset="utf-16">`, "utf-8", "utf-8"},
		{"UTF-16BE means UTF-8", `<meta http-equiv=content-type content="text/html;charset=utf-16be">`, "utf-8", "utf-8"},
		{"x-user-defined means windows-1252", `<meta charset="x-user-defined">`, "windows-1252", "windows-1252"},
		{"an unknown label", `<meta charset="none"><meta charset="koi8-r">`, "koi8-r", "koi8-r"},
		{"an empty label", `<meta charset=""><meta charset="koi8-r">`, "koi8-r", "koi8-r"},
		{"the first of two", `<meta charset="gbk"><meta charset="koi8-r">`, "gbk", "gbk"},
		{"duplicates", `<meta charset="gbk" charset="koi8-r">`, "gbk", ""},
		{"duplicates of another attribute", `<meta name=a name=b charset="gbk">`, "gbk", "gbk"},

		{"content behind http-equiv", `<meta http-equiv="Content-Type" content="text/html; charset=gbk">`, "gbk", "gbk"},
		{"content before http-equiv", `<meta content="text/html; charset=gbk" http-equiv="content-TYPE">`, "gbk", "gbk"},
		{"content alone", `<meta content="text/html; charset=gbk">`, "", ""},
		{"another pragma", `<meta http-equiv="refresh" content="text/html; charset=gbk">`, "", ""},
		{"a pragma with a space", `<meta http-equiv="content-type " content="charset=gbk">`, "", ""},
		{"charset before content", `<meta charset=gbk content="charset=koi8-r">`, "gbk", "gbk"},
		{"charset behind content", `<meta content="charset=koi8-r" charset=gbk>`, "gbk", "gbk"},
		{"charset behind content and pragma", `<meta http-equiv=content-type content="charset=koi8-r" charset=gbk>`, "gbk", "gbk"},
		{"an unknown charset before content", `<meta charset=none http-equiv=content-type content="charset=koi8-r">`, "", ""},
		{"an unknown charset behind content", `<meta http-equiv=content-type content="charset=koi8-r" charset=none>`, "", ""},
		{"spaces in content", "<meta http-equiv=content-type content='text/html; CharSet \t=\n gbk ; x'>", "gbk", "gbk"},
		{"quotes in content", `<meta http-equiv=content-type content="text/html; charset = 'gbk' x">`, "gbk", "gbk"},
		{"an open quote in content", `<meta http-equiv=content-type content="text/html; charset='gbk">`, "", ""},
		{"a quote behind the label", `<meta http-equiv=content-type content="text/html; charset=gbk'">`, "", ""},
		{"a second word", `<meta http-equiv=content-type content="charset gbk; charset=koi8-r">`, "koi8-r", "koi8-r"},
		{"a word in a word", `<meta http-equiv=content-type content="xcharset=koi8-r">`, "koi8-r", ""},
		{"a control in content", "<meta http-equiv=content-type content='charset\v=gbk; charset=koi8-r'>", "koi8-r", ""},
		{"unquoted content", `<meta http-equiv=content-type content=text/html;charset=gbk>`, "gbk", "gbk"},
		{"an unknown label in content", `<meta http-equiv=content-type content="charset=none"><meta charset=gbk>`, "gbk", "gbk"},
		{"a reference", `<meta charset="&#103;bk"><meta charset=koi8-r>`, "koi8-r", ""},
		{"a reference to what is there", `<meta http-equiv="content-type" content="text/html;&#32;charset=gbk">`, "gbk", "gbk"},
		{"a reference elsewhere", `<meta name=x content="a &amp; b"><meta charset=gbk>`, "gbk", "gbk"},

		{"a comment", `<!-- <meta charset=gbk> --><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"an empty comment", `<!--><meta charset=gbk>-->`, "gbk", "gbk"},
		{"another empty comment", `<!---><meta charset=gbk>-->`, "gbk", "gbk"},
		{"a comment of dashes", `<!------><meta charset=gbk>`, "gbk", "gbk"},
		{"an open comment", `<!-- <meta charset=gbk>`, "", ""},
		{"a comment with --!>", `<!-- --!><meta charset=gbk>--><meta charset=koi8-r>`, "koi8-r", ""},
		{"no end at <!--!>", `<!--!><meta charset=gbk>--><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"a doctype", `<!DOCTYPE html PUBLIC "<meta charset=gbk>" ""><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"a bogus comment", `<! <meta charset=gbk><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"a processing instruction", `<?x <meta charset=gbk><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"an end tag that is none", `</ <meta charset=gbk><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"an end tag", `</meta charset=gbk><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"quotes in an end tag", `</p a="<meta charset=gbk>"><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"quotes in a tag", `<p a='<meta charset=gbk>'><meta charset=koi8-r>`, "koi8-r", "koi8-r"},
		{"a less-than sign", `1 < 2 <3 << <meta charset=gbk>`, "gbk", "gbk"},
		{"a slash in a name", `<a/b=">" c="<meta charset=gbk>"><meta charset=koi8-r>`, "gbk", ""},
		{"in a body", `<body><p>text<meta charset=gbk>`, "gbk", "gbk"},
		{"bytes before", "\xe4\xff\x00<meta charset=gbk>", "gbk", "gbk"},

		{"in a script", `<script>"<meta charset=gbk>"</script>`, "gbk", ""},
		{"in a script and behind", `<script>"<meta charset=gbk>"</script><meta charset=koi8-r>`, "gbk", ""},
		{"the same behind a script", `<script>"<meta charset=gbk>"</script><meta charset=gbk>`, "gbk", "gbk"},
		{"behind a script", `<script>if (a<b && c>d) "</scripts>"</script ><meta charset=gbk>`, "gbk", "gbk"},
		{"behind a hidden script", `<script><!-- a() --></script><meta charset=gbk>`, "gbk", "gbk"},
		{"behind a script in a script", `<script><!-- <script> </script> --></script><meta charset=gbk>`, "gbk", ""},
		{"a comment in a script", `<script>"<!--"</script><meta charset=gbk>--><meta charset=koi8-r>`, "koi8-r", ""},
		{"in a title", `<TITLE><meta charset=gbk></title><meta charset=koi8-r>`, "gbk", ""},
		{"behind a title", `<title>a</TITLE><meta charset=gbk>`, "gbk", "gbk"},
		{"an open title", `<title>a<meta charset=gbk>`, "gbk", ""},
		{"in a style sheet", `<style><meta charset=gbk></style>`, "gbk", ""},
		{"in plain text", `<plaintext><meta charset=gbk></plaintext><meta charset=gbk>`, "gbk", ""},
		{"in noscript", `<noscript><meta charset=gbk></noscript>`, "gbk", ""},
		{"in svg", `<svg><meta charset=gbk>`, "gbk", ""},
		{"in select", `<select><meta charset=gbk>`, "gbk", ""},

		{"cut off in a tag", fill(prescan-len(`<meta charset=gbk`)) + `<meta charset=gbk>`, "", ""},
		{"the last bytes", fill(prescan-len(`<meta charset=gbk>`)) + `<meta charset=gbk>`, "gbk", "gbk"},
		{"too late", fill(prescan) + `<meta charset=gbk>`, "", ""},
		{"the end in a tag", `<meta charset=gbk`, "", ""},
		{"the end in a quote", `<meta charset="gbk`, "", ""},
		{"the end behind a quote", `<meta charset="gbk"`, "", ""},
		{"the end in a name", `<meta`, "", ""},
		{"the end in an end tag", `</`, "", ""},
		{"nothing", ``, "", ""},
	} {
		doc := []byte(tt.doc)
		if got := standardEncoding(tt.doc); got != tt.standard {
			t.Errorf("%s: by the Standard %q, want %q", tt.name, got, tt.standard)
		}
		if got := metaEncoding(doc[:min(len(doc), prescan)]); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// html5lib's tests of the prescan. The encoding is windows-1252 where nothing names one.
func TestPrescanSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared.Dir(t), "corpus/suites/html5lib-tests/encoding/*.dat"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	tests, certain := 0, 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(data), "\n#data\n")[1:] {
			doc, rest, _ := strings.Cut(part, "\n#encoding\n")
			want, _, _ := strings.Cut(rest, "\n")
			want = encodingName(want)
			if strings.HasPrefix(doc, "\xef\xbb\xbf") {
				continue
			}
			got := standardEncoding(doc)
			if got == "" {
				got = "windows-1252"
			}
			if got != want && (got != "windows-1252" || len(doc) <= prescan) { // what stands behind is not searched
				t.Errorf("%s: %q, want %q: %.200q", filepath.Base(file), got, want, doc)
			}
			if tests++; metaEncoding([]byte(doc[:min(len(doc), prescan)])) == want {
				certain++
			}
		}
	}
	if tests < 80 {
		t.Errorf("only %d tests", tests)
	}
	t.Logf("%d tests, %d encodings are certain", tests, certain)
}

// A parameter of another name is none, however much it looks like one.
func TestEncodingsInHeaders(t *testing.T) {
	for in, want := range map[string]string{
		"text/html; charset=utf-8": "utf-8", "text/html;CHARSET=UTF-8": "utf-8", `text/html; x="a;charset=big5";charset="gbk"`: "gbk", "text/html;charset= gbk ": "gbk", "text/html;charset=;charset=gbk": "gbk", "text/html;charset=x;charset=gbk": "", `text/html;charset="";charset=gbk`: "",
		"text/html; char\u017fet=utf-8": "", "text/html; char\u017fet=gbk": "", "text/html;\u00a0charset=utf-8": "", "text/html;\vcharset=utf-8": "", "text/html;charset =gbk": "", `text/html;charset= "gbk"`: "",
	} {
		if got := HeaderCharset(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPrescanAllocatesNothing(t *testing.T) {
	doc := []byte(`<!DOCTYPE html><html><head><meta name=a content="b &amp; c"><title>x</title><meta http-equiv="Content-Type" content="text/html; charset=Windows-1251">`)
	if n := testing.AllocsPerRun(100, func() {
		if metaEncoding(doc) != "windows-1251" {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheEncodingIsReadFromThePage(t *testing.T) {
	const (
		cyrillic = "<img src=http://\xf2\xf0\xe5\xea\xe5\xf0.test/x>" // трекер in windows-1251
		japanese = "<meta charset=iso-2022-jp>\x1b$B<img src=http://tracker.test/x>\x1b(B<img src=http://tracker.test/y>"
	)
	p := rules.NewPage("https", "site.test")
	late := "<!--" + strings.Repeat("x", prescan) + "-->"
	for _, tt := range []struct{ name, doc, want string }{
		{"windows-1251", `<meta charset=windows-1251>` + cyrillic, "xn--e1aaowdh.test unclassified"},
		{"windows-1251 by pragma", `<meta http-equiv=Content-Type content="text/html; charset=windows-1251">` + cyrillic, "xn--e1aaowdh.test unclassified"},
		{"latin-1", `<meta charset=iso-8859-1>` + cyrillic, "xn--5caaowdh.test unclassified"},
		{"unknown", cyrillic, " ambiguous:host"},
		{"too late", late + `<meta charset=windows-1251>` + cyrillic, " ambiguous:host"},
		{"in a title", `<title><meta charset=windows-1251></title>` + cyrillic, " ambiguous:host"},
		{"an XML declaration, which a late meta element may overrule", `<?xml encoding="windows-1251"?>` + cyrillic, " ambiguous:host"},
		{"iso-2022-jp", japanese, "tracker.test unclassified"},
		{"iso-2022-jp in an XML declaration and a meta element", `<?xml encoding="iso-2022-jp"?>` + japanese, "tracker.test unclassified"},
		{"iso-2022-jp too late", late + japanese, " ambiguous:late-charset|tracker.test unclassified|tracker.test unclassified"},
		{"iso-2022-jp in select", `<select><meta charset=iso-2022-jp></select>`, " ambiguous:late-charset"},
		{"iso-2022-jp with parameters", late + `<meta http-equiv=content-type content="charset, charset=iso-2022-jp;x">`, " ambiguous:late-charset"},
		{"iso-2022-jp in an XML declaration", `<?xml encoding="iso-2022-jp"?>`, " ambiguous:late-charset"},
		{"iso-2022-jp behind letters in an XML declaration", "<?xml encoding\x80=\xff'iso-2022-jp'?>", " ambiguous:late-charset"},
		{"iso-2022-jp at the end of a long XML declaration", `<?xml ` + strings.Repeat(" ", prescan) + ` encoding="iso-2022-jp"?>`, " ambiguous:late-charset"},
		{"UTF-16 by its XML declaration", "<\x00?\x00x\x00m\x00l\x00?\x00>\x00<\x00i\x00m\x00g\x00 \x00s\x00r\x00c\x00=\x00/\x00/\x00t\x00.\x00t\x00e\x00s\x00t\x00>\x00", "t.test unclassified"},
		{"replacement", `<meta charset=iso-2022-kr><img src=//tracker.test>`, "tracker.test unclassified"},
		{"UTF-8 behind a host that is none in it", "<img src=http://tr\xe4cker.test/x><meta charset=utf-8>", " ambiguous:host"},
		{"UTF-8 behind the site's host in full-width letters", "<img src=http://ｓite.test/x><meta charset=utf-8>", " ambiguous:host"},
		{"UTF-8 behind letters in a path", "<link href=https://site.test/ä><meta charset=utf-8><img src=http://ｓite.test/x>", ""},
		{"UTF-8 behind the same, and text", "<title>ä</title><meta charset=utf-8><img src=http://ｓite.test/x>", ""},
		{"replacement behind an image", `<img src=//tracker.test><meta charset=hz-gb-2312>`, "tracker.test unclassified"},
		{"iso-2022-jp behind an image that it hides", "\x1b$B<img src=//tracker.test>\x1b(B<meta charset=iso-2022-jp>", "tracker.test unclassified| ambiguous:late-charset"},
		{"characters of two bytes behind a section that they keep open", "<svg><![CDATA[\x81]]>--><image href=//tracker.test /><!--]]></svg><meta charset=gbk>", " ambiguous:charset|tracker.test unclassified"},
	} {
		var got []string
		o := Options{Policy: policy(t, "block"), Page: p, Report: func(_ rules.Resource, d rules.Decision) {
			got = append(got, d.Host+" "+d.Rule)
		}}
		out := rewrite(t, o, tt.doc)
		if s := strings.Join(got, "|"); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
		if (out == tt.doc) != (tt.want == "") {
			t.Errorf("%s: the output is %q", tt.name, out)
		}
		o.Report = nil
		if s := rewrite(t, o, strings.Split(tt.doc, "")...); s != out {
			t.Errorf("%s: byte by byte %q, want %q", tt.name, s, out)
		}
	}
	o := Options{Policy: policy(t, "block"), Page: p}
	if out, want := rewrite(t, o, `<?xml encoding="iso-2022-jp"?><p>`), `<?data-consent-xml encoding="iso-2022-jp"?><p>`; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	long := `<meta ` + strings.Repeat("x", DefaultMaxTag) + ` charset=iso-2022-jp>`
	if out := rewrite(t, o, long); !strings.Contains(out, " data-consent-charset=") {
		t.Errorf("a long tag ends in %q", out[len(out)-60:])
	}
}

// A document may be flushed before its encoding is known. An encoding that it names then still counts.
func TestFlushedDocumentsNameTheirEncoding(t *testing.T) {
	image := "<img src=http://\xf2\xf0\xe5\xea\xe5\xf0.test/x>"
	utf16 := strings.Join(strings.Split("<?xml?><img src=//t.test>", ""), "\x00") + "\x00"
	for _, tt := range []struct{ name, doc, want string }{
		{"windows-1251", `<!DOCTYPE html><meta charset=windows-1251>` + image, "xn--e1aaowdh.test unclassified"},
		{"behind a base", `<base href=/a/><meta charset=windows-1251>` + image, "xn--e1aaowdh.test unclassified"},
		{"before a base", `<meta charset=windows-1251><base href=//t.test/><img src=x>`, "t.test unclassified"},
		{"too late", `<!--` + strings.Repeat("x", prescan) + `--><meta charset=windows-1251>` + image, " ambiguous:host"},
		{"iso-2022-jp", `<!DOCTYPE html><meta charset=iso-2022-jp><img src=//t.test>`, " ambiguous:late-charset|t.test unclassified"},
		{"an XML declaration", `<?xml encoding="iso-2022-jp"?><img src=//t.test>`, " ambiguous:late-charset|t.test unclassified"},
		{"an XML declaration of another", `<?xml encoding="utf-8"?><img src=//t.test>`, "t.test unclassified"},
		{"UTF-16", utf16, "t.test unclassified"},
		{"characters of two bytes", "<!DOCTYPE html><meta charset=gbk>\x81<style>a{b:\"\x81\\\"; c:url(//t.test)}/*\"*/</style>", "t.test unclassified"},
	} {
		for _, framed := range []bool{false, true} {
			o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test"), Framed: framed}
			var got []string
			var out bytes.Buffer
			o.Report = func(_ rules.Resource, d rules.Decision) { got = append(got, d.Host+" "+d.Rule) }
			r := New(&out, o)
			for i := range len(tt.doc) {
				if _, err := r.Write([]byte(tt.doc[i : i+1])); err != nil {
					t.Fatal(err)
				}
				if err := r.Flush(); err != nil {
					t.Fatal(err)
				}
				if i == len("<!DOCTYPE html>") && strings.HasPrefix(tt.doc, "<!D") && out.Len() < i {
					t.Errorf("%s: %d of %d bytes have left", tt.name, out.Len(), i)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got, "|"); s != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
			}
		}
	}
}

// FuzzPrescan compares the Standard's algorithm with x/net's, and looks for encodings that are certain
// though the two do not agree.
func FuzzPrescan(f *testing.F) {
	for _, doc := range []string{
		`<!-- x --><meta charset="windows-1251">`, `<meta http-equiv=content-type content="text/html; charset='koi8-r'">`, `<a b="c>d" e=f/><meta/charset=gbk>`,
		`<meta charset=none><?x><!y></z w><meta charset=utf-16>`, `<meta content=charset=big5 http-equiv=content-type>`, `<title>x</title><meta charset=euc-kr>`,
	} {
		f.Add(doc, uint16(9))
	}
	f.Fuzz(func(t *testing.T, doc string, cut uint16) {
		doc = doc[:min(len(doc), prescan)]
		got, certain := standardEncoding(doc), metaEncoding([]byte(doc))
		if certain != "" && certain != got {
			t.Fatalf("%q is certain where the Standard says %q: %q", certain, got, doc)
		}
		if early := metaEncoding([]byte(doc[:min(len(doc), int(cut))])); early != "" && early != certain {
			t.Fatalf("%q in the first %d bytes, %q in all: %q", early, cut, certain, doc)
		}
		if !comparable(doc) {
			return
		}
		_, want, _ := charset.DetermineEncoding([]byte(doc), "text/html")
		if want == "x-user-defined" {
			want = "windows-1252"
		}
		if got == "" { // x/net's defaults
			got = want
			if want != "utf-8" && want != "windows-1252" {
				t.Fatalf("nothing, x/net says %q: %q", want, doc)
			}
		}
		if got != want {
			t.Fatalf("%q, x/net says %q: %q", got, want, doc)
		}
	})
}

// comparable reports whether a document has nothing that x/net reads in another way than the Standard:
// a byte order mark, what a tokenizer sees, and meta elements whose charset is unknown or not alone.
func comparable(doc string) bool {
	for _, bom := range []string{"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"} {
		if strings.HasPrefix(doc, bom) {
			return false
		}
	}
	if strings.ContainsAny(doc, "&\x00\v\u212A\u017F") || strings.Contains(doc, "--!>") {
		return false
	}
	z := html.NewTokenizer(strings.NewReader(doc))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return !bytes.Contains(z.Raw(), []byte("<"))
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := string(z.Raw())
			tok := z.Token()
			switch tok.Data {
			case "title", "textarea", "script", "style", "iframe", "xmp", "noframes", "noembed", "noscript", "plaintext":
				return false
			}
			if i := strings.IndexAny(raw, "/ \t\n\f\r"); i > 0 && raw[i] == '/' && tok.Data != "meta" {
				return false
			}
			seen := make(map[string]bool)
			for _, a := range tok.Attr {
				if tok.Data == "meta" && (a.Key == "charset" && (seen["content"] || encodingName(a.Val) == "") || a.Key == "content" && seen["charset"]) {
					return false
				}
				seen[a.Key] = true
			}
		}
	}
}
