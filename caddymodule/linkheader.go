package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddy-consent/caddy-consent/rewriter"
	"github.com/caddy-consent/caddy-consent/rules"
)

// filterLink drops from Link headers the links that fetch from or connect to what is blocked
// (RFC 8288, 3). Lines without a blocked link stay as they are; those that not all browsers read alike go, where any
// might fetch.
func (rw *responseWriter) filterLink(lines []string) []string {
	var kept []string
	for _, line := range lines {
		links, plain := splitLinks(line)
		if !plain && !rw.policy.AllAllowed() && mayFetch(lines) {
			rw.unread("ambiguous:link", rules.KindHint)
			continue
		}
		var out []string
		for _, l := range links {
			if !rw.linkBlocked(l) {
				out = append(out, l.text)
			}
		}
		switch {
		case len(out) == len(links):
			kept = append(kept, line)
		case len(out) > 0:
			kept = append(kept, strings.Join(out, ", "))
		}
	}
	return kept
}

// mayFetch reports whether Link headers have a word of a relation for which browsers ask something of the target.
func mayFetch(lines []string) bool {
	text := strings.ToLower(strings.ReplaceAll(strings.Join(lines, ","), `\`, ""))
	for _, word := range []string{"load", "fetch", "connect", "style", "icon", "render", "manifest", "dictionary", "next"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// unread puts on record that a header was not let through because nobody can tell how browsers read it.
func (rw *responseWriter) unread(rule string, kind rules.Kind) {
	rw.rec.resource(rules.Resource{Kind: kind, Page: rw.page}, rules.Decision{Action: rules.Block, Categories: rules.SetOf(rules.Marketing), Rule: rule})
}

// plainStrings reports whether in each line of a header of quoted strings (RFC 9110, 5.6.4; RFC 9651, 3.3.3) a quote is nothing
// but the begin or the end of one.
func plainStrings(lines []string) bool {
	return !slices.ContainsFunc(lines, func(l string) bool { return strings.IndexByte(l, '\\') >= 0 || strings.Count(l, `"`)%2 == 1 })
}

func (rw *responseWriter) linkBlocked(l link) (blocked bool) {
	check := func(kind rules.Kind, url string) {
		blocked = blocked || rw.opens(kind, url)
	}
	var rel strings.Builder
	as, srcsets := []string{""}, []string(nil)
	for _, p := range l.params {
		switch p.name {
		case "rel":
			rel.WriteString(" " + p.value)
		case "as":
			as = append(as, p.value)
		case "imagesrcset":
			srcsets = append(srcsets, p.value)
		}
	}
	if len(as) > 1 {
		as = as[1:] // of several some browsers take the first, some the last
	}
	for _, as := range as {
		rewriter.LinkKinds(rel.String(), as, func(kind rules.Kind) { check(kind, l.url) })
	}
	for _, srcset := range srcsets {
		for _, c := range strings.Split(srcset, ",") {
			if f := strings.Fields(c); len(f) > 0 {
				check(rules.KindImage, f[0])
			}
		}
	}
	return blocked
}

// maxLinkParams bounds the parameters of a link.
const maxLinkParams = 32

// link is a member of a Link header.
type link struct {
	text   string
	url    string
	params []linkParam
}

// linkParam is a parameter; its name is in lower case.
type linkParam struct{ name, value string }

// splitLinks returns the members of a Link header, and whether they are written so that all browsers read them alike: Firefox
// reads on behind quotes without an end and backslashes in quotes, and takes URLs for ended that are not.
func splitLinks(s string) (links []link, plain bool) {
	for {
		if s = strings.TrimLeft(s, " \t,"); s == "" {
			return links, true
		}
		end := strings.IndexByte(s, '>')
		if s[0] != '<' || end < 0 {
			return nil, false
		}
		l := link{text: s, url: s[1:end]}
		if strings.ContainsFunc(l.url, func(c rune) bool { return c == '<' || c == '"' || c < ' ' && c != '\t' || c == 0x7f }) {
			return nil, false
		}
		for s = strings.TrimLeft(s[end+1:], " \t"); s != "" && s[0] != ','; s = strings.TrimLeft(s, " \t") {
			if s[0] != ';' {
				return nil, false
			}
			if s = strings.TrimLeft(s[1:], " \t"); s == "" || s[0] == ';' || s[0] == ',' {
				continue
			}
			var p linkParam
			if p, s, plain = cutParam(s); !plain {
				return nil, false
			}
			if l.params = append(l.params, p); len(l.params) > maxLinkParams {
				return nil, false
			}
		}
		l.text = strings.TrimRight(l.text[:len(l.text)-len(s)], " \t")
		links = append(links, l)
	}
}

// cutParam cuts the parameter off that s begins with.
func cutParam(s string) (p linkParam, rest string, plain bool) {
	n := 0
	for n < len(s) && isToken(s[n:n+1]) {
		n++
	}
	p.name = strings.ToLower(s[:n])
	s = strings.TrimLeft(s[n:], " \t")
	if n == 0 || s == "" || s[0] != '=' {
		return p, s, n > 0
	}
	if s = strings.TrimLeft(s[1:], " \t"); s != "" && s[0] == '"' {
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return p, "", false
		}
		p.value = s[1 : 1+end]
		return p, s[end+2:], strings.IndexByte(p.value, '\\') < 0
	}
	end := strings.IndexAny(s, " \t,;")
	if end < 0 {
		end = len(s)
	}
	p.value = s[:end]
	return p, s[end:], !strings.ContainsAny(p.value, "\"<>\\")
}

// filterAlternatives drops the lines of Alt-Svc with a host that is blocked (RFC 7838, 3: protocol="host:port"). Firefox
// takes it without quotes, too.
func (rw *responseWriter) filterAlternatives(lines []string) []string {
	named := func(v string) string {
		if host, _, ok := strings.Cut(v, ":"); ok && host != "" {
			return "//" + host + "/"
		}
		return ""
	}
	return slices.DeleteFunc(rw.filterStrings(lines, rules.KindHint, named), func(line string) (blocked bool) {
		for i, v := range strings.Split(line, `"`) {
			if i%2 == 1 {
				continue
			}
			for _, v := range strings.FieldsFunc(v, func(c rune) bool { return strings.ContainsRune("=,; \t", c) }) {
				if u := named(v); u != "" {
					blocked = rw.blocks(rules.KindHint, u) || blocked
				}
			}
		}
		return blocked
	})
}

// filterRules drops the lines of Speculation-Rules with a URL that is blocked (HTML Standard, 7.6.1.2: a list of strings).
func (rw *responseWriter) filterRules(lines []string) []string {
	return rw.filterStrings(lines, rules.KindPrefetch, func(v string) string { return v })
}

// filterStrings drops the lines with a quoted string whose URL is blocked, and all of them if it is not certain where
// strings end.
func (rw *responseWriter) filterStrings(lines []string, kind rules.Kind, url func(string) string) (kept []string) {
	if !plainStrings(lines) && !rw.policy.AllAllowed() {
		rw.unread("ambiguous:header", kind)
		return nil
	}
	for _, line := range lines {
		blocked := false
		for i, v := range strings.Split(line, `"`) {
			if u := url(v); i%2 == 1 && u != "" {
				blocked = rw.opens(kind, u) || blocked
			}
		}
		if !blocked {
			kept = append(kept, line)
		}
	}
	return kept
}
