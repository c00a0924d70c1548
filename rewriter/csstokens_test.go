package rewriter

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// cssSpec is CSS Syntax Level 3's tokenizer, written down step by step over code points, as far as
// it finds the URLs of a style sheet.
type cssSpec struct {
	firefox bool // a backslash behind the white space in an unquoted URL stands for itself
	in      []rune
	urls    []string
}

func (c *cssSpec) at(i int) rune {
	if i < len(c.in) {
		return c.in[i]
	}
	return -1
}

func specNewline(r rune) bool { return r == '\n' }
func specSpace(r rune) bool   { return r == '\n' || r == '\t' || r == ' ' }
func specDigit(r rune) bool   { return '0' <= r && r <= '9' }
func specStart(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' || r >= 0x80
}
func specName(r rune) bool { return specStart(r) || specDigit(r) || r == '-' }

func (c *cssSpec) escape(i int) bool { return c.at(i) == '\\' && !specNewline(c.at(i+1)) }

func (c *cssSpec) ident(i int) bool {
	switch {
	case c.at(i) == '-':
		return specStart(c.at(i+1)) || c.at(i+1) == '-' || c.escape(i+1)
	case specStart(c.at(i)):
		return true
	}
	return c.escape(i)
}

func (c *cssSpec) number(i int) bool {
	if c.at(i) == '+' || c.at(i) == '-' {
		i++
	}
	return specDigit(c.at(i)) || c.at(i) == '.' && specDigit(c.at(i+1))
}

// escaped reads the escape behind the backslash at i-1.
func (c *cssSpec) escaped(i int) (rune, int) {
	hex := "0123456789abcdefABCDEF"
	n := 0
	x := rune(0)
	for n < 6 && i+n < len(c.in) && strings.ContainsRune(hex, c.in[i+n]) {
		d := c.in[i+n]
		if d > '9' {
			d = d&^0x20 - 'A' + 10 + '0'
		}
		x = x*16 + d - '0'
		n++
	}
	switch {
	case n > 0:
		if i += n; specSpace(c.at(i)) {
			i++
		}
		if x == 0 || x > 0x10ffff || 0xd800 <= x && x <= 0xdfff {
			x = 0xfffd
		}
		return x, i
	case i >= len(c.in):
		return 0xfffd, i
	}
	return c.in[i], i + 1
}

func (c *cssSpec) name(i int) (string, int) {
	var b strings.Builder
	for {
		switch {
		case specName(c.at(i)):
			b.WriteRune(c.in[i])
			i++
		case c.escape(i) && i < len(c.in):
			r, n := c.escaped(i + 1)
			b.WriteRune(r)
			i = n
		default:
			return b.String(), i
		}
	}
}

func (c *cssSpec) string(i int) (s string, end int, ok bool) {
	q := c.in[i]
	var b strings.Builder
	for i++; i < len(c.in); {
		switch {
		case c.in[i] == q:
			return b.String(), i + 1, true
		case specNewline(c.in[i]):
			return "", i, false
		case c.in[i] == '\\' && i+1 == len(c.in):
			i++
		case c.in[i] == '\\' && specNewline(c.in[i+1]):
			i += 2
		case c.in[i] == '\\':
			r, n := c.escaped(i + 1)
			b.WriteRune(r)
			i = n
		default:
			b.WriteRune(c.in[i])
			i++
		}
	}
	return b.String(), i, true
}

func (c *cssSpec) url(i int) (s string, end int, ok bool) {
	var b strings.Builder
	for specSpace(c.at(i)) {
		i++
	}
	bad, seen, from := false, false, i
	for i < len(c.in) {
		r := c.in[i]
		switch {
		case r == ')':
			return b.String(), i + 1, !bad
		case c.escape(i):
			e, n := c.escaped(i + 1)
			b.WriteRune(e)
			i = n
		case specSpace(r):
			for specSpace(c.at(i)) {
				i++
			}
			bad = bad || i < len(c.in) && c.in[i] != ')'
			if c.firefox && i > from && c.at(i) == '\\' && !seen {
				i++
			}
			seen = true
		default:
			bad = bad || r == '"' || r == '\'' || r == '(' || r == '\\' || r <= 8 || r == 0xb || 0xe <= r && r <= 0x1f || r == 0x7f
			b.WriteRune(r)
			i++
		}
	}
	return b.String(), i, !bad
}

