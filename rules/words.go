package rules

import "strings"

// DidYouMean returns `, did you mean "x"?` for the valid word nearest to s, or "" where none is near.
func DidYouMean(s string, valid []string) string {
	if n := Nearest(s, valid); n != "" {
		return `, did you mean "` + n + `"?`
	}
	return ""
}

// Nearest returns the valid word with the smallest edit distance to s, at most a third of its
// length away (and at least 1), or "".
func Nearest(s string, valid []string) string {
	best, bestD := "", 1<<30
	s = strings.ToLower(s)
	for _, v := range valid {
		if d := editDistance(s, strings.ToLower(v)); d < bestD && d <= max(1, max(len(v), len(s))/3) {
			best, bestD = v, d
		}
	}
	return best
}

// editDistance is the optimal string alignment distance in bytes: insert, delete, replace, swap neighbours.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 1 << 30
	}
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
