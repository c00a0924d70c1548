package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Chromium takes the encoding of a page from where the rewriter expects it to: want is what it says of the page
// as it comes, and rewritten where that is another. Lines in which the HTML Standard's prescan finds something
// else than Chromium are those that the rewriter holds to be uncertain.
func TestEncodingsInABrowser(t *testing.T) {
	chromium(t)
	late := "<!--" + strings.Repeat("x", 2000) + "-->"
	tests := []struct{ name, doc, want, rewritten string }{
		{"charset", `<meta charset=windows-1251>`, "windows-1251", ""},
		{"pragma", `<meta http-equiv=Content-Type content="text/html; charset='koi8-r'">`, "KOI8-R", ""},
		{"UTF-16 means UTF-8", `<meta charset=utf-16>`, "UTF-8", ""},
		{"x-user-defined", `<meta charset=x-user-defined>`, "windows-1252", ""},
		{"iso-2022-jp", `<meta charset=iso-2022-jp>`, "ISO-2022-JP", ""},
		{"replacement", `<meta charset=iso-2022-kr>`, "replacement", ""},
		{"an unknown label, then another", `<meta charset=none><meta charset=gbk>`, "GBK", ""},
		{"behind a comment", `<!--><meta charset=gbk>-->`, "GBK", ""},
		{"in a body", `<body><p>x<meta charset=gbk>`, "GBK", ""},

		{"duplicates", `<meta charset=gbk charset=koi8-r>`, "KOI8-R", ""},
		{"in a script", `<script>"<meta charset=gbk>"</script><meta charset=koi8-r>`, "KOI8-R", ""},
		{"in a title", `<title><meta charset=gbk></title><meta charset=koi8-r>`, "KOI8-R", ""},
		{"in noscript", `<noscript><meta charset=gbk></noscript>`, "GBK", ""},
		{"a reference", `<meta charset="&#103;bk"><meta charset=koi8-r>`, "GBK", ""},
		{"--!>", `<!-- --!><meta charset=gbk>--><meta charset=koi8-r>`, "GBK", ""},

		{"late in a head", late + `<meta charset=gbk>`, "GBK", ""},
		{"late in a body", late + `<body><meta charset=gbk>`, "windows-1252", ""},
		{"an XML declaration", `<?xml encoding="gbk">`, "GBK", ""},
		{"an XML declaration and a meta element", `<?xml encoding="gbk"?><meta charset=koi8-r>`, "KOI8-R", ""},
		{"an XML declaration and a late meta element", `<?xml encoding="gbk"?>` + late + `<meta charset=koi8-r>`, "KOI8-R", ""},
		{"UTF-16 by its XML declaration", "<\x00?\x00x\x00m\x00l\x00?\x00>\x00", "UTF-16LE", ""},

		{"iso-2022-jp late", late + `<meta charset=iso-2022-jp>`, "ISO-2022-JP", "windows-1252"},
		{"iso-2022-jp in select", `<select><meta charset=iso-2022-jp></select>`, "ISO-2022-JP", "windows-1252"},
		{"iso-2022-jp as a second word", late + `<meta http-equiv=content-type content="charset, charset=iso-2022-jp;x">`, "ISO-2022-JP", "windows-1252"},
		{"iso-2022-jp in a long tag", late + `<meta ` + strings.Repeat("x", 70<<10) + ` charset=iso-2022-jp>`, "ISO-2022-JP", "windows-1252"},
		{"iso-2022-jp in an XML declaration", `<?xml encoding="iso-2022-jp"?>`, "ISO-2022-JP", "windows-1252"},
		{"iso-2022-jp in a long XML declaration", `<?xml ` + strings.Repeat(" ", 2000) + ` encoding="iso-2022-jp"?>`, "ISO-2022-JP", "windows-1252"},
	}
	pages := make(map[string]string)
	for _, tt := range tests {
		pages["/"+strings.ReplaceAll(tt.name, " ", "_")] = tt.doc
	}
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, pages[r.URL.Path])
	})
	c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+up+"\n}\n")
	b := startBrowser(t, startSink(t), map[string]string{"plain.test": up, "site.test": c.addr("8080")})
	x, end := b.tab(true)
	defer end()
	for _, tt := range tests {
		if tt.rewritten == "" {
			tt.rewritten = tt.want
		}
		for host, want := range map[string]string{"plain.test": tt.want, "site.test": tt.rewritten} {
			x.must(chromedp.Navigate("http://" + host + "/" + strings.ReplaceAll(tt.name, " ", "_")))
			if got := eval[string](x, "document.characterSet"); got != want {
				t.Errorf("%s: at %s Chromium reads it as %s, want %s", tt.name, host, got, want)
			}
		}
	}
}

