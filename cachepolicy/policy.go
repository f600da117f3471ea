package cachepolicy

import (
	"net/http"
	"time"
)

// Key names one stored response, or one [Index] of them: SHA-256 over
// length-prefixed fields, so that no two different requests meet in one key.
type Key [32]byte

// Scope says whose a page is: the key's partition.
type Scope uint8

// The scopes of routes.yaml's vary.
const (
	// Public pages are asked for without any cookie and without identity.
	Public Scope = iota
	// PerSession pages belong to one session.
	PerSession
	// PerUser pages belong to one user, on all of the user's devices. A
	// visitor whose user is not known falls back to the session, never to
	// Public.
	PerUser
)

// Auth says how much is known of who asks.
type Auth uint8

// Levels of Auth, as X-Edge-Auth names them.
const (
	Anonymous Auth = iota
	InSession
	SignedIn
)

// Identity is who asks, as far as keys and storability need it. The digests
// are bound to the generation of the session and of the user: a rise in
// either makes every older personal page unreachable (SESSIONS.md §5).
type Identity struct {
	Auth Auth
	// Session is empty only where nothing of the visitor's jar would go up
	// on a session or user route.
	Session string
	// User is empty where the user is not known.
	User string
	// Owner is the user whatever the generation, for purges: they reach all
	// of a person's pages, also those of generations that nobody knows any
	// more. It is in no key.
	Owner string
}

// Request is what the policy needs to know of a request. The policy never
// changes it.
type Request struct {
	Method string
	Scheme string // "http" or "https"
	Host   string // lower case, without the scheme's default port
	Path   string // escaped, as it came
	Query  string // raw, as it came, without "?"
	// Header holds the fields as they came, less what the edge's front door
	// drops. Cookie and X-Edge-* in it are ignored: see Cookie, Identity.
	Header   http.Header
	Identity Identity
	// Cookie is the Cookie line that the edge would send up for this
	// request: what Vary: Cookie speaks of.
	Cookie string
	// VaryCookies holds the values of the rule's VaryCookies in the order of
	// the rule; a missing one is "\x00", which no cookie value can be.
	VaryCookies []string
	// Trusted says that the request's own cache directives are honoured: it
	// comes from a trusted proxy or carries the admin token.
	Trusted bool
	// Body says that the request has content.
	Body bool
}

// Response is the app's final answer, before anything is removed from it but
// hop-by-hop framing.
type Response struct {
	Status int
	Header http.Header
	// Length is the declared content length, -1 where none was declared.
	Length int64
	// RequestTime and ResponseTime are the local clock's (RFC 9111 §4.2.3).
	RequestTime, ResponseTime time.Time
	// CookieChange says that the response's Set-Cookie fields, if any,
	// would change the visitor's jar (SESSIONS.md §8).
	CookieChange bool
	// IfNoneMatch is the If-None-Match that went up, "" if none. Only
	// [Policy.Freshen] reads it: a 304 without any validator can select a
	// stored response only if that response's alone were sent.
	IfNoneMatch string
}

// Stored is a response as the cache holds it, less its body. It is immutable
// once made: [Policy.Freshen] returns another.
type Stored struct {
	Status int
	// Fields are the app's end-to-end fields, without Set-Cookie, control
	// fields, tags and what Connection named; this is what a 304 updates
	// (RFC 9111 §3.2).
	Fields Fields
	// ResponseTime is when the header section arrived.
	ResponseTime Instant
	// InitialAge is corrected_initial_age (RFC 9111 §4.2.3).
	InitialAge time.Duration
	// Lifetime says how long it is fresh and what may be done with it after.
	Lifetime Lifetime
	// Scope is whose it is.
	Scope Scope
	// VaryFields are the lower-case, sorted, distinct names of Vary that the
	// primary key does not already cover; VaryValues the values of the
	// request that it answered, normalised, in the same order. A name may be
	// followed by ";" and a language: see vary.go.
	VaryFields, VaryValues []string
	// Tags are the rule's tags with wildcards filled in, and the app's
	// (Cache-Tag, Surrogate-Key, xkey, Cache-Groups), distinct.
	Tags []string
	// NoVarySearch is the response's valid No-Vary-Search, normalised, or "".
	NoVarySearch string
	// ETag is the app's entity-tag with its quotes and W/ if weak, "" if it
	// sent none; Fields' Etag is what a visitor sees, and may be one that
	// the edge made. LastModified is zero if absent or malformed.
	ETag         string
	LastModified Instant
	// Part is the range that the body holds where Status is 206, else nil.
	Part *Part
	// Unkept, if not None, says that a validation made the response
	// unstorable: it answers the request that validated it, and must then be
	// deleted. Only [Policy.Freshen] and [Policy.FreshenByHead] set it.
	Unkept Reason
}

