package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// SetValidators makes the request with header h, which goes up, conditional
// on what is stored (RFC 9111 §4.3.1): If-None-Match with the entity-tag of s
// and If-Modified-Since with its Last-Modified; or, where no stored response
// matches the request and s is nil, If-None-Match with the tags of every
// variant in ix (§4.1). Conditions already in h are replaced, but for If-Range,
// without which its Range would ask for something else (RFC 9110 §13.1.5). It
// reports whether there was anything to ask with.
func (p *Policy) SetValidators(h http.Header, s *Stored, ix *Index) bool {
	for _, name := range [...]string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		delete(h, name)
	}
	var tags []string
	if s != nil && s.ETag != "" {
		tags = append(tags, s.ETag)
	}
	if s == nil && ix != nil {
		for _, v := range ix.Variants {
			tags = append(tags, v.ETag)
		}
	}
	if tags = distinct(tags); len(tags) > 0 {
		h["If-None-Match"] = []string{strings.Join(tags, ", ")}
	}
	if s != nil && !s.LastModified.IsZero() {
		h["If-Modified-Since"] = []string{s.LastModified.Time().Format(http.TimeFormat)}
	}
	return len(h["If-None-Match"])+len(h["If-Modified-Since"]) > 0
}

// Freshen updates s by a 304 that answered its validation (RFC 9111 §4.3.4,
// §3.2). false: the 304 does not select s, or s is a part that is not what r
// is for, and may not be used for it.
//
// A strong entity-tag selects what has the same; else a weak one, or
// Last-Modified, what has the same by weak comparison; a 304 with no
// validator at all selects s if the edge asked with s's alone.
//
// s may be a variant that r does not match, where the edge asked with the tags
// of all (§4.1). The result is then r's own; s goes on as it is, for nothing
// that is said to r holds for the requests that s answers.
//
// Every field of the 304 replaces the stored one, but for those that belong
// to the message and not to the resource (hop-by-hop fields, Set-Cookie,
// Content-Length, Content-Digest) and those on which the stored bytes depend
// (Content-Encoding, Content-Range). All that follows from the header is
// worked out anew, as Storable would; where the header no longer allows
// storing, the result's Unkept says why: it answers r, then it must go.
func (p *Policy) Freshen(r *Request, s *Stored, nm *Response) (*Stored, bool) {
	if s == nil || nm.Status != http.StatusNotModified || !selects(s, nm) || !s.answers(r) || p.foreign(r, s, nm) {
		return nil, false
	}
	return p.update(r, s, nm), true
}

func selects(s *Stored, nm *Response) bool {
	tag := entityTag(nm.Header)
	modified, dated := dateField(nm.Header, "Last-Modified", nm.ResponseTime)
	switch {
	case strongTag(tag):
		return tag == s.ETag
	case tag != "":
		return weakEqual(tag, s.ETag)
	case len(nm.Header["Etag"]) > 0:
		return false
	case dated && s.ETag == "":
		return InstantOf(modified) == s.LastModified
	case dated && InstantOf(modified) != s.LastModified:
		return false
	}
	return nm.IfNoneMatch == s.ETag
}

// foreign reports whether s is a variant that r does not match and may not be
// given even where a 304 to r names its validator. That speaks of the content
// and not of the fields around it, so that s may be another person's, or name
// another's origin where the 304 names none; and apps that encode give all
// codings one tag (see impliedVary).
func (p *Policy) foreign(r *Request, s *Stored, nm *Response) bool {
	const allowed = "Access-Control-Allow-Origin"
	for i, field := range s.VaryFields {
		switch {
		case field == "authorization", field == "cookie", edgeField(field):
		case field == "origin" && s.Fields.Get(allowed) != "" && s.Fields.Get(allowed) != "*" && len(nm.Header[allowed]) == 0:
		case field == "accept-encoding" && s.Fields.Get("Content-Encoding") != "":
		default:
			continue
		}
		if p.varyValues(r, s.VaryFields[i:i+1])[0] != s.VaryValues[i] {
			return true
		}
	}
	return false
}

// update merges the fields of a response that carries no content into s.
func (p *Policy) update(r *Request, s *Stored, by *Response) *Stored {
	merged := s.Fields.Header()
	named := connectionNames(by.Header)
	for name, lines := range by.Header {
		switch {
		case hopByHop(name), slices.Contains(named, name):
		case name == "Content-Length", name == "Content-Encoding", name == "Content-Range", name == "Content-Digest":
		default:
			merged[name] = lines
		}
	}
	if _, ok := dateField(by.Header, "Date", by.ResponseTime); !ok {
		delete(merged, "Date") // judge puts in when it arrived
	}
	out, reason := p.judge(r, &Response{
		Status: s.Status, Header: merged, Length: -1,
		RequestTime: by.RequestTime, ResponseTime: by.ResponseTime, CookieChange: by.CookieChange,
	})
	if reason == None && p.onlyFor(r, by) {
		reason = Authorization
	}
	if reason != None {
		out = new(Stored)
		*out = *s
		out.Unkept = reason
		d, _ := govern(merged)
		out.Fields = Pack(storedHeader(merged, d.hidden))
		out.Lifetime.NoStore, out.Lifetime.NoTransform = d.noStore, noTransform(merged)
		out.ResponseTime = InstantOf(by.ResponseTime)
		out.InitialAge = arrive(merged, by.RequestTime, by.ResponseTime).initialAge
		return out
	}
	if s.ETag == "" && len(by.Header["Etag"]) == 0 {
		out.ETag = "" // the one in the header is the edge's own
	}
	if _, named, _ := headerTags(by.Header); !named {
		out.Tags = distinct(slices.Concat(out.Tags, s.Tags))
	}
	out.Part = s.Part
	return out
}

// onlyFor reports whether resp, which carries no content, is its visitor's
// alone for what r carried (RFC 9111 §3.5): whatever is stored says that it
// may be shared, this must say so itself.
func (p *Policy) onlyFor(r *Request, resp *Response) bool {
	if !p.authorized(r) {
		return false
	}
	d, _ := govern(resp.Header)
	return !d.sharedConsent()
}
