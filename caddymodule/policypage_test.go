package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCookiePolicy(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.yaml")
	text := "- id: our-widget\n  name: \"Our <widget>\"\n  category: preferences\n  hosts: [widget.example]\n  cookies:\n    - {name: wid, domain: widget.example, lifetime: 1y, purpose: \"keeps <b>open</b>\"}\n"
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, &Handler{Catalogue: []string{own}, Services: map[string]string{"aircall": "preferences", "google-analytics": "statistics", "our-widget": "statistics"}}, respond(200, doc, html))
	for _, tt := range []struct {
		name, path, accept string
		want               []string
	}{
		{"in English", "/.consent/policy", "", []string{`lang="en"`, "Aircall", "auth_token", "Our &lt;widget&gt;", "keeps &lt;b&gt;open", "statistics", `href="/.consent/"`, "Standard Contractual Clauses"}},
		{"in the browser's language", "/.consent/policy", "pt, de-AT;q=0.8, en;q=0.5", []string{`lang="de"`, "Cookies und Dienste Dritter", "Laufzeit", "Statistik", "Cloud-Telefonie", "Bot-Erkennung von Cloudflare", "30\u00a0Minuten", "bis der Browser geschlossen wird", `<dd lang="en">Web analytics`}},
		{"in French", "/.consent/policy?lang=fr", "de", []string{`lang="fr"`, "Finalité", "préférences", "clauses contractuelles types"}},
		{"in Spanish", "/.consent/policy?lang=es", "", []string{`lang="es"`, "Duración", "<dd>Telefon"}},
		{"in a language that it has not", "/.consent/policy?lang=%22%3E", "ja", []string{`lang="en"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := s.get(t, "GET "+tt.path, "Accept-Language: "+tt.accept)
			for _, want := range tt.want {
				if !strings.Contains(a.body, want) {
					t.Errorf("lacks %s", want)
				}
			}
			if a.StatusCode != 200 || strings.Contains(a.body, "<widget>") || a.Header.Get("Content-Security-Policy") == "" {
				t.Errorf("status %d, %v", a.StatusCode, a.Header)
			}
		})
	}
	var got struct {
		Services []facts `json:"services"`
		Withdraw string  `json:"withdraw"`
	}
	a := s.get(t, "GET /.consent/policy.json")
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Services) != 3 || got.Services[0].Language != "en" || got.Services[0].ID != "aircall" || got.Services[2].Cookies[0].Lifetime != "1y" || got.Services[2].Categories[0] != "statistics" || got.Withdraw != "/.consent/" {
		t.Errorf("%v: %s", err, a.body)
	}
	if a := s.get(t, "GET /.consent/policy.json?lang=es"); !strings.Contains(a.body, `"language":"es"`) || !strings.Contains(a.body, `"lifetime":"1y"`) || a.Header.Get("Content-Language") != "es" {
		t.Errorf("JSON in Spanish: %s", a.body)
	}
	if a := newSite(t, &Handler{}, respond(200, doc, html)).get(t, "GET /.consent/policy"); !strings.Contains(a.body, "has not listed any service") {
		t.Error(a.body)
	}
}

func TestLifetimesInWords(t *testing.T) {
	for in, want := range map[string]string{"1y": "1\u00a0an", "13mo": "13\u00a0mois", "1d": "1\u00a0jour", "session": "jusqu’à la fermeture du navigateur", "2 years": "2 years", "": "", "y": "y", "5x": "5x", "7": "7"} {
		if got := spanText("fr", in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	for _, lang := range policyLanguages {
		if len(spans[lang]) != len(spans["en"]) {
			t.Errorf("%s lacks a word", lang)
		}
	}
}
