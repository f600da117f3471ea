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

// appendNormal brings field lines into the form in which equal meanings are
// equal bytes, as far as is known of the field (RFC 9111 §4.1). For a field
// not known here: lines joined, white space around commas gone.
func appendNormal(b []byte, lower string, lines []string) []byte {
	if len(lines) == 0 {
		return b
	}
	switch lower {
	case "accept-encoding", "accept-charset":
		members := strings.Split(string(appendWeighted(nil, lines, true)), ",")
		slices.Sort(members)
		return append(b, strings.Join(members, ",")...)
	case languageField:
		return appendWeighted(b, lines, true)
	case "accept":
		return appendWeighted(b, lines, false)
	}
	if len(lines) == 1 && strings.IndexByte(lines[0], ',') < 0 {
		return append(b, trimOWS(lines[0])...)
	}
	for i, line := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		for {
			member, rest, _ := cutMember(line)
			b = append(b, member...)
			if rest == "" && !strings.HasSuffix(line, ",") {
				break
			}
			b = append(b, ',') // an empty last member is one too
			if rest == "" {
				break
			}
			line = rest
		}
	}
	return b
}

// appendWeighted normalises a list of members with weights (RFC 9110
// §12.4.2): no empty members, no white space around ";", a weight of 1 left
// out, others without trailing zeros. fold says that members have no case;
// else what stands before their parameters has none.
func appendWeighted(b []byte, lines []string, fold bool) []byte {
	start := len(b)
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = cutMember(line)
			if member == "" {
				continue
			}
			if len(b) > start {
				b = append(b, ',')
			}
			b = appendMember(b, member, fold)
		}
	}
	return b
}

func appendMember(b []byte, member string, fold bool) []byte {
	semicolon := strings.IndexByte(member, ';')
	quoted := strings.IndexByte(member, '"') >= 0
	last := -1 // where the last parameter begins, after its ";"
	for i := 0; i < len(member); i++ {
		c := member[i]
		switch {
		case (fold || semicolon < 0 || i < semicolon) && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case quoted:
		case isOWS(c):
			if nextTo(member, i, ';') {
				continue
			}
		case c == ';':
			last = len(b) + 1
		}
		b = append(b, c)
	}
	if last >= 0 {
		keep, ok := weight(b[last:])
		switch {
		case ok && keep == 3 && b[last+2] == '1':
			b = b[:last-1]
		case ok:
			b[last] = 'q'
			b = b[:last+keep]
		}
	}
	return b
}

// nextTo reports whether the white space around i touches c.
func nextTo(s string, i int, c byte) bool {
	before, after := i, i
	for before >= 0 && isOWS(s[before]) {
		before--
	}
	for after < len(s) && isOWS(s[after]) {
		after++
	}
	return before >= 0 && s[before] == c || after < len(s) && s[after] == c
}

// weight reads weight = "q=" qvalue (RFC 9110 §12.4.2) and says how many
// bytes of it are left without trailing zeros.
//
//	qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
func weight[S string | []byte](s S) (keep int, ok bool) {
	if len(s) < 3 || len(s) > 7 || s[0]|0x20 != 'q' || s[1] != '=' || s[2] != '0' && s[2] != '1' {
		return 0, false
	}
	if len(s) > 3 && s[3] != '.' {
		return 0, false
	}
	keep = 3
	for i := 4; i < len(s); i++ {
		switch c := s[i]; {
		case c < '0' || c > '9' || s[2] == '1' && c != '0':
			return 0, false
		case c != '0':
			keep = i + 1
		}
	}
	return keep, true
}

// topLanguage is the language that Accept-Language prefers to all others by
// its weight, in lower case; "" where two share the highest, or it is "*",
// or a weight is none.
func topLanguage(lines []string) string {
	best, top, shared := "q=0", "", false
	for _, line := range lines {
		for line != "" {
			var member string
			member, line, _ = cutMember(line)
			if member == "" {
				continue
			}
			q := "q=1"
			if i := strings.IndexByte(member, ';'); i >= 0 {
				q = trimOWS(member[i+1:])
				keep, ok := weight(q)
				if !ok {
					return ""
				}
				member, q = trimOWS(member[:i]), q[:keep]
			}
			switch order := strings.Compare(q[2:], best[2:]); { // as text: "0.3" < "0.35" < "1"
			case order > 0:
				best, top, shared = q, member, false
			case order == 0:
				shared = true
			}
		}
	}
	if shared || top == "" {
		return ""
	}
	if top = strings.ToLower(top); !isLanguage(top) {
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
	for _, line := range r.Header["Accept-Encoding"] {
		for line != "" {
			var member string
			member, line, _ = cutMember(line)
			coding, parameter, weighs := strings.Cut(member, ";")
			keep, ok := weight(trimOWS(parameter))
			refused := weighs && (!ok || keep == 3 && trimOWS(parameter)[2] == '0')
			switch coding = trimOWS(coding); {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				if refused {
					return "identity"
				}
				answer = "gzip"
			case coding == "*" && !refused:
				answer = "gzip"
			}
		}
	}
	return answer
}
