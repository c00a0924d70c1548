package caddymodule

import (
	"strconv"
	"sync"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Requests that outlive their configuration, and more hosts than are remembered, change no answer.
func TestPagesWhileTheConfigurationEnds(t *testing.T) {
	c, err := newPageCache()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 3 * maxPages {
				host := "shop" + strconv.Itoa(n*i) + ".example"
				if p := c.get("https", host); p.Host() != host || p.Scheme() != "https" {
					t.Errorf("%s: page of %s", host, p.Host())
				}
				if n == 0 && i == maxPages {
					c.close()
				}
			}
		})
	}
	wg.Wait()
	c.close()
}

func BenchmarkPage(b *testing.B) {
	c, err := newPageCache()
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	b.Run("the last", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.get("https", "www.shop.example")
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.get("https", [...]string{"shop.example", "www.shop.example"}[i&1])
		}
	})
	b.Run("made", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rules.NewPage("https", "www.shop.example")
		}
	})
}
