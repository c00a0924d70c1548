package rules

import "testing"

func TestKnows(t *testing.T) {
	page := NewPage("https", "www.shop.example.co.uk")
	p := testSite(t, SiteConfig{
		Allow: []string{"cdn.partner.example"}, FirstParty: []string{"shop-static.example"}, Block: map[string][]string{"statistics": {"stats.example"}},
	}).For(Grants{})
	for host, want := range map[string]bool{
		"www.googletagmanager.com": true, "x.y.static.hotjar.com": true, "img.example.co.uk": true, "a.shop-static.example": true,
		"cdn.partner.example": true, "a.stats.example": true, "unknown.example": false, "partner.example": false, "other.co.uk": false,
	} {
		if got := p.Knows(host, page); got != want {
			t.Errorf("Knows(%q) = %v, want %v", host, got, want)
		}
		d := p.Decide(Resource{Kind: KindScript, URL: "https://" + host + "/x.js", Page: page})
		if !want && d.Rule != "unclassified" {
			t.Errorf("%s: %v, though nothing is known about it", host, d)
		}
	}
}
