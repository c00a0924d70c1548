package e2e

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A response is a page, or a part of one, with its header lines.
type response struct {
	status int // 200 if it is 0
	hints  []string
	header []string
	body   string
}

func (a response) String() string {
	s := ""
	for _, l := range a.hints {
		s += "103 " + l + "\n"
	}
	return s + fmt.Sprint(cmp.Or(a.status, http.StatusOK)) + "\n" + strings.Join(a.header, "\n") + "\n\n" + a.body
}

// send answers with a.
func (a response) send(w http.ResponseWriter) {
	h := w.Header()
	set := func(lines []string) {
		for _, l := range lines {
			k, v, _ := strings.Cut(l, ": ")
			h[k] = append(h[k], v)
		}
	}
	if len(a.hints) > 0 {
		set(a.hints)
		w.WriteHeader(http.StatusEarlyHints)
		clear(h)
	}
	h["Content-Type"] = nil // or net/http guesses
	set(a.header)
	h["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	_, _ = io.WriteString(w, a.body)
}

// headerSite runs Caddy, in plain HTTP and over TLS, before an origin that has these responses at /v/<id>, and at /d/<id>
// where nothing is enforced.
func headerSite(t *testing.T, responses map[string]response) *caddy {
	t.Helper()
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if a, ok := responses[r.URL.Path[min(len(r.URL.Path), 3):]]; ok {
			a.send(w)
		} else {
			inertResource(w, r)
		}
	})
	return secureSite(t, up)
}

// secureSite runs Caddy in plain HTTP and over TLS before that upstream, with nothing enforced at /d/.
func secureSite(t *testing.T, up string) *caddy {
	t.Helper()
	proxy := "reverse_proxy " + up + " {\n\t\tflush_interval -1\n\t}\n"
	site := "\thandle /d/* {\n\t\t" + proxy + "\t}\n\thandle {\n\tconsent {\n\t\tunclassified block\n\t}\n\t" + proxy + "\t}\n}\n"
	c := startCaddy(t, "{\n\tskip_install_trust\n}\nhttp://:8080 {\n"+site+"https://site.test:8081 {\n\ttls internal\n"+site)
	c.waitForTLS("8081", "site.test")
	return c
}

// linkWords are rel values with parameters that go with them.
var linkWords = []string{
	"rel=preload; as=script", "rel=preload; as=style", "rel=preload; as=image", "rel=preload; as=font; crossorigin", "rel=preload; as=fetch; crossorigin", "rel=preload; as=track; crossorigin", "rel=preload; as=video", "rel=preload; as=image; imagesrcset=S", "rel=preload; as=image; imagesrcset=S; imagesizes=100vw",
	"rel=modulepreload", "rel=modulepreload; as=script", "rel=preconnect", "rel=preconnect; crossorigin", "rel=dns-prefetch", "rel=stylesheet", "rel=stylesheet", "rel=stylesheet; type=text/css; media=all", "rel=stylesheet; title=x", "rel=prefetch", "rel=prefetch; as=document", "rel=next", "rel=prefetch", "rel=modulepreload", "rel=preload; as=style",
	"rel=icon", "rel=manifest", "rel=prerender", "rel=compression-dictionary", "rel=preload; as=style; media=\"(min-width:1px)\"", "rel=preload; as=script; fetchpriority=high; nonce=x", "rel=preload; as=image; type=image/gif", "rel=alternate; type=application/signed-exchange", "rel=canonical", "rel=search", "rel=expect",
}

// linkParams are put between the others.
var linkParams = []string{
	"nopush", "title=x", `title="a, b"`, `title="a; b"`, `title="<http://tracker.test/>"`, `title*=UTF-8''x`, "type=text/css", "media=all", "media=print", "crossorigin", "crossorigin=use-credentials", "anchor=x", `anchor=""`, `anchor="#x"`, `anchor="A"`, "anchor=A", "rev=stylesheet", "hreflang=en", "rel=preload", "rel=stylesheet", "rel=next",
	"rel=x", "as=image", "as=script", "as=style", "as=x", "as=", "rel=", "rel", "as", "rel*=UTF-8''stylesheet", "rel*=stylesheet", "REL=stylesheet", "href=A", "href=\"A\"", "imagesrcset=S", "imagesizes=100vw", "x", "=x", `x="`, `x='`, `x="\""`, "x=\\", "x=<", "x=>", "x=,", "", " ", "integrity=sha256-x", "referrerpolicy=origin", "loading=lazy", "disabled", "blocking=render",
}

