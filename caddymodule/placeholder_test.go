package caddymodule

import (
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
