// Package rewriter makes the third-party resources of an HTML stream inert.
//
// A [Rewriter] is a push tokenizer: bytes that are written come out of it at once, less at most
// one incomplete tag or one inline script that is still being read for a loader. Whether a
// resource is blocked is asked of [rules.Policy.Decide] alone. A blocked resource keeps its
// element and all of its bytes; insertions rename the attribute that a browser would fetch from
// (src becomes data-consent-src), give a script the type text/plain, and put a data: URL in
// front of a CSS reference. Nothing is ever removed or reordered, so with no blocked resource
// the output equals the input, byte for byte.
//
// # Security considerations
//
// Browsers read a page twice: a preload scanner that knows no namespaces, and the tree builder.
// Where the two can differ (inside noscript, svg and math) this package reads the bytes both
// ways and edits where either sees a fetch. What it cannot read with certainty within its
// byte limits is blocked and reported with [rules.Decision.Ambiguous].
package rewriter

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Default limits of the bytes that a Rewriter holds back.
const (
	DefaultMaxTag    = 64 << 10
	DefaultMaxScript = 4 << 20

	squeezedMax = 1 << 10
	completing  = 256 // bytes that are likely to complete a token
	maxPooled   = 1 << 20
)

// Options configures a Rewriter. Policy and Page must be set.
type Options struct {
	// Policy decides what is blocked.
	Policy *rules.Policy

	// Page is the document's origin and path.
	Page *rules.Page

	// ContentType is the response's Content-Type, from which the encoding is read if it names one.
	ContentType string

	// XML says that browsers read the document by the rules of XML: application/xhtml+xml, application/xml, text/xml,
	// image/svg+xml and others, of which some read one and some another; and XSLT style sheets.
	XML bool

	// CSS says that the document is a style sheet.
	CSS bool

	// Framed says that a page may show the document in a frame. Chromium reads one that names no encoding in that of
	// the page around it, which may be UTF-16 or ISO-2022-JP; browsers do so with style sheets, too.
	Framed bool

	// Lends, if not nil, is called at each frame in a document in such an encoding, before it is written.
	Lends func()

	// Report is called for every blocked resource and for every kept one that no rule knows.
	// The strings of both values are valid only during the call.
	Report func(rules.Resource, rules.Decision)

	// Saw, if not nil, is called with the URL of each script that stays as it is. The string is valid
	// only during the call.
	Saw func(url string)

	// Head is markup that is put into the document's head, or before its first element that is read if
	// it has no head tag; of an XML document into none.
	Head string

	// Dialect, if not nil, is the consent manager's that shall revive the placeholders. What it cannot
	// revive, and documents within documents, get our own.
	Dialect *Dialect

	// MaxTag is the longest start tag, in bytes, that is read as a whole (DefaultMaxTag if 0).
	// A longer one streams on; what could fetch in its unread part is renamed.
	MaxTag int

	// MaxScript is the longest inline script, in bytes, that is searched for loaders
	// (DefaultMaxScript if 0). A longer one is blocked as ambiguous.
	MaxScript int

	// Budget bounds the bytes that all Rewriters of a process hold. Nil means no common bound.
	Budget *Budget

	// tagsOnly leaves the text of scripts and style sheets unread, to measure the rest alone.
	tagsOnly bool

	// These are the constants of that name, but for tests.
	every, completing, maxOpen int
}

