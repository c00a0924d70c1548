package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

var updateDocs = flag.Bool("update-docs", false, "measure coverage in Chromium and write docs/coverage.md")

// coveragePages is how many of the saved pages the table has, evenly spread over their list. Four visits
// of each shall take less than five minutes on two busy cores.
const coveragePages = 26

// pageLimit is how long a page may load, and pageQuiet how long nothing may arrive before its visit ends.
const (
	pageLimit = 5 * time.Second
	pageQuiet = 500 * time.Millisecond
)

// pass is one way of visiting all pages.
type pass struct {
	name      string
	proxy     bool
	scripting bool
	cookie    string // value of the consent cookie
	contacts  [][]contact
}

// TestCoverage opens saved pages in Chromium, with every host of the Internet mapped to the sink,
// and counts the third parties that are contacted. It runs only with -update-docs.
func TestCoverage(t *testing.T) {
	if !*updateDocs {
		t.Skip("run with -update-docs to measure and write docs/coverage.md")
	}
	chromium(t)
	pages := coverageSample(shared.Pages(t))
	upstream := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range pages {
			if u, err := url.Parse(pages[i].URL); err == nil && r.Host == pages[i].Host && r.URL.Path == cmp.Or(u.Path, "/") {
				w.Header().Set("Content-Type", "text/html")
				w.Write(pages[i].Body)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	})
	c := startCaddy(t, "http://:8080 {\n\tconsent\n\treverse_proxy "+upstream+"\n}\n")

	passes := []*pass{
		{name: "without", scripting: true},
		{name: "undecided", proxy: true, scripting: true},
		{name: "undecided, no JavaScript", proxy: true},
		{name: "accepted", proxy: true, scripting: true, cookie: strings.TrimPrefix(everything, "consent=")},
	}
	for _, p := range passes {
		addr := upstream
		if p.proxy {
			addr = c.addr("8080")
		}
		p.visit(t, pages, startFront(t, addr))
	}

	policy := undecidedPolicy(t)
	for i, page := range pages {
		for _, x := range passes[2].contacts[i] {
			if d := decideContact(policy, page, x); d.Action == rules.Block {
				t.Errorf("%s: without JavaScript %s%s is contacted (%s)", page.File, x.Host, x.Path, d.Rule)
			}
		}
	}
	doc := coverageDoc(policy, pages, passes)
	shared.WriteSection(t, repository+"/docs/coverage.md", "contacts", doc)
}

// coverageSample takes pages of different hosts, evenly spread.
func coverageSample(all []shared.Page) (out []shared.Page) {
	var hosts []string
	var usable []shared.Page
	for _, p := range all {
		if u, err := url.Parse(p.URL); err != nil || p.Host == "" || u.Hostname() != p.Host || slices.Contains(hosts, p.Host) || !strings.Contains(string(p.Body), "<script") {
			continue
		}
		hosts = append(hosts, p.Host)
		usable = append(usable, p)
	}
	n := min(coveragePages, len(usable))
	for i := range n {
		out = append(out, usable[i*len(usable)/n])
	}
	return out
}

func (p *pass) visit(t *testing.T, pages []shared.Page, site string) {
	t.Helper()
	s := startSink(t)
	lead := make(map[string]string)
	for _, page := range pages {
		lead[page.Host] = site
	}
	b := startBrowser(t, s, lead)
	type opened struct {
		*tab
		close func()
		err   error
	}
	next := make(chan opened, 1)
	open := func() {
		x, end, err := b.openTab(p.scripting)
		next <- opened{x, end, err}
	}
	go open()
	for i, page := range pages {
		x := <-next
		if x.err != nil {
			t.Fatal("opening a tab: ", x.err)
		}
		u, _ := url.Parse(page.URL)
		u.Scheme, u.RawQuery, u.Fragment = "http", "", ""
		if p.cookie != "" {
			x.setCookie(u.String(), "consent", p.cookie)
		}
		s.reset()
		if err := x.tryOpen(u.String(), pageLimit); err != nil {
			t.Logf("%s, %s: %v", p.name, page.URL, err)
		}
		if i+1 < len(pages) {
			go open() // takes as long as this page needs to fall silent
		}
		var third []contact
		for _, y := range s.settle(pageQuiet) {
			if y.Host != "" && registrable(y.Host) != registrable(page.Host) {
				third = append(third, y)
			}
		}
		p.contacts = append(p.contacts, slices.DeleteFunc(third, func(y contact) bool {
			// A ClientHello says something new only where no request followed.
			return y.Path == "" && slices.ContainsFunc(third, func(z contact) bool { return z.Host == y.Host && z.Path != "" })
		}))
		x.close()
	}
}

