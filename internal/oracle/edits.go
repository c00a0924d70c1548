// Package oracle judges, for tests, what a rewriter made of a page. It reads pages with
// golang.org/x/net/html and asks the policy anew, so that it shares no code with the rewriter but
// the decision itself.
package oracle

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Edit is an insertion before the byte at offset At of the input.
type Edit struct {
	At   int
	Text string
}

// What may be inserted: the mark of a blocked element, the prefix of an attribute's name, and the
// beginning of a URL without contents before a reference in CSS, or a dash behind a backslash of a bad one. Inside a srcdoc attribute it stands escaped.
var insertion = regexp.MustCompile(strings.ReplaceAll(
	`^(?:(?: type=Qtext/plainQ)? data-consent-category=Q[a-z.]*Q data-consent-service=Q[a-z0-9-]*Q data-consent-rule=Q[^"]*?Q|data-consent-|data:,|about:invalid#|</select><template><p><plaintext>)`,
	"Q", `(?:"|&(?:amp;)*#34;)`))

// escapeDash keeps a parenthesis or a backslash from being escaped for some readers only.
const escapeDash = "-"

// Edits returns the insertions that make out of in, or an error where the two differ in any other
// way.
func Edits(in, out []byte) (edits []Edit, err error) {
	i := 0
	for o := 0; o < len(out); {
		if out[o] == ' ' || out[o] == 'd' || out[o] == 'a' || out[o] == '<' {
			// The input may hold the same bytes by itself.
			if loc := insertion.FindIndex(out[o:min(len(out), o+600)]); loc != nil && !bytes.HasPrefix(in[i:], out[o:o+loc[1]]) {
				edits = append(edits, Edit{i, string(out[o : o+loc[1]])})
				o += loc[1]
				continue
			}
		}
		// A bad URL in CSS, which Firefox reads otherwise than the standard.
		if out[o] == '-' && o > 0 && out[o-1] == '\\' && i < len(in) && (in[i] == ')' || in[i] == '\\') {
			edits = append(edits, Edit{i, escapeDash})
			o++
			continue
		}
		if i >= len(in) || in[i] != out[o] {
			return nil, fmt.Errorf("at byte %d of the output: %.120q where the input has %.60q", o, out[max(0, o-40):], in[min(i, len(in)):])
		}
		i++
		o++
	}
	if i < len(in) {
		return nil, fmt.Errorf("the output lacks the input's last %d bytes", len(in)-i)
	}
	return edits, nil
}

// LongTag is the length in bytes from which a start tag is no longer read as a whole; what could
// fetch in it is renamed unread.
const LongTag = 64 << 10

// Misplaced returns a line for every edit of in that is not part of a resource which the policy
// blocks.
func Misplaced(in []byte, edits []Edit, p *rules.Policy, page *rules.Page) (wrong []string) {
	edits = slices.DeleteFunc(slices.Clone(edits), func(e Edit) bool { return e.Text == escapeDash }) // which blocks nothing
	c := &checker{in: in, edits: edits, p: p, page: page}
	c.read()
	return c.wrong
}

type checker struct {
	in    []byte
	edits []Edit // not yet looked at
	p     *rules.Policy
	page  *rules.Page
	wrong []string
}

// read walks the tokens of the input beside the edits.
func (c *checker) read() {
	z := html.NewTokenizer(bytes.NewReader(c.in))
	at := 0
	element := "" // whose raw text comes next
	svg := 0      // depth; the tokenizer knows no namespaces, and in svg no text is raw
	var mark *Edit
	for {
		tt := z.Next()
		raw := z.Raw()
		start, end := at, at+len(raw)
		at = end
		switch tt {
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			element = string(name)
			if element == "svg" && tt == html.StartTagToken {
				svg++
			}
			if element == "noscript" || svg > 0 && element != "script" {
				z.NextIsNotRawText()
			}
			mark = c.tag(element, start, end)
		case html.TextToken:
			switch element {
			case "style":
				c.css(c.until(end))
			case "script":
				if mark != nil && !c.loads(string(c.in[start:end])) {
					c.report(*mark, "an inline script that loads nothing blocked")
				}
			}
			mark = nil
		case html.EndTagToken:
			name, _ := z.TagName()
			if string(name) == "svg" {
				svg = max(0, svg-1)
			}
			element = ""
		}
		for _, e := range c.until(end) {
			c.report(e, "outside of a tag or style sheet")
		}
		if tt == html.ErrorToken {
			break
		}
	}
	for _, e := range c.edits {
		c.report(e, "behind the last token")
	}
}

