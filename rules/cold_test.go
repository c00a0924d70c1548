package rules

import (
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkDecideCold decides on hosts of the catalogue that the processor's nearest caches have not seen for a while,
// as on a page that comes between the requests of other visitors.
func BenchmarkDecideCold(b *testing.B) {
	p, page := testSite(b, SiteConfig{}).For(Grants{}), NewPage("https", "www.shop.example")
	rnd := rand.New(rand.NewPCG(1, 1))
	var urls []string
	for _, s := range p.site.cat.services {
		for _, h := range s.Hosts {
			urls = append(urls, "https://www."+h.Name+"/a/b/c.js")
		}
	}
	between := make([]byte, 8<<20)
	var spent time.Duration
	n := 0
	for b.Loop() {
		for i := 0; i < len(between); i += 64 {
			between[i]++
		}
		start := time.Now()
		for range 16 {
			p.Decide(Resource{Kind: KindScript, URL: urls[rnd.IntN(len(urls))], Page: page})
		}
		spent += time.Since(start)
		n += 16
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "ns/decision")
}
