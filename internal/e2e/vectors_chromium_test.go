package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const (
	replayers       = 4   // browsers side by side; most of their time is waiting
	pagesPerTab     = 40  // a tab collects leftovers
	pagesPerBrowser = 400 // so does a browser
	settleTime      = 220 * time.Millisecond
)

// A visit is one vector in one mode of the browser.
type visit struct {
	v         *vector
	scripting bool
	site      string // address of the site
	contacts  []string
	err       error
}

func (x *visit) mode() string {
	if x.scripting {
		return "scripting on"
	}
	return "scripting off"
}

// replay makes the visits in Chromium and fills in what hosts other than the site were contacted.
func replay(t testing.TB, bin string, visits []*visit) {
	t.Helper()
	byID := make(map[string]bool)
	for _, x := range visits {
		byID[x.v.ID] = true
	}
	next := make(chan *visit)
	var wg sync.WaitGroup
	for range min(replayers, len(visits)) {
		p := &replayer{t: t, bin: bin, ids: byID, track: startSink(t), rest: startSink(t)}
		wg.Go(func() {
			defer p.close()
			for x := range next {
				if x.err = p.visit(x); x.err != nil {
					p.close()
					x.err = p.visit(x)
				}
			}
		})
	}
	for _, x := range visits {
		next <- x
	}
	close(next)
	wg.Wait()
}

// A replayer is one browser with sinks of its own, so that each contact belongs to the page that is
// open. The profile is a regular one: in a private one Chromium makes no preconnections.
type replayer struct {
	t           testing.TB
	bin         string
	ids         map[string]bool
	track, rest *sink // tracker.test with what is below it, and all other hosts

	site      string
	scripting bool
	b         *browser
	endB      func()
	x         *tab
	endTab    func()
	total     int // pages opened in the browser
	used      int // pages opened in the tab
}

func (p *replayer) close() {
	if p.endTab != nil {
		p.endTab()
	}
	if p.endB != nil {
		p.endB()
	}
	p.b, p.endB, p.x, p.endTab, p.total, p.used = nil, nil, nil, nil, 0, 0
}

// prepare sees to a tab in the right mode.
func (p *replayer) prepare(site string, scripting bool) (err error) {
	if p.b != nil && (p.site != site || p.total >= pagesPerBrowser) {
		p.close()
	}
	if p.b == nil {
		p.site = site
		dir, err := os.MkdirTemp("", "ce")
		if err != nil {
			return err
		}
		p.b, p.endB, err = openBrowser(p.bin, dir, p.rest.addr, map[string]string{"site.test": site, "tracker.test": p.track.addr, "*.tracker.test": p.track.addr})
		if err != nil {
			os.RemoveAll(dir)
			return fmt.Errorf("starting Chromium: %w", err)
		}
		end := p.endB
		p.endB = func() { end(); os.RemoveAll(dir) }
		err = chromedp.Do(p.b.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := chromedp.CallBrowser(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{Behavior: cdpbrowser.SetDownloadBehaviorBehaviorDeny})
			return err
		}))
		if err != nil {
			return fmt.Errorf("denying downloads: %w", err)
		}
	}
	if p.x != nil && (p.scripting != scripting || p.used >= pagesPerTab) {
		p.endTab()
		p.x = nil
	}
	if p.x == nil {
		p.scripting, p.used = scripting, 0
		if p.x, p.endTab, err = p.b.openTab(scripting); err != nil {
			return fmt.Errorf("opening a tab: %w", err)
		}
		ctx := p.x.ctx
		err = chromedp.Listen(ctx, func(ev any) {
			if _, ok := ev.(*page.EventJavascriptDialogOpening); ok {
				go func() {
					_ = chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
						_, err := cdp.Call(ctx, t, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
						return err
					}))
				}()
			}
		})
		if err != nil {
			return err
		}
	}
	p.total++
	p.used++
	return nil
}

func (p *replayer) visit(x *visit) error {
	if err := p.prepare(x.site, x.scripting); err != nil {
		return err
	}
	contacts, bare := p.load(x.v)
	if len(contacts) == 0 && bare {
		// A connection without a request counts if a fresh browser makes it again.
		p.close()
		if err := p.prepare(x.site, x.scripting); err != nil {
			return err
		}
		if contacts, bare = p.load(x.v); len(contacts) == 0 && bare {
			contacts = []string{"connection to tracker.test"}
		}
	}
	x.contacts = contacts
	return nil
}

