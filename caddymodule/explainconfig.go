package caddymodule

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// configured is a consent handler of a configuration file, with the host names that lead to it.
type configured struct {
	*Handler
	hosts []string
}

// configuredFor reads a configuration file and returns the handler that a page of host meets, with
// its hosts; how many there are for that host, since directives below path matchers are not told
// apart; the first counts. Without a host, a configuration with one site has that.
func configuredFor(file, adapter, host string) (c configured, fit int, err error) {
	config, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return c, 0, err
	}
	list, err := consentHandlers(config)
	if err != nil {
		return c, 0, fmt.Errorf("%s: %w", file, err)
	}
	if len(list) == 0 {
		return c, 0, fmt.Errorf("%s has no consent directive", file)
	}
	var named, anywhere []configured
	var hosts []string
	for _, c := range list {
		if len(c.hosts) == 0 {
			anywhere = append(anywhere, c)
		}
		for _, pattern := range c.hosts {
			pattern = strings.ToLower(pattern)
			if hosts = append(hosts, pattern); pattern == host || caddyWildcard(pattern, host) {
				named = append(named, c)
				break
			}
		}
	}
	switch {
	case len(named) > 0:
		return named[0], len(named), nil
	case len(anywhere) > 0:
		return anywhere[0], len(anywhere), nil
	case host == "" && len(list) == 1:
		return list[0], 1, nil
	}
	sort.Strings(hosts)
	return c, 0, fmt.Errorf("%s has consent for other hosts; say with --from which one is meant: %s", file, strings.Join(slices.Compact(hosts), ", "))
}

// caddyWildcard reports whether host falls under a pattern of Caddy's: * stands for one label.
func caddyWildcard(pattern, host string) bool {
	rest, ok := strings.CutPrefix(pattern, "*.")
	_, parent, below := strings.Cut(host, ".")
	return ok && below && rest == parent
}

// consentHandlers finds all of them in a configuration in JSON.
func consentHandlers(config []byte) (list []configured, err error) {
	var whole struct {
		Apps struct {
			HTTP    json.RawMessage `json:"http"`
			Consent App             `json:"consent"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, err
	}
	var walk func(raw json.RawMessage, hosts []string) error
	walk = func(raw json.RawMessage, hosts []string) error {
		raw = bytes.TrimSpace(raw)
		switch {
		case bytes.HasPrefix(raw, []byte("[")):
			var items []json.RawMessage
			if err := json.Unmarshal(raw, &items); err != nil {
				return err
			}
			for _, i := range items {
				if err := walk(i, hosts); err != nil {
					return err
				}
			}
		case bytes.HasPrefix(raw, []byte("{")):
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(raw, &fields); err != nil {
				return err
			}
			if string(fields["handler"]) == `"consent"` {
				h := new(Handler)
				delete(fields, "handler")
				own, err := json.Marshal(fields)
				if err != nil {
					return err
				}
				if err := caddy.StrictUnmarshalJSON(own, h); err != nil {
					return err
				}
				if h.Config != "" {
					named := whole.Apps.Consent.Configurations[h.Config]
					if named == nil {
						return unknownConfiguration(h.Config, whole.Apps.Consent.names())
					}
					h = named
				}
				list = append(list, configured{h, hosts})
				return nil
			}
			var match []struct {
				Host []string `json:"host"`
			}
			if json.Unmarshal(fields["match"], &match) == nil {
				var here []string
				for _, m := range match {
					here = append(here, m.Host...)
				}
				if here != nil {
					hosts = here
				}
			}
			delete(fields, "errors") // its routes have the directive for error pages
			for _, key := range slices.Sorted(maps.Keys(fields)) {
				if err := walk(fields[key], hosts); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return list, walk(whole.Apps.HTTP, nil)
}

// lineOf finds the line of a configuration file that has an option with a value: file:line, or the
// file alone where several have it, or none, as with imported files.
func lineOf(file, option, value string) string {
	f, err := os.Open(file)
	if err != nil {
		return file
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	found := 0
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) > 1 && words[0] == option && slices.ContainsFunc(words[1:], func(w string) bool {
			return strings.EqualFold(strings.TrimPrefix(strings.Trim(w, `"`+"`"), "*."), value)
		}) {
			if found > 0 {
				return file
			}
			found = n
		}
	}
	if found == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(found)
}
