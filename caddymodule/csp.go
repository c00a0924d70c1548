package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-consent/caddy-consent/rules"
	"github.com/caddy-consent/caddy-consent/rules/consent"
)

var cspWords = []string{"off", "report", "enforce"}

// maxSources bounds the third-party hosts in a policy, in bytes of their names; with each comes
// its wildcard, and some servers take no more than 8 KiB of header.
const maxSources = 1500

// cspSources restrict nothing but hosts: all inline code and all schemes that contact nobody stay
// as free as the site's own policy leaves them, which is another header line, so that a browser
// obeys both (CSP Level 3, 8.1, "The effect of multiple policies"). No nonce and no hash stands
// here, since either would switch 'unsafe-inline' off, and no 'strict-dynamic', which would let
// scripts insert others of any host.
const cspSources = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: filesystem: about: mailto: tel:"

// hostSources are the sources of a set of grants.
type hostSources struct {
	text     string // each source with a blank before it
	complete bool   // every host that is allowed is named
}

// sources returns the third-party hosts that a policy allows as CSP sources.
func (rs *ruleset) sources(p *rules.Policy) *hostSources {
	g := p.Grants()
	plain := len(g.Plus) == 0 && len(g.Minus) == 0 && p.Site() == rs.site
	if plain {
		if s := rs.csp[g.Allowed].Load(); s != nil {
			return s
		}
	}
	hosts, complete := p.NamedHosts(maxSources)
	if !complete {
		// Without what the catalogue opens: for reports, which the policy is asked about again.
		g.Allowed = rules.SetOf(rules.Necessary)
		var fits bool
		if hosts, fits = p.Site().For(g).NamedHosts(maxSources); !fits {
			hosts = nil
		}
	}
	var b strings.Builder
	for _, h := range hosts {
		writeSource(&b, h)
	}
	s := &hostSources{b.String(), complete}
	if plain {
		rs.csp[p.Grants().Allowed].Store(s)
	}
	return s
}

// writeSource writes a host and all below it, on any port and in any scheme that is no worse than
// the page's. Hosts that the grammar of sources has no form for (IPv6) are left out: 'self' covers
// the page's own.
func writeSource(b *strings.Builder, host string) {
	if host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return
	}
	b.WriteString(" ")
	b.WriteString(host)
	b.WriteString(":*")
	if last := host[strings.LastIndexByte(host, '.')+1:]; strings.Trim(last, "0123456789") != "" {
		b.WriteString(" *.")
		b.WriteString(host)
		b.WriteString(":*")
	}
}

// secondLayer adds a policy to a document's header that names the hosts the visitor's consent and
// the site's configuration allow.
func (rw *responseWriter) secondLayer() {
	h := rw.h
	if h.CSP == "" || h.CSP == "off" || h.shadow || rw.policy.AllAllowed() {
		return
	}
	name := "Content-Security-Policy-Report-Only"
	s := h.live.current.Load().sources(rw.policy)
	if h.CSP == "enforce" {
		name = "Content-Security-Policy"
		if !s.complete {
			h.count(cspEvent, "left_out")
			if h.leftOut.CompareAndSwap(false, true) {
				h.logger.Warn("csp enforce: no policy is sent to visitors who allow more hosts than a header can name",
					zap.String("categories", rw.policy.Grants().Allowed.String()))
			}
			return
		}
	}
	h.count(cspEvent, "sent")
	target := h.Endpoint + "/report?g=" + grantsParam(rw.policy.Grants())
	var b strings.Builder
	b.WriteString(cspSources)
	writeSource(&b, rw.page.Site())
	b.WriteString(s.text)
	b.WriteString("; report-uri ")
	b.WriteString(target)
	head := rw.Header()
	if rw.page.Scheme() == "https" { // the Reporting API has no endpoints elsewhere
		b.WriteString("; report-to caddy-consent")
		head["Reporting-Endpoints"] = append(head["Reporting-Endpoints"], `caddy-consent="`+target+`"`)
	}
	head[name] = append(head[name], b.String())
}

// grantsParam writes what a page was sent under into the address for its reports: by the time a
// report arrives the visitor may have chosen anew.
func grantsParam(g rules.Grants) string {
	v := consent.Encode(g, time.Time{}, "", "")
	return url.QueryEscape(strings.TrimPrefix(v, "v1:"))
}

// reportedGrants reads grantsParam. Damaged ones grant nothing.
func reportedGrants(r *http.Request) rules.Grants {
	return consent.Read([]string{"g=v1:" + r.URL.Query().Get("g")}, "g", r.Header.Get("Sec-Gpc") == "1").Grants
}
