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

// mutate returns a cross of two documents, changed in a few places.
func mutate(rnd *rand.Rand, a, b string) string {
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
		v.ID, v.Body, v.Wait = id, []byte(mutate(rnd, pick(from), pick(with))), 0
		out = append(out, &v)
	}
	return out
}

// Documents between the recorded ones make no browser contact a blocked host either. CONSENT_MUTANTS is how
// many are tried, and after a comma from which seed.
func TestMutatedVectors(t *testing.T) {
	n, seed := 240, uint64(1)
	if v := os.Getenv("CONSENT_MUTANTS"); v != "" {
		count, from, _ := strings.Cut(v, ",")
		n, _ = strconv.Atoi(count)
		seed, _ = strconv.ParseUint(from, 10, 64)
	}
	vs := mutants(loadVectors(t), n, seed)
	c := vectorSite(t, vs)
	check := func(t *testing.T, visits []*visit) {
		for _, x := range visits {
			if x.err != nil {
				t.Logf("%s: %v", x.name(), x.err)
			}
			if len(x.contacts) > 0 {
				t.Errorf("%s: %s\n\t%q", x.name(), strings.Join(x.contacts, " "), x.vs[0].Body)
			}
		}
	}
	t.Run("Chromium", func(t *testing.T) {
		p := startPool(t, c.addr("8080"), vs)
		check(t, p.replayAll(t, map[*visit][]*vector{{scripting: true}: vs, {}: vs[:len(vs)/4]}))
	})
	t.Run("Firefox", func(t *testing.T) {
		f := startFirefox(t, c.addr("8080"))
		check(t, f.replay(t, visit{scripting: true}, vs[:len(vs)/2]))
	})
}
