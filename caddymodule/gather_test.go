package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// page returns a document of n paragraphs of 1,024 bytes with one tracker, and what becomes of it.
func page(n int) (string, string) {
	text := strings.Repeat("<p>"+strings.Repeat("x", 1024-len("<p>\n"))+"\n", n)
	return doc + text, docSafe + text
}

// pieces writes body in pieces of 32 KiB, as reverse_proxy does.
func pieces(w io.Writer, body string) error {
	for len(body) > 0 {
		n := min(len(body), 32<<10)
		if _, err := io.WriteString(w, body[:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

func setPause(t *testing.T, d time.Duration) {
	before := gatherPause
	gatherPause = d
	t.Cleanup(func() { gatherPause = before })
}

// promptSite is a site whose upstream has delivered its first pages at once, before next answers.
func promptSite(t *testing.T, next caddyhttp.HandlerFunc) *site {
	t.Helper()
	setPause(t, time.Hour) // no stall of the machine is taken for one
	first, _ := page(1)
	var served atomic.Int32
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, r *http.Request) error {
		if served.Add(1) > gatherAfter {
			return next(w, r)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(first)))
		return pieces(w, first)
	})
	for range gatherAfter {
		s.get(t)
	}
	return s
}

// allGivenBack waits until no handler holds memory for a page.
func allGivenBack(t *testing.T) {
	t.Helper()
	for range 500 {
		if gatheredBudget.Held() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d bytes are still booked", gatheredBudget.Held())
}

// Where the upstream is prompt, rewritten pages of ordinary size come with their length, as they do
// from the upstream.
func TestLengthOfPages(t *testing.T) {
	for _, tt := range []struct {
		name           string
		paragraphs     int
		known, flushed bool
		trailer        string
		length         bool
	}{
		{"a small page", 1, true, false, "", true},
		{"an ordinary page", 100, true, false, "", true},
		{"a page whose length the upstream did not say", 100, false, false, "", false},
		{"a page that was flushed", 100, true, true, "", false},
		{"a long page", 400, true, false, "", false},
		{"a page with a trailer", 100, true, false, "X-Sum", false},
		{"a page with a trailer that nobody announced", 100, true, false, http.TrailerPrefix + "X-Sum", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body, want := page(tt.paragraphs)
			s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				if tt.known {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				}
				if tt.trailer == "X-Sum" {
					w.Header().Set("Trailer", tt.trailer)
				}
				err := pieces(w, body)
				if tt.flushed {
					err = errors.Join(err, http.NewResponseController(w).Flush())
				}
				if tt.trailer != "" {
					w.Header().Set(tt.trailer, "1")
				}
				return err
			})
			a := s.get(t)
			if a.err != nil || a.body != want {
				t.Fatalf("%d bytes, %v, want %d", len(a.body), a.err, len(want))
			}
			if tt.length && a.ContentLength != int64(len(want)) || !tt.length && a.ContentLength != -1 {
				t.Errorf("length %d, transfer %v; the body has %d", a.ContentLength, a.TransferEncoding, len(want))
			}
			if (tt.trailer != "") != (a.Trailer.Get("X-Sum") == "1") {
				t.Errorf("trailers %v", a.Trailer)
			}
			allGivenBack(t)
		})
	}
}

// Nothing is held back of the first pages of a site, of which nobody knows how they come.
func TestSlowPageIsNotHeldBack(t *testing.T) {
	body, want := page(100)
	read := make(chan struct{})
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if err := pieces(w, body[:64<<10]); err != nil {
			return err
		}
		<-read
		return pieces(w, body[64<<10:])
	})
	readInTwo(t, s, want, read)
}

// readInTwo reads the first half of a page before it says so, and then the rest.
func readInTwo(t *testing.T, s *site, want string, read chan<- struct{}) {
	t.Helper()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 32<<10)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	close(read)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(first)+string(rest) != want {
		t.Errorf("%d and %d bytes, %v, want %d", len(first), len(rest), err, len(want))
	}
}

// An upstream that was prompt and begins to pause is waited for no longer than until it goes on, and
// its next pages come as they are ready.
func TestUpstreamThatBeginsToPause(t *testing.T) {
	body, want := page(100)
	read, second := make(chan struct{}), make(chan struct{})
	block := read
	pause := 20 * time.Millisecond
	s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if err := pieces(w, body[:64<<10]); err != nil {
			return err
		}
		if block == read {
			time.Sleep(2 * pause)
			if err := pieces(w, body[64<<10:65<<10]); err != nil {
				return err
			}
			<-block
			return pieces(w, body[65<<10:])
		}
		<-block
		return pieces(w, body[64<<10:])
	})
	gatherPause = pause
	readInTwo(t, s, want, read)
	block = second
	readInTwo(t, s, want, second)
}

