package rewriter

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// elem is an element name that the rewriter or the tree builder knows; 0 is any other.
type elem uint8

// key is a tag name in lower case: up to eight bytes as they are, the first one lowest; a longer
// name hashed, with a lowest byte that no name begins with.
type key uint64

const longName = 0xff

var seed = maphash.MakeSeed()

// keyOf returns the key of a name as it stands in a tag.
func keyOf(name []byte) key {
	if len(name) > 8 {
		var h maphash.Hash
		h.SetSeed(seed)
		for _, c := range name {
			h.WriteByte(lower[c])
		}
		return key(h.Sum64()<<8 | longName)
	}
	var k key
	for i, c := range name {
		k |= key(lower[c]) << (8 * i)
	}
	return k
}

// with returns the key of a longer name, which goes on with c behind that of k. It has been hashed.
func (k key) with(c byte) key { return (k>>8^key(lower[c]))*0x100000001b3<<8 | longName }

const (
	high7 = 0x8080808080808080
	low5  = 0x2020202020202020
	capA  = 0x4141414141414141
)

// below returns bit 7 of the first of the eight bytes, the lowest first, that are lower than 'A', as all are that
// end a name. Bits above that mean nothing.
func below(w uint64) uint64 { return (w - capA) &^ w & high7 }

// lead returns where the bytes are before the one that below has found.
func lead(m uint64) uint64 { return (m>>7 - 1) &^ (m >> 7) }

// readKnown returns the element whose name begins at i and the end of the name, or 0 if it takes a longer look. There
// must be 16 bytes at i.
func readKnown(in []byte, i int) (el elem, k key, end int) {
	w := binary.LittleEndian.Uint64(in[i:])
	m := below(w)
	k = key((w | low5) & lead(m)) // what is no letter does not become one
	s := &shortElems[elemHash(k)]
	end = i + bits.TrailingZeros64(m)>>3
	if s.key != k || class[in[end]]&tagEnd == 0 {
		return 0, 0, 0
	}
	return s.id, k, end
}

// readName returns the key and the end of the tag name at i, whose first byte is a letter. There
// must be 16 bytes at i; the end is 0 if the name needs the slow way.
func readName(in []byte, i int) (key, int) {
	if _, k, end := readKnown(in, i); end != 0 {
		return k, end
	}
	return readOddName(in, i)
}

// readOddName reads a name that is not known, or with other bytes than letters, such as h1.
func readOddName(in []byte, i int) (key, int) {
	end := i
	for class[in[end]]&tagEnd == 0 {
		if end-i == 8 {
			return 0, 0
		}
		end++
	}
	return keyOf(in[i:end]), end
}

// Elements. The order matters only where a range is named.
const (
	elUnknown elem = iota

	// Elements with URLs or contents of their own.
	elScript
	elStyle
	elImg
	elIframe
	elFrame
	elFencedFrame
	elPortal
	elLink
	elMeta
	elBase
	elSource
	elVideo
	elAudio
	elTrack
	elEmbed
	elApplet
	elObject
	elInput
	elImage
	elUse
	elFeImage
	elAnimate
	elSet
	elBody
	elTable
	elTbody
	elThead
	elTfoot
	elTr
	elTd
	elTh

	// Elements that only switch the tokenizer's state, or the namespace.
	elNoscript
	elTitle
	elTextarea
	elXmp
	elNoembed
	elNoframes
	elPlaintext
	elSvg
	elMath
	elFrameset

	// Elements that the tree builder tells apart.
	elA
	elAddress
	elAnnotationXML
	elArea
	elArticle
	elAside
	elB
	elBasefont
	elBgsound
	elBig
	elBlockquote
	elBr
	elButton
	elCaption
	elCenter
	elCode
	elCol
	elColgroup
	elDd
	elDesc
	elDetails
	elDialog
	elDir
	elDiv
	elDl
	elDt
	elEm
	elFieldset
	elFigcaption
	elFigure
	elFont
	elFooter
	elForeignObject
	elForm
	elH1
	elH2
	elH3
	elH4
	elH5
	elH6
	elHead
	elHeader
	elHgroup
	elHr
	elHTML
	elI
	elKeygen
	elLi
	elListing
	elMain
	elMalignmark
	elMarquee
	elMenu
	elMglyph
	elMi
	elMn
	elMo
	elMs
	elMtext
	elNav
	elNobr
	elOl
	elOptgroup
	elOption
	elP
	elParam
	elPre
	elRb
	elRp
	elRt
	elRtc
	elRuby
	elS
	elSearch
	elSection
	elSelect
	elSmall
	elSpan
	elStrike
	elStrong
	elSub
	elSummary
	elSup
	elTemplate
	elTt
	elU
	elUl
	elVar
	elWbr

	elements
)