// headerOdd stands where nobody expects it. Controls are those that pass Go's reading of headers.
var headerOdd = []string{
	" ", "\t", "  ", ",", ";", "=", `"`, "'", `\`, `\"`, "<", ">", "<>", "\x01", "\x0b", "\x0c", "\x1f", "\x7f", "\x80", "\x85", "\xa0", "\xad", "\xff", "\u00a0", "\u2003", "\u3000", "\ufeff", "\u017f", "/", "*", "%", "%20", "#", "?", "&", "(", ")", "|", ":", "--", "/*", `""`, `"x"`, ",,", ";;", "x",
}

// sniffedBodies have a reference U where a reader takes them for markup, a style sheet or a document of XML.
var sniffedBodies = []string{
	`<!doctype html><img src="U">`, `<html><img src="U">`, "\n \t\f\r<html><img src=\"U\">", `<!-- x --><img src="U">`, `<a href=x><img src="U">`, `<br><img src="U">`, `<b><img src="U">`, `<p><img src="U">`, `<script src="U"></script>`, `<iframe src="U"></iframe>`, `<style>@import "U";</style>`, `<table background="U">`,
	`<h1>x</h1><img src="U">`, `<div><img src="U"></div>`, `<title>x</title><img src="U">`, `<head><link rel=stylesheet href="U">`, `<body background="U">`, `<font><img src="U">`, `<img src="U">`, `<link rel=stylesheet href="U">`, `text <b><img src="U">`, `<pre><img src="U">`, `<BR/><img src="U">`, `<!x><img src="U">`,
	"\xef\xbb\xbf<html><img src=\"U\">", "\xff\xfe<html><img src=\"U\">", "\x00<html><img src=\"U\">", "\x01<html><img src=\"U\">", "\x1b<html><img src=\"U\">", "GIF89a<html><img src=\"U\">", "%PDF-1.4\n<html><img src=\"U\">", "%!PS-Adobe-<html><img src=\"U\">", "\x1f\x8b\x08<html><img src=\"U\">", "PK\x03\x04<html><img src=\"U\">",
	"<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><body><img src=\"U\"/></body></html>", "<?xml version=\"1.0\"?><?xml-stylesheet href=\"U\"?><r/>", "<?xml-stylesheet href=\"U\"?><r/>", "\n<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><body><img src=\"U\"/></body></html>",
	`<html xmlns="http://www.w3.org/1999/xhtml"><body><img src="U"/></body></html>`, `<svg xmlns="http://www.w3.org/2000/svg"><image href="U" width="9" height="9"/></svg>`, "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"U\" width=\"9\" height=\"9\"/></svg>", "<?xml version=\"1.0\"?><r><x:script xmlns:x=\"http://www.w3.org/1999/xhtml\" src=\"U\"/></r>",
	"--x\r\nContent-Type: text/html\r\n\r\n<img src=\"U\">\r\n--x--\r\n", "--x\r\n\r\n<html><img src=\"U\">\r\n--x--\r\n", "From: x\r\nContent-Type: text/html\r\n\r\n<img src=\"U\">", "300: U\n200: filename\n201: <img src=\"U\">\n", `{"prefetch":[{"urls":["U"],"eagerness":"immediate"}]}`, `@import "U";`,
	strings.Repeat(" ", 600) + `<html><img src="U">`, strings.Repeat(" ", 1100) + `<html><img src="U">`, `<!--` + strings.Repeat("x", 1100) + `--><img src="U">`, strings.Repeat("text ", 200) + `<html><img src="U">`,
}

// headerTypes are media types that some reader may show as a page, or sniff.
var headerTypes = strings.Fields(`text/html text/html text/html TEXT/HTML text/xml application/xml application/xhtml+xml image/svg+xml text/plain text/plain application/octet-stream */* unknown/unknown application/unknown application/x-unknown-content-type binary/octet-stream text text/ /html html text/css
	text/javascript application/json text/rdf application/rdf+xml application/mathml+xml text/xsl application/xslt+xml application/atom+xml application/rss+xml x/x+xml multipart/x-mixed-replace;boundary=x multipart/mixed;boundary=x multipart/related;boundary=x multipart/byteranges;boundary=x message/rfc822
	application/signed-exchange;v=b3 application/webbundle application/http-index-format application/pdf image/png image/gif video/mp4 audio/mpeg application/vnd.wap.xhtml+xml application/vnd.mozilla.xul+xml application/x-view-source application/x-gzip application/x-httpd-php text/vnd.turbo-stream.html text/x-html
	text/htmlx xtext/html application/x-vnd.mozilla.maybe-feed application/x-vnd.mozilla.guess-from-ext application/x-mimearchive text/x-component application/speculationrules+json application/manifest+json text/vtt application/ecmascript font/woff2 application/x-javascript text/ping text/event-stream`)

