package e2e

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
)

// sheetShapes are rules that have browsers fetch something, or might. What stands behind $ is filled in: E is a selector of
// an element of its own and N that element's number, X a selector of one with a URL and an image in attributes, P a
// declaration, I an image, G the sources of a font, S a string and U the rest of url( that is a URL, R a rule, C a condition
// that holds, K what may stand where nobody looks, F a style sheet of the site, _ space.
var sheetShapes = []string{
	`$E{$P}`, `$E{$P}`, `$E{$P}`, `$E{$P}`, `$E{$P;$P}`, `$E{color:red;$P;}`, `$E{$P!important}`, `$E{$P`, `$E::before{content:"x";$P}`, `$E::before{content:$I}`, `$E::after{content:$I / "x"}`, `$E::after{content:$I / $S}`,
	`$E{display:list-item}$E::marker{content:$I}`, `$E::first-letter{$P}`, `$E:hover,$E:is(*,@x){$P}`, `x,$E{$P}`, `$E:not(x){$P}`, `$E[class]{$P}`, `$E:where(:not([x="]{}"])){$P}`, `:is($E,::x){$P}`, `*>$E{$P}`,
	`$E{&{$P}}`, `$E{$P;&::before{content:$I}}`, `$E{color:red;@media all{$P}}`, `$E{@nest &{$P}}`, `x{$E{$P}}`, `*{$E&{$P}}`, `$E{@starting-style{$P}}`, `$E{@layer{$P}}`, `$E{x:y{$P}}`, `$E{&:hover{$P}$P}`, `$E{@supports (a:b){$P}$P}`, `$E{@scope{:scope{$P}}}`,
	`$E{x:y;$K;$P}`, `$E{$K;$P}`, `$E{x:{$K};$P}`, `$E{x:[$K];$P}`, `$E{x($K);$P}`, `$E{@x $K;$P}`, `$E{@x{$K}$P}`, `@x $K;$E{$P}`, `@x{$K}$E{$P}`, `x[$K]{$P}$E{$P}`, `@media ($K){$P}$E{$P}`, `@namespace x $K;$E{$P}`, `@charset $S;$E{$P}`, `@import $K;$E{$P}`, `@namespace $S;$E{$P}`, `@namespace x $U);$E{$P}`,
	`@media $C{$R}`, `@media all,$C{$R$R}`, `@media print{$R}$R`, `@supports (background:url(x)){$R}`, `@supports not (--x:$K){$R}$R`, `@supports (--x:$K) or (a:b){$R}`, `@supports selector(a $K) or (color:red){$R}`, `@supports font-tech(color-colrv1) or (color:red){$R}`, `@layer a,b;$R`, `@layer a{$R}`, `@layer{$R}`,
	`@container style(--e){$R}`, `@container style(--x:$K) or (width>0){$R}`, `html{container:a/inline-size}@container a (width>0){$R}`, `@scope(*){$R}`, `@scope($K){$R}$R`, `@scope(html) to (x){$R}`, `@starting-style{$R}`, `@document url(http://site.test/){$R}`, `@-moz-document url-prefix(){$R}`, `@when media(all){$R}@else{$R}`,
	`@property --p$N{syntax:"<image>";inherits:false;initial-value:$I}$E{background:var(--p$N)}`, `$E{background:image-set(var(--s$N) 1x)}@property --s$N{syntax:"<string>";inherits:true;initial-value:$S}`, `$E{background:image-set(var(--s$N) 1x)}@property --s$N{syntax:"*";inherits:false;initial-value:$S}`,
	`$E{--s$N:$S;background:image-set(var(--s$N) 1x)}`, `$E{--s$N:$S 1x;background:image-set(var(--s$N))}`, `$E{--s$N:image-set($S 1x);background:var(--s$N)}`, `$E{--i$N:$I;background:var(--i$N)}`, `$E{--i$N:$I;mask:var(--x,var(--i$N))}`, `$E{-\2d s$N:$S;background:image-set(var(--s$N) 1x)}`, `$E{\--s$N:$S;background:image-set(var(--s$N) 1x)}`,
	`$E{--\s$N:$S;background:image-set(var(--s$N) 1x)}`, `$E{--s$N:$_$S;content:image-set(var(--s$N) 1x)}`, `$E{x:{};--s$N:$S;background:image-set(var(--s$N) 1x)}`, `$E{x:y;/**/--s$N:{$S};background:image-set(var(--s$N) 1x)}`, `$E{--s$N:(;$S);background:image-set(var(--s$N) 1x)}`, `$E{background:image-set(var(--x,$S) 1x)}`,
	`$E{--s$N:var(--e,$K)$S;background:image-set(var(--s$N) 1x)}`, `$E{--s$N:var(--e,[$K])$S;background:image-set(var(--s$N) 1x)}`, `$E{background:image-set(var(--e,$K)$S 1x)}`, `$E{background:var(--e,{$K})$I}`, `$E{background:var(--e,[$K;x])$I}`,
	`$E{--s$N:var(--x,$S);background:image-set(var(--s$N) 1x)}`, `$E{--s$N:env(x,$S);background:image-set(var(--s$N) 1x)}`, `$E{--s$N:if(media(all):$S;else:"");background:image-set(var(--s$N) 1x)}`, `$E{--s$N:if(style(--e:x):"";else:$S);background:image-set(var(--s$N) 1x)}`, `$E{background:image-set(if(style(--x:$K):"";else:$S) 1x)}`,
	`$E{background:image-set(var(--s$N) 1x)}@keyframes s$N{from,to{--s$N:$S}}$E{animation:s$N 9s}`, `$E{--s$N:$S}$E>*{background:image-set(inherit(--s$N) 1x)}`, `*{--s$N:$S}$E{background:image-set(inherit(--s$N) 1x)}`, `$E{background:image-set(attr(x,$S) 1x)}`, `$E{background:image-set(attr(x type(<string>),$S) 1x)}`,
	`$X{background:image-set(attr(data-x) 1x)}`, `$X{background:image-set(attr(data-x type(<string>)) 1x)}`, `$X{background:image-set(attr(data-x string) 1x)}`, `$X{background:attr(data-y type(*))}`, `$X{background:attr(data-y type(<image>))}`, `$X{background:attr(data-y type(<url>))}`, `$X{background:attr(data-x url)}`, `$X{--t:attr(data-y type(*));background:var(--t)}`,
	`$X{--t:attr(data-x);background:image-set(var(--t) 1x)}`, `$X::before{content:attr(data-y type(*))}`, `$X{background:src(attr(data-x))}`, `$X{background:attr(data-z type(<color>),$I)}`, `$X{background:attr(data-y type(*)),$I}`, `@property --t$N{syntax:"<string>";inherits:false;initial-value:""}$X{--t$N:attr(data-x);background:image-set(var(--t$N) 1x)}`,
	`@function --f$N() returns <image>{result:$I}$E{background:--f$N()}`, `$E{background:--f$N()}@function --f$N(){result:$I}`, `$E{background:image-set(--f$N() 1x)}@function --f$N() returns <string>{result:$S}`, `$E{background:--f$N($S)}@function --f$N(--a){result:image-set(var(--a) 1x)}`, `$E{background:--f$N({$S})}@function --f$N(--a <string>){result:image-set(var(--a) 1x)}`,
	`$E{background:--f$N()}@function --f$N(--a:$S){result:image-set(var(--a) 1x)}`, `$E{background:--f$N()}@function --f$N(){--l:$S;@media all{result:image-set(var(--l) 1x)}}`, `$E{background:image-set(--f$N() 1x)}@function --f$N(){@supports (color:red){result:$S}}`, `$E{background:--f$N($K) $I}@function --f$N(--a){result:}`, `$E{background:image-set(--f$N(x,$S) 1x)}@function --f$N(--b,--a){result:var(--a)}`,
	`$E{@apply --m$N}@mixin --m$N(--a:$S){@result{background:image-set(var(--a) 1x)}}`, `$E{@apply --m$N($S)}@mixin --m$N(--a){background:image-set(var(--a) 1x)}`, `$E{@apply --m$N}@mixin --m$N{$P}`, `$E{@apply --m$N{$P}}@mixin --m$N(@contents){@contents}`, `$E{@apply --m$N}@macro --m$N{$P}`,
	`$E{font-family:f$N}@font-face{font-family:f$N;src:$G}`, `$E{font-family:f$N}@font-face{src:$G;font-family:f$N;unicode-range:U+0-7f}`, `$E{font:9px f$N}@font-face{font-family:"f$N";src:$G;unicode-range:u+7?,U+26}`, `$E{font-family:f$N}@font-face{$K;font-family:f$N;src:$G`, `$E{font-family:f$N}@media all{@font-face{font-family:f$N;src:$G}}`,
	`$E{font-family:f$N}@font-palette-values --x{font-family:f$N;base-palette:1}@font-face{font-family:f$N;src:$G,$G}`, `@font-feature-values x{@styleset{x:1}}$R`, `$E{animation:k$N 9s}@keyframes k$N{from,to{$P}}`, `$E{animation:k$N 9s}@-webkit-keyframes k$N{0%{$P}100%{$P}}`, `$E{animation:k$N 9s both}@keyframes "k$N"{50%{$K;$P}}`,
	`$E{display:list-item;list-style:c$N}@counter-style c$N{system:cyclic;symbols:$I "x"}`, `$E{display:list-item;list-style:symbols(cyclic $I)}`, `@page{@top-left{content:$I}$P}$R`, `@page :first{$P}$R`, `@view-transition{navigation:auto;x:$I}$R`, `@position-try --x{$P}$R`, `@color-profile --x{src:$U)}$R`, `@custom-media --x $K;$R`, `@custom-selector :--x $K;$R`,
	`<!--$R-->`, `<!-- $R`, `-->$R`, `<!--$E{$P}-->$R`, `<!$R`, `}$R`, `)$R`, `];$R`, `;$R`, `{}$R`, `x{]}$R`, `x{)}$R`, `x(}$R`, `x:y{$P}$R`, `"\n$R`, `"$K"$R`, `\$R`, `/*$K*/$R`, `/*/$K*/$R`, `$R/*$K`, `url($K)$R`, `u+$R`, `U+26url(x){}$R`, `1$R`, `#$R`, `&$R`, `& $R`,
	`@import $S;$E{$P}`, `@x{@import $S;}$R`, `$E{@import $S;$P}`, `$R@import $S;`, `@import $S{}$R`, `@import{$S}$R`, `@media all{@import $S;$R}`,
}

