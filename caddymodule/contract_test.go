package caddymodule

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	doc     = `<!DOCTYPE html><p>hi</p><img src="https://www.facebook.com/tr?id=1">`
	docSafe = `<!DOCTYPE html><p>hi</p><img data-consent-category="marketing" data-consent-service="meta-pixel" data-consent-rule="path:www.facebook.com/tr" data-consent-src="https://www.facebook.com/tr?id=1">`
	yes     = "Cookie: consent=v1:preferences.statistics.marketing"
)

func respond(status int, body string, lines ...string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		for _, l := range lines {
			k, v, _ := strings.Cut(l, ": ")
			w.Header()[k] = append(w.Header()[k], v)
		}
		w.WriteHeader(status)
		_, err := io.WriteString(w, body)
		return err
	}
}

// playlistOf is a media playlist with that medium in it.
func playlistOf(url string) string {
	return "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n" + url + "\n#EXT-X-ENDLIST\n"
}

const html = "Content-Type: text/html; charset=utf-8"

func TestResponses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		h       Handler
		next    caddyhttp.HandlerFunc
		req     []string
		status  int
		body    string
		outcome string
		header  map[string]string // "" = must be absent
	}{
		{"an undecided visitor", Handler{}, respond(200, doc, html, fmt.Sprint("Content-Length: ", len(doc)), "Accept-Ranges: bytes", "Last-Modified: Tue, 24 Nov 2026 00:00:00 GMT"), nil, 200, docSafe, "rewritten",
			map[string]string{"Content-Length": fmt.Sprint(len(docSafe)), "Accept-Ranges": "", "Last-Modified": "", "Cache-Control": "private, no-cache", "Vary": "Cookie, Sec-GPC"}},
		{"everything allowed: the upstream's own bytes and length", Handler{}, respond(200, doc, html, fmt.Sprint("Content-Length: ", len(doc)), `Etag: "a"`), []string{yes}, 200, doc, "all_allowed",
			map[string]string{"Content-Length": fmt.Sprint(len(doc)), "Etag": `"a"`, "Vary": "Cookie, Sec-GPC"}},
		{"everything allowed but GPC", Handler{}, respond(200, doc, html), []string{yes, "Sec-GPC: 1"}, 200, docSafe, "rewritten", nil},
		{"a damaged cookie is no grant", Handler{}, respond(200, doc, html), []string{"Cookie: consent=v1:marketing:x"}, 200, docSafe, "rewritten", nil},
		{"a page without third parties", Handler{}, respond(200, "<p>hi", html), nil, 200, "<p>hi", "clean", nil},
		{"HEAD has GET's header and no body", Handler{}, respond(200, "", html, "Content-Length: 99"), []string{"HEAD /"}, 200, "", "passed:no_body",
			map[string]string{"Content-Length": "", "Vary": "Cookie, Sec-GPC"}},
		{"204 varies as a page does", Handler{}, respond(204, ""), nil, 204, "", "passed:no_body", map[string]string{"Vary": "Cookie, Sec-GPC"}},
		{"204 to what is no page", Handler{}, respond(204, ""), []string{"Sec-Fetch-Dest: image"}, 204, "", "", map[string]string{"Vary": ""}},
		{"404 pages are documents", Handler{}, respond(404, doc, html), nil, 404, docSafe, "rewritten", nil},
		{"XHTML", Handler{}, respond(200, doc, "Content-Type: application/xhtml+xml"), nil, 200, docSafe, "rewritten", nil},
		{"what one browser alone takes for XML", Handler{}, respond(200, doc, "Content-Type: text/xsl"), nil, 200, docSafe, "rewritten", map[string]string{"Content-Type": "text/xml"}},
		{"the same with an encoding", Handler{}, respond(200, doc, "Content-Type: text/xsl; charset=utf-8"), nil, 200, docSafe, "rewritten", map[string]string{"Content-Type": "text/xml; charset=utf-8"}},
		{"RDF", Handler{}, respond(200, doc, "Content-Type: application/rdf+xml"), nil, 200, docSafe, "rewritten", nil},
		{"an XSLT style sheet of another type", Handler{}, respond(200, doc, "Content-Type: application/x+xml"), []string{"Sec-Fetch-Dest: xslt"}, 200, docSafe, "rewritten", nil},
		{"other XML passes", Handler{}, respond(200, doc, "Content-Type: application/x+xml"), []string{"Sec-Fetch-Dest: document"}, 200, doc, "", nil},
		{"documents that replace each other", Handler{}, respond(200, doc, "Content-Type: multipart/x-mixed-replace; boundary=x"), []string{"Sec-Fetch-Dest: iframe"}, 502, errorPage, "failed:multipart_document", nil},
		{"the same over plain HTTP", Handler{}, respond(200, doc, "Content-Type: multipart/x-mixed-replace; boundary=x"), []string{"Accept: text/html,*/*;q=0.8"}, 502, errorPage, "failed:multipart_document", nil},
		{"images that replace each other pass", Handler{}, respond(200, doc, "Content-Type: multipart/x-mixed-replace; boundary=x"), []string{"Sec-Fetch-Dest: image"}, 200, doc, "", nil},
		{"and may be opened by their address", Handler{Fail: map[string]string{"multipart_document": "open"}}, respond(200, doc, "Content-Type: multipart/x-mixed-replace; boundary=x"), []string{"Sec-Fetch-Dest: document"}, 200, doc, "passed:multipart_document", nil},
		{"a signed page, for which Chromium asks other hosts", Handler{}, respond(200, "sxg1-b3\x00", "Content-Type: application/signed-exchange;v=b3", "X-Content-Type-Options: nosniff"), []string{"Sec-Fetch-Dest: document"}, 502, errorPage, "failed:signed_exchange", nil},
		{"the same where everything is allowed", Handler{}, respond(200, "sxg1-b3\x00", "Content-Type: application/signed-exchange;v=b3"), []string{yes}, 200, "sxg1-b3\x00", "all_allowed", nil},
		{"several types: the last that is one", Handler{}, respond(200, "x"+doc, "Content-Type: text/plain", "Content-Type: text/html; charset=gbk", "Content-Type: */*"), nil, 200, "x" + docSafe, "rewritten", map[string]string{"Content-Type": "text/html; charset=gbk"}},
		{"several types in one line", Handler{}, respond(200, "x"+doc, "Content-Type: text/html; charset=gbk, bogus, text/html"), nil, 200, "x" + docSafe, "rewritten", map[string]string{"Content-Type": "text/html; charset=gbk"}},
		{"an encoding in quotes behind a space, as Chromium alone reads it", Handler{}, respond(200, "x"+doc, `Content-Type: text/html; charset= "utf-16be"`), nil, 200, "x" + docSafe, "rewritten", map[string]string{"Content-Type": "text/html"}},
		{"an encoding in quotes", Handler{}, respond(200, "x"+doc, `Content-Type: text/html; charset="gbk"; x= y`), nil, 200, "x" + docSafe, "rewritten", map[string]string{"Content-Type": `text/html; charset="gbk"; x= y`}},
		{"another type behind it", Handler{}, respond(200, "x"+doc, "Content-Type: text/html; charset=gbk", "Content-Type: text/plain"), nil, 200, "x" + doc, "", map[string]string{"Content-Type": "text/plain"}},
		{"a type with more behind it", Handler{}, respond(200, "x"+doc, "Content-Type: text/html charset=utf-8"), nil, 200, "x" + docSafe, "rewritten", map[string]string{"Content-Type": "text/html"}},
		{"types of no page keep their parameters", Handler{}, respond(206, "x", "Content-Type: multipart/byteranges; boundary=a,b"), nil, 206, "x", "", map[string]string{"Content-Type": "multipart/byteranges; boundary=a,b"}},
		{"a comma in a parameter", Handler{}, respond(200, "x"+doc, `Content-Type: text/plain; x="a,text/html"`), nil, 200, "x" + doc, "", map[string]string{"Content-Type": `text/plain; x="a,text/html"`}},
		{"speculation rules of the site", Handler{}, respond(200, `{"prefetch":[{"where":{"href_matches":"/*"}}]}`, "Content-Type: application/speculationrules+json", "Cache-Control: max-age=9"), []string{"Sec-Fetch-Dest: speculationrules"}, 200, `{"prefetch":[{"where":{"href_matches":"/*"}}]}`, "", map[string]string{"Cache-Control": "max-age=9"}},
		{"speculation rules in a URL that name a tracker", Handler{}, respond(200, "x", "Content-Type: text/plain", `Speculation-Rules: "data:application/speculationrules+json,%7B%22prefetch%22:[%7B%22urls%22:[%22https://www.facebook.com/tr%22]%7D]%7D"`), nil, 200, "x", "passed:not_html", map[string]string{"Speculation-Rules": ""}},
		{"speculation rules of the site in a URL", Handler{}, respond(200, "x", "Content-Type: text/plain", `Speculation-Rules: "data:application/speculationrules+json,%7B%22prefetch%22:[%7B%22urls%22:[%22/a%22]%7D]%7D"`), nil, 200, "x", "", map[string]string{"Speculation-Rules": `"data:application/speculationrules+json,%7B%22prefetch%22:[%7B%22urls%22:[%22/a%22]%7D]%7D"`}},
		{"speculation rules for any link", Handler{}, respond(200, `{"prefetch":[{"where":{"href_matches":"*:*"}}]}`, "Content-Type: application/speculationrules+json", "Cache-Control: max-age=9"), nil, 204, "", "blocked:speculation", map[string]string{"Cache-Control": "no-store"}},
		{"the same where everything is allowed", Handler{}, respond(200, `{"prefetch":[{"where":{"href_matches":"*:*"}}]}`, "Content-Type: application/speculationrules+json"), []string{yes}, 200, `{"prefetch":[{"where":{"href_matches":"*:*"}}]}`, "", map[string]string{"Cache-Control": "private, no-cache"}},
		{"a playlist of the site", Handler{}, respond(200, playlistOf("a.ts"), "Content-Type: application/vnd.apple.mpegurl", "Cache-Control: max-age=9", `Etag: "a"`), []string{"Sec-Fetch-Dest: video"}, 200, playlistOf("a.ts"), "", map[string]string{"Cache-Control": "max-age=9", "Etag": `"a"`}},
		{"a playlist with media of a tracker", Handler{}, respond(200, playlistOf("https://www.facebook.com/tr/a.ts"), "Content-Type: audio/x-mpegurl", "Cache-Control: max-age=9"), nil, 204, "", "blocked:playlist", map[string]string{"Cache-Control": "no-store"}},
		{"a playlist that nobody may store for others", Handler{}, respond(200, playlistOf("https://www.facebook.com/tr/a.ts"), "Content-Type: audio/x-mpegurl", "Cdn-Cache-Control: max-age=9", "Surrogate-Control: max-age=9", "X-Accel-Expires: 9", "Repr-Digest: sha-256=:x:", "Accept-Ranges: bytes"), nil, 204, "", "blocked:playlist",
			map[string]string{"Cdn-Cache-Control": "", "Surrogate-Control": "", "X-Accel-Expires": "", "Repr-Digest": "", "Accept-Ranges": ""}},
		{"what has a playlist's name and is asked for as a style sheet", Handler{}, respond(200, "p{}", "Content-Type: text/css"), []string{"GET /a.m3u8", "Sec-Fetch-Dest: style", "Cookie: _ga=1", "Range: bytes=0-", `If-None-Match: "a"`}, 200, "p{}", "", nil},
		{"a page that no cache outside may store", Handler{}, respond(200, "x"+doc, "Content-Type: text/html", "Cloudflare-Cdn-Cache-Control: max-age=9", "Netlify-Cdn-Cache-Control: max-age=9", "Vercel-Cdn-Cache-Control: max-age=9", "Edge-Control: max-age=9"), nil, 200, "x" + docSafe, "rewritten",
			map[string]string{"Cloudflare-Cdn-Cache-Control": "", "Netlify-Cdn-Cache-Control": "", "Vercel-Cdn-Cache-Control": "", "Edge-Control": ""}},
		{"a playlist with media of a host with letters outside ASCII, which nobody blocks", Handler{}, respond(200, playlistOf("https://vidéo.example/a.ts"), "Content-Type: audio/x-mpegurl"), nil, 200, playlistOf("https://vidéo.example/a.ts"), "", nil},
		{"one of a tracker as a video, in part", Handler{}, respond(206, playlistOf("https://www.facebook.com/tr/a.ts"), "Content-Type: video/mp4", "Content-Range: bytes 0-98/99"), []string{"Sec-Fetch-Dest: video", "Range: bytes=0-"}, 204, "", "blocked:playlist", nil},
		{"one that comes in parts, of which only the first is known", Handler{}, respond(206, "#EXTM3U\n#EXT-X", "Content-Type: video/mp4", "Content-Range: bytes 0-13/99"), []string{"Sec-Fetch-Dest: video", "Range: bytes=0-"}, 204, "", "blocked:playlist", nil},
		{"one in a coding that Chromium does not know and reads as none", Handler{}, respond(200, playlistOf("https://www.facebook.com/tr/a.ts"), "Content-Type: audio/x-mpegurl", "Content-Encoding: foo"), []string{"Sec-Fetch-Dest: video"}, 204, "", "blocked:playlist", nil},
		{"the same over plain HTTP", Handler{}, respond(200, playlistOf("https://www.facebook.com/tr/a.ts"), "Content-Type: text/plain"), []string{"Range: bytes=0-"}, 204, "", "blocked:playlist", nil},
		{"the same compressed", Handler{}, respond(200, compress(t, "gzip", playlistOf("https://www.facebook.com/tr/a.ts")), "Content-Type: application/x-mpegurl", "Content-Encoding: gzip"), nil, 204, "", "blocked:playlist", nil},
		{"a compressed one of the site", Handler{}, respond(200, compress(t, "gzip", playlistOf("a.ts")), "Content-Type: application/x-mpegurl", "Content-Encoding: gzip"), nil, 200, compress(t, "gzip", playlistOf("a.ts")), "", map[string]string{"Content-Encoding": "gzip"}},
		{"media of a tracker that must not be confirmed after a withdrawal", Handler{}, respond(206, playlistOf("https://www.facebook.com/tr/a.ts"), "Content-Type: audio/x-mpegurl", `Etag: "a"`, "Last-Modified: Tue, 24 Nov 2026 00:00:00 GMT"), []string{yes, "Sec-Fetch-Dest: video", "Range: bytes=0-"}, 206, playlistOf("https://www.facebook.com/tr/a.ts"), "", map[string]string{"Cache-Control": "private, no-cache", "Etag": "", "Last-Modified": ""}},
		{"media of a tracker where everything is allowed", Handler{}, respond(200, playlistOf("https://www.facebook.com/tr/a.ts"), "Content-Type: audio/x-mpegurl"), []string{yes}, 200, playlistOf("https://www.facebook.com/tr/a.ts"), "", map[string]string{"Cache-Control": "private, no-cache"}},
		{"an empty video passes", Handler{}, respond(200, "", "Content-Type: video/mp4"), []string{"Sec-Fetch-Dest: video"}, 200, "", "", nil},
		{"a short video passes", Handler{}, respond(200, "#EXT", "Content-Type: video/mp4"), []string{"Sec-Fetch-Dest: video"}, 200, "#EXT", "", nil},
		{"JSON passes", Handler{}, respond(200, doc, "Content-Type: application/json", "Content-Length: "+fmt.Sprint(len(doc))), nil, 200, doc, "", map[string]string{"Content-Length": fmt.Sprint(len(doc)), "Vary": ""}},
		{"no Content-Type is sniffed as browsers do", Handler{}, respond(200, doc), nil, 200, docSafe, "rewritten", map[string]string{"Content-Type": "text/html; charset=utf-8"}},
		{"no Content-Type, no HTML", Handler{}, respond(200, "plain"), nil, 200, "plain", "", map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{"a Content-Type that browsers do not believe", Handler{}, respond(200, doc, "Content-Type: */*"), nil, 200, docSafe, "rewritten", nil},
		{"a Content-Type that Firefox alone does not believe", Handler{}, respond(200, doc, "Content-Type: application/x-unknown-content-type"), nil, 200, docSafe, "rewritten", map[string]string{"Content-Type": "text/html; charset=utf-8"}},
		{"what is said not to be sniffed is no page", Handler{}, respond(200, doc, "Content-Type: */*", "X-Content-Type-Options: nosniff"), nil, 200, doc, "", map[string]string{"Content-Type": "*/*"}},
		{"no browser takes for HTML what we take for text", Handler{}, respond(200, "<pre>"+doc, "Content-Type: */*"), nil, 200, "<pre>" + doc, "", map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{"an unknown coding is refused", Handler{}, respond(200, doc, html, "Content-Encoding: snappy"), nil, 502, errorPage, "failed:unsupported_encoding", map[string]string{"Content-Encoding": ""}},
		{"an unknown coding, open", Handler{Fail: map[string]string{"unsupported_encoding": "open"}}, respond(200, doc, html, "Content-Encoding: snappy"), nil, 200, doc, "passed:unsupported_encoding", map[string]string{"Content-Encoding": "snappy"}},
		{"UTF-16 is read", Handler{}, respond(200, "\xff\xfe<\x00", html), nil, 200, "\xff\xfe<\x00", "clean", nil},
		{"XML in an encoding nobody knows is refused", Handler{}, respond(200, doc, "Content-Type: application/xhtml+xml; charset=none-such"), nil, 502, errorPage, "failed:unsupported_charset", nil},
		{"a part of a page is refused", Handler{}, respond(206, doc, html, "Content-Range: bytes 0-9/99"), nil, 502, errorPage, "failed:partial_content", map[string]string{"Content-Range": ""}},
		{"a part of a video passes", Handler{}, respond(206, "xx", "Content-Type: video/mp4", "Content-Range: bytes 0-1/99"), nil, 206, "xx", "", map[string]string{"Content-Range": "bytes 0-1/99"}},
		{"no-transform is the site's own", Handler{}, respond(200, doc, html, "Cache-Control: public, max-age=99, no-transform"), nil, 200, docSafe, "rewritten", map[string]string{"Cache-Control": "private, no-cache, no-transform"}},
		{"no-transform, left alone on request", Handler{NoTransform: "pass"}, respond(200, doc, html, "Cache-Control: no-transform"), nil, 200, doc, "passed:no_transform", nil},
		{"no-store stays", Handler{}, respond(200, doc, html, "Cache-Control: no-store"), nil, 200, docSafe, "rewritten", map[string]string{"Cache-Control": "private, no-cache, no-store"}},
		{"digests of the old body go", Handler{}, respond(200, doc, html, "Content-Digest: sha-256=:x:", "Digest: x"), nil, 200, docSafe, "rewritten", map[string]string{"Content-Digest": "", "Digest": ""}},
		{"304 has the header of 200", Handler{}, respond(304, "", `Etag: "a"`), []string{"Accept: text/html"}, 304, "", "passed:no_body", map[string]string{"Vary": "Cookie, Sec-GPC"}},
		{"links to trackers go", Handler{}, respond(200, "x", "Content-Type: text/plain", `Link: </a.css>; rel=preload; as=style, <https://www.facebook.com/tr>; rel=preload; as=image`, `Link: <https://www.googletagmanager.com>; rel="preconnect"`), nil, 200, "x", "passed:not_html", map[string]string{"Link": "</a.css>; rel=preload; as=style"}},
		{"links that not all browsers read alike go", Handler{}, respond(200, "x", "Content-Type: text/plain", `Link: </a.css>; title="a, <https://www.facebook.com/tr>; rel=stylesheet`, `Link: </b.css>; rel="style\sheet"`,
			`Link: </c.css; rel=stylesheet, <https://www.facebook.com/tr>; rel=stylesheet`, `Link: </d.css>; rel="stylesheet"x`, `Link: <//t.test/x>; x="; rel=stylesheet`, `Link: </e>; rel=next;; title="x, y" ,,</f>;rel = "a b"; type=text/css;nopush;`), nil, 200, "x", "passed:not_html",
			map[string]string{"Link": `</e>; rel=next;; title="x, y" ,,</f>;rel = "a b"; type=text/css;nopush;`}},
		{"links of which none fetches stay", Handler{}, respond(200, "x", "Content-Type: text/plain", `Link: </a>; title="x \"y\""; rel=prev, <https://www.facebook.com/?s="x">; rel=canonical`), nil, 200, "x", "",
			map[string]string{"Link": `</a>; title="x \"y\""; rel=prev, <https://www.facebook.com/?s="x">; rel=canonical`}},
		{"a next page, which Firefox fetches ahead, on a line that not all browsers read alike", Handler{}, respond(200, "x", "Content-Type: text/plain", `Link: <https://www.facebook.com/tr>; title="x \"y\""; rel=next`), nil, 200, "x", "passed:not_html", map[string]string{"Link": ""}},
		{"a link with two destinations", Handler{Unclassified: "block_active"}, respond(200, "x", "Content-Type: text/plain", `Link: <//t.example/x>; rel=preload; as=script; as=image`), nil, 200, "x", "passed:not_html", map[string]string{"Link": ""}},
		{"other links stay as they are", Handler{}, respond(200, "x", "Content-Type: text/plain", `Link: <https://www.facebook.com/x>;rel=canonical,  </b>; rel=next`), nil, 200, "x", "", map[string]string{"Link": `<https://www.facebook.com/x>;rel=canonical,  </b>; rel=next`}},
		{"a refresh to a tracker goes", Handler{}, respond(200, "x", "Content-Type: text/plain", `Refresh: 0; url=https://ad.doubleclick.net/x`), nil, 200, "x", "passed:not_html", map[string]string{"Refresh": ""}},
		{"a refresh to a tracker as Chromium reads it", Handler{}, respond(200, "x", "Content-Type: text/plain", "Refresh: 0; url='/'@ad.doubleclick.net/x'", "Refresh: 0; url='//a'@ad.doubleclick.net/x'"), nil, 200, "x", "passed:not_html", map[string]string{"Refresh": "0; url='/'@ad.doubleclick.net/x'"}},
		{"a refresh to a tracker on two lines", Handler{}, respond(200, "x", "Content-Type: text/plain", "Refresh: 0", "Refresh: url=https://ad.doubleclick.net/x"), nil, 200, "x", "passed:not_html", map[string]string{"Refresh": ""}},
		{"a refresh to a tracker with an empty line", Handler{}, respond(200, "x", "Content-Type: text/plain", "Refresh: 0", "Refresh: ", "Refresh: //ad.doubleclick.net/x"), nil, 200, "x", "passed:not_html", map[string]string{"Refresh": ""}},
		{"a refresh to a document in a URL that names a tracker", Handler{}, respond(200, "x", "Content-Type: text/plain", "Refresh: 0; url=data:text/html,<img%20src=//www.facebook.com/tr><img%20src=https://www.facebook.com/tr>"), nil, 200, "x", "passed:not_html", map[string]string{"Refresh": ""}},
		{"a refresh to a document in a URL", Handler{}, respond(200, "x", "Content-Type: text/plain", "Refresh: 0; url=data:text/html,<a%20href=https://www.facebook.com/>x</a>"), nil, 200, "x", "", map[string]string{"Refresh": "0; url=data:text/html,<a%20href=https://www.facebook.com/>x</a>"}},
		{"links to what stands in a URL and names trackers go", Handler{}, respond(200, "x", "Content-Type: text/plain", "Link: <data:text/css,@import'https://www.facebook.com/tr.css';>; rel=stylesheet", "Link: <data:text/css;base64,QGltcG9ydCdodHRwczovL3d3dy5mYWNlYm9vay5jb20vdHIuY3NzJw>; rel=preload; as=style",
			"Link: <data:text/javascript,import'https://connect.facebook.net/en_US/fbevents.js'>; rel=modulepreload", "Link: <data:text/css,p{background:url(/a.png)}>; rel=stylesheet", "Link: <data:text/css,@import'https://www.facebook.com/tr.css';>; rel=canonical"), nil, 200, "x", "passed:not_html",
			map[string]string{"Link": "<data:text/css,p{background:url(/a.png)}>; rel=stylesheet, <data:text/css,@import'https://www.facebook.com/tr.css';>; rel=canonical"}},
		{"a refresh of the site on two lines", Handler{}, respond(200, "x", "Content-Type: text/plain", "Refresh: 0", "Refresh: url=/x"), nil, 200, "x", "", map[string]string{"Refresh": "0, url=/x"}},
		{"shadow changes nothing", Handler{Mode: "shadow"}, respond(200, doc, html, fmt.Sprint("Content-Length: ", len(doc)), "Set-Cookie: _ga=1", `Etag: "a"`), nil, 200, doc, "rewritten",
			map[string]string{"Content-Length": fmt.Sprint(len(doc)), "Set-Cookie": "_ga=1", "Etag": `"a"`, "Vary": "", "Cache-Control": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &tt.h, tt.next)
			a := s.get(t, tt.req...)
			if a.err != nil || a.StatusCode != tt.status || a.body != tt.body {
				t.Errorf("got %d %q %v, want %d %q", a.StatusCode, a.body, a.err, tt.status, tt.body)
			}
			for k, want := range tt.header {
				if got := strings.Join(a.Header[k], ", "); got != want {
					t.Errorf("%s: %q, want %q", k, got, want)
				}
			}
			if got := s.outcome(); got != tt.outcome {
				t.Errorf("outcome %q, want %q", got, tt.outcome)
			}
		})
	}
}

