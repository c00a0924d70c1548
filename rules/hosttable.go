package rules

import "strings"

// hostTable maps domains to values; a look-up finds every entry that is the host or a parent of
// it. The hash runs over the host from right to left, so that the whole look-up reads each byte
// once, multiplies once per eight of a label and probes once per label.
type hostTable[V any] struct {
	hashes []uint32 // of the slots, 0 if free: most look-ups see nothing else
	slots  []hostSlot[V]
	mask   uint32
	n      int
	top    bool // there are domains of one label
}

type hostSlot[V any] struct {
	key string // "" if free
	val V
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
	var h, bytes uint64
	for i, n := len(host)-1, 0; i >= 0; i-- {
		c := host[i]
		if c == '.' || n == 8 {
			h, bytes, n = fold(h, bytes), 0, 0
		}
		if c != '.' {
			bytes = bytes<<8 | uint64(c)
			n++
		}
	}
	return slotHash(fold(h, bytes))
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
			t.hashes[i], *s = h, hostSlot[V]{host, v}
			t.top = t.top || strings.IndexByte(host, '.') < 0
			t.n++
			return true
		}
		if t.hashes[i] == h && s.key == host {
			s.val = v
			return false
		}
	}
}

func (t *hostTable[V]) grow() {
	old := t.slots
	size := max(16, len(old)*2)
	t.hashes, t.slots, t.mask, t.n = make([]uint32, size), make([]hostSlot[V], size), uint32(size-1), 0
	for _, s := range old {
		if s.key != "" {
			t.set(s.key, s.val)
		}
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
			if s := &t.slots[i]; s.key == domain {
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
	var h, bytes uint64
	n, held, top := 0, 0, true
	for i := len(host) - 1; i >= 0; i-- {
		c := host[i]
		if c != '.' {
			if held == 8 {
				h, bytes, held = fold(h, bytes), 0, 0
			}
			bytes = bytes<<8 | uint64(c)
			held++
			if i > 0 {
				continue
			}
			i = -1
		}
		h, bytes, held = fold(h, bytes), 0, 0
		if top && !t.top {
			top = false
			continue
		}
		if v, ok := t.probe(slotHash(h), host[i+1:]); ok {
			if n == maxMatches {
				copy(hits[:], hits[1:])
				n--
			}
			hits[n] = v
			n++
		}
	}
	return n
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
