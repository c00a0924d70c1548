package consent

import (
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// categories says what names of a manager mean.
type categories = map[string]rules.Category

// single reads each cookie of a name by itself.
func single(name string, read func(value string, mp *mapping) answer) func(*jar, *mapping) answer {
	return func(j *jar, mp *mapping) answer {
		return j.each(name, func(v string) answer { return read(v, mp) })
	}
}

// word reads a record that is one word.
func word(meanings map[string]rules.Set) func(string, *mapping) answer {
	return func(v string, _ *mapping) answer {
		if set, ok := meanings[v]; ok {
			return answer{verdict: decided, allowed: set}
		}
		return answer{}
	}
}

// members reads a JSON object whose members are switches of defined categories, among them must.
func members(defined categories, must ...string) func(string, *mapping) answer {
	return func(v string, mp *mapping) answer {
		var o map[string]any
		if !readJSON(v, &o) {
			return answer{}
		}
		return switchesOf(o, defined, mp, must...)
	}
}

// switchesOf tallies an object's members that are switches.
func switchesOf(o map[string]any, defined categories, mp *mapping, must ...string) answer {
	for _, k := range must {
		if _, ok := isTrue(o[k]); !ok {
			return answer{}
		}
	}
	var t tally
	for k, v := range o {
		on, ok := isTrue(v)
		if c, known := mp.category(k, defined); ok && known {
			t.add(c, on)
		}
	}
	return t.answer()
}

// perCategory reads one cookie per category, and one that says that the visitor has answered.
func perCategory(answered, prefix, yes, no string, defined categories) func(*jar, *mapping) answer {
	return func(j *jar, mp *mapping) answer {
		var t tally
		seen := false
		for _, c := range j.pairs[:j.n] {
			name, ok := strings.CutPrefix(c.Name, prefix)
			if !ok || c.Value != yes && c.Value != no {
				continue
			}
			seen = true
			if cat, ok := mp.category(name, defined); ok {
				t.add(cat, c.Value == yes)
			}
		}
		if answered != "" {
			v, ok := j.get(answered)
			switch {
			case !ok || v != yes && v != no:
				if !seen {
					return answer{}
				}
				return answer{verdict: undecided}
			case !seen && v == yes:
				return answer{verdict: decided} // of nothing that is named
			}
			seen = true
		}
		if !seen {
			return answer{}
		}
		return t.answer()
	}
}

func isWord(k string) bool {
	return k != "" && !strings.ContainsFunc(k, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_')
	})
}

// grant opens what is named.
func grant(list []string, defined categories, mp *mapping) answer {
	var t tally
	for _, name := range list {
		if c, ok := mp.category(name, defined); ok {
			t.add(c, true)
		}
	}
	return t.answer()
}

// switches reads an object of the site's own service names.
func switches(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) || len(o) == 0 {
		return answer{}
	}
	for _, x := range o {
		switch x := x.(type) {
		case bool:
		case float64:
			if x != 0 && x != 1 {
				return answer{}
			}
		default:
			return answer{}
		}
	}
	return switchesOf(o, nil, mp)
}

// consentMode reads the switches of Google Consent Mode, "granted" or "denied".
func consentMode(mode map[string]any) answer {
	var t tally
	seen := false
	for k, c := range (categories{"ad_storage": marketing, "ad_user_data": marketing, "ad_personalization": marketing, "analytics_storage": statistics, "functionality_storage": preferences, "personalization_storage": preferences}) {
		switch mode[k] {
		case "granted", "denied", true, false:
			t.add(c, mode[k] == "granted" || mode[k] == true)
			seen = true
		}
	}
	if !seen {
		return answer{}
	}
	return t.answer()
}
