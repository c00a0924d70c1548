package consent

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// unquote undoes percent-encoding once; what is no escape stays.
func unquote(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if a, b := hexDigit(s[i+1]), hexDigit(s[i+2]); a < 16 && b < 16 {
				out = append(out, a<<4|b)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

// maxDecodes is how often a record may be percent-encoded.
const maxDecodes = 3

// readJSON reads a JSON object or array that is percent-encoded up to maxDecodes times, into v.
func readJSON(s string, v any) bool {
	for range maxDecodes + 1 {
		if s != "" && (s[0] == '{' || s[0] == '[') && utf8.ValidString(s) && json.Unmarshal([]byte(s), v) == nil {
			return true
		}
		next := unquote(s)
		if next == s {
			return false
		}
		s = next
	}
	return false
}

// read64 undoes base64 of either alphabet, padded or not.
func read64(s string) (string, bool) {
	s = strings.TrimRight(unquote(s), "=")
	s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	b, err := base64.RawStdEncoding.DecodeString(s)
	return string(b), err == nil
}

// isTrue reads the ways in which records write a switch.
func isTrue(v any) (on, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case float64:
		return v == 1, v == 0 || v == 1
	case string:
		switch strings.ToLower(v) {
		case "1", "true", "yes", "allow", "accept", "granted", "accepted":
			return true, true
		case "0", "false", "no", "deny", "reject", "denied", "revoked", "":
			return false, true
		}
	}
	return false, false
}

// object returns a member of an object that is an object itself.
func object(v map[string]any, key string) (map[string]any, bool) {
	o, ok := v[key].(map[string]any)
	return o, ok
}

// strs returns an array of strings.
func strs(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}