var elementNames = [elements]string{
	elScript: "script", elStyle: "style", elImg: "img", elIframe: "iframe", elFrame: "frame", elFencedFrame: "fencedframe",
	elPortal: "portal", elLink: "link", elMeta: "meta", elBase: "base", elSource: "source", elVideo: "video", elAudio: "audio",
	elTrack: "track", elEmbed: "embed", elApplet: "applet", elObject: "object", elInput: "input", elImage: "image", elUse: "use",
	elFeImage: "feimage", elAnimate: "animate", elSet: "set", elBody: "body", elTable: "table", elTbody: "tbody",
	elThead: "thead", elTfoot: "tfoot", elTr: "tr", elTd: "td", elTh: "th", elNoscript: "noscript", elTitle: "title",
	elTextarea: "textarea", elXmp: "xmp", elNoembed: "noembed", elNoframes: "noframes", elPlaintext: "plaintext", elSvg: "svg",
	elMath: "math", elFrameset: "frameset", elA: "a", elAddress: "address", elAnnotationXML: "annotation-xml", elArea: "area",
	elArticle: "article", elAside: "aside", elB: "b", elBasefont: "basefont", elBgsound: "bgsound", elBig: "big",
	elBlockquote: "blockquote", elBr: "br", elButton: "button", elCaption: "caption", elCenter: "center", elCode: "code",
	elCol: "col", elColgroup: "colgroup", elDd: "dd", elDesc: "desc", elDetails: "details", elDialog: "dialog", elDir: "dir",
	elDiv: "div", elDl: "dl", elDt: "dt", elEm: "em", elFieldset: "fieldset", elFigcaption: "figcaption", elFigure: "figure",
	elFont: "font", elFooter: "footer", elForeignObject: "foreignobject", elForm: "form", elH1: "h1", elH2: "h2", elH3: "h3",
	elH4: "h4", elH5: "h5", elH6: "h6", elHead: "head", elHeader: "header", elHgroup: "hgroup", elHr: "hr", elHTML: "html",
	elI: "i", elKeygen: "keygen", elLi: "li", elListing: "listing", elMain: "main", elMalignmark: "malignmark",
	elMarquee: "marquee", elMenu: "menu", elMglyph: "mglyph", elMi: "mi", elMn: "mn", elMo: "mo", elMs: "ms", elMtext: "mtext",
	elNav: "nav", elNobr: "nobr", elOl: "ol", elOptgroup: "optgroup", elOption: "option", elP: "p", elParam: "param", elPre: "pre",
	elRb: "rb", elRp: "rp", elRt: "rt", elRtc: "rtc", elRuby: "ruby", elS: "s", elSearch: "search", elSection: "section",
	elSelect: "select", elSmall: "small", elSpan: "span", elStrike: "strike", elStrong: "strong", elSub: "sub",
	elSummary: "summary", elSup: "sup", elTemplate: "template", elTt: "tt", elU: "u", elUl: "ul", elVar: "var", elWbr: "wbr",
}

// Attributes that the rewriter looks at.
type attrName uint8

const (
	atNone attrName = iota
	atSrc
	atSrcset
	atHref
	atXlinkHref
	atStyle
	atType
	atRel
	atAs
	atContent
	atHTTPEquiv
	atSrcdoc
	atData
	atCode
	atPoster
	atBackground
	atPing
	atAttributionSrc
	atImageSrcset
	atValues // to, from, by, values of an SVG animation
	atAttributeName
	atLanguage
	atCharset
	atEncoding
	atFontBreak // color, face, size
	atPaint     // SVG presentation attributes that take url()
	atEvent     // on…
	atLazySrc
	atLazySrcset
)

// attrSet is a set of attributes.
type attrSet uint32

func (s attrSet) has(id attrName) bool { return s>>(id&31)&1 != 0 }

