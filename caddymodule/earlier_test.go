package caddymodule

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-consent/caddy-consent/rules"
)

// servePage answers with a page that next makes of the request, whole and at once.
func servePage(next func(*http.Request) string, header ...string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		body := next(r)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		for _, l := range header {
			k, v, _ := strings.Cut(l, ": ")
			w.Header().Set(k, v)
		}
		return pieces(w, body)
	}
}

// visit is get, and waits until the answer is on record and its page remembered.
func (s *site) visit(t *testing.T, lines ...string) answer {
	t.Helper()
	answers := func() (n uint64) {
		for _, v := range s.h.counters.snapshot().Responses {
			n += v
		}
		return n
	}
	before := answers()
	a := s.get(t, lines...)
	for range 1000 {
		if answers() > before {
			break
		}
		time.Sleep(time.Millisecond)
	}
	earlierPages().Wait()
	return a
}

// same returns how many bytes of pages the site did not read since they were those of an earlier page.
func (s *site) same() int { return int(s.h.counters.snapshot().BytesSame) }

// differentLines is a page of about 100 KiB in which no two lines are the same, and what becomes of it.
func differentLines() (string, string) {
	var text strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&text, "<p class=c%d>the line of number %d is none but this, %x\n", i%7, i, i*i*7919)
	}
	return doc + text.String(), docSafe + text.String()
}

// A page that was asked for before is compared with what it was then; what visitors get and what is on
// record is the same as if it had been read.
func TestPageSeenBefore(t *testing.T) {
	body, want := page(100)
	s := promptSite(t, servePage(func(*http.Request) string { return body }))
	for n := range 6 {
		a := s.visit(t)
		if a.body != want || a.ContentLength != int64(len(want)) {
			t.Fatalf("answer %d: %d bytes, length %d, want %d", n, len(a.body), a.ContentLength, len(want))
		}
	}
	if same := s.same(); same < 4*len(body) { // the first two are read, to know that it is asked for and what it is
		t.Errorf("%d bytes of six answers were the same", same)
	}
	log := s.logs.FilterMessage("response").All()
	for _, l := range log[len(log)-6:] {
		f := l.ContextMap()
		if f["outcome"] != "rewritten" || f["blocked"] != int64(1) || fmt.Sprint(f["blocked_kinds"]) != "map[image:1]" {
			t.Errorf("on record: %v", f)
		}
	}
	allGivenBack(t)
}

// Pages that differ from visitor to visitor in a token are read where they differ.
func TestPageWithATokenSeenBefore(t *testing.T) {
	body, want := differentLines()
	n := 0
	token := func(s string) string {
		return strings.Replace(s, "<p class=c6>", fmt.Sprintf(`<p class=c6 title="%0*d">`, n, n), 1)
	}
	s := promptSite(t, servePage(func(*http.Request) string { return token(body) }))
	for n = range 20 {
		if a := s.visit(t); a.body != token(want) {
			t.Fatalf("answer %d: %d bytes", n, len(a.body))
		}
	}
	if same := s.same(); same < 15*len(body)*8/10 {
		t.Errorf("%d bytes were the same", same)
	}
}

// A page is nobody's but the visitor's whose choice it was rewritten for.
func TestPageSeenBeforeByOthers(t *testing.T) {
	body, want := page(100)
	s := promptSite(t, servePage(func(r *http.Request) string {
		if strings.Contains(r.URL.RawQuery, "other") {
			return strings.Replace(body, "facebook", "FACEBOOK", 1)
		}
		return body
	}))
	visitors := []struct {
		lines   []string
		blocked bool
	}{
		{nil, true},
		{[]string{"Cookie: consent=v1:statistics:1790000000"}, true},
		{[]string{"Cookie: consent=v1:preferences.marketing:1790000000"}, false},
		{[]string{yes}, false},
		{[]string{yes, "Sec-GPC: 1"}, true},
	}
	for range 5 {
		for i, v := range visitors {
			a := s.visit(t, v.lines...)
			if v.blocked && a.body != want || !v.blocked && a.body != body {
				t.Fatalf("visitor %d: %.300s", i, a.body)
			}
		}
	}
	if a := s.visit(t, "GET /?other"); !strings.Contains(a.body, `data-consent-src="https://www.FACEBOOK`) {
		t.Errorf("another address: %.300s", a.body)
	}
	if s.same() == 0 {
		t.Error("no page was the same")
	}
}

