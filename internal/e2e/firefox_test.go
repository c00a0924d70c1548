package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/tls"
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

func firefox(t testing.TB) string {
	t.Helper()
	return findBrowser(t, "Firefox", "CONSENT_FIREFOX", "firefox-esr", "firefox")
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

// driverPage opens one vector after the other in frames, without scripting where it is told so, for as
// long as the browser runs.
const driverPage = `<!doctype html><link rel=icon href="data:,"><body style="margin:0"><script>
const pause = (ms) => new Promise((r) => setTimeout(r, ms));
async function slot() {
  for (;;) {
    const job = await (await fetch('/driver/next', {cache: 'no-store'})).json();
    if (!job.path) { await pause(100); continue; }
    const f = document.createElement('iframe');
    f.style = 'width:24%;height:170px;border:0';
    if (job.sandbox) f.setAttribute('sandbox', '');
    const loaded = new Promise((r) => f.onload = r);
    f.src = job.path;
    document.body.append(f);
    await Promise.race([loaded, pause(5000)]);
    await pause(job.wait + 250);
    f.remove();
    await fetch('/driver/done?' + job.key, {cache: 'no-store'});
  }
}
for (let i = 0; i < +location.search.slice(1); i++) slot();
</script>`

// firefoxSlots is how many vectors are open side by side.
const firefoxSlots = 12

// A firefoxRun is a Firefox that opens vectors in frames of one page, and the proxy through which all
// of its requests go. A proxy sees no host name in a connection without a request.
type firefoxRun struct {
	bin  string
	site string // address of the site
	tls  string // address of the site over TLS, if pages are opened there
	port int    // of the proxy
	cmd  *exec.Cmd
	dir  string // the profile

	tracker tls.Certificate // what stands for tracker.test over TLS shows
	inner   *connListener   // takes the connections to it

	mu    sync.Mutex
	slots int
	first string // address to begin with, if not the driver
	prefs string // more of them
	args  []string
	queue []*visit
	open  map[string]*visit
	keys  int
	ids   map[string]*visit
	alive time.Time // of the last sign of the driver
	done  chan struct{}
	vague []*visit // were open when something arrived that named no vector
}

func startFirefox(t testing.TB, site string) *firefoxRun {
	t.Helper()
	f := &firefoxRun{bin: firefox(t), site: site, open: make(map[string]*visit)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{Handler: f}
	go proxy.Serve(l)
	f.port = l.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { f.end(); proxy.Close() })
	return f
}

// begin starts the browser with a new profile.
func (f *firefoxRun) begin() (err error) {
	if f.dir, err = os.MkdirTemp("", "ce"); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.dir, "user.js"), append(fmt.Appendf(nil, firefoxPrefs, f.port), f.prefs...), 0o600); err != nil {
		return err
	}
	if f.tls != "" {
		overrides, err := f.overrides()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(f.dir, "cert_override.txt"), overrides, 0o600); err != nil {
			return err
		}
	}
	f.cmd = exec.Command(f.bin, append(f.args, "--headless", "--no-remote", "--profile", f.dir, cmp.Or(f.first, fmt.Sprintf("http://site.test/driver/?%d", firefoxSlots)))...)
	f.cmd.Env = append(os.Environ(), "HOME="+f.dir, "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_DATA_REPORTING=0")
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return f.cmd.Start()
}

// secure makes the browser open what follows over TLS, at that address, and speaks TLS for tracker.test, whose requests name
// their page by that.
func (f *firefoxRun) secure(t testing.TB, addr string) {
	t.Helper()
	f.tls, f.tracker = addr, certificate(t)
	f.inner = &connListener{addr: &net.TCPAddr{}, conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.record(contact{Host: "tracker.test", Path: r.URL.RequestURI()})
		inertResource(w, r)
	})}
	go server.Serve(f.inner)
	t.Cleanup(func() { server.Close() })
}

