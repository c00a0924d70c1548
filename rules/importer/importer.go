// Package importer turns lists that others keep into catalogue files: filter lists in Adblock Plus
// syntax, third-party-web's entities, the Open Cookie Database and Ghostery's tracker database.
// What the catalogue's format cannot express is reported line by line, never guessed.
package importer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/publicsuffix"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Formats are the names of what Read understands.
var Formats = []string{"abp", "third-party-web", "open-cookie-database", "ghostery"}

// Options say how a list is read.
type Options struct {
	Format     string               // one of Formats; empty: told by the contents
	Category   rules.Set            // of entries that have no category, as in filter lists; 0: such entries are reported
	Categories map[string]rules.Set // their word for a category, in lower case, to ours; before the built-in ones
	Catalogue  *rules.Catalogue     // what is known already
}

// Result is a list in the catalogue's terms.
type Result struct {
	Services              []*Service // in the order of their ids
	Hosts, Rules, Cookies int
	Known                 int // hosts and cookies of which the catalogue says the same already
	Notes                 []Note
}

// Note is something that the catalogue's format does not say, or not so.
type Note struct {
	Line int // from 1; 0 in formats without lines
	Text string
	Why  string
	More string // what is particular to this entry, such as the service that it meets
	Used bool   // it was taken, with the difference that Why names
}

// Service is an entry as it is written.
type Service struct {
	ID       string   `yaml:"id"`
	Name     string   `yaml:"name"`
	Category []string `yaml:"category,flow"`
	Class    string   `yaml:"class,omitempty"`
	Reason   string   `yaml:"reason,omitempty"`
	Hosts    []string `yaml:"hosts,flow,omitempty"`
	Rules    []Rule   `yaml:"rules,omitempty"`
	Cookies  []Cookie `yaml:"cookies,omitempty"`
	Profile  *profile `yaml:"profile,omitempty"`
}

// Rule is a path rule as it is written.
type Rule struct {
	Host     string   `yaml:"host"`
	Path     string   `yaml:"path"`
	Query    string   `yaml:"query,omitempty"`
	Elements []string `yaml:"elements,flow,omitempty"`
}

// Cookie is a cookie as it is written.
type Cookie struct {
	Name     string   `yaml:"name"`
	Domain   string   `yaml:"domain,omitempty"`
	Category []string `yaml:"category,flow,omitempty"`
	Lifetime string   `yaml:"lifetime,omitempty"`
	Party    string   `yaml:"party,omitempty"`
	Purpose  string   `yaml:"purpose,omitempty"`
	Enforce  *bool    `yaml:"enforce,omitempty"`
}

type profile struct {
	Vendor  string `yaml:"vendor,omitempty"`
	Country string `yaml:"country,omitempty"`
}

// maxSize bounds a list, in bytes.
const maxSize = 256 << 20

// Read reads a list. Its error is about the list as a whole: an unknown format, damaged JSON or
// CSV; what a single entry lacks is a note.
func Read(r io.Reader, o Options) (*Result, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxSize:
		return nil, fmt.Errorf("the list is larger than %d MiB", maxSize>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, errors.New("the list is not UTF-8; convert it first")
	}
	c := collector{Options: o, services: make(map[string]*entry), ids: make(map[string]bool), result: new(Result)}
	switch cmp.Or(o.Format, detect(data)) {
	case "abp":
		c.filterList(string(data))
	case "third-party-web":
		err = c.thirdPartyWeb(data)
	case "open-cookie-database":
		err = c.cookieDatabase(data)
	case "ghostery":
		err = c.ghostery(data)
	default:
		return nil, fmt.Errorf("unknown format %q%s", o.Format, rules.DidYouMean(o.Format, Formats))
	}
	if err != nil {
		return nil, err
	}
	return c.finish(), nil
}

// detect tells the format by the contents; a filter list is what is nothing else.
func detect(data []byte) string {
	head := bytes.TrimSpace(data[:min(len(data), 4096)])
	switch {
	case bytes.HasPrefix(head, []byte("[")) && len(bytes.TrimSpace(head[1:])) > 0 && bytes.ContainsAny(bytes.TrimSpace(head[1:])[:1], "{]"):
		return "third-party-web"
	case bytes.HasPrefix(head, []byte("{")):
		return "ghostery"
	case bytes.HasPrefix(bytes.ToLower(head), []byte("id,platform,")):
		return "open-cookie-database"
	}
	return "abp"
}

