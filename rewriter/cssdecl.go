package rewriter

import (
	"bytes"
	"encoding/binary"
)

// cssDecl is what the strings of a statement can become.
type cssDecl uint8

const (
	declNone   cssDecl = iota // only white space and comments so far
	declOther                 // a string is text
	declCustom                // the value of a custom property can be put where a string is a URL
)

// statement brings st.decl up to date for offset i. What was read since the last call has no
// string and no comment.
func (c *cssText) statement(i int) {
	if i <= c.known {
		return
	}
	gap := c.src[c.known:i]
	c.known = i
	st := c.st
	if st.typed || bytes.IndexByte(gap, '\\') >= 0 {
		st.statements(gap)
		return
	}
	for {
		if st.decl == declCustom {
			if gap = gap[st.custom(gap):]; st.decl == declCustom {
				return
			}
		}
		k := customAt(gap, st.decl == declNone)
		if k < 0 {
			break
		}
		st.decl, st.depth, st.colon = declCustom, 0, false
		gap = gap[k:]
	}
	for k := len(gap) - 1; k >= 0; k-- {
		if b := gap[k]; (b == ';' || b == '{' || b == '}') && !escaped(gap[:k]) {
			c.st.decl = declNone
			gap = gap[k+1:]
			break
		}
	}
	if c.st.decl != declNone {
		return
	}
	j := 0
	for j < len(gap) && class[gap[j]]&space != 0 {
		j++
	}
	if gap = gap[j:]; len(gap) > 0 {
		c.st.decl = c.st.declOf(gap)
	}
}

// customAt returns where the first custom property of text begins, which stands in another declaration unless that is
// fresh; -1 if there is none. Dashes that begin no statement, as in .a--b and var(--c), begin no property.
func customAt(text []byte, fresh bool) int {
	for k := 0; ; k += 2 {
		j := dashes(text[k:])
		if j < 0 {
			return -1
		}
		k += j
		if k+2 < len(text) && text[k+2] == '>' {
			continue
		}
		n := k
		for n > 0 && class[text[n-1]]&space != 0 {
			n--
		}
		if n == 0 && fresh || n > 0 && (text[n-1] == ';' || text[n-1] == '{' || text[n-1] == '}') {
			return k
		}
	}
}

// dashes returns where two of them stand first, -1 if nowhere.
func dashes(text []byte) int {
	for i := 0; i+1 < len(text); i++ {
		for i+9 <= len(text) && zeroBytes(binary.LittleEndian.Uint64(text[i:])^'-'*ones)&zeroBytes(binary.LittleEndian.Uint64(text[i+1:])^'-'*ones)&highs == 0 {
			i += 8
		}
		if i+1 < len(text) && text[i] == '-' && text[i+1] == '-' {
			return i
		}
	}
	return -1
}

// customStop is what counts in a custom property.
var customStop = func() (t [256]bool) {
	for _, b := range `;{}()[]:\` {
		t[b] = true
	}
	return t
}()

// custom reads on in a custom property, which no semicolon within brackets ends, and returns where it ends.
func (st *cssState) custom(text []byte) int {
	for k := 0; ; k++ {
		for k < len(text) && !customStop[text[k]] {
			k++
		}
		if k >= len(text) {
			return len(text)
		}
		switch b := text[k]; {
		case b == '\\':
			k++
		case b == '(' || b == '[' || b == '{' && (st.colon || st.depth > 0):
			st.depth++
		case (b == ')' || b == ']' || b == '}') && st.depth > 0:
			st.depth--
		case b == ':':
			st.colon = st.colon || st.depth == 0
		case b == '{' || b == '}' || b == ';' && st.depth == 0:
			st.decl = declNone
			return k + 1
		}
	}
}

// statements is statement where other names than those behind two dashes may be those of custom properties.
func (st *cssState) statements(gap []byte) {
	for k := 0; k < len(gap); k++ {
		switch b := gap[k]; {
		case st.decl == declNone:
			if b != ';' && b != '{' && b != '}' && class[b]&space == 0 {
				st.decl, st.depth, st.colon = st.declOf(gap[k:]), 0, false
				k-- // to be read once more, as a part of it
			}
		case st.decl == declCustom:
			k += st.custom(gap[k:]) - 1
		case b == '\\':
			k++
		case b == ';' || b == '{' || b == '}':
			st.decl = declNone
		}
	}
}

// declOf returns what the strings can become of the statement that begins with text. Of a name no more counts than
// is always there when it is read.
func (st *cssState) declOf(text []byte) cssDecl {
	switch text[0] {
	case '-':
		if len(text) > 1 && (text[1] == '-' && (len(text) == 2 || text[2] != '>') || text[1] == '\\') {
			return declCustom
		}
	case '\\':
		return declCustom // whatever it spells
	case '@', 'r', 'R', 'i', 'I':
		end := 1
		for end < min(len(text), maxCSSName) && (isName[text[end]] || text[end] == '\\') {
			end++
		}
		name := text[:end]
		if bytes.IndexByte(name, '\\') >= 0 || st.typed && (equalFold(name, "initial-value") || equalFold(name, "result") ||
			equalFold(name, "@function") || equalFold(name, "@mixin") || equalFold(name, "@apply")) {
			return declCustom
		}
	}
	return declOther
}
