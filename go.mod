module github.com/caddy-consent/caddy-consent

go 1.26