// headShapes stand in front of the other rules; M is what an @import has behind its URL.
var headShapes = []string{
	`@import$_$S$M;`, `@import$_$S$M;`, `@import$_$U)$M;`, `@import$_$U)$M;`, `@import$_$U)$M`, `@import$_$S`, `@import $F$M;`, `@import $F;`, `@import url($F);`, `@import src($S);`, `@import image-set($S 1x);`, `@import $I;`, `@import$_"/a"$M$S;`, `@import $K;`, `@import x $S;`, `@import $S $K;`, `@import-x $S;`, `@import{$K}`,
	`@layer a;`, `@layer a,b$_;`, `@namespace $S;`, `@namespace x $U);`, `@namespace url($K);`, `@charset "utf-8";`, `@charset $S;`, `@charset 'x'`, `@x;`, `@x $K;`, `/*$K*/`, `/**/`, `<!--`, `-->`, ` `, ";", `@property --x{}`, `@layer;`, `@import "/a" layer(;`, `@IMPORT $S;`, `@\69mport $S;`, `@i\6dport $U);`, `@\000069 mport$_$S;`, `@import\20 $S;`,
	"@import\f$S;", "@import\r\n$U);", "@import\n\n$S\n;", "@import\v$S;", "@import\x00$S;", "@import\u00a0$S;", `@ import $S;`, `@/**/import $S;`, `@import/**/$S/**/;`, `@import/*;*/$S;`, `@import/*"*/$U)/*'*/;`,
}

