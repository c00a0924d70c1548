package rewriter

import (
	"bytes"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// maxReference is the longest host and path that is cut from script text, in bytes.
const (
	maxReference   = 512
	shortReference = 64
)

// findLoader looks for a call in script text that loads a blocked service: a reference to one of
// its hosts, in a script that has some means to fetch. It hops from slash to slash and reads the
// host backwards, since what precedes the host may be computed ('https://ssl' or 'http://www'
// before '.google-analytics.com/ga.js').
func (r *Rewriter) findLoader(at int, text []byte) rules.Decision {
	return r.findReference(at, text, unknown)
}

// findReference is findLoader for a script of which it may be known whether it has means to fetch.
func (r *Rewriter) findReference(at int, text []byte, fetches answer) rules.Decision {
	var unclassified rules.Decision
	run := pathRun{text: text}
	spent := 0
	base := len(r.plain)
	var last keptReference
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
			for end = from; end < len(text) && (hostChar[text[end]] || text[end] == ':'); end++ {
			}
			if end == len(text) || !isQuote(text[end]) && text[end] != '?' && text[end] != '#' {
				continue
			}
			if end = hostEnd(text, end); hostStart(text, end) != from {
				continue
			}
			path = nil
		} else {
			if end > 0 && text[end-1] == '\\' {
				end--
			}
			end = hostEnd(text, end)
			if from = hostStart(text, end); from == end {
				continue
			}
		}
		// Hosts in the path of another host are read with less of their own, or this would not be linear.
		limit := maxReference
		if spent > 4*i+64<<10 {
			limit = shortReference
		}
		again := path != nil && last.again(text[from:], end-from, limit)
		if !again {
			known := r.known(text[from:end])
			if !known && (unclassified.Unclassified || path == nil || !run.isScript(i)) {
				continue // at most unclassified, which is on record once
			}
			ref := append(r.plain[:base], "//"...)
			ref = appendLower(ref, text[from:end]) // or Decide would make a copy of it
			ref, n := appendPath(ref, path, limit)
			r.plain = ref[:base]
			last = keptReference{ref: ref[base:], host: end - from, limit: limit}
			if known && n >= 0 {
				last.text = text[from : len(text)-len(path)+n]
			}
		}
		ref := last.ref
		spent += len(ref)
		res := rules.Resource{Kind: rules.KindInlineScript, URL: str(ref), Page: r.network}
		var d rules.Decision
		if !again {
			d = r.o.Policy.Decide(res)
		}
		if d.Action != rules.Block {
			if r.o.Saw != nil {
				r.o.Saw(res.URL)
			}
			if d.Unclassified {
				last.text = nil
				if !unclassified.Unclassified {
					unclassified = d
					r.host = append(r.host[:0], d.Host...)
					unclassified.Host = str(r.host)
				}
			}
			// Any path of a service's host loads it where it is handed to something that fetches,
			// or where more is put behind it.
			if last.script || !isFetched(text[:from]) && !isPrefix(text[from:], ref, text[:from]) {
				continue
			}
			asked := res
			asked.Kind = rules.KindScript
			if d = r.o.Policy.Decide(asked); d.Action != rules.Block || d.Service == "" {
				last.script = true
				continue
			}
		}
		if fetches == unknown {
			fetches = canFetch(text)
		}
		if fetches == no && !bytes.HasSuffix(beforeURL(text[:from]), []byte("url(")) {
			last.text = nil
			continue
		}
		r.record(at, res, d)
		return d
	}
	if unclassified.Unclassified && canFetch(text) == yes {
		r.plain = append(append(r.plain, "//"...), unclassified.Host...)
		r.record(at, rules.Resource{Kind: rules.KindInlineScript, URL: str(r.plain[base:]), Page: r.network}, unclassified)
		r.plain = r.plain[:base]
	}
	return rules.Decision{}
}

// keptReference is the reference to a known host that was kept last. Scripts repeat them.
type keptReference struct {
	text   []byte // all that it was read from; nil if it counts only once
	host   int    // length of the host in text
	limit  int    // ref was read up to this length
	ref    []byte
	script bool // it is kept as the source of a script too
}

// again reports whether the same reference begins text.
func (k *keptReference) again(text []byte, host, limit int) bool {
	return k.text != nil && k.host == host && k.limit == limit && bytes.HasPrefix(text, k.text)
}

// known reports whether anything is known about the host. One with a capital is left to Decide.
func (r *Rewriter) known(host []byte) bool {
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			return true
		}
	}
	return r.o.Policy.Knows(str(host), r.page)
}

// pathRun finds the ends of paths in script text. The paths of hosts that follow each other without
// the end of a string have one end, which is looked for once.
type pathRun struct {
	text []byte
	end  int // of the paths that begin before it
}

// isScript reports whether the path that begins at i ends, or goes on with a query, behind .js or
// .mjs.
func (p *pathRun) isScript(i int) bool {
	if i >= p.end {
		p.end = i
		for p.end < len(p.text) && (!pathEnd[p.text[p.end]] || bytes.HasPrefix(p.text[p.end:], []byte(`\/`))) {
			p.end++
		}
	}
	return bytes.HasSuffix(p.text[i:p.end], []byte("js"))
}

