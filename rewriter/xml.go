package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

// An XML document has no text elements, no implied tags and no preload scanner: every element is
// what it says, and of CDATA sections, processing instructions and entities there are real ones
// (XML 1.0, 2.5 to 2.8 and 4). Names are read without their prefix and without regard to case,
// which takes more elements for live than browsers do.

// enterXMLDeclaration reads what follows <! or <? at pos. It returns false when it needs more input.
func (r *Rewriter) enterXMLDeclaration(rd *reader) bool {
	rest := r.in[rd.pos:]
	for _, d := range [...]struct {
		open string
		st   state
	}{{"<!--", stXMLComment}, {"<![CDATA[", stCDATA}, {"<!DOCTYPE", stDoctype}, {"<?", stPI}} {
		n := min(len(rest), len(d.open))
		if string(rest[:n]) != d.open[:n] {
			continue
		}
		if n < len(d.open) {
			return r.atEnd(rd)
		}
		if d.st == stPI {
			rd.start = rd.pos
		}
		rd.pos += n
		rd.st = d.st
		return true
	}
	rd.pos, rd.st = rd.pos+2, stBogus
	return true
}

// stepPI reads a processing instruction. One that names a style sheet is a link; Chromium takes it for one within a
// document type declaration too.
func (r *Rewriter) stepPI(rd *reader) bool {
	inside := rd.subset != noSubset
	in, tooLong := r.limited(rd.start, rd.pos)
	j := bytes.Index(in[rd.pos:], []byte("?>"))
	if j < 0 {
		if r.ended || tooLong {
			if text := in[rd.start+2:]; !tooLong {
				r.instruction(rd, text)
			} else if bytes.HasPrefix(text, styleInstruction) {
				d := ambiguous("ambiguous:tag-length")
				r.record(rd.start, rules.Resource{Kind: rules.KindStyle, Page: r.page}, d)
				r.insert(rd.start+2, renamePrefix)
			}
			rd.start, rd.st, rd.pos = -1, stBogus, len(in)
			if inside {
				rd.st, rd.subset = stDoctype, inPI
			}
			return tooLong
		}
		rd.pos = max(rd.pos, len(in)-1)
		return false
	}
	rd.pos += j + 2
	r.instruction(rd, r.in[rd.start+2:rd.pos-2])
	if rd.start, rd.st = -1, stData; inside {
		rd.st = stDoctype
	}
	return true
}

// limited returns the window as far as what begins at offset from and has been read up to pos may go, and whether there
// is more. Wherever the document is cut, what is too long is given up at the same byte.
func (r *Rewriter) limited(from, pos int) (in []byte, more bool) {
	if n := max(from+r.maxTag(), pos); n < len(r.in) {
		return r.in[:n], true
	}
	return r.in, false
}

// styleInstruction begins a processing instruction that names a style sheet (Associating Style Sheets with XML documents, 3).
var styleInstruction = []byte("xml-stylesheet")

func (r *Rewriter) instruction(rd *reader, text []byte) {
	if !bytes.HasPrefix(text, styleInstruction) {
		return
	}
	rest := text
	for {
		_, after, ok := bytes.Cut(rest, []byte("href"))
		if !ok {
			return
		}
		rest = after
		v := bytes.TrimLeft(after, spaces)
		if len(v) < 2 || v[0] != '=' {
			continue
		}
		if v = bytes.TrimLeft(v[1:], spaces); len(v) < 2 || v[0] != '"' && v[0] != '\'' {
			continue
		}
		url, _, _ := bytes.Cut(v[1:], v[:1])
		r.scratch = decodeAttr(r.scratch[:0], url)
		if d := r.judge(rd.start, rules.KindStyle, r.scratch); d.Action == rules.Block {
			r.insert(rd.start+2, renamePrefix) // no browser knows the instruction of that name
			return
		}
	}
}

// subset is where a reader stands in a document type declaration: a quote inside of which it is, or one of these.
type subset byte

const (
	noSubset  subset = iota
	inSubset         // in the internal subset, between declarations or in one
	inComment        // in a comment there
	inPI             // in a processing instruction there that is too long to hold
)

