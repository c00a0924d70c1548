package caddymodule

import (
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// limiter bounds how often anonymous visitors may post: a bucket of tokens for the process, and
// one per network (/24, /48). Networks share a fixed number of buckets by a keyed hash, so memory
// is bounded, nobody can aim at the bucket of another, and no address is stored.
type limiter struct {
	what    string
	now     func() time.Time
	seed    maphash.Seed
	perAll  rate
	perNet  rate
	mu      sync.Mutex
	all     bucket
	buckets [4096]bucket
}

// rate is tokens per second, and how many may be saved.
type rate struct{ perSecond, burst float64 }

type bucket struct {
	used float64 // tokens gone at the time of at
	at   time.Time
}

// What a process takes. They are far above what visitors do: a choice is one post, and a page's
// reports come in a few.
var (
	choiceLimit = newLimiter("choice", rate{500, 2000}, rate{5, 100})
	reportLimit = newLimiter("report", rate{200, 1000}, rate{5, 100})
)

func newLimiter(what string, perAll, perNet rate) *limiter {
	return &limiter{what: what, now: time.Now, seed: maphash.MakeSeed(), perAll: perAll, perNet: perNet}
}

// wait returns how long b lacks a token: 0 if it has one.
func (b *bucket) wait(now time.Time, r rate) time.Duration {
	if b.used > 0 {
		b.used = max(0, b.used-now.Sub(b.at).Seconds()*r.perSecond)
	}
	b.at = now
	if over := b.used + 1 - r.burst; over > 0 {
		return time.Duration(over / r.perSecond * float64(time.Second))
	}
	return 0
}

// take takes a token of the process and of the network, or returns how long to wait for one.
func (l *limiter) take(network netip.Prefix) time.Duration {
	slot := maphash.Comparable(l.seed, network) % uint64(len(l.buckets))
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	net := &l.buckets[slot]
	wait := max(l.all.wait(now, l.perAll), net.wait(now, l.perNet))
	if wait == 0 {
		l.all.used++
		net.used++
	}
	return wait
}

// limited answers 429 if the visitor's network, or everybody together, posts too often.
func (h *Handler) limited(w http.ResponseWriter, r *http.Request, l *limiter) bool {
	wait := l.take(network(r))
	if wait == 0 {
		return false
	}
	h.count(limitEvent, l.what)
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	http.Error(w, "too many posts from your network; try again in a moment", http.StatusTooManyRequests)
	return true
}

// network is the client's address masked to its network; of a client behind a trusted proxy the
// address that the proxy names.
func network(r *http.Request) netip.Prefix {
	var addr netip.Addr
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" {
		addr, _ = netip.ParseAddr(ip)
	} else if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr = ap.Addr()
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	p, _ := addr.Prefix(bits) // the zero prefix for what is no address
	return p
}
