package cachepolicy

import (
	"strings"
	"unicode/utf8"
)

// PathAmbiguous reports whether two programs could read the escaped path
// differently (CACHING §2): empty and dot segments, however spelled;
// encoded slashes, backslashes, parameters (";"), an encoded "?" or "#";
// control characters; wrong escapes; escapes of escapes; bytes that are not
// UTF-8 once decoded, overlong forms among them. Such a path is forwarded as
// it came and not cached.
func PathAmbiguous(escapedPath string) bool {
	if escapedPath == "" || escapedPath[0] != '/' {
		return true
	}
	dots, length := 0, 0 // of the segment at hand, decoded
	high := false
	for i := 1; i < len(escapedPath); i++ {
		c := escapedPath[i]
		if c == '/' {
			if length == 0 || dots == length && dots <= 2 {
				return true
			}
			dots, length = 0, 0
			continue
		}
		if c == '%' {
			v, ok := hexPair(escapedPath, i+1)
			if !ok || v == '/' || v == '?' || v == '#' {
				return true
			}
			if v == '%' && escapeFollows(escapedPath, i+3) {
				return true
			}
			c = v
			i += 2
		}
		switch {
		case c < ' ', c == 0x7f, c == '\\', c == ';', c == '?', c == '#':
			return true
		case c == '.':
			dots++
		case c >= utf8.RuneSelf:
			high = true
		}
		length++
	}
	if length > 0 && dots == length && dots <= 2 {
		return true
	}
	return high && !utf8.ValidString(unescape(escapedPath))
}

// LoosePath is what the most careless reader would make of an ambiguous path:
// escapes decoded until none is left, "\\" for "/", parameters and what stands
// behind a NUL, "?" or "#" gone, empty and dot segments resolved. It only ever
// serves to find out which address a visitor may be after.
func LoosePath(escapedPath string) string {
	path := escapedPath
	for range 4 { // nobody decodes more often
		decoded := decodePairs(path)
		if decoded == path {
			break
		}
		path = decoded
	}
	if i := strings.IndexAny(path, "\x00?#"); i >= 0 {
		path = path[:i]
	}
	path = strings.ReplaceAll(path, `\`, "/")
	var kept []string
	slash := false // the path ends with one
	for segment := range strings.SplitSeq(path, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		slash = segment == "" || segment == "." || segment == ".."
		switch {
		case segment == ".." && len(kept) > 0:
			kept = kept[:len(kept)-1]
		case !slash:
			kept = append(kept, segment)
		}
	}
	path = "/" + strings.Join(kept, "/")
	if slash && path != "/" {
		path += "/"
	}
	return path
}

// decodePairs decodes every escape that is one and leaves the rest.
func decodePairs(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if v, ok := hexPair(s, i+1); ok {
				c = v
				i += 2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// escapeFollows reports whether two hex digits stand at i, themselves escaped
// or not: behind an escaped "%" they make an escape of the next decoding.
func escapeFollows(s string, i int) bool {
	for range 2 {
		if i >= len(s) {
			return false
		}
		c := s[i]
		if c == '%' {
			c, _ = hexPair(s, i+1)
			i += 2
		}
		if _, ok := hexDigit(c); !ok {
			return false
		}
		i++
	}
	return true
}

func hexPair(s string, i int) (byte, bool) {
	if i+1 >= len(s) {
		return 0, false
	}
	hi, ok1 := hexDigit(s[i])
	lo, ok2 := hexDigit(s[i+1])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
