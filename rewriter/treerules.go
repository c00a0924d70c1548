package rewriter

import "strings"

// Properties of HTML elements (HTML Standard, 13.2.4.2 and 13.2.4.3).
const (
	special     uint16 = 1 << iota
	bounds             // bounds a scope
	buttonScope        // bounds button scope
	listScope          // bounds list item scope
	tableScope         // bounds table scope
	implied            // its end tag may be left out
	formatting
	structural    // closing it does more than closing it
	foreignBounds // not a property: the scope is bounded by integration points too
)

// Default scopes.
const (
	inScope       = bounds | foreignBounds
	inButtonScope = buttonScope | foreignBounds
	inListScope   = listScope | foreignBounds
)

// action is what a start tag does in the modes of the body.
type action uint8

const (
	actPush   action = iota // any other element
	actBlock                // closes an open p
	actVoid                 // has no contents
	actNone                 // leaves no trace
	actText                 // is pushed without ado
	actFormat               // formatting element
	actAnchor               // a
	actItem                 // li
	actSlow
)

// What tree.open does with a start tag; nothing if none of them is set.
const (
	opensOrdinary uint16 = 1 << iota
	opensBlock           // closes an open p
	opensRebuilt         // in formatting elements that others have closed
	opensNothing         // has no contents
	opensItem            // li
	opensAnchor          // a
	opensFormat          // formatting element
	opensQuick           // node.quick
	opensScope           // bounds button scope
)

// openings are the bits for each action.
var openings = map[action]uint16{actPush: opensRebuilt, actBlock: opensBlock, actVoid: opensRebuilt | opensNothing, actNone: opensNothing, actText: 0,
	actFormat: opensRebuilt | opensFormat, actAnchor: opensRebuilt | opensAnchor, actItem: opensItem | opensBlock}

var (
	opens    [elements]uint16
	props    [elements]uint16
	actions  [elements]action
	breakout [elements]bool // start tags that end foreign content (HTML Standard, 13.2.6.5)
)

// svgCamel are the names of SVG elements that have upper-case letters (HTML Standard, 13.2.6.1).
var svgCamel = make(map[key]bool)

var keyHTML, keyHead, keyBody, keyColgroup, keyTbody, keyTr key

