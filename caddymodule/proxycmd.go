package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "consent",
		Short: "Enforces cookie consent in front of a website",
		CobraFunc: func(cmd *cobra.Command) {
			proxy := &cobra.Command{
				Use:   "proxy --to <url> [--from <addr>] [--shadow] [--access-log]",
				Short: "A reverse proxy that enforces cookie consent, without a configuration file",
				Long: `
Protects a site with no configuration file, as "caddy reverse-proxy" proxies one.

Until a visitor has chosen, at /.consent/ on the --from address, third-party
resources leave inert and non-essential cookies pass in neither direction.
The host of --to counts as first party and is sent as the Host header.

--shadow decides and logs everything and changes nothing.`,
				Args: cobra.NoArgs,
				RunE: caddycmd.WrapCommandFuncForCobra(cmdProxy),
			}
			proxy.Flags().StringP("from", "f", ":8080", "Address on which to receive traffic")
			proxy.Flags().StringP("to", "t", "", "URL of the site to protect")
			proxy.Flags().BoolP("shadow", "", false, "Decide and log, change nothing")
			proxy.Flags().BoolP("insecure", "", false, "Do not verify the site's certificate (for tests only)")
			proxy.Flags().BoolP("internal-certs", "i", false, "Use the internal CA for the --from address")
			proxy.Flags().BoolP("access-log", "", false, "Enable the access log")
			cmd.AddCommand(proxy, reloadCommand(), seenCommand(), servicesCommand(), explainCommand())
		},
	})
}

func cmdProxy(fs caddycmd.Flags) (int, error) {
	caddy.TrapSignals()
	cfg, err := proxyConfig(fs.String("from"), fs.String("to"), proxyOptions{
		shadow: fs.Bool("shadow"), insecure: fs.Bool("insecure"), internal: fs.Bool("internal-certs"), accessLog: fs.Bool("access-log"),
	})
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := caddy.Run(cfg); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	caddy.Log().Info("enforcing consent", zap.String("from", fs.String("from")), zap.String("to", fs.String("to")))
	select {}
}

type proxyOptions struct{ shadow, insecure, internal, accessLog bool }

// proxyConfig returns the configuration of a server on from that protects the site at to.
func proxyConfig(from, to string, o proxyOptions) (*caddy.Config, error) {
	if to == "" {
		return nil, errors.New("--to is required, such as --to https://site.example")
	}
	if !strings.Contains(to, "://") {
		to = "http://" + to
	}
	u, err := url.Parse(to)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--to %s: expected the URL of a site, such as https://site.example", to)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("--to %s: name scheme, host and port alone", to)
	}
	addr, err := httpcaddyfile.ParseAddress(from)
	if err != nil || addr.Path != "" {
		return nil, fmt.Errorf("--from %s: expected an address such as :8080 or shop.example", from)
	}
	if addr.Scheme == "" {
		addr.Scheme = "https"
		if addr.Host == "" || addr.Port == "80" {
			addr.Scheme = "http"
		}
	}
	if addr.Port == "" {
		addr.Port = map[string]string{"http": "80", "https": "443"}[addr.Scheme]
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}

	consent := Handler{}
	if net.ParseIP(u.Hostname()) == nil {
		consent.FirstParty = []string{u.Hostname()}
	}
	if o.shadow {
		consent.Mode = "shadow"
	}
	transport := map[string]any{"protocol": "http"}
	if u.Scheme == "https" {
		transport["tls"] = map[string]any{"insecure_skip_verify": o.insecure}
	}
	proxy := map[string]any{
		"handler":   "reverse_proxy",
		"transport": transport,
		"upstreams": []any{map[string]string{"dial": net.JoinHostPort(u.Hostname(), port)}},
		"headers":   map[string]any{"request": map[string]any{"set": map[string][]string{"Host": {u.Host}}}},
	}
	route := caddyhttp.Route{HandlersRaw: []json.RawMessage{
		caddyconfig.JSONModuleObject(&consent, "handler", "consent", nil),
		caddyconfig.JSON(proxy, nil),
	}}
	if addr.Host != "" {
		route.MatcherSetsRaw = []caddy.ModuleMap{{"host": caddyconfig.JSON(caddyhttp.MatchHost{addr.Host}, nil)}}
	}
	server := &caddyhttp.Server{Routes: caddyhttp.RouteList{route}, Listen: []string{":" + addr.Port}}
	if o.accessLog {
		server.Logs = &caddyhttp.ServerLogConfig{}
	}
	if addr.Scheme == "http" {
		server.AutoHTTPS = &caddyhttp.AutoHTTPSConfig{Disabled: true}
	}
	apps := caddy.ModuleMap{"http": caddyconfig.JSON(caddyhttp.App{Servers: map[string]*caddyhttp.Server{"consent": server}}, nil)}
	if o.internal && addr.Host != "" {
		apps["tls"] = caddyconfig.JSON(map[string]any{"automation": map[string]any{"policies": []any{
			map[string]any{"subjects": []string{addr.Host}, "issuers": []any{map[string]string{"module": "internal"}}},
		}}}, nil)
	}
	persist := false
	return &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		AppsRaw: apps,
	}, nil
}