// Rewriter rewrites one document. It starts no goroutine and is not safe for concurrent use.
type Rewriter struct {
	dst     io.Writer
	o       Options
	page    *rules.Page // with the base in force
	network *rules.Page // a page whose base has a host, for hosts in scripts

	begun   bool // the encoding is settled
	charset string
	coder   *coder
	veil    *veil
	veils   veil    // the veil, if there is one
	untold  bool    // browsers may take any encoding, and something may be blocked
	prev    [3]byte // before the window, the last one first
	last    lastPage
	bare    lastPage // without its base
	first   []byte   // of a document that was flushed before they named its encoding

	in    []byte // the window: held bytes followed by the newest chunk
	buf   []byte // backing of held bytes
	again []byte // what is looked at once more, through a coder or veil
	ended bool   // no more input will come

	readings [maxReadings]reader // the first n are in use
	n        int
	offBody  bool  // without scripting the body has begun earlier
	sealed   int64 // from where in the document on nothing counts, notSealed if all does
	based    bool  // a base element has come; browsers believe the first
	svg      bool  // an svg has begun, which a preload scanner may take for open still

	edits   []edit
	arena   []byte // text of edits
	out     []byte // output batch
	scratch []byte // decoded attribute value
	plain   []byte // what a URL or script in it says without escapes; a stack, like data
	data    []byte // bodies of data: URLs
	host    []byte // the first without a rule in the script being read
	offsets []int32
	charged int

	attrText  cssText // of the style attribute being read
	attrState cssState

	headDone bool
	edited   bool
	squeezed bool  // the common budget is used up
	offset   int64 // of the window in the document
	decision rules.Decision
	seen     []seen // what several readings have put on record, to have it there once
	taken    recorder
	peak     int64 // what the trees of readings that have ended have cost, at most
	kept     *Earlier
	follow   follower
	depth    int            // nesting of srcdoc and data: documents
	child    *Rewriter      // reads them
	childAt  int            // where the one it reads stands in this one's window
	refused  rules.Decision // on the first resource in it that is blocked
	err      error
}

// edit inserts arena[text:textEnd] before the byte at offset at of the window.
type edit struct {
	at            int
	text, textEnd int32
	head          bool // what belongs into the head: others at the same place come behind it
}

var errClosed = errors.New("rewriter: write after close")

// New returns a Rewriter that writes to dst.
func New(dst io.Writer, o Options) *Rewriter {
	r := new(Rewriter)
	r.Reset(dst, o)
	return r
}

// Reset makes r ready for a new document, keeping its buffers.
func (r *Rewriter) Reset(dst io.Writer, o Options) {
	r.release()
	if o.MaxTag <= 0 {
		o.MaxTag = DefaultMaxTag
	}
	if o.MaxScript <= 0 {
		o.MaxScript = DefaultMaxScript
	}
	if o.completing == 0 {
		o.completing = completing
	}
	if o.maxOpen == 0 {
		o.maxOpen = maxOpen
	}
	r.dst, r.o, r.page, r.network = dst, o, o.Page, o.Page
	r.in, r.buf, r.again, r.veils.raw = nil, trimLarge(r.buf), trim(r.again), trim(r.veils.raw)
	r.out, r.arena, r.scratch, r.plain, r.data = trim(r.out), trim(r.arena), trim(r.scratch), trim(r.plain), trim(r.data)
	if r.edits = r.edits[:0]; cap(r.edits) > maxPooled/16 {
		r.edits = nil
	}
	r.based, r.sealed, r.begun, r.charset, r.coder, r.veil, r.untold, r.prev = false, notSealed, false, "", nil, nil, false, [3]byte{}
	r.readings[0].tree.max = o.maxOpen
	r.readings[0].reset(false)
	if o.XML {
		r.readings[0].roles, r.readings[0].early = treeOn, false
	}
	if o.CSS {
		rd := &r.readings[0]
		rd.st, rd.early, rd.cssText.head.done = stSheet, false, true
	}
	r.n, r.offBody, r.svg = 1, false, false
	r.headDone = o.Head == "" || o.XML || o.CSS
	r.ended, r.edited, r.offset, r.depth, r.err = false, false, 0, 0, nil
	r.seen, r.first = r.seen[:0], r.first[:0]
	r.taken, r.follow, r.kept, r.peak = recorder{}, follower{}, nil, 0
}

