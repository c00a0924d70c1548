package rewriter

import "slices"

// endSlow is end for every mode and element.
func (t *tree) endSlow(k key, el elem) {
	if t.lost {
		return
	}
	if t.foreign() {
		if el == elP || el == elBr {
			for n := len(t.stack) - 1; n > 0 && t.stack[n].ns != nsHTML && !isHTMLPoint(&t.stack[n]) && !isMathText(&t.stack[n]); n-- {
				t.stack = t.stack[:n]
			}
		} else {
			i := len(t.stack) - 1
			for ; i > 0 && t.stack[i].ns != nsHTML; i-- {
				if t.stack[i].key == k {
					t.popTo(i)
					return
				}
			}
			t.spend(len(t.stack) - i)
			// Chromium goes on with the name as SVG spells it, which no HTML element has; Firefox closes one.
			if t.top().ns == nsSVG && svgCamel[k] {
				if slices.ContainsFunc(t.stack[:i+1], func(nd node) bool { return nd.key == k }) {
					t.odd = true
				}
				return
			}
		}
	}
	if (el == elSvg || el == elMath) && !t.stray {
		t.spend(len(t.stack))
		t.stray = slices.ContainsFunc(t.stack, func(nd node) bool { return nd.ns != nsHTML })
	}
	for range 12 {
		if t.endIn(k, el, t.mode) != again {
			return
		}
	}
}

// endIn processes an end tag by the rules of a mode.
func (t *tree) endIn(k key, el elem, mode insertionMode) step {
	switch mode {
	case beforeHTML, beforeHead, afterHead:
		if el == elTemplate && mode == afterHead {
			return t.endTemplate()
		}
		if el != elHead && el != elBody && el != elHTML && el != elBr || el == elHead && mode == afterHead {
			return ignored
		}
		switch mode {
		case beforeHTML:
			t.push(keyHTML, elHTML, nsHTML)
			t.setMode(beforeHead)
		case beforeHead:
			t.push(keyHead, elHead, nsHTML)
			t.setMode(inHead)
		default:
			t.impliedBody()
		}
		return again
	case inHead:
		switch el {
		case elHead:
			t.stack = t.stack[:1]
			t.setMode(afterHead)
			return done
		case elBody, elHTML, elBr:
			t.stack = t.stack[:1]
			t.setMode(afterHead)
			return again
		case elTemplate:
			return t.endTemplate()
		}
		if top := t.top(); top.key == k && top.el != elHead { // script and noscript as text
			t.pop()
		}
		return ignored
	case inHeadNoscript:
		switch el {
		case elNoscript:
			t.pop()
			t.setMode(inHead)
			return done
		case elBr:
			t.pop()
			t.setMode(inHead)
			return again
		}
		return ignored
	case inTable:
		return t.endTable(k, el)
	case inCaption:
		switch el {
		case elCaption:
			t.closeCaption()
			return done
		case elTable:
			if !t.closeCaption() {
				return ignored
			}
			return again
		case elBody, elCol, elColgroup, elHTML, elTbody, elTd, elTfoot, elTh, elThead, elTr:
			return ignored
		}
	case inColumnGroup:
		switch {
		case el == elTemplate:
			return t.endTemplate()
		case el == elCol || t.top().el != elColgroup:
			return ignored
		}
		t.pop()
		t.setMode(inTable)
		if el == elColgroup {
			return done
		}
		return again
	case inTableBody:
		switch {
		case isTableBody(el):
			if t.find(el, tableScope) < 0 {
				return ignored
			}
			t.closeTableBody()
			return done
		case el == elTable:
			if !t.closeTableBody() {
				return ignored
			}
			return again
		case el == elBody || el == elHTML || isTablePart(el):
			return ignored
		}
		return t.endTable(k, el)
	case inRow:
		switch {
		case el == elTr:
			t.closeRow()
			return done
		case el == elTable || isTableBody(el) && t.find(el, tableScope) >= 0:
			if !t.closeRow() {
				return ignored
			}
			return again
		case el == elBody || el == elHTML || isTablePart(el):
			return ignored
		}
		return t.endTable(k, el)
	case inCell:
		switch {
		case isCell(el):
			i := t.find(el, tableScope)
			if i < 0 {
				return ignored
			}
			t.popTo(i)
			t.clearToMarker()
			t.setMode(inRow)
			return done
		case el == elBody || el == elCaption || el == elCol || el == elColgroup || el == elHTML:
			return ignored
		case el == elTable || el == elTr || isTableBody(el):
			if t.find(el, tableScope) < 0 || !t.closeCell() {
				return ignored
			}
			return again
		}
	case inTemplate:
		if el == elTemplate {
			return t.endTemplate()
		}
		return ignored
	case inFrameset:
		if el == elFrameset && len(t.stack) > 1 {
			t.pop()
			if t.top().el != elFrameset {
				t.setMode(afterFrameset)
			}
		}
		if top := t.top(); top.el == elNoframes && el == elNoframes {
			t.pop()
		}
		return done
	case afterFrameset:
		return ignored
	}
	return t.endBody(k, el)
}

