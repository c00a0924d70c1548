package rules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The embedded catalogue is what people edit: this test is its linter.
func TestCatalogueIsClean(t *testing.T) {
	cat, err := DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range cat.Lint() {
		t.Error(p)
	}
}

func TestSeedServicesHaveFullProfiles(t *testing.T) {
	cat, err := DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range strings.Fields("aircall 11sight 42chat 8x8 acquire activengage ada ringover diabolocom axialys 3cx onoff-business zoom ringcentral talkdesk") {
		s, ok := cat.Service(id)
		if !ok {
			t.Errorf("%s is not there", id)
			continue
		}
		if s.Categories != SetOf(Preferences) || len(s.Hosts) == 0 {
			t.Errorf("%s has no host, or its category is %v", id, s.Categories)
		}
		english, _ := cat.ProfileOf(s, "en")
		for _, lang := range ProfileLanguages {
			p, in := cat.ProfileOf(s, lang)
			if in != lang {
				t.Errorf("%s has no profile in %s", id, lang)
				continue
			}
			for field, v := range map[string]string{"vendor": p.Vendor, "country": p.Country, "what": p.What, "tracks": p.Tracks, "data": p.Data,
				"legal_basis": p.LegalBasis, "why_consent": p.WhyConsent, "risk": p.Risk, "dpia": p.DPIA, "consent_text": p.ConsentText} {
				if v == "" {
					t.Errorf("%s in %s: %s is empty", id, lang, field)
				}
			}
			if len(p.Regulations) != len(english.Regulations) || len(p.Alternatives) == 0 || len(p.Deploy) != len(english.Deploy) || len(p.Sources) == 0 {
				t.Errorf("%s in %s: a list is empty, or differs in length from the English", id, lang)
			}
			if lang != "en" && (p.ConsentText == english.ConsentText || p.What == english.What) {
				t.Errorf("%s in %s is in English", id, lang)
			}
			for _, c := range s.Cookies {
				if lang != "en" && c.Purpose != "" && p.Cookies[c.Name] == "" {
					t.Errorf("%s in %s: the purpose of %s is not translated", id, lang, c.Name)
				}
			}
		}
	}
}

// The hundred services that most pages use have a profile with what a privacy officer asks first.
func TestMostUsedServicesHaveProfiles(t *testing.T) {
	cat, err := DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	services := slices.Clone(cat.Services())
	slices.SortStableFunc(services, func(a, b *Service) int { return b.Pages - a.Pages })
	for _, s := range services[:100] {
		p, _ := cat.ProfileOf(s, "en")
		if p == nil {
			t.Errorf("%s, on %d pages, has no profile", s.ID, s.Pages)
			continue
		}
		if p.Vendor == "" || p.What == "" || p.Data == "" || p.LegalBasis == "" || p.WhyConsent == "" || p.Risk == "" || p.ConsentText == "" || len(p.Deploy) == 0 {
			t.Errorf("%s: a field is empty: %+v", s.ID, p)
		}
	}
}

func TestSiteCatalogueFiles(t *testing.T) {
	for _, tt := range []struct{ name, yaml, problem string }{
		{"a new service in one small entry", "- {id: my-widget, name: My Widget, category: marketing, hosts: [widget.example]}", ""},
		{"replaces an embedded one", "- {id: aircall, name: Aircall, category: statistics, hosts: [aircall.io]}", ""},
		{"an unknown key", "- {id: x1, catgory: marketing}", `x.yaml:1: unknown key "catgory", did you mean "category"?`},
		{"an unknown category", "- {id: x1, category: marketting}", `x.yaml:1: unknown category "marketting", did you mean "marketing"?`},
		{"a host that is taken", "- {id: x1, category: marketing, hosts: [hotjar.com]}", "belongs to service hotjar already"},
		{"a public suffix", "- {id: x1, category: marketing, hosts: [co.uk]}", "co.uk is a public suffix"},
		{"a URL for a host", "- {id: x1, category: marketing, hosts: ['https://x.example/']}", "is not a host name"},
		{"necessary without a reason", "- {id: x1, category: necessary, hosts: [x.example]}", "give the reason"},
		{"no id", "- {name: X}", "an entry needs an id"},
		{"a star in a host", "- {id: x1, category: marketing, hosts: ['*.x.example']}", "is not a host name"},
		{"not a list", "id: x", "a catalogue file is a list of entries"},
		{"broken YAML", "- id: a1\n\tname: x", "x.yaml:2: "},
		{"a key twice", "- {id: x1, id: x2}", "id is given twice"},
		{"a bad path", "- {id: x1, category: marketing, rules: [{host: x.example, path: x}]}", "a path begins with /"},
		{"a bad element", "- {id: x1, category: marketing, rules: [{host: x.example, path: /x, elements: [scripts]}]}", `did you mean "script"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(file, []byte(tt.yaml+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cat, err := LoadCatalogue(file)
			if tt.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
				if def, _ := DefaultCatalogue(); cat.Version() == def.Version() {
					t.Error("the version does not tell the file")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("got %v, want %s", err, tt.problem)
			}
		})
	}
}

func TestLintFindsCookiesThatWouldBreakSites(t *testing.T) {
	for _, tt := range []struct{ name, yaml, problem string }{
		{"a generic name without a domain", "- {id: x1, category: marketing, cookies: [{name: session_id}]}", "too generic"},
		{"the same with a domain", "- {id: x1, category: marketing, cookies: [{name: session_id, domain: x.example}]}", ""},
		{"an essential name", "- {id: x1, category: marketing, cookies: [{name: PHPSESSID}]}", "is an essential one"},
		{"a prefix that would strip an essential", "- {id: x1, category: marketing, cookies: [{name: 'wordpress_*'}]}", "essential"},
		{"a service with nothing in it", "- {id: x1, category: marketing}", "has no host"},
		{"an alternative that does not exist", "- {id: x1, category: marketing, hosts: [x.example], profile: {alternatives: [hotjr]}}", `did you mean "hotjar"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(file, []byte(tt.yaml+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cat, err := LoadCatalogue(file)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(cat.Lint(), "\n")
			if tt.problem == "" && got != "" || !strings.Contains(got, tt.problem) {
				t.Errorf("got %q, want %q", got, tt.problem)
			}
		})
	}
}
