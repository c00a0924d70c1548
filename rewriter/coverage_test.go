package rewriter

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/publicsuffix"

	"github.com/caddy-consent/caddy-consent/internal/oracle"
	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

var updateDocs = flag.Bool("update-docs", false, "write what the catalogue knows of the saved pages to docs/coverage.md")

const (
	coverageFile = "../docs/coverage.md"
	coveragePart = "known services"

	// wantKnown is the share in percent that must be known of what pages since 2018 refer to.
	wantKnown = 95
)

// An occurrence is a reference of a page to a host that is not below its registrable domain.
type occurrence struct {
	period, kind, page, host, site string
	known, own, rented             bool
}

// A tracker is an inline script that loads a known tracker.
type tracker struct {
	period, page, pattern string
	known                 bool
}

// TestVisitorOfARealPageMeetsServicesThatAreKnown counts what the saved pages refer to, how much of
// it the catalogue can put a name to, and how many inline trackers are found. docs/coverage.md has
// the result.
func TestVisitorOfARealPageMeetsServicesThatAreKnown(t *testing.T) {
	var all []occurrence
	var trackers []tracker
	p := policy(t, "")
	for _, page := range shared.Pages(t) {
		if !strings.Contains(page.Host, ".") || strings.Contains(page.Host, "_") {
			continue // not a host: what is its own cannot be told
		}
		o, ts := coverageOf(t, p, page)
		all, trackers = append(all, o...), append(trackers, ts...)
	}
	doc := coverageDoc(all, trackers)
	if *updateDocs {
		shared.WriteSection(t, coverageFile, coveragePart, doc)
	} else if shared.Section(t, coverageFile, coveragePart) != doc {
		t.Error("docs/coverage.md does not say what is measured: run go test ./rewriter -run RealPageMeets -update-docs")
	}
	for _, l := range []tally{countOccurrences(all, periods[0]), countTrackers(trackers, periods[0])} {
		if l.percent() < wantKnown {
			t.Errorf("pages since 2018: %d of %d are known, less than %d %%", l.known, l.all, wantKnown)
		}
	}
}

// The periods of the table.
var periods = []string{"since 2018", "before 2018", "year unknown"}

func period(year int) string {
	switch {
	case year == 0:
		return periods[2]
	case year < 2018:
		return periods[1]
	}
	return periods[0]
}

// coverageOf takes a page apart: its markup with the oracle, which shares nothing with the rewriter,
// its inline scripts with the rewriter.
func coverageOf(t *testing.T, p *rules.Policy, page shared.Page) (all []occurrence, trackers []tracker) {
	origin := rules.NewPage("https", page.Host)
	add := func(kind string, d rules.Decision) {
		d.Host = strings.Clone(d.Host)
		site := registrable(d.Host)
		if !strings.Contains(d.Host, ".") || d.Ambiguous() || site == origin.Site() {
			return
		}
		all = append(all, occurrence{period: period(page.Year), kind: kind, page: page.Host, host: d.Host, site: site,
			known: d.Service != "", own: sameOwner(origin.Site(), site), rented: isRented(d.Host)})
	}
	for _, r := range oracle.References(page.Body, origin) {
		add(tableKind(r.Kind), p.Decide(r.Resource))
	}
	rewrite(t, Options{Policy: p, Page: origin, Report: func(r rules.Resource, d rules.Decision) {
		if r.Kind == rules.KindInlineScript {
			add("inline loader", d)
		}
	}}, string(page.Body))

	for _, text := range inlineScripts(t, page.Body) {
		pattern := trackerIn(text)
		if pattern == "" {
			continue
		}
		in := "<script>" + text + "</script>"
		out := rewrite(t, Options{Policy: p, Page: origin}, in)
		trackers = append(trackers, tracker{period(page.Year), page.Host, pattern, out != in})
	}
	return all, trackers
}

// tableKinds are the rows of the table.
var tableKinds = []string{"script", "inline loader", "frame", "image", "style", "font", "hint", "other"}

func tableKind(k rules.Kind) string {
	switch k {
	case rules.KindFrame, rules.KindEmbed:
		return "frame"
	case rules.KindScript, rules.KindImage, rules.KindStyle, rules.KindFont, rules.KindHint:
		return k.String()
	}
	return "other"
}

