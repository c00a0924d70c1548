package consent

import (
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// purposes is a set of TCF purposes: bit n stands for purpose n.
type purposes uint32

// What TCF purposes open, by default: storing and reading on the device, and what the category is
// for. There is no official equivalence (see the IAB's Transparency & Consent Framework Policies).
var tcfCategories = map[rules.Category]purposes{
	rules.Marketing:   1<<1 | 1<<2 | 1<<3 | 1<<4,
	rules.Statistics:  1<<1 | 1<<8,
	rules.Preferences: 1<<1 | 1<<5 | 1<<6,
}

// decodeTCF reads the purposes consented to from a TC string of version 2 (IAB TCF v2.2, "TC string
// format"): the core segment, of which the vendors' part may be cut. Legitimate interest is not read.
func decodeTCF(s string) (p purposes, ok bool) {
	core, _, _ := strings.Cut(s, ".")
	const bits = 176 // up to the last purpose consented to
	if len(core)*6 < bits || len(core) > maxForeign {
		return 0, false
	}
	var b [(bits + 5) / 6]byte
	for i := range b {
		v := sextet(core[i])
		if v > 63 {
			return 0, false
		}
		b[i] = v
	}
	for i := len(b); i < len(core); i++ {
		if sextet(core[i]) > 63 && core[i] != '=' {
			return 0, false
		}
	}
	bit := func(n int) uint32 { return uint32(b[n/6]>>(5-n%6)) & 1 }
	number := func(from, n int) (v uint64) {
		for i := range n {
			v = v<<1 | uint64(bit(from+i))
		}
		return v
	}
	created, updated := number(6, 36), number(42, 36) // deciseconds since 1970
	list := number(120, 12)                           // vendor lists count from 1
	if number(0, 6) != 2 || created == 0 || updated < created || number(108, 6) > 25 || number(114, 6) > 25 || list == 0 {
		return 0, false
	}
	for n := 1; n <= 24; n++ {
		p |= purposes(bit(151+n)) << n
	}
	return p, true
}

func sextet(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A'
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26
	case '0' <= c && c <= '9':
		return c - '0' + 52
	case c == '-' || c == '+':
		return 62
	case c == '_' || c == '/':
		return 63
	}
	return 64
}

// tcfAnswer returns the answer of a TC string. The site's configuration may say by number what each
// purpose is for; then a category takes all purposes that are given to it.
func tcfAnswer(s string, m *mapping) answer {
	p, ok := decodeTCF(unquote(s))
	if !ok {
		return answer{}
	}
	need := tcfCategories
	if m != nil && len(m.own) > 0 {
		need = make(map[rules.Category]purposes)
		for name, c := range m.own {
			n := 0
			for _, d := range []byte(name) {
				if d < '0' || d > '9' || n > 24 {
					n = 99
					break
				}
				n = n*10 + int(d-'0')
			}
			if 1 <= n && n <= 24 {
				need[c] |= 1 << n
			}
		}
	}
	a := answer{verdict: decided}
	for c, want := range need {
		if p&want == want && c != rules.Necessary {
			a.allowed |= rules.SetOf(c)
		}
	}
	return a
}

// gppSections takes a GPP string apart (IAB Global Privacy Platform, "Consent String Specification"):
// the ids of its sections and their texts.
func gppSections(s string) (ids []int, texts []string, ok bool) {
	parts := strings.Split(s, "~")
	r := bitReader{text: parts[0]}
	if typ, version := r.number(6), r.number(6); r.bad || typ != 3 || version != 1 {
		return nil, nil, false
	}
	id := 0
	for n := r.number(12); n > 0 && !r.bad; n-- {
		group := r.number(1) == 1
		id += r.fibonacci()
		ids = append(ids, id)
		if group {
			from := id
			for id += r.fibonacci(); from < id && len(ids) < 32; {
				from++
				ids = append(ids, from)
			}
		}
		if len(ids) > 32 {
			return nil, nil, false
		}
	}
	if r.bad || len(ids) != len(parts)-1 {
		return nil, nil, false
	}
	return ids, parts[1:], true
}

// bitReader reads base64url text bit by bit.
type bitReader struct {
	text string
	at   int
	bad  bool
}

func (r *bitReader) bit() int {
	if r.at/6 >= len(r.text) {
		r.bad = true
		return 0
	}
	v := sextet(r.text[r.at/6])
	if v > 63 {
		r.bad = true
	}
	b := v >> (5 - r.at%6) & 1
	r.at++
	return int(b)
}

func (r *bitReader) number(bits int) (n int) {
	for range bits {
		n = n<<1 | r.bit()
	}
	return n
}

// fibonacci reads a number in Fibonacci coding, which two ones end.
func (r *bitReader) fibonacci() (n int) {
	a, b, last := 1, 2, 0
	for range 24 {
		bit := r.bit()
		if r.bad || bit == 1 && last == 1 {
			return n
		}
		if bit == 1 {
			n += a
		}
		a, b, last = b, a+b, bit
	}
	r.bad = true
	return 0
}

// usSections are the sections of GPP that stand for laws of the United States, where the first bits
// say whether a visitor has opted out of sale, sharing and targeted advertising. Each has the offset
// of those fields' bits: version (6), then two bits each.
var usSections = map[int][]int{
	7:  {18, 20, 22}, // usnat: SaleOptOut, SharingOptOut, TargetedAdvertisingOptOut
	8:  {12, 14},     // usca: SaleOptOut, SharingOptOut; all others: SaleOptOut, TargetedAdvertisingOptOut
	9:  {12, 14},     // usva
	10: {12, 14},     // usco
	11: {14, 16},     // usut
	12: {12, 14},     // usct
	13: {12, 14},     // usfl
	14: {12, 14},     // usmt
	15: {12, 14},     // usor
	16: {12, 14},     // ustx
	17: {12, 14},     // usde
	18: {14, 16},     // usia
	19: {12, 14},     // usne
	20: {12, 14},     // usnh
	21: {12, 14},     // usnj
	22: {12, 14},     // ustn
	23: {12, 14},     // usmn
}

// usOptOut reports whether a section says that the visitor has opted out (value 1), or that the
// browser's Global Privacy Control was on when it was written (subsection 1).
func usOptOut(id int, text string) bool {
	if id == 6 {
		return len(text) == 4 && text[0] == '1' && text[2]|0x20 == 'y'
	}
	fields, ok := usSections[id]
	if !ok {
		return false
	}
	core, more, _ := strings.Cut(text, ".")
	for _, at := range fields {
		r := bitReader{text: core, at: at}
		if r.number(2) == 1 && !r.bad {
			return true
		}
	}
	for more != "" {
		var sub string
		sub, more, _ = strings.Cut(more, ".")
		r := bitReader{text: sub}
		if r.number(2) == 1 && r.number(1) == 1 && !r.bad {
			return true
		}
	}
	return false
}
