package consent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// byProduct are the ids under which the recorded values name their managers, where they differ.
var byProduct = map[string]string{
	"google-fundingchoices": "funding-choices", "iab-tcf": "tcf", "osano-cookieconsent3": "cookieconsent", "orestbida": "vanilla-cookieconsent",
	"cookie-script": "cookiescript", "osano-cm": "osano", "iab-usp": "us-privacy", "iab-gpp": "gpp", "drupal-eucc": "drupal",
	"cookiebot-lookalike": "cookiebot", "cookieconsent_status-lookalike": "cookieconsent",
}

// Recorded values of every manager say what its visitors chose.
func TestRecordedValues(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(shared.Dir(t), "formats", "consent-cookie-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		ID       string            `json:"id"`
		Product  string            `json:"cmp"`
		Cookie   string            `json:"cookie_name"`
		Value    string            `json:"raw_value"`
		Header   string            `json:"cookie_header"`
		Expected map[string]bool   `json:"expected"`
		Decided  bool              `json:"decided"`
		Implied  bool              `json:"implied"`
		Map      map[string]string `json:"map"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			line := v.Header
			if line == "" {
				line = v.Cookie + "=" + v.Value
			}
			gpc := v.Product == "gpc"
			src := Source{Manager: v.Product, Implied: v.Implied}
			if id := byProduct[v.Product]; id != "" {
				src.Manager = id
			}
			for name, c := range v.Map {
				cat, err := rules.ParseCategory(c)
				if err != nil {
					t.Fatal(err)
				}
				if src.Map == nil {
					src.Map = make(map[string]rules.Category)
				}
				src.Map[name] = cat
			}
			if gpc {
				if st := Read([]string{"consent=v1:preferences.marketing"}, "consent", true); st.Grants.Allowed.Has(rules.Marketing) {
					t.Error("marketing is granted all the same")
				}
				return
			}
			r, err := NewReader(Options{Own: "consent", Read: []Source{src}})
			if err != nil {
				t.Fatal(err)
			}
			st := r.Read([]string{line}, false)
			if v.Expected == nil {
				if st.Status != Undecided {
					t.Errorf("%v, want no answer", st.Grants.Allowed)
				}
				return
			}
			want := rules.SetOf(rules.Necessary)
			for name, on := range v.Expected {
				if c, _ := rules.ParseCategory(name); on {
					want |= rules.SetOf(c)
				}
			}
			if st.Grants.Allowed != want || (st.Status != Undecided) != v.Decided && !(v.Product == "cookieyes" && v.Implied) {
				t.Errorf("%s, allows %s; want decided %v, %s\n%s", st.Status, st.Grants.Allowed, v.Decided, want, line)
			}
			if v.Implied && st.Status != Undecided {
				src.Implied = false
				r, _ := NewReader(Options{Own: "consent", Read: []Source{src}})
				if st := r.Read([]string{line}, false); st.Status != Undecided {
					t.Errorf("what a region's rule grants counts as an answer")
				}
			}
		})
	}
}
