package caddymodule

import (
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// savedLine is a line of the request's header as the client sent it.
type savedLine struct {
	name   string
	values []string
	there  bool
}

// save notes lines of the request's header before they change, each once.
func (rw *responseWriter) save(names ...string) {
	for _, k := range names {
		if slices.ContainsFunc(rw.savedLines[:rw.saved], func(l savedLine) bool { return l.name == k }) {
			continue // of a style sheet that may be a playlist, too
		}
		v, ok := rw.r.Header[k]
		rw.savedLines[rw.saved] = savedLine{k, v, ok}
		rw.saved++
	}
}

// restoreRequest puts back what scrubRequest took, since handlers after an error see the same request.
func (rw *responseWriter) restoreRequest() {
	for _, l := range rw.savedLines[:rw.saved] {
		if l.there {
			rw.r.Header[l.name] = l.values
		} else {
			delete(rw.r.Header, l.name)
		}
	}
}

// scrubRequest takes from the request what the upstream must not see or use.
func (rw *responseWriter) scrubRequest() {
	r := rw.r
	rw.saw = rw.h.saw(r)
	if lines := r.Header["Cookie"]; len(lines) > 0 {
		out := rw.scrubCookies(lines)
		if !slices.Equal(out, lines) {
			rw.save("Cookie")
			rw.cookies = lines
			if len(out) == 0 {
				delete(r.Header, "Cookie")
			} else {
				r.Header["Cookie"] = out
			}
		}
	}
	rw.mediaRequest = asksForMedia(r)
	rw.docRequest = mayBeDocument(r)
	if rw.sheetRequest, rw.onlySheet = mayBeSheet(r); rw.sheetRequest && !rw.docRequest {
		rw.scrubSheetRequest()
	}
	if isList(r) && !rw.docRequest {
		rw.save("If-None-Match", "If-Modified-Since")
		delete(r.Header, "If-None-Match")
		delete(r.Header, "If-Modified-Since")
		rw.askForWhole()
	}
	if rw.docRequest {
		rw.save("If-None-Match", "If-Modified-Since")
		if rw.suffix = rw.variant(); rw.suffix != "" && mayBeFramed(r) {
			rw.suffix += "f"
		}
		rw.scrubValidators(r)
		if !rw.untouched() {
			rw.askForWhole()
		}
	}
}

// unasked reports whether all that the browser asked to have confirmed was taken from the request.
func (rw *responseWriter) unasked() bool {
	asked := false
	for _, l := range rw.savedLines[:rw.saved] {
		if l.name == "If-None-Match" || l.name == "If-Modified-Since" {
			if len(rw.r.Header[l.name]) > 0 {
				return false
			}
			asked = asked || l.there
		}
	}
	return asked
}

// askForWhole makes the upstream send all of what is to be read, uncompressed.
func (rw *responseWriter) askForWhole() {
	rw.save("Accept-Encoding", "Range", "If-Range")
	h := rw.r.Header
	part := rw.docRequest && !rw.sheetRequest && !isList(rw.r) && asksForPart(rw.r)
	h["Accept-Encoding"] = []string{"identity"}
	if !part {
		delete(h, "Range")
		delete(h, "If-Range")
	}
}

// asksForPart reports whether a script, a player or a download asks for a part of a file, for one of a page would be refused.
// Link previews want pages, and the first so many bytes of them. Safari's player begins with two, Chromium's refuses codings.
func asksForPart(r *http.Request) bool {
	if mayBeShown(r) {
		return false
	}
	part := r.Header.Get("Range")
	return r.Header.Get("Sec-Fetch-Dest") != "" || !strings.HasPrefix(part, "bytes=0-") || part == "bytes=0-1" ||
		part == "bytes=0-" && strings.HasPrefix(r.Header.Get("Accept-Encoding"), "identity;")
}

// scrubCookies returns the Cookie lines without the cookies that are not allowed.
func (rw *responseWriter) scrubCookies(lines []string) []string {
	keep := func(name string) bool {
		return rw.cookie(name, rw.page.Host(), rw.rec.requestCookie).Action != rules.Block
	}
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		if f := consent.Filter(l, keep); f != "" || l == "" {
			out = append(out, f)
		}
	}
	return out
}

