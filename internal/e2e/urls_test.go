package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddy-consent/caddy-consent/rules"
)

// urlParts are put together to URLs at random.
var urlParts = []string{
	"http:", "https:", "HTTPS:", "ws:", "data:", "javascript:", "about:", "blob:", "ftp:", "x-y:", "//", "//", "//", "/", "\\", "\\\\", "/\\", "///", "tracker.test", "tracker.test", "Tracker.Test", "cdn.tracker.test",
	"site.test", "site.test", "www.site.test", "SITE.test", "site.test.", "tracker.test.", "127.0.0.1", "0x7f.1", "2130706433", "017700000001", "1.2.3", "[::1]", "[::ffff:1.2.3.4]", "[1::8]", "bücher.test", "xn--bcher-kva.test",
	"ｔｒａｃｋｅｒ.test", "tracker。test", "faß.test", "İ.test", "a\u200db.test", "☕.test", "xn--a.test", "tracker%2etest", "%74racker.test", "%zz", "%00", "%20", ":", ":80", ":443", ":8080", ":99999", ":x", "@", "user@", "user:pw@", "?",
	"#", "?q=//tracker.test/", "/collect", "/COLLECT", "/%63ollect", "/./collect", "/x/../collect", "/x/%2e%2E/collect", "/..", "/.", "/%2e", "collect", "../collect", "..\\collect", "/collect/", "/collectx", "/shop/", "a", "b.png", ".", "..",
	"\t", "\n", "\r", " ", "\x1f", "\x7f", "\u00a0", "\u00ad", "\ufeff", "\ufffd", "\u2060", "\u200b", "\u200c", "%5B", "%5d", "%3A", "%2F", "%5c", "%40", "%09", "%C2%AD", "%EF%BC%8E", "％", "％2e", "［", "］", "：", "／", "＼", "＠", "？", "＃", "．", "｡", "①", "０ｘ７ｆ", "127.1", "0", "00", "0x", "08", "256", "4294967296", "xn--", "XN--", "xn--a-", "--", "ʀ", "ﬁ", "ß", "ς", "ΑΣ", "אב", "a1א", "\u0301", "\u0338", "≠", "＜", "…", "℡", "𝐭", "<", ">", "^", "|", "[", "]", "{", "}", "`", "'", "\"", "*", "!", ";", ",", "~", "$", "+", "=", "&", "-", "_",
}

// urlRunes are ranges of characters that are mapped, composed, dropped or refused in hosts.
var urlRunes = [][2]rune{{0x80, 0x250}, {0x250, 0x370}, {0x300, 0x370}, {0x370, 0x530}, {0x530, 0x800}, {0x2000, 0x2070}, {0x2070, 0x2200}, {0x2200, 0x2300}, {0x2460, 0x2500}, {0x3000, 0x3100}, {0x3200, 0x3400},
	{0xa640, 0xab70}, {0xac00, 0xac80}, {0xf900, 0xfb50}, {0xfb50, 0xfe00}, {0xfe00, 0xfe70}, {0xff00, 0xfff0}, {0x10400, 0x10450}, {0x1d400, 0x1d800}, {0x1f100, 0x1f200}, {0x2f800, 0x2fa20}, {0xe0000, 0xe0200}, {1, 0xd800}}

func randomURLs(n int, seed uint64) (urls []string) {
	rnd := rand.New(rand.NewPCG(seed, 5))
	for range n {
		u := ""
		if rnd.IntN(3) == 0 {
			u = []string{"http://", "https://", "//"}[rnd.IntN(3)]
		}
		for range 1 + rnd.IntN(6) {
			if rnd.IntN(6) == 0 {
				r := urlRunes[rnd.IntN(len(urlRunes))]
				u += string(r[0] + rnd.Int32N(r[1]-r[0]))
			}
			u += urlParts[rnd.IntN(len(urlParts))]
		}
		urls = append(urls, u)
	}
	return urls
}

// urlBases are what URLs are relative to, one after the other.
var urlBases = []string{"https://site.test/shop/cart", "http://site.test/shop/", "https://www.site.test/a/b/c?d", "https://site.test//x//", "http://site.test:8080/collect"}

// A browserURL is what a browser makes of a URL.
type browserURL struct{ Scheme, Host, Path string }

