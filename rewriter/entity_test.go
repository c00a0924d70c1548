package rewriter

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestCharacterReferencesInAttributes(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a&amp;b", "a&b"},
		{"?a=1&copy=2&copy2&copy&copy;", "?a=1&copy=2&copy2©©"},
		{"&copy", "©"},
		{"&copy/", "©/"},
		{"&notin;&notit;&not;it&notin", "∉&notit;¬it&notin"},
		{"http&colon;&sol;&bsol;&Tab;&NewLine;&period;", "http:/\\\t\n."},
		{"&semi;&semi&ampx;&amp", ";&semi&ampx;&"},
		{"&AMP;&AMP&LT;&Amp;", "&&<&Amp;"},
		{"&#104;&#104&#x68;&#X68x&#x068", "hhhhxh"},
		{"&#;&#x;&#xg;&#", "&#;&#x;&#xg;&#"},
		{"&#0;&#xD800;&#x110000;&#99999999999999999999;", "\ufffd\ufffd\ufffd\ufffd"},
		{"&#128;&#150;&#x9f;&#129;&#13;&#xFFFF;", "€–Ÿ\u0081\r\uffff"},
		{"&CounterClockwiseContourIntegral;&NotEqualTilde;", "∳≂̸"},
		{"&" + strings.Repeat("a", 50) + ";&lt;", "&" + strings.Repeat("a", 50) + ";<"},
		{"a\x00b&\x00", "a\ufffdb&\ufffd"},
		{"&;&&amp;& ", "&;&&& "},
	} {
		if got := string(decodeAttr(nil, []byte(tt.in))); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// Every name that needs no semicolon stands for what the library says.
func TestLegacyNames(t *testing.T) {
	if len(legacyNames) != 106 {
		t.Errorf("%d names, the Standard has 106", len(legacyNames))
	}
	for name, x := range legacyNames {
		if n := len(name); n < 2 || n > 6 || html.UnescapeString("&"+name) != string(x) || html.UnescapeString("&"+name+";") != string(x) {
			t.Errorf("%s: %q, with a semicolon %q; want %q", name, html.UnescapeString("&"+name), html.UnescapeString("&"+name+";"), x)
		}
	}
}

// FuzzEntity compares with x/net/html's tokenizer, and the decoder with the one that keeps offsets.
func FuzzEntity(f *testing.F) {
	for _, s := range []string{"?a=1&copy=2&copy;", "&#x41;&#0;&#150;", "&notit;&ampx=&semi;", "&amp&lt&gt;x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string(decodeAttr(nil, []byte(s)))
		with, offsets := decodeAttrOffsets(nil, nil, []byte(s))
		if string(with) != got || len(offsets) != len(with)+1 {
			t.Fatalf("two decoders differ: %q %q", got, with)
		}
		for i := 1; i < len(offsets); i++ {
			if offsets[i] < offsets[i-1] {
				t.Fatalf("offsets go back: %v", offsets)
			}
		}
		if strings.ContainsAny(s, "\"\r\x00") {
			return
		}
		z := html.NewTokenizer(strings.NewReader(`<a b="` + s + `">`))
		z.Next()
		z.TagName()
		if _, v, _ := z.TagAttr(); string(v) != got {
			t.Fatalf("%q: got %q, x/net/html reads %q", s, got, v)
		}
	})
}
