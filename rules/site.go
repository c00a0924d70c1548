package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// SiteConfig is what one site's operators set.
type SiteConfig struct {
	Unclassified        string              // block_active (or ""), block or allow
	UnclassifiedCookies string              // allow (or "") or block
	Services            map[string]string   // service id to category
	Allow               []string            // hosts, each with everything below it
	Block               map[string][]string // category to hosts
	Cookies             map[string]string   // cookie pattern to category
	Essential           []string            // cookie patterns
	FirstParty          []string            // domains, each with everything below it
	Collectors          map[string][]string // category to paths of the site that collect data, each with everything below it
	OwnCookie           string              // name of the consent cookie, "consent" if ""
}

// Words that SiteConfig takes.
var (
	UnclassifiedWords        = []string{"block_active", "block", "allow"}
	UnclassifiedCookiesWords = []string{"allow", "block"}
)

// Site is a SiteConfig compiled against a catalogue. It is immutable and safe for concurrent use.
type Site struct {
	cat          *Catalogue
	blockActive  bool // unclassified active resources are blocked
	blockPassive bool
	blockCookies bool
	firstParty   hostTable[bool]
	hosts        hostTable[*siteRule]
	cookies      cookieTable
	collectors   []*pathMatcher
	cats         []Set // of each service, by index

	recategorises bool // some of them are not the catalogue's
	own           string
	revision      string
	fingerprint   string
	plain         [All + 1]*Policy
}

// siteRule is an allow or block line of the site.
type siteRule struct {
	allow bool
	cats  Set
	rule  string
}

