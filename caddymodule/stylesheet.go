package caddymodule

import (
	"hash/maphash"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// lookAhead is how much of a style sheet file that nobody knows yet is held to be read before its
// header goes out, in bytes. A longer one is private until a request has read it to its end.
const lookAhead = 512 << 10

// sheets remembers which style sheet files of a site name what some visitors must not fetch. It is a
// table of fixed size: what is pushed out is read again.
type sheets struct {
	seed  maphash.Seed
	slots [4096]atomic.Uint64 // hash of the path, hash of the version, and what is known
}

// sheet is what is known of a style sheet file.
type sheet uint64

const (
	sheetUnknown sheet = iota
	sheetClean
	sheetDirty

	sheetMask   = 3
	versionMask = 0xffff << 2
)

func newSheets() *sheets { return &sheets{seed: maphash.MakeSeed()} }

// get returns what is known of the file at a path under these rules, and of which version of it.
func (s *sheets) get(under, path string) (state sheet, version uint64) {
	h := s.hash(under, path)
	v := s.slots[h%uint64(len(s.slots))].Load()
	if v&^(sheetMask|versionMask) != h&^(sheetMask|versionMask) {
		return sheetUnknown, 0
	}
	return sheet(v & sheetMask), v & versionMask
}

func (s *sheets) set(under, path string, version uint64, state sheet) {
	h := s.hash(under, path)
	s.slots[h%uint64(len(s.slots))].Store(h&^(sheetMask|versionMask) | version&versionMask | uint64(state))
}

func (s *sheets) hash(under, path string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(under)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(path)
	return h.Sum64()
}

// version stands for the file's contents as far as the header tells, the same however they are coded:
// nginx makes the entity tag of a compressed file weak, Apache and others add the coding to it.
func (s *sheets) version(h http.Header) uint64 {
	tag := strings.Trim(strings.TrimPrefix(h.Get("Etag"), "W/"), `"`)
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		if base, ok := strings.CutSuffix(tag, coding); ok && base != "" && strings.ContainsAny(base[len(base)-1:], "-;:+.") {
			tag = base[:len(base)-1]
			break
		}
	}
	var m maphash.Hash
	m.SetSeed(s.seed)
	_, _ = m.WriteString(tag)
	_ = m.WriteByte(0)
	if date := h.Get("Last-Modified"); tag != "" || date != "" {
		_, _ = m.WriteString(date)
	} else {
		_, _ = m.WriteString(h.Get("Content-Length") + " " + h.Get("Content-Encoding"))
	}
	return m.Sum64() & versionMask
}

// sheetKey names the request's file, and the rules that it was read by.
func (rw *responseWriter) sheetKey() (under, path string) {
	u := originalURL(rw.r)
	site := rw.policy.Site()
	return site.Catalogue().Version() + site.Fingerprint(), rw.page.Host() + u.EscapedPath() + "?" + u.RawQuery
}

// mayBeSheet reports whether the answer to a request may be used as a style sheet, and whether it is used as nothing else:
// then its type does not matter. Browsers read any as one in quirks mode, and what has none in any mode.
func mayBeSheet(r *http.Request) (may, only bool) {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "style":
		only = true
	case "":
		only = strings.HasPrefix(r.Header.Get("Accept"), "text/css,") // as browsers ask for style sheets
		may = strings.HasSuffix(r.URL.Path, ".css")
	}
	return may || only, only
}

// scrubSheetRequest prepares the request for a style sheet file: one that is known to be clean is asked
// for as the visitor does; of any other the whole is needed, uncompressed.
func (rw *responseWriter) scrubSheetRequest() {
	state, _ := rw.h.sheets.get(rw.sheetKey())
	if state == sheetClean {
		return
	}
	rw.save("If-None-Match", "If-Modified-Since")
	if state == sheetDirty {
		rw.suffix = rw.variant()
		rw.scrubValidators(rw.r)
	} else {
		rw.r.Header.Del("If-None-Match")
		rw.r.Header.Del("If-Modified-Since")
	}
	rw.askForWhole()
}

// forgetSheet keeps a browser from showing as a page what was read as a style sheet: nothing of it is stored, and what has
// no type is none.
func (rw *responseWriter) forgetSheet() {
	if rw.h.shadow {
		return
	}
	h := rw.Header()
	h.Del("Etag")
	h.Del("Last-Modified")
	dropSharedCaching(h)
	h["Cache-Control"] = []string{"no-store"}
	if h.Get("Content-Type") == "" {
		h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	}
}

// decideSheet settles what happens to a style sheet file: it passes with its caching as it is, unless
// it is known to name what some visitors must not fetch, or is found to while its first bytes are held.
func (rw *responseWriter) decideSheet(first []byte, bodyless bool, codings []string, known bool) {
	h := rw.Header()
	under, path := rw.sheetKey()
	version := rw.h.sheets.version(h)
	state, of := rw.h.sheets.get(under, path)
	used := rw.status/100 == 2 || rw.status == http.StatusMultipleChoices // as a style sheet, by some browser
	if state != sheetUnknown && used && !bodyless && of != version {
		state = sheetUnknown
	}
	switch {
	case rw.status == http.StatusNotModified || bodyless:
		if state == sheetDirty {
			rw.documentHeader(rw.untouchedSheet(), !rw.untouchedSheet() && rw.status != http.StatusNotModified)
		}
		rw.commit(pass, "passed:no_body")
		return
	case rw.status == http.StatusPartialContent && state != sheetClean && !rw.untouchedSheet():
		rw.refuse(causePartial)
		return
	case !used || state == sheetClean:
		rw.commit(pass, "passed:not_html")
		return
	case rw.h.keepsNoTransform(h):
		rw.commit(pass, "passed:no_transform")
		return
	case !known:
		rw.refuse(causeEncoding)
		return
	}
	if state == sheetUnknown && len(codings) == 0 {
		if !rw.finished && len(first) < lookAhead {
			return // wait for more of it
		}
		if rw.finished {
			state = sheetClean
			if rw.namesThirdParties(first) {
				state = sheetDirty
			}
			rw.h.sheets.set(under, path, version, state)
			if state == sheetClean {
				rw.commit(pass, "passed:not_html")
				return
			}
		}
	}
	if rw.suffix == "" { // the request's validators were dropped
		rw.suffix = rw.variant()
	}
	if rw.untouchedSheet() {
		rw.documentHeader(true, false)
		rw.commit(pass, "all_allowed")
		return
	}
	rw.rewriteBody(codings, rewriter.Options{CSS: true})
}

// untouchedSheet reports whether style sheets pass as they are.
func (rw *responseWriter) untouchedSheet() bool { return rw.policy.AllAllowed() }

// namesThirdParties reports whether a style sheet names anything that a visitor who allows nothing
// must not fetch.
func (rw *responseWriter) namesThirdParties(text []byte) bool {
	found := false
	r := rewriterPool.Get().(*rewriter.Rewriter)
	defer rewriterPool.Put(r)
	r.Reset(io.Discard, rewriter.Options{CSS: true, Policy: rw.policy.Site().For(rules.Grants{}), Page: rw.page.At(rw.url.EscapedPath()),
		ContentType: rw.Header().Get("Content-Type"), Report: func(_ rules.Resource, d rules.Decision) { found = found || d.Action == rules.Block }})
	if _, err := r.Write(text); err == nil {
		_ = r.Close()
	}
	r.Abort()
	return found
}