// countRequestCookies is scrubCookies for the record alone.
func (rw *responseWriter) countRequestCookies() {
	rw.docRequest = mayBeDocument(rw.r)
	rw.sheetRequest, rw.onlySheet = mayBeSheet(rw.r)
	rw.saw = rw.h.saw(rw.r)
	rw.scrubCookies(rw.r.Header["Cookie"])
}

// cookie asks the policy about a cookie and puts the answer on record, once per name.
func (rw *responseWriter) cookie(name, domain string, note func(string)) rules.Decision {
	d := cookieDecision(rw.policy, rw.page, name, domain)
	if d.Action == rules.Block {
		note(name)
	} else if d.Unclassified {
		rw.rec.unclassifiedCookie(name)
	}
	return d
}

// mayBeDocument reports whether the answer to a request could be shown as a document or be a part
// of one. Sec-Fetch-Dest says so; without it Accept does, and who says nothing may get anything.
func mayBeDocument(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "document", "iframe", "frame", "embed", "object", "fencedframe", "empty":
		return true
	case "":
	default:
		return false
	}
	accept := r.Header.Get("Accept")
	return accept == "" || strings.Contains(accept, "html") || strings.HasPrefix(accept, "*/*")
}

// mayBeShown reports whether the answer would be shown as a document, in a window or a frame, if it is one.
func mayBeShown(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "document", "iframe", "frame", "embed", "object", "fencedframe":
		return true
	case "":
		return strings.Contains(r.Header.Get("Accept"), "html")
	}
	return false
}

// variant names this visitor's representation: upstream bytes × consent × policy × catalogue. It is
// empty where everything is allowed, since then the bytes are the upstream's own.
func (rw *responseWriter) variant() string {
	if rw.policy.AllAllowed() {
		return ""
	}
	g := rw.policy.Grants()
	rs := rw.h.live.current.Load()
	if len(g.Plus)+len(g.Minus) > 0 || g.GPC || rw.policy.Site() != rs.site {
		return rw.h.newVariant(rw.policy)
	}
	at := &rs.variants[g.Allowed]
	v := at.Load()
	if v == nil {
		made := rw.h.newVariant(rw.policy)
		v = &made
		at.Store(v)
	}
	return *v
}

// newVariant is variant for a policy.
func (h *Handler) newVariant(p *rules.Policy) string {
	g := p.Grants()
	f := fnv.New64a()
	key := append(make([]byte, 0, 512), byte(g.Allowed))
	for _, ids := range [][]string{g.Plus, g.Minus} {
		for _, id := range ids {
			key = append(append(key, id...), ',')
		}
		key = append(key, ';')
	}
	if g.GPC {
		key = append(key, 'g')
	}
	key = append(key, p.Site().Catalogue().Version()...)
	key = append(key, p.Site().Fingerprint()...)
	_, _ = f.Write(append(key, h.markup...))
	return variantMark + strconv.FormatUint(f.Sum64()&0xffffffffff, 36)
}

// scrubValidators lets the upstream compare only validators of this very representation: a page
// that was cached under another choice must not be confirmed with 304.
func (rw *responseWriter) scrubValidators(r *http.Request) {
	if rw.suffix != "" {
		r.Header.Del("If-Modified-Since")
	}
	values := r.Header["If-None-Match"]
	if len(values) == 0 {
		return
	}
	var kept []string
	for _, tag := range splitTags(strings.Join(values, ",")) {
		if tag == "*" {
			kept = append(kept, tag)
			continue
		}
		base, mine := strings.CutSuffix(tag, rw.suffix+`"`)
		if rw.suffix == "" {
			mine = !variantTag(tag)
			base = strings.TrimSuffix(tag, `"`)
		}
		if mine {
			kept = append(kept, base+`"`)
		}
	}
	if len(kept) == 0 {
		r.Header.Del("If-None-Match")
		return
	}
	r.Header["If-None-Match"] = []string{strings.Join(kept, ", ")}
}