// pathEnd are the bytes that end a path in script text, or the part of it that names a file.
var pathEnd = func() (t [256]bool) {
	for _, c := range "\"'` \t\n\r<>)(,;{}$?#" {
		t[c] = true
	}
	return t
}()

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// isFetched reports whether the reference behind before is handed to something that fetches it:
// assigned to src, written as src of an element, or passed to a call that fetches.
func isFetched(before []byte) bool {
	b := beforeURL(before)
	n := len(b)
	if n == 0 {
		return false
	}
	switch b[n-1] {
	case '=':
		for n--; n > 0 && class[b[n-1]]&space != 0; n-- {
		}
		return bytes.HasSuffix(b[:n], []byte("src"))
	case 'm': // the module of an import or export, which stands in quotes; in a comment none do
		q := bytes.TrimLeft(before[n:], spaces)
		return len(q) > 0 && isQuote(q[0]) && bytes.HasSuffix(b, []byte("from"))
	case '(', 't':
		for _, call := range calls {
			if bytes.HasSuffix(b, call) {
				return true
			}
		}
	}
	return false
}

// beforeURL cuts off the begin of a URL in front of its host, and the quote and space before it.
func beforeURL(b []byte) []byte {
	n := len(b)
	for n > 0 && (b[n-1] == '/' || b[n-1] == '\\') {
		n--
	}
	if n > 0 && b[n-1] == ':' {
		n--
	}
	for _, s := range [...]string{"https", "http"} {
		if n >= len(s) && string(b[n-len(s):n]) == s {
			n -= len(s)
		}
	}
	for n > 0 && (class[b[n-1]]&space != 0 || isQuote(b[n-1]) || b[n-1] == '\\') {
		n--
	}
	return b[:n]
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
	if bytes.HasSuffix(beforeURL(before), []byte("==")) {
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

// hostEnd returns where the host name ends that has a port, or the dot of a whole name, between it and end.
func hostEnd(text []byte, end int) int {
	n := end
	for n > 0 && end-n < len("65535") && '0' <= text[n-1] && text[n-1] <= '9' {
		n--
	}
	if n < end && n > 0 && text[n-1] == ':' {
		end = n - 1
	}
	if end > 0 && text[end-1] == '.' {
		end--
	}
	return end
}

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

func appendLower(dst, host []byte) []byte {
	for _, c := range host {
		dst = append(dst, lower[c])
	}
	return dst
}

// appendPath adds the path that begins at the slash text[0] up to the end of the string it is in,
// or until ref has limit bytes. It returns how many bytes of text it has gone by, -1 if the text
// ended it.
func appendPath(ref, text []byte, limit int) ([]byte, int) {
	for i := 0; ; {
		j, end := i, min(len(text), i+limit-len(ref))
		for j < end && !refStop[text[j]] {
			j++
		}
		ref = append(ref, text[i:j]...)
		switch {
		case j == len(text):
			return ref, -1
		case len(ref) >= limit:
			return ref, j
		case text[j] != '\\':
			return ref, j + 1
		case j+1 == len(text):
			return ref, -1
		case text[j+1] != '/':
			return ref, j + 2
		}
		i = j + 1
	}
}

// refStop are the bytes at which a path in script text ends, or that a slash is escaped with.
var refStop = func() (t [256]bool) {
	for _, c := range "\\\"'` \t\n\r<>)(,;{}$" {
		t[c] = true
	}
	return t
}()

// means are the words that a script which fetches something has. A script without any of them
// only mentions a host.
var means = []string{
	"createElement", ".src", "document.write", "import", "fetch(", "XMLHttpRequest", "sendBeacon", "new Image",
	"insertAdjacentHTML", "innerHTML", "getScript", "loadScript", "ajax(", "WebSocket(", "EventSource(", "require(", "['src']",
	`["src"]`, `"src",`, "'src',", "$.get", "addScript", "injectScript", "appendScript", "load(", "export ", "export*", "export{", "fetch (",
}

// meansAt has, for each pair of bytes that is rare in scripts and stands in some of the means, how
// far in front of it they begin.
var meansAt = func() (t [256][]mean) {
	for _, m := range means {
		at := 0
		for _, rare := range []string{"eE", "t.w", "mp", "h(", "pR", "dB", "w I", "HT", "Sc", "x(", "bS", "tS", "e(", "src", "$.", "d(", "xp", "tc"} {
			if at = strings.Index(m, rare); at >= 0 {
				break
			}
		}
		pair := uint16(m[at]) | uint16(m[at+1])<<8
		t[pairSlot(pair)] = append(t[pairSlot(pair)], mean{m, at})
		meansPair[pair>>6] |= 1 << (pair & 63)
	}
	return t
}()

func pairSlot(pair uint16) byte { return byte(pair * 40503 >> 8) }

type mean struct {
	word string
	at   int // offset of the pair
}

// meansPair is the set of the pairs.
var meansPair [1 << 16 / 64]uint64

func canFetch(text []byte) answer {
	for i := 0; i+1 < len(text); i++ {
		pair := uint16(text[i]) | uint16(text[i+1])<<8
		if meansPair[pair>>6]&(1<<(pair&63)) == 0 {
			continue
		}
		for _, m := range meansAt[pairSlot(pair)] {
			if from := i - m.at; from >= 0 && from+len(m.word) <= len(text) && string(text[from:from+len(m.word)]) == m.word {
				return yes
			}
		}
	}
	return no
}