const urlReader = `<!doctype html><link rel=icon href=data:,><script>
const bases = %s;
const read = (u, i) => { try { u = new URL(u, bases[i %% bases.length]); return {Scheme: u.protocol, Host: u.hostname, Path: u.pathname} } catch { return null } };
const x = new XMLHttpRequest();
x.open('POST', '/read', false);
x.send(JSON.stringify(%s.map(read)));
</script>`

// Where a browser reads a third party's host, or a path of a collector on the page's own, the URL is blocked; where it
// reads neither it is not, unless browsers differ.
func TestURLsAsBrowsersReadThem(t *testing.T) {
	urls := randomURLs(countAndSeed("CONSENT_URLS", 20000))
	list, err := json.Marshal(urls)
	bases, _ := json.Marshal(urlBases)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan []*browserURL, 1)
	site := strings.TrimPrefix(startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var got []*browserURL
			b, _ := io.ReadAll(r.Body)
			if err := json.Unmarshal(b, &got); err != nil {
				t.Error(err)
			}
			select {
			case read <- got:
			default: // a browser may ask twice
			}
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, urlReader, bases, list)
	}), "http://")
	answers := make(map[string][]*browserURL)
	take := func(browser string) {
		select {
		case got := <-read:
			if len(got) != len(urls) {
				t.Fatalf("%s has read %d URLs of %d", browser, len(got), len(urls))
			}
			answers[browser] = got
		case <-time.After(60 * time.Second):
			t.Fatal(browser, " has read no URLs")
		}
	}
	s := startSink(t)
	b, end, err := openBrowser(chromium(t), shortTempDir(t), s.addr, map[string]string{"site.test": site})
	if err != nil {
		t.Fatal("starting Chromium: ", err)
	}
	defer end()
	b.t = t
	x, closeTab := b.tab(true)
	defer closeTab()
	x.must(chromedp.Navigate("http://site.test/"))
	take("Chromium")
	f := startFirefox(t, site)
	f.replay(t, visit{scripting: true}, []*vector{{ID: "urls", Scope: "static"}})
	take("Firefox")

	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	config, err := rules.NewSite(cat, rules.SiteConfig{Unclassified: "block", Collectors: map[string][]string{"marketing": {"/collect"}}})
	if err != nil {
		t.Fatal(err)
	}
	policy := config.For(rules.Grants{Allowed: rules.SetOf(rules.Necessary)})
	var pages []*rules.Page
	for _, base := range urlBases {
		pages = append(pages, rules.NewPage("https", "site.test").WithBase(base))
	}
	blocked, differ, ambiguous := 0, 0, 0
	for i, u := range urls {
		d := policy.Decide(rules.Resource{Kind: rules.KindImage, URL: u, Page: pages[i%len(pages)]})
		chromium, firefox := mustBlock(answers["Chromium"][i]), mustBlock(answers["Firefox"][i])
		switch {
		case d.Action == rules.Block:
			blocked++
			if d.Ambiguous() {
				ambiguous++
			} else if !chromium && !firefox && (answers["Chromium"][i] != nil || answers["Firefox"][i] != nil) && !strings.Contains(d.Host+".", "..") && !strings.HasPrefix(d.Host, ".") {
				t.Errorf("%q is blocked by %s: Chromium reads %v, Firefox %v", u, d.Rule, answers["Chromium"][i], answers["Firefox"][i])
			}
		case chromium || firefox:
			t.Errorf("%q is kept: Chromium reads %v, Firefox %v", u, answers["Chromium"][i], answers["Firefox"][i])
		}
		if chromium != firefox {
			differ++
		}
	}
	t.Logf("%d URLs, %d blocked, %d of them as ambiguous; browsers differ on %d", len(urls), blocked, ambiguous, differ)
}

// mustBlock reports whether a browser would ask a third party for an image, or a collector.
func mustBlock(u *browserURL) bool {
	if u == nil || !slices.Contains([]string{"http:", "https:"}, u.Scheme) {
		return false
	}
	host := strings.TrimRight(u.Host, ".")
	if strings.HasPrefix(host, ".") || strings.Contains(host, "..") {
		return false // no name has an empty label
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		host = a.Unmap().String()
	}
	if host != "site.test" && !strings.HasSuffix(host, ".site.test") {
		return host != ""
	}
	return strings.HasPrefix(strings.ReplaceAll(u.Path, "%63", "c"), "/collect")
}
