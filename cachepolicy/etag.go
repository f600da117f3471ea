package cachepolicy

import (
	"net/http"
	"strings"
)

// maxETag bounds an entity-tag; a longer one is none.
const maxETag = 1024

// entityTag is the ETag of a response, "" if it has none or several (RFC 9110
// §8.8.3):
//
//	entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
//
// A tag that lacks its quotes is taken as it is where that cannot be
// misread, since it then compares equal to nothing but itself; it is weak. "*"
// would be: as a condition it is met by everything (§13.1.2).
func entityTag(h http.Header) string { return soleTag(h["Etag"]) }

func soleTag(lines []string) string {
	if len(lines) != 1 || len(lines[0]) > maxETag {
		return ""
	}
	tag, rest := cutTag(trimOWS(lines[0]))
	if rest != "" || tag == "*" {
		return ""
	}
	return tag
}

// dropStar takes off an ETag that comes back as a condition which any response
// meets.
func dropStar(h http.Header) {
	if lines := h["Etag"]; len(lines) == 1 && trimOWS(lines[0]) == "*" {
		delete(h, "Etag")
	}
}

// strongTag reports whether a tag is a strong validator.
func strongTag(tag string) bool { return tag != "" && tag[0] == '"' }

// weakEqual is the weak comparison of RFC 9110 §8.8.3.2.
func weakEqual(a, b string) bool {
	return a != "" && strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

// strongEqual is the strong comparison.
func strongEqual(a, b string) bool { return strongTag(a) && a == b }

// cutTag reads one entity-tag off the front of s, quoted or not.
func cutTag(s string) (tag, rest string) {
	i := 0
	if strings.HasPrefix(s, `W/"`) {
		i = 2
	}
	if i < len(s) && s[i] == '"' {
		for j := i + 1; j < len(s); j++ {
			if s[j] == '"' {
				return s[:j+1], s[j+1:]
			}
			if c := s[j]; c <= ' ' || c == 0x7f {
				break
			}
		}
		return "", s
	}
	for i = 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '"' || c == ',' {
			break
		}
	}
	return s[:i], s[i:]
}

// tagList goes through a list of entity-tags until match says true. any
// reports "*". A member that is no tag ends the line: what cannot be
// understood matches nothing.
func tagList(lines []string, match func(tag string) bool) (matched, any bool) {
	for _, line := range lines {
		if trimOWS(line) == "*" && len(lines) == 1 {
			return false, true
		}
		for line != "" {
			line = strings.TrimLeft(line, " \t,")
			var tag string
			tag, line = cutTag(line)
			if tag == "" {
				break
			}
			line = strings.TrimLeft(line, " \t")
			if line != "" && line[0] != ',' {
				break
			}
			if match(tag) {
				return true, false
			}
		}
	}
	return false, false
}
