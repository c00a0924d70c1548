package rewriter

import "bytes"

// nextCandidate takes the first image candidate's URL from a srcset value and returns what
// follows the candidate (HTML Standard, 4.8.4.3.9, "parse a srcset attribute"). An empty URL
// means there is none left.
func nextCandidate(v []byte) (url, rest []byte) {
	i := 0
	for i < len(v) && (class[v[i]]&space != 0 || v[i] == ',') {
		i++
	}
	v = v[i:]
	n := 0
	for n < len(v) && class[v[n]]&space == 0 {
		n++
	}
	url, rest = v[:n], v[n:]
	if trimmed := bytes.TrimRight(url, ","); len(trimmed) < len(url) {
		return trimmed, rest
	}
	depth := 0
	for i, c := range rest {
		switch {
		case c == '(':
			depth = 1 // nested parentheses do not count
		case c == ')':
			depth = 0
		case c == ',' && depth == 0:
			return url, rest[i+1:]
		}
	}
	return url, nil
}
