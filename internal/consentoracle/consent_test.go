package consentoracle

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

const (
	strings20k = 20_000
	seed       = 2026
)

func reader(t *testing.T, manager string) *consent.Reader {
	t.Helper()
	r, err := consent.NewReader(consent.Options{Own: "consent", Read: []consent.Source{{Manager: manager}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A visitor's TC string opens the same with us as with whoever else reads it.
func TestTCStringsOpenWhatOthersReadInThem(t *testing.T) {
	tcf := reader(t, "tcf")
	r := rand.New(rand.NewPCG(seed, 1))
	names := []string{"euconsent-v2", "eupubconsent-v2", "CookieControlTC"}
	seen := make(map[rules.Set]int)
	for i := range strings20k {
		c := newCore(r)
		s := c.String()
		a := goGDPR(s)
		b, err := iab(s)
		if !a.ok || err != nil || a != b || a.purposes != c.consent {
			t.Fatalf("the other decoders read %+v and %+v (%v), written was %b\n%s", a, b, err, c.consent, s)
		}
		st := tcf.Read([]string{names[i%len(names)] + "=" + s}, false)
		if st.Status == consent.Undecided || st.Grants.Allowed != a.categories() {
			t.Fatalf("%s, allowed %s, want %s: purposes %b\n%s", st.Status, st.Grants.Allowed, a.categories(), a.purposes, s)
		}
		seen[st.Grants.Allowed]++
	}
	if len(seen) != 8 {
		t.Errorf("not every combination of categories was met: %v", seen)
	}
}

func TestLegitimateInterestOpensNothing(t *testing.T) {
	tcf := reader(t, "tcf")
	r := rand.New(rand.NewPCG(seed, 2))
	for range strings20k / 10 {
		c := newCore(r)
		c.interest = 0
		with := c
		with.interest = allPurposes
		// iabconsent refuses interests in purposes 3 to 6 from version 2.2 on. The specification has them
		// written as zeros and calls no string invalid for them; we read consent alone, as go-gdpr does.
		if a := goGDPR(with.String()); !a.ok || a.purposes != c.consent {
			t.Fatalf("go-gdpr reads %+v in %s", a, with)
		}
		a := tcf.Read([]string{"euconsent-v2=" + c.String()}, false)
		b := tcf.Read([]string{"euconsent-v2=" + with.String()}, false)
		if a.Grants.Allowed != b.Grants.Allowed || a.Status != b.Status {
			t.Fatalf("with interests %s, without %s", b.Grants.Allowed, a.Grants.Allowed)
		}
		with.consent = 0
		if st := tcf.Read([]string{"euconsent-v2=" + with.String()}, false); st.Status != consent.Refused {
			t.Fatalf("interests alone: %s, %s", st.Status, st.Grants.Allowed)
		}
	}
}

// A string that arrives damaged never opens more than others read in what is left of it.
func TestDamagedTCStringsOpenNoMoreThanOthersRead(t *testing.T) {
	tcf := reader(t, "tcf")
	r := rand.New(rand.NewPCG(seed, 3))
	granted := 0
	for range strings20k {
		s := damaged(r, newCore(r).String())
		st := tcf.Read([]string{"euconsent-v2=" + s}, false)
		if st.Grants.Allowed&rules.Optional == 0 {
			continue
		}
		granted++
		// Ours does without the vendors, which the others want to see to the end: a cookie that is cut
		// there still has all that the visitor chose. So they read it without.
		plain := withoutVendors(s)
		a := goGDPR(plain)
		b, _ := iab(plain)
		if more := st.Grants.Allowed &^ (a.categories() & b.categories()); more != 0 {
			t.Fatalf("allowed %s, others %s and %s\n%s", st.Grants.Allowed, a.categories(), b.categories(), s)
		}
	}
	if granted < strings20k/10 {
		t.Errorf("only %d damaged strings granted anything: the test shows little", granted)
	}
}

func TestTCStringsOfOtherVersionsAreNoAnswer(t *testing.T) {
	tcf := reader(t, "tcf")
	r := rand.New(rand.NewPCG(seed, 4))
	for version := range 64 {
		for range 20 {
			c := newCore(r)
			if c.version = version; version == 2 {
				c.list = 0 // there is no vendor list of that number; go-gdpr refuses it too
			}
			s := c.String()
			if st := tcf.Read([]string{"euconsent-v2=" + s}, false); st.Status != consent.Undecided {
				t.Fatalf("version %d, vendor list %d: %s, %s", version, c.list, st.Status, st.Grants.Allowed)
			}
			if a := goGDPR(s); a.ok {
				t.Fatalf("go-gdpr reads version %d, vendor list %d", version, c.list)
			}
		}
	}
}

// What visitors of real sites were seen to send is read as others read it.
func TestRecordedTCStringsOpenWhatOthersReadInThem(t *testing.T) {
	tcf := reader(t, "tcf")
	found := 0
	for id, text := range recorded(t) {
		for _, s := range regexp.MustCompile(`\bC[\w-]{28,}[\w.-]*`).FindAllString(text, -1) {
			a := goGDPR(s)
			b, err := iab(s)
			if !a.ok && !b.ok {
				continue // a word of another record
			}
			found++
			st := tcf.Read([]string{"euconsent-v2=" + s}, false)
			if a != b || err != nil || st.Status == consent.Undecided || st.Grants.Allowed != a.categories() {
				t.Errorf("%s: %s, allowed %s; others %s and %s (%v)\n%s", id, st.Status, st.Grants.Allowed, a.categories(), b.categories(), err, s)
			}
		}
	}
	if found < 25 {
		t.Errorf("%d strings found", found)
	}
}

// recorded returns the recorded values of all consent managers, by their ids.
func recorded(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared.Dir(t), "formats", "consent-cookie-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		ID     string `json:"id"`
		Value  string `json:"raw_value"`
		Header string `json:"cookie_header"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, v := range vectors {
		text := v.Value + " " + v.Header
		if u, err := url.PathUnescape(text); err == nil {
			text = u
		}
		texts[v.ID] = text
	}
	return texts
}
