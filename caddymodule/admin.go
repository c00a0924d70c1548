package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-consent/caddy-consent/rules"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI adds to Caddy's admin API:
//
//	GET  /consent/        the sites, what is in force on them, and their counters
//	GET  /consent/seen    what their pages referred to, and the lines that settle it
//	POST /consent/reload  reads changed catalogue files
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.consent", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes returns the routes under /consent/.
func (a adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/consent/", Handler: caddy.AdminHandlerFunc(a.list)},
		{Pattern: "/consent/seen", Handler: caddy.AdminHandlerFunc(a.seen)},
		{Pattern: "/consent/reload", Handler: caddy.AdminHandlerFunc(a.reload)},
	}
}

func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// list answers GET /consent/.
func (adminAPI) list(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path != "/consent/" {
		return apiError(http.StatusNotFound, fmt.Errorf("there is no %s; use /consent/, /consent/seen or /consent/reload", r.URL.Path))
	}
	if r.Method != http.MethodGet {
		return apiError(http.StatusMethodNotAllowed, errors.New("method not allowed: use GET"))
	}
	out := overview{Sites: []siteView{}}
	if a := currentApp(); a != nil {
		out = a.overview()
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "\t")
	return enc.Encode(out)
}

// reload answers POST /consent/reload. A broken file changes nothing and is named with its line.
func (adminAPI) reload(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return apiError(http.StatusMethodNotAllowed, errors.New("method not allowed: use POST"))
	}
	a := currentApp()
	if a == nil {
		return apiError(http.StatusServiceUnavailable, errors.New("reloading catalogue files: no configuration with consent is running"))
	}
	changed, err := a.reload()
	if err != nil {
		return apiError(http.StatusUnprocessableEntity, fmt.Errorf("reloading catalogue files: nothing is changed: %w", err))
	}
	sites := a.list()
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]any{"sites": len(sites), "changed": changed, "catalogues": versions(sites)})
}

// overview is the answer of GET /consent/.
type overview struct {
	Since time.Time  `json:"since"` // when the configuration was loaded
	Sites []siteView `json:"sites"`
}

// siteView is one configuration of the directive.
type siteView struct {
	Name         string        `json:"name,omitempty"`
	Places       []place       `json:"places"` // where it stands
	Endpoint     string        `json:"endpoint"`
	CookieName   string        `json:"cookie_name"`
	Mode         string        `json:"mode"`
	Unclassified string        `json:"unclassified"`
	CSP          string        `json:"csp"`
	Revision     string        `json:"policy_revision"`
	Catalogue    catalogueView `json:"catalogue"`
	Counters     counts        `json:"counters"`
}

type catalogueView struct {
	Version string   `json:"version"`
	Files   []string `json:"files"`
	rules.Counts
}

// place is a server, and the host names that lead to the directive there; none for any host.
type place struct {
	Server string   `json:"server"`
	Hosts  []string `json:"hosts,omitempty"`
	Errors bool     `json:"errors,omitempty"` // among the routes for errors
}

func (a *App) overview() overview {
	out := overview{Since: a.since.UTC(), Sites: []siteView{}}
	places := a.places()
	for _, h := range a.list() {
		v := siteView{
			Name: h.name, Places: places[h], Endpoint: h.Endpoint, CookieName: h.CookieName, Mode: h.modeName(),
			Unclassified: h.Unclassified, CSP: h.CSP, Revision: h.Revision, Counters: h.counters.snapshot(),
		}
		if v.Unclassified == "" {
			v.Unclassified = rules.UnclassifiedWords[0]
		}
		if v.CSP == "" {
			v.CSP = cspWords[0]
		}
		if v.Places == nil {
			v.Places = []place{}
		}
		cat := h.site().Catalogue()
		v.Catalogue = catalogueView{Version: cat.Version(), Files: append([]string{}, h.Catalogue...), Counts: cat.Counts()}
		out.Sites = append(out.Sites, v)
	}
	return out
}

// places finds where in the http app each site stands.
func (a *App) places() map[*Handler][]place {
	found := make(map[*Handler][]place)
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return found
	}
	servers := app.(*caddyhttp.App).Servers
	names := make([]string, 0, len(servers))
	for name := range servers {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		walkRoutes(servers[name].Routes, nil, func(h *Handler, hosts []string) {
			found[h] = append(found[h], place{Server: name, Hosts: hosts})
		})
		if e := servers[name].Errors; e != nil {
			walkRoutes(e.Routes, nil, func(h *Handler, hosts []string) {
				found[h] = append(found[h], place{Server: name, Hosts: hosts, Errors: true})
			})
		}
	}
	return found
}

// walkRoutes calls f for every consent handler in routes, with the host names that the innermost
// host matcher on the way to it names.
func walkRoutes(routes caddyhttp.RouteList, hosts []string, f func(*Handler, []string)) {
	for i := range routes {
		hosts := hosts
		for _, set := range routes[i].MatcherSets {
			for _, m := range set {
				if mh, ok := m.(*caddyhttp.MatchHost); ok {
					hosts = *mh
				}
			}
		}
		for _, mh := range routes[i].Handlers {
			switch h := mh.(type) {
			case *Handler:
				if h.shared != nil {
					h = h.shared
				}
				f(h, hosts)
			case *caddyhttp.Subroute:
				walkRoutes(h.Routes, hosts, f)
			}
		}
	}
}

func (h *Handler) modeName() string {
	if h.shadow {
		return "shadow"
	}
	return "enforce"
}

// Interface guards
var _ caddy.AdminRouter = (*adminAPI)(nil)
