package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// frontCache is the nginx.conf of examples/cache_outside, with a place in dir for what it keeps.
func frontCache(t *testing.T, dir string, front, caddy int) string {
	t.Helper()
	return strings.NewReplacer("/var/cache/nginx/", dir+"/", ":8080;", fmt.Sprintf(":%d;", front), ":8081;", fmt.Sprintf(":%d;", caddy)).
		Replace(repositoryFile(t, "examples/cache_outside/nginx.conf"))
}

// A guest is a visitor of the examples' shop: what it has chosen, and which of the page's scripts that lets pass.
type guest struct {
	name, cookie string
	passes       []string
}

var (
	aircall = `<script async src="https://cdn.aircall.io/`
	hotjar  = `<script async src="https://static.hotjar.com/`
	guests  = []guest{
		{"who has not answered", "", nil},
		{"who accepted everything", everything, []string{aircall, hotjar}},
		{"who refused", "consent=v1:none", nil},
		{"who accepted a part", "consent=v1:statistics", []string{hotjar}},
	}
)

// sees reports whether a page is the one of the guest's choice.
func (g guest) sees(page string) bool {
	return strings.HasSuffix(page, "accepted them.</p>\n") && strings.Contains(page, aircall) == strings.Contains(g.cookie, "preferences") &&
		strings.Contains(page, hotjar) == strings.Contains(g.cookie, "statistics") && strings.Count(page, "data-consent-src=") == 2-len(g.passes)
}

// orders are all in which the guests can come.
func orders(of []guest) (all [][]guest) {
	if len(of) < 2 {
		return [][]guest{of}
	}
	for i := range of {
		rest := append(append([]guest{}, of[:i]...), of[i+1:]...)
		for _, o := range orders(rest) {
			all = append(all, append([]guest{of[i]}, o...))
		}
	}
	return all
}

