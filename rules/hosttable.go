package rules

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"strings"
)

// hostTable maps domains to values; a look-up finds every entry that is the host or a parent of
// it. The hash runs over the host from right to left, so that the whole look-up reads each byte
// once, multiplies once per eight of a label and probes once per label.
type hostTable[V any] struct {
	hashes []uint32 // of the slots, 0 if free: most look-ups see nothing else
	slots  []hostSlot[V]
	mask   uint32
	n      int
	top    bool     // there are domains of one label
	long   []string // domains that have no room in a slot
}

// hostSlot has a domain with its value, so that a look-up touches nothing else: it fills half a line of the
// processor's cache.
type hostSlot[V any] struct {
	val    V
	n      uint8 // bytes of the domain; longDomain if they stand in the table's long at the index that domain has
	domain [shortDomain]byte
}

const (
	shortDomain = 23
	longDomain  = 0xff
)

// is reports whether a slot that is not free has that domain.
func (t *hostTable[V]) is(s *hostSlot[V], domain string) bool {
	if n := len(domain); n <= shortDomain {
		return int(s.n) == n && string(s.domain[:n]) == domain
	}
	return s.n == longDomain && t.long[binary.LittleEndian.Uint32(s.domain[:])] == domain
}

func (t *hostTable[V]) name(s *hostSlot[V]) string {
	if s.n == longDomain {
		return t.long[binary.LittleEndian.Uint32(s.domain[:])]
	}
	return string(s.domain[:s.n])
}

func (t *hostTable[V]) put(s *hostSlot[V], domain string, v V) {
	s.val, s.n = v, uint8(copy(s.domain[:], domain))
	if len(domain) > shortDomain {
		s.n = longDomain
		binary.LittleEndian.PutUint32(s.domain[:], uint32(len(t.long)))
		t.long = append(t.long, domain)
	}
}

// all yields the domains with their values, in no order that means anything.
func (t *hostTable[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for i, h := range t.hashes {
			if s := &t.slots[i]; h != 0 && !yield(t.name(s), s.val) {
				return
			}
		}
	}
}

// 32-bit FNV-1a, which cookie names are hashed with.
const (
	hashSeed  = 2166136261
	hashPrime = 16777619
)

// fold takes up to eight bytes of a label into the hash.
func fold(h, bytes uint64) uint64 {
	h = (h ^ bytes) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

func hashHost(host string) uint32 {
	h, i := foldLabel(0, host, len(host))
	for i > 0 {
		h, i = foldLabel(h, host, i-1)
	}
	return slotHash(h)
}

// foldLabel takes the label that ends at end into the hash, and returns where it begins.
func foldLabel(h uint64, host string, end int) (uint64, int) {
	i := end
	for i >= 8 {
		w := load8(host[i-8:])
		x := w ^ '.'*ones
		if dots := ^((x&^highs + 0x7f*ones) | x) & highs; dots != 0 {
			n := bits.LeadingZeros64(dots) / 8 // bytes behind the last
			return fold(h, w>>(64-8*n)), i - n
		}
		h, i = fold(h, w), i-8
		if i == 0 || host[i-1] == '.' {
			return h, i
		}
	}
	w := uint64(0)
	for i > 0 && host[i-1] != '.' {
		i--
		w = w<<8 | uint64(host[i])
	}
	return fold(h, w), i
}

// slotHash is what a table keeps of a hash; it is not 0.
func slotHash(h uint64) uint32 { return uint32(h) | 1<<31 }

// set stores v for host and reports whether host was free.
func (t *hostTable[V]) set(host string, v V) bool {
	if t.n*2 >= len(t.slots) {
		t.grow()
	}
	h := hashHost(host)
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		s := &t.slots[i]
		if t.hashes[i] == 0 {
			t.hashes[i] = h
			t.put(s, host, v)
			t.top = t.top || strings.IndexByte(host, '.') < 0
			t.n++
			return true
		}
		if t.hashes[i] == h && t.is(s, host) {
			s.val = v
			return false
		}
	}
}

func (t *hostTable[V]) grow() {
	old := *t
	size := max(16, len(old.slots)*2)
	*t = hostTable[V]{hashes: make([]uint32, size), slots: make([]hostSlot[V], size), mask: uint32(size - 1)}
	for domain, v := range old.all() {
		t.set(domain, v)
	}
}

// mix spreads the hash's high bits, which FNV leaves better mixed than the low ones.
func mix(h uint32) uint32 { return h ^ h>>15 }

// probe returns the value of the domain host[from:] with hash h.
func (t *hostTable[V]) probe(h uint32, domain string) (v V, ok bool) {
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		switch t.hashes[i] {
		case 0:
			return v, false
		case h:
			if s := &t.slots[i]; t.is(s, domain) {
				return s.val, true
			}
		}
	}
}

// get returns the value of exactly that domain.
func (t *hostTable[V]) get(domain string) (v V, ok bool) {
	if t.n == 0 {
		return v, false
	}
	return t.probe(hashHost(domain), domain)
}

// maxMatches bounds the entries that one host can hit; a host has at most 127 labels, and no
// catalogue nests domains deeper than a few.
const maxMatches = 8

// match fills hits with the values of the entries that are host or a parent of it, the shortest
// first, and returns how many there are.
func (t *hostTable[V]) match(host string, hits *[maxMatches]V) int {
	if t.n == 0 {
		return 0
	}
	n, i := 0, len(host)
	for h, top := uint64(0), !t.top; ; i-- {
		h, i = foldLabel(h, host, i)
		if !top {
			if v, ok := t.probe(slotHash(h), host[i:]); ok {
				if n == maxMatches {
					copy(hits[:], hits[1:])
					n--
				}
				hits[n] = v
				n++
			}
		}
		if top = false; i == 0 {
			return n
		}
	}
}

// longest returns the value of the longest entry that is host or a parent of it.
func (t *hostTable[V]) longest(host string) (v V, ok bool) {
	var hits [maxMatches]V
	n := t.match(host, &hits)
	if n == 0 {
		return v, false
	}
	return hits[n-1], true
}