// headerCodings are values of Content-Encoding with the way in which the body is coded.
var headerCodings = [][2]string{
	{"gzip", "gzip"}, {"x-gzip", "gzip"}, {"GZIP", "gzip"}, {" gzip ,", "gzip"}, {"gzip, identity", "gzip"}, {"identity", ""}, {"none", ""}, {"utf-8", ""}, {"x", ""}, {"", ""}, {",", ""}, {"gzip", ""}, {"deflate", "deflate"}, {"x-deflate", "deflate"}, {"deflate", "gzip"}, {"gzip, gzip", "gzip"}, {"x, gzip", "gzip"}, {"gzip;q=1", "gzip"},
	{"\"gzip\"", "gzip"}, {"gzip\x0b", "gzip"}, {"compress", ""}, {"x-compress", ""}, {"aes128gcm", ""}, {"dcb", ""}, {"dcz", ""}, {"br", ""}, {"zstd", ""}, {"binary", ""}, {"8bit", ""}, {"identity", "gzip"}, {"", "gzip"}, {"x", "gzip"},
}

// A headerMaker writes responses at random.
type headerMaker struct {
	tagMaker
	responses map[string]response
	clean     bool // what is written now has no oddities
}

// rarely reports one time in n that something odd shall be written.
func (m *headerMaker) rarely(n int) bool { return m.in(n) && !m.clean }

// target returns a URL of a third party, as it may stand in a header.
func (m *headerMaker) target() string {
	scheme, u := m.scheme(), m.plain()
	if m.clean {
		return u
	}
	switch m.rnd.IntN(16) {
	case 0:
		u = m.oneOf("//tracker.test", `\\tracker.test`, "/\t/tracker.test", scheme+`/\tracker.test`, scheme+"//x@tracker.test", strings.ToUpper(scheme)+"//tracker.test", scheme+"tracker.test", "https:tracker.test", scheme+"///tracker.test", "https://tracker.test", scheme+"//tracker%2etest", scheme+"//TRACKER.test.") + m.path()
	case 1:
		u = m.oneOf(headerOdd...) + u
	case 2:
		i := m.rnd.IntN(len(u))
		u = u[:i] + m.oneOf(headerOdd...) + u[i:]
	case 3:
		u += m.oneOf("?a,b", "?a;b", "?a=b,c;d", "#x", ",x", ";x", "?<b>", "?\"", "?'", "/a b", "%2c", "?a>b")
	}
	return u
}

