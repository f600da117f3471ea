package proxy

import (
	"net/http"
	"strings"

	"umbral/cachepolicy"
)

// unkeptMost is the largest body, in bytes, that is coded without the copy being kept.
const unkeptMost = 1 << 20

// unkept codes a page for one visitor where there is no room to keep the copy:
// no memory tier, or their share of it is full. Every answer costs that anew,
// so of the codings that the visitor likes equally it takes the fastest, spends
// half of the processors at most, and serves the plain form where that would
// not do.
func (p *Proxy) unkept(s *served, x *Exchange) *form {
	if len(s.plain.body) > unkeptMost {
		return &s.plain
	}
	c := negotiate(x.R.Header["Accept-Encoding"], fastest)
	if f := s.forms[c].Load(); f != nil {
		return f
	}
	f := s.form(c, unkeptETag(s.plain.view.Tag(), c, s.plain.body))
	if conditional(x.R.Header) && cachepolicy.Precondition(&x.Ask, f.view) == http.StatusNotModified {
		return f // nobody needs the body
	}
	select {
	case p.unkeptNow <- struct{}{}:
		defer func() { <-p.unkeptNow }()
	default:
		return &s.plain
	}
	if f.body = encode(c, s.plain.body, quick); f.body == nil {
		s.forms[c].Store(&s.plain)
		return &s.plain
	}
	return f
}

// unkeptETag is weak, for the copy that is kept by another edge, or here a
// while later, has other bytes in the same coding: a validator that a strong
// comparison never takes for that copy's, and a weak one does (RFC 9110
// §8.8.3.2).
func unkeptETag(tag string, c Coding, plain []byte) string {
	if tag = codedETag(tag, c, plain); strings.HasPrefix(tag, "W/") {
		return tag
	}
	return "W/" + tag
}