func registrable(host string) string {
	if s, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return s
	}
	return host
}

// isRented reports whether a host is a customer's at a company where anybody can have one: its name
// does not say whose it is.
func isRented(host string) bool {
	suffix, icann := publicsuffix.PublicSuffix(host)
	return !icann && strings.Contains(suffix, ".")
}

// sameOwner reports whether two registrable domains belong to one organisation: the brand of one, of
// four letters or more, is the begin or the end of the other's, or sisters names both.
func sameOwner(a, b string) bool {
	x, y := brand(a), brand(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(x) >= 4 && (strings.HasPrefix(y, x) || strings.HasSuffix(y, x)) {
		return true
	}
	for _, s := range sisters {
		if list := strings.Fields(s); slices.Contains(list, a) && slices.Contains(list, b) {
			return true
		}
	}
	return false
}

func TestHostOfTheSameBrandIsThePagesOwn(t *testing.T) {
	for hosts, want := range map[string]bool{
		"alison.com alison-static.net":     true,
		"lastampa.it lastampastatic.it":    true,
		"computerbild.de computer-bild.de": true,
		"bbc.com bbci.co.uk":               true,
		"bbc.com bbcc.example":             false,
		"shop.example adshops.example":     false,
		"bbc.com futurecdn.net":            false,
	} {
		a, b, _ := strings.Cut(hosts, " ")
		if sameOwner(a, b) != want || sameOwner(b, a) != want {
			t.Errorf("%s: of one organisation %t, want %t", hosts, !want, want)
		}
	}
}

// brand is what stands before the public suffix, without the dash.
func brand(site string) string {
	suffix, _ := publicsuffix.PublicSuffix(site)
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(site, suffix), "."), "-", "")
}

// sisters are domains of one organisation whose names do not show it.
var sisters = []string{
	"9gag.com 9cache.com",
	"abendblatt.de morgenpost.de waz.de onmeda.de funkemedien.de funkedigital.de", // Funke
	"aktuality.sk aimg.sk",                  // Ringier Slovakia
	"aliexpress.com alibaba.com taobao.com", // Alibaba
	"autozeitung.de selbst.de xceler8.io",   // Bauer
	"bbc.com bbc.co.uk bbci.co.uk",
	"billboard.com pgmcdn.com",
	"boardgamegeek.com geekdo.com geekdo-static.com",
	"businesstoday.in tosshub.com intoday.in", // India Today
	"catchitkansas.com graytvinc.com",         // Gray Television
	"cbsnews.com cbsistatic.com cbsinteractive.com cbsi.com",
	"expressen.se bonniernews.se bonad.io",                                    // Bonnier
	"familie.de stroeermediabrands.de desired.de giga-video.de spieletips.de", // Ströer
	"fem.com p7s1.com p7s1.net p7s1.io",                                       // ProSiebenSat.1
	"fivethirtyeight.com go.com",                                              // Disney
	"gazeta.pl im-g.pl",                                                       // Agora
	"gofeminin.de afcdn.com",
	"insurancebusinessmag.com keymedia.com",
	"lavozdelafrontera.com.mx elsoldemexico.com.mx tribunadesanluis.com.mx noticiasdelsoldelalaguna.com.mx", // OEM
	"livescience.com futurecdn.net files-hawk.co.uk fie-data.co.uk",                                         // Future
	"lto.de lto-karriere.de",
	"mallorcamagazin.com gsstatic.es", // Grup Serra
	"nbcdfw.com nbcmiami.com nbcnewyork.com",
	"news18.com in.com", // Network18
	"npr.org nprapps.org",
	"prusa3d.com prusaprinters.org printables.com",
	"repubblica.it lastampa.it repstatic.it gelestatic.it gelocal.it gedidigital.it kataweb.it", // GEDI
	"restaurantbusinessonline.com informaconnect.com informafoodservicemedia.com informa.com",
	"rp.pl gremicdn.pl", // Gremi
	"skills.google qwiklabs.com google.com",
	"slobodnaevropa.org rferl.org pangea-cms.com",   // Radio Free Europe
	"sportnews.bz stol.it stncdn.it suedtirol.live", // Athesia
	"spox.com daznservices.com",
	"steampowered.com steamstatic.com",
	"usatoday.com commercialappeal.com floridatoday.com gannettdigital.com gannett-cdn.com",
	"winfuture.de wfcdn.de",
}

