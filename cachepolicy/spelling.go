package cachepolicy

import "strings"

// NormalSpelling brings a path, a query, both, or the beginning of one into the
// spelling that stands for all that RFC 3986 holds equivalent: hex digits in
// upper case (§6.2.2.1), unreserved characters decoded (§6.2.2.2), and encoded
// what no URI may hold as it is (§2.1), as browsers do. It is what purges
// compare; keys are made of what came, so that the app decides whether two
// spellings are one page.
func NormalSpelling(s string) string {
	i := 0
	for i < len(s) && plainChar(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 2*(len(s)-i))
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if v, ok := hexPair(s, i+1); ok {
				i += 2
				if unreserved(v) {
					b.WriteByte(v)
					continue
				}
				c = v
			}
		} else if plainChar(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// unreserved is RFC 3986 §2.3.
//
//	unreserved = ALPHA / DIGIT / "-" / "." / "_" / "~"
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// plainChar reports whether c stands for itself in a path or a query: it is
// unreserved or reserved (RFC 3986 §2.2).
func plainChar(c byte) bool {
	return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@/?#[]", c) >= 0
}
