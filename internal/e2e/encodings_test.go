package e2e

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// encodingLabels are names of encodings, with what a text is written in that is meant to be read so: "16le", "16be" and
// "jis", a first byte of a character of two, or nothing. The last ones are no encoding of any browser.
var encodingLabels = [][2]string{
	{"utf-8", ""}, {"utf-8", ""}, {"UTF8", ""}, {"unicode-1-1-utf-8", ""}, {"utf-16", "16le"}, {"utf-16le", "16le"}, {"UTF-16LE", "16le"}, {"unicode", "16le"}, {"ucs-2", "16le"}, {"unicodefeff", "16le"}, {"utf-16be", "16be"}, {"UnicodeFFFE", "16be"},
	{"iso-2022-jp", "jis"}, {"ISO-2022-JP", "jis"}, {"csiso2022jp", "jis"}, {"shift_jis", "\x83"}, {"Shift-JIS", "\x95"}, {"windows-31j", "\xf0"}, {"ms_kanji", "\x81"}, {"gbk", "\x81"}, {"gb2312", "\x95"}, {"chinese", "\xfe"}, {"gb18030", "\x81"}, {"GB18030", "\x81\x30\x81"},
	{"big5", "\xa5"}, {"Big5-HKSCS", "\xa4"}, {"cn-big5", "\xb3"}, {"euc-jp", "\x8f"}, {"x-euc-jp", "\xa1"}, {"euc-kr", "\x81"}, {"ks_c_5601-1987", "\xb0"}, {"windows-1252", "\x81"}, {"latin1", "\xe9"}, {"us-ascii", "\x83"}, {"windows-1251", "\x98"}, {"windows-1255", "\xff"},
	{"x-mac-cyrillic", "\xf0"}, {"macintosh", "\xe9"}, {"iso-8859-8-i", "\xe0"}, {"iso-8859-16", "\xaa"}, {"koi8-u", "\xa4"}, {"ibm866", "\x81"}, {"x-user-defined", "\x81"},
	{"replacement", ""}, {"iso-2022-kr", "jis"}, {"iso-2022-cn", "jis"}, {"hz-gb-2312", ""}, {"csiso2022kr", "jis"}, {"utf-7", ""}, {"utf-32", "16le"}, {"utf-32le", "16le"}, {"iso-2022-jp-2", "jis"}, {"iso-2022", "jis"}, {"jis", "jis"}, {"cesu-8", ""}, {"utf-16-le", "16le"},
	{"none", "\x83"}, {"", ""}, {"euc-tw", "\xa4"}, {"x-gbk2", "\x81"}, {"johab", "\x88"},
}

// An encodingMaker writes documents whose bytes mean something else in another encoding.
type encodingMaker struct {
	tagMaker
	files  []*vector
	told   map[string]string // by document and number, what its URLs stand in
	frames bool              // there may be some
	file   int
}

// way is how a text is written.
type way struct{ label, layout string }

func (m *encodingMaker) way() way {
	l := encodingLabels[m.rnd.IntN(len(encodingLabels))]
	return way{l[0], l[1]}
}

// lead is a first byte of a character of two, or something like it.
func (m *encodingMaker) lead(w way) string {
	if l := w.layout; l != "" && l[0] >= 0x80 && !m.in(4) {
		return l
	}
	return m.oneOf("\x81", "\x83", "\x95", "\xa5", "\xe0", "\xf0", "\xfe", "\xff", "\x80", "\xc3", "\xe4\xb8", "\x81\x30\x81", "\xa1\xa1", "\x8e", "\x8f\xa1", "\xc3\xa9", "é", "ソ", "—", "")
}

const kanji, plainJIS = "\x1b$B", "\x1b(B"

// escapes is a sequence that may change what bytes mean in ISO-2022-JP, and one that changes it back.
func (m *encodingMaker) escapes() (to, back string) {
	return m.oneOf(kanji, kanji, kanji, "\x1b$@", "\x1b(I", "\x1b(J", "\x1b$B\x1b$B", "\x1b\x1b$B", "\x1b$(D", "\x1b$A", "\x1b(B\x1b$B", "\x1b", "\x1b$", "\x0e"), m.oneOf(plainJIS, plainJIS, plainJIS, "\x1b(J", "\x1b(J", "\n", "\x1b(B\x1b(B", "\x0f", "\x1b(", plainJIS+"\x1b(J")
}

