package cachepolicy

import (
	"net/http"
	"time"
)

// Tag is the entity-tag that visitors see: the app's, or the edge's own.
func (s *Stored) Tag() string { return soleTag(s.Fields.Values("Etag")) }

// Precondition evaluates the visitor's conditions against s in the order of
// RFC 9110 §13.2.2, for GET and HEAD: 412 where If-Match, or without it
// If-Unmodified-Since, fails; 304 where If-None-Match, or without it
// If-Modified-Since, says that the visitor has it already; else 0. If-Range
// is for [SelectRanges]. Conditions on a response that is not 2xx are
// ignored (§13.2.1), and so is a date that is none.
func Precondition(r *Request, s *Stored) int {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || s.Status < 200 || s.Status > 299 {
		return 0
	}
	h := r.Header
	if lines := h["If-Match"]; len(lines) > 0 {
		tag := s.Tag()
		matched, any := tagList(lines, func(t string) bool { return strongEqual(t, tag) })
		if !matched && !any {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := dateField(h, "If-Unmodified-Since", s.ResponseTime.Time()); ok {
		if modified := s.LastModified.Time(); !modified.IsZero() && modified.After(since) {
			return http.StatusPreconditionFailed
		}
	}
	if lines := h["If-None-Match"]; len(lines) > 0 {
		tag := s.Tag()
		matched, any := tagList(lines, func(t string) bool { return weakEqual(t, tag) })
		if matched || any {
			return http.StatusNotModified
		}
		return 0
	}
	if since, ok := dateField(h, "If-Modified-Since", s.ResponseTime.Time()); ok && !s.modified().After(since) {
		return http.StatusNotModified
	}
	return 0
}

// modified is what If-Modified-Since is compared with: Last-Modified, else
// Date, else when it arrived (RFC 9111 §4.3.2).
func (s *Stored) modified() time.Time {
	if !s.LastModified.IsZero() {
		return s.LastModified.Time()
	}
	if date, ok := s.date(); ok {
		return date
	}
	return s.ResponseTime.Time()
}

func (s *Stored) date() (time.Time, bool) {
	return soleDate(s.Fields.Values("Date"), s.ResponseTime.Time())
}

// strongDate reports whether Last-Modified is a strong validator: Date is at
// least a second later (RFC 9110 §8.8.2.2).
func (s *Stored) strongDate() bool {
	date, ok := s.date()
	return ok && !s.LastModified.IsZero() && date.Sub(s.LastModified.Time()) >= time.Second
}
