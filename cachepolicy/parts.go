package cachepolicy

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// parseContentRange reads the Content-Range of a single part whose length
// and whole are known:
//
//	Content-Range = "bytes" SP first-pos "-" last-pos "/" complete-length
func parseContentRange(lines []string) (Part, bool) {
	if len(lines) != 1 {
		return Part{}, false
	}
	unit, rest, _ := strings.Cut(trimOWS(lines[0]), " ")
	first, rest, found1 := strings.Cut(rest, "-")
	last, total, found2 := strings.Cut(rest, "/")
	if !strings.EqualFold(unit, "bytes") || !found1 || !found2 || !allDigits(first) || !allDigits(last) || !allDigits(total) {
		return Part{}, false
	}
	p := Part{bigNumber(first), bigNumber(last), bigNumber(total)}
	return p, p.First <= p.Last && p.Last < p.Total && p.Total < 1<<62
}

// answers reports whether a stored response holds all that the request is for:
// a part, only ranges that lie within it (RFC 9111 §3.3), and only where
// If-Range does not ask for the whole instead (RFC 9110 §13.1.5).
func (s *Stored) answers(r *Request) bool {
	p, lines := s.Part, r.Header["Range"]
	if p == nil {
		return true
	}
	if r.Method != http.MethodGet || len(lines) != 1 || !ifRange(r, s) {
		return false
	}
	spans, ok := parseRange(lines[0], p.Total)
	if !ok || len(spans) == 0 {
		return false
	}
	if spans, ok = coalesce(spans, p.Total); !ok {
		return false
	}
	for _, span := range spans {
		if span.First < p.First || span.Last > p.Last {
			return false
		}
	}
	return true
}

// Missing is the Range and If-Range with which to answer r, a request for the
// whole, by asking for what a stored part lacks (RFC 9111 §3.4): ok, where that
// is one stretch at its end or its beginning, the part has a strong
// entity-tag, and as far as is known the whole may be stored for r. The rest
// alone would be of no use to who asked for all.
func (p *Policy) Missing(r *Request, s *Stored) (byteRange, ifRange string, ok bool) {
	part := s.Part
	if part == nil || part.Len() == part.Total || len(r.Header["Range"]) > 0 || !strongTag(s.ETag) || p.tooLarge(part.Total) {
		return "", "", false
	}
	if d, _ := govern(s.Fields.Header()); p.authorized(r) && !d.sharedConsent() {
		return "", "", false
	}
	switch {
	case part.First == 0:
		return "bytes=" + strconv.FormatInt(part.Last+1, 10) + "-", s.ETag, true
	case part.Last == part.Total-1:
		return "bytes=0-" + strconv.FormatInt(part.First-1, 10), s.ETag, true
	}
	return "", "", false
}

// combineShare: what is added to a part must be at least one in so many of what
// comes of it, unless that is the whole. All of it is written anew; else each
// byte that somebody asks for could cost max_object.
const combineShare = 16

// Combine puts two parts of one representation together (RFC 9111 §3.4): s,
// which is stored, and more, which is newer and whose header wins. They must
// share a strong entity-tag and touch or overlap, and come to no more than the
// rule lets be stored. The body is that of s up to more.Part.First, then
// more's, then what s has beyond. A part that has become whole is a 200 without
// Part.
func (p *Policy) Combine(s, more *Stored) (*Stored, bool) {
	if s.Part == nil || more.Part == nil || s.Status != http.StatusPartialContent || more.Status != http.StatusPartialContent ||
		!strongEqual(s.ETag, more.ETag) || s.Part.Total != more.Part.Total || s.Scope != more.Scope ||
		!slices.Equal(s.VaryFields, more.VaryFields) || !slices.Equal(s.VaryValues, more.VaryValues) ||
		s.Fields.Get("Content-Encoding") != more.Fields.Get("Content-Encoding") {
		return nil, false
	}
	if more.Part.First > s.Part.Last+1 || s.Part.First > more.Part.Last+1 {
		return nil, false
	}
	part := Part{min(s.Part.First, more.Part.First), max(s.Part.Last, more.Part.Last), s.Part.Total}
	if p.tooLarge(part.Len()) || part.Len() < part.Total && more.Part.Len() < part.Len()/combineShare {
		return nil, false
	}
	out := *more
	h := s.Fields.Header()
	maps.Copy(h, more.Fields.Header())
	out.Tags = distinct(slices.Concat(s.Tags, more.Tags))
	maps.DeleteFunc(h, func(name string, _ []string) bool { return name == "Content-Length" || contentDigest(name) })
	h["Content-Range"] = []string{"bytes " + strconv.FormatInt(part.First, 10) + "-" +
		strconv.FormatInt(part.Last, 10) + "/" + strconv.FormatInt(part.Total, 10)}
	out.Part, out.Fields = &part, Pack(h)
	return out.Whole(), true
}

// Whole is a 200 without Part where the part is all there is, else s.
func (s *Stored) Whole() *Stored {
	if s.Part == nil || s.Part.Len() != s.Part.Total {
		return s
	}
	out, h := *s, s.Fields.Header()
	delete(h, "Content-Range")
	out.Status, out.Part, out.Fields = http.StatusOK, nil, Pack(h)
	return &out
}
