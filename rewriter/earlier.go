package rewriter

import (
	"bytes"
	"slices"
	"strings"
	"weak"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Earlier is how a document was rewritten, for later ones with the same options: where their bytes are the
// same and the reader's state is, what comes out is the same too. It does not change and is safe for
// concurrent use.
type Earlier struct {
	o         earlierOptions
	in        int        // length of the document
	out       []byte     // all that was written for it
	edits     []inserted // what of that was inserted
	junctions []junction
	reports   []report
	saw       []string
	size      int
}

// earlierOptions are the options that a document's rewriting depends on. The policy may go when nothing
// else has a use for it.
type earlierOptions struct {
	policy            weak.Pointer[rules.Policy]
	page              *rules.Page
	contentType, head string
	dialect           *Dialect
	maxTag, maxScript int
	reports, saws     bool
	tagsOnly          bool
}

// inserted is a part of an output that is not of the document, in bytes.
type inserted struct{ at, n int }

type report struct {
	res rules.Resource
	d   rules.Decision
}

// junction is a place in a document from which it can be read on: between two tokens, where no reading but one
// goes on and nothing is held.
type junction struct {
	in, out             int // offsets in the document and in the output
	edits, reports, saw int // what came before
	tree                tree
	roles               roles
	page                *rules.Page
	charset             string
	early, offBody, svg bool
	based               bool
	probe               []byte // that the document goes on with
}

const (
	junctionEvery = 4 << 10 // bytes between junctions, at least; there may be one after a quarter of that
	probeLen      = 32
	lookahead     = 4       // what stands behind a < has been looked at before the < is passed
	maxEarlier    = 1 << 20 // bytes of what is remembered of a document
	maxCompared   = 512     // open and formatting elements at a junction
)

// Size is about how many bytes e takes.
func (e *Earlier) Size() int { return e.size }

func optionsOf(o *Options) earlierOptions {
	return earlierOptions{weak.Make(o.Policy), o.Page, o.ContentType, o.Head, o.Dialect, o.MaxTag, o.MaxScript,
		o.Report != nil, o.Saw != nil, o.tagsOnly}
}

// fits reports whether a document with these options is rewritten as that one was.
func (e *Earlier) fits(o *Options) bool {
	now := optionsOf(o)
	if o.XML || o.CSS || !now.page.Same(e.o.page) {
		return false
	}
	now.page = e.o.page
	return now == e.o
}

// Keep asks, before the first Write, that it is taken down how the document is rewritten, which costs time.
func (r *Rewriter) Keep() {
	if !r.o.XML && !r.o.CSS && r.follow.e == nil {
		r.taken.begin(&r.o)
	}
}

// Kept returns how the document was rewritten, once it is closed, if Keep asked for it. It is nil for a
// document of which that cannot be used: not HTML, in an encoding that is transcoded, too large or too deep,
// flushed at its beginning, or one that followed another.
func (r *Rewriter) Kept() *Earlier { return r.kept }

// Follow says, before the first Write, that the document may be like an earlier one. What is the same in both
// is not read again, and nothing of it is written before the documents part or this one ends. It reports
// whether that document's options allow it.
func (r *Rewriter) Follow(e *Earlier) bool {
	ok := r.taken.e == nil && e.fits(&r.o)
	if ok {
		r.follow = follower{e: e, on: true, from: &beginning}
	}
	return ok
}

// Followed returns how many bytes of the document were not read since they were those of the earlier one.
func (r *Rewriter) Followed() int { return r.follow.bytes }

// Part writes what is certain of what was followed, and reads the document from here on.
func (r *Rewriter) Part() error {
	if r.follow.on && r.err == nil {
		r.part()
		r.take(nil, false)
		r.settle(0)
	}
	r.follow.e = nil
	return r.err
}

// StableWriter is a destination that may go on using what it is given: parts of an Earlier do not change.
type StableWriter interface {
	WriteStable(p []byte) (int, error)
}

// recorder takes down how a document is rewritten.
type recorder struct {
	e *Earlier // nil if nothing is taken down
}

// begin begins to take down a document, whose reports pass through it from here on.
func (rec *recorder) begin(o *Options) {
	e := &Earlier{o: optionsOf(o)}
	if o.every == 0 {
		o.every = junctionEvery
	}
	rec.e = e
	if next := o.Report; next != nil {
		o.Report = func(res rules.Resource, d rules.Decision) {
			if next(res, d); rec.e != e {
				return
			}
			res.URL, d.Host = strings.Clone(res.URL), strings.Clone(d.Host)
			e.reports = append(e.reports, report{res, d})
			e.size += len(res.URL) + len(d.Host) + 256
		}
	}
	if next := o.Saw; next != nil {
		o.Saw = func(url string) {
			if next(url); rec.e != e {
				return
			}
			e.saw = append(e.saw, strings.Clone(url))
			e.size += len(url) + 16
		}
	}
}

// emit takes down what is written of the window up to hold.
func (rec *recorder) emit(r *Rewriter, hold int) {
	e, inserts := rec.e, false
	r.parts(hold, func(p []byte) { // every second of which is inserted
		if inserts {
			e.edits = append(e.edits, inserted{len(e.out), len(p)})
		}
		e.out = append(e.out, p...)
		inserts = !inserts
	})
}

// settled puts a junction where the reader stands, if there may be one.
func (rec *recorder) settled(r *Rewriter) {
	e := rec.e
	if r.coder != nil || r.veil != nil && r.veil.halves != nil || r.readings[0].tree.lost || e.size+len(e.out) > maxEarlier {
		rec.e = nil
		return
	}
	last := 0
	if n := len(e.junctions); n > 0 {
		last = e.junctions[n-1].in
	}
	// A charset in the first bytes changes what all of them mean.
	if int(r.offset)-last < r.o.every || int(r.offset) < prescan && HeaderCharset(r.o.ContentType) == "" || !r.between() {
		return
	}
	rd := &r.readings[0]
	if len(rd.tree.stack)+len(rd.tree.formatting) > maxCompared {
		return
	}
	m := junction{in: int(r.offset), out: len(e.out), edits: len(e.edits), reports: len(e.reports), saw: len(e.saw),
		roles: rd.roles, early: rd.early, offBody: r.offBody, svg: r.svg, based: r.based, page: r.page, charset: r.charset}
	m.tree.copyFrom(&rd.tree)
	e.junctions = append(e.junctions, m)
	e.size += 256 + 24*len(m.tree.stack) + 16*len(m.tree.formatting)
}

// end returns what was taken down of a document that has ended, nil if it cannot be used.
func (rec *recorder) end(r *Rewriter) *Earlier {
	e := rec.e
	rec.e = nil
	if e == nil || r.err != nil || r.coder != nil || r.sealed != notSealed || r.peak > spentFree/2 {
		return nil
	}
	for i := range r.n {
		if t := &r.readings[i].tree; t.lost || t.spent > spentFree/2 {
			return nil
		}
	}
	e.in = int(r.offset)
	e.out = bytes.Clone(e.out) // or its size would not be what is held
	for i := range e.junctions {
		m := &e.junctions[i]
		m.probe = e.input(nil, m, min(m.in+probeLen, e.in))
	}
	e.size += len(e.out) + 16*len(e.edits)
	return e
}

// end is the place behind the document.
func (e *Earlier) end() *junction {
	return &junction{in: e.in, out: len(e.out), edits: len(e.edits), reports: len(e.reports), saw: len(e.saw)}
}

// between reports whether the window begins at a place where a junction may be: between two tokens, where a start tag
// that is not whole may follow, of which nothing has come yet. An end tag may be one in raw text alone.
func (r *Rewriter) between() bool {
	rd := &r.readings[0]
	if !(rd.st == stData && rd.pos == 0 && rd.start < 0 || (rd.st == stTagName || rd.st == stTag) && rd.start == 0 && !rd.endTag) {
		return false
	}
	return r.n == 1 && !rd.inner.on && !rd.tree.lost && r.begun && r.headDone && r.coder == nil && r.err == nil && len(r.edits) == 0 && len(r.first) == 0
}

// input appends the document's bytes from a junction to an offset.
func (e *Earlier) input(b []byte, m *junction, to int) []byte {
	at, edits := m.out, e.edits[m.edits:]
	for n := to - m.in; n > 0; {
		end := len(e.out)
		if len(edits) > 0 {
			end = edits[0].at
		}
		k := min(n, end-at)
		b = append(b, e.out[at:at+k]...)
		if n, at = n-k, at+k; n > 0 {
			at += edits[0].n
			edits = edits[1:]
		}
	}
	return b
}

// follower is a document that goes on like an earlier one, or may do so again.
type follower struct {
	e     *Earlier
	on    bool
	in    int       // how far they are the same, in the earlier one
	out   int       // the same in its output, up to which it is compared
	edits int       // insertions up to there
	from  *junction // from where on nothing has been written or reported; only its numbers count
	delta int       // offsets in this one less those in the earlier
	spent int64     // the same of what the tree has cost
	next  int       // the next junction at which they may meet again
	tries int       // to meet again, without success
	bytes int       // of this document that were followed
}

// beginning is where documents begin.
var beginning junction

const (
	maxTries = 4
	farthest = 16 << 10 // how far ahead a junction is looked for that is not where it should be
)

// compare goes on as far as p is the same, and returns how far that is.
func (f *follower) compare(p []byte) (n int) {
	e := f.e
	for n < len(p) {
		for f.edits < len(e.edits) && e.edits[f.edits].at == f.out {
			f.out += e.edits[f.edits].n
			f.edits++
		}
		end := len(e.out)
		if f.edits < len(e.edits) {
			end = e.edits[f.edits].at
		}
		old := e.out[f.out:end]
		if k := min(len(old), len(p)-n); k < len(old) {
			old = old[:k]
		}
		k := same(old, p[n:])
		n, f.in, f.out = n+k, f.in+k, f.out+k
		if k < len(old) || k == 0 {
			break
		}
	}
	return n
}

// same returns how many of the first bytes of b are those of a, which is not longer.
func same(a, b []byte) int {
	if bytes.Equal(a, b[:len(a)]) {
		return len(a)
	}
	n := 0
	for step := 1 << 10; step > 0; step >>= 3 {
		for n+step <= len(a) && bytes.Equal(a[n:n+step], b[n:n+step]) {
			n += step
		}
	}
	return n
}

// passTo writes and reports what the earlier document had up to a place.
func (r *Rewriter) passTo(m *junction) {
	f, e := &r.follow, r.follow.e
	if out := e.out[f.from.out:m.out]; len(out) > 0 && r.err == nil {
		if w, ok := r.dst.(StableWriter); ok {
			_, r.err = w.WriteStable(out)
		} else {
			_, r.err = r.dst.Write(out)
		}
	}
	r.edited = r.edited || m.edits > f.from.edits
	if r.o.Report != nil {
		for _, rep := range e.reports[f.from.reports:m.reports] {
			r.o.Report(rep.res, rep.d)
		}
	}
	if r.o.Saw != nil {
		for _, url := range e.saw[f.from.saw:m.saw] {
			r.o.Saw(url)
		}
	}
	f.bytes += m.in - f.from.in
	f.from = m
}

// part ends following: what comes now, and what came since the last junction, is read.
func (r *Rewriter) part() {
	f, e := &r.follow, r.follow.e
	f.on = false
	for f.next < len(e.junctions) && e.junctions[f.next].in+lookahead <= f.in {
		f.next++
	}
	m := f.from
	if n := f.next - 1; n >= 0 && e.junctions[n].in >= m.in {
		m = &e.junctions[n]
		r.passTo(m)
		rd := &r.readings[0]
		rd.tokenizer = tokenizer{start: -1, roles: m.roles, early: m.early}
		rd.tree.copyFrom(&m.tree)
		rd.tree.spent += f.spent
		r.n, r.begun, r.headDone, r.offBody, r.svg = 1, true, true, m.offBody, m.svg
		r.page, r.based, r.charset = m.page, m.based, m.charset
		r.setVeil(m.charset)
		r.seen = r.seen[:0]
		r.offset = int64(m.in + f.delta)
	}
	r.buf = e.input(r.buf[:0], m, f.in)
}

// meet returns where in p, or at the end of p, a junction may stand at which the documents go on alike, and
// which one; else len(p) and -1.
func (r *Rewriter) meet(p []byte) (at, next int) {
	f, e := &r.follow, r.follow.e
	if f.tries == maxTries || f.next == len(e.junctions) {
		f.e = nil
		return len(p), -1
	}
	first := int(r.offset) + len(r.buf) - f.delta
	for i := f.next; i < len(e.junctions); i++ {
		m := &e.junctions[i]
		at := m.in - first
		if at+len(m.probe) > len(p) {
			break
		}
		if at >= 0 && bytes.HasPrefix(p[at:], m.probe) {
			return at, i
		}
	}
	f.tries++
	for i := f.next; i < min(f.next+2, len(e.junctions)); i++ {
		if at := bytes.Index(p[:min(len(p), farthest)], e.junctions[i].probe); at >= 0 {
			return at, i
		}
	}
	return len(p), -1
}

// rejoin goes on with following from a junction, if this document is read on there as the earlier one was.
func (r *Rewriter) rejoin(next int) {
	f, m, rd := &r.follow, &r.follow.e.junctions[next], &r.readings[0]
	f.next = next + 1
	if len(r.buf) > 0 || rd.start >= 0 || !r.between() || rd.roles != m.roles || rd.early != m.early || r.offBody != m.offBody || r.svg != m.svg || r.based != m.based || r.charset != m.charset ||
		!r.page.Same(m.page) || rd.tree.spent > spentFree/2 || !rd.tree.same(&m.tree) {
		return
	}
	f.on, f.tries = true, 0
	f.in, f.out, f.edits, f.from = m.in, m.out, m.edits, m
	f.delta, f.spent = int(r.offset)-m.in, rd.tree.spent-m.tree.spent
}

// same reports whether two trees are read on alike: they are equal but for the numbers of elements.
func (t *tree) same(o *tree) bool {
	if !t.equals(o) || t.slow != o.slow || t.stray != o.stray || t.reconstruct != o.reconstruct || t.quirks != o.quirks {
		return false
	}
	for i := range t.stack {
		a, b := t.stack[i], o.stack[i]
		if a.id = b.id; a != b {
			return false
		}
	}
	for i := range t.formatting {
		a, b := t.formatting[i].id, o.formatting[i].id
		if (a == 0) != (b == 0) || t.place(a) != o.place(b) {
			return false
		}
	}
	return true
}

// place returns the index of an open element, -1 if it is not open.
func (t *tree) place(id uint32) int {
	return slices.IndexFunc(t.stack, func(nd node) bool { return nd.id == id })
}
