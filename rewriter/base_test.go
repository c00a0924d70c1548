package rewriter

import (
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// The first base element is the one that counts, whatever it says.
func TestTheFirstBaseCounts(t *testing.T) {
	cat, err := rules.DefaultCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	site, err := rules.NewSite(cat, rules.SiteConfig{Unclassified: "block", Allow: []string{"cdn.test"},
		Collectors: map[string][]string{"marketing": {"/shop/collect"}}})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Policy: site.For(rules.Grants{Allowed: rules.SetOf(rules.Necessary)}),
		Page: rules.NewPage("https", "site.test").At("/shop/cart"), ContentType: "text/html; charset=utf-8", MaxTag: 512}
	for _, tt := range []struct {
		name, bases string
		own, lost   bool // whether the collector is reached by its relative address, and whether a base is put out of use
	}{
		{"none", ``, true, false},
		{"another host", `<base href=//cdn.test/>`, false, false},
		{"another folder", `<base href=/a/>`, false, false},
		{"one that changes nothing before another host", `<base href="/shop/cart"><base href=//cdn.test/>`, true, false},
		{"an empty one before another host", `<base href><base href=//cdn.test/>`, true, false},
		{"one of white space", `<base href=" "><base href=//cdn.test/>`, true, false},
		{"without href", `<base target=_top><base href=//cdn.test/>`, false, false},
		{"another host before one that changes nothing", `<base href=//cdn.test/><base href="/shop/cart">`, false, false},
		{"blocked before another host", `<base href=//tracker.test/><base href=//cdn.test/>`, false, true},
		{"of no use before another host", `<base href="//["><base href=//cdn.test/>`, false, true},
		{"in a template", `<template><base href=//cdn.test/></template>`, true, true},
		{"in a noscript", `<noscript><base href=//cdn.test/></noscript>`, true, true},
		{"in a template, behind the first", `<base href=/shop/><template><base href=//cdn.test/></template>`, true, false},
		{"of a scheme that is none before another host", `<base href="data:,x"><base href="javascript:x"><base href=//cdn.test/>`, false, true},
		{"in a shadow tree", `<div><template shadowrootmode=open><base href=//cdn.test/></template></div>`, true, true},
		{"in front of a table, behind one in it", `<table><tr><td><base href=/shop/></td></tr><base href=//cdn.test/></table>`, true, true},
		{"in SVG", `<svg><base href=//cdn.test/></svg>`, true, true}, // for Chromium's preload scanner
		{"in HTML in SVG", `<svg><desc><base href=//cdn.test/></desc></svg>`, false, false},
		{"too long to hold", `<base href=//cdn.test/ title="` + strings.Repeat("x", 1000) + `">`, true, true},
		{"in a document within", `<base href=/a/><iframe srcdoc="<base href=/shop/><img src=collect>"></iframe>`, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := tt.bases + `<img src=collect>`
			for _, chunks := range [][]string{{doc}, strings.Split(doc, "")} {
				out := rewrite(t, o, chunks...)
				if own := !strings.HasSuffix(out, `<img src=collect>`); own != tt.own {
					t.Errorf("the collector is blocked: %v, expected %v: %s", own, tt.own, out)
				}
				if lost := !strings.HasPrefix(out, tt.bases); lost != tt.lost {
					t.Errorf("a base is put out of use: %v, expected %v: %s", lost, tt.lost, out)
				}
			}
		})
	}
}
