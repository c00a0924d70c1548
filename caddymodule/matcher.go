package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-consent/caddy-consent/rules"
)

func init() {
	caddy.RegisterModule(MatchConsent{})
}

// MatchConsent matches requests of visitors who allow every one of the categories. Nobody who has
// not answered matches.
type MatchConsent struct {
	// Config is the name of a configuration of the `consent` app, by whose settings the visitor's
	// consent is read. Without it the settings of the handler count that the request has passed
	// already, else the default ones.
	Config string `json:"config,omitempty"`

	// Categories lists one or more of `preferences`, `statistics` and `marketing`.
	Categories []string `json:"categories,omitempty"`

	shared *Handler
	all    rules.Set
}

// CaddyModule returns the Caddy module information.
func (MatchConsent) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.consent", New: func() caddy.Module { return new(MatchConsent) }}
}

// UnmarshalCaddyfile sets up m from Caddyfile tokens. Syntax:
//
//	consent [<name>] <category...>
func (m *MatchConsent) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) > 1 && !contains(categoryWords, args[0]) && rules.Nearest(args[0], categoryWords) == "" {
			if m.Config != "" && m.Config != args[0] {
				return d.Errf("consent: one matcher reads one configuration, not %s and %s", m.Config, args[0])
			}
			m.Config, args = args[0], args[1:]
			if err := checkName(m.Config); err != nil {
				return d.WrapErr(err)
			}
		}
		if len(args) == 0 {
			return d.Errf("consent takes one or more categories, such as: consent statistics")
		}
		for _, name := range args {
			if contains(m.Categories, name) {
				return d.Errf("consent: %s is given twice", name)
			}
			if _, err := matchable(name); err != nil {
				return d.WrapErr(err)
			}
			m.Categories = append(m.Categories, name)
		}
		if d.NextBlock(0) {
			return d.Errf("no block is expected here")
		}
	}
	return nil
}

// matchable returns the category with that name if asking for it means anything.
func matchable(name string) (rules.Category, error) {
	c, err := rules.ParseCategory(name)
	if err == nil && c == rules.Necessary {
		err = errors.New("consent: necessary is always allowed; name preferences, statistics or marketing")
	}
	return c, err
}

// Provision looks the configuration up.
func (m *MatchConsent) Provision(ctx caddy.Context) error {
	if len(m.Categories) == 0 {
		return errors.New("consent: name one or more categories")
	}
	for _, name := range m.Categories {
		c, err := matchable(name)
		if err != nil {
			return err
		}
		m.all |= rules.SetOf(c)
	}
	a, err := ctx.App("consent")
	if err != nil {
		return err
	}
	app := a.(*App)
	if m.Config == "" {
		app.mu.Lock()
		app.plainMatcher = true
		app.mu.Unlock()
		return nil
	}
	if m.shared, err = app.configuration(m.Config); err != nil {
		return fmt.Errorf("matcher: %w", err)
	}
	return nil
}

// MatchWithError reports whether the visitor allows all of the categories. Its error is always nil.
func (m *MatchConsent) MatchWithError(r *http.Request) (bool, error) {
	v := visitorOf(r)
	if v == nil || m.shared != nil && v.h != m.shared {
		st := m.shared.readState(r)
		if v == nil {
			m.shared.expose(r, nil, st)
		}
		return st.Grants.Allowed&m.all == m.all, nil
	}
	return v.state.Grants.Allowed&m.all == m.all, nil
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*MatchConsent)(nil)
	_ caddyfile.Unmarshaler             = (*MatchConsent)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchConsent)(nil)
)
