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

// stepPI reads a processing instruction. One that names a style sheet is a link.
func (r *Rewriter) stepPI(rd *reader) bool {
	j := bytes.Index(r.in[rd.pos:], []byte("?>"))
	if j < 0 {
		if r.ended || len(r.in)-rd.start > r.maxTag() {
			r.instruction(rd, r.in[rd.start+2:])
			rd.start, rd.st, rd.pos = -1, stBogus, len(r.in)
			return !r.ended
		}
		rd.pos = max(rd.pos, len(r.in)-1)
		return false
	}
	rd.pos += j + 2
	r.instruction(rd, r.in[rd.start+2:rd.pos-2])
	rd.start, rd.st = -1, stData
	return true
}

func (r *Rewriter) instruction(rd *reader, text []byte) {
	if !bytes.HasPrefix(text, []byte("xml-stylesheet")) {
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

// stepDoctype reads a document type declaration. Of its internal subset the entities matter: one
// that could hold a reference or markup loses its name, so that what uses it is an error.
func (r *Rewriter) stepDoctype(rd *reader) bool {
	in := r.in
	for rd.pos < len(in) {
		switch c := in[rd.pos]; {
		case c == '[':
			rd.subset = true
		case c == ']':
			rd.subset = false
		case c == '>' && !rd.subset:
			rd.pos++
			rd.st = stData
			return true
		case c == '"' || c == '\'':
			j := bytes.IndexByte(in[rd.pos+1:], c)
			if j < 0 {
				return r.atEnd(rd)
			}
			rd.pos += j + 1
		case c == '<' && rd.subset:
			const word = "<!ENTITY"
			n := min(len(in)-rd.pos, len(word))
			if string(in[rd.pos:rd.pos+n]) != word[:n] {
				break
			}
			if n < len(word) {
				return r.atEnd(rd)
			}
			if !r.entity(rd) {
				return r.atEnd(rd)
			}
			continue
		}
		rd.pos++
	}
	return false
}

// entity reads the declaration of an entity at pos. It returns false if that does not end in the
// window.
func (r *Rewriter) entity(rd *reader) bool {
	const word = "<!ENTITY"
	in := r.in
	i := skip(in, rd.pos+len(word), spaces)
	name := i
	quote, risky := byte(0), false
	for ; i < len(in); i++ {
		switch c := in[i]; {
		case quote == 0 && c == '>':
			if risky {
				d := ambiguous("ambiguous:entity")
				r.record(rd.pos, rules.Resource{Kind: rules.KindFetch, Page: r.page}, d)
				r.insert(name, renamePrefix)
			}
			rd.pos = i + 1
			return true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		case c == '/' || c == '<' || c == '&' || c == '%' || c == ':':
			risky = true
		}
	}
	if r.ended || len(in)-rd.pos > r.maxTag() {
		r.insert(name, renamePrefix)
		rd.pos = len(in)
		return true
	}
	return false
}

// localName cuts the prefix off a qualified name.
func localName(name []byte) []byte {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

// placeXML acts on a start tag of an XML document.
func (r *Rewriter) placeXML(rd *reader) {
	rd.html, rd.live, rd.svg = true, true, true
	if top := rd.tree.top(); top != nil {
		rd.parent = top.el
	}
	if !rd.slash && !rd.tree.lost {
		rd.tree.push(rd.key, rd.el, nsSVG)
	}
	r.element(rd)
	if !rd.slash && (rd.el == elStyle || rd.el == elScript) {
		r.enterInner(rd)
	}
	rd.script.held = false
	rd.start = -1
}
