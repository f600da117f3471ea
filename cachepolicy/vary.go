package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// maxVary bounds the names of one Vary.
const maxVary = 16

// languageField is the one whose stored variants are found by more than
// their own value. Where a response to "de, en;q=0.5" says Content-Language:
// de, it answers every request that prefers exactly "de" to all else: the
// entry in VaryFields then reads "accept-language;de", in an Index
// "accept-language;de;en", and the value of a request that prefers one of
// these is that language, marked, in place of the whole list.
const languageField = "accept-language"

// varyFields reads Vary: the lower-case, sorted, distinct names by which
// responses differ beyond the primary key. ok is false where Vary has "*" in
// any member of any line, or names what is not a field name, or something
// that the edge does not know the value of, or too much.
//
// Left out, because the primary key covers them: Cookie and identity on
// session and user routes (SESSIONS §8), the rule's own VaryHeaders, Host,
// X-Forwarded-Host and -Proto. Accept-Encoding is left out where the edge
// [Policy.AsksPlain], keeps one form and encodes it for each visitor, unless
// the response is no-transform or the app has encoded it unasked; elsewhere
// its value is the one of two with which the edge asks,
// [UpstreamAcceptEncoding].
func (p *Policy) varyFields(h http.Header, noTransform bool) (fields []string, ok bool) {
	for _, list := range h["Vary"] {
		for list != "" {
			var name string
			name, list, _ = cutMember(list)
			if name == "" {
				continue
			}
			name = strings.ToLower(name)
			if name == "*" || !isToken(name) {
				return nil, false
			}
			switch {
			case name == "accept-encoding" && !noTransform && p.AsksPlain() && len(h["Content-Encoding"]) == 0:
			case name == "cookie" && p.Rule.Scope != Public:
			case name == "host", name == "x-forwarded-host", name == "x-forwarded-proto", name == "via":
			case name == "forwarded", name == "x-forwarded-for", name == "x-real-ip", name == "x-request-id":
				return nil, false // the edge sets these anew each time
			case slices.Contains(p.vary, name), slices.Contains(fields, name):
			default:
				if len(fields) == maxVary {
					return nil, false
				}
				fields = append(fields, name)
			}
		}
	}
	slices.Sort(fields)
	return fields, true
}

// AsksPlain reports whether the edge asks for the content as it is and encodes
// it itself: on listed public routes. Elsewhere what comes may be personal, or
// not kept at all, and the app may encode it.
func (p *Policy) AsksPlain() bool { return p.Rule.Listed() && p.Rule.Scope == Public }

// impliedVary adds to fields what the response shows that it varies by,
// whether its Vary says so or not: an answer that names the visitor's Origin
// (Fetch §3.2.6) is another's poison, and one in a coding is of no use to who
// did not ask for it. silent are the names that Vary did not hold.
func (p *Policy) impliedVary(r *Request, h http.Header, fields []string) (all, silent []string) {
	add := func(field, name string) {
		if !slices.Contains(fields, field) && !slices.Contains(p.vary, field) {
			fields, silent = append(fields, field), append(silent, name)
		}
	}
	if allowed, origin := h["Access-Control-Allow-Origin"], r.Header["Origin"]; len(allowed) > 0 && len(origin) > 0 && slices.Equal(allowed, origin) {
		add("origin", "Origin")
	}
	if len(h["Content-Encoding"]) > 0 && !p.AsksPlain() {
		add("accept-encoding", "Accept-Encoding")
	}
	if len(silent) > 0 {
		slices.Sort(fields)
	}
	return fields, silent
}

// markLanguage turns "accept-language" into "accept-language;de" where the
// response's Content-Language is the one language that the request prefers.
func markLanguage(fields []string, r *Request, h http.Header) {
	i := slices.Index(fields, languageField)
	if i < 0 {
		return
	}
	content := strings.ToLower(trimOWS(join(h["Content-Language"])))
	if content != "" && content == topLanguage(r.Header["Accept-Language"]) {
		fields[i] += ";" + content
	}
}

// appendValue appends the normalised value of a request by one entry of
// VaryFields or of an Index; present tells "" from absent.
func (p *Policy) appendValue(b []byte, r *Request, field string) (value []byte, present bool) {
	switch {
	case field == "cookie":
		return append(b, r.Cookie...), r.Cookie != ""
	case field == "accept-encoding":
		return append(b, UpstreamAcceptEncoding(r)...), true
	case edgeField(field):
		return append(b, p.identityValue(r, field)...), true
	case strings.HasPrefix(field, languageField):
		lines := r.Header["Accept-Language"]
		if languages := field[len(languageField):]; languages != "" {
			if top := topLanguage(lines); top != "" && listed(languages, top) {
				return append(append(b, 0), top...), true
			}
		}
		return appendNormal(b, languageField, lines), len(lines) > 0
	}
	lines := r.Header[http.CanonicalHeaderKey(field)]
	return appendNormal(b, field, lines), len(lines) > 0
}

// listed reports whether languages, ";de;en", has one.
func listed(languages, one string) bool {
	for i := strings.Index(languages, one); i > 0; {
		end := i + len(one)
		if languages[i-1] == ';' && (end == len(languages) || languages[end] == ';') {
			return true
		}
		next := strings.Index(languages[i+1:], one)
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// identityValue is what the edge sends up in an X-Edge-* field, as far as it
// can differ: nothing of it on public routes.
func (p *Policy) identityValue(r *Request, field string) string {
	if p.Rule.Listed() && p.Rule.Scope == Public {
		return ""
	}
	auth := [...]string{"anonymous", "session", "user"}[min(r.Identity.Auth, SignedIn)]
	switch field {
	case "x-edge-auth":
		return auth
	case "x-edge-user":
		return r.Identity.User
	case "x-edge-session":
		return r.Identity.Session
	}
	return auth + "\x00" + r.Identity.User + "\x00" + r.Identity.Session
}

// absent marks a value that is not there; no field value begins with it.
const absent = "\x00\x00"

// varyValues are the values of r by the fields.
func (p *Policy) varyValues(r *Request, fields []string) []string {
	if len(fields) == 0 {
		return nil
	}
	values := make([]string, len(fields))
	for i, field := range fields {
		values[i] = absent
		if value, present := p.appendValue(nil, r, field); present {
			values[i] = string(value)
		}
	}
	return values
}

// Newer reports which of two that match is to be used: the one with the later
// Date (RFC 9111 §4.1).
func (s *Stored) Newer(than *Stored) bool {
	a, _ := s.date()
	b, _ := than.date()
	if a.Equal(b) {
		return s.ResponseTime > than.ResponseTime
	}
	return a.After(b)
}

// Matches reports whether s answers r as far as Vary and the scope go
// (RFC 9111 §4.1): every selecting field has the value that it had in the
// request that s answered, or is absent from both. White space, the split
// into lines, the case and the order are no difference where the field's
// definition says so; the order of languages is.
func (p *Policy) Matches(r *Request, s *Stored) bool {
	if s == nil || s.Scope != p.Rule.Scope || len(s.VaryFields) != len(s.VaryValues) {
		return false
	}
	var buf [256]byte
	for i, field := range s.VaryFields {
		value, present := p.appendValue(buf[:0], r, field)
		if present && string(value) != s.VaryValues[i] || !present && s.VaryValues[i] != absent {
			return false
		}
	}
	return true
}
