package consent

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

func encoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(`{}":,[] `, s[i]) >= 0 {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func in64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

const uuid = "00000000-0000-4000-8000-000000000000"

// Each manager's record, in shapes that its makers document.
func TestManagers(t *testing.T) {
	const undecided = "undecided"
	for _, tt := range []struct{ manager, name, header, want string }{
		{"onetrust", "parts", "OptanonConsent=interactionCount=2&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A1%2CC0004%3A0", "statistics"},
		{"onetrust", "marketing needs both of its groups", "OptanonConsent=groups=C0004:1,C0005:0&landingPath=NotLandingPage", "none"},
		{"onetrust", "defaults before the banner is closed", "OptanonConsent=groups=C0002:1,C0004:1&landingPath=https%3A%2F%2Fa.example%2F", undecided},
		{"onetrust", "closed all the same", "OptanonAlertBoxClosed=2026-01-01T00:00:00.000Z; OptanonConsent=groups=C0002:1&landingPath=https%3A%2F%2Fa.example%2F", "statistics"},
		{"onetrust", "asked again", "OptanonConsent=groups=C0002:1&landingPath=NotLandingPage&AwaitingReconsent=true", undecided},
		{"onetrust", "closed, which way is not known", "OptanonAlertBoxClosed=x", undecided},
		{"cookiebot", "all", "CookieConsent={stamp:%27x==%27%2Cnecessary:true%2Cpreferences:true%2Cstatistics:true%2Cmarketing:true%2Cmethod:%27explicit%27%2Cver:1}", "all"},
		{"cookiebot", "a quote that holds a field", "CookieConsent={stamp:'a,marketing:true',necessary:true,preferences:false,statistics:false,marketing:false}", "none"},
		{"cookiebot", "a region that is not asked", "CookieConsent={stamp:'-1',necessary:true,preferences:true,statistics:true,marketing:true,method:'implied'}", undecided},
		{"cookiebot", "a field is missing", "CookieConsent={necessary:true,statistics:true}", undecided},
		{"vanilla-cookieconsent", "version 3", "cc_cookie=" + encoded(`{"categories":["necessary","analytics"],"revision":0,"consentTimestamp":"2026-01-01","consentId":"`+uuid+`","services":{},"lastConsentTimestamp":"2026-01-01"}`), "statistics"},
		{"vanilla-cookieconsent", "version 3 before an answer", "cc_cookie=" + encoded(`{"categories":["necessary","ads"],"revision":0,"services":{}}`), undecided},
		{"vanilla-cookieconsent", "version 2, raw", `cc_cookie={"categories":["necessary","targeting"],"level":["necessary"],"revision":0,"rfc_cookie":false}`, "marketing"},
		{"klaro", "by what services are called", "klaro=" + encoded(`{"google-analytics":true,"functional":false}`), "statistics"},
		{"klaro", "not one of its words", "klaro=" + encoded(`{"google-analytics":"yes"}`), undecided},
		{"orejime", "version 3", `eu-consent={%22matomo%22:true}`, "statistics"},
		{"cookieconsent", "closed without a word", "cookieconsent_status=dismiss", "none"},
		{"cookieconsent", "all", "cookieconsent_status=allow", "all"},
		{"cookieyes", "parts", "cookieyes-consent=consentid:x,consent:yes,action:yes,necessary:yes,functional:yes,analytics:no,performance:no,advertisement:yes,other:no", "preferences.marketing"},
		{"cookieyes", "before an answer", "cookieyes-consent=consentid:x,consent:,action:,necessary:yes,functional:yes,analytics:yes,advertisement:yes", undecided},
		{"cookieyes-legacy", "parts", "cky-consent=yes; cookieyes-analytics=yes; cookieyes-advertisement=no", "statistics"},
		{"cookie-law-info", "parts", "viewed_cookie_policy=yes; cookielawinfo-checkbox-functional=yes; cookielawinfo-checkbox-non-necessary=yes", "preferences"},
		{"cookie-law-info", "before an answer", "cookielawinfo-checkbox-functional=yes", undecided},
		{"complianz", "with a part of its site", "cmplz_rt_banner-status=dismissed; cmplz_rt_statistics=allow; cmplz_rt_marketing=deny", "statistics"},
		{"complianz", "anonymous statistics are none", "cmplz_banner-status=dismissed; cmplz_statistics-anonymous=allow; cmplz_statistics=deny", "none"},
		{"complianz", "before an answer", "cmplz_statistics=allow", undecided},
		{"borlabs", "groups", "borlabs-cookie=" + encoded(`{"consents":{"essential":["a"],"marketing":["b"],"statistics":[]},"domainPath":"x/","uid":"u"}`), "marketing"},
		{"iubenda", "purposes", "_iub_cs-1=" + encoded(`{"timestamp":"t","purposes":{"1":true,"2":true,"3":true,"4":true,"5":false},"id":1}`), "preferences.statistics"},
		{"iubenda", "before an answer", "_iub_cs-1=" + encoded(`{"id":1}`), undecided},
		{"didomi", "purposes", "didomi_token=" + in64(`{"user_id":"u","vendors":{"enabled":[],"disabled":[]},"purposes":{"enabled":["cookies","select_basic_ads"],"disabled":["market_research"]}}`), "marketing"},
		{"didomi", "no ads without cookies", "didomi_token=" + in64(`{"user_id":"u","purposes":{"enabled":["select_basic_ads"],"disabled":["cookies"]}}`), "none"},
		{"didomi", "before an answer", "didomi_token=" + in64(`{"user_id":"u","vendors":{"enabled":[],"disabled":[]},"purposes":{"enabled":[],"disabled":[]}}`), undecided},
		{"axeptio", "consent mode", `axeptio_cookies={"$$completed":true,"$$googleConsentMode":{"analytics_storage":"granted","ad_storage":"denied"}}`, "statistics"},
		{"axeptio", "before an answer", `axeptio_cookies={"$$completed":false,"google_analytics":true}`, undecided},
		{"tarteaucitron", "services", "tarteaucitron=!gtag=true!facebook=false!youtube=true", "statistics"},
		{"tarteaucitron", "before an answer", "tarteaucitron=!gtag=wait!facebook=wait", undecided},
		{"trustarc", "functional", "notice_preferences=1:; notice_gdpr_prefs=0,1:; cmapi_cookie_privacy=permit 1,2", "preferences.statistics"},
		{"trustarc", "records that contradict each other", "notice_gdpr_prefs=0:; cmapi_cookie_privacy=permit 1,2,3", "none"},
		{"cookiefirst", "categories", "cookiefirst-consent=" + encoded(`{"necessary":true,"performance":true,"functional":false,"advertising":true,"type":"category"}`), "statistics.marketing"},
		{"civic", "categories", `CookieControl={"necessaryCookies":[],"optionalCookies":{"analytics":"accepted","marketing":"legitimate interest"},"interactedWith":true}`, "statistics"},
		{"civic", "before an answer", `CookieControl={"optionalCookies":{"analytics":"accepted"},"interactedWith":false}`, undecided},
		{"real-cookie-banner", "consent mode", `real_cookie_banner-v:3_blog:1_path:abcdef0-gcm=["analytics_storage"]`, "statistics"},
		{"real-cookie-banner", "implicit", `real_cookie_banner-v:3_blog:1_path:abcdef0=1:` + uuid + `:00000000000000000000000000000000:{"d":{"2":[1]},"bc":"implicit_all"}`, undecided},
		{"consentmanager", "purposes without a map", "__cmpcpcx1=__1_2__", "none"},
		{"c15t", "the current writer", "c15t=c.necessary:1,c.measurement:1,i.t:1", "statistics"},
		{"c15t", "preferences need both of their names", "c15t=c.functionality:1,i.t:1", "none"},
		{"finsweet", "encoded twice", "fs-cc=" + encoded(encoded(`{"id":"x","consents":{"analytics":true,"essential":true,"marketing":false,"personalization":true,"uncategorized":true}}`)), "preferences.statistics"},
		{"shopify", "an answer", "_tracking_consent=" + encoded(`{"con":{"CMP":{"a":"1","m":"0","p":"1","s":""}},"v":"2.1"}`), "preferences.statistics"},
		{"shopify", "the compact form", "_tracking_consent=3.AMPS_DE_f_f_x", undecided},
		{"tealium", "categories", "CONSENTMGR=c1:1%7Cc3:0%7Cc6:1%7Cts:1%7Cconsent:true", "preferences.statistics"},
		{"hubspot", "categories", "__hs_cookie_cat_pref=1:true_2:false_3:true", "preferences.statistics"},
		{"cookiescript", "categories", `CookieScriptConsent={"action":"accept","categories":"[\"performance\",\"targeting\"]"}`, "statistics.marketing"},
		{"cookiescript", "closed", `CookieScriptConsent={"action":"close","categories":"[\"performance\"]"}`, undecided},
		{"cookieinformation", "categories", `CookieInformationConsent={"consents_approved":["cookie_cat_necessary","cookie_cat_statistic"],"consents_denied":["cookie_cat_marketing"]}`, "statistics"},
		{"cookiehub", "categories", "cookiehub=" + in64(`{"answered":true,"allAllowed":false,"categories":[{"cid":2,"value":true},{"cid":4,"value":false}]}`), "preferences"},
		{"moove", "switches", "moove_gdpr_popup=" + encoded(`{"strict":"1","thirdparty":"1","advanced":"0"}`), "statistics"},
		{"drupal", "categories", `cookie-agreed=2; cookie-agreed-categories=["functional"]`, "preferences"},
		{"drupal", "agreed, with a damaged list", `cookie-agreed=2; cookie-agreed-categories=["functional"`, undecided},
		{"drupal", "refused, whatever the list says", `cookie-agreed=0; cookie-agreed-categories=["functional"]`, "none"},
		{"wp-consent-api", "categories", "wp_consent_statistics=allow; wp_consent_marketing=deny; wp_consent_statistics-anonymous=allow", "statistics"},
		{"transcend", "marketing needs sale as well", `tcm={"purposes":{"SaleOfInfo":false,"Analytics":true,"Functional":"Auto","Advertising":true},"confirmed":true}`, "statistics"},
		{"ketch", "purposes", "_ketch_consent_v1_=" + in64(`{"analytics":{"status":"granted","canonicalPurposes":["analytics"]},"ads":{"status":"denied"}}`), "statistics"},
		{"cookie-notice", "the older word, and less in the newer record", `cookie_notice_accepted=true; hu-consent={"consent":true,"categories":{"1":true,"2":true,"3":false,"4":false}}`, "preferences"},
		{"cookie-notice", "the older word", "cookie_notice_accepted=true", "all"},
		{"cookie-notice", "switches", `hu-consent={"consent":true,"categories":{"1":true,"2":true,"3":false,"4":false}}`, "preferences"},
		{"commanders-act", "refused", "TC_PRIVACY=1%40001%7C7%401%402%40%401", "none"},
		{"piwik-pro", "purposes", `ppms_privacy_` + uuid + `={"visitorId":"x","consents":{"analytics":{"status":1},"remarketing":{"status":0}}}`, "statistics"},
		{"fides", "switches", "fides_consent=" + in64(`{"consent":{"analytics":true,"marketing":false},"fides_meta":{"consentMethod":"save"}}`), "statistics"},
		{"us-privacy", "opted out", "us_privacy=1YYN", "preferences.statistics"},
		{"us-privacy", "does not apply", "usprivacy=1---", undecided},
	} {
		t.Run(tt.manager+"/"+tt.name, func(t *testing.T) {
			r, err := NewReader(Options{Own: "consent", Read: []Source{{Manager: tt.manager}}})
			if err != nil {
				t.Fatal(err)
			}
			st := r.Read([]string{tt.header}, false)
			got := st.Grants.Allowed.String()
			switch st.Status {
			case Undecided:
				got = undecided
			case Refused:
				got = "none"
			case Accepted:
				got = "all"
			}
			if got != tt.want || st.Status != Undecided && st.Source != tt.manager {
				t.Errorf("got %s from %s, want %s", got, st.Source, tt.want)
			}
			if st := r.Read([]string{tt.header}, true); st.Grants.Allowed.Has(rules.Marketing) {
				t.Error("GPC leaves marketing on")
			}
		})
	}
}

// Which record counts where there are several.
func TestWhoseAnswerCounts(t *testing.T) {
	const (
		bot  = "CookieConsent={stamp:'x',necessary:true,preferences:true,statistics:true,marketing:true}"
		hub  = "__hs_cookie_cat_pref=1:true_2:false_3:false"
		tag  = "https://consent.cookiebot.com/uc.js"
		full = "preferences.statistics.marketing"
	)
	for _, tt := range []struct {
		name, header, saw string
		o                 Options
		want, source      string
	}{
		{"nothing", "", "", Options{}, "undecided", "none"},
		{"a record whose manager nobody saw refuses at most", bot, "", Options{}, "refused", "cookiebot"},
		{"the manager's script stands on the site", bot, tag, Options{}, "all", "cookiebot"},
		{"another's script does", bot, "https://cdn.iubenda.com/cs/iubenda_cs.js", Options{}, "refused", "cookiebot"},
		{"a query names it", bot, "/suggest.js?q=" + tag, Options{}, "refused", "cookiebot"},
		{"any record may grant", bot, "", Options{Auto: true}, "all", "cookiebot"},
		{"the configuration names it", bot, "", Options{Read: []Source{{Manager: "cookiebot"}}}, "all", "cookiebot"},
		{"the configuration names another", bot, tag, Options{Read: []Source{{Manager: "hubspot"}}}, "undecided", "none"},
		{"the own cookie wins", "consent=v1:statistics; " + bot, tag, Options{}, "partly", "own"},
		{"but not over who is named", "consent=v1:none; " + bot, "", Options{Read: []Source{{Manager: "cookiebot"}}}, "all", "cookiebot"},
		{"the own cookie, while the named one has no answer", "consent=v1:none; CookieConsent=", "", Options{Read: []Source{{Manager: "cookiebot"}}}, "refused", "own"},
		{"two records", bot + "; " + hub, "", Options{Auto: true}, "partly", "cookiebot+hubspot"},
		{"two cookies of one name", bot + "; CookieConsent=0", "", Options{Auto: true}, "refused", "cookiebot"},
		{"an opt-out takes marketing away", bot + "; us_privacy=1YYN", "", Options{Auto: true}, "partly", "cookiebot"},
		{"and so does one of GPP", "us_privacy=1YNN; __gpp=DBABLA~BAAQAAAAAAA.QA; " + bot, "", Options{Auto: true}, "partly", "cookiebot"},
		{"the bridge", "consent_bridge=v1:statistics", "", Options{Bridge: true}, "partly", "bridge"},
		{"a bridge that the site does not have", "consent_bridge=v1:statistics", "", Options{}, "undecided", "none"},
		{"a damaged bridge", "consent_bridge=yes", "", Options{Bridge: true}, "undecided", "none"},
		{"longer than any cookie", "CookieConsent=" + strings.Repeat("x", maxForeign+1), "", Options{Auto: true}, "undecided", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Own = "consent"
			for _, cached := range []bool{false, true} {
				if cached {
					c, err := NewCache()
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					tt.o.Cache = c
				}
				r, err := NewReader(tt.o)
				if err != nil {
					t.Fatal(err)
				}
				if tt.saw != "" {
					if !r.Watches([]string{tt.header}) && tt.o.Read == nil {
						t.Error("nobody looks for the script")
					}
					r.Saw(tt.saw)
				}
				for range 3 {
					if st := r.Read([]string{tt.header}, false); st.Status.String() != tt.want || st.Source != tt.source {
						t.Errorf("got %s (%s) from %s, want %s from %s", st.Status, st.Grants.Allowed, st.Source, tt.want, tt.source)
					}
				}
			}
		})
	}
}