// sheetImages are images; $S and the like as above.
var sheetImages = []string{
	`image-set($S 1x)`, `image-set($S)`, `image-set("/a" 2x,$S 1x)`, `-webkit-image-set($S 1x)`, `-webkit-image-set($U) 1x)`, `image-set($U) type("image/gif") 1x)`, `image-set($S type("image/gif"),$S 1x)`, `image-set(image-set($S 1x) 1x)`, `\69mage-set($S 1x)`, `image-set$_($S 1x)`, `image-set(linear-gradient(red,red) 2x,$S 1x)`,
	`cross-fade($I,$I,50%)`, `-webkit-cross-fade($I,$I,50%)`, `cross-fade($I 50%,red)`, `image($S)`, `image(ltr $I,red)`, `src($S)`, `src(var(--x,$S))`, `element(#x),$I`, `paint(x,$I)`, `linear-gradient(red,red),$I`, `conic-gradient(red 1deg,red),$I`, `-moz-image-rect($U),0,0,9,9)`,
	`var(--x,$I)`, `var(--e)$I`, `var(--e,$K)$I`, `var(--e,$K)$I`, `$I var(--e,$K)`, `var(--e$_,($K))$I`, `var(--n,$K),$I`, `var(--x,)$I`, `env(x,$I)`, `env(safe-area-inset-top,$K)$I`, `if(media($C):$I;else:none)`, `if(not style(--x:$K):$I)`, `if(style(--x:$K):none;else:$I)`, `if(supports(a:$K):none;else:$I)`, `if(else:$I)`,
	`light-dark($I,$I)`, `first-valid($I)`, `attr(x type(<image>),$I)`, `attr(x,$I)`, `attr(x type(*),$I)`, `random-item(--x,$I,$I)`, `toggle($I)`, `--x($I)`, `inherit(--x,$I)`, `url()$I`, `url("/a"),$I`, `url(),$I`, `url(/a),$I`, `red $I`, `$I red`, `$I,,`, `calc(1px)$I`, `symbols($I)`, `[$I]`, `($I)`, `{$I}`,
}

