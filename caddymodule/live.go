package caddymodule

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-consent/caddy-consent/rules"
)

// catalogues holds the compiled catalogues of sites with files of their own, by the content of
// the files, so that all sites and configurations share one, and the last that lets go frees it.
var catalogues = caddy.NewUsagePool()

// catalogueKey is the content hash of a site's catalogue files; "" stands for the embedded
// catalogue alone, which stays for the life of the process.
type catalogueKey string

type sharedCatalogue struct{ *rules.Catalogue }

// Destruct implements caddy.Destructor. Responses that still run keep what they use.
func (sharedCatalogue) Destruct() error { return nil }

// takeCatalogue reads the files and returns their catalogue, compiled if nobody has it yet. Each
// success is matched by one release.
func takeCatalogue(files []string) (*rules.Catalogue, catalogueKey, error) {
	if len(files) == 0 {
		cat, err := rules.DefaultCatalogue()
		return cat, "", err
	}
	own, err := rules.ReadFiles(files...)
	if err != nil {
		return nil, "", err
	}
	key := catalogueKey(rules.ContentHash(own))
	v, _, err := catalogues.LoadOrNew(key, func() (caddy.Destructor, error) {
		cat, err := rules.CompileCatalogue(own)
		return sharedCatalogue{cat}, err
	})
	if err != nil {
		return nil, "", err
	}
	return v.(sharedCatalogue).Catalogue, key, nil
}

func (key catalogueKey) release() {
	if key != "" {
		_, _ = catalogues.Delete(key)
	}
}

// ruleset is a site compiled against one state of its catalogue files.
type ruleset struct {
	site *rules.Site
	key  catalogueKey

	// Of the visitors without exceptions, found once: the hosts of the second layer, and what variant returns.
	csp      [rules.All + 1]atomic.Pointer[hostSources]
	variants [rules.All + 1]atomic.Pointer[string]
}

// newRuleset compiles a site against the files as they are now.
func newRuleset(files []string, cfg rules.SiteConfig) (*ruleset, error) {
	cat, key, err := takeCatalogue(files)
	if err != nil {
		return nil, err
	}
	site, err := rules.NewSite(cat, cfg)
	if err != nil {
		key.release()
		return nil, fmt.Errorf("reading consent options: %w", err)
	}
	return &ruleset{site: site, key: key}, nil
}

// live is the ruleset in force. A response takes its policy once and keeps it.
type live struct {
	current atomic.Pointer[ruleset]

	mu     sync.Mutex // between swap and close
	closed bool
}

// swap puts a ruleset into force and lets go of the one before.
func (l *live) swap(rs *ruleset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		rs.key.release()
		return
	}
	if old := l.current.Swap(rs); old != nil {
		old.key.release()
	}
}

// close lets go of the catalogue. The rules stay readable for responses that still run.
func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if rs := l.current.Load(); rs != nil {
		rs.key.release()
	}
}

// site returns the rules in force.
func (h *Handler) site() *rules.Site { return h.live.current.Load().site }
