package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// maxReference is the longest host and path that is cut from script text, in bytes.
const maxReference = 512

// findLoader looks for a call in script text that loads a blocked service: a reference to one of
// its hosts with a path, in a script that has some means to fetch. It hops from slash to slash
// and reads the host backwards, since what precedes the host may be computed ('https://ssl' or
// 'http://www' before '.google-analytics.com/ga.js').
func (r *Rewriter) findLoader(at int, text []byte) rules.Decision {
	fetches := no
	for i := 0; ; {
		j := bytes.IndexByte(text[i:], '/')
		if j < 0 {
			return rules.Decision{}
		}
		i += j
		end := i // of the host
		if end > 0 && text[end-1] == '\\' {
			end--
		}
		from := hostStart(text, end)
		if from == end {
			i++
			continue
		}
		ref := append(r.scratch[:0], "//"...)
		ref = append(ref, text[from:end]...)
		ref = appendPath(ref, text[i:])
		r.scratch = ref
		d := r.o.Policy.Decide(rules.Resource{Kind: rules.KindInlineScript, URL: str(ref), Page: r.page})
		if d.Action == rules.Block {
			if fetches == no {
				if !canFetch(text) {
					return rules.Decision{}
				}
				fetches = yes
			}
			r.record(at, rules.Resource{Kind: rules.KindInlineScript, URL: str(ref), Page: r.page}, d)
			return d
		}
		i++
	}
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