func init() {
	set := func(bits uint16, els ...elem) {
		for _, e := range els {
			props[e] |= bits
		}
	}
	act := func(a action, els ...elem) {
		for _, e := range els {
			actions[e] = a
		}
	}
	set(special, elAddress, elApplet, elArea, elArticle, elAside, elBase, elBasefont, elBgsound, elBlockquote, elBody, elBr, elButton, elCaption,
		elCenter, elCol, elColgroup, elDd, elDetails, elDir, elDiv, elDl, elDt, elEmbed, elFieldset, elFigcaption, elFigure, elFooter, elForm,
		elFrame, elFrameset, elH1, elH2, elH3, elH4, elH5, elH6, elHead, elHeader, elHgroup, elHr, elHTML, elIframe, elImg, elInput, elKeygen,
		elLi, elLink, elListing, elMain, elMarquee, elMenu, elMeta, elNav, elNoembed, elNoframes, elNoscript, elObject, elOl, elP, elParam,
		elPlaintext, elPre, elScript, elSearch, elSection, elSelect, elSource, elStyle, elSummary, elTable, elTbody, elTd, elTemplate,
		elTextarea, elTfoot, elTh, elThead, elTitle, elTr, elTrack, elUl, elWbr, elXmp)
	set(bounds|buttonScope|listScope, elApplet, elCaption, elHTML, elTable, elTd, elTh, elMarquee, elObject, elSelect, elTemplate)
	set(buttonScope, elButton)
	set(listScope, elOl, elUl)
	set(tableScope, elHTML, elTable, elTemplate)
	set(implied, elDd, elDt, elLi, elOptgroup, elOption, elP, elRb, elRp, elRt, elRtc)
	set(formatting|structural, elA, elB, elBig, elCode, elEm, elFont, elI, elNobr, elS, elSmall, elStrike, elStrong, elTt, elU)
	set(structural, elHTML, elHead, elBody, elTable, elCaption, elColgroup, elTbody, elThead, elTfoot, elTr, elTd, elTh, elTemplate, elForm,
		elFrameset, elApplet, elMarquee, elObject, elNoscript)

	act(actBlock, elAddress, elArticle, elAside, elBlockquote, elCenter, elDetails, elDialog, elDir, elDiv, elDl, elFieldset, elFigcaption,
		elFigure, elFooter, elHeader, elHgroup, elMain, elMenu, elNav, elOl, elP, elSearch, elSection, elSummary, elUl)
	act(actVoid, elArea, elBr, elEmbed, elImg, elImage, elKeygen, elWbr)
	act(actNone, elParam, elSource, elTrack, elBase, elBasefont, elBgsound, elLink, elMeta)
	act(actText, elTitle, elStyle, elScript, elNoframes, elNoembed)
	act(actFormat, elB, elBig, elCode, elEm, elFont, elI, elS, elSmall, elStrike, elStrong, elTt, elU)
	act(actAnchor, elA)
	act(actItem, elLi)
	act(actSlow, elHTML, elHead, elBody, elFrameset, elFrame, elCaption, elCol, elColgroup, elTbody, elThead, elTfoot, elTr, elTd, elTh,
		elTable, elTemplate, elForm, elDd, elDt, elH1, elH2, elH3, elH4, elH5, elH6, elPre, elListing, elPlaintext, elButton, elNobr,
		elApplet, elMarquee, elObject, elInput, elHr, elTextarea, elXmp, elIframe, elNoscript, elSelect, elOption, elOptgroup, elRb, elRtc,
		elRp, elRt, elMath, elSvg)
	for _, e := range []elem{elB, elBig, elBlockquote, elBody, elBr, elCenter, elCode, elDd, elDiv, elDl, elDt, elEm, elEmbed, elH1, elH2, elH3,
		elH4, elH5, elH6, elHead, elHr, elI, elImg, elLi, elListing, elMenu, elMeta, elNobr, elOl, elP, elPre, elRuby, elS, elSmall, elSpan,
		elStrong, elStrike, elSub, elSup, elTable, elTt, elU, elUl, elVar} {
		breakout[e] = true
	}
	for _, n := range strings.Fields(`altglyph altglyphdef altglyphitem animatecolor animatemotion animatetransform clippath feblend
		fecolormatrix fecomponenttransfer fecomposite feconvolvematrix fediffuselighting fedisplacementmap fedistantlight fedropshadow
		feflood fefunca fefuncb fefuncg fefuncr fegaussianblur feimage femerge femergenode femorphology feoffset fepointlight
		fespecularlighting fespotlight fetile feturbulence foreignobject glyphref lineargradient radialgradient textpath`) {
		svgCamel[keyOf([]byte(n))] = true
	}
	for e := range elements {
		bits, ordinary := openings[actions[e]]
		if !ordinary {
			continue
		}
		if bits |= opensOrdinary; props[e]&structural == 0 {
			bits |= opensQuick
		}
		if props[e]&buttonScope != 0 {
			bits |= opensScope
		}
		opens[e] = bits
	}
	keyHTML, keyHead, keyBody = keyOf([]byte("html")), keyOf([]byte("head")), keyOf([]byte("body"))
	keyColgroup, keyTbody, keyTr = keyOf([]byte("colgroup")), keyOf([]byte("tbody")), keyOf([]byte("tr"))
}

