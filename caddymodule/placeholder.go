package caddymodule

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// Placeholder is the consent manager of the site that revives what was blocked.
type Placeholder struct {
	// Manager is its id.
	Manager string `json:"manager"`

	// Map says what the manager calls a category, or a service of the catalogue:
	// `{"statistics": "C0002", "youtube": "video"}`.
	Map map[string]string `json:"map,omitempty"`
}

// newDialect returns the markup of placeholders, nil for our own.
func (h *Handler) newDialect() (*rewriter.Dialect, error) {
	if h.Placeholder == nil {
		return nil, nil
	}
	d, err := rewriter.NewDialect(h.Placeholder.Manager, h.Placeholder.Map)
	if err != nil {
		return nil, fmt.Errorf("placeholder: %w", err)
	}
	return d, nil
}

// check says which key of the map is neither a category nor a service of the catalogue.
func (p *Placeholder) check(cat *rules.Catalogue) error {
	if p == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(p.Map)) {
		if _, err := rules.ParseCategory(key); err == nil {
			continue
		}
		if _, ok := cat.Service(key); !ok {
			words := append([]string{"preferences", "statistics", "marketing"}, cat.IDs()...)
			return fmt.Errorf("placeholder %s: map %q: neither a category nor a service of the catalogue%s", p.Manager, key, rules.DidYouMean(key, words))
		}
	}
	return nil
}

// unmarshalPlaceholder reads `placeholder <manager> [{ map <category|service...> <name> }]`.
func (h *Handler) unmarshalPlaceholder(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("placeholder takes the id of the consent manager, such as: placeholder klaro")
	}
	if h.Placeholder != nil {
		return d.Errf("placeholder is given twice: a site has one consent manager that revives")
	}
	p := &Placeholder{Manager: args[0]}
	if _, err := rewriter.NewDialect(p.Manager, nil); err != nil {
		return d.Errf("placeholder: %v", err)
	}
	for d.NextBlock(0) {
		if word := d.Val(); word != "map" {
			return d.Errf("placeholder: unknown word %q%s", word, rules.DidYouMean(word, []string{"map"}))
		}
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Errf("map takes categories or services and the manager's name for them, such as: map statistics C0002")
		}
		name := args[len(args)-1]
		for _, key := range args[:len(args)-1] {
			if err := put(d, &p.Map, key, name); err != nil {
				return err
			}
		}
	}
	h.Placeholder = p
	return nil
}
