package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
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
	framesPerPage   = 12
	controlEvery    = 16 // one vector in so many is opened without the proxy
)

// A visit opens vectors in one mode of the browser: one as a page of its own, or several side by
// side in the frames of one page.
type visit struct {
	vs        []*vector
	scripting bool
	site      string // address of the site
	contacts  []string
	bare      bool // a connection was opened to tracker.test over which nothing was sent
	err       error
}

func (x *visit) url() string {
	if len(x.vs) == 1 {
		return "http://site.test/v/" + x.vs[0].ID
	}
	ids := make([]string, len(x.vs))
	for i, v := range x.vs {
		ids[i] = v.ID
	}
	return "http://site.test/frames/" + strings.Join(ids, "/")
}

// name says what was opened.
func (x *visit) name() string {
	if len(x.vs) == 1 {
		return x.vs[0].ID + ", " + x.mode()
	}
	return fmt.Sprintf("%d frames, %s", len(x.vs), x.mode())
}

func (x *visit) mode() string { return modeName(x.scripting) }

func modeName(scripting bool) string {
	if scripting {
		return "scripting on"
	}
	return "scripting off"
}

// replay makes the visits in Chromium and fills in what hosts other than the site were contacted.
func replay(t testing.TB, bin string, visits []*visit) {
	t.Helper()
	byID := make(map[string]bool)
	for _, x := range visits {
		for _, v := range x.vs {
			byID[v.ID] = true
		}
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
	p.load(x)
	if len(x.vs) == 1 && len(x.contacts) == 0 && x.bare {
		// A connection without a request counts if a fresh browser makes it again.
		p.close()
		if err := p.prepare(x.site, x.scripting); err != nil {
			return err
		}
		if p.load(x); len(x.contacts) == 0 && x.bare {
			x.contacts = []string{"connection to tracker.test"}
		}
	}
	return nil
}

// load opens the page and waits until nothing arrives any more.
func (p *replayer) load(x *visit) {
	p.track.reset()
	p.rest.reset()
	if err := p.x.do(8*time.Second, chromedp.Navigate(x.url())); err != nil {
		p.used = pagesPerTab // such as a download; the next page gets a new tab
	}
	wait := 0
	for _, v := range x.vs {
		wait = max(wait, v.Wait)
	}
	time.Sleep(time.Duration(wait) * time.Millisecond)
	x.contacts = nil
	for _, c := range settle(settleTime, p.track, p.rest) {
		// What an earlier page has asked for late is not this one's.
		id := c.id()
		if p.ids[id] && !slices.ContainsFunc(x.vs, func(v *vector) bool { return v.ID == id }) {
			continue
		}
		s := "http://" + c.Host + c.Path
		if c.Path == "" {
			s = "TLS to " + c.Host
		}
		if c.Host != "site.test" && !slices.Contains(x.contacts, s) {
			x.contacts = append(x.contacts, s)
		}
	}
	p.track.mu.Lock()
	defer p.track.mu.Unlock()
	x.bare = p.track.bare > 0
}

// id is the first part of the path, where the vectors put their names.
func (c contact) id() string {
	id, _, _ := strings.Cut(strings.TrimLeft(c.Path, "/"), "/")
	return id
}

// framed reports whether what a vector asks for in a frame is what it asks for as a page. Icons,
// manifests and speculation rules are a page's alone; a page's script may leave the frame.
func framed(v *vector) bool {
	return v.Scope == "static" && len(v.Headers) == 0 && v.ContentType == nil && len(v.body) < 10<<10 && len(v.Connects)+len(v.NoJS.Connects) == 0 &&
		!ownPage.Match(v.body)
}

var ownPage = regexp.MustCompile(`(?i)icon|manifest|speculation|prefetch|prerender|refresh|preconnect|compression|javascript:|_top|_parent|lazy|attributionsrc`)

// replayAll replays vectors in one mode, as many in frames as can be. What a page of frames has
// contacted is then tried page by page, so that the answer is always that of a vector alone.
func replayAll(t testing.TB, bin string, vs []*vector, scripting bool, site string) []*visit {
	t.Helper()
	var together, alone []*visit
	var batch []*vector
	push := func() {
		if len(batch) > 0 {
			together = append(together, &visit{vs: batch, scripting: scripting, site: site})
		}
		batch = nil
	}
	single := func(v *vector) { alone = append(alone, &visit{vs: []*vector{v}, scripting: scripting, site: site}) }
	for _, v := range vs {
		if !framed(v) || len(vs) < framesPerPage || os.Getenv("CONSENT_VECTORS") == "full" {
			single(v)
			continue
		}
		if batch = append(batch, v); len(batch) == framesPerPage {
			push()
		}
	}
	push()
	replay(t, bin, together)
	for _, x := range together {
		named, unnamed := make(map[string]bool), x.bare || x.err != nil
		for _, c := range x.contacts {
			found := false
			for _, v := range x.vs {
				if strings.Contains(c, "/"+v.ID+"/") {
					named[v.ID], found = true, true
				}
			}
			unnamed = unnamed || !found
		}
		for _, v := range x.vs {
			if unnamed || named[v.ID] {
				single(v)
			}
		}
	}
	replay(t, bin, alone)
	t.Logf("%s: %d vectors, %d pages of frames, %d pages of their own", modeName(scripting), len(vs), len(together), len(alone))
	return alone
}

// No vector makes Chromium contact a blocked host, with scripting on or off.
//
// The body arrives whole; that pieces give the same bytes is TestVectorsBytes' to show, so one page
// in twenty is replayed in pieces too. CONSENT_VECTORS=full replays all of them in all pieces, each
// as a page of its own.
func TestVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("the replay takes minutes")
	}
	bin := chromium(t)
	vs := loadVectors(t)
	c := vectorSites(t, vs)
	excuse := waivers(t, "contact")
	used := make(map[string]int)
	r := newReport(t, "chromium")
	for i := range pieces {
		some := vs
		if i > 0 && os.Getenv("CONSENT_VECTORS") != "full" {
			some = nil
			for n, v := range vs {
				if n%20 == i {
					some = append(some, v)
				}
			}
		}
		for _, scripting := range []bool{true, false} {
			for _, x := range replayAll(t, bin, some, scripting, c.addr(strconv.Itoa(8080+i))) {
				v, what := x.vs[0], strings.Join(x.contacts, " ")
				if x.err != nil {
					t.Errorf("%s: %v", x.name(), x.err)
					continue
				}
				if len(x.contacts) == 0 {
					continue
				}
				if reason, ok := listed[v.Scope]; ok {
					r.add("listed, "+x.mode()+": "+reason, v, what)
					continue
				}
				if prefix, ok := waived(excuse, v.ID); ok {
					used[prefix]++
					r.add("waived, "+x.mode(), v, what)
					continue
				}
				r.add("contact, "+x.mode(), v, what)
				t.Errorf("%s, pieces of %d bytes (0: whole): %s\n\t%.300q", x.name(), pieces[i], what, v.body)
			}
		}
	}
	for prefix := range excuse {
		if used[prefix] == 0 && *onlyVectors == "" {
			t.Errorf("the waiver %q covers nothing", prefix)
		}
	}
}

