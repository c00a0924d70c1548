package caddymodule

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"sort"
	"strings"

	"golang.org/x/text/language"

	"github.com/caddy-consent/caddy-consent/rules"
)

//go:embed policy.html
var policyHTML string

var policyTemplate = template.Must(template.New("policy").Funcs(template.FuncMap{"span": spanText}).Parse(policyHTML))

// policyTexts are the words of the page in one language; facts of the catalogue that are not
// translated stand in English, marked as such.
type policyTexts struct {
	Title, Languages, Intro, Withdraw, None                                         string
	Category, Vendor, Purpose, Data, Transfers, LegalBasis, Hosts, Cookie, Lifetime string
	Names                                                                           map[string]string
}

var policyLanguages = rules.ProfileLanguages

var policyMatcher = language.NewMatcher([]language.Tag{language.English, language.French, language.German, language.Spanish})

var policyWords = map[string]policyTexts{
	"en": {"Cookies and services of third parties", "Languages", "These services of other companies are part of this site. Each is loaded, and its cookies are set, only once you allow its category.",
		"Change or withdraw your choice", "This site has not listed any service.", "Category", "Provider", "Purpose", "Data", "Transfers to third countries", "Legal basis", "Servers", "Cookie", "Lifetime",
		map[string]string{"necessary": "necessary", "preferences": "preferences", "statistics": "statistics", "marketing": "marketing"}},
	"fr": {"Cookies et services de tiers", "Langues", "Ces services d’autres entreprises font partie de ce site. Chacun n’est chargé, et ses cookies ne sont déposés, qu’une fois sa catégorie acceptée.",
		"Modifier ou retirer votre choix", "Ce site n’a déclaré aucun service.", "Catégorie", "Fournisseur", "Finalité", "Données", "Transferts hors de l’Union européenne", "Base légale", "Serveurs", "Cookie", "Durée",
		map[string]string{"necessary": "nécessaires", "preferences": "préférences", "statistics": "statistiques", "marketing": "marketing"}},
	"de": {"Cookies und Dienste Dritter", "Sprachen", "Diese Dienste anderer Unternehmen sind Teil dieser Website. Jeder wird erst geladen, und seine Cookies werden erst gesetzt, wenn Sie seine Kategorie erlauben.",
		"Auswahl ändern oder widerrufen", "Diese Website hat keinen Dienst angegeben.", "Kategorie", "Anbieter", "Zweck", "Daten", "Übermittlung in Drittländer", "Rechtsgrundlage", "Server", "Cookie", "Laufzeit",
		map[string]string{"necessary": "notwendig", "preferences": "Präferenzen", "statistics": "Statistik", "marketing": "Marketing"}},
	"es": {"Cookies y servicios de terceros", "Idiomas", "Estos servicios de otras empresas forman parte de este sitio. Cada uno se carga, y sus cookies se instalan, solo cuando usted permite su categoría.",
		"Cambiar o retirar su elección", "Este sitio no ha declarado ningún servicio.", "Categoría", "Proveedor", "Finalidad", "Datos", "Transferencias a terceros países", "Base jurídica", "Servidores", "Cookie", "Duración",
		map[string]string{"necessary": "necesarias", "preferences": "preferencias", "statistics": "estadísticas", "marketing": "marketing"}},
}

// spans are the words of a lifetime in each language: of one and of several for each unit, then those
// for lifetimes without a number.
var spans = map[string]map[string]string{
	"en": {"s": "second|seconds", "m": "minute|minutes", "h": "hour|hours", "d": "day|days", "w": "week|weeks", "mo": "month|months", "y": "year|years",
		"session": "until the browser is closed", "persistent": "unlimited", "varies": "varies"},
	"fr": {"s": "seconde|secondes", "m": "minute|minutes", "h": "heure|heures", "d": "jour|jours", "w": "semaine|semaines", "mo": "mois|mois", "y": "an|ans",
		"session": "jusqu’à la fermeture du navigateur", "persistent": "illimitée", "varies": "variable"},
	"de": {"s": "Sekunde|Sekunden", "m": "Minute|Minuten", "h": "Stunde|Stunden", "d": "Tag|Tage", "w": "Woche|Wochen", "mo": "Monat|Monate", "y": "Jahr|Jahre",
		"session": "bis der Browser geschlossen wird", "persistent": "unbegrenzt", "varies": "unterschiedlich"},
	"es": {"s": "segundo|segundos", "m": "minuto|minutos", "h": "hora|horas", "d": "día|días", "w": "semana|semanas", "mo": "mes|meses", "y": "año|años",
		"session": "hasta que se cierra el navegador", "persistent": "ilimitada", "varies": "variable"},
}

// spanText says a lifetime of the catalogue's, such as 13mo, in a language. What is written in another
// way stays as it is.
func spanText(lang, lifetime string) string {
	words := spans[lang]
	if text, ok := words[lifetime]; ok && !strings.Contains(text, "|") {
		return text
	}
	unit := strings.TrimLeft(lifetime, "0123456789")
	one, several, ok := strings.Cut(words[unit], "|")
	n := strings.TrimSuffix(lifetime, unit)
	switch {
	case !ok || n == "":
		return lifetime
	case n == "1":
		return "1\u00a0" + one
	}
	return n + "\u00a0" + several
}

// declared returns what is known of the services that the configuration names, by category as the site
// has set it. Entries of the site's own catalogue files override the catalogue's.
func (h *Handler) declared(lang string) []facts {
	cat := h.site().Catalogue()
	out := make([]facts, 0, len(h.Services))
	for id, category := range h.Services {
		if s, ok := cat.Service(id); ok {
			f := serviceFacts(cat, s, lang)
			f.Categories, f.Source, f.Paths = []string{category}, "", nil
			out = append(out, f)
		}
	}
	sort.Slice(out, func(i, k int) bool { return out[i].ID < out[k].ID })
	return out
}

// servePolicy serves what a cookie policy needs: as a page in the visitor's language, or as JSON.
func (h *Handler) servePolicy(w http.ResponseWriter, r *http.Request, page *rules.Page, asJSON bool) error {
	head := w.Header()
	head.Set("Cache-Control", "no-cache")
	lang := r.URL.Query().Get("lang")
	if _, ok := policyWords[lang]; !ok {
		_, i := language.MatchStrings(policyMatcher, r.Header.Get("Accept-Language"))
		lang = policyLanguages[i]
	}
	head.Set("Vary", "Accept-Language")
	head.Set("Content-Language", lang)
	services := h.declared(lang)
	if asJSON {
		head.Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(struct {
			Host     string  `json:"host"`
			Revision string  `json:"policy_revision"`
			Withdraw string  `json:"withdraw"`
			Services []facts `json:"services"`
		}{page.Host(), h.Revision, h.Endpoint + "/", services})
	}
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return policyTemplate.Execute(w, struct {
		Lang, Host, Choose string
		T                  policyTexts
		Languages          []string
		Services           []facts
	}{lang, page.Host(), h.Endpoint + "/", policyWords[lang], policyLanguages, services})
}
