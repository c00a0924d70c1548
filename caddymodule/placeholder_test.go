package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

func TestPlaceholdersSpeakTheLanguageOfTheSitesManager(t *testing.T) {
	h := &Handler{Placeholder: &Placeholder{Manager: "onetrust", Map: map[string]string{"youtube": "V7"}}}
	s := newSite(t, h, respond(200, `<!DOCTYPE html><iframe src="https://www.youtube.com/embed/x"></iframe>`, html))
	if a := s.get(t, "GET /"); !strings.Contains(a.body, `<iframe class="optanon-category-V7"`) || !strings.Contains(a.body, ` data-src="https://www.youtube.com/embed/x"`) {
		t.Error(a.body)
	}
}

// The site's own placeholders stay for the managers that the configuration names and for those whose
// script was seen on the site's pages, from the page after on.
func TestThePlaceholdersThatTheSiteWroteStayForItsManager(t *testing.T) {
	const own = `<iframe data-name="video" data-src="https://www.youtube.com/embed/x"></iframe>`
	const usercentrics = `<iframe data-usercentrics="YouTube Video" data-src="https://www.youtube.com/embed/x"></iframe>`
	const klaro = `<script src="/js/klaro.js"></script>`
	for _, tt := range []struct {
		name          string
		h             Handler
		page          string
		first, second bool // the placeholder is as it was
	}{
		{"no manager is known", Handler{}, own, false, false},
		{"its script stands on the page", Handler{}, klaro + own, false, true},
		{"its script stands on the page, and any manager may grant", Handler{Read: []ReadSource{{Manager: "auto"}}}, klaro + own, false, true},
		{"the script of another", Handler{}, `<script src="https://consent.cookiebot.com/uc.js"></script>` + own, false, false},
		{"the configuration names it", Handler{Read: []ReadSource{{Manager: "klaro"}}}, own, true, true},
		{"the configuration names another", Handler{Read: []ReadSource{{Manager: "onetrust"}}}, klaro + own, false, false},
		{"it revives what is blocked too", Handler{Placeholder: &Placeholder{Manager: "klaro"}}, own, true, true},
		{"a manager that the bridge listens to", Handler{Bridge: "on"}, usercentrics, true, true},
		{"one that it would listen to", Handler{}, usercentrics, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, &tt.h, respond(200, `<!DOCTYPE html>`+tt.page, html))
			for i, want := range []bool{tt.first, tt.second} {
				if a := s.get(t, "GET /"); strings.Contains(a.body, tt.page) != want {
					t.Errorf("page %d: as it was: %v, want %v: %s", i+1, !want, want, a.body)
				}
			}
		})
	}
}

// Of many pages some are looked at, so that a manager that comes later is found as well.
func TestAManagerThatComesLaterIsFound(t *testing.T) {
	page := `<!DOCTYPE html><p>`
	s := newSite(t, new(Handler), func(w http.ResponseWriter, r *http.Request) error { return respond(200, page, html)(w, r) })
	for range 100 {
		s.get(t, "GET /")
	}
	page = `<!DOCTYPE html><script src="/js/klaro.js"></script><iframe data-name="video" data-src="https://www.youtube.com/embed/x"></iframe>`
	for range 200 {
		if a := s.get(t, "GET /"); strings.Contains(a.body, page) {
			return
		}
	}
	t.Error("never")
}
