package caddymodule

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-consent/caddy-consent/rules"
)

// catalogueFile writes a file with one service of that category on widget.example.
func catalogueFile(t testing.TB, dir, name, category string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	text := "- id: widget\n  name: Widget\n  category: " + category + "\n  hosts: [widget.example]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// provision sets a handler up as a configuration does; cleanup is left to the caller.
func provision(t testing.TB, a *App, h *Handler) *Handler {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if a.logger == nil {
		a.logger = caddy.Log()
	}
	h.app = a
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

func pooled() (n int) {
	catalogues.Range(func(any, any) bool { n++; return true })
	return n
}

// Sites with equal files share one compiled catalogue, wherever the files stand, and the last one
// to end frees it, however often it is cleaned up.
func TestSitesShareOneCatalogue(t *testing.T) {
	a := new(App)
	one := catalogueFile(t, t.TempDir(), "a.yaml", "statistics")
	two := catalogueFile(t, t.TempDir(), "b.yaml", "statistics")
	other := catalogueFile(t, t.TempDir(), "c.yaml", "marketing")
	h1, h2, h3 := provision(t, a, &Handler{Catalogue: []string{one}}), provision(t, a, &Handler{Catalogue: []string{two}}), provision(t, a, &Handler{Catalogue: []string{other}})
	plain1, plain2 := provision(t, a, &Handler{}), provision(t, a, &Handler{})
	if h1.site().Catalogue() != h2.site().Catalogue() || h1.site().Catalogue() == h3.site().Catalogue() || plain1.site().Catalogue() != plain2.site().Catalogue() {
		t.Error("equal catalogues are compiled twice, or different ones are taken for one")
	}
	if n := pooled(); n != 2 {
		t.Errorf("%d catalogues are kept, want 2", n)
	}
	for range 2 {
		if err := h1.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if n := pooled(); n != 2 {
		t.Errorf("a second cleanup takes a catalogue from another site: %d are kept", n)
	}
	for _, h := range []*Handler{h2, h3, plain1, plain2, new(Handler), {Config: "x"}} {
		if err := h.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if n := pooled(); n != 0 {
		t.Errorf("%d catalogues are kept after the last site", n)
	}
	if h1.site().For(rules.Grants{}) == nil {
		t.Error("a response that outlives its configuration has no rules")
	}
}

// A configuration that fails half-way lets go of what it had.
func TestFailedConfigurationKeepsNoCatalogue(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	file := catalogueFile(t, t.TempDir(), "a.yaml", "statistics")
	h := &Handler{Catalogue: []string{file}, Services: map[string]string{"no-such-service": "marketing"}}
	if err := h.Provision(ctx); err == nil {
		t.Fatal("an unknown service is taken")
	}
	_ = h.Cleanup()
	if n := pooled(); n != 0 {
		t.Errorf("%d catalogues are kept", n)
	}
}

// Reloading swaps the rules of all sites or of none, and a policy that is in use stays.
func TestReloadIsForAllSitesOrNone(t *testing.T) {
	a := new(App)
	dir := t.TempDir()
	one, two := catalogueFile(t, dir, "a.yaml", "statistics"), catalogueFile(t, dir, "b.yaml", "statistics")
	h1, h2, plain := provision(t, a, &Handler{Catalogue: []string{one}}), provision(t, a, &Handler{Catalogue: []string{two}}), provision(t, a, &Handler{})
	defer func() { _, _, _ = h1.Cleanup(), h2.Cleanup(), plain.Cleanup() }()
	category := func(p *rules.Policy) string {
		return p.Decide(rules.Resource{Kind: rules.KindScript, URL: "https://widget.example/x.js", Page: rules.NewPage("https", "shop.example")}).Categories.String()
	}
	running := h1.site().For(rules.Grants{})
	catalogueFile(t, dir, "a.yaml", "marketing")
	if err := os.WriteFile(two, []byte("- id: widget\n  category: marketing\n  host: [widget.example]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.reload(); err == nil || !strings.Contains(err.Error(), `b.yaml:3: unknown key "host", did you mean "hosts"?`) {
		t.Fatalf("got %v", err)
	}
	if category(h1.site().For(rules.Grants{})) != "statistics" || pooled() != 1 {
		t.Error("one site has changed although another's file is broken")
	}
	catalogueFile(t, dir, "b.yaml", "preferences")
	if n, err := a.reload(); err != nil || n != 2 {
		t.Fatalf("%d %v", n, err)
	}
	if got := [3]string{category(h1.site().For(rules.Grants{})), category(h2.site().For(rules.Grants{})), category(running)}; got != [3]string{"marketing", "preferences", "statistics"} {
		t.Errorf("got %q: new, new, and that of the running response", got)
	}
	if n, err := a.reload(); err != nil || n != 0 || pooled() != 2 {
		t.Errorf("nothing has changed, but %d sites do (%v), and %d catalogues are kept", n, err, pooled())
	}
	_ = h1.Cleanup()
	catalogueFile(t, dir, "a.yaml", "statistics")
	if _, err := a.reload(); err != nil || pooled() != 1 {
		t.Errorf("a site that has ended takes a catalogue again: %v, %d are kept", err, pooled())
	}
}

// Memory is back where it was after many reloads.
func TestMemoryReturnsAfterReloads(t *testing.T) {
	dir := t.TempDir()
	cycle := func(i int) {
		a := new(App)
		h := provision(t, a, &Handler{Catalogue: []string{catalogueFile(t, dir, "a.yaml", []string{"statistics", "marketing"}[i%2])}})
		catalogueFile(t, dir, "a.yaml", "preferences")
		if n, err := a.reload(); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		_ = h.Cleanup()
	}
	heap := func() uint64 {
		for range 3 {
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	cycle(0)
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range 6 {
		cycle(i)
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("the heap is %d KiB after 12 catalogues, %d before", after>>10, before>>10)
	}
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}

// The app in force is the last that has started and not stopped: a configuration that fails to
// start leaves the one before.
func TestAdminSpeaksOfTheRunningConfiguration(t *testing.T) {
	if currentApp() != nil {
		t.Fatal("an app is running")
	}
	old, fresh := &App{}, &App{}
	for _, step := range []struct {
		do   func() error
		want *App
	}{{old.Start, old}, {fresh.Start, fresh}, {fresh.Stop, old}, {fresh.Start, fresh}, {old.Stop, fresh}, {fresh.Stop, nil}, {fresh.Stop, nil}} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := currentApp(); got != step.want {
			t.Fatalf("another app is in force after %v", step)
		}
	}
}