// overrides is Firefox's file of certificates that somebody has accepted: host, digest (SHA-256), fingerprint.
func (f *firefoxRun) overrides() ([]byte, error) {
	conn, err := tls.Dial("tcp", f.tls, &tls.Config{InsecureSkipVerify: true, ServerName: "site.test"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	out := []byte("# PSM Certificate Override Settings file\n")
	for host, der := range map[string][]byte{"site.test": conn.ConnectionState().PeerCertificates[0].Raw, "tracker.test": f.tracker.Certificate[0]} {
		sum := sha256.Sum256(der)
		print := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
		out = fmt.Appendf(out, "%s:443:\tOID.2.16.840.1.101.3.4.2.1\t%s\t\n", host, print)
	}
	return out, nil
}

// connect makes a tunnel to the site over TLS, or to what stands for tracker.test.
func (f *firefoxRun) connect(w http.ResponseWriter, host string) {
	w.WriteHeader(http.StatusOK)
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	c = &prefixedConn{Conn: c, prefix: bytes.NewReader(peek(buffered.Reader))}
	if host != "site.test" {
		select {
		case f.inner.conns <- tls.Server(c, &tls.Config{Certificates: []tls.Certificate{f.tracker}}):
		case <-f.inner.closed:
			c.Close()
		}
		return
	}
	defer c.Close()
	to, err := net.Dial("tcp", f.tls)
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(to, c); to.Close() }()
	_, _ = io.Copy(c, to)
}

// peek returns what a reader has taken already.
func peek(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return b
}

func (f *firefoxRun) end() {
	if f.cmd != nil && f.cmd.Process != nil {
		_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
		_ = f.cmd.Wait()
	}
	if f.dir != "" {
		os.RemoveAll(f.dir)
	}
	f.cmd, f.dir = nil, ""
}

// replay makes one visit to each of the vectors. Where a contact could be of any that were open they
// are opened again one by one.
func (f *firefoxRun) replay(t testing.TB, mode visit, vs []*vector) (visits []*visit) {
	t.Helper()
	for _, v := range vs {
		visits = append(visits, mode.of(v))
	}
	vague := f.make(t, visits, firefoxSlots)
	f.make(t, vague, 1)
	return visits
}

// make makes the visits, slots of them side by side.
func (f *firefoxRun) make(t testing.TB, visits []*visit, slots int) (vague []*visit) {
	t.Helper()
	if len(visits) == 0 {
		return nil
	}
	f.mu.Lock()
	f.slots, f.queue, f.vague, f.alive, f.done = slots, slices.Clone(visits), nil, time.Now(), make(chan struct{})
	f.ids = make(map[string]*visit)
	for _, x := range visits {
		f.ids[x.vs[0].ID] = x
	}
	f.mu.Unlock()
	for range 3 { // a browser that hangs is replaced
		if f.cmd == nil {
			if err := f.begin(); err != nil {
				t.Fatal("starting Firefox: ", err)
			}
		}
		if f.wait() {
			return f.vague
		}
		f.end()
		f.mu.Lock()
		for key, x := range f.open {
			f.queue = append(f.queue, x)
			delete(f.open, key)
		}
		f.alive = time.Now()
		f.mu.Unlock()
	}
	t.Fatalf("Firefox hangs: %d vectors are left", len(f.queue)+len(f.open))
	return nil
}

// wait reports whether the visits come to their end.
func (f *firefoxRun) wait() bool {
	for {
		select {
		case <-f.done:
			return true
		case <-time.After(time.Second):
			f.mu.Lock()
			hangs := time.Since(f.alive) > 45*time.Second
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
	case r.Method == http.MethodConnect && f.tls != "" && (r.Host == "site.test:443" || r.Host == "tracker.test:443"):
		f.connect(w, host)
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
	switch r.URL.Path {
	case "/driver/":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, driverPage)
	case "/driver/next":
		w.Header().Set("Content-Type", "application/json")
		if len(f.queue) == 0 || len(f.open) >= f.slots {
			io.WriteString(w, "{}")
			return
		}
		x := f.queue[0]
		f.queue = f.queue[1:]
		f.keys++
		key := fmt.Sprint(f.keys)
		f.open[key] = x
		f.alive = time.Now()
		origin := ""
		if f.tls != "" {
			origin = "https://site.test"
		}
		json.NewEncoder(w).Encode(map[string]any{"path": origin + x.path(), "sandbox": !x.scripting, "wait": x.vs[0].Wait, "key": key})
	case "/driver/done":
		delete(f.open, r.URL.RawQuery)
		f.alive = time.Now()
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

// No vector makes Firefox contact a blocked host, with scripting on or off, and without the
// enforcement it makes the requests that are on record. Firefox speculates where Chromium does not,
// such as inside of templates.
func TestVectorsFirefox(t *testing.T) {
	firefox(t)
	all := loadVectors(t)
	vs := slices.DeleteFunc(slices.Clone(all), func(v *vector) bool { return listed[v.Scope] != "" })
	c := vectorSite(t, all)
	f := startFirefox(t, c.addr("8080"))
	for _, scripting := range []bool{true, false} {
		requests := func(v *vector) []string {
			if scripting {
				return v.Firefox.Requests
			}
			return v.Firefox.NoJS
		}
		t.Run("enforced, "+modeName(scripting), func(t *testing.T) {
			r := newReport(t, "firefox, "+modeName(scripting))
			some := changed(c, vs, func(v *vector) bool { return len(requests(v)) > 0 })
			var own, rest []*vector // what Firefox alone asks for is opened always
			for _, v := range some {
				if len(requests(v)) > 0 && len(observed(v, scripting).Requests) == 0 {
					own = append(own, v)
				} else {
					rest = append(rest, v)
				}
			}
			some = append(own, every(6, rest)...)
			for _, x := range f.replay(t, visit{scripting: scripting}, some) {
				if v, what := x.vs[0], strings.Join(x.contacts, " "); what != "" {
					r.add("contact", v, what)
					t.Errorf("%s: %s\n\t%.300q", x.name(), what, v.Body)
				}
			}
			t.Logf("%d pages", len(some))
		})
		t.Run("not enforced, "+modeName(scripting), func(t *testing.T) {
			expected, seen, unexpected := 0, 0, 0
			var some []*vector
			for i, v := range vs {
				if *onlyVectors != "" || i%controlEvery == 0 || v.Group == "fftemplate" {
					some = append(some, v)
				}
			}
			for _, x := range f.replay(t, visit{scripting: scripting, direct: true}, some) {
				want := requests(x.vs[0])
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
			t.Logf("%d with contacts on record, %d seen, %d more", expected, seen, unexpected)
			if seen*100 < expected*95 {
				t.Errorf("only %d of %d recorded contacts are seen", seen, expected)
			}
		})
	}
}
