package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// carriers make a browser fetch U, where they are markup and stand for what they seem to; some only in foreign content.
var carriers = []string{
	`<img src="U.png">`, `<img src="U.png">`, `<img src="U.png">`, `<script src="U.js"></script>`, `<script src="U.js"></script>`, `<link rel=stylesheet href="U.css">`, `<style>@import "U.css";</style>`, `<iframe src="U.html"></iframe>`,
	`<svg><image href="U.png" width=9 height=9 /></svg>`, `<image href="U.png" width=9 height=9 />`, `<image src="U.png">`, `<script href="U.js"></script>`, `<script href="U.js"/>`, `<feImage href="U.png" />`, `<style>p{}@import "U.css";</style>`,
	`<b style="background:url(U.png)">x</b>`, `<input type=image src="U.png">`, `<video poster="U.png"></video>`, `<embed src="U.html">`, `<object data="U.html"></object>`, `<body background="U.png">`, `<td background="U.png">x`, `<tr background="U.png">`,
	`<frame src="U.html">`, `<iframe srcdoc="<img src='U.png'>"></iframe>`, `<link rel=preload as=image href="U.png">`, `<picture><source srcset="U.png"><img></picture>`, `<use href="U.svg#a" />`, `<mglyph src="U.png">`, `<table background="U.png">`, `<source srcset="U.png">`,
	`<source src="U.webm">`, `<track default src="U.vtt">`, `<meta http-equiv=refresh content="0;url=U.html">`, `<base href="U/"><img src=x.png>`, `<link rel=icon href="U.png">`, `<rect width=9 height=9 style="mask:url(U.svg#a)" />`, `<g fill="url(U.svg#a)"><text>x</text></g>`,
}

// treeElements are those that the tree builder treats in a way of their own, and some that it does not.
var treeElements = strings.Fields(`html head body frameset noframes title textarea style script noscript template template template select select option optgroup hr input table caption colgroup col tbody thead tfoot tr td th p div b i a a nobr font code ul li dl dd dt ol ruby rb rt rtc rp
	h1 h2 form button address pre listing plaintext xmp iframe noembed object applet marquee embed video audio picture details summary dialog center main search menu menuitem keygen br wbr area image isindex param source track base link meta x-y span em big tt u s strike small strong
	svg svg svg svg math math foreignObject foreignobject desc g title mi mo mn ms mtext annotation-xml annotation-xml mglyph malignmark image text a style script font switch use path font-face animate set mrow semantics fieldset legend datalist output selectedcontent frame body head html`)

// treeAttributes go with any element.
var treeAttributes = strings.Fields(`shadowrootmode=open shadowrootmode=closed type=hidden type=text/plain type=module encoding=text/html encoding=application/xhtml+xml encoding=x color=red face=x size=1 /  / / id=x title="</svg><img>" title='<!--' title="-->" data-x="</style>" class=a=b xmlns=http://www.w3.org/2000/svg
	xlink:href=x definitionurl=x hidden definitionURL=x multiple selected "= '=x <b href=# shadowrootclonable`)

// treeText stands between tags.
var treeText = []string{
	"x", "x", " ", "\n", "\x00", "\x00x", "<!--", "-->", "--!>", "<!-->", "<!--->", "<!-- x -->", "<!-- x --!>", "<!--<!-- -->", "<!- x>", "<!x>", "<!>", "<?x?>", "<?x >", "</>", "</ x>", "<![CDATA[", "]]>", "<![CDATA[x]]>", "<![cdata[", "<![CDATA[ > ]]>", "<!doctype html>", "<!DOCTYPE x \">\">",
	"&lt;img>", "&#60;", "&amp;", "<", "<<", "</", "<1>", "< img>", "<!--<script>", "<script><!--", "<script><!--<script>", "</script>", "</script >", "</script/>", "</scriptx>", "</style>", "</title>", "</textarea>", "</xmp>", "</noscript>", "</iframe>", "</noembed>", "</noframes>", "</svg>", "</math>", "</template>",
	"</select>", "</table>", "</p>", "</br>", "</body>", "</html>", "</head>", "</frameset>", "</foreignObject>", "</desc>", "</title>", "</a>", "</b>", "</nobr>", "</form>", "</annotation-xml>", "</mi>", "</style x>", "</title\n>", "\f", "\r\n", "é", "</image>", "</sarcasm>", "</h1>", "</li>", "</object>", "</applet>",
}

