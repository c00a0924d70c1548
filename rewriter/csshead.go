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
	// Where other scanners are in a comment, this one is between rules. What goes in there ends it.
	within bool
	ahead  int // how far its position is ahead of what is held
	rule   headAt
}

// headAt is where it stands in a rule with a value. Offsets are from the rule's first byte, 0 if they are not known.
type headAt struct {
	part       headPart
	seen       int     // how much of the rule has been read
	value, end int     // of its value
	first      byte    // of its value
	last       [2]byte // read of it, the later one first
	broken     bool    // for scanners that end it at the first semicolon
	semicolon  bool    // has just been read, which is that one
}

type headPhase uint8

const (
	headRules headPhase = iota // between rules
	headComment
	headName  // in the name of a rule that has no value
	headAfter // behind that name
	headRest  // in a rule too long to hold
)

type headPart uint8

const (
	headSpace  headPart = iota // in front of the value
	headValue                  // up to white space, or to a semicolon behind what is closed
	headBehind                 // in front of a layer
	headLayer                  // up to white space
	headMore                   // up to the semicolon
)

// scanHead reads one rule from offset p on. It returns where it stands, up to where the text may
// be read by others, and whether there is more to look at.
func (c *cssText) scanHead(p, to int) (pos, limit int, more bool) {
	h, src := &c.st.head, c.src
	for p < to {
		b := src[p]
		switch h.phase {
		case headComment:
			if h.within {
				h.within = false
				c.headRefuse(p)
			}
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
		case headRest:
			at := &h.rule
			if at.semicolon {
				at.semicolon = false
				c.headRefuse(p)
			}
			switch at.next(b) {
			case headGoesOn:
				if at.semicolon = b == ';' && !at.broken; at.semicolon {
					at.broken = true
				}
			case headEnds:
				h.phase, h.rule = headRules, headAt{}
			case headStops:
				h.done = true
				return to, to, false
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
	if !imports && !equalFold(src[name:end], "charset") && !equalFold(src[name:end], "layer") {
		h.phase = headName
		return end, true
	}
	at := &h.rule
	k := max(end, p+at.seen)
	for ; k < to; k++ {
		was := at.part
		does := at.next(src[k])
		switch {
		case does == headStops:
			h.done = true
			return k, true
		case does == headEnds:
			c.headValue(p, k, imports)
			return k + 1, true
		case was == headSpace && at.part == headValue:
			at.value = k - p
			if !imports {
				at.first = 0
			}
		case was == headValue && at.part == headBehind:
			at.end = k - p
		}
	}
	if at.seen = k - p; !c.final {
		return p, false
	}
	c.headValue(p, to, imports)
	return to, true
}

// headDoes is what a byte does to a rule.
type headDoes uint8

const (
	headGoesOn headDoes = iota
	headEnds
	headStops // the scanner altogether
)

// next reads one more byte of a rule. Within the value of an @import, a semicolon ends the rule only behind what closes the
// value. The scanner is not handed any NUL.
func (h *headAt) next(b byte) headDoes {
	isSpace := class[b]&space != 0
	switch {
	case b == 0:
		return headGoesOn
	case b == ';' && (h.part != headValue || h.first == 0 || h.closed()):
		return headEnds
	case (h.part == headSpace || h.part == headBehind) && !isSpace:
		if b == '{' {
			return headStops
		}
		if h.part++; h.part == headValue {
			h.first, h.last = b, [2]byte{b}
		}
		return headGoesOn
	case (h.part == headValue || h.part == headLayer) && isSpace:
		h.part++
	case h.part == headMore && b == '{':
		return headStops
	}
	h.last = [2]byte{b, h.last[0]}
	return headGoesOn
}

// closed reports whether what closes a value stands at its end.
func (h *headAt) closed() bool {
	if h.last[1] == 0 || h.last[1] == '\\' {
		return false
	}
	if h.first == '"' || h.first == '\'' {
		return h.last[0] == h.first
	}
	return h.last[0] == ')'
}

// headValue decides on the value of the rule src[p:end].
func (c *cssText) headValue(p, end int, imports bool) {
	at := c.st.head.rule
	c.st.head.rule = headAt{}
	if !imports || at.value == 0 {
		return
	}
	v, e := p+at.value, end
	if at.end > 0 {
		e = p + at.end
	}
	c.headURL(v, e)
	if q := bytes.IndexByte(c.src[v:e], ';'); q >= 0 && c.headBroken(v+q+1, end) {
		h := &c.st.head
		h.phase, h.within = headComment, true
	}
}

// headBroken reads src[p:end], of which the first byte stands behind a semicolon in a value: to other scanners, WebKit's
// among them, that ends the rule. It reports whether the end is in a comment.
func (c *cssText) headBroken(p, end int) bool {
	src := c.src[:end]
	for p < end {
		switch b := src[p]; {
		case class[b]&space != 0:
			p++
			continue
		case b == '/' && p+1 < end && src[p+1] == '*':
			j := bytes.Index(src[p+2:], []byte("*/"))
			if j < 0 {
				return true
			}
			p += j + 4
			continue
		case b != '/' && b != '@':
			return false
		case b == '/' || p+1 == end || !isLetter(src[p+1]):
			p += 2
			continue
		}
		name := p + 1
		for p < end && src[p] != ';' && class[src[p]]&space == 0 {
			p++
		}
		imports := equalFold(src[name:p], "import")
		semi := bytes.IndexByte(src[p:], ';')
		if semi < 0 {
			semi = end
		} else {
			semi += p
		}
		v := p
		for v < semi && class[src[v]]&space != 0 {
			v++
		}
		e := v
		for e < semi && class[src[e]]&space == 0 {
			e++
		}
		switch {
		case v < semi && (src[v] == '{' || bytes.IndexByte(src[e:semi], '{') >= 0 || !imports && !equalFold(src[name:p], "charset")):
			return false
		case imports:
			c.headURL(v, e)
		}
		p = semi + 1
	}
	return false
}

// headURL decides on the value src[i:end] of an @import rule. Chromium's scanner also takes for a value what it has of one at
// the end of any piece of text.
func (c *cssText) headURL(i, end int) {
	from, to, quote := c.headStrip(i, end)
	if from >= to {
		return
	}
	url := c.src[from:to]
	if bytes.IndexByte(url, 0) >= 0 {
		url = bytes.ReplaceAll(url, []byte{0}, nil) // the scanner is not handed any NUL
	} else {
		c.scanner, c.scannerEnd = from, to
	}
	if quote == 0 && namesHost(url) { // any part of whose name may be another
		c.headRefuse(from)
		return
	}
	if k := bytes.IndexByte(url, quote); quote != 0 && k > 0 {
		if c.judge(from, from+k, url[:k], true); c.r.hasEdit(c.offset(from)) {
			return
		}
	}
	c.judge(from, to, url, true)
}

// headStrip takes from the value src[i:end] what the scanner does, and returns the byte that closes it, 0 if there is none.
func (c *cssText) headStrip(i, end int) (from, to int, quote byte) {
	src := c.src
	if end-i >= 5 && equalFold(src[i:i+3], "url") && src[i+3] == '(' && src[end-1] == ')' {
		i, end, quote = i+4, end-1, ')'
	}
	if end-i >= 2 && src[i] == src[end-1] && (src[i] == '"' || src[i] == '\'') {
		return i + 1, end - 1, src[i]
	}
	return i, end, quote
}

// namesHost reports whether a URL without spaces may have a host of its own.
func namesHost(url []byte) bool {
	for len(url) > 0 && url[0] <= ' ' {
		url = url[1:]
	}
	isSlash := func(b byte) bool { return b == '/' || b == '\\' }
	if len(url) > 1 && isSlash(url[0]) && isSlash(url[1]) {
		return true
	}
	for i, b := range url {
		if b == ':' {
			return i > 0
		}
		if !isLetter(b) && (i == 0 || (b < '0' || b > '9') && b != '+' && b != '-' && b != '.') {
			break
		}
	}
	return false
}

// headGiveUp lets go of the rule that the scanner stands at, which is too long to hold with what begins at i.
func (c *cssText) headGiveUp(i, to int) {
	h, src := &c.st.head, c.src
	p := i + h.ahead
	at := &h.rule
	imports := p+len("@import") <= to && equalFold(src[p+1:p+len("@import")], "import")
	h.phase, h.ahead = headRest, to-i
	switch {
	case !imports:
	case at.part == headSpace: // what comes is no value any more
		c.headRefuse(to - 1)
		at.part = headBehind
	case at.part > headValue:
		c.headURL(p+at.value, p+at.end)
	default:
		v := p + at.value
		if q := bytes.IndexByte(src[v:to], ';'); q >= 0 {
			if at.broken = true; v+q+1 < to {
				c.headRefuse(v + q + 1)
			} else {
				at.semicolon = true
			}
		}
		if equalFold(src[v:min(v+4, to)], "url(") {
			v += len("url(")
		}
		if v < to && (src[v] == '"' || src[v] == '\'') {
			v++
		}
		if v == to {
			v, at.first = p+at.value, 'a' // of what goes in
		}
		c.headRefuse(v)
	}
	at.seen, at.value, at.end = 0, 0, 0
}

// headRefuse puts what the scanner reads from src[i] on out of use.
func (c *cssText) headRefuse(i int) {
	if c.r.o.Policy.AllAllowed() || bytes.HasPrefix(c.src[i:], []byte(inertSheet)) {
		return
	}
	d := ambiguous("ambiguous:import")
	c.r.record(c.offset(i), rules.Resource{Kind: rules.KindStyle, Page: c.r.page}, d)
	c.refuse(i, d, true)
}
