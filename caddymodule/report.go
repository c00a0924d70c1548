package caddymodule

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Bounds of what a browser may post at once.
const (
	maxReportBody = 64 << 10 // bytes
	maxReports    = 50
)

// violation is a report of a browser that something asked for a host which the second layer does
// not name, in either of its two forms.
type violation struct {
	Document    string
	Blocked     string
	Directive   string
	Disposition string
}

// reportKinds are the directives that default-src stands for, and what they mean to a policy.
var reportKinds = map[string]rules.Kind{
	"script-src": rules.KindScript, "script-src-elem": rules.KindScript, "worker-src": rules.KindScript,
	"style-src": rules.KindStyle, "style-src-elem": rules.KindStyle, "img-src": rules.KindImage, "media-src": rules.KindMedia,
	"font-src": rules.KindFont, "connect-src": rules.KindFetch, "manifest-src": rules.KindFetch, "prefetch-src": rules.KindPrefetch,
	"frame-src": rules.KindFrame, "child-src": rules.KindFrame, "object-src": rules.KindEmbed, "default-src": rules.KindFetch,
}

// serveReport takes reports on the second layer.
func (h *Handler) serveReport(w http.ResponseWriter, r *http.Request, page *rules.Page) error {
	if h.limited(w, r, reportLimit) {
		return nil
	}
	// The Reporting API posts without Sec-Fetch-Site; what it says of the document is looked at below.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		h.count(reportEvent, "refused")
		http.Error(w, "reports are taken from this site's own pages only", http.StatusForbidden)
		return nil
	}
	list, status := readReports(w, r)
	if status != 0 {
		h.count(reportEvent, "refused")
		http.Error(w, "the report cannot be read", status)
		return nil
	}
	policy := h.site().For(reportedGrants(r))
	for _, v := range list {
		h.count(reportEvent, h.judge(r, page, policy, v))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readReports reads the body in either form; status is that of the answer if it cannot.
func readReports(w http.ResponseWriter, r *http.Request) (list []violation, status int) {
	mt, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mt != "application/csp-report" && mt != "application/reports+json" {
		return nil, http.StatusUnsupportedMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReportBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	}
	if mt == "application/csp-report" { // CSP Level 3, 5.3
		var in struct {
			Report *struct {
				Document    string `json:"document-uri"`
				Blocked     string `json:"blocked-uri"`
				Effective   string `json:"effective-directive"`
				Violated    string `json:"violated-directive"`
				Disposition string `json:"disposition"`
			} `json:"csp-report"`
		}
		if err := json.Unmarshal(body, &in); err != nil || in.Report == nil {
			return nil, http.StatusBadRequest
		}
		v := violation{in.Report.Document, in.Report.Blocked, in.Report.Effective, in.Report.Disposition}
		if v.Directive == "" {
			v.Directive, _, _ = strings.Cut(in.Report.Violated, " ")
		}
		return []violation{v}, 0
	}
	var in []struct { // CSP Level 3, 5.2; Reporting API, 2.3
		Type string `json:"type"`
		URL  string `json:"url"`
		Body struct {
			Document    string `json:"documentURL"`
			Blocked     string `json:"blockedURL"`
			Directive   string `json:"effectiveDirective"`
			Disposition string `json:"disposition"`
		} `json:"body"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, http.StatusBadRequest
	}
	for _, rep := range in[:min(len(in), maxReports)] {
		if rep.Type == "csp-violation" {
			v := violation{rep.Body.Document, rep.Body.Blocked, rep.Body.Directive, rep.Body.Disposition}
			if v.Document == "" {
				v.Document = rep.URL
			}
			list = append(list, v)
		}
	}
	return list, 0
}

// judge asks the policy about a report and logs what it means. It returns the word to count it by:
// a leak is what the policy blocks, unnamed what it allows though the header does not name it, and
// ignored says nothing about hosts, or comes from no page of this site.
func (h *Handler) judge(r *http.Request, page *rules.Page, policy *rules.Policy, v violation) string {
	kind, known := reportKinds[v.Directive]
	doc, err := url.Parse(v.Document)
	if err != nil || !known || !strings.Contains(v.Blocked, "://") {
		return "ignored"
	}
	if host, err := rules.NormalizeHost(doc.Host); err != nil || host != page.Host() {
		return "ignored"
	}
	d := policy.Decide(rules.Resource{Kind: kind, URL: v.Blocked, Page: page})
	result := "unnamed"
	switch {
	case d.Action == rules.Block:
		result = "leak"
	case d.Host == "" || d.Rule == "": // first party, or nothing to contact
		return "ignored"
	}
	n := h.leaks.note(leak{d.Host, v.Directive, d.Action})
	if n == 0 {
		return result
	}
	_, id := requestNames(r)
	path := doc.EscapedPath()
	h.logger.Info("leak",
		zap.String("request_id", id),
		zap.String("host", r.Host),
		zap.String("path", path[:min(len(path), 256)]),
		zap.String("directive", v.Directive),
		zap.Bool("stopped", v.Disposition == "enforce"),
		zap.String("leak_host", strings.Clone(d.Host[:min(len(d.Host), 253)])),
		zap.String("action", d.Action.String()),
		zap.String("service", d.Service),
		zap.String("category", d.Categories.String()),
		zap.String("rule", d.Rule),
		zap.Int("count", n),
		zap.String("settle", settle(d)),
	)
	return result
}

// settle is the line of configuration that names an allowed host in the header.
func settle(d rules.Decision) string {
	switch {
	case d.Action == rules.Block && !d.Unclassified:
		return ""
	case d.Service != "":
		return "service " + d.Service + " " + strings.ReplaceAll(d.Categories.String(), ".", " or ")
	}
	return "allow " + d.Host
}

// leak is what reports are gathered by. Its path is not part of it, so that one bundle on every
// page is one line.
type leak struct {
	host      string
	directive string
	action    rules.Action
}

// leakLog keeps the log from what anybody can post: the same leak is logged once in ten minutes,
// with the number of reports since, and all of them together at a bounded rate.
type leakLog struct {
	mu    sync.Mutex
	now   func() time.Time
	all   bucket
	seen  map[leak]*seenLeak
	limit rate
}

type seenLeak struct {
	last  time.Time
	count int
}

const (
	maxLeaks  = 512
	leakPause = 10 * time.Minute
)

func newLeakLog() *leakLog {
	return &leakLog{now: time.Now, seen: make(map[leak]*seenLeak), limit: rate{1, 50}}
}

// note counts a leak. It returns how many reports to log it with, 0 for not at all.
func (l *leakLog) note(k leak) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	s := l.seen[k]
	if s == nil {
		if len(l.seen) >= maxLeaks {
			clear(l.seen)
		}
		k.host = strings.Clone(k.host)
		s = new(seenLeak)
		l.seen[k] = s
	}
	s.count++
	if !s.last.IsZero() && now.Sub(s.last) < leakPause || l.all.wait(now, l.limit) > 0 {
		return 0
	}
	l.all.used++
	n := s.count
	s.last, s.count = now, 0
	return n
}