// hidingRules are rules in which § is a reference in some encodings only: ¶ stands for the first half of a character, ¢ and
// ¬ for escape sequences to other characters and back.
var hidingRules = []string{
	`E{b:"¶\"; background:url(§)}/*"*/`, `E{b:"¶\"/*"; background:url(§);c:"*/"}`, `E{b:url(¶\);background:url(§);c:")"}`, `E{b:url(¶\)/*);background:url(§);c:"*/"}`, `E{--¶}:"§";background:image-set(var(--¶}) 1x)}`, `E¶{x}E{background:url(§)}`, `E{x:¶{;background:url(§)}`,
	`E{x:¶[;background:url(§);y:]}`, `E{x:[¶];background:url(§);y:]}`, `E{x:{¶};background:url(§)}`, `E{¶@x{};background:url(§)}`, `¶@import "§";`, `@import "¶\";@import "§";/*"*/`, `@import "/a¶";@import "§";`, `E{background:u¶rl(§)}`, `E{background:ur\6C¶(§)}`, `E{background:url(§)}`,
	`E{background:url("§¶")}`, `E{background:url(§¶)}`, `E{b:'¢!'¬ '}E{background:url(§)}E{x:' '}`, `E{b:'¢!'¬';background:url(§)}`, `E{b:"¢\"¬"/*";background:url(§);c:"*/"}`, `E{b:¢/*¬;background:url(§);c:"*/"}`, `¢E{background:url(§)}¬`, `E{background:¢url(§)¬}`, `E{background:u¢¬rl(§)}`, `@import ¬"§";`,
	`E{background:url(¢¬§)}`, "E{b:'¢\n';background:url(§)}", `E{b:"¢\¬";background:url(§);/*"*/}`, `/*¢*/¬ E{background:url(§)}/**/`, `/*¢*/E{background:url(§)}¬/**/`, "E{b:'\x00';background:url(§)}",
}

// hidingMarkup is the same in markup; C is a rule with E for its selector, and D its declarations.
var hidingMarkup = []string{
	`<style>C</style><p>x`, `<style>C</style><p>x`, `<style>C</style><p>x`, `<style>C</style><p>x`, `<p style='D'>x</p>`, `<p style='D'>x</p>`, `<svg><style>C</style><text>x</text></svg>`, `<svg><style><![CDATA[C]]></style></svg>`, `<svg><![CDATA[¶]]><!--]]><image width=9 height=9 href="§"/></svg>`,
	`<svg><![CDATA[¶]]>--><image width=9 height=9 href="§"/><!--]]></svg>`, `<svg><![CDATA[¢]]>¬]]><image width=9 height=9 href="§"/></svg>`, `<iframe srcdoc='<style>C</style><p>x'></iframe>`, `<img src="§">`, `<img src="§">`, `<img src="§">`, `<img ¶src="§">`, `<img a="¶"src="§">`, `<img a=¶ src="§">`,
	`<img a='¶'" src="§">`, `<¶img src="§">`, `<img/¶ src="§">`, `¶<img src="§">`, `<!--¶--><img src="§">-->`, `<!--¶--!><img src="§">-->`, `<title>¶</title><img src="§"></title>`, `<script>"¶</script><img src="§"></script>`, `<p a='¢!'¬ b=' ><img src=§> '>`, `<p a="¢"¬"><img src="§">`, `<p a="¢¬"><img src="§">`,
	`¢<img src="§">¬`, `¢<img src=§>`, `<!--¢-->¬--><img src="§">`, `<!--¢-->¬<img src="§">-->`, `<img ¢¬src="§">`, `<img s¢¬rc="§">`, `<img¬ src="§">`, `<img src="¢¬§">`, `<¬img src="§">`, `¢!!¬<img src="§">`, "¢!\n<img src=\"§\">", `<img src=¢¬§>`, `<script>/*¢*/¬*/</script><img src="§">`, `<title>¢</title>¬</title><img src="§">`,
	`<title>¢</title><img src="§">¬</title>`, `<textarea>¢</textarea>¬</textarea><img src="§">`, `<script>"¶\";import('H');//"</script>`, `<script>"¶\"/*";import('H');"*/"</script>`, `<script>"¢"¬";import('H')</script>`, `<script>¢import('H')¬</script>`, `<script type=importmap>{"imports":{"¶\":"§"}}</script>`,
	`<link rel=stylesheet href="F">`, `<link rel=stylesheet href="F">`, `<link rel=stylesheet charset="L" href="F">`, `<link rel=stylesheet charset="L" href="F">`, `<style>@import "F";</style>`, `<style>@import url(G);</style>`, `<link rel=stylesheet href="G">`, `<link rel=stylesheet charset="L" href="G">`, `<script charset="L" src="J"></script>`, `<script src="J"></script>`, "<img\x00 src='§'>", "<i\x00mg src='§'>",
	`<img src="N">`, `<img src="N">`, `<img srcset="N 1x">`, `<style>@import "N";</style>`, `<svg><image width=9 height=9 href="N"/></svg>`,
}

