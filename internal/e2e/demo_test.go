package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// picture saves what the tab shows in the folder that CONSENT_PICTURES names, if any.
func (x *tab) picture(name string) {
	x.t.Helper()
	if dir := os.Getenv("CONSENT_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), x.screenshot(), 0o600); err != nil {
			x.t.Fatal(err)
		}
	}
}

// repositoryFile reads a file by its path in the repository.
func repositoryFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDemoPageInABrowser(t *testing.T) {
	chromium(t)
	s := startSink(t)
	s.serve["cdn.aircall.io/c2c/v1/c2c.min.js"] = `document.getElementById("call").innerHTML = "<button>Call us</button>"; window.aircallRuns = true`
	c := startCaddy(t, repositoryFile(t, "Caddyfile.example"))
	b := startBrowser(t, s, map[string]string{"localhost:80": c.addr("8080"), "bare.localhost:80": c.addr("8081"), "localhost": c.addr("8080")})
	site := strings.Replace(c.url("8080", "/"), "127.0.0.1", "localhost", 1)
	bare := strings.Replace(c.url("8081", "/"), "127.0.0.1", "localhost", 1)

	visit := func(x *tab, url string) []string {
		t.Helper()
		s.reset()
		if err := x.tryOpen(url, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		return hosts(s.settle(700 * time.Millisecond))
	}
	tab, _ := b.tab(true)
	_ = bare

	res, body := mustGet(t, c.url("8081", "/"), "Host: localhost"+strings.TrimPrefix(c.addr("8081"), "127.0.0.1"))
	if len(res.Header["Set-Cookie"]) != 3 || !strings.Contains(body, `<script id="aircall-ajs" async src="https://cdn.aircall.io/`) {
		t.Fatalf("the bare site sets %q: this test could not fail", res.Header["Set-Cookie"])
	}
	noScript, closeNoScript := b.tab(false)
	for _, x := range []struct {
		name string
		tab  interface{ picture(string) }
		got  []string
	}{{"with scripting", tab, visit(tab, site)}, {"without scripting", noScript, visit(noScript, site)}} {
		if len(x.got) > 0 {
			t.Errorf("undecided, %s: contacts %v", x.name, x.got)
		}
	}
	tab.picture("undecided")

	// The choice needs no script.
	noScript.must(chromedp.Click("a[href='/.consent/']"), chromedp.WaitVisible("#preferences"))
	noScript.picture("choice")
	noScript.must(chromedp.Click("#preferences"), chromedp.Click("button[value=custom]"), chromedp.WaitVisible("#call"))
	closeNoScript()

	got := visit(tab, site)
	if runs := eval[bool](tab, "window.aircallRuns === true"); !runs || strings.Join(got, " ") != "cdn.aircall.io" {
		t.Errorf("with preferences: aircall runs %v, contacts %v", runs, got)
	}
	tab.picture("preferences")
	tab.must(chromedp.Navigate(site+".consent/"), chromedp.Click("button[value=reject_all]"), chromedp.WaitVisible("#call"))
	got = visit(tab, site)
	if runs := eval[bool](tab, "window.aircallRuns === true"); runs || len(got) > 0 {
		t.Errorf("refused again: aircall runs %v, contacts %v", runs, got)
	}
	tab.must(chromedp.Navigate(site+".consent/"), chromedp.Click("button[value=accept_all]"), chromedp.WaitVisible("#call"))
	all := strings.Join(visit(tab, site), " ")
	for _, host := range []string{"cdn.aircall.io", "www.googletagmanager.com", "www.youtube.com", "www.facebook.com"} {
		if !strings.Contains(all, host) {
			t.Errorf("accepted all: %s is not contacted (%s)", host, all)
		}
	}

	if n := len(c.records("choice", 3)); n != 3 {
		t.Errorf("%d choices logged, want 3", n)
	}
	line := c.records("response", 1)[0]
	if line["outcome"] != "rewritten" || line["state"] != "undecided" || line["blocked"] != 6.0 || line["set_cookies_stripped"] != 2.0 {
		t.Errorf("log line %v", line)
	}
	access, err := os.ReadFile(filepath.Join(c.dir, "access.log"))
	if err != nil || strings.Contains(string(access), "127.0.0.1") || strings.Contains(string(access), `"Cookie":[`) {
		t.Errorf("the access log holds a full address or cookies: %v %.300s", err, access)
	}
}