// sheetProperties take images.
var sheetProperties = []string{
	`background:$I`, `background:$I`, `background:$I`, `background-image:$I`, `background-image:$I`, `background:$I 0 0/9px no-repeat,red`, `background:red$_$I`, `background:none,$I`, `background:$I$_,$_$I`, `BackGround$_:$_$I`, `b\61 ckground:$I`, `b\61ckground-\69mage:$I`, `\000062ackground:$I`, `background/**/:/**/$I/**/`,
	`background:$I!important`, `background:$I!$_important`, `background:$I!ie`, `*background:$I`, `_background:$I`, `background:$I\9`, `background:$I;`, `background:$I}`, `background:$I)`, `background :$I`, `background::$I`, `background:$I;background:$K`, `background:$K;background:$I`, `x:$K;background:$I`,
	`list-style:$I`, `list-style-image:$I`, `display:list-item;list-style:$I inside`, `border-image:$I 9`, `border:9px solid;border-image:$I 30 round`, `border:9px solid;border-image-source:$I`, `-webkit-border-image:$I 9`, `-moz-border-image:$I 9`, `mask:$I`, `mask-image:$I`, `-webkit-mask:$I`, `-webkit-mask-image:$I`, `mask-border:$I`, `mask-border-source:$I`,
	`-webkit-mask-box-image:$I`, `-webkit-mask-box-image-source:$I`, `float:left;shape-outside:$I`, `filter:$I`, `filter:blur(1px) $I`, `filter:$U#x)`, `backdrop-filter:$U#x)`, `-webkit-filter:$U#x)`, `clip-path:$U#x)`, `clip-path:$I`, `offset-path:$U#x)`, `offset:$I`, `cursor:$I,auto`, `cursor:$I 2 2,auto`, `cursor:$I`, `content:$I`,
	`content:$I / "x"`, `content:"x"$I`, `fill:$U#x)`, `stroke:$U#x)`, `marker:$U#x)`, `marker-start:$U#x)`, `-moz-binding:$I`, `behavior:$I`, `-moz-appearance:$I`, `-webkit-box-reflect:below 1px $I`, `view-transition-name:$I`, `src:$I`, `all:$I`, `--x:$I`, `--x:$S`, `--x:{$P}`, `zoom:$I`, `quotes:$S $S`, `content:$S`, `font-family:$S`,
}

// sheetTails stand between the tokens of what is passed over, or behind URLs.
var sheetTails = map[byte][]string{
	'C': {"all", "all", "screen", "not print", "(min-width:0)", "(width>0)", "screen and (color)", "not (x:y)", "only screen", "(min-width:0)and (color)", "screen,x", "(not print)", "(0<width)", "( min-width : 0 )"},
	'M': {"", "", "", "", "", " all", " screen", "screen", " layer", " layer(x)", " layer(x.y) screen", " supports(color:red)", " supports((color:red) and (not (a:b)))", " supports(content:$S)", " supports(background:$I)", " supports(selector(a))", " layer supports(color:red) (min-width:0)", " scope((html))", " scope(*)",
		"/**/all", " not print", " print", " layer()", " supports()", " x(y) all", " {", "#x", " all{}", " ,", " $S", " supports(--x:$K)", " layer(a)$_supports(--x:$K)$_all", ")", " supports(not (--x:$K)) all", " scope()", " format('css')", " integrity('x')", "\n", " layer(x"},
	'K': {"x", "", "x y", "\"x\"", "'x\\'y'", "$S", "@namespace", "@namespace", "@namespace x", "@namespace url(x)", "[;x]", "{;x}", "(x;)", "{)}", "@import", "@import ", "@import x", "@font-face", "@charset", "@property", "@media", "@x", "#x", "1px", "50%", "(x)", "[x]", "{x}", "url(x)", "url( x )", "url(x y)", "url(x\"y)", "url(x(y)", "url(x'y)", "url()", "url(\"x\")", "url(\"x\"y)", "url('x", "url(\\)", "url(x\\))", "url(\\\n)", "url(\x00)",
		"u+26", "U+?", "U+0-7f", "<!--", "-->", "<!", "--", "--x", "/**/", "/*x*/", "/* url( */", "/*'*/", "/*\\*/", "/*/**/", "\"/*\"", "'*/'", "\"\\\"\"", "'\\\n'", "\"x\n", "'x\r\n", "\"\\", "\\", "\\\n", "\\)", "\\\"", "\\{", "\\/*", "image-set(x)", "image-set(", "if(", "src(", "url(", "x(", "(", "[", "{", "}", ")", "]", ";", ":", "!", "!x", ",", "&", "|", "||", "|=", "~", "$", "=",
		"\x00", "\ufffd", "\u00e9", "\u00e9url(x)", "\U0001f600", "\x80", "\xff", "\u00a0", "\u2028", "\ufeff", "\v", "\f", "\r", "\x01", "\x7f", "\x1b(J", "\x1b$B", "\x1b(B", "\x83\\", "\x81@", "\x81{", "\x81}", "\x81'", "\x8e(", "1e3url(x)", ".5url(x)", "+url(x)", "-url(x)", "#url(x)", "@url(x)", "\\75rl(x)", "xurl(x)", "url-x(y)", "-\\75rl(x)",
		"</style", "</styl", "</ style>", "<style>", "</stylex>", "<!--</style>-->", "]]>", "<![CDATA[", "&#34;", "&lt;", "<b>", "expression(x)", "$I", "$U)", "a:b", "a:b;", "a{b:c}", ":is(", "::x", "=\"", "--x:{", "--x:\"", "@import 'x';", "@namespace 'x';", "@layer x;", "\\0", "\\0 ", "\\fffd ", "\\110000 ", "\\d800 "},
}

// A sheetMaker writes random style sheets. Its URLs tell which sheet of which document they are in.
type sheetMaker struct {
	tagMaker
	files    []*vector         // of style sheets
	sheets   map[string]string // by document and number, unencoded
	urlsOf   map[string]int    // how many URLs the sheets of a document have
	element  int
	elements strings.Builder // that the sheets' rules are for
	file     int
}

