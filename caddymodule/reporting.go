package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// blocks asks the policy about a URL in a header and puts the answer on record.
func (rw *responseWriter) blocks(kind rules.Kind, url string) bool {
	res := rules.Resource{Kind: kind, URL: url, Page: rw.page}
	d := rw.policy.Decide(res)
	if d.Action == rules.Block || d.Unclassified {
		rw.rec.resource(res, d)
	}
	return d.Action == rules.Block
}

// opens is blocks for a URL that a browser reads what it names of, which may stand in the URL itself.
func (rw *responseWriter) opens(kind rules.Kind, url string) (blocked bool) {
	if rw.blocks(kind, url) {
		return true
	}
	if !strings.Contains(url, ":") || strings.HasPrefix(url, "http") || rw.policy.AllAllowed() {
		return false
	}
	r := rewriterPool.Get().(*rewriter.Rewriter)
	defer rewriterPool.Put(r)
	r.Reset(io.Discard, rewriter.Options{Policy: rw.policy, Page: rw.page.At(rw.url.EscapedPath()), Report: rw.rec.resource})
	defer r.Abort()
	return r.DataBlocked(kind, []byte(url))
}

// filterEndpoints drops the members of Reporting-Endpoints that name a blocked URL (Reporting API, 3.2: a dictionary of
// strings; Firefox takes the first of a list, too).
func (rw *responseWriter) filterEndpoints(lines []string) (kept []string) {
	if !plainStrings(lines) && !rw.policy.AllAllowed() {
		rw.unread("ambiguous:header", rules.KindFetch)
		return nil
	}
	for _, line := range lines {
		members := splitQuoted(line, ',')
		var out []string
		for _, m := range members {
			blocked := false
			for i, quoted := range strings.Split(m, `"`) {
				blocked = i%2 == 1 && quoted != "" && rw.blocks(rules.KindFetch, quoted) || blocked
			}
			if !blocked {
				out = append(out, strings.TrimSpace(m))
			}
		}
		switch {
		case len(out) == len(members):
			kept = append(kept, line)
		case len(out) > 0:
			kept = append(kept, strings.Join(out, ", "))
		}
	}
	return kept
}

// filterPolicies takes from the report-uri directives the URLs that are blocked (CSP Level 3, 6.5.1).
// The rest of a policy, which is the site's protection, stays.
func (rw *responseWriter) filterPolicies(lines []string) (out []string) {
	for _, line := range lines {
		policies, dropped := strings.Split(line, ","), false
		for j, policy := range policies {
			directives := strings.Split(policy, ";")
			kept := directives[:0]
			for _, d := range directives {
				words := strings.Fields(d)
				if len(words) == 0 || !strings.EqualFold(words[0], "report-uri") {
					kept = append(kept, d)
					continue
				}
				left := words[:1]
				for _, url := range words[1:] {
					if !rw.blocks(rules.KindFetch, url) {
						left = append(left, url)
					}
				}
				if len(left) == len(words) {
					kept = append(kept, d)
					continue
				}
				dropped = true
				if len(left) > 1 {
					kept = append(kept, " "+strings.Join(left, " "))
				}
			}
			policies[j] = strings.Join(kept, ";")
		}
		if dropped {
			line = strings.TrimSpace(strings.Join(policies, ","))
		}
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}

// filterReportTo drops the lines of Report-To that name a blocked endpoint, and all of them if one is no JSON, which to a more
// lenient reader it may be together with another.
func (rw *responseWriter) filterReportTo(lines []string) (kept []string) {
	for _, line := range lines {
		var groups any
		if json.Unmarshal([]byte("["+line+"]"), &groups) != nil && !rw.policy.AllAllowed() {
			rw.unread("ambiguous:header", rules.KindFetch)
			return nil
		}
		if !rw.namesBlocked(groups) {
			kept = append(kept, line)
		}
	}
	return kept
}

// namesBlocked reports whether a URL of a member "url" anywhere in v is blocked.
func (rw *responseWriter) namesBlocked(v any) (blocked bool) {
	switch v := v.(type) {
	case []any:
		for _, v := range v {
			blocked = rw.namesBlocked(v) || blocked
		}
	case map[string]any:
		for k, v := range v {
			if url, ok := v.(string); ok && k == "url" {
				blocked = rw.blocks(rules.KindFetch, url) || blocked
			}
			blocked = rw.namesBlocked(v) || blocked
		}
	}
	return blocked
}

// fetched is what a request's Sec-Fetch-Dest says that the answer is for, where it is a part of a
// page (Fetch Metadata, 2.1).
var fetched = map[string]rules.Kind{
	"script": rules.KindScript, "worker": rules.KindScript, "sharedworker": rules.KindScript, "serviceworker": rules.KindScript,
	"audioworklet": rules.KindScript, "paintworklet": rules.KindScript, "iframe": rules.KindFrame, "frame": rules.KindFrame,
	"fencedframe": rules.KindFrame, "embed": rules.KindEmbed, "object": rules.KindEmbed, "style": rules.KindStyle, "xslt": rules.KindStyle,
	"image": rules.KindImage, "font": rules.KindFont, "audio": rules.KindMedia, "video": rules.KindMedia, "track": rules.KindMedia,
	"empty": rules.KindFetch, "manifest": rules.KindFetch, "json": rules.KindFetch, "speculationrules": rules.KindPrefetch,
}

// partOf returns what a request asks for where nobody has gone there: a part of a page, a page ahead of a visit, or to take
// reports, of which browsers say no destination.
func partOf(r *http.Request) (kind rules.Kind, ok bool) {
	if isAhead(r) {
		return rules.KindPrefetch, true
	}
	if r.Header.Get("Content-Type") == "application/reports+json" {
		return rules.KindFetch, true
	}
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" {
		kind, ok = fetched[dest]
		return kind, ok
	}
	return acceptedPart(r.Header.Get("Accept"))
}

