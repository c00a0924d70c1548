package rewriter

// tag is what an element name means to the rewriter; tagPlain can carry nothing but attributes
// that every element may carry.
type tag uint8

const (
	tagPlain tag = iota

	// Elements with URLs or contents of their own.
	tagScript
	tagStyle
	tagImg
	tagIframe
	tagFrame
	tagFencedFrame
	tagLink
	tagMeta
	tagBase
	tagSource
	tagMedia // video, audio
	tagTrack
	tagEmbed // embed, applet
	tagObject
	tagInput
	tagSVGImage
	tagSVGUse
	tagFeImage
	tagAnimate // animate, set
	tagAnchor  // a, area

	// Elements that only switch the tokenizer's state.
	tagNoscript
	tagTitle
	tagTextarea
	tagXmp
	tagNoembed
	tagNoframes
	tagPlaintext

	// Elements that matter to namespaces.
	tagSVG
	tagMath
	tagForeignObject
	tagDesc
	tagMathText // mi, mo, mn, ms, mtext
	tagAnnotationXML
	tagFont
	tagBreakout // HTML elements that end foreign content
)

// maxTagName is the longest name in tagOf.
const maxTagName = 14

// nameLengths has, for each first letter, a bit for each length of a name that tagOf knows.
var nameLengths [256]uint16

var tagNames = map[string]tag{
	"script": tagScript, "style": tagStyle, "img": tagImg, "iframe": tagIframe, "frame": tagFrame,
	"fencedframe": tagFencedFrame, "portal": tagFencedFrame, "link": tagLink, "meta": tagMeta, "base": tagBase,
	"source": tagSource, "video": tagMedia, "audio": tagMedia, "track": tagTrack, "embed": tagEmbed,
	"applet": tagEmbed, "object": tagObject, "input": tagInput, "image": tagSVGImage, "use": tagSVGUse,
	"feimage": tagFeImage, "animate": tagAnimate, "set": tagAnimate,
	"noscript": tagNoscript, "title": tagTitle, "textarea": tagTextarea, "xmp": tagXmp,
	"noembed": tagNoembed, "noframes": tagNoframes, "plaintext": tagPlaintext,
	"svg": tagSVG, "math": tagMath, "foreignobject": tagForeignObject, "desc": tagDesc,
	"mi": tagMathText, "mo": tagMathText, "mn": tagMathText, "ms": tagMathText, "mtext": tagMathText,
	"annotation-xml": tagAnnotationXML, "font": tagFont,
}

// breakouts are the start tags that end foreign content (HTML Standard, 13.2.6.5), less those
// above. They are looked up only inside svg and math.
var breakouts = map[string]bool{
	"b": true, "big": true, "blockquote": true, "body": true, "br": true, "center": true, "code": true,
	"dd": true, "div": true, "dl": true, "dt": true, "em": true, "embed": true, "h1": true, "h2": true,
	"h3": true, "h4": true, "h5": true, "h6": true, "head": true, "hr": true, "i": true, "img": true,
	"li": true, "listing": true, "menu": true, "meta": true, "nobr": true, "ol": true, "p": true, "pre": true,
	"ruby": true, "s": true, "small": true, "span": true, "strong": true, "strike": true, "sub": true,
	"sup": true, "table": true, "tt": true, "u": true, "ul": true, "var": true,
}

func init() {
	for n := range tagNames {
		nameLengths[n[0]] |= 1 << len(n)
	}
}

// tagOf returns the tag with that ASCII case-insensitive name.
func tagOf(name []byte) tag {
	if len(name) > maxTagName || len(name) == 0 || nameLengths[name[0]|0x20]&(1<<len(name)) == 0 {
		return tagPlain
	}
	var low [maxTagName]byte
	for i, c := range name {
		low[i] = lower[c]
	}
	return tagNames[string(low[:len(name)])]
}

// lower folds ASCII letters only, as the tokenizer does.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] |= 0x20
		}
	}
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
	nameEnd             // ends an attribute or tag name: space / > =
	unqEnd              // ends an unquoted value: space >
)

var class = func() (t [256]uint8) {
	for _, c := range "\t\n\f\r " {
		t[c] |= space | nameEnd | unqEnd
	}
	t['/'] |= nameEnd
	t['>'] |= nameEnd | unqEnd
	t['='] |= nameEnd
	return t
}()

func isLetter(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }
