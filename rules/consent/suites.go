package consent

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// oneTrust reads OptanonConsent, a query string. Its groups are defaults until the banner is closed.
func oneTrust(j *jar, mp *mapping) answer {
	_, closed := j.get("OptanonAlertBoxClosed")
	a := j.each("OptanonConsent", func(v string) answer {
		if !strings.Contains(v, "=") || strings.HasPrefix(v, "%") {
			return answer{}
		}
		var t tally
		groups, known := "", false
		landed, count := closed, ""
		for pair := range strings.SplitSeq(v, "&") {
			k, raw, _ := strings.Cut(pair, "=")
			val, err := url.QueryUnescape(raw)
			if err != nil {
				val = unquote(raw)
			}
			switch k {
			case "groups":
				groups, known = val, true
			case "landingPath":
				if val != "NotLandingPage" && val != "" && !closed {
					return answer{verdict: undecided}
				}
				landed = true
			case "interactionCount":
				count = val
			case "AwaitingReconsent":
				if val == "true" {
					return answer{verdict: undecided}
				}
			}
		}
		if !known {
			if landed {
				return answer{verdict: undecided}
			}
			return answer{}
		}
		if count == "0" && !closed {
			return answer{verdict: undecided}
		}
		for g := range strings.SplitSeq(groups, ",") {
			i := strings.LastIndexByte(g, ':')
			if i < 0 {
				continue
			}
			on := g[i+1:] == "1"
			if !on && g[i+1:] != "0" {
				return answer{}
			}
			if c, ok := mp.category(g[:i], categories{"C0001": necessary, "C0002": statistics, "C0003": preferences, "C0004": marketing, "C0005": marketing}); ok {
				t.add(c, on)
			}
		}
		return t.answer()
	})
	if a.verdict == notMine && closed {
		return answer{verdict: undecided}
	}
	return a
}

// osano reads the plain form; the usual one is encrypted.
func osano(v string, _ *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	if c, ok := object(o, "consent"); ok {
		o = c
	}
	var t tally
	seen := false
	for k, c := range (categories{"ESSENTIAL": necessary, "STORAGE": preferences, "PERSONALIZATION": preferences, "ANALYTICS": statistics, "MARKETING": marketing}) {
		switch o[k] {
		case "ACCEPT", "DENY":
			t.add(c, o[k] == "ACCEPT")
			seen = true
		case nil:
		default:
			return answer{}
		}
	}
	if o["OPT_OUT"] == "ACCEPT" {
		t.add(marketing, false)
	}
	if !seen {
		return answer{}
	}
	return t.answer()
}

func iubenda(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	if purposes, ok := object(o, "purposes"); ok {
		return switchesOf(purposes, categories{"1": necessary, "2": preferences, "3": preferences, "4": statistics, "5": marketing}, mp)
	}
	if on, ok := o["consent"].(bool); ok {
		if on {
			return answer{verdict: decided, allowed: rules.Optional}
		}
		return answer{verdict: decided}
	}
	if o["id"] != nil || o["timestamp"] != nil {
		return answer{verdict: undecided}
	}
	return answer{}
}

var didomiPurposes = categories{
	"cookies": none, "select_basic_ads": marketing, "create_ads_profile": marketing, "select_personalized_ads": marketing, "measure_ad_performance": marketing,
	"measure_content_performance": statistics, "market_research": statistics, "improve_products": statistics, "create_content_profile": preferences, "select_personalized_content": preferences,
	"use_limited_data_to_select_content": preferences, "geolocation_data": none, "device_characteristics": none, "advertising_personalization": marketing, "ad_delivery": marketing,
	"content_personalization": preferences, "analytics": statistics, "cookies_analytics": statistics, "cookies_marketing": marketing, "cookies_social": marketing, "cookies_functional": preferences,
}