// Each cause is answered as the site says for it, and counted.
func TestFailuresByCause(t *testing.T) {
	for cause, next := range map[string]caddyhttp.HandlerFunc{
		causeEncoding: respond(200, doc, html, "Content-Encoding: snappy"),
		causeCharset:  respond(200, doc, "Content-Type: application/xhtml+xml; charset=none-such"),
		causeSigned:   respond(200, doc, "Content-Type: application/signed-exchange"),
		causePartial:  respond(206, doc, html, "Content-Range: bytes 0-9/99"),
	} {
		for _, how := range []map[string]string{nil, {cause: "open"}, {"*": "open"}, {"*": "open", cause: "closed"}, {"*": "closed", cause: "open"}} {
			s := newSite(t, &Handler{Fail: how}, next)
			a := s.get(t)
			open := how[cause] == "open" || how[cause] == "" && how["*"] == "open"
			outcome := "failed:" + cause
			if open {
				outcome = "passed:" + cause
			}
			if (a.body == doc) != open || (a.StatusCode == http.StatusBadGateway) == open || s.outcome() != outcome {
				t.Errorf("%s under %v: %d %q %s", cause, how, a.StatusCode, a.body, s.outcome())
			}
			n := s.h.counters.snapshot()
			if n.Failures[cause] != 1 || n.Responses[outcome] != 1 {
				t.Errorf("%s under %v is counted %v, failures %v", cause, how, n.Responses, n.Failures)
			}
		}
	}
}