// An upstream that is slow all the time, without a long pause, is none that is waited for; nor one that
// works on when the page is out.
func TestUpstreamThatTakesItsTime(t *testing.T) {
	body, want := page(100)
	for _, tt := range []struct {
		name string
		slow func(io.Writer) error // writes all of body but the last kilobyte, and takes longer than the pause
	}{
		{"in small steps", func(w io.Writer) error {
			var err error
			for rest := body[:len(body)-1024]; rest != "" && err == nil; time.Sleep(2 * time.Millisecond) {
				n := min(4<<10, len(rest))
				_, err = io.WriteString(w, rest[:n])
				rest = rest[n:]
			}
			return err
		}},
		{"after the page", func(w io.Writer) error { return pieces(w, body[:len(body)-1024]) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var read chan struct{}
			s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				if err := tt.slow(w); err != nil {
					return err
				}
				if read != nil {
					<-read
				}
				err := pieces(w, body[len(body)-1024:])
				time.Sleep(2 * gatherPause)
				return err
			})
			gatherPause = 20 * time.Millisecond
			if a := s.get(t); a.body != want {
				t.Errorf("%d bytes, %v, want %d", len(a.body), a.err, len(want))
			}
			read = make(chan struct{})
			readInTwo(t, s, want, read)
		})
	}
}

// A count of pauses costs more where they go on.
func TestPromptness(t *testing.T) {
	var p promptness
	rounds := func() (n int) {
		for ; p.count.Load() < gatherAfter; n++ {
			p.note(false, false)
		}
		return n
	}
	got := []int{rounds()}
	for range 6 {
		p.note(true, true)
		got = append(got, rounds())
	}
	p.note(true, false)
	p.note(true, true)
	got = append(got, rounds())
	if s := fmt.Sprint(got); s != "[3 53 103 203 403 803 1003 53]" {
		t.Error(s)
	}
}

// What is ready of a page arrives although the upstream dies before it is whole, and the visitor
// sees that there should have been more.
func TestPageThatBreaksOffArrivesInPart(t *testing.T) {
	body, want := page(40)
	for name, end := range map[string]func() error{
		"a panic":  func() error { panic(http.ErrAbortHandler) },
		"an error": func() error { return caddyhttp.Error(http.StatusBadGateway, errors.New("the upstream is gone")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.Header().Set("Content-Length", "99999")
				if err := pieces(w, body+"<img src=https://x"); err != nil {
					return err
				}
				return end()
			})
			a := s.get(t)
			if a.StatusCode != http.StatusOK || !strings.HasPrefix(a.body, want) || strings.Contains(a.body, "https://x") {
				t.Errorf("%d, %d bytes, %v", a.StatusCode, len(a.body), a.err)
			}
			if a.ContentLength != -1 || name == "a panic" && a.err == nil {
				t.Errorf("length %d, %v", a.ContentLength, a.err)
			}
			if s.outcome() != "failed:upstream_abort" {
				t.Errorf("outcome %q", s.outcome())
			}
			allGivenBack(t)
		})
	}
}

// A header that is set once the answer has begun is not sent, least of all a cookie past the filter.
func TestHeaderSetTooLate(t *testing.T) {
	s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Length", fmt.Sprint(len(doc)))
		h.Add("Set-Cookie", "session=1")
		w.WriteHeader(http.StatusOK)
		h.Add("Set-Cookie", "_fbp=1")
		h.Set("X-Late", "1")
		err := pieces(w, doc)
		h.Add("Set-Cookie", "_fbp=2")
		h.Del("Content-Type")
		return err
	})
	a := s.get(t)
	if a.body != docSafe || a.Header.Get("X-Late") != "" || fmt.Sprint(a.Header["Set-Cookie"]) != "[session=1]" || a.Header.Get("Content-Type") == "" {
		t.Errorf("%q %v", a.body, a.Header)
	}
}

// The answer to an error has the header that was set for it.
func TestErrorKeepsItsHeader(t *testing.T) {
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Retry-After", "30")
		return caddyhttp.Error(http.StatusTooManyRequests, errors.New("too many"))
	})
	if a := s.get(t); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "30" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

// With the memory for whole pages used up, they leave as they are ready.
func TestNothingIsGatheredBeyondTheBudget(t *testing.T) {
	body, want := page(100)
	s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		return pieces(w, body)
	})
	used := 64<<20 - 16<<10
	if !gatheredBudget.Book(used) {
		t.Fatal("the budget is smaller than it was")
	}
	defer gatheredBudget.Book(-used)
	if a := s.get(t); a.err != nil || a.body != want || a.ContentLength != -1 {
		t.Errorf("%d bytes, length %d, %v", len(a.body), a.ContentLength, a.err)
	}
}

