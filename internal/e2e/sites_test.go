package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// exampleCaddy runs the Caddyfile of a folder under examples.
func exampleCaddy(t *testing.T, name string) *caddy {
	t.Helper()
	dir := filepath.Join(repository, "examples", name)
	return startCaddyIn(t, dir, repositoryFile(t, filepath.Join("examples", name, "Caddyfile")))
}

func TestExamplesBlockAndLetChoose(t *testing.T) {
	for _, tt := range []struct {
		name, port, path, endpoint string
		header                     []string
		status                     int
		blocked                    string // a service in the page
	}{
		{"spa", "8080", "/some/route", "/.consent/", nil, 200, "data-consent-service="},
		{"handle_path", "8080", "/shop/", "/shop/.consent/", nil, 200, `data-consent-service="youtube"`},
		{"forward_auth", "8080", "/", "/.consent/", []string{"Cookie: session=member"}, 200, `data-consent-service="hotjar"`},
		{"several_sites", "8080", "/", "/.consent/", nil, 200, `data-consent-service="youtube"`},
		{"several_sites", "8083", "/", "/.consent/", nil, 200, `data-consent-rule="unclassified" data-consent-src="https://images.unknown.example/`},
		{"consent_manager", "8080", "/", "/.consent/", nil, 200, `data-name="films"`},
		{"nested", "8080", "/", "/.consent/", nil, 200, `data-consent-service="microsoft-clarity"`},
		{"errors", "8080", "/missing", "/.consent/", nil, 404, "data-consent-service="},
		{"cache_outside", "8081", "/", "/.consent/", nil, 200, `data-consent-service="hotjar"`},
		{"encode", "8080", "/", "/.consent/", nil, 200, `data-consent-service="linkedin-insight-tag"`},
	} {
		t.Run(tt.name+tt.port, func(t *testing.T) {
			c := exampleCaddy(t, tt.name)
			host := "Host: localhost" + strings.TrimPrefix(c.addr(tt.port), "127.0.0.1")
			res, body := mustGet(t, c.url(tt.port, tt.path), append(tt.header, host)...)
			if res.StatusCode != tt.status || !strings.Contains(body, tt.blocked) {
				t.Errorf("%d, without %s:\n%s", res.StatusCode, tt.blocked, body)
			}
			cookie := "Cookie: " + everything
			for _, h := range tt.header {
				cookie += "; " + strings.TrimPrefix(h, "Cookie: ")
			}
			if _, body = mustGet(t, c.url(tt.port, tt.path), cookie, host); strings.Contains(body, "data-consent-") || strings.Contains(body, "data-name=") {
				t.Errorf("changed though everything is allowed:\n%s", body)
			}
			if res, body = mustGet(t, c.url(tt.port, tt.endpoint), host); res.StatusCode != 200 || !strings.Contains(body, "Cookie choices") {
				t.Errorf("the choice page answers %d", res.StatusCode)
			}
		})
	}
}

func TestShopAndMagazineDiffer(t *testing.T) {
	c := exampleCaddy(t, "several_sites")
	host := "Host: localhost" + strings.TrimPrefix(c.addr("8080"), "127.0.0.1")
	if _, body := mustGet(t, c.url("8080", "/"), host); !strings.Contains(body, `<script src="https://cdn.shop-assets.example/app.js">`) || !strings.Contains(body, `<script src="https://widget.chat.example/chat.js">`) {
		t.Errorf("the shop's own hosts are blocked:\n%s", body)
	}
	host = "Host: localhost" + strings.TrimPrefix(c.addr("8083"), "127.0.0.1")
	if _, body := mustGet(t, c.url("8083", "/"), host, "Cookie: consent=v1:preferences"); !strings.Contains(body, `<iframe src="https://www.youtube.com/`) || strings.Contains(body, `<script src="https://widget`) {
		t.Errorf("the magazine's settings do not hold:\n%s", body)
	}
}

// A configuration that cannot hold is refused, and the old one goes on.
func TestBrokenConfigurationIsRefused(t *testing.T) {
	up := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>`))
	})
	file := func(options string) string {
		return "http://:8080 {\n\tconsent {\n\t\t" + options + "\n\t}\n\treverse_proxy " + up + "\n}\n"
	}
	c := startCaddy(t, file("mode enforce"))
	for options, want := range map[string]string{
		"mod shadow":                       `did you mean "mode"?`,
		"service aircal marketing":         `did you mean "aircall"?`,
		"catalogue /nonexistent/file.yaml": "loading catalogue",
		"allow https://x.example/a":        "write it without scheme and path",
		"endpoint consent":                 "is not a path below the root",
		"cookie_name a=b":                  "is not a cookie name",
	} {
		out, err := c.reload(file(options))
		if err == nil || !strings.Contains(strings.ReplaceAll(out, `\"`, `"`), want) {
			t.Errorf("%s: %v, want %s\n%s", options, err, want, out)
		}
		if _, body := mustGet(t, c.url("8080", "/")); !strings.Contains(body, `data-consent-service="aircall"`) {
			t.Fatalf("after %q the old configuration is gone: %s", options, body)
		}
	}
	if out, err := c.reload(file("service aircall necessary")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, body := mustGet(t, c.url("8080", "/")); strings.Contains(body, "data-consent") {
		t.Errorf("the new configuration is not in force: %s", body)
	}
	c.write(file("unclassified blok"))
	if out, err := c.command("run", "--config", "Caddyfile", "--adapter", "caddyfile"); err == nil || !strings.Contains(out, "Caddyfile:") {
		t.Errorf("a broken configuration starts: %v %s", err, out)
	}
}

// What stands twice on the way of a request, or before encode in a route, says so.
func TestDoubledDirectiveIsWarnedOf(t *testing.T) {
	up := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<p>x"))
	})
	c := startCaddy(t, "http://:8080 {\n\tconsent\n\thandle {\n\t\tconsent\n\t\treverse_proxy "+up+"\n\t}\n}\n")
	mustGet(t, c.url("8080", "/"))
	for _, l := range c.records("", 2) {
		if msg, _ := l["msg"].(string); strings.Contains(msg, "consent stands twice") && l["level"] == "warn" {
			return
		}
	}
	t.Errorf("no warning:\n%s", c.output())
}

// In a route the order is the author's. With encode inside of consent nothing leaks, but pages
// leave uncompressed, and a warning says what to do.
func TestEncodeInsideOfConsentIsWarnedOf(t *testing.T) {
	up := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>` + strings.Repeat("<p>text</p>", 200)))
	})
	for order, warned := range map[string]bool{"consent\n\t\tencode gzip": true, "encode gzip\n\t\tconsent": false} {
		c := startCaddy(t, "http://:8080 {\n\troute {\n\t\t"+order+"\n\t\treverse_proxy "+up+"\n\t}\n}\n")
		for range 2 {
			if _, body := mustGet(t, c.url("8080", "/"), "Accept-Encoding: br"); !strings.Contains(body, `data-consent-service="aircall"`) {
				t.Errorf("%.200s", body)
			}
		}
		c.records("response", 2)
		if n := strings.Count(c.output(), "put encode before consent"); (n == 1) != warned {
			t.Errorf("%s: %d warnings", order, n)
		}
	}
}
