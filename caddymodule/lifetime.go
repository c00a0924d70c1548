package caddymodule

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// lifetime is how long a cookie may live: months and days by the calendar, and a fixed time.
type lifetime struct {
	months, days int
	fixed        time.Duration
}

var errLifetime = errors.New(`use a number and a unit, such as "13 months", "180 days" or "12h"`)

// parseLifetime reads "13 months", "1 year", "26 weeks", "180 days" or a Go duration.
func parseLifetime(s string) (l lifetime, err error) {
	n, unit, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return l, errLifetime
		}
		return lifetime{fixed: d}, nil
	}
	count, err := strconv.Atoi(n)
	if err != nil || count < 1 || count > 3650 {
		return l, errLifetime
	}
	switch strings.TrimSuffix(strings.TrimSpace(unit), "s") {
	case "year":
		l.months = 12 * count
	case "month":
		l.months = count
	case "week":
		l.days = 7 * count
	case "day":
		l.days = count
	case "hour":
		l.fixed = time.Duration(count) * time.Hour
	default:
		return l, errLifetime
	}
	return l, nil
}

// end returns the latest time at which a cookie that is set now may end.
func (l lifetime) end(now time.Time) time.Time { return now.AddDate(0, l.months, l.days).Add(l.fixed) }

// clamp shortens what a Set-Cookie line says about its cookie's end to the lifetime. All else in the
// line stays as it is; a line that says nothing, or less, is returned unchanged.
func (l lifetime) clamp(line string, now time.Time) string {
	end := l.end(now)
	seconds := int64(math.Ceil(end.Sub(now).Seconds()))
	parts := strings.Split(line, ";")
	changed := false
	for i, p := range parts[1:] {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			continue
		}
		switch v = strings.Trim(v, " \t"); strings.ToLower(strings.Trim(k, " \t")) {
		case "max-age":
			n, err := strconv.ParseInt(v, 10, 64)
			if err == nil && n > seconds || errors.Is(err, strconv.ErrRange) && v[0] != '-' {
				parts[i+1], changed = k+"="+strconv.FormatInt(seconds, 10), true
			}
		case "expires":
			if t, ok := cookieDate(v); ok && t.After(end) {
				parts[i+1], changed = k+"="+end.UTC().Format(http.TimeFormat), true
			}
		}
	}
	if !changed {
		return line
	}
	return strings.Join(parts, ";")
}
