package rules

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-consent/caddy-consent/internal/shared"
)

// fetching are the attributes that name what an element fetches, and as what.
var fetching = map[string]struct {
	attr string
	kind Kind
}{
	"img": {"src", KindImage}, "image": {"href", KindImage}, "script": {"src", KindScript}, "iframe": {"src", KindFrame},
	"frame": {"src", KindFrame}, "video": {"src", KindMedia}, "object": {"data", KindEmbed}, "input": {"src", KindImage},
	"link": {"href", KindStyle}, "meta": {"content", KindNavigation}, "body": {"background", KindImage},
}

// TestBrowsersAndDecideAgreeOnURLs holds Decide against what Chromium and Firefox did with the URL
// of each recorded page whose subject is a URL, a base or an encoding.
func TestBrowsersAndDecideAgreeOnURLs(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(shared.Dir(t), "vectors", "dev.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	p := testSite(t, SiteConfig{Unclassified: "block"}).For(Grants{})
	seen := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var v struct {
			ID, Group, HTML string
			B64             string  `json:"html_b64"`
			ContentType     *string `json:"content_type"`
			MustBlock       bool    `json:"must_block"`
			Identical       bool
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if v.Group != "url" && v.Group != "base" && v.Group != "charset" {
			continue
		}
		doc := v.HTML
		if v.B64 != "" {
			b, err := base64.StdEncoding.DecodeString(v.B64)
			if err != nil {
				t.Fatal(err)
			}
			doc = string(b)
		}
		page := NewPage("http", "site.test").At("/" + v.ID)
		contentType := "text/html; charset=utf-8"
		if v.ContentType != nil {
			contentType = strings.ToLower(*v.ContentType)
		}
		if _, label, ok := strings.Cut(contentType, "charset="); ok {
			if strings.HasPrefix(label, "iso-2022") {
				continue // no page in it is read as bytes
			}
			page = page.WithCharset(label)
		}
		refs, bases := references(doc)
		for _, b := range bases {
			if q := page.WithBase(b); q != page {
				page = q
				break
			}
		}
		if len(refs) != 1 || v.Group == "base" && len(bases) == 0 {
			continue // a list, a style sheet or markup that is the subject
		}
		d := p.Decide(Resource{Kind: refs[0].kind, URL: refs[0].url, Page: page})
		switch {
		case v.MustBlock && d.Action != Block:
			t.Errorf("%s: %q: kept, and a browser contacts a third party", v.ID, refs[0].url)
		case v.Identical && d.Action == Block && v.Group == "url":
			t.Errorf("%s: %q: blocked by %s, and no browser contacts a third party", v.ID, refs[0].url, d.Rule)
		case v.MustBlock, v.Identical && d.Action == Keep:
			seen[v.Group]++
		}
	}
	t.Log(seen)
	if seen["url"] < 75 || seen["base"] < 15 || seen["charset"] < 20 {
		t.Errorf("only %v vectors were compared", seen)
	}
}

type resourceURL struct {
	kind Kind
	url  string
}

// references returns what the start tags of a document fetch, and its bases.
func references(doc string) (refs []resourceURL, bases []string) {
	z := html.NewTokenizer(strings.NewReader(doc))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return refs, bases
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			for _, a := range tok.Attr {
				if tok.Data == "base" && a.Key == "href" {
					bases = append(bases, a.Val)
				}
				if f := fetching[tok.Data]; f.attr == a.Key {
					url := a.Val
					if tok.Data == "meta" {
						_, url, _ = strings.Cut(url, "url=")
					}
					refs = append(refs, resourceURL{f.kind, url})
				}
			}
		}
	}
}
