package rewriter

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// One look for all means finds what a look for each finds.
func TestCanFetch(t *testing.T) {
	for _, m := range means {
		for _, text := range []string{m, "x" + m, "ee" + m + "x", strings.Repeat("s.h(", 9) + m} {
			if canFetch([]byte(text)) != yes {
				t.Errorf("%q: no means found", text)
			}
		}
		cut := m[:len(m)-1]
		found := false
		for _, other := range means {
			found = found || strings.Contains(cut, other)
		}
		if !found && canFetch([]byte(cut)) == yes {
			t.Errorf("%q: means found in part of a word", cut)
		}
	}
	for _, text := range []string{"", "s", "src", "a.createElemen", "e(", "document.writ", "new image"} {
		if canFetch([]byte(text)) == yes {
			t.Errorf("%q: means found", text)
		}
	}
}

// A base without a host does not hide a loader, nor does a document of a data: URL.
func TestLoadersBehindABaseWithoutAHost(t *testing.T) {
	o := Options{Policy: policy(t, "block"), Page: rules.NewPage("https", "site.test")}
	loader := `new Image().src='https://static.hotjar.com/x.js'`
	for _, doc := range []string{`<script>` + loader + `</script>`, `<img src=/a onerror="` + loader + `">`, `<iframe src="data:text/html,<script>` + loader + `</script>"></iframe>`} {
		for _, base := range []string{"", "<base href=about:blank>", "<base href=blob:x>"} {
			if out := rewrite(t, o, base+doc); !strings.Contains(out, "hotjar.com\"") {
				t.Errorf("the loader is kept: %s", out)
			}
		}
	}
}

// A host that nobody knows is reported once, by its first script, however its slashes are written.
func TestUnknownLoadersAreReportedOnce(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"a script", `d.createElement(s).src="https://a.example/x.js"`, "//a.example"},
		{"a script with a query", `d.createElement(s).src="https://a.example/x.js?v=1"`, "//a.example"},
		{"escaped slashes", `d.createElement(s).src="https:\/\/a.example\/y\/x.mjs"`, "//a.example"},
		{"the first of two", `d.createElement(s).src="//a.example/x.js";x="//b.example/y.js"`, "//a.example"},
		{"a host in a query", `d.createElement(s).src="/own?u=//a.example/x.js"`, "//a.example"},
		{"in capitals", `d.createElement(s).src="//A.EXAMPLE/x.js"`, "//a.example"},
		{"an image", `new Image().src="//a.example/x.png"`, ""},
		{"no means to fetch", `var s="//a.example/x.js"`, ""},
		{"the site's own", `d.createElement(s).src="//cdn.site.test/x.js"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test"), Report: func(r rules.Resource, d rules.Decision) {
				if d.Action == rules.Block || !d.Unclassified {
					t.Errorf("%v", d)
				}
				got = append(got, r.URL)
			}}
			rewrite(t, o, "<script>"+tt.script+"</script>")
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

// BenchmarkLoaders looks for loaders in the inline scripts of the saved pages.
func BenchmarkLoaders(b *testing.B) {
	inline := regexp.MustCompile(`(?is)<script(?:\s+(?:type="text/javascript"|async|defer|id="[^"]*"))*\s*>(.*?)</script`)
	var scripts [][]byte
	total := 0
	for _, p := range shared.Pages(b) {
		for _, m := range inline.FindAllSubmatch(p.Body, -1) {
			scripts = append(scripts, m[1])
			total += len(m[1])
		}
	}
	r := New(nil, Options{Policy: policy(b, "block_active"), Page: rules.NewPage("https", "site.test")})
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range scripts {
			r.findLoader(0, s)
		}
	}
}