func didomi(v string, mp *mapping) answer {
	text, ok := read64(v)
	var o map[string]any
	if !ok || json.Unmarshal([]byte(text), &o) != nil {
		return answer{}
	}
	lists, ok := object(o, "purposes")
	if !ok {
		if _, mine := object(o, "vendors"); mine && o["user_id"] != nil {
			return answer{verdict: undecided}
		}
		return answer{}
	}
	var t tally
	total := 0
	for _, side := range []string{"enabled", "disabled"} {
		list, ok := strs(lists[side])
		if !ok && lists[side] != nil {
			return answer{}
		}
		total += len(list)
		for _, name := range list {
			c, ok := mp.category(name, didomiPurposes)
			switch {
			case ok && name == "cookies": // storing anything at all
				if side == "disabled" {
					t.off |= rules.SetOf(marketing)
				}
			case ok && c <= marketing:
				t.add(c, side == "enabled")
			}
		}
	}
	if vendors, ok := object(o, "vendors"); ok && total == 0 {
		for _, side := range []string{"enabled", "disabled"} {
			list, _ := strs(vendors[side])
			total += len(list)
		}
	}
	if total == 0 {
		return answer{verdict: undecided}
	}
	return t.answer()
}

// trustArc reads buckets: 1 required, 2 functional, 3 advertising.
func trustArc(j *jar, _ *mapping) answer {
	buckets := func(list string, from int) (a answer) {
		a.verdict = decided
		for f := range strings.SplitSeq(list, ",") {
			switch f = strings.TrimSpace(f); {
			case len(f) != 1 || f[0] < '0' || f[0] > '9':
				return answer{}
			case int(f[0]-'0') == from+1:
				a.allowed |= rules.SetOf(preferences, statistics)
			case int(f[0]-'0') == from+2:
				a.allowed |= rules.SetOf(marketing)
			}
		}
		return a
	}
	a := j.each("cmapi_cookie_privacy", func(v string) answer {
		v = strings.ReplaceAll(unquote(v), "_", " ")
		rest, ok := strings.CutPrefix(v, "permit ")
		if !ok {
			return answer{}
		}
		return buckets(strings.TrimSuffix(rest, " required"), 1)
	})
	b := j.each("notice_gdpr_prefs", func(v string) answer {
		list, source, ok := strings.Cut(unquote(v), ":")
		if !ok {
			return answer{}
		}
		x := buckets(list, 0)
		x.implied = strings.Contains(source, "implied")
		return x
	})
	if a = both(a, b); a.verdict == notMine {
		if _, ok := j.get("notice_behavior"); ok {
			return answer{verdict: undecided}
		}
		if v, ok := j.get("notice_preferences"); ok && len(v) == 2 && v[1] == ':' {
			switch v[0] {
			case '0':
				return answer{verdict: decided}
			case '1':
				return answer{verdict: decided, allowed: rules.SetOf(preferences, statistics)}
			case '2', '3':
				return answer{verdict: decided, allowed: rules.Optional}
			}
		}
	}
	return a
}

func fundingChoices(v string, _ *mapping) answer {
	var o []any
	if !readJSON(v, &o) || len(o) < 4 {
		return answer{}
	}
	inner, ok := o[3].([]any)
	if !ok || len(inner) == 0 {
		return answer{verdict: undecided}
	}
	tc, _ := inner[0].(string)
	if tc == "" {
		return answer{verdict: undecided}
	}
	return tcfAnswer(tc, nil)
}

var tealiumCategories = categories{"c1": statistics, "c14": none, "c6": preferences, "c3": marketing, "c2": none, "c4": none, "c5": none, "c7": none, "c8": none, "c9": none, "c10": none, "c11": none, "c12": none,
	"c13": none, "c15": none, "c16": none}

