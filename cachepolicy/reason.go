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
	NoIdentity        // a personal page, and nothing to tell the visitor by
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
	EdgeAnswer     // the edge answers this address itself
	SessionRenewal // the app is asked so that its sliding session goes on
	RequestRefused // the request breaks a rule or a limit of the edge's
	Loop           // the edge has sent this request up itself (RFC 9110 §7.6.3)
	numReasons
)

var reasonNames = [numReasons]string{
	None: "none", RouteOff: "route-off", UncacheableMethod: "uncacheable-method", AmbiguousPath: "ambiguous-path",
	BodyOnGet: "body-on-get", UpgradeRequest: "upgrade-request", NoIdentity: "no-identity", FlashCookie: "flash-cookie",
	RequestNoStore: "request-no-store", HitForMiss: "hit-for-miss", NotStored: "nothing-stored", VaryMismatch: "vary-mismatch",
	Stale: "stale", MustValidate: "must-validate", RequestNoCache: "request-no-cache", RequestMaxAge: "request-max-age",
	RequestOnlyIfCached: "request-only-if-cached", SoftPurged: "soft-purged", Purged: "purged", LogLost: "log-lost",
	PartMismatch: "part-mismatch", StoreDown: "store-down", ResponseNoStore: "response-no-store",
	ResponsePrivate: "response-private", SetsCookie: "sets-cookie", VaryStar: "vary-star", Authorization: "authorization",
	NoFreshness: "no-freshness", AlreadyStale: "already-stale", StatusNotListed: "status-not-listed", TooLarge: "too-large",
	Truncated: "truncated", PartialContent: "partial-content", NotUnderstood: "not-understood", UnknownCoding: "unknown-coding",
	ControlFields: "control-fields", AppUnreachable: "app-unreachable", AppError: "app-error", AppTimeout: "app-timeout",
	BadAnswer: "bad-answer", SessionsDown: "sessions-down", Overloaded: "overloaded", RateLimited: "rate-limited",
	EdgeAnswer: "edge-answer", SessionRenewal: "session-renewal",
	RequestRefused: "request-refused", Loop: "loop",
}

// String is the reason's name, a token: the value of detail= and of labels.
func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Reasons lists every reason but None, for metrics and documentation.
func Reasons() []Reason {
	all := make([]Reason, 0, numReasons-1)
	for r := None + 1; r < numReasons; r++ {
		all = append(all, r)
	}
	return all
}
