package sessions

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Names that Django gives its CSRF cookie and header.
const (
	csrfCookie = "csrftoken"
	csrfHeader = "X-Csrftoken"
)

// sameOrigin says whether the browser itself proves that a request comes from
// a page of its own origin. proven is false, and so is cross, where it says
// nothing at all.
func (t *Terminator) sameOrigin(r *http.Request) (proven, cross bool) {
	switch site := r.Header["Sec-Fetch-Site"]; {
	case len(site) == 0:
	case len(site) == 1 && site[0] == "same-origin":
		proven = true
	default:
		return false, true
	}
	switch origin := r.Header["Origin"]; {
	case len(origin) == 0:
	case len(origin) == 1 && t.isOrigin(origin[0], r):
		proven = true
	default:
		return false, true
	}
	return proven, false
}

// isOrigin compares an Origin field with the request's host. The scheme is
// compared where it is known: with COOKIE_SECURE visitors come by https.
func (t *Terminator) isOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Host == "" {
		return false
	}
	if u.Scheme != "https" && (u.Scheme != "http" || t.opt().CookieSecure && !loopback(u.Hostname())) {
		return false
	}
	return strings.EqualFold(withoutPort(u.Host, u.Scheme), withoutPort(requestHost(r), u.Scheme))
}

// loopback hosts are secure contexts without https.
func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// withoutPort drops the scheme's default port.
func withoutPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// CheckCSRF is the edge's own check of an unsafe request: under csrf: shared
// it is refused unless the browser proves that it comes from a page of this
// origin. In every other mode, and for safe methods, it is the app's matter.
func (t *Terminator) CheckCSRF(r *http.Request, _ *Visitor) (ok bool) {
	if t.opt().CSRF != CSRFShared || !unsafe(r.Method) {
		return true
	}
	proven, _ := t.sameOrigin(r)
	if !proven {
		t.count(CrossSite)
	}
	return proven
}

// UsesCSRF reports that an answer depends on its visitor's CSRF token: Django
// sets the cookie on every answer that used or rotated it, and only then.
func UsesCSRF(h http.Header) bool {
	return slices.ContainsFunc(h["Set-Cookie"], func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return strings.TrimSpace(name) == csrfCookie
	})
}

// sharedToken is the synthetic CSRF token that all anonymous visitors of a
// host have under csrf: shared. It is no secret from anybody who visits: the
// edge's own check stands in its place. So it is made of no secret of ours
// either, and a form outlives a change of those. Half of it is the mask "aaa…", under
// which Django's 64-character form spells the 32-character secret itself.
func (t *Terminator) sharedToken(host string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	sum := sha256.Sum256([]byte("umbral csrf token " + strings.ToLower(host)))
	b := make([]byte, 0, 64)
	for range 32 {
		b = append(b, 'a')
	}
	for _, c := range sum {
		b = append(b, letters[int(c)%len(letters)])
	}
	return string(b)
}

// repeatsShared says that the app has only sent the synthetic token back, in
// either of Django's spellings.
func (t *Terminator) repeatsShared(host string, c *cookie) bool {
	if t.opt().CSRF != CSRFShared || c.name != csrfCookie {
		return false
	}
	token := t.sharedToken(host)
	return c.value == token || c.value == token[32:]
}

// sharesCSRF: this visitor's CSRF cookie is the synthetic one.
func (v *Visitor) sharesCSRF() bool {
	return v.t.opt().CSRF == CSRFShared && v.rec == nil && !v.adopting
}

// OwnsCSRF reports that forms with the synthetic token of csrf: shared are not
// for this visitor, who has a session and a token of their own. Never in the
// other modes.
func (v *Visitor) OwnsCSRF() bool {
	if v.shared || v.t.opt().CSRF != CSRFShared {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.sharesCSRF()
}

// SharedCSRF names the synthetic token in force for a host, without telling
// it: "" in every mode but csrf: shared.
func (t *Terminator) SharedCSRF(host string) string {
	if t.opt().CSRF != CSRFShared {
		return ""
	}
	sum := sha256.Sum256([]byte("umbral csrf token's name " + strings.ToLower(host)))
	return hex.EncodeToString(sum[:8])
}

// DropSharedCSRF removes from the answer to a public request the Set-Cookie
// fields that only repeat the synthetic token of csrf: shared. used reports
// that there was one: the page depends on the token, so that it may be stored
// and served to visitors without a session, but a visitor with one, whose
// token is another, has to be given the app's own answer.
func (t *Terminator) DropSharedCSRF(resp *http.Response) (used bool) {
	lines := resp.Header["Set-Cookie"]
	if t.opt().CSRF != CSRFShared || len(lines) == 0 || resp.Request == nil {
		return false
	}
	host := requestHost(resp.Request)
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		c, ok := parseSetCookie(line, host, resp.Request.URL.EscapedPath(), t.opt().Now())
		if ok && t.repeatsShared(host, &c.cookie) {
			used = true
			continue
		}
		kept = append(kept, line)
	}
	if len(kept) == 0 {
		delete(resp.Header, "Set-Cookie")
	} else {
		resp.Header["Set-Cookie"] = kept
	}
	return used
}
