package caddymodule

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// record is everything that one response leaves on the log: all of it comes from Decisions.
type record struct {
	h        *Handler
	r        *http.Request
	state    consent.State
	document bool
	edited   bool
	outcome  string

	blocked      kindCounts
	unclassified kindCounts
	ambiguous    int
	resources    resourceList
	bytesIn      uint64        // into decoder and rewriter
	bytesOut     uint64        // out of the rewriter
	bytesSame    uint64        // of those in, what an earlier page had too
	spent        time.Duration // in decoder and rewriter
	waited       time.Duration // of that, for the client's connection
	setCookies   nameList      // stripped from the response
	reqCookies   nameList      // not passed to the upstream
	unknown      nameList      // passed though no rule knows them
}

// loggedResource is one entry of the log line's list. Its strings are copies.
type loggedResource struct {
	kind                          rules.Kind
	action                        rules.Action
	host, service, category, rule string
	categories                    rules.Set
	ambiguous                     bool
	count                         int
}

type resourceList []loggedResource

// resourcePool holds empty lists.
var resourcePool = sync.Pool{New: func() any { return &resourceList{} }}

// resource notes a blocked or unclassified resource.
func (rec *record) resource(res rules.Resource, d rules.Decision) {
	if d.Action == rules.Block {
		rec.blocked[res.Kind]++
	} else {
		rec.unclassified[res.Kind]++
	}
	if d.Ambiguous() {
		rec.ambiguous++
	}
	rec.h.metrics.resource(res.Kind, d)
	for i := range rec.resources {
		l := &rec.resources[i]
		if l.kind == res.Kind && l.rule == d.Rule && l.host == d.Host && l.action == d.Action {
			l.count++
			return
		}
	}
	if len(rec.resources) >= rec.h.logMax {
		return
	}
	if rec.resources == nil {
		rec.resources = *resourcePool.Get().(*resourceList)
	}
	rec.resources = append(rec.resources, loggedResource{kind: res.Kind, action: d.Action, host: strings.Clone(d.Host),
		service: d.Service, category: d.Categories.String(), categories: d.Categories, rule: d.Rule, ambiguous: d.Ambiguous(), count: 1})
}

// maxNames bounds the cookie names in one log line.
const maxNames = 64

// nameList is a bounded list of different names, and how often any of them occurred.
type nameList struct {
	names []string
	count int
}

func (l *nameList) add(name string) {
	l.count++
	if len(l.names) < maxNames && !contains(l.names, name) {
		l.names = append(l.names, name[:min(len(name), 128)])
	}
}

func (rec *record) setCookie(name string)          { rec.setCookies.add(name) }
func (rec *record) requestCookie(name string)      { rec.reqCookies.add(name) }
func (rec *record) unclassifiedCookie(name string) { rec.unknown.add(name) }

// fail notes the cause for which a response was not completed.
func (rec *record) fail(cause string) {
	rec.document = true
	rec.outcome = "failed:" + cause
}

// log writes the record: for documents always, for other responses if something was taken from
// them.
func (rec *record) log(status int) {
	blocked := rec.blocked.sum()
	if rec.outcome == "clean" && (rec.edited || blocked > 0) {
		rec.outcome = "rewritten" // in shadow mode: would have been
	}
	rec.h.countResponse(rec)
	rec.h.seen.note(rec.resources)
	defer rec.releaseResources()
	if !rec.document && blocked == 0 && rec.setCookies.count == 0 {
		return
	}
	rec.accessLog(blocked)
	ce := rec.h.logger.Check(zapcore.InfoLevel, "response")
	if ce == nil {
		return
	}
	path, id := requestNames(rec.r)
	ce.Write(
		zap.String("request_id", id),
		zap.String("host", rec.r.Host),
		zap.String("path", path),
		zap.Int("status", status),
		zap.String("mode", rec.h.modeName()),
		zap.String("outcome", rec.outcome),
		zap.String("state", rec.state.Status.String()),
		zap.String("source", rec.state.Source),
		zap.String("categories", rec.state.Grants.Allowed.String()),
		zap.Bool("gpc", rec.state.Grants.GPC),
		zap.Int("blocked", blocked),
		zap.Object("blocked_kinds", &rec.blocked),
		zap.Int("unclassified_passed", rec.unclassified.sum()),
		zap.Int("ambiguous", rec.ambiguous),
		zap.Array("resources", rec.resources),
		zap.Int("set_cookies_stripped", rec.setCookies.count),
		zap.Strings("set_cookie_names", rec.setCookies.names),
		zap.Int("request_cookies_removed", rec.reqCookies.count),
		zap.Strings("request_cookie_names", rec.reqCookies.names),
		zap.Strings("unclassified_cookie_names", rec.unknown.names),
	)
}

// accessLog adds to the request's line in the access log, if there is one.
func (rec *record) accessLog(blocked int) {
	ctx := rec.r.Context()
	if s, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); s != nil && s.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(accessFields{rec.state.Status, rec.outcome, blocked})) // each Add takes its time
	}
}

// accessFields are ours in the access log.
type accessFields struct {
	state   consent.Status
	outcome string
	blocked int
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (f accessFields) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("consent_state", f.state.String())
	enc.AddString("consent_outcome", f.outcome)
	enc.AddInt("consent_blocked", f.blocked)
	return nil
}

// releaseResources gives the list back.
func (rec *record) releaseResources() {
	if rec.resources == nil {
		return
	}
	list := rec.resources
	rec.resources = nil
	clear(list)
	list = list[:0]
	resourcePool.Put(&list)
}

// requestNames returns the request's original path, without query, and its id.
func requestNames(r *http.Request) (path, id string) {
	path = originalURL(r).Path
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		id, _ = repl.GetString("http.request.uuid")
	}
	return path, id
}

// kindCounts counts resources by kind.
type kindCounts [rules.Kinds]uint32

func (k *kindCounts) sum() (n int) {
	for _, c := range k {
		n += int(c)
	}
	return n
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (k *kindCounts) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for kind, n := range k {
		if n > 0 {
			enc.AddInt(rules.Kind(kind).String(), int(n))
		}
	}
	return nil
}

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (l resourceList) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for i := range l {
		if err := enc.AppendObject(&l[i]); err != nil {
			return err
		}
	}
	return nil
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l *loggedResource) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("kind", l.kind.String())
	enc.AddString("action", l.action.String())
	enc.AddString("host", l.host)
	enc.AddString("service", l.service)
	enc.AddString("category", l.category)
	enc.AddString("rule", l.rule)
	enc.AddInt("count", l.count)
	if l.ambiguous {
		enc.AddBool("ambiguous", true)
	}
	return nil
}
