package consentoracle

import (
	"strings"

	"github.com/LiveRamp/iabconsent"
	"github.com/prebid/go-gdpr/consentconstants"
	"github.com/prebid/go-gdpr/vendorconsent"
	"github.com/prebid/go-gpp"
	"github.com/prebid/go-gpp/constants"
	"github.com/prebid/go-gpp/sections/uspca"
	"github.com/prebid/go-gpp/sections/uspco"
	"github.com/prebid/go-gpp/sections/uspct"
	"github.com/prebid/go-gpp/sections/uspnat"
	"github.com/prebid/go-gpp/sections/usput"
	"github.com/prebid/go-gpp/sections/uspva"

	"github.com/caddy-consent/caddy-consent/rules"
)

// reading is what a decoder reads: the purposes consented to, bit n-1 for purpose n.
type reading struct {
	purposes uint32
	ok       bool
}

// categories are what the documentation says that purposes open.
func (r reading) categories() rules.Set {
	set := rules.SetOf(rules.Necessary)
	for c, need := range map[rules.Category]uint32{rules.Marketing: forMarketing, rules.Statistics: forStatistics, rules.Preferences: forPreferences} {
		if r.ok && r.purposes&need == need {
			set |= rules.SetOf(c)
		}
	}
	return set
}

// goGDPR reads with prebid/go-gdpr, which can index past the end of a damaged string.
func goGDPR(s string) (r reading) {
	defer func() {
		if recover() != nil {
			r = reading{}
		}
	}()
	c, err := vendorconsent.ParseString(s)
	if err != nil || c.Version() != 2 {
		return r
	}
	for n := range 24 {
		if c.PurposeAllowed(consentconstants.Purpose(n + 1)) {
			r.purposes |= 1 << n
		}
	}
	r.ok = true
	return r
}

// iab reads with LiveRamp/iabconsent.
func iab(s string) (r reading, err error) {
	c, err := iabconsent.ParseV2(s)
	if c == nil {
		return r, err
	}
	for n, on := range c.PurposesConsent {
		if on {
			r.purposes |= 1 << (n - 1)
		}
	}
	r.ok = true
	return r, err
}

// withoutVendors is a string's core up to the purposes, naming no interest and no vendor: what the
// purposes are does not hang on what follows them, but the other decoders want to see all of it.
func withoutVendors(s string) string {
	s, _, _ = strings.Cut(s, ".")
	if len(s) < 30 {
		return s
	}
	last := alphabet[strings.IndexByte(alphabet, s[29])&^15] // two bits of it are purposes
	return s[:29] + string(last) + strings.Repeat("A", 26)
}

// optedOut says whether a decoder reads an opt-out of sale, sharing or targeted advertising, or the
// browser's Global Privacy Control, in a section of the United States.
type optedOut struct{ out, ok bool }

// iabGPP reads with LiveRamp/iabconsent, which knows the sections 7 to 22.
func iabGPP(s string) (o optedOut) {
	sections, err := iabconsent.ParseGppConsent(s)
	if err != nil {
		return o
	}
	for _, section := range sections {
		if c, ok := section.(*iabconsent.MspaParsedConsent); ok {
			o.out = o.out || c.SaleOptOut == iabconsent.OptedOut || c.SharingOptOut == iabconsent.OptedOut || c.TargetedAdvertisingOptOut == iabconsent.OptedOut || c.Gpc
		}
	}
	o.ok = true
	return o
}

// goGPP reads with prebid/go-gpp, which knows the sections 7 to 12. The European section's text
// comes with it.
func goGPP(s string) (o optedOut, tc string) {
	c, errs := gpp.Parse(s)
	if len(c.Sections) == 0 {
		return o, ""
	}
	o.ok = len(errs) == 0
	for _, section := range c.Sections {
		var values []byte
		switch s := section.(type) {
		case uspnat.USPNAT:
			values = append(values, s.CoreSegment.SaleOptOut, s.CoreSegment.SharingOptOut, s.CoreSegment.TargetedAdvertisingOptOut)
			o.out = o.out || s.GPCSegment.Gpc
		case uspca.USPCA:
			values = append(values, s.CoreSegment.SaleOptOut, s.CoreSegment.SharingOptOut)
			o.out = o.out || s.GPCSegment.Gpc
		case uspva.USPVA:
			values = append(values, s.CoreSegment.SaleOptOut, s.CoreSegment.TargetedAdvertisingOptOut)
		case uspco.USPCO:
			values = append(values, s.CoreSegment.SaleOptOut, s.CoreSegment.TargetedAdvertisingOptOut)
			o.out = o.out || s.GPCSegment.Gpc
		case usput.USPUT:
			values = append(values, s.CoreSegment.SaleOptOut, s.CoreSegment.TargetedAdvertisingOptOut)
		case uspct.USPCT:
			values = append(values, s.CoreSegment.SaleOptOut, s.CoreSegment.TargetedAdvertisingOptOut)
			o.out = o.out || s.GPCSegment.Gpc
		case gpp.GenericSection:
			switch s.GetID() {
			case constants.SectionTCFEU2:
				tc = s.GetValue()
			case constants.SectionUSPV1: // plain text: 1YNN, the third letter is the opt-out
				v := s.GetValue()
				o.out = o.out || len(v) == 4 && v[2] == 'Y'
			}
		}
		for _, v := range values {
			o.out = o.out || v == 1
		}
	}
	return o, tc
}
