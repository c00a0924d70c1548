package caddymodule

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/caddy-consent/caddy-consent/rules"
)

// pageCache keeps the pages of a site's public hosts. Host headers are the client's to choose, so
// it is bounded. It may be asked while and after it is closed, since a reload does not wait for
// every request.
type pageCache struct {
	mu    sync.RWMutex // between use and close
	cache *ristretto.Cache[string, *namedPage]
	last  atomic.Pointer[namedPage] // most sites have one host
}

// namedPage is a page with what requests call it.
type namedPage struct {
	scheme, host string
	page         *rules.Page
}

// maxPages bounds the hosts of a site that are remembered.
const maxPages = 1 << 10

func newPageCache() (*pageCache, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, *namedPage]{NumCounters: 10 * maxPages, MaxCost: maxPages, BufferItems: 64, IgnoreInternalCost: true})
	if err != nil {
		return nil, fmt.Errorf("making page cache: %w", err)
	}
	return &pageCache{cache: c}, nil
}

// get returns the page of that scheme and host.
func (c *pageCache) get(scheme, host string) *rules.Page {
	if p := c.last.Load(); p != nil && p.host == host && p.scheme == scheme {
		return p.page
	}
	key := scheme + "://" + host
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.cache == nil {
		return rules.NewPage(scheme, host)
	}
	p, ok := c.cache.Get(key)
	if !ok {
		p = &namedPage{scheme, strings.Clone(host), rules.NewPage(scheme, host)}
		c.cache.Set(key, p, 1)
	}
	c.last.Store(p)
	return p.page
}

// close ends the cache's goroutines.
func (c *pageCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cache != nil {
		c.cache.Close()
		c.cache = nil
	}
}