func attrsOf(ids ...attrName) (s attrSet) {
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

var attributeNames = map[string]attrName{
	"src": atSrc, "srcset": atSrcset, "href": atHref, "xlink:href": atXlinkHref, "style": atStyle, "type": atType, "rel": atRel,
	"as": atAs, "content": atContent, "http-equiv": atHTTPEquiv, "srcdoc": atSrcdoc, "data": atData, "code": atCode,
	"poster": atPoster, "background": atBackground, "ping": atPing, "attributionsrc": atAttributionSrc,
	"imagesrcset": atImageSrcset, "to": atValues, "from": atValues, "by": atValues, "values": atValues,
	"attributename": atAttributeName, "language": atLanguage, "charset": atCharset, "encoding": atEncoding, "color": atFontBreak, "face": atFontBreak,
	"size": atFontBreak, "mask": atPaint, "cursor": atPaint, "filter": atPaint, "fill": atPaint, "stroke": atPaint,
	"clip-path": atPaint, "marker": atPaint, "marker-start": atPaint, "marker-mid": atPaint, "marker-end": atPaint,

	// Attributes from which the scripts of lazy loaders fill src and srcset.
	"data-src": atLazySrc, "data-lazy-src": atLazySrc, "data-original": atLazySrc, "data-rocket-src": atLazySrc,
	"data-litespeed-src": atLazySrc, "data-orig-src": atLazySrc, "data-lazy": atLazySrc, "data-ezsrc": atLazySrc,
	"data-opt-src": atLazySrc, "data-wpfc-original-src": atLazySrc, "data-pmdelayedscript": atLazySrc, "data-href": atLazySrc,
	"data-rocket-lazyload-src": atLazySrc, "data-cfsrc": atLazySrc, "data-pagespeed-lazy-src": atLazySrc,
	"data-srcset": atLazySrcset, "data-lazy-srcset": atLazySrcset, "data-rocket-srcset": atLazySrcset, "data-ezsrcset": atLazySrcset,
}

const maxAttrName = 24

// attrOf returns the attribute of that name, ASCII case-insensitively.
func attrOf(name []byte) attrName {
	n := len(name)
	if n > maxAttrName || n < 2 {
		return atNone
	}
	c := lower[name[0]]
	if c == 'o' && lower[name[1]] == 'n' && n > 3 {
		return atEvent
	}
	if attrLengths[c]&(1<<n) == 0 {
		return atNone
	}
	if n <= 8 {
		k := keyOf(name)
		if s := &shortAttrs[attrSlot(k)]; s.key == k {
			return s.name
		}
		return atNone
	}
	if longEnds[n]&(1<<(lower[name[n-1]]&31)) == 0 {
		return atNone
	}
	var low [maxAttrName]byte
	for i, c := range name {
		low[i] = lower[c]
	}
	return attributeNames[string(low[:n])]
}

type elemSlot struct {
	key key
	id  elem
}

type attrSlotEntry struct {
	key  key
	name attrName
}

// The tables are perfect: their multipliers were searched so that no two names share a slot, which
// init verifies.
const (
	elemMul = 0x090b20bb257e8455
	attrMul = 0x2f0901a1947094b1
)

var (
	shortElems  [1024]elemSlot
	longElems   = make(map[key]elem)
	shortAttrs  [256]attrSlotEntry
	attrLengths [256]uint32             // for each first letter, a bit for each length of a known name
	longEnds    [maxAttrName + 1]uint32 // for each length over 8, a bit for each last letter
)

func elemHash(k key) uint64 { return uint64(k) * elemMul >> 54 }
func attrSlot(k key) uint64 { return uint64(k) * attrMul >> 56 }
func shortElem(k key) elem {
	if s := &shortElems[elemHash(k)]; s.key == k {
		return s.id
	}
	return elUnknown
}

// elemOf returns the element of a key.
func elemOf(k key) elem {
	if k&0xff == longName {
		return longElems[k]
	}
	return shortElem(k)
}

func init() {
	for id := elUnknown + 1; id < elements; id++ {
		k := keyOf([]byte(elementNames[id]))
		if k&0xff == longName {
			longElems[k] = id
			continue
		}
		s := &shortElems[elemHash(k)]
		if s.key != 0 {
			panic("rewriter: two element names share a slot: " + elementNames[id])
		}
		*s = elemSlot{k, id}
	}
	for n, a := range attributeNames {
		attrLengths[n[0]] |= 1 << len(n)
		if len(n) > 8 {
			longEnds[len(n)] |= 1 << (n[len(n)-1] & 31)
			continue
		}
		k := keyOf([]byte(n))
		s := &shortAttrs[attrSlot(k)]
		if s.key != 0 {
			panic("rewriter: two attribute names share a slot: " + n)
		}
		*s = attrSlotEntry{k, a}
	}
}

// lower folds ASCII letters only, as the tokenizer does.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] |= 0x20
		}
	}
	t[0] = 0xff // a NUL in a name makes it another name, also to keyOf
	return t
}()

// equalFold reports whether b is the lower-case word, ASCII case-insensitively.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if lower[c] != word[i] {
			return false
		}
	}
	return true
}

// Byte classes of the tag states.
const (
	space   = 1 << iota // tab, LF, FF, CR, space
	nameEnd             // ends an attribute's name: space / > =
	unqEnd              // ends an unquoted value: space >
	tagEnd              // ends a tag's name: space / >
	watched             // begins the name of an attribute that any element may fetch from
)

var class = func() (t [256]uint8) {
	for _, c := range "\t\n\f\r " {
		t[c] |= space | nameEnd | unqEnd | tagEnd
	}
	t['/'] |= nameEnd | tagEnd
	t['>'] |= nameEnd | unqEnd | tagEnd
	t['='] |= nameEnd
	for _, c := range "sbpaoSBPAO" {
		t[c] |= watched
	}
	return t
}()

func isLetter(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }
