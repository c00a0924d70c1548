package consentoracle

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// checkGPP compares a sound string with what others read, and returns whether it opts out and
// whether it has a European section.
func checkGPP(t *testing.T, all, gpp *consent.Reader, s string) (out, european bool) {
	t.Helper()
	a := iabGPP(s)
	b, tc := goGPP(s)
	if !a.ok || !b.ok {
		t.Fatalf("the other decoders refuse it: %v, %v\n%s", a, b, s)
	}
	out = a.out || b.out // each knows sections that the other does not
	want := rules.SetOf(rules.Necessary) | rules.Optional
	if out {
		want &^= rules.SetOf(rules.Marketing)
	}
	// The visitor has accepted everything on the site's own banner.
	if st := all.Read([]string{"cookieconsent_status=allow; __gpp=" + s}, false); st.Grants.Allowed != want {
		t.Fatalf("allowed %s, want %s\n%s", st.Grants.Allowed, want, s)
	}
	st := gpp.Read([]string{"__gpp=" + s}, false)
	if tc == "" {
		if st.Status != consent.Undecided {
			t.Fatalf("opt-outs alone count as an answer: %s, %s\n%s", st.Status, st.Grants.Allowed, s)
		}
		return out, false
	}
	if want &= goGDPR(tc).categories(); st.Status == consent.Undecided || st.Grants.Allowed != want {
		t.Fatalf("%s, allowed %s, want %s\n%s", st.Status, st.Grants.Allowed, want, s)
	}
	return out, true
}

// A visitor who opted out under any state's law gets no marketing; the European section of the same
// string opens what it opens by itself.
func TestGPPStringsOpenWhatOthersReadInThem(t *testing.T) {
	all, gpp := reader(t, "cookieconsent"), reader(t, "gpp")
	r := rand.New(rand.NewPCG(seed, 5))
	outs, europeans := 0, 0
	for range strings20k {
		s := newGPP(r)
		if !strings.Contains(s, "~") {
			continue // no section
		}
		out, european := checkGPP(t, all, gpp, s)
		if out {
			outs++
		}
		if european {
			europeans++
		}
	}
	if outs < strings20k/10 || outs > strings20k*9/10 || europeans < strings20k/20 {
		t.Errorf("%d opt-outs and %d European sections in %d strings: the test shows little", outs, europeans, strings20k)
	}
}

func TestOptOutOfEachStateTakesMarketing(t *testing.T) {
	all, gpp := reader(t, "cookieconsent"), reader(t, "gpp")
	r := rand.New(rand.NewPCG(seed, 6))
	for id := range usLayouts {
		outs := 0
		for range 200 {
			if out, _ := checkGPP(t, all, gpp, gppString(r, []int{id}, []string{usSection(r, id)})); out {
				outs++
			}
		}
		if outs == 0 || outs == 200 {
			t.Errorf("section %d: %d of 200 opt out", id, outs)
		}
	}
}

// A damaged string opens no more than others read in it, and an opt-out that they still read counts.
func TestDamagedGPPStringsOpenNoMoreThanOthersRead(t *testing.T) {
	gpp := reader(t, "gpp")
	r := rand.New(rand.NewPCG(seed, 7))
	granted := 0
	for range strings20k {
		ids, sections := []int{2}, []string{newCore(r).String()}
		if id := 7 + r.IntN(16); r.IntN(2) == 0 {
			ids, sections = append(ids, id), append(sections, usSection(r, id))
		}
		s := damaged(r, gppString(r, ids, sections))
		st := gpp.Read([]string{"__gpp=" + s}, false)
		if st.Grants.Allowed&rules.Optional == 0 {
			continue
		}
		granted++
		o, tc := goGPP(s)
		want := goGDPR(withoutVendors(tc)).categories()
		if o.out || iabGPP(s).out {
			want &^= rules.SetOf(rules.Marketing)
		}
		if more := st.Grants.Allowed &^ want; more != 0 {
			t.Fatalf("allowed %s, others %s\n%s", st.Grants.Allowed, want, s)
		}
	}
	if granted < strings20k/10 {
		t.Errorf("only %d damaged strings granted anything: the test shows little", granted)
	}
}

func TestRecordedGPPStringsOpenWhatOthersReadInThem(t *testing.T) {
	all, gpp := reader(t, "cookieconsent"), reader(t, "gpp")
	found := 0
	for id, text := range recorded(t) {
		for _, s := range regexp.MustCompile(`\bDB[\w-]{2,}~[\w.~-]+`).FindAllString(text, -1) {
			found++
			t.Run(id, func(t *testing.T) { checkGPP(t, all, gpp, s) })
		}
	}
	if found < 3 {
		t.Errorf("%d strings found", found)
	}
}
