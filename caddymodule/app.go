package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-consent/caddy-consent/rules"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what the sites of one configuration share: named configurations, which the handler
// and the matcher `consent` refer to by name, and the list of all sites, which the admin API
// shows. It needs no configuration of its own.
type App struct {
	// Configurations are options of the handler under a name: letters, digits, dashes and
	// underscores.
	Configurations map[string]*Handler `json:"configurations,omitempty"`

	ctx    caddy.Context
	logger *zap.Logger
	since  time.Time

	mu           sync.Mutex // guards what follows
	sites        []*Handler
	plainMatcher bool // a matcher reads the default cookie

	reloading sync.Mutex
}

// running are the apps that have started and not stopped; while one configuration replaces
// another there are two, and the last is the one in force.
var running struct {
	sync.Mutex
	apps []*App
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "consent", New: func() caddy.Module { return new(App) }}
}

// Provision sets up the named configurations.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	for _, name := range a.names() {
		h := a.Configurations[name]
		if err := checkName(name); err != nil {
			return err
		}
		if h == nil {
			return fmt.Errorf("configuration %q is empty", name)
		}
		if h.Config != "" {
			return fmt.Errorf("configuration %q: config: a configuration cannot refer to another", name)
		}
		h.app, h.name = a, name
		if err := h.Provision(ctx); err != nil {
			return fmt.Errorf("configuration %q: %w", name, err)
		}
	}
	return nil
}

// Validate checks the named configurations.
func (a *App) Validate() error {
	var errs []error
	for _, name := range a.names() {
		if err := a.Configurations[name].Validate(); err != nil {
			errs = append(errs, fmt.Errorf("configuration %q: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Start makes the app the one that the admin API speaks of.
func (a *App) Start() error {
	a.since = time.Now()
	a.warnOfCookieNames()
	running.Lock()
	defer running.Unlock()
	running.apps = append(running.apps, a)
	return nil
}

// Stop takes the app out of the admin API.
func (a *App) Stop() error {
	running.Lock()
	defer running.Unlock()
	running.apps = slices.DeleteFunc(running.apps, func(b *App) bool { return a == b })
	return nil
}

// Cleanup ends what the named configurations hold. It may be called more than once.
func (a *App) Cleanup() error {
	for _, h := range a.Configurations {
		if h != nil {
			_ = h.Cleanup()
		}
	}
	return nil
}

// currentApp returns the app of the configuration in force, nil if none has started.
func currentApp() *App {
	running.Lock()
	defer running.Unlock()
	if n := len(running.apps); n > 0 {
		return running.apps[n-1]
	}
	return nil
}

// names lists the named configurations in order.
func (a *App) names() []string {
	names := make([]string, 0, len(a.Configurations))
	for name := range a.Configurations {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// configuration returns the named one; the error of an unknown name says the nearest.
func (a *App) configuration(name string) (*Handler, error) {
	if h, ok := a.Configurations[name]; ok {
		return h, nil
	}
	return nil, unknownConfiguration(name, a.names())
}

func unknownConfiguration(name string, valid []string) error {
	hint := rules.DidYouMean(name, valid)
	if hint == "" {
		hint = "; define it with the global option: consent " + name + " { … }"
	}
	return fmt.Errorf("no consent configuration has the name %q%s", name, hint)
}

// checkName refuses what could be taken for something else where it is used.
func checkName(name string) error {
	if !isRevision(name) {
		return fmt.Errorf("configuration name %q: use up to 64 letters, digits, dashes and underscores", name)
	}
	if near := rules.Nearest(name, categoryWords); near != "" {
		return fmt.Errorf("configuration name %q is too near to the category %s", name, near)
	}
	return nil
}

var categoryWords = func() (words []string) {
	for _, c := range rules.Categories {
		words = append(words, c.String())
	}
	return words
}()

// add puts a site on the list, which is what the admin API shows and reloads.
func (a *App) add(h *Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sites = append(a.sites, h)
}

func (a *App) list() []*Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sites)
}

// warnOfCookieNames says when a matcher reads a cookie that no site writes.
func (a *App) warnOfCookieNames() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.sites {
		if a.plainMatcher && h.CookieName != defaultCookieName {
			a.logger.Warn("a matcher without a configuration's name reads the cookie \""+defaultCookieName+"\", but a site uses another: give both one name",
				zap.String("cookie_name", h.CookieName))
			return
		}
	}
}

// refer resolves a handler that only names a configuration.
func (h *Handler) refer() (err error) {
	alone, _ := json.Marshal(&Handler{Config: h.Config})
	if mine, _ := json.Marshal(h); string(mine) != string(alone) {
		return fmt.Errorf("config %s: options stand in the named configuration, not beside its name", h.Config)
	}
	if h.app == nil {
		return errors.New("config: there is no consent app to look the name up in")
	}
	h.shared, err = h.app.configuration(h.Config)
	return err
}

// reload reads the catalogue files of all sites again and puts what they say into force, for all
// sites or, if one file is broken, for none.
func (a *App) reload() (changed int, err error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	sites := a.list()
	fresh := make([]*ruleset, len(sites))
	var errs []error
	for i, h := range sites {
		if len(h.Catalogue) == 0 {
			continue
		}
		if fresh[i], err = newRuleset(h.Catalogue, h.siteConfig); err != nil && !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		for _, rs := range fresh {
			if rs != nil {
				rs.key.release()
			}
		}
		return 0, errors.Join(errs...)
	}
	for i, rs := range fresh {
		if rs == nil {
			continue
		}
		if rs.key == sites[i].live.current.Load().key {
			rs.key.release()
			continue
		}
		changed++
		sites[i].live.swap(rs)
	}
	a.logger.Info("catalogue files are read again", zap.Int("sites", len(sites)), zap.Int("changed", changed), zap.Strings("catalogues", versions(sites)))
	return changed, nil
}

// versions lists the catalogues in use, each once.
func versions(sites []*Handler) (out []string) {
	for _, h := range sites {
		if v := h.site().Catalogue().Version(); !contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
