package consentoracle

import (
	"math/rand/v2"
	"strings"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// bits are ones and zeros, each a byte.
type bits []byte

func (b *bits) number(v uint64, width int) {
	for i := width - 1; i >= 0; i-- {
		*b = append(*b, byte(v>>i&1))
	}
}

// field writes a set, number 1 first.
func (b *bits) field(set uint32, width int) {
	for i := range width {
		*b = append(*b, byte(set>>i&1))
	}
}

// fibonacci writes n > 0: the numbers of which it is the sum, smallest first, and a one.
func (b *bits) fibonacci(n int) {
	seq := []int{1, 2}
	for seq[len(seq)-1] <= n {
		seq = append(seq, seq[len(seq)-1]+seq[len(seq)-2])
	}
	var code bits
	for i := len(seq) - 1; i >= 0; i-- {
		switch {
		case seq[i] <= n:
			n -= seq[i]
			code = append(code, 1)
		case len(code) > 0:
			code = append(code, 0)
		}
	}
	for i := len(code) - 1; i >= 0; i-- {
		*b = append(*b, code[i])
	}
	*b = append(*b, 1)
}

// text pads to a multiple and writes base64url.
func (b bits) text(multiple int) string {
	for len(b)%multiple != 0 || len(b)%6 != 0 && multiple%6 == 0 {
		b = append(b, 0)
	}
	for len(b)%6 != 0 {
		b = append(b, 0)
	}
	var s strings.Builder
	for i := 0; i < len(b); i += 6 {
		v := 0
		for _, bit := range b[i : i+6] {
			v = v<<1 | int(bit)
		}
		s.WriteByte(alphabet[v])
	}
	return s.String()
}

// core is what a TC string of version 2 says, as far as it matters who reads it.
type core struct {
	version           int
	consent, interest uint32 // bit n-1 stands for purpose n
	list, policy      int
	rest              uint64 // seed of all else
}

const (
	forMarketing   = 1<<0 | 1<<1 | 1<<2 | 1<<3
	forStatistics  = 1<<0 | 1<<7
	forPreferences = 1<<0 | 1<<4 | 1<<5
	allPurposes    = 1<<24 - 1
)

// newCore makes every combination of categories likely.
func newCore(r *rand.Rand) core {
	c := core{version: 2, list: 1 + r.IntN(4095), policy: []int{2, 3, 4, 5}[r.IntN(4)], interest: r.Uint32() & allPurposes, rest: r.Uint64()}
	if c.policy >= 4 {
		c.interest &^= 1<<2 | 1<<3 | 1<<4 | 1<<5 // no longer allowed since version 2.2
	}
	switch r.IntN(4) {
	case 0:
		c.consent = r.Uint32() & allPurposes
	case 1:
		c.consent = allPurposes &^ (1 << r.IntN(24))
	default:
		for _, part := range []uint32{forMarketing, forStatistics, forPreferences} {
			if r.IntN(2) == 0 {
				c.consent |= part
			}
		}
		c.consent ^= 1 << r.IntN(24)
	}
	return c
}

func (c core) String() string {
	r := rand.New(rand.NewPCG(c.rest, 2))
	var b bits
	created := 14_000_000_000 + r.Uint64N(4_000_000_000)
	b.number(uint64(c.version), 6)
	b.number(created, 36)
	b.number(created+r.Uint64N(1_000_000), 36)
	b.number(r.Uint64N(1<<12), 12) // manager and its version
	b.number(r.Uint64N(1<<12), 12)
	b.number(r.Uint64N(1<<6), 6) // screen
	b.number(r.Uint64N(26), 6)   // language
	b.number(r.Uint64N(26), 6)
	b.number(uint64(c.list), 12)
	b.number(uint64(c.policy), 6)
	b.number(1, 1)                 // service specific
	b.number(r.Uint64N(2), 1)      // other texts
	b.number(r.Uint64N(1<<12), 12) // special features
	b.field(c.consent, 24)
	b.field(c.interest, 24)
	b.number(r.Uint64N(2), 1) // purpose 1 not disclosed
	b.number(r.Uint64N(26), 6)
	b.number(r.Uint64N(26), 6)
	b.vendors(r)
	b.vendors(r)
	restrictions := r.IntN(4)
	b.number(uint64(restrictions), 12)
	for range restrictions {
		b.number(1+r.Uint64N(24), 6)
		b.number(r.Uint64N(3), 2)
		b.ranges(r, 800)
	}
	multiple := []int{8, 24}[r.IntN(2)] // makers pad to bytes, or to four letters
	s := b.text(multiple)
	for kind := 1; kind <= 3; kind++ {
		if r.IntN(2) == 0 {
			continue
		}
		var seg bits
		seg.number(uint64(kind), 3)
		if kind == 3 { // the publisher's own purposes, which no vendor may use
			seg.number(r.Uint64N(1<<24), 24)
			seg.number(r.Uint64N(1<<24), 24)
			own := r.IntN(8)
			seg.number(uint64(own), 6)
			seg.number(r.Uint64(), 2*own)
		} else {
			seg.vendors(r)
		}
		s += "." + seg.text(multiple)
	}
	return s
}

// vendors writes a set of vendors, as a bit field or as ranges.
func (b *bits) vendors(r *rand.Rand) {
	last := r.IntN(800)
	b.number(uint64(last), 16)
	if last > 0 && r.IntN(2) == 0 {
		b.number(1, 1)
		b.ranges(r, last)
		return
	}
	b.number(0, 1)
	for range last {
		b.number(r.Uint64N(2), 1)
	}
}

// ranges writes at least one range of vendors up to last.
func (b *bits) ranges(r *rand.Rand, last int) {
	var list [][2]int
	for at := 1 + r.IntN(last); at <= last && len(list) < 20; at += 2 + r.IntN(40) {
		end := min(last, at+r.IntN(3)*r.IntN(10))
		list = append(list, [2]int{at, end})
		at = end
	}
	b.number(uint64(len(list)), 12)
	for _, e := range list {
		if e[0] == e[1] {
			b.number(0, 1)
			b.number(uint64(e[0]), 16)
			continue
		}
		b.number(1, 1)
		b.number(uint64(e[0]), 16)
		b.number(uint64(e[1]), 16)
	}
}

// usLayouts say how many fields of two bits the sections of the United States have: notices,
// opt-outs, and what follows.
var usLayouts = map[int][3]int{
	7: {6, 3, 18}, 8: {3, 2, 15}, 9: {3, 2, 12}, 10: {3, 2, 11}, 11: {4, 2, 12}, 12: {3, 2, 14}, 13: {3, 2, 15}, 14: {3, 2, 15},
	15: {3, 2, 18}, 16: {3, 2, 13}, 17: {3, 2, 18}, 18: {4, 2, 12}, 19: {3, 2, 13}, 20: {3, 2, 15}, 21: {3, 2, 19}, 22: {3, 2, 12},
}

// usSection writes a section in which few visitors have opted out.
func usSection(r *rand.Rand, id int) string {
	layout := usLayouts[id]
	version := 1
	if id == 7 && r.IntN(2) == 0 {
		version, layout[2] = 2, layout[2]+5
	}
	var b bits
	b.number(uint64(version), 6)
	for range layout[0] {
		b.number(r.Uint64N(3), 2)
	}
	for range layout[1] {
		v := []uint64{0, 2, 2, 2, 2, 2, 2, 2, 2, 1}[r.IntN(10)]
		b.number(v, 2)
	}
	for range layout[2] {
		b.number(r.Uint64N(3), 2)
	}
	s := b.text(8)
	if id != 9 && id != 11 && r.IntN(2) == 0 { // Virginia and Utah do not have it
		var gpc bits
		gpc.number(1, 2)
		gpc.number(r.Uint64N(10)/9, 1)
		s += "." + gpc.text(8)
	}
	return s
}

// gppString writes the header for ids, which are sorted, and their sections.
func gppString(r *rand.Rand, ids []int, sections []string) string {
	var items bits
	n, last := 0, 0
	for i := 0; i < len(ids); n++ {
		end := i
		for end+1 < len(ids) && ids[end+1] == ids[end]+1 && r.IntN(4) > 0 {
			end++
		}
		if end == i {
			items.number(0, 1)
			items.fibonacci(ids[i] - last)
		} else {
			items.number(1, 1)
			items.fibonacci(ids[i] - last)
			items.fibonacci(ids[end] - ids[i])
		}
		last, i = ids[end], end+1
	}
	var b bits
	b.number(3, 6)
	b.number(1, 6)
	b.number(uint64(n), 12)
	b = append(b, items...)
	header := b.text(6)
	if len(header)%4 == 0 {
		header += "A" // iabconsent cannot read a header of whole quanta; more zeros mean the same
	}
	return strings.Join(append([]string{header}, sections...), "~")
}

// newGPP writes a string with some of the sections there are.
func newGPP(r *rand.Rand) string {
	var ids []int
	var sections []string
	for id := 2; id <= 22; id++ {
		if id == 3 || id == 4 || r.IntN(5) > 0 && (id != 2 || r.IntN(2) == 0) {
			continue
		}
		ids = append(ids, id)
		switch id {
		case 2:
			sections = append(sections, newCore(r).String())
		case 5: // Canada
			var b bits
			b.number(r.Uint64(), 64)
			sections = append(sections, b.text(8))
		case 6:
			sections = append(sections, "1Y"+[]string{"N", "N", "N", "-", "Y"}[r.IntN(5)]+"N")
		default:
			sections = append(sections, usSection(r, id))
		}
	}
	return gppString(r, ids, sections)
}

// damaged returns s as it may arrive: cut, or with one letter changed, lost or added.
func damaged(r *rand.Rand, s string) string {
	at := r.IntN(len(s))
	if r.IntN(2) == 0 {
		at = r.IntN(min(len(s), 40)) // where the purposes are
	}
	switch r.IntN(6) {
	case 0:
		return s[:at]
	case 1:
		return s[:at] + s[at+1:]
	case 2:
		return s[:at] + string(alphabet[r.IntN(64)]) + s[at:]
	case 3:
		return s[:at] + string("!* \"=~."[r.IntN(7)]) + s[at+1:]
	}
	v := strings.IndexByte(alphabet, s[at])
	if v < 0 {
		return s[:at]
	}
	return s[:at] + string(alphabet[v^1<<r.IntN(6)]) + s[at+1:]
}