var dollar = regexp.MustCompile(`\$[CEFGIKMNPRSUX_]`)

// fill fills in what a shape leaves open.
func (m *sheetMaker) fill(shape string) string {
	if m.depth > 6 {
		return ""
	}
	m.depth++
	defer func() { m.depth-- }()
	number := 0 // of this rule's last element
	if strings.Contains(shape, "$E") || strings.Contains(shape, "$X") {
		m.element++
		number = m.element
	}
	return dollar.ReplaceAllStringFunc(shape, func(s string) string {
		switch s[1] {
		case 'E', 'X':
			s := fmt.Sprintf(".e%d", number)
			data := ""
			if strings.Contains(shape, "$X") {
				data = fmt.Sprintf(" data-x='%s' data-y='url(%s)'", m.plain(), m.plain())
			}
			if mark := fmt.Sprintf("class='e%d'", number); !strings.Contains(m.elements.String(), mark) {
				fmt.Fprintf(&m.elements, "<b %s%s>x<i>y</i></b>", mark, data)
			}
			switch m.rnd.IntN(20) {
			case 0:
				return m.oneOf("b", "*", ":not(x)") + s
			case 1:
				return fmt.Sprintf(m.oneOf("[class=e%d]", "[class='e%d']", `[class="e%d"i]`, `.\65 %d`, "*|*.e%d", "|b.e%d", ".e%d:not(#x\\{)", "b.e%d:nth-child(n of *)"), number)
			}
			return s
		case 'N':
			return fmt.Sprint(number)
		case 'P':
			if m.in(2) {
				return m.fill(m.oneOf("background:$I", "background-image:$I", "background:$I red", "list-style:$I", "mask:$I", "content:$I"))
			}
			return m.fill(sheetProperties[m.rnd.IntN(len(sheetProperties))])
		case 'R':
			return m.rule()
		case 'I':
			if m.depth < 5 && m.in(3) {
				return m.fill(sheetImages[m.rnd.IntN(len(sheetImages))])
			}
			if m.in(20) {
				return m.fill("$U" + m.oneOf("", "))", "\x00)", "\\)", ";)", "/**/)"))
			}
			return m.fill("$U)")
		case 'G':
			return m.fill(m.oneOf("$U)", "$U)", "$U) format('woff2')", `$U)format("woff2")`, "$U) format(woff2) tech(variations)", "local(x),$U)", `local("x"),$U) format('woff'),$U)`, "$U) format('x'),$U)", "src($S)", "$S", "$I", "$U) tech(x),$U)", "local($S),$U)", "$K,$U)", "url(x) format($S),$U)", "$U)$K"))
		case 'S':
			return m.quoted()
		case 'U':
			return m.function()
		case 'F':
			q := m.oneOf(`"`, "'")
			return q + m.linked() + q
		case '_':
			return m.space()
		}
		tails := sheetTails[s[1]]
		return m.fill(tails[m.rnd.IntN(len(tails))])
	})
}

func (m *sheetMaker) space() string {
	return m.oneOf("", " ", " ", "\n", "\t", "\f", "\r\n", "\r", "/**/", " /*x*/ ", "/*\"*/", "/*;*/", "/*/**/", "/***/", "/*url(*/", "  ")
}

// target returns a URL, without escapes.
func (m *sheetMaker) target() string {
	if m.in(40) {
		return m.oneOf("", "#x", "/a.png", "about:blank", "data:,", "data:image/gif,")
	}
	u := m.plain()
	switch m.rnd.IntN(40) {
	case 0:
		u = m.oneOf("//tracker.test", "https://tracker.test", `HTTP:\\tracker.test`, "http://user@tracker.test", "http://sub.tracker.test:80", `\/tracker.test`, "http:///tracker.test", "https:tracker.test", "/\t/tracker.test", "\\\\tracker.test", "http:\\tracker.test", "///tracker.test", " //tracker.test", "\x01//tracker.test") + strings.TrimPrefix(u, "http://tracker.test")
	case 1:
		i := m.rnd.IntN(len(u) - 8)
		u = u[:i] + m.oneOf("\t", "\n", "\r", "\f", "\v", "\x00", "\ufffd", "\\", "\u00a0", "\u200b", "\u00ad", "\ufeff", "%", "%2e", "\x7f", "\u3002", "\uff0f", " ") + u[i:]
	case 2:
		return "data:" + m.oneOf("text/css", "text/css;charset=utf-8", "", "text/plain", "text/css;x") + "," + url.PathEscape(m.fill(m.oneOf("@import '"+u+"';", "$R", "@import $S;$R")))
	case 3:
		return "data:text/css;base64," + base64.StdEncoding.EncodeToString([]byte(m.fill(m.oneOf("@import '"+u+"';", "$R", "@import $S;$R"))))
	case 4:
		return "data:image/svg+xml," + url.PathEscape("<svg xmlns='http://www.w3.org/2000/svg'><image href='"+u+"'/></svg>")
	case 5:
		u += strings.Repeat("x", m.rnd.IntN(5000))
	}
	return u
}