// acceptedPart is partOf for what browsers send over plain HTTP, where their Accept alone tells some parts of a page from what a
// visitor goes to, which has HTML in it, and from what other clients ask for, who name no type or none but what they want.
func acceptedPart(accept string) (kind rules.Kind, ok bool) {
	if !strings.Contains(accept, ",") || !strings.Contains(accept, "*/*") || strings.Contains(accept, "html") {
		return kind, false
	}
	switch {
	case strings.HasPrefix(accept, "image/"):
		return rules.KindImage, true
	case strings.HasPrefix(accept, "text/css,"):
		return rules.KindStyle, true
	case strings.HasPrefix(accept, "audio/"), strings.HasPrefix(accept, "video/"):
		return rules.KindMedia, true
	case strings.HasPrefix(accept, "application/font-woff2;"):
		return rules.KindFont, true
	}
	return kind, false
}

// isAhead reports whether a browser asks for a page ahead of a visit. The parts of one that is rendered ahead say what they are.
func isAhead(r *http.Request) bool {
	if !strings.HasPrefix(r.Header.Get("Sec-Purpose"), "prefetch") {
		return false
	}
	kind, part := fetched[r.Header.Get("Sec-Fetch-Dest")]
	return !part || kind == rules.KindFetch
}

// redirectBlocked reports whether the response sends a part of a page, or what is asked for without the visitor, on to what
// is blocked. Where a visitor goes is theirs to choose, so navigations pass.
func (rw *responseWriter) redirectBlocked() bool {
	switch rw.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return false
	}
	kind, ok := partOf(rw.r)
	if !ok {
		return false
	}
	to := rw.Header().Get("Location")
	if to == "" {
		return false
	}
	if utf8.ValidString(to) { // what else letters outside ASCII may be, no browser takes them for
		defer func(p *rules.Page) { rw.page = p }(rw.page)
		rw.page = rw.page.WithCharset("utf-8")
	}
	if rw.blocks(kind, to) {
		return true
	}
	if d := rw.h.site().For(rules.Grants{}).Decide(rules.Resource{Kind: kind, URL: to, Page: rw.page}); d.Action == rules.Block && !rw.h.shadow {
		// A cache would send on who withdraws, and one outside other visitors, without anybody being asked.
		rw.Header()["Vary"] = vary(rw.Header()["Vary"])
		privateCache(rw.Header())
	}
	return false
}

// refreshURL returns the URL of a Refresh header.
func refreshURL(v string) string { return string(rewriter.RefreshURL([]byte(v))) }

// looseRefreshURL is the same as Chromium reads it, where that is another.
func looseRefreshURL(v string) string {
	url := string(rewriter.LooseRefreshURL([]byte(v)))
	if url == refreshURL(v) {
		return ""
	}
	return url
}
