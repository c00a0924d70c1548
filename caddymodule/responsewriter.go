package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// Causes for which a document cannot be rewritten.
const (
	causeEncoding = "unsupported_encoding"
	causeCharset  = "unsupported_charset"
	causePartial  = "partial_content"
	causeParts    = "multipart_document"
	causeSigned   = "signed_exchange"
	causeAbort    = "upstream_abort"
)

var causes = []string{causeEncoding, causeCharset, causePartial, causeParts, causeSigned, causeAbort}

// disposition is what happens to a response's body.
type disposition uint8

const (
	undecided disposition = iota // the header waits for the first bytes of the body
	pass                         // as it comes
	rewrite                      // through the rewriter
	observe                      // as it comes, and a copy through the rewriter for the record
	discard                      // an error has been sent in its place
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
	lines       []string // of Set-Cookie, as they were sent
	cookies     []string // of the request, if some of them are not allowed
	saw         func(scriptURL string)

	sheetRequest bool // the answer may be used as a style sheet
	onlySheet    bool // and as nothing else
	mediaRequest bool // the answer may be played

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
		rw.discardAnswer("blocked:redirect")
		return
	}
	rw.incremental = caddyhttp.IsIncremental(rw.Header())
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
		rw.lateCookies()
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
	rw.lateCookies()
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
		rw.lateCookies()
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

// decide settles what happens to the body, once header and first bytes say enough; first is nil
// while there are none.
func (rw *responseWriter) decide(first []byte) {
	h := rw.Header()
	bodyless := rw.status == http.StatusNoContent || rw.status == http.StatusNotModified
	head := rw.r.Method == http.MethodHead
	ct, typed, only := contentType(h)
	if only != "" && !rw.h.shadow {
		h["Content-Type"] = []string{only}
	}
	codings, known := splitCodings(h["Content-Encoding"])
	sheet := ct == "text/css" && rw.sheetRequest || rw.onlySheet
	if sheet && isXML(ct) && rw.r.Header.Get("Sec-Fetch-Dest") == "" && !bodyless && !head {
		// Chromium asks for XSLT in the same words.
		text := bytes.TrimLeft(bytes.TrimPrefix(first, []byte("\xef\xbb\xbf")), "\t\n\f\r ")
		if len(text) == 0 && !rw.finished && len(codings) == 0 {
			return
		}
		sheet = len(codings) == 0 && (len(text) == 0 || text[0] != '<' && text[0] < 0x80 && text[0] != 0)
	}
	if sheet {
		if !bodyless && ct != "text/css" && (!typed || mayBePage(ct)) {
			rw.forgetSheet()
		}
		rw.decideSheet(first, bodyless || head, codings, known)
		return
	}
	if ct == speculationRules && !bodyless && !head {
		rw.decideList(ruleList, first, codings)
		return
	}
	if !bodyless && !head && known && rw.status/100 == 2 && (rw.mediaRequest || isPlaylist(rw.r, ct)) {
		is, certain := rw.isPlaylistSoFar(first, codings)
		if !is && !certain {
			return
		}
		if is {
			rw.decideList(playlist, first, codings)
			return
		}
	}
	if !typed && strings.EqualFold(strings.TrimSpace(h.Get("X-Content-Type-Options")), "nosniff") {
		// Browsers take it for text, unless net/http gives it a type.
		if h.Get("Content-Type") == "" && !rw.h.shadow {
			h["Content-Type"] = nil
		}
		ct, typed = "text/plain", true
	}
	if !typed && !bodyless && !head && known {
		text := first
		if len(codings) > 0 && !rw.finished {
			if len(first) < rw.tryAt {
				return
			}
			rw.tryAt = 2 * len(first)
		}
		if len(codings) > 0 {
			text, _ = decoded(codings, first, sniffLen)
		}
		if len(text) < sniffLen && len(first) < lookAhead && !rw.finished && !((rw.flushed || rw.incremental) && sniffed(text)) {
			return // wait for bytes to sniff
		}
		// net/http would sniff what comes out of the rewriter, and browsers know more tags than it does.
		ct = http.DetectContentType(text)
		if !rw.h.shadow {
			h["Content-Type"] = []string{ct}
		}
		ct, _, _ = mime.ParseMediaType(ct)
	} else if !typed && len(codings) > 0 {
		ct = "text/html" // it may be one
	}
	xml := isXML(ct) || rw.r.Header.Get("Sec-Fetch-Dest") == "xslt" && strings.HasSuffix(ct, "+xml")
	parts := ct == "multipart/x-mixed-replace" && mayBeShown(rw.r)
	signed := ct == "application/signed-exchange" // Chromium asks the hosts in it for a certificate, or for the page
	document := ct == "text/html" || ct == turboStream || xml || parts || signed
	if bodyless {
		document = rw.docRequest
	}
	if !document {
		rw.commit(pass, "passed:not_html")
		return
	}
	rw.rec.document = true
	all := rw.untouched()
	switch {
	case bodyless:
		rw.documentHeader(all, rw.status != http.StatusNotModified)
		outcome := "passed:no_body"
		if all {
			outcome = "all_allowed"
		}
		rw.commit(pass, outcome)
		return
	case all:
		rw.documentHeader(true, false)
		if !head && !rw.h.shadow {
			if rw.length = bodyLength(h); rw.length > gatherPass {
				rw.prompt = rw.h.promptPass
			}
		}
		rw.commit(pass, "all_allowed")
		return
	case rw.h.keepsNoTransform(h):
		rw.documentHeader(false, false)
		rw.commit(pass, "passed:no_transform")
		return
	case !known:
		rw.refuse(causeEncoding)
		return
	case rw.status == http.StatusPartialContent:
		rw.refuse(causePartial)
		return
	case parts:
		rw.refuse(causeParts)
		return
	case signed:
		rw.refuse(causeSigned)
		return
	}
	if ct == "text/xsl" && !rw.h.shadow {
		// Chromium without XSLT shows it as HTML, and it is read as XML.
		_, parameters, _ := strings.Cut(h.Get("Content-Type"), ";")
		h["Content-Type"] = []string{strings.TrimSuffix("text/xml;"+parameters, ";")}
	}
	if xml && len(codings) == 0 && !head {
		if first == nil {
			return // the first bytes may name the encoding
		}
		if !rewriter.XMLCharset(h.Get("Content-Type"), first) {
			rw.refuse(causeCharset)
			return
		}
	}
	rw.warnUncompressed(h)
	if head {
		rw.documentHeader(false, true)
		if !rw.h.shadow {
			h.Del("Content-Encoding")
		}
		rw.commit(pass, "passed:no_body")
		return
	}
	rw.rewriteBody(codings, rewriter.Options{XML: xml, Head: rw.h.bridgeTag(), Saw: rw.saw, Dialect: rw.h.dialect, Framed: mayBeFramed(rw.r), Lends: lend})
}