// framedMarkup shows documents in others: B is the name of one, U a data: URL.
var framedMarkup = []string{
	`<iframe src="B"></iframe>`, `<iframe src="B"></iframe>`, `<iframe src="B"></iframe>`, `<object data="B"></object>`, `<object type=text/html data="B"></object>`, `<embed src="B">`, `<iframe src="U"></iframe>`, `<iframe src="U"></iframe>`, `<iframe src="U"></iframe>`, `<object data="U"></object>`, `<embed src="U">`,
	`<iframe srcdoc="<iframe src='B'></iframe>"></iframe>`, `<iframe srcdoc="<link rel=stylesheet href='F'>"></iframe>`, `<iframe sandbox src="B"></iframe>`, `<iframe srcdoc="<img src='N'>"></iframe>`, `<iframe srcdoc="<meta charset=L><img src='§'><iframe src='B'></iframe>"></iframe>`,
}

// hidingXML is the same in documents of XML.
var hidingXML = []string{
	`<s:style>C</s:style>`, `<s:style>C</s:style>`, `<s:style><![CDATA[C]]></s:style>`, `<h:style>C</h:style><h:p>x</h:p>`, `<h:p style='D'>x</h:p>`, `<s:image width="9" height="9" href="§"/>`, `<h:img src="§"/>`, `<h:img src="§"/>`, `<![CDATA[¶]]><!--]]><h:img src="§"/><!---->`, `<![CDATA[¶]]>--><h:img src="§"/><!--]]>`,
	`<h:p title='¢!'¬ class=' ><h:img src="§"/> '/>`, `¢<h:img src="§"/>¬`, `<!--¢-->¬<h:img src="§"/><!---->`, `<h:img src="N"/>`, `<h:link rel="stylesheet" href="F"/>`, `¶<h:img src="§"/>`, `<h:p title='¶'/><h:img src="§"/>`, `<s:style>@import "F";</s:style>`, `<h:img src="¢¬§"/>`,
}

var hole = regexp.MustCompile(`[CDLFGHJNBUE§¶¢¬]`)

// hosts are of third parties and of the site, with characters outside ASCII.
var wideHosts = []string{"tr\xe4cker.test", "träcker.test", "ｔｒａｃｋｅｒ.test", "tracker\x81\x44test", "tracker。test", "ｓite.test", "site.ｔest", "site\u00ad.test", "site.test\xe9", "\x98\x5csite.test", "\x81@site.test", "site.test\x81@tracker.test", "x\x81\\@tracker.test", "tracker.test\x81\\@site.test", "\xef\xbd\x93ite.test", "\xa3\xf4racker.test", "\x1b$Bd\x1b(Bsite.test", "トラッカ.test", "\xc3\xa4site.test", "\x87\x5c.test"}