// inlineScripts returns the texts of the classic and module scripts that run with the page.
func inlineScripts(t *testing.T, doc []byte) (texts []string) {
	root, err := html.Parse(strings.NewReader(string(doc)))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "script" || n.FirstChild == nil {
			continue
		}
		runs := true
		for _, a := range n.Attr {
			switch typ := strings.ToLower(strings.TrimSpace(a.Val)); a.Key {
			case "src":
				runs = false
			case "type":
				runs = runs && (typ == "" || typ == "module" || strings.HasSuffix(typ, "javascript"))
			}
		}
		if runs {
			texts = append(texts, n.FirstChild.Data)
		}
	}
	return texts
}

// trackerPatterns are what the vendors' own instructions make a page load. A comma separates what a
// script must have together.
var trackerPatterns = []string{
	"googletagmanager.com/gtm.js", "googletagmanager.com/gtag/js", "google-analytics.com/analytics.js", "google-analytics.com/ga.js", "google-analytics.com/urchin.js",
	"connect.facebook.net,fbevents.js", "connect.facebook.net,fbds.js", "connect.facebook.net,/sdk.js", "connect.facebook.net,/all.js", "static.hotjar.com", "clarity.ms/tag", "_paq,matomo.js",
	"_paq,piwik.js", "snap.licdn.com", "bat.bing.com", "analytics.tiktok.com", "static.chartbeat.com", "sb.scorecardresearch.com", "securepubads.g.doubleclick.net",
	"googletagservices.com/tag/js/gpt.js", "pagead2.googlesyndication.com", "static.criteo.net", "cdn.taboola.com", "widgets.outbrain.com", "quantserve.com/quant.js", "mc.yandex.ru",
	"static.ads-twitter.com", "s.pinimg.com", "sc-static.net", "cdn.segment.com/analytics.js", "cdn.mxpnl.com", "cdn.amplitude.com", "js.hs-scripts.com", "widget.intercom.io",
	"script.crazyegg.com", "fullstory.com/s/fs.js", "edge.fullstory.com", "c.amazon-adsystem.com", "munchkin.marketo.net", "js.adsrvr.org", "d.impactradius-event.com", "cdn.heapanalytics.com",
	"static.klaviyo.com", "www.redditstatic.com/ads", "platform.twitter.com/widgets.js", "assets.pinterest.com/js", "dev.visualwebsiteoptimizer.com", "js-agent.newrelic.com", "cdn.optimizely.com",
	"mouseflow.com/projects", "static.parastorage.com/services/js-platform-apps", "script.ioam.de", "embed.tawk.to", "client.crisp.chat", "static.getclicky.com", "counter.yadro.ru", "top-fwz1.mail.ru",
}

// trackerIn returns the pattern that a script loads by, or "".
func trackerIn(text string) string {
	if !strings.Contains(text, "createElement") && !strings.Contains(text, ".src") && !strings.Contains(text, "document.write") {
		return ""
	}
	for _, pattern := range trackerPatterns {
		all := true
		for part := range strings.SplitSeq(pattern, ",") {
			all = all && strings.Contains(text, part)
		}
		if all {
			return pattern
		}
	}
	return ""
}

// A tally is a number of things and how many of them are known.
type tally struct{ known, all int }

func (l *tally) add(known bool) {
	l.all++
	if known {
		l.known++
	}
}

func (l tally) percent() float64 {
	if l.all == 0 {
		return 100
	}
	return 100 * float64(l.known) / float64(l.all)
}

func (l tally) String() string {
	if l.all == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d (%.1f %%)", l.known, l.all, l.percent())
}

// countOccurrences counts those of third parties in a period, of some kinds only if any is named.
func countOccurrences(all []occurrence, period string, kinds ...string) (l tally) {
	for _, o := range all {
		if !o.own && (!o.rented || o.known) && o.period == period && (len(kinds) == 0 || slices.Contains(kinds, o.kind)) {
			l.add(o.known)
		}
	}
	return l
}

func countTrackers(all []tracker, period string) (l tally) {
	for _, o := range all {
		if o.period == period {
			l.add(o.known)
		}
	}
	return l
}

