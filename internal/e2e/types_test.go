package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// typeVectors are documents of media types that some browser shows as a page, each in a frame, XSLT style sheets, media playlists,
// and XHTML.
func typeVectors() (pages, parts []*vector) {
	add := func(to *[]*vector, id, contentType, body string) {
		*to = append(*to, &vector{ID: id, Scope: "static", ContentType: &contentType, Body: []byte(body)})
	}
	doc := func(id string) string {
		return `<html xmlns="http://www.w3.org/1999/xhtml"><body><img src="http://tracker.test/` + id + `/x.png"/></body></html>`
	}
	for i, t := range []string{
		"application/rdf+xml", "application/mathml+xml", "text/xsl", "application/vnd.wap.xhtml+xml", "application/xhtml+xml", "+xml", "application/xml;charset=utf-8", "unknown/unknown", "application/unknown",
		"*/*", "text", "text/plain,text/html", "text/html;", "text/html garbage", "text /html", "image/svg+xml", "text/xml", "multipart/x-mixed-replace; boundary=x", "application/x-unknown-content-type",
	} {
		id := fmt.Sprintf("type%d", i)
		body := doc(id)
		if strings.HasPrefix(t, "multipart") {
			body = "--x\r\nContent-Type: text/html\r\n\r\n" + body + "\r\n--x--\r\n"
		}
		add(&parts, id+"-doc", t, body)
		add(&pages, id, "text/html", `<!DOCTYPE html><iframe src="`+id+`-doc"></iframe>`)
	}
	for i, t := range []string{
		"text/html garbage", "text/html charset=gbk", "text/html(charset=utf-8)", "text/plain,text/html", "text/html,", ",text/html", "text/html\tx", "bogus, text/html", "text/html, bogus", "text/html, */*", "*/*, text/html",
		"text/plain;x=a,text/html", "text/plain; charset=gbk, text/html", "text/html,text/html", "image/png,text/html", "text/css,text/html", "text/plain, text/html garbage", "unknown/unknown,text/html",
	} {
		id := fmt.Sprintf("types%d", i)
		add(&parts, id+"-doc", t, `text <img src="http://tracker.test/`+id+`/x.png">`)
		add(&pages, id, "text/html", `<!DOCTYPE html><iframe src="`+id+`-doc"></iframe>`)
	}
	// Of a signed exchange that it cannot read Chromium takes the URL to go to instead.
	url := "https://tracker.test/sxg/x"
	add(&parts, "sxg-doc", "application/signed-exchange;v=b3", "sxg1-b3\x00\x00"+string(rune(len(url)))+url+"\x00\x00\x00\x00\x00\x00")
	parts[len(parts)-1].Headers = map[string]string{"X-Content-Type-Options": "nosniff"}
	add(&pages, "sxg", "text/html", `<!DOCTYPE html><iframe src="sxg-doc"></iframe>`)
	for i, t := range []string{"text/xsl", "application/xslt+xml", "text/xml"} {
		for k, body := range []string{
			`<xsl:template match="/"><html><body><img src="§"/></body></html></xsl:template>`,
			`<xsl:template match="/"><html xmlns="http://www.w3.org/1999/xhtml"><body><script src="§"/></body></html></xsl:template>`,
			`<xsl:import href="§"/><xsl:template match="/"><p/></xsl:template>`, `<xsl:include href="§"/><xsl:template match="/"><p/></xsl:template>`,
		} {
			id := fmt.Sprintf("xslt%d-%d", i, k)
			add(&parts, id+".xsl", t, `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">`+strings.ReplaceAll(body, "§", "http://tracker.test/"+id+"/x")+`</xsl:stylesheet>`)
			add(&pages, id, "text/xml", `<?xml-stylesheet type="text/xsl" href="`+id+`.xsl"?><r/>`)
		}
	}
	for i, t := range []string{"application/vnd.apple.mpegurl", "video/mp4", "text/plain"} {
		for k, line := range []string{"#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n§", "#EXT-X-STREAM-INF:BANDWIDTH=9\n§", "#EXT-X-TARGETDURATION:9\n#EXT-X-MAP:URI=\"§\"\n#EXTINF:9,\na.mp4"} {
			id := fmt.Sprintf("playlist%d-%d", i, k)
			add(&parts, id+".media", t, "#EXTM3U\n#EXT-X-VERSION:7\n"+strings.ReplaceAll(line, "§", "http://tracker.test/"+id+"/x")+"\n#EXT-X-ENDLIST\n")
			add(&pages, id, "text/html", `<!DOCTYPE html><video src="`+id+`.media" preload="auto" autoplay muted></video>`)
		}
	}
	// In XML an attribute in capitals is none, and takes no other one's place; any prefix may be that of XLink.
	for i, body := range []string{`<p STYLE="background:url(a)" style="background:url(§)">x</p>`, `<script SRC="a" src="§"/>`, `<script TYPE="text/plain" src="§"/>`, `<link rel="stylesheet" HREF="a" href="§"/>`, `<img SRC="a" src="§"/>`,
		`<svg xmlns="http://www.w3.org/2000/svg" xmlns:q="http://www.w3.org/1999/xlink"><image width="9" height="9"><set attributeName="q:href" to="§"/></image></svg>`} {
		id := fmt.Sprintf("capitals%d", i)
		add(&pages, id, "application/xhtml+xml", `<html xmlns="http://www.w3.org/1999/xhtml"><body>`+strings.ReplaceAll(body, "§", "http://tracker.test/"+id+"/x")+`</body></html>`)
	}
	return pages, parts
}

