package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// firefox returns the browser's path, as chromium does.
func firefox(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CONSENT_FIREFOX"), "firefox-esr", "firefox"} {
		if name == "" {
			continue
		}
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	const missing = "no Firefox found: install it (Debian: apt install firefox-esr) or name it in CONSENT_FIREFOX"
	if os.Getenv("CONSENT_BROWSER") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// firefoxPrefs send every request to the proxy on loopback and keep the browser from asking for
// anything of its own.
const firefoxPrefs = `
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", %[1]d);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", %[1]d);
user_pref("network.proxy.no_proxies_on", "");
user_pref("network.proxy.allow_hijacking_localhost", true);
user_pref("network.proxy.failover_direct", false);
user_pref("network.trr.mode", 5);
user_pref("network.lna.enabled", false);
user_pref("network.lna.block_trackers", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("dom.security.https_first", false);
user_pref("dom.security.https_only_mode", false);
user_pref("app.update.auto", false);
user_pref("app.update.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("app.shield.optoutstudies.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.newtabpage.activity-stream.feeds.system.topstories", false);
user_pref("browser.region.network.url", "");
user_pref("browser.safebrowsing.blockedURIs.enabled", false);
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.search.update", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("browser.startup.page", 0);
user_pref("browser.topsites.contile.enabled", false);
user_pref("browser.translations.enable", false);
user_pref("datareporting.healthreport.uploadEnabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("dom.push.enabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("messaging-system.rsexperimentloader.enabled", false);
user_pref("privacy.trackingprotection.enabled", false);
user_pref("privacy.trackingprotection.pbmode.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
user_pref("toolkit.telemetry.enabled", false);
user_pref("toolkit.telemetry.server", "");
user_pref("toolkit.telemetry.unified", false);
user_pref("trailhead.firstrun.didSeeAboutWelcome", true);
`

// driverPage opens one vector after the other in frames, without scripting where it is told so.
const driverPage = `<!doctype html><link rel=icon href="data:,"><body style="margin:0"><script>
const pause = (ms) => new Promise((r) => setTimeout(r, ms));
async function slot() {
  for (;;) {
    const job = await (await fetch('/driver/next', {cache: 'no-store'})).json();
    if (!job.id) return;
    const f = document.createElement('iframe');
    f.style = 'width:24%;height:170px;border:0';
    if (job.sandbox) f.setAttribute('sandbox', '');
    const loaded = new Promise((r) => f.onload = r);
    f.src = '/v/' + job.id;
    document.body.append(f);
    await Promise.race([loaded, pause(5000)]);
    await pause(job.wait + 250);
    f.remove();
    await fetch('/driver/done?' + job.key, {cache: 'no-store'});
  }
}
Promise.all(Array.from({length: +location.search.slice(1)}, slot));
</script>`

// A firefoxRun is one Firefox that opens vectors in frames of one page, and the proxy through
// which all of its requests go. A proxy sees no host name in a connection without a request.
type firefoxRun struct {
	slots int
	site  string // address of the site

	mu    sync.Mutex
	queue []*visit
	open  map[string]*visit
	keys  int
	ids   map[string]*visit
	alive time.Time     // of the last sign of the driver
	done  chan struct{} // closed when nothing is left
	vague []*visit      // were open when something arrived that named no vector
}

// replayFirefox makes the visits, slots of them side by side, and returns those that have to be
// made again one by one because a contact could be of any that were open.
func replayFirefox(t testing.TB, bin, site string, visits []*visit, slots int) (vague []*visit) {
	t.Helper()
	if len(visits) == 0 {
		return nil
	}
	f := &firefoxRun{slots: slots, site: site, queue: slices.Clone(visits), open: make(map[string]*visit), ids: make(map[string]*visit), done: make(chan struct{})}
	for _, x := range visits {
		f.ids[x.vs[0].ID] = x
	}
	proxy := &http.Server{Handler: f}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go proxy.Serve(l)
	defer proxy.Close()
	for range 3 { // a browser that hangs is replaced
		if f.run(t, bin, l.Addr().(*net.TCPAddr).Port) {
			return f.vague
		}
	}
	t.Errorf("Firefox hangs: %d vectors are left", len(f.queue)+len(f.open))
	return nil
}

// run starts the browser and reports whether it came to the end.
func (f *firefoxRun) run(t testing.TB, bin string, port int) bool {
	t.Helper()
	profile, err := os.MkdirTemp("", "ce")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	if err := os.WriteFile(filepath.Join(profile, "user.js"), fmt.Appendf(nil, firefoxPrefs, port), 0o600); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	for key, x := range f.open {
		f.queue = append(f.queue, x)
		delete(f.open, key)
	}
	f.alive = time.Now()
	f.mu.Unlock()
	cmd := exec.Command(bin, "--headless", "--no-remote", "--profile", profile, fmt.Sprintf("http://site.test/driver/?%d", f.slots))
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_DATA_REPORTING=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal("starting Firefox: ", err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	for {
		select {
		case <-f.done:
			return true
		case <-time.After(time.Second):
			f.mu.Lock()
			hangs := time.Since(f.alive) > 90*time.Second
			f.mu.Unlock()
			if hangs {
				return false
			}
		}
	}
}

// firefoxOwn are the domains that Firefox asks for by itself.
var firefoxOwn = []string{"mozilla.com", "mozilla.org", "mozilla.net", "firefox.com", "mozgcp.net", "127.0.0.1"}

func (f *firefoxRun) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(strings.TrimSuffix(r.URL.Hostname(), "."))
	if r.Method == http.MethodConnect {
		host, _, _ = net.SplitHostPort(r.Host)
	}
	switch {
	case slices.ContainsFunc(firefoxOwn, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) }):
		w.WriteHeader(http.StatusBadGateway)
	case r.Method == http.MethodConnect:
		f.record(contact{Host: host})
		w.WriteHeader(http.StatusBadGateway)
	case host != "site.test":
		f.record(contact{Host: host, Path: r.URL.RequestURI()})
		inertResource(w, r)
	case strings.HasPrefix(r.URL.Path, "/driver/"):
		f.drive(w, r)
	default:
		p := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: f.site})
			p.Out.Host = "site.test"
		}, FlushInterval: -1}
		p.ServeHTTP(w, r)
	}
}

