package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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

	"github.com/caddy-consent/caddy-consent/internal/shared"
)

const (
	replayers       = 4   // browsers side by side; most of their time is waiting
	pagesPerTab     = 40  // a tab collects leftovers
	pagesPerBrowser = 400 // so does a browser
	settleTime      = 220 * time.Millisecond
	framesPerPage   = 12
	controlEvery    = 32 // one vector in so many is opened without the proxy
)

// A visit opens vectors in one mode of the browser: one as a page of its own, or several side by
// side in the frames of one page.
type visit struct {
	vs        []*vector
	scripting bool
	direct    bool // with nothing enforced
	acts      bool // the visitor does more than look
	size      int  // of the pieces
	contacts  []string
	bare      bool // a connection was opened to tracker.test over which nothing was sent
	err       error
}

// of is the same visit to other vectors.
func (x visit) of(vs ...*vector) *visit {
	x.vs = vs
	return &x
}

func (x *visit) path() string {
	var b strings.Builder
	if len(x.vs) > 1 {
		b.WriteString("/frames")
	}
	b.WriteString(map[bool]string{false: "/v", true: "/d"}[x.direct])
	for _, v := range x.vs {
		b.WriteString("/" + v.ID)
	}
	return b.String() + "?" + strconv.Itoa(x.size)
}

