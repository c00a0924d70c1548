package rewriter

import (
	"bytes"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// maxReference is the longest host and path that is cut from script text, in bytes.
const maxReference = 512

// findLoader looks for a call in script text that loads a blocked service: a reference to one of
// its hosts, in a script that has some means to fetch. It hops from slash to slash and reads the
// host backwards, since what precedes the host may be computed ('https://ssl' or 'http://www'
// before '.google-analytics.com/ga.js').
func (r *Rewriter) findLoader(at int, text []byte) rules.Decision {
	fetches := unknown
	var unclassified rules.Decision
	for i := 0; ; i++ {
		j := bytes.IndexByte(text[i:], '/')
		if j < 0 {
			break
		}
		i += j
		from, end, path := i, i, text[i:] // of the host; the path
		if i > 0 && text[i-1] == '/' || i > 1 && text[i-2] == '/' && text[i-1] == '\\' {
			// A host without a path: 'https://s.example' + '/x.js'.
			from = i + 1
			for end = from; end < len(text) && hostChar[text[end]]; end++ {
			}
			if end == len(text) || !isQuote(text[end]) || hostStart(text, end) != from {
				continue
			}
			path = nil
		} else {
			if end > 0 && text[end-1] == '\\' {
				end--
			}
			if from = hostStart(text, end); from == end {
				continue
			}
		}
		ref := append(r.scratch[:0], "//"...)
		ref = append(ref, text[from:end]...)
		ref = appendPath(ref, path)
		r.scratch = ref
		res := rules.Resource{Kind: rules.KindInlineScript, URL: str(ref), Page: r.page}
		d := r.o.Policy.Decide(res)
		if d.Action != rules.Block {
			if d.Unclassified && unclassified.Rule == "" {
				unclassified = d
				unclassified.Host = strings.Clone(d.Host)
			}
			// Any path of a service's host loads it where it is handed to something that fetches,
			// or where more is put behind it.
			if !isFetched(text[:from]) && !isPrefix(text[from:], ref, text[:from]) {
				continue
			}
			asked := res
			asked.Kind = rules.KindScript
			if d = r.o.Policy.Decide(asked); d.Action != rules.Block || d.Service == "" {
				continue
			}
		}
		if fetches == unknown {
			if fetches = no; canFetch(text) {
				fetches = yes
			}
		}
		if fetches == no {
			return rules.Decision{}
		}
		r.record(at, res, d)
		return d
	}
	if unclassified.Unclassified && canFetch(text) {
		r.record(at, rules.Resource{Kind: rules.KindInlineScript, URL: "//" + unclassified.Host, Page: r.page}, unclassified)
	}
	return rules.Decision{}
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// isFetched reports whether the reference behind before is handed to something that fetches it:
// assigned to src, written as src of an element, or passed to a call that fetches.
func isFetched(before []byte) bool {
	b := bytes.TrimSuffix(bytes.TrimRight(before, `/\`), []byte(":"))
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("https")), []byte("http"))
	b = bytes.TrimRight(b, "\t\n\r \\\"'`")
	if n := len(b); n > 0 && b[n-1] == '=' {
		b = bytes.TrimRight(b[:n-1], "\t\n\r ")
		return bytes.HasSuffix(b, []byte("src"))
	}
	for _, call := range calls {
		if bytes.HasSuffix(b, call) {
			return true
		}
	}
	return false
}

// calls are what fetches its first argument.
var calls = [][]byte{[]byte("fetch("), []byte("sendBeacon("), []byte("getScript("), []byte("getJSON("), []byte("$.get("),
	[]byte("$.ajax("), []byte("import("), []byte("importScripts("), []byte("import"), []byte("loadScript(")}

// isPrefix reports whether the string that the reference stands in ends behind its host or a
// slash, so that the script adds the rest of the path. A host that is only compared is none.
func isPrefix(text, ref, before []byte) bool {
	n := len(ref) - len("//")
	if n > len(text) {
		return false
	}
	for n < len(text) && (text[n] == '\\' || text[n] == '/') {
		n++
	}
	if n >= len(text) || !isQuote(text[n]) || ref[len(ref)-1] != '/' && bytes.IndexByte(ref[2:], '/') >= 0 {
		return false
	}
	b := bytes.TrimRight(before, `/\`)
	b = bytes.TrimSuffix(bytes.TrimSuffix(bytes.TrimSuffix(b, []byte(":")), []byte("https")), []byte("http"))
	b = bytes.TrimRight(b, "\t\n\r \\\"'`")
	if bytes.HasSuffix(b, []byte("==")) {
		return false
	}
	after := bytes.TrimLeft(text[n+1:], "\t\n\r )")
	return len(after) > 0 && (after[0] == '+' || after[0] == ':' || after[0] == ';' || bytes.HasPrefix(after, []byte(".concat")) ||
		bytes.HasPrefix(after, []byte(".replace")))
}

// hostChar are the bytes of a host name in script text.
var hostChar = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
	}
	return t
}()

// hostStart returns where the host name that ends at end begins, or end if there is none with a dot.
func hostStart(text []byte, end int) int {
	if end == 0 || !isLetter(text[end-1]) {
		return end
	}
	i, dot := end, -1
	for i > 0 && hostChar[text[i-1]] && end-i < 254 {
		i--
		if text[i] == '.' {
			dot = i
		}
	}
	if dot < 0 || dot+1 == end {
		return end
	}
	for i < end && (text[i] == '.' || text[i] == '-') {
		i++
	}
	if bytes.IndexByte(text[i:end], '.') < 0 {
		return end
	}
	return i
}

// appendPath adds the path that begins at the slash text[0] up to the end of the string it is in.
func appendPath(ref, text []byte) []byte {
	for i := 0; i < len(text) && len(ref) < maxReference; i++ {
		switch c := text[i]; c {
		case '\\':
			if i+1 < len(text) && text[i+1] == '/' {
				continue
			}
			return ref
		case '"', '\'', '`', ' ', '\t', '\n', '\r', '<', '>', ')', '(', ',', ';', '{', '}', '$':
			return ref
		default:
			ref = append(ref, c)
		}
	}
	return ref
}

// means are the words that a script which fetches something has. A script without any of them
// only mentions a host.
var means = [][]byte{
	[]byte("createElement"), []byte(".src"), []byte("document.write"), []byte("import"), []byte("fetch("),
	[]byte("XMLHttpRequest"), []byte("sendBeacon"), []byte("new Image"), []byte("insertAdjacentHTML"), []byte("innerHTML"),
	[]byte("getScript"), []byte("loadScript"), []byte("ajax("), []byte("WebSocket("), []byte("EventSource("),
	[]byte("require("), []byte("['src']"), []byte(`["src"]`), []byte(`"src",`), []byte("'src',"), []byte("$.get"),
	[]byte("addScript"), []byte("injectScript"), []byte("appendScript"), []byte("load("),
}

func canFetch(text []byte) bool {
	for _, m := range means {
		if bytes.Contains(text, m) {
			return true
		}
	}
	return false
}
