package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"umbral/cachepolicy"
)

// TTL is a duration or [cachepolicy.AppTTL], written "app".
type TTL time.Duration

// Size is a number of bytes, written 8MiB, 500KB or 4096.
type Size int64

// Percent is a part of one, written 10%.
type Percent float64

// Switch is on or off; zero is not said.
type Switch uint8

// The values of a Switch.
const (
	Unsaid Switch = iota
	On
	Off
)

// AllWord is the one word "all".
type AllWord bool

// Rate is so many in so much time, written 10/m. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// Statuses are lifetimes by status.
type Statuses map[int]time.Duration

// Secret is text that is never shown: printed, logged or encoded it reads
// [hidden].
type Secret string

const hidden = "[hidden]"

// String hides the secret; so do all verbs of fmt.
func (s Secret) String() string { return hidden }

// Format hides the secret under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText hides the secret in JSON, YAML and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reveal is the secret itself, for the one who needs it.
func (s Secret) Reveal() string { return string(s) }

// maxDays keeps day arithmetic far from overflow.
const maxDays = 36500

// ParseDuration reads a Go duration that may begin with days: 90s, 1h30m, 1d,
// 1d12h, or 0. It is never negative.
//
//	duration = "0" / [ digits "d" ] [ Go duration ]
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: write 30s, 15m, 1h30m or 7d", s)
	if s == "0" {
		return 0, nil
	}
	if isDigits(s) {
		return 0, fmt.Errorf("%s has no unit: write %ss for seconds, or 15m, 1h, 7d", s, s)
	}
	var d time.Duration
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || !isDigits(days) || n > maxDays {
			return 0, bad
		}
		d = time.Duration(n) * 24 * time.Hour
		if s = rest; s == "" {
			return d, nil
		}
	}
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, bad
	}
	more, err := time.ParseDuration(s)
	if err != nil || more < 0 || more > math.MaxInt64-d {
		return 0, bad
	}
	return d + more, nil
}

// FormatDuration is the shortest form that [ParseDuration] reads: 1h, 30s,
// 7d, 0s.
func FormatDuration(d time.Duration) string {
	if d == cachepolicy.AppTTL {
		return "app"
	}
	if d > 0 && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var units = []struct {
	suffix string
	bytes  int64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}, {"b", 1},
}

// ParseSize reads a number of bytes: 4096, 64KiB, 8MiB, 1.5GiB, 500MB. The
// case of the unit does not matter; it is never negative.
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("%q is not a size: write 8MiB, 64KiB or a number of bytes", s)
	number, unit := strings.ToLower(s), int64(1)
	for _, u := range units {
		if before, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = strings.TrimRight(before, " "), u.bytes
			break
		}
	}
	whole, fraction, dotted := strings.Cut(number, ".")
	if !isDigits(whole) || dotted && (!isDigits(fraction) || unit == 1) {
		return 0, bad
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*float64(unit) >= 1<<53 {
		return 0, bad
	}
	return int64(f * float64(unit)), nil
}

var ratePeriods = map[string]time.Duration{
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// ParseRate reads so many in so much time: 10/m, 5/s, 100/h, 1000/d, 0.
func ParseRate(s string) (Rate, error) {
	if s == "0" {
		return Rate{}, nil
	}
	count, period, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(count, 10, 32)
	per := ratePeriods[period]
	if !ok || err != nil || !isDigits(count) || n == 0 || per == 0 {
		return Rate{}, fmt.Errorf("%q is not a rate: write 10/m, with s, m, h or d", s)
	}
	return Rate{Count: int(n), Per: per}, nil
}

// String is the form that [ParseRate] reads.
func (r Rate) String() string {
	for name, per := range ratePeriods {
		if per == r.Per {
			return strconv.Itoa(r.Count) + "/" + name
		}
	}
	return "0"
}

func parsePercent(s string) (Percent, error) {
	number, ok := strings.CutSuffix(s, "%")
	whole, fraction, dotted := strings.Cut(number, ".")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || !isDigits(whole) || dotted && !isDigits(fraction) || err != nil || f >= 100 {
		return 0, fmt.Errorf("%q is not a part of a life: write 10%%, from 0%% to below 100%%", s)
	}
	return Percent(f / 100), nil
}

func parseSwitch(s string) (bool, error) {
	switch s {
	case "on", "true":
		return true, nil
	case "off", "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither on nor off", s)
}

// parse methods fill a value from the text of a YAML scalar.

func (t *TTL) parse(s string) error {
	if s == "app" {
		*t = TTL(cachepolicy.AppTTL)
		return nil
	}
	d, err := ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%w, or app", err)
	}
	*t = TTL(d)
	return nil
}

func (z *Size) parse(s string) (err error) {
	n, err := ParseSize(s)
	*z = Size(n)
	return err
}

func (p *Percent) parse(s string) (err error) {
	*p, err = parsePercent(s)
	return err
}

func (w *Switch) parse(s string) error {
	on, err := parseSwitch(s)
	if *w = Off; on {
		*w = On
	}
	return err
}

func (a *AllWord) parse(s string) error {
	if s != "all" {
		return errors.New(`only "all" can be ignored: to ignore some parameters, drop them`)
	}
	*a = true
	return nil
}

func (r *Rate) parse(s string) (err error) {
	*r, err = ParseRate(s)
	return err
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
