package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-consent/caddy-consent/rules"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("consent", parseGlobal)
	httpcaddyfile.RegisterHandlerDirective("consent", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("consent", httpcaddyfile.After, "encode")
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil || h.Config == "" {
		return h, err
	}
	app, err := globalApp(helper.Option("consent"))
	if err != nil {
		return nil, err
	}
	if _, err := app.configuration(h.Config); err != nil {
		return nil, helper.WrapErr(err)
	}
	return h, nil
}

// parseGlobal reads a named configuration, with the options of the directive:
//
//	consent <name> {
//	    ...
//	}
func parseGlobal(d *caddyfile.Dispenser, before any) (any, error) {
	d.Next() // consume option name
	args := d.RemainingArgs()
	if len(args) != 1 {
		return nil, d.Errf("the global option consent takes one name, such as: consent shop { … }; sites use it with: consent shop")
	}
	name := args[0]
	if err := checkName(name); err != nil {
		return nil, d.WrapErr(err)
	}
	app, err := globalApp(before)
	if err != nil {
		return nil, err
	}
	if _, ok := app.Configurations[name]; ok {
		return nil, d.Errf("the consent configuration %q is given twice", name)
	}
	h := new(Handler)
	if err := h.unmarshalOptions(d); err != nil {
		return nil, err
	}
	if app.Configurations == nil {
		app.Configurations = make(map[string]*Handler)
	}
	app.Configurations[name] = h
	return httpcaddyfile.App{Name: "consent", Value: caddyconfig.JSON(app, nil)}, nil
}

// globalApp returns the app as far as global options have described it.
func globalApp(option any) (*App, error) {
	app := new(App)
	if v, ok := option.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(v.Value, app); err != nil {
			return nil, fmt.Errorf("reading consent configurations: %w", err)
		}
	}
	return app, nil
}

// options are the names of all sub-directives.
var options = []string{"mode", "unclassified", "unclassified_cookies", "service", "allow", "block", "cookie", "essential",
	"first_party", "collector", "max_age", "cookie_domain", "clear_site_data", "read", "bridge", "placeholder", "catalogue", "cookie_name", "endpoint", "fail", "no_transform", "policy_revision", "log_resources", "csp"}

// UnmarshalCaddyfile sets up h from Caddyfile tokens. Syntax:
//
//	consent [<matcher>] {
//	    mode                 enforce|shadow
//	    unclassified         block_active|block|allow
//	    unclassified_cookies allow|block
//	    service              <id> <category>
//	    allow                <host...>
//	    block                <category> <host...>
//	    cookie               <pattern> <category>
//	    essential            <cookie...>
//	    first_party          <domain...>
//	    collector            <category> <path...>
//	    max_age              <lifetime>
//	    cookie_domain        <domain>
//	    clear_site_data      cache|storage...
//	    read                 <manager>|auto [{ map <name...> <category>; implied }]
//	    bridge               off|on
//	    placeholder          <manager> [{ map <category|service...> <name> }]
//	    catalogue            <file...>
//	    cookie_name          <name>
//	    endpoint             <path>
//	    fail                 [<cause>] closed|open
//	    no_transform         enforce|pass
//	    policy_revision      <token>
//	    log_resources        <count>
//	    csp                  off|report|enforce
//	}
//
// or, with a name that the global option of that name has given options to:
//
//	consent [<matcher>] <name>
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	switch args := d.RemainingArgs(); len(args) {
	case 0:
		return h.unmarshalOptions(d)
	case 1:
		h.Config = args[0]
	default:
		return d.Errf("consent takes at most one argument, the name of a configuration, but %q was given too; write options in a block", args[1])
	}
	if err := checkName(h.Config); err != nil {
		return d.WrapErr(err)
	}
	if d.NextBlock(0) {
		return d.Errf("consent %s: options stand in the global option of that name, or in a block without a name", h.Config)
	}
	return nil
}

// unmarshalOptions reads a block of options, and checks them against the catalogue so that every
// wrong word is an error at its own line.
func (h *Handler) unmarshalOptions(d *caddyfile.Dispenser) error {
	var lines []caddyfile.Segment
	for d.NextBlock(0) {
		lines = append(lines, d.NextSegment())
	}
	for _, line := range lines {
		if err := h.unmarshalLine(line); err != nil {
			return err
		}
	}
	return h.checkLines(lines)
}

func (h *Handler) unmarshalLine(line caddyfile.Segment) error {
	d := caddyfile.NewDispenser(line)
	d.Next()
	if err := h.unmarshalOption(d); err != nil {
		return err
	}
	if d.NextBlock(0) {
		return d.Errf("no block is expected here")
	}
	return nil
}

