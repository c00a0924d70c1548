package rewriter

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/caddy-consent/caddy-consent/rules"
)

// urlFunction reads what follows the parenthesis at open; first is where the name begins.
func (c *cssText) urlFunction(first, open, to int, bare bool) (int, bool) {
	src, st := c.src, c.st
	i := open + 1
	if c.progress > i {
		if i = c.begin; src[i-1] == '"' || src[i-1] == '\'' {
			i--
		}
	}
	for i < to && class[src[i]]&space != 0 {
		i++
	}
	if i == to {
		if !c.final {
			c.held(first, i, i)
			return first, false
		}
		st.imported, st.named = false, notNamed
		return to, true
	}
	if src[i] == '"' || src[i] == '\'' {
		i, ok := c.str(first, i, to, true)
		if ok && st.set > 0 {
			st.set++ // for the parenthesis that closes url()
		}
		return i, ok
	}
	if !bare {
		if st.set > 0 {
			st.set++
		}
		return open + 1, true
	}
	c.statement(first)
	end, ok := c.urlEnd(i, max(i, c.progress), to)
	switch {
	case !ok && !c.passes(i, to):
		c.held(first, i, end)
		return first, false
	case !ok:
		st.mode, st.imported, st.named = cssURL, false, notNamed
		c.passed(end)
		return end, true
	}
	c.halfEscapes(i, i, end)
	c.reference(i, end, true)
	st.imported, st.named = false, notNamed
	end = min(end+1, to)
	c.passed(end)
	return end, true
}

// halfEscapes puts a byte into src[i:end] of an unquoted URL that begins at start wherever Firefox would take its backslashes
// otherwise, so that it ends at the same parenthesis for all.
func (c *cssText) halfEscapes(start, i, end int) {
	src := c.src
	if c.r.o.Policy.AllAllowed() {
		return
	}
	for {
		n := bytes.IndexByte(src[i:end], '\\')
		if n < 0 {
			return
		}
		if i += n + 1; i == len(src) || !c.half(start, i-1) {
			if i < end && src[i] == '\\' {
				i++
			}
			continue
		}
		at := i
		if src[i] == '\\' {
			i++
			if at++; at == len(src) || src[at] != ')' && src[at] != '\\' {
				continue
			}
		} else if src[i] != ')' {
			continue
		}
		if at = c.offset(at); at >= 0 {
			c.r.record(at, rules.Resource{Kind: rules.KindStyle, Page: c.r.page}, ambiguous("ambiguous:style-escape"))
			c.r.insert(at, "-")
		}
	}
}

// half reports whether the backslash src[i], which stands in an unquoted URL that begins at start, is one that Firefox takes for
// that of no escape: it stands behind white space, which makes the URL a bad one.
func (c *cssText) half(start, i int) bool {
	src := c.src
	if i <= start || class[src[i-1]]&space == 0 {
		return false
	}
	k := i - 1
	if src[k] == '\n' && k > start && src[k-1] == '\r' {
		k--
	}
	// White space may be a part of an escape itself.
	if k > start && src[k-1] == '\\' {
		return isNewline(src[k]) || escaped(src[start:k-1])
	}
	for n := 0; n < 6 && k > start; n++ {
		if _, hex := digit(src[k-1]); !hex {
			break
		}
		if k--; k > start && src[k-1] == '\\' {
			return escaped(src[start : k-1])
		}
	}
	return true
}

// urlEnd returns the offset of the parenthesis that ends an unquoted URL, a bad one too, or false
// and where to go on. The URL begins at start; what has been looked at of it, at i.
func (c *cssText) urlEnd(start, i, to int) (int, bool) {
	src := c.src[:to]
	for {
		for i+8 <= len(src) {
			w := binary.LittleEndian.Uint64(src[i:])
			if m := (zeroBytes(w^')'*ones) | zeroBytes(w^'\\'*ones)) & highs; m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		for i < len(src) && src[i] != ')' && src[i] != '\\' {
			i++
		}
		switch {
		case i >= len(src):
			return to, c.final
		case src[i] == ')':
			return i, true
		case i+1 == len(src):
			if c.final {
				return to, true
			}
			return i, false
		case src[i+1] == ')' && c.half(start, i) && !c.r.o.Policy.AllAllowed():
			return i + 1, true
		}
		i += 2
	}
}
