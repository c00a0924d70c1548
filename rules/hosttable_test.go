package rules

import (
	"strings"
	"testing"
	"unsafe"
)

func TestDomainsOfEveryLengthAreFound(t *testing.T) {
	var table hostTable[int]
	want := make(map[string]int)
	for n := range 80 {
		for _, c := range []string{"a", "b"} {
			host := strings.Repeat(c, n+1) + ".test"
			want[host] = len(want)
			if !table.set(host, want[host]) {
				t.Errorf("%s is there already", host)
			}
		}
	}
	for host, v := range table.all() {
		if want[host] != v {
			t.Errorf("%s has %d, want %d", host, v, want[host])
		}
		if got, ok := table.get(host); !ok || got != v {
			t.Errorf("%s is not found", host)
		}
		if _, ok := table.get(host[1:] + "x"); ok {
			t.Errorf("%sx is found", host[1:])
		}
		delete(want, host)
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}

func TestEntriesFitTheProcessorsCache(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("pointers are not of 64 bits")
	}
	if n := unsafe.Sizeof(hostEntry{}); n != 64 {
		t.Errorf("an entry has %d bytes, want one line of 64", n)
	}
	if n := unsafe.Sizeof(hostSlot[*hostEntry]{}); n != 32 {
		t.Errorf("a slot has %d bytes, want half a line", n)
	}
}
