package importer

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/caddy-consent/caddy-consent/rules"
)

// filter is a line of a filter list that stands for requests to a host.
type filter struct {
	host, path, query string
	elements          []string
	differs           []string // how it covers more or less than the line does
}

// inexact are resource types for which ours is a larger one.
var inexact = map[string]bool{"ping": true, "beacon": true, "websocket": true, "webrtc": true, "other": true, "object": true, "object-subrequest": true}

// otherOptions are the words that may stand behind a dollar sign, beside the resource types.
var otherOptions = categoriesOf(map[rules.Category]string{rules.Necessary: "third-party 3p strict3p important match-case all first-party 1p strict1p domain from denyallow to method " +
	"header ipaddress app ctag dnstype client sitekey document doc popup popunder inline-script inline-font elemhide ehide generichide ghide specifichide shide " +
	"genericblock content jsinject urlblock extension badfilter csp permissions redirect redirect-rule rewrite replace removeparam queryprune cookie " +
	"removeheader jsonprune hls urlskip uritransform urltransform empty mp4 stealth network noop reason _"})

// resourceTypes are the words of filter lists for what asks, and ours.
var resourceTypes = map[string]string{
	"script": "script", "image": "img", "background": "img", "stylesheet": "style", "css": "style", "font": "font", "media": "media",
	"subdocument": "iframe", "frame": "iframe", "object": "iframe", "object-subrequest": "iframe",
	"xmlhttprequest": "xhr", "xhr": "xhr", "ping": "xhr", "beacon": "xhr", "websocket": "xhr", "webrtc": "xhr", "other": "xhr",
}

var elementOrder = []string{"script", "iframe", "img", "style", "font", "media", "xhr"}

// options says what the part behind the dollar sign means: the elements it is limited to (none:
// all), or why it cannot be expressed.
func options(list string) (elements, differs []string, why string) {
	only, not, anyCase := make(map[string]bool), make(map[string]bool), true
	defer func() {
		if anyCase {
			differs = append(differs, differsCase)
		}
	}()
	for _, o := range strings.Split(list, ",") {
		o = strings.ToLower(strings.TrimSpace(o))
		name, _, _ := strings.Cut(o, "=")
		bare, negated := strings.CutPrefix(name, "~")
		if e, ok := resourceTypes[bare]; ok {
			switch {
			case inexact[bare] && !slices.Contains(differs, widerKind):
				differs = append(differs, widerKind)
				fallthrough
			case inexact[bare]:
				if !negated {
					only[e] = true
				}
			case negated:
				not[e] = true
			default:
				only[e] = true
			}
			continue
		}
		switch name {
		case "match-case":
			anyCase = false
		case "third-party", "3p", "strict3p", "important", "all", "", "_", "noop":
		case "~third-party", "first-party", "1p", "strict1p", "~3p", "~1p", "~first-party":
			return nil, nil, "about a site's own hosts: $" + name
		case "domain", "from", "denyallow", "to", "method", "header", "ipaddress", "app", "ctag", "dnstype", "client", "sitekey":
			return nil, nil, "holds for some pages or requests only: $" + name
		case "document", "doc", "popup", "popunder", "inline-script", "inline-font", "elemhide", "ehide", "generichide", "ghide", "specifichide", "shide",
			"genericblock", "content", "jsinject", "urlblock", "extension":
			return nil, nil, "not about what a page loads: $" + name
		case "badfilter":
			return nil, nil, "takes another filter back: $badfilter"
		default:
			return nil, nil, "changes a request instead of blocking it, or is unknown: $" + name
		}
	}
	if len(only) == 0 && len(not) == 0 {
		return nil, nil, ""
	}
	for _, e := range elementOrder {
		if (len(only) == 0 || only[e]) && (len(only) > 0 || !not[e]) {
			elements = append(elements, e)
		}
	}
	if len(elements) == 0 {
		return nil, nil, "for no kind of resource"
	}
	return elements, differs, ""
}

