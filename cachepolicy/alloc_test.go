package cachepolicy

import (
	"testing"
	"time"
)

// TestAllocations guards what a hit costs: it fails before a benchmark would
// be looked at.
func TestAllocations(t *testing.T) {
	rs := benchRoutes(t)
	p := rs.Match("GET", "example.com", "/certificado/1")
	pure := mustPolicy(t, pureRule)
	r := &Request{Method: "GET", Scheme: "https", Host: "example.com", Path: "/certificado/1", Query: "page=2&utm_source=x", Header: browserHeader}
	s := store(t, pure, r, answer(t, 200, "Cache-Control: max-age=60\nVary: Accept-Language, User-Agent"))
	c, now := Candidate{Stored: s}, t0.Add(time.Second)
	trusted := *r
	trusted.Trusted = true
	primary := pure.Key(r)
	status := Status{Hit: true, HasTTL: true, TTL: time.Minute}
	buf := make([]byte, 0, 128)
	for _, row := range []struct {
		name string
		most float64
		do   func()
	}{
		{"Match", 0, func() { rs.Match("GET", "example.com:8080", "/certificado/1") }},
		{"Key", 1, func() { p.Key(r) }},
		{"VariantKey", 0, func() { pure.VariantKey(primary, r, s.VaryFields) }},
		{"Reuse", 0, func() { pure.Reuse(r, c, now) }},
		{"Reuse, trusted", 0, func() { pure.Reuse(&trusted, c, now) }},
		{"Bypass", 0, func() { p.Bypass(r) }},
		{"Precondition", 0, func() { Precondition(r, s) }},
		{"SelectRanges", 0, func() { SelectRanges(r, s, 100) }},
		{"Status", 0, func() { buf = status.Append(buf[:0]) }},
	} {
		if got := testing.AllocsPerRun(100, row.do); got > row.most {
			t.Errorf("%s allocates %v times, %v at most", row.name, got, row.most)
		}
	}
}
