package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const (
	botCookie = "Cookie: CookieConsent={stamp:'x',necessary:true,preferences:true,statistics:true,marketing:true}; UNKNOWN=1"
	botPage   = `<!DOCTYPE html><script src="https://consent.cookiebot.com/uc.js"></script><img src="https://www.facebook.com/tr?id=1">`
	blockedBy = "data-consent-src="
)

func TestSitesWithAConsentManager(t *testing.T) {
	var upstream string
	serve := func(page string) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			upstream = r.Header.Get("Cookie")
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, err := io.WriteString(w, page)
			return err
		}
	}
	for _, tt := range []struct {
		name   string
		h      Handler
		page   string
		first  bool // the first page is as it came
		second bool
		source string
	}{
		{"its script stands on the page: from the second page on", Handler{}, botPage, false, true, "cookiebot"},
		{"its script does not", Handler{}, strings.ReplaceAll(botPage, "consent.cookiebot.com", "static.shop.example"), false, false, "cookiebot"},
		{"the configuration names it", Handler{Read: []ReadSource{{Manager: "cookiebot"}}}, botPage, true, true, "cookiebot"},
		{"the configuration names another", Handler{Read: []ReadSource{{Manager: "onetrust"}}}, botPage, false, false, "none"},
		{"any may grant", Handler{Read: []ReadSource{{Manager: "auto"}}}, botPage, true, true, "cookiebot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &tt.h, serve(tt.page))
			s.host = "shop.example"
			for i, clean := range []bool{tt.first, tt.second} {
				a := s.get(t, botCookie)
				if got := !strings.Contains(a.body, blockedBy); got != clean {
					t.Errorf("page %d: as it came: %v, want %v\n%s", i+1, got, clean, a.body)
				}
				if !strings.Contains(upstream, "CookieConsent={stamp:'x'") {
					t.Errorf("the record does not reach the site: %s", upstream)
				}
				if len(expiries(a)) > 0 {
					t.Errorf("ended: %q", expiries(a))
				}
			}
			all := s.logs.FilterMessage("response").All()
			if got := all[len(all)-1].ContextMap()["source"]; got != tt.source {
				t.Errorf("source %v, want %s", got, tt.source)
			}
		})
	}
}

func TestReadInACaddyfile(t *testing.T) {
	for in, want := range map[string]string{
		"consent {\nread onetrust {\nmap C7 media preferences\nimplied\n}\nread auto\n}": ``,
		"consent {\nread onetrus\n}":                                          `did you mean "onetrust"?`,
		"consent {\nread\n}":                                                  `read takes the id`,
		"consent {\nread onetrust\nread onetrust\n}":                          `given twice`,
		"consent {\nread onetrust {\nmap C7 media\n}\n}":                      `unknown category "media"`,
		"consent {\nread onetrust {\nmapp C7 marketing\n}\n}":                 `did you mean "map"?`,
		"consent {\nmode shadow\nread auto {\nimplied\n}\n}":                  `Testfile:3`,
		"consent {\nread onetrust {\nmap A marketing\nmap A statistics\n}\n}": `A is given twice`,
	} {
		h := new(Handler)
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(in))
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", in, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:")):
			t.Errorf("%q:\ngot  %v\nwant %s", in, err, want)
		case want == "" && (len(h.Read) != 2 || h.Read[0].Map["media"] != "preferences" || h.Read[0].Map["C7"] != "preferences" || !h.Read[0].Implied):
			t.Errorf("read %+v", h.Read)
		}
	}
}
