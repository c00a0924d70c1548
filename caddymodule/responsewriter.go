package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// responseWriter is what next writes to. It decides with the final header, or with the first
// bytes where the header does not say enough, what happens to the body.
type responseWriter struct {
	inner  http.ResponseWriter
	h      *Handler
	r      *http.Request
	url    *url.URL // the browser's
	rec    *record
	policy *rules.Policy
	page   *rules.Page

	// reverse_proxy flushes from a timer's goroutine.
	mu          sync.Mutex
	status      int // of the final header, 0 before
	disp        disposition
	sent        bool // the final header is out
	aborted     bool // nothing more may be emitted
	finished    bool // the handler is done: a late flush must not touch the connection
	incremental bool
	flushed     bool     // next has asked for what it wrote to go out
	failed      string   // the cause for which the response is broken off
	docRequest  bool     // the request may be answered with a document
	length      int      // of the body as it comes, 0 if unknown
	suffix      string   // of entity tags
	cookies     []string // of the request, if some of them are not allowed
	saw         func(scriptURL string)

	sheetRequest bool // the answer may be used as a style sheet
	onlySheet    bool // and as nothing else
	mediaRequest bool // the answer may be played
	playlist     bool // its first bytes are those of a media playlist

	lines [len(filteredNames)][]string // of filteredNames, as they were decided on

	savedLines [6]savedLine
	saved      int // of savedLines, those in use

	head     []byte        // of the body, while that is undecided
	tryAt    int           // the length of head at which it is decoded next
	gathered *gathered     // nil where the header is out
	fed      time.Time     // when the rewriter was last done with what it got
	idle     time.Duration // between that and what came next, in all
	feeding  bool          // the rewriter is at work
	paused   bool          // next let it wait, or flushed
	whole    bool          // it was gathered, at least in part
	prompt   *promptness   // of documents like this one; nil if it is not to be gathered

	personal   bool         // the upstream forbids shared caches to store it (RFC 9111, 5.2.2.5 and 5.2.2.7)
	earlier    *earlierPage // that the document is compared with
	earlierKey uint64
	renew      int32 // of the page that is taken down, 0 if it is not

	rewriter *rewriter.Rewriter
	decoder  *decoder
	sink     io.Writer // decoder or rewriter

	record record
}

var errBroken = errors.New("consent: the response is broken off")

// Header returns the header map that next edits, which trailers share.
func (rw *responseWriter) Header() http.Header { return rw.inner.Header() }

// Unwrap lets http.ResponseController reach the inner writer (hijacking, deadlines).
func (rw *responseWriter) Unwrap() http.ResponseWriter { return rw.inner }

// WriteHeader passes informational headers down, filtered, any number of times; with the final
// one it decides about the body.
func (rw *responseWriter) WriteHeader(status int) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	rw.writeHeader(status)
}

func (rw *responseWriter) writeHeader(status int) {
	if rw.status != 0 || rw.aborted {
		return
	}
	if status < 200 {
		rw.filterHeader()
		rw.inner.WriteHeader(status)
		if status == http.StatusSwitchingProtocols {
			rw.status, rw.sent, rw.disp = status, true, pass
			rw.rec.outcome = "passed:switching_protocols"
		}
		return
	}
	rw.status = status
	rw.filterHeader()
	if rw.redirectBlocked() && !rw.h.shadow {
		status := http.StatusNoContent
		if isAhead(rw.r) {
			// Where the visitor goes there, Chromium would take 204 for the answer, and stay.
			status = http.StatusServiceUnavailable
		}
		rw.discardAnswer("blocked:redirect", status)
		return
	}
	if status == http.StatusNotModified && rw.unasked() {
		// The browser would take it for the answer about a page of another choice.
		rw.discardAnswer("failed:unasked_not_modified", http.StatusBadGateway)
		return
	}
	rw.incremental = caddyhttp.IsIncremental(rw.Header())
	rw.noteHeader()
	rw.decide(nil)
}

// Write sends p the way that was decided. It returns len(p) for what it consumed.
func (rw *responseWriter) Write(p []byte) (int, error) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.aborted || rw.failed != "" {
		return 0, errBroken
	}
	if rw.status == 0 {
		rw.writeHeader(http.StatusOK)
	}
	n := len(p)
	if rw.disp == undecided {
		if n == 0 {
			return 0, nil
		}
		rw.head = append(rw.head, p...)
		return n, rw.decideHead()
	}
	if err := rw.body(p); err != nil {
		return 0, err
	}
	return n, nil
}

// decideHead decides by what is held of the body, and sends it if that was enough.
func (rw *responseWriter) decideHead() error {
	rw.lateHeader()
	if rw.decide(rw.head); rw.disp == undecided {
		return nil
	}
	head := rw.head
	rw.head = nil
	return rw.body(head)
}

