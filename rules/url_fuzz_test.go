package rules

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

// FuzzParseURL holds parseURL against net/url, netip and x/net/idna where they agree with the URL
// Standard, and against what must hold for any input.
func FuzzParseURL(f *testing.F) {
	for _, b := range benchmarkURLs {
		f.Add(b.url)
	}
	page := NewPage("https", "site.test").At("/a/b")
	f.Fuzz(func(t *testing.T, s string) {
		host, path, _ := reaches(page, s)
		if strings.ContainsAny(host, "/\\#@<>^|\x00\t\n\r") {
			t.Fatalf("%q reaches %q", s, host)
		}
		if path != "" && (path[0] != '/' || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")) {
			t.Fatalf("%q: path %q", s, path)
		}
		// Controls around it and breaks inside it change nothing.
		if other, _, _ := reaches(page, "\x1f "+s+"\x00\n"); other != host {
			t.Fatalf("%q reaches %q, and %q between controls", s, host, other)
		}
		if len(s) > 1 && isASCII(s) {
			if other, _, _ := reaches(page, s[:len(s)/2]+"\t"+s[len(s)/2:]); other != host {
				t.Fatalf("%q reaches %q, and %q with a tab inside", s, host, other)
			}
		}
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.ContainsAny(s, "\\%") || !isASCII(s) {
			return
		}
		want := u.Hostname()
		if want == "" || strings.TrimLeft(want, ".") == "" || !strings.HasPrefix(u.Host, "[") && strings.ContainsAny(want, "<>[]^|") {
			return
		}
		if strings.HasPrefix(u.Host, "[") {
			if a, err := netip.ParseAddr(want); err == nil && a.Zone() == "" && a.Is6() && isPort(u.Port()) {
				if got, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil || got != a.Unmap() {
					t.Fatalf("%q reaches %q, want %v", s, host, a)
				}
			}
			return
		}
		if strings.Contains(strings.ToLower(want), "xn--") {
			return // Chromium takes what is no Punycode as it stands
		}
		ascii, err := idna.New(idna.StrictDomainName(true)).ToASCII(strings.ToLower(want))
		if err != nil || !isPort(u.Port()) {
			return
		}
		last := strings.TrimRight(ascii, ".")
		if last = last[strings.LastIndexByte(last, '.')+1:]; last == "" || last[0] >= '0' && last[0] <= '9' {
			// An address by notations that net/url knows nothing of; the plain one it must be.
			if a, err := netip.ParseAddr(want); err == nil && host != a.String() {
				t.Fatalf("%q reaches %q, want %v", s, host, a)
			}
			return
		}
		if want := strings.TrimRight(ascii, "."); host != want {
			t.Fatalf("%q reaches %q, want %q", s, host, want)
		}
	})
}