// variantMark begins our suffix of an entity tag. Its letter is no hexadecimal digit, of which the tags of nginx and Apache are made.
const variantMark = "-k"

// variantTag reports whether an entity tag ends in a suffix of ours.
func variantTag(tag string) bool {
	i := strings.LastIndex(tag, variantMark)
	if i < 0 || len(tag)-i > 12 || len(tag)-i < 5 {
		return false
	}
	return !strings.ContainsFunc(tag[i+len(variantMark):len(tag)-1], func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
}

// splitTags splits a list of entity tags, whose quoted parts may hold commas (RFC 9110, 8.8.3).
func splitTags(s string) (tags []string) {
	quoted, from := false, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] == '"' {
			quoted = !quoted
		}
		if i == len(s) || s[i] == ',' && !quoted {
			if t := strings.TrimSpace(s[from:i]); t != "" {
				tags = append(tags, t)
			}
			from = i + 1
		}
	}
	return tags
}

// documentHeader edits what every variant of a document needs, and what only a changed body does.
func (rw *responseWriter) documentHeader(all, changes bool) {
	if rw.h.shadow {
		return
	}
	rw.secondLayer()
	h := rw.Header()
	rw.h.expireCookies(h, rw.page, rw.policy, rw.cookies, rw.url.EscapedPath())
	h["Vary"] = vary(h["Vary"])
	privateCache(h)
	if !all {
		if etag := h.Get("Etag"); etag != "" && rw.suffix != "" && strings.HasSuffix(etag, `"`) && len(etag) > 1 {
			h["Etag"] = []string{etag[:len(etag)-1] + rw.suffix + `"`}
		} else {
			h.Del("Etag")
		}
		h.Del("Last-Modified")
	}
	if changes && !all {
		h.Del("Content-Length")
		h.Del("Accept-Ranges")
		for _, k := range digests {
			h.Del(k)
		}
	}
}

// vary adds to the values of Vary what a document depends on (RFC 9110, 12.5.5).
func vary(values []string) []string {
	if len(values) == 0 {
		return []string{"Cookie", "Sec-GPC"}
	}
	for _, v := range []string{"Cookie", "Sec-GPC"} {
		if !httpguts.HeaderValuesContainsToken(values, v) && !httpguts.HeaderValuesContainsToken(values, "*") {
			values = append(values, v)
		}
	}
	return values
}

var digests = []string{"Content-Md5", "Digest", "Content-Digest", "Repr-Digest"}

// dropDigests drops digests of the upstream's body that came as trailers.
func dropDigests(rw *responseWriter) {
	if rw.disp != rewrite {
		return
	}
	h := rw.Header()
	for _, k := range digests {
		h.Del(k)
		delete(h, http.TrailerPrefix+k)
	}
}

// dropSharedCaching deletes what caches outside may heed in the place of Cache-Control (RFC 9213, and what vendors call it).
func dropSharedCaching(h http.Header) {
	for _, k := range []string{"Expires", "Cdn-Cache-Control", "Surrogate-Control", "Cloudflare-Cdn-Cache-Control", "Netlify-Cdn-Cache-Control", "Vercel-Cdn-Cache-Control", "Edge-Control", "X-Accel-Expires"} {
		delete(h, k)
	}
}

// privateCache keeps documents out of shared caches and makes the browser's own ask again. What
// the upstream says more strictly stays.
func privateCache(h http.Header) {
	dropSharedCaching(h)
	kept := "private, no-cache"
	for _, v := range h["Cache-Control"] {
		for d := range strings.SplitSeq(v, ",") {
			switch d = strings.TrimSpace(d); strings.ToLower(d) {
			case "no-store", "no-transform", "must-revalidate":
				kept += ", " + d
			}
		}
	}
	h["Cache-Control"] = []string{kept}
}

