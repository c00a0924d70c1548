package consent

import (
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

func tcfCookies(j *jar, mp *mapping) (a answer) {
	for _, name := range []string{"euconsent-v2", "eupubconsent-v2", "CookieControlTC"} {
		a = both(a, j.each(name, func(v string) answer { return tcfAnswer(v, mp) }))
	}
	return a
}

// gpp reads the European section; those of the United States are opt-outs.
func gpp(j *jar, mp *mapping) (a answer) {
	read := func(v string) (a answer) {
		ids, texts, ok := gppSections(unquote(v))
		if !ok {
			return a
		}
		a.verdict = undecided
		for i, id := range ids {
			if id == 2 {
				a = both(a, tcfAnswer(texts[i], mp))
			}
		}
		return a
	}
	return both(j.each("__gpp", read), j.each("IABGPP_HDR_GppString", read))
}

// usPrivacy reads 1YNN: the third letter is the opt-out of sale.
func usPrivacy(j *jar, _ *mapping) answer {
	read := func(v string) answer {
		v = strings.ToUpper(v)
		if len(v) != 4 || v[0] != '1' || strings.Trim(v[1:], "YN-") != "" {
			return answer{}
		}
		switch v[2] {
		case 'Y':
			return answer{verdict: decided, allowed: rules.SetOf(preferences, statistics)}
		case 'N':
			return answer{verdict: decided, allowed: rules.Optional}
		}
		return answer{verdict: undecided}
	}
	return both(j.each("us_privacy", read), j.each("usprivacy", read))
}

// optedOut reports whether a signal of the United States says that marketing is not wanted.
func optedOut(j *jar) bool {
	for _, c := range j.pairs[:j.n] {
		switch c.Name {
		case "us_privacy", "usprivacy":
			if usOptOut(6, c.Value) {
				return true
			}
		case "__gpp", "IABGPP_HDR_GppString":
			ids, texts, _ := gppSections(unquote(c.Value))
			for i, id := range ids {
				if usOptOut(id, texts[i]) {
					return true
				}
			}
		}
	}
	return false
}
