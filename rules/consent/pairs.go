package consent

import "strings"

// Pair is one name=value of a Cookie header, raw. Start and the length of Raw say where it stands.
type Pair struct {
	Name  string
	Value string
	Raw   string // without the white space around it
}

// NextPair takes the first pair off a Cookie header line and returns the rest of it. It is as
// lenient as servers are (RFC 6265, 5.4 and what is sent in practice): pairs end at a semicolon,
// a pair without = is a name.
func NextPair(line string) (p Pair, rest string) {
	raw, rest, _ := strings.Cut(line, ";")
	raw = strings.Trim(raw, " \t")
	name, value, _ := strings.Cut(raw, "=")
	return Pair{strings.TrimRight(name, " \t"), strings.Trim(value, " \t"), raw}, rest
}

// PairName returns the name by which a pair counts. Browsers keep =a=1 and a without a name and send them as a=1 and a, which
// servers take for a (RFC 6265bis, 5.6 and 5.8.3).
func PairName(pair string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(pair, "= \t"), "=")
	return strings.TrimRight(name, " \t")
}

// Filter returns the line without the pairs whose name keep refuses, byte-identical if it
// refuses none. It asks once per pair.
func Filter(line string, keep func(name string) bool) string {
	var kept []string
	refused, at := false, 0
	for rest := line; len(rest) > 0; {
		before := at
		var p Pair
		p, rest = NextPair(rest)
		at = len(line) - len(rest)
		switch {
		case p.Raw == "":
		case !keep(PairName(p.Raw)):
			if !refused {
				refused = true
				for head := line[:before]; len(head) > 0; {
					var q Pair
					if q, head = NextPair(head); q.Raw != "" {
						kept = append(kept, q.Raw)
					}
				}
			}
		case refused:
			kept = append(kept, p.Raw)
		}
	}
	if !refused {
		return line
	}
	return strings.Join(kept, "; ")
}