// name says what was opened.
func (x *visit) name() string {
	if len(x.vs) == 1 {
		return fmt.Sprintf("%s, pieces of %d bytes (0: whole), %s", x.vs[0].ID, x.size, x.mode())
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

// A pool is Chromium several times over, side by side.
type pool []*replayer

func startPool(t testing.TB, site string, vs []*vector) pool {
	t.Helper()
	bin, ids := chromium(t), make(map[string]bool)
	for _, v := range vs {
		ids[v.ID] = true
	}
	p := make(pool, min(replayers, len(vs)))
	for i := range p {
		p[i] = &replayer{bin: bin, site: site, ids: ids, track: startSink(t), rest: startSink(t)}
		t.Cleanup(p[i].close)
	}
	return p
}

// replay makes the visits and fills in what hosts other than the site were contacted.
func (p pool) replay(visits []*visit) {
	next := make(chan *visit)
	var wg sync.WaitGroup
	for _, r := range p {
		wg.Go(func() {
			for x := range next {
				if x.err = r.visit(x); x.err != nil {
					r.close()
					x.err = r.visit(x)
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
	bin, site   string
	tls         string // address of the site over TLS, if pages are opened there
	ids         map[string]bool
	track, rest *sink // tracker.test with what is below it, and all other hosts

	scripting bool
	acts      bool
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
func (p *replayer) prepare(scripting, acts bool) (err error) {
	if p.b != nil && p.total >= pagesPerBrowser {
		p.close()
	}
	if p.b == nil {
		dir, err := os.MkdirTemp("", "ce")
		if err != nil {
			return err
		}
		p.b, p.endB, err = openBrowser(p.bin, dir, p.rest.addr, map[string]string{"site.test:80": p.site, "site.test:443": cmp.Or(p.tls, p.site), "tracker.test": p.track.addr, "*.tracker.test": p.track.addr})
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
	if p.x != nil && (p.scripting != scripting || p.acts != acts || p.used >= pagesPerTab) {
		p.endTab()
		p.x = nil
	}
	if p.x == nil {
		p.scripting, p.acts, p.used = scripting, acts, 0
		if p.x, p.endTab, err = p.b.openTab(scripting); err != nil {
			return fmt.Errorf("opening a tab: %w", err)
		}
		if acts {
			if err := p.x.stay(); err != nil {
				return err
			}
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
	if err := p.prepare(x.scripting, x.acts); err != nil {
		return err
	}
	p.load(x)
	if len(x.vs) == 1 && len(x.contacts) == 0 && x.bare && !x.acts {
		// A connection without a request counts if a fresh browser makes it again.
		if !x.direct {
			p.close()
			if err := p.prepare(x.scripting, x.acts); err != nil {
				return err
			}
			p.load(x)
		}
		if len(x.contacts) == 0 && x.bare {
			x.contacts = []string{"connection to tracker.test"}
		}
	}
	return nil
}

// load opens the page and waits until nothing arrives any more.
func (p *replayer) load(x *visit) {
	p.track.reset()
	p.rest.reset()
	origin := "http://site.test"
	if p.tls != "" {
		origin = "https://site.test"
	}
	if err := p.x.do(8*time.Second, chromedp.Navigate(origin+x.path())); err != nil {
		p.used = pagesPerTab // such as a download; the next page gets a new tab
	}
	if x.acts {
		p.x.act()
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
		if x.acts && p.x.ledTo(s) {
			continue
		}
		if c.Host != "site.test" && !slices.Contains(x.contacts, s) {
			x.contacts = append(x.contacts, s)
		}
	}
	p.track.mu.Lock()
	defer p.track.mu.Unlock()
	x.bare = len(p.track.bare) > 0
}

// id is the first part of the path, where the vectors put their names.
func (c contact) id() string {
	id, _, _ := strings.Cut(strings.TrimLeft(c.Path, "/"), "/")
	return id
}

// framed reports whether what a vector asks for in a frame is what it asks for as a page. Icons,
// manifests and speculation rules are a page's alone; a page's script may leave the frame.
func framed(v *vector) bool {
	return v.Scope == "static" && len(v.Headers) == 0 && (v.ContentType == nil || strings.HasSuffix(*v.ContentType, "+xml")) && len(v.Body) < 10<<10 && len(v.Connects)+len(v.NoJS.Connects) == 0 &&
		!ownPage.Match(v.Body)
}

var ownPage = regexp.MustCompile(`(?i)icon|manifest|speculation|prefetch|prerender|refresh|preconnect|compression|javascript:|_top|_parent|lazy|attributionsrc`)

// replayAll makes one visit to each of the vectors, to as many in frames as can be. What a page of
// frames has contacted is then tried page by page, so that the answer is always that of a vector alone.
// CONSENT_BROWSER=all gives each a page of its own.
func (p pool) replayAll(t testing.TB, plan map[*visit][]*vector) (all []*visit) {
	t.Helper()
	var together []*visit
	modes := slices.SortedFunc(maps.Keys(plan), func(a, b *visit) int { return cmp.Compare(a.path()+a.mode(), b.path()+b.mode()) })
	for _, mode := range modes {
		var batch []*vector
		for _, v := range plan[mode] {
			if !framed(v) || len(plan[mode]) < framesPerPage || allInBrowser() {
				all = append(all, mode.of(v))
			} else {
				batch = append(batch, v)
			}
		}
		for vs := range slices.Chunk(batch, framesPerPage) {
			together = append(together, mode.of(vs...))
		}
	}
	p.replay(together)
	var known []*visit
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
			y := x.of(v)
			y.contacts, y.bare, y.err = nil, false, nil
			switch {
			case x.direct && named[v.ID]: // which is what is to be shown
				y.contacts = []string{"in a frame"}
				known = append(known, y)
			case unnamed || named[v.ID] || x.direct && observed(v, x.scripting).Contacted():
				all = append(all, y)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *visit) int { return cmp.Compare(a.mode(), b.mode()) })
	p.replay(all)
	n := 0
	for _, vs := range plan {
		n += len(vs)
	}
	t.Logf("%d visits, %d pages of frames, %d pages of their own", n, len(together), len(all))
	return append(known, all...)
}

// No vector makes Chromium contact a blocked host, with scripting on or off, and without the
// enforcement it makes the contacts that are on record.
//
// The body arrives whole; that pieces give the same bytes is TestVectorsBytes' to show, so few pages
// are replayed in pieces too. CONSENT_BROWSER=all replays all of them in all pieces; else every second
// page is opened with scripting, and every eighth without.
func TestVectors(t *testing.T) {
	chromium(t)
	vs := loadVectors(t)
	c := vectorSite(t, vs)
	p := startPool(t, c.addr("8080"), vs)
	t.Run("enforced", func(t *testing.T) { testVectors(t, p, c, vs) })
	t.Run("not enforced", func(t *testing.T) { testVectorsDirect(t, p, vs) })
}

func testVectors(t *testing.T, p pool, c *caddy, vs []*vector) {
	r := newReport(t, "chromium")
	plan := make(map[*visit][]*vector)
	for _, scripting := range []bool{true, false} {
		some := changed(c, vs, func(v *vector) bool { return observed(v, scripting).Contacted() })
		if scripting {
			some = every(2, some)
		} else {
			some = every(8, some)
		}
		plan[&visit{scripting: scripting}] = some
		for i, size := range pieces[1:] {
			plan[&visit{scripting: scripting, size: size}] = every(40, some[min(len(some), i):])
		}
	}
	for _, x := range p.replayAll(t, plan) {
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
		r.add("contact, "+x.mode(), v, what)
		t.Errorf("%s: %s\n\t%.300q", x.name(), what, v.Body)
	}
}

// observed is what Chromium was recorded to do in that mode.
func observed(v *vector, scripting bool) *shared.Observed {
	if scripting {
		return &v.Observed
	}
	return &v.NoJS
}

func testVectorsDirect(t *testing.T, p pool, all []*vector) {
	var vs []*vector
	for i, v := range all {
		if *onlyVectors != "" || i%controlEvery == 0 || len(v.Connects) > 0 {
			vs = append(vs, v)
		}
	}
	plan := map[*visit][]*vector{{scripting: true, direct: true}: vs, {direct: true}: vs}
	expected, seen, unexpected := 0, 0, 0
	contacts := make(map[string][]string)
	for _, x := range p.replayAll(t, plan) {
		if x.err != nil {
			t.Errorf("%s: %v", x.name(), x.err)
		}
		contacts[x.mode()+x.vs[0].ID] = x.contacts
	}
	for mode, vs := range plan {
		for _, v := range vs {
			want, got := observed(v, mode.scripting), contacts[mode.mode()+v.ID]
			switch {
			case want.Contacted() && len(got) > 0:
				expected++
				seen++
			case want.Contacted():
				expected++
				t.Logf("%s, %s: not seen: %s %s", v.ID, mode.mode(), want.Requests, want.Connects)
			case len(got) > 0:
				unexpected++
				t.Logf("%s, %s: not on record: %s", v.ID, mode.mode(), got)
			}
		}
	}
	t.Logf("%d with contacts on record, %d seen, %d more", expected, seen, unexpected)
	if seen*100 < expected*95 {
		t.Errorf("only %d of %d recorded contacts are seen", seen, expected)
	}
}
