package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// resident returns the process's resident memory in bytes.
func (c *caddy) resident(t testing.TB) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Skip("no /proc on this system")
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(data)
	if m == nil {
		t.Fatal("no VmRSS")
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// A page of 1 GiB streams through: memory hardly grows, and the first byte leaves before the
// upstream has sent its second piece.
func TestHugePageStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("1 GiB takes a while")
	}
	const size = 1 << 30
	piece := bytes.Repeat([]byte(`<p class="text">Some text with a <a href="/link">link</a> and an <img src="https://www.facebook.com/tr?id=1" alt="">.</p>`), 540)
	proceed := make(chan struct{})
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if _, err := w.Write([]byte("<!DOCTYPE html><p>first</p>")); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-proceed
		limit := size
		if r.URL.Path == "/warm" {
			limit = 16 << 20
		}
		for sent := 0; sent < limit; sent += len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+up+"\n}\n")
	read := func(path string, each func(n int64)) (total int64) {
		t.Helper()
		res, err := client.Get(c.url("8080", path))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		first := make([]byte, len("<!DOCTYPE html><p>first</p>"))
		if _, err := io.ReadFull(res.Body, first); err != nil {
			t.Fatal(err)
		}
		select {
		case <-proceed:
		default:
			close(proceed)
		}
		buf := make([]byte, 1<<20)
		for {
			n, err := res.Body.Read(buf)
			total += int64(n)
			if each != nil {
				each(total)
			}
			if err == io.EOF {
				return total
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	read("/warm", nil)
	before, most, next := c.resident(t), int64(0), int64(0)
	total := read("/", func(n int64) {
		if n > next {
			next = n + 64<<20
			most = max(most, c.resident(t))
		}
	})
	if total < size {
		t.Errorf("%d bytes arrived", total)
	}
	t.Logf("resident before %d KiB, at most %d KiB", before>>10, most>>10)
	if most-before > 16<<20 {
		t.Errorf("resident memory grows by %d KiB", (most-before)>>10)
	}
}

func TestHostilePages(t *testing.T) {
	tracker := `<script src="https://www.googletagmanager.com/gtm.js?id=GTM-1"></script>`
	pages := map[string]string{
		"an unclosed quote":   `<p title="` + strings.Repeat(tracker, 1000),
		"a tag of 10 MB":      `<img alt="` + strings.Repeat("x", 10<<20) + `" src="https://www.facebook.com/tr?id=1">` + tracker,
		"a tag of attributes": `<img ` + strings.Repeat("a=b ", 1<<20) + `>` + tracker,
		"NUL bytes":           strings.Repeat("\x00<\x00p\x00>", 1000) + tracker,
		"deep nesting":        strings.Repeat("<div>", 100000) + tracker,
		"nested svg":          strings.Repeat("<svg><foreignObject>", 5000) + tracker,
		"an endless comment":  "<!--" + strings.Repeat("-", 1<<20) + tracker,
		"an endless script":   "<script>" + strings.Repeat("x", 6<<20) + "</script>" + tracker,
		"only angle brackets": strings.Repeat("<", 1<<20) + tracker,
	}
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, pages[r.URL.Query().Get("page")])
	})
	c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+up+"\n}\n")
	for name, page := range pages {
		start := time.Now()
		res, body := mustGet(t, c.url("8080", "/?page="+strings.ReplaceAll(name, " ", "%20")))
		if res.StatusCode != 200 || len(body) < len(page) {
			t.Errorf("%s: %d, %d of %d bytes", name, res.StatusCode, len(body), len(page))
		}
		if name != "an unclosed quote" && name != "an endless comment" && strings.Contains(body, `<script src="https://www.google`) {
			t.Errorf("%s: the tracker behind it is not blocked", name)
		}
		if strings.Contains(body, ` src="https://www.facebook.com`) {
			t.Errorf("%s: the pixel is not blocked", name)
		}
		t.Logf("%s: %v", name, time.Since(start))
	}
	if out := c.output(); strings.Contains(out, "panic") {
		t.Error(out)
	}
}

