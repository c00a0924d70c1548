package rewriter

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Documents that browsers read by the rules of XML: what their document type declares can be markup, attributes
// and parts of URLs.
func TestXMLDocuments(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: "application/xhtml+xml; charset=utf-8", XML: true}
	for _, tt := range []struct{ name, in, want string }{
		{"a script", `<html><script src="§"></script><script src="§"/></html>`, `<html><script{js} ~src="§"></script><script{js} ~src="§"/></html>`},
		{"an attribute in capitals, which is another one", `<html><img SRC="§" src="x"/><p STYLE="background:url(§)"/></html>`, ""},
		{"one behind it", `<html><img SRC="x" src="§"/><script SRC="x" src="§"/></html>`, `<html><img{} SRC="x" ~src="§"/><script{js} SRC="x" ~src="§"/></html>`},
		{"an animation of a reference with another prefix", `<svg xmlns:q="http://www.w3.org/1999/xlink"><image><set attributeName="q:href" to="§"/></image></svg>`, `<svg xmlns:q="http://www.w3.org/1999/xlink"><image><set{} attributeName="q:href" ~to="§"/></image></svg>`},
		{"a prefix in capitals", `<svg><image xLink:HREF="x" xLink:href="§"/></svg>`, `<svg><image{} xLink:HREF="x" ~xLink:href="§"/></svg>`},
		{"an XSLT style sheet's import", `<xsl:stylesheet><xsl:import href="§"/><xsl:include href="/x"></xsl:include></xsl:stylesheet>`, `<xsl:stylesheet><xsl:import{} ~href="§"/><xsl:include href="/x"></xsl:include></xsl:stylesheet>`},
		{"an entity in a URL", `<!DOCTYPE a [<!ENTITY e "tracker.test">]><html><img src="//&e;/x.png"/></html>`,
			`<!DOCTYPE a [<!ENTITY e "tracker.test">]><html><img{} ~src="//&amp;e;/x.png"/></html>`},
		{"an entity in another attribute", `<!DOCTYPE a [<!ENTITY e "stylesheet">]><html><link rel="&e;" href="§" title="&e;"/></html>`,
			`<!DOCTYPE a [<!ENTITY e "stylesheet">]><html><link rel="&amp;e;" href="§" title="&e;"/></html>`},
		{"an entity by the name of one of HTML", `<!DOCTYPE a [<!ENTITY copy "//tracker.test/x">]><html><img src="&copy;"/><p>&copy;</p></html>`,
			`<!DOCTYPE a [<!ENTITY copy "//tracker.test/x">]><html><img src="&amp;copy;"/><p>&copy;</p></html>`},
		{"an entity in a style", `<!DOCTYPE a [<!ENTITY e "//tracker.test/x">]><html><style>@import "&e;";</style><p style="background:url(&e;)"/></html>`,
			`<!DOCTYPE a [<!ENTITY e "//tracker.test/x">]><html><style>@import "&amp;e;";</style><p style="background:url(&amp;e;)"/></html>`},
		{"references that every document has", `<!DOCTYPE a [<!ENTITY e "x">]><html><img src="/?a&amp;b&#38;c&#x26;d&lt;&gt;&quot;&apos;"/></html>`, ""},
		{"an entity of markup", `<!DOCTYPE a [<!ENTITY e "<img src='§'/>">]><html>&e;</html>`, `<!DOCTYPE a [<!ENTITY ~e "<img src='§'/>">]><html>&e;</html>`},
		{"an entity in another", `<!DOCTYPE a [<!ENTITY e "&f;">]><html>&e;</html>`, `<!DOCTYPE a [<!ENTITY ~e "&f;">]><html>&e;</html>`},
		{"a parameter entity", `<!DOCTYPE a [<!ENTITY % p "x"> %p;]><html/>`, `<!DOCTYPE a [<!ENTITY % ~p "x"> %p;]><html/>`},
		{"an entity of another document", `<!DOCTYPE a [<!ENTITY e SYSTEM "x">]><html>&e;</html>`, `<!DOCTYPE a [<!ENTITY ~e SYSTEM "x">]><html>&e;</html>`},
		{"namespaces as drawing programs write them", `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [<!ENTITY s "http://www.w3.org/2000/svg">]>` +
			`<svg xmlns="&s;"><image href="§"/></svg>`, `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [<!ENTITY s "http://www.w3.org/2000/svg">]>` +
			`<svg xmlns="&s;"><image{} ~href="§"/></svg>`},
		{"attributes by default", `<!DOCTYPE a [<!ATTLIST img src CDATA "§">]><html><img/></html>`, `<!DOCTYPE a [<!ATTLIST ~img src CDATA "§">]><html><img/></html>`},
		{"one of several attributes", `<!DOCTYPE a [<!ATTLIST link a CDATA #IMPLIED b (x|y) "x">]><html/>`, `<!DOCTYPE a [<!ATTLIST ~link a CDATA #IMPLIED b (x|y) "x">]><html/>`},
		{"a fixed attribute", `<!DOCTYPE a [<!ATTLIST link rel NOTATION (x) #FIXED 'x'>]><html/>`, `<!DOCTYPE a [<!ATTLIST ~link rel NOTATION (x) #FIXED 'x'>]><html/>`},
		{"attributes without defaults", `<!DOCTYPE a [<!ATTLIST svg xmlns:a CDATA #FIXED "http://ns.adobe.com/" b CDATA #IMPLIED><!ELEMENT svg ANY>]><svg/>`, ""},
		{"quotes in comments and instructions", `<!DOCTYPE a [<!-- ' ]> --><?x ' ?><!ENTITY e "<b/>"><!-- ' -->]><html/>`, `<!DOCTYPE a [<!-- ' ]> --><?x ' ?><!ENTITY ~e "<b/>"><!-- ' -->]><html/>`},
		{"a style sheet named in the document type", `<!DOCTYPE a [<?xml-stylesheet href="§"?><!ENTITY e "<b/>">]><html/>`, `<!DOCTYPE a [<?~xml-stylesheet href="§"?><!ENTITY ~e "<b/>">]><html/>`},
		{"a style sheet that is written out", `<?xml-stylesheet href="data:text/css,@import '§'"?><?xml-stylesheet href='data:text/css,b{background:url(§)}'?><?xml-stylesheet href="data:text/css,b{color:red}"?><html/>`,
			`<?~xml-stylesheet href="data:text/css,@import '§'"?><?~xml-stylesheet href='data:text/css,b{background:url(§)}'?><?xml-stylesheet href="data:text/css,b{color:red}"?><html/>`},
		{"line ends in a style, which are spaces", "<html><p style=\"x:'\n';background:url(§);y:'z\"/><p style=\"x:'&#10;';background:url(§);y:'z\"/><p style=\"background:ur\\6c\r\n(§)\"/></html>",
			"<html><p{} style=\"x:'\n';background:url(data:,§);y:'z\"/><p style=\"x:'&#10;';background:url(§);y:'z\"/><p{} style=\"background:ur\\6c\r\n(data:,§)\"/></html>"},
		{"line ends in a document in an attribute", "<html><iframe srcdoc=\"&lt;style>p{x:'\n';background:url(§);y:'z'}&lt;/style>\"/></html>", "<html><iframe srcdoc=\"&lt;style>p{x:'\n';background:url(data:,§);y:'z'}&lt;/style>\"/></html>"},
		{"an XSLT style sheet that is written out", `<xsl:stylesheet><xsl:import href="data:text/xml,&lt;img xmlns='http://www.w3.org/1999/xhtml' src='§'/>"/><xsl:include href="data:text/xml,&lt;x/>"/></xsl:stylesheet>`,
			`<xsl:stylesheet><xsl:import{} ~href="data:text/xml,&lt;img xmlns='http://www.w3.org/1999/xhtml' src='§'/>"/><xsl:include href="data:text/xml,&lt;x/>"/></xsl:stylesheet>`},
		{"brackets in identifiers", `<!DOCTYPE a SYSTEM "[']>" [<!NOTATION n SYSTEM "it's ]>"><!ENTITY e "<b/>">]><html/>`, `<!DOCTYPE a SYSTEM "[']>" [<!NOTATION n SYSTEM "it's ]>"><!ENTITY ~e "<b/>">]><html/>`},
	} {
		in := expand(tt.in, "")
		want := in
		if tt.want != "" {
			want = expand(tt.want, "")
		}
		for n := range len(in) {
			if got := rewrite(t, o, in[:n], in[n:]); got != want {
				t.Errorf("%s, cut at %d\n got %s\nwant %s", tt.name, n, got, want)
				break
			}
		}
	}
}