// stepDoctype reads a document type declaration. Of its internal subset entities and the defaults of attributes
// matter: one that could hold markup, or add an attribute, gets another name, so that nothing uses it
// (XML 1.0, 2.8, 3.3.2 and 4.2).
func (r *Rewriter) stepDoctype(rd *reader) bool {
	in := r.in
	for rd.pos < len(in) {
		switch rd.subset {
		case inComment, inPI:
			end := "-->"
			if rd.subset == inPI {
				end = "?>"
			}
			j := bytes.Index(in[rd.pos:], []byte(end))
			if j < 0 {
				rd.pos = max(rd.pos, len(in)-len(end)+1)
				return r.atEnd(rd)
			}
			rd.pos += j + len(end)
			rd.subset = inSubset
			continue
		case noSubset, inSubset:
		default: // in a quote outside of the internal subset, such as that of a system identifier
			j := bytes.IndexByte(in[rd.pos:], byte(rd.subset))
			if j < 0 {
				rd.pos = len(in)
				return false
			}
			rd.pos += j + 1
			rd.subset = noSubset
			continue
		}
		switch c := in[rd.pos]; {
		case rd.subset == noSubset && c == '[':
			rd.subset = inSubset
		case rd.subset == inSubset && c == ']':
			rd.subset = noSubset
		case c == '>' && rd.subset == noSubset:
			rd.pos++
			rd.st = stData
			return true
		case (c == '"' || c == '\'') && rd.subset == noSubset:
			rd.subset = subset(c)
		case c == '<' && rd.subset == inSubset:
			rest := in[rd.pos:]
			switch {
			case len(rest) < len("<!ATTLIST") && !r.ended:
				return false
			case bytes.HasPrefix(rest, []byte("<!--")):
				rd.pos, rd.subset = rd.pos+len("<!--"), inComment
				continue
			case bytes.HasPrefix(rest, []byte("<?")):
				rd.start, rd.st = rd.pos, stPI
				rd.pos += len("<?")
				return true
			case !r.declaration(rd):
				return r.atEnd(rd)
			}
			continue
		}
		rd.pos++
	}
	return false
}

// declaration reads the declaration at pos. It returns false if that does not end in the window.
func (r *Rewriter) declaration(rd *reader) bool {
	in, tooLong := r.limited(rd.pos, rd.pos)
	rest := in[rd.pos:]
	word, risky := "<!ENTITY", riskyEntity
	if bytes.HasPrefix(rest, []byte("<!ATTLIST")) {
		word, risky = "<!ATTLIST", addsAttributes
	} else if !bytes.HasPrefix(rest, []byte(word)) {
		word, risky = "<", func([]byte) bool { return false }
	}
	end := declarationEnd(rest)
	if end == 0 {
		if !r.ended && !tooLong {
			return false
		}
		// Where it ends is not known any more. A document with this is none.
		r.refuseDeclaration(rd.pos, rd.pos+len(word), "<")
		rd.pos = len(in)
		return true
	}
	rd.entity = rd.entity || word == "<!ENTITY"
	if decl := rest[len(word) : end-1]; risky(decl) {
		name := rd.pos + len(word) + skip(decl, 0, spaces+"%")
		r.refuseDeclaration(rd.pos, name, renamePrefix)
	}
	rd.pos += end
	return true
}

func (r *Rewriter) refuseDeclaration(at, name int, text string) {
	r.record(at, rules.Resource{Kind: rules.KindFetch, Page: r.page}, ambiguous("ambiguous:entity"))
	r.insert(min(name, len(r.in)), text)
}

// declarationEnd returns the length of the declaration that v begins with, 0 if it does not end there.
func declarationEnd(v []byte) int {
	for i := 0; i < len(v); i++ {
		switch c := v[i]; c {
		case '>':
			return i + 1
		case '"', '\'':
			j := bytes.IndexByte(v[i+1:], c)
			if j < 0 {
				return 0
			}
			i += j + 1
		}
	}
	return 0
}

