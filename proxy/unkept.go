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
	body, ok := p.codeOnce(c, s.plain.body)
	switch {
	case !ok:
		return &s.plain
	case body == nil:
		s.forms[c].Store(&s.plain)
		return &s.plain
	}
	f.body = body
	return f
}

// codeOnce is Encode for one answer; ok is false where no processor is to spare
// for it.
func (p *Proxy) codeOnce(c Coding, body []byte) (coded []byte, ok bool) {
	select {
	case p.unkeptNow <- struct{}{}:
		defer func() { <-p.unkeptNow }()
		return encode(c, body, quick), true
	default:
		return nil, false
	}
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
