package rewriter

import "math"

// run reads the window as far as it goes. At the end of the document it decides on foreign text that
// no end tag has closed.
func (r *Rewriter) run() {
	for r.n == 1 && r.step(&r.readings[0]) || r.n > 1 && r.lockstep() {
	}
	if r.ended {
		for i := range r.n {
			for r.readings[i].inner.on {
				r.leaveInner(&r.readings[i])
			}
		}
	}
}

// lockstep lets the reading that is furthest behind go on, so that readings meet again at the
// first token boundary that they share. It returns false when all of them need more input.
func (r *Rewriter) lockstep() bool {
	if r.join() {
		return true
	}
	var tried [maxReadings]bool
	for left := r.n; left > 0; left-- {
		behind := -1
		for i := range r.n {
			if tried[i] {
				continue
			}
			rd := &r.readings[i]
			if behind < 0 || rd.pos < r.readings[behind].pos || rd.pos == r.readings[behind].pos && rd.st == stUnsure {
				behind = i
			}
		}
		rd, n, next := &r.readings[behind], r.n, math.MaxInt
		for i := range n {
			if i != behind {
				next = min(next, r.readings[i].pos)
			}
		}
		went := false
		for r.step(rd) {
			if rd.pos >= next || r.n != n {
				return true
			}
			went = true
		}
		if rd.st == stUnsure {
			return false // for it may end the document for all
		}
		if went {
			tried, left = [maxReadings]bool{}, n
		}
		tried[behind] = true
	}
	return false
}

// fork splits rd: a new reading takes over some of its roles from where it stands.
func (r *Rewriter) fork(rd *reader, some roles) *reader {
	c := &r.readings[r.n]
	r.n++
	c.copyFrom(rd)
	c.roles = some
	rd.roles &^= some
	rd.tree.spend(len(rd.tree.stack) + 8*len(rd.outer))
	switch {
	case c.roles&trees == 0:
		c.dropTree()
		c.tree.stray = rd.tree.stray
	case rd.roles&trees == 0:
		c.tree, rd.tree = rd.tree, c.tree
		rd.dropTree()
		rd.tree.stray = c.tree.stray
	default:
		c.tree.copyFrom(&rd.tree)
	}
	return c
}

// dropTree is for a reading that stands for preload scanners alone: they need no tree.
func (rd *reader) dropTree() {
	t := &rd.tree
	t.stack, t.mode, t.lost = t.stack[:0], inBody, false
	rd.early = false
}

// join makes one of two readings that will see the same from here on.
func (r *Rewriter) join() bool {
	for i := range r.n {
		for j := i + 1; j < r.n; j++ {
			if r.joinable(&r.readings[i], &r.readings[j]) {
				a, b := &r.readings[i], &r.readings[j]
				r.peak = max(r.peak, a.tree.spent, b.tree.spent)
				if a.roles&trees == 0 {
					b.tree.spend(len(b.tree.stack))
					a.tree, b.tree = b.tree, a.tree
					a.early = b.early
				}
				a.roles |= b.roles
				a.tree.stray = a.tree.stray || b.tree.stray
				r.n--
				if j != r.n {
					r.readings[j], r.readings[r.n] = r.readings[r.n], r.readings[j]
				}
				return true
			}
		}
	}
	return false
}

func (r *Rewriter) joinable(a, b *reader) bool {
	if a.pos != b.pos || a.st != stData || b.st != stData || a.inner.on || b.inner.on {
		return false
	}
	if a.roles&trees == 0 || b.roles&trees == 0 {
		return true
	}
	if a.tree.equals(&b.tree) {
		return true
	}
	// A noscript in the head whose markup is no metadata ends the head where scripting is off. All
	// that this changes for what follows is whether a frameset counts.
	on, off := a, b
	if a.roles&scripting == 0 {
		on, off = b, a
	}
	if on.roles&scripting == 0 || off.roles&scripting != 0 {
		return false
	}
	head := on.tree.mode >= beforeHead && on.tree.mode <= afterHead && on.tree.mode != inHeadNoscript && !on.tree.hasTemplate() && len(on.tree.stack) <= 2 &&
		off.tree.mode == inBody && len(off.tree.stack) == 2 && len(off.tree.formatting) == 0
	if !head {
		ok := on.tree.framesetOK
		on.tree.framesetOK = off.tree.framesetOK
		same := on.tree.equals(&off.tree)
		on.tree.framesetOK = ok
		if !same {
			return false
		}
	}
	if on.tree.framesetOK && !off.tree.framesetOK || head {
		r.offBody = true
	}
	if on == b {
		a.tree, b.tree = b.tree, a.tree
		a.early, b.early = b.early, a.early
	}
	return true
}

// splitFrameset gives the readings with and without scripting their own way where a frameset
// begins that only the former can see.
func (r *Rewriter) splitFrameset(rd *reader) *reader {
	if rd.tree.lost || !r.offBody || rd.roles&treeOff == 0 || rd.roles&treeOn == 0 || !rd.tree.framesetOK {
		return nil
	}
	c := r.fork(rd, rd.roles&(treeOff|scanOff))
	c.tree.toBody()
	c.tree.framesetOK = false
	return c
}
