package rewriter

import "sync/atomic"

// Budget bounds the bytes that several Rewriters, and who takes their output, hold together. Where it
// is used up, a Rewriter lets go of what it holds as if a tag or script were over its own limit. It is
// safe for concurrent use.
type Budget struct {
	limit int64
	held  atomic.Int64
}

// NewBudget returns a Budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Held returns the bytes held now.
func (b *Budget) Held() int64 { return b.held.Load() }

// Book books n more bytes, n < 0 gives bytes back. It reports whether they are within the limit;
// if not, they are not booked.
func (b *Budget) Book(n int) bool {
	if now := b.held.Add(int64(n)); n > 0 && now > b.limit {
		b.held.Add(int64(-n))
		return false
	}
	return true
}
