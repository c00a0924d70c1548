package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/caddy-consent/caddy-consent/rules"
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
