package caddymodule

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/importer"
)

// servicesCommand is `caddy consent services`.
func servicesCommand() *cobra.Command {
	services := &cobra.Command{
		Use:   "services",
		Short: "What the catalogue knows",
		Long: `
Lists, shows and searches the services of the catalogue, and checks files in
its format. --catalogue adds a site's own files, as the option of the
directive does.`,
	}
	services.PersistentFlags().StringSliceP("catalogue", "c", nil, "Catalogue files that extend or replace entries")
	list := &cobra.Command{
		Use: "list [--category <category>]", Short: "Lists all services", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, _ := cmd.Flags().GetString("category")
			var only rules.Set
			if name != "" {
				c, err := rules.ParseCategory(name)
				if err != nil {
					return err
				}
				only = rules.SetOf(c)
			}
			return withCatalogue(cmd, func(cat *rules.Catalogue) error {
				return listServices(cmd.OutOrStdout(), cat, func(s *rules.Service) bool { return only == 0 || s.Categories.Intersects(only) })
			})
		},
	}
	list.Flags().StringP("category", "", "", "Only services of this category")
	show := &cobra.Command{
		Use: "show <id> [--lang <language>] [--json]", Short: "Prints all that is known of a service", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withCatalogue(cmd, func(cat *rules.Catalogue) error {
				s, ok := cat.Service(args[0])
				if !ok {
					return fmt.Errorf("unknown service %q%s", args[0], rules.DidYouMean(args[0], cat.IDs()))
				}
				lang, _ := cmd.Flags().GetString("lang")
				if !slices.Contains(rules.ProfileLanguages, lang) {
					return fmt.Errorf("unknown language %q: there are %s", lang, strings.Join(rules.ProfileLanguages, ", "))
				}
				f := serviceFacts(cat, s, lang)
				if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
					e := json.NewEncoder(cmd.OutOrStdout())
					e.SetIndent("", "  ")
					return e.Encode(f)
				}
				return showService(cmd.OutOrStdout(), f)
			})
		},
	}
	show.Flags().BoolP("json", "", false, "Print JSON")
	show.Flags().StringP("lang", "l", "en", "Language of the profile, if it has been translated: "+strings.Join(rules.ProfileLanguages, ", "))
	search := &cobra.Command{
		Use: "search <text>", Short: "Finds services by id, name, vendor, host or cookie", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.ToLower(args[0])
			return withCatalogue(cmd, func(cat *rules.Catalogue) error {
				return listServices(cmd.OutOrStdout(), cat, func(s *rules.Service) bool { return mentions(cat, s, text) })
			})
		},
	}
	lint := &cobra.Command{
		Use: "lint <file…>", Short: "Checks files in the catalogue's format", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cat, err := rules.LoadCatalogue(args...)
			if err != nil {
				return err
			}
			var errs []error
			for _, p := range cat.Lint() {
				errs = append(errs, errors.New(p))
			}
			if len(errs) > 0 {
				return errors.Join(errs...)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "nothing to complain about")
			return nil
		},
	}
	services.AddCommand(list, show, search, lint, importCommand())
	return services
}

