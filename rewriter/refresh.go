package rewriter

// RefreshURL returns the URL of a meta refresh content attribute or a Refresh header, or nil if
// it names none (HTML Standard, 4.2.5.3.4, "shared declarative refresh steps").
func RefreshURL(v []byte) []byte {
	i := skip(v, 0, spaces)
	digits := i
	for i < len(v) && '0' <= v[i] && v[i] <= '9' {
		i++
	}
	if i == digits && (i == len(v) || v[i] != '.') {
		return nil
	}
	for i < len(v) && ('0' <= v[i] && v[i] <= '9' || v[i] == '.') {
		i++
	}
	if i < len(v) && v[i] != ';' && v[i] != ',' && class[v[i]]&space == 0 {
		return nil
	}
	i = skip(v, i, spaces)
	if i < len(v) && (v[i] == ';' || v[i] == ',') {
		i++
	}
	i = skip(v, i, spaces)
	if i+3 <= len(v) && equalFold(v[i:i+3], "url") {
		if j := skip(v, i+3, spaces); j < len(v) && v[j] == '=' {
			i = skip(v, j+1, spaces)
		}
	}
	if i >= len(v) {
		return nil
	}
	if q := v[i]; q == '"' || q == '\'' {
		v = v[i+1:]
		for j, c := range v {
			if c == q {
				return v[:j]
			}
		}
		return v
	}
	return v[i:]
}

// skip returns the first offset from i on whose byte is not in set.
func skip(v []byte, i int, set string) int {
	for i < len(v) {
		in := false
		for j := range len(set) {
			if v[i] == set[j] {
				in = true
				break
			}
		}
		if !in {
			break
		}
		i++
	}
	return i
}