// escape spells some characters of a text as escapes, and always those in must.
func (m *sheetMaker) escape(s, must string) string {
	some := 0
	if m.in(4) {
		some = 1 + m.rnd.IntN(20)
	}
	var b strings.Builder
	runes := []rune(s)
	for i, c := range runes {
		switch next := i+1 < len(runes); {
		case strings.ContainsRune(must, c) && c > ' ' && m.in(2):
			b.WriteString(`\` + string(c))
		case !strings.ContainsRune(must, c) && (some == 0 || !m.in(some)):
			b.WriteRune(c)
		case !m.in(4) || strings.ContainsRune("0123456789abcdefABCDEF\n\r\f", c):
			digits := fmt.Sprintf(m.oneOf("%x", "%X", "%04x", "%06x"), c)
			if !next || len(digits) == 6 || !strings.ContainsRune("0123456789abcdefABCDEF \t\n\r\f", runes[i+1]) {
				b.WriteString(`\` + digits + m.oneOf("", "", " ", "\t", "\n", "\r\n", "\f"))
			} else {
				b.WriteString(`\` + digits + m.oneOf(" ", "\t", "\n", "\r\n", "\r", "\f"))
			}
		default:
			b.WriteString(`\` + string(c))
		}
	}
	return b.String()
}

func (m *sheetMaker) quoted() string {
	q := m.oneOf(`"`, "'")
	s := m.escape(m.target(), q+"\\\n\r\f")
	if m.in(20) {
		i := m.rnd.IntN(len(s) + 1)
		s = s[:i] + m.oneOf("\\\n", "\\\r\n", "\\\f", "\\\r", "\\\n\\\n", "/**/", "\n", "\\"+q, ")", "(", ";", "}", "<!--", "\\", "\\0 ") + s[i:]
	}
	if m.in(20) {
		return q + s + m.oneOf("", "\n", "\\"+q, "\\", q+q)
	}
	return q + s + q
}

// function returns url( with a URL behind it.
func (m *sheetMaker) function() string {
	open := m.oneOf("url(", "url(", "url(", "url(", "url( ", "URL(", "Url(\n", m.escape("url", "")+"(", m.escape("url", "url")+"(", m.escape("uRL", "u")+"(\t")
	if m.in(30) {
		open = m.oneOf("url (", "url/**/(", "url(/**/", "\x00url(", "url\x00(", "-url(", "1url(", "+url(", "#url(", "@url(", "\u00e9url(", "src(", "url-prefix(", "domain(", "--url(", "1e3url(", "1.url(", "/**/url(", "<!--url(", "-->url(", "\\url(", "u\\\nrl(", "%url(", "!url(", "\u017frl(", "url(\f", "url(\v", "url(\r\n")
	}
	if m.in(2) {
		return open + m.quoted() + m.oneOf("", "", "", "", "", "", "", "", "", "", " ", "\n", " x", " crossorigin(anonymous)", " integrity('x')", "/**/", " referrerpolicy(origin)", " x('y')", "\"x\"")
	}
	u := m.escape(m.target(), " \t\n\r\f\v\x01\x7f\"'()\\")
	if m.in(20) {
		i := m.rnd.IntN(len(u) + 1)
		u = u[:i] + m.oneOf(" ", "\n", `"`, "'", "(", "\\", "\\\n", ")", "/**/", "/*", ";", "}", "{", "\x00", "\x01", "\u00e9", "<!--", "\\)", "\\ ") + u[i:]
	}
	return open + u + m.oneOf("", "", "", "", "", "", "", "", "", " ", "\n", "\t ", "\r\n", "\f", "\\ ", " x")
}

func (m *sheetMaker) rule() string {
	if m.in(2) {
		return m.fill("$E{$P}")
	}
	return m.fill(sheetShapes[m.rnd.IntN(len(sheetShapes))])
}

// noise damages a sheet in a place or two.
func (m *sheetMaker) noise(css string) string {
	for m.in(5) && css != "" {
		i := m.rnd.IntN(len(css))
		tails := sheetTails['K']
		switch m.rnd.IntN(8) {
		case 0:
			css = css[:i] + css[i+1:]
		case 1:
			css = css[:i] + css[i:i+1] + css[i:]
		case 2:
			css = css[:max(i, len(css)*2/3)]
		case 3:
			css = css[:i] + `\` + css[i:]
		case 4:
			css = css[:i] + m.space() + css[i:]
		default:
			css = css[:i] + m.fill(tails[m.rnd.IntN(len(tails))]) + css[i:]
		}
	}
	return css
}

// sheet returns a style sheet.
func (m *sheetMaker) sheet() string {
	m.tag++
	var b strings.Builder
	for m.in(3) {
		b.WriteString(m.fill(headShapes[m.rnd.IntN(len(headShapes))]))
	}
	for range 1 + m.rnd.IntN(3) {
		b.WriteString(m.rule() + m.oneOf("", "", "", "\n", " ", "/**/"))
	}
	return m.keep(m.noise(b.String()))
}

// declarations returns the text of a style attribute.
func (m *sheetMaker) declarations() string {
	m.tag++
	s := m.fill(m.oneOf("$P", "$P", "$P", "$P", "$P", "$P", "$P", "$P;$P", "x:y;$P", "$K;$P", "{$K}$P", "x:$K;$P", "@x{$P}$P", "&{$P}", "@media all{$P}", "--s:$S;background:image-set(var(--s) 1x)", "}$P", "$P}$P", "--i:$I;background:var(--i)", "@import $S;$P", "@namespace $S;$P", "<!--;$P", "@font-face{$P};$P"))
	return m.keep(m.noise(s))
}

func (m *sheetMaker) keep(css string) string {
	m.sheets[fmt.Sprintf("/%s/%d.", m.id, m.tag)] += css
	return css
}

// inUTF16 returns a text in UTF-16.
func inUTF16(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// linked returns the name of a style sheet that is a file.
func (m *sheetMaker) linked() string {
	if m.depth > 4 {
		return "/a.css"
	}
	m.file++
	name := fmt.Sprintf("%s-%d.css", m.id, m.file)
	was := m.tag
	css := m.sheet()
	m.tag = was
	kind := m.oneOf("text/css", "text/css", "text/css; charset=utf-8", "text/css;charset=utf-8", "text/css; charset=windows-1252", "text/css; charset=shift_jis", "text/css; charset=gbk", "text/css; charset=utf-16le", "text/css; charset=iso-2022-jp", "text/css; charset=x", "text/css; charset=", "", "text/plain", "text/css; x=y", "text/html", "text/css; charset=utf-16be; charset=utf-8", "TEXT/CSS")
	switch m.rnd.IntN(12) {
	case 0:
		css = "\ufeff" + css
	case 1:
		css = `@charset "` + m.oneOf("utf-8", "utf-16", "utf-16le", "shift_jis", "gbk", "big5", "iso-2022-jp", "windows-1252", "x", "x-user-defined", "replacement", "hz-gb-2312") + m.oneOf(`";`, `";`, `";`, `"`, `" ;`, `';`) + css
	case 2:
		css = "\xff\xfe" + inUTF16(css, binary.LittleEndian)
	case 3:
		css = "\xfe\xff" + inUTF16(css, binary.BigEndian)
	case 4:
		css = m.oneOf("\ufeff\ufeff", "\ufeff@charset \"utf-16\";", "\xff\xfe", "\xfe\xff", "\x00", "\x1b(J", "\x1b$B", "\x1b(B") + css
	default:
		if m.in(3) && strings.Contains(kind, "utf-16le") || m.in(30) {
			css = inUTF16(css, binary.LittleEndian)
		} else if m.in(2) && strings.Contains(kind, "utf-16") {
			kind = strings.Replace(kind, "16le", "16be", 1)
			css = inUTF16(css, binary.BigEndian)
		}
	}
	m.files = append(m.files, &vector{ID: name, Scope: "css-file", ContentType: &kind, Body: []byte(css)})
	return name + m.oneOf("", "", "", "?1", "?7")
}

// value writes an attribute's value, with some characters as references.
func (m *sheetMaker) value(v string) string {
	v = strings.ReplaceAll(html.EscapeString(v), "&#39;", m.oneOf("'", "&#39;", "&apos;"))
	if m.in(4) && v != "" {
		i := m.rnd.IntN(len(v))
		if c := v[i]; c < 0x80 && c >= ' ' && !strings.Contains(v[max(0, i-6):i+1], "&") {
			v = v[:i] + m.reference(c) + v[i+1:]
		}
	}
	return `"` + v + `"`
}

// container returns markup with a style sheet in it.
func (m *sheetMaker) container() string {
	attributes := m.oneOf("", "", "", "", " type=text/css", " media=all", " media=screen", " media='(min-width:0)'", " title=x", " type=''", " nonce=x", " media=print", " blocking=render")
	switch m.rnd.IntN(16) {
	case 0, 1, 2:
		return "<link rel=stylesheet href=" + m.linked() + attributes + m.oneOf("", "", "", " charset=utf-8", " charset=utf-16le", " charset=shift_jis", " charset=iso-2022-jp") + ">"
	case 3, 4, 5:
		return fmt.Sprintf("<%s style=%s>x</%[1]s>", m.oneOf("p", "b", "li", "q", "x-y"), m.value(m.declarations()))
	case 6:
		return "<svg><style" + attributes + ">" + m.oneOf("", "<![CDATA[") + strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(m.sheet()) + m.oneOf("", "]]>") + "</style><rect width=9 height=9 style=" + m.value(m.declarations()) + " /></svg>"
	case 7:
		s := m.sheet()
		if m.in(2) {
			s = strings.ReplaceAll(s, "http", m.oneOf("&#104;ttp", "ht&#x74;p", "http", "h<!---->ttp", "h<b>ttp", "h<![CDATA[ttp]]>"))
		}
		return "<svg><style>" + s + "</style></svg>"
	case 8:
		return "<div><template shadowrootmode=" + m.oneOf("open", "closed") + ">" + m.scope() + "</template></div>"
	case 9:
		css := m.sheet()
		if m.in(2) {
			css = url.PathEscape(css)
		} else {
			css = strings.NewReplacer("%", "%25", "#", "%23").Replace(css)
		}
		return "<link rel=stylesheet href=" + m.value("data:"+m.oneOf("text/css", "text/css", "text/css;charset=utf-8", "TEXT/CSS", "", "text/css;x=y", "text/css;charset=shift_jis", "text/css;charset=utf-16le", "text/css;charset=iso-2022-jp")+","+css) + attributes + ">"
	case 10:
		css := m.sheet()
		if m.in(4) {
			css = m.oneOf("\xff\xfe"+inUTF16(css, binary.LittleEndian), "\xfe\xff"+inUTF16(css, binary.BigEndian), "\ufeff"+css)
		}
		return "<link rel=stylesheet href='data:text/css;base64," + base64.StdEncoding.EncodeToString([]byte(css)) + "'>"
	case 11:
		if m.depth > 0 {
			return ""
		}
		m.depth++
		defer func() { m.depth-- }()
		return "<iframe srcdoc=\"" + escapeSrcdoc.Replace(m.oneOf("", "<!doctype html>")+m.scope()) + "\"></iframe>"
	}
	return "<style" + attributes + ">" + m.sheet() + "</style>"
}

// scope returns a container with the elements that its rules are for.
func (m *sheetMaker) scope() string {
	outer := m.elements.String()
	m.elements.Reset()
	s := m.container() + m.elements.String()
	m.elements.Reset()
	m.elements.WriteString(outer)
	return s
}

// document returns one with some sheets.
func (m *sheetMaker) document() *vector {
	m.tag, m.file, m.element = 0, 0, 0
	m.elements.Reset()
	before := m.urls
	var b strings.Builder
	b.WriteString(m.oneOf("<!doctype html>", "<!doctype html>", "", "<!doctype html><head>", "<!doctype html><title>x</title><body>", "<!doctype html><meta charset=utf-8>"))
	b.WriteString("<style>*{--e: ;--n:none}</style>")
	for count := sheetsPerDocument/2 + m.rnd.IntN(sheetsPerDocument); m.tag < count; {
		b.WriteString(m.container())
	}
	b.WriteString(m.elements.String())
	v := &vector{ID: m.id, Scope: "static", Body: []byte(b.String())}
	if m.in(6) {
		kind := m.oneOf("text/html", "text/html; charset=windows-1252", "text/html; charset=shift_jis", "text/html; charset=gbk", "text/html; charset=utf-16le", "text/html; charset=iso-2022-jp", "text/html; charset=big5", "text/html; charset=x-user-defined", "text/html; charset=euc-kr")
		if v.ContentType = &kind; strings.HasSuffix(kind, "utf-16le") {
			v.Body = []byte(inUTF16(b.String(), binary.LittleEndian))
		}
	}
	m.urlsOf[m.id] = m.urls - before
	return v
}

// sheetsPerDocument is a mean.
const sheetsPerDocument = 6

// randomSheets returns documents with n style sheets altogether.
func randomSheets(n int, seed uint64) (*sheetMaker, []*vector) {
	m := &sheetMaker{tagMaker: tagMaker{rnd: rand.New(rand.NewPCG(seed, 11))}, sheets: make(map[string]string), urlsOf: make(map[string]int)}
	var vs []*vector
	for i := 0; n > 0; i++ {
		m.id = fmt.Sprintf("sheets%d-%d", seed, i)
		vs = append(vs, m.document())
		n -= m.tag
	}
	return m, vs
}

var (
	sheetOfURL = regexp.MustCompile(`/sheets\d+-\d+/\d+\.`)
	sheetURL   = regexp.MustCompile(`/sheets\d+-\d+/\d+\.\d+`)
)

// Style sheets at random, in elements, attributes, files and URLs, make no browser contact a blocked host. CONSENT_SHEETS is
// how many are tried, and after a comma from which seed. Without the enforcement one in ten of their URLs at least is
// fetched, or the test shows nothing.
func TestRandomSheetsInBrowsers(t *testing.T) {
	m, vs := randomSheets(countAndSeed("CONSENT_SHEETS", 300))
	some, all := vs[:min(len(vs), 16)], 0
	for _, v := range some {
		all += m.urlsOf[v.ID]
	}
	none := func(t *testing.T, visits []*visit) {
		t.Helper()
		for _, x := range visits {
			for _, s := range x.contacts {
				if sheet := sheetOfURL.FindString(s); sheet != "" {
					t.Logf("%s: %.3000q", s, m.sheets[sheet])
				}
			}
		}
		noContacts(t, visits)
	}
	contacting := func(t *testing.T, visits []*visit) {
		t.Helper()
		urls := make(map[string]bool)
		for _, x := range visits {
			for _, s := range x.contacts {
				urls[sheetURL.FindString(s)] = true
			}
		}
		t.Logf("not enforced, %d of %d URLs are fetched", len(urls), all)
		if len(urls)*10 < all {
			t.Error("too few")
		}
	}
	replayInBrowsers(t, vs, some, none, contacting, m.files...)
}
