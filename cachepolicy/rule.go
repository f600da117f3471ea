package cachepolicy

import "time"

// AppTTL is the ttl "app": the app's own headers say (RFC 9111).
const AppTTL time.Duration = -1

// MaxLife is the longest that anything stays stored, stale windows included:
// the purge log forgets what is older (CACHING.md §3).
const MaxLife = 30 * 24 * time.Hour

// Rule is the operator's word on one route of routes.yaml, with its defaults
// already applied. The zero Rule with no Pattern is the unlisted route.
type Rule struct {
	// Pattern is the net/http ServeMux pattern, "" for what no route lists.
	Pattern string
	// Off: never look up, never store.
	Off bool
	// TTL is the operator's lifetime, or AppTTL. An unlisted route has AppTTL
	// and needs explicit freshness from the app.
	TTL time.Duration
	// Scope is routes.yaml's vary.
	Scope Scope
	// Tags may hold "{wildcard}" names of Pattern.
	Tags []string
	// VaryHeaders (canonical form) and VaryCookies are part of the key.
	VaryHeaders []string
	VaryCookies []string
	Query       QueryRule
	// Status holds the lifetimes of statuses that the file names; 200 has TTL
	// unless it is named.
	Status map[int]time.Duration
	// StaleWhileRevalidate and StaleIfError are the operator's; -1: not
	// named, the app's own directives hold.
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration
	// StaleIfUnreachable is 1h unless named.
	StaleIfUnreachable time.Duration
	// RefreshAhead is the last part of the life in which popular pages are
	// fetched again, 0 to 1.
	RefreshAhead float64
	// MaxObject is the largest body stored, in bytes.
	MaxObject int64
	// ESI: the app's pages are searched for fragments' tags.
	ESI bool
	// Control: the app's X-Edge-Session-* answers are obeyed.
	Control bool
}

// Listed reports whether the rule is a route of the file.
func (r *Rule) Listed() bool { return r.Pattern != "" }

// QueryRule says which query parameters are part of the key. Names are those
// of the raw query, byte for byte, never of url.Values (CVE-2022-2880).
type QueryRule struct {
	// Keep, if not nil, lists globs of the only names that stay.
	Keep []string
	// Drop lists globs of names that go.
	Drop []string
	// Ignore drops the whole query.
	Ignore bool
	// Sort orders the parameters by name, values of one name in their order.
	Sort bool
}