// Whatever a document is called, no browser contacts a blocked host for it; without the enforcement one of them does.
func TestDocumentsOfOtherTypes(t *testing.T) {
	pages, parts := typeVectors()
	c := vectorSite(t, append(pages[:len(pages):len(pages)], parts...))
	contacted := make(map[string]bool)
	direct := func(visits []*visit) {
		for _, x := range visits {
			contacted[x.vs[0].ID] = contacted[x.vs[0].ID] || len(x.contacts) > 0
		}
	}
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), pages)
		noContacts(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: pages}))
		direct(p.replayAll(t, map[*visit][]*vector{{scripting: true, direct: true}: pages}))
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		noContacts(t, f.replay(t, visit{scripting: true}, pages))
		direct(f.replay(t, visit{scripting: true, direct: true}, pages))
	})
	if len(contacted) == 0 {
		t.Skip("no browser opened them")
	}
	for id, yes := range contacted {
		if !yes {
			t.Errorf("%s contacts nobody", id)
		}
	}
	if len(contacted) < len(pages) {
		t.Errorf("%d of %d pages were visited", len(contacted), len(pages))
	}
}

// Of an SVG document Chromium loses what follows a byte that is no UTF-8, up to the end of the piece in which it comes:
// comments that do not end, or do not begin, show what others should hide.
func TestSVGWithBytesThatAreNoUTF8InPieces(t *testing.T) {
	chromium(t)
	const piece = 40
	var vs []*vector
	for i, body := range []string{"<![CDATA[\xf0]]>|<!--]]><h:img src=\"U\"/><!---->", "<p>\xf0 <!--|<h:img src=\"U\"/>--></p>", "<!--\xed\xa0\x80-->|<p a='--><h:img src=\"U\"/>'/>", "<h:style>\xf0<!--|@import 'U';--></h:style>"} {
		v := &vector{ID: fmt.Sprintf("cut%d", i), Scope: "static", ContentType: new(string)}
		*v.ContentType = "image/svg+xml;charset=utf-8"
		before, behind, _ := strings.Cut(strings.ReplaceAll(body, "U", "http://tracker.test/"+v.ID+"/x"), "|")
		const root = `<h:html xmlns:h="http://www.w3.org/1999/xhtml">`
		pad := 4*piece - len(root) - len(before) // the rest comes as a whole
		v.Body = []byte(root + strings.Repeat(" ", pad) + before + behind + "</h:html>")
		vs = append(vs, v)
	}
	c := vectorSite(t, vs)
	p := startPool(t, c.addr("8080"), vs)
	noContacts(t, p.visits(vs, visit{scripting: true, size: -piece}))
	for range 10 { // the network may put pieces together
		if slices.ContainsFunc(p.visits(vs, visit{scripting: true, size: -piece, direct: true}), func(x *visit) bool { return len(x.contacts) > 0 }) {
			return
		}
	}
	t.Error("none contacts anybody where nothing is enforced")
}
