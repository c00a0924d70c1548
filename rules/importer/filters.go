package importer

import (
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// filter is a line of a filter list that stands for requests to a host.
type filter struct {
	host, path, query string
	elements          []string
	wider             string // how it covers more than the line does
}

// resourceTypes are the words of filter lists for what asks, and ours.
var resourceTypes = map[string]string{
	"script": "script", "image": "img", "background": "img", "stylesheet": "style", "css": "style", "font": "font", "media": "media",
	"subdocument": "iframe", "frame": "iframe", "object": "iframe", "object-subrequest": "iframe",
	"xmlhttprequest": "xhr", "xhr": "xhr", "ping": "xhr", "beacon": "xhr", "websocket": "xhr", "webrtc": "xhr", "other": "xhr",
}

var elementOrder = []string{"script", "iframe", "img", "style", "font", "media", "xhr"}

// options says what the part behind the dollar sign means: the elements it is limited to (none:
// all), or why it cannot be expressed.
func options(list string) (elements []string, why string) {
	only, not := make(map[string]bool), make(map[string]bool)
	for _, o := range strings.Split(list, ",") {
		o = strings.ToLower(strings.TrimSpace(o))
		name, _, _ := strings.Cut(o, "=")
		bare, negated := strings.CutPrefix(name, "~")
		if e, ok := resourceTypes[bare]; ok {
			if negated {
				not[e] = true
			} else {
				only[e] = true
			}
			continue
		}
		switch name {
		case "third-party", "3p", "strict3p", "important", "match-case", "all", "", "_":
		case "~third-party", "first-party", "1p", "strict1p", "~3p", "~1p", "~first-party":
			return nil, "about a site's own hosts: $" + name
		case "domain", "from", "denyallow", "to", "method", "header", "ipaddress", "app", "ctag", "dnstype", "client", "sitekey":
			return nil, "holds for some pages or requests only: $" + name
		case "document", "doc", "popup", "popunder", "inline-script", "inline-font", "elemhide", "ehide", "generichide", "ghide", "specifichide", "shide",
			"genericblock", "content", "jsinject", "urlblock", "extension":
			return nil, "not about what a page loads: $" + name
		case "badfilter":
			return nil, "takes another filter back: $badfilter"
		default:
			return nil, "changes a request instead of blocking it, or is unknown: $" + name
		}
	}
	if len(only) == 0 && len(not) == 0 {
		return nil, ""
	}
	for _, e := range elementOrder {
		if (len(only) == 0 || only[e]) && (len(only) > 0 || !not[e]) {
			elements = append(elements, e)
		}
	}
	if len(elements) == 0 {
		return nil, "for no kind of resource"
	}
	return elements, ""
}

// parseFilter reads a line in Adblock Plus syntax. A comment has neither filter nor why.
func parseFilter(line string) (f filter, ok bool, why string) {
	line = strings.TrimSpace(line)
	switch {
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
	if i := strings.LastIndexByte(line, '$'); i >= 0 && isOptions(line[i+1:]) {
		if f.elements, why = options(line[i+1:]); why != "" {
			return f, false, why
		}
		pattern = line[:i]
	}
	if len(pattern) > 1 && pattern[0] == '/' && pattern[len(pattern)-1] == '/' {
		return f, false, "a regular expression"
	}
	switch {
	case strings.HasPrefix(pattern, "||"):
		pattern = pattern[2:]
	case strings.HasPrefix(pattern, "|http://"), strings.HasPrefix(pattern, "|https://"), strings.HasPrefix(pattern, "|//"), strings.HasPrefix(pattern, "://"):
		_, pattern, _ = strings.Cut(pattern, "//")
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
	if why = f.setPath(rest, whole); why != "" {
		return f, false, why
	}
	return f, true, ""
}

// isOptions reports whether text is a list of options: a dollar sign stands in paths too.
func isOptions(text string) bool {
	name, _, _ := strings.Cut(text, "=")
	first, _, _ := strings.Cut(name, ",")
	if first == "" {
		return false
	}
	for i := 0; i < len(first); i++ {
		if c := first[i] | 0x20; (c < 'a' || c > 'z') && !strings.ContainsRune("~-_0123456789", rune(first[i])) {
			return false
		}
	}
	return true
}

const (
	widerEnd       = "covers longer words too: a rule is a prefix"
	widerSeparator = "covers any characters where the list has a separator"
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
	if asks {
		if f.query, why = queryOf(query); why != "" {
			return why
		}
	} else {
		path, f.wider = endOf(path, whole)
	}
	if strings.Contains(path, "^") {
		path, f.wider = strings.ReplaceAll(path, "^", "*"), widerSeparator
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

// endOf takes the mark of an end off a path and says what is lost: nothing behind a file's
// extension.
func endOf(path string, whole bool) (string, string) {
	cut, separator := strings.CutSuffix(path, "^")
	if !separator && !whole {
		return path, ""
	}
	last := cut[strings.LastIndexByte(cut, '/')+1:]
	if strings.Contains(last, ".") || last == "" {
		return cut, ""
	}
	return cut, widerEnd
}

// queryOf turns the beginning of a query into key=value.
func queryOf(q string) (query, why string) {
	q = strings.TrimSuffix(strings.TrimSuffix(q, "*"), "&")
	q, end := strings.CutSuffix(q, "^")
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
			c.note(line, text, "a filter list has no categories: name one")
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
	if f.wider != "" {
		c.wider(line, text, f.wider)
	}
	if f.path == "" && f.elements == nil {
		c.host(e, f.host, line, text)
		return
	}
	if f.path == "" {
		f.path = "/"
	}
	if s, _, same := c.known(f.host, e.categories); same && s != nil {
		c.result.Known++
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
