package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// peer finds a program that is no part of the project, or skips the test.
func peer(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CONSENT_BROWSER") != "" {
		t.Fatalf("%s is missing: install it", name)
	} else if err != nil {
		t.Skipf("%s is not installed; this test runs a real one", name)
	}
	return path
}

// startNginx runs nginx with these server blocks.
func startNginx(t *testing.T, dir, servers string, ports ...int) {
	t.Helper()
	bin := peer(t, "nginx")
	conf := fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/pid;\nerror_log %[1]s/error.log;\nevents {}\nhttp {\naccess_log off;\ntypes { text/html html; text/css css; image/png png; }\nclient_body_temp_path %[1]s/b;\nproxy_temp_path %[1]s/p;\nfastcgi_temp_path %[1]s/f;\nuwsgi_temp_path %[1]s/u;\nscgi_temp_path %[1]s/s;\nproxy_cache_path %[1]s/cache keys_zone=z:1m;\n%[2]s}\n", dir, servers)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for _, port := range ports {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(end) {
				log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
				t.Fatalf("nginx does not start: %v\n%s", err, log)
			}
		}
	}
}

// Files from nginx, with compression, ranges and entity tags: pages are enforced and asked for again by
// the tag of their variant, everything else keeps what nginx gave it.
func TestFilesOfNginx(t *testing.T) {
	dir := shortTempDir(t)
	page := soakPage()
	picture := strings.Repeat("png", 3000)
	for name, text := range map[string]string{"index.html": page, "a.png": picture, "a.css": "body{color:red}" + strings.Repeat("p{margin:0}", 300)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	startNginx(t, dir, fmt.Sprintf("server { listen 127.0.0.1:%d; root %s; gzip on; gzip_proxied any; gzip_types text/css; gzip_min_length 1; }\n", port, dir), port)
	c := startCaddy(t, fmt.Sprintf("http://:8080 {\n\tconsent\n\treverse_proxy 127.0.0.1:%d\n}\n", port))

	res, body := mustGet(t, c.url("8080", "/"), "Accept-Encoding: gzip", "Range: bytes=0-99")
	if res.StatusCode != 200 || strings.Contains(body, soakBlocked) || !strings.HasSuffix(body, "<p>end") || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	tag := res.Header.Get("Etag")
	if res, _ := mustGet(t, c.url("8080", "/"), "If-None-Match: "+tag); res.StatusCode != 304 {
		t.Errorf("the same visitor's %s is answered %d", tag, res.StatusCode)
	}
	res, body = mustGet(t, c.url("8080", "/"), "If-None-Match: "+tag, "Cookie: "+everything)
	if res.StatusCode != 200 || body != page {
		t.Errorf("after accepting, %s is answered %d with %d bytes", tag, res.StatusCode, len(body))
	}
	if res, body = mustGet(t, c.url("8080", "/"), "If-None-Match: "+res.Header.Get("Etag")); res.StatusCode != 200 || strings.Contains(body, soakBlocked) {
		t.Errorf("after the withdrawal: %d", res.StatusCode)
	}
	if res, body = mustGet(t, c.url("8080", "/"), "Cookie: "+everything, "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "gzip" || len(body) >= len(page) {
		t.Errorf("with everything allowed nginx's compression stays: %v", res.Header)
	}
	if res, body = mustGet(t, c.url("8080", "/a.png"), "Sec-Fetch-Dest: image", "Range: bytes=3-8"); res.StatusCode != 206 || body != "pngpng" || res.Header.Get("Etag") == "" {
		t.Errorf("a part of a picture: %d %q %v", res.StatusCode, body, res.Header)
	}
	for range 2 { // the second time the file is known
		if res, _ = mustGet(t, c.url("8080", "/a.css"), "Sec-Fetch-Dest: style", "Accept-Encoding: gzip"); strings.Contains(res.Header.Get("Cache-Control"), "private") || res.Header.Get("Etag") == "" {
			t.Errorf("a style sheet: %v", res.Header)
		}
	}
	if res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("a style sheet that is known to be clean leaves as nginx compressed it: %v", res.Header)
	}
}

