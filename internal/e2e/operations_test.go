package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// admin asks the process's admin API.
func (c *caddy) admin(method, path string) (int, string) {
	c.t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.socket())
	}
	tr := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	req, err := http.NewRequest(method, "http://127.0.0.1"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// adminSites is the answer of GET /consent/.
type adminSites struct {
	Since string
	Sites []struct {
		Name   string
		Places []struct {
			Server string
			Hosts  []string
			Errors bool
		}
		Endpoint, Mode, Unclassified, CSP string
		Cookie                            string `json:"cookie_name"`
		Revision                          string `json:"policy_revision"`
		Catalogue                         struct {
			Version                             string
			Files                               []string
			Services, Hosts, Cookies, Essential int
		}
		Counters struct {
			Responses, Failures, Choices, Reports map[string]int
			Blocked                               int
			CookiesSet                            int `json:"cookies_set_removed"`
			CookiesSent                           int `json:"cookies_sent_removed"`
			BytesIn                               int `json:"bytes_in"`
			BytesOut                              int `json:"bytes_out"`
		}
	}
}

func (c *caddy) sites() (out adminSites) {
	c.t.Helper()
	status, body := c.admin("GET", "/consent/")
	if err := json.Unmarshal([]byte(body), &out); status != 200 || err != nil {
		c.t.Fatalf("%d %v\n%s", status, err, body)
	}
	return out
}

// pageUpstream answers with a page that has a known service, an unknown script and tracking cookies.
func pageUpstream(t testing.TB) string {
	return startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Add("Set-Cookie", "_ga=1")
		_, _ = io.WriteString(w, `<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script><script src="https://widget.example/w.js"></script>`)
	})
}

// An operator sees which sites there are, what is in force on each, and what it has done.
func TestAdminListsSites(t *testing.T) {
	up := pageUpstream(t)
	c := startCaddy(t, `{
	metrics
	consent shop {
		mode shadow
		policy_revision 2026-11
	}
}
http://:8080 {
	consent {
		unclassified block
		csp report
	}
	reverse_proxy `+up+`
}
http://shop.test:8081, http://www.shop.test:8081 {
	consent shop
	reverse_proxy `+up+`
	handle_errors {
		consent shop
		respond "sorry"
	}
}
http://:8082 {
	metrics
}
`)
	for range 3 {
		mustGet(t, c.url("8080", "/"), "Cookie: _ga=1; session=1")
	}
	mustGet(t, c.url("8081", "/"), "Host: shop.test")
	c.records("response", 4)
	list := c.sites()
	if len(list.Sites) != 2 || list.Since == "" {
		t.Fatalf("%+v", list)
	}
	for _, s := range list.Sites {
		if s.Catalogue.Services < 1000 || len(s.Catalogue.Version) != 12 {
			t.Errorf("catalogue %+v", s.Catalogue)
		}
		switch s.Name {
		case "":
			n := s.Counters
			if s.Endpoint != "/.consent" || s.Mode != "enforce" || s.Unclassified != "block" || s.CSP != "report" || len(s.Revision) != 8 || s.Cookie != "consent" || len(s.Places) != 1 {
				t.Errorf("%+v", s)
			}
			if n.Responses["rewritten"] != 3 || n.Blocked != 6 || n.CookiesSet != 3 || n.CookiesSent != 3 || n.BytesIn == 0 || n.BytesOut <= n.BytesIn {
				t.Errorf("%+v", n)
			}
		case "shop":
			if s.Mode != "shadow" || s.Revision != "2026-11" || s.Counters.Responses["rewritten"] != 1 {
				t.Errorf("%+v", s)
			}
			if len(s.Places) != 2 || strings.Join(s.Places[0].Hosts, " ") != "shop.test www.shop.test" || s.Places[0].Errors || !s.Places[1].Errors {
				t.Errorf("places %+v", s.Places)
			}
		}
	}
	_, text := mustGet(t, c.url("8082", "/metrics"))
	for _, want := range []string{
		`caddy_consent_responses_total{outcome="rewritten"} 4`,
		`caddy_consent_resources_total{action="block",category="preferences",kind="script"} 4`,
		`caddy_consent_cookies_removed_total{direction="sent"} 3`,
		`caddy_consent_cookies_removed_total{direction="set"} 4`,
		`caddy_consent_bytes_total{direction="in"}`,
		`caddy_consent_rewrite_seconds_count 4`,
		`caddy_consent_csp_headers_total{result="sent"} 3`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s:\n%s", want, grep(text, "caddy_consent"))
		}
	}
	if status, body := c.admin("GET", "/consent/seen"); status != 200 || !strings.Contains(body, `"line": "service `) || !strings.Contains(body, `"declared": false`) {
		t.Errorf("what was seen: %d %s", status, body)
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{{"POST", "/consent/seen", 405}, {"POST", "/consent/", 405}, {"GET", "/consent/reload", 405}, {"GET", "/consent/nothing", 404}, {"POST", "/consent/reload", 200}} {
		if status, body := c.admin(tt.method, tt.path); status != tt.status {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, status, body)
		}
	}
}

