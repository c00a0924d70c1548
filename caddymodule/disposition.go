package caddymodule

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

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

// response is what header and first bytes say of a response.
type response struct {
	mediaType string
	typed     bool // by the upstream, and not as one that browsers sniff
	codings   []string
	known     bool   // the codings can be undone
	first     []byte // of the body; nil while there are none
	bodyless  bool   // by its status
	head      bool   // to a HEAD request
}

// readable reports whether there is a body that can be looked into.
func (a *response) readable() bool { return a.known && !a.bodyless && !a.head }

// decide settles what happens to the body, once header and first bytes say enough; first is nil
// while there are none.
func (rw *responseWriter) decide(first []byte) {
	h := rw.Header()
	a := response{first: first, head: rw.r.Method == http.MethodHead,
		bodyless: rw.status == http.StatusNoContent || rw.status == http.StatusNotModified}
	var only string
	a.mediaType, a.typed, only = contentType(h)
	if only != "" && !rw.h.shadow {
		h["Content-Type"] = []string{only}
	}
	a.codings, a.known = splitCodings(h["Content-Encoding"])
	if !rw.decidePart(&a) && (a.typed || rw.sniffType(&a)) {
		rw.decideDocument(&a)
	}
}

// decidePart settles what happens to style sheets, speculation rules and media playlists. It returns false for what is
// none of them.
func (rw *responseWriter) decidePart(a *response) bool {
	bodyless := a.bodyless || a.head
	sheet := a.mediaType == "text/css" && rw.sheetRequest || rw.onlySheet
	if sheet && isXML(a.mediaType) && rw.r.Header.Get("Sec-Fetch-Dest") == "" && !bodyless {
		// Chromium asks for XSLT in the same words.
		text := bytes.TrimLeft(bytes.TrimPrefix(a.first, []byte("\xef\xbb\xbf")), "\t\n\f\r ")
		if len(text) == 0 && !rw.finished && len(a.codings) == 0 {
			return true // wait for bytes that tell
		}
		sheet = len(a.codings) == 0 && (len(text) == 0 || text[0] != '<' && text[0] < 0x80 && text[0] != 0)
	}
	if sheet {
		if !a.bodyless && a.mediaType != "text/css" && (!a.typed || mayBePage(a.mediaType)) {
			rw.forgetSheet()
		}
		rw.decideSheet(a.first, bodyless, a.codings, a.known)
		return true
	}
	if a.mediaType == speculationRules && !bodyless {
		rw.decideList(ruleList, a.first, a.codings)
		return true
	}
	if !bodyless && rw.status/100 == 2 && (rw.mediaRequest || isPlaylist(rw.r, a.mediaType)) {
		certain := rw.playlist
		if !certain { // to tell takes a decoder
			rw.playlist, certain = rw.isPlaylistSoFar(a.first, a.codings)
		}
		if rw.playlist {
			rw.decideList(playlist, a.first, a.codings)
		}
		return rw.playlist || !certain
	}
	return false
}

// sniffType gives an answer that names no type the one that browsers take it for. It returns false while more bytes are
// needed.
func (rw *responseWriter) sniffType(a *response) bool {
	h := rw.Header()
	if strings.EqualFold(strings.TrimSpace(h.Get("X-Content-Type-Options")), "nosniff") {
		// Browsers take it for text, unless net/http gives it a type.
		if h.Get("Content-Type") == "" && !rw.h.shadow {
			h["Content-Type"] = nil
		}
		a.mediaType = "text/plain"
		return true
	}
	if !a.readable() {
		if len(a.codings) > 0 {
			a.mediaType = "text/html" // it may be one
		}
		return true
	}
	text := a.first
	if len(a.codings) > 0 {
		if !rw.finished {
			if len(a.first) < rw.tryAt {
				return false
			}
			rw.tryAt = 2 * len(a.first)
		}
		text, _ = decoded(a.codings, a.first, sniffLen)
	}
	if len(text) < sniffLen && len(a.first) < lookAhead && !rw.finished && !((rw.flushed || rw.incremental) && sniffed(text)) {
		return false
	}
	// net/http would sniff what comes out of the rewriter, and browsers know more tags than it does.
	ct := http.DetectContentType(text)
	if !rw.h.shadow {
		h["Content-Type"] = []string{ct}
	}
	a.mediaType, _, _ = mime.ParseMediaType(ct)
	return true
}

// decideDocument settles what happens to documents, and lets pass what is none.
func (rw *responseWriter) decideDocument(a *response) {
	h, ct := rw.Header(), a.mediaType
	xml := isXML(ct) || rw.r.Header.Get("Sec-Fetch-Dest") == "xslt" && strings.HasSuffix(ct, "+xml")
	parts := ct == "multipart/x-mixed-replace" && mayBeShown(rw.r)
	signed := ct == "application/signed-exchange" // Chromium asks the hosts in it for a certificate, or for the page
	document := ct == "text/html" || ct == turboStream || xml || parts || signed
	if a.bodyless {
		document = rw.docRequest
	}
	if !document {
		rw.commit(pass, "passed:not_html")
		return
	}
	rw.rec.document = true
	all := rw.untouched()
	switch {
	case a.bodyless:
		rw.documentHeader(all, rw.status != http.StatusNotModified)
		outcome := "passed:no_body"
		if all {
			outcome = "all_allowed"
		}
		rw.commit(pass, outcome)
		return
	case all:
		rw.documentHeader(true, false)
		if !a.head && !rw.h.shadow {
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
	case !a.known:
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
	if xml && len(a.codings) == 0 && !a.head {
		if a.first == nil {
			return // the first bytes may name the encoding
		}
		if !rewriter.XMLCharset(h.Get("Content-Type"), a.first) {
			rw.refuse(causeCharset)
			return
		}
	}
	rw.warnUncompressed(h)
	if a.head {
		rw.documentHeader(false, true)
		if !rw.h.shadow {
			h.Del("Content-Encoding")
		}
		rw.commit(pass, "passed:no_body")
		return
	}
	rw.rewriteBody(a.codings, rewriter.Options{XML: xml, Head: rw.h.bridgeTag(), Saw: rw.saw, Dialect: rw.h.dialect, Framed: mayBeFramed(rw.r), Lends: lend})
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
	rw.sent = true
	rw.noteHeader()
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
	rw.noteHeader()
	rw.inner.WriteHeader(rw.status)
	if rw.r.Method != http.MethodHead {
		_, _ = io.WriteString(rw.inner, errorPage)
	}
}

// discardAnswer answers with nothing, instead of what sends a browser to what is blocked.
func (rw *responseWriter) discardAnswer(outcome string, status int) {
	h := rw.Header()
	for _, k := range []string{"Location", "Content-Length", "Content-Type", "Content-Encoding", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified"} {
		h.Del(k)
	}
	for _, k := range digests {
		h.Del(k)
	}
	dropSharedCaching(h)
	h.Set("Cache-Control", "no-store")
	rw.rec.outcome = outcome
	rw.status, rw.disp, rw.sent = status, discard, true
	rw.noteHeader()
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
