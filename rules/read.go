package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entryReader reads catalogue files strictly: an unknown key, a wrong word or a missing field is
// a problem at file:line.
type entryReader struct {
	file     string
	problems []error
}

func (e *entryReader) fail(n *yaml.Node, format string, a ...any) {
	e.problems = append(e.problems, fmt.Errorf("%s:%d: %s", e.file, n.Line, fmt.Sprintf(format, a...)))
}

func (e *entryReader) at(n *yaml.Node) string { return e.file + ":" + strconv.Itoa(n.Line) }

// yamlLine takes the line out of a message of the YAML reader.
var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// list returns the entries of a file.
func (e *entryReader) list(data []byte) []*yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			err = fmt.Errorf("%s:%s: %s", e.file, m[1], m[2])
		} else {
			err = fmt.Errorf("%s: %w", e.file, err)
		}
		e.problems = append(e.problems, err)
		return nil
	}
	if len(doc.Content) == 0 {
		return nil
	}
	if doc.Content[0].Kind != yaml.SequenceNode {
		e.fail(doc.Content[0], "a catalogue file is a list of entries; begin each with a dash")
		return nil
	}
	return doc.Content[0].Content
}

// fields calls f for every key of a mapping; f returns false for a key it does not know.
func (e *entryReader) fields(n *yaml.Node, keys []string, f func(key string, v *yaml.Node) bool) {
	if n.Kind != yaml.MappingNode {
		e.fail(n, "expected an entry with the keys %s", strings.Join(keys, ", "))
		return
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if seen[k.Value] {
			e.fail(k, "%s is given twice", k.Value)
			continue
		}
		seen[k.Value] = true
		if !f(k.Value, n.Content[i+1]) {
			e.fail(k, "unknown key %q%s", k.Value, DidYouMean(k.Value, keys))
		}
	}
}

func (e *entryReader) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		e.fail(n, "expected a text")
		return ""
	}
	return n.Value
}

func (e *entryReader) texts(n *yaml.Node) (out []string) {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	if n.Kind != yaml.SequenceNode {
		e.fail(n, "expected a list of texts")
		return nil
	}
	for _, c := range n.Content {
		out = append(out, e.text(c))
	}
	return out
}

func (e *entryReader) categories(n *yaml.Node) (s Set) {
	for _, t := range e.texts(n) {
		c, err := ParseCategory(t)
		if err != nil {
			e.fail(n, "%v", err)
			continue
		}
		s |= SetOf(c)
	}
	return s
}

func (e *entryReader) word(n *yaml.Node, what string, valid []string) string {
	t := e.text(n)
	for _, v := range valid {
		if v == t {
			return t
		}
	}
	e.fail(n, "unknown %s %q%s", what, t, DidYouMean(t, valid))
	return ""
}

