package rewriter

import (
	"slices"
	"strings"
	"testing"
)

// candidates is the standard's algorithm, step by step (HTML Standard, 4.8.4.2.2, "parse a srcset
// attribute"), up to the URLs: what the descriptors say does not matter.
func candidates(input string) (urls []string) {
	isSpace := func(c byte) bool { return strings.IndexByte(" \t\n\f\r", c) >= 0 }
	for pos := 0; ; {
		for pos < len(input) && (isSpace(input[pos]) || input[pos] == ',') {
			pos++
		}
		if pos == len(input) {
			return urls
		}
		start := pos
		for pos < len(input) && !isSpace(input[pos]) {
			pos++
		}
		url := input[start:pos]
		if url[len(url)-1] == ',' {
			for url[len(url)-1] == ',' {
				url = url[:len(url)-1]
			}
			urls = append(urls, url)
			continue
		}
		urls = append(urls, url)
		for pos < len(input) && isSpace(input[pos]) {
			pos++
		}
		state := "in descriptor"
	tokenizer:
		for ; pos < len(input); pos++ {
			c := input[pos]
			switch state {
			case "in descriptor":
				switch {
				case isSpace(c):
					state = "after descriptor"
				case c == ',':
					pos++
					break tokenizer
				case c == '(':
					state = "in parens"
				}
			case "in parens":
				if c == ')' {
					state = "in descriptor"
				}
			case "after descriptor":
				if !isSpace(c) {
					state = "in descriptor"
					pos--
				}
			}
		}
	}
}

func ownCandidates(input string) (urls []string) {
	for rest := []byte(input); len(rest) > 0; {
		var url []byte
		if url, rest = nextCandidate(rest); len(url) == 0 {
			break
		}
		urls = append(urls, string(url))
	}
	return urls
}

func TestSrcset(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"/a", "/a"},
		{" , ,/a 1x , ,/b\n2x,", "/a /b"},
		{"/a,, /b", "/a /b"},
		{"/a,/b 1x", "/a,/b"},
		{"/a (1x, /no 2x), /b 2x", "/a /b"},
		{"/a ((x), /b", "/a /b"},
		{"/a x(y)z(,) , /b", "/a /b"},
		{"/a (1x, /no", "/a"},
		{"data:image/gif;base64,AA== 1x, /b", "data:image/gif;base64,AA== /b"},
		{"/a\u00a01x, /b", "/a\u00a01x /b"},
		{",", ""},
	} {
		if got := strings.Join(ownCandidates(tt.in), " "); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzSrcset compares with the standard's algorithm written down step by step.
func FuzzSrcset(f *testing.F) {
	f.Add("/a 1x, /b (x,y) 2x")
	f.Add(",,/a,, /b\t3w 4h,/c((,),/d")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := ownCandidates(s), candidates(s); !slices.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
	})
}
