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

// Filter returns the line without the pairs whose name keep refuses, byte-identical if it
// refuses none.
func Filter(line string, keep func(name string) bool) string {
	refused := false
	for rest := line; len(rest) > 0; {
		var p Pair
		if p, rest = NextPair(rest); p.Raw != "" && !keep(p.Name) {
			refused = true
			break
		}
	}
	if !refused {
		return line
	}
	var out []string
	for rest := line; len(rest) > 0; {
		var p Pair
		if p, rest = NextPair(rest); p.Raw != "" && keep(p.Name) {
			out = append(out, p.Raw)
		}
	}
	return strings.Join(out, "; ")
}