// importCommand is `caddy consent services import`.
func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import <file> [--format <format>] [--category <category>] [--map <theirs>=<ours>] [--output <file>]",
		Short: "Turns a list that others keep into a catalogue file",
		Long: `
Reads a list from disk (- for standard input) and writes it as a catalogue
file for the option catalogue of the directive. Formats: ` + strings.Join(importer.Formats, ", ") + `;
without --format the contents tell.

Filter lists have no categories: --category names the one that all of it gets.
--map says what a word of the list's means, such as --map utility=statistics;
several with commas. Hosts and cookies of which the catalogue says the same
already are left out. What cannot be expressed is counted by reason on standard
error; --verbose lists it line by line. Mind the licence of the list.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringP("format", "f", "", "Format of the list")
	cmd.Flags().StringP("category", "", "", "Category of entries for which the list has none")
	cmd.Flags().StringSliceP("map", "m", nil, "What a category of the list's means: <theirs>=<ours>")
	cmd.Flags().StringP("output", "o", "-", "File to write; - for standard output")
	cmd.Flags().BoolP("verbose", "v", false, "List all that cannot be expressed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		get := func(name string) string { v, _ := cmd.Flags().GetString(name); return v }
		o := importer.Options{Format: get("format"), Categories: make(map[string]rules.Set)}
		if o.Format != "" && !slices.Contains(importer.Formats, o.Format) {
			return fmt.Errorf("unknown format %q%s", o.Format, rules.DidYouMean(o.Format, importer.Formats))
		}
		if name := get("category"); name != "" {
			c, err := rules.ParseCategory(name)
			if err != nil {
				return err
			}
			o.Category = rules.SetOf(c)
		}
		pairs, _ := cmd.Flags().GetStringSlice("map")
		for _, pair := range pairs {
			theirs, ours, ok := strings.Cut(pair, "=")
			if !ok {
				return fmt.Errorf("--map %q: write <theirs>=<ours>", pair)
			}
			c, err := rules.ParseCategory(ours)
			if err != nil {
				return fmt.Errorf("--map %q: %w", pair, err)
			}
			o.Categories[strings.ToLower(theirs)] |= rules.SetOf(c)
		}
		in := cmd.InOrStdin()
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		return withCatalogue(cmd, func(cat *rules.Catalogue) error {
			o.Catalogue = cat
			r, err := importer.Read(in, o)
			if err == nil {
				var own []rules.File
				files, _ := cmd.Flags().GetStringSlice("catalogue")
				if own, err = rules.ReadFiles(files...); err == nil {
					err = r.Check(own...)
				}
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			verbose, _ := cmd.Flags().GetBool("verbose")
			reportImport(cmd.ErrOrStderr(), args[0], r, verbose)
			if len(r.Services) == 0 && r.Known == 0 {
				return fmt.Errorf("%s: nothing to import", args[0])
			}
			var b bytes.Buffer
			if err := r.Write(&b, "Imported from "+filepath.Base(args[0])+" with caddy consent services import."); err != nil {
				return err
			}
			if get("output") != "-" {
				return os.WriteFile(get("output"), b.Bytes(), 0o644)
			}
			_, err = b.WriteTo(cmd.OutOrStdout())
			return err
		})
	}
	return cmd
}

// reportImport says what became of a list.
func reportImport(w io.Writer, name string, r *importer.Result, verbose bool) {
	fmt.Fprintf(w, "%d services with %d hosts, %d rules and %d cookies; %d hosts and cookies that the catalogue has already\n",
		len(r.Services), r.Hosts, r.Rules, r.Cookies, r.Known)
	type reason struct {
		why  string
		used bool
	}
	count := make(map[reason]int)
	for _, n := range r.Notes {
		if verbose {
			at := name
			if n.Line > 0 {
				at += ":" + strconv.Itoa(n.Line)
			}
			why := n.Why
			if n.More != "" {
				why += " (" + n.More + ")"
			}
			fmt.Fprintf(w, "%s: %q: %s\n", at, n.Text, why)
		}
		count[reason{n.Why, n.Used}]++
	}
	reasons := slices.SortedFunc(maps.Keys(count), func(a, b reason) int { return cmp.Or(count[b]-count[a], strings.Compare(a.why, b.why)) })
	for _, used := range []bool{true, false} {
		title := "not imported:"
		if used {
			title = "imported, but not quite:"
		}
		for _, why := range reasons {
			if why.used == used {
				if title != "" {
					fmt.Fprintln(w, title)
					title = ""
				}
				fmt.Fprintf(w, "%7d  %s\n", count[why], why.why)
			}
		}
	}
}

// withCatalogue calls f with the catalogue, the files of a configuration, and those of --catalogue.
func withCatalogue(cmd *cobra.Command, f func(*rules.Catalogue) error, configured ...string) error {
	files, _ := cmd.Flags().GetStringSlice("catalogue")
	cmd.SilenceUsage = true
	cat, err := rules.LoadCatalogue(append(configured, files...)...)
	if err != nil {
		return err
	}
	return f(cat)
}

func listServices(w io.Writer, cat *rules.Catalogue, keep func(*rules.Service) bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for _, s := range cat.Services() {
		if keep(s) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.ID, s.Categories, s.Name, s.Class)
			n++
		}
	}
	if n == 0 {
		return errors.New("no service")
	}
	return t.Flush()
}

func mentions(cat *rules.Catalogue, s *rules.Service, text string) bool {
	has := func(v string) bool { return strings.Contains(strings.ToLower(v), text) }
	if p, _ := cat.ProfileOf(s, ""); has(s.ID) || has(s.Name) || p != nil && has(p.Vendor) {
		return true
	}
	for _, h := range s.Hosts {
		if has(h.Name) || strings.HasSuffix(text, "."+h.Name) {
			return true
		}
	}
	for _, c := range s.Cookies {
		if has(c.Name) {
			return true
		}
	}
	return false
}

// facts are what `show` prints and the cookie policy lists; what is not known is left out.
type facts struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Categories []string       `json:"categories"`
	Class      string         `json:"class,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	Hosts      []string       `json:"hosts,omitempty"`
	Paths      []string       `json:"paths,omitempty"`
	Cookies    []cookieFacts  `json:"cookies,omitempty"`
	Profile    *rules.Profile `json:"profile,omitempty"`
	Language   string         `json:"language,omitempty"` // of the profile; empty for a site's own
	Source     string         `json:"source,omitempty"`
}