// until takes the edits before offset end.
func (c *checker) until(end int) (out []Edit) {
	n := 0
	for n < len(c.edits) && c.edits[n].At < end {
		n++
	}
	out, c.edits = c.edits[:n], c.edits[n:]
	return out
}

func (c *checker) report(e Edit, why string) {
	c.wrong = append(c.wrong, fmt.Sprintf("%q inserted at %d, %s: …%.160q", e.Text, e.At, why, c.in[max(0, e.At-60):]))
}

// tag checks the edits inside a start tag. It returns the mark of an inline script, which its text
// has to justify.
func (c *checker) tag(name string, start, end int) (script *Edit) {
	edits := c.until(end)
	if len(edits) == 0 {
		return nil
	}
	if end-start > LongTag {
		return nil
	}
	attrs := attributes(c.in[start:end])
	blocked := false
	for _, a := range attrs {
		if c.blocked(name, a) {
			blocked = true
		}
	}
	var mark *Edit
	for i, e := range edits {
		at := e.At - start
		a, inside := find(attrs, at)
		switch {
		case inside && a.name == "srcdoc" && at > a.from: // in its document
			blocked = true
		case e.Text == "data-consent-":
			switch {
			case !inside || a.from != at:
				c.report(e, "not before an attribute's name")
			case name == "script" && a.name == "type": // the mark is checked
			case !c.blocked(name, a):
				c.report(e, "not a blocked resource")
			}
		case strings.HasPrefix(e.Text, "data:,"):
			if !inside || a.name != "style" {
				c.report(e, "no style attribute")
				continue
			}
			blocked = true
			c.css([]Edit{e})
		case at != 1+len(name):
			c.report(e, "not behind the element's name")
		default:
			mark = &edits[i]
		}
	}
	if mark == nil || blocked {
		return nil
	}
	if name == "script" {
		return mark
	}
	c.report(*mark, "an element without a blocked resource")
	return nil
}

// css checks references that were put out of use.
func (c *checker) css(edits []Edit) {
	for _, e := range edits {
		kinds := []rules.Kind{rules.KindImage, rules.KindFont}
		switch e.Text {
		case "data:,":
		case "about:invalid#":
			kinds = []rules.Kind{rules.KindStyle} // of an @import
		default:
			c.report(e, "in a style sheet")
			continue
		}
		url := c.in[e.At:]
		if n := bytes.IndexAny(url, `"')`); n >= 0 {
			url = url[:n]
		}
		if !c.decide(html.UnescapeString(strings.TrimSpace(string(url))), kinds...) {
			c.report(e, "not a blocked reference")
		}
	}
}

func (c *checker) decide(url string, kinds ...rules.Kind) bool {
	for _, k := range kinds {
		if c.p.Decide(rules.Resource{Kind: k, URL: url, Page: c.page}).Action == rules.Block {
			return true
		}
	}
	return false
}

var allKinds = []rules.Kind{rules.KindScript, rules.KindFrame, rules.KindEmbed, rules.KindStyle, rules.KindImage, rules.KindMedia,
	rules.KindFont, rules.KindFetch, rules.KindHint, rules.KindPrefetch, rules.KindNavigation, rules.KindBase}

// kindsOf are the kinds of what an element's attributes can fetch.
func kindsOf(name string) []rules.Kind {
	switch name {
	case "script":
		return []rules.Kind{rules.KindScript}
	case "iframe", "frame":
		return []rules.Kind{rules.KindFrame}
	case "embed", "object", "applet":
		return []rules.Kind{rules.KindEmbed}
	case "img", "input", "image", "use", "body", "td", "table":
		return []rules.Kind{rules.KindImage}
	case "source", "video", "audio", "track":
		return []rules.Kind{rules.KindMedia, rules.KindImage}
	case "a", "area":
		return []rules.Kind{rules.KindFetch}
	case "base":
		return []rules.Kind{rules.KindBase}
	}
	return allKinds
}

