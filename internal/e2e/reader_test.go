package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// readerImages are in an article: one whose address ends as that of an image, one whose does not, one in an attribute
// that means nothing.
var readerImages = []string{"<img src=U/x.jpg>", "<img src=U/x>", "<figure data-x=U/x.jpg></figure>"}

// Firefox's reader view shows what a page has put off: an image without src gets that of any attribute that ends as the
// name of an image does, a renamed one too. That is open; an image of another name stays blocked.
func TestReaderViewInFirefox(t *testing.T) {
	if firefox(t); !allInBrowser() {
		t.Skip("CONSENT_BROWSER=all opens the reader view")
	}
	text := strings.Repeat("<p>"+strings.Repeat("A long story, told in many words, with commas, is what a reader view takes for an article. ", 8)+"</p>", 8)
	var b strings.Builder
	b.WriteString("<!doctype html><title>A story</title><article><h1>A story</h1>" + text)
	for i, s := range readerImages {
		b.WriteString("<p>" + strings.ReplaceAll(s, "U", fmt.Sprintf("http://image%d.tracker.test", i)) + "</p>")
	}
	b.WriteString(text + "</article>")
	v := &vector{ID: "reader", Scope: "static", Body: []byte(b.String())}
	c := vectorSite(t, []*vector{v})
	for direct, want := range map[bool]string{true: "TLS to image0.tracker.test TLS to image1.tracker.test TLS to image2.tracker.test", false: "TLS to image0.tracker.test TLS to image2.tracker.test"} {
		f := startFirefox(t, c.addr("8080"))
		x := visit{direct: direct}.of(v)
		f.slots, f.open["1"] = 1, x
		f.first = "about:reader?url=http%3A%2F%2Fsite.test" + strings.ReplaceAll(strings.TrimSuffix(x.path(), "?0"), "/", "%2F")
		if err := f.begin(); err != nil {
			t.Fatal("starting Firefox: ", err)
		}
		got := ""
		for deadline := time.Now().Add(30 * time.Second); got != want && time.Now().Before(deadline); time.Sleep(time.Second) {
			f.mu.Lock()
			got = strings.Join(slices.Sorted(slices.Values(x.contacts)), " ")
			f.mu.Unlock()
		}
		time.Sleep(2 * time.Second)
		f.end()
		f.mu.Lock()
		if got = strings.Join(slices.Sorted(slices.Values(x.contacts)), " "); got != want {
			t.Errorf("not enforced %t: %s, want %s", direct, got, want)
		}
		f.mu.Unlock()
	}
}
