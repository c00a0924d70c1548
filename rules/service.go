package rules

// Service is one entry of the catalogue: something a site embeds, with the hosts, paths and
// cookies that belong to it.
type Service struct {
	ID         string
	Name       string
	Categories Set // any of these opens it; zero: the catalogue has no category for it
	Class      string
	Reason     string // why it is necessary, for services that are
	Pages      int    // pages of the HTTP Archive's crawl of April 2025 that used it
	Hosts      []Host
	Rules      []PathRule
	Loaders    []string // host/path prefixes that mean, in an inline script, "loads this service"
	Cookies    []Cookie
	Profile    *Profile // of a site's own file; see Catalogue.ProfileOf
	Source     string   // file:line of the entry

	index int
}

// Host is a domain, with everything below it, that belongs to a service.
type Host struct {
	Name       string
	Categories Set // where they differ from the service's
	Flag       Flag
	Source     string
}

// Flag is what is special about a host.
type Flag string

const (
	FlagSplit       Flag = "split"            // several services share it: only path rules apply
	FlagBroad       Flag = "broad"            // more than the service lives there: only path rules apply
	FlagCNAME       Flag = "cname-target"     // collectors on sites' own domains point here
	FlagExempt      Flag = "exempt-candidate" // audience measurement that can be exempt from consent
	FlagDisputed    Flag = "disputed"         // its category is contested
	FlagCompromised Flag = "compromised"      // has served malicious code
)

var flags = []string{string(FlagSplit), string(FlagBroad), string(FlagCNAME), string(FlagExempt), string(FlagDisputed), string(FlagCompromised)}

// whole reports whether the host as a whole is its service's.
func (f Flag) whole() bool { return f != FlagSplit && f != FlagBroad }

// PathRule is narrower than a host.
type PathRule struct {
	Host       string // a host of this or another service; SiteHost for any first-party host
	Path       string // prefix; * stands for any run of characters
	Query      string // key=value, where value may end in *
	Elements   []string
	Name       string // of the product, where it differs from the service's
	Categories Set    // where they differ from the service's
	Source     string
}

// SiteHost stands in a PathRule for every first-party host.
const SiteHost = "@site"

// Cookie is a cookie that a service sets.
type Cookie struct {
	Name     string // exact, or a prefix with a trailing *
	Domain   string // if set, the rule applies only to cookies of this domain
	Lifetime string
	Type     string // http or js
	Party    string // first, third or both
	Purpose  string
	Category Set  // where it differs from the service's
	Listed   bool // a fact for the policy page alone, not enforced
	Source   string
}

// Essential is a cookie that is never stripped.
type Essential struct {
	Name     string // exact, or a prefix with a trailing *
	Software string
	Class    string
	Reason   string
	Lifetime string
	Source   string
}

// Profile is what a privacy officer asks about a service. Unknown fields are empty.
type Profile struct {
	Vendor       string   `yaml:"vendor" json:"vendor,omitempty"`
	Country      string   `yaml:"country" json:"country,omitempty"`
	What         string   `yaml:"what" json:"what,omitempty"`
	Tracks       string   `yaml:"tracks" json:"tracks,omitempty"`
	Data         string   `yaml:"data" json:"data,omitempty"`
	Role         string   `yaml:"role" json:"role,omitempty"`
	DataLocation string   `yaml:"data_location" json:"data_location,omitempty"`
	Transfers    string   `yaml:"transfers" json:"transfers,omitempty"`
	LegalBasis   string   `yaml:"legal_basis" json:"legal_basis,omitempty"`
	WhyConsent   string   `yaml:"why_consent" json:"why_consent,omitempty"`
	Risk         string   `yaml:"risk" json:"risk,omitempty"`
	Regulations  []string `yaml:"regulations" json:"regulations,omitempty"`
	DPIA         string   `yaml:"dpia" json:"dpia,omitempty"`
	Deploy       []string `yaml:"deploy" json:"deploy,omitempty"`
	ConsentText  string   `yaml:"consent_text" json:"consent_text,omitempty"`
	Alternatives []string `yaml:"alternatives" json:"alternatives,omitempty"`
	// Cookies has the purposes of cookies by their patterns, in the profile's language.
	Cookies map[string]string `yaml:"cookies" json:"-"`
	Sources []struct {
		Fact string `yaml:"fact" json:"fact,omitempty"`
		From string `yaml:"from" json:"from,omitempty"`
		Date string `yaml:"date" json:"date,omitempty"`
	} `yaml:"sources" json:"sources,omitempty"`
}