// fill fills in what a shape leaves open, for a text that is meant to be read as w says.
func (m *encodingMaker) fill(shape string, w way) string {
	m.depth++
	defer func() { m.depth-- }()
	if m.depth > 5 {
		return ""
	}
	lead := m.lead(w)
	to, back := m.escapes()
	return holes(shape, func(c string) string {
		switch c {
		case "§":
			return m.plain()
		case "¶":
			return lead
		case "¢":
			return to
		case "¬":
			return back
		case "C":
			return strings.ReplaceAll(m.fill(m.oneOf(hidingRules...), w), "E", "*")
		case "D":
			s := m.oneOf(hidingRules[:5]...)
			return m.fill(strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(s, "E{"), "}"), "'", "&#39;"), w)
		case "E":
			return m.oneOf("*", "p,text,html")
		case "L":
			if m.in(2) {
				return w.label
			}
			return m.way().label
		case "H":
			return strings.Replace(m.plain(), "tracker.test", "static.hotjar.com", 1) + ".js"
		case "N":
			return m.oneOf(m.scheme()+"//", "//", m.scheme()+"\\\\", m.scheme()+"/\\") + m.oneOf(wideHosts...) + m.path()
		case "F":
			return m.sheet(m.inherited(w))
		case "G":
			return m.dataURL("css", m.inherited(w))
		case "J":
			return m.dataURL("js", m.inherited(w))
		case "U":
			return m.dataURL(m.oneOf("html", "html", "html", "xml"), m.way())
		case "B":
			return m.part(m.inherited(w))
		}
		return c
	})
}

// holes replaces the letters that stand by themselves, and the signs.
func holes(shape string, f func(string) string) string {
	var b strings.Builder
	letter := func(i int) bool { return i >= 0 && i < len(shape) && (shape[i]|0x20 >= 'a' && shape[i]|0x20 <= 'z') }
	from := 0
	for _, at := range hole.FindAllStringIndex(shape, -1) {
		if at[1]-at[0] == 1 && (letter(at[0]-1) || letter(at[1])) {
			continue
		}
		b.WriteString(shape[from:at[0]] + f(shape[at[0]:at[1]]))
		from = at[1]
	}
	return b.String() + shape[from:]
}

// inherited is how something is written that a document of that way refers to.
func (m *encodingMaker) inherited(w way) way {
	if m.in(3) {
		return m.way()
	}
	return w
}

// lay writes a text as it is meant to be read.
func (m *encodingMaker) lay(s string, w way) string {
	l := w.layout
	if m.in(12) {
		l = m.way().layout
	}
	switch l {
	case "16le":
		return inUTF16(s, binary.LittleEndian)
	case "16be":
		return inUTF16(s, binary.BigEndian)
	}
	return s
}

// mark is a byte order mark, or something like it; most texts have none.
func (m *encodingMaker) mark(w way) string {
	if !m.in(5) {
		return ""
	}
	if m.in(2) {
		switch w.layout {
		case "16le":
			return "\xff\xfe"
		case "16be":
			return "\xfe\xff"
		}
		return "\xef\xbb\xbf"
	}
	return m.oneOf("\xff\xfe", "\xfe\xff", "\xef\xbb\xbf", "\xef\xbb", "\xef", "\xff", "\xfe", "\xef\xbb\xbf\xef\xbb\xbf", "\xff\xfe\xff\xfe", "\xff\xfe\x00\x00", "\x00\x00\xfe\xff", "\xfe\xff\xff\xfe", "\x2b\x2f\x76\x38\x2d", "\xdd\x73\x66\x73", "\x84\x31\x95\x33", "\x0e\xfe\xff", " \xff\xfe", "\x00", "\x00\x00", "\n\xef\xbb\xbf", "\xef\xbb\xbf\xff\xfe")
}

// parameters are those of a Content-Type that names the encoding, or seems to.
func (m *encodingMaker) parameters(w way) string {
	l, other := w.label, m.way().label
	return strings.NewReplacer("L", l, "M", other).Replace(m.oneOf(";charset=L", "; charset=L", ";charset=L", "; charset=L", ";charset=L", "; CHARSET=L", `;charset="L"`, `; charset="L"`, `;charset= "L"`, `;charset="L`, `;charset=L"`, `;charset='L'`, `;charset= L `, `;charset =L`, `;charset = "L"`, `;charset=" L "`, `;charset="\L"`,
		";charset=L;charset=M", ";charset=M;charset=L", ";charset=;charset=L", `;charset="";charset=L`, `;charset=" ";charset=L`, ";charset;charset=L", ";;charset=L", ";x=y;charset=L", `;x="a;charset=M";charset=L`, `;x="a;charset=L;"`, `;x="a;charset=L`, `;x='a;charset=L'`, ";charset=L (x)", ";charset=L,x", ";charset=(x)L", `;charset="L"x`, `;charset="L";charset=M`,
		`;charset=x"L"`, ";charset:L", "; char\u017fet=L", ";charset*=utf-8''L", ";xcharset=L", ";charset=\tL\t", ";\tcharset=L", " ;charset=L", ",text/html;charset=L", ";charset=M,text/html;charset=L", ";version=1;charset=L;charset=L", ";charset=L,*/*", ";base64;charset=L", ";charset=L;base64x"))
}