// entry is a service while its parts are collected.
type entry struct {
	Service
	categories rules.Set
	hosts      map[string]bool
	rules      map[string]bool
	cookies    map[string]bool
}

type collector struct {
	Options
	services map[string]*entry // by the list's own key
	ids      map[string]bool
	result   *Result
}

func (c *collector) note(line int, text, why string) {
	c.result.Notes = append(c.result.Notes, Note{Line: line, Text: text, Why: why})
}

// wider notes an entry that was taken and says something else than the list.
func (c *collector) wider(line int, text, why string) {
	c.result.Notes = append(c.result.Notes, Note{Line: line, Text: text, Why: why, Used: true})
}

// necessaryReason is what the catalogue's format asks for, in words that say who claims it.
const necessaryReason = "the imported list counts it as needed"

// service returns the entry of the list's key, made with that name and category at its first use.
func (c *collector) service(key, name, class string, categories rules.Set) *entry {
	if e := c.services[key]; e != nil {
		return e
	}
	e := &entry{categories: categories, hosts: make(map[string]bool), rules: make(map[string]bool), cookies: make(map[string]bool)}
	e.ID, e.Name, e.Class, e.Category = c.id(name), name, class, categories.Names()
	if categories.Has(rules.Necessary) {
		e.Reason = necessaryReason
	}
	c.services[key] = e
	return e
}

// id makes an id of a name that neither the list nor the catalogue has: an entry with the id of
// the catalogue's would replace all of it.
func (c *collector) id(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	base := cmp.Or(strings.Trim(b.String(), "-"), "service")
	taken := func(id string) bool {
		if c.Catalogue != nil {
			if _, ok := c.Catalogue.Service(id); ok {
				return true
			}
		}
		return c.ids[id]
	}
	id := base
	if taken(id) {
		base += "-imported"
		id = base
	}
	for n := 2; taken(id); n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	c.ids[id] = true
	return id
}

// hostProblem says why a host cannot stand in a catalogue, or nothing.
func hostProblem(host string) string {
	switch norm, err := rules.NormalizeHost(host); {
	case err != nil || norm != strings.ToLower(host):
		return "no host name"
	case rules.IsPublicSuffix(norm):
		return "anybody can have a host there (public suffix)"
	}
	return ""
}

const (
	otherCategory       = "the catalogue has the host, or a parent of it, in another category"
	otherCategoryCookie = "the catalogue has the cookie, in another category"
)

// host adds a host to a service, unless the catalogue says the same.
func (c *collector) host(e *entry, host string, line int, text string) {
	host = strings.ToLower(host)
	if why := hostProblem(host); why != "" {
		c.note(line, text, why)
		return
	}
	if !c.settled(host, e.categories, line, text) {
		e.hosts[host] = true
	}
}

// settled reports whether the catalogue speaks of a host, or of a parent of it, already. Where it
// says something else that is noted: an imported entry, being narrower, would win over it.
func (c *collector) settled(host string, categories rules.Set, line int, text string) bool {
	if c.Catalogue == nil {
		return false
	}
	s, cats, ok := c.Catalogue.HostService(host)
	if !ok {
		if s, ok = c.Catalogue.HasHost(host); !ok {
			return false
		}
	}
	if cats == categories {
		c.result.Known++
		return true
	}
	c.result.Notes = append(c.result.Notes, Note{Line: line, Text: text, Why: otherCategory,
		More: "settle it with: service " + s.ID + " " + categories.Names()[0]})
	return true
}

func (c *collector) rule(e *entry, r Rule, line int, text string) {
	r.Host = strings.ToLower(r.Host)
	if why := hostProblem(r.Host); why != "" && !strings.HasPrefix(why, "anybody") {
		c.note(line, text, why)
		return
	}
	key := r.Host + " " + r.Path + " " + r.Query + " " + strings.Join(r.Elements, ",")
	if !e.rules[key] {
		e.rules[key] = true
		e.Rules = append(e.Rules, r)
	}
}

