package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// until waits for a JavaScript expression to become true, across navigations.
func (x *tab) until(expression string) {
	x.t.Helper()
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(x.ctx, 5*time.Second)
		var ok bool
		ok, err = chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		cancel()
		if err == nil && ok {
			return
		}
	}
	x.t.Fatalf("%s does not become true: %v", expression, err)
}

// keptSite is the shop at https://shop.test; its pages load a third party's script.
func keptSite(t *testing.T, site, options string, serve func(http.ResponseWriter, *http.Request) (more string)) *caddy {
	t.Helper()
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		more := serve(w, r)
		_, _ = io.WriteString(w, `<!DOCTYPE html><meta charset="utf-8"><title>x</title><link rel="icon" href="data:,">`+more+`<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script><p>text`)
	})
	c := startCaddy(t, "{\n\tskip_install_trust\n}\nhttps://shop.test:8080 {\n\ttls internal\n"+site+"\tconsent {\n"+options+"\t}\n\treverse_proxy "+up+"\n}\n")
	c.waitForTLS("8080", "shop.test")
	return c
}

// A visitor who accepted reads two pages, withdraws, and goes back. Chromium shows the page that it kept, and the
// third party's script in it runs on; with `clear_site_data cache`, or where the site says no-store, it asks anew.
func TestGoingBackAfterAWithdrawal(t *testing.T) {
	chromium(t)
	for _, tt := range []struct {
		name, options, cacheControl string
		otherTab                    bool // in which the visitor withdraws
		kept                        bool
	}{
		{"as it is", "", "max-age=0", false, true},
		{"storage cleared", "\t\tclear_site_data storage\n", "max-age=0", false, true},
		{"cache cleared", "\t\tclear_site_data cache\n", "max-age=0", false, false},
		{"cache cleared from another tab", "\t\tclear_site_data cache\n", "max-age=0", true, false},
		{"a site that says no-store", "", "no-store", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startSink(t)
			s.serve["cdn.aircall.io/c2c/v1/c2c.min.js"] = "window.third = true; setInterval(() => { new Image().src = 'https://cdn.aircall.io/beat?' + Math.random() }, 200)"
			c := keptSite(t, "", tt.options, func(w http.ResponseWriter, r *http.Request) string {
				w.Header().Set("Cache-Control", tt.cacheControl)
				return "<script>addEventListener('pageshow', e => window.kept = e.persisted)</script>"
			})
			b := startBrowser(t, s, map[string]string{"shop.test:443": c.addr("8080")})
			for try := range 3 { // a browser may drop a page that it could keep
				x, end := b.tab(true)
				x.setCookie("https://shop.test/", "consent", "v1:preferences.statistics.marketing")
				x.must(chromedp.Navigate("https://shop.test/a"))
				x.until("!!window.third && location.pathname == '/a'")
				first := eval[int](x, "history.length")
				eval[bool](x, "location.href = '/b', true")
				x.until("!!window.third && location.pathname == '/b'")
				y, endY := x, func() {}
				if tt.otherTab {
					y, endY = b.tab(true)
					y.must(chromedp.Navigate("https://shop.test/.consent/?return=/c"))
				} else {
					eval[bool](y, "location.href = '/.consent/?return=/c', true")
				}
				y.until("location.pathname == '/.consent/' && !!document.querySelector('button[value=reject_all]')")
				eval[bool](y, "document.querySelector('button[value=reject_all]').click(), true")
				y.until("location.pathname == '/c' && document.readyState == 'complete'")
				if eval[bool](y, "!!window.third") {
					t.Error("the page after the withdrawal has the third party's script")
				}
				if tt.otherTab { // the first tab's open page runs on, and that is not what is looked at
					eval[bool](x, "location.href = '/d', true")
					x.until("location.pathname == '/d' && document.readyState == 'complete'")
				}
				time.Sleep(500 * time.Millisecond)
				s.reset()
				eval[bool](x, fmt.Sprintf("setTimeout(() => history.go(%d), 10), true", first-eval[int](x, "history.length")))
				x.until("location.pathname == '/a' && document.readyState == 'complete' && 'kept' in window")
				time.Sleep(time.Second)
				kept, third, contacts := eval[bool](x, "window.kept"), eval[bool](x, "!!window.third"), hosts(s.settle(time.Millisecond))
				endY()
				end()
				if kept != third || kept != (len(contacts) > 0) {
					t.Errorf("kept: %v, the third party's script: %v, contacted: %q", kept, third, contacts)
				}
				if kept == tt.kept {
					return
				}
				if kept || try == 2 {
					t.Fatalf("Chromium shows the page it kept: %v", kept)
				}
			}
		})
	}
}