func BenchmarkWorstScript(b *testing.B) {
	r := New(nil, Options{Policy: policy(b, "block_active"), Page: rules.NewPage("https", "site.test")})
	for _, tt := range []struct{ name, unit string }{
		{"Slashes", "/"},
		{"Dots", "."},
		{"Backslashes", `\`},
		{"EscapedSlashes", `\/`},
		{"ShortHosts", "a.bc/"},
		{"Hosts", `"//cdn.some-site.example/x";`},
		{"UnknownScripts", `"//cdn.some-site.example/x.js";`},
		{"KnownHosts", `"//www.google.com/";`},
		{"KnownHostsInOneString", `/www.google.com/x`},
		{"OtherKnownHosts", `"//www.google.com/";"//www.gstatic.com/";`},
		{"OwnHosts", `"//www.site.test/x";`},
		{"LongLabels", strings.Repeat("a", 250) + ".bc/"},
		{"Means", `h(e(d(sr"//a.example/x.js"`},
		{"Code", `function(a,b){return a.b(c)/2}`},
	} {
		text := []byte(strings.Repeat(tt.unit, 3<<20/len(tt.unit)))
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.findLoader(0, text)
			}
		})
	}
}

// A handler is read as the browser decodes it, however many hosts stand in it.
func TestHandlersWithCharacterReferences(t *testing.T) {
	o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for _, tt := range []struct{ name, value string }{
		{"a reference in the URL", `this.onerror=null;this.src='https://www.google-analytics.com/collect?a=1&amp;b=2'`},
		{"a host of its own before", `var a='//x.test/1?a&amp;b/';new Image().src='//www.google-analytics.com/collect?a'`},
		{"the slashes as references", `new Image().src='https:&#47;&#x2f;www.google-analytics.com&sol;collect'`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := `<img src="/a.png" onerror="` + tt.value + `">`
			if got := rewrite(t, o, in); !strings.Contains(got, "data-consent-onerror=") {
				t.Errorf("not blocked: %s", got)
			}
		})
	}
}

// A module that is written out in an import map loads what it imports.
func TestLoadersInImportMaps(t *testing.T) {
	o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test"), ContentType: "text/html; charset=utf-8"}
	for address, blocked := range map[string]bool{
		`data:text/javascript,import 'https://static.hotjar.com/x.js'`:           true,
		`data:text/javascript,import%20'https%3A%2F%2Fstatic.hotjar.com%2Fx.js'`: true,
		`d\u0061ta:,import(\"//static.hotjar.com/x.js\")`:                        true,
		`data:text/javascript,export default 'https://static.hotjar.com/x.txt'`:  false,
		`data:text/javascript,import '/x.js'`:                                    false,
	} {
		doc := `<script type=importmap>{"imports":{"a":"/a.js","x":"` + address + `"}}</script>`
		if got := rewrite(t, o, doc); (got != doc) != blocked {
			t.Errorf("blocked %v: %s", got != doc, address)
		}
	}
}

// A script that hands a URL to something that fetches it is found by each way to do so.
func TestWaysToFetch(t *testing.T) {
	o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test")}
	for script, blocked := range map[string]bool{
		`export * from "//static.hotjar.com/x.js"`:                                        true,
		`export{a}from'//static.hotjar.com/x.js'`:                                         true,
		`fetch ("//static.hotjar.com/x.js")`:                                              true,
		`config({paths:{a:"//static.hotjar.com/x.js"},shim:{a:{exports:"a"}}})`:           false,
		`document.body.style.background="url(//static.hotjar.com/x.js)"`:                  true,
		`document.body.style.background="url( '//static.hotjar.com/x.js' )"`:              true,
		`var a="//static.hotjar.com/x.js";b.style.mask="url(//static.hotjar.com/x.js)"`:   true,
		`import a from "//static.hotjar.com/x.json" with {type:"json"}`:                   true,
		`export{a}from'https://static.hotjar.com/x'`:                                      true,
		`import a from "/a.js" // from https://static.hotjar.com/x`:                       false,
		`var a="//static.hotjar.com/x.js"`:                                                false,
		`var a="//static.hotjar.com/x.js",b="//static.hotjar.com/x.js",c="url(/own.png)"`: false,
		`b.style.background="url(//cdn.site.test/x.png)"`:                                 false,
	} {
		doc := "<script>" + script + "</script>"
		if got := rewrite(t, o, doc); (got != doc) != blocked {
			t.Errorf("blocked %v: %s", got != doc, script)
		}
	}
}

// What stands between a host and its path, or in place of a path, does not hide it.
func TestLoadersWithPorts(t *testing.T) {
	o := Options{Policy: policy(t, "block_active"), Page: rules.NewPage("https", "site.test")}
	for url, blocked := range map[string]bool{
		"https://static.hotjar.com:443/x.js":    true,
		"//static.hotjar.com./x.js":             true,
		"//static.hotjar.com.:8443/x.js":        true,
		`https:\/\/static.hotjar.com:443\/x.js`: true,
		"https://static.hotjar.com?x":           true,
		"https://static.hotjar.com:443?x":       true,
		"https://static.hotjar.com:443":         true,
		"https://static.hotjar.com.#x":          true,
		"https://cdn.site.test:443/x.js":        false,
		"https://cdn.site.test?static.hotjar":   false,
		"https://x.test/1:2/3?a:4/":             false,
	} {
		doc := `<script>import("` + url + `")</script>`
		if got := rewrite(t, o, doc); (got != doc) != blocked {
			t.Errorf("blocked %v: %s", got != doc, url)
		}
	}
}