// lent is set once a page has gone out with a frame to which it lends an encoding in which ASCII is not the same.
var lent atomic.Bool

func lend() { lent.Store(true) }

// mayBeFramed reports whether such a page may show the answer in a frame. Without Sec-Fetch-Dest, which is not sent over
// plain HTTP, any page may where there are such pages.
func mayBeFramed(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	kind := fetched[dest]
	return kind == rules.KindFrame || kind == rules.KindEmbed || dest == "" && lent.Load()
}

// lateCookies filters cookies that next has set behind the header. They are void, but a writer outside
// that lets the header wait for the body, as encode does, would send them.
func (rw *responseWriter) lateCookies() {
	h := rw.Header()
	if late := h["Set-Cookie"]; rw.sent && !slices.Equal(late, rw.lines) {
		rw.lines = rw.filterSetCookie(late)
		rw.setHeader(h, "Set-Cookie", rw.lines)
		if rw.h.shadow {
			rw.lines = late
		}
	}
}

// keepsNoTransform reports whether the upstream asks that its bytes stay as they are, and is to be heard
// (RFC 9110, 7.7).
func (h *Handler) keepsNoTransform(head http.Header) bool {
	return h.NoTransform == "pass" && httpguts.HeaderValuesContainsToken(head["Cache-Control"], "no-transform")
}

// rewriteBody sends the body through the rewriter, or in shadow mode a copy of it.
func (rw *responseWriter) rewriteBody(codings []string, o rewriter.Options) {
	rw.startRewriter(codings, o)
	rw.length = bodyLength(rw.Header())
	cc := rw.Header()["Cache-Control"]
	rw.personal = httpguts.HeaderValuesContainsToken(cc, "private") || httpguts.HeaderValuesContainsToken(cc, "no-store")
	rw.documentHeader(false, true)
	if rw.h.shadow {
		rw.commit(observe, "clean")
		return
	}
	if len(codings) > 0 {
		rw.Header().Del("Content-Encoding")
	}
	rw.prompt = rw.h.prompt
	rw.commit(rewrite, "clean")
}

