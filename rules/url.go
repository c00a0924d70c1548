package rules

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// urlClass says what a reference names.
type urlClass uint8

const (
	urlNetwork   urlClass = iota // host, path and query are set
	urlRelative                  // on the base's host
	urlOther                     // data:, blob:, javascript: and other schemes without a host to contact
	urlInvalid                   // browsers fail to parse it and fetch nothing
	urlAmbiguous                 // it cannot be told how a browser reads its host
)

// reference is a URL as far as a decision needs it.
type reference struct {
	class urlClass
	host  string // lower case, ASCII, without port and trailing dot
	path  string
	query string
}

// Byte classes of the fast path: what the host of an ordinary URL consists of.
var plainHost = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.'
	}
	return t
}()

// plainSecond are the bytes that, after a leading slash, make a reference a path for certain.
var plainSecond = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '%' || c == '?' || c == '@'
	}
	return t
}()

// parseURL reads ref as a browser does against a base with that scheme (URL Standard, 4.4).
// Ordinary URLs are cut apart without allocating.
func parseURL(ref, baseScheme string) reference {
	rest := ref
	switch {
	case len(rest) > 8 && rest[:8] == "https://":
		rest = rest[8:]
	case len(rest) > 7 && rest[:7] == "http://":
		rest = rest[7:]
	case len(rest) > 2 && rest[0] == '/' && rest[1] == '/':
		rest = rest[2:]
	case len(rest) > 1 && rest[0] == '/' && plainSecond[rest[1]]:
		path, query := cutPath(rest)
		return reference{class: urlRelative, path: path, query: query}
	default:
		return parseSlow(ref, baseScheme)
	}
	n := 0
	for n < len(rest) && plainHost[rest[n]] {
		n++
	}
	host := rest[:n]
	if n == 0 || host[n-1] < 'a' || host[strings.LastIndexByte(host, '.')+1] < 'a' {
		return parseSlow(ref, baseScheme) // empty, dotted or perhaps numeric
	}
	if n < len(rest) && rest[n] == ':' {
		for n++; n < len(rest) && '0' <= rest[n] && rest[n] <= '9'; n++ {
		}
	}
	if n < len(rest) && rest[n] != '/' && rest[n] != '?' && rest[n] != '#' {
		return parseSlow(ref, baseScheme)
	}
	path, query := cutPath(rest[n:])
	return reference{class: urlNetwork, host: host, path: path, query: query}
}

// cutPath takes path and query apart and drops the fragment.
func cutPath(s string) (path, query string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '#':
			return s[:i], ""
		case '?':
			query = s[i+1:]
			if j := strings.IndexByte(query, '#'); j >= 0 {
				query = query[:j]
			}
			return s[:i], query
		}
	}
	return s, ""
}

