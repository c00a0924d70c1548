package rules

import (
	"fmt"
	"strings"
)

// Lint returns what is wrong in a catalogue beyond what LoadCatalogue refuses, one line per
// problem with file:line: services nobody can reach, cookie names too generic to enforce without a
// domain, overlaps with essential cookies, missing reasons, and profiles that name services the
// catalogue does not have.
func (c *Catalogue) Lint() (problems []string) {
	say := func(source, format string, a ...any) {
		problems = append(problems, source+": "+fmt.Sprintf(format, a...))
	}
	for _, e := range c.essentials {
		if e.Reason == "" {
			say(e.Source, "essential cookie %s: give the reason", e.Name)
		}
	}
	for _, s := range c.services {
		if len(s.Hosts) == 0 && len(s.Rules) == 0 && len(s.Cookies) == 0 {
			say(s.Source, "service %s has no host, rule or cookie", s.ID)
		}
		for i := range s.Cookies {
			if why := c.LintCookie(&s.Cookies[i]); why != "" {
				say(s.Cookies[i].Source, "cookie %s of %s %s", s.Cookies[i].Name, s.ID, why)
			}
		}
		if s.Profile != nil {
			for _, id := range c.missing(s.Profile.Alternatives) {
				say(s.Source, "alternative %q of %s is no service%s", id, s.ID, DidYouMean(id, c.ids))
			}
		}
	}
	return append(problems, c.lintProfiles()...)
}

// LintCookie says why a cookie's name must not be enforced on every site, or nothing: it is too
// generic without a domain, or would strip an essential cookie.
func (c *Catalogue) LintCookie(cookie *Cookie) string {
	if cookie.Listed || cookie.Domain != "" {
		return ""
	}
	name, prefix := strings.CutSuffix(cookie.Name, "*")
	if isGeneric(name, prefix) {
		return "is too generic to enforce everywhere: give it a domain, or enforce: false"
	}
	for i := range c.essentials {
		e := c.essentials[i].Name
		switch p, star := strings.CutSuffix(e, "*"); {
		case e == cookie.Name:
			return "is an essential one"
		case !prefix: // an exact name below an essential prefix is a decision of its own
		case star && (strings.HasPrefix(p, name) || strings.HasPrefix(name, p)):
			return "overlaps the essential " + e
		case !star && strings.HasPrefix(e, name):
			return "would strip the essential " + e
		}
	}
	return ""
}

// genericNames are words that any site may use for a cookie of its own.
var genericNames = strings.Fields("session session_id sessionid sid id uid user userid user_id token auth auth_token lang language locale " +
	"currency theme cart basket visitor visitorid visitor_id visit tracking referrer referer consent cookie cookies settings preferences " +
	"test debug login logged_in country region source campaign ref state data info client client_id device device_id")

// isGeneric reports whether a cookie name, or prefix, could as well be a site's own.
func isGeneric(name string, prefix bool) bool {
	if len(name) < 3 && !strings.HasPrefix(name, "_") || prefix && len(name) < 3 {
		return true
	}
	return contains(genericNames, strings.ToLower(name))
}
