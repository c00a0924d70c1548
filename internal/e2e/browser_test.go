package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// chromium returns the browser's path, or skips the test where CONSENT_BROWSER asks for none.
func chromium(t testing.TB) string {
	t.Helper()
	return findBrowser(t, "Chromium", "CONSENT_CHROMIUM", "chromium", "chromium-browser", "google-chrome")
}

// allInBrowser reports whether the tests in browsers shall leave nothing out.
func allInBrowser() bool { return os.Getenv("CONSENT_BROWSER") == "all" }

func findBrowser(t testing.TB, name, variable string, commands ...string) string {
	t.Helper()
	if os.Getenv("CONSENT_BROWSER") == "" {
		t.Skip("set CONSENT_BROWSER=1 for tests in browsers, CONSENT_BROWSER=all for all of them")
	}
	for _, c := range append([]string{os.Getenv(variable)}, commands...) {
		if p, err := exec.LookPath(c); c != "" && err == nil {
			return p
		}
	}
	t.Fatalf("no %s found: install it (Debian: apt install %s) or name it in %s", name, commands[0], variable)
	return ""
}

// A browser is headless Chromium with a new profile. Its hosts lead to the addresses given, all
// others to the sink.
type browser struct {
	t   testing.TB
	ctx context.Context
}

func startBrowser(t testing.TB, s *sink, hosts map[string]string) *browser {
	t.Helper()
	b, end, err := openBrowser(chromium(t), shortTempDir(t), s.addr, hosts)
	if err != nil {
		t.Fatal("starting Chromium: ", err)
	}
	t.Cleanup(end)
	b.t = t
	return b
}

// openBrowser starts Chromium with the profile in dir. All hosts that are not named lead to rest.
func openBrowser(bin, dir, rest string, hosts map[string]string) (_ *browser, end func(), err error) {
	var rules []string
	for host, addr := range hosts {
		rules = append(rules, "MAP "+host+" "+addr)
	}
	rules = append(rules, "MAP * "+rest)
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(bin),
		chromedp.NoSandbox,
		chromedp.IgnoreCertErrors,
		chromedp.UserDataDir(dir),
		chromedp.WindowSize(1100, 760),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// Loopback is a private network: pages that are not would be kept from it.
		chromedp.Flag("disable-features", "Translate,LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,HttpsUpgrades,OptimizationHints,MediaRouter"),
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}), chromedp.WithLogf(func(string, ...any) {}))
	end = func() {
		c, cancel := context.WithTimeout(ctx, 5*time.Second)
		chromedp.Cancel(c)
		cancel()
		stop()
		stopAlloc()
	}
	if err := chromedp.Do(ctx); err != nil {
		end()
		return nil, nil, err
	}
	return &browser{ctx: ctx}, end, nil
}

// A tab is one page of a browser.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu  sync.Mutex
	led map[string]bool // where links and forms have led, if that is noted
}

// tab opens a page with scripting on or off; close ends it.
func (b *browser) tab(scripting bool) (_ *tab, close func()) {
	b.t.Helper()
	x, end, err := b.openTab(scripting)
	if err != nil {
		b.t.Fatal("opening a tab: ", err)
	}
	return x, end
}

func (b *browser) openTab(scripting bool) (_ *tab, close func(), err error) {
	ctx, cancel := chromedp.NewContext(b.ctx)
	x := &tab{t: b.t, ctx: ctx}
	// The tab lives as long as the context of its first action.
	err = chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if scripting {
			return nil
		}
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return x, cancel, nil
}

func (x *tab) do(limit time.Duration, steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(x.ctx, limit)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// must runs the steps and fails the test when one does not succeed in time.
func (x *tab) must(steps ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	if err := x.do(20*time.Second, steps...); err != nil {
		x.t.Fatal(err)
	}
}

// tryOpen navigates and waits for the load event, up to the limit: some pages never finish loading.
func (x *tab) tryOpen(url string, limit time.Duration) error {
	err := x.do(limit, chromedp.Navigate(url))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// eval returns the value of a JavaScript expression.
func eval[T any](x *tab, expression string) T {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, 20*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		x.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// setCookie gives the browser a cookie for url.
func (x *tab) setCookie(url, name, value string) {
	x.t.Helper()
	x.must(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: url})
		return err
	}))
}

// screenshot takes a PNG of the window.
func (x *tab) screenshot() []byte {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, 20*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		x.t.Fatal(err)
	}
	return png
}
