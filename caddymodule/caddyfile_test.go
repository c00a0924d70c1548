package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"no options", "consent", `{}`},
		{"all options", `consent {
			mode shadow
			unclassified block
			unclassified_cookies block
			service youtube preferences
			allow a.example b.example
			block marketing c.example d.example
			block statistics e.example
			cookie promo_* marketing
			essential keep
			first_party f.example
			catalogue ../rules/catalogue/services/zoom.yaml
			cookie_name choice
			endpoint /cookies
			fail closed
			fail unsupported_encoding open
			policy_revision 2026-1
			log_resources 5
		}`, `{"mode":"shadow","unclassified":"block","unclassified_cookies":"block","services":{"youtube":"preferences"},"allow":["a.example","b.example"],` +
			`"block":{"marketing":["c.example","d.example"],"statistics":["e.example"]},"cookies":{"promo_*":"marketing"},"essential":["keep"],"first_party":["f.example"],` +
			`"catalogue":["../rules/catalogue/services/zoom.yaml"],"cookie_name":"choice","endpoint":"/cookies","fail":{"*":"closed","unsupported_encoding":"open"},"policy_revision":"2026-1","log_resources":5}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := new(Handler)
			if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.in)); err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(h); string(got) != tt.want {
				t.Errorf("\ngot  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCaddyfileErrorsNameTheNearestWord(t *testing.T) {
	for in, want := range map[string]string{
		"consent {\nallow cdn.shop.example\nallow not_a_/host\n}":                                   `allow: "not_a_/host" is not a host name`,
		"consent {\nmode shadow\nblock marketing co.uk\n}":                                          `Testfile:3`,
		"consent {\nallow a.example\nmode shadow\nblock marketing a.example\nunclassified allow\n}": `Testfile:4`,
		"consent {\nservice my-own-thing marketing\n}":                                              `unknown service "my-own-thing"`,
		"consent {\nfirst_party com\n}":                                                             `com is a public suffix`,
		"consent {\nblock necessary a.example\n}":                                                   `necessary is never blocked`,
		"consent {\ncookie a*b marketing\n}":                                                        `cookie a*b`,
		"consent {\nessential *\n}":                                                                 `essential:`,
		"consent {\nendpoint /\n}":                                                                  `is not a path below the root`,
		"consent {\nmode shadow\nendpoint consent\n}":                                               `Testfile:3`,
		"consent {\ncookie_name a;b\n}":                                                             `is not a cookie name`,
		"consent {\npolicy_revision a:b\n}":                                                         `use up to 64 letters`,
		"consent {\nfail upstream_abort open\n}":                                                    `leave it closed`,
		"consent {\nmode shadow\ncsp enforce\nunclassified allow\n}":                                `Testfile:3`,
		"consent {\nmode shadow\ncatalogue missing.yaml\n}":                                         `Testfile:3`,
		"consent shop shadow":                                                                       `takes at most one argument`,
		"consent {\nmod shadow\n}":                                                                  `unknown option "mod", did you mean "mode"?`,
		"consent {\nmode shaddow\n}":                                                                `did you mean "shadow"?`,
		"consent {\nmode\n}":                                                                        `mode takes one argument, not 0`,
		"consent {\nmode shadow enforce\n}":                                                         `mode takes one argument, not 2`,
		"consent {\nmode shadow\nmode enforce\n}":                                                   `mode is given twice`,
		"consent {\nunclassified block_activ\n}":                                                    `did you mean "block_active"?`,
		"consent {\nservice youtub preferences\n}":                                                  `unknown service "youtub", did you mean "youtube"?`,
		"consent {\nservice youtube preference\n}":                                                  `did you mean "preferences"?`,
		"consent {\nservice youtube\n}":                                                             `service takes an id and a category`,
		"consent {\nblock marketing\n}":                                                             `block takes a category and hosts`,
		"consent {\nblock marketng x.example\n}":                                                    `did you mean "marketing"?`,
		"consent {\nallow\n}":                                                                       `allow takes at least one argument`,
		"consent {\ncookie x\n}":                                                                    `cookie takes a name`,
		"consent {\nfail unsuported_encoding open\n}":                                               `did you mean "unsupported_encoding"?`,
		"consent {\nfail opn\n}":                                                                    `did you mean "open"?`,
		"consent {\nfail open\nfail closed\n}":                                                      `given twice`,
		"consent {\nplaceholder klarro\n}":                                                          `did you mean "klaro"?`,
		"consent {\nplaceholder\n}":                                                                 `placeholder takes the id`,
		"consent {\nplaceholder klaro\nplaceholder orejime\n}":                                      `placeholder is given twice`,
		"consent {\nplaceholder klaro {\nmapp youtube video\n}\n}":                                  `did you mean "map"?`,
		"consent {\nplaceholder klaro {\nmap youtub video\n}\n}":                                    `did you mean "youtube"?`,
		"consent {\nplaceholder onetrust {\nmap C0002\n}\n}":                                        `map takes categories or services`,
		"consent {\nlog_resources many\n}":                                                          `takes a number`,
		"consent {\nservice youtube marketing {\nx\n}\n}":                                           `no block is expected`,
		"consent {\nservice youtube marketing\nservice youtube statistics\n}":                       `given twice`,
	} {
		err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(in))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%q:\ngot  %v\nwant %s", in, err, want)
		}
	}
}

func TestProxyCommandConfig(t *testing.T) {
	cfg, err := proxyConfig(":8080", "https://site.example", proxyOptions{shadow: true})
	if err != nil {
		t.Fatal(err)
	}
	text := string(cfg.AppsRaw["http"])
	for _, want := range []string{`"listen":[":8080"]`, `"handler":"consent"`, `"mode":"shadow"`, `"first_party":["site.example"]`, `"dial":"site.example:443"`, `"Host":["site.example"]`, `"disable":true`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	for _, bad := range [][2]string{{":8080", ""}, {":8080", "ftp://x"}, {":8080", "https://x/path"}, {"a/b", "https://x"}, {":8080", "https://"}} {
		if _, err := proxyConfig(bad[0], bad[1], proxyOptions{}); err == nil {
			t.Errorf("--from %s --to %s is taken", bad[0], bad[1])
		}
	}
}
