package consent

import (
	"encoding/json"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// cookiebot reads a literal of bare keys. A stamp of -1 and the method "implied" stand for a region
// in which the site does not ask.
func cookiebot(v string, _ *mapping) answer {
	switch v {
	case "-1":
		return answer{decided, rules.Optional, true}
	case "0":
		return answer{verdict: decided}
	}
	v = unquote(v)
	inner, opened := strings.CutPrefix(v, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed {
		return answer{}
	}
	seen := make(map[string]string, 10)
	for inner != "" {
		k, rest, ok := strings.Cut(inner, ":")
		if !ok || !isWord(k) {
			return answer{}
		}
		if quoted, ok := strings.CutPrefix(rest, "'"); ok {
			val, after, ok := strings.Cut(quoted, "'")
			if !ok {
				return answer{}
			}
			seen[k], inner = val, after
		} else {
			i := strings.IndexByte(rest, ',')
			if i < 0 {
				i = len(rest)
			}
			seen[k], inner = rest[:i], rest[i:]
		}
		if inner != "" {
			if inner[0] != ',' {
				return answer{}
			}
			inner = inner[1:]
		}
	}
	var t tally
	for k, c := range map[string]rules.Category{"necessary": necessary, "preferences": preferences, "statistics": statistics, "marketing": marketing} {
		if seen[k] != "true" && seen[k] != "false" {
			return answer{}
		}
		t.add(c, seen[k] == "true")
	}
	a := t.answer()
	a.implied = seen["method"] == "implied" || seen["stamp"] == "-1"
	return a
}

// vanilla reads both shapes: version 3 has an id and two times once the visitor has answered,
// version 2 writes its cookie with the answer.
func vanilla(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	list, ok := strs(o["categories"])
	if !ok {
		if list, ok = strs(o["level"]); !ok {
			return answer{}
		}
	}
	_, v2 := o["level"]
	_, rfc := o["rfc_cookie"]
	_, id := o["consentId"]
	_, v3 := o["services"]
	if _, rev := o["revision"]; !v2 && !rfc && !id && !v3 && !rev {
		return answer{}
	}
	if !v2 && !rfc {
		for _, k := range []string{"consentId", "consentTimestamp", "lastConsentTimestamp"} {
			if str, _ := o[k].(string); str == "" {
				return answer{verdict: undecided}
			}
		}
	}
	return grant(list, nil, mp)
}

// axeptio reads the record of vendors, or Google's switches in it, or the list of vendors alone.
func axeptio(j *jar, mp *mapping) answer {
	a := j.each("axeptio_cookies", func(v string) answer {
		var o map[string]any
		if !readJSON(v, &o) {
			return answer{}
		}
		done, ok := o["$$completed"].(bool)
		if !ok {
			return answer{}
		}
		if !done {
			return answer{verdict: undecided}
		}
		if mode, ok := object(o, "$$googleConsentMode"); ok && len(mode) > 0 {
			return consentMode(mode)
		}
		for k := range o {
			if strings.HasPrefix(k, "$$") {
				delete(o, k)
			}
		}
		return switchesOf(o, nil, mp)
	})
	if a.verdict != notMine {
		return a
	}
	return j.each("axeptio_authorized_vendors", func(v string) answer {
		v = unquote(v)
		if len(v) < 2 || v[0] != ',' || v[len(v)-1] != ',' {
			return answer{}
		}
		list := strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
		if len(list) == 0 {
			return answer{verdict: undecided}
		}
		return grant(list, nil, mp)
	})
}

func cookieFirst(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	if o["type"] == "granular" {
		for _, k := range []string{"timestamp", "type", "version"} {
			delete(o, k)
		}
		return switchesOf(o, categories{"performance": statistics, "functional": preferences, "advertising": marketing}, mp)
	}
	return switchesOf(o, categories{"performance": statistics, "functional": preferences, "advertising": marketing}, nil, "necessary", "performance", "functional", "advertising")
}

func civic(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	done, ok := o["interactedWith"].(bool)
	if !ok {
		return answer{}
	}
	if !done {
		return answer{verdict: undecided}
	}
	if list, ok := strs(o["acceptedCategories"]); ok {
		return grant(list, nil, mp)
	}
	optional, ok := object(o, "optionalCookies")
	if !ok {
		return answer{}
	}
	var t tally
	for k, x := range optional {
		if c, ok := mp.category(k, nil); ok {
			t.add(c, x == "accepted") // "legitimate interest" is no consent
		}
	}
	return t.answer()
}

// consentManager reads the TC string where there is one, else the list of purposes.
func consentManager(j *jar, mp *mapping) answer {
	var a answer
	for _, c := range j.pairs[:j.n] {
		if strings.HasPrefix(c.Name, "__cmpconsent") {
			a = both(a, tcfAnswer(c.Value, nil))
		}
	}
	if a.verdict != notMine {
		return a
	}
	for _, c := range j.pairs[:j.n] {
		if strings.HasPrefix(c.Name, "__cmpcpc") && strings.HasPrefix(c.Value, "__") && strings.HasSuffix(c.Value, "__") {
			a = both(a, grant(strings.FieldsFunc(c.Value, func(r rune) bool { return r == '_' }), nil, mp))
		}
	}
	return a
}

func c15t(v string, mp *mapping) answer {
	v = unquote(v)
	var t tally
	seen := false
	for pair := range strings.SplitSeq(v, ",") {
		k, val, ok := strings.Cut(pair, ":")
		if !ok {
			return answer{}
		}
		name, mine := strings.CutPrefix(k, "c.")
		if !mine {
			if !strings.HasPrefix(k, "i.") {
				return answer{}
			}
			continue
		}
		if val != "0" && val != "1" {
			return answer{}
		}
		seen = true
		if c, ok := mp.category(name, categories{"functionality": preferences, "experience": preferences, "measurement": statistics}); ok {
			t.add(c, val == "1")
		}
	}
	if !seen {
		return answer{}
	}
	// The writer leaves out what is refused: preferences need both of their names.
	if t.on.Has(preferences) && !(strings.Contains(v, "c.functionality:1") && strings.Contains(v, "c.experience:1")) && (mp == nil || len(mp.own) == 0) {
		t.on &^= rules.SetOf(preferences)
	}
	return t.answer()
}

func cookieScript(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	action, _ := o["action"].(string)
	switch action {
	case "close":
		return answer{verdict: undecided}
	case "reject":
		return answer{verdict: decided}
	case "accept":
	default:
		return answer{}
	}
	list, ok := strs(o["categories"])
	if inner, isText := o["categories"].(string); isText {
		ok = readJSON(inner, &list)
	}
	if !ok {
		return answer{}
	}
	return grant(list, categories{"strict": necessary, "performance": statistics, "targeting": marketing, "functionality": preferences}, mp)
}

func cookieInformation(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	yes, ok := strs(o["consents_approved"])
	no, ok2 := strs(o["consents_denied"])
	if !ok && !ok2 {
		return answer{}
	}
	defined := categories{"cookie_cat_necessary": necessary, "cookie_cat_functional": preferences, "cookie_cat_statistic": statistics, "cookie_cat_marketing": marketing, "cookie_cat_unclassified": none}
	a := grant(yes, defined, mp)
	a.allowed &^= grant(no, defined, mp).allowed
	return a
}

func cookieHub(v string, mp *mapping) answer {
	text, ok := read64(v)
	var o map[string]any
	if !ok || json.Unmarshal([]byte(text), &o) != nil {
		return answer{}
	}
	done, ok := o["answered"].(bool)
	if !ok {
		return answer{}
	}
	if !done {
		return answer{verdict: undecided}
	}
	a := answer{verdict: decided}
	if implicit, _ := o["implict"].(bool); implicit {
		a.implied = true
	}
	list, _ := o["categories"].([]any)
	var t tally
	for _, e := range list {
		num, plain := e.(float64) // older records list what is allowed
		on, known := plain, plain
		if !plain {
			c, ok := e.(map[string]any)
			if !ok {
				return answer{}
			}
			id, ok := c["cid"]
			if !ok {
				id = c["id"]
			}
			num, _ = id.(float64)
			if on, known = isTrue(c["value"]); !known {
				on, known = isTrue(c["allowed"])
			}
		}
		key := ""
		if num >= 1 && num <= 9 {
			key = string(rune('0' + int(num)))
		}
		if cat, ok := mp.category(key, categories{"1": necessary, "2": preferences, "3": statistics, "4": marketing, "5": none}); ok && known && cat <= marketing {
			t.add(cat, on)
		}
	}
	if all, _ := o["allAllowed"].(bool); all && t.off == 0 {
		a.allowed = rules.Optional
		return a
	}
	a.allowed = t.answer().allowed
	return a
}
