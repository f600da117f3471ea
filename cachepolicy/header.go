package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// edgeField reports whether the name is one of the edge's own, however
// spelled: identity going up, session control coming down.
func edgeField(name string) bool {
	if len(name) < len("x-edge-") {
		return false
	}
	for i := 0; i < len("x-edge-"); i++ {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			c = '-'
		}
		if c != "x-edge-"[i] {
			return false
		}
	}
	return true
}

// controlField reports whether a response field is session control.
func controlField(name string) bool {
	lower := strings.ToLower(name)
	return edgeField(lower) && strings.HasPrefix(lower[len("x-edge-"):], "session")
}

// tagFields carry tags: they are the edge's business, and no visitor's.
var tagFields = [...]string{"Cache-Tag", "Surrogate-Key", "Xkey"}

// hopByHop reports whether a field belongs to the connection or to the proxy
// before this one (RFC 9110 §7.6.1, RFC 9111 §3.1). Trailer fields are never
// merged, so the announcement goes too.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization":
		return true
	}
	return false
}

// hiddenFrom reports whether a field never leaves the edge.
func hiddenFrom(name string) bool {
	switch name {
	case "Umbral-Cache-Control", "Cache-Tag", "Surrogate-Key", "Surrogate-Control", "Xkey", "Cache-Group-Invalidation":
		return true
	}
	return edgeField(name)
}

// contentDigest reports whether a field holds for the content of one message,
// and not for that of another with another part of the same (RFC 9530 §2).
func contentDigest(name string) bool { return name == "Content-Digest" || name == "Content-Md5" }

// connectionNames are the fields that Connection names, in canonical form. A
// name without which the message would mean something else is not obeyed:
// nobody may make the edge forget Cache-Control.
func connectionNames(h http.Header) []string {
	var names []string
	for _, list := range h["Connection"] {
		for list != "" {
			var name string
			name, list, _ = cutMember(list)
			if isToken(name) && !essential(name) {
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names
}

// storedHeader copies what a stored response may hold (RFC 9111 §3.1): all
// but hop-by-hop fields, Set-Cookie, control fields, tags, Age (which is
// accounted for) and what the directives hide. Umbral-Cache-Control stays,
// for a later 304 to update; [Policy.Present] leaves it out.
func storedHeader(h http.Header, hidden []string) http.Header {
	named := connectionNames(h)
	out := make(http.Header, len(h)+1)
	for name, lines := range h {
		if len(lines) > 0 && keptField(name) && !slices.Contains(named, name) && !slices.Contains(hidden, name) {
			out[name] = slices.Clone(lines)
		}
	}
	return out
}

func keptField(name string) bool {
	switch name {
	case "Set-Cookie", "Set-Cookie2", "Age":
		return false
	case "Umbral-Cache-Control":
		return true
	}
	return !hopByHop(name) && !hiddenFrom(name)
}

// Withheld reports whether s lacks fields of the response that it was made
// from because a qualified no-cache or private names them: these are for the
// visitor who caused the fetch.
func (s *Stored) Withheld(resp *Response) bool {
	for name, lines := range resp.Header {
		if s.Fields.Values(name) == nil && len(lines) > 0 && keptField(name) && !slices.Contains(connectionNames(resp.Header), name) {
			return true
		}
	}
	return false
}

// maxTags and maxTagBytes bound what one response may carry; RFC 9875 §2
// asks for at least 32 groups of 32 characters.
const (
	maxTags     = 128
	maxTagBytes = 1024
)

// headerTags are the tags that the app gave in fields: Cache-Tag (commas),
// Surrogate-Key and xkey (white space; xkey commas too), Cache-Groups
// (RFC 9875). named says that there was any such field; ok is false where
// there are too many, for a tag that is dropped is a purge that is missed.
func headerTags(h http.Header) (tags []string, named, ok bool) {
	add := func(tag string) {
		if tag != "" {
			tags = append(tags, tag)
		}
	}
	for _, name := range tagFields {
		for _, line := range h[name] {
			named = true
			for _, tag := range strings.FieldsFunc(line, func(r rune) bool {
				return r == ',' && name != "Surrogate-Key" || (r == ' ' || r == '\t') && name != "Cache-Tag"
			}) {
				add(trimOWS(tag))
			}
		}
	}
	if lines := h["Cache-Groups"]; len(lines) > 0 {
		named = true
		groups, _ := sfStrings(lines)
		for _, group := range groups {
			add(group)
		}
	}
	if len(tags) > maxTags {
		return nil, named, false
	}
	for _, tag := range tags {
		if len(tag) > maxTagBytes {
			return nil, named, false
		}
	}
	return tags, named, true
}

// distinct removes what occurred before, in place.
func distinct(list []string) []string {
	out := list[:0]
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
