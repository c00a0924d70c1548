package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// loadPaths are the shop's pages that anybody can ask for.
var loadPaths = []string{"/login", "/cart", "/stream"}

// Under load over HTTP/1.1 and HTTP/2 no visitor's request fails, whatever they chose; the shop answers 500 to
// whoever brings a tracker's cookie.
func TestShopUnderLoad(t *testing.T) {
	h2load := peer(t, "h2load")
	c, shop := shopOverHTTPS(t)
	for _, version := range []string{"http/1.1", "h2"} {
		for _, choice := range []string{"", "consent=v1:none; "} {
			t.Run(version+" "+choice, func(t *testing.T) {
				args := []string{"-n", "600", "-c", "10", "-t", "1", "--npn-list=" + version, "--connect-to=" + c.addr("8080"), "-H", "cookie: " + choice + "_ga=GA1.1.1.1; sid=1; _fbp=fb.1.1.1", "-H", "sec-fetch-dest: document"}
				if version == "h2" {
					args = append(args, "-m", "10")
				}
				for _, p := range loadPaths {
					args = append(args, shop+p)
				}
				out, err := exec.Command(h2load, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				for _, want := range []string{
					"Application protocol: " + version,
					"requests: 600 total, 600 started, 600 done, 600 succeeded, 0 failed, 0 errored, 0 timeout",
					"status codes: 600 2xx, 0 3xx, 0 4xx, 0 5xx",
				} {
					if !strings.Contains(string(out), want) {
						t.Errorf("not %q:\n%s", want, out)
					}
				}
				t.Logf("%s", regexp.MustCompile(`(?m)^finished in.*`).Find(out))
			})
		}
	}
	if n := responsesWith5xx(c); n > 0 {
		t.Errorf("%d answers of 500 and more", n)
	}
}

// curl, which speaks each version of HTTP as other clients do, gets the blocked page, and none of the
// trackers' cookies.
func TestShopWithCurl(t *testing.T) {
	curl := peer(t, "curl")
	c, shop := shopOverHTTPS(t)
	has, _ := exec.Command(curl, "--version").Output()
	for _, tt := range []struct{ option, feature, version string }{{"--http1.1", "HTTP", "1.1"}, {"--http2", "HTTP2", "2"}, {"--http3-only", "HTTP3", "3"}} {
		t.Run(tt.option, func(t *testing.T) {
			if !strings.Contains(string(has), tt.feature) {
				t.Skipf("this curl is built without %s; TestMatrix speaks it", tt.feature)
			}
			headers := filepath.Join(shortTempDir(t), "headers")
			port := strconv.Itoa(c.ports["8080"])
			for _, p := range loadPaths {
				out, err := exec.Command(curl, "-sk", tt.option, "-D", headers, "-w", "%{http_code} %{http_version}", "--max-time", "20", "--resolve", "shop.test:"+port+":127.0.0.1",
					"-H", "Cookie: _ga=GA1.1.1.1; _fbp=fb.1.1.1", "-H", "Accept: text/html", shop+p).CombinedOutput()
				body := string(out)
				if err != nil || !strings.HasSuffix(body, "200 "+tt.version) || strings.Contains(body, `<script src="https://cdn.aircall.io`) || !strings.Contains(body, `data-consent-src="https://cdn.aircall.io`) {
					t.Errorf("%s: %v\n%s", p, err, body)
				}
			}
		})
	}
}

// shopOverHTTPS is the shop in Node behind the directive, and its address.
func shopOverHTTPS(t *testing.T) (*caddy, string) {
	t.Helper()
	c := startCaddy(t, "{\n\tskip_install_trust\n}\nhttps://shop.test:8080 {\n\ttls internal\n\tencode\n\tlog\n\tconsent {\n\t\tessential csrftoken\n\t}\n\treverse_proxy "+startShop(t)+"\n}\n")
	c.waitForTLS("8080", "shop.test")
	return c, fmt.Sprintf("https://shop.test:%d", c.ports["8080"])
}

// responsesWith5xx counts them in the access log.
func responsesWith5xx(c *caddy) (n int) {
	time.Sleep(100 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.log {
		if status, ok := l["status"].(float64); ok && status >= 500 {
			n++
		}
	}
	return n
}
