package rewriter

import (
	"bytes"
	"slices"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// scriptText is an inline script being read.
type scriptText struct {
	from int  // offset of its first byte
	held bool // its start tag waits for a decision
	kind scriptKind
}

func (s *scriptText) shift(n int) { s.from -= n }

// scriptKind is what a browser, or a script optimizer on the page, does with a script element.
type scriptKind uint8

const (
	scriptData  scriptKind = iota // not run
	scriptRun                     // classic, module, or delayed by an optimizer
	scriptMap                     // import map, or a web bundle's list of contents
	scriptRules                   // speculation rules
)

// scriptElement decides on a script's source, or prepares to read its text.
func (r *Rewriter) scriptElement(rd *reader) {
	rd.script = scriptText{from: rd.pos}
	kind := r.scriptKind(rd)
	external, empty := false, false
	var first rules.Decision
	for _, a := range rd.attrs {
		switch a.id {
		case atSrc:
			// The tree builder believes the first, the scanner the first that is not blank.
			if external || rd.foreign() {
				continue
			}
			if r.blank(rd, a) {
				empty = true
				continue
			}
		case atLazySrc:
			if a.val.empty() {
				continue
			}
		case atHref, atXlinkHref:
			if a.val.empty() || !r.hrefs(rd) {
				continue
			}
		default:
			continue
		}
		external = external || a.id != atLazySrc
		if _, typed := rd.find(atType); kind != scriptRun && typed && a.id != atHref && a.id != atXlinkHref {
			continue // the preload scanner takes no notice of language, nor of any type in svg
		}
		if d := r.judge(rd.start, rules.KindScript, r.value(rd, a)); d.Action == rules.Block && first.Action != rules.Block {
			first = *d
		}
	}
	if first.Action == rules.Block {
		r.blockScript(rd, first)
		return
	}
	rd.script.kind = kind
	rd.script.held = !external && !empty && kind != scriptData && rd.roles&treeOn != 0
}

// blockScript makes a script inert: text/plain becomes its only type, and its sources go.
func (r *Rewriter) blockScript(rd *reader, d rules.Decision) {
	if r.dialect(rd) && r.blockScriptAs(rd, d) {
		return
	}
	r.mark(rd, d, ` type="text/plain"`)
	for _, a := range rd.attrs {
		switch a.id {
		case atSrc, atType, atHref, atXlinkHref, atLazySrc:
			r.insert(rd.start+int(a.name.from), renamePrefix)
		}
	}
}

// scriptKind reads the type attributes. With duplicates the scanner believes the last, the tree
// builder the first: a script counts as run if either is.
func (r *Rewriter) scriptKind(rd *reader) scriptKind {
	kind, typed, language := scriptData, false, true
	for _, a := range rd.attrs {
		switch a.id {
		case atType:
			typed = true
			if k := typeKind(r.value(rd, a)); k != scriptData && kind != scriptRun {
				kind = k
			}
		case atLanguage:
			v := r.value(rd, a)
			language = len(v) == 0 || isLanguage(v)
		}
	}
	if !typed && language {
		return scriptRun
	}
	return kind
}

// typeKind reads a type value (HTML Standard, 4.12.1.1, step 8 of "prepare the script element").
func typeKind(v []byte) scriptKind {
	if len(v) == 0 {
		return scriptRun
	}
	var low [64]byte
	v = trimType(v)
	if len(v) > len(low) {
		return scriptData
	}
	for i, c := range v {
		low[i] = lower[c]
	}
	t := str(low[:len(v)])
	switch {
	case isJavaScript(t), t == "module":
		return scriptRun
	case t == "importmap", t == "webbundle": // the latter fetches its source in Chromium
		return scriptMap
	case t == "speculationrules":
		return scriptRules
	case isDelayed(t):
		return scriptRun
	}
	return scriptData
}

// trimType takes the spaces off a type's ends: Chromium all of Unicode's, and the vertical tab. Bytes beyond
// ASCII count as spaces in any encoding, with the "@" or digit that may be their second one.
func trimType(v []byte) []byte {
	const more = spaces + "\v"
	v = bytes.Trim(v, more)
	if !slices.ContainsFunc(v, beyondASCII) {
		return v
	}
	for len(v) > 0 && (beyondASCII(v[0]) || '0' <= v[0] && v[0] <= '9' || strings.IndexByte(more+"@", v[0]) >= 0) {
		v = v[1:]
	}
	if i := slices.IndexFunc(v, beyondASCII); i >= 0 {
		v = v[:i]
	}
	return bytes.TrimRight(v, more)
}

// isJavaScript reports whether t, in lower case, is a JavaScript MIME type essence (MIME Sniffing, 4.6).
func isJavaScript(t string) bool {
	switch t {
	case "application/ecmascript", "application/javascript", "application/x-ecmascript", "application/x-javascript",
		"text/ecmascript", "text/javascript", "text/javascript1.0", "text/javascript1.1", "text/javascript1.2",
		"text/javascript1.3", "text/javascript1.4", "text/javascript1.5", "text/jscript", "text/livescript",
		"text/x-ecmascript", "text/x-javascript":
		return true
	}
	return false
}

// isLanguage reports whether text/ and a language attribute's value make such an essence.
func isLanguage(v []byte) bool {
	var buf [32]byte
	t := append(buf[:0], "text/"...)
	if len(t)+len(v) > len(buf) {
		return false
	}
	for _, c := range v {
		t = append(t, lower[c])
	}
	return isJavaScript(str(t))
}

// isDelayed reports whether t is a type that a script optimizer sets on scripts it runs later.
func isDelayed(t string) bool {
	switch t {
	case "rocketlazyloadscript", "litespeed/javascript", "text/partytown", "text/psajs", "pmdelayedscript",
		"text/delayscript", "flying-scripts", "lazyloadscript", "text/lazyloadscript", "wpfc-delayed", "perfmatters-delay":
		return true
	}
	// Cloudflare's Rocket Loader and mod_pagespeed put a key before the type.
	return strings.HasSuffix(t, "-text/javascript") || strings.HasSuffix(t, "-application/javascript") ||
		strings.HasSuffix(t, "-module") || strings.HasSuffix(t, "/javascript") || strings.HasSuffix(t, "-javascript")
}

// stepScript skips script data up to the end tag, through the escaped states (HTML Standard,
// 13.2.5.4 and 13.2.5.15 to 13.2.5.31).
func (r *Rewriter) stepScript(rd *reader) bool {
	in, i := r.in, rd.pos
	for {
		j := bytes.IndexByte(in[i:], '<')
		lt := len(in)
		if j >= 0 {
			lt = i + j
		}
		if rd.st != stScript {
			if k := bytes.Index(in[i:lt], []byte("-->")); k >= 0 {
				i, rd.st = i+k+3, stScript
				continue
			}
		}
		if lt == len(in) {
			if rd.st != stScript {
				lt = max(i, lt-2) // the end may have the begin of -->
			}
			return r.scriptCut(rd, lt)
		}
		i = lt
		switch r.wordAt(i+1, "/", "script") {
		case yes:
			if rd.st == stDouble {
				rd.st = stEscaped
				break
			}
			r.scriptEnd(rd, i)
			if k, e := r.plainEndAt(rd, i); e != 0 {
				r.plainEnd(rd, k, i, e)
				return true
			}
			rd.start, rd.endTag = i, true
			rd.pos, rd.st = i+2, stTagName
			return true
		case unknown:
			return r.scriptCut(rd, i)
		}
		switch rd.st {
		case stScript:
			switch r.hasAt(i+1, "!--") {
			case yes:
				rd.st = stEscaped
				i += 2
				continue // the dashes may belong to --> too
			case unknown:
				return r.scriptCut(rd, i)
			}
		case stEscaped:
			switch r.wordAt(i+1, "", "script") {
			case yes:
				rd.st = stDouble
			case unknown:
				return r.scriptCut(rd, i)
			}
		}
		i++
	}
}

// hasAt reports whether the window has s at i.
func (r *Rewriter) hasAt(i int, s string) answer {
	rest := r.in[i:]
	n := min(len(rest), len(s))
	if string(rest[:n]) != s[:n] {
		return no
	}
	if n < len(s) {
		return r.cutOff()
	}
	return yes
}

// scriptCut is where the window ends inside a script, which is certain up to offset i.
func (r *Rewriter) scriptCut(rd *reader, i int) bool {
	rd.pos = i
	if r.ended {
		// A script cut off by the end of the document does not run.
		rd.pos, rd.start = len(r.in), -1
		return false
	}
	if rd.script.held && i-rd.script.from > r.maxScript() {
		r.refuseScript(rd)
		rd.script.held, rd.start = false, -1
	}
	return false
}

// refuseScript blocks an inline script that is too long to search.
func (r *Rewriter) refuseScript(rd *reader) {
	d := ambiguous("ambiguous:script-length")
	r.record(rd.script.from, rules.Resource{Kind: rules.KindInlineScript, Page: r.page}, d)
	r.blockScript(rd, d)
}

// scriptEnd decides on the text of an inline script that ends at offset to.
func (r *Rewriter) scriptEnd(rd *reader, to int) {
	s := rd.script
	rd.script.held = false
	if !s.held {
		return
	}
	if to-s.from > r.maxScript() {
		r.refuseScript(rd)
		return
	}
	var d rules.Decision
	switch text := r.in[s.from:to]; s.kind {
	case scriptRun:
		d = r.findLoader(s.from, text)
	case scriptMap:
		d = r.findURL(s.from, rules.KindScript, text)
	case scriptRules:
		d = r.speculation(s.from, text)
	}
	if d.Action == rules.Block {
		r.blockScript(rd, d)
	}
}

// findURL decides on every string of a JSON text that is a URL with a host.
func (r *Rewriter) findURL(at int, kind rules.Kind, text []byte) rules.Decision {
	if r.untold && mayHideQuote(text) {
		return r.recordCharset(at)
	}
	for {
		i := bytes.IndexByte(text, '"')
		if i < 0 {
			return rules.Decision{}
		}
		text = text[i+1:]
		j := 0
		for j < len(text) && text[j] != '"' {
			if text[j] == '\\' {
				j++
			}
			j++
		}
		j = min(j, len(text))
		v := text[:j]
		if bytes.IndexByte(v, '\\') >= 0 {
			r.plain = unescapeJSON(r.plain[:0], v)
			v = r.plain
		}
		if kind == rules.KindScript && schemeOf(v) == schemeData { // a module, which may be a style sheet
			d := r.judgeData(at, kind, v)
			if d.Action != rules.Block {
				d = r.judgeSheet(at, v, 0)
			}
			if d.Action == rules.Block {
				return d
			}
		} else if u := r.withHost(v); u != nil {
			if d := r.decide(at, kind, u); d.Action == rules.Block {
				return *d
			}
		}
		text = text[min(j+1, len(text)):]
	}
}

// withHost returns v if it may name a host, nil if not. An import map's addresses are parsed without a base, so that no
// slashes are needed behind a scheme.
func (r *Rewriter) withHost(v []byte) []byte {
	if bytes.Contains(v, []byte("//")) || bytes.Contains(v, []byte(`\\`)) {
		return v
	}
	plain := r.host[:0] // as the URL Standard reads it
	for _, c := range v {
		if c != '\t' && c != '\n' && c != '\r' && (c > ' ' || len(plain) > 0) {
			plain = append(plain, c)
		}
	}
	r.host = plain
	if len(plain) > 1 && isSlash(plain[0]) && isSlash(plain[1]) {
		return plain
	}
	for _, scheme := range [...]string{"http:", "https:"} {
		if n := len(scheme); len(plain) > n && equalFold(plain[:n], scheme) {
			r.host = slices.Insert(plain, n, '/', '/')
			return r.host
		}
	}
	return nil
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

// unescapeJSON appends v without the escapes that a URL in a JSON string can have.
func unescapeJSON(out, v []byte) []byte {
	for i := 0; i < len(v); i++ {
		if v[i] != '\\' || i+1 == len(v) {
			out = append(out, v[i])
			continue
		}
		i++
		switch v[i] {
		case 'u':
			if n, ok := hexValue(v[i+1:], 4); ok {
				out = appendRune(out, n)
				i += 4
			}
		case 'n', 'r', 't':
			out = append(out, '\n')
		case 'b', 'f':
			out = append(out, ' ')
		default:
			out = append(out, v[i])
		}
	}
	return out
}
