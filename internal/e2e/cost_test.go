package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-consent/caddy-consent/internal/shared"
)

// BenchmarkCost serves a real page of about 100 KB through one Caddy process, with and without the
// directive in turn, and reports what a request costs: the process's CPU time (µs/req), the same
// relative to the site without consent for the same request (×), and what is added to the median latency of
// a single connection (ms). Each iteration is one round of all sites, ratios are medians over the
// rounds.
func BenchmarkCost(b *testing.B) {
	plain := pageOfSize(b, 100<<10)
	var served atomic.Uint64
	upstream := startUpstream(b, func(w http.ResponseWriter, r *http.Request) {
		page := plain
		if r.URL.Path == "/token" {
			page = withToken(page, served.Add(1))
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		w.Write(page)
	})
	b.Setenv("GOMAXPROCS", "1")
	site := func(port int, directives string) string {
		return fmt.Sprintf(":%d {\n%s\n\treverse_proxy %s\n}\n", port, directives, upstream)
	}
	c := startCaddy(b, "{\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n"+
		site(8080, "")+site(8081, "consent")+site(8082, "encode gzip")+site(8083, "encode gzip\n\tconsent"))
	all := fmt.Sprintf("v1:preferences.statistics.marketing:%d", time.Now().Unix())
	sites := []struct {
		name, port, path, cookie string
		gzip                     bool
		base                     bool // those behind it are compared with it
	}{
		{"plain", "8080", "/", "", false, true},
		{"undecided", "8081", "/", "", false, false},
		{"undecided-query", "8081", "/?click=#", "", false, false},
		{"undecided-new", "8081", "/new/#", "", false, false},
		{"plain-token", "8080", "/token", "", false, true}, // the upstream takes longer to make it
		{"undecided-token", "8081", "/token", "", false, false},
		{"plain-cookie", "8080", "/", all, false, true},
		{"allowed", "8081", "/", all, false, false},
		{"gzip-plain", "8082", "/", "", true, true},
		{"gzip-undecided", "8083", "/", "", true, false},
		{"gzip-undecided-new", "8083", "/new/#", "", true, false},
		{"gzip-plain-token", "8082", "/token", "", true, true},
		{"gzip-undecided-token", "8083", "/token", "", true, false},
		{"gzip-plain-cookie", "8082", "/", all, true, true},
		{"gzip-allowed", "8083", "/", all, true, false},
	}
	const requests = 25
	asked := 0
	cpu, wall := make([][]float64, len(sites)), make([][]float64, len(sites))
	round := func(keep bool) {
		for i, s := range sites {
			client := dialKeepAlive(b, c.addr(s.port))
			before := processTime(b, c.cmd.Process.Pid)
			for range requests {
				start := time.Now()
				asked++
				path := strings.Replace(s.path, "#", strconv.Itoa(asked), 1) // an address that nobody asks for again
				client.get(path, s.cookie, s.gzip)
				if keep {
					wall[i] = append(wall[i], float64(time.Since(start).Microseconds())/1e3)
				}
			}
			if keep {
				cpu[i] = append(cpu[i], (processTime(b, c.cmd.Process.Pid)-before)*1e6/requests)
			}
			client.conn.Close()
		}
	}
	round(false)
	for b.Loop() {
		round(true)
	}
	b.ReportMetric(0, "ns/op")
	base := 0
	for i, s := range sites {
		b.ReportMetric(median(cpu[i]), s.name+"-µs/req")
		if s.base {
			base = i
		} else {
			ratios := make([]float64, len(cpu[i]))
			for j := range ratios {
				ratios[j] = cpu[i][j] / cpu[base][j]
			}
			b.ReportMetric(median(ratios), s.name+"-×")
			b.ReportMetric(median(wall[i])-median(wall[base]), s.name+"-ms")
		}
	}
}

// withToken returns a page with a number of this answer's in its head and in the middle.
func withToken(page []byte, n uint64) []byte {
	out := page
	for i, at := range []string{"<meta", "<div"} {
		from := i * len(page) / 2
		if k := bytes.Index(out[from:], []byte(at)); k >= 0 {
			from += k
			out = slices.Concat(out[:from], []byte(fmt.Sprintf(`<meta name="token" content="%016x">`, n*0x9e3779b97f4a7c15)), out[from:])
		}
	}
	return out
}

// pageOfSize returns the saved page in UTF-8 whose size is nearest to that.
func pageOfSize(t testing.TB, size int) []byte {
	var best []byte
	distance := func(p []byte) int { return max(len(p)-size, size-len(p)) }
	for _, p := range shared.Pages(t) {
		if strings.EqualFold(p.Charset, "utf-8") && (best == nil || distance(p.Body) < distance(best)) {
			best = p.Body
		}
	}
	return best
}

// processTime returns the CPU time of a process in seconds, from the kernel's nanosecond counters
// of its threads.
func processTime(t testing.TB, pid int) float64 {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tasks, err := os.ReadDir(dir)
	if err != nil {
		t.Skip("no /proc: the CPU time of a process is not known here")
	}
	total := 0.0
	for _, task := range tasks {
		text, err := os.ReadFile(dir + "/" + task.Name() + "/schedstat")
		if err != nil {
			continue // the thread has ended
		}
		ns, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseFloat(ns, 64)
		total += n / 1e9
	}
	return total
}

func median(v []float64) float64 {
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return s[len(s)/2]
}

// keepAlive is one connection on which requests follow each other.
type keepAlive struct {
	t    testing.TB
	conn net.Conn
	tr   *http.Transport
	url  string
}

func dialKeepAlive(t testing.TB, addr string) *keepAlive {
	k := &keepAlive{t: t, url: "http://" + addr}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	k.conn = conn
	k.tr = &http.Transport{DisableCompression: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	return k
}

func (k *keepAlive) get(path, cookie string, gzip bool) {
	r, err := http.NewRequest("GET", k.url+path, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	r.Host = "shop.example"
	if cookie != "" {
		r.Header.Set("Cookie", "consent="+cookie)
	}
	if gzip {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	resp, err := k.tr.RoundTrip(r)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n == 0 || resp.StatusCode != 200 {
		k.t.Fatalf("status %d, %d bytes, %v", resp.StatusCode, n, err)
	}
}
