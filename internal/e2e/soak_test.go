package e2e

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load replaces the running configuration through the admin API, as `caddy reload` does.
func (c *caddy) load(caddyfile string) error {
	req, err := http.NewRequest("POST", "http://127.0.0.1/load", strings.NewReader(c.prepare(caddyfile)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.socket())
	}}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 {
		return fmt.Errorf("%d %s", res.StatusCode, body)
	}
	return nil
}

var markedCategory = regexp.MustCompile(`data-consent-category="([a-z]+)"`)

// Under load rules change again and again, by configuration and by catalogue file: every request is
// answered, by one set of rules from its first byte to its last.
func TestReloadUnderLoad(t *testing.T) {
	const half = `<script src="https://widget.example/a.js"></script><script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>`
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, half)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(30 * time.Millisecond)
		_, _ = io.WriteString(w, half+"<p>end")
	})
	file := filepath.Join(t.TempDir(), "own.yaml")
	rules := func(category string) {
		text := "- {id: widget, name: Widget, category: " + category + ", hosts: [widget.example]}\n- {id: aircall, name: Aircall, category: " + category + ", hosts: [aircall.io]}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	text := func(options string) string {
		return "http://:8080 {\n\tconsent {\n\t\tcatalogue " + file + "\n\t\t" + options + "\n\t}\n\treverse_proxy " + up + "\n}\n"
	}
	rules("preferences")
	c := startCaddy(t, text("mode enforce"))
	var done atomic.Bool
	var answered, asked atomic.Int64
	seen := sync.Map{}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for !done.Load() || asked.Load() < 300 {
				asked.Add(1)
				_, body, err := get(t, c.url("8080", "/"))
				if err != nil {
					t.Errorf("a request is lost: %v", err)
					return
				}
				answered.Add(1)
				all := markedCategory.FindAllStringSubmatch(string(body), -1)
				if len(all) != 4 || !strings.HasSuffix(string(body), "<p>end") {
					t.Errorf("a page is cut or not enforced: %s", body)
					return
				}
				for _, m := range all {
					if m[1] != all[0][1] {
						t.Errorf("two policies in one page: %s", body)
					}
				}
				seen.Store(all[0][1], true)
			}
		})
	}
	expect := func(category string) {
		t.Helper()
		if _, body := mustGet(t, c.url("8080", "/")); strings.Count(body, `data-consent-category="`+category+`"`) != 4 {
			t.Errorf("after the change to %s: %s", category, body)
		}
	}
	for i := range 3 {
		rules("marketing")
		if status, body := c.admin("POST", "/consent/reload"); status != 200 {
			t.Errorf("%d %s", status, body)
		}
		expect("marketing")
		rules("preferences")
		if err := c.load(text(fmt.Sprintf("service aircall statistics\n\t\tservice widget statistics\n\t\tpolicy_revision r%d", i))); err != nil {
			t.Error(err)
		}
		expect("statistics")
		if err := c.load(text(fmt.Sprintf("mode enforce\n\t\tpolicy_revision r%d", i))); err != nil {
			t.Error(err)
		}
		expect("preferences")
	}
	done.Store(true)
	wg.Wait()
	if answered.Load() != asked.Load() || asked.Load() < 300 {
		t.Errorf("%d of %d requests are answered", answered.Load(), asked.Load())
	}
	for _, category := range []string{"preferences", "statistics", "marketing"} {
		if _, ok := seen.Load(category); !ok {
			t.Errorf("no page of the load was made under %s: the changes did not meet the load", category)
		}
	}
	t.Logf("%d requests, 9 changes", asked.Load())
}

const (
	soakBlocked = `<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>`
	soakPages   = 40
)

// soakPage is a page of about 30 KiB with blocked scripts from beginning to end.
func soakPage() string {
	return "<!DOCTYPE html><title>soak</title>" + strings.Repeat(soakBlocked+strings.Repeat("<p>text</p>", 60), soakPages) + "<p>end"
}