func TestDamagedUpstreams(t *testing.T) {
	page := `<p>hello</p><script src="https://www.googletagmanager.com/gtm.js?id=GTM-1"></script>` + strings.Repeat("<p>text</p>", 5000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, page)
	_ = z.Close()
	for _, tt := range []struct {
		name, head, body string
		outcome          string
		status           int // 0: broken off
	}{
		{"dies in the middle of a tag", "Content-Type: text/html\r\nContent-Length: 999", `<p>hello</p><script src="https://www.goog`, "failed:upstream_abort", 0},
		{"dies in the middle of a chunk", "Content-Type: text/html\r\nTransfer-Encoding: chunked", "40\r\n<p>hello</p><script src=\"https://www.goog", "failed:upstream_abort", 0},
		{"a gzip body cut off", "Content-Type: text/html\r\nContent-Encoding: gzip\r\nConnection: close", zipped.String()[:zipped.Len()/2], "failed:upstream_abort", 0},
		{"a gzip body that is none", "Content-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 30", "<p>this is not gzip at all</p>", "failed:unsupported_encoding", 0},
		{"ends before its Content-Length", "Content-Type: text/html\r\nContent-Length: 99999999", page, "failed:upstream_abort", 0},
		{"goes on behind its Content-Length", "Content-Type: text/html\r\nContent-Length: " + strconv.Itoa(len(page)), page + `<img src="https://www.facebook.com/tr?id=1">`, "rewritten", 200},
		{"a gzip body under the name of brotli", "Content-Type: text/html\r\nContent-Encoding: br\r\nContent-Length: " + strconv.Itoa(zipped.Len()), zipped.String(), "failed:unsupported_encoding", 0},
		{"an unknown coding", "Content-Type: text/html\r\nContent-Encoding: rot13\r\nContent-Length: 5", "<c>u<", "failed:unsupported_encoding", 502},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := startRawUpstream(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+tt.head+"\r\n\r\n"+tt.body)
			})
			c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+up+"\n}\n")
			res, body, err := get(t, c.url("8080", "/"))
			if tt.status == 0 && err == nil || tt.status != 0 && res.StatusCode != tt.status {
				t.Errorf("%v, %v: want status %d", res, err, tt.status)
			}
			if bytes.Contains(body, []byte("goog")) && !bytes.Contains(body, []byte("data-consent-src")) {
				t.Errorf("a half tag left: %q", body)
			}
			if got := c.records("response", 1)[0]["outcome"]; got != tt.outcome {
				t.Errorf("outcome %v, want %s", got, tt.outcome)
			}
			if strings.Contains(c.output(), "goroutine ") {
				t.Error(c.output())
			}
		})
	}
}

// A hundred megabytes of Set-Cookie lines are an error of the upstream, and cost no more than Caddy reads;
// what it does read is filtered line by line.
func TestCookiesWithoutEnd(t *testing.T) {
	line := "Set-Cookie: _ga_" + strings.Repeat("x", 50) + "=1; Path=/\r\n"
	for name, n := range map[string]int{"many": 4000, "without end": 100 << 20 / len(line)} {
		up := startRawUpstream(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n")
			block := strings.Repeat(line, 1000)
			for range n / 1000 {
				if _, err := io.WriteString(conn, block); err != nil {
					return
				}
			}
			_, _ = io.WriteString(conn, "Set-Cookie: s=1\r\n\r\n<p>hi")
		})
		c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+up+"\n}\n")
		res, body, err := get(t, c.url("8080", "/"))
		if err != nil {
			t.Fatal(name, err)
		}
		if name == "many" && (res.StatusCode != 200 || strings.Join(res.Header["Set-Cookie"], "|") != "s=1" || string(body) != "<p>hi") {
			t.Errorf("%s: %d %q %.99q", name, res.StatusCode, body, res.Header["Set-Cookie"])
		}
		if name != "many" && res.StatusCode != 502 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
		if strings.Contains(c.output(), "panic: ") {
			t.Error(c.output())
		}
	}
}

// A page that trickles in byte by byte leaves as fast as it comes, with nothing cut in two.
func TestTricklingUpstream(t *testing.T) {
	page := `<p>first</p><script src="https://www.googletagmanager.com/gtm.js?id=GTM-1"></script><p>end`
	up := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for i := range len(page) {
			_, _ = io.WriteString(w, page[i:i+1])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+up+" {\n\t\tflush_interval -1\n\t}\n}\n")
	res, err := client.Get(c.url("8080", "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	start, early := time.Now(), time.Duration(0)
	var got []byte
	buf := make([]byte, 999)
	for {
		n, err := res.Body.Read(buf)
		if got = append(got, buf[:n]...); early == 0 && strings.Contains(string(got), "first") {
			early = time.Since(start)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if text := string(got); !strings.HasSuffix(text, "<p>end") || strings.Contains(text, `<script src`) || !strings.Contains(text, `data-consent-service="google-tag-manager"`) {
		t.Errorf("%s", got)
	}
	if all := time.Since(start); early > all/2 {
		t.Errorf("the beginning of the page takes %v of %v", early, all)
	}
}
