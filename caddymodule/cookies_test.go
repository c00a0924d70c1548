package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-consent/caddy-consent/internal/shared"
	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

// filter passes lines through the Set-Cookie filter for an undecided visitor.
func filterLines(t *testing.T, lines []string) []string {
	t.Helper()
	s := newSite(t, &Handler{}, nil)
	rw := &responseWriter{h: s.h, policy: s.h.site().For(rules.Grants{}), page: rules.NewPage("https", "www.example.com"), rec: &record{h: s.h}}
	return rw.filterSetCookie(lines)
}

// checkKept fails unless kept is a part of lines, in order and to the byte.
func checkKept(t *testing.T, lines, kept []string) {
	t.Helper()
	i := 0
	for _, k := range kept {
		for i < len(lines) && lines[i] != k {
			i++
		}
		if i == len(lines) {
			t.Fatalf("a kept line is not one of the upstream's: %q", k)
		}
		i++
	}
}

func TestRecordedSetCookieLines(t *testing.T) {
	dir := filepath.Join(shared.Dir(t), "corpus", "suites", "real-set-cookie")
	data, err := os.ReadFile(filepath.Join(dir, "set_cookie.json"))
	if err != nil {
		t.Fatal(err)
	}
	var records []struct {
		SetCookie string `json:"set_cookie"`
	}
	if err := json.Unmarshal(data, &records); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range records {
		pair, _, _ := strings.Cut(r.SetCookie, ";")
		lines = append(lines, r.SetCookie, pair+"; path=/") // the recorded ones have expired and count as deletions
	}
	if len(lines) < 500 {
		t.Fatalf("only %d recorded lines found", len(lines))
	}
	kept := filterLines(t, lines)
	checkKept(t, lines, kept)
	left := make(map[string]bool)
	for _, k := range kept {
		left[k] = true
	}
	cat, _ := rules.DefaultCatalogue()
	essential := make(map[string]bool)
	for _, e := range cat.Essentials() {
		essential[e.Name] = true
	}
	for _, l := range lines {
		if name, _, _ := setCookieParts(l); essential[name] && !left[l] && name != "__cf_bm" {
			t.Errorf("an essential cookie is stripped: %s", name)
		}
	}
	t.Logf("%d lines, %d stripped", len(lines), len(lines)-len(kept))
}

func TestCookieSuite(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(shared.Dir(t), "corpus", "suites", "cookies-http-state", "*-test"))
	more, _ := filepath.Glob(filepath.Join(shared.Dir(t), "corpus", "suites", "cookies-http-state", "*", "*-test"))
	files = append(files, more...)
	if len(files) < 100 {
		t.Fatalf("only %d files found", len(files))
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, l := range strings.Split(string(data), "\n") {
			if v, ok := strings.CutPrefix(l, "Set-Cookie: "); ok {
				lines = append(lines, v)
			}
		}
		kept := filterLines(t, lines)
		checkKept(t, lines, kept)
		if len(kept) != len(lines) {
			t.Errorf("%s: %d of %d lines kept, though none is a tracker's", filepath.Base(name), len(kept), len(lines))
		}
		joined := strings.Join(lines, "; ")
		if got := consent.Filter(joined, func(string) bool { return true }); got != joined {
			t.Errorf("%s: the Cookie filter changes %q to %q", filepath.Base(name), joined, got)
		}
	}
}

// Only what every browser takes for a deletion passes as one.
func TestDeletionsOfCookies(t *testing.T) {
	for line, want := range map[string]bool{
		"_ga=; Max-Age=0": true, "_ga=; Max-Age=-1": true, "_ga=; max-age=00": true, "_ga=x; Max-Age=5": false, "_ga=x; Max-Age=+0": false, "_ga=x; Max-Age=-": false, "_ga=x; Max-Age=": false,
		"_ga=x; Max-Age=0; Max-Age=99999999999999999999": false, "_ga=x; Max-Age=99999999999999999999": false, "_ga=x; Max-Age=5; Max-Age=0": true, "_ga=x; Max-Age=-99999999999999999999": true,
		"_ga=; Expires=Thu, 01 Jan 1970 00:00:00 GMT": true, "_ga=; Expires=Thursday, 01-Jan-70 00:00:00 GMT": true, "_ga=x; Expires=Tuesday, 01-Jan-69 00:00:00 GMT": false,
		"_ga=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=2099 Jan 1 00:00:00": false, "_ga=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=5": false, "_ga=x; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT": false,
		"_ga=; Max-Age=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT": true, "_ga=x": false,
	} {
		if _, _, got := setCookieParts(line); got != want {
			t.Errorf("%s: a deletion %v", line, got)
		}
	}
}

// lateHeader sends the header with the first bytes, as encode does.
type lateHeader struct {
	http.ResponseWriter
	status int
}

func (l *lateHeader) WriteHeader(status int) { l.status = status }

func (l *lateHeader) Write(p []byte) (int, error) {
	if l.status != 0 {
		l.ResponseWriter.WriteHeader(l.status)
		l.status = 0
	}
	return l.ResponseWriter.Write(p)
}

// A cookie that is set behind the header is filtered where a writer outside sends the header late.
func TestCookiesBehindTheHeader(t *testing.T) {
	for _, ct := range []string{"text/html", "application/json"} {
		s := newSite(t, &Handler{}, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", ct)
			w.Header().Add("Set-Cookie", "session=1")
			w.WriteHeader(http.StatusOK)
			w.Header().Add("Set-Cookie", "_fbp=1")
			_, err := io.WriteString(w, doc)
			return err
		})
		serve := s.Config.Handler
		outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serve.ServeHTTP(&lateHeader{ResponseWriter: w}, r)
		}))
		defer outer.Close()
		s.URL = outer.URL
		if a := s.get(t); fmt.Sprint(a.Header["Set-Cookie"]) != "[session=1]" {
			t.Errorf("%s: %q", ct, a.Header["Set-Cookie"])
		}
	}
}

// Browsers keep cookies without a name, and send them as if they had one.
func TestCookiesWithoutAName(t *testing.T) {
	for _, line := range []string{"=_ga=1; Path=/", " = _ga=1", "==_ga=1", "=_ga", "_ga", "_ga; Path=/", "_ga=1; Max-Age=" + strings.Repeat("0", 1025)} {
		if kept := filterLines(t, []string{line}); len(kept) > 0 {
			t.Errorf("%.40q leaves", line)
		}
		pair, _, _ := strings.Cut(line, ";")
		if got := consent.Filter("a=1; "+pair, func(name string) bool { return name != "_ga" }); got != "a=1" {
			t.Errorf("%.40q reaches the site as %q", pair, got)
		}
	}
	for _, line := range []string{"=PHPSESSID=1", "PHPSESSID"} {
		if len(filterLines(t, []string{line})) == 0 {
			t.Errorf("%q, which is essential, is stripped", line)
		}
	}
}