// A status that no server can send ends the one connection, and costs nothing for good.
func TestImpossibleStatus(t *testing.T) {
	s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(doc)))
		w.WriteHeader(1000)
		return pieces(w, doc)
	})
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if a := s.get(t); a.err == nil {
		t.Errorf("%q", a.body)
	}
	allGivenBack(t)
}

// Who takes over the connection in the middle of a page finds it behind what was written.
func TestHijackedPage(t *testing.T) {
	s := promptSite(t, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusOK)
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, _ = buf.WriteString("5\r\nhello\r\n0\r\n\r\n")
		return buf.Flush()
	})
	if a := s.get(t); a.StatusCode != http.StatusOK || a.body != "hello" {
		t.Errorf("%d %q %v", a.StatusCode, a.body, a.err)
	}
}

// writes takes a response and counts the pieces that it comes in.
type writes struct {
	*httptest.ResponseRecorder
	pieces []int
	direct bool
}

func (w *writes) Write(p []byte) (int, error) {
	w.pieces = append(w.pieces, len(p))
	return w.ResponseRecorder.Write(p)
}

func (w *writes) ReadFrom(src io.Reader) (int64, error) {
	w.direct = true
	return io.Copy(w.ResponseRecorder, src)
}

// Pages of visitors who allow everything leave in one piece too where the upstream is prompt, with the
// bytes and the length that they came with.
func TestAllowedPagesLeaveInOnePiece(t *testing.T) {
	setPause(t, time.Hour)
	body, _ := page(100)
	small, _ := page(8)
	for _, tt := range []struct {
		name, method, body string
		length             int
		send               func(w http.ResponseWriter, body string) error
		before             func(w http.ResponseWriter, body string) error // on the pages before
		pieces             int
		direct, broken     bool
	}{
		{name: "an ordinary page", body: body, pieces: 1},
		{name: "a small page", body: small, pieces: 1},
		{name: "a page of which nobody knows how it comes", body: body, before: func(http.ResponseWriter, string) error { return nil }, pieces: 4},
		{name: "a page that was flushed", body: body, pieces: 3, send: func(w http.ResponseWriter, body string) error {
			return errors.Join(pieces(w, body[:64<<10]), http.NewResponseController(w).Flush(), pieces(w, body[64<<10:]))
		}},
		{name: "a page from a file", body: body, direct: true, send: func(w http.ResponseWriter, body string) error {
			_, err := w.(io.ReaderFrom).ReadFrom(struct{ io.Reader }{strings.NewReader(body)})
			return err
		}},
		{name: "a page that breaks off", body: body[:70<<10], length: len(body), pieces: 1, broken: true, send: func(w http.ResponseWriter, body string) error {
			return errors.Join(pieces(w, body), errors.New("the upstream has died"))
		}},
		{name: "a page that ends too early", body: body[:70<<10], length: len(body), pieces: 1},
		{name: "a question for the header", method: "HEAD", length: len(body)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &Handler{}, nil)
			serve := func(send func(http.ResponseWriter, string) error) (*writes, error) {
				w := &writes{ResponseRecorder: httptest.NewRecorder()}
				r := httptest.NewRequest(cmp.Or(tt.method, "GET"), "/", nil)
				r.Header.Set("Cookie", strings.TrimPrefix(yes, "Cookie: "))
				r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
				return w, s.h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					w.Header().Set("Content-Type", "text/html; charset=utf-8")
					w.Header().Set("Content-Length", fmt.Sprint(cmp.Or(tt.length, len(tt.body))))
					if send == nil {
						return pieces(w, tt.body)
					}
					return send(w, tt.body)
				}))
			}
			for range gatherAfter {
				_, _ = serve(tt.before)
			}
			w, err := serve(tt.send)
			if (err != nil) != tt.broken {
				t.Fatal(err)
			}
			if got := w.Body.String(); got != tt.body || w.Header().Get("Content-Length") != fmt.Sprint(cmp.Or(tt.length, len(tt.body))) {
				t.Errorf("%d bytes of length %s, want %d", len(got), w.Header().Get("Content-Length"), len(tt.body))
			}
			if len(w.pieces) != tt.pieces || w.direct != tt.direct {
				t.Errorf("pieces %v, direct %v", w.pieces, w.direct)
			}
			allGivenBack(t)
		})
	}
}