func tealium(v string, mp *mapping) answer {
	v = unquote(v)
	var t tally
	consent, named := "", false
	for pair := range strings.SplitSeq(v, "|") {
		k, val, ok := strings.Cut(pair, ":")
		if !ok {
			return answer{}
		}
		switch {
		case k == "consent":
			consent = val
		case len(k) > 1 && k[0] == 'c' && '0' <= k[1] && k[1] <= '9':
			if val != "0" && val != "1" {
				return answer{}
			}
			named = true
			if c, ok := mp.category(k, tealiumCategories); ok && c <= marketing {
				t.add(c, val == "1")
			}
		}
	}
	switch {
	case consent == "false":
		return answer{verdict: decided}
	case consent != "true":
		if named || strings.HasPrefix(v, "ts:") {
			return answer{verdict: undecided}
		}
		return answer{}
	case !named:
		return answer{verdict: decided, allowed: rules.Optional} // the form without categories
	}
	return t.answer()
}

func transcend(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	purposes, ok := object(o, "purposes")
	done, has := o["confirmed"].(bool)
	if !ok || !has {
		return answer{}
	}
	if !done {
		return answer{verdict: undecided}
	}
	var t tally
	for k, x := range purposes {
		if c, ok := mp.category(k, categories{"Functional": preferences, "Analytics": statistics, "Advertising": marketing, "SaleOfInfo": marketing}); ok {
			t.add(c, x == true) // "Auto" is a default
		}
	}
	return t.answer()
}

func ketch(v string, mp *mapping) answer {
	text, ok := read64(v)
	var o map[string]struct {
		Status    string   `json:"status"`
		Canonical []string `json:"canonicalPurposes"`
	}
	if !ok || json.Unmarshal([]byte(text), &o) != nil || len(o) == 0 {
		return answer{}
	}
	var t tally
	for code, x := range o {
		if x.Status != "granted" && x.Status != "denied" {
			return answer{}
		}
		names := append([]string{code}, x.Canonical...)
		for _, name := range names {
			if c, ok := mp.category(name, categories{"behavioral_advertising": marketing, "data_sharing": marketing, "data_broking": marketing, "essential_services": necessary}); ok {
				t.add(c, x.Status == "granted")
				break
			}
		}
	}
	return t.answer()
}

// commandersAct reads status@version@banner@site@categories…; a status of 1 is a refusal.
func commandersAct(v string, mp *mapping) answer {
	parts := strings.Split(unquote(v), "@")
	if len(parts) < 5 {
		return answer{}
	}
	switch parts[0] {
	case "1":
		return answer{verdict: decided}
	case "0":
		list := parts[4]
		if list == "ALL" {
			return answer{verdict: decided, allowed: rules.Optional}
		}
		return grant(strings.Split(list, ","), nil, mp)
	}
	return answer{}
}

func piwikPro(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		return answer{}
	}
	c, ok := object(o, "consents")
	if !ok {
		return answer{}
	}
	var t tally
	answered := false
	for name, x := range c {
		status := x
		if inner, ok := x.(map[string]any); ok {
			status = inner["status"]
		}
		num, ok := status.(float64)
		if !ok {
			return answer{}
		}
		answered = answered || num == 0 || num == 1
		if cat, ok := mp.category(name, nil); ok {
			t.add(cat, num == 1)
		}
	}
	if !answered {
		return answer{verdict: undecided}
	}
	return t.answer()
}

func fides(v string, mp *mapping) answer {
	var o map[string]any
	if !readJSON(v, &o) {
		text, ok := read64(v)
		if !ok || json.Unmarshal([]byte(text), &o) != nil {
			return answer{}
		}
	}
	c, ok := object(o, "consent")
	if !ok {
		return answer{}
	}
	if meta, ok := object(o, "fides_meta"); ok {
		if method, _ := meta["consentMethod"].(string); method == "gpc" || method == "script" || method == "dismiss" {
			return answer{verdict: undecided}
		}
	}
	return switchesOf(c, categories{"data_sales_and_sharing": marketing, "data_sales": marketing}, mp)
}
