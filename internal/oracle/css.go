package oracle

import (
	"strconv"
	"strings"
)

// references returns the URLs that a style sheet, or a list of declarations, names in a place from
// which browsers fetch (CSS Syntax Level 3; url(), src(), image(), image-set() and @import).
func references(css string) (urls, imports []string) {
	s := &cssScanner{in: cssBreaks.Replace(css)}
	fetching := 0       // depth of functions in which a string is a URL
	var open []bool     // for each open parenthesis: does it fetch
	importing := false  // an @import whose URL has not been seen
	namespaces := false // behind @namespace, whose URL is a mere name
	take := func(u string) {
		switch {
		case namespaces:
		case importing:
			imports, importing = append(imports, u), false
		default:
			urls = append(urls, u)
		}
	}
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case strings.HasPrefix(s.in[s.at:], "/*"):
			n := strings.Index(s.in[s.at+2:], "*/")
			if n < 0 {
				return urls, imports
			}
			s.at += n + 4
		case c == '"' || c == '\'':
			v, ok := s.str()
			if ok && (fetching > 0 || importing) {
				take(v)
			}
			importing = false
		case c == '@':
			s.at++
			name := strings.ToLower(s.name())
			importing, namespaces = name == "import", name == "namespace"
		case c == '#': // the name behind it is that of no function
			s.at++
			s.name()
			importing = false
		case c == ';' || c == '{' || c == '}':
			s.at++
			importing, namespaces = false, false
		case c == '(':
			s.at++
			open, importing = append(open, false), false
		case c == ')':
			s.at++
			if n := len(open); n > 0 {
				if open[n-1] {
					fetching--
				}
				open = open[:n-1]
			}
		case nameByte(c) || c == '\\':
			name := strings.ToLower(s.name())
			if s.at >= len(s.in) || s.in[s.at] != '(' {
				if name == "" {
					s.at++
				}
				importing = false // what it names has to come first
				continue
			}
			s.at++
			if name == "url" {
				v, ok := s.url()
				if !ok { // the string behind it, and no other
					if v, ok = s.str(); ok {
						take(v)
					}
					open, importing = append(open, false), false
					continue
				}
				take(v)
				continue
			}
			is := false
			importing = importing && name == "src"
			switch strings.TrimPrefix(name, "-webkit-") {
			case "src", "image", "image-set", "cross-fade":
				is = true
				fetching++
			}
			open = append(open, is)
		default:
			s.at++
			importing = importing && strings.IndexByte(" \t\n\f\r", c) >= 0
		}
	}
	return urls, imports
}

// cssBreaks makes every line break the same (CSS Syntax Level 3, 3.3).
var cssBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\f", "\n")

type cssScanner struct {
	in string
	at int
}

func nameByte(c byte) bool {
	return c == '-' || c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func (s *cssScanner) name() string {
	var b strings.Builder
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case nameByte(c):
			b.WriteByte(c)
			s.at++
		case c == '\\' && s.at+1 < len(s.in) && s.in[s.at+1] != '\n':
			b.WriteRune(s.escape())
		default:
			return b.String()
		}
	}
	return b.String()
}

// escape reads a backslash and what it escapes.
func (s *cssScanner) escape() rune {
	s.at++
	n := 0
	for n < 6 && s.at+n < len(s.in) && strings.IndexByte("0123456789abcdefABCDEF", s.in[s.at+n]) >= 0 {
		n++
	}
	if n > 0 {
		v, _ := strconv.ParseUint(s.in[s.at:s.at+n], 16, 32)
		if s.at += n; s.at < len(s.in) && strings.IndexByte(" \t\n\f\r", s.in[s.at]) >= 0 {
			s.at++
		}
		return rune(v)
	}
	for i, r := range s.in[s.at:] {
		if i == 0 {
			s.at += len(string(r))
			return r
		}
	}
	return 0xfffd
}

// str reads a string; a line's end makes it a bad one.
func (s *cssScanner) str() (string, bool) {
	quote := s.in[s.at]
	s.at++
	var b strings.Builder
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case c == quote:
			s.at++
			return b.String(), true
		case c == '\n':
			return "", false
		case c == '\\' && s.at+1 < len(s.in) && s.in[s.at+1] == '\n':
			s.at += 2
		case c == '\\' && s.at+1 < len(s.in):
			b.WriteRune(s.escape())
		default:
			b.WriteByte(c)
			s.at++
		}
	}
	return b.String(), true
}

// url reads an unquoted URL behind "url("; false where a quoted one stands there.
func (s *cssScanner) url() (string, bool) {
	i := s.at
	for i < len(s.in) && strings.IndexByte(" \t\n\f\r", s.in[i]) >= 0 {
		i++
	}
	s.at = i
	if i < len(s.in) && (s.in[i] == '"' || s.in[i] == '\'') {
		return "", false
	}
	var b strings.Builder
	bad := false
	for s.at < len(s.in) && s.in[s.at] != ')' {
		switch c := s.in[s.at]; {
		case c == '\\' && s.at+1 < len(s.in) && s.in[s.at+1] != '\n':
			b.WriteRune(s.escape())
			continue
		case c == '"' || c == '\'' || c == '(' || c == '\\' || 0 < c && c <= 8 || c == 0x0b || 0x0e <= c && c < ' ' || c == 0x7f:
			bad = true
		}
		b.WriteByte(s.in[s.at])
		s.at++
	}
	s.at = min(len(s.in), s.at+1)
	v := strings.TrimRight(b.String(), " \t\n\f\r")
	if bad || strings.ContainsAny(v, " \t\n\f\r") {
		return "", true
	}
	return v, true
}