// A treeMaker writes documents of tags and texts at random.
type treeMaker struct {
	tagMaker
	b    strings.Builder
	open []string
	left int
}

// node writes a tag with what is in it, a carrier or text.
func (m *treeMaker) node() {
	m.left--
	switch n := m.rnd.IntN(20); {
	case n < 6:
		m.tag++
		m.b.WriteString(strings.ReplaceAll(m.oneOf(carriers...), "U", "http://tracker.test"+m.path()))
		return
	case n < 10:
		m.b.WriteString(m.oneOf(treeText...))
		return
	case n < 12 && len(m.open) > 0:
		m.b.WriteString("</" + m.open[m.rnd.IntN(len(m.open))] + ">")
		return
	}
	name := m.oneOf(treeElements...)
	m.b.WriteString("<" + m.oneOf(name, name, name, name, strings.ToUpper(name)))
	for m.in(4) {
		m.b.WriteString(" " + m.oneOf(treeAttributes...))
	}
	m.b.WriteString(m.oneOf(">", ">", ">", ">", ">", "/>", " />", "\n>"))
	m.open = append(m.open, name)
	for m.left > 0 && !m.in(3) {
		m.node()
	}
	if !m.in(4) {
		m.b.WriteString("</" + name + ">")
		m.open = m.open[:max(0, len(m.open)-1)]
	}
	if len(m.open) > 8 {
		m.open = m.open[1:]
	}
}

// randomTrees returns n documents.
func randomTrees(n int, seed uint64) (out []*vector) {
	m := treeMaker{tagMaker: tagMaker{rnd: rand.New(rand.NewPCG(seed, 13))}}
	for i := range n {
		m.id, m.tag, m.left, m.open = fmt.Sprintf("tree%d-%d", seed, i), 0, 6+m.rnd.IntN(24), m.open[:0]
		m.b.Reset()
		m.b.WriteString(m.oneOf("<!doctype html>", "<!doctype html>", "<!doctype html><body>", "", "<!doctype html><svg>", "<!doctype html><table>", "<!doctype html><head>", "<!doctype html><math>", "<!doctype html><p>"))
		for m.left > 0 || m.tag == 0 {
			m.node()
		}
		out = append(out, &vector{ID: m.id, Scope: "static", Body: []byte(m.b.String())})
	}
	return out
}

// Documents put together at random make no browser contact a blocked host. CONSENT_TREES is how many are tried, and after
// a comma from which seed. Without the enforcement two in three contact one at least, or the test shows nothing.
func TestRandomTreesInBrowsers(t *testing.T) {
	vs := randomTrees(countAndSeed("CONSENT_TREES", 300))
	c := vectorSite(t, vs)
	some := vs[:min(len(vs), 60)]
	contacting := func(t *testing.T, visits []*visit) {
		n := 0
		for _, x := range visits {
			if len(x.contacts) > 0 {
				n++
			}
		}
		t.Logf("not enforced, %d of %d documents contact a blocked host", n, len(some))
		if n*3 < len(some)*2 {
			t.Error("too few")
		}
	}
	direct := visit{scripting: true, direct: true}
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), vs)
		noContacts(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: vs, {}: vs[:(len(vs)+1)/2]}))
		var visits []*visit
		for _, v := range some {
			visits = append(visits, direct.of(v))
		}
		p.replay(visits)
		contacting(t, visits)
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		noContacts(t, f.replay(t, visit{scripting: true}, vs))
		contacting(t, f.replay(t, direct, some))
	})
}