// parseFilter reads a line in Adblock Plus syntax. A comment has neither filter nor why.
func parseFilter(line string) (f filter, ok bool, why string) {
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "!#"):
		return f, false, "an instruction to the reader of the list"
	case line == "", line[0] == '!', strings.HasPrefix(line, "[Adblock"), strings.HasPrefix(line, "[uBlock"), strings.HasPrefix(line, "# "), line == "#":
		return f, false, ""
	case len(line) > 4096:
		return f, false, "longer than 4096 bytes"
	case strings.Contains(line, "##"), strings.Contains(line, "#@"), strings.Contains(line, "#?#"), strings.Contains(line, "#$"), strings.Contains(line, "#%#"), strings.Contains(line, "$$"):
		return f, false, "hides or changes elements of a page"
	case strings.HasPrefix(line, "@@"):
		return f, false, "an exception; allow <host> in the configuration says it"
	}
	pattern := line
	f.differs = []string{differsCase}
	for i := range len(line) {
		if line[i] == '$' && isOptions(line[i+1:]) {
			if f.elements, f.differs, why = options(line[i+1:]); why != "" {
				return f, false, why
			}
			pattern = line[:i]
			break
		}
	}
	if len(pattern) > 1 && pattern[0] == '/' && pattern[len(pattern)-1] == '/' {
		return f, false, "a regular expression"
	}
	switch {
	case strings.HasPrefix(pattern, "||"):
		pattern = pattern[2:]
	case strings.HasPrefix(pattern, "|http://"), strings.HasPrefix(pattern, "|https://"), strings.HasPrefix(pattern, "|//"), strings.HasPrefix(pattern, "://"):
		_, pattern, _ = strings.Cut(pattern, "//")
		f.differs = append(f.differs, widerHost)
	case isHostsLine(pattern):
		return f, false, "a line of a hosts file; write ||host^ instead"
	default:
		return f, false, "names no host"
	}
	pattern, whole := strings.CutSuffix(pattern, "|")
	n := strings.IndexAny(pattern, "/^*?|:")
	rest := ""
	if n >= 0 {
		pattern, rest = pattern[:n], pattern[n:]
	}
	if f.host = strings.ToLower(pattern); !strings.Contains(f.host, ".") || strings.HasPrefix(f.host, ".") || strings.HasSuffix(f.host, ".") {
		return f, false, "names only a part of a host"
	}
	if suffix, icann := publicsuffix.PublicSuffix(f.host); rest == "" && !icann && !strings.Contains(suffix, ".") {
		return f, false, "names only a part of a host, or needs ^ at its end"
	}
	if why = f.setPath(rest, whole); why != "" {
		return f, false, why
	}
	return f, true, ""
}

// isOptions reports whether text is a list of options: a dollar sign stands in paths too.
func isOptions(text string) bool {
	end := strings.IndexAny(text, ",=")
	if end < 0 {
		end = len(text)
	}
	name := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text[:end])), "~")
	_, known := otherOptions[name]
	return known || resourceTypes[name] != ""
}

// isHostsLine reports whether a line is one of a hosts file, or a host alone.
func isHostsLine(line string) bool {
	words := strings.Fields(line)
	if len(words) == 2 {
		if _, err := netip.ParseAddr(words[0]); err == nil {
			return true
		}
	}
	return len(words) == 1 && strings.Contains(line, ".") && !strings.ContainsAny(line, "/*^|?=&:,")
}

const (
	widerEnd       = "covers what the address goes on with too: a rule is a prefix"
	widerSeparator = "covers any characters where the list has a separator"
	widerQuery     = "covers the parameter wherever it stands in a query, and longer paths: a rule is a prefix"
	widerHost      = "covers the hosts below it too"
	widerKind      = "covers all that scripts fetch, or all frames: we tell no finer kinds apart"
	differsCase    = "is compared by upper and lower case here"
)

