package consent

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Source is a consent manager that the site's configuration names: its record grants.
type Source struct {
	Manager string                    // id of a Manager
	Map     map[string]rules.Category // its names of categories and services, or TCF purposes by number
	Implied bool                      // what a rule of the region grants counts as granted
}

// Options say whose records a Reader takes for an answer.
type Options struct {
	Own  string   // name of the own cookie
	Read []Source // these grant; the own cookie counts while they hold no answer
	Auto bool     // any recognised record grants

	// Bridge says that the site's pages report what their consent manager says (BridgeCookie).
	Bridge bool

	// Cache keeps what records say; nil keeps nothing.
	Cache *Cache
}

// Reader reads the visitors' answers of one site. It is safe for concurrent use.
type Reader struct {
	o       Options
	sources managerSet
	byIndex map[int]*Source
	seen    atomic.Uint64 // a managerSet
}

// NewReader returns the reader for o. Its error names an unknown manager and the nearest known one.
func NewReader(o Options) (*Reader, error) {
	r := &Reader{o: o, byIndex: make(map[int]*Source)}
	for i := range o.Read {
		m, err := ManagerByID(o.Read[i].Manager)
		if err != nil {
			return nil, err
		}
		for k, other := range managers {
			if other == m {
				r.sources.add(1 << k)
				r.byIndex[k] = &o.Read[i]
			}
		}
	}
	return r, nil
}

// BridgeCookie is the cookie in which the page's own consent manager's state is kept where it stores
// none that an edge can read. Its value has the form of the own cookie's.
const BridgeCookie = "consent_bridge"

// Read returns the state that the request's Cookie header lines and Sec-GPC say.
//
// The own cookie wins, unless the configuration names managers whose records grant. A record of
// another manager grants where its script was seen on the site (Saw), since anybody can set a cookie
// that looks like one, or with Auto; of several the named
// ones go before the WP Consent API, and that before TCF strings. Deny wins where records of equal rank
// contradict each other. Opt-outs of the United States and Sec-GPC only take marketing away.
func (r *Reader) Read(cookies []string, gpc bool) State {
	st := Read(cookies, r.o.Own, gpc)
	if st.Status != Undecided && r.sources.empty() {
		return st
	}
	found := recognise(cookies, nil)
	bridge := State{}
	if r.o.Bridge && (r.sources.empty() || st.Status == Undecided) {
		bridge = Read(cookies, BridgeCookie, gpc)
	}
	if found.empty() && bridge.Status == Undecided {
		return st
	}
	j := jars.Get().(*jar)
	defer func() {
		clear(j.pairs[:j.n])
		j.n = 0
		jars.Put(j)
	}()
	recognise(cookies, j.put)
	if a, source := r.foreign(j, found); a.verdict == decided {
		st = State{Source: source, Grants: rules.Grants{Allowed: a.allowed | rules.SetOf(rules.Necessary), GPC: gpc}}
	} else if st.Status == Undecided && bridge.Status != Undecided {
		st = bridge
		st.Source = "bridge"
	}
	if st.Status == Undecided && st.Source == "none" {
		return st
	}
	if optedOut(j) {
		st.Grants.Allowed &^= rules.SetOf(rules.Marketing)
	}
	st.finish()
	return st
}

var jars = sync.Pool{New: func() any { return new(jar) }}

// Watches reports whether the site's pages are to be watched for scripts (Saw): the request brings a
// record that would grant if its manager's script were known to stand there.
func (r *Reader) Watches(cookies []string) bool {
	if !r.sources.empty() || r.o.Auto {
		return false
	}
	return recognise(cookies, nil)&^managerSet(r.seen.Load()) != 0
}

// Saw notes the URL of a script that stands on a page of the site. Its query says nothing: sites echo
// there what a visitor typed.
func (r *Reader) Saw(url string) {
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	low := strings.ToLower(url)
	for i, m := range managers {
		for _, part := range m.Scripts {
			if strings.Contains(low, part) {
				r.seen.Or(1 << i)
			}
		}
	}
}

// foreign returns the answer of other managers' records, and which manager's it is.
func (r *Reader) foreign(j *jar, found managerSet) (best answer, source string) {
	var rank class
	for i, m := range managers {
		if !found.has(i) {
			continue
		}
		src := r.byIndex[i]
		switch {
		case src != nil:
		case !r.sources.empty() && !r.o.Auto:
			continue // the configuration names who grants
		case m.class == optOut:
			continue
		}
		a := r.decode(m, j, src)
		if a.verdict != decided || a.implied && a.allowed != 0 && (src == nil || !src.Implied) {
			continue
		}
		if src == nil && !r.o.Auto && !managerSet(r.seen.Load()).has(i) {
			a.allowed = 0 // it may only restrict
		}
		switch {
		case best.verdict != decided || m.class < rank:
			best, source, rank = a, m.ID, m.class
		case m.class == rank:
			best.allowed &= a.allowed
			source += "+" + m.ID
		}
	}
	return best, source
}

func (r *Reader) decode(m *Manager, j *jar, src *Source) answer {
	var mp *mapping
	if src != nil && len(src.Map) > 0 {
		mp = &mapping{own: src.Map}
	}
	if r.o.Cache == nil {
		return m.decode(j, mp)
	}
	return r.o.Cache.decode(m, j, mp, src)
}

// Cache remembers what records say: a TCF string or a JSON object is dear to read and comes with
// every request of a visitor. It is bounded, and keyed by a hash with a secret of its own.
type Cache struct {
	seed  maphash.Seed
	mu    sync.RWMutex // between use and Close
	cache *ristretto.Cache[uint64, answer]
}

// maxAnswers bounds the records that are remembered, of all sites of a process.
const maxAnswers = 1 << 14

// NewCache returns an empty cache. Close ends its goroutines.
func NewCache() (*Cache, error) {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, answer]{NumCounters: 10 * maxAnswers, MaxCost: maxAnswers, BufferItems: 64, IgnoreInternalCost: true})
	if err != nil {
		return nil, err
	}
	return &Cache{seed: maphash.MakeSeed(), cache: c}, nil
}

// Close ends the cache's goroutines. Readers that outlive it go on without.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cache != nil {
		c.cache.Close()
		c.cache = nil
	}
}

func (c *Cache) decode(m *Manager, j *jar, mp *mapping, src *Source) answer {
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(m.ID)
	if src != nil {
		for _, k := range sortedKeys(src.Map) {
			_, _ = h.WriteString("\x00" + k + "\x00" + src.Map[k].String())
		}
	}
	for _, p := range j.pairs[:j.n] {
		if !m.reads(p.Name) {
			continue
		}
		_ = h.WriteByte(0)
		_, _ = h.WriteString(p.Raw)
	}
	key := h.Sum64()
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.cache == nil {
		return m.decode(j, mp)
	}
	if a, ok := c.cache.Get(key); ok {
		return a
	}
	a := m.decode(j, mp)
	c.cache.Set(key, a, 1)
	return a
}

// reads reports whether the manager reads a cookie of that name.
func (m *Manager) reads(name string) bool {
	for _, c := range m.Cookies {
		if c == name {
			return true
		}
		if n := len(c) - 1; c[n] == '*' && strings.HasPrefix(name, c[:n]) {
			return true
		}
	}
	return false
}

func sortedKeys(m map[string]rules.Category) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
