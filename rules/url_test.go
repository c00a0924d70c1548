package rules

import (
	"strings"
	"testing"
)

// reaches returns the host that a browser asks for ref in the page, "" for none, "?" where it
// cannot be told, and path and query as rules see them.
func reaches(p *Page, ref string) (host, path, query string) {
	var r reference
	parseURL(ref, p, &r)
	class := r.class
	host = r.host
	if class == urlRelative {
		class, host = p.baseClass, p.baseHost
	}
	switch class {
	case urlNetwork:
		var buf locationBuf
		path, query = r.location(p, &buf)
		return host, strings.Clone(path), cleanQuery(query)
	case urlSocket:
		return "socket " + host, "", ""
	case urlAmbiguous:
		return "?", "", ""
	}
	return "", "", ""
}

// The answers are those of Chromium 156 and Firefox 153; where only one of them fetches, its.
func TestHostsAreReadAsBrowsersReadThem(t *testing.T) {
	page := NewPage("https", "site.test").At("/a/b?q")
	for _, tt := range []struct{ name, ref, want string }{
		{"controls in front and behind", "\x00\x1f https://tracker.test/x \x01", "tracker.test"},
		{"a no-break space in front is none of them", "\u00a0https://tracker.test/x", "site.test"},
		{"a byte order mark neither", "\ufeffhttps://tracker.test/x", "site.test"},
		{"tabs and newlines inside", "ht\ttps:/\n/tra\rcker.test", "tracker.test"},
		{"a form feed inside", "https://track\fer.test", ""},
		{"no slashes, the page's scheme", "https:tracker.test", "site.test"},
		{"one slash, the page's scheme", "https:/tracker.test", "site.test"},
		{"no slashes, another scheme", "http:tracker.test", "tracker.test"},
		{"one slash, another scheme", "http:/tracker.test", "tracker.test"},
		{"three slashes", "///tracker.test", "tracker.test"},
		{"four after the scheme", "https:////tracker.test", "tracker.test"},
		{"backslashes", `\\tracker.test`, "tracker.test"},
		{"both", `/\/\tracker.test`, "tracker.test"},
		{"a path that begins with a dot segment", "/.//tracker.test", "site.test"},
		{"several @", "https://a@b@tracker.test/", "tracker.test"},
		{"an @ behind the host", "https://tracker.test/@site.test", "tracker.test"},
		{"a backslash ends the host", `https://tracker.test\@site.test`, "tracker.test"},
		{"userinfo without a host", "https://u@/x", ""},
		{"an empty port", "https://tracker.test:/", "tracker.test"},
		{"a port with zeros in front", "https://tracker.test:00000443/", "tracker.test"},
		{"the largest port", "https://tracker.test:65535/", "tracker.test"},
		{"a port too large", "https://tracker.test:65536/", ""},
		{"a huge port", "https://tracker.test:99999999999999999999/", ""},
		{"a port with letters", "https://tracker.test:8a/", ""},
		{"a full-width port", "https://tracker.test:８０/", ""},
		{"two ports", "https://tracker.test:80:80/", ""},
		{"a dot at the end", "https://tracker.test./", "tracker.test"},
		{"two dots at the end", "https://tracker.test../", "tracker.test"},
		{"only a dot", "https://./", "?"}, // Firefox may go on to the next part
		{"no host", "https:///", ""},
		{"escaped", "https://%74racker%2Etest/", "tracker.test"},
		{"escaped twice", "https://%2574racker.test/", ""},
		{"an escaped slash", "https://tracker.test%2f/", ""},
		{"an escaped NUL", "https://tracker.test%00/", ""},
		{"escaped full-width dot", "https://tracker%ef%bc%8etest/", "tracker.test"},
		{"escapes that are no UTF-8", "https://tracker%ff.test/", ""},
		{"a space (Chromium fetches)", "https://a b.tracker.test/", "a%20b.tracker.test"},
		{"a star", "https://a*b.test/", "a*b.test"},
		{"a vertical bar", "https://a|b.test/", ""},
		{"full-width", "https://ｔｒａｃｋｅｒ．test/", "tracker.test"},
		{"ideographic full stops", "https://tracker。test｡/", "tracker.test"},
		{"a soft hyphen", "https://tra\u00adcker.test/", "tracker.test"},
		{"a zero-width space", "https://tra\u200bcker.test/", "tracker.test"},
		{"a joiner where there is nothing to join", "https://tra\u200dcker.test/", ""},
		{"a joiner after a virama", "https://क्\u200dष.test/", "xn--11b2ezcw70k.test"},
		{"a Mongolian vowel separator, ignored since Unicode 15.1", "https://tra\u180ecker.test/", "tracker.test"},
		{"a Hangul filler, the same", "https://tra\u3164cker.test/", "tracker.test"},
		{"outlined letters of Unicode 16", "https://\U0001cce9racker.test/", "tracker.test"},
		{"a letter that only newer Unicode maps", "https://\u1c89.test/", "?"},
		{"sharp s stays", "https://faß.test/", "xn--fa-hia.test"},
		{"capital sharp s is one", "https://FAẞ.test/", "xn--fa-hia.test"},
		{"final sigma stays", "https://ς.test/", "xn--3xa.test"},
		{"decomposed", "https://bu\u0308cher.test/", "xn--bcher-kva.test"},
		{"Georgian capitals", "https://Ⴀ.test/", "xn--rkj.test"},
		{"left-to-right and right-to-left in one label", "https://aא.test/", ""},
		{"a digit in front of Hebrew", "https://1א.test/", ""},
		{"an Alef symbol between letters", "https://a\u2135b.test/", ""},
		{"a full-width slash", "https://tracker.test／x/", ""},
		{"the replacement character, perhaps a NUL that Chromium drops", "https://tracker.test\ufffd/", "?"},
		{"a NUL", "https://tracker.test\x00/", ""},
		{"a noncharacter", "https://tra\ufffecker.test/", ""},
		{"private use", "https://tra\ue000cker.test/", ""},
		{"no Punycode (Chromium fetches)", "https://xn--a.test/", "xn--a.test"},
		{"no Punycode beside another script", "https://xn--a.bücher.test/", ""},
		{"only what is ignored", "https://\u00ad/", ""},
		{"IPv4 in hexadecimal", "https://0xCB007107/", "203.0.113.7"},
		{"in octal", "https://0313.0.0161.07/", "203.0.113.7"},
		{"in decimal", "https://3405803783./", "203.0.113.7"},
		{"in two parts", "https://203.28935/", "203.0.113.7"},
		{"in three parts", "https://203.0.28935/", "203.0.113.7"},
		{"full-width", "https://２０３。0.113.7/", "203.0.113.7"},
		{"five parts", "https://203.0.113.7.1/", ""},
		{"a part too large", "https://203.0.113.256/", ""},
		{"a number too large", "https://4294967296/", ""},
		{"a hexadecimal number too large for any type", "https://0x10000000000000000/", ""},
		{"no octal digit", "https://203.0.113.08/", ""},
		{"a name that ends in a number", "https://tracker.test.1/", ""},
		{"an empty part", "https://203..113.7/", ""},
		{"0x is a zero", "https://203.0.28935.0x/", ""},
		{"0x at the end of a name", "https://tracker.0x/", ""},
		{"a name with a number in front", "https://1.2.3.4.test/", "1.2.3.4.test"},
		{"IPv6", "https://[2001:DB8:0::7]:443/", "[2001:db8::7]"},
		{"IPv4 in IPv6 is that host", "https://[::ffff:203.0.113.7]/", "203.0.113.7"},
		{"escaped IPv6 (Chromium fetches)", "https://[::%31]/", "[::1]"},
		{"a zone", "https://[fe80::1%25eth0]/", ""},
		{"no end", "https://[::1/", ""},
		{"more behind it", "https://[::1]x/", ""},
		{"an odd notation of its IPv4 part", "https://[::01.2.3.4]/", "?"},
		{"data:", "data:text/html,https://tracker.test/", ""},
		{"blob:", "blob:http://tracker.test/x", ""},
		{"view-source:", "view-source:http://tracker.test/", ""},
		{"filesystem:", "filesystem:http://tracker.test/temporary/x", ""},
		{"file:", "file://tracker.test/x", ""},
		{"javascript:", "javascript:'//tracker.test/'", ""},
		{"a scheme like http", "x-http://tracker.test/", ""},
		{"a space in the scheme", "ht tp://tracker.test/", "site.test"},
		{"a digit first", "1http://tracker.test/", "site.test"},
		{"ws:", "ws://tracker.test/", "socket tracker.test"},
		{"wss: in capitals", "WSS:tracker.test", "socket tracker.test"},
		{"ftp:", "ftp://tracker.test/", "socket tracker.test"},
		{"bytes of an unknown encoding", "https://b\xfccher.test/", "?"},
		{"the same behind an @", "https://site.test\x81@tracker.test/", "?"},
		{"the same in a path", "https://tracker.test/b\xfccher", "tracker.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, _ := reaches(page, tt.ref); got != tt.want {
				t.Errorf("%q reaches %q, want %q", tt.ref, got, tt.want)
			}
		})
	}
}