// encodingVectors are pages in which something is a reference only in the encoding that a browser takes for them, or for
// what they are made of: that of their header, of the page around a frame, or of the element that asks for a style sheet.
func encodingVectors() (pages, parts []*vector) {
	add := func(to *[]*vector, id, contentType, body string) {
		*to = append(*to, &vector{ID: id, Scope: "static", ContentType: &contentType, Body: []byte(body)})
	}
	utf16 := func(s string) string { return strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	jis := func(mark, before, s, after string) string {
		return before + mark + "\x1b$B" + mark + "!\x1b(B " + mark + after + s
	}
	url := func(id string) string { return "http://tracker.test/" + id + "/x.png" }
	for charset, coded := range map[string]func(kind, s string) string{
		"utf-16le": func(_, s string) string { return utf16(s) },
		"utf-16be": func(_, s string) string { return "\x00" + strings.TrimSuffix(utf16(s), "\x00") },
		"iso-2022-jp": func(kind, s string) string {
			if kind == "css" {
				return jis("'", "a{b:", s, "}") + " '"
			}
			return jis("'", "<p a=", s, ">") + " '>"
		},
	} {
		plain := func(_, s string) string { return s }
		if strings.HasPrefix(charset, "utf-16") {
			plain = coded
		}
		id := "enc-frame-" + charset
		add(&parts, id+"-doc", "text/html", coded("html", `<img src="`+url(id)+`">`))
		add(&pages, id, "text/html;charset="+charset, plain("html", `<!DOCTYPE html><iframe src="`+id+`-doc"></iframe>`))
		id = "enc-object-" + charset
		add(&parts, id+"-doc", "text/html", coded("html", `<img src="`+url(id)+`">`))
		add(&pages, id, "text/html;charset="+charset, plain("html", `<!DOCTYPE html><object type=text/html data="`+id+`-doc"></object>`))
		id = "enc-sheet-" + charset
		add(&parts, id+".css", "text/css", coded("css", "p{background:url("+url(id)+")}"))
		add(&pages, id, "text/html;charset="+charset, plain("html", `<!DOCTYPE html><link rel=stylesheet href="`+id+`.css"><p>x`))
		id = "enc-link-" + charset
		add(&parts, id+".css", "text/css", coded("css", "p{background:url("+url(id)+")}"))
		add(&pages, id, "text/html;charset=utf-8", `<!DOCTYPE html><link rel=stylesheet charset=`+charset+` href="`+id+`.css"><p>x`)
		id = "enc-data-" + charset
		add(&pages, id, "text/html;charset=utf-8", `<!DOCTYPE html><link rel=stylesheet href="data:text/css;charset=`+charset+`,`+percent(coded("css", "p{background:url("+url(id)+")}"))+`"><p>x`)
		id = "enc-data-link-" + charset
		add(&pages, id, "text/html;charset=utf-8", `<!DOCTYPE html><link rel=stylesheet charset=`+charset+` href="data:text/css,`+percent(coded("css", "p{background:url("+url(id)+")}"))+`"><p>x`)
		id = "enc-data-html-" + charset
		add(&pages, id, "text/html;charset=utf-8", `<!DOCTYPE html><iframe src="data:text/html;charset=`+charset+`,`+percent(coded("html", `<img src="`+url(id)+`">`))+`"></iframe>`)
	}
	for charset, lead := range map[string]string{"shift_jis": "\x83", "gbk": "\x81", "gb18030": "\x81", "big5": "\xa5"} {
		for name, doc := range map[string]string{
			"quote": `<style>p{b:"¶\"; background:url(§)}/*"*/</style><p>x`, "attr": `<p style='b:"¶\"; background:url(§);/*"*/'>x`, "paren": `<style>p{b:url(¶\);background:url(§);c:")"}</style><p>x`,
			"srcdoc": `<iframe srcdoc='<style>p{b:"¶\"; background:url(§)}/*"*/</style><p>x'></iframe>`, "svg": `<svg><style>p{b:"¶\"; background:url(§)}/*"*/</style></svg><p>x`,
			"cdata": `<svg><![CDATA[¶]]><!--]]><image width=9 height=9 href="§"/></svg>`, "type": "",
		} {
			id := "enc-" + name + "-" + charset
			if name == "type" {
				doc = "<script type='text/javascript" + map[string]string{"shift_jis": "\x81@", "gbk": "\xa1\xa1", "gb18030": "\x81\x36\xa3\x36", "big5": "\xa1@"}[charset] + "' src='§'></script>"
			}
			add(&pages, id, "text/html;charset="+charset, "<!DOCTYPE html>"+strings.NewReplacer("¶", lead, "§", url(id)).Replace(doc))
		}
	}
	for name, space := range map[string]string{"vt": "&#11;", "em": "\u2003", "wide": "&#x3000;"} {
		id := "enc-type-" + name
		add(&pages, id, "text/html;charset=utf-8", `<!DOCTYPE html><script type="text/javascript`+space+`" src="`+url(id)+`"></script>`)
	}
	return pages, parts
}

// percent encodes every byte of a data: URL's body.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// Whatever encoding a browser takes for a page and its parts, it contacts no blocked host; without the enforcement each of
// these pages makes it do so.
func TestEncodingsThatHideReferences(t *testing.T) {
	pages, parts := encodingVectors()
	c := vectorSite(t, append(pages[:len(pages):len(pages)], parts...))
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), pages)
		noContacts(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: pages}))
		for _, x := range p.replayAll(t, map[*visit][]*vector{{scripting: true, direct: true}: pages}) {
			if len(x.contacts) == 0 {
				t.Errorf("%s contacts nobody", x.name())
			}
		}
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		noContacts(t, f.replay(t, visit{scripting: true}, pages))
	})
}
