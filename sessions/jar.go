package sessions

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// cookie is one of the app's cookies in a jar. Times are milliseconds of the
// Unix epoch.
type cookie struct {
	name, value, path string
	created           int64
	expires           int64  // 0: with the session
	life              int64  // how long it was given when last set, 0 with expires
	version           uint64 // of the record, at its last write
}

// encode is the cookie without its version.
func (c *cookie) encode() []byte {
	b := make([]byte, 0, len(c.name)+len(c.path)+len(c.value)+24)
	b = binary.AppendUvarint(b, uint64(c.created))
	b = binary.AppendUvarint(b, uint64(c.expires))
	b = binary.AppendUvarint(b, uint64(c.life))
	b = appendString(b, c.name)
	b = appendString(b, c.path)
	return append(b, c.value...)
}

func decodeCookie(b []byte) (c cookie, ok bool) {
	var created, expires, life uint64
	if created, b, ok = cutUvarint(b); !ok {
		return c, false
	}
	if expires, b, ok = cutUvarint(b); !ok {
		return c, false
	}
	if life, b, ok = cutUvarint(b); !ok {
		return c, false
	}
	if c.name, b, ok = cutString(b); !ok {
		return c, false
	}
	if c.path, b, ok = cutString(b); !ok {
		return c, false
	}
	c.created, c.expires, c.life = int64(created), int64(expires), int64(life)
	c.value = string(b)
	return c, c.name != "" && c.created >= 0 && c.expires >= 0 && c.life >= 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutUvarint(b []byte) (uint64, []byte, bool) {
	n, l := binary.Uvarint(b)
	if l <= 0 {
		return 0, nil, false
	}
	return n, b[l:], true
}

func cutString(b []byte) (string, []byte, bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > uint64(len(b)) {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}

func (c *cookie) live(now int64) bool { return c.expires == 0 || c.expires > now }

func (c *cookie) size() int { return len(c.name) + len(c.value) }

// sortJar orders as RFC 6265 §5.4 sends: longer paths first, then older ones.
func sortJar(jar []cookie) {
	slices.SortStableFunc(jar, func(a, b cookie) int {
		return cmp.Or(cmp.Compare(len(b.path), len(a.path)), cmp.Compare(a.created, b.created))
	})
}

// pathMatch is RFC 6265 §5.1.4.
func pathMatch(request, path string) bool {
	if path == "/" {
		return true
	}
	if !strings.HasPrefix(request, path) {
		return false
	}
	return len(request) == len(path) || path[len(path)-1] == '/' || request[len(path)] == '/'
}

// inJar finds the cookie of exactly that name and path, -1 if there is none.
func inJar(jar []cookie, name, path string) int {
	for i := range jar {
		if jar[i].name == name && jar[i].path == path {
			return i
		}
	}
	return -1
}

// cookieLine is the Cookie field that goes up for path: the whole jar, or
// only names if not nil. Above limit bytes the oldest cookie that is not in
// keep goes first (gunicorn refuses 8,190 bytes); dropped names those that went.
func cookieLine(jar []cookie, path string, now int64, names, keep []string, limit int) (line string, dropped []string) {
	var few [16]*cookie
	send, size := few[:0], 0
	for i := range jar {
		c := &jar[i]
		if c.live(now) && pathMatch(path, c.path) && (names == nil || slices.Contains(names, c.name)) {
			send = append(send, c)
			size += c.size() + len("=; ")
		}
	}
	for limit > 0 && size-len("; ") > limit && len(send) > 0 {
		i := oldest(send, keep)
		size -= send[i].size() + len("=; ")
		dropped = append(dropped, send[i].name)
		send = slices.Delete(send, i, i+1)
	}
	if len(send) == 0 {
		return "", dropped
	}
	b := make([]byte, 0, size)
	for i, c := range send {
		if i > 0 {
			b = append(b, "; "...)
		}
		b = append(append(append(b, c.name...), '='), c.value...)
	}
	return string(b), dropped
}

// oldest is the index of the oldest cookie that is not in keep, else of the
// oldest.
func oldest(jar []*cookie, keep []string) int {
	at, any := -1, 0
	for i, c := range jar {
		if c.created < jar[any].created {
			any = i
		}
		if !slices.Contains(keep, c.name) && (at < 0 || c.created < jar[at].created) {
			at = i
		}
	}
	if at < 0 {
		return any
	}
	return at
}

// valueFor is what the jar sends up for name on path.
func valueFor(jar []cookie, name, path string, now int64) (string, bool) {
	for i := range jar {
		if c := &jar[i]; c.name == name && c.live(now) && pathMatch(path, c.path) {
			return c.value, true
		}
	}
	return "", false
}

// valuesFor is all that the jar sends up for name on path, as it stands in the
// line: apps differ in which of several they take.
func valuesFor(jar []cookie, name, path string, now int64) (values string, ok bool) {
	for i := range jar {
		if c := &jar[i]; c.name == name && c.live(now) && pathMatch(path, c.path) {
			if ok {
				values += "; "
			}
			values, ok = values+c.value, true
		}
	}
	return values, ok
}

// appendFields adds what the browser's own Cookie lines say for names, where
// the jar has no such cookie: sessions.app_cookies.client_allow.
func appendFields(line string, fields []string, names []string, jar []cookie) string {
	for _, name := range names {
		v, n := find(fields, name)
		if n != 1 || !validValue(v) || slices.ContainsFunc(jar, func(c cookie) bool { return c.name == name }) {
			continue
		}
		if line != "" {
			line += "; "
		}
		line += name + "=" + v
	}
	return line
}

// validCookieName is RFC 9110's token, which RFC 6265 §4.1.1 asks of names.
func validCookieName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// validValue is what may stand in a Cookie line without starting another
// cookie or line.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f || c == ';' {
			return false
		}
	}
	return true
}