// Cookies of every kind of answer are filtered: redirects, errors, pictures, data, confirmations.
func TestCookiesOfEveryAnswer(t *testing.T) {
	for _, status := range []int{200, 204, 301, 302, 303, 304, 307, 401, 404, 410, 500, 503} {
		for _, ct := range []string{"text/html", "application/json", "image/gif", "text/css", "application/pdf", "text/event-stream", ""} {
			for _, method := range []string{"GET /", "HEAD /", "POST /", "OPTIONS /"} {
				s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
					w.Header()["set-cookie"] = []string{"_ga=1; Path=/", `s="a b`}
					w.Header()["Set-Cookie"] = []string{"_fbp=1", "=nameless", "_gid=; Max-Age=0"}
					if ct != "" {
						w.Header().Set("Content-Type", ct)
					}
					w.WriteHeader(status)
					return nil
				})
				a := s.get(t, method)
				got := a.Header["Set-Cookie"]
				slices.Sort(got)
				if a.StatusCode != status || strings.Join(got, "|") != `=nameless|_gid=; Max-Age=0|s="a b` {
					t.Errorf("%s, %d, %s: %d %q", method, status, ct, a.StatusCode, got)
				}
			}
		}
	}
}

func TestSetCookie(t *testing.T) {
	lines := []string{
		"session=1; Path=/; HttpOnly", "_ga=GA1; Path=/", "_ga=; Max-Age=0; Path=/", "_fbp=; expires=Thu, 01-Jan-1970 00:00:00 GMT",
		"weird\xff=\"a\"; x", "_fbp=fb; Max-Age=99; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "novalue", "_gid=1;Domain=.example.com",
	}
	want := []string{lines[0], lines[2], lines[3], lines[4], lines[6]}
	for _, status := range []int{200, 302, 404, 500} {
		for _, ct := range []string{html, "Content-Type: image/png"} {
			s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
				w.Header()["Set-Cookie"] = lines[:4]
				w.Header()["set-cookie"] = lines[4:] // a key that is not canonical
				w.Header().Set("Content-Type", strings.TrimPrefix(ct, "Content-Type: "))
				w.WriteHeader(status)
				return nil
			})
			got := s.get(t).Header["Set-Cookie"]
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%d %s: got %q, want %q", status, ct, got, want)
			}
		}
	}
	s := newSite(t, &Handler{}, respond(200, "x", html, "Set-Cookie: "+lines[1]))
	if got := s.get(t, "Cookie: consent=v1:statistics").Header["Set-Cookie"]; len(got) != 1 || got[0] != lines[1] {
		t.Errorf("with statistics: %q", got)
	}
}

