package consent

import (
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// cookieYes reads a list of pairs. The field "consent" means the opposite under US law.
func cookieYes(v string, mp *mapping) answer {
	v = unquote(v)
	var t tally
	action, seen := "", false
	hasAction := false
	for pair := range strings.SplitSeq(v, ",") {
		k, val, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if !ok {
			return answer{}
		}
		switch k {
		case "action":
			action, hasAction = val, true
		case "consentid", "consent", "lastRenewedDate":
		default:
			if val != "yes" && val != "no" {
				return answer{}
			}
			if k == "necessary" {
				seen = true
			}
			if c, ok := mp.category(k, categories{"advertisement": marketing}); ok {
				t.add(c, val == "yes")
			}
		}
	}
	switch {
	case !seen || !hasAction:
		return answer{}
	case action == "yes":
		return t.answer()
	}
	return answer{verdict: undecided}
}

// complianz reads one cookie per category; the prefix may have a part of the region or the site.
func complianz(j *jar, mp *mapping) answer {
	var t tally
	dismissed, mine := false, false
	for _, c := range j.pairs[:j.n] {
		name, ok := strings.CutPrefix(c.Name, "cmplz_")
		if !ok {
			continue
		}
		if name == "banner-status" || strings.HasSuffix(name, "_banner-status") {
			mine = true
			dismissed = dismissed || c.Value == "dismissed"
			continue
		}
		if i := strings.LastIndexByte(name, '_'); i >= 0 {
			name = name[i+1:]
		}
		if c.Value != "allow" && c.Value != "deny" {
			continue
		}
		mine = true
		switch name {
		case "preferences":
			t.add(preferences, c.Value == "allow")
		case "statistics":
			t.add(statistics, c.Value == "allow")
		case "marketing":
			t.add(marketing, c.Value == "allow")
		}
	}
	switch {
	case dismissed:
		return t.answer()
	case mine:
		return answer{verdict: undecided}
	}
	return answer{}
}

func borlabs(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	groups, ok := object(o, "consents")
	if !ok || o["domainPath"] == nil && o["version"] == nil && o["uid"] == nil {
		return answer{}
	}
	var list []string
	for g, services := range groups {
		if l, ok := services.([]any); ok && len(l) > 0 {
			list = append(list, g)
		}
	}
	return grant(list, categories{"essential": necessary, "external-media": none}, mp)
}

// realCookieBanner reads the switches of Consent Mode if they are there, else groups by their ids.
func realCookieBanner(j *jar, mp *mapping) answer {
	var mode, groups, tcString answer
	for _, c := range j.pairs[:j.n] {
		if !strings.HasPrefix(c.Name, "real_cookie_banner") {
			continue
		}
		switch {
		case strings.HasSuffix(c.Name, "-gcm"):
			var list []string
			if readJSON(c.Value, &list) {
				granted := map[string]any{"ad_storage": "denied", "analytics_storage": "denied", "functionality_storage": "denied"}
				for _, g := range list {
					granted[g] = "granted"
				}
				mode = both(mode, consentMode(granted))
			}
		case strings.HasSuffix(c.Name, "-tcf"):
			tcString = both(tcString, tcfAnswer(c.Value, nil))
		default:
			groups = both(groups, realCookieBannerGroups(c.Value, mp))
		}
	}
	if mode.verdict != notMine {
		return mode
	}
	if groups.verdict != notMine {
		return groups
	}
	return tcString
}

func realCookieBannerGroups(v string, mp *mapping) answer {
	parts := strings.SplitN(unquote(v), ":", 4)
	if len(parts) != 4 || parts[0] == "" || parts[0][0] < '0' || parts[0][0] > '9' || len(parts[2]) != 32 {
		return answer{}
	}
	var o map[string]any
	if !readJSON(parts[3], &o) {
		return answer{}
	}
	if d, ok := object(o, "d"); ok {
		if bc, _ := o["bc"].(string); strings.HasPrefix(bc, "implicit") {
			return answer{verdict: undecided}
		}
		o = d
	}
	var t tally
	for id, services := range o {
		list, ok := services.([]any)
		if !ok {
			return answer{}
		}
		if c, ok := mp.category(id, nil); ok {
			t.add(c, len(list) > 0)
		}
	}
	return t.answer()
}

func finsweet(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	c, ok := object(o, "consents")
	if !ok {
		return answer{}
	}
	return switchesOf(c, categories{"personalization": preferences, "uncategorized": none}, mp, "analytics", "marketing")
}

func shopify(v string, _ *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		if strings.HasPrefix(v, "3.") && strings.Contains(v, "_") {
			return answer{verdict: undecided} // the flags' meaning is not known
		}
		return answer{}
	}
	con, ok := object(o, "con")
	if !ok {
		return answer{}
	}
	cmp, ok := object(con, "CMP")
	if !ok {
		return answer{verdict: undecided}
	}
	var t tally
	seen := false
	for k, c := range (categories{"a": statistics, "m": marketing, "p": preferences}) {
		x, _ := cmp[k].(string)
		if x == "0" || x == "1" {
			seen = true
		}
		t.add(c, x == "1")
	}
	if cmp["s"] == "0" {
		t.add(marketing, false)
	}
	if !seen {
		return answer{verdict: undecided}
	}
	return t.answer()
}

func hubspot(v string, mp *mapping) answer {
	v = strings.ReplaceAll(unquote(v), ",", "_")
	var t tally
	for pair := range strings.SplitSeq(v, "_") {
		k, val, ok := strings.Cut(pair, ":")
		if !ok || val != "true" && val != "false" {
			return answer{}
		}
		if c, ok := mp.category(k, categories{"0": necessary, "1": statistics, "2": marketing, "3": preferences}); ok {
			t.add(c, val == "true")
		}
	}
	return t.answer()
}

func drupal(j *jar, mp *mapping) answer {
	agreed := j.each("cookie-agreed", func(v string) answer {
		return word(map[string]rules.Set{"0": 0, "1": rules.Optional, "2": rules.Optional})(v, nil)
	})
	list := j.each("cookie-agreed-categories", func(v string) answer {
		var names []string
		if !readJSON(v, &names) {
			return answer{}
		}
		return grant(names, nil, mp)
	})
	_, listed := j.get("cookie-agreed-categories")
	switch {
	case agreed.allowed == 0 || !listed:
		return agreed
	case list.verdict != decided:
		return answer{verdict: undecided} // a list that is damaged grants nothing
	}
	return list
}

// cookieNotice reads the one word of the older plugin, or the numbered switches of the newer one.
func cookieNotice(j *jar, mp *mapping) answer {
	a := j.each("cookie_notice_accepted", func(v string) answer {
		return word(map[string]rules.Set{"true": rules.Optional, "false": 0})(v, nil)
	})
	return both(a, j.each("hu-consent", func(v string) answer {
		var o map[string]any
		if !readJSON(v, &o) {
			return answer{}
		}
		c, ok := object(o, "categories")
		if _, has := o["consent"].(bool); !ok || !has {
			return answer{}
		}
		if o["consent"] == false {
			return answer{verdict: decided}
		}
		return switchesOf(c, categories{"1": necessary, "2": preferences, "3": statistics, "4": marketing}, mp)
	}))
}
