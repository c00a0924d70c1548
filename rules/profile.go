package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-consent/caddy-consent/rules/catalogue"
)

// ProfileLanguages are the languages in which there are profiles; all of them are in the first.
var ProfileLanguages = []string{"en", "fr", "de", "es"}

// profiles holds those of the embedded catalogue that have been asked for, by file name.
var profiles sync.Map

// ProfileOf returns what is known of a service in a language of ProfileLanguages, or in English
// where it has not been translated, and which language that is. The profile of a site's own
// catalogue file goes first; its language is the site's, "". It is nil where nothing is known. The
// caller must not change it.
func (c *Catalogue) ProfileOf(s *Service, language string) (p *Profile, in string) {
	if s.Profile != nil {
		return s.Profile, ""
	}
	for _, in := range []string{language, ProfileLanguages[0]} {
		if p := embeddedProfile(in, s.ID); p != nil {
			return p, in
		}
	}
	return nil, ""
}

func embeddedProfile(language, id string) *Profile {
	if !contains(ProfileLanguages, language) || !serviceID.MatchString(id) {
		return nil
	}
	name := path.Join("profiles", language, id+".yaml")
	if p, ok := profiles.Load(name); ok {
		return p.(*Profile)
	}
	var p *Profile
	if data, err := catalogue.Files.ReadFile(name); err == nil {
		p, _ = readProfile(name, data) // the tests read them all
	}
	profiles.Store(name, p)
	return p
}

// readProfile reads a file of profiles/<language>/.
func readProfile(name string, data []byte) (*Profile, error) {
	e := entryReader{file: "catalogue/" + name}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", e.file, err)
	}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s: the file is empty", e.file)
	}
	p := e.profile(doc.Content[0])
	return p, errors.Join(e.problems...)
}

// lintProfiles returns what is wrong in the embedded profiles.
func (c *Catalogue) lintProfiles() (problems []string) {
	names, err := fs.Glob(catalogue.Files, "profiles/*/*.yaml")
	if err != nil {
		return []string{err.Error()}
	}
	for _, name := range names {
		say := func(format string, a ...any) {
			problems = append(problems, "catalogue/"+name+": "+fmt.Sprintf(format, a...))
		}
		data, err := catalogue.Files.ReadFile(name)
		if err != nil {
			say("%v", err)
			continue
		}
		p, err := readProfile(name, data)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		language, id := path.Base(path.Dir(name)), strings.TrimSuffix(path.Base(name), ".yaml")
		if !contains(ProfileLanguages, language) {
			say("%s is none of the languages %s", language, strings.Join(ProfileLanguages, ", "))
		}
		if c.byID[id] == nil {
			say("there is no service %q%s", id, DidYouMean(id, c.ids))
		}
		if !contains([]string{"", "low", "medium", "high"}, p.Risk) {
			say("risk %q is none of low, medium, high", p.Risk)
		}
		if len(p.Sources) == 0 {
			say("name the sources of the facts")
		}
		for _, src := range p.Sources {
			if src.Fact == "" || src.From == "" || src.Date == "" {
				say("a source needs fact, from and date")
			}
		}
		for _, id := range c.missing(p.Alternatives) {
			say("alternative %q is no service%s", id, DidYouMean(id, c.ids))
		}
	}
	return problems
}

// missing returns those of ids that the catalogue has not.
func (c *Catalogue) missing(ids []string) (out []string) {
	for _, id := range ids {
		if c.byID[id] == nil {
			out = append(out, id)
		}
	}
	return out
}
