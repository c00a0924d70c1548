package e2e

import (
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
