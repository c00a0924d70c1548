package rules

import (
	"strings"
	"testing"
)

// What a page needs to work passes for a visitor who refused everything, with no line of configuration:
// payment, login, captcha, libraries, and what site builders and shops serve their sites from.
func TestSitesWorkForAVisitorWhoRefused(t *testing.T) {
	site := testSite(t, SiteConfig{})
	refused := site.For(Grants{})
	page := NewPage("https", "www.shop.example")
	for _, tt := range []struct {
		kind Kind
		urls string
	}{
		{KindScript, `https://js.stripe.com/v3/ https://www.paypal.com/sdk/js?client-id=x https://www.paypalobjects.com/api/checkout.js https://js.braintreegateway.com/web/3.97.2/js/client.min.js
			https://checkoutshopper-live.adyen.com/checkoutshopper/sdk/5.0.0/adyen.js https://js.mollie.com/v1/mollie.js https://web.squarecdn.com/v1/square.js https://x.klarnacdn.net/kp/lib/v1/api.js
			https://pay.google.com/gp/p/js/pay.js https://static-eu.payments-amazon.com/checkout.js https://checkout.razorpay.com/v1/checkout.js
			https://www.google.com/recaptcha/api.js https://www.gstatic.com/recaptcha/releases/x/recaptcha__en.js https://www.recaptcha.net/recaptcha/api.js https://js.hcaptcha.com/1/api.js https://hcaptcha.com/1/api.js https://challenges.cloudflare.com/turnstile/v0/api.js
			https://accounts.google.com/gsi/client https://appleid.cdn-apple.com/appleauth/static/jsapi/appleid/1/en_US/appleid.auth.js https://cdn.auth0.com/js/auth0/9.18/auth0.min.js https://alcdn.msauth.net/browser/2.30.0/js/msal-browser.min.js
			https://ajax.googleapis.com/ajax/libs/jquery/3.7.1/jquery.min.js https://code.jquery.com/jquery-3.7.1.min.js https://cdnjs.cloudflare.com/ajax/libs/lodash.js/4.17.21/lodash.min.js https://cdn.jsdelivr.net/npm/bootstrap@5/dist/js/bootstrap.min.js https://unpkg.com/react@18/umd/react.production.min.js
			https://maxcdn.bootstrapcdn.com/bootstrap/3.4.1/js/bootstrap.min.js https://stackpath.bootstrapcdn.com/bootstrap/4.3.1/js/bootstrap.min.js
			https://cdn.shopify.com/shopifycloud/shopify/assets/storefront/load_feature.js https://static.parastorage.com/services/wix-thunderbolt/dist/main.js https://assets.squarespace.com/universal/scripts-compressed/common.js https://static1.squarespace.com/static/x/app.js
			https://cdn2.editmysite.com/js/site/main.js https://c0.wp.com/c/6.4/wp-includes/js/jquery/jquery.min.js
			https://consent.cookiebot.com/uc.js https://cdn.cookielaw.org/scripttemplates/otSDKStub.js https://cdn-cookieyes.com/client_data/x/script.js https://app.usercentrics.eu/browser-ui/latest/loader.js
			https://cdn.privacy-mgmt.com/unified/wrapperMessagingWithoutDetection.js https://global.ketchcdn.com/web/v2/config/shop/shop/boot.js https://transcend-cdn.com/cm/x/airgap.js https://cdn.opencmp.net/tcf-v2/cmp-stub-latest.js`},
		{KindStyle, `https://cdn.jsdelivr.net/npm/bootstrap@5/dist/css/bootstrap.min.css https://cdnjs.cloudflare.com/ajax/libs/normalize/8.0.1/normalize.min.css https://maxcdn.bootstrapcdn.com/font-awesome/4.7.0/css/font-awesome.min.css`},
		{KindImage, `https://cdn.shopify.com/s/files/1/a.jpg https://static.wixstatic.com/media/a.jpg https://images.squarespace-cdn.com/content/a.jpg https://i0.wp.com/shop.example/a.jpg https://res.cloudinary.com/demo/image/upload/a.jpg https://www.paypalobjects.com/webstatic/logo.png`},
		{KindFrame, `https://js.stripe.com/v3/controller.html https://www.google.com/recaptcha/api2/anchor?k=x https://newassets.hcaptcha.com/captcha/v1/x/static/hcaptcha.html https://challenges.cloudflare.com/cdn-cgi/challenge-platform/x https://checkoutshopper-live.adyen.com/checkoutshopper/securedfields.html`},
	} {
		for u := range strings.FieldsSeq(tt.urls) {
			if d := refused.Decide(Resource{Kind: tt.kind, URL: u, Page: page}); d.Action == Block {
				t.Errorf("%v %s is blocked by %s (%s)", tt.kind, u, d.Rule, d.Service)
			}
		}
	}
}

// No cookie that a site's software needs is ever stripped: not by name, not on the site's parent domain, not
// where unknown cookies are blocked.
func TestEssentialCookiesPassForAVisitorWhoRefused(t *testing.T) {
	cat, err := DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	page := NewPage("https", "www.shop.example")
	for _, cfg := range []SiteConfig{{}, {UnclassifiedCookies: "block"}} {
		refused := testSite(t, cfg).For(Grants{})
		for _, e := range cat.essentials {
			names := []string{e.Name}
			if base, ok := strings.CutSuffix(e.Name, "*"); ok {
				names = []string{base + "1", base + "abc", base}
			}
			for _, name := range names {
				for _, domain := range []string{"www.shop.example", "shop.example"} {
					if d := refused.Decide(Resource{Kind: KindCookie, Name: name, Domain: domain, Page: page}); d.Action == Block {
						t.Errorf("%s on %s is stripped by %s (%s)", name, domain, d.Rule, e.Software)
					}
				}
			}
		}
	}
}
