package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// reloadCommand is `caddy consent reload`.
func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Makes the running process read its catalogue files again",
		Long: `
Puts changed catalogue files into force. "caddy reload" does nothing as long
as the configuration's own text is the same.

All sites change at once, or none if a file is broken; the error then names
file and line. Responses that are under way keep the rules they began with.

The admin API's address is that of --address, or of the configuration, or
the default one.`,
		Args: cobra.NoArgs,
		RunE: caddycmd.WrapCommandFuncForCobra(cmdReload),
	}
	cmd.Flags().StringP("address", "", "", "Address of the administration listener, if not from the configuration")
	cmd.Flags().StringP("config", "c", "", "Configuration file that names the administration listener")
	cmd.Flags().StringP("adapter", "a", "", "Name of the adapter of the configuration file")
	return cmd
}

func cmdReload(fs caddycmd.Flags) (int, error) {
	addr, err := caddycmd.DetermineAdminAPIAddress(fs.String("address"), nil, fs.String("config"), fs.String("adapter"))
	if err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("finding the admin API: %w", err)
	}
	resp, err := caddycmd.AdminAPIRequest(addr, http.MethodPost, "/consent/reload", nil, nil)
	if err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("asking %s to reload: %w", addr, err)
	}
	defer resp.Body.Close()
	var done struct{ Sites, Changed int }
	if err := json.NewDecoder(resp.Body).Decode(&done); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("reading the answer of %s: %w", addr, err)
	}
	fmt.Printf("%d of %d sites have changed rules\n", done.Changed, done.Sites)
	return caddy.ExitCodeSuccess, nil
}