func TestRequestToTheUpstream(t *testing.T) {
	var seen http.Header
	next := func(w http.ResponseWriter, r *http.Request) error {
		seen = r.Header.Clone()
		w.WriteHeader(204)
		return nil
	}
	for _, tt := range []struct {
		name string
		h    Handler
		req  []string
		want map[string]string
	}{
		{"cookies without consent stay here", Handler{}, []string{"Cookie: a=1;  _ga=2; b=\"3\"; _fbp=4"}, map[string]string{"Cookie": `a=1; b="3"`}},
		{"nothing to remove: the same bytes", Handler{}, []string{"Cookie: a=1;  b=\"3\""}, map[string]string{"Cookie": "a=1;  b=\"3\""}},
		{"only trackers: no header", Handler{}, []string{"Cookie: _ga=2"}, map[string]string{"Cookie": ""}},
		{"identity for documents", Handler{}, []string{"Accept: text/html", "Accept-Encoding: gzip, br", "Range: bytes=0-9", "If-Range: x"}, map[string]string{"Accept-Encoding": "identity", "Range": "", "If-Range": ""}},
		{"images are fetched as asked", Handler{}, []string{"Sec-Fetch-Dest: image", "Accept-Encoding: gzip, br", "Range: bytes=0-9"}, map[string]string{"Accept-Encoding": "gzip, br", "Range": "bytes=0-9"}},
		{"parts that a player or a viewer fetches", Handler{}, []string{"Sec-Fetch-Dest: empty", "Accept: */*", "Range: bytes=0-9", "If-Range: x"}, map[string]string{"Range": "bytes=0-9", "If-Range": "x"}},
		{"parts of a download that goes on", Handler{}, []string{"Accept: */*", "Range: bytes=9-"}, map[string]string{"Range": "bytes=9-"}},
		{"the first bytes of a video, in Safari over plain HTTP", Handler{}, []string{"Accept: */*", "Range: bytes=0-1"}, map[string]string{"Range": "bytes=0-1"}},
		{"a video, in Chromium over plain HTTP", Handler{}, []string{"Accept: */*", "Accept-Encoding: identity;q=1, *;q=0", "Range: bytes=0-"}, map[string]string{"Range": "bytes=0-"}},
		{"the whole of a page for a link preview", Handler{}, []string{"Accept: */*", "Range: bytes=0-524287"}, map[string]string{"Range": ""}},
		{"the whole of a playlist", Handler{}, []string{"GET /a.m3u8", "Sec-Fetch-Dest: empty", "Range: bytes=0-9"}, map[string]string{"Range": ""}},
		{"the whole of what may be a style sheet", Handler{}, []string{"GET /a.css", "Accept: */*", "Range: bytes=0-9"}, map[string]string{"Range": ""}},
		{"documents too, once all is allowed", Handler{}, []string{yes, "Accept: text/html", "Accept-Encoding: gzip", "Range: bytes=0-9"}, map[string]string{"Accept-Encoding": "gzip", "Range": "bytes=0-9"}},
		{"a validator of another state", Handler{}, []string{"Accept: text/html", `If-None-Match: "a", W/"b"`, "If-Modified-Since: Tue, 24 Nov 2026 00:00:00 GMT"}, map[string]string{"If-None-Match": "", "If-Modified-Since": ""}},
		{"shadow changes nothing", Handler{Mode: "shadow"}, []string{"Cookie: _ga=2", "Accept: text/html", "Accept-Encoding: gzip", "Range: bytes=0-9"}, map[string]string{"Cookie": "_ga=2", "Accept-Encoding": "gzip", "Range": "bytes=0-9"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			newSite(t, &tt.h, next).get(t, tt.req...)
			for k, want := range tt.want {
				if got := strings.Join(seen[k], ", "); got != want {
					t.Errorf("%s: %q, want %q", k, got, want)
				}
			}
		})
	}
}

