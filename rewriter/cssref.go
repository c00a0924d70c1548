package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// reference decides on the URL src[i:end] of a string, or of an unquoted url(), which may turn out
// to be a bad one.
func (c *cssText) reference(i, end int, bare bool) {
	if c.st.named != notNamed {
		return
	}
	src := c.src
	if bare {
		for end > i && class[src[end-1]]&space != 0 && !escaped(src[i:end-1]) {
			end--
		}
	}
	if i >= end {
		return
	}
	url := src[i:end]
	if bare && len(url) < 4096 && badURL(url) {
		if c.st.imported {
			c.badImport(i)
		}
		return
	}
	imported := c.st.imported
	if bytes.IndexByte(url, '\\') >= 0 || bytes.IndexByte(url, 0) >= 0 {
		if imported && bytes.IndexByte(url, '\\') >= 0 { // as Firefox's scanner reads it, which knows no escapes
			raw := url
			if q := bytes.IndexAny(raw, `"'`); q > 0 {
				raw = raw[:q]
			}
			c.judge(i, end, raw, true)
		}
		r, n := c.r, len(c.r.plain)
		r.plain = unescapeCSS(r.plain, url, bare)
		url = r.plain[n:]
		defer func() { r.plain = r.plain[:n] }()
	} else if i == c.scanner && end == c.scannerEnd {
		return // decided already
	}
	c.judge(i, end, url, imported)
}

// badImport puts the URL at i behind @import out of use, which is broken off by a newline or has what none may have:
// browsers fetch none, but Firefox's scanner does, up to what closes it. It goes by letters, not by tokens.
func (c *cssText) badImport(i int) {
	if c.r.o.Policy.AllAllowed() || bytes.HasPrefix(c.src[i:], []byte(inertSheet)) {
		return
	}
	d := ambiguous("ambiguous:import")
	c.r.record(c.offset(i), rules.Resource{Kind: rules.KindStyle, Page: c.r.page}, d)
	c.refuse(i, d, true)
}

// escaped reports whether what follows v is escaped by a backslash at its end.
func escaped(v []byte) bool {
	n := len(v)
	for n > 0 && v[n-1] == '\\' {
		n--
	}
	return (len(v)-n)%2 == 1
}

// judge decides on a URL that is spelled src[i:end].
func (c *cssText) judge(i, end int, url []byte, imported bool) {
	kind := c.kind()
	if imported {
		kind = rules.KindStyle
	}
	if kind == c.keptKind && string(url) == string(c.kept) {
		return
	}
	at := c.owner
	if at < 0 {
		at = c.offset(i)
	}
	if schemeOf(url) == schemeData {
		if imported {
			if d := c.r.judgeSheet(at, url, c.sheets); d.Action == rules.Block {
				c.refuse(i, d, true)
			}
		} else if !c.st.fontFace {
			if d := c.r.judgePart(at, url); d.Action == rules.Block {
				c.refuse(i, d, false)
			}
		}
		return
	}
	if c.parts {
		return
	}
	d := c.r.decide(at, kind, url)
	switch {
	case d.Action == rules.Block:
		c.refuse(i, *d, imported)
	case !d.Unclassified && len(url) > 0 && &url[0] == &c.src[i]: // it is no decoded copy
		c.keptKind, c.kept = kind, url
	}
}

// refuse puts the URL at i out of use.
func (c *cssText) refuse(i int, d rules.Decision, sheet bool) {
	if !c.dry {
		prefix := inert
		if sheet {
			prefix = inertSheet
		}
		if at := c.offset(i); sheet || !c.r.hasEdit(at) { // to another reading it may be a sheet
			c.r.insert(at, prefix)
		}
	}
	if !c.blocked {
		c.blocked, c.first = true, d
	}
}

func (c *cssText) offset(i int) int {
	if c.offsets != nil {
		i = int(c.offsets[i])
	}
	return c.at + i
}

// badURL reports whether an unquoted URL, without the space around it, is a bad-url token, which
// names nothing (CSS Syntax Level 3, 4.3.6).
func badURL(v []byte) bool {
	for i := 0; i < len(v); i++ {
		switch b := v[i]; {
		case b == '"', b == '\'', b == '(', b == 0x7f, b != 0 && b <= ' ':
			return true
		case b == '\\':
			if i+1 < len(v) && isNewline(v[i+1]) {
				return true
			}
			if i+1 < len(v) {
				i = escapeEnd(v, i) - 1
			}
		}
	}
	return false
}

