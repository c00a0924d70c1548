package caddymodule

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-consent/caddy-consent/rules"
)

// explainCommand is `caddy consent explain`.
func explainCommand() *cobra.Command {
	kinds := []string{}
	for k := rules.KindScript; int(k) < rules.Kinds; k++ {
		if k != rules.KindCookie {
			kinds = append(kinds, k.String())
		}
	}
	cmd := &cobra.Command{
		Use:   "explain <url> [--from <page-url>] [--kind <kind>] [--consent <categories>] [--config <file>]",
		Short: "Says what would happen to a resource, and which rule decides",
		Long: `
Says what would happen to a URL in a page, for a visitor who allows the
categories of --consent (with dots between; none by default), and which entry
of the catalogue decides. With --config it is decided as that configuration
says for the host of --from, and lines of it that decide are named too. --kind
is what asks for it: ` + strings.Join(kinds, ", ") + `.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringP("from", "f", "https://your-site.example/", "URL of the page that it stands in")
	cmd.Flags().StringP("kind", "k", "script", "What asks for it")
	cmd.Flags().StringP("consent", "", "", "Categories that the visitor allows, such as preferences.statistics")
	cmd.Flags().StringP("unclassified", "", "", "The option of the directive: "+strings.Join(rules.UnclassifiedWords, ", "))
	cmd.Flags().StringP("config", "", "", "Configuration file with the directive")
	cmd.Flags().StringP("adapter", "a", "", "Name of the adapter of the configuration file")
	cmd.Flags().StringSliceP("catalogue", "c", nil, "Catalogue files that extend or replace entries")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		get := func(name string) string { v, _ := cmd.Flags().GetString(name); return v }
		from, err := url.Parse(get("from"))
		if err != nil || from.Host == "" || from.Scheme != "http" && from.Scheme != "https" {
			return fmt.Errorf("--from %q is not the URL of a page, such as https://shop.example/cart", get("from"))
		}
		kind := rules.Kind(0)
		for k := rules.KindScript; int(k) < rules.Kinds; k++ {
			if k.String() == get("kind") && k != rules.KindCookie {
				kind = k
			}
		}
		if kind == 0 {
			return fmt.Errorf("unknown kind %q%s", get("kind"), rules.DidYouMean(get("kind"), kinds))
		}
		allowed := rules.SetOf(rules.Necessary)
		for _, name := range strings.FieldsFunc(get("consent"), func(r rune) bool { return r == '.' || r == ',' }) {
			c, err := rules.ParseCategory(name)
			if err != nil {
				return err
			}
			allowed |= rules.SetOf(c)
		}
		site, fit := configured{Handler: new(Handler)}, 1
		if file := get("config"); file != "" {
			cmd.SilenceUsage = true
			host := ""
			if cmd.Flags().Changed("from") {
				if host, err = rules.NormalizeHost(from.Host); err != nil {
					return fmt.Errorf("--from: %w", err)
				}
			}
			if site, fit, err = configuredFor(file, get("adapter"), host); err != nil {
				return err
			}
			if host == "" && len(site.hosts) > 0 && !strings.Contains(site.hosts[0], "*") {
				from.Host = site.hosts[0]
			}
		}
		options := site.siteOptions()
		if word := get("unclassified"); word != "" {
			options.Unclassified = word
		}
		return withCatalogue(cmd, func(cat *rules.Catalogue) error {
			compiled, err := rules.NewSite(cat, options)
			if err != nil {
				return err
			}
			page := rules.NewPage(from.Scheme, from.Host).At(from.RequestURI()).WithCharset("utf-8")
			d := compiled.For(rules.Grants{Allowed: allowed}).Decide(rules.Resource{Kind: kind, URL: args[0], Page: page})
			out := cmd.OutOrStdout()
			if fit > 1 {
				fmt.Fprintf(out, "%-10s %d directives stand at %s; this is what the first says\n", "note", fit, from.Host)
			}
			if site.Mode == "shadow" {
				fmt.Fprintf(out, "%-10s the mode is shadow: it is only logged\n", "note")
			}
			explain(out, cat, d, get("config"), options)
			return nil
		}, site.Catalogue...)
	}
	return cmd
}

// explain prints a decision and where its rule stands: in the catalogue, or in the configuration file.
func explain(w io.Writer, cat *rules.Catalogue, d rules.Decision, config string, options rules.SiteConfig) {
	action := "passes"
	if d.Action == rules.Block {
		action = "is blocked"
	}
	host := d.Host
	if host == "" {
		host = "no host"
	}
	fmt.Fprintf(w, "%-10s %s\n", "it", action)
	fmt.Fprintf(w, "%-10s %s\n", "host", host)
	switch {
	case d.Ambiguous():
		fmt.Fprintf(w, "%-10s it cannot be told how a browser reads it (%s)\n", "why", d.Rule)
		return
	case d.Rule == "":
		fmt.Fprintf(w, "%-10s it is the page's own, or contacts nobody\n", "why")
		return
	case d.Unclassified:
		fmt.Fprintf(w, "%-10s no rule knows the host; settle it with: allow %s, or: block <category> %s\n", "why", d.Host, d.Host)
		return
	}
	fmt.Fprintf(w, "%-10s %s\n", "rule", d.Rule)
	fmt.Fprintf(w, "%-10s %s\n", "category", d.Categories)
	if s, ok := cat.Service(d.Service); ok {
		fmt.Fprintf(w, "%-10s %s (%s)\n", "service", s.Name, s.ID)
		fmt.Fprintf(w, "%-10s %s\n", "at", ruleSource(s, d.Rule))
		if _, moved := options.Services[s.ID]; moved {
			fmt.Fprintf(w, "%-10s %s\n", "moved at", lineOf(config, "service", s.ID))
		}
	} else if rest, own := strings.CutPrefix(d.Rule, "site:"); own {
		option, value, _ := strings.Cut(rest, " ")
		fmt.Fprintf(w, "%-10s %s\n", "at", lineOf(config, option, value))
	}
}

// ruleSource returns the file:line of the rule in a service's entry.
func ruleSource(s *rules.Service, rule string) string {
	for _, h := range s.Hosts {
		if rule == "host:"+h.Name {
			return h.Source
		}
	}
	for _, r := range s.Rules {
		path := "path:" + r.Host + r.Path
		if r.Query != "" {
			path += "?" + r.Query
		}
		if rule == path {
			return r.Source
		}
	}
	return s.Source
}

// configured is a consent handler of a configuration file, with the host names that lead to it.
type configured struct {
	*Handler
	hosts []string
}

// configuredFor reads a configuration file and returns the handler that a page of host meets, with
// its hosts; how many there are for that host, since directives below path matchers are not told
// apart; the first counts. Without a host, a configuration with one site has that.
func configuredFor(file, adapter, host string) (c configured, fit int, err error) {
	config, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return c, 0, err
	}
	list, err := consentHandlers(config)
	if err != nil {
		return c, 0, fmt.Errorf("%s: %w", file, err)
	}
	if len(list) == 0 {
		return c, 0, fmt.Errorf("%s has no consent directive", file)
	}
	var named, anywhere []configured
	var hosts []string
	for _, c := range list {
		if len(c.hosts) == 0 {
			anywhere = append(anywhere, c)
		}
		for _, pattern := range c.hosts {
			pattern = strings.ToLower(pattern)
			if hosts = append(hosts, pattern); pattern == host || caddyWildcard(pattern, host) {
				named = append(named, c)
				break
			}
		}
	}
	switch {
	case len(named) > 0:
		return named[0], len(named), nil
	case len(anywhere) > 0:
		return anywhere[0], len(anywhere), nil
	case host == "" && len(list) == 1:
		return list[0], 1, nil
	}
	sort.Strings(hosts)
	return c, 0, fmt.Errorf("%s has consent for other hosts; say with --from which one is meant: %s", file, strings.Join(slices.Compact(hosts), ", "))
}

// caddyWildcard reports whether host falls under a pattern of Caddy's: * stands for one label.
func caddyWildcard(pattern, host string) bool {
	rest, ok := strings.CutPrefix(pattern, "*.")
	_, parent, below := strings.Cut(host, ".")
	return ok && below && rest == parent
}

// consentHandlers finds all of them in a configuration in JSON.
func consentHandlers(config []byte) (list []configured, err error) {
	var whole struct {
		Apps struct {
			HTTP    json.RawMessage `json:"http"`
			Consent App             `json:"consent"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, err
	}
	var walk func(raw json.RawMessage, hosts []string) error
	walk = func(raw json.RawMessage, hosts []string) error {
		raw = bytes.TrimSpace(raw)
		switch {
		case bytes.HasPrefix(raw, []byte("[")):
			var items []json.RawMessage
			if err := json.Unmarshal(raw, &items); err != nil {
				return err
			}
			for _, i := range items {
				if err := walk(i, hosts); err != nil {
					return err
				}
			}
		case bytes.HasPrefix(raw, []byte("{")):
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(raw, &fields); err != nil {
				return err
			}
			if string(fields["handler"]) == `"consent"` {
				h := new(Handler)
				delete(fields, "handler")
				own, err := json.Marshal(fields)
				if err != nil {
					return err
				}
				if err := caddy.StrictUnmarshalJSON(own, h); err != nil {
					return err
				}
				if h.Config != "" {
					named := whole.Apps.Consent.Configurations[h.Config]
					if named == nil {
						return unknownConfiguration(h.Config, whole.Apps.Consent.names())
					}
					h = named
				}
				list = append(list, configured{h, hosts})
				return nil
			}
			var match []struct {
				Host []string `json:"host"`
			}
			if json.Unmarshal(fields["match"], &match) == nil {
				var here []string
				for _, m := range match {
					here = append(here, m.Host...)
				}
				if here != nil {
					hosts = here
				}
			}
			delete(fields, "errors") // its routes have the directive for error pages
			for _, key := range slices.Sorted(maps.Keys(fields)) {
				if err := walk(fields[key], hosts); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return list, walk(whole.Apps.HTTP, nil)
}

// lineOf finds the line of a configuration file that has an option with a value: file:line, or the
// file alone where several have it, or none, as with imported files.
func lineOf(file, option, value string) string {
	f, err := os.Open(file)
	if err != nil {
		return file
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	found := 0
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) > 1 && words[0] == option && slices.ContainsFunc(words[1:], func(w string) bool {
			return strings.EqualFold(strings.TrimPrefix(strings.Trim(w, `"`+"`"), "*."), value)
		}) {
			if found > 0 {
				return file
			}
			found = n
		}
	}
	if found == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(found)
}