// An upstream that answers 304 to what it was not asked confirms no page of another choice.
func TestNotModifiedThatNobodyAskedFor(t *testing.T) {
	s := newSite(t, &Handler{}, respond(304, "", `Etag: "v1"`))
	for _, lines := range [][]string{
		{"GET /", "Sec-Fetch-Dest: document", `If-None-Match: "v1"`},
		{"GET /", "Sec-Fetch-Dest: document", "If-Modified-Since: Tue, 24 Nov 2026 00:00:00 GMT"},
		{"GET /a.css", "Sec-Fetch-Dest: style", `If-None-Match: "v1"`},
	} {
		if a := s.get(t, lines...); a.StatusCode != http.StatusBadGateway || a.Header.Get("Etag") != "" {
			t.Errorf("%q: %d with %v", lines, a.StatusCode, a.Header)
		}
	}
	if a := s.get(t, "Sec-Fetch-Dest: document"); a.StatusCode != http.StatusNotModified {
		t.Errorf("without a condition: %d", a.StatusCode)
	}
	if a := s.get(t, yes, "Sec-Fetch-Dest: document", `If-None-Match: "v1"`); a.StatusCode != http.StatusNotModified {
		t.Errorf("for who accepted: %d", a.StatusCode)
	}
}

// A page that was cached under one choice is not confirmed under another.
func TestEntityTagsFollowConsent(t *testing.T) {
	const tag = `"65f3b2c1-c0ffe"` // as nginx makes them
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Etag", tag)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.Contains(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		_, err := io.WriteString(w, doc)
		return err
	})
	blocked := s.get(t, "Accept: text/html").Header.Get("Etag")
	allowed := s.get(t, "Accept: text/html", yes).Header.Get("Etag")
	partly := s.get(t, "Accept: text/html", "Cookie: consent=v1:statistics").Header.Get("Etag")
	if blocked == allowed || blocked == partly || partly == allowed || allowed != tag {
		t.Fatalf("tags %s %s %s do not tell the variants apart", blocked, allowed, partly)
	}
	for _, tt := range []struct {
		cookie, tag string
		status      int
	}{
		{"Cookie: x=1", blocked, 304}, {"Cookie: x=1", allowed, 200}, {"Cookie: x=1", partly, 200},
		{yes, allowed, 304}, {yes, blocked, 200}, {"Cookie: consent=v1:statistics", partly, 304}, {"Cookie: consent=v1:statistics", blocked, 200},
		{"Cookie: x=1", `"z", W/` + blocked, 304},
	} {
		if a := s.get(t, "Accept: text/html", tt.cookie, "If-None-Match: "+tt.tag); a.StatusCode != tt.status {
			t.Errorf("%s with %s: %d, want %d", tt.cookie, tt.tag, a.StatusCode, tt.status)
		} else if tt.status == 304 && tt.tag != a.Header.Get("Etag") && !strings.Contains(tt.tag, a.Header.Get("Etag")) {
			t.Errorf("304 with tag %s for %s", a.Header.Get("Etag"), tt.tag)
		}
	}
}

