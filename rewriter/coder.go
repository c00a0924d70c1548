package rewriter

import (
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/transform"
)

// coder lets the Rewriter read a document whose encoding is no superset of ASCII: it reads a
// UTF-8 view of the bytes, and what it inserts is put between the bytes themselves.
type coder struct {
	big     bool // UTF-16BE
	jis     bool // ISO-2022-JP
	raw     []byte
	read    int     // bytes of raw that are in the view
	last    int     // offset in raw behind the last character of the view
	origin  []int32 // for each byte of the view, the offset in raw behind the character before it
	states  []jisState
	started bool

	state, output jisState
	lead          byte
	outputFlag    bool
	kanji         transform.Transformer
}

// jisState is a state of the ISO-2022-JP decoder (Encoding Standard, 12.2.1).
type jisState uint8

const (
	jisASCII jisState = iota
	jisRoman
	jisKatakana
	jisLead
	jisTrail
	jisEscapeStart
	jisEscape
)

func newCoder(label string) *coder {
	c := &coder{big: label == "utf-16be", jis: label == "iso-2022-jp"}
	if c.jis {
		c.kanji = japanese.EUCJP.NewDecoder()
	}
	return c
}

// decode appends the view of what has come in to dst.
func (c *coder) decode(dst []byte, final bool) []byte {
	if c.jis {
		return c.decodeJIS(dst, final)
	}
	return c.decodeUTF16(dst, final)
}

// add appends a character of the view, which ends at offset end of raw.
func (c *coder) add(dst []byte, x rune, end int) []byte {
	n := len(dst)
	dst = utf8.AppendRune(dst, x)
	for range len(dst) - n {
		c.origin = append(c.origin, int32(c.last))
		c.states = append(c.states, c.output)
	}
	c.last = end
	return dst
}

func (c *coder) unit(i int) rune {
	if c.big {
		return rune(c.raw[i])<<8 | rune(c.raw[i+1])
	}
	return rune(c.raw[i+1])<<8 | rune(c.raw[i])
}

// decodeUTF16 is the shared UTF-16 decoder (Encoding Standard, 14.2.1).
func (c *coder) decodeUTF16(dst []byte, final bool) []byte {
	i := c.read
	for i+2 <= len(c.raw) {
		x, n := c.unit(i), 2
		if utf16.IsSurrogate(x) {
			if x < 0xdc00 && i+4 > len(c.raw) && !final {
				break
			}
			pair := rune(utf8.RuneError)
			if i+4 <= len(c.raw) {
				pair = utf16.DecodeRune(x, c.unit(i+2))
			}
			if x = pair; x != utf8.RuneError {
				n = 4
			}
		}
		i += n
		if !c.started {
			c.started = true
			if x == 0xfeff {
				continue
			}
		}
		dst = c.add(dst, x, i)
	}
	c.read = i
	return dst
}

// decodeJIS is the ISO-2022-JP decoder (Encoding Standard, 12.2.1).
func (c *coder) decodeJIS(dst []byte, final bool) []byte {
	i := c.read
	for ; i < len(c.raw); i++ {
		b := c.raw[i]
		switch c.state {
		case jisEscapeStart:
			if b == '$' || b == '(' {
				c.lead, c.state = b, jisEscape
				continue
			}
			c.outputFlag, c.state = false, c.output
			dst = c.add(dst, utf8.RuneError, i)
			i--
			continue
		case jisEscape:
			to := jisEscape
			switch {
			case c.lead == '(' && b == 'B':
				to = jisASCII
			case c.lead == '(' && b == 'J':
				to = jisRoman
			case c.lead == '(' && b == 'I':
				to = jisKatakana
			case c.lead == '$' && (b == '@' || b == 'B'):
				to = jisLead
			}
			if to != jisEscape {
				again := c.outputFlag
				c.outputFlag = true
				c.state = to
				if again {
					dst = c.add(dst, utf8.RuneError, i+1)
				}
				c.output = to
				continue
			}
			c.outputFlag, c.state = false, c.output
			dst = c.add(dst, utf8.RuneError, i-1)
			i -= 2
			continue
		case jisTrail:
			if b == 0x1b {
				c.state = jisEscapeStart
				dst = c.add(dst, utf8.RuneError, i)
				continue
			}
			c.state = jisLead
			dst = c.add(dst, c.kanjiOf(c.lead, b), i+1)
			continue
		}
		if b == 0x1b {
			c.state = jisEscapeStart
			continue
		}
		c.outputFlag = false
		x := rune(b)
		switch {
		case c.state == jisLead:
			if 0x21 <= b && b <= 0x7e {
				c.lead, c.state = b, jisTrail
				continue
			}
			x = utf8.RuneError
		case c.state == jisKatakana:
			if 0x21 <= b && b <= 0x5f {
				x = 0xff61 - 0x21 + rune(b)
			} else {
				x = utf8.RuneError
			}
		case b >= 0x80 || b == 0x0e || b == 0x0f:
			x = utf8.RuneError
		case c.state == jisRoman && b == 0x5c:
			x = 0xa5
		case c.state == jisRoman && b == 0x7e:
			x = 0x203e
		}
		dst = c.add(dst, x, i+1)
	}
	c.read = i
	return dst
}

