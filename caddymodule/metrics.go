package caddymodule

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-consent/caddy-consent/rules"
)

// metrics are the counters of one configuration, on Caddy's own metrics endpoint. Their labels are
// outcomes, kinds, categories and actions: never hosts, URLs or names of cookies.
type metrics struct {
	responses *prometheus.CounterVec // outcome
	resources *prometheus.CounterVec // kind, category, action
	cookies   *prometheus.CounterVec // direction
}

// newMetrics registers the counters, or finds those that another site of the same configuration
// has registered.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		responses: counter("responses_total", "Document responses by outcome.", "outcome"),
		resources: counter("resources_total", "Blocked and unclassified resources.", "kind", "category", "action"),
		cookies:   counter("cookies_removed_total", "Cookies taken from responses (set) and requests (sent).", "direction"),
	}
	for _, c := range []**prometheus.CounterVec{&m.responses, &m.resources, &m.cookies} {
		err := reg.Register(*c)
		var old prometheus.AlreadyRegisteredError
		if errors.As(err, &old) {
			existing, ok := old.ExistingCollector.(*prometheus.CounterVec)
			if !ok {
				return nil, err
			}
			*c, err = existing, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "caddy", Subsystem: "consent", Name: name, Help: help}, labels)
}

func (m *metrics) resource(kind rules.Kind, d rules.Decision) {
	if m != nil {
		m.resources.WithLabelValues(kind.String(), d.Categories.String(), d.Action.String()).Inc()
	}
}

// response counts a finished record.
func (m *metrics) response(rec *record) {
	if m == nil {
		return
	}
	if rec.document {
		m.responses.WithLabelValues(rec.outcome).Inc()
	}
	m.cookies.WithLabelValues("set").Add(float64(rec.setCookies.count))
	m.cookies.WithLabelValues("sent").Add(float64(rec.reqCookies.count))
}
