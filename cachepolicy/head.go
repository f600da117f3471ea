package cachepolicy

import (
	"net/http"
	"slices"
	"strconv"
)

// FreshenByHead updates s, with a body of size bytes, by the answer to r, a
// HEAD that went up (RFC 9111 §4.3.5), where status, validators and length
// agree. false: s no longer is what the app would send, and must be validated
// or deleted.
//
// An answer that says nothing of what everybody gets leaves s as it is, and
// the result is s itself: a 5xx, an authentication, and all that could not
// have been stored for others as a GET's, for what the visitor sent (§3.5,
// §4.1).
func (p *Policy) FreshenByHead(r *Request, s *Stored, size int64, head *Response) (*Stored, bool) {
	if s == nil {
		return nil, false
	}
	ask := *r
	ask.Method = http.MethodGet
	if p.storableRequest(&ask, head) != None || p.onlyFor(&ask, head) || !p.Matches(&ask, s) {
		return s, true
	}
	status := s.Status
	if s.Part != nil { // a HEAD speaks of the whole
		status, size = http.StatusOK, s.Part.Total
	}
	if head.Status != status {
		gone := head.Status == http.StatusNotFound || head.Status == http.StatusGone
		if head.Status == http.StatusPartialContent || head.Status == http.StatusNotModified || head.Status > 399 && !gone {
			return s, true
		}
		return nil, false
	}
	if !agrees(s, head, size) {
		return nil, false
	}
	before, _ := govern(s.Fields.Header())
	out := p.update(&ask, s, head)
	if out.Unkept != None {
		return nil, false
	}
	if after, _ := govern(out.Fields.Header()); before.sharedConsent() && !after.sharedConsent() {
		return nil, false // it may have answered a request with Authorization
	}
	named := head.Header["Vary"]
	sameVary := len(named) == 0 || slices.Equal(named, s.Fields.Values("Vary"))
	switch {
	case slices.Equal(out.VaryFields, s.VaryFields) && slices.Equal(out.VaryValues, s.VaryValues):
	case sameVary && len(out.VaryFields) == 0: // s has them by Adopt
	case sameVary: // the answer shows that it is another variant: see impliedVary
		return s, true
	default:
		return nil, false
	}
	out.VaryFields, out.VaryValues, out.Tags = s.VaryFields, s.VaryValues, s.Tags
	return out, true
}

// agrees compares what a HEAD's answer says of the representation with s.
func agrees(s *Stored, head *Response, size int64) bool {
	h := head.Header
	if len(h["Etag"]) > 0 && entityTag(h) != s.ETag {
		return false
	}
	if len(h["Last-Modified"]) > 0 {
		if modified, ok := dateField(h, "Last-Modified", head.ResponseTime); !ok || InstantOf(modified) != s.LastModified {
			return false
		}
	}
	length := h.Get("Content-Length")
	return length == "" || length == strconv.FormatInt(size, 10)
}
