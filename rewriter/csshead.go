package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// cssHead is where the preload scanner stands in a style sheet. It knows no tokens: it reads bytes,
// looks for @import rules up to the first byte that begins anything else, and fetches what
// stands behind one, quoted or not, without decoding escapes.
type cssHead struct {
	phase headPhase
	done  bool // past the rules it looks at
	star  bool // in a comment, behind an asterisk
	ahead int  // how far its position is ahead of what is held
	seen  int  // of the rule that is held, how much is known to have no semicolon
}

type headPhase uint8

const (
	headRules headPhase = iota // between rules
	headComment
	headName  // in the name of a rule that is not @import
	headAfter // behind that name
	headValue // in a URL too long to hold
	headRest  // behind the URL
)

// scanHead reads one rule from offset p on. It returns where it stands, up to where the text may
// be read by others, and whether there is more to look at.
func (c *cssText) scanHead(p, to int) (pos, limit int, more bool) {
	h, src := &c.st.head, c.src
	for p < to {
		b := src[p]
		switch h.phase {
		case headComment:
			if h.star && b == '/' {
				h.phase, h.star = headRules, false
				p++
				continue
			}
			j := bytes.Index(src[p:to], []byte("*/"))
			if j < 0 {
				h.star = src[to-1] == '*'
				return to, to, false
			}
			h.phase, h.star = headRules, false
			p += j + 2
		case headName:
			if b == ';' {
				h.phase = headRules
			} else if class[b]&space != 0 {
				h.phase = headAfter
			}
			p++
		case headAfter:
			if class[b]&space != 0 {
				p++
				continue
			}
			if b != ';' {
				h.done = true
				return to, to, false
			}
			h.phase = headRules
			p++
		case headValue, headRest:
			switch {
			case b == ';':
				h.phase = headRules
			case b == '{' && h.phase == headRest:
				h.done = true
				return to, to, false
			case class[b]&space != 0:
				h.phase = headRest
			}
			p++
		default:
			switch {
			case class[b]&space != 0:
				p++
			case b == '/' || b == '@':
				if p+1 == to && !c.final {
					return p, p, false
				}
				if p+1 < to && b == '/' && src[p+1] == '*' {
					h.phase = headComment
				}
				if p+1 == to || b == '/' || !isLetter(src[p+1]) {
					p = min(p+2, to)
					continue
				}
				next, ok := c.headRule(p, to)
				if !ok {
					return p, p, false
				}
				if h.done {
					return to, to, false
				}
				return next, next, next < to
			default:
				h.done = true
				return to, to, false
			}
		}
	}
	return to, to, false
}

// headRule reads the rule whose @ stands at p and returns its end, or false if that has not come.
func (c *cssText) headRule(p, to int) (int, bool) {
	h, src := &c.st.head, c.src
	name := p + 1
	end := name
	for end < to && end-name < 8 && src[end] != ';' && class[src[end]]&space == 0 {
		end++
	}
	if end == to && !c.final {
		return p, false
	}
	imports := equalFold(src[name:end], "import")
	if !imports && !equalFold(src[name:end], "charset") {
		h.phase = headName
		return end, true
	}
	from := max(end, p+h.seen)
	semi := bytes.IndexByte(src[from:to], ';')
	if semi < 0 {
		if !c.final {
			h.seen = to - p
			return p, false
		}
		semi = to
	} else {
		semi += from
	}
	h.seen = 0
	v, e := headSplit(src, end, semi)
	if v < semi && (src[v] == '{' || bytes.IndexByte(src[e:semi], '{') >= 0) {
		h.done = true
		return semi, true
	}
	if imports {
		c.headURL(v, e)
	}
	return min(semi+1, to), true
}

// headSplit returns where the value of a rule begins and ends.
func headSplit(src []byte, v, to int) (from, end int) {
	for v < to && class[src[v]]&space != 0 {
		v++
	}
	end = v
	for end < to && class[src[end]]&space == 0 {
		end++
	}
	return v, end
}

// headURL decides on the value src[i:end] of an @import rule, stripped as the scanner does.
func (c *cssText) headURL(i, end int) {
	src := c.src
	if end-i >= 5 && equalFold(src[i:i+3], "url") && src[i+3] == '(' && src[end-1] == ')' {
		i, end = i+4, end-1
	}
	if end-i >= 2 && src[i] == src[end-1] && (src[i] == '"' || src[i] == '\'') {
		i, end = i+1, end-1
	}
	if i >= end {
		return
	}
	url := src[i:end]
	if bytes.IndexByte(url, 0) >= 0 {
		url = bytes.ReplaceAll(url, []byte{0}, nil) // the scanner is not handed any NUL
	} else {
		c.scanner, c.scannerEnd = i, end
	}
	c.judge(i, end, url, true)
}

// headGiveUp lets go of the rule that the scanner stands at, which is too long to hold with what begins at i.
func (c *cssText) headGiveUp(i, to int) {
	h, src := &c.st.head, c.src
	h.seen = 0
	end := i + h.ahead
	for end < to && class[src[end]]&space == 0 {
		end++
	}
	v, e := headSplit(src, end, to)
	h.phase, h.ahead = headRest, to-i
	switch {
	case v == to: // nothing but spaces so far
		h.phase = headValue
	case src[v] == '{' || bytes.IndexByte(src[e:to], '{') >= 0:
		h.done, h.ahead = true, 0
	case e < to:
		c.headURL(v, e)
	default:
		h.phase = headValue
		if equalFold(src[v:min(v+4, e)], "url(") {
			v += len("url(")
		}
		if v < e && (src[v] == '"' || src[v] == '\'') {
			v++
		}
		if v < e && schemeOf(src[v:min(e, v+64)]) != schemeData {
			d := ambiguous("ambiguous:import")
			c.r.record(c.offset(v), rules.Resource{Kind: rules.KindStyle, Page: c.r.page}, d)
			c.refuse(v, d, true)
		}
	}
}
