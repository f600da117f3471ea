package esi

import "time"

// Limits bound one Assemble, nested fragments included. Zero values mean the
// defaults named.
type Limits struct {
	Depth      int           // fragments in fragments: 3
	Count      int           // fetches, alternatives among them: 64
	Bytes      int64         // of fragments and variables: 8 MiB
	Time       time.Duration // for all of it: 10 s
	Concurrent int           // fetches at a time: 8
}

func (l Limits) withDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = 3
	}
	if l.Count == 0 {
		l.Count = 64
	}
	if l.Bytes == 0 {
		l.Bytes = 8 << 20
	}
	if l.Time == 0 {
		l.Time = 10 * time.Second
	}
	if l.Concurrent == 0 {
		l.Concurrent = 8
	}
	return l
}

// Report says what became of a page.
type Report struct {
	// Included fragments are shown; Alternatives of them are an alt's.
	Included, Alternatives int
	// Failed includes got neither their src nor their alt.
	Failed int
	// Bytes of fragments and variables are shown.
	Bytes int64
	// TTL is the lowest that a fetch has reported, where HasTTL.
	TTL    time.Duration
	HasTTL bool
	// Personal: a fragment is, or $(EDGE_USER) has been looked at.
	Personal bool
	// Err is why the first include in page order failed, for the log; nil if
	// none did.
	Err error
}

// add counts what another report has shown.
func (r *Report) add(o Report) {
	r.Included += o.Included
	r.Alternatives += o.Alternatives
	r.Bytes += o.Bytes
	if o.HasTTL && (!r.HasTTL || o.TTL < r.TTL) {
		r.TTL, r.HasTTL = o.TTL, true
	}
	r.Personal = r.Personal || o.Personal
	r.blame(o)
}

// blame counts what has failed in another report.
func (r *Report) blame(o Report) {
	r.Failed += o.Failed
	if r.Err == nil {
		r.Err = o.Err
	}
}
