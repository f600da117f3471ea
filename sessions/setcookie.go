package sessions

import (
	"net"
	"strconv"
	"strings"
	"time"
)

// change is what one Set-Cookie field does to a jar.
type change struct {
	cookie
	remove bool
	line   string // as the app sent it
}

// maxLife bounds Max-Age and Expires (RFC 6265bis §5.5: 400 days).
const maxLife = 400 * 24 * time.Hour

// parseSetCookie reads a Set-Cookie field as RFC 6265 §5.2 and §5.3 have a
// browser read it, for a request to host and path at now. ok is false where a
// browser would ignore the field.
//
//	set-cookie = name "=" value *( ";" attribute [ "=" value ] )
func parseSetCookie(line, host, path string, now time.Time) (c change, ok bool) {
	for i := range len(line) {
		if line[i] < ' ' && line[i] != '\t' || line[i] == 0x7f {
			return c, false
		}
	}
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, found := strings.Cut(pair, "=")
	c.name, c.value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	// A nameless cookie could pose as another one in a Cookie line.
	if !found || c.name == "" || strings.ContainsAny(c.name, " \t\"") {
		return c, false
	}
	c.line, c.created, c.path = line, now.UnixMilli(), defaultPath(path)
	var expires, maxAge time.Time
	for attributes != "" {
		var a string
		a, attributes, _ = strings.Cut(attributes, ";")
		k, v, _ := strings.Cut(a, "=")
		k, v = strings.Trim(k, " \t"), strings.Trim(v, " \t")
		switch {
		case strings.EqualFold(k, "Expires"):
			if t, ok := parseCookieDate(v); ok {
				expires = t
			}
		case strings.EqualFold(k, "Max-Age"):
			if t, ok := parseMaxAge(v, now); ok {
				maxAge = t
			}
		case strings.EqualFold(k, "Path"):
			c.path = defaultPath(path)
			if strings.HasPrefix(v, "/") {
				c.path = v
			}
		case strings.EqualFold(k, "Domain"):
			if v != "" && !domainMatch(host, strings.TrimPrefix(v, ".")) {
				return c, false
			}
		}
	}
	if !maxAge.IsZero() {
		expires = maxAge
	}
	if !expires.IsZero() {
		c.remove = !expires.After(now)
		if limit := now.Add(maxLife); expires.After(limit) {
			expires = limit
		}
		c.expires = max(expires.UnixMilli(), 1)
		c.life = c.expires - now.UnixMilli()
	}
	return c, true
}

// parseMaxAge is RFC 6265 §5.2.2: digits with an optional "-" before them.
// Zero and less is long past.
func parseMaxAge(v string, now time.Time) (time.Time, bool) {
	digits := strings.TrimPrefix(v, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return time.Time{}, false
	}
	if v[0] == '-' {
		return time.Unix(1, 0), true
	}
	secs, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || secs > int64(maxLife/time.Second) {
		secs = int64(maxLife / time.Second)
	}
	if secs == 0 {
		return time.Unix(1, 0), true
	}
	return now.Add(time.Duration(secs) * time.Second), true
}

// defaultPath is RFC 6265 §5.1.4.
func defaultPath(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || path[0] != '/' {
		return "/"
	}
	return path[:i]
}

// domainMatch is RFC 6265 §5.1.3; host may carry a port.
func domainMatch(host, domain string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, domain) {
		return true
	}
	n := len(host) - len(domain)
	return n > 0 && host[n-1] == '.' && strings.EqualFold(host[n:], domain) && net.ParseIP(host) == nil
}

// parseCookieDate is RFC 6265 §5.1.1: tokens between delimiters, of which the
// first that look like a time, a day, a month and a year count.
func parseCookieDate(s string) (time.Time, bool) {
	var hour, minute, second, day, year int
	var month time.Month
	var hasTime, hasDay, hasMonth, hasYear bool
	for s != "" {
		n := 0
		for n < len(s) && !dateDelimiter(s[n]) {
			n++
		}
		tok := s[:n]
		s = s[min(n+1, len(s)):]
		if tok == "" {
			continue
		}
		if !hasTime {
			if h, m, sec, ok := clock(tok); ok {
				hour, minute, second, hasTime = h, m, sec, true
				continue
			}
		}
		if !hasDay {
			if d, ok := leadingDigits(tok, 1, 2); ok {
				day, hasDay = d, true
				continue
			}
		}
		if !hasMonth {
			if m, ok := monthOf(tok); ok {
				month, hasMonth = m, true
				continue
			}
		}
		if !hasYear {
			if y, ok := leadingDigits(tok, 2, 4); ok {
				year, hasYear = y, true
			}
		}
	}
	switch {
	case year >= 70 && year <= 99:
		year += 1900
	case year >= 0 && year <= 69:
		year += 2000
	}
	if !hasTime || !hasDay || !hasMonth || !hasYear ||
		day < 1 || day > 31 || year < 1601 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	return t, t.Day() == day // 31 February does not exist
}

func dateDelimiter(c byte) bool {
	return c == '\t' || c >= 0x20 && c <= 0x2f || c >= 0x3b && c <= 0x40 ||
		c >= 0x5b && c <= 0x60 || c >= 0x7b && c <= 0x7e
}

// leadingDigits reads between least and most digits that no digit follows.
func leadingDigits(s string, least, most int) (n int, ok bool) {
	i := 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if i == most {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, i >= least
}

// clock reads hms-time, "1*2DIGIT:1*2DIGIT:1*2DIGIT" and anything after it.
func clock(s string) (h, m, sec int, ok bool) {
	a, rest, ok1 := strings.Cut(s, ":")
	b, c, ok2 := strings.Cut(rest, ":")
	if !ok1 || !ok2 || len(a) > 2 || len(b) > 2 || a == "" || b == "" ||
		strings.Trim(a+b, "0123456789") != "" {
		return 0, 0, 0, false
	}
	h, _ = leadingDigits(a, 1, 2)
	m, _ = leadingDigits(b, 1, 2)
	sec, ok = leadingDigits(c, 1, 2)
	return h, m, sec, ok
}

func monthOf(s string) (time.Month, bool) {
	if len(s) < 3 {
		return 0, false
	}
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	i := strings.Index(names, strings.ToLower(s[:3]))
	if i < 0 || i%3 != 0 {
		return 0, false
	}
	return time.Month(i/3 + 1), true
}