// startSlow is start for every mode and element. A tag that is processed again goes round.
func (t *tree) startSlow(tok token) placed {
	var at placed
	if t.lost {
		t.odd = tok.el == elFrameset && t.framesetOK // or what ends the document would not end it
		return at
	}
	if top := t.top(); top != nil {
		at.parent = top.el
		if top.ns != nsHTML && !entersHTML(top, tok.el) {
			if !breakout[tok.el] && !(tok.el == elFont && tok.flag) {
				return t.startForeign(tok, top)
			}
			for n := len(t.stack) - 1; n > 0 && t.stack[n].ns != nsHTML && !isHTMLPoint(&t.stack[n]) && !isMathText(&t.stack[n]); n-- {
				t.stack = t.stack[:n]
			}
			at.parent = t.top().el
		}
	}
	// Every pass but the last changes the mode towards one that takes the tag.
	for range 12 {
		switch t.startIn(tok, t.mode, &at) {
		case done:
			return at
		case ignored:
			at.ignored = true
			return at
		}
	}
	at.ignored = true
	return at
}

// entersHTML reports whether a start tag inside a foreign element is HTML (HTML Standard, 13.2.6,
// the tree construction dispatcher).
func entersHTML(top *node, el elem) bool {
	switch {
	case isMathText(top):
		return el != elMglyph && el != elMalignmark
	case top.ns >= nsMath && top.el == elAnnotationXML && el == elSvg:
		return true
	}
	return isHTMLPoint(top)
}

func isHTMLPoint(nd *node) bool {
	return nd.ns == nsMathHTML || nd.ns == nsSVG && isPoint(nd.el, nsSVG)
}

func isMathText(nd *node) bool { return nd.ns == nsMath && isTextPoint(nd.el) }

func (t *tree) startForeign(tok token, top *node) placed {
	ns := top.ns
	if ns == nsMathHTML {
		ns = nsMath
	}
	at := placed{ns: ns, parent: top.el}
	if tok.self {
		return at
	}
	if ns == nsMath && tok.el == elAnnotationXML && tok.flag {
		ns = nsMathHTML
	}
	t.push(tok.key, tok.el, ns)
	return at
}

type step uint8

const (
	done step = iota
	ignored
	again // the mode has changed: process the tag again
)

func isTableBody(el elem) bool { return el == elTbody || el == elThead || el == elTfoot }
func isCell(el elem) bool      { return el == elTd || el == elTh }

