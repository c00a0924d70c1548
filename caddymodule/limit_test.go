package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"
	"unsafe"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1764000000, 0)
	l := newLimiter("test", rate{10, 20}, rate{1, 5})
	l.now = func() time.Time { return now }
	net := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	takes := func(p netip.Prefix) (n int) {
		for l.take(p) == 0 {
			n++
		}
		return n
	}
	if n := takes(net("192.0.2.0/24")); n != 5 {
		t.Errorf("a network may post %d times at once, want 5", n)
	}
	if wait := l.take(net("192.0.2.0/24")); wait != time.Second {
		t.Errorf("it is to wait %v", wait)
	}
	if n := takes(net("198.51.100.0/24")); n != 5 {
		t.Errorf("another network may post %d times, want 5", n)
	}
	now = now.Add(3 * time.Second)
	if n := takes(net("192.0.2.0/24")); n != 3 {
		t.Errorf("after three seconds %d more, want 3", n)
	}
	now = now.Add(time.Hour)
	all := 0
	for i := range byte(40) {
		all += takes(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, i, 0}), 24))
	}
	if all != 20 {
		t.Errorf("all together may post %d times at once, want 20", all)
	}
	if size := unsafe.Sizeof(*l); size > 256<<10 {
		t.Errorf("the table takes %d bytes", size)
	}
}

func TestNetworkMasksTheAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.17:1234":          "192.0.2.0/24",
		"[2001:db8:1:2:3::4]:1234": "2001:db8:1::/48",
		"[::ffff:192.0.2.17]:1234": "192.0.2.0/24",
		"[fe80::1%eth0]:1234":      "fe80::/48",
		"@":                        "invalid Prefix",
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = remote
		if got := network(r).String(); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

// Who posts choices without end gets 429 and when to come back, and stays able to read the page.
func TestTooManyChoices(t *testing.T) {
	old := choiceLimit
	defer func() { choiceLimit = old }()
	choiceLimit = newLimiter("choice", rate{100, 100}, rate{.1, 3})
	s := newSite(t, &Handler{}, nil)
	form := url.Values{"decision": {"reject_all"}}
	for range 3 {
		if a := s.post(t, form); a.StatusCode != 303 {
			t.Fatalf("got %d", a.StatusCode)
		}
	}
	a := s.post(t, form)
	if a.StatusCode != 429 || a.Header.Get("Retry-After") != "10" || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("got %d, Retry-After %q", a.StatusCode, a.Header.Get("Retry-After"))
	}
	if a := s.get(t, "GET /.consent/"); a.StatusCode != 200 {
		t.Errorf("the page answers %d", a.StatusCode)
	}
	if n := s.h.counters.snapshot(); n.Limited["choice"] != 1 || n.Choices["reject_all"] != 3 {
		t.Errorf("%+v", n)
	}
}
