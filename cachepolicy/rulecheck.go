package cachepolicy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
)

// namedStatuses are the statuses that a route may give a lifetime of their
// own (CONTRACT §3).
var namedStatuses = []int{200, 203, 204, 300, 301, 308, 404, 410}

// unkeyable are request fields that cannot be part of a key: the edge sets
// or removes them itself, or they have a key part of their own.
var unkeyable = []string{
	"Connection", "Content-Length", "Cookie", "Host", "If-Match", "If-Modified-Since", "If-None-Match",
	"If-Range", "If-Unmodified-Since", "Keep-Alive", "Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// checkRule lists what is wrong with a rule, its pattern's own syntax and
// conflicts aside. Index is left at 0.
func checkRule(r *Rule) []RuleFault {
	var faults []RuleFault
	fault := func(field, format string, args ...any) {
		faults = append(faults, RuleFault{Field: field, Err: fmt.Errorf(format, args...)})
	}
	within := func(field string, d, unset time.Duration) {
		if d != unset && (d < 0 || d > MaxLife) {
			fault(field, "%v is not between 0 and %v", d, MaxLife)
		}
	}
	within("ttl", r.TTL, AppTTL)
	within("stale_while_revalidate", r.StaleWhileRevalidate, -1)
	within("stale_if_error", r.StaleIfError, -1)
	within("stale_if_unreachable", r.StaleIfUnreachable, 0)
	if r.Scope > PerUser {
		fault("vary", "is neither public, session nor user")
	}
	if !(r.RefreshAhead >= 0 && r.RefreshAhead <= 1) {
		fault("refresh_ahead", "%v is not between 0%% and 100%%", r.RefreshAhead)
	}
	if r.MaxObject < 0 {
		fault("max_object", "%d is negative", r.MaxObject)
	}
	statuses := make([]int, 0, len(r.Status))
	for status := range r.Status {
		statuses = append(statuses, status)
	}
	sort.Ints(statuses)
	for _, status := range statuses {
		if !slices.Contains(namedStatuses, status) {
			fault("status", "%d cannot be given a lifetime; 200, 203, 204, 300, 301, 308, 404 and 410 can", status)
		}
		within("status", r.Status[status], 0)
	}
	for _, name := range r.VaryHeaders {
		switch {
		case !isToken(name):
			fault("vary_headers", "%q is not a field name", name)
		case slices.Contains(unkeyable, http.CanonicalHeaderKey(name)) || edgeField(strings.ToLower(name)):
			fault("vary_headers", "%s cannot be part of a key", name)
		}
	}
	for _, name := range r.VaryCookies {
		if !isToken(name) {
			fault("vary_cookies", "%q is not a cookie name", name)
		}
	}
	p := parsePattern(r.Pattern)
	for _, tag := range r.Tags {
		if _, err := parseTag(tag, p); err != nil {
			fault("tags", "%w", err)
		}
	}
	for _, glob := range slices.Concat(r.Query.Keep, r.Query.Drop) {
		if glob == "" {
			fault("query", "a name is empty")
		}
	}
	return faults
}

// tagTemplate is a tag in pieces: literals, and places of wildcards.
type tagTemplate []tagPiece

type tagPiece struct {
	literal  string
	wildcard int // index of the pattern's segment, -1 for a literal
}

// parseTag takes "text{wildcard}text" apart.
func parseTag(tag string, p pattern) (tagTemplate, error) {
	if tag == "" {
		return nil, errors.New("a tag is empty")
	}
	var t tagTemplate
	for rest := tag; rest != ""; {
		literal, after, found := strings.Cut(rest, "{")
		if literal != "" {
			t = append(t, tagPiece{literal: literal, wildcard: -1})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("%q has a { without its }", tag)
		}
		i := slices.IndexFunc(p.segments, func(s segment) bool { return s.wild && s.s != "" && s.s == name })
		if i < 0 {
			return nil, fmt.Errorf("%q names the wildcard {%s}, which the pattern does not have", tag, name)
		}
		t = append(t, tagPiece{wildcard: i})
		rest = tail
	}
	return t, nil
}

// FillTags returns the rule's tags with the wildcards filled in, decoded,
// from the escaped path that the pattern matched. The result may be shared.
func (p *Policy) FillTags(path string) []string {
	if !p.wildTags {
		return p.Rule.Tags
	}
	values := make([]string, len(p.pattern.segments))
	rest := path
	for i, seg := range p.pattern.segments {
		if rest == "" {
			break
		}
		if seg.multi {
			values[i] = unescape(rest[1:])
			break
		}
		values[i], rest = firstSegment(rest)
	}
	tags := make([]string, len(p.tags))
	for i, t := range p.tags {
		var b strings.Builder
		for _, piece := range t {
			if piece.wildcard < 0 {
				b.WriteString(piece.literal)
			} else {
				b.WriteString(values[piece.wildcard])
			}
		}
		tags[i] = b.String()
	}
	return tags
}