// meta is markup that names the encoding, or seems to.
func (m *encodingMaker) meta(w way) string {
	l, other := w.label, m.way().label
	s := m.oneOf(`<meta charset=L>`, `<meta charset="L">`, `<meta charset='L'>`, `<meta http-equiv=content-type content="text/html; charset=L">`, `<META CHARSET=L>`, `<meta/charset="L"/>`, `<meta charset=L/>`, `<meta charset=" L ">`, `<meta charset=M charset=L>`, `<meta charset=L charset=M>`, `<meta charset=L><meta charset=M>`,
		`<meta charset=none><meta charset=L>`, `<meta http-equiv=content-type content="charset='L'">`, `<meta http-equiv=content-type content="charset=L;x">`, `<meta http-equiv=content-type content="charset,charset=L">`, `<meta content="charset=L" http-equiv=Content-Type>`, `<meta content="charset=L">`, `<meta http-equiv=refresh content="charset=L">`, `<meta charset=M http-equiv=content-type content="charset=L">`,
		`<meta http-equiv=content-type content="charset=M" charset=L>`, `<meta http-equiv=content-type content="charset=L'">`, `<meta http-equiv=content-type content="xcharset=L">`, "<meta http-equiv=content-type content='charset\v=L'>", "<meta http-equiv=content-type content='charset\n=\tL'>", `<meta http-equiv=content-type content="charset=L charset=M">`, `<meta http-equiv='content-type ' content="charset=L">`,
		`<meta charset="&#x4c;">`, `<meta charset="L&#32;">`, "<meta charset='L\v'>", "<meta charset=L\x00>", `<meta name=x charset=L property=y>`, `<meta charset=L`, `<meta charset="L`, `</meta charset=L>`, `<meta charset L>`, `<metax charset=L>`, "<meta\x00charset=L>", `<meta <meta charset='L'>`, `<meta xcharset=M charset=L>`, "<meta charset\x00=L>", "<meta\fcharset=L>", `<meta charset = L >`)
	s = strings.NewReplacer("L", l, "M", other, "&#x4c;", "&#"+fmt.Sprint(int(append([]byte(l), 'x')[0]))+";"+l[min(1, len(l)):]).Replace(s)
	if m.in(2) {
		s = strings.Replace(m.oneOf("<!--¶-->", "<!--¶", "<!-->¶-->", "<!---->¶", "<!-- --!>¶", "<script>¶</script>", "<script>'¶'</script><meta charset=M>", "<script><!--<script>¶</script>--></script>", "<style>¶</style>", "<title>¶</title>", "<title>¶", "<noscript>¶</noscript>", "<template>¶</template>", "<svg>¶</svg>", "<svg><title>¶</title></svg>", "<svg><![CDATA[¶]]></svg>",
			"<svg><![CDATA[x>¶]]></svg>", "<math>¶</math>", "<select>¶</select>", "<table>¶</table>", "<frameset>¶</frameset>", "<textarea>¶</textarea>", "<xmp>¶</xmp>", "<iframe>¶</iframe>", "<noframes>¶</noframes>", "<noembed>¶</noembed>", "<object>¶</object>", "<p title='¶'>", "<!x ¶>", "<?x ¶?>", "</ ¶>", "<![CDATA[¶]]>", "<body>¶", "<p>x¶", "</head>¶", "<p a=\"b'>¶", "\x00¶", "<a/b=\">\"¶",
			"<iframe srcdoc=\"¶\"></iframe>", "<!doctype x \"¶\">", "<plaintext>¶", "<head><link>¶", "<base target=x>¶", "<script src=/slow.js></script>¶"), "¶", s, 1)
		s = strings.ReplaceAll(s, "=M>", "="+other+">")
	}
	switch m.rnd.IntN(12) {
	case 0:
		s = m.fillUp(m.oneOf("<!--¶-->", "<!--¶-->", "<script>/*¶*/</script>", "¶", "<p title='¶'>", "<style>/*¶*/</style>", "<link title='¶'>"), m.oneOf(" ", "x", "é", "\x81", "<")) + s
	case 1:
		s = strings.Replace(s, "charset", strings.Repeat(" ", 1000)+"charset", 1)
	}
	return s
}