// A visitor who accepted withdraws on a page from which Chromium has fetched or rendered the next one ahead: the
// answer to the choice takes that one away. Nothing debugs this browser, since it renders nothing ahead then.
func TestPagesFetchedAheadOfAWithdrawal(t *testing.T) {
	bin := chromium(t)
	for _, how := range []string{"prefetch", "prerender"} {
		delivery := map[string]string{"prefetch": "navigational-prefetch", "prerender": "prerendered"}[how]
		for _, tt := range []struct {
			name, site, decision, want string
		}{
			{"nothing withdrawn", "", "accept_all", delivery + " true"},
			{"withdrawn", "", "reject_all", " false"},
			// What the browser would show without the header.
			{"withdrawn, without Clear-Site-Data", "\theader -Clear-Site-Data\n", "reject_all", delivery + " true"},
		} {
			t.Run(how+", "+tt.name, func(t *testing.T) {
				s := startSink(t)
				s.serve["cdn.aircall.io/c2c/v1/c2c.min.js"] = "window.third = true"
				told, ahead := make(chan string, 10), make(chan struct{}, 10)
				choose := "const choose = d => fetch('/.consent/choice', {method: 'POST', body: new URLSearchParams({decision: d}), redirect: 'manual'});"
				c := keptSite(t, tt.site, "", func(w http.ResponseWriter, r *http.Request) string {
					switch r.URL.Path {
					case "/start":
						return "<script>" + choose + "choose('accept_all').then(() => location.href = '/a')</script>"
					case "/a":
						return fmt.Sprintf(`<script type="speculationrules">{%q: [{"urls": ["/b"], "eagerness": "immediate"}]}</script><a id="next" href="/b">next</a>
<script>%s addEventListener('load', async () => { await fetch('/ahead'); await choose(%q); document.getElementById('next').click() })</script>`, how, choose, tt.decision)
					case "/ahead": // answers once the page has been fetched, and had the time to be rendered
						select {
						case <-ahead:
							time.Sleep(1500 * time.Millisecond)
						case <-r.Context().Done():
						}
					case "/b":
						if r.Header.Get("Sec-Purpose") != "" {
							ahead <- struct{}{}
						}
						return `<script>
const tell = () => { const n = performance.getEntriesByType('navigation')[0]; fetch('/tell?' + (n.activationStart > 0 ? 'prerendered' : n.deliveryType) + '+' + !!window.third) };
document.prerendering ? document.addEventListener('prerenderingchange', tell) : addEventListener('load', tell);
</script>`
					case "/tell":
						told <- strings.ReplaceAll(r.URL.RawQuery, "+", " ")
					}
					return ""
				})
				openAlone(t, bin, s, c, "https://shop.test/start")
				select {
				case got := <-told:
					if got != tt.want {
						t.Errorf("the next page is %q, want %q", got, tt.want)
					}
				case <-time.After(60 * time.Second):
					t.Error("the browser does not come to the next page")
				}
			})
		}
	}
}

// A page of the site is fetched or rendered ahead that sends visitors on to a blocked host. Nobody is asked there until the
// visitor goes to it, and then they arrive.
func TestGoingToAPageThatWasFetchedAheadAndLeadsAway(t *testing.T) {
	bin := chromium(t)
	for how, markup := range map[string]string{
		"prefetch":  `<script type="speculationrules">{"prefetch": [{"urls": ["/out"], "eagerness": "immediate"}]}</script>`,
		"prerender": `<script type="speculationrules">{"prerender": [{"urls": ["/out"], "eagerness": "immediate"}]}</script>`,
		"link":      `<link rel="prefetch" href="/out">`,
	} {
		t.Run(how, func(t *testing.T) {
			s := startSink(t)
			ahead, early, stays := make(chan struct{}, 10), make(chan []string, 10), make(chan struct{}, 10)
			up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				switch r.URL.Path {
				case "/a":
					_, _ = io.WriteString(w, `<!DOCTYPE html><link rel="icon" href="data:,">`+markup+`<a id="out" href="/out">out</a>
<script>addEventListener('load', async () => { await fetch('/ahead'); document.getElementById('out').click(); setTimeout(() => fetch('/stays'), 5000) })</script>`)
				case "/ahead": // answers once the page has been fetched
					select {
					case <-ahead:
						time.Sleep(time.Second)
						early <- hosts(s.settle(time.Millisecond))
					case <-r.Context().Done():
					}
				case "/out":
					if r.Header.Get("Sec-Purpose") != "" {
						ahead <- struct{}{}
					}
					http.Redirect(w, r, "https://www.facebook.com/page", http.StatusFound)
				case "/stays":
					stays <- struct{}{}
				}
			})
			c := startCaddy(t, "{\n\tskip_install_trust\n}\nhttps://shop.test:8080 {\n\ttls internal\n\tconsent\n\treverse_proxy "+up+"\n}\n")
			c.waitForTLS("8080", "shop.test")
			openAlone(t, bin, s, c, "https://shop.test/a")
			select {
			case got := <-early:
				if slices.Contains(got, "www.facebook.com") {
					t.Error("the blocked host is asked before the visitor goes there")
				}
			case <-time.After(60 * time.Second):
				t.Fatal("the page is not fetched ahead")
			}
			for end := time.Now().Add(30 * time.Second); !slices.Contains(hosts(s.settle(10*time.Millisecond)), "www.facebook.com"); {
				if len(stays) > 0 || time.Now().After(end) {
					t.Fatal("the visitor does not arrive")
				}
			}
		})
	}
}

