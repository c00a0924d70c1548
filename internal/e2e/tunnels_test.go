package e2e

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A websocket over HTTP/2 (RFC 8441), as browsers open it where the server offers it: the tunnel carries
// bytes both ways, and the cookies of its request and answer are filtered like any other's.
func TestWebsocketOverHTTP2(t *testing.T) {
	t.Setenv("GODEBUG", "http2xconnect=1") // Go's server offers it only then
	cookies := make(chan string, 1)
	upstream := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		cookies <- r.Header.Get("Cookie")
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: _ga=1\r\nSet-Cookie: s=1\r\n\r\n")
		_ = rw.Flush()
		buf := make([]byte, 64)
		n, _ := rw.Read(buf)
		_, _ = conn.Write(append([]byte("heard "), buf[:n]...))
	})
	c := startCaddy(t, "{\n\tskip_install_trust\n\tgrace_period 1s\n}\nhttps://localhost:8080 {\n\ttls internal\n\tconsent\n\treverse_proxy "+upstream+"\n}\n")
	var conn *tls.Conn
	for wait := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until Caddy has made its certificate
		var err error
		if conn, err = tls.Dial("tcp", c.addr("8080"), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"h2"}}); err == nil {
			break
		} else if time.Now().After(wait) {
			t.Fatal(err)
		}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	answer, heard := tunnel(t, conn, [][2]string{
		{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/socket"},
		{"sec-websocket-version", "13"}, {"origin", "https://localhost"}, {"cookie", "_fbp=1; s=1"},
	}, "hello")
	if got := <-cookies; got != "s=1" {
		t.Errorf("the upstream got the cookies %q", got)
	}
	if !strings.Contains(answer, ":status: 200\n") || !strings.Contains(answer, "set-cookie: s=1\n") || strings.Contains(answer, "_ga") {
		t.Errorf("the answer:\n%s", answer)
	}
	if heard != "heard hello" {
		t.Errorf("through the tunnel came %q", heard)
	}
}

// tunnel opens one stream with that header, sends text, and returns the answer's header and what came back
// until the stream ends.
func tunnel(t *testing.T, conn net.Conn, header [][2]string, text string) (answer, heard string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\nanswer so far:\n%s", err, answer)
		}
	}
	_, err := conn.Write([]byte(http2.ClientPreface))
	check(err)
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	check(f.WriteSettings())
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range header {
		check(enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}))
	}
	opened := false
	for {
		frame, err := f.ReadFrame()
		check(err)
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if frame.IsAck() {
				continue
			}
			if v, ok := frame.Value(http2.SettingEnableConnectProtocol); !ok || v != 1 {
				t.Fatal("the server does not offer CONNECT for websockets")
			}
			check(f.WriteSettingsAck())
			if !opened {
				opened = true
				check(f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}))
			}
		case *http2.MetaHeadersFrame:
			for _, h := range frame.Fields {
				answer += h.Name + ": " + h.Value + "\n"
			}
			if frame.StreamEnded() {
				return answer, heard
			}
			check(f.WriteData(1, false, []byte(text)))
		case *http2.DataFrame:
			heard += string(frame.Data())
			if frame.StreamEnded() || len(heard) >= len("heard ")+len(text) {
				return answer, heard
			}
		case *http2.RSTStreamFrame:
			t.Fatalf("the stream was reset: %v\n%s", frame.ErrCode, answer)
		}
	}
}
