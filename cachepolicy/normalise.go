package cachepolicy

import (
	"slices"
	"strings"
)

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