// fillUp makes a text about as long as browsers look for an encoding.
func (m *encodingMaker) fillUp(shape, with string) string {
	n := (1024 - len(shape)) + m.rnd.IntN(60) - 55
	if m.in(3) {
		n = 1024 + m.rnd.IntN(3000)
	}
	return strings.Replace(shape, "¶", strings.Repeat(with, n/len(with)), 1)
}

// declaration is an XML declaration, or something like it.
func (m *encodingMaker) declaration(w way) string {
	return strings.NewReplacer("L", w.label, "M", m.way().label).Replace(m.oneOf(`<?xml version="1.0" encoding="L"?>`, `<?xml version="1.0" encoding="L"?>`, `<?xml version='1.0' encoding='L'?>`, `<?xml encoding="L"?>`, `<?xml version="1.0" encoding = "L" standalone="yes"?>`, `<?xml version="1.0" encoding="M" encoding="L"?>`, `<?xml version="1.0"?>`, ` <?xml version="1.0" encoding="L"?>`,
		`<?xml version="1.0" xencoding="L"?>`, `<?xml version="encoding='L'"?>`, `<?xml version="1.0" encoding="L">`, `<?xmlx encoding="L"?>`, "<?xml encoding\x80='L'?>", "<?xml encoding\x01=\x02'L'?>", "<?xml encoding=\xff'L'?>", `<?xml encoding=L?>`, `<?xml encoding="L'?>`, `<?xml encoding=" L "?>`, `<?XML encoding="L"?>`, `<?xml version="1.0" encoding="L"`, `<?xml?>`, "<?xml version='1.0'\n encoding='L' ?>",
		`<?xml `+strings.Repeat(" ", 1000)+`encoding="L"?>`, `<?xml standalone="encoding" encoding="L"?>`, "<?x?>", "<?xm encoding='L'?>"))
}

// sheet returns the name of a style sheet file.
func (m *encodingMaker) sheet(w way) string {
	if m.depth > 3 {
		return "/a.css"
	}
	m.file++
	name := fmt.Sprintf("%s-%d.css", m.id, m.file)
	body := m.css(w)
	kind := "text/css"
	if m.in(3) {
		kind += m.parameters(w)
	}
	m.keep(name, kind, body)
	return name + m.oneOf("", "", "?3", "?-40")
}

func (m *encodingMaker) css(w way) string {
	var b strings.Builder
	for range 1 + m.rnd.IntN(3) {
		b.WriteString(m.fill("C", w))
	}
	rule := ""
	if m.in(3) {
		l := w.label
		if m.in(2) {
			l = m.way().label
		}
		rule = strings.ReplaceAll(m.oneOf(`@charset "L";`, `@charset "L";`, `@charset "L";`, `@charset " L";`, `@charset "L ";`, "@charset \"\tL\";", `@charset "L`+strings.Repeat(" ", 90)+`";`, `@charset "`+strings.Repeat(" ", 40)+`L";`, `@charset 'L';`, `@charset "L" ;`, `@CHARSET "L";`, ` @charset "L";`, `@charset  "L";`, `@charset "L";@charset "utf-8";`, `@charset "x";@charset "L";`,
			`@charset "L"x";`, `@charset "\L";`, `@charset "L"`, "@charset \"L\x00\";", "@charset \"\v L\";", `/**/@charset "L";`, `@charset "`+strings.Repeat(" ", 1100)+`L";`), "L", l)
	}
	return m.tell(m.tag, "style sheet", m.mark(w)+rule+m.lay(b.String(), w), rule+b.String())
}

// part returns the name of a document that is a part of another.
func (m *encodingMaker) part(w way) string {
	if m.depth > 3 {
		return "/a.html"
	}
	m.file++
	name := fmt.Sprintf("%s-%d", m.id, m.file)
	kind, body := m.page(w)
	m.keep(name, kind, body)
	return name + m.oneOf("", "", "?3", "?-40", "?-300")
}

