package cachepolicy

import "strings"

// The lexical rules that the parsers of this package share (RFC 9110 §5.6).

// tchar holds the characters of a token (RFC 9110 §5.6.2).
var tchar = func() (set [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		set[c] = true
	}
	return set
}()

func isTokenByte(c byte) bool { return tchar[c] }

// isToken: token = 1*tchar.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isOWS(c byte) bool { return c == ' ' || c == '\t' }

// trimOWS trims optional white space (RFC 9110 §5.6.3) from both ends.
func trimOWS(s string) string {
	for s != "" && isOWS(s[0]) {
		s = s[1:]
	}
	for s != "" && isOWS(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// cutMember cuts the first member off a comma-separated list (RFC 9110
// §5.6.1); commas within quoted strings do not count. whole is false where a
// quoted string has no end; the member then ends at the next comma, so that
// nothing hides behind a stray quote.
func cutMember(list string) (member, rest string, whole bool) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return trimOWS(list[:i]), list[i+1:], true
		}
	}
	if quoted {
		if i := strings.IndexByte(list, ','); i >= 0 {
			return trimOWS(list[:i]), list[i+1:], false
		}
		return trimOWS(list), "", false
	}
	return trimOWS(list), "", true
}

// unquote reads a quoted-string (RFC 9110 §5.6.4) that takes up all of s.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return "", false
		case '\\':
			i++
			if i == len(s) {
				return "", false
			}
		}
		b = append(b, s[i])
	}
	return string(b), true
}

// allDigits: 1*DIGIT.
func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// join combines the lines of one field into one value (RFC 9110 §5.2).
func join(lines []string) string {
	if len(lines) == 1 {
		return lines[0]
	}
	return strings.Join(lines, ", ")
}
