package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/quic-go/quic-go/http3"
)

const (
	matrixBlocked = `<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>`
	matrixTail    = "<p>end"
)

func matrixPage() string {
	return "<!DOCTYPE html><title>m</title>" + strings.Repeat(matrixBlocked+strings.Repeat("<p>text</p>", 40), 4) + matrixTail
}

// cell is one response of the matrix, as the upstream is asked for it.
type cell struct {
	method  string
	status  int // 103 stands for 103 and then 200
	coding  string
	framing string // length, chunked, trailers
	fault   string // "", before: no answer; middle: broken off
	flush   string // flush_interval of reverse_proxy
}

func (c cell) query() string {
	return fmt.Sprintf("/?status=%d&coding=%s&framing=%s&fault=%s&flush=%s", c.status, c.coding, c.framing, c.fault, c.flush)
}

func encoded(coding, body string) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	default:
		return []byte(body)
	}
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.Bytes()
}

func decoded(t *testing.T, coding string, body []byte) string {
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Error(err)
		return ""
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(out)
}

// matrixUpstream answers as the query asks.
func matrixUpstream(t *testing.T) string {
	bodies := map[string][]byte{}
	for _, coding := range []string{"identity", "gzip", "br", "zstd"} {
		bodies[coding] = encoded(coding, matrixPage())
	}
	return startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if strings.Contains(r.Header.Get("Cookie"), "_fbp") && !strings.Contains(r.Header.Get("Cookie"), "marketing") {
			w.WriteHeader(http.StatusTeapot) // it should not have come this far
			return
		}
		if q.Get("fault") == "before" {
			panic(http.ErrAbortHandler)
		}
		status, _ := strconv.Atoi(q.Get("status"))
		h := w.Header()
		if status == http.StatusEarlyHints {
			h.Set("Link", "<https://cdn.aircall.io/c2c/v1/c2c.min.js>; rel=preload; as=script")
			w.WriteHeader(status)
			status = http.StatusOK
		}
		body := bodies[q.Get("coding")]
		h.Set("Content-Type", "text/html; charset=utf-8")
		h["Set-Cookie"] = []string{"_ga=1; Path=/", "session=1; HttpOnly"}
		h.Set("Etag", `"v1"`)
		h.Set("Link", "<https://cdn.aircall.io/c2c/v1/c2c.min.js>; rel=preload; as=script")
		if c := q.Get("coding"); c != "identity" {
			h.Set("Content-Encoding", c)
		}
		switch status {
		case http.StatusPartialContent:
			h.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(body)-1, len(body)+1))
		case http.StatusMovedPermanently:
			h.Set("Location", "/elsewhere")
		case http.StatusNoContent, http.StatusNotModified:
			h.Del("Content-Encoding")
			h.Del("Content-Type")
			w.WriteHeader(status)
			return
		}
		switch q.Get("framing") {
		case "length":
			h.Set("Content-Length", strconv.Itoa(len(body)))
		case "trailers":
			h.Set("Trailer", "X-End, Content-Digest")
		}
		w.WriteHeader(status)
		if r.Method == http.MethodHead {
			return
		}
		half := len(body) / 2
		_, _ = w.Write(body[:half])
		if q.Get("framing") != "length" || q.Get("fault") != "" {
			_ = http.NewResponseController(w).Flush()
		}
		if q.Get("fault") == "middle" {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body[half:])
		if q.Get("framing") == "trailers" {
			h.Set("X-End", "yes")
			h.Set("Content-Digest", "sha-256=:x:")
		}
	})
}

// Every kind of response over every version of HTTP, with compression, access log and timeouts around and
// without: the outcome that the contract names, to the byte.
func TestMatrix(t *testing.T) {
	up := matrixUpstream(t)
	proxy := ""
	for _, f := range []string{"-1", "0", "10ms"} {
		proxy += fmt.Sprintf("\t@f%s query flush=%s\n\treverse_proxy @f%s %s {\n\t\tflush_interval %s\n\t}\n", f, f, f, up, f)
	}
	site := func(port, options string) string {
		return "https://localhost:" + port + " {\n\ttls internal\n" + options + "\tconsent\n" + proxy + "}\n"
	}
	c := startCaddy(t, "{\n\tskip_install_trust\n\tgrace_period 1s\n\tlog {\n\t\toutput discard\n\t}\n\tservers :8081 {\n\t\ttimeouts {\n\t\t\tread_body 20s\n\t\t\twrite 30s\n\t\t\tidle 20s\n\t\t}\n\t}\n}\n"+
		site("8080", "")+site("8081", "\tencode gzip zstd\n\tlog {\n\t\toutput discard\n\t}\n"))
	insecure := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	dial := func(ctx context.Context, network, _ string, port string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, c.addr(port))
	}
	var cells []cell
	for _, flush := range []string{"-1", "0", "10ms"} {
		for _, coding := range []string{"identity", "gzip", "br", "zstd"} {
			for _, framing := range []string{"length", "chunked", "trailers"} {
				for _, method := range []string{"GET", "HEAD"} {
					for _, status := range []int{200, 103, 204, 206, 301, 304, 404} {
						cells = append(cells, cell{method, status, coding, framing, "", flush})
					}
				}
				for _, fault := range []string{"before", "middle"} {
					cells = append(cells, cell{"GET", 200, coding, framing, fault, flush})
				}
			}
		}
	}
	for _, port := range []string{"8080", "8081"} {
		h1 := &http.Transport{DisableCompression: true, TLSClientConfig: insecure.Clone(), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
			DialContext: func(ctx context.Context, n, a string) (net.Conn, error) { return dial(ctx, n, a, port) }}
		h2 := &http.Transport{DisableCompression: true, TLSClientConfig: insecure.Clone(), ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, n, a string) (net.Conn, error) { return dial(ctx, n, a, port) }}
		h3 := &http3.Transport{DisableCompression: true, TLSClientConfig: insecure.Clone()}
		defer h1.CloseIdleConnections()
		defer h2.CloseIdleConnections()
		defer h3.Close()
		for i, rt := range []http.RoundTripper{h1, h2, h3} {
			t.Run(fmt.Sprintf("%s over HTTP/%d", map[string]string{"8080": "bare", "8081": "with encode, log and timeouts"}[port], i+1), func(t *testing.T) {
				for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until there is a certificate
					req, _ := http.NewRequest("GET", fmt.Sprintf("https://localhost:%d/.consent", c.ports[port]), nil)
					res, err := rt.RoundTrip(req)
					if err == nil {
						res.Body.Close()
						break
					}
					if time.Now().After(end) {
						t.Fatal(err)
					}
				}
				m := &matrix{t: t, rt: rt, proto: i + 1, url: fmt.Sprintf("https://localhost:%d", c.ports[port]), encode: port == "8081"}
				work := make(chan cell)
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for c := range work {
							m.check(c, "")
							m.check(c, everything)
						}
					})
				}
				for _, c := range cells {
					work <- c
				}
				close(work)
				wg.Wait()
			})
		}
	}
	t.Logf("%d cells, twice, over three versions and two servers", len(cells))
	if out := c.output(); strings.Contains(out, "panic: ") || strings.Contains(out, "DATA RACE") {
		t.Error(out)
	}
}