// quoted writes a parameter's value in one of the ways.
func (m *headerMaker) quoted(v string) string {
	if m.clean {
		return m.oneOf(v, `"`+v+`"`)
	}
	switch m.rnd.IntN(10) {
	case 0, 1, 2:
		return `"` + v + `"`
	case 3:
		i := m.rnd.IntN(len(v) + 1)
		return `"` + v[:i] + m.oneOf(`\`, `\`, `\\`, " ", "\t", `\"`) + v[i:] + `"`
	case 4:
		return m.oneOf("'"+v+"'", `"`+v, v+`"`, `" `+v+`"`, `"`+v+` x"`, `"x `+v+`"`, " "+v, `\`+v, `"`+strings.ToUpper(v)+`"`, v+m.odd(), m.odd()+v)
	}
	return v
}

func (m *headerMaker) pick(from ...[]string) []string { return from[m.rnd.IntN(len(from))] }

func (m *headerMaker) odd() string { return m.oneOf(headerOdd...) }

// inURL returns a data: URL of that type which names a third party.
func (m *headerMaker) inURL(kind string) string {
	u := m.plain()
	switch kind {
	case "text/css":
		u = m.oneOf("@import'"+u+"';", "@import url("+u+");", "*{background:url("+u+")}")
	case "application/speculationrules+json":
		u = `{"prefetch":[{"urls":["` + u + `"],"eagerness":"immediate"}]}`
	case "text/html":
		u = m.oneOf("<img src="+u+">", "<p style='background:url("+u+")'>x", "<script src="+u+"></script>", "<iframe src="+u+"></iframe>")
	}
	if m.in(3) {
		return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString([]byte(u))
	}
	return m.oneOf("data:", "data:", "DATA:", " data:", "d\tata:") + kind + "," + url.PathEscape(u)
}

// link returns a member of Link.
func (m *headerMaker) link() string {
	m.clean = !m.in(3)
	params := strings.Split(m.oneOf(linkWords...), "; ")
	for m.rarely(4) {
		i := m.rnd.IntN(len(params) + 1)
		params = append(params[:i:i], append([]string{m.oneOf(linkParams...)}, params[i:]...)...)
	}
	if m.in(4) {
		m.rnd.Shuffle(len(params), func(i, j int) { params[i], params[j] = params[j], params[i] })
	}
	open, end := "<", ">"
	if m.rarely(16) {
		open = m.oneOf("", "<<", "< ", " <", "\"<", "x<", "<\t", "\x0b<", ",<", ";<")
	}
	if m.rarely(16) {
		end = m.oneOf("", ">>", " >", "> ", ">x", "\t>", ">\"", ">,", ">=")
	}
	target := m.target()
	if m.in(12) {
		target = m.inURL("text/css")
	}
	s := open + target + end
	for _, p := range params {
		name, v, ok := strings.Cut(p, "=")
		switch v {
		case "S":
			v = m.oneOf(m.target(), m.target()+" 1x", "/a 1x, "+m.target()+" 2x", m.target()+" 1x,"+m.target()+" 100w", ", "+m.target())
			v = m.oneOf(`"`+v+`"`, `"`+v+`"`, `"`+v+`"`, v)
		case "A", `"A"`:
			v = m.oneOf(`"`+m.target()+`"`, m.target())
		default:
			if !strings.ContainsAny(v, `"'\<>`) {
				v = m.quoted(v)
			}
		}
		if m.rarely(16) {
			name = m.oneOf(strings.ToUpper(name), name+" ", " "+name, name+m.odd(), m.odd()+name)
		}
		s += m.oneOf(";", "; ", "; ", "; ", " ;", ";\t", ";;")
		if m.rarely(8) {
			s += m.oneOf(", ", " ", m.odd(), ";"+m.odd())
		}
		if s += name; ok || m.rarely(8) {
			s += m.oneOf("=", "=", "=", "=", "=", " = ", "= ") + v
		}
	}
	m.clean = false
	return s
}

// links returns lines of Link.
func (m *headerMaker) links() (lines []string) {
	for range 1 + m.rnd.IntN(3) {
		l := m.oneOf("Link: ", "Link: ", "link: ", "LINK: ") + m.link()
		for m.in(3) {
			l += m.oneOf(",", ", ", ", ", " , ", ",,", ";", "", " ", "\t,", `",`) + m.link()
		}
		lines = append(lines, l)
	}
	return lines
}

// refreshes returns lines of Refresh.
func (m *headerMaker) refreshes() (lines []string) {
	if m.in(3) {
		return m.pick([]string{"Refresh: 0;url=" + m.plain()}, []string{"Refresh: 0", "Refresh: url=" + m.plain()}, []string{"Refresh: 0", "Refresh: " + m.plain()})
	}
	v := m.oneOf("0", "0", "0", "0", " 0", ".0", "0.5", "00", "0.", "", "-0", "+0", "0x", "0\xa0", "0e0", "\xa00", "0"+m.odd()) + m.oneOf(";", ";", ";", ",", " ", "", "; ", " ;", ";;", ", ", ",,", " , ", ";,", m.odd()) +
		m.oneOf("url=", "url=", "URL=", "url =", "url = ", "", "", "url==", "url=url=", "=", "url", "url\xa0=", "url\x0b=", m.odd()+"url=", "url"+m.odd()+"=")
	q := m.oneOf("", "", "'", `"`)
	target := m.target()
	if m.in(4) {
		target = m.inURL("text/html")
	}
	v += q + m.oneOf("", "", "", m.odd()) + target + m.oneOf(q, q, "", q+" x", m.odd())
	for m.in(2) && v != "" { // on two lines
		i := m.rnd.IntN(len(v))
		if j := strings.IndexAny(v, ";, "); j >= 0 && m.in(2) {
			i = j
		}
		lines = append(lines, "Refresh: "+v[:i])
		if v = v[i:]; m.in(2) {
			v = strings.TrimLeft(v, ",; ")
		}
		if m.in(4) {
			lines = append(lines, "Refresh: ")
		}
	}
	return append(lines, "Refresh: "+v)
}