func TestTCFPurposesAreConfigurable(t *testing.T) {
	// Purposes 1, 2 and 7, of 24; the vendors' part is cut.
	const tc = "CPgrvQAPgrvQAAHABBENCkCgAMIAAAAAAAAAAAA"
	for _, tt := range []struct {
		m    map[string]rules.Category
		want string
	}{
		{nil, "necessary"},
		{map[string]rules.Category{"1": rules.Marketing, "2": rules.Marketing}, "marketing"},
		{map[string]rules.Category{"7": rules.Statistics, "3": rules.Marketing}, "statistics"},
		{map[string]rules.Category{"99": rules.Statistics, "x": rules.Marketing}, "necessary"},
	} {
		r, err := NewReader(Options{Own: "consent", Read: []Source{{Manager: "tcf", Map: tt.m}}})
		if err != nil {
			t.Fatal(err)
		}
		st := r.Read([]string{"euconsent-v2=" + tc}, false)
		if got := st.Grants.Allowed.String(); got != tt.want {
			p, ok := decodeTCF(tc)
			t.Errorf("%v: got %s, want %s (purposes %b, %v)", tt.m, got, tt.want, p, ok)
		}
	}
}

func TestTCStringOfNoVendorListIsNoAnswer(t *testing.T) {
	r, err := NewReader(Options{Own: "consent", Read: []Source{{Manager: "tcf"}}})
	if err != nil {
		t.Fatal(err)
	}
	for tc, want := range map[string]Status{
		"CPgrvQAPgrvQAAHABBENCkCgAP_AAAAAAAAAAAA": Accepted,  // list 164
		"CPgrvQAPgrvQAAHABBENAACgAP_AAAAAAAAAAAA": Undecided, // list 0
	} {
		if st := r.Read([]string{"euconsent-v2=" + tc}, false); st.Status != want {
			t.Errorf("%s: %s, want %s", tc, st.Status, want)
		}
	}
}

