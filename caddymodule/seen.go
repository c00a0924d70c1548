package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-consent/caddy-consent/rules"
)

// Bounds of the unknown hosts that a site remembers, since pages say what they are: their number, and
// the length of one in bytes (RFC 1035, 2.3.4).
const (
	maxSeenHosts = 256
	maxSeenHost  = 253
)

// seen is what a site's pages referred to since its configuration was loaded, and that a line of
// configuration could settle: services that were blocked, and hosts that no rule knows.
type seen struct {
	mu       sync.Mutex
	services map[string]*seenCount
	hosts    map[string]*seenCount
	more     bool // there were more unknown hosts
}

type seenCount struct {
	categories rules.Set // that what was seen needs
	responses  uint64
}

func newSeen() *seen {
	return &seen{services: make(map[string]*seenCount), hosts: make(map[string]*seenCount)}
}

// note counts the resources of one response.
func (s *seen) note(list resourceList) {
	if len(list) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		r := &list[i]
		in, key := s.services, r.service
		if key == "" {
			if r.host == "" || len(r.host) > maxSeenHost || r.rule != "unclassified" {
				continue // a line of the configuration has settled it, or nothing could
			}
			in, key = s.hosts, r.host
		}
		before := slices.ContainsFunc(list[:i], func(b loggedResource) bool {
			return b.service == r.service && (r.service != "" || b.host == r.host)
		})
		c := in[key]
		if c == nil {
			if r.service == "" && len(s.hosts) >= maxSeenHosts {
				s.more = true
				continue
			}
			c = new(seenCount)
			in[strings.Clone(key)] = c
		}
		c.categories |= r.categories
		if !before {
			c.responses++
		}
	}
}

// seenSite is a site in the answer of GET /consent/seen.
type seenSite struct {
	Name   string        `json:"name,omitempty"`
	Places []place       `json:"places"`
	Found  []seenService `json:"services"` // the most frequent first
	Hosts  []seenHost    `json:"unknown_hosts"`
	More   bool          `json:"more_unknown_hosts,omitempty"`
}

// seenService is a service that pages refer to. Line declares it: the cookie policy then lists it.
type seenService struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Category  string `json:"category"`
	Responses uint64 `json:"responses"`
	Declared  bool   `json:"declared"`
	Line      string `json:"line,omitempty"`
}

// seenHost is a host that no rule knows; one of the lines settles it.
type seenHost struct {
	Host      string   `json:"host"`
	Responses uint64   `json:"responses"`
	Lines     []string `json:"lines"`
}

// seenView says what a site's pages referred to, and the lines to add.
func (h *Handler) seenView() seenSite {
	v := seenSite{Found: []seenService{}, Hosts: []seenHost{}}
	cat := h.site().Catalogue()
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	v.More = h.seen.more
	for id, c := range h.seen.services {
		s, ok := cat.Service(id)
		if !ok {
			continue // a reloaded catalogue has it no more
		}
		f := seenService{ID: id, Name: s.Name, Category: c.categories.String(), Responses: c.responses}
		if _, f.Declared = h.Services[id]; !f.Declared {
			f.Line = "service " + id + " " + strictest(s.Categories|c.categories)
		}
		v.Found = append(v.Found, f)
	}
	for host, c := range h.seen.hosts {
		lines := []string{"allow " + host, "block <category> " + host}
		if rules.IsPublicSuffix(host) {
			lines = []string{} // anybody can have a host there, so that no line can name it
		}
		v.Hosts = append(v.Hosts, seenHost{host, c.responses, lines})
	}
	slices.SortFunc(v.Found, func(a, b seenService) int {
		return cmp.Or(cmp.Compare(b.Responses, a.Responses), strings.Compare(a.ID, b.ID))
	})
	slices.SortFunc(v.Hosts, func(a, b seenHost) int {
		return cmp.Or(cmp.Compare(b.Responses, a.Responses), strings.Compare(a.Host, b.Host))
	})
	return v
}

// strictest is the one category that a service line names so that nothing of the service opens
// earlier than without it.
func strictest(s rules.Set) string {
	names := (s | rules.SetOf(rules.Necessary)).Names()
	return names[len(names)-1]
}

// seen answers GET /consent/seen.
func (adminAPI) seen(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return apiError(http.StatusMethodNotAllowed, errors.New("method not allowed: use GET"))
	}
	out := seenAnswer{Sites: []seenSite{}}
	if a := currentApp(); a != nil {
		out.Since = a.since.UTC()
		places := a.places()
		for _, h := range a.list() {
			v := h.seenView()
			if v.Name, v.Places = h.name, places[h]; v.Places == nil {
				v.Places = []place{}
			}
			out.Sites = append(out.Sites, v)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "\t")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

type seenAnswer struct {
	Since time.Time  `json:"since"`
	Sites []seenSite `json:"sites"`
}

// seenCommand is `caddy consent seen`.
func seenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "seen [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Lists what the pages referred to, with the lines that settle it",
		Long: `
Asks the running process which services of the catalogue, and which hosts that
no rule knows, its pages have referred to since the configuration was loaded,
and prints the line of configuration for each that is not declared yet. What
is declared stands in the cookie policy, {endpoint}/policy.`,
		Args: cobra.NoArgs,
		RunE: caddycmd.WrapCommandFuncForCobra(cmdSeen),
	}
	adminFlags(cmd)
	return cmd
}

func cmdSeen(fs caddycmd.Flags) (int, error) {
	var out seenAnswer
	if err := askAdmin(fs, http.MethodGet, "/consent/seen", &out); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	printSeen(os.Stdout, out)
	return caddy.ExitCodeSuccess, nil
}

func printSeen(w io.Writer, out seenAnswer) {
	for _, s := range out.Sites {
		var where []string
		for _, p := range s.Places {
			where = append(where, cmp.Or(strings.Join(p.Hosts, " "), p.Server))
		}
		fmt.Fprintf(w, "# %s, since %s UTC\n", cmp.Or(s.Name, strings.Join(where, ", "), "a site"), out.Since.Format(time.DateTime))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, f := range s.Found {
			if f.Declared {
				fmt.Fprintf(t, "# service %s\t# declared; responses: %d\n", f.ID, f.Responses)
				continue
			}
			fmt.Fprintf(t, "%s\t# %s; responses: %d\n", f.Line, f.Name, f.Responses)
		}
		for _, h := range s.Hosts {
			fmt.Fprintf(t, "# %s\t# no rule knows it; responses: %d\n", cmp.Or(strings.Join(h.Lines, ", or "), h.Host), h.Responses)
		}
		t.Flush()
		if s.More {
			fmt.Fprintf(w, "# and more hosts that no rule knows\n")
		}
		if len(s.Found)+len(s.Hosts) == 0 {
			fmt.Fprintln(w, "# nothing yet")
		}
	}
	if len(out.Sites) == 0 {
		fmt.Fprintln(w, "# no site with consent is running")
	}
}
