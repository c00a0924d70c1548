package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// thirdPartiesBlocked is the policy that blocks what no rule knows, the passive kinds too.
func thirdPartiesBlocked(t testing.TB, granted rules.Set) *rules.Policy {
	t.Helper()
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := rules.NewSite(cat, rules.SiteConfig{Unclassified: "block"})
	if err != nil {
		t.Fatal(err)
	}
	return site.For(rules.Grants{Allowed: granted})
}

// rewritten returns what becomes of doc, and the rules by which something in it was ambiguous.
func rewritten(t testing.TB, p *rules.Policy, page *rules.Page, doc []byte) (out []byte, ambiguous []string) {
	t.Helper()
	var b bytes.Buffer
	r := rewriter.New(&b, rewriter.Options{Policy: p, Page: page, Report: func(res rules.Resource, d rules.Decision) {
		if d.Ambiguous() {
			ambiguous = append(ambiguous, strings.Clone(fmt.Sprintf("%s %s %.80q", d.Rule, res.Kind, res.URL)))
		}
	}})
	if _, err := r.Write(doc); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), ambiguous
}

// findings are what a test of many documents reports: the first lines of each kind, and a file
// where CONSENT_VECTORS_REPORT names a folder.
type findings struct {
	t     testing.TB
	name  string
	lines map[string][]string
}

func newFindings(t testing.TB, name string) *findings {
	f := &findings{t, name, make(map[string][]string)}
	t.Cleanup(f.write)
	return f
}

func (f *findings) add(kind, format string, a ...any) {
	f.lines[kind] = append(f.lines[kind], fmt.Sprintf(format, a...))
}

func (f *findings) write() {
	f.t.Helper()
	var all strings.Builder
	for _, kind := range sortedKeys(f.lines) {
		lines := f.lines[kind]
		f.t.Errorf("%s: %d\n\t%s", kind, len(lines), strings.Join(lines[:min(20, len(lines))], "\n\t"))
		fmt.Fprintf(&all, "%s: %d\n\t%s\n", kind, len(lines), strings.Join(lines, "\n\t"))
	}
	if dir := os.Getenv("CONSENT_VECTORS_REPORT"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "suites-"+f.name+".txt"), []byte(all.String()), 0o644); err != nil {
			f.t.Error(err)
		}
	}
}

// On the saved pages nothing is left from which a browser would fetch, nothing is ambiguous, and
// what is all allowed is not touched.
func TestSavedPagesLeaveNothing(t *testing.T) {
	blocked, allowed := thirdPartiesBlocked(t, rules.SetOf(rules.Necessary)), thirdPartiesBlocked(t, rules.All)
	pages := shared.Pages(t)
	f := newFindings(t, "pages")
	unparsed := 0
	for _, p := range pages {
		page := rules.NewPage("https", p.Host)
		out, ambiguous := rewritten(t, blocked, page, p.Body)
		for _, a := range ambiguous {
			f.add("ambiguous", "%s: %s", p.File, a)
		}
		for _, l := range oracle.Fetchable(out, blocked, page) {
			f.add("left", "%s: %.300s", p.File, l)
		}
		if oracle.Unparsed(out) {
			unparsed++
		}
		if out, _ := rewritten(t, allowed, page, p.Body); !bytes.Equal(out, p.Body) {
			f.add("changed though all is allowed", "%s: %s", p.File, difference(out, p.Body))
		}
	}
	t.Logf("%d pages, %d of them too deep for the parser", len(pages), unparsed)
}

const probe = `<img src=//tracker.test/probe>`

// The public suites' documents, each as it is and with an image of a third party put before each
// of the first tags, leave nothing from which a browser would fetch.
func TestSuitesLeaveNothing(t *testing.T) {
	blocked, allowed := thirdPartiesBlocked(t, rules.SetOf(rules.Necessary)), thirdPartiesBlocked(t, rules.All)
	page := rules.NewPage("http", "site.test")
	docs := shared.Documents(t)
	f := newFindings(t, "documents")
	n, unparsed := 0, 0
	for _, name := range sortedKeys(docs) {
		doc := docs[name]
		if oracle.Unparsed([]byte(doc)) {
			unparsed++
		}
		if again, _ := rewritten(t, allowed, page, []byte(doc)); string(again) != doc {
			f.add("changed though all is allowed", "%s: %s", name, difference(again, []byte(doc)))
		}
		for _, text := range append([]string{doc}, probed(name, doc)...) {
			n++
			out, _ := rewritten(t, blocked, page, []byte(text))
			for _, u := range []struct {
				prefix string
				order  unicode.Endianness
			}{
				{"\xff\xfe", unicode.LittleEndian}, {"<\x00?\x00x\x00", unicode.LittleEndian},
				{"\xfe\xff", unicode.BigEndian}, {"\x00<\x00?\x00x", unicode.BigEndian},
			} {
				if strings.HasPrefix(text, u.prefix) {
					var err error
					if out, err = unicode.UTF16(u.order, unicode.UseBOM).NewDecoder().Bytes(out); err != nil {
						t.Fatal(err)
					}
					break
				}
			}
			left := oracle.Fetchable(out, blocked, page)
			slices.Sort(left)
			for _, l := range slices.Compact(left) {
				f.add("left", "%s: %.200s\n\t\tin  %.400q\n\t\tout %.600q", name, l, text, out)
			}
		}
	}
	t.Logf("%d suite documents, %d with what was made of them, %d too deep for the parser", len(docs), n, unparsed)
}

// probed returns the document with probes at its end, and of a test of tree construction also with
// one before each of its first tags.
func probed(name, doc string) (out []string) {
	if len(doc) > 4<<10 {
		return nil
	}
	for i := 0; i < len(doc) && len(out) < 6 && strings.HasPrefix(name, "html5lib"); i++ {
		if doc[i] == '<' {
			out = append(out, doc[:i]+probe+doc[i:])
		}
	}
	return append(out, doc+probe+`<style>@import "//tracker.test/x.css";</style><svg><image href=//tracker.test/i />`)
}
