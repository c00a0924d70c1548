package rules

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-consent/caddy-consent/internal/memo"
)

// urlClass says what a reference names.
type urlClass uint8

const (
	urlNetwork   urlClass = iota // a host that is asked over http or https
	urlRelative                  // on the base's host
	urlSocket                    // ws, wss, ftp: sockets and connection hints alone contact the host
	urlOther                     // data:, blob:, javascript: and other schemes without a host to contact
	urlInvalid                   // browsers fail to parse it and fetch nothing
	urlAmbiguous                 // it cannot be told how a browser reads its host
)

// reference is a URL as far as a decision needs it.
type reference struct {
	class  urlClass
	scheme string // of the URL; "" is the base's
	host   string // lower case, ASCII, without port and trailing dot
	tail   string // path, query and fragment as they stand; location reads them
	unsure bool   // the host is another one in encodings that the page may have
}

// Byte classes of the fast path: what the host of an ordinary URL consists of.
var plainHost = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.'
	}
	return t
}()

// plainFirst are the bytes that begin a relative path for certain, or follow the slash of an
// absolute one.
var plainFirst = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '%' || c == '?' || c == '@'
	}
	return t
}()

// parseURL reads ref as a browser does against the page's base (URL Standard, 4.4). Ordinary URLs
// are cut apart without allocating.
func parseURL(ref string, p *Page, r *reference) {
	if p.legacy != nil && !isASCII(ref) {
		ref = made.Of(p.charset, ref, p.legacy)
	}
	rest, scheme := ref, ""
	switch {
	case len(rest) > 8 && rest[:8] == "https://":
		rest, scheme = rest[8:], "https"
	case len(rest) > 7 && rest[:7] == "http://":
		rest, scheme = rest[7:], "http"
	case len(rest) > 2 && rest[0] == '/' && rest[1] == '/' && p.baseClass == urlNetwork:
		rest = rest[2:]
	case len(rest) > 1 && rest[0] == '/' && plainFirst[rest[1]] && rest[len(rest)-1] > ' ':
		r.class, r.tail = urlRelative, rest
		return
	default:
		*r = parseSlow(ref, p)
		return
	}
	if n := len(p.plainHost); n > 0 && len(rest) > n && rest[n] == '/' && rest[:n] == p.plainHost && rest[len(rest)-1] > ' ' {
		r.scheme, r.host, r.tail = scheme, p.plainHost, rest[n:]
		return
	}
	n := 0
	for n < len(rest) && plainHost[rest[n]] {
		n++
	}
	host := rest[:n]
	if n == 0 || host[n-1] < 'a' || host[strings.LastIndexByte(host, '.')+1] < 'a' {
		*r = parseSlow(ref, p) // empty, dotted or perhaps numeric
		return
	}
	if n < len(rest) {
		if rest[n] == ':' {
			from := n + 1
			for n++; n < len(rest) && '0' <= rest[n] && rest[n] <= '9'; n++ {
			}
			if n-from > 4 {
				*r = parseSlow(ref, p) // perhaps no port
				return
			}
		}
		if n < len(rest) && rest[n] != '/' && rest[n] != '?' && rest[n] != '#' || rest[len(rest)-1] <= ' ' {
			*r = parseSlow(ref, p)
			return
		}
	}
	r.scheme, r.host, r.tail = scheme, host, rest[n:]
}

// parseSlow is parseURL in full.
func parseSlow(ref string, p *Page) reference {
	s := strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	s = dropBreaks(s)
	scheme, rest := cutScheme(s)
	class := p.baseClass
	if scheme != "" {
		class = schemeClass(scheme)
	}
	slashes := 0
	for slashes < len(rest) && (rest[slashes] == '/' || rest[slashes] == '\\') {
		slashes++
	}
	switch {
	case class == urlOther:
		return reference{class: urlOther, scheme: scheme}
	case (scheme == "" || scheme == p.baseScheme) && slashes < 2:
		return reference{class: urlRelative, tail: rest}
	}
	rest = rest[slashes:]
	end := strings.IndexAny(rest, `/\?#`)
	if end < 0 {
		end = len(rest)
	}
	r := reference{class: class, scheme: scheme, tail: rest[end:]}
	authority := rest[:end]
	if strings.Contains(authority, "\uFFFD") {
		r.class = urlAmbiguous // perhaps a NUL in a style sheet, which Chromium drops
		return r
	}
	r.unsure = p.charset == "" && !isASCII(authority)
	if !utf8.ValidString(authority) {
		if r.unsure {
			r.class = urlAmbiguous // bytes of the page's encoding, which may hide an @ or a colon
			return r
		}
		authority = strings.ToValidUTF8(authority, "\uFFFD")
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	host := authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && i > strings.LastIndexByte(authority, ']') {
		if !isPort(authority[i+1:]) {
			r.class = urlInvalid
			return r
		}
		host = authority[:i]
	}
	h, hostClass := parseHost(host)
	r.host = h
	if hostClass != urlNetwork {
		r.class = hostClass
	}
	return r
}

// made has what strings in URLs were made to.
var made memo.Strings

// schemeClass says what URLs of a scheme in lower case reach.
func schemeClass(scheme string) urlClass {
	switch scheme {
	case "http", "https":
		return urlNetwork
	case "ws", "wss", "ftp":
		return urlSocket
	}
	return urlOther
}

func isPort(s string) bool {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		if n = n*10 + int(s[i]-'0'); n > 65535 {
			return false
		}
	}
	return true
}

// dropBreaks removes tabs and newlines, as the parser does everywhere in a URL.
func dropBreaks(s string) string {
	if strings.IndexByte(s, '\t') < 0 && strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return made.Of("breaks", s, withoutBreaks)
}

var breaks = strings.NewReplacer("\t", "", "\n", "", "\r", "")

func withoutBreaks(s string) string { return breaks.Replace(s) }

// cutScheme takes a scheme off s, lower case, or returns "".
func cutScheme(s string) (scheme, rest string) {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		switch {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= s[i] && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.'):
		case i > 0 && s[i] == ':':
			return strings.ToLower(s[:i]), s[i+1:]
		default:
			return "", s
		}
	}
	return "", s
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// NormalizeHost returns a host as decisions compare it: ASCII, lower case, without port and
// trailing dot. The error of one that is no host says so.
func NormalizeHost(s string) (string, error) {
	ref := parseSlow("//"+s, &noPage)
	if ref.class != urlNetwork || ref.tail != "" || strings.ContainsAny(ref.host, "*{}$!'()+,;=&`~\"%") {
		return "", &hostError{s}
	}
	return ref.host, nil
}

// noPage is the base of a URL that stands in no page.
var noPage = Page{scheme: "https", baseScheme: "https"}

type hostError struct{ host string }

func (e *hostError) Error() string {
	return strconv.Quote(e.host) + " is not a host name; write it without scheme and path, such as cdn.example.com"
}
