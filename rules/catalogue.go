package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"sort"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"

	"github.com/caddy-consent/caddy-consent/rules/catalogue"
)

// Catalogue is what is known of services, compiled for look-up. It is immutable and safe for
// concurrent use.
type Catalogue struct {
	services   []*Service
	byID       map[string]*Service
	ids        []string
	essentials []Essential
	hosts      hostTable[*hostEntry]
	sitePaths  []*pathMatcher // for first-party hosts
	siteFirst  [256]bool      // the bytes after the slash with which sitePaths begin
	siteKinds  kindMask       // of the resources that sitePaths cover
	cookies    cookieTable
	version    string
	problems   []error
}

// hostEntry is what the catalogue knows of one domain. It has the size of one line of the processor's cache: most
// of what a page refers to has not been asked for in a while.
type hostEntry struct {
	verdict                 // without a service if only path rules stand here
	paths   *[]*pathMatcher // the most specific first; nil if there are none
	broad   bool            // not the service's as a whole
	cname   bool            // FlagCNAME
}

// verdict is a rule with what a decision takes from the service, so that it need not read that.
type verdict struct {
	svc  *Service // nil if there is none
	id   string   // of the service
	rule string
	cats Set
}

// DefaultCatalogue returns the embedded catalogue, compiled at the first call.
var DefaultCatalogue = sync.OnceValues(func() (*Catalogue, error) { return LoadCatalogue() })

// LoadCatalogue compiles the embedded data together with a site's own files in the same format,
// whose entries extend the embedded ones and replace those with the same id. Its error joins one
// line per problem, each with file:line.
func LoadCatalogue(files ...string) (*Catalogue, error) {
	own, err := ReadFiles(files...)
	if err != nil {
		return nil, err
	}
	return CompileCatalogue(own)
}

// CompileCatalogue is LoadCatalogue for files that have been read.
func CompileCatalogue(own []File) (*Catalogue, error) {
	c := &Catalogue{byID: make(map[string]*Service)}
	sum := sha256.New()
	names, err := fs.Glob(catalogue.Files, "services/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("loading catalogue: %w", err)
	}
	add := func(name string, data []byte, own bool) {
		fmt.Fprintf(sum, "%s %d\n", path.Base(name), len(data))
		sum.Write(data)
		e := entryReader{file: name}
		for _, s := range e.services(data) {
			if old := c.byID[s.ID]; old != nil && !own {
				c.problems = append(c.problems, fmt.Errorf("%s: service %s is defined already at %s", s.Source, s.ID, old.Source))
				continue
			}
			c.byID[s.ID] = s
		}
		c.problems = append(c.problems, e.problems...)
	}
	for _, name := range names {
		data, err := catalogue.Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("loading catalogue: %w", err)
		}
		add("catalogue/"+name, data, false)
	}
	data, err := catalogue.Files.ReadFile("essentials.yaml")
	if err != nil {
		return nil, fmt.Errorf("loading catalogue: %w", err)
	}
	e := entryReader{file: "catalogue/essentials.yaml"}
	c.essentials = e.essentials(data)
	c.problems = append(c.problems, e.problems...)
	sum.Write(data)
	for _, f := range own {
		add(f.Name, f.Data, true)
	}
	c.version = hex.EncodeToString(sum.Sum(nil))[:12]
	c.compile()
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("loading catalogue: %w", errors.Join(c.problems...))
	}
	return c, nil
}

// Version identifies the catalogue's contents: 12 hexadecimal digits.
func (c *Catalogue) Version() string { return c.version }

// Service returns the service with that id.
func (c *Catalogue) Service(id string) (*Service, bool) {
	s, ok := c.byID[id]
	return s, ok
}

// Services returns all services in the order of their ids. The caller must not change them.
func (c *Catalogue) Services() []*Service { return c.services }

// Essentials returns the cookies that are never stripped. The caller must not change them.
func (c *Catalogue) Essentials() []Essential { return c.essentials }

func (c *Catalogue) compile() {
	for id, s := range c.byID {
		c.ids = append(c.ids, id)
		c.services = append(c.services, s)
	}
	sort.Strings(c.ids)
	sort.Slice(c.services, func(i, j int) bool { return c.services[i].ID < c.services[j].ID })
	for i, s := range c.services {
		s.index = i
		c.addHosts(s)
	}
	for _, s := range c.services {
		c.addRules(s)
	}
	for _, e := range c.hosts.all() {
		if e.paths != nil {
			sortPaths(*e.paths)
		}
	}
	sortPaths(c.sitePaths)
	c.cookies.addEssentials(c.essentials)
	for _, s := range c.services {
		for i := range s.Cookies {
			c.cookies.addTracker(s, &s.Cookies[i])
		}
	}
}

func (c *Catalogue) problem(source, format string, a ...any) {
	c.problems = append(c.problems, fmt.Errorf("%s: %s", source, fmt.Sprintf(format, a...)))
}

func (c *Catalogue) addHosts(s *Service) {
	if s.Categories.Has(Necessary) && s.Reason == "" {
		c.problem(s.Source, "service %s is necessary: give the reason", s.ID)
	}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if IsPublicSuffix(h.Name) {
			c.problem(h.Source, "%s is a public suffix: name a domain below it", h.Name)
			continue
		}
		if old, ok := c.hosts.get(h.Name); ok {
			c.problem(h.Source, "host %s belongs to service %s already (%s)", h.Name, old.svc.ID, old.svc.Source)
			continue
		}
		cats := s.Categories
		if h.Categories != 0 {
			cats = h.Categories
		}
		c.hosts.set(h.Name, &hostEntry{verdict: verdict{s, s.ID, "host:" + h.Name, cats}, broad: !h.Flag.whole(), cname: h.Flag == FlagCNAME})
	}
}

// IsPublicSuffix reports whether a name is one under which anybody can have a domain.
func IsPublicSuffix(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(name)
	return suffix == name && (icann || strings.Contains(name, "."))
}

func (c *Catalogue) addRules(s *Service) {
	for i := range s.Rules {
		r := &s.Rules[i]
		m := newPathMatcher(s, r)
		if r.Host == SiteHost {
			c.sitePaths = append(c.sitePaths, m)
			if len(m.head) < 2 {
				c.problem(r.Source, "rule: a path for every site begins with a fixed word")
				continue
			}
			c.siteFirst[m.head[1]] = true
			c.siteKinds |= m.kinds
			continue
		}
		c.addPath(r.Host, m)
	}
	for _, l := range s.Loaders {
		host, p, ok := strings.Cut(l, "/")
		if norm, err := NormalizeHost(host); !ok || err != nil || norm != host {
			c.problem(s.Source, "loader %q: expected host/path", l)
			continue
		}
		c.addPath(host, newPathMatcher(s, &PathRule{Host: host, Path: "/" + p, Elements: []string{"script"}}))
	}
}

func (c *Catalogue) addPath(host string, m *pathMatcher) {
	e, ok := c.hosts.get(host)
	if !ok {
		e = &hostEntry{}
		c.hosts.set(host, e)
	}
	if e.paths == nil {
		e.paths = new([]*pathMatcher)
	}
	*e.paths = append(*e.paths, m)
}

// IDs returns the ids of all services in order. The caller must not change them.
func (c *Catalogue) IDs() []string { return c.ids }
