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
// X-Forwarded-Host and -Proto. Accept-Encoding is left out unless the
// response is no-transform: the edge asks with [UpstreamAcceptEncoding],
// keeps one form and re-encodes it for each visitor.
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
			case name == "accept-encoding" && !noTransform:
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

// fieldValue is the normalised value of a request by one entry of
// VaryFields or of an Index; present tells "" from absent.
func (p *Policy) fieldValue(r *Request, field string) (value string, present bool) {
	switch {
	case field == "cookie":
		return r.Cookie, r.Cookie != ""
	case field == "accept-encoding":
		return UpstreamAcceptEncoding(r), true
	case edgeField(field):
		return p.identityValue(r, field), true
	case strings.HasPrefix(field, languageField):
		lines := r.Header["Accept-Language"]
		if languages := field[len(languageField):]; languages != "" {
			if top := topLanguage(lines); top != "" && slices.Contains(strings.Split(languages, ";"), top) {
				return "\x00" + top, true
			}
		}
		return normalise(languageField, lines), len(lines) > 0
	}
	lines := r.Header[http.CanonicalHeaderKey(field)]
	return normalise(field, lines), len(lines) > 0
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
		value, present := p.fieldValue(r, field)
		if !present {
			value = absent
		}
		values[i] = value
	}
	return values
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
	for i, field := range s.VaryFields {
		value, present := p.fieldValue(r, field)
		if !present {
			value = absent
		}
		if value != s.VaryValues[i] {
			return false
		}
	}
	return true
}

// normalise brings field lines into the form in which equal meanings are
// equal bytes, as far as is known of the field (RFC 9111 §4.1). For a field
// not known here: lines joined, white space around commas gone.
func normalise(lower string, lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	switch lower {
	case "accept-encoding", "accept-charset":
		members := weighted(lines, true)
		slices.Sort(members)
		return strings.Join(members, ",")
	case languageField:
		return strings.Join(weighted(lines, true), ",")
	case "accept":
		return strings.Join(weighted(lines, false), ",")
	}
	if len(lines) == 1 && strings.IndexByte(lines[0], ',') < 0 {
		return trimOWS(lines[0])
	}
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		for first := true; first || line != ""; first = false {
			var member string
			rest := line
			member, line, _ = cutMember(rest)
			if !first {
				b.WriteByte(',')
			}
			b.WriteString(member)
			if line == "" && strings.HasSuffix(rest, ",") {
				b.WriteByte(',') // an empty last member is one too
			}
		}
	}
	return b.String()
}

// weighted normalises a list of members with weights (RFC 9110 §12.4.2):
// no white space around ";", a weight of 1 left out, others without trailing
// zeros. fold says that members have no case; else those without parameters
// have none.
func weighted(lines []string, fold bool) []string {
	var members []string
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = cutMember(line)
			if member == "" {
				continue
			}
			if fold || strings.IndexByte(member, ';') < 0 {
				member = strings.ToLower(member)
			}
			if strings.IndexByte(member, '"') < 0 && strings.IndexByte(member, ';') >= 0 {
				parts := strings.Split(member, ";")
				for i := range parts {
					parts[i] = trimOWS(parts[i])
				}
				if last := len(parts) - 1; last > 0 {
					if q, ok := weight(parts[last]); ok {
						parts[last] = q
						if q == "q=1" {
							parts = parts[:last]
						}
					}
				}
				member = strings.Join(parts, ";")
			}
			members = append(members, member)
		}
	}
	return members
}

// weight normalises weight = "q=" qvalue (RFC 9110 §12.4.2):
//
//	qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
func weight(s string) (string, bool) {
	if len(s) < 3 || len(s) > 7 || s[0]|0x20 != 'q' || s[1] != '=' || s[2] != '0' && s[2] != '1' {
		return "", false
	}
	digits := s[3:]
	if digits != "" {
		if digits[0] != '.' || digits != "." && !allDigits(digits[1:]) || s[2] == '1' && strings.Trim(digits, ".0") != "" {
			return "", false
		}
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	return "q=" + s[2:3] + digits, true
}

// topLanguage is the language that Accept-Language prefers to all others by
// its weight, in lower case; "" where two share the highest, or it is "*".
func topLanguage(lines []string) string {
	best, top, shared := "", "", false
	for _, member := range weighted(lines, true) {
		language, q, weighs := strings.Cut(member, ";")
		if !weighs {
			q = "q=1"
		}
		q, ok := weight(q)
		if !ok || q == "q=0" {
			if !ok {
				return "" // not a weight: nothing is known of the order
			}
			continue
		}
		switch {
		case q > best: // as text: "q=0.3" < "q=0.35" < "q=1"
			best, top, shared = q, language, false
		case q == best:
			shared = true
		}
	}
	if shared || !isLanguage(top) {
		return ""
	}
	return top
}

func isLanguage(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= 35
}

// UpstreamAcceptEncoding is the Accept-Encoding that the edge must send up
// for r: "gzip" where the visitor takes it, else "identity". There is no
// third, so that one stored form serves all visitors, and a response that is
// no-transform, which is not re-encoded, varies by these two alone.
func UpstreamAcceptEncoding(r *Request) string {
	answer := "identity"
	for _, member := range weighted(r.Header["Accept-Encoding"], true) {
		coding, q, weighs := strings.Cut(member, ";")
		switch coding {
		case "gzip", "x-gzip":
			if weighs && q == "q=0" {
				return "identity"
			}
			answer = "gzip"
		case "*":
			if !weighs || q != "q=0" {
				answer = "gzip"
			}
		}
	}
	return answer
}
