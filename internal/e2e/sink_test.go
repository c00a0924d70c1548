package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A sink stands for the rest of the Internet: whatever host a browser asks for, the sink answers
// on one loopback port, in plain HTTP and in TLS, and keeps a record. Its resources are empty and
// cause no further request, unless serve says otherwise.
type sink struct {
	addr   string
	config *tls.Config

	mu       sync.Mutex
	contacts []contact
	bare     map[net.Conn]bool // connections of this round over which nothing has been sent
	last     time.Time
	serve    map[string]string // by host and path: the JavaScript to answer with
}

// contact is a request with its destination (Fetch Standard), or a TLS ClientHello (Path is empty).
type contact struct {
	Host, Path, Dest string
}

func startSink(t testing.TB) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{addr: l.Addr().String(), serve: map[string]string{}, bare: make(map[net.Conn]bool)}
	s.config = &tls.Config{
		Certificates: []tls.Certificate{certificate(t)},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			s.record(contact{Host: h.ServerName})
			return nil, nil
		},
	}
	server := &http.Server{Handler: s}
	conns := &connListener{addr: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	go server.Serve(conns)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.accept(c, conns)
		}
	}()
	t.Cleanup(func() { l.Close(); server.Close() })
	return s
}

// certificate returns a new one for no name; the browsers of these tests do not look at it.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// startFront leads both plain and TLS connections to the plain server at addr, for hosts that
// browsers open with TLS only (HSTS preload list).
func startFront(t testing.TB, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	forward := func(c net.Conn) {
		defer c.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(c, first); err != nil {
			return
		}
		c = &prefixedConn{Conn: c, prefix: bytes.NewReader(first)}
		if first[0] == 0x16 {
			c = tls.Server(c, config)
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(to, c); to.Close() }()
		_, _ = io.Copy(c, to)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go forward(c)
		}
	}()
	return l.Addr().String()
}

// accept looks at a connection's first byte: 0x16 begins a TLS record.
func (s *sink) accept(c net.Conn, to *connListener) {
	s.mu.Lock()
	s.bare[c] = true
	s.last = time.Now()
	s.mu.Unlock()
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		c.Close()
		return
	}
	s.mu.Lock()
	delete(s.bare, c)
	s.mu.Unlock()
	c = &prefixedConn{Conn: c, prefix: bytes.NewReader(first)}
	if first[0] == 0x16 {
		c = tls.Server(c, s.config)
	}
	select {
	case to.conns <- c:
	case <-to.closed:
		c.Close()
	}
}

type prefixedConn struct {
	net.Conn
	prefix *bytes.Reader
}

func (c *prefixedConn) Read(p []byte) (int, error) {
	if c.prefix.Len() > 0 {
		return c.prefix.Read(p)
	}
	return c.Conn.Read(p)
}

// connListener hands accepted connections to a server.
type connListener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *connListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errors.New("listener closed")
	}
}
func (l *connListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *connListener) Addr() net.Addr { return l.addr }

// browsersOwn are what Chromium itself asks for now and then, whatever the page: host and the
// beginning of the path.
var browsersOwn = map[string]string{
	"accounts.google.com": "/ListAccounts", "clients2.google.com": "/", "update.googleapis.com": "/", "edgedl.me.gvt1.com": "/",
	"redirector.gvt1.com": "/", "content-autofill.googleapis.com": "/", "optimizationguide-pa.googleapis.com": "/",
	"android.clients.google.com": "/", "clientservices.googleapis.com": "/", "safebrowsingohttpgateway.googleapis.com": "/",
}

// own reports whether a contact is the browser's own.
func (c contact) own() bool {
	prefix, ok := browsersOwn[c.Host]
	return ok && (c.Path == "" || strings.HasPrefix(c.Path, prefix))
}

func (s *sink) record(c contact) {
	c.Host = strings.ToLower(strings.TrimSuffix(c.Host, "."))
	if h, _, err := net.SplitHostPort(c.Host); err == nil {
		c.Host = h
	}
	if c.own() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contacts = append(s.contacts, c)
	s.last = time.Now()
}

var pixel, _ = base64.StdEncoding.DecodeString("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.record(contact{Host: r.Host, Path: r.URL.RequestURI(), Dest: r.Header.Get("Sec-Fetch-Dest")})
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	s.mu.Lock()
	script, ok := s.serve[host+r.URL.Path]
	s.mu.Unlock()
	switch dest := r.Header.Get("Sec-Fetch-Dest"); {
	case ok:
		h.Set("Content-Type", "text/javascript")
		io.WriteString(w, script)
	case dest == "script" || path.Ext(r.URL.Path) == ".js":
		h.Set("Content-Type", "text/javascript")
		io.WriteString(w, "/**/")
	case dest == "style" || path.Ext(r.URL.Path) == ".css":
		h.Set("Content-Type", "text/css")
	case dest == "image":
		h.Set("Content-Type", "image/gif")
		w.Write(pixel)
	case dest == "iframe" || dest == "document" || dest == "frame":
		h.Set("Content-Type", "text/html")
		io.WriteString(w, "<!DOCTYPE html><title>sink</title>")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// reset forgets what was recorded, and closes connections that wait for a request: browsers would use
// them instead of opening others.
func (s *sink) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.bare {
		c.Close()
	}
	clear(s.bare)
	s.contacts, s.last = nil, time.Now()
}

// settle waits until nothing has arrived for quiet, at most four seconds, and returns the contacts.
func (s *sink) settle(quiet time.Duration) []contact { return settle(quiet, s) }

func settle(quiet time.Duration, sinks ...*sink) (all []contact) {
	start := time.Now()
	last := start
	for time.Since(last) < quiet && time.Since(start) < 4*time.Second {
		time.Sleep(min(20*time.Millisecond, quiet))
		for _, s := range sinks {
			s.mu.Lock()
			if s.last.After(last) {
				last = s.last
			}
			s.mu.Unlock()
		}
	}
	for _, s := range sinks {
		s.mu.Lock()
		all = append(all, s.contacts...)
		s.mu.Unlock()
	}
	return all
}

// hosts lists the hosts of contacts, sorted and once each.
func hosts(cs []contact) []string {
	var out []string
	for _, c := range cs {
		if c.Host != "" && !slices.Contains(out, c.Host) {
			out = append(out, c.Host)
		}
	}
	slices.Sort(out)
	return out
}
