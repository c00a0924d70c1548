package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// simulatedManagers have the interfaces of managers that store nothing an edge can read: the state is
// in localStorage, as a list of what is allowed, and choose("all") or choose("none") is the click.
var simulatedManagers = []struct{ name, script string }{
	{"Usercentrics 2", `
var UC_UI = {
	isConsentRequired: function () { return state() === null },
	getServicesBaseInfo: function () { return [["Hotjar", "analytics"], ["Meta Pixel", "marketing"], ["Cart", "essential"]].map(function (s) {
		return {name: s[0], categorySlug: s[1], consent: {status: s[1] === "essential" || state() === "all"}} }) }
};
function changed(first) {
	dispatchEvent(first ? new Event("UC_UI_INITIALIZED") : new CustomEvent("UC_UI_CMP_EVENT", {detail: {source: "FIRST_LAYER", type: state() === "all" ? "ACCEPT_ALL" : "DENY_ALL"}}))
}`},
	{"Usercentrics 3", `
var __ucCmp = {getConsentDetails: function () { var on = state() === "all"; return Promise.resolve({
	consent: {required: state() === null, type: "EXPLICIT"},
	services: {a: {name: "Hotjar", category: "analytics", consent: {given: on}}, b: {name: "Meta Pixel", category: "marketing", consent: {given: on}}}}) }};
function changed(first) { dispatchEvent(new CustomEvent(first ? "UC_UI_INITIALIZED" : "UC_UI_CMP_EVENT", {detail: {type: "SAVE"}})) }`},
	{"a manager of the TCF", `
var listeners = [];
function tcData(event) {
	var consents = {};
	if (state() === "all") for (var n = 1; n <= 11; n++) consents[n] = true;
	return {gdprApplies: true, eventStatus: event, listenerId: 1, tcString: "C", purpose: {consents: consents, legitimateInterests: {2: true}}}
}
function __tcfapi(command, version, callback) {
	if (command !== "addEventListener") return;
	listeners.push(callback);
	callback(tcData(state() === null ? "cmpuishown" : "tcloaded"), true)
}
function changed(first) { if (!first) listeners.forEach(function (f) { f(tcData("useractioncomplete"), true) }) }`},
}

// What a manager keeps where only scripts can read it reaches the edge: with the click the page comes
// again with its trackers, and so does the next; after a withdrawal the next page has none. Scripts
// cannot read the record.
func TestTheBridgeInABrowser(t *testing.T) {
	s := startSink(t)
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &i); err != nil || i >= len(simulatedManagers) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!DOCTYPE html><html><head><title>bridge</title><link rel="icon" href="data:,"></head><body>
<script src="https://static.hotjar.com/c/hotjar-1.js"></script><img src="https://www.facebook.com/tr?id=1" alt="">
<script>function state() { return localStorage.getItem("state") }
function choose(v) { localStorage.setItem("state", v); changed(false) }`+simulatedManagers[i].script+`
changed(true)</script></body></html>`)
	})
	c := startCaddy(t, "http://:8080 {\n\tconsent {\n\t\tunclassified block\n\t\tbridge on\n\t}\n\treverse_proxy "+up+"\n}\n")
	hosts80 := map[string]string{}
	for i := range simulatedManagers {
		for _, name := range []string{"site", "refused"} {
			hosts80[fmt.Sprintf("%s%d.test", name, i)] = c.addr("8080")
		}
	}
	b := startBrowser(t, s, hosts80)
	const all = "static.hotjar.com www.facebook.com"
	for i, m := range simulatedManagers {
		t.Run(m.name, func(t *testing.T) {
			x, end := b.tab(true)
			defer end()
			x.t = t
			contacts := func(what func()) string {
				s.reset()
				what()
				// The bridge looks for managers twice a second.
				all := s.settle(1500 * time.Millisecond)
				// Chromium connects ahead to hosts that it remembers of a page: requests count.
				asked := slices.DeleteFunc(slices.Clone(all), func(c contact) bool { return c.Path == "" })
				if len(asked) == 0 && len(all) > 0 {
					t.Logf("connections without a request: %v", hosts(all))
				}
				return strings.Join(hosts(asked), " ")
			}
			open := func(host string) func() {
				return func() { x.must(chromedp.Navigate(fmt.Sprintf("http://%s%d.test/%d", host, i, i))) }
			}
			choose := func(v string) func() {
				return func() { eval[bool](x, fmt.Sprintf("choose(%q); true", v)) }
			}
			check := func(when, got, want string) {
				t.Helper()
				if got != want {
					t.Errorf("%s: %q, want %q", when, got, want)
				}
			}
			record := func(host, want string) {
				t.Helper()
				v, hidden := x.cookie(fmt.Sprintf("http://%s%d.test/", host, i), "consent_bridge")
				if !strings.HasPrefix(v, want) || (v == "") != (want == "") || v != "" && !hidden {
					t.Errorf("record %q, hidden from scripts: %v, want %q", v, hidden, want)
				}
				if eval[bool](x, `document.cookie.includes("consent_bridge")`) {
					t.Error("scripts read the record")
				}
			}
			check("before the choice", contacts(open("site")), "")
			record("site", "")
			check("after accepting", contacts(choose("all")), all)
			record("site", "v1:")
			check("the next page", contacts(open("site")), all)
			check("after the withdrawal", contacts(choose("none")), "")
			record("site", "v1:none:")
			check("the page after that", contacts(open("site")), "")

			check("another visitor", contacts(open("refused")), "")
			check("who refuses", contacts(choose("none")), "")
			record("refused", "v1:none:")
			check("on the next page", contacts(open("refused")), "")
		})
	}
}

// cookie returns the value of a cookie that the browser has for url, and whether it is HttpOnly.
func (x *tab) cookie(url, name string) (value string, httpOnly bool) {
	x.t.Helper()
	x.must(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		got, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{url}})
		if err != nil {
			return err
		}
		for _, c := range got.Cookies {
			if c.Name == name {
				value, httpOnly = c.Value, c.HTTPOnly
			}
		}
		return nil
	}))
	return value, httpOnly
}