// openAlone opens a page of the site in a Chromium that nobody drives, since one that is fetches and renders nothing ahead.
func openAlone(t *testing.T, bin string, s *sink, c *caddy, page string, flags ...string) {
	t.Helper()
	args := append([]string{"--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--ignore-certificate-errors",
		"--disable-component-update", "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,OptimizationHints",
		"--user-data-dir=" + shortTempDir(t), "--host-resolver-rules=MAP shop.test:443 " + c.addr("8080") + ",MAP * " + s.addr}, flags...)
	cmd := exec.Command(bin, append(args, page)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// publicKey is what Chromium may be told to believe a server by: the digest of the public key that it shows.
func publicKey(t *testing.T, addr, name string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A visitor who allowed that network errors are reported to another company withdraws. Chromium goes on for as long as the headers
// said, without seeing them again, until it is told that it has ended.
func TestNetworkErrorLoggingEndsWithTheConsent(t *testing.T) {
	bin := chromium(t)
	for _, decision := range []string{"accept_all", "reject_all"} {
		t.Run(decision, func(t *testing.T) {
			told := make(chan bool, 10)
			s := startSink(t)
			up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				next := map[string]string{
					"/start": "choose('accept_all').then(() => location.href = '/a')",
					"/a":     "wait(3).then(() => choose('" + decision + "')).then(() => location.href = '/b')",
					"/b":     "wait(3).then(() => fetch('/tell')).then(() => fetch('/c')).then(() => wait(4)).then(() => fetch('/tell'))",
				}[r.URL.Path]
				h := w.Header()
				h.Set("Report-To", `{"group":"n","max_age":86400,"endpoints":[{"url":"https://tracker.test/n"}]}`)
				h.Set("NEL", `{"report_to":"n","max_age":86400,"success_fraction":1}`)
				h.Set("Content-Type", "text/html")
				fmt.Fprintf(w, `<!DOCTYPE html><meta charset="utf-8"><title>x</title><link rel="icon" href="data:,"><script>
const choose = d => fetch('/.consent/choice', {method: 'POST', body: new URLSearchParams({decision: d}), redirect: 'manual'});
const wait = s => new Promise(r => setTimeout(r, 1000 * s));
%s</script>`, next)
				if r.URL.Path == "/tell" {
					told <- slices.Contains(hosts(s.settle(time.Millisecond)), "tracker.test")
					s.reset()
				}
			})
			c := startCaddy(t, "{\n\tskip_install_trust\n}\nhttps://shop.test:8080 {\n\ttls internal\n\tconsent {\n\t\tblock statistics tracker.test\n\t}\n\treverse_proxy "+up+"\n}\n")
			c.waitForTLS("8080", "shop.test")
			keys := publicKey(t, c.addr("8080"), "shop.test") + "," + publicKey(t, s.addr, "tracker.test")
			openAlone(t, bin, s, c, "https://shop.test/start", "--short-reporting-delay", "--ignore-certificate-errors-spki-list="+keys)
			for _, want := range []bool{true, decision == "accept_all"} {
				select {
				case got := <-told:
					if got != want {
						t.Errorf("a report: %v, want %v", got, want)
					}
				case <-time.After(60 * time.Second):
					t.Fatal("the browser does not come to the end")
				}
			}
		})
	}
}