// filterHeader removes cookies and references that are not allowed from a header, informational
// ones included. Reports carry the visitor's address and the pages that they visit, so that the endpoints
// for them count as references.
func (rw *responseWriter) filterHeader() {
	h := rw.Header()
	dropped := false
	for k, lines := range h {
		if len(k) > maxFiltered || !filteredLens[len(k)] { // which is all but a few, and cheaper than to compare
			continue
		}
		switch {
		case strings.EqualFold(k, "Set-Cookie"):
			rw.setHeader(h, k, rw.filterSetCookie(lines))
		case strings.EqualFold(k, "Link"):
			rw.setHeader(h, k, rw.filterLink(lines))
		case strings.EqualFold(k, "Refresh"):
			rw.setHeader(h, k, rw.filterRefresh(lines))
		case strings.EqualFold(k, "Speculation-Rules"):
			rw.setHeader(h, k, rw.filterRules(lines))
		case strings.EqualFold(k, "Alt-Svc"):
			rw.setHeader(h, k, orElse(rw.filterAlternatives(lines), noAlternatives))
		case strings.EqualFold(k, "Reporting-Endpoints"):
			rw.setHeader(h, k, rw.filterEndpoints(lines))
		case strings.EqualFold(k, "Report-To"):
			kept := rw.filterReportTo(lines)
			dropped = dropped || len(kept) != len(lines) && !rw.h.shadow
			rw.setHeader(h, k, orElse(kept, noGroups))
		case strings.EqualFold(k, "Content-Security-Policy"), strings.EqualFold(k, "Content-Security-Policy-Report-Only"):
			rw.setHeader(h, k, rw.filterPolicies(lines))
		}
	}
	if dropped && deleteFold(h, "Nel") { // it names a group of Report-To
		h.Set("Nel", noErrorLogging)
	}
}

// What takes the place of headers of which nothing is left. Browsers go by what they were told when it was allowed, or before
// the site had the directive, until they are told otherwise (RFC 7838, 3; Network Error Logging, 5.1).
const (
	noAlternatives = "clear"
	noGroups       = `{"group":"none","max_age":0,"endpoints":[]}`
	noErrorLogging = `{"report_to":"none","max_age":0}`
)

// orElse returns lines, or the one line that stands for none.
func orElse(lines []string, none string) []string {
	if len(lines) == 0 {
		return []string{none}
	}
	return lines
}

// maxFiltered and filteredLens are the lengths of the names of headers that filterHeader looks at; Alt-Svc is as long as Refresh.
const maxFiltered = len("Content-Security-Policy-Report-Only")

var filteredLens = [maxFiltered + 1]bool{len("Link"): true, len("Refresh"): true, len("Report-To"): true, len("Set-Cookie"): true,
	len("Speculation-Rules"): true, len("Reporting-Endpoints"): true, len("Content-Security-Policy"): true, maxFiltered: true}

// deleteFold deletes a header by its name, however that is written, and reports whether there was one.
func deleteFold(h http.Header, name string) (found bool) {
	for k := range h {
		if strings.EqualFold(k, name) {
			delete(h, k)
			found = true
		}
	}
	return found
}

func (rw *responseWriter) setHeader(h http.Header, k string, lines []string) {
	switch {
	case rw.h.shadow:
	case len(lines) == 0:
		delete(h, k)
	default:
		h[k] = lines
	}
}