// parseSlow is parseURL in full.
func parseSlow(ref, baseScheme string) reference {
	s := strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	if strings.ContainsAny(s, "\t\n\r") {
		s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	}
	scheme, rest := cutScheme(s)
	slashes := 0
	for slashes < len(rest) && (rest[slashes] == '/' || rest[slashes] == '\\') {
		slashes++
	}
	switch scheme {
	case "http", "https", "ws", "wss", "ftp":
		if scheme == baseScheme && slashes < 2 {
			return relative(rest)
		}
	case "":
		if slashes < 2 {
			return relative(rest)
		}
	default:
		return reference{class: urlOther}
	}
	rest = rest[slashes:]
	end := strings.IndexAny(rest, `/\?#`)
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	path, query := cutPath(strings.ReplaceAll(rest[end:], `\`, "/"))
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	host := authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && i > strings.LastIndexByte(authority, ']') {
		port := authority[i+1:]
		if n, err := strconv.Atoi(port); port != "" && (err != nil || n > 65535 || port[0] == '+' || port[0] == '-') {
			return reference{class: urlInvalid}
		}
		host = authority[:i]
	}
	h, class := parseHost(host)
	return reference{class: class, host: h, path: path, query: query}
}

func relative(rest string) reference {
	path, query := cutPath(strings.ReplaceAll(rest, `\`, "/"))
	return reference{class: urlRelative, path: path, query: query}
}

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

// toASCII is the URL Standard's "domain to ASCII" with beStrict false (3.3).
var toASCII = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false),
	idna.CheckHyphens(false), idna.CheckJoiners(true), idna.BidiRule(), idna.VerifyDNSLength(false))

// parseHost is the URL Standard's host parser for special URLs (3.5).
func parseHost(s string) (string, urlClass) {
	if s == "" {
		return "", urlInvalid
	}
	if s[0] == '[' {
		a, err := netip.ParseAddr(strings.TrimSuffix(s[1:], "]"))
		if err != nil || !a.Is6() || a.Zone() != "" || s[len(s)-1] != ']' {
			return "", urlInvalid
		}
		return "[" + a.String() + "]", urlNetwork
	}
	s = percentDecode(s)
	if !utf8.ValidString(s) {
		return "", urlAmbiguous // bytes of the page's encoding
	}
	ascii := s
	if !isASCII(s) || strings.Contains(strings.ToLower(s), "xn--") {
		var err error
		if ascii, err = toASCII.ToASCII(s); err != nil {
			if ascii == "" || !isASCII(ascii) || isASCII(s) {
				return strings.ToLower(strings.TrimSuffix(s, ".")), urlAmbiguous
			}
		}
	}
	ascii = strings.ToLower(ascii)
	if ascii == "" || strings.ContainsAny(ascii, "\x00\t\n\r #/:<>?@[\\]^|%\x7f") || strings.IndexFunc(ascii, func(r rune) bool { return r <= ' ' }) >= 0 {
		return "", urlInvalid
	}
	if host, number, ok := parseIPv4(ascii); number {
		if !ok {
			return "", urlInvalid
		}
		return host, urlNetwork
	}
	host := strings.TrimSuffix(ascii, ".")
	if host == "" {
		return "", urlInvalid
	}
	return host, urlNetwork
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// parseIPv4 reads the notations of an IPv4 address; number says that the host's last label is
// one, so that it is an address or nothing (URL Standard, 3.5, "ends in a number checker").
func parseIPv4(s string) (host string, number, ok bool) {
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	last := parts[len(parts)-1]
	if !isNumber(last) {
		return "", false, false
	}
	if len(parts) > 4 {
		return "", true, false
	}
	var addr uint64
	for i, p := range parts {
		n, err := parseNumber(p)
		if err != nil {
			return "", true, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return "", true, false
			}
			addr |= n << (8 * (3 - i))
			continue
		}
		if n >= 1<<(8*(5-len(parts))) {
			return "", true, false
		}
		addr |= n
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}).String(), true, true
}

func isNumber(p string) bool {
	if p == "" {
		return false
	}
	if strings.Trim(p, "0123456789") == "" {
		return true
	}
	_, err := parseNumber(p)
	return err == nil
}

func parseNumber(p string) (uint64, error) {
	base := 10
	switch {
	case len(p) >= 2 && p[0] == '0' && p[1]|0x20 == 'x':
		if p, base = p[2:], 16; p == "" {
			return 0, nil
		}
	case len(p) >= 2 && p[0] == '0':
		p, base = p[1:], 8
	}
	if strings.ContainsAny(p, "_+-") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(p, base, 64)
}

// NormalizeHost returns a host as decisions compare it: ASCII, lower case, without port and
// trailing dot. The error of one that is no host says so.
func NormalizeHost(s string) (string, error) {
	ref := parseSlow("//"+s, "https")
	if ref.class != urlNetwork || ref.path != "" || ref.query != "" || strings.ContainsAny(ref.host, "*{}$!'()+,;=&`~\"") {
		return "", &hostError{s}
	}
	return ref.host, nil
}

type hostError struct{ host string }

func (e *hostError) Error() string {
	return strconv.Quote(e.host) + " is not a host name; write it without scheme and path, such as cdn.example.com"
}

// cleanPath resolves what a path rule must see through: dot segments, tabs and newlines, and
// backslashes. It allocates only where there is any.
func cleanPath(p string) string {
	clean := true
	for i := 0; i < len(p) && clean; i++ {
		switch p[i] {
		case '\\', '\t', '\n', '\r':
			clean = false
		case '.':
			clean = i == 0 || p[i-1] != '/'
		case '%':
			clean = i+2 >= len(p) || p[i+1] != '2' || p[i+2]|0x20 != 'e'
		}
	}
	if clean {
		return p
	}
	p = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/", "%2e", ".", "%2E", ".").Replace(p)
	var out []string
	segs := strings.Split(p, "/")
	for i, seg := range segs {
		switch {
		case seg == "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
			if i == len(segs)-1 {
				out = append(out, "")
			}
		case seg == ".":
			if i == len(segs)-1 {
				out = append(out, "")
			}
		default:
			out = append(out, seg)
		}
	}
	return strings.Join(out, "/")
}