// kanjiOf returns the character of a JIS X 0208 pair, by way of EUC-JP, which has the same table.
func (c *coder) kanjiOf(lead, trail byte) rune {
	if trail < 0x21 || trail > 0x7e {
		return utf8.RuneError
	}
	var dst [8]byte
	c.kanji.Reset()
	n, _, err := c.kanji.Transform(dst[:], []byte{lead | 0x80, trail | 0x80}, true)
	if err != nil {
		return utf8.RuneError
	}
	x, _ := utf8.DecodeRune(dst[:n])
	return x
}

// end returns the offset in raw that belongs to an offset in a view of n bytes.
func (c *coder) end(at, n int) int {
	if at < n {
		return int(c.origin[at])
	}
	return c.last
}

// encode appends an insertion before offset at of the view.
func (c *coder) encode(dst, text []byte, at int) []byte {
	if !c.jis {
		for len(text) > 0 {
			x, n := utf8.DecodeRune(text)
			text = text[n:]
			for _, u := range utf16.AppendRune(nil, x) {
				if c.big {
					dst = append(dst, byte(u>>8), byte(u))
				} else {
					dst = append(dst, byte(u), byte(u>>8))
				}
			}
		}
		return dst
	}
	st := c.output
	if at < len(c.states) {
		st = c.states[at]
	}
	// An insertion stands before any escape sequence that follows, in the state that holds there.
	back := ""
	switch st {
	case jisRoman:
		back = "\x1b(J"
	case jisKatakana:
		back = "\x1b(I"
	case jisLead, jisTrail:
		back = "\x1b$B"
	}
	if back != "" {
		dst = append(dst, "\x1b(B"...)
	}
	for _, b := range text {
		if b >= 0x80 {
			b = '?'
		}
		dst = append(dst, b)
	}
	return append(dst, back...)
}

// emitCoded is emit for a document that is read through a view.
func (r *Rewriter) emitCoded(hold int) {
	c, out, from, n := r.coder, r.out[:0], 0, 0
	for _, e := range r.edits {
		if e.at >= hold {
			break
		}
		to := c.end(e.at, len(c.origin))
		out = append(out, c.raw[from:to]...)
		out = c.encode(out, r.arena[e.text:e.textEnd], e.at)
		from = to
		n++
	}
	to := c.end(hold, len(c.origin))
	if r.ended && hold == len(r.in) {
		to = len(c.raw)
	}
	out = append(out, c.raw[from:to]...)
	if len(out) > 0 {
		_, r.err = r.dst.Write(out)
	}
	r.out = trim(out)
	r.edited = r.edited || n > 0
	r.moveEdits(n, hold)
	c.raw = append(c.raw[:0], c.raw[to:]...)
	c.read -= to
	c.last -= to
	c.origin = append(c.origin[:0], c.origin[hold:]...)
	c.states = append(c.states[:0], c.states[hold:]...)
	for i := range c.origin {
		c.origin[i] -= int32(to)
	}
}