// Without the proxy the same replay sees the contacts that are on record: if it did not, the test
// above would prove nothing.
func TestVectorsWithoutProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("opens some hundred pages")
	}
	bin := chromium(t)
	var vs []*vector
	all := loadVectors(t)
	for i, v := range all {
		if *onlyVectors != "" || i%controlEvery == 0 || len(v.Connects) > 0 {
			vs = append(vs, v)
		}
	}
	site := startUpstream(t, vectorOrigin(all, 0))
	for _, scripting := range []bool{true, false} {
		got := make(map[*vector]*visit)
		for _, x := range replayAll(t, bin, vs, scripting, site) {
			if x.err != nil {
				t.Errorf("%s: %v", x.name(), x.err)
			}
			got[x.vs[0]] = x
		}
		expected, seen, unexpected := 0, 0, 0
		for _, v := range vs {
			want := v.observed
			if !scripting {
				want = v.NoJS
			}
			on, contacts := len(want.Requests)+len(want.Connects) > 0, []string(nil)
			if x := got[v]; x != nil {
				contacts = x.contacts
			}
			switch {
			case on && len(contacts) > 0:
				expected++
				seen++
			case on:
				expected++
				t.Logf("%s: not seen: %s %s", v.ID, want.Requests, want.Connects)
			case len(contacts) > 0:
				unexpected++
				t.Logf("%s: not on record: %s", v.ID, contacts)
			}
		}
		t.Logf("scripting %v: %d vectors with contacts on record, %d seen, %d more", scripting, expected, seen, unexpected)
		if seen*100 < expected*95 {
			t.Errorf("only %d of %d recorded contacts are seen", seen, expected)
		}
	}
}