func grep(text, word string) (out string) {
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			out += l
		}
	}
	return out
}

// A changed catalogue file is in force after the trigger, and not before; a broken one leaves
// everything as it was and is named with its line.
func TestCatalogueFilesAreReadAgain(t *testing.T) {
	up := pageUpstream(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "own.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	widget := func(category string) string {
		return "- id: widget\n  name: Widget\n  category: " + category + "\n  hosts: [widget.example]\n"
	}
	write(widget("statistics"))
	text := "http://:8080 {\n\tconsent {\n\t\tcatalogue " + file + "\n\t}\n\treverse_proxy " + up + "\n}\n"
	c := startCaddy(t, text)
	category := func() string {
		t.Helper()
		_, body := mustGet(t, c.url("8080", "/"))
		_, rest, _ := strings.Cut(body, `data-consent-category="`)
		_, rest, _ = strings.Cut(rest, `data-consent-category="`)
		word, _, _ := strings.Cut(rest, `"`)
		return word
	}
	if got := category(); got != "statistics" {
		t.Fatalf("the file is not in force: %q", got)
	}
	before := c.sites().Sites[0]
	write(widget("marketing"))
	if out, err := c.reload(text); err != nil || category() != "statistics" {
		t.Fatalf("caddy reload with the same text is said to do nothing: %v %s", err, out)
	}
	if out, err := c.command("consent", "reload", "--address", "unix/"+c.socket()); err != nil || !strings.Contains(out, "sites with changed rules: 1 of 1") {
		t.Fatalf("%v %s", err, out)
	}
	if got := category(); got != "marketing" {
		t.Errorf("the changed file is not in force: %q", got)
	}
	after := c.sites().Sites[0]
	if after.Catalogue.Version == before.Catalogue.Version || after.Revision != before.Revision {
		t.Errorf("from %+v\nto %+v", before, after)
	}
	if status, body := c.admin("POST", "/consent/reload"); status != 200 || !strings.Contains(body, `"changed":0`) {
		t.Errorf("nothing has changed: %d %s", status, body)
	}
	for _, broken := range []struct{ text, want string }{
		{widget("marketng"), `own.yaml:3: unknown category`},
		{"- id: widget\n\tname: x\n", "own.yaml:2: "},
		{"- id: w1\n  category: marketing\n  hosts: [hotjar.com]\n", "own.yaml:3: host hotjar.com belongs to service hotjar already"},
	} {
		write(broken.text)
		status, body := c.admin("POST", "/consent/reload")
		if status != 422 || !strings.Contains(body, broken.want) || !strings.Contains(body, "nothing is changed") {
			t.Errorf("%d %s, want %s", status, body, broken.want)
		}
		if out, err := c.command("consent", "reload", "--address", "unix/"+c.socket()); err == nil || !strings.Contains(out, broken.want) {
			t.Errorf("%v %s, want %s", err, out, broken.want)
		}
		if got := category(); got != "marketing" {
			t.Errorf("after a broken file: %q", got)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if status, body := c.admin("POST", "/consent/reload"); status != 422 || !strings.Contains(body, "own.yaml: no such file") || category() != "marketing" {
		t.Errorf("after a lost file: %d %s", status, body)
	}
}

// A Caddyfile routes on consent: matcher, placeholders and directive read one cookie.
func TestRoutingOnConsent(t *testing.T) {
	c := exampleCaddy(t, "routing")
	host := "Host: localhost" + strings.TrimPrefix(c.addr("8080"), "127.0.0.1")
	for _, tt := range []struct {
		cookie, says, count, recommended string
		youtube                          bool
	}{
		{"", "You are undecided and allow necessary.", "", "for everybody", false},
		{"shop_consent=v1:none", "You are refused and allow necessary.", "", "for everybody", false},
		{"shop_consent=v1:statistics", "You are partly and allow statistics.", "yes", "for everybody", false},
		{"shop_consent=v1:preferences.marketing", "You are partly and allow preferences.marketing.", "", "for you", true},
		{"shop_consent=v1:preferences.statistics.marketing", "You are all and allow preferences.statistics.marketing.", "yes", "for you", true},
		{"consent=v1:preferences.statistics.marketing", "You are undecided and allow necessary.", "", "for everybody", false},
	} {
		cookie := "Cookie: " + tt.cookie
		res, body := mustGet(t, c.url("8080", "/"), cookie, host)
		if !strings.Contains(body, tt.says) || res.Header.Get("X-Count-Visit") != tt.count || strings.Contains(body, "data-consent-") == tt.youtube {
			t.Errorf("%q: X-Count-Visit %q\n%s", tt.cookie, res.Header.Get("X-Count-Visit"), body)
		}
		if _, body := mustGet(t, c.url("8080", "/recommendations"), cookie, host); body != tt.recommended {
			t.Errorf("%q: recommendations are %q", tt.cookie, body)
		}
	}
}

// Placeholders hold wherever a matcher or the directive has seen the request before, without a
// name too.
func TestPlaceholdersOfTheDefaultConfiguration(t *testing.T) {
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Header.Get("X-Consent"))
	})
	c := startCaddy(t, `http://:8080 {
	@marketing consent marketing
	vars @marketing x y
	map {http.consent.state} {early} {
		undecided "new"
		default "known"
	}
	header X-Early {early}
	header >X-Late "{http.consent.categories} {http.consent.source} {http.consent.gpc} {http.consent.revision}"
	consent
	reverse_proxy `+up+` {
		header_up X-Consent "{http.consent.state} {http.consent.categories}"
	}
}
`)
	for cookie, want := range map[string][3]string{
		"":                                     {"new", "necessary none false ", "undecided necessary"},
		"consent=v1:statistics:1764000000:rev": {"known", "statistics own false rev", "partly statistics"},
	} {
		res, _ := mustGet(t, c.url("8080", "/"), "Cookie: "+cookie)
		if got := [3]string{res.Header.Get("X-Early"), res.Header.Get("X-Late"), res.Header.Get("X-Seen")}; strings.TrimSpace(got[1]) != strings.TrimSpace(want[1]) || got[0] != want[0] || got[2] != want[2] {
			t.Errorf("%q: %q, want %q", cookie, got, want)
		}
	}
}