func compress(t *testing.T, coding, body string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw deflate":
		w, _ = flate.NewWriter(&b, 5)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedUpstreams(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "raw deflate", "br", "zstd"} {
		data, name := compress(t, coding, doc), strings.TrimPrefix(coding, "raw ")
		byBytes := func(data string) caddyhttp.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.Header().Set("Content-Encoding", name)
				for i := range len(data) {
					if n, err := io.WriteString(w, data[i:i+1]); n != 1 || err != nil {
						return fmt.Errorf("wrote %d: %w", n, err)
					}
				}
				return nil
			}
		}
		t.Run(coding, func(t *testing.T) {
			a := newSite(t, &Handler{}, byBytes(data)).get(t)
			if a.body != docSafe || a.Header.Get("Content-Encoding") != "" || a.err != nil {
				t.Errorf("got %q %v", a.body, a.err)
			}
			a = newSite(t, &Handler{}, byBytes(data)).get(t, yes)
			if a.body != data || a.Header.Get("Content-Encoding") != name {
				t.Errorf("everything allowed: got %q", a.body)
			}
			s := newSite(t, &Handler{Mode: "shadow"}, byBytes(data))
			if a = s.get(t); a.body != data || s.outcome() != "rewritten" {
				t.Errorf("shadow: %q %s", a.body, s.outcome())
			}
			s = newSite(t, &Handler{}, byBytes(data[:len(data)-9]))
			if a = s.get(t); a.err == nil || !strings.HasPrefix(s.outcome(), "failed:") || strings.Contains(a.body, "facebook") {
				t.Errorf("cut off: %q %v %s", a.body, a.err, s.outcome())
			}
		})
	}
}

