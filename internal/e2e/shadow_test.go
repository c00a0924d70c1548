package e2e

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

var changing = regexp.MustCompile(`(?m)^(Date: .*|X-Forwarded-Host: .*)\r\n`)

// Shadow mode changes no byte, neither of what the upstream gets nor of what the visitor gets: both are
// compared as they go over the wire with what Caddy does without the directive.
func TestShadowChangesNoByte(t *testing.T) {
	requests := make(chan []byte, 1)
	var answer string
	up := startRecordingUpstream(t, func(conn net.Conn, request []byte) {
		requests <- request
		_, _ = io.WriteString(conn, answer)
	})
	proxy := "\treverse_proxy " + up + " {\n\t\ttransport http {\n\t\t\tkeepalive off\n\t\t}\n\t}\n}\n"
	c := startCaddy(t, "http://:8080 {\n"+proxy+"http://:8081 {\n\tconsent {\n\t\tmode shadow\n\t\tunclassified block\n\t\tunclassified_cookies block\n\t\tmax_age 1 day\n\t\tcsp report\n\t\tbridge on\n\t\tfail closed\n\t}\n"+proxy)
	page := soakPage()
	exchange := func(port, request string) (up, down string) {
		t.Helper()
		conn, err := net.Dial("tcp", c.addr(port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return changing.ReplaceAllString(string(<-requests), ""), changing.ReplaceAllString(string(all), "")
	}
	head := "Set-Cookie: _ga=1; Max-Age=99999999\r\nset-cookie: x=\"a b\r\nLink: <https://cdn.aircall.io/a.js>; rel=preload; as=script\r\nReport-To: {\"endpoints\":[{\"url\":\"https://www.google-analytics.com/r\"}]}\r\nRefresh: 5; url=https://ad.doubleclick.net/\r\nEtag: \"a\"\r\nLast-Modified: Tue, 24 Nov 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\nCache-Control: public, max-age=60\r\nContent-Digest: sha-256=:x:\r\n"
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	zipped := string(encoded("gzip", page))
	for name, a := range map[string]string{
		"a page":                 "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + head + length(page),
		"a page in gzip":         "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n" + head + length(zipped),
		"an unknown coding":      "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: rot13\r\n" + head + length("<c>"),
		"damaged gzip":           "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n" + head + length("no gzip at all"),
		"no type":                "HTTP/1.1 200 OK\r\n" + head + length(page),
		"no type, nosniff":       "HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\n" + head + length(page),
		"a part of a page":       "HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\nContent-Range: bytes 0-9/99\r\n" + head + length("<script sr"),
		"an error page":          "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n" + head + length(page),
		"a redirect":             "HTTP/1.1 302 Found\r\nLocation: https://www.googletagmanager.com/gtm.js\r\n" + head + length(""),
		"304":                    "HTTP/1.1 304 Not Modified\r\n" + head + "\r\n",
		"a style sheet":          "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\n" + head + length("@import 'https://cdn.aircall.io/a.css';"),
		"XHTML, unknown charset": "HTTP/1.1 200 OK\r\nContent-Type: application/xhtml+xml; charset=none\r\n" + head + length("<html/>"),
		"chunks and trailers":    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Digest\r\n" + head + "5\r\n<scri\r\n3\r\npt>\r\n0\r\nContent-Digest: sha-256=:y:\r\n\r\n",
	} {
		for _, dest := range []string{"document", "style", "script", "image"} {
			answer = a
			request := "GET /a.css?x=1 HTTP/1.1\r\nHost: x.test\r\nAccept: text/html,*/*\r\nAccept-Encoding: gzip, br\r\nSec-Fetch-Dest: " + dest + "\r\nCookie: _ga=1; s=2;  odd\r\nCookie: _fbp=3\r\nIf-None-Match: \"a\", W/\"b-cxyz12\"\r\nIf-Modified-Since: Tue, 24 Nov 2026 00:00:00 GMT\r\nRange: bytes=0-9\r\nIf-Range: \"a\"\r\nConnection: close\r\n\r\n"
			up, down := exchange("8080", request)
			upShadow, downShadow := exchange("8081", request)
			if up != upShadow {
				t.Errorf("%s as %s: the upstream gets\n%s\nwithout the directive\n%s", name, dest, upShadow, up)
			}
			if down != downShadow {
				t.Errorf("%s as %s: the visitor gets\n%.1500s\nwithout the directive\n%.1500s", name, dest, downShadow, down)
			}
		}
	}
	if n := len(c.records("response", 20)); n < 20 {
		t.Errorf("%d log lines", n)
	}
	if strings.Contains(c.output(), "panic: ") {
		t.Error(c.output())
	}
}
