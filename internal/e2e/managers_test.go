package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// liveManagers are consent managers as they are published, and how a page uses them: what sets them
// up at the end of the body, and what a visitor's click does.
var liveManagers = []struct {
	name, file, options string
	before, setup       string // scripts before the manager's and at the end of the body
	body                string // more of the page
	accept, refuse      string
	reload              bool   // it revives no scripts: the page has to be loaded once more
	revives             string // a host that is asked before that
	anyOrder            bool   // its own scripts follow no order
	twice               bool   // its own scripts and those of the page are the same
}{
	{
		name: "vanilla-cookieconsent 3", file: "vanilla-cookieconsent/dist/cookieconsent.umd.js", options: "read vanilla-cookieconsent\n\t\tplaceholder vanilla-cookieconsent",
		setup: `CookieConsent.run({categories:{necessary:{enabled:true,readOnly:true},analytics:{},marketing:{}},language:{default:'en',translations:{en:{
			consentModal:{title:'t',acceptAllBtn:'a',acceptNecessaryBtn:'n'},preferencesModal:{title:'p',sections:[]}}}}})`,
		accept: `CookieConsent.acceptCategory('all')`, refuse: `CookieConsent.acceptCategory([])`,
	},
	{
		name: "vanilla-cookieconsent 2", file: "vanilla-cookieconsent-2/dist/cookieconsent.js", options: "read vanilla-cookieconsent\n\t\tplaceholder vanilla-cookieconsent-2",
		setup: `var cc = initCookieConsent(); cc.run({current_lang:'en',page_scripts:true,hide_from_bots:false,languages:{en:{
			consent_modal:{title:'t',description:'d',primary_btn:{text:'a',role:'accept_all'},secondary_btn:{text:'r',role:'accept_necessary'}},
			settings_modal:{title:'t',save_settings_btn:'s',accept_all_btn:'a',blocks:[{title:'n',description:'',toggle:{value:'necessary',enabled:true,readonly:true}},
			{title:'a',description:'',toggle:{value:'analytics',enabled:false,readonly:false}}]}}}})`,
		accept: `cc.accept('all')`, refuse: `cc.accept([])`,
	},
	{
		name: "Klaro", file: "klaro/dist/klaro.js", options: "read klaro {\n\t\t\tmap hotjar google-analytics statistics\n\t\t}\n\t\tplaceholder klaro",
		before:   `var klaroConfig = {storageMethod:'cookie',services:[{name:'google-analytics',title:'a',purposes:['analytics']},{name:'hotjar',title:'h',purposes:['analytics']}]}`,
		anyOrder: true,
		accept:   `var m = klaro.getManager(klaroConfig); m.changeAll(true); m.saveAndApplyConsents()`,
		refuse:   `var m = klaro.getManager(klaroConfig); m.changeAll(false); m.saveAndApplyConsents()`,
	},
	{
		name: "Orejime 2", file: "orejime-2/dist/orejime.js", options: "read orejime {\n\t\t\tmap hotjar google-analytics statistics\n\t\t}\n\t\tplaceholder orejime",
		setup:    `var o = Orejime.init({privacyPolicy:'/privacy',apps:[{name:'google-analytics',title:'a',purposes:['analytics']},{name:'hotjar',title:'h',purposes:['analytics']}]})`,
		anyOrder: true,
		accept:   `o.internals.manager.acceptAll(); o.internals.manager.saveAndApplyConsents()`,
		refuse:   `o.internals.manager.declineAll(); o.internals.manager.saveAndApplyConsents()`,
	},
	{
		name: "Orejime 3", file: "orejime-3/dist/orejime-standard-en.js", options: "read orejime {\n\t\t\tmap hotjar google-analytics statistics\n\t\t}", reload: true,
		before: `var orejimeConfig = {privacyPolicyUrl:'/privacy',purposes:[{id:'google-analytics',title:'a',cookies:[]},{id:'hotjar',title:'h',cookies:[]}]}`,
		accept: `orejime.manager.acceptAll()`, refuse: `orejime.manager.declineAll()`,
	},
	{
		// Its own jobs stand beside the tags of the page: these come with the next one.
		name: "tarteaucitron", file: "tarteaucitronjs/tarteaucitron.js", options: "read tarteaucitron\n\t\tplaceholder tarteaucitron",
		setup: `tarteaucitron.init({privacyUrl:'/privacy',softConsentMode:true}); tarteaucitron.user.gtagUa = 'G-1'; tarteaucitron.user.hotjarId = 1; tarteaucitron.user.HotjarSv = 6;
			(tarteaucitron.job = tarteaucitron.job || []).push('gtag', 'hotjar')`,
		anyOrder: true,
		accept:   `tarteaucitron.userInterface.respondAll(true)`, refuse: `tarteaucitron.userInterface.respondAll(false)`,
	},
	{
		// By itself it loads Google's script before the choice, which its own script does: only the policy of the page stops that.
		name: "tarteaucitron with its defaults", file: "tarteaucitronjs/tarteaucitron.js", options: "csp enforce\n\t\tread tarteaucitron", reload: true,
		setup: `tarteaucitron.init({privacyUrl:'/privacy'}); tarteaucitron.user.gtagUa = 'G-1'; tarteaucitron.user.hotjarId = 1; tarteaucitron.user.HotjarSv = 6;
			(tarteaucitron.job = tarteaucitron.job || []).push('gtag', 'hotjar')`,
		anyOrder: true, twice: true,
		accept: `tarteaucitron.userInterface.respondAll(true)`, refuse: `tarteaucitron.userInterface.respondAll(false)`,
	},
	{
		// It comes as modules, and revives frames alone.
		name: "c15t", options: "read c15t\n\t\tplaceholder c15t", reload: true, revives: "www.youtube.com",
		body: `<iframe src="https://www.youtube.com/embed/x"></iframe>`,
		before: `var m = document.createElement('script'); m.type = 'importmap'; m.textContent = JSON.stringify({imports: {'c15t': '/modules/c15t/dist/index.js',
			'@c15t/schema/types': '/modules/@c15t/schema/dist/types.js', '@c15t/translations': '/modules/@c15t/translations/dist/index.js',
			'zustand/vanilla': '/modules/zustand/esm/vanilla.mjs'}}); document.head.append(m)`,
		setup: `var c = import('c15t').then(function (m) { return m.getOrCreateConsentRuntime({mode:'offline',
			consentCategories:['necessary','functionality','experience','measurement','marketing']}).consentStore.getState() })`,
		accept: `c.then(function (s) { s.saveConsents('all') })`, refuse: `c.then(function (s) { s.saveConsents('necessary') })`,
	},
	{
		name: "Cookie Consent by Osano 3", file: "cookieconsent/build/cookieconsent.min.js", options: "read cookieconsent", reload: true,
		setup:  `var cc; cookieconsent.initialise({type:'opt-in',content:{href:'/privacy'}}, function (p) { cc = p })`,
		accept: `cc.setStatus('allow')`, refuse: `cc.setStatus('deny')`,
	},
}