// Links from a campaign have a query each, and lead to one page; where the query says which page it is, each
// is remembered by itself once it is asked for again.
func TestPageSeenBeforeWithAnotherQuery(t *testing.T) {
	body, want := differentLines()
	s := promptSite(t, servePage(func(r *http.Request) string {
		if n := r.URL.Query().Get("page"); n != "" {
			return strings.ReplaceAll(body, "the line of", "on page "+n+", the line of")
		}
		return body
	}))
	for n := range 10 {
		if a := s.visit(t, fmt.Sprintf("GET /?click=%d", n)); a.body != want {
			t.Fatalf("answer %d: %d bytes", n, len(a.body))
		}
	}
	if same := s.same(); same < 8*len(body) {
		t.Errorf("%d bytes of ten answers were the same", same)
	}
	before := s.same()
	for n := range 10 {
		for page := range 3 {
			a := s.visit(t, fmt.Sprintf("GET /?page=%d", page))
			if a.body != strings.ReplaceAll(want, "the line of", fmt.Sprintf("on page %d, the line of", page)) {
				t.Fatalf("answer %d of page %d: %d bytes", n, page, len(a.body))
			}
		}
	}
	if same := s.same() - before; same < 3*7*len(body) {
		t.Errorf("%d bytes of three pages were the same", same)
	}
}

// What must not be stored is not remembered, nor what only some may see.
func TestPageThatIsNotRemembered(t *testing.T) {
	body, _ := page(100)
	for name, tt := range map[string]struct {
		header, request []string
	}{
		"no-store":         {[]string{"Cache-Control: max-age=0, No-Store"}, nil},
		"private":          {[]string{"Cache-Control: private"}, nil},
		"a post":           {nil, []string{"POST /"}},
		"an authorization": {nil, []string{"Authorization: Basic eDp5"}},
		"a visitor's own":  {nil, []string{"Cookie: consent=v1:statistics.+youtube:1790000000"}},
		"different paths":  {nil, []string{"GET /%d"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := promptSite(t, servePage(func(*http.Request) string { return body }, tt.header...))
			for n := range 5 {
				lines := append([]string(nil), tt.request...)
				if name == "different paths" {
					lines = []string{fmt.Sprintf("GET /%d", n)}
				}
				s.visit(t, lines...)
				if same := s.same(); same != 0 {
					t.Fatalf("%d bytes were the same", same)
				}
			}
		})
	}
}

// A page that has changed is taken down anew, one that always changes costs nothing more.
func TestPageThatChanges(t *testing.T) {
	version := 0
	s := promptSite(t, servePage(func(*http.Request) string {
		return doc + strings.Repeat(fmt.Sprintf("<p>version %d of the text\n", version), 4000)
	}))
	rounds := func(n int) int {
		before := s.same()
		for range n {
			if a := s.visit(t); !strings.HasSuffix(a.body, fmt.Sprintf("<p>version %d of the text\n", version)) || !strings.HasPrefix(a.body, docSafe) {
				t.Fatalf("version %d: %.300s", version, a.body)
			}
		}
		return s.same() - before
	}
	if rounds(5) == 0 {
		t.Error("the first version was not remembered")
	}
	version++
	if rounds(8) == 0 {
		t.Error("the second version was not remembered")
	}
	for range 40 {
		version++
		if n := rounds(1); n > 1000 {
			t.Errorf("%d bytes of version %d were the same", n, version)
		}
	}
}