// visitThroughCache sends the guests to the shop in every order, and checks that nobody ever gets the page or
// the style sheet of another choice. hit says whether an answer came from the cache; pagesKept, whether pages may.
func visitThroughCache(t *testing.T, shop string, hit func(http.Header) bool, pagesKept bool) {
	t.Helper()
	pages, kept, static := 0, 0, 0
	for n, order := range orders(guests) {
		// An address that nobody has asked for yet, so that each guest is once the first of it.
		page := fmt.Sprintf("%s/?%d", shop, n)
		tags := map[string]string{}
		for range 2 {
			for _, g := range order {
				for _, dest := range []string{"Sec-Fetch-Dest: document", "Sec-Fetch-Dest: "} { // old browsers and robots say nothing
					res, body := mustGet(t, page, "Cookie: "+g.cookie, dest)
					if res.StatusCode != 200 || !g.sees(body) || !strings.Contains(res.Header.Get("Cache-Control"), "private") {
						t.Fatalf("%s gets the page of another choice: %v\n%s", g.name, res.Header, body)
					}
					tags[g.name] = res.Header.Get("Etag")
					pages++
					if hit(res.Header) {
						kept++
					}
				}
				res, fonts := mustGet(t, shop+"/fonts.css?"+fmt.Sprint(n), "Cookie: "+g.cookie, "Sec-Fetch-Dest: style")
				if strings.Contains(fonts, `url("https://fonts.googleapis.com/`) != strings.Contains(g.cookie, "preferences") {
					t.Fatalf("%s gets the style sheet of another choice: %v\n%s", g.name, res.Header, fonts)
				}
				res, style := mustGet(t, shop+"/style.css", "Cookie: "+g.cookie, "Sec-Fetch-Dest: style")
				if res.StatusCode != 200 || style != "body { color: #222 }\n" {
					t.Fatalf("a style sheet without third parties: %d %q", res.StatusCode, style)
				}
				if hit(res.Header) {
					static++
				}
			}
		}
		for _, g := range order { // who comes back has a page with a tag
			for of, tag := range tags {
				res, body := mustGet(t, page, "Cookie: "+g.cookie, "If-None-Match: "+tag)
				switch same := tag == tags[g.name]; {
				case same && (res.StatusCode != 304 || body != ""):
					t.Fatalf("%s asks for the same page again: %d", g.name, res.StatusCode)
				case !same && (res.StatusCode != 200 || !g.sees(body)):
					t.Fatalf("%s brings the tag of the page of %s: %d\n%s", g.name, of, res.StatusCode, body)
				}
			}
		}
	}
	n := len(orders(guests)) * 2 * len(guests)
	if static < n-2 {
		t.Errorf("the cache answers %d of %d requests for a style sheet", static, n)
	}
	if !pagesKept && kept != 0 || pagesKept && kept < pages*8/10 {
		t.Errorf("the cache answers %d of %d requests for pages", kept, pages)
	}
	t.Logf("%d pages, %d of them from the cache; %d of %d style sheets", pages, kept, static, n)
	res, _ := mustGet(t, shop+"/style.css", "Sec-Fetch-Dest: style")
	if res, _ = mustGet(t, shop+"/style.css", "Sec-Fetch-Dest: style", "If-None-Match: "+res.Header.Get("Etag")); res.StatusCode != 304 || !hit(res.Header) {
		t.Errorf("a style sheet that the visitor has: %d %v", res.StatusCode, res.Header)
	}

	// One visitor accepts, and takes it back.
	choose := func(decision, cookie string) (chosen string) {
		t.Helper()
		req, _ := http.NewRequest("POST", shop+"/.consent/choice", strings.NewReader(url.Values{"decision": {decision}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("Cookie", cookie)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for _, c := range res.Cookies() {
			if c.Name == "consent" {
				chosen = c.Name + "=" + c.Value
			}
		}
		if res.StatusCode != 303 || chosen == "" {
			t.Fatalf("%s: %d %v", decision, res.StatusCode, res.Header)
		}
		return chosen
	}
	for range 2 {
		accepted := choose("accept_all", "")
		res, body := mustGet(t, shop+"/", "Cookie: "+accepted)
		if !guests[1].sees(body) {
			t.Errorf("after accepting: %s", body)
		}
		taken := choose("reject_all", accepted)
		for _, header := range []string{"If-None-Match: " + res.Header.Get("Etag"), "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "Cache-Control: max-stale=600"} {
			if res, body := mustGet(t, shop+"/", "Cookie: "+taken, header); res.StatusCode != 200 || !guests[2].sees(body) {
				t.Errorf("after the withdrawal, with %s: %d\n%s", header, res.StatusCode, body)
			}
		}
	}
	for _, g := range guests {
		res, body := mustGet(t, shop+"/.consent/", "Cookie: "+g.cookie)
		// The page has what is allowed ticked.
		if res.StatusCode != 200 || hit(res.Header) || strings.Count(body, " checked") < len(g.passes) {
			t.Errorf("the choice page of a visitor %s: %d %v", g.name, res.StatusCode, res.Header)
		}
	}
}

// With a cache in front that keeps what it may, each visitor gets the page of their own choice; scripts and
// style sheets come from the cache.
func TestCacheInFront(t *testing.T) {
	dir := shortTempDir(t)
	front := freePort(t)
	c := exampleCaddy(t, "cache_outside")
	startNginx(t, dir, frontCache(t, dir, front, c.ports["8081"]), front)
	visitThroughCache(t, fmt.Sprintf("http://localhost:%d", front), func(h http.Header) bool { return h.Get("X-Cache") == "HIT" }, false)
}

// Caddy's own cache between the directive and the site keeps the site's pages, and each visitor gets the one of
// their own choice all the same. Where it stands in front, by mistake, it keeps none.
func TestCacheInside(t *testing.T) {
	if os.Getenv("CONSENT_CACHE") == "" {
		t.Skip("set CONSENT_CACHE=1 for the test with Caddy's cache handler, which is a build of its own")
	}
	binary := filepath.Join(shortTempDir(t), "caddy")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(repository, "internal", "cachetest")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\nWhere the modules of the plugin have changed, run go mod tidy in internal/cachetest.", err, out)
	}
	text := repositoryFile(t, "examples/cache_inside/Caddyfile.cache")
	outside := strings.Replace(text, "\torder cache after consent\n", "", 1)
	if outside == text {
		t.Fatal("the example orders the cache in another way")
	}
	hit := func(h http.Header) bool { return strings.Contains(h.Get("Cache-Status"), "; hit") }
	for _, tt := range []struct {
		name, caddyfile string
		pagesKept       bool
	}{
		{"inside", text, true},
		{"in front", outside, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := startCaddyBuild(t, binary, filepath.Join(repository, "examples", "cache_inside"), tt.caddyfile)
			visitThroughCache(t, strings.Replace(c.url("8080", ""), "127.0.0.1", "localhost", 1), hit, tt.pagesKept)
		})
	}
}

// A cache in front of the proxy, and one behind it, that both keep what its header allows: nobody gets the
// page of another visitor's choice, the site is asked once, and the one in front is warned of.
func TestCachesInFrontAndBehind(t *testing.T) {
	asked := 0
	page := soakPage()
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "public, max-age=600")
		_, _ = io.WriteString(w, page)
	})
	dir := shortTempDir(t)
	outside, inside, caddyPort := freePort(t), freePort(t), freePort(t)
	startNginx(t, dir, frontCache(t, dir, outside, caddyPort)+
		fmt.Sprintf("server { listen 127.0.0.1:%d; location / { proxy_pass http://%s; proxy_cache z; proxy_cache_key $uri; proxy_set_header Host $host; } }\n", inside, up), outside, inside)
	c := startCaddy(t, fmt.Sprintf("http://:%d {\n\tconsent\n\treverse_proxy 127.0.0.1:%d\n}\n", caddyPort, inside))
	c.waitFor(caddyPort)
	front := fmt.Sprintf("http://127.0.0.1:%d/", outside)
	for round := range 3 {
		for _, cookie := range []string{everything, "", "consent=v1:none", "consent=v1:marketing"} {
			res, body := mustGet(t, front, "Cookie: "+cookie, "CDN-Loop: nginx", "Sec-Fetch-Dest: ")
			blocked := strings.Count(body, `data-consent-src="https://cdn.aircall.io`)
			if cookie == everything && body != page || cookie != everything && (blocked != soakPages || strings.Contains(body, soakBlocked)) {
				t.Errorf("round %d, %q gets the page of another choice: %d blocked (%s)", round, cookie, blocked, res.Header.Get("X-Cache"))
			}
			if x := res.Header.Get("X-Cache"); x != "MISS" {
				t.Errorf("the cache in front keeps a page: %v", res.Header)
			}
		}
	}
	if asked != 1 {
		t.Errorf("the cache behind asks the site %d times: its pages are the same for everybody", asked)
	}
	if n := len(c.records("a shared cache stands in front of consent: it must keep to Cache-Control, since it would give the page of one visitor's choice to others; take pages out of rules such as cache everything", 1)); n != 1 {
		t.Errorf("%d warnings of the cache in front", n)
	}
}
