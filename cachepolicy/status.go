package cachepolicy

import (
	"strconv"
	"time"
)

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

var fwdNames = [...]string{
	FwdNone: "", FwdBypass: "bypass", FwdMethod: "method", FwdURIMiss: "uri-miss", FwdVaryMiss: "vary-miss",
	FwdMiss: "miss", FwdRequest: "request", FwdStale: "stale", FwdPartial: "partial",
}

// String is the token of RFC 9211 §2.2, "" for FwdNone.
func (f Fwd) String() string {
	if int(f) < len(fwdNames) {
		return fwdNames[f]
	}
	return ""
}

// Append appends the member as the value of Cache-Status has it, such as
//
//	umbral; hit; ttl=30
//	umbral; fwd=stale; fwd-status=304; stored; ttl=60; detail=stale
//
// A ttl is in whole seconds, rounded down, so that it never promises more
// freshness than is left.
func (s Status) Append(b []byte) []byte {
	b = append(b, "umbral"...)
	if s.Hit {
		b = append(b, "; hit"...)
	} else if s.Fwd != FwdNone {
		b = append(b, "; fwd="...)
		b = append(b, s.Fwd.String()...)
		if s.FwdStatus != 0 {
			b = append(b, "; fwd-status="...)
			b = strconv.AppendInt(b, int64(s.FwdStatus), 10)
		}
	}
	if s.Stored {
		b = append(b, "; stored"...)
	}
	if s.Collapsed {
		b = append(b, "; collapsed"...)
	}
	if s.HasTTL {
		b = append(b, "; ttl="...)
		seconds := s.TTL / time.Second
		if s.TTL < 0 && s.TTL%time.Second != 0 {
			seconds--
		}
		b = strconv.AppendInt(b, int64(seconds), 10)
	}
	if s.Detail != None {
		b = append(b, "; detail="...)
		b = append(b, s.Detail.String()...)
	}
	return b
}

// String is the member as text.
func (s Status) String() string { return string(s.Append(nil)) }
