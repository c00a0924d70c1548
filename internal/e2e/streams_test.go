package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A websocket passes both ways; its handshake's cookies are filtered like any other.
func TestWebsocket(t *testing.T) {
	seen := make(chan string, 1)
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Cookie")
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: _ga=1\r\nSet-Cookie: s=1\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw) // echo
	})
	c := startCaddy(t, "http://:8080 {\n\tencode\n\tconsent\n\treverse_proxy "+up+"\n}\n")
	conn, err := net.Dial("tcp", c.addr("8080"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: _fbp=1; s=1\r\n\r\n")
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "s=1" {
		t.Errorf("Set-Cookie %q", got)
	}
	if got := <-seen; got != "s=1" {
		t.Errorf("the upstream sees the cookies %q", got)
	}
	for _, msg := range []string{"<script src=//www.googletagmanager.com/gtm.js>", "again"} {
		fmt.Fprint(conn, msg)
		got := make([]byte, len(msg))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != msg {
			t.Fatalf("echo %q, %v", got, err)
		}
	}
}

// Server-sent events arrive one by one, with and without compression around.
func TestEvents(t *testing.T) {
	next := make(chan struct{})
	up := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	c := startCaddy(t, "http://:8080 {\n\tencode\n\tconsent\n\treverse_proxy "+up+"\n}\n")
	res, err := client.Get(c.url("8080", "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for i := range 3 {
		want := fmt.Sprintf("data: %d\n\n", i)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
		next <- struct{}{}
	}
}

// A page under `encode` reaches the browser compressed and rewritten, with the length of neither.
func TestRewrittenAndCompressed(t *testing.T) {
	page := `<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>` + strings.Repeat("<p>text</p>", 500)
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if e := r.Header.Get("Accept-Encoding"); e != "identity" {
			t.Errorf("the upstream is asked for %q", e)
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	c := startCaddy(t, "http://:8080 {\n\tencode gzip\n\tconsent\n\treverse_proxy "+up+"\n}\n")
	res, _ := mustGet(t, c.url("8080", "/"), "Accept-Encoding: gzip")
	if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Content-Length") != "" {
		t.Errorf("%v", res.Header)
	}
	req, _ := http.NewRequest("GET", c.url("8080", "/"), nil)
	plain, err := http.DefaultClient.Do(req) // decodes by itself
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	body, err := io.ReadAll(plain.Body)
	if err != nil || !strings.Contains(string(body), `data-consent-service="aircall"`) || !strings.HasSuffix(string(body), "<p>text</p>") {
		t.Errorf("%v %.200s", err, body)
	}
}

// caddy consent proxy needs no configuration file.
func TestProxyCommand(t *testing.T) {
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<p>host %s</p><script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>`, r.Host)
	})
	port := freePort(t)
	dir := shortTempDir(t)
	cmd := exec.Command(caddyBinary, "consent", "proxy", "--from", fmt.Sprintf(":%d", port), "--to", "http://"+up)
	cmd.Env = append(cmd.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	var body string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, b, err := get(t, url); err == nil {
			body = string(b)
			break
		}
	}
	if !strings.Contains(body, "host "+up) || !strings.Contains(body, `data-consent-service="aircall"`) {
		t.Errorf("%q", body)
	}
	out, err := exec.Command(caddyBinary, "consent", "proxy").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--to is required") {
		t.Errorf("without --to: %v %s", err, out)
	}
}