// load opens the page and waits until nothing arrives any more.
func (p *replayer) load(v *vector) (contacts []string, bare bool) {
	p.track.reset()
	p.rest.reset()
	if err := p.x.do(8*time.Second, chromedp.Navigate("http://site.test/v/"+v.ID)); err != nil {
		p.used = pagesPerTab // such as a download; the next page gets a new tab
	}
	time.Sleep(time.Duration(v.Wait) * time.Millisecond)
	for _, c := range settle(settleTime, p.track, p.rest) {
		// What an earlier page has asked for late is not this one's.
		if id, _, _ := strings.Cut(strings.TrimLeft(c.Path, "/"), "/"); id != v.ID && p.ids[id] {
			continue
		}
		if c.Path == "" {
			contacts = append(contacts, "TLS to "+c.Host)
			continue
		}
		if s := "http://" + c.Host + c.Path; c.Host != "site.test" && !slices.Contains(contacts, s) {
			contacts = append(contacts, s)
		}
	}
	p.track.mu.Lock()
	defer p.track.mu.Unlock()
	return contacts, p.track.bare > 0
}

// No vector makes Chromium contact a blocked host, with scripting on or off.
//
// The body arrives whole; that pieces give the same bytes is TestVectorsBytes' to show, so one page
// in twenty is replayed in pieces too. CONSENT_VECTORS=full replays all of them in all pieces.
func TestVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("the replay takes minutes")
	}
	bin := chromium(t)
	vs := loadVectors(t)
	c := vectorSites(t, vs)
	var visits []*visit
	for i := range pieces {
		for _, scripting := range []bool{true, false} {
			for n, v := range vs {
				if i == 0 || n%20 == i || os.Getenv("CONSENT_VECTORS") == "full" {
					visits = append(visits, &visit{v: v, scripting: scripting, site: c.addr(fmt.Sprint(8080 + i))})
				}
			}
		}
	}
	replay(t, bin, visits)
	excuse := waivers(t, "contact")
	used := make(map[string]int)
	r := newReport(t, "chromium")
	for _, x := range visits {
		if x.err != nil {
			t.Errorf("%s, %s: %v", x.v.ID, x.mode(), x.err)
			continue
		}
		if len(x.contacts) == 0 {
			continue
		}
		what := strings.Join(x.contacts, " ")
		if reason, ok := listed[x.v.Scope]; ok {
			r.add("listed, "+x.mode()+": "+reason, x.v, what)
			continue
		}
		if prefix, ok := waived(excuse, x.v.ID); ok {
			used[prefix]++
			r.add("waived, "+x.mode(), x.v, what)
			continue
		}
		r.add("contact, "+x.mode(), x.v, what)
		t.Errorf("%s, %s: %s\n\t%.300q", x.v.ID, x.mode(), what, x.v.body)
	}
	for prefix := range excuse {
		if used[prefix] == 0 && *onlyVectors == "" {
			t.Errorf("the waiver %q covers nothing", prefix)
		}
	}
	t.Logf("%d vectors, %d pages opened", len(vs), len(visits))
}

// Without the proxy the same replay sees the contacts that are on record: if it did not, the test
// above would prove nothing.
func TestVectorsWithoutProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("opens some hundred pages")
	}
	bin := chromium(t)
	vs := loadVectors(t)
	site := startUpstream(t, vectorOrigin(vs, 0))
	var visits []*visit
	for _, scripting := range []bool{true, false} {
		for i, v := range vs {
			if *onlyVectors != "" || i%16 == 0 || len(v.Connects) > 0 {
				visits = append(visits, &visit{v: v, scripting: scripting, site: site})
			}
		}
	}
	replay(t, bin, visits)
	expected, seen, unexpected := 0, 0, 0
	for _, x := range visits {
		if x.err != nil {
			t.Errorf("%s, %s: %v", x.v.ID, x.mode(), x.err)
			continue
		}
		want := x.v.observed
		if !x.scripting {
			want = x.v.NoJS
		}
		switch on := len(want.Requests)+len(want.Connects) > 0; {
		case on && len(x.contacts) > 0:
			expected++
			seen++
		case on:
			expected++
			t.Logf("%s, %s: not seen: %s %s", x.v.ID, x.mode(), want.Requests, want.Connects)
		case len(x.contacts) > 0:
			unexpected++
			t.Logf("%s, %s: not on record: %s", x.v.ID, x.mode(), x.contacts)
		}
	}
	t.Logf("%d pages with contacts on record, %d seen, %d more", expected, seen, unexpected)
	if seen*100 < expected*95 {
		t.Errorf("only %d of %d recorded contacts are seen", seen, expected)
	}
}
