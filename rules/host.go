package rules

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// toASCII is the URL Standard's "domain to ASCII" with beStrict false (3.3).
var toASCII = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false),
	idna.CheckHyphens(false), idna.CheckJoiners(true), idna.BidiRule(), idna.VerifyDNSLength(false))

// parseHost is the URL Standard's host parser for special URLs (3.5). Where browsers differ from
// each other, it takes the side of the one that reads a host: Chromium keeps a space (as %20) and
// labels in ASCII that are no Punycode, unescapes the address in brackets, and takes a full-width percent
// sign for one.
func parseHost(s string) (string, urlClass) {
	if s == "" {
		return "", urlInvalid
	}
	if s[0] == '[' {
		return parseIPv6(s)
	}
	s = percentDecode(s)
	if !isASCII(s) {
		if !utf8.ValidString(s) {
			return "", urlInvalid // read as U+FFFD, which no domain has
		}
		mapped, err := toASCII.ToASCII(newerMapping(s))
		if err == nil {
			// The first run looks at some labels before they are mapped.
			_, err = toASCII.ToASCII(mapped)
		}
		if err != nil || strings.IndexFunc(mapped, isForbidden) >= 0 && mapped[0] != '[' && mapped == percentDecode(mapped) {
			if doubtful(s) {
				return strings.ToLower(strings.TrimRight(s, ".")), urlAmbiguous
			}
			return "", urlInvalid
		}
		// Chromium looks for brackets and escapes in what came of it.
		if strings.HasPrefix(mapped, "[") {
			return parseIPv6(mapped)
		}
		if s = percentDecode(mapped); !isASCII(s) {
			return s, urlAmbiguous
		}
	}
	if strings.IndexFunc(s, isCapital) >= 0 {
		s = made.Of("lower", s, strings.ToLower)
	}
	if strings.IndexFunc(s, isForbidden) >= 0 {
		return "", urlInvalid
	}
	s = strings.ReplaceAll(s, " ", "%20")
	if host, number, ok := parseIPv4(s); number {
		if !ok {
			return "", urlInvalid
		}
		return host, urlNetwork
	}
	host := strings.TrimRight(s, ".")
	if host == "" && s != "" {
		return "", urlAmbiguous // Firefox may take what follows //./ for the host
	}
	if host == "" {
		return "", urlInvalid
	}
	return host, urlNetwork
}

// doubtful reports whether some browser may read a host in s, which is none by our tables and rules: it has characters
// that are newer, a space, also one that a character is mapped to, or a sign that Chromium lets pass or makes another
// character with the mark behind it.
func doubtful(s string) bool {
	return strings.IndexFunc(s, isNewer) >= 0 || strings.IndexFunc(s, isSign) >= 0 || strings.IndexFunc(norm.NFKC.String(s), unicode.IsSpace) >= 0
}

// isSign reports an ASCII character that names of hosts do not have.
func isSign(r rune) bool { return r < utf8.RuneSelf && !plainHost[byte(r)] && !isCapital(r) }

func isCapital(r rune) bool { return 'A' <= r && r <= 'Z' }

// isForbidden reports the forbidden domain code points (3.2) but the space.
func isForbidden(r rune) bool {
	return r < ' ' || r == 0x7f || strings.ContainsRune(`#/:<>?@[\]^|%`, r)
}

// newerMapping applies what Unicode changed in the mapping of old characters up to version 17,
// which browsers follow and x/net/idna does from some Go version on.
func newerMapping(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x4c0:
		case r == 0x4c0:
			return 0x4cf
		case 0x10a0 <= r && r <= 0x10c5:
			return r - 0x10a0 + 0x2d00
		case r == 0x1e9e:
			return 'ß'
		case r == 0x2132:
			return 0x214e
		case r == 0x2183:
			return 0x2184
		case r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x180e, 0x2061 <= r && r <= 0x2063,
			0x206a <= r && r <= 0x206f, r == 0x3164, r == 0xffa0, 0x1d173 <= r && r <= 0x1d17a:
			return -1
		case 0x1ccd6 <= r && r <= 0x1ccef:
			return r - 0x1ccd6 + 'a'
		case 0x1ccf0 <= r && r <= 0x1ccf9:
			return r - 0x1ccf0 + '0'
		case r == 0x2f868:
			return 0x36fc
		case r == 0x2f874:
			return 0x5f53
		case r == 0x2f91f:
			return 0x243ab
		case r == 0x2f95f:
			return 0x7aee
		case r == 0x2f9bf:
			return 0x45d7
		}
		return r
	}, s)
}

// isNewer reports a character that browsers may know and x/net/idna does not.
func isNewer(r rune) bool {
	return r == 0x1806 || r >= utf8.RuneSelf && !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs) &&
		r&0xfffe != 0xfffe && !(0xfdd0 <= r && r <= 0xfdef)
}

func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c, ok := escaped(s, i); ok {
			out = append(out, c)
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// escaped returns the byte that an escape at s[i:] stands for.
func escaped(s string, i int) (byte, bool) {
	if i+2 >= len(s) || s[i] != '%' {
		return 0, false
	}
	hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

// hexDigit returns the digit's value, or 16 and more.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

// parseIPv6 reads an address in brackets. One that maps an IPv4 address is that address, since
// the same host answers.
func parseIPv6(s string) (string, urlClass) {
	s = percentDecode(s)
	if !isASCII(s) {
		mapped, err := toASCII.ToASCII(newerMapping(s))
		if err != nil {
			return "", urlInvalid
		}
		s = mapped
	}
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", urlInvalid
	}
	a, err := netip.ParseAddr(inner)
	if err != nil && strings.Count(inner, ".") == 3 && strings.Contains(inner, ":") && strings.Trim(inner, "0123456789abcdefABCDEFxX:.") == "" {
		return strings.ToLower(s), urlAmbiguous // Chromium takes more notations of the IPv4 part
	}
	if err != nil || !a.Is6() || a.Zone() != "" {
		return "", urlInvalid
	}
	if a.Is4In6() {
		return a.Unmap().String(), urlNetwork
	}
	return "[" + a.String() + "]", urlNetwork
}

// parseIPv4 reads the notations of an IPv4 address; number says that the host's last label is
// one, so that it is an address or nothing (3.5, "ends in a number checker").
func parseIPv4(s string) (host string, number, ok bool) {
	s = strings.TrimSuffix(s, ".")
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last == "" || strings.Trim(last, "0123456789") != "" {
		if _, ok := parseNumber(last); !ok {
			return "", false, false
		}
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return "", true, false
	}
	var addr uint64
	for i, p := range parts {
		n, ok := parseNumber(p)
		limit, shift := uint64(255), 8*(3-i)
		if i == len(parts)-1 {
			limit, shift = 1<<(8*(5-len(parts)))-1, 0
		}
		if !ok || n > limit {
			return "", true, false
		}
		addr |= n << shift
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}).String(), true, true
}

// parseNumber reads a decimal, octal or hexadecimal number; all from 2^32 on count as that.
func parseNumber(p string) (n uint64, ok bool) {
	if p == "" {
		return 0, false
	}
	base := byte(10)
	switch {
	case len(p) >= 2 && p[0] == '0' && p[1]|0x20 == 'x':
		p, base = p[2:], 16
	case len(p) >= 2 && p[0] == '0':
		p, base = p[1:], 8
	}
	for i := 0; i < len(p); i++ {
		d := hexDigit(p[i])
		if d >= base {
			return 0, false
		}
		n = min(n*uint64(base)+uint64(d), 1<<32)
	}
	return n, true
}
