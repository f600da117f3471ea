package proxy

import (
	"sync/atomic"
	"time"

	"umbral/cachepolicy"
)

// Route is one route of routes.yaml in force, or the unlisted one: its policy
// and what else holds on it.
type Route struct {
	*cachepolicy.Policy
	// Limit is the route's rate limit, nil for none.
	Limit *Limit
	// Methods that the file names beyond the usual ones.
	Methods []string
	// searched: some response of the route carried No-Vary-Search, as far as
	// is known; learnt is when Redis was last asked, in nanoseconds since 1970.
	searched atomic.Bool
	learnt   atomic.Int64
}

// Name is the route's label: its pattern, or "-" for the unlisted one.
func (r *Route) Name() string {
	if !r.Rule.Listed() {
		return "-"
	}
	return r.Rule.Pattern
}

// LimitBy says what a rate limit counts by.
type LimitBy uint8

// What a limit counts by.
const (
	ByIP LimitBy = iota
	BySession
	ByUser
)

// Limit allows Rate requests in Per, by By; a burst of Rate at once.
type Limit struct {
	Rate int
	Per  time.Duration
	By   LimitBy
}
