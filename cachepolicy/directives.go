package cachepolicy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/cachecontrol/cacheobject"
)

// directives are the response directives that decide over one response
// (RFC 9111 §5.2.2, RFC 5861, RFC 8246), from whichever field wins.
type directives struct {
	noStore, private, noCache             bool
	public, mustUnderstand, immutable     bool
	mustRevalidate, proxyRevalidate       bool
	noTransform                           bool
	maxAge, sMaxage, staleWhile, staleErr seconds
	// hidden are the fields that a qualified no-cache or private names, in
	// canonical form: they are not stored (§5.2.2.4, §5.2.2.7).
	hidden []string
}

// seconds is a directive with delta-seconds. One that is set but malformed
// is 0: invalid freshness information means stale (RFC 9111 §4.2.1).
type seconds struct {
	set bool
	d   time.Duration
}

// sharedConsent reports whether a directive lets a shared cache use the
// response to a request with Authorization (RFC 9111 §3.5).
func (d *directives) sharedConsent() bool {
	return d.public || d.mustRevalidate || d.sMaxage.set
}

// hide takes note of a qualified no-cache or private. Where the list is
// empty, not a list of names, or names a field that the stored response
// cannot do without, the directive cannot be honoured in part: hide reports
// false, and it counts as unqualified.
func (d *directives) hide(list string) bool {
	var names []string
	for rest := list; rest != ""; {
		var name string
		name, rest, _ = cutMember(rest)
		if name == "" {
			continue
		}
		if !isToken(name) || essential(name) {
			return false
		}
		names = append(names, http.CanonicalHeaderKey(name))
	}
	if len(names) == 0 || len(names) > 64 {
		return false
	}
	d.hidden = append(d.hidden, names...)
	return true
}

// essential names the fields without which a stored response would mean
// something else.
func essential(name string) bool {
	switch name = strings.ToLower(name); name {
	case "age", "cache-control", "date", "etag", "expires", "last-modified", "location", "vary", "no-vary-search", "umbral-cache-control", "cdn-cache-control":
		return true
	}
	return strings.HasPrefix(name, "content-")
}

// cacheControl reads the lines of Cache-Control:
//
//	Cache-Control   = #cache-directive
//	cache-directive = token [ "=" ( token / quoted-string ) ]
//
// Lines are joined first, and each member is taken by itself, so that a
// malformed one spoils no other. Of duplicates the first counts (§4.2.1).
// What restricts is honoured in any form, also with an argument that it does
// not take; what permits, only in its own; a lifetime that is not 1*DIGIT,
// quoted or not, is 0. Where a quoted string has no end, all lifetimes are.
func cacheControl(lines []string) directives {
	var d directives
	var clean strings.Builder // what cacheobject is given: known, well-formed, once
	seen := make(map[string]bool, 8)
	broken := false
	for list := join(lines); list != ""; {
		member, rest, whole := cutMember(list)
		list = rest
		broken = broken || !whole
		name, value, form := splitDirective(member)
		if name == "" {
			continue
		}
		switch name {
		case "no-cache", "private":
			if form == valued && d.hide(value) {
				continue
			}
		case "public", "immutable", "must-understand":
			if form != bare {
				continue
			}
		case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
			if seen[name] {
				continue
			}
			if form != valued || !allDigits(value) {
				value = "0"
			}
			name += "=" + value
			seen[strings.TrimSuffix(name, "="+value)] = true
		case "no-store", "must-revalidate", "proxy-revalidate", "no-transform":
		default:
			continue // unknown: ignored (§5.2.3)
		}
		clean.WriteString(name)
		clean.WriteString(", ")
	}
	cc, err := cacheobject.ParseResponseCacheControl(clean.String())
	if err != nil {
		return directives{noStore: true}
	}
	d.noStore, d.private, d.noCache = cc.NoStore, cc.PrivatePresent, cc.NoCachePresent
	d.public, d.immutable, d.noTransform = cc.Public, cc.Immutable, cc.NoTransform
	d.mustRevalidate, d.proxyRevalidate = cc.MustRevalidate, cc.ProxyRevalidate
	for _, extension := range cc.Extensions {
		d.mustUnderstand = d.mustUnderstand || extension == "must-understand"
	}
	d.maxAge = delta(cc.MaxAge, broken)
	d.sMaxage = delta(cc.SMaxAge, broken)
	d.staleWhile = delta(cc.StaleWhileRevalidate, broken)
	d.staleErr = delta(cc.StaleIfError, broken)
	return d
}

// delta: cacheobject has -1 for absent, and stops at 2^31-1 as RFC 9111
// §1.2.2 has it.
func delta(n cacheobject.DeltaSeconds, broken bool) seconds {
	if n < 0 {
		return seconds{}
	}
	if broken {
		n = 0
	}
	return seconds{set: true, d: time.Duration(n) * time.Second}
}

// form is how a directive was written.
type form uint8

const (
	bare    form = iota // name
	valued              // name=token or name="quoted"
	mangled             // name and something else
)

// splitDirective splits a member into its name, in lower case, and value,
// unquoted. A name is recognised whatever follows it.
func splitDirective(member string) (name, value string, f form) {
	i := 0
	for i < len(member) && isTokenByte(member[i]) {
		i++
	}
	name, rest := strings.ToLower(member[:i]), member[i:]
	switch {
	case rest == "":
		return name, "", bare
	case rest[0] != '=':
		return name, "", mangled
	case isToken(rest[1:]):
		return name, rest[1:], valued
	}
	if value, ok := unquote(rest[1:]); ok {
		return name, value, valued
	}
	return name, "", mangled
}

// requestDirectives are those of a request (RFC 9111 §5.2.1). A lifetime
// that is malformed is read as strictly as can be.
type requestDirectives struct {
	noStore, noCache, onlyIfCached bool
	maxAge, minFresh, maxStale     seconds
	anyStale                       bool // max-stale without a value
}

// requestControl reads a request's Cache-Control without allocating.
func requestControl(h http.Header) requestDirectives {
	var d requestDirectives
	for _, list := range h["Cache-Control"] {
		for list != "" {
			var member string
			member, list, _ = cutMember(list)
			d.add(member)
		}
	}
	return d
}

func (d *requestDirectives) add(member string) {
	name, value, form := splitDirective(member)
	switch name {
	case "no-store":
		d.noStore = true
	case "no-cache":
		d.noCache = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-age":
		if n, ok := parseDelta(value); ok && form == valued {
			d.maxAge = d.maxAge.lesser(n)
		} else {
			d.maxAge = seconds{set: true}
		}
	case "min-fresh":
		if n, ok := parseDelta(value); ok && form == valued {
			d.minFresh = seconds{true, max(d.minFresh.d, n)}
		} else {
			d.noCache = true
		}
	case "max-stale":
		if form == bare {
			d.anyStale = true
		} else if n, ok := parseDelta(value); ok && form == valued {
			d.maxStale = d.maxStale.lesser(n)
		}
	}
}

func (s seconds) lesser(d time.Duration) seconds {
	if s.set && s.d < d {
		return s
	}
	return seconds{true, d}
}

// maxDelta is 2^31 seconds, what a larger number counts as (§1.2.2).
const maxDelta = 1 << 31 * time.Second

// parseDelta reads delta-seconds = 1*DIGIT.
func parseDelta(s string) (time.Duration, bool) {
	if !allDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return maxDelta, true
	}
	return time.Duration(n) * time.Second, true
}