// Of an attribute of XML in capitals, which is none, nothing else is taken for a duplicate.
func TestAttributesOfXMLInCapitals(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: "application/xhtml+xml; charset=utf-8", XML: true}
	for _, in := range []string{
		`<p STYLE="background:url(a)" style="background:url(§)"/>`, `<a PING="x" ping="§" href="x"/>`, `<table BACKGROUND="x" background="§"/>`, `<link rel="stylesheet" HREF="a" href="§"/>`, `<link REL="x" rel="prefetch" href="§"/>`,
		`<img SRCSET="x" srcset="§"/>`, `<script TYPE="text/plain" src="§"/>`, `<iframe SRC="x" src="§"/>`, `<object DATA="x" data="§"/>`, `<input TYPE="text" type="image" src="§"/>`, `<meta HTTP-EQUIV="x" http-equiv="refresh" content="0;url=§"/>`,
		`<meta http-equiv="refresh" CONTENT="x" content="0;url=§"/>`, `<base HREF="/a/"/><base href="§"/>`, `<svg><use HREF="x" href="§#a"/></svg>`, `<svg><image X:href="§"/></svg>`,
	} {
		in = "<html>" + expand(in, "") + "</html>"
		if got := rewrite(t, o, in); got == in {
			t.Errorf("%s passes", in)
		}
	}
}