// startShop runs the shop in Node.
func startShop(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(peer(t, "node"), filepath.Join("testdata", "peers", "shop.mjs"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strings.TrimSpace(line)
}

// A visitor who refused everything logs in, fills a cart and sends forms as before; pages that stream,
// events and websockets arrive as they are sent.
func TestShopOfAVisitorWhoRefused(t *testing.T) {
	c := startCaddy(t, "http://:8080 {\n\tencode\n\tconsent {\n\t\tunclassified_cookies block\n\t\tessential csrftoken\n\t}\n\treverse_proxy "+startShop(t)+"\n}\n")
	jar, _ := cookiejar.New(nil)
	site, _ := url.Parse(c.url("8080", "/"))
	jar.SetCookies(site, []*http.Cookie{{Name: "consent", Value: "v1:none"}, {Name: "_ga", Value: "old"}})
	visitor := &http.Client{Jar: jar}
	read := func(res *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%d %v %s", res.StatusCode, err, body)
		}
		if strings.Contains(string(body), `<script src="https://cdn.aircall.io`) {
			t.Errorf("a tracker is not blocked: %s", body)
		}
		return string(body)
	}
	login := read(visitor.Get(c.url("8080", "/account"))) // sends on to the login
	m := regexp.MustCompile(`name=csrf value="([^"]+)"`).FindStringSubmatch(login)
	if m == nil {
		t.Fatalf("no form: %s", login)
	}
	if res, err := visitor.PostForm(c.url("8080", "/login"), url.Values{"user": {"Ada"}, "csrf": {"wrong"}}); err != nil || res.StatusCode != 403 {
		t.Errorf("a forged form: %v %v", res, err)
	}
	if body := read(visitor.PostForm(c.url("8080", "/login"), url.Values{"user": {"Ada"}, "csrf": {m[1]}})); !strings.Contains(body, "Hello Ada") {
		t.Errorf("after the login: %s", body)
	}
	for n := range 3 {
		if body := read(visitor.PostForm(c.url("8080", "/cart"), nil)); !strings.Contains(body, fmt.Sprintf("<p>%d items</p>", n+1)) {
			t.Errorf("the cart: %s", body)
		}
	}
	for _, cookie := range jar.Cookies(site) {
		if strings.HasPrefix(cookie.Name, "_ga") || cookie.Name == "_fbp" {
			t.Errorf("the visitor has the cookie %s", cookie.Name)
		}
	}
	for path, first := range map[string]string{"/stream": "<!DOCTYPE html><div id=shell>shell</div>", "/events": "data: 1\n\n"} {
		req, _ := http.NewRequest("GET", c.url("8080", path), nil)
		req.Header.Set("Accept-Encoding", "identity")
		start := time.Now()
		res, err := visitor.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(first))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != first {
			t.Errorf("%s begins %q, %v", path, got, err)
		}
		early := time.Since(start)
		rest, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || len(rest) == 0 || strings.Contains(string(rest), `<script src="https://cdn`) {
			t.Errorf("%s goes on %q, %v", path, rest, err)
		}
		if all := time.Since(start); early > all/2+100*time.Millisecond {
			t.Errorf("%s: its beginning takes %v of %v", path, early, all)
		}
	}
	conn, err := net.Dial("tcp", c.addr("8080"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: x.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: _ga=1; csrftoken=2\r\n\r\n")
	all, _ := io.ReadAll(conn)
	if text := string(all); !strings.HasPrefix(text, "HTTP/1.1 101") || strings.Contains(text, "_ga") || !strings.HasSuffix(text, "\x81\x0bcsrftoken=2") {
		t.Errorf("the websocket: %q", text)
	}
}

// In a browser a visitor refuses on the choice page, logs in, fills the cart, and uses events and a websocket:
// no third party is contacted on the way, and the browser keeps no tracker's cookie.
func TestShopInABrowser(t *testing.T) {
	chromium(t)
	s := startSink(t)
	c := startCaddy(t, "http://:8080 {\n\tencode\n\tconsent\n\treverse_proxy "+startShop(t)+"\n}\n")
	x, end := startBrowser(t, s, map[string]string{"shop.test": c.addr("8080")}).tab(true)
	defer end()
	open := func(path string) {
		t.Helper()
		if err := x.tryOpen("http://shop.test"+path, 15*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	x.setCookie("http://shop.test/", "_ga", "GA1.1.9.9")
	open("/.consent/")
	eval[bool](x, `document.querySelector("button[value=reject_all]").click(), true`)
	x.until(`document.cookie.indexOf("_ga") < 0`)
	open("/account") // sends on to the login
	eval[bool](x, `(() => { const f = document.forms[0], i = document.createElement("input"); i.name = "user"; i.value = "Ada"; f.append(i); f.submit(); return true })()`)
	x.until(`location.pathname === "/account" && document.body.textContent.includes("Hello Ada")`)
	for n := 1; n < 3; n++ {
		eval[bool](x, `(() => { const f = document.createElement("form"); f.method = "post"; f.action = "/cart"; document.body.append(f); f.submit(); return true })()`)
		x.until(fmt.Sprintf(`location.pathname === "/cart" && document.body.textContent.includes("%d items")`, n))
	}
	eval[bool](x, `window.heard = [], new EventSource("/events").onmessage = (e) => heard.push(e.data), new WebSocket("ws://shop.test/socket").onmessage = async (e) => heard.push(e.data.text ? await e.data.text() : e.data), true`)
	x.until(`heard.includes("1") && heard.includes("2") && heard.some((d) => d.includes("woocommerce_items_in_cart=2"))`)
	open("/stream")
	x.until(`document.getElementById("B:0") !== null`)
	if got := eval[string](x, "document.cookie"); strings.Contains(got, "_ga") || strings.Contains(got, "_fbp") || !strings.Contains(got, "woocommerce_items_in_cart=2") {
		t.Errorf("the browser has the cookies %q", got)
	}
	if got := s.settle(500 * time.Millisecond); len(got) > 0 {
		t.Errorf("third parties were contacted: %v", hosts(got))
	}
}