// An upstream that dies in the middle of a tag: no half tag, and no clean end.
func TestUpstreamBreaksOff(t *testing.T) {
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<p>hello</p><script src="https://www.googleta`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	a := s.get(t)
	if a.err == nil || a.body != "<p>hello</p>" {
		t.Errorf("got %q, %v; want the text and an error", a.body, a.err)
	}
	if s.outcome() != "failed:upstream_abort" {
		t.Errorf("outcome %q", s.outcome())
	}
}

func TestErrorBeforeTheHeader(t *testing.T) {
	want := caddyhttp.Error(http.StatusBadGateway, errors.New("no upstream"))
	s := newSite(t, &Handler{}, func(http.ResponseWriter, *http.Request) error { return want })
	if a := s.get(t); a.StatusCode != http.StatusBadGateway || a.body != "error page" || a.Header.Get("Vary") != "" {
		t.Errorf("got %d %q %v", a.StatusCode, a.body, a.Header)
	}
}

func TestEarlyHints(t *testing.T) {
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header()["Link"] = []string{"</a.css>; rel=preload; as=style", "<https://www.googletagmanager.com/gtm.js?id=GTM-1>; rel=preload; as=script"}
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusEarlyHints)
		clear(w.Header())
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		_, err := io.WriteString(w, doc)
		return err
	})
	var hints []string
	req, _ := http.NewRequest("GET", s.URL, nil)
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h["Link"]))
		return nil
	}})
	resp, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if want := "[103 [</a.css>; rel=preload; as=style] 103 [</a.css>; rel=preload; as=style]]"; resp.StatusCode != 404 || fmt.Sprint(hints) != want {
		t.Errorf("%d after %v, want 404 after %s", resp.StatusCode, hints, want)
	}
}

// What a compressed body without a type is taken for is sniffed behind the coding, and said.
func TestCompressedUpstreamsWithoutAType(t *testing.T) {
	xml := `<?xml version="1.0"?><?xml-stylesheet href="https://www.facebook.com/tr"?><r/>`
	long := strings.Repeat("<p>some text</p>\n", 9999)
	for _, tt := range []struct{ body, want, contentType string }{
		{doc, docSafe, "text/html; charset=utf-8"},
		{doc + long, docSafe + long, "text/html; charset=utf-8"},
		{xml, strings.Replace(xml, "xml-style", "data-consent-xml-style", 1), "text/xml; charset=utf-8"},
		{"plain", "", "text/plain; charset=utf-8"},
		{"\x89PNG\x0d\x0a\x1a\x0a" + long, "", "image/png"},
	} {
		for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
			data := compress(t, coding, tt.body)
			for _, size := range []int{1, 700, 1 << 20} {
				a := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
					w.Header()["Content-Type"] = nil
					w.Header().Set("Content-Encoding", coding)
					for rest := data; rest != ""; rest = rest[min(size, len(rest)):] {
						if _, err := io.WriteString(w, rest[:min(size, len(rest))]); err != nil {
							return err
						}
					}
					return nil
				}).get(t)
				if a.Header.Get("Content-Type") != tt.contentType || a.body != cmp.Or(tt.want, data) || a.err != nil {
					t.Errorf("%s in pieces of %d: %q, got %s %.200q %v", coding, size, tt.body[:5], a.Header.Get("Content-Type"), a.body, a.err)
				}
			}
		}
	}
}