// A visitor who accepts the site's banner and has opted out of sale or targeted advertising under any
// state's law gets no marketing.
func TestOptOutsOfTheStates(t *testing.T) {
	r, err := NewReader(Options{Own: "consent", Read: []Source{{Manager: "cookieconsent"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, gpp string
		marketing bool
	}{
		{"California, not opted out", "DBABBg~BVoVVVVVVVU", true},
		{"California, sharing", "DBABBg~BVkVVVVVVVU", false},
		{"Florida, not opted out", "DBABAw~BVqAAAAAAAA", true},
		{"Florida, sale", "DBABAw~BVaAAAAAAAA", false},
		{"Texas, targeted advertising", "DBABEw~BVmAAAAAAAA", false},
		{"Iowa, not opted out", "DBABCw~BVagAAAAAAA", true},
		{"Iowa, sale", "DBABCw~BVWgAAAAAAA", false},
		{"Minnesota, targeted advertising", "DBABIY~BVmAAAAAAAA", false},
		{"Texas, Global Privacy Control off", "DBABEw~BVqAAAAAAAA.QA", true},
		{"Texas, Global Privacy Control on", "DBABEw~BVqAAAAAAAA.YA", false},
		{"Texas, a subsection of another kind", "DBABEw~BVqAAAAAAAA.oA", true},
		{"a section that is not known", "DBABCG~BVVVVVVVVVV.YA", true},
	} {
		ids, _, ok := gppSections(tt.gpp)
		st := r.Read([]string{"cookieconsent_status=allow; __gpp=" + tt.gpp}, false)
		if !ok || st.Grants.Allowed.Has(rules.Marketing) != tt.marketing {
			t.Errorf("%s: allowed %s (sections %v)", tt.name, st.Grants.Allowed, ids)
		}
	}
}

// Whatever stands in a cookie, nothing breaks, and what is read is never more than all.
func FuzzRecords(f *testing.F) {
	for _, v := range []string{"%", "%7B%22", "!!!!", "{", "[[", `{"a":`, "1:true", "CPgrvQAPgrvQAAHABBENCkCgAAAAAAAAAAAAAAAAAAAA", "DBABM~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", "{necessary:true,preferences:true}", "!a=true", "@@@@"} {
		f.Add(v)
	}
	var readers []*Reader
	for _, m := range managers {
		r, err := NewReader(Options{Own: "consent", Read: []Source{{Manager: m.ID, Implied: true}}})
		if err != nil {
			f.Fatal(err)
		}
		readers = append(readers, r)
	}
	f.Fuzz(func(t *testing.T, v string) {
		for i, m := range managers {
			for _, name := range m.Cookies {
				name = strings.ReplaceAll(name, "*", "x")
				line := []string{name + "=" + v}
				st := readers[i].Read(line, false)
				if again := readers[i].Read(line, false); again.Status != st.Status || again.Grants.Allowed != st.Grants.Allowed {
					t.Errorf("%s: two answers for one value", m.ID)
				}
				if st.Status == Undecided && st.Grants.Allowed&rules.Optional != 0 {
					t.Errorf("%s: granted without an answer", m.ID)
				}
			}
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	header := []string{"sid=1; OptanonAlertBoxClosed=2026-01-01; OptanonConsent=isGpcEnabled=0&datestamp=Tue+Oct+19+2021&version=6.20.0&hosts=&consentId=" + uuid + "&interactionCount=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0003%3A1%2CC0002%3A1%2CC0004%3A1; _ga=2"}
	didomi := []string{"didomi_token=" + in64(`{"user_id":"u","vendors":{"enabled":[],"disabled":[]},"purposes":{"enabled":["cookies","select_basic_ads"],"disabled":["market_research"]}}`)}
	tc := []string{"euconsent-v2=CPgrvQAPgrvQAAHABBENCkCgAAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAAA"}
	cache, err := NewCache()
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	for _, bm := range []struct {
		name   string
		header []string
	}{{"onetrust", header}, {"didomi", didomi}, {"tcf", tc}, {"none", []string{"sid=1; _ga=2; cart=3"}}} {
		for _, c := range []*Cache{nil, cache} {
			name := bm.name + "/read"
			if c != nil {
				name = bm.name + "/remembered"
			}
			r, err := NewReader(Options{Own: "consent", Auto: true, Cache: c})
			if err != nil {
				b.Fatal(err)
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r.Read(bm.header, false)
				}
			})
		}
	}
}

// The documentation lists every manager with its cookies.
func TestManagersAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/consent-managers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range managers {
		row := "| `" + m.ID + "` | " + m.Name + " | `" + strings.Join(m.Cookies, "`, `") + "` |"
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/consent-managers.md lacks %s", row)
		}
	}
}