// setPath reads what stands behind the host; whole is set where the URL ends there.
func (f *filter) setPath(rest string, whole bool) (why string) {
	switch rest {
	case "", "^", "/", "^*", "/*", "*":
		if whole && rest != "*" {
			return "only the host's first page"
		}
		if rest == "*" {
			return "names only a part of a host"
		}
		return ""
	}
	switch {
	case rest[0] == '*':
		return "names only a part of a host"
	case rest[0] == ':':
		return "names a port"
	case strings.HasPrefix(rest, "^*"):
		rest = rest[1:]
	case rest[0] == '^':
		rest = "/" + rest[1:]
	case rest[0] == '?':
		rest = "/" + rest
	}
	path, query, asks := strings.Cut(rest, "?")
	if strings.ContainsAny(rest, "|") {
		return "an anchor inside the address"
	}
	if _, behind, ok := strings.Cut(path, "*"); ok && strings.ContainsAny(behind, "&=") {
		return "a star that reaches into the query"
	}
	if asks {
		if f.query, why = queryOf(query, whole); why != "" {
			return why
		}
		f.differs = append(f.differs, widerQuery)
	} else if cut, separator := strings.CutSuffix(path, "^"); separator || whole {
		path = cut
		f.differs = append(f.differs, widerEnd)
	}
	if strings.Contains(path, "^") {
		path = strings.ReplaceAll(path, "^", "*")
		f.differs = append(f.differs, widerSeparator)
	}
	for strings.Contains(path, "**") {
		path = strings.ReplaceAll(path, "**", "*")
	}
	if path = strings.TrimSuffix(path, "*"); path == "" || path == "/" {
		if f.query == "" {
			return ""
		}
		path = "/"
	}
	f.path = path
	return ""
}

// queryOf turns the beginning of a query into key=value.
func queryOf(q string, whole bool) (query, why string) {
	q, end := strings.CutSuffix(strings.TrimSuffix(q, "*"), "&")
	if !end {
		q, end = strings.CutSuffix(q, "^")
	}
	end = end || whole
	key, value, ok := strings.Cut(q, "=")
	switch {
	case q == "":
		return "", ""
	case !ok || key == "":
		return "", "asks for a part of a parameter's name"
	case strings.ContainsAny(q, "&^"):
		return "", "asks for several parameters"
	case strings.Contains(q, "*"):
		return "", "a star inside a parameter"
	case end && value != "":
		return key + "=" + value, ""
	}
	return key + "=" + value + "*", ""
}

// filterList reads a filter list; it has no categories, so all of it has the one that was asked for.
func (c *collector) filterList(data string) {
	line := 0
	for text := range strings.Lines(data) {
		line++
		f, ok, why := parseFilter(text)
		if text = strings.TrimSpace(text); why != "" {
			c.note(line, text, why)
		}
		if !ok {
			continue
		}
		if c.Category == 0 {
			c.note(line, text, "a filter list has no categories: name one with --category")
			continue
		}
		if why := hostProblem(f.host); why != "" && f.path == "" {
			c.note(line, text, why)
			continue
		}
		domain := registrable(f.host)
		c.filter(c.service(domain, domain, "", c.Category), f, line, text)
	}
}

func (c *collector) filter(e *entry, f filter, line int, text string) {
	for _, how := range f.differs {
		if how != differsCase || strings.ToLower(f.path) != f.path {
			c.wider(line, text, how)
		}
	}
	if f.path == "" && f.elements == nil {
		c.host(e, f.host, line, text)
		return
	}
	if f.path == "" {
		f.path = "/"
	}
	if c.settled(f.host, e.categories, line, text) {
		return
	}
	c.rule(e, Rule{f.host, f.path, f.query, f.elements}, line, text)
}

// categoriesOf makes a table of words.
func categoriesOf(words map[rules.Category]string) map[string]rules.Set {
	m := make(map[string]rules.Set)
	for c, list := range words {
		for _, w := range strings.Fields(list) {
			m[w] = rules.SetOf(c)
		}
	}
	return m
}
