// Command caddy is Caddy with the standard modules and the consent handler.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-consent/caddy-consent/caddymodule"
)

func main() {
	caddycmd.Main()
}