// What is too long to hold in a document type declaration, or is none, comes out the same wherever the document is cut.
func TestXMLDoctypeInPieces(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: "text/xml; charset=utf-8", XML: true, MaxTag: 100}
	long := strings.Repeat("x", 120)
	for _, doc := range []string{
		`<!DOCTYPE a [<>]><a/>`, `<!DOCTYPE a [<`, `<!DOCTYPE a [<"` + long + `"x 'y'><b>]><a/>`, `<!DOCTYPE a [<!ENTITY a "` + long + `"<`,
		`<!DOCTYPE a [<?` + long + `?><!ENTITY b "<img src='//tracker.test/'/>">]><a>&b;</a>`, `<?` + long + `><img src='//tracker.test/'/>?><a/>`,
		`<?xml-stylesheet ` + long + ` href='//tracker.test/'?><a/>`, `<!DOCTYPE a [<?xml-stylesheet href='//tracker.test/'` + long + `?>]><a/>`,
	} {
		want := rewrite(t, o, doc)
		for n := range len(doc) {
			if got := rewrite(t, o, doc[:n], doc[n:]); got != want {
				t.Fatalf("cut at %d\n got %s\nwant %s", n, got, want)
			}
		}
		if got := rewrite(t, o, strings.Split(doc, "")...); got != want {
			t.Fatalf("byte by byte\n got %s\nwant %s", got, want)
		}
	}
}

// A declaration of which nobody knows where it ends makes the document none.
func TestXMLDeclarationWithoutAnEnd(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: "text/xml; charset=utf-8", XML: true, MaxTag: 100}
	in := `<!DOCTYPE a [<!ENTITY e "` + strings.Repeat("x", 200)
	if got := rewrite(t, o, in, `]><img src='//tracker.test/'/>">]><html>&e;</html>`); !strings.HasPrefix(got, `<!DOCTYPE a [<!ENTITY< e "`) {
		t.Error(got)
	}
}

// Of an SVG document in UTF-8 Chromium loses what follows a byte that is none of it, up to the end of the piece in which it
// comes. No such byte leaves.
func TestSVGWithBytesThatAreNoUTF8(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("http", "site.test"), ContentType: "image/svg+xml", XML: true}
	for _, tt := range []struct{ in, want string }{
		{"<svg><!--\xf0--><p a='--><image href=\"§\"/>'/></svg>", "<svg><!--?--><p a='--><image href=\"§\"/>'/></svg>"},
		{"<svg><![CDATA[\xe2\x82]]>\xc3\xa9\xff<image href=\"§\"/>\xed\xa0\x80</svg>\xf0\x9f", "<svg><![CDATA[??]]>\xc3\xa9?<image{} ~href=\"§\"/>???</svg>??"},
		{"<svg>\xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbd</svg>", ""},
	} {
		want := tt.want
		if want == "" {
			want = tt.in
		}
		in, want := expand(tt.in, ""), expand(want, "")
		for size := 1; size <= len(in); size++ {
			if got := rewrite(t, o, slices.Collect(inPieces(in, size))...); got != want {
				t.Fatalf("%q in pieces of %d: %q, want %q", in, size, got, want)
			}
		}
	}
	page := o
	page.ContentType, page.XML = "text/html; charset=utf-8", false
	for data, blocked := range map[string]bool{"data:image/svg+xml,%3Csvg%3E%FF%3C/svg%3E": true, "data:image/svg+xml,%3Csvg%3E%C3%A9%3C/svg%3E": false, "data:text/html,%FF": false} {
		if got := rewrite(t, page, `<iframe src="`+data+`"></iframe>`); strings.Contains(got, "ambiguous:charset") != blocked {
			t.Errorf("%s in a frame: %s", data, got)
		}
	}
	allowed := o
	allowed.Policy = o.Policy.Site().For(rules.Grants{Allowed: rules.Optional})
	if in := "<svg>\xf0</svg>"; rewrite(t, allowed, in) != in {
		t.Error("changed where everything is allowed")
	}
}

// An instruction that is too long to be read whole names no style sheet to anybody.
func TestLongInstructions(t *testing.T) {
	o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test"), XML: true, ContentType: "application/xhtml+xml; charset=utf-8"}
	long := strings.Repeat("x", 70<<10)
	for _, text := range []string{
		`href="https://static.hotjar.com/x.css" title="` + long + `"`,
		`title="` + long + `" href="https://static.hotjar.com/x.css"`,
		`href="data:text/css,/*` + long + `*/@import 'https://static.hotjar.com/x.css'"`,
	} {
		doc := "<?xml-stylesheet " + text + `?><html xmlns="http://www.w3.org/1999/xhtml"/>`
		if got := rewrite(t, o, doc); !strings.HasPrefix(got, "<?data-consent-xml-stylesheet ") {
			t.Errorf("%.80s", got)
		}
		doc = strings.Replace(doc, "xml-stylesheet", "x", 1)
		if got := rewrite(t, o, doc); got != doc {
			t.Errorf("%.80s", got)
		}
	}
}