// soakUpstream answers with pages whole, slow, compressed, broken off, and with other things.
func soakUpstream(t *testing.T) string {
	page := soakPage()
	return startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w).Flush
		w.Header().Set("Content-Type", "text/html")
		w.Header().Add("Set-Cookie", "_ga=1")
		w.Header().Add("Set-Cookie", "session=1")
		if cookie := r.Header.Get("Cookie"); strings.Contains(cookie, "_ga") && !strings.Contains(cookie, "statistics") {
			w.WriteHeader(http.StatusInternalServerError) // it should not have come this far
			return
		}
		switch r.URL.Path {
		case "/pieces":
			writeChunked(w, []byte(page), 700, 7000)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, page)
			_ = z.Close()
		case "/abort":
			_, _ = io.WriteString(w, page[:len(page)/2])
			_ = flush()
			panic(http.ErrAbortHandler)
		case "/json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"html":"`+strings.Repeat("x", 5000)+`"}`)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 5 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = flush()
				time.Sleep(20 * time.Millisecond)
			}
		default:
			_, _ = io.WriteString(w, page)
		}
	})
}

// soak is what one run counts.
type soak struct {
	t       *testing.T
	c       *caddy
	page    string
	asked   atomic.Int64
	lost    atomic.Int64
	wrong   atomic.Int64
	aborted atomic.Int64
	clean   atomic.Int64 // aborted responses that looked complete
	slow    atomic.Int64
	limited atomic.Int64
	again   atomic.Int64 // requests whose connection a reload closed unread
}

// check counts and shows a page of the wrong state.
func (s *soak) check(path, cookie, body string) {
	if cookie == everything {
		if body != s.page {
			s.wrong.Add(1)
			s.t.Errorf("%s with everything allowed is not the site's own page: %.200s", path, body)
		}
		return
	}
	marked := strings.Count(body, `data-consent-src="https://cdn.aircall.io`)
	if marked != soakPages || strings.Contains(body, soakBlocked) || !strings.HasSuffix(body, "<p>end") {
		s.wrong.Add(1)
		s.t.Errorf("%s under %q has %d blocked scripts of %d", path, cookie, marked, soakPages)
	}
}