// filterSetCookie keeps the lines of allowed cookies as they are, and every deletion.
func (rw *responseWriter) filterSetCookie(lines []string) []string {
	var kept []string
	for _, l := range lines {
		name, domain, deletion := setCookieParts(l)
		if domain == "" {
			domain = rw.page.Host()
		}
		if deletion {
			kept = append(kept, l)
			continue
		}
		switch d := rw.cookie(name, domain, rw.rec.setCookie); {
		case d.Action == rules.Block:
		case rw.h.lifetime != (lifetime{}) && !d.Unclassified && d.Categories.Intersects(rules.Optional) && !d.Categories.Has(rules.Necessary):
			kept = append(kept, rw.h.lifetime.clamp(l, time.Now()))
		default:
			kept = append(kept, l)
		}
	}
	return kept
}

// maxAttribute is the longest value of an attribute that browsers heed (RFC 6265bis, 5.6).
const maxAttribute = 1024

// setCookieParts reads from a Set-Cookie line, as browsers do (RFC 6265, 5.2), what decides about it.
func setCookieParts(line string) (name, domain string, deletion bool) {
	pair, attrs, _ := strings.Cut(line, ";")
	name = consent.PairName(pair)
	maxAge := false
	for attr := range strings.SplitSeq(attrs, ";") {
		k, v, _ := strings.Cut(attr, "=")
		if v = strings.Trim(v, " \t"); len(v) > maxAttribute {
			continue
		}
		switch strings.ToLower(strings.Trim(k, " \t")) {
		case "domain":
			domain = strings.ToLower(strings.TrimPrefix(v, "."))
		case "max-age":
			if digits := strings.TrimPrefix(v, "-"); digits != "" && strings.Trim(digits, "0123456789") == "" {
				maxAge, deletion = true, digits != v || strings.Trim(v, "0") == "" // Max-Age wins over Expires
			}
		case "expires":
			if !maxAge { // what no layout parses may still be a date to browsers
				t, ok := cookieDate(v)
				deletion = ok && t.Before(time.Now())
			}
		}
	}
	return name, domain, deletion
}

// cookieDate reads the forms of Expires that servers send.
func cookieDate(v string) (time.Time, bool) {
	for _, layout := range []string{time.RFC1123, "Mon, 02-Jan-2006 15:04:05 MST", "Mon, 2-Jan-2006 15:04:05 MST", "Monday, 02-Jan-06 15:04:05 MST", "Mon, 02-Jan-06 15:04:05 MST", time.ANSIC, "Mon, 2 Jan 2006 15:04:05 MST", "Mon Jan 2 2006 15:04:05 MST-0700"} {
		if t, err := time.Parse(layout, v); err == nil {
			if strings.Contains(layout, "-06 ") && t.Year() == 1969 {
				t = t.AddDate(100, 0, 0) // RFC 6265, 5.1.1; Go takes 69 for 1969
			}
			return t, true
		}
	}
	return time.Time{}, false
}

// splitQuoted splits s at sep outside of quotes.
func splitQuoted(s string, sep byte) (out []string) {
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

// filterURLs drops the lines whose URL is blocked.
func (rw *responseWriter) filterURLs(lines []string, kind rules.Kind, url func(string) string) []string {
	var kept []string
	for _, l := range lines {
		if !rw.opens(kind, url(l)) {
			kept = append(kept, l)
		}
	}
	return kept
}

// filterRefresh drops the lines of Refresh whose URL is blocked, and all of them if the URL that they name together is:
// browsers read them as one, Firefox without those that are empty.
func (rw *responseWriter) filterRefresh(lines []string) []string {
	filter := func(lines []string) []string {
		return rw.filterURLs(rw.filterURLs(lines, rules.KindNavigation, refreshURL), rules.KindNavigation, looseRefreshURL)
	}
	kept := filter(lines)
	if len(kept) < 2 {
		return kept
	}
	full := slices.DeleteFunc(slices.Clone(kept), func(l string) bool { return strings.Trim(l, " \t") == "" })
	if len(filter([]string{strings.Join(kept, ", "), strings.Join(full, ", ")})) < 2 {
		return nil
	}
	return kept
}