// body sends p the way that was decided.
func (rw *responseWriter) body(p []byte) error {
	switch rw.disp {
	case discard:
		return nil
	case observe:
		rw.feed(p)
		fallthrough
	case pass:
		if rw.prompt != nil {
			if err := rw.resume(time.Now()); err != nil {
				return err
			}
			_, err := clientWriter{rw}.Write(p)
			rw.fed = time.Now()
			return err
		}
		rw.lateHeader()
		_, err := rw.inner.Write(p)
		if err == nil && rw.incremental {
			err = rw.flushInner()
		}
		return err
	}
	if cause, err := rw.feed(p); err != nil {
		if cause != "" {
			rw.fail(cause)
			return errBroken
		}
		return err
	}
	if rw.incremental {
		return rw.flush()
	}
	return nil
}

// flush sends all that is complete.
func (rw *responseWriter) flush() error {
	if rw.rewriter != nil {
		if err := rw.rewriter.Flush(); err != nil {
			return err
		}
	}
	rw.paused = true // or it would not matter when it goes out
	if err := rw.letGo(false); err != nil {
		return err
	}
	return rw.flushInner()
}

// flushInner makes the inner writer send what it has.
func (rw *responseWriter) flushInner() error { return http.NewResponseController(rw.inner).Flush() }

// feed hands p to the decoder or rewriter. cause is set if the body's coding is damaged.
func (rw *responseWriter) feed(p []byte) (cause string, err error) {
	if rw.sink == nil {
		return "", nil
	}
	start := time.Now()
	rw.feeding = true
	defer func() { rw.feeding = false }()
	if err := rw.resume(start); err != nil {
		return "", err
	}
	_, err = rw.sink.Write(p)
	rw.fed = time.Now()
	rw.rec.spent += rw.fed.Sub(start)
	rw.rec.bytesIn += uint64(len(p))
	if err == nil {
		return "", nil
	}
	if rw.disp == observe {
		rw.rec.fail(causeEncoding)
		rw.release()
		return "", nil
	}
	var w *writeError
	switch {
	case errors.Is(err, rewriter.ErrCharset):
		return causeCharset, err
	case rw.decoder != nil && !errors.As(err, &w):
		return causeEncoding, err
	}
	return "", err
}

// writeError is an error of the client's connection, as opposed to one of the upstream's bytes.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// clientWriter takes what comes out of the rewriter.
type clientWriter struct{ *responseWriter }

func (c clientWriter) Write(p []byte) (int, error) {
	if g := c.gathered; g != nil && g.add(p) {
		return len(p), nil
	}
	if err := c.letGo(false); err != nil {
		return 0, err
	}
	return c.send(p)
}

// WriteStable implements rewriter.StableWriter: a page that is all like an earlier one needs no copy.
func (c clientWriter) WriteStable(p []byte) (int, error) {
	if g := c.gathered; g != nil && len(*g.body) == 0 && g.rest == nil {
		g.rest = p
		return len(p), nil
	}
	return c.Write(p)
}

// TakesParts implements rewriter.PartsWriter.
func (c clientWriter) TakesParts(n int) bool {
	g := c.gathered
	return g != nil && len(*g.body)+len(g.rest)+n <= g.room
}

