package consent

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddy-consent/caddy-consent/rules"
)

func TestRead(t *testing.T) {
	tests := []struct {
		name    string
		cookies []string
		gpc     bool
		status  Status
		allowed string
	}{
		{"no cookie", nil, false, Undecided, "necessary"},
		{"other cookies only", []string{`a=b; consentx=v1:marketing; "q"=x`}, false, Undecided, "necessary"},
		{"a refusal", []string{"a=b; consent=v1:none:1764000000:abcd1234:r1"}, false, Refused, "necessary"},
		{"two categories and nothing more", []string{"consent=v1:preferences.statistics"}, false, Partly, "preferences.statistics"},
		{"everything", []string{"consent=v1:preferences.statistics.marketing:1764000000"}, false, Accepted, "preferences.statistics.marketing"},
		{"everything with GPC", []string{"consent=v1:preferences.statistics.marketing"}, true, Partly, "preferences.statistics"},
		{"GPC alone grants nothing", nil, true, Undecided, "necessary"},
		{"an unknown version", []string{"consent=v2:marketing"}, false, Undecided, "necessary"},
		{"an unknown category", []string{"consent=v1:marketing.all"}, false, Undecided, "necessary"},
		{"a damaged time", []string{"consent=v1:marketing:soon"}, false, Undecided, "necessary"},
		{"a time with a sign", []string{"consent=v1:marketing:+5"}, false, Undecided, "necessary"},
		{"too many parts", []string{"consent=v1:marketing:1:a:b:c"}, false, Undecided, "necessary"},
		{"no allow part", []string{"consent=v1:"}, false, Undecided, "necessary"},
		{"an upper-case name is another cookie", []string{"Consent=v1:marketing"}, false, Undecided, "necessary"},
		{"two cookies: what both grant", []string{"consent=v1:preferences.marketing; consent=v1:preferences.statistics"}, false, Partly, "preferences"},
		{"two cookies in two lines, one refuses", []string{"consent=v1:marketing", "consent=v1:none"}, false, Refused, "necessary"},
		{"two cookies, one damaged", []string{"consent=v1:marketing; consent=garbage"}, false, Undecided, "necessary"},
		{"contradictory exceptions", []string{"consent=v1:+youtube.-youtube"}, false, Undecided, "necessary"},
		{"quotes and non-ASCII bytes around it", []string{"x=\"a;b\xff\"; consent=v1:statistics; y=ä"}, false, Partly, "statistics"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := Read(tt.cookies, "consent", tt.gpc)
			if st.Status != tt.status || st.Grants.Allowed.String() != tt.allowed || st.Grants.GPC != tt.gpc {
				t.Errorf("got %v %v gpc=%v, want %v %v", st.Status, st.Grants.Allowed, st.Grants.GPC, tt.status, tt.allowed)
			}
		})
	}
}

func TestExceptionsSurviveTheCookie(t *testing.T) {
	g := rules.Grants{Allowed: rules.SetOf(rules.Necessary, rules.Preferences), Plus: []string{"youtube"}, Minus: []string{"hotjar"}}
	at := time.Unix(1764000000, 0).UTC()
	v := Encode(g, at, "abcd1234", "r-1")
	if want := "v1:preferences.+youtube.-hotjar:1764000000:abcd1234:r-1"; v != want {
		t.Fatalf("got %s, want %s", v, want)
	}
	st := Read([]string{"consent=" + v}, "consent", false)
	if !reflect.DeepEqual(st.Grants, g) || !st.Time.Equal(at) || st.Revision != "abcd1234" || st.Receipt != "r-1" {
		t.Errorf("got %+v", st)
	}
}

func TestUsualCookieIsReadWithoutAllocating(t *testing.T) {
	lines := []string{"PHPSESSID=abc; _ga=GA1.1.1; consent=v1:preferences.statistics:1764000000:abcd1234:ABCDEF"}
	if n := testing.AllocsPerRun(100, func() { Read(lines, "consent", false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFilter(t *testing.T) {
	keep := func(name string) bool { return name != "_ga" && name != "_fbp" }
	for _, tt := range []struct{ name, in, want string }{
		{"nothing refused: the same bytes", `a=1;  b="x;y" ; c`, `a=1;  b="x;y" ; c`},
		{"first", "_ga=1; a=2", "a=2"},
		{"last", "a=2; _ga=1", "a=2"},
		{"all", "_ga=1;_fbp=2", ""},
		{"raw bytes stay", "a=\xff\"; _ga=1; b=%20=x", "a=\xff\"; b=%20=x"},
	} {
		if got := Filter(tt.in, keep); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("consent=v1:preferences:1764000000:abcd:ef")
	f.Add("a=b; consent=v1:+x.-y")
	f.Fuzz(func(t *testing.T, line string) {
		st := Read([]string{line}, "consent", false)
		if st.Status == Undecided {
			if st.Grants.Allowed != rules.SetOf(rules.Necessary) || st.Grants.Plus != nil {
				t.Fatalf("an unread cookie grants %v %v", st.Grants.Allowed, st.Grants.Plus)
			}
			return
		}
		again := Read([]string{"consent=" + Encode(st.Grants, st.Time, st.Revision, st.Receipt)}, "consent", false)
		if again.Grants.Allowed != st.Grants.Allowed || again.Status != st.Status {
			t.Fatalf("%q reads as %+v, but its own encoding as %+v", line, st, again)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	lines := []string{"PHPSESSID=abc; _ga=GA1.1.1; consent=v1:preferences.statistics:1764000000:abcd1234:ABCDEF"}
	b.ReportAllocs()
	for b.Loop() {
		Read(lines, "consent", false)
	}
}
