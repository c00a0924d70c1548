package caddymodule

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-consent/caddy-consent/rules"
)

// metrics are the counters of one configuration, on Caddy's own metrics endpoint. Their labels are
// words of this program (outcomes, kinds, categories, actions, causes): never hosts, URLs or names
// of cookies.
type metrics struct {
	responses *prometheus.CounterVec // outcome
	resources *prometheus.CounterVec // kind, category, action
	cookies   *prometheus.CounterVec // direction
	failures  *prometheus.CounterVec // cause, action
	bytes     *prometheus.CounterVec // direction
	choices   *prometheus.CounterVec // decision
	reports   *prometheus.CounterVec // result
	limited   *prometheus.CounterVec // what
	csp       *prometheus.CounterVec // result
	seconds   prometheus.Histogram

	// Found once.
	cookiesSet, cookiesSent, bytesIn, bytesOut, bytesSame prometheus.Counter

	counter [rules.Kinds][rules.All + 1][2]atomic.Pointer[prometheus.Counter] // of resources
}

// newMetrics registers the counters, or finds those that another site of the same configuration
// has registered.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := new(metrics)
	for _, c := range []struct {
		to     **prometheus.CounterVec
		name   string
		help   string
		labels []string
	}{
		{&m.responses, "responses_total", "Document responses by outcome.", []string{"outcome"}},
		{&m.resources, "resources_total", "Blocked and unclassified resources.", []string{"kind", "category", "action"}},
		{&m.cookies, "cookies_removed_total", "Cookies taken from responses (set) and requests (sent).", []string{"direction"}},
		{&m.failures, "failures_total", "Responses that could not be rewritten, by cause, and what became of them.", []string{"cause", "action"}},
		{&m.bytes, "bytes_total", "Bytes of documents that went into the rewriter, those of them that an earlier page had too, and bytes that came out of it.", []string{"direction"}},
		{&m.choices, "choices_total", "Choices stored.", []string{"decision"}},
		{&m.reports, "csp_reports_total", "Reports of browsers on the second layer.", []string{"result"}},
		{&m.limited, "limited_total", "Posts refused for their rate.", []string{"what"}},
		{&m.csp, "csp_headers_total", "Documents with a policy of the second layer, and without one since it would be too long.", []string{"result"}},
	} {
		made := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "caddy", Subsystem: "consent", Name: c.name, Help: c.help}, c.labels)
		var err error
		if *c.to, err = register(reg, made); err != nil {
			return nil, err
		}
	}
	m.cookiesSet, m.cookiesSent = m.cookies.WithLabelValues("set"), m.cookies.WithLabelValues("sent")
	m.bytesIn, m.bytesOut, m.bytesSame = m.bytes.WithLabelValues("in"), m.bytes.WithLabelValues("out"), m.bytes.WithLabelValues("same")
	var err error
	m.seconds, err = register[prometheus.Histogram](reg, prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "consent", Name: "rewrite_seconds",
		Help:    "Time spent on decoding and rewriting one document, without waiting for the upstream or the client.",
		Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3},
	}))
	return m, err
}

// register registers c, or returns the equal one that is registered already.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := reg.Register(c)
	var old prometheus.AlreadyRegisteredError
	if errors.As(err, &old) {
		if existing, ok := old.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	return c, err
}

func (m *metrics) resource(kind rules.Kind, d rules.Decision) {
	if m == nil {
		return
	}
	action := 0
	if d.Action == rules.Block {
		action = 1
	}
	at := &m.counter[kind][d.Categories&rules.All][action]
	c := at.Load()
	if c == nil {
		made := m.resources.WithLabelValues(kind.String(), d.Categories.String(), d.Action.String())
		c = &made
		at.Store(c)
	}
	(*c).Inc()
}

// response counts a finished record.
func (m *metrics) response(rec *record, cause, how string) {
	if m == nil {
		return
	}
	if rec.document {
		m.responses.WithLabelValues(rec.outcome).Inc()
	}
	if cause != "" {
		m.failures.WithLabelValues(cause, how).Inc()
	}
	m.cookiesSet.Add(float64(rec.setCookies.count))
	m.cookiesSent.Add(float64(rec.reqCookies.count))
	if rec.bytesIn > 0 {
		m.bytesIn.Add(float64(rec.bytesIn))
		m.bytesOut.Add(float64(rec.bytesOut))
		m.bytesSame.Add(float64(rec.bytesSame))
		m.seconds.Observe(rec.rewriting().Seconds())
	}
}

// failure returns the cause for which a document could not be rewritten, "" if it was, and whether
// it was stopped (closed) or passed unread (open).
func (rec *record) failure() (cause, how string) {
	if cause, ok := strings.CutPrefix(rec.outcome, "failed:"); ok {
		return cause, "closed"
	}
	if cause, ok := strings.CutPrefix(rec.outcome, "passed:"); ok && contains(causes, cause) {
		return cause, "open"
	}
	return "", ""
}