// checkLines compiles the rules line by line, the catalogue first, since it may stand anywhere. The
// first line that makes them wrong is named.
func (h *Handler) checkLines(lines []caddyfile.Segment) error {
	fail := func(line caddyfile.Segment, err error) error {
		d := caddyfile.NewDispenser(line)
		d.Next()
		return d.Errf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	cat, err := rules.DefaultCatalogue()
	for _, line := range lines {
		if line.Directive() == "catalogue" {
			if cat, err = rules.LoadCatalogue(h.Catalogue...); err != nil {
				return fail(line, err)
			}
			break
		}
	}
	if err != nil {
		return err
	}
	sofar := new(Handler)
	for _, line := range lines {
		if err := sofar.unmarshalLine(line); err != nil {
			return err
		}
		if err := sofar.checkOptions(); err != nil {
			return fail(line, err)
		}
		if _, err := rules.NewSite(cat, sofar.siteOptions()); err != nil {
			return fail(line, err)
		}
		if err := sofar.Placeholder.check(cat); err != nil {
			return fail(line, err)
		}
	}
	for _, line := range lines {
		if line.Directive() == "csp" && h.CSP == "enforce" && h.Unclassified != "block" {
			return fail(line, errors.New(cspNeedsBlock))
		}
	}
	return nil
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser) error {
	option := d.Val()
	switch option {
	case "mode":
		return oneWord(d, &h.Mode, modeWords)
	case "no_transform":
		return oneWord(d, &h.NoTransform, noTransformWords)
	case "bridge":
		return oneWord(d, &h.Bridge, bridgeWords)
	case "csp":
		return oneWord(d, &h.CSP, cspWords)
	case "unclassified":
		return oneWord(d, &h.Unclassified, rules.UnclassifiedWords)
	case "unclassified_cookies":
		return oneWord(d, &h.UnclassifiedCookies, rules.UnclassifiedCookiesWords)
	case "service":
		args := d.RemainingArgs()
		if len(args) != 2 {
			return d.Errf("service takes an id and a category, such as: service youtube preferences")
		}
		if err := category(d, args[1]); err != nil {
			return err
		}
		return put(d, &h.Services, args[0], args[1])
	case "cookie":
		args := d.RemainingArgs()
		if len(args) != 2 {
			return d.Errf("cookie takes a name, or a prefix with a trailing *, and a category, such as: cookie promo_* marketing")
		}
		if err := category(d, args[1]); err != nil {
			return err
		}
		return put(d, &h.Cookies, args[0], args[1])
	case "block":
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Errf("block takes a category and hosts, such as: block marketing ads.example.com")
		}
		if err := category(d, args[0]); err != nil {
			return err
		}
		if h.Block == nil {
			h.Block = make(map[string][]string)
		}
		h.Block[args[0]] = append(h.Block[args[0]], args[1:]...)
		return nil
	case "collector":
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Errf("collector takes a category and paths, such as: collector statistics /metrics/")
		}
		if err := category(d, args[0]); err != nil {
			return err
		}
		if h.Collectors == nil {
			h.Collectors = make(map[string][]string)
		}
		h.Collectors[args[0]] = append(h.Collectors[args[0]], args[1:]...)
		return nil
	case "max_age":
		args := d.RemainingArgs()
		if len(args) < 1 || len(args) > 2 {
			return d.Errf("max_age takes a lifetime, such as: max_age 13 months")
		}
		if h.MaxAge != "" {
			return d.Errf("max_age is given twice")
		}
		h.MaxAge = strings.Join(args, " ")
		return nil
	case "read":
		return h.unmarshalRead(d)
	case "placeholder":
		return h.unmarshalPlaceholder(d)
	case "cookie_domain":
		return oneWord(d, &h.CookieDomain, nil)
	case "clear_site_data":
		return list(d, &h.ClearSiteData)
	case "allow":
		return list(d, &h.Allow)
	case "essential":
		return list(d, &h.Essential)
	case "first_party":
		return list(d, &h.FirstParty)
	case "catalogue":
		return list(d, &h.Catalogue)
	case "cookie_name":
		return oneWord(d, &h.CookieName, nil)
	case "endpoint":
		return oneWord(d, &h.Endpoint, nil)
	case "policy_revision":
		return oneWord(d, &h.Revision, nil)
	case "log_resources":
		var word string
		if err := oneWord(d, &word, nil); err != nil {
			return err
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 {
			return d.Errf("log_resources takes a number from 0 up, not %q", word)
		}
		if h.LogResources != nil {
			return d.Errf("log_resources is given twice")
		}
		h.LogResources = &n
		return nil
	case "fail":
		args := d.RemainingArgs()
		if len(args) < 1 || len(args) > 2 {
			return d.Errf("fail takes an optional cause and closed or open, such as: fail unsupported_encoding open")
		}
		cause, how := "*", args[len(args)-1]
		if len(args) == 2 {
			if cause = args[0]; !contains(causes, cause) {
				return d.Errf("unknown cause %q%s", cause, rules.DidYouMean(cause, causes))
			}
		}
		if !contains(failWords, how) {
			return d.Errf("fail: unknown word %q%s", how, rules.DidYouMean(how, failWords))
		}
		return put(d, &h.Fail, cause, how)
	}
	return d.Errf("unknown option %q%s", option, rules.DidYouMean(option, options))
}

// oneWord reads the only argument of an option that may be given once.
func oneWord(d *caddyfile.Dispenser, to *string, valid []string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("%s takes one argument, not %d", option, len(args))
	}
	if *to != "" {
		return d.Errf("%s is given twice", option)
	}
	if valid != nil && !contains(valid, args[0]) {
		return d.Errf("%s: unknown word %q%s", option, args[0], rules.DidYouMean(args[0], valid))
	}
	*to = args[0]
	return nil
}

// list reads one or more arguments.
func list(d *caddyfile.Dispenser, to *[]string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s takes at least one argument", option)
	}
	*to = append(*to, args...)
	return nil
}

func category(d *caddyfile.Dispenser, name string) error {
	if _, err := rules.ParseCategory(name); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

// put stores a value under a key that may be given once.
func put(d *caddyfile.Dispenser, m *map[string]string, key, value string) error {
	if *m == nil {
		*m = make(map[string]string)
	}
	if _, ok := (*m)[key]; ok {
		return d.Errf("%s is given twice", key)
	}
	(*m)[key] = value
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