// warnUncompressed says once that pages leave uncompressed because whatever would compress them
// stands inside of consent, which asks it for plain bytes.
func (rw *responseWriter) warnUncompressed(h http.Header) {
	if rw.h.shadow || !httpguts.HeaderValuesContainsToken(h["Vary"], "Accept-Encoding") || rw.h.plain.Load() {
		return
	}
	for w := rw.inner; w != nil; {
		if strings.HasPrefix(fmt.Sprintf("%T", w), "*encode.") {
			return
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	if rw.h.plain.CompareAndSwap(false, true) {
		rw.h.logger.Warn("pages leave uncompressed, since what would compress them stands inside of consent: put encode before consent; outside of a route block Caddy orders them by itself")
	}
}

// startRewriter makes the rewriter, behind a decoder where the body is coded.
func (rw *responseWriter) startRewriter(codings []string, o rewriter.Options) {
	var dst io.Writer = clientWriter{rw}
	if rw.h.shadow {
		dst = io.Discard
	}
	rw.rewriter = rewriterPool.Get().(*rewriter.Rewriter)
	o.Policy, o.Page, o.Report = rw.policy, rw.page.At(rw.url.EscapedPath()), rw.rec.resource
	o.Budget, o.ContentType = heldBudget, rw.Header().Get("Content-Type")
	rw.rewriter.Reset(dst, o)
	rw.sink = rw.rewriter
	if len(codings) > 0 {
		rw.decoder = newDecoder(codings, rw.sink)
		rw.sink = rw.decoder
	}
}

var rewriterPool = sync.Pool{New: func() any { return rewriter.New(io.Discard, rewriter.Options{}) }}

// commit sends the final header, or settles it for a document that is gathered.
func (rw *responseWriter) commit(d disposition, outcome string) {
	rw.disp = d
	if rw.rec.outcome == "" {
		rw.rec.outcome = outcome
	}
	rw.sent, rw.lines = true, rw.Header()["Set-Cookie"]
	if rw.prompt != nil && rw.gather() {
		if d == rewrite {
			rw.recall()
		}
		return
	}
	rw.inner.WriteHeader(rw.status)
	if rw.incremental {
		_ = rw.flushInner()
	}
}

// refuse answers a document that cannot be read in the site's way for that cause.
func (rw *responseWriter) refuse(cause string) {
	if rw.h.shadow || rw.h.failsOpen(cause) {
		rw.rec.outcome = "passed:" + cause
		rw.documentHeader(false, false)
		rw.commit(pass, "")
		return
	}
	rw.rec.fail(cause)
	h := rw.Header()
	for k := range h {
		if !strings.EqualFold(k, "Set-Cookie") && !strings.EqualFold(k, "Server") && !strings.EqualFold(k, "Vary") {
			delete(h, k)
		}
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	rw.status, rw.disp, rw.sent = http.StatusBadGateway, discard, true
	rw.inner.WriteHeader(rw.status)
	if rw.r.Method != http.MethodHead {
		_, _ = io.WriteString(rw.inner, errorPage)
	}
}

// discardAnswer answers with nothing, instead of what sends a browser to what is blocked.
func (rw *responseWriter) discardAnswer(outcome string) {
	h := rw.Header()
	for _, k := range []string{"Location", "Content-Length", "Content-Type", "Content-Encoding", "Etag", "Last-Modified", "Expires"} {
		h.Del(k)
	}
	h.Set("Cache-Control", "no-store")
	rw.rec.outcome = outcome
	rw.status, rw.disp, rw.sent = http.StatusNoContent, discard, true
	rw.inner.WriteHeader(rw.status)
}

const errorPage = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Page not available</title>
<h1>This page cannot be shown</h1>
<p>The page arrived in a form in which your cookie choice cannot be enforced, so it was not passed on. The operator of this site finds the cause in the log of the proxy.</p></html>
`

func (h *Handler) failsOpen(cause string) bool {
	how, ok := h.Fail[cause]
	if !ok {
		how = h.Fail["*"]
	}
	return how == "open"
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
	rw.lateCookies()
	return broken
}

// complete decides what is undecided and ends the document. It reports whether the response is broken.
func (rw *responseWriter) complete() (broken bool) {
	if rw.status == 0 && rw.disp == undecided {
		// next wrote nothing: net/http will answer 200 with an empty body.
		rw.status = http.StatusOK
		rw.filterHeader()
	}
	if rw.disp == undecided && len(rw.head) > 0 {
		if err := rw.decideHead(); err != nil {
			return true
		}
	}
	if rw.disp == undecided {
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
