package consent

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

type categories = map[string]rules.Category

const (
	necessary   = rules.Necessary
	preferences = rules.Preferences
	statistics  = rules.Statistics
	marketing   = rules.Marketing

	none = rules.Category(0xff) // a name that opens nothing, whatever it sounds like
)

// managers are all that can be read. Their formats are facts about the products, read from their
// sources and documentation; docs/consent-managers.md names what each record has to look like.
var managers = []*Manager{
	{ID: "onetrust", Scripts: []string{"cookielaw.org/", "onetrust.com/", "otsdkstub"}, Name: "OneTrust", Cookies: []string{"OptanonConsent", "OptanonAlertBoxClosed"}, decode: oneTrust},
	{ID: "cookiebot", Scripts: []string{"consent.cookiebot.com/", "consent.cookiebot.eu/"}, Name: "Cookiebot", Cookies: []string{"CookieConsent"}, decode: single("CookieConsent", cookiebot)},
	{ID: "vanilla-cookieconsent", Scripts: []string{"cookieconsent.js", "cookieconsent.umd", "cookieconsent.esm", "cookieconsent@", "vanilla-cookieconsent"}, Name: "CookieConsent by Orest Bida", Cookies: []string{"cc_cookie"}, decode: single("cc_cookie", vanilla)},
	{ID: "klaro", Scripts: []string{"klaro"}, Name: "Klaro", Cookies: []string{"klaro"}, decode: single("klaro", switches)},
	{ID: "orejime", Scripts: []string{"orejime"}, Name: "Orejime", Cookies: []string{"orejime", "eu-consent"}, decode: func(j *jar, mp *mapping) answer {
		return both(single("orejime", switches)(j, mp), single("eu-consent", switches)(j, mp))
	}},
	{ID: "cookieconsent", Scripts: []string{"cookieconsent.min.js", "cookieconsent@3", "cookieconsent/3.", "cookieconsent2/"}, Name: "Cookie Consent by Osano (open source)", Cookies: []string{"cookieconsent_status"}, decode: single("cookieconsent_status", word(
		map[string]rules.Set{"allow": rules.Optional, "deny": 0, "dismiss": 0}))},
	{ID: "osano", Scripts: []string{"cmp.osano.com/"}, Name: "Osano", Cookies: []string{"osano_consentmanager"}, decode: single("osano_consentmanager", osano)},
	{ID: "cookieyes", Scripts: []string{"cdn-cookieyes.com/", "cookieyes"}, Name: "CookieYes", Cookies: []string{"cookieyes-consent"}, decode: single("cookieyes-consent", cookieYes)},
	{ID: "cookieyes-legacy", Scripts: []string{"cdn-cookieyes.com/", "cookieyes"}, Name: "CookieYes (older)", Cookies: []string{"cky-consent", "cky-action", "cookieyes-*"}, decode: perCategory("cky-consent", "cookieyes-", "yes", "no", nil)},
	{ID: "cookie-law-info", Scripts: []string{"cookie-law-info"}, Name: "GDPR Cookie Consent by WebToffee", Cookies: []string{"viewed_cookie_policy", "cookielawinfo-checkbox-*"}, decode: perCategory("viewed_cookie_policy", "cookielawinfo-checkbox-", "yes", "no", nil)},
	{ID: "complianz", Scripts: []string{"complianz"}, Name: "Complianz", Cookies: []string{"cmplz_*"}, decode: complianz},
	{ID: "borlabs", Scripts: []string{"borlabs"}, Name: "Borlabs Cookie", Cookies: []string{"borlabs-cookie"}, decode: single("borlabs-cookie", borlabs)},
	{ID: "iubenda", Scripts: []string{"iubenda.com/"}, Name: "iubenda", Cookies: []string{"_iub_cs-*"}, decode: single("_iub_cs-*", iubenda)},
	{ID: "didomi", Scripts: []string{"privacy-center.org/", "didomi"}, Name: "Didomi", Cookies: []string{"didomi_token"}, decode: single("didomi_token", didomi)},
	{ID: "axeptio", Scripts: []string{"axept.io/"}, Name: "Axeptio", Cookies: []string{"axeptio_cookies", "axeptio_authorized_vendors"}, decode: axeptio},
	{ID: "tarteaucitron", Scripts: []string{"tarteaucitron"}, Name: "tarteaucitron", Cookies: []string{"tarteaucitron"}, decode: single("tarteaucitron", tarteaucitron)},
	{ID: "trustarc", Scripts: []string{"trustarc.com/", "truste.com/"}, Name: "TrustArc", Cookies: []string{"cmapi_cookie_privacy", "notice_gdpr_prefs", "notice_preferences", "notice_behavior"}, decode: trustArc},
	{ID: "cookiefirst", Scripts: []string{"cookiefirst.com/"}, Name: "CookieFirst", Cookies: []string{"cookiefirst-consent"}, decode: single("cookiefirst-consent", cookieFirst)},
	{ID: "civic", Scripts: []string{"cc.cdn.civiccomputing.com/", "civicuk.com/"}, Name: "Civic Cookie Control", Cookies: []string{"CookieControl"}, decode: single("CookieControl", civic)},
	{ID: "real-cookie-banner", Scripts: []string{"real-cookie-banner"}, Name: "Real Cookie Banner", Cookies: []string{"real_cookie_banner*"}, decode: realCookieBanner},
	{ID: "consentmanager", Scripts: []string{"consentmanager.net/"}, Name: "consentmanager", Cookies: []string{"__cmpconsent*", "__cmpcpc*", "__cmpcvc*"}, decode: consentManager},
	{ID: "c15t", Scripts: []string{"c15t"}, Name: "c15t", Cookies: []string{"c15t"}, decode: single("c15t", c15t)},
	{ID: "finsweet", Scripts: []string{"fs-cc", "finsweet"}, Name: "Finsweet Cookie Consent", Cookies: []string{"fs-cc"}, decode: single("fs-cc", finsweet)},
	{ID: "shopify", Scripts: []string{"cdn.shopify.com/", "consent-tracking-api"}, Name: "Shopify", Cookies: []string{"_tracking_consent"}, decode: single("_tracking_consent", shopify)},
	{ID: "funding-choices", Scripts: []string{"fundingchoicesmessages.google.com/"}, Name: "Google Funding Choices", Cookies: []string{"FCCDCF"}, decode: single("FCCDCF", fundingChoices)},
	{ID: "tealium", Scripts: []string{"tiqcdn.com/", "utag.js"}, Name: "Tealium", Cookies: []string{"CONSENTMGR"}, decode: single("CONSENTMGR", tealium)},
	{ID: "hubspot", Scripts: []string{"hs-banner.com/", "hs-scripts.com/"}, Name: "HubSpot", Cookies: []string{"__hs_cookie_cat_pref"}, decode: single("__hs_cookie_cat_pref", hubspot)},
	{ID: "cookiescript", Scripts: []string{"cookie-script.com/"}, Name: "CookieScript", Cookies: []string{"CookieScriptConsent"}, decode: single("CookieScriptConsent", cookieScript)},
	{ID: "cookieinformation", Scripts: []string{"cookieinformation.com/"}, Name: "Cookie Information", Cookies: []string{"CookieInformationConsent"}, decode: single("CookieInformationConsent", cookieInformation)},
	{ID: "cookiehub", Scripts: []string{"cookiehub"}, Name: "CookieHub", Cookies: []string{"cookiehub"}, decode: single("cookiehub", cookieHub)},
	{ID: "moove", Scripts: []string{"gdpr-cookie-compliance"}, Name: "GDPR Cookie Compliance by Moove", Cookies: []string{"moove_gdpr_popup"}, decode: single("moove_gdpr_popup", members(categories{"strict": necessary, "thirdparty": statistics, "advanced": marketing}, "strict"))},
	{ID: "drupal", Scripts: []string{"eu_cookie_compliance"}, Name: "EU Cookie Compliance (Drupal)", Cookies: []string{"cookie-agreed", "cookie-agreed-categories"}, decode: drupal},
	{ID: "wp-consent-api", Scripts: []string{"wp-consent-api"}, Name: "WP Consent API", Cookies: []string{"wp_consent_*"}, class: generic, decode: perCategory("", "wp_consent_", "allow", "deny", categories{"statistics-anonymous": necessary})},
	{ID: "transcend", Scripts: []string{"transcend-cdn.com/", "transcend.io/", "airgap.js"}, Name: "Transcend", Cookies: []string{"tcm"}, decode: single("tcm", transcend)},
	{ID: "ketch", Scripts: []string{"ketchcdn.com/", "ketchjs.com/"}, Name: "Ketch", Cookies: []string{"_ketch_consent_v1_"}, decode: single("_ketch_consent_v1_", ketch)},
	{ID: "cookie-notice", Scripts: []string{"cookie-notice", "hu-manity.co/"}, Name: "Cookie Notice, Hu-manity", Cookies: []string{"cookie_notice_accepted", "hu-consent"}, decode: cookieNotice},
	{ID: "commanders-act", Scripts: []string{"trustcommander.net/", "commander1.com/"}, Name: "Commanders Act", Cookies: []string{"TC_PRIVACY"}, decode: single("TC_PRIVACY", commandersAct)},
	{ID: "piwik-pro", Scripts: []string{"piwik.pro/", "ppms.js"}, Name: "Piwik PRO", Cookies: []string{"ppms_privacy_*"}, decode: single("ppms_privacy_*", piwikPro)},
	{ID: "fides", Scripts: []string{"fides.js"}, Name: "Fides", Cookies: []string{"fides_consent"}, decode: single("fides_consent", fides)},
	{ID: "tcf", Scripts: []string{"privacy-mgmt.com/", "inmobi.com/choice", "quantcast.mgr.consensu.org/", "cmp.quantcast.com/", "choice/", "consensu.org/"}, Name: "IAB TCF", Cookies: []string{"euconsent-v2", "eupubconsent-v2", "CookieControlTC"}, class: tcf, decode: tcfCookies},
	{ID: "gpp", Scripts: []string{"privacy-mgmt.com/", "cmp.inmobi.com/", "consensu.org/"}, Name: "IAB GPP", Cookies: []string{"__gpp", "IABGPP_HDR_GppString"}, class: tcf, decode: gpp},
	{ID: "us-privacy", Name: "IAB US Privacy", Cookies: []string{"us_privacy", "usprivacy"}, class: optOut, decode: usPrivacy},
}

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

