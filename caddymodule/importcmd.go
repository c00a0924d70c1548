package caddymodule

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/importer"
)

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
	fmt.Fprintf(w, "services: %d, hosts: %d, rules: %d, cookies: %d; hosts and cookies that the catalogue has already: %d\n",
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