// startIn processes a start tag by the rules of a mode.
func (t *tree) startIn(tok token, mode insertionMode, at *placed) step {
	if tok.el == elHTML && mode != beforeHTML {
		if t.hasTemplate() {
			return ignored
		}
		return done // its attributes count, though no element is made
	}
	switch mode {
	case beforeHTML:
		t.push(keyHTML, elHTML, nsHTML)
		t.setMode(beforeHead)
		if tok.el == elHTML {
			return done
		}
		return again
	case beforeHead:
		t.push(keyHead, elHead, nsHTML)
		t.setMode(inHead)
		if tok.el == elHead {
			return done
		}
		return again
	case inHead:
		if st := t.startHead(tok); st != again {
			return st
		}
		if tok.el == elHead {
			return ignored
		}
		t.stack = t.stack[:1]
		t.setMode(afterHead)
		return again
	case inHeadNoscript:
		switch tok.el {
		case elBasefont, elBgsound, elLink, elMeta, elNoframes, elStyle:
			return t.startHead(tok)
		case elHead, elNoscript:
			return ignored
		}
		t.pop()
		t.setMode(inHead)
		return again
	case afterHead:
		switch tok.el {
		case elBody:
			t.push(tok.key, elBody, nsHTML)
			t.framesetOK = false
			t.setMode(inBody)
			return done
		case elFrameset:
			t.push(tok.key, elFrameset, nsHTML)
			t.setMode(inFrameset)
			return done
		case elNoscript:
		case elHead:
			return ignored
		default:
			if st := t.startHead(tok); st != again {
				return st
			}
		}
		t.impliedBody()
		return again
	case inBody:
		return t.startBody(tok, at)
	case inTable:
		return t.startTable(tok, at)
	case inCaption:
		if isTablePart(tok.el) {
			if !t.closeCaption() {
				return ignored
			}
			return again
		}
		return t.startBody(tok, at)
	case inColumnGroup:
		switch tok.el {
		case elCol:
			return done
		case elTemplate:
			return t.startHead(tok)
		}
		if t.top().el != elColgroup {
			return ignored
		}
		t.pop()
		t.setMode(inTable)
		return again
	case inTableBody:
		switch {
		case tok.el == elTr:
			t.clearTo(elTbody)
			t.push(tok.key, elTr, nsHTML)
			t.setMode(inRow)
			return done
		case isCell(tok.el):
			t.clearTo(elTbody)
			t.push(keyTr, elTr, nsHTML)
			t.setMode(inRow)
			return again
		case isTablePart(tok.el):
			if !t.closeTableBody() {
				return ignored
			}
			return again
		}
		return t.startTable(tok, at)
	case inRow:
		switch {
		case isCell(tok.el):
			t.clearTo(elTr)
			t.push(tok.key, tok.el, nsHTML)
			t.setMode(inCell)
			t.formatting = append(t.formatting, format{})
			return done
		case isTablePart(tok.el):
			if !t.closeRow() {
				return ignored
			}
			return again
		}
		return t.startTable(tok, at)
	case inCell:
		if isTablePart(tok.el) {
			if !t.closeCell() {
				return ignored
			}
			return again
		}
		return t.startBody(tok, at)
	case inTemplate:
		switch tok.el {
		case elCaption, elColgroup, elTbody, elTfoot, elThead:
			t.switchTemplate(inTable)
		case elCol:
			t.switchTemplate(inColumnGroup)
		case elTr:
			t.switchTemplate(inTableBody)
		case elTd, elTh:
			t.switchTemplate(inRow)
		default:
			if tok.el != elNoscript {
				if st := t.startHead(tok); st != again {
					return st
				}
			}
			t.switchTemplate(inBody)
		}
		return again
	case inFrameset:
		switch tok.el {
		case elFrameset:
			if len(t.stack) >= t.max {
				t.odd = true
				return ignored
			}
			t.push(tok.key, elFrameset, nsHTML)
			return done
		case elFrame:
			return done
		case elNoframes:
			return t.startHead(tok)
		}
		return ignored
	}
	// after frameset
	if tok.el == elNoframes {
		return t.startHead(tok)
	}
	return ignored
}

// isTablePart reports whether el is one of the parts of a table that end a caption, row or cell.
func isTablePart(el elem) bool {
	switch el {
	case elCaption, elCol, elColgroup, elTbody, elTd, elTfoot, elTh, elThead, elTr:
		return true
	}
	return false
}

// startHead processes the start tags that "in head" knows, again for any other.
func (t *tree) startHead(tok token) step {
	switch tok.el {
	case elBase, elBasefont, elBgsound, elLink, elMeta:
		return done
	case elTitle, elStyle, elScript, elNoframes:
		t.push(tok.key, tok.el, nsHTML)
		return done
	case elNoscript:
		t.push(tok.key, tok.el, nsHTML)
		if tok.noscr {
			t.setMode(inHeadNoscript)
		}
		return done
	case elTemplate:
		t.push(tok.key, tok.el, nsHTML)
		t.formatting = append(t.formatting, format{})
		t.framesetOK = false
		t.templates = append(t.templates, inTemplate)
		t.setMode(inTemplate)
		return done
	}
	return again
}

// startTable is "in table".
func (t *tree) startTable(tok token, at *placed) step {
	switch tok.el {
	case elCaption:
		t.clearTo(elTable)
		t.formatting = append(t.formatting, format{})
		t.push(tok.key, elCaption, nsHTML)
		t.setMode(inCaption)
		return done
	case elColgroup, elCol:
		t.clearTo(elTable)
		t.push(keyColgroup, elColgroup, nsHTML)
		t.setMode(inColumnGroup)
		if tok.el == elCol {
			return again
		}
		return done
	case elTbody, elTfoot, elThead:
		t.clearTo(elTable)
		t.push(tok.key, tok.el, nsHTML)
		t.setMode(inTableBody)
		return done
	case elTd, elTh, elTr:
		t.clearTo(elTable)
		t.push(keyTbody, elTbody, nsHTML)
		t.setMode(inTableBody)
		return again
	case elTable:
		if !t.closeTable() {
			return ignored
		}
		return again
	case elStyle, elScript, elTemplate:
		return t.startHead(tok)
	case elInput:
		if tok.flag {
			return done
		}
	case elForm:
		if t.form || t.hasTemplate() {
			return ignored
		}
		t.form = true
		return done
	}
	return t.startBody(tok, at)
}

