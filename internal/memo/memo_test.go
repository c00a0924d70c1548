package memo

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func TestStringsSeenBeforeAreNotMadeAgain(t *testing.T) {
	var table Strings
	calls := 0
	lower := func(s string) string { calls++; return strings.ToLower(s) }
	for range 3 {
		if got := table.Of("", "CDN.Example", lower); got != "cdn.example" {
			t.Fatal(got)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls for one string", calls)
	}
	if got := table.Of("other", "CDN.Example", strings.ToUpper); got != "CDN.EXAMPLE" {
		t.Errorf("another function's result: %q", got)
	}
	if n := testing.AllocsPerRun(100, func() { table.Of("", "CDN.Example", lower) }); n != 0 {
		t.Errorf("%v allocations for a string that was seen", n)
	}
	long := strings.Repeat("X", Longest+1)
	for i := range 2 {
		if calls = 0; table.Of("", long, lower) != strings.ToLower(long) || calls != 1 {
			t.Errorf("long string, time %d: %d calls", i, calls)
		}
	}
}

// What is remembered is a copy: callers go on to change what they asked with.
func TestBuffersMayChange(t *testing.T) {
	var table Strings
	for i := range 2000 {
		buf := []byte("Host" + strconv.Itoa(i))
		want := strings.ToLower(string(buf))
		if got := table.Of("", unsafe.String(&buf[0], len(buf)), strings.ToLower); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
		copy(buf, "XXXX")
		if got := table.Of("", "Host"+strconv.Itoa(i), strings.ToLower); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	var table Strings
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 5000 {
				s := "HOST" + strconv.Itoa(i%700)
				if got := table.Of("", s, strings.ToLower); got != strings.ToLower(s) {
					t.Errorf("%q for %q", got, s)
					return
				}
			}
		})
	}
	wg.Wait()
}
