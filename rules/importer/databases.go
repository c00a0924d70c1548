package importer

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

// jsonError says where in the list JSON is damaged.
func jsonError(format string, data []byte, err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	at := int64(-1)
	if errors.As(err, &syntax) {
		at = syntax.Offset
	} else if errors.As(err, &wrong) {
		at = wrong.Offset
	}
	if at >= 0 && at <= int64(len(data)) {
		return fmt.Errorf("line %d: this is not the JSON of %s: %w", bytes.Count(data[:at], []byte("\n"))+1, format, err)
	}
	return fmt.Errorf("this is not the JSON of %s: %w", format, err)
}

// webCategories are those of third-party-web that say what a service is for. Its hosting, cdn,
// content, utility and other hold trackers and libraries alike.
var webCategories = categoriesOf(map[rules.Category]string{
	rules.Marketing:   "ad marketing social video",
	rules.Statistics:  "analytics tag-manager",
	rules.Preferences: "customer-success",
	rules.Necessary:   "consent-provider",
})

// thirdPartyWeb reads the entities.json of third-party-web.
func (c *collector) thirdPartyWeb(data []byte) error {
	var entities []struct {
		Name       string   `json:"name"`
		Company    string   `json:"company"`
		Categories []string `json:"categories"`
		Category   string   `json:"category"`
		Domains    []string `json:"domains"`
	}
	if err := json.Unmarshal(data, &entities); err != nil {
		return jsonError("third-party-web", data, err)
	}
	for _, t := range entities {
		class := t.Category
		if class == "" && len(t.Categories) > 0 {
			class = t.Categories[0]
		}
		categories, ok := c.category(class, webCategories)
		if !ok {
			c.note(0, t.Name, "category "+cmp.Or(class, "none")+" does not say what it is for: map it with --map")
			continue
		}
		e := c.service(t.Name, t.Name, class, categories)
		if t.Company != "" && t.Company != t.Name {
			e.Profile = &profile{Vendor: t.Company}
		}
		for _, d := range t.Domains {
			host := strings.TrimPrefix(d, "*.")
			if strings.Contains(host, "*") {
				c.note(0, d, "a star inside a host name")
				continue
			}
			c.host(e, host, 0, d)
		}
	}
	return nil
}

// ghosteryCategories are those of Ghostery's tracker database.
var ghosteryCategories = categoriesOf(map[rules.Category]string{
	rules.Marketing:   "advertising adult_advertising social_media pornvertising audio_video_player email",
	rules.Statistics:  "site_analytics telemetry",
	rules.Preferences: "customer_interaction comments",
	rules.Necessary:   "consent",
})

// ghostery reads the trackerdb.json that Ghostery's database exports.
func (c *collector) ghostery(data []byte) error {
	var db struct {
		Patterns map[string]struct {
			Name, Category, Organization string
			Domains, Filters             []string
		}
		Organizations map[string]struct{ Name, Country string }
	}
	if err := json.Unmarshal(data, &db); err != nil {
		return jsonError("ghostery", data, err)
	}
	if db.Patterns == nil {
		return errors.New(`this is not the JSON of ghostery: "patterns" is missing; take the trackerdb.json of a release`)
	}
	for _, key := range slices.Sorted(maps.Keys(db.Patterns)) {
		p := db.Patterns[key]
		name := cmp.Or(p.Name, key)
		categories, ok := c.category(p.Category, ghosteryCategories)
		if !ok {
			c.note(0, name, "category "+cmp.Or(p.Category, "none")+" does not say what it is for: map it with --map")
			continue
		}
		e := c.service(key, name, p.Category, categories)
		if o := db.Organizations[p.Organization]; o.Name != "" {
			e.Profile = &profile{Vendor: o.Name, Country: o.Country}
		}
		for _, d := range p.Domains {
			c.host(e, d, 0, d)
		}
		for _, text := range p.Filters {
			if f, ok, why := parseFilter(text); ok {
				c.filter(e, f, 0, text)
			} else if why != "" {
				c.note(0, text, why)
			}
		}
	}
	return nil
}

// databaseCategories are those of the Open Cookie Database; what it calls functional or security
// passes without an entry.
var databaseCategories = categoriesOf(map[rules.Category]string{
	rules.Marketing:   "marketing",
	rules.Statistics:  "analytics",
	rules.Preferences: "personalization preferences",
})

// databaseDomain takes the host out of a cell such as "google.com (3rd party)".
var databaseDomain = regexp.MustCompile(`^\s*\.?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)\s*(?:\((?:3rd|3th|third).party\))?\s*$`)

// cookieDatabase reads the CSV of the Open Cookie Database.
func (c *collector) cookieDatabase(data []byte) error {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, true
	head, err := r.Read()
	if err != nil {
		return fmt.Errorf("this is not the CSV of the Open Cookie Database: %w", err)
	}
	column := make(map[string]int)
	for i, h := range head {
		h = strings.ToLower(strings.TrimSpace(h))
		if strings.HasPrefix(h, "cookie") {
			h = "name"
		}
		column[h] = i
	}
	for _, need := range []string{"platform", "category", "name"} {
		if _, ok := column[need]; !ok {
			return fmt.Errorf("this is not the CSV of the Open Cookie Database: the column %s is missing", need)
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, _ := r.FieldPos(0)
		if err != nil {
			return fmt.Errorf("line %d: this is not CSV: %w", line, err)
		}
		cell := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		name := cell("name")
		categories, ok := c.category(cell("category"), databaseCategories)
		if !ok {
			c.note(line, name, "category "+cmp.Or(strings.ToLower(cell("category")), "none")+" passes without an entry, or does not say what it is for: map it with --map")
			continue
		}
		if cell("wildcard match") == "1" && !strings.HasSuffix(name, "*") {
			name += "*"
		}
		platform := cmp.Or(cell("platform"), "unnamed")
		k := Cookie{Name: name, Lifetime: cell("retention period"), Purpose: cell("description"), Party: "first"}
		if m := databaseDomain.FindStringSubmatch(cell("domain")); m != nil {
			k.Domain, k.Party = strings.ToLower(m[1]), "third"
		} else if d := cell("domain"); d != "" {
			k.Party = ""
			c.wider(line, name+" of "+d, "enforced for every domain: the cell is no single domain")
		}
		c.cookie(c.service(platform, platform, "", categories), k, categories, line)
	}
}
