package consent

import (
	"github.com/caddy-consent/caddy-consent/rules"
)

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