// NewSite checks cfg and compiles it. Its error joins one line per wrong word, with the nearest
// valid one.
func NewSite(cat *Catalogue, cfg SiteConfig) (*Site, error) {
	s := &Site{cat: cat, own: cfg.OwnCookie, cats: make([]Set, len(cat.services))}
	if s.own == "" {
		s.own = "consent"
	}
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if err := checkWord("unclassified", cfg.Unclassified, UnclassifiedWords); err != nil {
		errs = append(errs, err)
	}
	if err := checkWord("unclassified_cookies", cfg.UnclassifiedCookies, UnclassifiedCookiesWords); err != nil {
		errs = append(errs, err)
	}
	s.blockActive = cfg.Unclassified != "allow"
	s.blockPassive = cfg.Unclassified == "block"
	s.blockCookies = cfg.UnclassifiedCookies == "block"

	for i, svc := range cat.services {
		s.cats[i] = svc.Categories
	}
	for id, name := range cfg.Services {
		svc, ok := cat.byID[id]
		if !ok {
			fail("unknown service %q%s", id, DidYouMean(id, cat.ids))
			continue
		}
		c, err := ParseCategory(name)
		if err != nil {
			fail("service %s: %v", id, err)
			continue
		}
		s.cats[svc.index], s.recategorises = SetOf(c)|recategorised, true
	}
	host := func(option, name string) (string, bool) {
		h, err := NormalizeHost(strings.TrimPrefix(name, "*."))
		if err != nil {
			fail("%s: %v", option, err)
			return "", false
		}
		if IsPublicSuffix(h) {
			fail("%s: %s is a public suffix; name a domain below it", option, h)
			return "", false
		}
		return h, true
	}
	set := func(name string, r *siteRule) {
		if old, ok := s.hosts.get(name); ok && (old.allow != r.allow || old.cats != r.cats) {
			fail("%s is named by two lines that differ: %q and %q", name, old.rule, r.rule)
			return
		}
		s.hosts.set(name, r)
	}
	for _, name := range cfg.Allow {
		if h, ok := host("allow", name); ok {
			set(h, &siteRule{allow: true, rule: "site:allow " + h})
		}
	}
	for _, name := range sortedKeys(cfg.Block) {
		c, err := ParseCategory(name)
		if err == nil && c == Necessary {
			err = errors.New("necessary is never blocked; use preferences, statistics or marketing")
		}
		if err != nil {
			fail("block: %v", err)
			continue
		}
		for _, n := range cfg.Block[name] {
			if h, ok := host("block", n); ok {
				set(h, &siteRule{cats: SetOf(c), rule: "site:block " + h})
			}
		}
	}
	for _, name := range cfg.FirstParty {
		if h, ok := host("first_party", name); ok {
			s.firstParty.set(h, true)
		}
	}
	for _, name := range sortedKeys(cfg.Collectors) {
		c, err := ParseCategory(name)
		if err == nil && c == Necessary {
			err = errors.New("necessary is never blocked; use preferences, statistics or marketing")
		}
		if err != nil {
			fail("collector: %v", err)
			continue
		}
		for _, p := range cfg.Collectors[name] {
			if len(p) < 2 || p[0] != '/' || strings.ContainsAny(p, "?# \\") || strings.Contains(p, "//") || p[1] == '*' {
				fail("collector: %q is not a path below the root, such as /metrics/", p)
				continue
			}
			m := &pathMatcher{kinds: ^kindMask(0), verdict: verdict{rule: "site:collector " + p, cats: SetOf(c)}, weight: len(p)}
			m.head, m.parts = cutParts(p)
			m.start8, m.mask8 = first8(m.head)
			s.collectors = append(s.collectors, m)
		}
	}
	sortPaths(s.collectors)
	for _, p := range sortedKeys(cfg.Cookies) {
		c, err := ParseCategory(cfg.Cookies[p])
		if err == nil {
			err = checkPattern(p)
		}
		if err != nil {
			fail("cookie %s: %v", p, err)
			continue
		}
		s.cookies.add(p, cookieRule{verdict: verdict{cats: SetOf(c)}})
	}
	for _, p := range cfg.Essential {
		if err := checkPattern(p); err != nil {
			fail("essential: %v", err)
			continue
		}
		s.cookies.add(p, cookieRule{verdict: verdict{cats: SetOf(Necessary)}, essential: true})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.revision = revision(cfg)
	s.fingerprint = fmt.Sprintf("%v", cfg)
	for set := range s.plain {
		s.plain[set] = newPolicy(s, Grants{Allowed: Set(set)})
	}
	return s, nil
}

// recategorised marks a service's categories as set by the site, which beats path rules too.
const recategorised = Set(1 << 7)

func checkWord(option, word string, valid []string) error {
	if word == "" || contains(valid, word) {
		return nil
	}
	return fmt.Errorf("%s: unknown word %q%s", option, word, DidYouMean(word, valid))
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// revision hashes what the site declares to its visitors, so that only a material change of it
// asks them again.
func revision(cfg SiteConfig) string {
	h := sha256.New()
	for _, k := range sortedKeys(cfg.Services) {
		fmt.Fprintf(h, "service %s %s\n", k, cfg.Services[k])
	}
	for _, k := range sortedKeys(cfg.Block) {
		hosts := append([]string(nil), cfg.Block[k]...)
		sort.Strings(hosts)
		fmt.Fprintf(h, "block %s %s\n", k, strings.Join(hosts, " "))
	}
	for _, k := range sortedKeys(cfg.Collectors) {
		paths := append([]string(nil), cfg.Collectors[k]...)
		sort.Strings(paths)
		fmt.Fprintf(h, "collector %s %s\n", k, strings.Join(paths, " "))
	}
	return hex.EncodeToString(h.Sum(nil))[:8]
}

// Revision is the policy revision: 8 hexadecimal digits over the services and purposes that the
// site declares. Catalogue updates and traffic do not change it.
func (s *Site) Revision() string { return s.revision }

// Fingerprint changes with every setting of the site that decisions depend on.
func (s *Site) Fingerprint() string { return s.fingerprint }

// Catalogue returns the catalogue that the site was compiled against.
func (s *Site) Catalogue() *Catalogue { return s.cat }

// Grants is what a visitor allows.
type Grants struct {
	Allowed Set
	Plus    []string // service ids allowed although their category is not
	Minus   []string // service ids refused although their category is allowed
	GPC     bool     // Sec-GPC: 1, which refuses marketing whatever else is granted
}

// For returns the policy for a visitor. Policies without per-service exceptions are shared.
func (s *Site) For(g Grants) *Policy {
	if g.GPC {
		g.Allowed &^= SetOf(Marketing)
	}
	g.Allowed = g.Allowed&All | SetOf(Necessary)
	if len(g.Plus) == 0 && len(g.Minus) == 0 {
		return s.plain[g.Allowed]
	}
	return newPolicy(s, g)
}
