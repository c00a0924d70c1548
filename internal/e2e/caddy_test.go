package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A caddy is a running Caddy process.
type caddy struct {
	t     testing.TB
	cmd   *exec.Cmd
	dir   string         // working folder; holds the Caddyfile
	ports map[string]int // from the port in the Caddyfile to the real one
	done  chan struct{}

	mu  sync.Mutex
	log []map[string]any
	raw bytes.Buffer
}

// startCaddy runs a Caddyfile and waits until it listens. Ports from 8080 to 8089 stand for free
// ones. If dir is not empty the Caddyfile is one of that folder of the repository and finds its
// files there.
func startCaddy(t testing.TB, caddyfile string) *caddy {
	t.Helper()
	return startCaddyIn(t, "", caddyfile)
}

func startCaddyIn(t testing.TB, dir, caddyfile string) *caddy {
	t.Helper()
	return startCaddyBuild(t, caddyBinary, dir, caddyfile)
}

// lookAtSources makes the go command see that a test depends on what Caddy is built from: it keeps a result
// until a file changes that the test has looked at.
var lookAtSources = sync.OnceFunc(func() {
	for _, dir := range []string{"cmd", "caddymodule", "rewriter", "rules"} {
		_ = filepath.WalkDir(filepath.Join(repository, dir), func(path string, _ os.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
	}
})

// startCaddyBuild is startCaddyIn for another build of Caddy.
func startCaddyBuild(t testing.TB, binary, dir, caddyfile string) *caddy {
	t.Helper()
	lookAtSources()
	c := &caddy{t: t, ports: map[string]int{}, done: make(chan struct{})}
	c.dir = shortTempDir(t)
	if dir != "" {
		if err := os.CopyFS(c.dir, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	c.write(caddyfile)
	c.cmd = exec.Command(binary, "run", "--config", "Caddyfile", "--adapter", "caddyfile")
	c.cmd.Dir = c.dir
	c.cmd.Env = c.environ()
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go c.read(stderr)
	t.Cleanup(c.stop)
	for _, port := range c.ports {
		c.waitFor(port)
	}
	return c
}

func (c *caddy) environ() []string {
	return append(os.Environ(), "XDG_DATA_HOME="+c.dir, "XDG_CONFIG_HOME="+c.dir, "HOME="+c.dir)
}

// shortTempDir is a temporary folder whose path leaves room for the name of a Unix socket.
func shortTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ce")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// write puts the Caddyfile, with real ports and a private admin socket, into the working folder.
func (c *caddy) write(caddyfile string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, "Caddyfile"), []byte(c.prepare(caddyfile)), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

var documentedPort = regexp.MustCompile(`:(808\d)\b`)

func (c *caddy) prepare(caddyfile string) string {
	caddyfile = documentedPort.ReplaceAllStringFunc(caddyfile, func(s string) string {
		p, ok := c.ports[s[1:]]
		if !ok {
			p = freePort(c.t)
			c.ports[s[1:]] = p
		}
		return fmt.Sprintf(":%d", p)
	})
	auto := "off"
	if strings.Contains(caddyfile, "tls internal") {
		auto = "disable_redirects"
	}
	options := "\tadmin unix//" + c.socket() + "\n\tauto_https " + auto + "\n"
	if i := globalOptions(caddyfile); i >= 0 {
		return caddyfile[:i] + options + caddyfile[i:]
	}
	return "{\n" + options + "}\n" + caddyfile
}

func (c *caddy) socket() string { return filepath.Join(c.dir, "admin") }

// globalOptions returns the offset behind the brace that opens the global options, or -1.
func globalOptions(caddyfile string) int {
	at := 0
	for line := range strings.Lines(caddyfile) {
		at += len(line)
		switch line = strings.TrimSpace(line); {
		case line == "{":
			return at
		case line != "" && !strings.HasPrefix(line, "#"):
			return -1
		}
	}
	return -1
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *caddy) waitFor(port int) {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-c.done:
			c.t.Fatalf("caddy ended while starting:\n%s", c.output())
		case <-time.After(20 * time.Millisecond):
		}
	}
	c.t.Fatalf("caddy does not listen on port %d:\n%s", port, c.output())
}

// waitForTLS waits until the site at port in the Caddyfile has a certificate for host.
func (c *caddy) waitForTLS(port, host string) {
	c.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := tls.Dial("tcp", c.addr(port), &tls.Config{InsecureSkipVerify: true, ServerName: host})
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			c.t.Fatal(err)
		}
	}
}

func (c *caddy) stop() {
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		c.cmd.Process.Kill()
		<-c.done
		c.t.Error("caddy did not stop within ten seconds")
	}
}

// read collects the log lines until the process ends.
func (c *caddy) read(stderr io.Reader) {
	s := bufio.NewScanner(stderr)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var line map[string]any
		err := json.Unmarshal(s.Bytes(), &line)
		c.mu.Lock()
		if err == nil {
			c.log = append(c.log, line)
		}
		c.raw.Write(s.Bytes())
		c.raw.WriteByte('\n')
		c.mu.Unlock()
	}
	c.cmd.Wait()
	close(c.done)
}

func (c *caddy) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

// url is the address of the site that stands at port in the Caddyfile.
func (c *caddy) url(port, path string) string {
	p, ok := c.ports[port]
	if !ok {
		c.t.Fatalf("the Caddyfile has no site on port %s", port)
	}
	return fmt.Sprintf("http://127.0.0.1:%d%s", p, path)
}

func (c *caddy) addr(port string) string { return fmt.Sprintf("127.0.0.1:%d", c.ports[port]) }

const consentLogger = "http.handlers.consent"

// records returns the directive's log lines with that message (any if msg is empty), waiting
// until there are at least n.
func (c *caddy) records(msg string, n int) []map[string]any {
	c.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		var out []map[string]any
		c.mu.Lock()
		for _, l := range c.log {
			if l["logger"] == consentLogger && (msg == "" || l["msg"] == msg) {
				out = append(out, l)
			}
		}
		c.mu.Unlock()
		if len(out) >= n {
			return out
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%d log lines of %s with message %q, want %d:\n%s", len(out), consentLogger, msg, n, c.output())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// command runs a caddy command in the working folder.
func (c *caddy) command(args ...string) (string, error) {
	cmd := exec.Command(caddyBinary, args...)
	cmd.Dir = c.dir
	cmd.Env = c.environ()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// reload makes the running process load another Caddyfile.
func (c *caddy) reload(caddyfile string) (string, error) {
	c.t.Helper()
	c.write(caddyfile)
	return c.command("reload", "--config", "Caddyfile", "--adapter", "caddyfile", "--address", "unix/"+c.socket())
}

// client follows no redirects and decodes nothing.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 8},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

const everything = "consent=v1:preferences.statistics.marketing"

// get fetches a page as a browser navigates to it. Headers are given as "Name: value".
func get(t testing.TB, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Dest", "document")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		switch name {
		case "Host":
			req.Host = value
			continue
		case "Sec-Fetch-Dest":
			req.Header.Del(name)
		}
		req.Header.Add(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

// mustGet is get for an answer that has to arrive whole.
func mustGet(t testing.TB, url string, header ...string) (*http.Response, string) {
	t.Helper()
	res, body, err := get(t, url, header...)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}