func isWord(k string) bool {
	return k != "" && !strings.ContainsFunc(k, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_')
	})
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

func tarteaucitron(v string, mp *mapping) answer {
	v = unquote(v)
	if len(v) < 4 || v[0] != '!' || !strings.Contains(v, "=") {
		return answer{}
	}
	var t tally
	waits, answered := false, false
	for item := range strings.SplitSeq(v[1:], "!") {
		if item == "" {
			continue
		}
		k, val, ok := strings.Cut(item, "=")
		if !ok || k == "" {
			return answer{}
		}
		if k == "id" {
			continue
		}
		switch val {
		case "wait":
			waits = true
			if c, ok := mp.category(k, tarteaucitronServices); ok {
				t.add(c, false)
			}
		case "true", "false":
			if k == "tarteaucitron" {
				continue
			}
			answered = true
			if c, ok := mp.category(k, tarteaucitronServices); ok {
				t.add(c, val == "true")
			}
		default:
			return answer{}
		}
	}
	if waits && !answered {
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
	if list.verdict == decided && agreed.allowed != 0 {
		return list
	}
	return agreed
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

// cookieNotice reads the one word of the older plugin, or the numbered switches of the newer one.
func cookieNotice(j *jar, mp *mapping) answer {
	a := j.each("cookie_notice_accepted", func(v string) answer {
		return word(map[string]rules.Set{"true": rules.Optional, "false": 0})(v, nil)
	})
	if a.verdict != notMine {
		return a
	}
	return j.each("hu-consent", func(v string) answer {
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
	})
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