func TestReferencesAreResolvedAgainstTheBase(t *testing.T) {
	page := NewPage("http", "site.test").At("/shop/cart?step=2")
	for _, tt := range []struct{ name, base, ref, want string }{
		{"a sibling", "", "x.js", "site.test/shop/x.js?"},
		{"a folder up", "", "../g/collect?v=2#f", "site.test/g/collect?v=2"},
		{"above the root", "", "../../../g/collect", "site.test/g/collect?"},
		{"dots on the way", "", "/a/./b/../../g/collect", "site.test/g/collect?"},
		{"dots in disguise", "", `/a\.%2E\g/%2e/collect`, "site.test/g/collect?"},
		{"escaped letters", "", "/%67/collect", "site.test/g/collect?"},
		{"escaped slashes stay", "", "/g%2fcollect", "site.test/g%2fcollect?"},
		{"dots at the end", "", "/a/b/..", "site.test/a/?"},
		{"empty segments count", "", "/a//../b", "site.test/a/b?"},
		{"three dots are a name", "", "/a/.../b", "site.test/a/.../b?"},
		{"a tab in the query", "", "/x?i\td=\n1", "site.test/x?id=1"},
		{"a query alone", "", "?x", "site.test/shop/cart?x"},
		{"a fragment alone", "", "#x", "site.test/shop/cart?step=2"},
		{"nothing", "", "", "site.test/shop/cart?step=2"},
		{"the page's scheme without slashes", "", "http:x", "site.test/shop/x?"},
		{"a third party's base", "https://tracker.test/js/a?b", "x", "tracker.test/js/x?"},
		{"its query", "https://tracker.test/js/a?b#c", "#d", "tracker.test/js/a?b"},
		{"its root", "https://tracker.test/js/a", "/x", "tracker.test/x?"},
		{"its scheme without slashes", "https://tracker.test/js/a", "https:x", "tracker.test/js/x?"},
		{"the other scheme without slashes", "https://tracker.test/", "http:x", "x/?"},
		{"another host", "https://tracker.test/", "//cdn.test/x", "cdn.test/x?"},
		{"a base without a path", "//tracker.test", "x", "tracker.test/x?"},
		{"a base of bytes with backslashes", `\\tracker.test\a\b`, "x", "tracker.test/a/x?"},
		{"a base that is a path", "/other/", "x", "site.test/other/x?"},
		{"a base with controls around", " \tHTTPS://tracker.test/ \n", "https:x", "tracker.test/x?"},
		{"data: is no base", "data:text/plain,x", "x", "site.test/shop/x?"},
		{"javascript: neither", "javascript:1", "x", "site.test/shop/x?"},
		{"nor what cannot be parsed", "http://[", "x", "site.test/shop/x?"},
		{"about:blank", "about:blank", "x", ""},
		{"about:blank, another host", "about:blank", "//tracker.test/", ""},
		{"about:blank, a scheme without slashes", "about:blank", "http:tracker.test", "tracker.test/?"},
		{"mailto:", "mailto:x", "/x", ""},
		{"blob:", "blob:http://tracker.test/x", "x", ""},
		{"file:", "file:///a", "//tracker.test/", ""},
		{"ftp:", "ftp://tracker.test/", "x", "socket tracker.test"},
		{"ws:", "ws://tracker.test/", "//cdn.test/", "socket cdn.test"},
		{"an unknown scheme with a host", "foo://tracker.test/", "x", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := page
			if tt.base != "" {
				p = page.WithBase(tt.base)
			}
			host, path, query := reaches(p, tt.ref)
			got := host
			if path != "" {
				got += path + "?" + query
			}
			if got != tt.want {
				t.Errorf("%q against %q is %q, want %q", tt.ref, tt.base, got, tt.want)
			}
		})
	}
	if page.WithBase("/shop/cart?step=2") != page || page.At("/shop/cart?step=2") != page {
		t.Error("a base that changes nothing makes a new page")
	}
	for range 2 { // the same for a page that is equal to one that was asked before
		if p := NewPage("https", "www.shop.example"); p.WithBase("/") != p {
			t.Error("a base that changes nothing makes a new page of an equal one")
		}
	}
}