func (m *encodingMaker) keep(name, kind, body string) {
	m.files = append(m.files, &vector{ID: name, Scope: "css-file", ContentType: &kind, Body: []byte(body)})
}

// dataURL returns a URL that is a document, a style sheet or a script.
func (m *encodingMaker) dataURL(what string, w way) string {
	kind, body := "", ""
	switch what {
	case "css":
		kind, body = "text/css", m.css(w)
	case "js":
		kind, body = "text/javascript", m.lay(m.fill(m.oneOf("import('H')", `"¶\";import('H');//"`, `"¢"¬";import('H')`, `"¶\"/*";import('H');"*/"`), w), w)
	case "xml":
		kind, body = m.xml(w)
	default:
		frames := m.frames
		m.frames = false
		kind, body = m.html(w)
		m.frames = frames
	}
	kind, _, _ = strings.Cut(kind, ";")
	if m.in(2) {
		kind += m.parameters(w)
	}
	kind = strings.NewReplacer(",", "%2C", `"`, m.oneOf(`"`, "%22"), " ", m.oneOf(" ", "%20")).Replace(kind)
	switch m.rnd.IntN(8) {
	case 0, 1, 2:
		body = percent(body)
	case 3:
		body = url.PathEscape(body)
	case 4:
		kind, body = kind+m.oneOf(";base64", ";base64", "; base64", ";base64;x=y", ";base64;charset="+w.label), base64.StdEncoding.EncodeToString([]byte(body))
	default:
		body = strings.NewReplacer("%", "%25", "#", "%23", "\t", "%09", "\n", "%0A", "\r", "%0D", "\x00", "%00", "\x1b", "%1B").Replace(body)
	}
	return strings.NewReplacer(`"`, "&quot;", "'", "&#39;", "<", "&lt;").Replace("data:" + kind + "," + body)
}

// page returns the type and the bytes of a document.
func (m *encodingMaker) page(w way) (kind, body string) {
	if m.in(4) {
		return m.xml(w)
	}
	return m.html(w)
}

func (m *encodingMaker) html(w way) (kind, body string) {
	var b strings.Builder
	if m.in(8) {
		b.WriteString(m.declaration(w))
	}
	b.WriteString(m.oneOf("<!doctype html>", "<!doctype html>", "", "<!doctype html><html><head>", "<!doctype html><title>x</title>"))
	for m.in(2) {
		b.WriteString(m.meta(m.inherited(w)))
	}
	from := m.tag + 1
	for range 2 + m.rnd.IntN(5) {
		m.tag++
		if m.frames && m.in(3) {
			b.WriteString(m.fill(m.oneOf(framedMarkup...), w))
		} else {
			b.WriteString(m.fill(m.oneOf(hidingMarkup...), w))
		}
		if m.in(10) {
			b.WriteString(m.meta(m.inherited(w)))
		}
		if m.in(12) {
			b.WriteString(m.fillUp("¶", m.oneOf(" ", "é", "\x81\x40", "ソ", "\x1b$B$3$s$K$A$O\x1b(B")))
		}
	}
	kind = "text/html"
	if m.in(2) {
		kind += m.parameters(m.inherited(w))
	}
	return kind, m.tell(from, kind, m.mark(w)+m.lay(b.String(), w), b.String())
}

