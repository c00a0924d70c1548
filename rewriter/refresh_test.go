package rewriter

import (
	"strings"
	"testing"
)

func TestRefreshURL(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"0;url=/a", "/a"},
		{"0", ""},
		{"5; ", ""},
		{" \n0 , URL = /a ", "/a "},
		{"0 /a", "/a"},
		{"0,/a", "/a"},
		{"0url=/a", ""},
		{"0:url=/a", ""},
		{"+0;url=/a", ""},
		{"-1;url=/a", ""},
		{";url=/a", ""},
		{"url=/a", ""},
		{".5;url=/a", "/a"},
		{"0.5.5;url=/a", "/a"},
		{"99999999999999999999;url=/a", "/a"},
		{"0;;/a", ";/a"},
		{"0;url='/a'b", "/a"},
		{"0;url=\"/a", "/a"},
		{"0;'/a'", "/a"},
		{"0;url /a", "url /a"},
		{"0;ur=/a", "ur=/a"},
		{"0;u", "u"},
		{"0;url=", ""},
		{"0;url=url=/a", "url=/a"},
		{"0\v;url=/a", ""},
	} {
		if got := string(RefreshURL([]byte(tt.in))); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestLooseRefreshURL(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"0;url=/a", "/a"},
		{" \n0 , URL = /a ", "/a"},
		{"0", ""},
		{"5; ", ""},
		{"0url=/a", ""},
		{";url=/a", ""},
		{"url=/a", ""},
		{"0\v;url=/a", "/a"},
		{"\u20030.5\u3000;url=\u2003/a\u2003", "/a"},
		{"0\u2003\f/a", "/a"},
		{"0;\u2003url=/a", "url=/a"},
		{"0;url='/a'b'", "/a'b"},
		{"0;url='/a\"b", "/a\"b"},
		{"0;url='", ""},
		{"0;url=''/a", "'/a"},
		{"0;url='\u2003/a\u2003'", "/a"},
		{"\x81@0;url=\x81@//a.test\x81@", "//a.test"},
		{"0;url=\x81\x36\xa6\x31//a.test\x81\x36\xa6\x31", "//a.test"},
	} {
		if got := string(LooseRefreshURL([]byte(tt.in))); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// refresh is the standard's algorithm, step by step (HTML Standard, 4.2.5.3, "shared declarative
// refresh steps").
func refresh(input string) string {
	const space = "\t\n\f\r "
	rest := strings.TrimLeft(input, space)
	time := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if time == 0 && !strings.HasPrefix(rest, ".") {
		return ""
	}
	rest = strings.TrimLeft(rest[time:], "0123456789.")
	if rest != "" && !strings.ContainsRune(";,"+space, rune(rest[0])) {
		return ""
	}
	rest = strings.TrimLeft(rest, space)
	if rest != "" && (rest[0] == ';' || rest[0] == ',') {
		rest = rest[1:]
	}
	rest = strings.TrimLeft(rest, space)
	url := rest
	if rest != "" && (rest[0] == 'u' || rest[0] == 'U') {
		for _, c := range "url" {
			if rest == "" || rune(rest[0]|0x20) != c {
				return url
			}
			rest = rest[1:]
		}
		if rest = strings.TrimLeft(rest, space); rest == "" || rest[0] != '=' {
			return url
		}
		rest = strings.TrimLeft(rest[1:], space)
	}
	url = rest
	if url != "" && (url[0] == '"' || url[0] == '\'') {
		url, _, _ = strings.Cut(url[1:], url[:1])
	}
	return url
}

// FuzzRefresh compares with the standard's algorithm written down step by step.
func FuzzRefresh(f *testing.F) {
	f.Add("0; url='http://tracker.test/'x")
	f.Add(" .5 , URL = \"/a")
	f.Add("3u")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(RefreshURL([]byte(s))), refresh(s); got != want {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
	})
}