var urlAttribute = regexp.MustCompile(`^(?:src|srcset|href|xlink:href|poster|data|code|content|background|ping|attributionsrc|imagesrcset|to|from|by|values|data-.*)$`)

// blocked reports whether the policy blocks what an attribute names.
func (c *checker) blocked(element string, a attribute) bool {
	if strings.HasPrefix(a.name, "on") {
		return c.loads(html.UnescapeString(string(a.value)))
	}
	if !urlAttribute.MatchString(a.name) {
		return false
	}
	v := html.UnescapeString(string(a.value))
	kinds := kindsOf(element)
	if element == "meta" && a.name == "content" {
		if _, v, _ = strings.Cut(v, "="); v == "" {
			return false
		}
		v = strings.Trim(v, `'" `)
	}
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(v)), "data:") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(v)), "javascript:") {
		return c.loads(v) || c.loads(unpercent(v)) || c.loads(unbase64(v)) // a document or script of its own
	}
	if c.decide(v, kinds...) {
		return true
	}
	if strings.Contains(a.name, "srcset") || a.name == "ping" || a.name == "attributionsrc" || a.name == "values" {
		for _, f := range strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' || r == ';' }) {
			if c.decide(f, kinds...) {
				return true
			}
		}
	}
	return false
}

var reference = regexp.MustCompile(`([A-Za-z0-9_.-]+\.[A-Za-z]{2,})((?:\\?/[^\s"'` + "`" + `<>\\]*)*)`)

// loads reports whether script text names a path from which a blocked service is loaded.
func (c *checker) loads(text string) bool {
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		path := strings.ReplaceAll(m[2], `\`, "")
		for _, kind := range []rules.Kind{rules.KindInlineScript, rules.KindScript, rules.KindImage, rules.KindFrame} {
			if c.decide("//"+strings.Trim(m[1], ".-_")+path, kind) {
				return true
			}
		}
	}
	return false
}

// unbase64 returns the text of a base64 data: URL.
func unbase64(s string) string {
	_, s, _ = strings.Cut(s, ",")
	text, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	return string(text)
}

func unpercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// attribute is one attribute of a start tag; from and to are offsets in it.
type attribute struct {
	name     string
	value    []byte
	from, to int
}

func find(attrs []attribute, at int) (attribute, bool) {
	for _, a := range attrs {
		if a.from <= at && at < a.to {
			return a, true
		}
	}
	return attribute{}, false
}

// attributes reads a start tag's attributes (HTML Standard, 13.2.5.32 to 13.2.5.39).
func attributes(tag []byte) (out []attribute) {
	const space = " \t\n\f\r"
	i := 1
	for i < len(tag) && strings.IndexByte(space+"/>", tag[i]) < 0 {
		i++
	}
	for {
		for i < len(tag) && strings.IndexByte(space+"/", tag[i]) >= 0 {
			i++
		}
		if i >= len(tag) || tag[i] == '>' {
			return out
		}
		a := attribute{from: i}
		i++ // an equals sign in front belongs to the name
		for i < len(tag) && strings.IndexByte(space+"/>=", tag[i]) < 0 {
			i++
		}
		a.name = strings.ToLower(string(tag[a.from:i]))
		j := i
		for j < len(tag) && strings.IndexByte(space, tag[j]) >= 0 {
			j++
		}
		if j < len(tag) && tag[j] == '=' {
			for j++; j < len(tag) && strings.IndexByte(space, tag[j]) >= 0; j++ {
			}
			i = j
			switch {
			case i >= len(tag):
			case tag[i] == '"' || tag[i] == '\'':
				n := bytes.IndexByte(tag[i+1:], tag[i])
				if n < 0 {
					n = len(tag) - i - 1
				}
				a.value = tag[i+1 : i+1+n]
				i = min(len(tag), i+n+2)
			default:
				for i < len(tag) && strings.IndexByte(space+">", tag[i]) < 0 {
					i++
				}
				a.value = tag[j:i]
			}
		}
		a.to = i
		out = append(out, a)
	}
}
