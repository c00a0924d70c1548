package caddymodule

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// decoder turns a content-coded body that is pushed into it into plain bytes for out. The
// library's pull decoders run as a coroutine: Write hands bytes over and comes back when all that
// follows from them has been written, so that nothing waits in a second goroutine.
type decoder struct {
	in      []byte
	eof     bool
	resume  func() (struct{}, bool)
	stop    func()
	err     error
	stopped bool
}

var errDecoderStopped = errors.New("decoder stopped")

// splitCodings returns the codings of a Content-Encoding header in the order in which they were
// applied, without identity, and whether all are known (RFC 9110, 8.4.1).
func splitCodings(values []string) (codings []string, known bool) {
	known = true
	for _, v := range values {
		for c := range strings.SplitSeq(v, ",") {
			switch c = strings.ToLower(strings.TrimSpace(c)); c {
			case "", "identity":
				continue
			case "gzip", "x-gzip", "deflate", "br", "zstd":
			default:
				known = false
			}
			codings = append(codings, c)
		}
	}
	return codings, known && len(codings) <= 3
}

// decoded returns up to limit bytes of what a coded body says, and whether that is all of it.
func decoded(codings []string, body []byte, limit int) (text []byte, whole bool) {
	var b bytes.Buffer
	d := newDecoder(codings, &limitedWriter{&b, limit})
	_, err := d.Write(body)
	if err == nil {
		err = d.Close()
	}
	d.Abort()
	return b.Bytes(), err == nil
}

// limitedWriter fails once more is written than fits.
type limitedWriter struct {
	w *bytes.Buffer
	n int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), l.n-l.w.Len())
	l.w.Write(p[:n])
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// newDecoder returns a decoder for codings, which splitCodings knows.
func newDecoder(codings []string, out io.Writer) *decoder {
	d := new(decoder)
	d.resume, d.stop = iter.Pull(func(yield func(struct{}) bool) {
		d.err = d.run(codings, out, yield)
	})
	return d
}

func (d *decoder) run(codings []string, out io.Writer, yield func(struct{}) bool) error {
	var src io.Reader = readerFunc(func(p []byte) (int, error) {
		for len(d.in) == 0 {
			if d.eof {
				return 0, io.EOF
			}
			if !yield(struct{}{}) {
				return 0, errDecoderStopped
			}
		}
		n := copy(p, d.in)
		d.in = d.in[n:]
		return n, nil
	})
	for i := len(codings) - 1; i >= 0; i-- {
		var err error
		switch codings[i] {
		case "gzip", "x-gzip":
			src, err = newGunzip(src)
		case "deflate":
			src, err = newInflate(src)
		case "br":
			src = brotli.NewReader(src)
		case "zstd":
			var z *zstd.Decoder
			// One at a time decodes in this goroutine. The window is what RFC 9659 allows on the web.
			z, err = zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
			if err == nil {
				defer z.Close()
				src = z
			}
		}
		if err == io.EOF {
			return nil // an empty body
		}
		if err != nil {
			return err
		}
	}
	_, err := io.CopyBuffer(writerOnly{out}, readerOnly{src}, make([]byte, 32<<10))
	return err
}

// gunzip reads the members of a gzip body (RFC 1952, 2.2). What follows the last one and is none is
// left out, as browsers do.
type gunzip struct {
	src *bufio.Reader
	z   *gzip.Reader
}

func newGunzip(src io.Reader) (io.Reader, error) {
	br := bufio.NewReader(src)
	z, err := gzip.NewReader(br)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gunzip{br, z}, nil
}

func (g *gunzip) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	if err != io.EOF {
		return n, err
	}
	if g.z.Reset(g.src) != nil {
		return n, io.EOF
	}
	g.z.Multistream(false)
	return n, nil
}

// newInflate reads deflate as browsers do: zlib as the standard says, or raw (RFC 9110, 8.4.1.2).
func newInflate(src io.Reader) (io.Reader, error) {
	br := bufio.NewReader(src)
	head, err := br.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(br)
	}
	return flate.NewReader(br), nil
}

// Write decodes p.
func (d *decoder) Write(p []byte) (int, error) {
	d.in = p
	for len(d.in) > 0 {
		if _, running := d.resume(); !running {
			d.stopped = true
			d.in = nil // whatever follows the coded body is ignored
			break
		}
	}
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

// Close tells the decoder that the body is complete; its error says that it was not.
func (d *decoder) Close() error {
	d.eof = true
	for !d.stopped {
		if _, running := d.resume(); !running {
			d.stopped = true
		}
	}
	return d.err
}

// Abort lets go of the decoder without completing the body.
func (d *decoder) Abort() { d.stop() }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// writerOnly and readerOnly hide ReadFrom and WriteTo.
type writerOnly struct{ io.Writer }

type readerOnly struct{ io.Reader }