// startBody is "in body".
func (t *tree) startBody(tok token, at *placed) step {
	switch tok.el {
	case elBase, elBasefont, elBgsound, elLink, elMeta, elNoframes, elScript, elStyle, elTemplate, elTitle:
		return t.startHead(tok)
	case elBody:
		if len(t.stack) > 1 && t.stack[1].el == elBody && !t.hasTemplate() {
			t.framesetOK = false
		}
		return done // its attributes count, though no element is made
	case elFrameset:
		if !t.framesetOK || len(t.stack) < 2 || t.stack[1].el != elBody {
			return ignored
		}
		t.stack, t.formatting = t.stack[:1], t.formatting[:0]
		t.push(tok.key, elFrameset, nsHTML)
		t.setMode(inFrameset)
		return done
	case elFrame, elCaption, elCol, elColgroup, elHead, elTbody, elTd, elTfoot, elTh, elThead, elTr:
		return ignored
	case elH1, elH2, elH3, elH4, elH5, elH6:
		t.closeP()
		if el := t.top().el; t.top().ns == nsHTML && elH1 <= el && el <= elH6 {
			t.pop()
		}
	case elPre, elListing:
		t.closeP()
		t.framesetOK = false
	case elForm:
		if t.form && !t.hasTemplate() {
			return ignored
		}
		t.closeP()
		if !t.hasTemplate() {
			t.form = true
		}
	case elLi, elDd, elDt:
		t.framesetOK = false
		t.closeItem(tok.el)
		t.closeP()
	case elPlaintext:
		t.closeP()
	case elButton:
		t.closeUpTo(elButton, inScope)
		t.rebuild()
		t.framesetOK = false
	case elA:
		for i := len(t.formatting) - 1; i >= 0 && t.formatting[i].id != 0; i-- {
			if t.formatting[i].key == tok.key {
				t.closeAnchor(tok.key, t.formatting[i].id)
				break
			}
		}
		t.rebuild()
		t.push(tok.key, tok.el, nsHTML)
		t.addFormatting()
		return done
	case elNobr:
		t.rebuild()
		if t.find(elNobr, inScope) >= 0 {
			t.adopt(tok.key)
			t.rebuild()
		}
		t.push(tok.key, tok.el, nsHTML)
		t.addFormatting()
		return done
	case elApplet, elMarquee, elObject:
		t.rebuild()
		t.formatting = append(t.formatting, format{})
		t.framesetOK = false
	case elTable:
		if !t.quirks {
			t.closeP()
		}
		t.framesetOK = false
		t.push(tok.key, elTable, nsHTML)
		t.setMode(inTable)
		return done
	case elInput:
		t.closeUpTo(elSelect, inScope)
		t.rebuild()
		if !tok.flag {
			t.framesetOK = false
		}
		return done
	case elHr:
		t.closeP()
		if t.find(elSelect, inScope) >= 0 {
			t.impliedEnd(elUnknown)
		}
		t.framesetOK = false
		return done
	case elTextarea, elIframe:
		t.framesetOK = false
	case elXmp:
		t.closeP()
		t.rebuild()
		t.framesetOK = false
	case elSelect:
		if t.closeUpTo(elSelect, inScope) {
			return ignored
		}
		t.rebuild()
		t.framesetOK = false
	case elOption:
		if t.find(elSelect, inScope) >= 0 {
			t.impliedEnd(elOptgroup)
		} else if t.top().el == elOption && t.top().ns == nsHTML {
			t.pop()
		}
		t.rebuild()
	case elOptgroup:
		if t.find(elSelect, inScope) >= 0 {
			t.impliedEnd(elUnknown)
		} else if t.top().el == elOption && t.top().ns == nsHTML {
			t.pop()
		}
		t.rebuild()
	case elRb, elRtc:
		if t.find(elRuby, inScope) >= 0 {
			t.impliedEnd(elUnknown)
		}
	case elRp, elRt:
		if t.find(elRuby, inScope) >= 0 {
			t.impliedEnd(elRtc)
		}
	case elMath, elSvg:
		t.rebuild()
		at.ns = nsSVG
		if tok.el == elMath {
			at.ns = nsMath
		}
		if !tok.self {
			t.push(tok.key, tok.el, at.ns)
		}
		return done
	default:
		switch actions[tok.el] {
		case actBlock:
			t.closeP()
		case actVoid:
			t.rebuild()
			t.framesetOK = false
			return done
		case actNone:
			return done
		case actText: // noembed
		case actFormat:
			t.rebuild()
			t.push(tok.key, tok.el, nsHTML)
			t.addFormatting()
			return done
		default:
			if tok.el != elNoscript || tok.noscr {
				t.rebuild()
			}
		}
	}
	t.push(tok.key, tok.el, nsHTML)
	return done
}