type matrix struct {
	t      *testing.T
	rt     http.RoundTripper
	proto  int
	url    string
	encode bool // Caddy compresses
}

// check makes the request of a cell and compares the answer with what the contract names.
func (m *matrix) check(c cell, cookie string) {
	t := m.t
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%+v with %q: %s", c, cookie, fmt.Sprintf(format, args...))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, c.method, m.url+c.query(), nil)
	if err != nil {
		wrong("%v", err)
		return
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Cookie", strings.TrimSuffix("_fbp=1; session=2; "+cookie, "; "))
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := m.rt.RoundTrip(req)
	if err != nil {
		if c.fault != "middle" {
			wrong("%v", err)
		}
		return
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if res.ProtoMajor != m.proto {
		wrong("came over %s", res.Proto)
	}
	open := cookie == everything
	switch {
	case c.fault == "before":
		if res.StatusCode != 502 || len(raw) != 0 || res.Header.Get("Vary") != "" {
			wrong("%d %v", res.StatusCode, res.Header)
		}
		return
	case c.fault == "middle":
		if err == nil {
			wrong("looks complete: %q", raw)
		}
		if !open && bytes.Contains(raw, []byte(matrixBlocked[:30])) {
			wrong("a tracker leaves: %q", raw)
		}
		return
	case err != nil:
		wrong("%v after %d bytes", err, len(raw))
		return
	}
	status := c.status
	if status == http.StatusEarlyHints {
		status = 200
	}
	refused := status == 206 && !open
	if refused {
		status = 502
	}
	if res.StatusCode != status {
		wrong("%d", res.StatusCode)
	}
	// The header.
	cookies := strings.Join(res.Header["Set-Cookie"], "|")
	if n := strings.Count(cookies, "_ga="); open && n != 1 || !open && n != 0 || !strings.Contains(cookies, "session=1; HttpOnly") {
		wrong("Set-Cookie %q", cookies)
	}
	if !open && !refused && !strings.Contains(cookies, "_fbp=; Max-Age=0") {
		wrong("the cookie that came is not ended: %q", cookies)
	}
	if link := res.Header.Get("Link"); (link != "") != open {
		wrong("Link %q", link)
	}
	vary := strings.Join(res.Header["Vary"], ", ")
	if !refused && (!strings.Contains(vary, "Cookie") || !strings.Contains(vary, "Sec-GPC") || res.Header.Get("Cache-Control") != "private, no-cache") {
		wrong("Vary %q, Cache-Control %q", vary, res.Header.Get("Cache-Control"))
	}
	etag := res.Header.Get("Etag")
	switch {
	case refused:
		if etag != "" {
			wrong("Etag %s", etag)
		}
	case open:
		if !strings.HasPrefix(etag, `"v1`) || strings.Contains(etag, "-k") {
			wrong("Etag %s", etag)
		}
	case !strings.Contains(etag, "-k"):
		wrong("Etag %s", etag)
	}
	if c.method == "HEAD" || status == 204 || status == 304 {
		if len(raw) > 0 {
			wrong("a body: %q", raw)
		}
		return
	}
	if refused {
		return
	}
	// The body.
	coding := res.Header.Get("Content-Encoding")
	if want := map[bool]string{true: "gzip"}[m.encode && (!open || c.coding == "identity")]; !open && coding != want || open && c.coding != "identity" && coding != c.coding {
		wrong("Content-Encoding %q", coding)
	}
	if open && !m.encode && c.framing == "length" && res.ContentLength != int64(len(raw)) {
		wrong("Content-Length %d", res.ContentLength)
	}
	body := decoded(t, coding, raw)
	if open {
		if body != matrixPage() {
			wrong("not the site's own page: %.200q", body)
		}
	} else if strings.Contains(body, matrixBlocked) || strings.Count(body, `data-consent-src="https://cdn.aircall.io`) != 4 || !strings.HasSuffix(body, matrixTail) {
		wrong("%.300q", body)
	}
	if c.framing == "trailers" {
		if res.Trailer.Get("X-End") != "yes" || (res.Trailer.Get("Content-Digest") != "") != open {
			wrong("trailers %v", res.Trailer)
		}
	}
}