// reports returns lines by which browsers report what the body does, which the policy forbids.
func (m *headerMaker) reports() []string {
	m.clean = m.in(2)
	u := m.target()
	clean := m.clean
	m.clean = false
	policy := m.oneOf("Content-Security-Policy: ", "Content-Security-Policy-Report-Only: ")
	group := m.oneOf("a", "default")
	if clean {
		return m.pick([]string{policy + "img-src 'none'; report-uri " + u}, []string{policy + "img-src 'none'; report-to a", `Reporting-Endpoints: a="` + u + `"`})
	}
	switch m.rnd.IntN(4) {
	case 0:
		return []string{policy + "img-src 'none'; report-to " + group, "Reporting-Endpoints: " + m.oneOf("", "b=\"/b\", ", "b, ", "b;x=\"y\", ") + group + m.oneOf("=", "=", " =", ";x=") + m.oneOf(`"`+u+`"`, `"`+u+`"`, u, `("`+u+`")`, `"`+u+`";x="y"`, `"`+u, `"/a", `+group+`="`+u+`"`)}
	case 1:
		return []string{policy + "img-src 'none'; report-to " + group, "Report-To: " + m.oneOf("", `{"group":"b","max_age":9,"endpoints":[{"url":"/b"}]}, `) + fmt.Sprintf(m.oneOf(`{"group":%q,"max_age":99,"endpoints":[{"url":%q}]}`, `{"group":%q,"max_age":99,"endpoints":[{"url":"/a"},{"URL":"x","url":%q}]}`, `{"max_age":99,"group":%q,"endpoints":[{"url":%q,"url":"/a"}],}`), group, u)}
	}
	directive := m.oneOf("report-uri ", "report-uri ", "REPORT-URI ", "report-uri\t", "report-uri  /a ", "report-uri\x0c", "report-uri\xa0", "report-uri, report-uri ", "report-uri; report-uri ") + u
	l := policy + m.oneOf("img-src 'none'; "+directive, directive+";img-src 'none'", "img-src 'none';"+directive+m.odd(), "x, img-src 'none'; "+directive+", y", "img-src 'none';;"+m.odd()+directive, "img-src 'none'; report-uri /a; "+directive)
	return []string{l}
}

// other returns a line that is not for fetching, with a URL.
func (m *headerMaker) other() string {
	u := m.target()
	name := m.oneOf("Location", "Content-Location", "Content-Base", "SourceMap", "X-SourceMap", "X-Pingback", "Attribution-Reporting-Redirect", "Expect-CT", "X-XSS-Protection", "Secure-Session-Registration", "Use-As-Dictionary", "Alt-Svc", "NEL", "X-Link", "Link-Template", "Base", "URI", "Default-Style", "Icon", "Manifest")
	return name + ": " + m.oneOf(u, u, `"`+u+`"`, "<"+u+">", "url="+u, "1; report="+u, "report-uri=\""+u+"\"", `h2="`+u+`"`, `(ES256);path="`+u+`"`)
}

// contentTypes returns lines of Content-Type.
func (m *headerMaker) contentTypes() (lines []string) {
	for range 1 + max(0, m.rnd.IntN(6)-4) {
		v := m.oneOf(headerTypes...)
		for m.in(4) {
			v += m.oneOf(";", "; ", " ;", ",", ", ", " ", "") + m.oneOf("charset=utf-8", "charset=\"utf-8\"", "charset=windows-1252", "charset='x", "x=\"a,b\"", "x=\"a", "x='a,", "x=a,", "", "x", "boundary=x", "boundary=\"x\"", "q=1", "(x)", "*/*", "text/html", "text/plain", "image/png", "x=\"\\\",text/html", m.odd())
		}
		if m.in(10) {
			v = m.oneOf(m.odd()+v, v+m.odd(), "", " ", strings.ToUpper(v), strings.Replace(v, "/", m.odd()+"/", 1))
		}
		lines = append(lines, "Content-Type: "+v)
	}
	if m.in(3) {
		lines = append(lines, "X-Content-Type-Options: "+m.oneOf("nosniff", "nosniff", "NoSniff", "nosniff, x", "x, nosniff", "nosniff;", "\"nosniff\"", "nosniff\x0b", ""))
	}
	if m.in(8) {
		lines = append(lines, "Content-Disposition: "+m.oneOf("inline", "inline; filename=x.html", "x", "", "; filename=x.svg", "filename=x.html", "attachment, inline"))
	}
	return lines
}