// In a data: URL a scheme is followed by a host; what else is relative is read against the page's base.
func TestReferencesWithoutABase(t *testing.T) {
	for _, base := range []string{"", "/a/", "about:blank"} {
		p := NewPage("http", "site.test").WithBase(base).WithoutBase()
		for ref, want := range map[string]string{"http:tracker.test/x": "tracker.test", "https:/tracker.test/": "tracker.test", "//tracker.test/x": "tracker.test", "http://tracker.test/": "tracker.test"} {
			if host, _, _ := reaches(p, ref); host != want {
				t.Errorf("%q behind the base %q reaches %q, want %q", ref, base, host, want)
			}
		}
		if p.WithoutBase() != p {
			t.Errorf("base %q: the same page without a base is made again", base)
		}
	}
	if host, path, _ := reaches(NewPage("http", "site.test").WithoutBase().WithBase("http://site.test/b/"), "http:x"); host != "site.test" || path != "/b/x" {
		t.Errorf("a base in it does not count: %s%s", host, path)
	}
}

func TestTheEncodingOfThePageDecidesOnBytesInAHost(t *testing.T) {
	page := NewPage("https", "site.test")
	for _, tt := range []struct{ name, charset, ref, want string }{
		{"latin-1 in a page in UTF-8", "utf-8", "https://b\xfccher.test/", ""},
		{"latin-1", "iso-8859-1", "https://b\xfccher.test/", "xn--bcher-kva.test"},
		{"UTF-8 in a page in latin-1 is another host", "windows-1252", "https://bücher.test/", "xn--b14cher-xwa2143e.test"},
		{"full-width in Shift_JIS", "shift_jis", "https://\x82\x94racker\x81Dtest/", "tracker.test"},
		{"full-width in GBK", "gbk", "https://\xa3\xf4racker.test/", "tracker.test"},
		{"a trail byte is no backslash", "gbk", "https:/\x81\\tracker.test/", "site.test"},
		{"a trail byte is no @", "gbk", "https://site.test\x81@tracker.test/", "site.xn--testtracker-dn8q.test"},
		{"bytes in UTF-8 userinfo", "utf-8", "https://\xff@tracker.test/", "tracker.test"},
		{"an unknown label", "no-such", "https://b\xfccher.test/", "?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _ := reaches(page.WithCharset(tt.charset), tt.ref)
			if got != tt.want {
				t.Errorf("%q reaches %q, want %q", tt.ref, got, tt.want)
			}
		})
	}
}
