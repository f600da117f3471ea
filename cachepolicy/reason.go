package cachepolicy

// Reason names why a response was not a hit, was not stored, or was stored
// for less. The list is closed: this one name feeds Cache-Status (detail=),
// the access log, the metrics label, explain and the dashboard.
type Reason uint8

// The reasons.
const (
	None Reason = iota
	// Why a request was not looked up.
	RouteOff          // cache: off
	UncacheableMethod // neither GET nor HEAD
	AmbiguousPath     // two programs could read the path differently
	BodyOnGet         // a GET or HEAD with content
	UpgradeRequest    // Upgrade: websocket
	FlashCookie       // a cookie of sessions' bypass is in the jar
	RequestNoStore    // Cache-Control: no-store from a trusted client
	HitForMiss        // remembered as uncacheable
	// Why a stored response was not served as it is.
	NotStored      // nothing under this key
	VaryMismatch   // no variant for this request
	Stale          // its freshness is over
	MustValidate   // no-cache
	RequestNoCache // the trusted client asked for a validation
	RequestMaxAge  // max-age, min-fresh or max-stale of a trusted client
	RequestOnlyIfCached
	SoftPurged   // soft purge
	Purged       // hard purge
	LogLost      // the purge log has been out of reach for too long
	PartMismatch // the stored part does not hold what is asked for
	StoreDown    // Redis out of reach
	// Why a response was not stored.
	ResponseNoStore
	ResponsePrivate
	SetsCookie
	VaryStar
	Authorization
	NoFreshness // no explicit lifetime and no heuristic allowed
	AlreadyStale
	StatusNotListed // a listed route stores 200 and what it names
	TooLarge
	Truncated
	PartialContent
	NotUnderstood // must-understand with a status that is not ours
	UnknownCoding // a Transfer-Encoding or Content-Encoding that is refused
	ControlFields // the answer carried session control
	// Why the visitor got something else than the app's fresh answer.
	AppUnreachable
	AppError
	AppTimeout
	BadAnswer // the app broke the protocol
	SessionsDown
	Overloaded
	RateLimited
	numReasons
)