// The access log says of each document what consent did with it, in fields that its format can change.
func TestAccessLog(t *testing.T) {
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<p><script src="https://www.google-analytics.com/analytics.js"></script>`)
	})
	file := filepath.Join(t.TempDir(), "access.log")
	c := startCaddy(t, `http://:8080 {
	log {
		output file `+file+`
		format filter {
			fields {
				consent_state rename state
			}
		}
	}
	consent
	reverse_proxy `+up+`
}
`)
	mustGet(t, c.url("8080", "/"))
	mustGet(t, c.url("8080", "/"), "Cookie: consent=v1:preferences.statistics.marketing:1764000000")
	var lines []string
	for range 500 {
		text, _ := os.ReadFile(file)
		if lines = strings.Split(strings.TrimSpace(string(text)), "\n"); len(lines) == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i, want := range []string{`"state":"undecided","consent_outcome":"rewritten","consent_blocked":1`, `"state":"all","consent_outcome":"all_allowed","consent_blocked":0`} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d of\n%s\nlacks %s", i+1, strings.Join(lines, "\n"), want)
		}
	}
}

// Every wrong word about named configurations is an error that names the line or the nearest name.
func TestNamedConfigurationErrors(t *testing.T) {
	c := &caddy{t: t, dir: shortTempDir(t), ports: map[string]int{}}
	global := func(options string) string { return "{\n" + options + "\n}\n" }
	const ok = "\tconsent shop {\n\t\tmode shadow\n\t}"
	for name, tt := range map[string]struct{ text, want string }{
		"an unknown name":              {global(ok) + ":8080 {\n\tconsent shpo\n}\n", `no consent configuration has the name "shpo", did you mean "shop"?, at Caddyfile:9`},
		"no names at all":              {":8080 {\n\tconsent shop\n}\n", `define it with the global option: consent shop { … }, at Caddyfile:6`},
		"a name given twice":           {global(ok+"\n"+ok) + ":8080\n", `the consent configuration "shop" is given twice, at Caddyfile:7`},
		"a name and a block":           {global(ok) + ":8080 {\n\tconsent shop {\n\t\tmode shadow\n\t}\n}\n", "options stand in the global option of that name"},
		"two names":                    {global(ok) + ":8080 {\n\tconsent shop shop\n}\n", "takes at most one argument"},
		"a global option without name": {global("\tconsent {\n\t\tmode shadow\n\t}") + ":8080\n", "takes one name"},
		"a wrong word inside":          {global("\tconsent shop {\n\t\tmod shadow\n\t}") + ":8080\n", `unknown option "mod", did you mean "mode"?, at Caddyfile:5`},
		"a name like a category":       {global("\tconsent statistic {\n\t}") + ":8080\n", "too near to the category statistics"},
		"an unknown category":          {":8080 {\n\t@s consent statistcs\n\trespond @s x\n}\n", `did you mean "statistics"?, at Caddyfile:6`},
		"an unknown second category":   {":8080 {\n\t@s consent statistics marketin\n\trespond @s x\n}\n", `did you mean "marketing"?, at Caddyfile:6`},
		"a category twice":             {":8080 {\n\t@s consent statistics statistics\n\trespond @s x\n}\n", "given twice, at Caddyfile:6"},
		"the necessary":                {":8080 {\n\t@s consent necessary\n\trespond @s x\n}\n", "necessary is always allowed"},
		"no category":                  {":8080 {\n\t@s consent\n\trespond @s x\n}\n", "takes one or more categories"},
		"a matcher's unknown name":     {global(ok) + ":8080 {\n\t@s consent shpo statistics\n\trespond @s x\n}\n", `no consent configuration has the name "shpo", did you mean "shop"?`},
		"enforce without block":        {":8080 {\n\tconsent {\n\t\tcsp enforce\n\t\tmode enforce\n\t}\n}\n", "csp enforce needs unclassified block, since a policy of hosts stops what no rule knows too; csp report works with every setting, at Caddyfile:7"},
		"a wrong csp":                  {":8080 {\n\tconsent {\n\t\tcsp enforced\n\t}\n}\n", `did you mean "enforce"?, at Caddyfile:7`},
	} {
		t.Run(name, func(t *testing.T) {
			c.write(tt.text)
			out, err := c.command("adapt", "--config", "Caddyfile", "--adapter", "caddyfile", "--validate")
			if err == nil || !strings.Contains(strings.ReplaceAll(out, `\"`, `"`), tt.want) {
				t.Errorf("%v\n%s\nwant %s", err, out, tt.want)
			}
		})
	}
}
