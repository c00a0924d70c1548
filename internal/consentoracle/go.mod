module github.com/caddy-consent/caddy-consent/internal/consentoracle

go 1.26.0

require (
	github.com/LiveRamp/iabconsent v0.6.0
	github.com/caddy-consent/caddy-consent v0.0.0
	github.com/prebid/go-gdpr v1.12.0
	github.com/prebid/go-gpp v0.2.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dgraph-io/ristretto/v2 v2.4.2 // indirect
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/rupertchen/go-bits v0.2.0 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/caddy-consent/caddy-consent => ../..