// An upstream that breaks off or begins to pause behind a page that it delivered before: what came of
// the page goes out.
func TestPageSeenBeforeBreaksOff(t *testing.T) {
	body, want := page(100)
	off := false
	s := promptSite(t, func(w http.ResponseWriter, r *http.Request) error {
		if !off {
			return servePage(func(*http.Request) string { return body })(w, r)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_ = pieces(w, body[:50<<10])
		panic(http.ErrAbortHandler)
	})
	for range 4 {
		s.visit(t)
	}
	off = true
	a := s.visit(t)
	if a.err == nil || !strings.HasPrefix(want, a.body) || len(a.body) < 40<<10 {
		t.Errorf("%d bytes, %v", len(a.body), a.err)
	}
	allGivenBack(t)
}

// Many visitors at once follow one page, while others go to pages that differ.
func TestPagesSeenBeforeSideBySide(t *testing.T) {
	body, want := page(100)
	s := promptSite(t, servePage(func(r *http.Request) string { return body + r.Header.Get("X-End") }))
	for range 3 {
		s.visit(t)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			end := fmt.Sprintf("<p>%d", i/2)
			for range 10 {
				if a := s.visit(t, "X-End: "+end); a.body != want+end {
					t.Errorf("%d bytes", len(a.body))
				}
			}
		})
	}
	wg.Wait()
	if s.same() < 40*100<<10 {
		t.Errorf("%d bytes were the same", s.same())
	}
	allGivenBack(t)
}

// A page that ends before the earlier one does is enforced to its end.
func TestPageShorterThanBefore(t *testing.T) {
	body := "<!DOCTYPE html><html><head></head><body>" + strings.Repeat("<p>some text of the page</p>\n", 200) +
		`<div title="` + strings.Repeat("x", 70<<10) + `" data-state="` + strings.Repeat("y", 70<<10) + `">` +
		`<script src="https://www.google-analytics.com/analytics.js"></script><iframe src="https://www.youtube.com/embed/x"></iframe>`
	cached := "<!-- cached -->"
	s := promptSite(t, servePage(func(*http.Request) string { return body + cached }))
	for range 6 {
		if a := s.visit(t); strings.Contains(a.body, ` src="https://www.google`) {
			t.Fatal("not blocked")
		}
	}
	cached = ""
	if a := s.visit(t); strings.Contains(a.body, ` src="https://www.google`) {
		t.Errorf("not blocked: %s", a.body[len(a.body)-150:])
	}
}

// What a flush made of a page is not what comes of it later.
func TestPageFlushedBefore(t *testing.T) {
	first := "<!DOCTYPE html><html><head>"
	body := first + "<meta charset=iso-2022-jp></head><body>" + strings.Repeat("<p>some text of the page</p>\n", 400)
	flush := false
	s := promptSite(t, func(w http.ResponseWriter, r *http.Request) error {
		if !flush {
			return servePage(func(*http.Request) string { return body }, "Content-Type: text/html")(w, r)
		}
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", "11667")
		_, _ = w.Write([]byte(first))
		_ = http.NewResponseController(w).Flush()
		_, err := w.Write([]byte(body[len(first):]))
		return err
	})
	want := s.visit(t).body
	flush = true
	s.visit(t)
	flush = false
	for n := range 60 {
		if a := s.visit(t); a.body != want {
			t.Fatalf("answer %d: %.200s\nwant %.200s", n, a.body, want)
		}
	}
}

// Visitors with and without a consent manager's cookie do not take each other's page out of the memory.
func TestPageSeenByWatchedVisitors(t *testing.T) {
	body, want := page(100)
	s := promptSite(t, servePage(func(*http.Request) string { return body }))
	for n := range 20 {
		var lines []string
		if n%2 == 0 {
			lines = []string{"Cookie: OptanonConsent=groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A1&datestamp=Mon+Jan+01+2026"}
		}
		if a := s.visit(t, lines...); a.body != want {
			t.Fatalf("answer %d: %.300s", n, a.body)
		}
	}
	if same := s.same(); same < 10*len(body) {
		t.Errorf("%d bytes of 20 answers of %d were the same", same, len(body))
	}
}

// A page that cannot be kept is not taken down for every visitor anew.
func TestPageThatCannotBeKept(t *testing.T) {
	body := doc + strings.Repeat(`<img src="https://www.facebook.com/tr?id=1">`, 5000)
	s := promptSite(t, servePage(func(*http.Request) string { return body }))
	s.visit(t)
	s.visit(t)
	key := pageKey{policy: s.h.site().For(rules.Grants{}), scheme: "http", host: "127.0.0.1", path: "/", contentType: "text/html; charset=utf-8"}
	p, ok := earlierPages().Get(maphash.Comparable(earlierSeed, key))
	if !ok || p.Earlier != nil || p.unlike.Load() < followTries {
		t.Errorf("on record: %v, %+v", ok, p)
	}
}