// Instant is a time as a stored response keeps it, in a third of the room: in
// microseconds since 1970, and 0 for none.
type Instant int64

// InstantOf is t, cut to microseconds; the beginning of 1970 is one too late.
func InstantOf(t time.Time) Instant {
	switch us := t.UnixMicro(); {
	case t.IsZero():
		return 0
	case us == 0:
		return 1
	default:
		return Instant(us)
	}
}

// Time is the zero time for none.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(i)).UTC()
}

// IsZero reports whether there is no time.
func (i Instant) IsZero() bool { return i == 0 }

// Part is the single range that an incomplete response holds.
type Part struct{ First, Last, Total int64 }

// Lifetime is how long a response may be used, from ResponseTime on, the
// initial age counted in: it is fresh while its current age is below Fresh.
// It is worked out once, when the response is stored or freshened.
type Lifetime struct {
	Fresh                time.Duration
	StaleWhileRevalidate time.Duration // after Fresh; 0: not allowed
	StaleIfError         time.Duration // after Fresh; 0: not allowed
	StaleIfUnreachable   time.Duration // after Fresh; 0: not allowed
	// NoCache: every use needs a validation (no-cache, or a part of it that
	// cannot be honoured alone).
	NoCache bool
	// MustRevalidate: never served stale (RFC 9111 §4.2.4): must-revalidate,
	// proxy-revalidate, and s-maxage where it made Fresh.
	MustRevalidate bool
	// Immutable is RFC 8246: the visitor's reload makes no validation.
	Immutable bool
	// NoTransform: it must be sent in the coding that it came in (RFC 9111
	// §5.2.2.6), whoever says so.
	NoTransform bool
	// NoStore: the browser is told so although the edge keeps it
	// (must-understand, RFC 9111 §5.2.2.3).
	NoStore bool
	// Operator says that the rule's ttl made Fresh.
	Operator bool
	// Heuristic says that Fresh was guessed (RFC 9111 §4.2.2).
	Heuristic bool
}

// Index is what a key holds where its responses carry Vary or
// No-Vary-Search: how to find the response itself.
type Index struct {
	// Vary lists the distinct sets of field names seen, newest first, at
	// most 4. Each goes to [Policy.VariantKey] as it is.
	Vary [][]string
	// NoVarySearch is the newest valid value seen, "" if none.
	NoVarySearch string
	// Variants are those seen that have an entity-tag, newest first, at most 16.
	Variants []Variant
}

// Variant says where the response with an entity-tag lies.
type Variant struct {
	ETag string
	Key  Key
}

// Verdict is what to do with a request.
type Verdict uint8

// The verdicts.
const (
	// Forward: ask the app; nothing stored helps.
	Forward Verdict = iota
	// Serve: answer from the stored response.
	Serve
	// ServeStale: answer from the stored response although it is stale, and
	// refresh it behind the visitor's back if Refresh says so.
	ServeStale
	// Validate: ask the app with the stored validators.
	Validate
	// GatewayTimeout: only-if-cached, and nothing may be served: 504.
	GatewayTimeout
)

// Candidate is a stored response with what the purge log says of it. A
// response that a hard purge has killed is no candidate at all.
type Candidate struct {
	*Stored
	// SoftPurged: treat as stale from now on.
	SoftPurged bool
	// LogLost: the edge has lost the purge log for too long; it is not
	// served without validation, and not stale-while-revalidate either.
	LogLost bool
}

// Decision is the outcome of [Policy.Reuse].
type Decision struct {
	Verdict Verdict
	// Reason says why the verdict is not Serve.
	Reason Reason
	// Age is current_age (RFC 9111 §4.2.3), never negative.
	Age time.Duration
	// TTL is the freshness left, negative when stale.
	TTL time.Duration
	// Refresh asks for a background fetch: stale-while-revalidate, or the
	// last part of the life of a page with refresh_ahead.
	Refresh bool
}

// Failure is how the app failed, for [Policy.StaleOnError].
type Failure uint8

// The failures.
const (
	// ServerError: the app answered with an [ErrorStatus].
	ServerError Failure = iota
	// Unreachable: connection or I/O failure, or a time-out, before a header
	// section arrived (RFC 9111 §4.2.4).
	Unreachable
)

// Policy is the pure decision-maker of one route. It is immutable and safe
// for concurrent use.
type Policy struct {
	Rule Rule
	// filled in by newPolicy: whatever can be worked out once
	compiled
}
