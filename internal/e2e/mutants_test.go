package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// joints are put into mutants: what changes how a browser reads what follows.
var joints = []string{
	"<", ">", `"`, "'", "/", "=", "&", "<!--", "-->", "--!>", "<!-->", "<![CDATA[", "]]>", "<?x ", "</", "</x ", "<svg>", "</svg>", "<math>", "<mi>", "</math>",
	"<annotation-xml encoding=text/html>", "<foreignObject>", "<desc>", "<title>", "</title>", "<style>", "</style>", "<script>", "</script>", "<script type=text/plain>",
	"<noscript>", "</noscript>", "<template>", "</template>", "<textarea>", "</textarea>", "<xmp>", "</xmp>", "<iframe>", "</iframe>", "<noembed>", "<noframes>",
	"<select>", "</select>", "<option>", "<table>", "<tr>", "<td>", "</table>", "<caption>", "<colgroup>", "<frameset>", "<frame>", "<p>", "</p>", "<b>", "</b>", "<a>", "</a>",
	"<nobr>", "<button>", "<form>", "</form>", "<head>", "</head>", "<body>", "</body>", "<html>", "<plaintext>", "<base href=/x/>", "<div>", "</div>", "<picture>", "<video>",
	"<object>", "<applet>", "<marquee>", "<svg><style>", "<svg><title>", "<svg><script>", "<math><mtext>", "<svg><desc><title>", "<!doctype html>", "<ruby><rt>", "<dialog>",
	"<template shadowrootmode=open>", "<link rel=stylesheet ", "<img ", "<image ", "\x00", "\n", "\f", "&quot;", "&#x3c;", "srcset=", "src=", "style=", "<menuitem>", "<keygen>", "<hr>", "<br/>", "</br>", "</p >",
}

// xmlJoints are the same for documents that are read by the rules of XML.
var xmlJoints = []string{
	"<", ">", `"`, "'", "/>", "=", "[", "]", "]>", "\n", "&amp;", "&e;", "&#60;", "%p;", "<!--", "-->", "<!-- ' -->", "<![CDATA[", "]]>", "<?x ", "?>", "<?p ' ?>", "<!DOCTYPE html [", "<!DOCTYPE html>",
	`<?xml-stylesheet href="http://tracker.test/ID/p.css"?>`, `<svg xmlns="http://www.w3.org/2000/svg">`, "</svg>", "<style>", "</style>", "<script>", "</script>", "<g>", "</g>", "<p>", "</p>",
	"<!ENTITY e 'tracker.test'>", "<!ENTITY f '&e;'>", `<!ENTITY % p '<!ENTITY g "x">'>`, "<!ATTLIST img src CDATA 'http://tracker.test/ID/a.png'>", "<!ELEMENT a ANY>", "<!NOTATION n SYSTEM 'x'>",
	"<link rel='stylesheet' href='http://tracker.test/ID/l.css'/>", "<image href='http://tracker.test/ID/i.png' width='9' height='9'/>", `<h:img xmlns:h="http://www.w3.org/1999/xhtml" src="http://tracker.test/ID/h.png"/>`,
}

// xmlContents are put into documents of XHTML, and of SVG where they begin with its elements.
var xmlContents = []string{
	`<img src="T.png"/>`, `<script src="T.js"></script>`, `<link rel="stylesheet" href="T.css"/>`, `<style>@import "T.css";</style>`, `<p style="background:url(T.png)">x</p>`, `<iframe src="T.html"/>`,
	`<svg xmlns="http://www.w3.org/2000/svg" xmlns:q="http://www.w3.org/1999/xlink"><image q:href="T.png" width="9" height="9"/></svg>`, `<base href="http://tracker.test/ID/"/><img src="x.png"/>`,
	`<iframe srcdoc="&lt;img src='T.png'>"/>`, `<video poster="T.png"/>`, `<img src="//&e;/ID/x.png"/>`, `<image href="T.png" width="9" height="9"/>`, `<script href="T.js"/>`, `<use href="T.svg#a"/>`,
	`<style>@import "http:<g/>//tracker.test/ID/x.css";</style>`,
}

