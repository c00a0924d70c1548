package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// startUpstream serves h on a loopback port and returns its address.
func startUpstream(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// startRawUpstream answers every connection's first request with what write sends; the connection
// is closed when it returns.
func startRawUpstream(t testing.TB, write func(net.Conn)) string {
	t.Helper()
	return startRecordingUpstream(t, func(c net.Conn, _ []byte) { write(c) })
}

// startRecordingUpstream is startRawUpstream for those who want the request's bytes too.
func startRecordingUpstream(t testing.TB, write func(c net.Conn, request []byte)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				if n, err := c.Read(buf); err == nil {
					write(c, buf[:n])
				}
			}()
		}
	}()
	return l.Addr().String()
}

// writeChunked sends body in pieces of size bytes, each flushed; after limit bytes (0: none) the
// pieces become larger, so that a big page takes no longer than a small one. With a size below zero the
// first pieces are as long as that says, and come one after the other with a pause between them.
func writeChunked(w http.ResponseWriter, body []byte, size, limit int) {
	if size == 0 {
		w.Write(body)
		return
	}
	f, pauses := http.NewResponseController(w), 0
	if size < 0 {
		size, pauses = -size, 4
	}
	for sent := 0; len(body) > 0; {
		if pauses > 0 && sent > 0 {
			time.Sleep(30 * time.Millisecond)
			if pauses--; pauses == 0 {
				size = len(body)
			}
		}
		n := size
		if limit > 0 && sent > limit {
			n = max(size, 4093)
		}
		n = min(n, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		f.Flush()
		body, sent = body[n:], sent+n
	}
}
