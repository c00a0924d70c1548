package caddymodule

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-consent/caddy-consent/rewriter"
)

// A document that its upstream delivers at once is gathered, so that it leaves in one piece and, if it is
// rewritten, with its length as it came: the connection takes a chunk in two writes. Nothing but next's calls uses
// the inner writer, so nothing lets go of a document while the upstream is silent. The upstream must have
// been prompt lately, and after a pause nothing is gathered for a while.
const (
	gatherMax      = 256 << 10 // bytes of a document that is gathered, as it comes
	gatherPass     = 32 << 10  // the same, of one that passes as it is: less is written at once anyway
	gatherAfter    = 3         // prompt documents in a row
	gatherAgain    = 50        // documents that are not gathered after one that paused
	gatherAgainMax = 1000      // the same, if it was so the last times
)

// gatherPause is how long a prompt upstream may take in all from its first piece on; a variable for tests.
var gatherPause = 20 * time.Millisecond

// gatheredBudget bounds the memory for documents that are gathered, which a client that does not read
// holds until its connection times out.
var gatheredBudget = rewriter.NewBudget(64 << 20)

// promptness counts the documents of a site, up to gatherAfter, that came without a pause. Races lose
// a count.
type promptness struct {
	count atomic.Int32
	again atomic.Int32 // what the last pause cost
}

// note takes down how a document came.
func (p *promptness) note(gathered, paused bool) {
	n := p.count.Load()
	switch {
	case paused:
		again := max(p.again.Load(), gatherAgain)
		if gathered {
			p.again.Store(min(2*again, gatherAgainMax))
		}
		p.count.Store(-again)
	case n < gatherAfter:
		p.count.Store(n + 1)
	case gathered:
		p.again.Store(gatherAgain)
	}
}

// gathered is a document whose header is settled and not out yet.
type gathered struct {
	header http.Header
	body   *[]byte
	rest   []byte // what there is, while there is no body; it does not change
	room   int    // for the body, booked with gatheredBudget
}

// gatherPool holds memory for bodies.
var gatherPool = sync.Pool{New: func() any { return new([]byte) }}

// gather begins to hold the document back, if it is likely to be whole at once.
func (rw *responseWriter) gather() bool {
	if rw.length <= 0 || rw.length > gatherMax || rw.incremental || rw.flushed || rw.prompt.count.Load() < gatherAfter || rw.decoder != nil || len(rw.Header()["Trailer"]) > 0 {
		return false
	}
	room := rw.length + rw.length/4 + 4<<10
	if !gatheredBudget.Book(room) {
		return false
	}
	body := gatherPool.Get().(*[]byte)
	if cap(*body) < room || cap(*body) > 2*room { // what is booked is about what is held
		gatherPool.Put(body)
		memory := make([]byte, 0, room)
		body = &memory
	}
	rw.whole = true
	// What next sets later goes out as trailers or not at all.
	rw.gathered = &gathered{header: rw.Header().Clone(), body: body, room: room}
	return true
}

// wait takes down that the upstream let the document wait until now.
func (rw *responseWriter) wait(now time.Time) {
	if rw.fed.IsZero() {
		return
	}
	rw.idle += now.Sub(rw.fed)
	rw.paused = rw.paused || rw.idle > gatherPause
}

// resume is wait, and lets go of what is gathered behind a pause.
func (rw *responseWriter) resume(now time.Time) error {
	if rw.wait(now); rw.paused {
		return rw.letGoNow()
	}
	return nil
}

// add appends p if there is room for it.
func (g *gathered) add(p []byte) bool {
	if len(*g.body)+len(g.rest)+len(p) > g.room {
		return false
	}
	if g.rest != nil {
		*g.body, g.rest = append(*g.body, g.rest...), nil
	}
	*g.body = append(*g.body, p...)
	return true
}

// letGo sends the header and what is gathered. If that is the whole of a rewritten document, it has its
// length (RFC 9110, 8.6); one that passes keeps what it came with.
func (rw *responseWriter) letGo(whole bool) error {
	g := rw.gathered
	if g == nil {
		return nil
	}
	rw.gathered = nil
	defer gatheredBudget.Book(-g.room)
	h := rw.Header()
	late := trailers(h)
	clear(h)
	maps.Copy(h, g.header)
	if whole && late == nil && rw.disp == rewrite {
		h["Content-Length"] = []string{strconv.Itoa(len(*g.body) + len(g.rest))}
	}
	rw.inner.WriteHeader(rw.status)
	maps.Copy(h, late)
	for _, p := range [][]byte{*g.body, g.rest} { // of which one is empty
		if len(p) == 0 {
			continue
		}
		if _, err := rw.send(p); err != nil {
			rw.failed = causeAbort // what is missing must not look like a whole page
			return err             // the connection may still hold on to the body
		}
	}
	*g.body = (*g.body)[:0]
	gatherPool.Put(g.body)
	return nil
}

// letGoNow is letGo before the document's end, with all of it that is complete.
func (rw *responseWriter) letGoNow() error {
	if rw.gathered != nil && rw.rewriter != nil {
		_ = rw.rewriter.Part() // an error keeps nothing back that is complete
	}
	return rw.letGo(false)
}

// dropGathered gives up what is gathered.
func (rw *responseWriter) dropGathered() {
	if g := rw.gathered; g != nil {
		rw.gathered = nil
		gatheredBudget.Book(-g.room)
	}
}

// bodyLength returns the length of a body by its header, 0 if that is unknown.
func bodyLength(h http.Header) int {
	n, _ := strconv.Atoi(h.Get("Content-Length"))
	return n
}

// trailers returns the trailers in a header that are not announced, nil if there are none.
func trailers(h http.Header) (found http.Header) {
	for k, v := range h {
		if strings.HasPrefix(k, http.TrailerPrefix) {
			if found == nil {
				found = make(http.Header)
			}
			found[k] = v
		}
	}
	return found
}

// Hijack takes over the connection, behind what was written.
func (rw *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if err := rw.letGoNow(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(rw.inner).Hijack()
}