// read collects the URLs of url() anywhere, and of the string behind @import.
func (c *cssSpec) read(css string) {
	c.in = []rune(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\f", "\n", "\x00", "\ufffd").Replace(strings.ToValidUTF8(css, "\ufffd")))
	imported, namespace := false, 0 // how many of a prefix and a URL may still come
	for i := 0; i < len(c.in); {
		r := c.in[i]
		was, named := imported, namespace
		imported, namespace = false, 0
		switch {
		case r == '/' && c.at(i+1) == '*':
			imported, namespace = was, named
			for i += 2; i < len(c.in) && !(c.in[i] == '*' && c.at(i+1) == '/'); i++ {
			}
			i += 2
		case specSpace(r):
			imported, namespace = was, named
			i++
		case r == '"' || r == '\'':
			s, end, ok := c.string(i)
			if i = end; was && ok {
				c.urls = append(c.urls, s)
			}
		case r == '#' && (specName(c.at(i+1)) || c.escape(i+1)):
			_, i = c.name(i + 1)
		case c.number(i):
			for i++; specDigit(c.at(i)); i++ {
			}
			if c.at(i) == '.' && specDigit(c.at(i+1)) {
				for i++; specDigit(c.at(i)); i++ {
				}
			}
			if c.at(i) == 'e' || c.at(i) == 'E' {
				if j := i + 1; specDigit(c.at(j)) || (c.at(j) == '+' || c.at(j) == '-') && specDigit(c.at(j+1)) {
					for i = j + 1; specDigit(c.at(i)); i++ {
					}
				}
			}
			if c.ident(i) {
				_, i = c.name(i)
			}
		case r == '-' && c.at(i+1) == '-' && c.at(i+2) == '>':
			i += 3
		case r == '<' && c.at(i+1) == '!' && c.at(i+2) == '-' && c.at(i+3) == '-':
			i += 4
		case r == '@' && c.ident(i+1):
			var name string
			name, i = c.name(i + 1)
			imported = strings.EqualFold(name, "import")
			if strings.EqualFold(name, "namespace") {
				namespace = 2
			}
		case c.ident(i):
			var name string
			if name, i = c.name(i); c.at(i) != '(' {
				namespace = max(0, named-1)
				break
			}
			i++
			if strings.EqualFold(name, "url") || strings.EqualFold(name, "src") {
				j := i
				for specSpace(c.at(j)) {
					j++
				}
				switch {
				case c.at(j) == '"' || c.at(j) == '\'':
					s, end, ok := c.string(j)
					if i = end; ok && named == 0 {
						c.urls = append(c.urls, s)
					}
				case strings.EqualFold(name, "url"):
					s, end, ok := c.url(i)
					if i = end; ok && named == 0 {
						c.urls = append(c.urls, s)
					}
				}
			}
		default:
			i++
		}
	}
}

// specURLs returns the URLs that the standard finds in a style sheet, and those that Firefox does.
func specURLs(css string) []string {
	standard, firefox := cssSpec{}, cssSpec{firefox: true}
	standard.read(css)
	firefox.read(css)
	return append(standard.urls, firefox.urls...)
}

// FuzzCSSTokens checks with the standard's tokenizer that no URL of a blocked host is left.
func FuzzCSSTokens(f *testing.F) {
	for _, tt := range cssTests {
		in, _ := cssExpand(tt.css)
		f.Add(in)
	}
	f.Add("a{b:-->url(//tracker.test/);c:1e+url(//tracker.test/);d:\\9url(//tracker.test/)}")
	o := cssOptions(f)
	f.Fuzz(func(t *testing.T, css string) {
		if strings.Contains(css, "</") {
			return
		}
		out := strings.TrimPrefix(rewrite(t, o, "<style>"+css), "<style>")
		for _, u := range specURLs(out) {
			if strings.HasPrefix(strings.TrimPrefix(strings.Trim(u, "\x00\x01\x02\x03 \t\n"), "http:"), "//tracker.test/") {
				t.Fatalf("%q: left in %q", u, out)
			}
		}
	})
}

func TestStyleSheetsAsTheStandardReadsThem(t *testing.T) {
	o := cssOptions(t)
	for _, tt := range cssTests {
		in, _ := cssExpand(tt.css)
		var before, after cssSpec
		before.read(in)
		after.read(strings.TrimSuffix(strings.TrimPrefix(rewrite(t, o, "<style>"+in+"</style>"), "<style>"), "</style>"))
		if len(before.urls) != len(after.urls) && !strings.Contains(tt.css, "¬") {
			t.Fatalf("%s: %q became %q", tt.name, before.urls, after.urls)
		}
		for i, u := range before.urls[:min(len(before.urls), len(after.urls))] {
			if strings.HasPrefix(u, "http://tracker.test/") && after.urls[i] == u {
				t.Errorf("%s: left: %q", tt.name, u)
			}
		}
	}
}

// cssPieces are put together to style sheets at random.
var cssPieces = []string{"url(", "URL(", "u\\72l(", "\\75 rl(", "src(", "//tracker.test/", "//tracker.test/", "\"//tracker.test/\"", "'//tracker.test/'", "\"", "'", "(", ")", ")",
	" ", "\n", "\\", "\\\n", "\r\n", "/*", "*/", "/", "*", "@import ", "@import", "@\\69mport ", "@namespace ", "@font-face{", ";", "{", "}", "a", "#", "-", "--", "<!--", "-->",
	"<!", "1", ".", "+", "e", "é", "\x00", "\x01", "image-set(", "a:", "--x:", ",", "!", "data:,", "if(", "\\9", "0", "f"}

func TestRandomStyleSheets(t *testing.T) {
	o := cssOptions(t)
	rnd := rand.New(rand.NewPCG(7, 8))
	edited := 0
	for range 20000 {
		var b strings.Builder
		for range 1 + rnd.IntN(14) {
			b.WriteString(cssPieces[rnd.IntN(len(cssPieces))])
		}
		css := "<style>" + b.String()
		out := rewrite(t, o, css)
		if got := rewrite(t, o, strings.Split(css, "")...); got != out {
			t.Fatalf("byte by byte:\ngot  %q\nwant %q", got, out)
		}
		if got := rewrite(t, o, randomChunks(rnd, css)...); got != out {
			t.Fatalf("in chunks:\ngot  %q\nwant %q", got, out)
		}
		var before cssSpec
		before.read(b.String())
		for _, u := range specURLs(strings.TrimPrefix(out, "<style>")) {
			if strings.HasPrefix(strings.TrimLeft(u, "\x01 \n"), "//tracker.test/") {
				t.Fatalf("%q: left in %q", u, out)
			}
		}
		if out != css {
			edited++
			// What is changed names the host as a URL, or could carry it to where it is one.
			extra := strings.Contains(css, "import") || strings.Contains(css, "image-set(") || strings.Contains(css, "--") || strings.Contains(css, "if(") || strings.Contains(css, "\\")
			if !extra && !strings.Contains(strings.Join(before.urls, " "), "//") {
				t.Fatalf("changed without a reason: %q", out)
			}
		}
	}
	if edited < 1000 {
		t.Errorf("only %d changed", edited)
	}
}
