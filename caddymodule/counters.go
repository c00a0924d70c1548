package caddymodule

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counters are one site's numbers since its configuration was loaded, as the admin API shows them.
// The keys of its maps are words of this program, so that their number is bounded.
type counters struct {
	mu sync.Mutex
	n  counts
}

type counts struct {
	Responses      map[string]uint64 `json:"responses"`
	Failures       map[string]uint64 `json:"failures"`
	Blocked        uint64            `json:"blocked"`
	Unclassified   uint64            `json:"unclassified"`
	CookiesSet     uint64            `json:"cookies_set_removed"`
	CookiesSent    uint64            `json:"cookies_sent_removed"`
	BytesIn        uint64            `json:"bytes_in"`
	BytesOut       uint64            `json:"bytes_out"`
	BytesSame      uint64            `json:"bytes_same"`
	RewriteSeconds float64           `json:"rewrite_seconds"`
	Choices        map[string]uint64 `json:"choices"`
	Reports        map[string]uint64 `json:"reports"`
	Limited        map[string]uint64 `json:"limited"`
	CSP            map[string]uint64 `json:"csp_headers"`
}

func newCounters() *counters {
	c := new(counters)
	for _, m := range []*map[string]uint64{&c.n.Responses, &c.n.Failures, &c.n.Choices, &c.n.Reports, &c.n.Limited, &c.n.CSP} {
		*m = make(map[string]uint64)
	}
	return c
}

// snapshot returns a copy.
func (c *counters) snapshot() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	for _, m := range []*map[string]uint64{&n.Responses, &n.Failures, &n.Choices, &n.Reports, &n.Limited, &n.CSP} {
		*m = maps.Clone(*m)
	}
	return n
}

// update changes the numbers under their lock.
func (c *counters) update(f func(*counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.n)
}

// countResponse counts a finished record, for the admin API and for the metrics endpoint.
func (h *Handler) countResponse(rec *record) {
	cause, how := rec.failure()
	h.counters.update(func(n *counts) {
		if rec.document {
			n.Responses[rec.outcome]++
		}
		if cause != "" {
			n.Failures[cause]++
		}
		n.Blocked += uint64(rec.blocked.sum())
		n.Unclassified += uint64(rec.unclassified.sum())
		n.CookiesSet += uint64(rec.setCookies.count)
		n.CookiesSent += uint64(rec.reqCookies.count)
		n.BytesIn += rec.bytesIn
		n.BytesOut += rec.bytesOut
		n.BytesSame += rec.bytesSame
		n.RewriteSeconds += rec.rewriting().Seconds()
	})
	h.metrics.response(rec, cause, how)
}

// event is something that is counted by a word, beside responses.
type event uint8

const (
	choiceEvent event = iota // stored, by decision
	reportEvent              // arrived from a browser, by result
	limitEvent               // a post refused for its rate, by what it posts
	cspEvent                 // a policy of the second layer sent or left out
)

// count counts an event, for the admin API and for the metrics endpoint. word is one of a few.
func (h *Handler) count(e event, word string) {
	h.counters.update(func(n *counts) {
		switch e {
		case choiceEvent:
			n.Choices[word]++
		case reportEvent:
			n.Reports[word]++
		case limitEvent:
			n.Limited[word]++
		case cspEvent:
			n.CSP[word]++
		}
	})
	if m := h.metrics; m != nil {
		[...]*prometheus.CounterVec{m.choices, m.reports, m.limited, m.csp}[e].WithLabelValues(word).Inc()
	}
}

// rewriting is the time that decoder and rewriter took, without that of the client's connection.
func (rec *record) rewriting() time.Duration { return max(0, rec.spent-rec.waited) }