// xmlMutants returns n damaged documents of XML.
func xmlMutants(n int, seed uint64) (out []*vector) {
	rnd := rand.New(rand.NewPCG(seed, 8))
	document := func() (contentType, doc string) {
		i := rnd.IntN(len(xmlContents))
		contentType, doc = "application/xhtml+xml", `<html xmlns="http://www.w3.org/1999/xhtml">`+xmlContents[i]+"</html>"
		if i >= 11 {
			contentType, doc = "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg">`+xmlContents[i]+"</svg>"
		}
		if rnd.IntN(2) == 0 {
			doc = `<!DOCTYPE a [<!ENTITY e "tracker.test"><!ENTITY s "x"><?p q?>]>` + doc
		}
		return contentType, doc
	}
	for i := range n {
		v := &vector{ID: fmt.Sprintf("xml%d-%d", seed, i), Scope: "static"}
		contentType, a := document()
		_, b := document()
		v.ContentType = &contentType
		v.Body = []byte(strings.NewReplacer("T.", "http://tracker.test/"+v.ID+"/x.", "ID", v.ID).Replace(mutate(rnd, a, b, xmlJoints)))
		out = append(out, v)
	}
	return out
}

// mutate returns a cross of two documents, changed in a few places.
func mutate(rnd *rand.Rand, a, b string, joints []string) string {
	at := func(s string) int { // mostly where a tag begins or ends
		i := rnd.IntN(len(s) + 1)
		if rnd.IntN(4) > 0 {
			if j := strings.IndexAny(s[i:], "<>"); j >= 0 {
				i += j + rnd.IntN(2)
			}
		}
		return min(i, len(s))
	}
	doc := a
	switch rnd.IntN(4) {
	case 0:
		doc = a[:at(a)] + b[at(b):]
	case 1:
		i := at(a)
		doc = a[:i] + b + a[i:]
	}
	for range rnd.IntN(6) {
		i := at(doc)
		switch rnd.IntN(6) {
		case 0:
			j := min(len(doc), i+rnd.IntN(12))
			doc = doc[:i] + doc[j:]
		case 1:
			j := at(doc)
			doc = doc[:i] + doc[min(i, j):max(i, j)] + doc[i:]
		default:
			doc = doc[:i] + joints[rnd.IntN(len(joints))] + doc[i:]
		}
	}
	return doc
}

// mutants returns n documents made of vectors that are static, each with a name of its own in its URLs.
func mutants(vs []*vector, n int, seed uint64) (out []*vector) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	var from, with []*vector
	for _, v := range vs {
		if framed(v) && v.Observed.Contacted() {
			from = append(from, v)
		}
		if framed(v) {
			with = append(with, v)
		}
	}
	for i := range n {
		id := fmt.Sprintf("mutant%d-%d", seed, i)
		pick := func(vs []*vector) string {
			v := vs[rnd.IntN(len(vs))]
			return strings.ReplaceAll(string(v.Body), v.ID, id)
		}
		v := *from[0]
		v.ID, v.Body, v.Wait = id, []byte(mutate(rnd, pick(from), pick(with), joints)), 0
		out = append(out, &v)
	}
	return out
}

// Documents between the recorded ones make no browser contact a blocked host either. CONSENT_MUTANTS is how
// many are tried, and after a comma from which seed.
func TestMutatedVectors(t *testing.T) {
	n, seed := countAndSeed("CONSENT_MUTANTS", 240)
	vs, xs := mutants(loadVectors(t), n, seed), xmlMutants(n/4, seed)
	all := append(vs[:len(vs):len(vs)], xs...)
	c := vectorSite(t, all)
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), all)
		noContacts(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: all, {}: vs[:len(vs)/4]}))
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		noContacts(t, f.replay(t, visit{scripting: true}, append(vs[:len(vs)/2:len(vs)/2], xs...)))
	})
}

// countAndSeed returns how many random cases are tried, n unless the variable says another number, and the seed that may
// stand behind that and a comma.
func countAndSeed(variable string, n int) (int, uint64) {
	v := os.Getenv(variable)
	if v == "" {
		return n, 1
	}
	count, from, _ := strings.Cut(v, ",")
	n, _ = strconv.Atoi(count)
	seed, _ := strconv.ParseUint(from, 10, 64)
	return n, seed
}

// noContacts fails for visits that have contacted a blocked host.
func noContacts(t *testing.T, visits []*visit) {
	t.Helper()
	for _, x := range visits {
		if x.err != nil {
			t.Errorf("%s: %v", x.name(), x.err)
		}
		if len(x.contacts) > 0 {
			t.Errorf("%s: %s\n\t%.3000q", x.name(), strings.Join(x.contacts, " "), x.vs[0].Body)
		}
	}
}