func (f *firefoxRun) drive(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alive = time.Now()
	switch r.URL.Path {
	case "/driver/":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, driverPage)
	case "/driver/next":
		w.Header().Set("Content-Type", "application/json")
		if len(f.queue) == 0 {
			io.WriteString(w, "{}")
			return
		}
		x := f.queue[0]
		f.queue = f.queue[1:]
		f.keys++
		key := fmt.Sprint(f.keys)
		f.open[key] = x
		json.NewEncoder(w).Encode(map[string]any{"id": x.vs[0].ID, "sandbox": !x.scripting, "wait": x.vs[0].Wait, "key": key})
	case "/driver/done":
		delete(f.open, r.URL.RawQuery)
		if len(f.queue)+len(f.open) == 0 {
			select {
			case <-f.done:
			default:
				close(f.done)
			}
		}
	default:
		http.NotFound(w, r)
	}
}

func (f *firefoxRun) record(c contact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := "http://" + c.Host + c.Path
	if c.Path == "" {
		what = "TLS to " + c.Host
	}
	x := f.ids[c.id()]
	if x == nil && f.slots == 1 {
		for _, y := range f.open {
			x = y
		}
	}
	if x == nil {
		for _, y := range f.open {
			if !slices.Contains(f.vague, y) {
				f.vague = append(f.vague, y)
			}
		}
		return
	}
	if !slices.Contains(x.contacts, what) {
		x.contacts = append(x.contacts, what)
	}
}

// firefoxVisits replays the vectors in one mode.
func firefoxVisits(t testing.TB, bin, site string, vs []*vector, scripting bool) []*visit {
	t.Helper()
	var visits []*visit
	for _, v := range vs {
		visits = append(visits, &visit{vs: []*vector{v}, scripting: scripting, site: site})
	}
	again := replayFirefox(t, bin, site, visits, 12)
	replayFirefox(t, bin, site, again, 1)
	return visits
}

// No vector makes Firefox contact a blocked host, with scripting on or off. Firefox speculates
// where Chromium does not, such as inside of templates.
func TestVectorsFirefox(t *testing.T) {
	if testing.Short() {
		t.Skip("the replay takes minutes")
	}
	bin := firefox(t)
	vs := slices.DeleteFunc(loadVectors(t), func(v *vector) bool { return v.Scope != "static" })
	c := vectorSites(t, vs)
	excuse := waivers(t, "firefox")
	used := make(map[string]int)
	r := newReport(t, "firefox")
	for _, scripting := range []bool{true, false} {
		for _, x := range firefoxVisits(t, bin, c.addr("8080"), vs, scripting) {
			if len(x.contacts) == 0 {
				continue
			}
			v, what := x.vs[0], strings.Join(x.contacts, " ")
			if prefix, ok := waived(excuse, v.ID); ok {
				used[prefix]++
				r.add("waived, "+x.mode(), v, what)
				continue
			}
			r.add("contact, "+x.mode(), v, what)
			t.Errorf("%s: %s\n\t%.300q", x.name(), what, v.body)
		}
	}
	for prefix := range excuse {
		if used[prefix] == 0 && *onlyVectors == "" {
			t.Errorf("the waiver %q covers nothing", prefix)
		}
	}
}

// Without the proxy Firefox makes the requests that are on record.
func TestVectorsFirefoxWithoutProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("opens some hundred pages")
	}
	bin := firefox(t)
	all := loadVectors(t)
	var vs []*vector
	for i, v := range all {
		if v.Scope == "static" && (*onlyVectors != "" || i%controlEvery == 0 || v.Group == "fftemplate") {
			vs = append(vs, v)
		}
	}
	site := startUpstream(t, vectorOrigin(all, 0))
	for _, scripting := range []bool{true, false} {
		expected, seen, unexpected := 0, 0, 0
		for _, x := range firefoxVisits(t, bin, site, vs, scripting) {
			want := x.vs[0].Firefox.Requests
			if !scripting {
				want = x.vs[0].Firefox.NoJS
			}
			switch {
			case len(want) > 0 && len(x.contacts) > 0:
				expected++
				seen++
			case len(want) > 0:
				expected++
				t.Logf("%s: not seen: %s", x.name(), want)
			case len(x.contacts) > 0:
				unexpected++
				t.Logf("%s: not on record: %s", x.name(), x.contacts)
			}
		}
		t.Logf("%s: %d vectors with contacts on record, %d seen, %d more", modeName(scripting), expected, seen, unexpected)
		if seen*100 < expected*95 {
			t.Errorf("%s: only %d of %d recorded contacts are seen", modeName(scripting), seen, expected)
		}
	}
}