// round makes one request of each sort.
func (s *soak) round(client *http.Client, n int) {
	cookies := []string{"", "consent=v1:none", "consent=v1:statistics", everything}
	cookie := cookies[n%len(cookies)]
	ask := func(method, path, body string, header ...string) (*http.Response, string, error) {
		// A reload of Caddy's, with or without the directive, closes connections that wait for a request and
		// some that were just opened, before it reads from them. Browsers repeat such requests; net/http
		// does so only on a connection that was used before.
		key := strconv.FormatInt(s.asked.Add(1), 10)
		for tries := 0; ; tries++ {
			req, err := http.NewRequest(method, s.c.url("8080", path), strings.NewReader(body))
			if err != nil {
				s.t.Error(err)
				return nil, "", err
			}
			req.Header.Set("Accept", "text/html")
			req.Header.Set("Sec-Fetch-Dest", "document")
			req.Header.Set("Cookie", "_ga=1; session=1; "+cookie)
			req.Header.Set("Idempotency-Key", key)
			for _, h := range header {
				k, v, _ := strings.Cut(h, ": ")
				req.Header.Set(k, v)
			}
			res, err := client.Do(req)
			if err != nil && tries < 2 && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
				s.again.Add(1)
				continue
			}
			if err != nil {
				return nil, "", err
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			return res, string(b), err
		}
	}
	lost := func(path string, status int, err error) {
		s.lost.Add(1)
		s.t.Errorf("%s is lost: %d %v", path, status, err)
	}
	for _, path := range []string{"/", "/pieces", "/gzip"} {
		res, body, err := ask("GET", path, "", "Accept-Encoding: identity")
		switch {
		case err != nil:
			lost(path, 0, err)
		case res.StatusCode != 200:
			lost(path, res.StatusCode, nil)
		case path != "/gzip" || cookie != everything: // passed as it came
			s.check(path, cookie, body)
		}
	}
	for path, want := range map[string]string{"/json": `{"html":"`, "/events": "data: 0"} {
		if res, body, err := ask("GET", path, "", "Sec-Fetch-Dest: empty"); err != nil || res.StatusCode != 200 || !strings.HasPrefix(body, want) {
			lost(path, 0, err)
		}
	}
	if _, body, err := ask("GET", "/abort", ""); err == nil {
		s.clean.Add(1)
		s.t.Errorf("a page that broke off ends as if it were complete: %d bytes", len(body))
	} else {
		s.aborted.Add(1)
	}
	res, _, err := ask("POST", "/.consent/choice", "decision=reject_all", "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
	switch {
	case err != nil:
		lost("/.consent/choice", 0, err)
	case res.StatusCode == 429:
		s.limited.Add(1)
	case res.StatusCode != 303:
		lost("/.consent/choice", res.StatusCode, nil)
	}
	report := `{"csp-report":{"document-uri":"` + s.c.url("8080", "/") + `","blocked-uri":"https://h` + strconv.Itoa(n) + `.example/","effective-directive":"img-src"}}`
	if res, _, err := ask("POST", "/.consent/report?g=none", report, "Content-Type: application/csp-report", "Sec-Fetch-Site: same-origin"); err != nil || res.StatusCode != 204 && res.StatusCode != 429 {
		lost("/.consent/report", 0, err)
	}
}

// slowClient reads a page a little at a time, and goes away in the middle every other time.
func (s *soak) slowClient(n int) {
	s.slow.Add(1)
	s.slowly(n, 3)
}

func (s *soak) slowly(n, tries int) {
	conn, err := net.Dial("tcp", s.c.addr("8080"))
	if err != nil {
		s.lost.Add(1)
		s.t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(conn, "GET /pieces HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
	buf, read := make([]byte, 2048), 0
	for {
		k, err := conn.Read(buf)
		read += k
		switch {
		case read == 0 && tries > 0 && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
			// A reload closed the connection before it was read from: browsers open another.
			s.again.Add(1)
			s.slowly(n, tries-1)
			return
		case errors.Is(err, io.EOF):
			if read < len(s.page) {
				s.lost.Add(1)
				s.t.Errorf("a slow client gets %d bytes of a page of %d", read, len(s.page))
			}
			return
		case err != nil:
			s.lost.Add(1)
			s.t.Errorf("a slow client loses its page: %v", err)
			return
		case n%2 == 1 && read > len(s.page)/3:
			return
		}
		time.Sleep(15 * time.Millisecond)
	}
}

// usage is what a process holds after a garbage collection.
type usage struct {
	goroutines int
	heap       uint64
}

var heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)

func (c *caddy) usage() (u usage) {
	c.t.Helper()
	for range 2 { // a pool gives its things back at the second collection
		c.admin("GET", "/debug/pprof/heap?gc=1&debug=1")
	}
	_, text := c.admin("GET", "/debug/pprof/heap?gc=1&debug=1")
	if m := heapAlloc.FindStringSubmatch(text); m != nil {
		u.heap, _ = strconv.ParseUint(m[1], 10, 64)
	}
	_, text = c.admin("GET", "/debug/pprof/goroutine?debug=1")
	_, n, _ := strings.Cut(strings.SplitN(text, "\n", 2)[0], "total ")
	u.goroutines, _ = strconv.Atoi(n)
	return u
}

// settled waits until the process is down to u, as far as it gets within the time.
func (c *caddy) settled(u usage, slack uint64, limit time.Duration) (now usage) {
	for end := time.Now().Add(limit); ; time.Sleep(500 * time.Millisecond) {
		now = c.usage()
		if now.goroutines <= u.goroutines && now.heap <= u.heap+slack || time.Now().After(end) {
			return now
		}
	}
}

// Mixed load with reloads, aborting upstreams and slow clients, for six seconds or for
// CONSENT_SOAK: nothing leaks, no page has the wrong state, nothing is lost but what the upstream
// broke off.
func TestSoak(t *testing.T) {
	length := 6 * time.Second
	if v := os.Getenv("CONSENT_SOAK"); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatal("CONSENT_SOAK: ", err)
		}
	}
	up := soakUpstream(t)
	file := filepath.Join(t.TempDir(), "own.yaml")
	own := func(n int) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "- {id: widget, name: Widget, category: marketing, hosts: [w%d.example]}\n", n), 0o600); err != nil {
			t.Error(err)
		}
	}
	text := func(n int) string {
		return fmt.Sprintf("{\n\tgrace_period 20s\n\tlog {\n\t\toutput discard\n\t}\n}\nhttp://:8080 {\n\tconsent {\n\t\tunclassified block\n\t\tcsp report\n\t\tcatalogue %s\n\t\tpolicy_revision r%d\n\t}\n\treverse_proxy %s {\n\t\tflush_interval %d\n\t\ttransport http {\n\t\t\tkeepalive 1s\n\t\t}\n\t}\n}\n", file, n, up, n%2-1)
	}
	own(0)
	c := startCaddy(t, text(0))
	s := &soak{t: t, c: c, page: soakPage()}
	changes := 0
	change := func() {
		own(changes % 7)
		if changes%2 == 0 {
			if status, body := c.admin("POST", "/consent/reload"); status != 200 {
				t.Errorf("%d %s", status, body)
			}
		} else if err := c.load(text(changes)); err != nil {
			t.Error(err)
		}
		changes++
	}
	run := func(length time.Duration) {
		end := time.Now().Add(length)
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				tr := &http.Transport{DisableCompression: true}
				defer tr.CloseIdleConnections()
				client := &http.Client{Transport: tr, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				for n := worker; time.Now().Before(end) && !t.Failed(); n++ {
					s.round(client, n)
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				for n := 0; time.Now().Before(end) && !t.Failed(); n++ {
					s.slowClient(n)
				}
			})
		}
		wg.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				change()
				time.Sleep(time.Second)
			}
		})
		wg.Wait()
	}
	run(3 * time.Second) // until pools and caches have what they will have
	const slack = 4 << 20
	before := c.settled(usage{}, 0, 5*time.Second)
	run(length)
	after := c.settled(before, slack, 30*time.Second)
	t.Logf("%v: %d requests, %d changes of rules, %d slow clients, %d broken off by the upstream, %d choices over the limit, %d repeated after a reload; goroutines %d, then %d; heap %d KiB, then %d KiB",
		length, s.asked.Load(), changes, s.slow.Load(), s.aborted.Load(), s.limited.Load(), s.again.Load(), before.goroutines, after.goroutines, before.heap>>10, after.heap>>10)
	if s.lost.Load()+s.wrong.Load()+s.clean.Load() > 0 {
		t.Errorf("%d requests are lost, %d pages have the wrong state, %d broken pages look complete", s.lost.Load(), s.wrong.Load(), s.clean.Load())
	}
	if n := s.again.Load(); n > int64(changes) {
		t.Errorf("%d requests had to be repeated, with %d reloads", n, changes)
	}
	if after.goroutines > before.goroutines+5 {
		_, text := c.admin("GET", "/debug/pprof/goroutine?debug=1")
		t.Errorf("%d goroutines, %d before\n%.6000s", after.goroutines, before.goroutines, text)
	}
	if before.heap == 0 || after.heap > before.heap+slack {
		t.Errorf("the heap holds %d KiB, %d before", after.heap>>10, before.heap>>10)
	}
}