// send writes p to the inner writer, whose errors it marks.
func (rw *responseWriter) send(p []byte) (int, error) {
	start := time.Now()
	rw.lateHeader()
	n, err := rw.inner.Write(p)
	if rw.feeding {
		rw.rec.waited += time.Since(start)
	}
	if rw.disp == rewrite {
		rw.rec.bytesOut += uint64(n)
	}
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

// ReadFrom keeps sendfile for what passes, and hides the inner ReaderFrom from what does not.
func (rw *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	rw.mu.Lock()
	if rw.status == 0 {
		rw.writeHeader(http.StatusOK)
	}
	var err error
	var head int64
	for first := int64(sniffLen); rw.disp == undecided && !rw.aborted && err == nil; first *= 2 {
		// What passes once its first bytes are known can be sent without a copy.
		rw.mu.Unlock()
		var n int64
		n, err = io.CopyN(writerOnly{rw}, src, first)
		head += n
		rw.mu.Lock()
	}
	if err != nil {
		rw.mu.Unlock()
		if err == io.EOF {
			err = nil
		}
		return head, err
	}
	direct := rw.disp == pass && !rw.aborted
	if direct {
		rw.paused = true // to gather would be in the way
		err = rw.letGo(false)
		rw.lateHeader()
	}
	rw.mu.Unlock()
	if err != nil {
		return head, err
	}
	dst := io.Writer(writerOnly{rw})
	if direct {
		dst = rw.inner
	}
	n, err := io.Copy(dst, src)
	return head + n, err
}

// FlushError sends what is complete. While the header is undecided there is nothing to send, and
// flushing would commit a header too early.
func (rw *responseWriter) FlushError() error {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.aborted || rw.finished || rw.failed != "" || rw.disp == discard {
		return nil
	}
	if rw.status == 0 {
		rw.writeHeader(http.StatusOK)
	}
	rw.flushed = true
	if rw.disp == undecided && len(rw.head) > 0 {
		if err := rw.decideHead(); err != nil {
			return err
		}
	}
	if rw.disp == undecided {
		return nil
	}
	return rw.flush()
}

// filteredNames are the headers that filterHeader reads, and Location, which redirectBlocked does.
var filteredNames = [...]string{"Set-Cookie", "Link", "Refresh", "Speculation-Rules", "Alt-Svc", "Reporting-Endpoints", "Report-To",
	"Content-Security-Policy", "Content-Security-Policy-Report-Only", "Location"}

// noteHeader takes down what is filtered of the header.
func (rw *responseWriter) noteHeader() {
	h := rw.Header()
	for i, k := range filteredNames {
		rw.lines[i] = h[k]
	}
}

// lateHeader filters what next has set behind the header, as trailers are. It is void, but it would go out where the header
// waits for the body, here or in a writer outside as encode is.
func (rw *responseWriter) lateHeader() {
	if rw.status == 0 {
		return
	}
	h, late := rw.Header(), false
	for i, k := range filteredNames {
		late = late || !slices.Equal(h[k], rw.lines[i])
	}
	if !late {
		return
	}
	if to := rw.lines[len(filteredNames)-1]; !rw.h.shadow && !slices.Equal(h["Location"], to) {
		rw.setHeader(h, "Location", to)
	}
	rw.filterHeader()
	rw.noteHeader()
}

// fail breaks a response off after its header is out.
func (rw *responseWriter) fail(cause string) {
	_ = rw.letGoNow()
	rw.failed = cause
	rw.rec.fail(cause)
	rw.release()
}

// finish completes the response after next has returned without an error. It reports whether the
// response is broken and must be aborted.
func (rw *responseWriter) finish() (broken bool) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	defer rw.release()
	defer func() { _ = rw.letGo(false) }() // where what follows panics
	rw.finished = true
	if rw.failed != "" {
		return true
	}
	if rw.aborted {
		return false
	}
	if !rw.fed.IsZero() {
		rw.wait(time.Now())
	}
	broken = rw.complete()
	if !broken && rw.prompt != nil && rw.length > 0 && rw.length <= gatherMax {
		rw.prompt.note(rw.whole, rw.paused)
	}
	if err := rw.letGo(!broken); err != nil {
		broken = true
	}
	rw.lateHeader()
	return broken
}

// complete decides what is undecided and ends the document. It reports whether the response is broken.
func (rw *responseWriter) complete() (broken bool) {
	if rw.status == 0 && rw.disp == undecided {
		// next wrote nothing: net/http will answer 200 with an empty body.
		rw.status = http.StatusOK
		rw.filterHeader()
		rw.noteHeader()
	}
	if rw.disp == undecided && len(rw.head) > 0 {
		if err := rw.decideHead(); err != nil {
			return true
		}
	}
	if rw.disp == undecided {
		rw.lateHeader()
		if rw.rec.document = rw.docRequest; rw.docRequest {
			rw.documentHeader(rw.untouched(), false)
		}
		rw.commit(pass, "passed:no_body")
		return false
	}
	if rw.disp != rewrite && rw.disp != observe || rw.rewriter == nil { // a copy that could not be read is given up
		return false
	}
	if rw.decoder != nil {
		if err := rw.decoder.Close(); err != nil {
			rw.decoder = nil
			if rw.disp == observe {
				rw.rec.fail(causeEncoding)
				return false
			}
			cause := causeAbort
			if errors.Is(err, rewriter.ErrCharset) {
				cause = causeCharset
			}
			rw.failed = cause
			rw.rec.fail(cause)
			return true
		}
		rw.decoder = nil
	}
	if err := rw.rewriter.Close(); err != nil && rw.disp == rewrite {
		var w *writeError
		if !errors.As(err, &w) {
			rw.rec.fail(causeAbort)
		}
		return true
	}
	rw.rec.edited = rw.rewriter.Edited()
	rw.remember()
	dropDigests(rw)
	return false
}

// abort ends the response without emitting anything more than what is complete.
func (rw *responseWriter) abort() {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	defer rw.release()
	rw.aborted = true
	_ = rw.letGoNow()
}

func (rw *responseWriter) release() {
	rw.dropGathered()
	if rw.decoder != nil {
		rw.decoder.Abort()
		rw.decoder = nil
	}
	if rw.rewriter != nil {
		rw.rec.edited = rw.rec.edited || rw.rewriter.Edited()
		rw.rewriter.Abort()
		rewriterPool.Put(rw.rewriter)
		rw.rewriter = nil
	}
	rw.sink = nil
}
