package sessions

import (
	"net/http"
	"slices"
)

// Access is how much of the visitor an upstream request shows.
type Access uint8

// The kinds of Access.
const (
	// AccessPublic: no identity, and no cookie but those named.
	AccessPublic Access = iota
	// AccessFull: the whole jar and the identity.
	AccessFull
)

// Prepare makes out, the request that goes to the app, say who asks, and
// nothing else that the visitor said about it. It belongs in
// httputil.ReverseProxy's Rewrite, after the hop-by-hop fields have gone, and
// on a request whose front door has dropped what is [Forbidden]. names are the route's
// vary_cookies, for AccessPublic. v must have been resolved; a shared visitor
// will do where no answer is absorbed.
func (v *Visitor) Prepare(out *http.Request, access Access, names []string) {
	h := out.Header
	for _, name := range [...]string{"Cookie", HeaderAuth, HeaderUser, HeaderSession, HeaderIdentity} {
		delete(h, name) // all in canonical form
	}
	out.Trailer = nil
	path := out.URL.EscapedPath()
	auth := "anonymous"
	line := ""
	if !v.shared {
		v.mu.Lock()
		defer v.mu.Unlock()
	}
	switch {
	case access == AccessPublic && len(names) > 0 && !v.shared:
		line = v.cookieLine(path, names)
	case access == AccessFull && !v.shared:
		line = v.cookieLine(path, nil)
		if r := v.rec; r != nil {
			auth = v.introduce(h, r)
		}
	}
	h[HeaderAuth] = []string{auth}
	if v.t.opt().CSRF == CSRFShared && (access == AccessPublic && !unsafe(out.Method) || access == AccessFull && v.sharesCSRF()) &&
		!slices.Contains(names, csrfCookie) {
		line = withCookie(line, csrfCookie, v.t.sharedToken(requestHost(out)))
	}
	if line != "" {
		h["Cookie"] = []string{line}
	}
	if access == AccessFull && v.t.opt().CSRF != CSRFOff {
		v.inject(out, path)
	}
}

// introduce sets the identity fields of a session.
func (v *Visitor) introduce(h http.Header, r *record) (auth string) {
	auth = "session"
	h[HeaderSession] = []string{r.session}
	if r.meta.user != "" {
		auth = "user"
		h[HeaderUser] = []string{r.meta.user}
	}
	if jwt := v.t.jwt(r, v.at); jwt != "" {
		h[HeaderIdentity] = []string{jwt}
	}
	if r.token == v.token {
		v.t.touch(r, v.at)
	}
	v.t.reidentify(r, v.at)
	return auth
}

// inject adds the jar's CSRF token to an unsafe request that the browser
// proves to be from a page of this origin: its scripts cannot read the cookie.
func (v *Visitor) inject(out *http.Request, path string) {
	if !unsafe(out.Method) || len(out.Header[csrfHeader]) > 0 || v.shared {
		return
	}
	if proven, _ := v.t.sameOrigin(out); !proven {
		return
	}
	token, ok := valueFor(v.jar(), csrfCookie, path, v.at)
	if ok && !v.sharesCSRF() {
		out.Header[csrfHeader] = []string{token}
	}
}

// withCookie sets name in a Cookie line to value.
func withCookie(line, name, value string) string {
	rest := ""
	for len(line) > 0 {
		pair := line
		line = ""
		for i := 0; i+1 < len(pair); i++ {
			if pair[i] == ';' {
				pair, line = pair[:i], pair[i+2:]
				break
			}
		}
		if len(pair) > len(name) && pair[:len(name)] == name && pair[len(name)] == '=' {
			continue
		}
		if rest != "" {
			rest += "; "
		}
		rest += pair
	}
	if rest != "" {
		rest += "; "
	}
	return rest + name + "=" + value
}
