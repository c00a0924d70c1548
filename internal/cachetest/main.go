// Command cachetest is Caddy with the consent handler and Caddy's cache handler, for the test of
// examples/cache_inside. It is a module of its own, so that nobody else's build needs a cache.
package main

import (
	_ "github.com/caddyserver/cache-handler"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-consent/caddy-consent/caddymodule"
)

func main() {
	caddycmd.Main()
}