// The first chunk leaves before the upstream has its second, flushes come from another goroutine
// as reverse_proxy's do, and what is incomplete waits.
func TestStreaming(t *testing.T) {
	for _, ct := range []string{"text/html; charset=utf-8", "text/event-stream"} {
		got := make(chan struct{})
		s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", ct)
			if _, err := io.WriteString(w, "<p>first</p><im"); err != nil {
				return err
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						_ = http.NewResponseController(w).Flush()
					}
				}
			}()
			<-got
			_, err := io.WriteString(w, "g>") // while flushes go on
			close(stop)
			<-stopped
			return err
		})
		resp, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, len("<p>first</p>"))
		if _, err := io.ReadFull(resp.Body, first); err != nil {
			t.Fatal(err)
		}
		close(got)
		rest, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil || string(first)+string(rest) != "<p>first</p><img>" {
			t.Errorf("%s: %q %q %v", ct, first, rest, err)
		}
	}
}

// A flush before the header is decided commits nothing: a later 404 stays 404.
func TestEarlyFlush(t *testing.T) {
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusNotFound)
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("Content-Type", "text/html")
		_, err := io.WriteString(w, doc)
		return err
	})
	if a := s.get(t); a.StatusCode != 404 || a.body != docSafe {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

// A flush that comes when the handler is done touches nothing.
func TestLateFlush(t *testing.T) {
	var late http.ResponseWriter
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		late = w
		w.Header().Set("Content-Type", "text/html")
		_, err := io.WriteString(w, doc)
		return err
	})
	s.get(t)
	if err := http.NewResponseController(late).Flush(); err != nil {
		t.Error(err)
	}
}

func TestReadFromIsRewrittenToo(t *testing.T) {
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html")
		n, err := io.Copy(w, struct{ io.Reader }{strings.NewReader(doc)})
		if n != int64(len(doc)) {
			t.Errorf("copied %d of %d bytes", n, len(doc))
		}
		return err
	})
	if a := s.get(t); a.body != docSafe {
		t.Errorf("%q", a.body)
	}
}

func TestTrailers(t *testing.T) {
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Trailer", "X-Sum, Content-Digest")
		_, err := io.WriteString(w, doc)
		w.Header().Set("X-Sum", "1")
		w.Header().Set("Content-Digest", "sha-256=:x:")
		return err
	})
	if a := s.get(t); a.Trailer.Get("X-Sum") != "1" || a.Trailer.Get("Content-Digest") != "" {
		t.Errorf("trailers %v", a.Trailer)
	}
}

func TestDoubledDirectiveWarnsOnce(t *testing.T) {
	inner := &Handler{}
	var calls atomic.Int32
	in := newSite(t, inner, nil)
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, r *http.Request) error {
		return inner.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			calls.Add(1)
			return respond(200, doc, html)(w, r)
		}))
	})
	for range 2 {
		if a := s.get(t); a.body != docSafe {
			t.Errorf("%q", a.body)
		}
	}
	if n := in.logs.Len(); n != 1 || calls.Load() != 2 {
		t.Errorf("%d warnings, %d requests", n, calls.Load())
	}
}

func TestMetricsOfTwoSitesAreOne(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		s := newSite(t, &Handler{}, respond(200, doc, html, "Set-Cookie: _ga=1"))
		var err error
		if s.h.metrics, err = newMetrics(reg); err != nil {
			t.Fatal(err)
		}
		s.get(t)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(families)
	for _, want := range []string{`label:{name:"outcome" value:"rewritten"} counter:{value:2`, `value:"marketing"} label:{name:"kind" value:"image"} counter:{value:2`, `value:"set"} counter:{value:2`} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

func TestLogHasNamesAndNoValues(t *testing.T) {
	limit := 1
	s := newSite(t, &Handler{LogResources: &limit}, respond(200, doc+`<iframe src="https://www.youtube.com/embed/x"></iframe>`, html, "Set-Cookie: _ga=SECRET1"))
	s.get(t, "GET /page?token=SECRET2", "Cookie: _fbp=SECRET3; s=SECRET4")
	all := s.logs.FilterMessage("response").All()
	if len(all) != 1 {
		t.Fatalf("%d lines", len(all))
	}
	m := all[0].ContextMap()
	text := fmt.Sprint(m)
	if strings.Contains(text, "SECRET") || strings.Contains(text, "127.0.0.1:") && strings.Contains(text, "remote") {
		t.Errorf("a value in the log: %s", text)
	}
	if m["blocked"] != int64(2) || len(m["resources"].([]any)) != 1 || m["path"] != "/page" || m["request_id"] == "" ||
		m["set_cookies_stripped"] != int64(1) || m["request_cookies_removed"] != int64(1) || m["state"] != "undecided" {
		t.Errorf("%s", text)
	}
}

func TestOldAndNewConfigurationSideBySide(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, doc[:30])
		<-release
		_, err := io.WriteString(w, doc[30:])
		return err
	})
	done := make(chan answer)
	go func() { done <- s.get(t) }()
	time.Sleep(10 * time.Millisecond)
	newSite(t, &Handler{Allow: []string{"facebook.com"}}, nil)
	close(release)
	if a := <-done; a.body != docSafe {
		t.Errorf("%q", a.body)
	}
}

// A page that a browser kept from before the configuration changed is not confirmed as current.
func TestEntityTagsFollowOptions(t *testing.T) {
	next := func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, err := io.WriteString(w, doc)
		return err
	}
	seen := make(map[string]int)
	for i, h := range []*Handler{{}, {Placeholder: &Placeholder{Manager: "klaro"}}, {Bridge: "on"}, {CSP: "report"}, {Unclassified: "block"}, {Endpoint: "/choose"}} {
		tag := newSite(t, h, next).get(t, "Accept: text/html").Header.Get("Etag")
		if before, ok := seen[tag]; ok || tag == `"v1"` {
			t.Errorf("configurations %d and %d have the tag %s", before, i, tag)
		}
		seen[tag] = i
	}
	if a, b := newSite(t, &Handler{}, next), newSite(t, &Handler{}, next); a.get(t).Header.Get("Etag") != b.get(t).Header.Get("Etag") {
		t.Error("two instances of one configuration do not agree on the tag")
	}
}