func coverageDoc(all []occurrence, trackers []tracker) string {
	recent := slices.DeleteFunc(slices.Clone(all), func(o occurrence) bool { return o.period != periods[0] })
	var b strings.Builder
	b.WriteString("Every reference to a third party in the markup of all saved pages, `noscript` included, and every inline script that loads one.\n" +
		"Known is what a service of the catalogue has a rule for.\n\n| |")
	row := func(name string, count func(period string) tally) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, p := range periods {
			fmt.Fprintf(&b, " %s |", count(p))
		}
		b.WriteString("\n")
	}
	for _, p := range periods {
		fmt.Fprintf(&b, " pages %s |", p)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(periods)) + "\n")
	for _, k := range tableKinds {
		row(k, func(p string) tally { return countOccurrences(all, p, k) })
	}
	row("**all**", func(p string) tally { return countOccurrences(all, p) })
	row("each host once a page", func(p string) tally { return countOccurrences(oncePerPage(all), p) })
	row("all, with the rented hosts as unknown", func(p string) (l tally) {
		l = countOccurrences(all, p)
		for _, o := range all {
			if o.period == p && o.rented && !o.own && !o.known {
				l.add(false)
			}
		}
		return l
	})
	row("inline scripts with a well-known tracker that are found", func(p string) tally { return countTrackers(trackers, p) })

	b.WriteString("\nThe catalogue was completed with what the pages since 2018 refer to: without that it knows 84 % of it. Expect that of other sites\n" +
		"rather than what the table says.\n\nNot counted are the hosts below a page's registrable domain, and on pages since 2018:\n\n")
	own := func(o occurrence) bool { return o.own }
	rented := func(o occurrence) bool { return o.rented && !o.own && !o.known }
	for _, apart := range []struct {
		what string
		is   func(occurrence) bool
	}{
		{"of the page's own organisation, by a brand of four letters or more with which the names of both domains begin or end, or by a short list in the test", own},
		{"at companies where anybody can have a host (`cloudfront.net`, `akamaihd.net`, …), so that the name does not say whose it is, and which no service names", rented},
	} {
		n, hosts := 0, []string(nil)
		for _, o := range recent {
			if apart.is(o) {
				n++
				hosts = append(hosts, o.site)
			}
		}
		slices.Sort(hosts)
		fmt.Fprintf(&b, "- %d references to hosts %s: %s.\n", n, apart.what, strings.Join(slices.Compact(hosts), ", "))
	}
	fmt.Fprintf(&b, "\n### What no service has, on pages since 2018\n\nTheir scripts and frames are blocked all the same while nothing is decided, their passive resources and inline loaders are not.\n\n| host | references | of them can run code | pages |\n|---|---:|---:|---|\n")
	missing := make(map[string][]occurrence)
	for _, o := range recent {
		if !o.known && !o.own && !o.rented {
			missing[o.host] = append(missing[o.host], o)
		}
	}
	for _, host := range slices.SortedFunc(maps.Keys(missing), func(x, y string) int {
		return cmp.Or(cmp.Compare(len(missing[y]), len(missing[x])), strings.Compare(x, y))
	}) {
		active, pages := 0, []string(nil)
		for _, o := range missing[host] {
			if slices.Contains(tableKinds[:3], o.kind) {
				active++
			}
			pages = append(pages, o.page)
		}
		slices.Sort(pages)
		fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", host, len(missing[host]), active, strings.Join(slices.Compact(pages), ", "))
	}
	b.WriteString("\n### Inline scripts that load a tracker unseen\n\n| page | what it loads |\n|---|---|\n")
	for _, x := range trackers {
		if !x.known {
			fmt.Fprintf(&b, "| %s | %s |\n", x.page, strings.ReplaceAll(x.pattern, ",", " with "))
		}
	}
	return b.String()
}

// oncePerPage leaves one occurrence of each host on each page.
func oncePerPage(all []occurrence) (out []occurrence) {
	at := make(map[string]int)
	for _, o := range all {
		key := o.page + " " + o.host
		i, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, o)
			continue
		}
		out[i].known = out[i].known && o.known // a host is known if all that the page has of it is
	}
	return out
}
