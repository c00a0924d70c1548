package rewriter

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/traditionalchinese"

	"github.com/caddy-consent/caddy-consent/rules"
)

// veil is what a document is read through in whose encoding bytes of ASCII may be something else than they look
// like. What is seen through it has the document's length.
type veil struct {
	halves *halves // of a known encoding; else nil, and what is changed goes out so
	lead   byte    // the first half of a character at the end of what came
	raw    []byte  // the window as it came, and as it goes out, in a known encoding

	changed bool // of an unknown one

	whole bool    // what is no UTF-8 is replaced
	cut   [3]byte // the begin of a character at the end of what came
	cuts  int     // of its bytes
}

// halves says for each first byte of a character of two which of halfBytes may be the second, a bit for each.
type halves [256]uint8

// halfBytes are those second halves that would mean something in style sheets, in CDATA sections and in JSON.
const halfBytes = `\@[]{}`

var halfBit = func() (t [0x80]uint8) {
	for i := range halfBytes {
		t[halfBytes[i]] = 1 << i
	}
	return t
}()

// isLead marks a first byte, whether or not one of halfBytes makes a character with it.
const isLead = 1 << len(halfBytes)

// halvesOf asks a decoder about the first bytes from each pair's first to its second.
func halvesOf(e encoding.Encoding, leads ...[2]int) *halves {
	t, d := new(halves), e.NewDecoder()
	for _, l := range leads {
		for lead := l[0]; lead <= l[1]; lead++ {
			t[lead] = isLead
			for i := range halfBytes {
				s, err := d.Bytes([]byte{byte(lead), halfBytes[i]})
				if c, n := utf8.DecodeRune(s); err == nil && c != utf8.RuneError && n == len(s) {
					t[lead] |= 1 << i
				}
			}
		}
	}
	return t
}

// all sets every half for the first bytes from one to another.
func (t *halves) all(from, to int) *halves {
	for lead := from; lead <= to; lead++ {
		t[lead] = isLead | (isLead - 1)
	}
	return t
}

// Each is as the Encoding Standard's decoder has it (10.1, 12.1 and 13.2). Those of other encodings take no such byte
// for the second half.
var doubleBytes = map[string]func() *halves{
	"gbk":     sync.OnceValue(func() *halves { return new(halves).all(0x81, 0xfe) }),
	"gb18030": sync.OnceValue(func() *halves { return new(halves).all(0x81, 0xfe) }),
	"big5":    sync.OnceValue(func() *halves { return halvesOf(traditionalchinese.Big5, [2]int{0x81, 0xfe}) }),
	"shift_jis": sync.OnceValue(func() *halves {
		return halvesOf(japanese.ShiftJIS, [2]int{0x81, 0x9f}, [2]int{0xe0, 0xfc}).all(0xf0, 0xf9) // the latter for private use
	}),
}

// leads reports whether a byte outside ASCII begins a character of two bytes.
func (v *veil) leads(c byte) bool { return v.halves[c] != 0 }

// hide replaces the second halves in b that look like something else. Any byte outside ASCII behind a first one
// belongs to it, whether or not there is such a character.
func (v *veil) hide(b []byte) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch lead := v.lead; {
		case c < 0x80:
			if v.lead = 0; lead != 0 && v.halves[lead]&halfBit[c] != 0 {
				b[i] = 0x80
			}
		case lead != 0:
			v.lead = 0
		case v.leads(c):
			v.lead = c
		}
	}
}

// The bytes without which nothing is read otherwise in an encoding in which ASCII is not the same: none of UTF-16's
// characters is one of ASCII without a NUL, and ISO-2022-JP changes what bytes mean behind an escape.
const (
	nul    = 0
	escape = 0x1b
)

// mayBeOther reports whether bytes may be read as markup, style sheets or scripts in such an encoding that look like
// none.
func mayBeOther(b []byte) bool {
	return bytes.IndexByte(b, nul) >= 0 || bytes.IndexByte(b, escape) >= 0
}

// mayHide reports whether a byte in b that means something may be the second half of a character.
func mayHide(b []byte) bool {
	for i := 1; i < len(b); i++ {
		if b[i] < 0x80 && halfBit[b[i]] != 0 && beyondASCII(b[i-1]) {
			return true
		}
	}
	return false
}

// mayHideQuote is the same for JSON, where a backslash means something in front of a quote or a backslash.
func mayHideQuote(b []byte) bool {
	for i := 1; i+1 < len(b); i++ {
		if b[i] == '\\' && beyondASCII(b[i-1]) && (b[i+1] == '"' || b[i+1] == '\\') {
			return true
		}
	}
	return false
}

func beyondASCII(c byte) bool { return c >= 0x80 }

func hasBeyondASCII(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&highs != 0 {
			return true
		}
	}
	return slices.ContainsFunc(b, beyondASCII)
}

