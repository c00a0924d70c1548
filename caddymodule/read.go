package caddymodule

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// ReadSource is a consent manager of the site whose record of a visitor's answer counts.
type ReadSource struct {
	// Manager is its id, or `auto` for any that is recognised.
	Manager string `json:"manager"`

	// Map says what its names of categories and services mean: `{"media": "preferences"}`; for `tcf`
	// and `gpp` the numbers of purposes, of which a category then needs all that are given to it.
	Map map[string]string `json:"map,omitempty"`

	// Implied counts what the manager grants by a rule of the visitor's region, unasked, as an answer.
	Implied bool `json:"implied,omitempty"`
}

// auto is the word for any manager.
const auto = "auto"

// newReader returns the reader of visitors' answers for the options, without its cache.
func (h *Handler) newReader(cache *consent.Cache) (*consent.Reader, error) {
	o := consent.Options{Own: h.CookieName, Bridge: h.Bridge == "on", Cache: cache}
	if o.Own == "" {
		o.Own = defaultCookieName
	}
	for _, s := range h.Read {
		if s.Manager == auto {
			if len(s.Map) > 0 || s.Implied {
				return nil, fmt.Errorf("read auto takes no further words: name the manager to say more about it")
			}
			o.Auto = true
			continue
		}
		src := consent.Source{Manager: s.Manager, Implied: s.Implied}
		for name, c := range s.Map {
			cat, err := rules.ParseCategory(c)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", s.Manager, err)
			}
			if src.Map == nil {
				src.Map = make(map[string]rules.Category)
			}
			src.Map[name] = cat
		}
		o.Read = append(o.Read, src)
	}
	r, err := consent.NewReader(o)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return r, nil
}

// unmarshalRead reads `read <manager> [{ map <name> <category> …; implied }]`.
func (h *Handler) unmarshalRead(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("read takes the id of a consent manager, or auto, such as: read onetrust")
	}
	s := ReadSource{Manager: args[0]}
	for _, other := range h.Read {
		if other.Manager == s.Manager {
			return d.Errf("read %s is given twice", s.Manager)
		}
	}
	if s.Manager != auto {
		if _, err := consent.ManagerByID(s.Manager); err != nil {
			return d.WrapErr(err)
		}
	}
	for d.NextBlock(0) {
		switch word := d.Val(); word {
		case "map":
			args := d.RemainingArgs()
			if len(args) < 2 {
				return d.Errf("map takes names of the manager and a category, such as: map media preferences")
			}
			c := args[len(args)-1]
			if err := category(d, c); err != nil {
				return err
			}
			for _, name := range args[:len(args)-1] {
				if err := put(d, &s.Map, name, c); err != nil {
					return err
				}
			}
		case "implied":
			if d.NextArg() {
				return d.ArgErr()
			}
			s.Implied = true
		default:
			return d.Errf("read: unknown word %q%s", word, rules.DidYouMean(word, []string{"map", "implied"}))
		}
	}
	h.Read = append(h.Read, s)
	return nil
}

// cookieDecision decides on a cookie. Records of consent managers are necessary: they are the
// visitor's own answer.
func cookieDecision(policy *rules.Policy, page *rules.Page, name, domain string) rules.Decision {
	if name == consent.BridgeCookie || consent.IsRecord(name) {
		return rules.Decision{Rule: "consent_record", Categories: rules.SetOf(rules.Necessary), Host: domain}
	}
	return policy.Decide(rules.Resource{Kind: rules.KindCookie, Name: name, Domain: domain, Page: page})
}

// saw returns what the rewriter tells of scripts that stay in a page, nil where nobody asks.
func (h *Handler) saw(r *http.Request) func(string) {
	if !h.reader.Watches(r.Header["Cookie"]) {
		return nil
	}
	return h.reader.Saw
}