// Consent managers as they are published keep working behind the proxy: nothing goes out before the
// choice; after it the manager revives the placeholders itself, in their order and without a reload
// where it can, and the next page comes from the site as it is; after a refusal still nothing does.
func TestConsentManagersInABrowser(t *testing.T) {
	chromium(t)
	modules := filepath.Join("testdata", "managers", "node_modules")
	if _, err := os.Stat(modules); err != nil {
		if os.Getenv("CONSENT_SHARED_REQUIRED") != "" {
			t.Fatal("the consent managers are not installed: run npm ci --ignore-scripts --legacy-peer-deps in internal/e2e/testdata/managers")
		}
		t.Skip("the consent managers are not installed: run npm ci --ignore-scripts --legacy-peer-deps in internal/e2e/testdata/managers")
	}
	s := startSink(t)
	s.serve["www.googletagmanager.com/gtag/js"] = `(window.order = window.order || []).push("ga")`
	s.serve["static.hotjar.com/c/hotjar-1.js"] = `(window.order = window.order || []).push("hotjar")`
	files := http.StripPrefix("/modules/", http.FileServer(http.Dir(modules)))
	up := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		for i, m := range liveManagers {
			if r.URL.Path != fmt.Sprintf("/%d", i) {
				continue
			}
			script := ""
			if m.file != "" {
				script = `<script src="/modules/` + m.file + `"></script>`
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, `<!DOCTYPE html><html><head><title>%s</title><link rel="icon" href="data:,"><script>%s</script></head><body><p>hello</p>
<script src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
<script src="https://static.hotjar.com/c/hotjar-1.js"></script>
<img src="https://script.hotjar.com/x.png" alt="">%s
%s<script>%s</script></body></html>`, m.name, m.before, m.body, script, m.setup)
			return
		}
		files.ServeHTTP(w, r)
	})
	var file strings.Builder
	hosts80 := map[string]string{}
	for i, m := range liveManagers {
		fmt.Fprintf(&file, "http://:%d {\n\tconsent {\n\t\tunclassified block\n\t\t%s\n\t}\n\treverse_proxy %s\n}\n", 8080+i, m.options, up)
	}
	c := startCaddy(t, file.String())
	for i := range liveManagers {
		hosts80[fmt.Sprintf("site%d.test", i)] = c.addr(fmt.Sprint(8080 + i))
		hosts80[fmt.Sprintf("refused%d.test", i)] = c.addr(fmt.Sprint(8080 + i))
	}
	b := startBrowser(t, s, hosts80)
	third := func(x *tab, what func()) string {
		s.reset()
		what()
		return strings.Join(hosts(s.settle(500*time.Millisecond)), " ")
	}
	act := func(x *tab, steps ...string) {
		for _, step := range steps {
			eval[bool](x, step+"; true")
			time.Sleep(300 * time.Millisecond) // dialogs open after a while
		}
	}
	for i, m := range liveManagers {
		t.Run(m.name, func(t *testing.T) {
			x, end := b.tab(true)
			defer end()
			x.t = t
			open := func(host string) func() {
				return func() {
					if err := x.tryOpen(fmt.Sprintf("http://%s%d.test/%d", host, i, i), 15*time.Second); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := third(x, open("site")); got != "" {
				t.Errorf("before the choice: %s", got)
			}
			got := third(x, func() { act(x, "window.stay = true", m.accept) })
			if m.revives != "" && got != m.revives {
				t.Errorf("after accepting: %q, want %s", got, m.revives)
			}
			if m.reload {
				got = third(x, open("site"))
			} else if !eval[bool](x, "window.stay === true") {
				t.Error("the page was loaded again")
			}
			order := strings.Fields(eval[string](x, "(window.order || []).join(' ')"))
			if m.anyOrder {
				slices.Sort(order)
			}
			if m.twice {
				order = slices.Compact(order)
			}
			if !slices.Equal(order, []string{"ga", "hotjar"}) {
				t.Errorf("after accepting: %q ran, contacts %s", order, got)
			}
			if got := third(x, open("site")); !strings.Contains(got, "www.googletagmanager.com") || !strings.Contains(got, "static.hotjar.com") || !strings.Contains(got, "script.hotjar.com") {
				t.Errorf("the next page: %s", got)
			}
			if got := third(x, open("refused")); got != "" {
				t.Errorf("before refusing: %s", got)
			}
			if got := third(x, func() { act(x, m.refuse) }); got != "" {
				t.Errorf("after refusing: %s", got)
			}
			if got := third(x, open("refused")); got != "" {
				t.Errorf("the next page after refusing: %s", got)
			}
		})
	}
}