type cookieFacts struct {
	Name     string `json:"name"`
	Domain   string `json:"domain,omitempty"`
	Type     string `json:"type,omitempty"`
	Party    string `json:"party,omitempty"`
	Lifetime string `json:"lifetime,omitempty"`
	Purpose  string `json:"purpose,omitempty"`
}

// serviceFacts gathers them, with the profile in a language where it has been translated.
func serviceFacts(cat *rules.Catalogue, s *rules.Service, lang string) facts {
	f := facts{ID: s.ID, Name: s.Name, Categories: s.Categories.Names(), Class: s.Class, Reason: s.Reason, Source: s.Source}
	f.Profile, f.Language = cat.ProfileOf(s, lang)
	for _, h := range s.Hosts {
		f.Hosts = append(f.Hosts, h.Name)
	}
	for _, r := range s.Rules {
		p := r.Host + r.Path
		if r.Query != "" {
			p += "?" + r.Query
		}
		f.Paths = append(f.Paths, p)
	}
	for _, c := range s.Cookies {
		purpose := c.Purpose
		if f.Profile != nil {
			purpose = cmp.Or(f.Profile.Cookies[c.Name], purpose)
		}
		f.Cookies = append(f.Cookies, cookieFacts{c.Name, c.Domain, c.Type, c.Party, c.Lifetime, purpose})
	}
	return f
}

// showService prints a service for people.
func showService(w io.Writer, f facts) error {
	field := func(name string, values ...string) {
		for i, v := range values {
			if v == "" {
				continue
			}
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(w, "%-14s %s\n", name, strings.Join(wrap(v, 96), "\n"+strings.Repeat(" ", 15)))
		}
	}
	field("service", f.Name+" ("+f.ID+")")
	field("category", strings.Join(f.Categories, ", "))
	field("class", f.Class)
	field("reason", f.Reason)
	field("hosts", f.Hosts...)
	field("paths", f.Paths...)
	for i, c := range f.Cookies {
		name := "cookies"
		if i > 0 {
			name = ""
		}
		text := c.Name
		for _, v := range []string{c.Domain, c.Party, c.Type, c.Lifetime, c.Purpose} {
			if v != "" {
				text += ", " + v
			}
		}
		fmt.Fprintf(w, "%-14s %s\n", name, strings.Join(wrap(text, 96), "\n"+strings.Repeat(" ", 17)))
	}
	if p := f.Profile; p != nil {
		field("vendor", strings.TrimSuffix(p.Vendor+", "+p.Country, ", "))
		field("does", p.What)
		field("tracks", p.Tracks)
		field("data", p.Data)
		field("role", p.Role)
		field("data location", p.DataLocation)
		field("transfers", p.Transfers)
		field("legal basis", p.LegalBasis)
		field("why consent", p.WhyConsent)
		field("risk", p.Risk)
		field("regulations", p.Regulations...)
		field("DPIA", p.DPIA)
		field("to deploy", p.Deploy...)
		field("consent text", p.ConsentText)
		field("alternatives", strings.Join(p.Alternatives, ", "))
		for i, src := range p.Sources {
			name := "sources"
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(w, "%-14s %s: %s (%s)\n", name, src.Fact, src.From, src.Date)
		}
	}
	field("defined at", f.Source)
	return nil
}

// wrap cuts text into lines of up to n characters at spaces; a no-break space is none.
func wrap(text string, n int) (lines []string) {
	line := ""
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > n {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}

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
			page := rules.NewPage(from.Scheme, from.Host).At(from.RequestURI())
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
	case d.Ambiguous:
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
