// Package catalogue holds the data: which service a host, path or cookie belongs to. README.md
// beside this file says how to add a service.
package catalogue

import "embed"

// Files has services/*.yaml, profiles/<language>/*.yaml and essentials.yaml.
//
//go:embed services/*.yaml profiles/*/*.yaml essentials.yaml
var Files embed.FS
