package caddymodule

import (
	"io"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// speculationRules is the type of files that Speculation-Rules headers name.
const speculationRules = "application/speculationrules+json"

// decideRules settles what happens to a file of speculation rules: one by which a browser may fetch from what some
// visitors must not contact is answered to them with nothing.
func (rw *responseWriter) decideRules(first []byte, codings []string) {
	if rw.h.shadow || rw.status/100 != 2 {
		rw.commit(pass, "passed:not_html")
		return
	}
	if !rw.finished && len(first) < lookAhead && len(codings) == 0 {
		return // wait for more of it
	}
	unread := !rw.finished || len(codings) > 0
	switch {
	case !unread && !rw.rulesBlocked(rw.policy.Site().For(rules.Grants{}), first, nil):
		rw.commit(pass, "passed:not_html")
	case rw.policy.AllAllowed() || !unread && !rw.rulesBlocked(rw.policy, first, rw.rec.resource):
		rw.documentHeader(true, false)
		rw.commit(pass, "all_allowed")
	default:
		rw.discardAnswer("blocked:speculation")
	}
}

func (rw *responseWriter) rulesBlocked(p *rules.Policy, text []byte, report func(rules.Resource, rules.Decision)) bool {
	r := rewriterPool.Get().(*rewriter.Rewriter)
	defer rewriterPool.Put(r)
	r.Reset(io.Discard, rewriter.Options{Policy: p, Page: rw.page.At(rw.url.EscapedPath()), Report: report})
	defer r.Abort()
	return r.RulesBlocked(text)
}