func (t *tree) rebuild() {
	if t.reconstruct {
		t.reconstructFormatting()
	}
}

// closeAnchor closes an a element before the next begins.
func (t *tree) closeAnchor(k key, id uint32) {
	if !t.adopt(k) {
		for i := range t.formatting {
			if t.formatting[i].id == id {
				t.formatting = append(t.formatting[:i], t.formatting[i+1:]...)
				break
			}
		}
		if i := t.indexOf(id); i > 0 {
			t.remove(i)
		}
	}
}

// closeItem closes an open list item, or term and description, before the next begins.
func (t *tree) closeItem(el elem) {
	i := len(t.stack) - 1
	defer func() { t.spend(len(t.stack) - i) }()
	for ; i > 0; i-- {
		nd := &t.stack[i]
		if nd.ns != nsHTML {
			if isPoint(nd.el, nd.ns) {
				return
			}
			continue
		}
		if nd.el == el || el != elLi && (nd.el == elDd || nd.el == elDt) {
			t.popTo(i)
			return
		}
		if props[nd.el]&special != 0 && nd.el != elAddress && nd.el != elDiv && nd.el != elP {
			return
		}
	}
}

// clearTo closes elements up to a table, table body or row, or the template or html around.
func (t *tree) clearTo(el elem) {
	for n := len(t.stack) - 1; n > 0; n-- {
		nd := &t.stack[n]
		if nd.ns == nsHTML && (nd.el == el || nd.el == elTemplate || el == elTbody && isTableBody(nd.el)) {
			return
		}
		t.pop()
	}
}

func (t *tree) closeTable() bool {
	if !t.closeUpTo(elTable, tableScope) {
		return false
	}
	t.resetMode()
	return true
}

func (t *tree) closeCaption() bool {
	if !t.closeUpTo(elCaption, tableScope) {
		return false
	}
	t.clearToMarker()
	t.setMode(inTable)
	return true
}

func (t *tree) closeTableBody() bool {
	if t.find(elTbody, tableScope) < 0 && t.find(elThead, tableScope) < 0 && t.find(elTfoot, tableScope) < 0 {
		return false
	}
	t.clearTo(elTbody)
	t.pop()
	t.setMode(inTable)
	return true
}

func (t *tree) closeRow() bool {
	if t.find(elTr, tableScope) < 0 {
		return false
	}
	t.clearTo(elTr)
	t.pop()
	t.setMode(inTableBody)
	return true
}

func (t *tree) closeCell() bool {
	i := max(t.find(elTd, tableScope), t.find(elTh, tableScope))
	if i < 0 {
		return false
	}
	t.popTo(i)
	t.clearToMarker()
	t.setMode(inRow)
	return true
}
