package cachepolicy

import (
	"net/http"
	"slices"
)

// Present is the header that a visitor gets with s: worked out once for each
// stored copy. It has neither Age, Cache-Status nor Content-Length, nor any
// field that is the edge's business; its Cache-Control is what the browser
// is to be told (CACHING §1). The result is the caller's own.
func (p *Policy) Present(s *Stored) http.Header {
	h := s.Fields.Header()
	delete(h, "Content-Length")
	dropStar(h)
	for name := range h {
		if hiddenFrom(name) {
			delete(h, name)
		}
	}
	p.tellBrowser(h, s.Lifetime.NoStore, s.Lifetime.NoTransform, s.Lifetime.Operator)
	return h
}

// PresentLive does the same, in place, to the header of a response that
// passes through. Set-Cookie and Content-Length are left to others.
func (p *Policy) PresentLive(r *Request, resp *Response) {
	h := resp.Header
	dropStar(h)
	d, _ := govern(h)
	named := connectionNames(h)
	for name := range h {
		if hiddenFrom(name) || hopByHop(name) && name != "Upgrade" && name != "Connection" || slices.Contains(named, name) && name != "Upgrade" {
			delete(h, name)
		}
	}
	if resp.Status != http.StatusSwitchingProtocols {
		delete(h, "Connection")
		delete(h, "Upgrade")
	}
	_, operator := p.operatorLife(resp.Status)
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	p.tellBrowser(h, d.noStore, d.noTransform, operator && safe && !d.noStore && !d.private)
}

// StripInterim takes off the header of a 1xx answer what no visitor may see:
// the edge's own fields, cookies, and what belongs to the connection.
func StripInterim(h http.Header) {
	named := connectionNames(h)
	for name := range h {
		if hiddenFrom(name) || hopByHop(name) || slices.Contains(named, name) || name == "Set-Cookie" || name == "Set-Cookie2" || name == "Content-Length" {
			delete(h, name)
		}
	}
}

// tellBrowser rewrites Cache-Control: on personal pages nothing may be kept
// by others or used unasked; where the operator's ttl holds, the browser
// asks each time, so that a purge is seen at once; else the app's own word
// stands. What the app has forbidden beyond that stays forbidden.
func (p *Policy) tellBrowser(h http.Header, noStore, noTransform, operator bool) {
	var told string
	switch {
	case p.Rule.Scope != Public:
		told = "private, no-cache"
	case operator && !p.Rule.Off:
		told = "no-cache"
	default:
		return
	}
	if noStore {
		told += ", no-store"
	}
	if noTransform {
		told += ", no-transform"
	}
	h["Cache-Control"] = []string{told}
	for _, name := range [...]string{"Expires", "Pragma", "Cdn-Cache-Control"} {
		delete(h, name)
	}
}
