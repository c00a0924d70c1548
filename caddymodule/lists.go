package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// A fetchList is a file of the site's own by which a browser fetches from others without a page that names them. One that names
// what some visitors must not contact is answered to them with nothing.
type fetchList struct {
	longest int // of those that are read, in bytes
	outcome string
	blocked func(r *rewriter.Rewriter, text []byte) bool
}

// speculationRules is the type of files that Speculation-Rules headers name.
const speculationRules = "application/speculationrules+json"

var (
	ruleList = fetchList{lookAhead, "blocked:speculation", (*rewriter.Rewriter).RulesBlocked}
	playlist = fetchList{2 << 20, "blocked:playlist", (*rewriter.Rewriter).PlaylistBlocked}
)

// decideList settles what happens to such a file.
func (rw *responseWriter) decideList(l fetchList, first []byte, codings []string) {
	if rw.h.shadow || rw.status/100 != 2 {
		rw.commit(pass, "passed:not_html")
		return
	}
	if !rw.finished && len(first) < l.longest {
		return // wait for more of it
	}
	unread := !rw.finished || rw.status == http.StatusPartialContent && !wholeRange(rw.Header().Get("Content-Range"))
	if len(codings) > 0 {
		var whole bool
		first, whole = decoded(codings, first, l.longest)
		unread = unread || !whole
	}
	switch {
	case !unread && !rw.listBlocked(l, rw.policy.Site().For(rules.Grants{}), first, nil):
		rw.commit(pass, "passed:not_html")
	case rw.policy.AllAllowed() || !unread && !rw.listBlocked(l, rw.policy, first, rw.rec.resource):
		rw.documentHeader(true, false)
		if !rw.docRequest { // nobody has looked at its validators, and the upstream would confirm it after a withdrawal
			h := rw.Header()
			h.Del("Etag")
			h.Del("Last-Modified")
		}
		rw.commit(pass, "all_allowed")
	default:
		if unread {
			rw.unread("ambiguous:list", rules.KindFetch)
		}
		rw.discardAnswer(l.outcome, http.StatusNoContent)
	}
}

// wholeRange reports whether a part is all that there is (RFC 9110, 14.4).
func wholeRange(contentRange string) bool {
	var last, length int64
	n, _ := fmt.Sscanf(contentRange, "bytes 0-%d/%d", &last, &length)
	return n == 2 && last+1 == length
}

func (rw *responseWriter) listBlocked(l fetchList, p *rules.Policy, text []byte, report func(rules.Resource, rules.Decision)) bool {
	r := rewriterPool.Get().(*rewriter.Rewriter)
	defer rewriterPool.Put(r)
	r.Reset(io.Discard, rewriter.Options{Policy: p, Page: rw.page.At(rw.url.EscapedPath()).WithCharset("utf-8"), Report: report})
	defer r.Abort()
	return l.blocked(r, text)
}

// isList reports whether the request is for one of these files, which is read whole.
func isList(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Dest") == "speculationrules" || isPlaylist(r, "")
}

// isPlaylist reports whether a request or the type of its answer says that it is for a media playlist.
func isPlaylist(r *http.Request, contentType string) bool {
	switch contentType {
	case "application/vnd.apple.mpegurl", "application/x-mpegurl", "application/mpegurl", "audio/mpegurl", "audio/x-mpegurl":
		return true
	}
	ext := strings.ToLower(path.Ext(r.URL.Path))
	return ext == ".m3u8" || ext == ".m3u"
}

// asksForMedia reports whether a browser will play the answer, or may: over plain HTTP it does not say so, but asks for a range.
func asksForMedia(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "video", "audio":
		return true
	case "":
		return r.Header.Get("Range") != ""
	}
	return false
}

// isPlaylistSoFar reports whether the first bytes of a body are those of a media playlist, and whether there are enough of
// them to tell.
func (rw *responseWriter) isPlaylistSoFar(first []byte, codings []string) (is, certain bool) {
	certain = rw.finished || len(first) >= sniffLen
	if len(codings) > 0 {
		first, _ = decoded(codings, first, rewriter.PlaylistHeader)
	}
	return rewriter.IsPlaylist(first), certain || len(first) >= rewriter.PlaylistHeader
}
