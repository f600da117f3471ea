package cachepolicy

import "time"

// Fwd is the "fwd" parameter of RFC 9211 §2.2: why the request went forward.
type Fwd uint8

// The values of fwd; FwdNone where the request did not go forward.
const (
	FwdNone Fwd = iota
	FwdBypass
	FwdMethod
	FwdURIMiss
	FwdVaryMiss
	FwdMiss
	FwdRequest
	FwdStale
	FwdPartial
)

// Status is one member of Cache-Status (RFC 9211). The one value feeds the
// header, the access log, the metrics label, explain and the dashboard.
type Status struct {
	Hit       bool
	Fwd       Fwd
	FwdStatus int // status of the app's answer, 0 if it is the one sent
	// TTL is the freshness left, where HasTTL; negative when stale.
	TTL       time.Duration
	HasTTL    bool
	Stored    bool
	Collapsed bool
	Detail    Reason
}
