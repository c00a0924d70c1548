package rewriter

import "bytes"

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

// LooseRefreshURL is RefreshURL as Chromium reads it: Unicode's spaces around the time and the URL do not count, and the
// last quote of the kind that opens the URL closes it. In a header any control is a space. Bytes beyond ASCII count as
// spaces in any encoding, with the "@" or digit that may be their second one.
func LooseRefreshURL(v []byte) []byte {
	i, timed := 0, false
	for i < len(v) && (v[i] <= ' ' || v[i] >= 0x80 || '0' <= v[i] && v[i] <= '9' || v[i] == '.' || v[i] == '@') {
		timed = timed || v[i] == '.' || '0' <= v[i] && v[i] <= '9'
		i++
	}
	if !timed || i == len(v) {
		return nil
	}
	if v[i] == ';' || v[i] == ',' {
		i++
	} else if v[i-1] > ' ' {
		return nil
	}
	i = skipControls(v, i)
	if i+3 <= len(v) && equalFold(v[i:i+3], "url") {
		if j := skipControls(v, i+3); j < len(v) && v[j] == '=' {
			i = skipControls(v, j+1)
		}
	}
	v = v[i:]
	if len(v) > 0 && (v[0] == '"' || v[0] == '\'') {
		q := v[0]
		v = v[1:]
		if i := bytes.LastIndexByte(v, q); i > 0 {
			v = v[:i]
		}
	}
	return trimBeyond(v)
}

// trimBeyond takes spaces, controls and characters beyond ASCII off both ends.
func trimBeyond(v []byte) []byte {
	second := func(c byte) bool { return c == '@' || '0' <= c && c <= '9' }
	for len(v) > 0 && (v[0] <= ' ' || v[0] >= 0x80) {
		n := 1
		if v[0] >= 0x80 && len(v) > 1 && second(v[1]) {
			n = 2
		}
		v = v[n:]
	}
	for n := len(v); n > 0; n = len(v) {
		switch c := v[n-1]; {
		case c <= ' ' || c >= 0x80:
			v = v[:n-1]
		case n > 1 && second(c) && v[n-2] >= 0x80:
			v = v[:n-2]
		default:
			return v
		}
	}
	return v
}

func skipControls(v []byte, i int) int {
	for i < len(v) && v[i] <= ' ' {
		i++
	}
	return i
}
