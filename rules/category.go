package rules

import (
	"fmt"
	"strings"
)

// Category is one of the four purposes a service can have. Necessary is always allowed.
type Category uint8

const (
	Necessary Category = iota
	Preferences
	Statistics
	Marketing
)

// Categories lists all categories, Necessary first.
var Categories = [...]Category{Necessary, Preferences, Statistics, Marketing}

var categoryNames = [...]string{"necessary", "preferences", "statistics", "marketing"}

func (c Category) String() string {
	if int(c) < len(categoryNames) {
		return categoryNames[c]
	}
	return "unknown"
}

// ParseCategory returns the category with that lower-case name. The error of an unknown name
// says the nearest valid one.
func ParseCategory(s string) (Category, error) {
	for i, n := range categoryNames {
		if n == s {
			return Category(i), nil
		}
	}
	return 0, fmt.Errorf("unknown category %q%s", s, DidYouMean(s, categoryNames[:]))
}

// Set is a set of categories; the zero value is empty.
type Set uint8

const (
	// Optional holds every category that needs consent.
	Optional = Set(1<<Preferences | 1<<Statistics | 1<<Marketing)
	// All holds every category.
	All = Optional | Set(1<<Necessary)
)

// SetOf returns the set of cs.
func SetOf(cs ...Category) (s Set) {
	for _, c := range cs {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in s.
func (s Set) Has(c Category) bool { return s&(1<<c) != 0 }

// Intersects reports whether s and t share a category.
func (s Set) Intersects(t Set) bool { return s&t != 0 }

// String joins the names of the optional categories with dots, as the consent cookie holds
// them; "none" where there are none.
func (s Set) String() string { return setNames[s&All] }

// Names lists the categories of s, Necessary first.
func (s Set) Names() []string {
	var out []string
	for _, c := range Categories {
		if s.Has(c) {
			out = append(out, c.String())
		}
	}
	return out
}

// Strings of all sets, made once since log lines ask for them on every response.
var setNames = func() (t [All + 1]string) {
	for s := range t {
		if n := (Set(s) & Optional).Names(); n != nil {
			t[s] = strings.Join(n, ".")
		} else if Set(s).Has(Necessary) {
			t[s] = "necessary"
		} else {
			t[s] = "none"
		}
	}
	return t
}()