func (c *collector) cookie(e *entry, k Cookie, categories rules.Set, line int) {
	if k.Name == "" || strings.ContainsAny(k.Name, "=;, \t\r\n\"") || strings.Trim(k.Name, "*") == "" {
		c.note(line, k.Name, "no cookie name")
		return
	}
	if c.Catalogue != nil {
		switch s, cats, ok := c.Catalogue.CookieService(strings.TrimSuffix(k.Name, "*"), k.Domain); {
		case ok && cats == categories:
			c.result.Known++
			return
		case ok && s != nil:
			c.result.Notes = append(c.result.Notes, Note{Line: line, Text: k.Name, Why: otherCategoryCookie, More: "settle it with: cookie " + k.Name + " " + categories.Names()[0]})
			return
		}
		if why := c.Catalogue.LintCookie(&rules.Cookie{Name: k.Name, Domain: k.Domain}); why != "" {
			k.Enforce = new(bool)
			c.wider(line, k.Name, "listed without being enforced: its name "+why)
		}
	}
	if categories != e.categories {
		k.Category = categories.Names()
	}
	if key := k.Name + " " + k.Domain; !e.cookies[key] {
		e.cookies[key] = true
		e.Cookies = append(e.Cookies, k)
	}
}

// category finds ours for a word of theirs.
func (c *collector) category(theirs string, builtin map[string]rules.Set) (rules.Set, bool) {
	word := strings.ToLower(strings.TrimSpace(theirs))
	if s, ok := c.Categories[word]; ok {
		return s, s != 0
	}
	if s, ok := builtin[word]; ok {
		return s, true
	}
	return c.Category, c.Category != 0
}

// finish sorts what was collected.
func (c *collector) finish() *Result {
	owner := make(map[string]*entry)
	entries := make([]*entry, 0, len(c.services))
	for _, e := range c.services {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int { return strings.Compare(a.ID, b.ID) })
	for _, e := range entries {
		for h := range e.hosts {
			if first := owner[h]; first != nil {
				c.result.Notes = append(c.result.Notes, Note{Text: h, Why: "two services of the list have it; the first keeps it", More: first.ID})
				delete(e.hosts, h)
				continue
			}
			owner[h] = e
		}
	}
	for _, e := range entries {
		for h := range e.hosts {
			if !covered(h, owner, e.categories) {
				e.Hosts = append(e.Hosts, h)
			}
		}
		slices.Sort(e.Hosts)
		slices.SortFunc(e.Rules, func(a, b Rule) int {
			return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Path, b.Path), strings.Compare(a.Query, b.Query))
		})
		e.Rules = slices.DeleteFunc(e.Rules, func(r Rule) bool { return owner[r.Host] == e || covered(r.Host, owner, e.categories) })
		slices.SortFunc(e.Cookies, func(a, b Cookie) int { return strings.Compare(a.Name, b.Name) })
		if len(e.Hosts)+len(e.Rules)+len(e.Cookies) == 0 {
			continue
		}
		c.result.Services = append(c.result.Services, &e.Service)
		c.result.Hosts += len(e.Hosts)
		c.result.Rules += len(e.Rules)
		c.result.Cookies += len(e.Cookies)
	}
	slices.SortStableFunc(c.result.Notes, func(a, b Note) int { return cmp.Or(a.Line-b.Line, strings.Compare(a.Text, b.Text)) })
	return c.result
}

// Check lets the catalogue's own reader judge the entries, together with the embedded catalogue and
// own files.
func (r *Result) Check(own ...rules.File) error {
	var b bytes.Buffer
	if err := r.Write(&b, ""); err != nil {
		return err
	}
	if _, err := rules.CompileCatalogue(append(slices.Clone(own), rules.File{Name: "import", Data: b.Bytes()})); err != nil {
		return fmt.Errorf("what was imported does not compile: %w", err)
	}
	return nil
}

// covered reports whether a parent of a host stands in the list for the same categories.
func covered(host string, owner map[string]*entry, categories rules.Set) bool {
	for {
		_, parent, ok := strings.Cut(host, ".")
		if !ok {
			return false
		}
		if e := owner[parent]; e != nil {
			return e.categories == categories
		}
		host = parent
	}
}

// Write writes the entries as a catalogue file; head, if not empty, becomes a comment above them.
func (r *Result) Write(w io.Writer, head string) error {
	if head != "" {
		if _, err := fmt.Fprintf(w, "# %s\n", strings.ReplaceAll(strings.TrimSpace(head), "\n", "\n# ")); err != nil {
			return err
		}
	}
	if len(r.Services) == 0 {
		return nil
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(r.Services); err != nil {
		return err
	}
	return e.Close()
}

// registrable returns the domain that a host's entries are grouped under: the registrable one.
func registrable(host string) string {
	if d, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(host)); err == nil {
		return d
	}
	return strings.ToLower(host)
}
