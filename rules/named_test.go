package rules

import (
	"slices"
	"strings"
	"testing"
)

func TestNamedHosts(t *testing.T) {
	cat, err := DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := NewSite(cat, SiteConfig{Unclassified: "block", FirstParty: []string{"static.example"}, Allow: []string{"cdn.partner.example", "partner.example"},
		Block: map[string][]string{"marketing": {"ads.example"}, "statistics": {"count.example"}}, Services: map[string]string{"youtube": "preferences", "hotjar": "necessary"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		grants      Grants
		has, hasNot []string
		complete    bool
	}{
		{"nothing granted: the site's own lines and necessary services with a line", Grants{}, []string{"static.example", "partner.example", "hotjar.com"},
			[]string{"cdn.partner.example", "ads.example", "count.example", "youtube.com", "stripe.com", "www.googletagmanager.com"}, true},
		{"an exception opens its service", Grants{Plus: []string{"youtube"}}, []string{"youtube.com"}, []string{"count.example"}, true},
		{"an exception closes its service", Grants{Minus: []string{"youtube"}}, nil, []string{"youtube.com"}, true},
		{"a category opens more than can be named", Grants{Allowed: SetOf(Statistics)}, nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts, complete := site.For(tt.grants).NamedHosts(2000)
			if complete != tt.complete {
				t.Fatalf("complete is %v: %s", complete, hosts)
			}
			for _, h := range tt.has {
				if !slices.Contains(hosts, h) {
					t.Errorf("%s is not named: %s", h, hosts)
				}
			}
			for _, h := range tt.hasNot {
				if slices.Contains(hosts, h) {
					t.Errorf("%s is named: %s", h, hosts)
				}
			}
			if !complete && len(strings.Join(hosts, "")) > 2300 {
				t.Errorf("%d hosts are gathered past the limit", len(hosts))
			}
		})
	}
}

// Whatever NamedHosts lists, Decide lets through in some form, and a line of the site beats it.
func TestNamedHostsAgreesWithDecide(t *testing.T) {
	cat, err := DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := NewSite(cat, SiteConfig{Unclassified: "block", Block: map[string][]string{"marketing": {"hotjar.com"}}, Services: map[string]string{"hotjar": "necessary", "youtube": "necessary"}})
	if err != nil {
		t.Fatal(err)
	}
	hosts, _ := site.For(Grants{}).NamedHosts(4000)
	if slices.Contains(hosts, "hotjar.com") || !slices.Contains(hosts, "youtube.com") {
		t.Errorf("the block line does not go before the service line: %s", hosts)
	}
}