// tame replaces those bytes by another control, and reports whether there were any.
func tame(b []byte) (found bool) {
	for _, c := range [...]byte{nul, escape} {
		for i := 0; ; i++ {
			n := bytes.IndexByte(b[i:], c)
			if n < 0 {
				break
			}
			i += n
			b[i], found = 0x1a, true
		}
	}
	return found
}

// otherCharset is the rule of what would be something else in another encoding that browsers may take.
const otherCharset = "ambiguous:charset"

// setVeil settles what the document is read through, now that its encoding has that name, "" if it has none.
func (r *Rewriter) setVeil(name string) {
	r.veil, r.untold = nil, false
	switch known := doubleBytes[name]; {
	case r.o.Policy.AllAllowed():
	case r.o.XML && name == "utf-8" && isSVG(r.o.ContentType):
		// Of such a document Chromium loses what follows a byte that is none of UTF-8, up to the end of the piece in which
		// it comes: comments begin there and do not end, or end and do not begin.
		r.putVeil(nil)
		r.veil.whole, r.taken.e = true, nil
	case known != nil:
		r.putVeil(known())
	case name == "":
		if r.untold = true; r.o.Framed || r.o.CSS {
			r.putVeil(nil)
		}
	}
}

func (r *Rewriter) putVeil(h *halves) {
	r.veils = veil{halves: h, raw: r.veils.raw[:0]}
	r.veil = &r.veils
}

// bytes is the window as it goes out.
func (r *Rewriter) bytes() []byte {
	if r.veil != nil && r.veil.halves != nil {
		return r.veil.raw
	}
	return r.in
}

// takeVeiled reads p behind what is held, through the veil.
func (r *Rewriter) takeVeiled(p []byte) {
	v, n := r.veil, len(r.buf)
	r.buf = append(append(room(r.buf, v.cuts+len(p)), v.cut[:v.cuts]...), p...)
	change := tame
	if v.whole {
		change = replaceInvalid
		v.cuts = 0
		if n := cutRune(r.buf[n:]); !r.ended {
			v.cuts = copy(v.cut[:], r.buf[len(r.buf)-n:])
			r.buf = r.buf[:len(r.buf)-n]
		}
	}
	if r.in = r.buf; v.halves != nil {
		v.raw = append(v.raw, p...)
		v.hide(r.buf[n:])
	} else if change(r.buf[n:]) {
		r.taken.e, r.edited = nil, true
		if !v.changed {
			v.changed = true
			r.recordCharset(n)
		}
	}
	r.run()
}

// isSVG reports whether a Content-Type is that of SVG.
func isSVG(contentType string) bool {
	const svg = "image/svg+xml"
	t := strings.TrimLeft(contentType, spaces)
	return len(t) >= len(svg) && strings.EqualFold(t[:len(svg)], svg)
}

// cutRune returns how many bytes at the end of b begin a character of UTF-8 that goes on behind it.
func cutRune(b []byte) int {
	for n := 1; n <= min(3, len(b)); n++ {
		if c := b[len(b)-n:]; utf8.RuneStart(c[0]) {
			if utf8.FullRune(c) {
				return 0
			}
			return n
		}
	}
	return 0
}

// replaceInvalid writes question marks over the bytes of b that are no UTF-8, and reports whether there were any.
func replaceInvalid(b []byte) (found bool) {
	if utf8.Valid(b) {
		return false
	}
	for i := 0; i < len(b); {
		c, n := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && n == 1 {
			b[i], found = '?', true
		}
		i += n
	}
	return found
}

// lend tells of a frame that may take over the document's encoding.
func (r *Rewriter) lend(el elem) {
	switch el {
	case elIframe, elFrame, elFencedFrame, elPortal, elObject, elEmbed:
		r.o.Lends()
	}
}

// recordCharset puts on record that bytes at offset at are not left to what a browser takes them for.
func (r *Rewriter) recordCharset(at int) rules.Decision {
	d := ambiguous(otherCharset)
	kind := rules.KindFetch
	if r.o.CSS {
		kind = rules.KindStyle
	}
	r.record(at, rules.Resource{Kind: kind, Page: r.page}, d)
	return d
}

// before returns the byte before offset i of the window.
func (r *Rewriter) before(i int) byte { return r.byteBefore(i, 1) }

// byteBefore returns the byte n bytes before offset i of the window; n is up to 3.
func (r *Rewriter) byteBefore(i, n int) byte {
	if i >= n {
		return r.in[i-n]
	}
	return r.prev[n-i-1]
}

// apart inserts text in front of the byte at offset at, where a byte outside ASCII stands before it: then it is the second
// half of a character in no encoding.
func (r *Rewriter) apart(at int, text string) {
	if at < 0 {
		return // it is out, and was read before
	}
	r.recordCharset(at)
	r.insert(at, text)
}
