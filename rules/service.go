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
	Profile    *Profile
	Source     string // file:line of the entry

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
	Vendor       string   `yaml:"vendor"`
	Country      string   `yaml:"country"`
	What         string   `yaml:"what"`
	Tracks       string   `yaml:"tracks"`
	Data         string   `yaml:"data"`
	Role         string   `yaml:"role"`
	DataLocation string   `yaml:"data_location"`
	Transfers    string   `yaml:"transfers"`
	LegalBasis   string   `yaml:"legal_basis"`
	WhyConsent   string   `yaml:"why_consent"`
	Risk         string   `yaml:"risk"`
	Regulations  []string `yaml:"regulations"`
	DPIA         string   `yaml:"dpia"`
	Deploy       []string `yaml:"deploy"`
	ConsentText  string   `yaml:"consent_text"`
	Alternatives []string `yaml:"alternatives"`
	Sources      []struct {
		Fact string `yaml:"fact"`
		From string `yaml:"from"`
		Date string `yaml:"date"`
	} `yaml:"sources"`
}
