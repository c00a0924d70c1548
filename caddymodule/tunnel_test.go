package caddymodule

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A tunnel's answer goes out at once with its cookies filtered, and its bytes are nobody's business: a
// websocket over HTTP/2 or 3 arrives as CONNECT.
func TestTunnels(t *testing.T) {
	var upstream string
	s := newSite(t, &Handler{}, func(w http.ResponseWriter, r *http.Request) error {
		upstream = strings.Join(r.Header["Cookie"], "|")
		h := w.Header()
		h["Set-Cookie"] = []string{"_ga=1", "session=1"}
		h.Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusOK)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		_, err := io.WriteString(w, doc)
		return err
	})
	r := httptest.NewRequest(http.MethodConnect, "/socket", nil)
	r.Header.Set("Cookie", "_fbp=1; session=2")
	w := httptest.NewRecorder()
	if err := s.h.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil), s.next); err != nil {
		t.Fatal(err)
	}
	if upstream != "session=2" {
		t.Errorf("the upstream sees %q", upstream)
	}
	if got := strings.Join(w.Result().Header["Set-Cookie"], "|"); got != "session=1" {
		t.Errorf("the visitor gets %q", got)
	}
	if w.Body.String() != doc || !w.Flushed {
		t.Errorf("%q, flushed %v", w.Body, w.Flushed)
	}
	if got := r.Header.Get("Cookie"); got != "_fbp=1; session=2" {
		t.Errorf("handlers after an error see %q", got)
	}
}

// What arrives piece by piece leaves piece by piece: where the upstream flushes, and where it asks for it
// with Incremental (RFC 10036), with a type and without.
func TestNothingWaitsThatWasSent(t *testing.T) {
	page := func(name string) (first, second string) {
		if name == "text without a type" {
			return "the first line of a log\n", "<p>the second\n"
		}
		return "<p>first</p>", "<p>second</p>"
	}
	for name, header := range map[string]string{
		"a page, incremental":          "Content-Type: text/html|Incremental: ?1",
		"text, incremental":            "Content-Type: text/plain|Incremental: ?1",
		"no type, incremental":         "Incremental: ?1",
		"a page, flushed":              "Content-Type: text/html",
		"no type, flushed":             "",
		"a type that is none, flushed": "Content-Type: nonsense",
		"text without a type":          "",
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan struct{})
			begin, rest := page(name)
			s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
				for line := range strings.SplitSeq(header, "|") {
					if k, v, ok := strings.Cut(line, ": "); ok {
						w.Header().Set(k, v)
					}
				}
				if _, err := io.WriteString(w, begin); err != nil {
					return err
				}
				if !strings.Contains(header, "Incremental") {
					if err := http.NewResponseController(w).Flush(); err != nil {
						return err
					}
				}
				<-got
				_, err := io.WriteString(w, rest)
				return err
			})
			resp, err := http.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			first := make([]byte, len(begin))
			if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != begin {
				t.Fatalf("%q %v", first, err)
			}
			close(got)
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != rest {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}

// HEAD says what GET would, for every form in which a page comes.
func TestHEADIsLikeGET(t *testing.T) {
	for _, lines := range [][]string{
		{html, `Etag: "a"`, "Accept-Ranges: bytes"},
		{html, "Content-Encoding: gzip", "Vary: Accept-Encoding"},
		{html, "Content-Encoding: snappy"},
		{html, "Cache-Control: no-transform"},
		{"Content-Type: application/xhtml+xml; charset=utf-8", `Etag: "a"`},
		{"Content-Type: text/plain", `Etag: "a"`},
		{"Content-Type: application/json", "Set-Cookie: _ga=1"},
	} {
		for _, h := range []Handler{{}, {NoTransform: "pass"}, {Mode: "shadow"}} {
			s := newSite(t, &h, func(w http.ResponseWriter, r *http.Request) error {
				body := doc
				if strings.Contains(strings.Join(lines, ""), "gzip") {
					body = compress(t, "gzip", doc)
				}
				if r.Method == http.MethodHead {
					body = ""
				}
				return respond(200, body, lines...)(w, r)
			})
			get, head := s.get(t, "GET /"), s.get(t, "HEAD /")
			if get.StatusCode != head.StatusCode || head.body != "" {
				t.Errorf("%v: %d, HEAD %d %q", lines, get.StatusCode, head.StatusCode, head.body)
			}
			for _, k := range []string{"Content-Type", "Content-Encoding", "Etag", "Vary", "Cache-Control", "Accept-Ranges", "Set-Cookie"} {
				if g, h := get.Header[k], head.Header[k]; strings.Join(g, "|") != strings.Join(h, "|") {
					t.Errorf("%v: %s is %q, with HEAD %q", lines, k, g, h)
				}
			}
		}
	}
}

// An empty answer to what is no page keeps its caching.
func TestEmptyAnswersKeepTheirCaching(t *testing.T) {
	a := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Cache-Control", "max-age=99")
		w.Header().Set("Etag", `"a"`)
		return nil
	}).get(t, "Sec-Fetch-Dest: image")
	if a.Header.Get("Cache-Control") != "max-age=99" || a.Header.Get("Etag") != `"a"` || a.Header.Get("Vary") != "" {
		t.Error(a.Header)
	}
}

// Several gzip members are one body; bytes behind the last that are none are left out, as browsers do.
func TestGzipBodiesAsBrowsersReadThem(t *testing.T) {
	two := compress(t, "gzip", doc) + compress(t, "gzip", "<p>more")
	for name, tail := range map[string]string{"two members": "", "zeros behind": strings.Repeat("\x00", 600), "text behind": "no gzip"} {
		a := newSite(t, &Handler{}, respond(200, two+tail, html, "Content-Encoding: gzip")).get(t)
		if a.err != nil || a.body != docSafe+"<p>more" {
			t.Errorf("%s: %q %v", name, a.body, a.err)
		}
	}
}

// Where a page is cut does not decide what it is taken for: flushed byte by byte it is HTML as in one piece.
func TestPagesWithoutATypeInPieces(t *testing.T) {
	for _, text := range []string{doc, "\n <!-- x -->" + doc, "no page " + doc, "<unknown>" + doc} {
		whole := newSite(t, &Handler{}, respond(200, text)).get(t)
		pieces := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
			for i := range len(text) {
				if _, err := io.WriteString(w, text[i:i+1]); err != nil {
					return err
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					return err
				}
			}
			return nil
		}).get(t)
		if whole.body != pieces.body || whole.Header.Get("Content-Type") != pieces.Header.Get("Content-Type") {
			t.Errorf("%q in pieces is %s %q", whole.body, pieces.Header.Get("Content-Type"), pieces.body)
		}
	}
}
