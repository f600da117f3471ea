package sessions

import (
	"net/http"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Limits on what control fields may carry.
const (
	maxUID        = 255
	maxData       = 16
	maxDatumName  = 64
	maxDatumValue = 1024
)

// control is what an answer's X-Edge-Session-* fields say. Its zero value
// says nothing.
type control struct {
	user      string // signed in as
	anonymous bool   // signed out
	logout    scope
	data      []datum
}

type datum struct{ name, value string }

// scope is whose sessions a logout ends.
type scope uint8

const (
	keep scope = iota
	current
	others
	everywhere
)

func (c *control) empty() bool {
	return c.user == "" && !c.anonymous && c.logout == keep && len(c.data) == 0
}

// takeControl reads and removes the control fields of an answer. obey says
// that the route has control: on; userHeader, if not empty, names the field
// that is believed on every route (identity.source: header). What cannot be
// read says nothing, and is counted.
func takeControl(h http.Header, obey bool, userHeader string, bad func(Reason)) (c control) {
	if obey || userHeader != "" {
		name := userHeader
		if name == "" {
			name = HeaderSessionUser
		}
		c.user, c.anonymous = controlUser(h[http.CanonicalHeaderKey(name)], bad)
	}
	if obey {
		c.logout = controlLogout(h[HeaderSessionLogout], bad)
		c.data = controlData(h[HeaderSessionSet], bad)
	}
	if userHeader != "" {
		h.Del(userHeader)
	}
	StripControl(h)
	return c
}

// controlUser reads a uid: visible characters and single spaces inside, no
// quotes. "anonymous" is nobody.
func controlUser(lines []string, bad func(Reason)) (uid string, anonymous bool) {
	if len(lines) == 0 {
		return "", false
	}
	v := strings.Trim(lines[0], " \t")
	for _, l := range lines[1:] {
		if strings.Trim(l, " \t") != v {
			bad(BadControl)
			return "", false
		}
	}
	if v == "anonymous" {
		return "", true
	}
	if !validUID(v) {
		bad(BadControl)
		return "", false
	}
	return v, false
}

// validUID: it goes up in a field value, and into a JSON string.
func validUID(v string) bool {
	if v == "" || len(v) > maxUID {
		return false
	}
	for i := range len(v) {
		if v[i] < ' ' || v[i] >= 0x7f {
			return false
		}
	}
	return strings.TrimSpace(v) == v
}

func controlLogout(lines []string, bad func(Reason)) scope {
	out := keep
	for _, l := range lines {
		switch strings.ToLower(strings.Trim(l, " \t")) {
		case "current":
			out = max(out, current)
		case "others":
			out = max(out, others)
		case "all":
			out = max(out, everywhere)
		default:
			bad(BadControl)
		}
	}
	return out
}

// controlData reads a dictionary of strings (RFC 9651 §3.2); a member that is
// false (?0), or an empty string, forgets the datum.
func controlData(lines []string, bad func(Reason)) (out []datum) {
	if len(lines) == 0 {
		return nil
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		bad(BadControl)
		return nil
	}
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		item, ok := member.(httpsfv.Item)
		if !ok || len(name) > maxDatumName || len(out) >= maxData {
			bad(BadControl)
			continue
		}
		switch v := item.Value.(type) {
		case string:
			if len(v) > maxDatumValue {
				bad(BadControl)
				continue
			}
			out = append(out, datum{name, v})
		case bool:
			if v {
				bad(BadControl)
				continue
			}
			out = append(out, datum{name, ""})
		default:
			bad(BadControl)
		}
	}
	slices.SortFunc(out, func(a, b datum) int { return strings.Compare(a.name, b.name) })
	return out
}