// coded codes a body, and returns the header's line for that.
func (m *headerMaker) coded(body string) (line, out string) {
	c := headerCodings[m.rnd.IntN(len(headerCodings))]
	var b bytes.Buffer
	var w io.WriteCloser
	switch c[1] {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	default:
		return "Content-Encoding: " + c[0], body
	}
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return "Content-Encoding: " + c[0], b.String()
}

// sniffed returns a response in which only the header's type and the first bytes tell what it is.
func (m *headerMaker) sniffed() (a response) {
	a.body = strings.ReplaceAll(m.oneOf(sniffedBodies...), "U", m.plain())
	if m.in(8) {
		a.body = m.oneOf("\xef\xbb\xbf", "\x00", " ", "\n", "\f", "\v", "\x1b", "x", "<", "<!---->", "\xfe\xff", "\x08") + a.body
	}
	switch m.rnd.IntN(6) {
	case 0:
	case 1:
		a.header = []string{"Content-Type: " + m.oneOf("text/html", "text/html, text/html", "*/*", "unknown/unknown", "application/x-unknown-content-type", "application/xhtml+xml")}
	default:
		a.header = m.contentTypes()
	}
	if m.in(6) {
		line, body := m.coded(a.body)
		a.header, a.body = append(a.header, line), body
	}
	if m.in(16) {
		a.status = []int{201, 203, 206, 300, 400, 404, 500, 503}[m.rnd.IntN(8)]
	}
	return a
}

// any returns header lines of any kind.
func (m *headerMaker) any() []string {
	switch m.rnd.IntN(12) {
	case 0, 1:
		return m.reports()
	case 2:
		return m.refreshes()
	case 3:
		return []string{m.other(), m.other()}
	case 4:
		u := m.target()
		if m.in(3) {
			u = m.inURL("application/speculationrules+json")
		}
		return []string{"Speculation-Rules: " + m.oneOf(`"`+u+`"`, `"`+u+`"`, `"/a", "`+u+`"`, u, `"`+u+`";x`, `("`+u+`")`, `"/a`+"\", \t\""+u+`"`)}
	}
	return m.links()
}

// part adds a response for a part of the page that is being made, and returns its name.
func (m *headerMaker) part(a response) string {
	name := fmt.Sprintf("%s-%d", m.id, len(m.responses))
	m.responses[name] = a
	return name
}

// page adds a page with such lines, or of parts that have them.
func (m *headerMaker) page() *vector {
	const html = "Content-Type: text/html; charset=utf-8"
	a := response{header: []string{html}, body: "<!doctype html><link rel=icon href=data:,><p>x<img src=/a.png>"}
	m.tag++
	switch m.rnd.IntN(8) {
	case 0, 1: // of an unknown type
		a = m.sniffed()
	case 2: // parts that have header lines of their own
		for range 2 {
			kind, tag := m.oneOf("text/css", "text/css", "text/html", "text/html", "text/javascript", "image/svg+xml"), ""
			p := response{header: append(m.any(), "Content-Type: "+kind)}
			if m.in(4) {
				p = m.sniffed()
				kind = "text/html"
			}
			if m.in(6) && kind == "text/html" {
				p = response{status: []int{301, 302, 303, 307, 308}[m.rnd.IntN(5)], header: append(m.any(), "Location: "+m.part(p))}
			}
			switch name := m.part(p); kind {
			case "text/css":
				tag = m.oneOf("<link rel=stylesheet href=N>", "<style>@import 'N';</style>", "<link rel=preload as=style href=N>")
				tag = strings.ReplaceAll(tag, "N", name)
			case "text/javascript":
				tag = "<script src=" + name + "></script>"
			case "image/svg+xml":
				tag = "<img src=" + name + ">"
			default:
				tag = m.oneOf("<iframe src=", "<iframe src=", "<embed src=", "<object data=") + name + "></object></iframe>"
			}
			a.body += tag
		}
	case 3: // redirects to blocked hosts, of what browsers say that they ask for
		shapes := []string{"<img src=N>", "<link rel=stylesheet href=N>", "<img srcset='N 1x'>", "<style>@import 'N';</style>", "<style>p{background:url(N)}</style>", "<link rel=preload as=image href=N>", "<svg><image width=9 height=9 href=N /></svg>", "<video poster=N></video>", "<input type=image src=N>"}
		if m.secure {
			shapes = append(shapes, "<script src=N></script>", "<iframe src=N></iframe>", "<link rel=prefetch href=N>", "<link rel=preload as=fetch crossorigin href=N>", "<link rel=manifest href=N>", "<video src=N></video>", "Speculation-Rules: \"N\"",
				"Link: <N>; rel=prefetch", "Link: <N>; rel=compression-dictionary", "<script type=speculationrules>{\"prefetch\":[{\"urls\":[\"N\"],\"eagerness\":\"immediate\"}]}</script>")
		}
		p := m.part(response{status: []int{301, 302, 303, 307, 308}[m.rnd.IntN(5)], header: []string{"Location: " + m.target()}})
		switch shape := m.oneOf(shapes...); shape[0] {
		case '<':
			a.body += strings.ReplaceAll(shape, "N", p)
		default:
			a.header = append(a.header, strings.ReplaceAll(shape, "N", p))
		}
	default:
		for range 2 + m.rnd.IntN(3) {
			a.header = append(a.header, m.any()...)
		}
		if m.in(8) {
			a.status = []int{201, 203, 300, 400, 404, 410, 500, 503}[m.rnd.IntN(8)]
		}
	}
	if m.in(6) {
		a.hints = m.links()
	}
	m.responses[m.id] = a
	text := a.String()
	for name, p := range m.responses {
		if strings.HasPrefix(name, m.id+"-") {
			text += "\n" + name + ": " + p.String()
		}
	}
	return &vector{ID: m.id, Scope: "static", Body: []byte(text)}
}

