package rules

import (
	"bytes"
	"strings"
	"sync"
	"unsafe"
)

// locationBuf is memory for a path that has to be put together.
type locationBuf []byte

// locations has them. Ordinary URLs need none.
var locations = sync.Pool{New: func() any { return new(locationBuf) }}

// maxLocation is the longest path, in bytes, of which the memory is kept.
const maxLocation = 4 << 10

// plain returns path and query of a reference that needs no resolving; they are parts of it.
func (r *reference) plain() (path, query string, ok bool) {
	end, clean := scanPath(r.tail)
	if end == 0 || !clean || r.tail[0] != '/' {
		return "", "", false
	}
	return r.tail[:end], afterMark(r.tail[end:]), true
}

// afterMark returns what follows the question mark that s begins with, if it does.
func afterMark(s string) string {
	if s == "" || s[0] != '?' {
		return ""
	}
	return s[1:]
}

// cleanQuery returns a query without the fragment behind it and without tabs and newlines.
func cleanQuery(s string) string {
	if i := strings.IndexByte(s, '#'); i >= 0 {
		s = s[:i]
	}
	return dropBreaks(s)
}

// scanQuery is cleanQuery for the query of which it also says that it is a single parameter
// without escapes.
func scanQuery(s string) (query string, single bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '#':
			return s[:i], true
		case '&', '%', '\t', '\n', '\r':
			return cleanQuery(s), false
		}
	}
	return s, true
}

// location returns path and query of a reference as a browser resolves them against the page's
// base (URL Standard, 4.4, from "relative state" on), the path with escaped letters unescaped
// (RFC 3986, 6.2.2.2), the query as it stands, for scanQuery or cleanQuery. Both are valid as long
// as buf and the reference are.
func (r *reference) location(p *Page, buf *locationBuf) (path, query string) {
	if path, query, ok := r.plain(); ok {
		return path, query
	}
	tail := r.tail
	relative := r.class == urlRelative
	if relative && (tail == "" || tail[0] == '#') {
		return p.basePath, p.baseQuery
	}
	end, _ := scanPath(tail)
	path, query = dropBreaks(tail[:end]), afterMark(tail[end:])
	if path == "" && relative {
		return p.basePath, query
	}
	out := append((*buf)[:0], '/')
	if path != "" && (path[0] == '/' || path[0] == '\\') {
		path = path[1:]
	} else if relative {
		out = append(out[:0], p.basePath[:strings.LastIndexByte(p.basePath, '/')+1]...)
	}
	out = appendSegments(out, path)
	if *buf = out[:0]; cap(out) > maxLocation {
		*buf = nil // the path has it
	}
	return unsafe.String(unsafe.SliceData(out), len(out)), query
}

// scanPath finds the end of the path that s begins with; clean says that nothing in it needs
// resolving.
func scanPath(s string) (end int, clean bool) {
	clean = true
	for i := 0; i < len(s); {
		if i+8 <= len(s) {
			w := load8(s[i:])
			dot, mark, back := w^'.'*ones, w^'?'*ones, w^'\\'*ones
			// None is lower than a dash, or in pathByte, or not ASCII.
			if ((w-'-'*ones)|(dot-ones)&^dot|(mark-ones)&^mark|(back-ones)&^back|w)&highs == 0 {
				i += 8
				continue
			}
		}
		for to := min(i+8, len(s)); i < to; i++ {
			switch pathByte[s[i]] {
			case pathEnd:
				return i, clean
			case pathDirty:
				clean = false
			case pathDot:
				if i == 0 || s[i-1] == '/' {
					clean = false
				}
			}
		}
	}
	return len(s), clean
}

const ones, highs = 0x0101010101010101, 0x8080808080808080

const (
	pathEnd   = iota + 1
	pathDirty // needs a look
	pathDot   // needs one at the beginning of a segment
)

var pathByte = [256]uint8{'?': pathEnd, '#': pathEnd, '\\': pathDirty, '\t': pathDirty, '\n': pathDirty, '\r': pathDirty, '%': pathDirty, '.': pathDot}

// appendSegments appends path to the folder out, which ends with a slash, resolving dot segments.
func appendSegments(out []byte, path string) []byte {
	for from := len(out); ; from = len(out) {
		i := 0
		for ; i < len(path) && path[i] != '/' && path[i] != '\\'; i++ {
			c := path[i]
			if c == '%' {
				if e, ok := unreserved(path, i); ok {
					c = e
					i += 2
				}
			}
			out = append(out, c)
		}
		more := i < len(path)
		switch string(out[from:]) {
		case ".":
			out = out[:from]
		case "..":
			if out = out[:from]; from > 1 {
				out = out[:bytes.LastIndexByte(out[:from-1], '/')+1]
			}
		default:
			if more {
				out = append(out, '/')
			}
		}
		if !more {
			return out
		}
		path = path[i+1:]
	}
}

// unreserved returns the letter that an escape at s[i:] stands for, where it is one that means the
// same without the escape.
func unreserved(s string, i int) (byte, bool) {
	c, ok := escaped(s, i)
	return c, ok && ('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~')
}

// maybePath reports whether the path can begin with a slash and one of those bytes; it says yes
// where that takes a longer look.
func (r *reference) maybePath(p *Page, first *[256]bool) bool {
	tail, base := r.tail, p.basePath
	end, clean := scanPath(tail)
	if !clean {
		return true
	}
	switch {
	case r.class != urlRelative || end > 0 && tail[0] == '/':
		return end > 1 && first[tail[1]]
	case end == 0:
		return len(base) > 1 && first[base[1]]
	case strings.IndexByte(base[1:], '/') >= 0:
		return first[base[1]]
	}
	return first[tail[0]]
}

// isScript reports whether the path is that of a script.
func (r *reference) isScript(p *Page) bool {
	path, _, ok := r.plain()
	if !ok {
		buf := locations.Get().(*locationBuf)
		defer locations.Put(buf)
		path, _ = r.location(p, buf)
	}
	return strings.HasSuffix(path, ".js") || strings.HasSuffix(path, ".mjs")
}
