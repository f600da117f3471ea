package sessions

import "sync/atomic"

// Reason names something that happened to a session, or was refused. The list
// is closed: it is a metric's label.
type Reason uint8

// The reasons.
const (
	Created Reason = iota
	Rotated
	Moved // to a new first secret
	Ended
	Revoked
	BadCookie        // our cookie: forged, doubled, too old
	BadRecord        // does not open
	BadField         // a field of a record does not open
	BadControl       // a control field of the app cannot be read
	BadSetCookie     // a Set-Cookie of the app that a browser would ignore
	BadIdentity      // the probe or the app's session store gave no user
	CookieTooBig     // limits.cookie_bytes
	JarFull          // limits.cookies, limits.jar_bytes
	CookieHeaderFull // limits.cookie_header
	TooManyPerIP     // limits.new_per_ip
	TooManyAnonymous // limits.max_anonymous
	LateAnswer       // the session went while the app was working
	LateValue        // a newer value of the cookie was there already
	Barred           // a sign-in older than a not-before mark
	CrossSite        // an unsafe request from elsewhere
	ServedInGrace    // from a local record, Redis being gone
	RedisError
	numReasons
)

var reasonNames = [numReasons]string{
	"created", "rotated", "moved", "ended", "revoked", "bad_cookie", "bad_record", "bad_field", "bad_control",
	"bad_set_cookie", "bad_identity", "cookie_too_big", "jar_full", "cookie_header_full", "too_many_per_ip",
	"too_many_anonymous", "late_answer", "late_value", "barred", "cross_site", "served_in_grace", "redis_error",
}

// String is the label.
func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "unknown"
}

type counts [numReasons]atomic.Uint64

func (t *Terminator) count(r Reason) { t.counts[r].Add(1) }

// Stats are this edge's figures since it started.
type Stats struct {
	Counts   map[string]uint64 `json:"counts"` // by Reason
	Cached   int               `json:"cached"` // records in memory
	Tracking bool              `json:"tracking"`
	Down     bool              `json:"down"` // Redis does not answer
}

// Stats gives the figures. It asks nobody.
func (t *Terminator) Stats() Stats {
	s := Stats{Counts: make(map[string]uint64, numReasons), Cached: t.local.len(), Tracking: t.link.tracking.Load(), Down: t.isDown()}
	for i := range t.counts {
		s.Counts[Reason(i).String()] = t.counts[i].Load()
	}
	return s
}