// registrable is the registrable domain of a host.
func registrable(host string) string {
	if s, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return s
	}
	return host
}

var kindOfDest = map[string]rules.Kind{"script": rules.KindScript, "style": rules.KindStyle, "image": rules.KindImage, "iframe": rules.KindFrame,
	"frame": rules.KindFrame, "embed": rules.KindEmbed, "object": rules.KindEmbed, "font": rules.KindFont, "audio": rules.KindMedia,
	"video": rules.KindMedia, "track": rules.KindMedia}

// decideContact asks the policy about what the browser did.
func decideContact(p *rules.Policy, page shared.Page, x contact) rules.Decision {
	kind, ok := kindOfDest[x.Dest]
	switch {
	case x.Path == "":
		kind = rules.KindHint
	case !ok:
		kind = rules.KindFetch
	}
	return p.Decide(rules.Resource{Kind: kind, URL: "http://" + x.Host + x.Path, Page: rules.NewPage("http", page.Host)})
}

// sites counts the registrable domains among contacts.
func sites(cs []contact) int {
	seen := make(map[string]bool)
	for _, c := range cs {
		seen[registrable(c.Host)] = true
	}
	return len(seen)
}

// escaped is a service that was contacted though nothing was decided.
type escaped struct {
	name, category, why string
	pages               map[string]bool
}

func coverageDoc(policy *rules.Policy, pages []shared.Page, passes []*pass) string {
	var b strings.Builder
	without, undecided, noScript, accepted := passes[0], passes[1], passes[2], passes[3]
	total := func(p *pass) (n int) {
		for _, cs := range p.contacts {
			n += sites(cs)
		}
		return n
	}
	fmt.Fprintf(&b, `%d saved pages of real sites (2009 to 2026, one a host) were opened in headless Chromium, with every host name of the Internet mapped to
a server on loopback that answers with empty resources. A third party is a registrable domain other than the page's own. Made by
`+"`go test ./internal/e2e -run TestCoverage -update-docs`"+`, which needs the shared test material.

What this can and cannot show: the pages' own scripts that stand in the HTML run; files of scripts, first-party bundles included, were
not saved with the pages and are empty here. So on the live sites bundles will contact more at run time than is counted below.

| | third parties contacted, all pages | pages that contact none |
|---|---:|---:|
`, len(pages))
	for _, r := range []struct {
		name string
		p    *pass
	}{{"without the proxy", without}, {"with it, undecided", undecided}, {"with it, undecided, JavaScript off", noScript}, {"with it, all accepted", accepted}} {
		none := 0
		for _, cs := range r.p.contacts {
			if len(cs) == 0 {
				none++
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d |\n", r.name, total(r.p), none)
	}

	out := make(map[string]*escaped)
	for i, cs := range undecided.contacts {
		for _, x := range cs {
			d := decideContact(policy, pages[i], x)
			name, why := d.Service, "necessary by its rule"
			switch {
			case d.Action == rules.Block:
				why = "**run time**: a script of the page itself asked for it"
			case d.Unclassified:
				why = "no rule knows it; passive resources pass by default (`unclassified block` stops them)"
			case d.Categories == 0:
				why = "no rule asks for consent"
			}
			if name == "" {
				name = registrable(x.Host)
			}
			e := out[name+why]
			if e == nil {
				e = &escaped{name: name, category: d.Categories.String(), why: why, pages: map[string]bool{}}
				out[name+why] = e
			}
			e.pages[pages[i].Host] = true
		}
	}
	list := slices.SortedFunc(maps.Values(out), func(x, y *escaped) int {
		return cmp.Or(strings.Compare(x.why, y.why), cmp.Compare(len(y.pages), len(x.pages)), strings.Compare(x.name, y.name))
	})
	b.WriteString("\n### What still gets out while undecided\n\n| service or domain | category | pages | why |\n|---|---|---:|---|\n")
	for _, e := range list {
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", e.name, e.category, len(e.pages), e.why)
	}
	if len(list) == 0 {
		b.WriteString("| (nothing) | | | |\n")
	}

	b.WriteString("\n### Page by page\n\n| page | without | undecided | undecided, no JavaScript | all accepted |\n|---|---:|---:|---:|---:|\n")
	for i, p := range pages {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", p.Host, sites(without.contacts[i]), sites(undecided.contacts[i]), sites(noScript.contacts[i]), sites(accepted.contacts[i]))
	}
	return b.String()
}