var (
	serviceKeys = []string{"id", "name", "category", "class", "reason", "pages", "hosts", "rules", "loaders", "cookies", "profile"}
	hostKeys    = []string{"host", "category", "flag"}
	ruleKeys    = []string{"host", "path", "query", "elements", "name", "category"}
	cookieKeys  = []string{"name", "domain", "lifetime", "type", "party", "purpose", "category", "enforce"}
	profileKeys = []string{"vendor", "country", "what", "tracks", "data", "role", "data_location", "transfers", "legal_basis",
		"why_consent", "risk", "regulations", "dpia", "deploy", "consent_text", "alternatives", "cookies", "sources"}
	essentialKeys = []string{"name", "software", "class", "reason", "lifetime"}
	serviceID     = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// services reads a file of services.
func (e *entryReader) services(data []byte) (out []*Service) {
	for _, n := range e.list(data) {
		s := &Service{Source: e.at(n)}
		e.fields(n, serviceKeys, func(key string, v *yaml.Node) bool {
			switch key {
			case "id":
				if s.ID = e.text(v); !serviceID.MatchString(s.ID) {
					e.fail(v, "id %q: use lower-case letters, digits and single dashes", s.ID)
				}
			case "name":
				s.Name = e.text(v)
			case "category":
				s.Categories = e.categories(v)
			case "class":
				s.Class = e.text(v)
			case "reason":
				s.Reason = e.text(v)
			case "pages":
				n, err := strconv.Atoi(e.text(v))
				if err != nil {
					e.fail(v, "pages: expected a number")
				}
				s.Pages = n
			case "hosts":
				for _, c := range v.Content {
					s.Hosts = append(s.Hosts, e.host(c))
				}
			case "rules":
				for _, c := range v.Content {
					s.Rules = append(s.Rules, e.pathRule(c))
				}
			case "loaders":
				s.Loaders = e.texts(v)
			case "cookies":
				for _, c := range v.Content {
					s.Cookies = append(s.Cookies, e.cookie(c))
				}
			case "profile":
				s.Profile = e.profile(v)
			default:
				return false
			}
			return true
		})
		if s.ID == "" {
			e.fail(n, "an entry needs an id")
			continue
		}
		if s.Name == "" {
			s.Name = s.ID
		}
		out = append(out, s)
	}
	return out
}

func (e *entryReader) profile(n *yaml.Node) *Profile {
	p := new(Profile)
	e.fields(n, profileKeys, func(key string, _ *yaml.Node) bool { return contains(profileKeys, key) })
	if err := n.Decode(p); err != nil {
		e.fail(n, "profile: %v", err)
	}
	return p
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func (e *entryReader) host(n *yaml.Node) Host {
	h := Host{Source: e.at(n)}
	if n.Kind == yaml.ScalarNode {
		h.Name = n.Value
	} else {
		e.fields(n, hostKeys, func(key string, v *yaml.Node) bool {
			switch key {
			case "host":
				h.Name = e.text(v)
			case "category":
				h.Categories = e.categories(v)
			case "flag":
				h.Flag = Flag(e.word(v, "flag", flags))
			default:
				return false
			}
			return true
		})
	}
	if norm, err := NormalizeHost(h.Name); err != nil || norm != h.Name {
		e.fail(n, "%q is not a host name in lower case; write it without scheme, path and *, since a host covers everything below it", h.Name)
	}
	return h
}

func (e *entryReader) pathRule(n *yaml.Node) PathRule {
	r := PathRule{Source: e.at(n)}
	e.fields(n, ruleKeys, func(key string, v *yaml.Node) bool {
		switch key {
		case "host":
			r.Host = e.text(v)
		case "path":
			r.Path = e.text(v)
		case "query":
			r.Query = e.text(v)
		case "elements":
			for _, t := range e.texts(v) {
				if elementKinds[t] == 0 {
					e.fail(v, "unknown element %q%s", t, DidYouMean(t, elementNames))
				}
				r.Elements = append(r.Elements, t)
			}
		case "name":
			r.Name = e.text(v)
		case "category":
			r.Categories = e.categories(v)
		default:
			return false
		}
		return true
	})
	if r.Host != SiteHost {
		if norm, err := NormalizeHost(r.Host); err != nil || norm != r.Host {
			e.fail(n, "rule: %q is not a host name in lower case, nor %q", r.Host, SiteHost)
		}
	}
	if r.Path == "" || r.Path[0] != '/' && r.Path[0] != '*' {
		e.fail(n, "rule: a path begins with / or *")
	}
	if r.Query != "" && !strings.Contains(r.Query, "=") {
		e.fail(n, "rule: a query has the form key=value")
	}
	return r
}

func (e *entryReader) cookie(n *yaml.Node) Cookie {
	c := Cookie{Source: e.at(n)}
	e.fields(n, cookieKeys, func(key string, v *yaml.Node) bool {
		switch key {
		case "name":
			c.Name = e.text(v)
		case "domain":
			c.Domain = e.text(v)
		case "lifetime":
			c.Lifetime = e.text(v)
		case "type":
			c.Type = e.word(v, "type", []string{"http", "js", "both"})
		case "party":
			c.Party = e.word(v, "party", []string{"first", "third", "both"})
		case "purpose":
			c.Purpose = e.text(v)
		case "category":
			c.Category = e.categories(v)
		case "enforce":
			c.Listed = e.word(v, "value", []string{"true", "false"}) == "false"
		default:
			return false
		}
		return true
	})
	if err := checkPattern(strings.ReplaceAll(c.Name, "*", "") + "*"); err != nil {
		e.fail(n, "cookie: %v", err)
	}
	return c
}

// checkPattern checks a cookie name or a prefix with a trailing *.
func checkPattern(p string) error {
	name := strings.TrimSuffix(p, "*")
	switch {
	case name == "":
		return errors.New("a cookie pattern needs a name")
	case strings.Contains(name, "*"):
		return fmt.Errorf("cookie pattern %q: only one * at the end stands for the rest of the name", p)
	case strings.ContainsAny(name, "=;, \t\r\n\""):
		return fmt.Errorf("cookie pattern %q: a cookie name has no space, comma, semicolon, quote or =", p)
	}
	return nil
}

// essentials reads the file of essential cookies.
func (e *entryReader) essentials(data []byte) (out []Essential) {
	for _, n := range e.list(data) {
		s := Essential{Source: e.at(n)}
		e.fields(n, essentialKeys, func(key string, v *yaml.Node) bool {
			switch key {
			case "name":
				s.Name = e.text(v)
			case "software":
				s.Software = e.text(v)
			case "class":
				s.Class = e.text(v)
			case "reason":
				s.Reason = e.text(v)
			case "lifetime":
				s.Lifetime = e.text(v)
			default:
				return false
			}
			return true
		})
		if err := checkPattern(strings.ReplaceAll(s.Name, "*", "") + "*"); err != nil {
			e.fail(n, "essential: %v", err)
		}
		out = append(out, s)
	}
	return out
}

// elementKinds says which kinds a rule's element means.
var elementKinds = map[string]kindMask{
	"script": kinds(KindScript, KindInlineScript), "iframe": kinds(KindFrame, KindEmbed, KindNavigation),
	"img": kinds(KindImage), "style": kinds(KindStyle), "font": kinds(KindFont), "media": kinds(KindMedia),
	"xhr": kinds(KindFetch, KindCollector),
}

var elementNames = []string{"script", "iframe", "img", "style", "font", "media", "xhr"}

type kindMask uint32

func kinds(ks ...Kind) (m kindMask) {
	for _, k := range ks {
		m |= 1 << k
	}
	return m
}
