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
	adminFlags(cmd)
	return cmd
}

// adminFlags adds those that say which process is meant.
func adminFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("address", "", "", "Address of the administration listener, if not from the configuration")
	cmd.Flags().StringP("config", "c", "", "Configuration file that names the administration listener")
	cmd.Flags().StringP("adapter", "a", "", "Name of the adapter of the configuration file")
}

// askAdmin sends a request to the process that the flags name and decodes its answer.
func askAdmin(fs caddycmd.Flags, method, path string, answer any) error {
	addr, err := caddycmd.DetermineAdminAPIAddress(fs.String("address"), nil, fs.String("config"), fs.String("adapter"))
	if err != nil {
		return fmt.Errorf("finding the admin API: %w", err)
	}
	resp, err := caddycmd.AdminAPIRequest(addr, method, path, nil, nil)
	if err != nil {
		return fmt.Errorf("asking %s for %s: %w", addr, path, err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", addr, err)
	}
	return nil
}

func cmdReload(fs caddycmd.Flags) (int, error) {
	var done struct{ Sites, Changed int }
	if err := askAdmin(fs, http.MethodPost, "/consent/reload", &done); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Printf("sites with changed rules: %d of %d\n", done.Changed, done.Sites)
	return caddy.ExitCodeSuccess, nil
}
