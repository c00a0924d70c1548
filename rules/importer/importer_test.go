package importer_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/importer"
)

func read(t *testing.T, list string, o importer.Options) *importer.Result {
	t.Helper()
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	o.Catalogue = cat
	r, err := importer.Read(strings.NewReader(list), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Services) > 1 {
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// said lists the result in short: every entry, then every note.
func said(r *importer.Result) string {
	var b strings.Builder
	for _, s := range r.Services {
		fmt.Fprintf(&b, "%s %s", s.ID, strings.Join(s.Category, "+"))
		for _, h := range s.Hosts {
			fmt.Fprintf(&b, " %s", h)
		}
		for _, u := range s.Rules {
			fmt.Fprintf(&b, " %s%s", u.Host, u.Path)
			if u.Query != "" {
				fmt.Fprintf(&b, "?%s", u.Query)
			}
			if u.Elements != nil {
				fmt.Fprintf(&b, "%v", u.Elements)
			}
		}
		for _, k := range s.Cookies {
			fmt.Fprintf(&b, " cookie:%s", k.Name)
			if k.Domain != "" {
				fmt.Fprintf(&b, "@%s", k.Domain)
			}
			if k.Enforce != nil {
				b.WriteString("(listed)")
			}
		}
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		word := "not"
		if n.Used {
			word = "wider"
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", word, n.Text, n.Why)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// TestFiltersBecomeHostsAndPaths reads each kind of line of a filter list alone.
func TestFiltersBecomeHostsAndPaths(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"||ads.vendor.example^", "vendor-example marketing ads.vendor.example"},
		{"||ads.vendor.example^$third-party", "vendor-example marketing ads.vendor.example"},
		{"||ADS.vendor.example^$3p,important", "vendor-example marketing ads.vendor.example"},
		{"||vendor-x.com", "vendor-x-com marketing vendor-x.com"},
		{"||vendor.example/", "vendor-example marketing vendor.example"},
		{"||vendor.example^*", "vendor-example marketing vendor.example"},
		{"||vendor.example^$script,image", "vendor-example marketing vendor.example/[script img]"},
		{"||vendor.example^$~script", "vendor-example marketing vendor.example/[iframe img style font media xhr]"},
		{"||vendor.example/tag.js^", "vendor-example marketing vendor.example/tag.js\nwider: ||vendor.example/tag.js^: covers what the address goes on with too: a rule is a prefix"},
		{"||vendor.example/tag.js|", "vendor-example marketing vendor.example/tag.js\nwider: ||vendor.example/tag.js|: covers what the address goes on with too: a rule is a prefix"},
		{"||vendor.example/collect/", "vendor-example marketing vendor.example/collect/"},
		{"||vendor.example/a/*/b.js", "vendor-example marketing vendor.example/a/*/b.js"},
		{"||vendor.example^*/collect/", "vendor-example marketing vendor.example*/collect/"},
		{"||vendor.example/p?id=", "vendor-example marketing vendor.example/p?id=*\nwider: ||vendor.example/p?id=: covers the parameter wherever it stands in a query, and longer paths: a rule is a prefix"},
		{"||vendor.example/p?id=G-", "vendor-example marketing vendor.example/p?id=G-*\nwider: ||vendor.example/p?id=G-: covers the parameter wherever it stands in a query, and longer paths: a rule is a prefix"},
		{"||vendor.example?id=1^", "vendor-example marketing vendor.example/?id=1\nwider: ||vendor.example?id=1^: covers the parameter wherever it stands in a query, and longer paths: a rule is a prefix"},
		{"|https://cdn.vendor.example/t.js", "vendor-example marketing cdn.vendor.example/t.js\nwider: |https://cdn.vendor.example/t.js: covers the hosts below it too"},
		{"://cdn.vendor.example/t.js", "vendor-example marketing cdn.vendor.example/t.js\nwider: ://cdn.vendor.example/t.js: covers the hosts below it too"},
		{"||vendor.example/a$b.js", "vendor-example marketing vendor.example/a$b.js"},
		{"||192.0.2.7^", "192-0-2-7 marketing 192.0.2.7"},
		{"! ||vendor.example^", ""},
		{"[Adblock Plus 2.0]", ""},
		{"||vendor.example/collect^", "vendor-example marketing vendor.example/collect\nwider: ||vendor.example/collect^: covers what the address goes on with too: a rule is a prefix"},
		{"||vendor.example/a^b.js", "vendor-example marketing vendor.example/a*b.js\nwider: ||vendor.example/a^b.js: covers any characters where the list has a separator"},
		{"||vendor.example^$ping", "vendor-example marketing vendor.example/[xhr]\nwider: ||vendor.example^$ping: covers all that scripts fetch, or all frames: we tell no finer kinds apart"},
		{"||vendor.example^$script,~ping", "vendor-example marketing vendor.example/[script]\nwider: ||vendor.example^$script,~ping: covers all that scripts fetch, or all frames: we tell no finer kinds apart"},
		{"||vendor.example/AdServer/", "vendor-example marketing vendor.example/AdServer/\nwider: ||vendor.example/AdServer/: is compared by upper and lower case here"},
		{"||vendor.example/AdServer/$match-case", "vendor-example marketing vendor.example/AdServer/"},
		{"||vendor.example/p?id=1&", "vendor-example marketing vendor.example/p?id=1\nwider: ||vendor.example/p?id=1&: covers the parameter wherever it stands in a query, and longer paths: a rule is a prefix"},
		{"||vendor.example/collect*&tid=", "not: ||vendor.example/collect*&tid=: a star that reaches into the query"},
		{"||vendor.example^$removeparam=/^utm$/", "not: ||vendor.example^$removeparam=/^utm$/: changes a request instead of blocking it, or is unknown: $removeparam"},
		{"||vendor.example^$script,domain=/^a$/", "not: ||vendor.example^$script,domain=/^a$/: holds for some pages or requests only: $domain"},
		{"||pagead2.nosuchname", "not: ||pagead2.nosuchname: names only a part of a host, or needs ^ at its end"},
		{"!#include other.txt", "not: !#include other.txt: an instruction to the reader of the list"},
		{"0.0.0.0 ads.example", "not: 0.0.0.0 ads.example: a line of a hosts file; write ||host^ instead"},
		{"@@||vendor.example^", "not: @@||vendor.example^: an exception; allow <host> in the configuration says it"},
		{"vendor.example##.ad", "not: vendor.example##.ad: hides or changes elements of a page"},
		{"/ads[0-9]+/", "not: /ads[0-9]+/: a regular expression"},
		{"/piwik.js", "not: /piwik.js: names no host"},
		{"||ads.", "not: ||ads.: names only a part of a host"},
		{"||ads*.example^", "not: ||ads*.example^: names only a part of a host"},
		{"||ads.example*", "not: ||ads.example*: names only a part of a host"},
		{"||vendor.example:8443^", "not: ||vendor.example:8443^: names a port"},
		{"||vendor.example^|", "not: ||vendor.example^|: only the host's first page"},
		{"||vendor.example^$domain=a.example", "not: ||vendor.example^$domain=a.example: holds for some pages or requests only: $domain"},
		{"||vendor.example^$~third-party", "not: ||vendor.example^$~third-party: about a site's own hosts: $~third-party"},
		{"||vendor.example^$popup", "not: ||vendor.example^$popup: not about what a page loads: $popup"},
		{"||vendor.example^$badfilter", "not: ||vendor.example^$badfilter: takes another filter back: $badfilter"},
		{"||vendor.example^$redirect=noop.js", "not: ||vendor.example^$redirect=noop.js: changes a request instead of blocking it, or is unknown: $redirect"},
		{"||vendor.example/p?a=1&b=2", "not: ||vendor.example/p?a=1&b=2: asks for several parameters"},
		{"||vendor.example/p?utm", "not: ||vendor.example/p?utm: asks for a part of a parameter's name"},
		{"||co.uk^", "not: ||co.uk^: anybody can have a host there (public suffix)"},
		{"||github.io^", "not: ||github.io^: anybody can have a host there (public suffix)"},
		{"||vendör.example^", "not: ||vendör.example^: no host name"},
	} {
		if got := said(read(t, c.line+"\n", importer.Options{Format: "abp", Category: rules.SetOf(rules.Marketing)})); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

// TestWhatTheCatalogueSaysAlreadyIsLeftOut keeps an imported file from shadowing the catalogue.
func TestWhatTheCatalogueSaysAlreadyIsLeftOut(t *testing.T) {
	r := read(t, "||hotjar.com^\n||static.hotjar.com^\n||static.hotjar.com/c/hotjar-\n||doubleclick.net^\n||vendor.example^\n||a.vendor.example^\n||vendor.example/x.js\n",
		importer.Options{Category: rules.SetOf(rules.Statistics)})
	want := "vendor-example statistics vendor.example\nnot: ||doubleclick.net^: the catalogue has the host, or a parent of it, in another category"
	if got := said(r); got != want || r.Known != 3 {
		t.Errorf("got %s (%d known)\nwant %s (3 known)", got, r.Known, want)
	}
	if more := r.Notes[0].More; more != "settle it with: service google-doubleclick-ads statistics" {
		t.Errorf("the note proposes %q", more)
	}
}

// TestNothingIsLoosened: below what the catalogue blocks, an entry of another category would win,
// being narrower.
func TestNothingIsLoosened(t *testing.T) {
	list := `{"patterns":{"a":{"name":"A","category":"comments","domains":["x.hotjar.com"],"filters":["||connect.facebook.net/x/","||doubleclick.net^$image"]},
	"b":{"name":"B","category":"consent","domains":["cm.g.doubleclick.net"],"filters":[]}}}`
	r := read(t, list, importer.Options{})
	if len(r.Services) != 0 || len(r.Notes) != 4 {
		t.Errorf("got %s", said(r))
	}
	r = read(t, database[:strings.Index(database, "\n")+1]+"1,Acme,Personalization,_fbp,,x,1 year,,,0\n", importer.Options{})
	if got, want := said(r), "not: _fbp: the catalogue has the cookie, in another category"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestFilterListWithoutACategory says what to do instead of guessing one.
func TestFilterListWithoutACategory(t *testing.T) {
	if got, want := said(read(t, "||vendor.example^\n", importer.Options{})), "not: ||vendor.example^: a filter list has no categories: name one with --category"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

const web = `[
 {"name":"Vendor","company":"Vendor Inc","categories":["ad"],"domains":["*.vendor.example","cdn.vendor.example","tag*.vendor.example"]},
 {"name":"Hotjar","categories":["analytics"],"domains":["*.hotjar.com","hj.example"]},
 {"name":"Ask","categories":["consent-provider"],"domains":["ask.example"]},
 {"name":"Help","categories":["utility"],"domains":["help.example"]}
]`

// TestThirdPartyWeb reads entities of third-party-web, with and without a word for a category that
// does not say what a service is for.
func TestThirdPartyWeb(t *testing.T) {
	want := `ask necessary ask.example
hotjar-imported statistics hj.example
vendor marketing vendor.example
not: Help: category utility does not say what it is for: map it with --map
not: tag*.vendor.example: a star inside a host name`
	if got := said(read(t, web, importer.Options{})); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	got := said(read(t, web, importer.Options{Categories: map[string]rules.Set{"utility": rules.SetOf(rules.Preferences)}}))
	if !strings.Contains(got, "help preferences help.example") {
		t.Errorf("utility was mapped, but got %s", got)
	}
}

// TestGhostery reads patterns with domains and filters of Ghostery's database.
func TestGhostery(t *testing.T) {
	list := `{"categories":{},"organizations":{"v":{"name":"Vendor Inc","country":"US"}},
	"patterns":{"vendor":{"name":"Vendor","category":"site_analytics","organization":"v","domains":["vendor.example"],"filters":["||other.example/t.js^$script","||x.example^$domain=a.example"]},
	"m":{"name":"Misc","category":"misc","domains":["misc.example"],"filters":[]}},
	"domains":{},"filters":{}}`
	want := `vendor statistics vendor.example other.example/t.js[script]
not: Misc: category misc does not say what it is for: map it with --map
wider: ||other.example/t.js^$script: covers what the address goes on with too: a rule is a prefix
not: ||x.example^$domain=a.example: holds for some pages or requests only: $domain`
	r := read(t, list, importer.Options{})
	if got := said(r); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	var b bytes.Buffer
	if err := r.Write(&b, "from a test"); err != nil || !strings.Contains(b.String(), "vendor: Vendor Inc") || !strings.HasPrefix(b.String(), "# from a test\n") {
		t.Errorf("the file lacks the organization or the head (%v):\n%s", err, b.String())
	}
}

const database = `ID,Platform,Category,Cookie / Data Key name,Domain,Description,Retention period,Data Controller,User Privacy & GDPR Rights Portals,Wildcard match
1,Vendor,Marketing,vnd_id,,"Recognises, again",1 year,Vendor,https://vendor.example,0
2,Vendor,Analytics,vnd_s_,vendor.example (3rd party),Counts,1 day,Vendor,,1
3,Vendor,Functional,vnd_lang,,Language,1 year,Vendor,,0
4,Vendor,Marketing,session,,A word of everybody's,session,Vendor,,0
5,PHP,Marketing,PHPSESSID,,Somebody called it that,session,,,0
6,Google,Analytics,_ga,,Known,2 years,Google,,0
7,Vendor,Marketing,bad name,,Damaged,1 year,,,0
`

// TestOpenCookieDatabase reads cookies: those that could be a site's own are listed and not
// enforced, and an essential one stays essential.
func TestOpenCookieDatabase(t *testing.T) {
	r := read(t, database, importer.Options{})
	want := `php marketing cookie:PHPSESSID(listed)
vendor marketing cookie:session(listed) cookie:vnd_id cookie:vnd_s_*@vendor.example
not: vnd_lang: category functional passes without an entry, or does not say what it is for: map it with --map
wider: session: listed without being enforced: its name is too generic to enforce everywhere: give it a domain, or enforce: false
wider: PHPSESSID: listed without being enforced: its name is an essential one
not: bad name: no cookie name`
	if got := said(r); got != want || r.Known != 1 {
		t.Errorf("got %s (%d known)\nwant %s (1 known)", got, r.Known, want)
	}
	var b bytes.Buffer
	if err := r.Write(&b, ""); err != nil {
		t.Fatal(err)
	}
	cat, err := rules.CompileCatalogue([]rules.File{{Name: "own.yaml", Data: b.Bytes()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, cats, ok := cat.CookieService("vnd_s_1", "vendor.example"); !ok || cats != rules.SetOf(rules.Statistics) {
		t.Errorf("vnd_s_1 is %v after the import", cats)
	}
	if _, cats, _ := cat.CookieService("PHPSESSID", ""); cats != rules.SetOf(rules.Necessary) {
		t.Errorf("PHPSESSID is %v after the import", cats)
	}
}

// TestFormatIsToldByTheContents and damaged files say where they are damaged.
func TestFormatIsToldByTheContents(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{web, ""}, {database, ""}, {"[uBlock Origin]\n||vendor.example^\n", ""}, {"\ufeff" + database, ""}, {"! title\n||vendor.example^\n", ""},
		{"[\n{\"name\": }]", "line 2: this is not the JSON of third-party-web"},
		{"{}", `"patterns" is missing`},
		{"||vendor.example^\n\xff\n", "not UTF-8"},
		{"ID,Platform,Nothing\n", "the column category is missing"},
	} {
		_, err := importer.Read(strings.NewReader(c.list), importer.Options{Category: rules.SetOf(rules.Marketing)})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.30q: error %v, want %q", c.list, err, c.want)
		}
	}
	if _, err := importer.Read(strings.NewReader(""), importer.Options{Format: "abs"}); err == nil || !strings.Contains(err.Error(), `did you mean "abp"`) {
		t.Errorf("a misspelt format: %v", err)
	}
}

// FuzzFilterList imports any bytes: what comes out compiles.
func FuzzFilterList(f *testing.F) {
	for _, s := range []string{"||a.example^\n||b.example/c?d=e&f", "||vendor.example^$script,domain=a|b\n||x.example/a^*?b=c|", "@@||a.b^\n##x\n/re/$image", "|https://u@h.example:1/p$~script,~image", "||[::1]/x\n||1.2^\n||a..b/\n||-.example/*^*"} {
		f.Add(s)
	}
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, list string) {
		if len(list) > 2000 {
			return
		}
		r, err := importer.Read(strings.NewReader(list), importer.Options{Format: "abp", Category: rules.SetOf(rules.Statistics), Catalogue: cat})
		if err != nil {
			if !strings.Contains(err.Error(), "UTF-8") {
				t.Fatal(err)
			}
			return
		}
		if len(list)%16 != 0 {
			return // compiling the whole catalogue is slow
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
