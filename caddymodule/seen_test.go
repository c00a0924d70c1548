package caddymodule

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSeenServicesAndTheirLines: what a page referred to comes back as the lines that settle it,
// and what is declared has none.
func TestSeenServicesAndTheirLines(t *testing.T) {
	page := `<script src="https://static.hotjar.com/c/hotjar-1.js"></script><script src="https://static.hotjar.com/c/hotjar-2.js"></script>
<iframe src="https://www.youtube.com/embed/x"></iframe><script src="https://x.nobody.example/a.js"></script>`
	s := newSite(t, &Handler{Services: map[string]string{"youtube": "preferences"}}, respond(200, page, html))
	s.get(t, "GET /")
	s.get(t, "GET /")
	v := s.h.seenView()
	got := fmt.Sprint(v.Found, v.Hosts)
	want := `[{hotjar Hotjar statistics 2 false service hotjar statistics} {youtube YouTube preferences 2 true }] [{x.nobody.example 2 [allow x.nobody.example block <category> x.nobody.example]}]`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	var b strings.Builder
	v.Places = []place{{Server: "srv0", Hosts: []string{"shop.example"}}}
	printSeen(&b, seenAnswer{Since: time.Unix(0, 0).UTC(), Sites: []seenSite{v}})
	for _, want := range []string{"# shop.example, since 1970-01-01 00:00:00 UTC\n", "service hotjar statistics ", "# Hotjar; responses: 2\n", "# service youtube", "# allow x.nobody.example, or block <category> x.nobody.example"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("printed without %q:\n%s", want, b.String())
		}
	}
}

// TestSeenLinesOpenNothing: the proposed line is never weaker than what blocked something of the service.
func TestSeenLinesOpenNothing(t *testing.T) {
	s := newSite(t, &Handler{}, respond(200, `<script src="https://kelkoogroup.net/a.js"></script><iframe src="https://player.vimeo.com/video/1"></iframe>`, html))
	s.get(t, "GET /")
	v := s.h.seenView()
	if len(v.Found) != 2 {
		t.Fatalf("%+v", v)
	}
	for _, f := range v.Found {
		own := newSite(t, &Handler{Services: map[string]string{f.ID: strings.Fields(f.Line)[2]}}, s.next)
		if a := own.get(t, "GET /"); strings.Count(a.body, "data-consent-src") != 2 {
			t.Errorf("%s opens something: %s", f.Line, a.body)
		}
	}
}

// TestSeenHostsAreBounded: a page with ever new hosts does not fill the memory.
func TestSeenHostsAreBounded(t *testing.T) {
	s := newSeen()
	for i := range 3 * maxSeenHosts {
		s.note(resourceList{{host: fmt.Sprintf("h%d.example", i), rule: "unclassified"}})
	}
	s.note(resourceList{{host: strings.Repeat("a", 300) + ".example", rule: "unclassified"}})
	if len(s.hosts) != maxSeenHosts || !s.more {
		t.Errorf("%d hosts are kept, more %v", len(s.hosts), s.more)
	}
}
