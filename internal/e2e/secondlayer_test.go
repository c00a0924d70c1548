package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// bundle is a first-party script that no rewriter can see through: it puts a known service, an
// unknown pixel and a beacon into the page when it runs.
const bundle = `
const host = ['cdn', 'aircall', 'io'].join('.');
const s = document.createElement('script');
s.src = 'https://' + host + '/c2c/v1/c2c.min.js';
s.onload = () => window.third = 'loaded';
s.onerror = () => window.third = 'stopped';
document.head.append(s);
const own = document.createElement('script');
own.src = '/own.js';
document.head.append(own);
fetch('https://region1.google-analytics.com/g/collect?v=2', {method: 'POST', mode: 'no-cors'}).then(() => window.beacon = 'sent', () => window.beacon = 'stopped');
new Image().src = 'https://pixel.unknown.example/p.gif';
`

const bundlePage = `<!DOCTYPE html><meta charset="utf-8"><title>x</title><style>p { color: rgb(1, 2, 3) }</style>
<p id="p" style="margin: 7px" onclick="window.handler = true">x</p>
<img id="data" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">
<script NONCE>window.inline = true</script>
<script NONCE>try { window.evaluated = eval('1+1') } catch { window.evaluated = 0 }</script>
<script NONCE>
document.getElementById('p').click();
const w = new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])));
w.onmessage = () => window.worker = true;
const f = document.createElement('iframe'); f.srcdoc = '<script NONCE>parent.framed = true<\/script>'; document.body.append(f);
</script>
<script NONCE src="/bundle.js"></script>`

// secondLayerSite serves the page, with nonces and a strict policy of its own at /nonce.
func secondLayerSite(t *testing.T) string {
	return startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bundle.js":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, bundle)
		case "/own.js":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, "window.own = true")
		case "/nonce":
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Security-Policy", "script-src 'nonce-n1' 'strict-dynamic'; worker-src blob:")
			_, _ = io.WriteString(w, strings.ReplaceAll(bundlePage, "NONCE", `nonce="n1"`))
		default:
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, strings.ReplaceAll(bundlePage, "NONCE", ""))
		}
	})
}

// A bundle that inserts third parties at run time gets out without the second layer, is reported
// with `csp report`, and is stopped with `csp enforce`; nothing of the site's own is.
func TestSecondLayerInABrowser(t *testing.T) {
	chromium(t)
	up := secondLayerSite(t)
	third := []string{"cdn.aircall.io", "pixel.unknown.example", "region1.google-analytics.com"}
	for _, tt := range []struct {
		csp, path string
		contacted bool
		logged    bool
	}{
		{"off", "/", true, false},
		{"report", "/", true, true},
		{"enforce", "/", false, true},
		{"enforce", "/nonce", false, true},
	} {
		t.Run(tt.csp+tt.path, func(t *testing.T) {
			c := startCaddy(t, "http://:8080 {\n\tconsent {\n\t\tunclassified block\n\t\tcsp "+tt.csp+"\n\t}\n\treverse_proxy "+up+"\n}\n")
			s := startSink(t)
			b := startBrowser(t, s, map[string]string{"shop.test": c.addr("8080")})
			x, end := b.tab(true)
			defer end()
			if err := x.tryOpen("http://shop.test"+tt.path, 15*time.Second); err != nil {
				t.Fatal(err)
			}
			for stop := time.Now().Add(5 * time.Second); time.Now().Before(stop); time.Sleep(50 * time.Millisecond) {
				if eval[bool](x, "!!(window.third && window.beacon && window.own && window.worker)") {
					break
				}
			}
			got := hosts(s.settle(300 * time.Millisecond))
			if tt.contacted && !slices.Equal(got, third) || !tt.contacted && len(got) > 0 {
				t.Errorf("contacted %q", got)
			}
			want := map[bool]string{true: "loaded sent", false: "stopped stopped"}[tt.contacted]
			if got := eval[string](x, "window.third + ' ' + window.beacon"); got != want {
				t.Errorf("the bundle's requests are %s, want %s", got, want)
			}
			works := "inline own worker framed"
			if tt.path == "/" {
				works += " handler evaluated"
			}
			for _, name := range strings.Fields(works) {
				if !eval[bool](x, "!!window."+name) {
					t.Errorf("%s does not work any more", name)
				}
			}
			if got := eval[string](x, "getComputedStyle(p).color + getComputedStyle(p).margin + document.getElementById('data').naturalWidth"); got != "rgb(1, 2, 3)7px1" {
				t.Errorf("styles and data: images: %s", got)
			}
			if !tt.logged {
				if n := len(c.sites().Sites[0].Counters.Reports); n != 0 {
					t.Errorf("%d results of reports", n)
				}
				return
			}
			seen := map[string]map[string]any{}
			for _, l := range c.records("leak", 3) {
				seen[l["leak_host"].(string)] = l
				if l["stopped"] != !tt.contacted || l["path"] != tt.path || l["action"] != "block" || l["host"] != "shop.test" {
					t.Errorf("%v", l)
				}
			}
			if l := seen["cdn.aircall.io"]; l["service"] != "aircall" || l["category"] != "preferences" || l["directive"] != "script-src-elem" {
				t.Errorf("%v", l)
			}
			if l := seen["region1.google-analytics.com"]; l["category"] != "statistics" || l["directive"] != "connect-src" {
				t.Errorf("%v", l)
			}
			if l := seen["pixel.unknown.example"]; l["rule"] != "unclassified" || l["settle"] != "allow pixel.unknown.example" {
				t.Errorf("%v", l)
			}
		})
	}
}