func (t *tree) endTable(k key, el elem) step {
	switch el {
	case elTable:
		t.closeTable()
		return done
	case elBody, elCaption, elCol, elColgroup, elHTML, elTbody, elTd, elTfoot, elTh, elThead, elTr:
		return ignored
	}
	return t.endBody(k, el)
}

func (t *tree) endTemplate() step {
	for i := len(t.stack) - 1; i >= 0 && t.hasTemplate(); i-- {
		if nd := &t.stack[i]; nd.ns == nsHTML && nd.el == elTemplate {
			t.popTo(i)
			t.clearToMarker()
			t.templates = t.templates[:len(t.templates)-1]
			t.resetMode()
			return done
		}
	}
	return ignored
}

// endBody is "in body".
func (t *tree) endBody(k key, el elem) step {
	switch el {
	case elTemplate:
		return t.endTemplate()
	case elBody, elHTML:
		return done // "after body" takes tags like "in body"
	case elP:
		t.closeP()
		return done
	case elBr:
		t.rebuild()
		t.framesetOK = false
		return done
	case elForm:
		if t.hasTemplate() {
			t.closeUpTo(elForm, inScope)
			return done
		}
		if t.form {
			t.form = false
			if i := t.find(elForm, inScope); i > 0 {
				t.impliedEnd(elUnknown)
				if i < len(t.stack) {
					t.remove(i)
				}
			}
		}
		return done
	case elLi:
		t.closeUpTo(elLi, inListScope)
		return done
	case elDd, elDt:
		t.closeUpTo(el, inScope)
		return done
	case elH1, elH2, elH3, elH4, elH5, elH6:
		best := -1
		for h := elH1; h <= elH6; h++ {
			best = max(best, t.find(h, inScope))
		}
		if best > 0 {
			t.popTo(best)
		}
		return done
	case elApplet, elMarquee, elObject:
		if t.closeUpTo(el, inScope) {
			t.clearToMarker()
		}
		return done
	case elButton, elListing, elPre, elSelect:
		t.closeUpTo(el, inScope)
		return done
	}
	if actions[el] == actBlock {
		t.closeUpTo(el, inScope)
		return done
	}
	if props[el]&formatting != 0 && !t.adopt(k) {
		return done
	}
	i := len(t.stack) - 1
	for ; i > 0; i-- {
		nd := &t.stack[i]
		if nd.ns != nsHTML {
			if isPoint(nd.el, nd.ns) {
				break
			}
			continue
		}
		if nd.key == k {
			t.popTo(i)
			return done
		}
		if props[nd.el]&special != 0 {
			break
		}
	}
	t.spend(len(t.stack) - i)
	return ignored
}