// riskyEntity reports whether an entity can be more than text: markup, or what is in other entities or documents.
func riskyEntity(decl []byte) bool {
	i := skip(decl, 0, spaces)
	for i < len(decl) && class[decl[i]]&space == 0 {
		i++
	}
	i = skip(decl, i, spaces)
	return i == len(decl) || decl[i] != '"' && decl[i] != '\'' || bytes.HasPrefix(bytes.TrimLeft(decl, spaces), []byte("%")) || bytes.ContainsAny(decl[i:], "<&%")
}

// addsAttributes reports whether a declaration of attributes may give elements any that they do not say, but for
// namespaces.
func addsAttributes(decl []byte) bool {
	word := func() (w []byte) {
		decl = decl[skip(decl, 0, spaces):]
		n := 0
		switch {
		case len(decl) == 0:
		case decl[0] == '(':
			n = bytes.IndexByte(decl, ')') + 1
		case decl[0] == '"' || decl[0] == '\'':
			n = bytes.IndexByte(decl[1:], decl[0]) + 2
		default:
			for n < len(decl) && class[decl[n]]&space == 0 && decl[n] != '(' && decl[n] != '"' && decl[n] != '\'' {
				n++
			}
		}
		w, decl = decl[:n], decl[n:]
		return w
	}
	for word(); ; {
		name := word()
		if len(name) == 0 {
			return len(decl) > 0
		}
		if t := string(word()); t == "NOTATION" {
			word()
		}
		switch value := word(); string(value) {
		case "#IMPLIED", "#REQUIRED":
			continue
		case "#FIXED":
			word()
		}
		if string(name) != "xmlns" && !bytes.HasPrefix(name, []byte("xmlns:")) {
			return true
		}
	}
}

// escapeReferences makes the references to a document's own entities in v, which stands at offset at, the text that
// they have been read as.
func (r *Rewriter) escapeReferences(at int, v []byte) {
	for i := 0; ; {
		j := bytes.IndexByte(v[i:], '&')
		if j < 0 {
			return
		}
		if i += j + 1; !predefined(v[i:]) {
			r.insert(at+i, "amp;")
		}
	}
}

// predefined reports whether a reference, without its ampersand, is to a character or an entity that means the same
// in every document (XML 1.0, 4.6).
func predefined(v []byte) bool {
	for _, name := range [...]string{"#", "amp;", "lt;", "gt;", "quot;", "apos;"} {
		if bytes.HasPrefix(v, []byte(name)) {
			return true
		}
	}
	return false
}

// attrOf returns the attribute of that name in this document.
func (r *Rewriter) attrOf(name []byte) attrName {
	id := attrOf(name)
	if r.o.XML {
		return inXML(id, name)
	}
	return id
}

// inXML returns which attribute one is in XML that would have that id in HTML. Capital letters make it another one, which
// leaves the place of the first to what browsers read; any prefix may be that of XLink.
func inXML(id attrName, name []byte) attrName {
	switch {
	case id == atAttributeName:
	case id != atHref && string(localName(name)) == "href":
		return atXlinkHref
	case bytes.ContainsFunc(name, func(c rune) bool { return 'A' <= c && c <= 'Z' }):
		return atNone
	}
	return id
}

// localName cuts the prefix off a qualified name.
func localName(name []byte) []byte {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

var keyImport, keyInclude = keyOf([]byte("import")), keyOf([]byte("include"))

// placeXML acts on a start tag of an XML document.
func (r *Rewriter) placeXML(rd *reader) {
	rd.html, rd.live, rd.svg = true, true, true
	if top := rd.tree.top(); top != nil {
		rd.parent = top.el
	}
	if !rd.slash && !rd.tree.lost {
		if rd.tree.push(rd.key, rd.el, nsSVG); rd.tree.spent > spentFree {
			r.tire(rd, rd.pos)
		}
	}
	r.element(rd)
	if rd.key == keyImport || rd.key == keyInclude { // of an XSLT style sheet
		r.urls(rd, rules.KindStyle, atHref)
	}
	if !rd.slash && (rd.el == elStyle || rd.el == elScript) {
		r.enterInner(rd)
	}
	rd.script.held = false
	rd.start = -1
}