// pages returns n pages.
func (m *headerMaker) pages(name string, n int, seed uint64) (out []*vector) {
	for i := range n {
		m.id, m.tag = fmt.Sprintf("%s%d-%d", name, seed, i), 0
		out = append(out, m.page())
	}
	return out
}

// Pages whose header lines are put together at random make no browser contact a blocked host, nor do those of their parts.
// CONSENT_HEADERS is how many are tried, and after a comma from which seed; half as many are opened over TLS. Without
// the enforcement one in five contacts one at least, or the test shows nothing.
func TestRandomHeadersInBrowsers(t *testing.T) {
	n, seed := countAndSeed("CONSENT_HEADERS", 24)
	m := &headerMaker{tagMaker: tagMaker{rnd: rand.New(rand.NewPCG(seed, 15))}, responses: make(map[string]response)}
	vs := m.pages("headers", n, seed)
	m.secure = true
	secure := m.pages("sheaders", n/2, seed)
	c := headerSite(t, m.responses)
	unenforced, some := visit{scripting: true, direct: true}, func(vs []*vector) []*vector { return vs[:min(len(vs), 30)] }
	contacting := func(t *testing.T, visits []*visit) {
		t.Helper()
		got := 0
		for _, x := range visits {
			if len(x.contacts) > 0 {
				got++
			}
		}
		t.Logf("seed %d, not enforced: %d of %d pages contact a blocked host", seed, got, len(visits))
		if got*5 < len(visits) {
			t.Error("too few")
		}
	}
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), vs)
		noContacts(t, p.visits(vs, visit{scripting: true}))
		contacting(t, p.visits(some(vs), unenforced))
	})
	t.Run("Chromium over TLS", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), secure)
		p.secure(c.addr("8081"))
		noContacts(t, p.visits(secure, visit{scripting: true}))
		contacting(t, p.visits(some(secure), unenforced))
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		noContacts(t, f.replay(t, visit{scripting: true}, vs))
		contacting(t, f.replay(t, unenforced, some(vs)))
	})
	t.Run("Firefox over TLS", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		f.secure(t, c.addr("8081"))
		noContacts(t, f.replay(t, visit{scripting: true}, secure))
		contacting(t, f.replay(t, unenforced, some(secure)))
	})
}

// visits makes one visit to each of the vectors, as a page of its own.
func (p pool) visits(vs []*vector, mode visit) (all []*visit) {
	for _, v := range vs {
		all = append(all, mode.of(v))
	}
	p.replay(all)
	return all
}

// secure makes the browsers open what follows over TLS, at that address.
func (p pool) secure(addr string) {
	for _, r := range p {
		r.tls = addr
	}
}