// trim empties b and lets go of a backing array too large to keep in a pool.
func trim(b []byte) []byte {
	if cap(b) > maxPooled {
		return nil
	}
	return b[:0]
}

// large has the buffers above maxPooled, of which new memory costs more than reading what they
// hold. A Rewriter keeps none, so that the garbage collector can take what is not in use.
var large sync.Pool

// room returns b with room for n more bytes.
func room(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	size := max(2*cap(b), need)
	if need <= maxPooled {
		size = min(size, maxPooled) // or it could not be kept
	} else if p, _ := large.Get().(*[]byte); p != nil && cap(*p) >= size {
		return append((*p)[:0], b...)
	}
	return append(make([]byte, 0, size), b...)
}

// trimLarge is trim for a buffer that room may grow.
func trimLarge(b []byte) []byte {
	if cap(b) > maxPooled {
		kept := b // or b would be allocated for every call
		large.Put(&kept)
	}
	return trim(b)
}

// Write reads p and writes what is certain to dst. It consumes all of p unless dst fails.
func (r *Rewriter) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for rest := p; len(rest) > 0 && r.err == nil; {
		if r.follow.on {
			rest = rest[r.follow.compare(rest):]
			if len(rest) == 0 {
				break
			}
			r.part()
		}
		n, next := len(rest), -1
		if r.follow.e != nil {
			n, next = r.meet(rest)
		} else if r.taken.e != nil {
			n = min(n, max(1, r.o.every/4))
		}
		// Else a place to meet would be passed, or bytes decoded twice.
		inPlace := r.follow.e == nil && r.begun && r.coder == nil && r.veil == nil && len(r.first) == 0
		if len(r.buf) > 0 && inPlace {
			n = min(n, len(r.buf)+r.o.completing)
		}
		r.take(rest[:n], false)
		if n < len(rest) && inPlace {
			n -= r.settle(n) // the next piece is no shorter
		} else {
			r.settle(0)
		}
		rest = rest[n:]
		if r.taken.e != nil {
			r.taken.settled(r)
		}
		if next >= 0 {
			r.rejoin(next)
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	return len(p), nil
}

// take reads p behind what is held.
func (r *Rewriter) take(p []byte, final bool) {
	if c := r.coder; c != nil {
		c.raw = append(c.raw, p...)
		r.buf = c.decode(r.buf, final)
		r.in = r.buf
		r.run()
		return
	}
	if len(r.first) > 0 {
		r.prescanOn(p)
	}
	if r.taken.e != nil && (r.untold || !r.begun) && mayBeOther(p) {
		r.taken.e = nil // it is another document in a frame
	}
	if r.veil != nil {
		r.takeVeiled(p)
		return
	}
	r.in = p
	if len(r.buf) > 0 {
		r.buf = append(room(r.buf, len(p)), p...)
		r.in = r.buf
	}
	if r.begun || r.begin(r.in, final) {
		r.read(final)
	}
}

// read reads the window, of which nothing has been read if there is a view of it since now.
func (r *Rewriter) read(final bool) {
	if r.coder == nil && r.veil == nil {
		r.run()
		return
	}
	r.again = append(r.again[:0], r.in...)
	r.buf = r.buf[:0]
	r.take(r.again, final)
}

// Flush writes what is certain. Every complete token has already gone to dst when Write returns,
// but for the first bytes of a document whose encoding is not known yet: they are decided now, less
// an incomplete XML declaration.
func (r *Rewriter) Flush() error {
	if err := r.Part(); err != nil {
		return err
	}
	if r.err == nil && !r.begun {
		r.taken.e = nil // what a flush settles early is not so without one
	}
	if r.err == nil && !r.begun && len(r.buf) >= len("<\x00?\x00x\x00") && !(bytes.HasPrefix(r.buf, []byte(xmlDeclaration)) && bytes.IndexByte(r.buf, '>') < 0) {
		r.in = r.buf
		r.begin(r.in, true)
		first := bytes.Clone(r.in)
		r.read(false)
		if r.charset == "" && !r.o.CSS {
			r.first = append(r.first, first...)
		}
		r.settle(0)
	}
	return r.err
}

// Close ends the document: what is held is decided as a browser that meets the end of the file
// would, and written.
func (r *Rewriter) Close() error {
	if r.err != nil {
		if r.err == errClosed {
			return nil
		}
		return r.err
	}
	if f := &r.follow; f.on && f.in == f.e.in {
		r.passTo(f.e.end())
	} else {
		if f.on {
			r.part()
			r.take(nil, false) // the end is not seen before all that comes before it is read
			r.settle(0)
		}
		r.ended = true
		r.take(nil, true)
		r.settle(0)
		if r.taken.e != nil {
			r.kept = r.taken.end(r)
		}
	}
	err := r.err
	r.release()
	if r.err == nil {
		r.err = errClosed
	}
	return err
}

// Abort releases the held bytes without writing them; further writes fail.
func (r *Rewriter) Abort() {
	r.release()
	r.o.Report, r.o.Saw = nil, nil // nor what they hold
	r.in, r.buf, r.kept = nil, r.buf[:0], nil
	if r.err == nil {
		r.err = errClosed
	}
}

// Edited reports whether any byte of the output differs from the input so far.
func (r *Rewriter) Edited() bool { return r.edited }

// settle writes the window up to the first byte that a reading still holds, with the edits made. What is held is
// copied, unless it is within the window's last bytes, as many as there are again, and something was written: then
// it returns its length.
func (r *Rewriter) settle(again int) int {
	hold := len(r.in)
	if !r.begun {
		hold = 0
	}
	for i := range r.n {
		if rd := &r.readings[i]; rd.inner.on {
			r.limitInner(rd, rd.pos)
		}
		hold = min(hold, r.readings[i].hold())
	}
	if hold > 0 || r.ended && r.coder != nil {
		r.emit(hold)
		for i := max(0, hold-3); i < hold; i++ {
			r.prev = [3]byte{r.in[i], r.prev[0], r.prev[1]}
		}
		if v := r.veil; v != nil && v.halves != nil {
			v.raw = append(v.raw[:0], v.raw[hold:]...)
		}
		for i := range r.n {
			r.readings[i].shift(hold)
		}
		r.offset += int64(hold)
	}
	rest := r.in[hold:]
	if len(rest) <= again && hold > 0 {
		r.buf = r.buf[:0]
		r.charge(0)
		return len(rest)
	}
	if len(r.buf) > 0 || r.coder != nil { // the window is buf itself
		if hold > 0 {
			n := copy(r.buf, rest)
			r.buf = r.buf[:n]
		}
	} else {
		r.buf = append(r.buf, rest...)
	}
	held := len(r.buf)
	if r.veil != nil {
		held += len(r.veil.raw)
	}
	if r.charge(held) || r.squeezed {
		return 0
	}
	// The common budget is used up: what is held is decided now, as if it were over its own limit.
	r.squeezed = true
	r.taken.e = nil // what comes of it now is of no use to later documents
	r.in = r.buf
	r.run()
	r.settle(0)
	r.squeezed = false
	return 0
}

// emit writes in[:hold] with its edits.
func (r *Rewriter) emit(hold int) {
	if r.err != nil {
		return
	}
	if r.coder != nil {
		r.emitCoded(hold)
		return
	}
	if r.taken.e != nil {
		r.taken.emit(r, hold)
	}
	if len(r.edits) == 0 || r.edits[0].at >= hold {
		_, r.err = r.dst.Write(r.bytes()[:hold])
		r.moveEdits(0, hold)
		return
	}
	r.edited = true
	if w, ok := r.dst.(PartsWriter); ok && w.TakesParts(hold) {
		r.moveEdits(r.parts(hold, func(p []byte) {
			if r.err == nil && len(p) > 0 {
				_, r.err = r.dst.Write(p)
			}
		}), hold)
		return
	}
	out := r.out[:0]
	n := r.parts(hold, func(p []byte) { out = append(out, p...) })
	_, r.err = r.dst.Write(out)
	r.out = trim(out)
	r.moveEdits(n, hold)
}

// parts calls f with the parts of in[:hold] and what is inserted between them, and returns the number of edits.
func (r *Rewriter) parts(hold int, f func([]byte)) (n int) {
	from, in := 0, r.bytes()
	for _, e := range r.edits {
		if e.at >= hold {
			break
		}
		f(in[from:e.at])
		f(r.arena[e.text:e.textEnd])
		from = e.at
		n++
	}
	f(in[from:hold])
	return n
}

// PartsWriter is a destination that may take many short writes at the cost of one.
type PartsWriter interface {
	// TakesParts reports whether it does so now, for somewhat more than n bytes.
	TakesParts(n int) bool
}

// moveEdits drops the first n edits and moves the others to the window that begins at hold.
func (r *Rewriter) moveEdits(n, hold int) {
	if len(r.edits) == 0 {
		return
	}
	r.edits = append(r.edits[:0], r.edits[n:]...)
	for i := range r.edits {
		r.edits[i].at -= hold
	}
	if len(r.edits) == 0 {
		r.arena = r.arena[:0]
	}
}

// insert adds text before the byte at offset at. Both readings may ask for the same edit: the first
// stays, unless the later one's text begins with something that the first lacks.
func (r *Rewriter) insert(at int, text ...string) {
	i := len(r.edits)
	for i > 0 && r.edits[i-1].at > at {
		i--
	}
	if i > 0 && r.edits[i-1].at == at && !r.edits[i-1].head {
		if text[0] == "" {
			return
		}
		// A script's new type goes in even where the element is marked for another attribute.
		r.edits = append(r.edits[:i-1], r.edits[i:]...)
		i--
	}
	r.insertEdit(i, edit{at: at}, text...)
}

// insertHead adds text before the byte at offset at, and before what else is inserted there.
func (r *Rewriter) insertHead(at int, text string) {
	i := len(r.edits)
	for i > 0 && r.edits[i-1].at >= at {
		i--
	}
	r.insertEdit(i, edit{at: at, head: true}, text)
}

// insertEdit makes e with that text the edit at index i.
func (r *Rewriter) insertEdit(i int, e edit, text ...string) {
	e.text = int32(len(r.arena))
	for _, t := range text {
		r.arena = append(r.arena, t...)
	}
	e.textEnd = int32(len(r.arena))
	r.edits = append(r.edits, edit{})
	copy(r.edits[i+1:], r.edits[i:])
	r.edits[i] = e
}

// hasEdit reports whether something is inserted before the byte at offset at.
func (r *Rewriter) hasEdit(at int) bool {
	i := len(r.edits)
	for i > 0 && r.edits[i-1].at > at {
		i--
	}
	return i > 0 && r.edits[i-1].at == at && !r.edits[i-1].head
}

// charge books the bytes held now and reports whether the common budget has room for them.
func (r *Rewriter) charge(n int) bool {
	if r.o.Budget == nil || n == r.charged {
		return true
	}
	if r.o.Budget.Book(n - r.charged) {
		r.charged = n
		return true
	}
	return r.squeezed
}

// maxTag and maxScript are the limits in force.
func (r *Rewriter) maxTag() int {
	if r.squeezed {
		return min(r.o.MaxTag, squeezedMax)
	}
	return r.o.MaxTag
}

func (r *Rewriter) maxScript() int {
	if r.squeezed {
		return min(r.o.MaxScript, squeezedMax)
	}
	return r.o.MaxScript
}

func (r *Rewriter) release() {
	r.follow.e, r.follow.from = nil, nil
	if r.charged > 0 {
		r.o.Budget.Book(-r.charged)
		r.charged = 0
	}
}