// passes reports whether the URL that begins at i and goes on after the window needs no decision:
// it holds its own contents, and that is no style sheet, and no document of which a part may be taken.
func (c *cssText) passes(i, to int) bool {
	return c.st.named != notNamed || !c.st.imported && schemeOf(c.src[i:min(to, i+64)]) == schemeData && (c.st.fontFace || !mayBeXML(c.src[i:to]))
}

// giveUp passes a construct that is too long to hold, up to the end of the window. A URL is put
// out of use unless it is certain what its rest cannot change.
func (c *cssText) giveUp(i, to int) (n int) {
	st := c.st
	defer func() { st.apart = max(0, st.apart-(n-i)) }()
	if st.url == 0 {
		if st.imported && st.head.done && i < to && c.src[i]|0x20 == 'u' { // a name that goes on behind markup
			c.badImport(i)
			st.imported = false
		}
		if !st.head.done {
			c.headGiveUp(i, to)
		}
		return i
	}
	src, pos := c.src, i+st.head.ahead
	if !st.head.done {
		to = pos // the scanner's reading stays ahead
	}
	url := i + st.url
	quote := src[url-1]
	v := src[url:to]
	for len(v) > 0 && v[0] <= ' ' {
		v = v[1:]
	}
	switch {
	case len(v) > 0 && v[0] != '/' && v[0] != '\\' && !isLetter(v[0]): // a path, whatever follows
	case !st.imported && schemeOf(v) == schemeData:
	default:
		d := ambiguous("ambiguous:style-length")
		if st.imported {
			d = ambiguous("ambiguous:import") // as what another reading finds there
		}
		c.r.record(c.offset(url), rules.Resource{Kind: st.ref, Page: c.r.page}, d)
		c.refuse(url, d, st.imported)
	}
	st.imported, st.named, st.url, st.scanned = false, notNamed, 0, 0
	if st.mode = cssURL; quote == '"' || quote == '\'' {
		st.mode, st.quote = cssString, quote
		if st.set > 0 && src[i] != quote {
			st.set++ // for the parenthesis that closes url()
		}
	}
	if st.decl == declNone {
		st.decl = declOther
	}
	n = c.resume(url, to)
	if !st.head.done {
		st.head.ahead = pos - n
	}
	return n
}

// maxSheets bounds style sheets in data: URLs that import each other.
const maxSheets = 4

// judgeSheet decides on a data: URL that is read as a style sheet. Its type does not matter: in
// quirks mode browsers read any. The URL is blocked as a whole if anything in it is.
func (r *Rewriter) judgeSheet(at int, url []byte, sheets int) rules.Decision {
	if isPath(url) && !r.o.Policy.AllAllowed() {
		return r.recordPath(at, rules.KindStyle)
	}
	d := r.judgeSheetAs(at, url, sheets, false)
	if d.Action != rules.Block && hasBreaks(url) {
		d = r.judgeSheetAs(at, url, sheets, true)
	}
	return d
}

func (r *Rewriter) judgeSheetAs(at int, url []byte, sheets int, breaks bool) rules.Decision {
	defer r.dropData(len(r.data))
	defer r.setPage(r.page)
	r.dropBase()
	_, body, ok := r.parseData(url, breaks)
	if !ok {
		return rules.Decision{}
	}
	if !r.o.Policy.AllAllowed() && (mayBeOther(body) || mayHide(body)) {
		return r.recordCharset(at) // whatever the URL, the element or the page around it says of its encoding
	}
	if sheets >= maxSheets {
		d := ambiguous("ambiguous:nesting")
		r.record(at, rules.Resource{Kind: rules.KindStyle, Page: r.page}, d)
		return d
	}
	// What a record shows of the sheet's URLs belongs to the place of the sheet.
	c := cssText{r: r, at: at, owner: at, src: body, st: new(cssState), final: true, dry: true, sheets: sheets + 1}
	c.scan(0, len(body))
	return c.first
}
