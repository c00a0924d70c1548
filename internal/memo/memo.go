// Package memo remembers what short strings were made to, since pages name the same few again and again.
package memo

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// Table remembers values. It is bounded, the zero value is ready, and it is safe for concurrent use. Of the two
// places that a value may have, the first is that of the one that came last.
type Table[V any] [256]atomic.Pointer[V]

// Get returns a value with that hash that is the one asked for, nil if it is not remembered.
func (t *Table[V]) Get(hash uint64, is func(*V) bool) *V {
	for i := range uint64(2) {
		if v := t[hash%uint64(len(t))^i].Load(); v != nil && is(v) {
			return v
		}
	}
	return nil
}

// Put remembers a value, which must not change any more.
func (t *Table[V]) Put(hash uint64, v *V) {
	first := &t[hash%uint64(len(t))]
	if old := first.Load(); old != nil {
		t[hash%uint64(len(t))^1].Store(old)
	}
	first.Store(v)
}

var seed = maphash.MakeSeed()

// Hash returns the hash of a string.
func Hash(s string) uint64 { return maphash.String(seed, s) }

// Longest is the longest string, in bytes, of which it is worth to remember something.
const Longest = 512

// Strings remembers results of functions from string to string.
type Strings struct{ Table[made] }

type made struct{ kind, from, to string }

// Of returns f(s). Functions that share a table differ in kind. s may alias a buffer.
func (t *Strings) Of(kind, s string, f func(string) string) string {
	if len(s) > Longest {
		return f(strings.Clone(s)) // or every s would be on the heap
	}
	h := Hash(s)
	if m := t.Get(h, func(m *made) bool { return m.from == s && m.kind == kind }); m != nil {
		return m.to
	}
	from := strings.Clone(s) // not s itself, for the same reason
	m := &made{kind, from, f(from)}
	t.Put(h, m)
	return m.to
}
