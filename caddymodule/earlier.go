package caddymodule

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// Most visitors of a page get the same bytes, or bytes that differ in a token or two. A page that is asked
// for again is remembered with how it was rewritten, so that the next one of the same address and choice, or
// of the same path if its query is new, is compared with it instead of being read. What is compared comes from
// the upstream for each visitor anew.
const (
	earlierBytes = 64 << 20 // for all sites of the process
	earlierFor   = 15 * time.Minute
	followTries  = 2       // pages in a row that were little like the earlier one, before it is left
	renewMax     = 1 << 10 // pages after which it is taken down anew at the latest
)

// earlierPage is what is remembered for one address and choice.
type earlierPage struct {
	*rewriter.Earlier              // nil if it cannot be kept
	unlike            atomic.Int32 // pages since the last that was like it
	renew             int32        // so many of them, and it is taken down anew
}

// earlierPages are the pages that are remembered. The cache is never closed.
var earlierPages = sync.OnceValue(func() *ristretto.Cache[uint64, *earlierPage] {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *earlierPage]{NumCounters: 1 << 14, MaxCost: earlierBytes, BufferItems: 64, IgnoreInternalCost: true})
	if err != nil {
		return nil // the numbers above are valid: it does not happen
	}
	return c
})

// askedOnce has the lower bits of the keys of addresses that were asked for once, so that those nobody asks
// for again cost nothing.
var askedOnce [1 << 12]atomic.Uint32

var earlierSeed = maphash.MakeSeed()

// pageKey names the pages that may be alike.
type pageKey struct {
	policy                    *rules.Policy
	scheme, host, path, query string
	contentType               string
	watched                   bool // scripts that stay are told of
}

// recall lets the rewriter follow an earlier page, or take this one down.
// The document must be gathered: what is followed does not go out before its end.
func (rw *responseWriter) recall() {
	g := rw.policy.Grants()
	if rw.personal || rw.r.Method != http.MethodGet || len(g.Plus)+len(g.Minus) > 0 || len(rw.r.Header["Authorization"]) > 0 {
		return
	}
	if earlierPages() == nil {
		return
	}
	key := pageKey{rw.policy, rw.page.Scheme(), rw.page.Host(), rw.url.EscapedPath(), rw.url.RawQuery, rw.gathered.header.Get("Content-Type"), rw.saw != nil}
	if rw.recallAs(key) || key.query == "" {
		return
	}
	// Links from campaigns, mails and searches come with a query of their own each, to the same page.
	key.query = ""
	rw.recallAs(key)
}

// recallAs is recall by one key. It reports whether the page is known by that.
func (rw *responseWriter) recallAs(k pageKey) bool {
	key := maphash.Comparable(earlierSeed, k)
	rw.earlierKey = key
	p, ok := earlierPages().Get(key)
	switch {
	case !ok:
		once := &askedOnce[key%uint64(len(askedOnce))]
		if tag := uint32(key >> 32); once.Swap(tag) != tag {
			return false
		}
		rw.renew = 2 * followTries
	case p.unlike.Load() >= followTries:
		if p.unlike.Add(1) < p.renew {
			return true
		}
		rw.renew = min(2*p.renew, renewMax)
	case p.Earlier != nil && rw.rewriter.Follow(p.Earlier):
		rw.earlier = p
		return true
	default: // it is of a policy that is gone
		rw.renew = 2 * followTries
	}
	rw.rewriter.Keep()
	return true
}

// remember takes down what came of it, once the document is complete.
func (rw *responseWriter) remember() {
	if p := rw.earlier; p != nil {
		same := rw.rewriter.Followed()
		rw.rec.bytesSame = uint64(same)
		if 2*same >= rw.length {
			p.unlike.Store(0)
		} else {
			p.unlike.Add(1)
		}
		return
	}
	if rw.renew == 0 {
		return
	}
	p, size := &earlierPage{Earlier: rw.rewriter.Kept(), renew: rw.renew}, 128
	if p.Earlier == nil {
		p.unlike.Store(followTries) // it cannot be kept, which takes as long each time
	} else {
		size += p.Size()
	}
	earlierPages().SetWithTTL(rw.earlierKey, p, int64(size), earlierFor)
}
