package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
)

// domWalker gets a page, lets Chromium parse it, and returns what stands where an element fetches:
// names of rules.Kind with URLs as the DOM resolves them. Templates and shadow roots are walked too.
const domWalker = `(async (path, charset) => {
  const bytes = await (await fetch(path)).arrayBuffer();
  let text;
  try { text = new TextDecoder(charset).decode(bytes); } catch { text = new TextDecoder().decode(bytes); }
  const doc = new DOMParser().parseFromString(text, 'text/html'), found = [];
  if (!doc.querySelector('base[href]')) doc.head.prepend(Object.assign(doc.createElement('base'), {href: location.origin + path}));
  const base = doc.baseURI;
  const add = (kind, url) => { if (url && url.trim()) try { found.push([kind, new URL(url, base).href]); } catch {} };
  const set = (v) => { for (const c of (v || '').split(/,\s+/)) add('image', c.trim().split(/\s+/)[0].replace(/,+$/, '')); };
  const css = (v) => { for (const m of (v || '').matchAll(/url\("([^"]+)"\)/g)) add('image', m[1]); };
  const sheet = (v) => { // as Chromium reads it; it has no imports
    const s = new CSSStyleSheet();
    s.replaceSync(v);
    for (const rule of s.cssRules) css(rule.cssText);
    for (const m of v.replace(/\/\*[^]*?\*\//g, '').matchAll(/^[^{]*?@import\s+(?:url\(\s*)?["']?([^"')\s;]+)/gi)) add('style', m[1]);
  };
  const js = (type) => /^\s*((text|application)\/(x-)?(java|ecma)script|text\/(jscript|livescript|javascript1\.[0-5])|module)?\s*$/i.test(type || '');
  const svg = 'http://www.w3.org/2000/svg';
  const rels = {stylesheet: 'style', icon: 'image', 'apple-touch-icon': 'image', 'mask-icon': 'image', manifest: 'fetch', modulepreload: 'script',
    preconnect: 'hint', 'dns-prefetch': 'hint', prefetch: 'prefetch', prerender: 'prefetch', next: 'prefetch'};
  const as = {script: 'script', style: 'style', image: 'image', font: 'font', fetch: 'fetch', audio: 'media', video: 'media', track: 'media'};
  const walk = (n) => {
    if (n.nodeType == 1) {
      const at = (name) => n.getAttribute(name), name = n.localName;
      if (n.style) css(n.style.cssText);
      if (n.namespaceURI == svg) {
        const href = at('href') || n.getAttributeNS('http://www.w3.org/1999/xlink', 'href');
        if (name == 'script' && js(at('type'))) add('script', href);
        if (['image', 'use', 'feImage'].includes(name)) add('image', href);
        if (name == 'style') sheet(n.textContent);
      } else switch (name) {
        case 'script': if (js(at('type')) && !n.noModule) add('script', at('src')); break;
        case 'iframe': case 'frame': add('frame', at('src')); break;
        case 'img': add('image', at('src')); set(at('srcset')); break;
        case 'source':
          if (n.parentNode.localName == 'picture') set(at('srcset'));
          if (['audio', 'video'].includes(n.parentNode.localName)) add('media', at('src'));
          break;
        case 'video': add('image', at('poster')); // and its source
        case 'audio': add('media', at('src')); break;
        case 'track': if (['audio', 'video'].includes(n.parentNode.localName)) add('media', at('src')); break;
        case 'embed': add('embed', at('src')); break;
        case 'object': add('embed', at('data')); break;
        case 'input': if (n.type == 'image') add('image', at('src')); break;
        case 'body': case 'table': case 'thead': case 'tbody': case 'tfoot': case 'tr': case 'td': case 'th': add('image', at('background')); break;
        case 'a': case 'area': if (n.hasAttribute('href')) for (const u of (at('ping') || '').split(/\s+/)) add('fetch', u); break;
        case 'base': add('base', at('href')); break;
        case 'meta':
          if ((at('http-equiv') || '').toLowerCase() == 'refresh') { const m = /^\s*\d+[\d.]*(?:\s*[;,]\s*|\s+)(?:url\s*=\s*)?["']?([^"']+)/i.exec(at('content')); if (m) add('navigation', m[1]); }
          break;
        case 'link':
          for (const r of (at('rel') || '').toLowerCase().split(/\s+/)) {
            const kind = r == 'preload' ? as[(at('as') || '').toLowerCase()] : rels[r];
            if (kind) add(kind, at('href'));
            if (kind == 'image') set(at('imagesrcset'));
          }
          break;
        case 'style': sheet(n.textContent); break;
        case 'template': walk(n.content); break;
      }
      if (n.shadowRoot) walk(n.shadowRoot);
    }
    for (const c of n.childNodes) walk(c);
  };
  walk(doc);
  return JSON.stringify({elements: doc.querySelectorAll('*').length, found});
})`

