package cachepolicy

import (
	"net/http"
	"strings"
)

// Target is a URI of the request's own origin that a response invalidates.
// Path is escaped, Query raw. What is stored for it is found through the
// rule of its own route: see [Routes.TargetURL].
type Target struct{ Host, Path, Query string }

// Invalidates lists what the response to an unsafe request makes invalid
// (RFC 9111 §4.4): the target URI, and the URIs of Location and
// Content-Location where they are of the same origin; and the groups of
// Cache-Group-Invalidation (RFC 9875 §3), which are tags. A method whose
// safety is not known counts as unsafe; an error answer invalidates nothing.
func (p *Policy) Invalidates(r *Request, resp *Response) (targets []Target, groups []string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return nil, nil
	}
	if resp.Status < 200 || resp.Status > 399 {
		return nil, nil
	}
	targets = []Target{{Host: r.Host, Path: r.Path, Query: r.Query}}
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, reference := range resp.Header[name] {
			t, ok := resolve(r, reference)
			if ok && t != targets[0] && len(targets) < 8 {
				targets = append(targets, t)
			}
		}
	}
	groups, _ = sfStrings(resp.Header["Cache-Group-Invalidation"])
	return targets, distinct(groups)
}

// TargetURL is the URL under which a target is stored: what a purge by URL
// names.
func (rs *Routes) TargetURL(t Target) string {
	p := rs.Match(http.MethodGet, t.Host, t.Path)
	return p.URL(&Request{Host: t.Host, Path: t.Path, Query: t.Query})
}

// plainHost is a host in lower case without the scheme's default port.
func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}