func (m *encodingMaker) xml(w way) (kind, body string) {
	var b strings.Builder
	if m.in(2) {
		b.WriteString(m.declaration(m.inherited(w)))
	}
	if m.in(12) {
		b.WriteString(m.fill(`<?xml-stylesheet href="F"?>`, w))
	}
	if m.in(12) {
		b.WriteString("<?a?>")
	}
	b.WriteString(m.oneOf("<h:html", "<s:svg", "<h:html") + ` xmlns:h="http://www.w3.org/1999/xhtml" xmlns:s="http://www.w3.org/2000/svg">`)
	root := b.String()[strings.LastIndex(b.String(), "<")+1:][:6]
	from := m.tag + 1
	for range 1 + m.rnd.IntN(3) {
		m.tag++
		b.WriteString(m.fill(m.oneOf(hidingXML...), w))
	}
	b.WriteString("</" + strings.TrimSpace(root) + ">")
	kind = m.oneOf("application/xhtml+xml", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml")
	if m.in(2) {
		kind += m.parameters(m.inherited(w))
	}
	return kind, m.tell(from, kind, m.mark(w)+m.lay(b.String(), w), b.String())
}

// tell notes in what the tags from that number on stand, and returns it.
func (m *encodingMaker) tell(from int, kind, laid, text string) string {
	for i := from; i <= m.tag; i++ {
		m.told[fmt.Sprintf("/%s/%d.", m.id, i)] += fmt.Sprintf("\n\t%q, as %.40q: %.3000q", kind, laid, text)
	}
	return laid
}

var encodingURL = regexp.MustCompile(`/enc(true|false)\d+-\d+/\d+\.`)

// randomEncodings returns n documents.
func randomEncodings(n int, seed uint64, frames, secure bool) (*encodingMaker, []*vector) {
	m := &encodingMaker{tagMaker: tagMaker{rnd: rand.New(rand.NewPCG(seed, 17)), secure: secure}, told: make(map[string]string), frames: frames}
	var vs []*vector
	for i := range n {
		m.id, m.tag, m.file = fmt.Sprintf("enc%t%d-%d", frames, seed, i), 0, 0
		w := m.way()
		kind, body := m.page(w)
		vs = append(vs, &vector{ID: m.id, Scope: "static", ContentType: &kind, Body: []byte(body)})
	}
	return m, vs
}

// Documents, style sheets and data: URLs whose bytes may mean something else in another encoding make no browser contact a
// blocked host, however they say which it is. CONSENT_ENCODINGS is how many documents are tried, and after a comma from which
// seed; half of them are shown with others in frames, and all in plain HTTP and over TLS, where browsers say what they ask for. Without the enforcement one in three contacts one, or the test shows
// nothing.
func TestRandomEncodingsInBrowsers(t *testing.T) {
	n, seed := countAndSeed("CONSENT_ENCODINGS", 24)
	t.Logf("seed %d", seed)
	for _, frames := range []bool{false, true} { // by themselves first: what frames are lent holds for the process
		t.Run(map[bool]string{false: "alone", true: "with frames"}[frames], func(t *testing.T) {
			m, vs := randomEncodings(n/2, seed, frames, false)
			testEncodings(t, m, vs)
		})
		t.Run(map[bool]string{false: "alone, over TLS", true: "with frames, over TLS"}[frames], func(t *testing.T) {
			m, vs := randomEncodings(n/2, seed, frames, true)
			testEncodings(t, m, vs)
		})
	}
}

func testEncodings(t *testing.T, m *encodingMaker, vs []*vector) {
	some := vs[:min(len(vs), 30)]
	enforced := func(t *testing.T, visits []*visit) {
		t.Helper()
		for _, x := range visits {
			if x.err != nil {
				t.Errorf("%s: %v", x.name(), x.err)
			}
			if len(x.contacts) > 0 {
				t.Errorf("%s: %s%s", x.name(), strings.Join(x.contacts, " "), m.told[encodingURL.FindString(strings.Join(x.contacts, " "))])
			}
		}
	}
	direct := func(t *testing.T, visits []*visit) {
		t.Helper()
		contacting := 0
		for _, x := range visits {
			if len(x.contacts) > 0 {
				contacting++
			}
		}
		t.Logf("not enforced, %d of %d documents contact a blocked host", contacting, len(visits))
		if contacting*3 < len(visits) {
			t.Error("too few")
		}
	}
	c := secureSite(t, startUpstream(t, vectorOrigin(slices.Concat(vs, m.files))))
	unenforced := visit{scripting: true, direct: true}
	pieces, slow := vs[:len(vs)/4], vs[len(vs)/4:len(vs)/2]
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), vs)
		if m.secure {
			p.secure(c.addr("8081"))
		}
		enforced(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: vs, {}: vs[:len(vs)/8], {scripting: true, size: 7}: pieces, {scripting: true, size: -40}: slow}))
		direct(t, p.replayAll(t, map[*visit][]*vector{&unenforced: some}))
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		if m.secure {
			f.secure(t, c.addr("8081"))
		}
		for _, mode := range []visit{{scripting: true}, {}} { // in a sandbox no frame is lent an encoding
			enforced(t, f.replay(t, mode, vs))
		}
		enforced(t, f.replay(t, visit{scripting: true, size: -40}, slow))
		direct(t, f.replay(t, unenforced, some))
	})
}
