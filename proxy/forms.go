package proxy

import (
	"strings"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// formTag begins the tag of stored pages that hold the CSRF token of all
// visitors without a session (csrf: shared); the token's name follows.
const formTag = "umbral:csrf-"

// fitness is what a stored page's form is to a visitor.
type fitness uint8

const (
	fits     fitness = iota
	others           // its token is not that of this visitor, who has a session
	outdated         // its token is nobody's any more: another secret, another mode
)

// form judges the form in a stored page: posted with a token that is not the
// visitor's own it would be refused.
func (p *Proxy) form(v *sessions.Visitor, host string, e *store.Entry) fitness {
	if e.Response.Scope != cachepolicy.Public {
		return fits
	}
	for _, tag := range e.Response.Tags {
		name, ok := strings.CutPrefix(tag, formTag)
		switch {
		case !ok:
		case name != p.sessions.SharedCSRF(host):
			return outdated
		case v.OwnsCSRF():
			return others
		}
	}
	return fits
}