// In the DOM that Chromium makes of rewritten pages no third party stands where an element fetches,
// and Chromium without scripting contacts none for them.
func TestChromiumsOwnDOM(t *testing.T) {
	bin := chromium(t)
	pages := sampleOf(shared.Pages(t), map[bool]int{false: 8, true: 100}[allInBrowser()])
	policy := thirdPartiesBlocked(t, rules.SetOf(rules.Necessary))
	upstream := startPages(t, pages)
	c := startCaddy(t, "http://:8080 {\n\thandle /plain/* {\n\t\turi strip_prefix /plain\n\t\treverse_proxy "+upstream+"\n\t}\n\thandle {\n\t\tconsent {\n\t\t\tunclassified block\n\t\t}\n\t\treverse_proxy "+upstream+"\n\t}\n}\n")
	s := startSink(t)
	b, end, err := openBrowser(bin, shortTempDir(t), s.addr, map[string]string{"site.test": c.addr("8080")})
	if err != nil {
		t.Fatal("starting Chromium: ", err)
	}
	defer end()
	b.t = t
	origin := rules.NewPage("http", "site.test")
	blocked := func(kind rules.Kind, url string) bool {
		return policy.Decide(rules.Resource{Kind: kind, URL: url, Page: origin}).Action == rules.Block
	}

	x, closeTab := b.tab(true)
	x.must(chromedp.Navigate("http://site.test/none"))
	elements, urls, before := 0, 0, 0
	look := func(path, charset string) (dom struct {
		Elements int
		Found    [][2]string
	}) {
		ctx, cancel := context.WithTimeout(x.ctx, 30*time.Second)
		defer cancel()
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("%s(%q, %q)", domWalker, path, charset), chromedp.EvalAwaitPromise))
		if err == nil {
			err = json.Unmarshal([]byte(text), &dom)
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return dom
	}
	for i, p := range pages {
		dom := look(fmt.Sprint("/", i), p.Charset)
		if dom.Elements < 5 {
			t.Errorf("%s: %d elements", p.File, dom.Elements)
		}
		elements, urls = elements+dom.Elements, urls+len(dom.Found)
		for _, f := range dom.Found {
			if kind, ok := kindNamed(f[0]); !ok || blocked(kind, f[1]) {
				t.Errorf("%s: left in Chromium's DOM: %s %s", p.File, f[0], f[1])
			}
		}
		for _, f := range look(fmt.Sprint("/plain/", i), p.Charset).Found {
			if kind, _ := kindNamed(f[0]); blocked(kind, f[1]) {
				before++
			}
		}
	}
	closeTab()
	t.Logf("%d pages: %d elements, %d URLs that are fetched; %d blocked ones in the pages as they came", len(pages), elements, urls, before)
	if before < 10*len(pages) {
		t.Errorf("only %d blocked URLs are seen in pages as they came", before)
	}

	contacts := 0
	for i, p := range pages {
		s.reset()
		x, closeTab := b.tab(false)
		if err := x.tryOpen(fmt.Sprint("http://site.test/", i), 10*time.Second); err != nil {
			t.Errorf("%s: %v", p.File, err)
		}
		known := make(map[string]bool)
		for _, c := range s.settle(300 * time.Millisecond) {
			// What a request is for is not in its header where the connection is not safe.
			allowed := false
			for kind := rules.KindScript; kind <= rules.KindPrefetch; kind++ {
				allowed = allowed || kind != rules.KindInlineScript && !blocked(kind, "http://"+c.Host+c.Path)
			}
			switch {
			case c.Path == "" && known[c.Host]:
			case allowed:
				known[c.Host] = true
				contacts++
			default:
				t.Errorf("%s: Chromium contacts %s%s", p.File, c.Host, c.Path)
			}
		}
		closeTab()
	}
	t.Logf("%d requests to hosts that are allowed", contacts)
}

func kindNamed(name string) (rules.Kind, bool) {
	for k := rules.Kind(1); int(k) < rules.Kinds; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// sampleOf returns n pages, evenly spread.
func sampleOf(pages []shared.Page, n int) (out []shared.Page) {
	n = min(n, len(pages))
	for i := range n {
		out = append(out, pages[i*len(pages)/n])
	}
	return out
}
