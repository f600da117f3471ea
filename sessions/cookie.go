package sessions

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The browser's cookie. Both modes are gorilla/securecookie's format,
//
//	base64url( date "|" base64url(payload) "|" HMAC-SHA256(name "|" date "|" payload) )
//
// with a payload of 30 bytes, whose cookie has 112 characters and no padding,
//
//	session = kind(1) version(1) token(28)
//
// or, AES-encrypted under keys of its own and padded so that the cookie has no
// padding either,
//
//	sealed  = kind(1) version(1) visitor(8) length(2) cookies zeros
//
// No padding means that each value has exactly one spelling.
const (
	kindSession = 's'
	kindSealed  = 'j'
	format      = 1

	sessionLength = 112
	maxSealed     = 1536
	// minSealed keeps a sealed cookie from ever being 112 characters long.
	minSealed = 23
)

// find returns the value of the cookie called name in the Cookie field lines,
// and how many there are of exactly that name.
func find(lines []string, name string) (value string, n int) {
	for _, line := range lines {
		if !strings.Contains(line, name) {
			continue
		}
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			k, v, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if k == name {
				value, n = v, n+1
			}
		}
	}
	return value, n
}

// openSession verifies a cookie of session mode: nothing but the one spelling
// of a value signed by s opens. It makes no allocation.
func (s *secret) openSession(name, value string, tok *token) (issued int64, ok bool) {
	var b [84]byte
	if len(value) != sessionLength || !decodeStrict(b[:], value) {
		return 0, false
	}
	const valueAt, macAt = 11, 52
	if b[10] != '|' || b[macAt-1] != '|' {
		return 0, false
	}
	x := s.sign.pool.Get().(*mac)
	x.in = append(append(append(x.in[:0], name...), '|'), b[:macAt-1]...)
	want := s.sign.finish(x)
	if !hmac.Equal(want[:], b[macAt:]) {
		return 0, false
	}
	for _, c := range b[:10] {
		if c < '0' || c > '9' {
			return 0, false
		}
		issued = issued*10 + int64(c-'0')
	}
	var payload [30]byte
	n, err := base64.URLEncoding.Decode(payload[:], b[valueAt:macAt-1])
	if err != nil || n != len(payload) || payload[0] != kindSession || payload[1] != format {
		return 0, false
	}
	copy(tok[:], payload[2:])
	return issued, true
}

// decodeStrict fills dst from base64url without padding, or fails. Go's
// decoder skips line breaks, which would give one value many spellings.
func decodeStrict(dst []byte, src string) bool {
	for i := range len(src) {
		c := src[i]
		if c != '-' && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	var buf [sessionLength]byte
	n, err := base64.URLEncoding.Strict().Decode(dst, append(buf[:0], src...))
	return err == nil && n == len(dst)
}

// signSession makes the cookie value of session mode.
func (s *secret) signSession(name string, tok *token) (string, error) {
	payload := append([]byte{kindSession, format}, tok[:]...)
	return s.signed.Encode(name, payload)
}

// sealedJar is the content of a sealed cookie.
type sealedJar struct {
	visitor [8]byte
	cookies []cookie
}

// sealJar makes the cookie value of sealed mode; ok is false where it would
// be too long.
func (s *secret) sealJar(name string, j *sealedJar) (value string, ok bool) {
	body := make([]byte, 0, 256)
	for i := range j.cookies {
		body = appendString(body, string(j.cookies[i].encode()))
	}
	if len(body) > maxSealed {
		return "", false
	}
	plain := append([]byte{kindSealed, format}, j.visitor[:]...)
	plain = binary.BigEndian.AppendUint16(plain, uint16(len(body)))
	plain = append(plain, body...)
	// 16 bytes of IV and the payload fill whole base64 groups inside, and
	// those with date, bars and MAC fill whole groups outside, where the
	// payload's length is 5 modulo 9.
	for len(plain) < minSealed || len(plain)%9 != 5 {
		plain = append(plain, 0)
	}
	value, err := s.sealed.Encode(name, plain)
	return value, err == nil && len(value) <= maxSealed
}

// openSealed verifies and opens a cookie of sealed mode.
func (s *secret) openSealed(name, value string) (j *sealedJar, issued int64, ok bool) {
	if len(value) <= sessionLength || len(value) > maxSealed || len(value)%4 != 0 || strings.ContainsAny(value, "=\r\n") {
		return nil, 0, false
	}
	outer, err := base64.URLEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, 0, false
	}
	var plain []byte
	if s.sealed.Decode(name, value, &plain) != nil {
		return nil, 0, false
	}
	date, _, _ := bytes.Cut(outer, []byte("|"))
	issued, err = strconv.ParseInt(string(date), 10, 64)
	if err != nil || len(plain) < 12 || plain[0] != kindSealed || plain[1] != format {
		return nil, 0, false
	}
	j = &sealedJar{visitor: [8]byte(plain[2:10])}
	body := plain[12:]
	if n := int(binary.BigEndian.Uint16(plain[10:])); n <= len(body) {
		body = body[:n]
	} else {
		return nil, 0, false
	}
	for len(body) > 0 {
		var one string
		if one, body, ok = cutString(body); !ok {
			return nil, 0, false
		}
		c, ok := decodeCookie([]byte(one))
		if !ok {
			return nil, 0, false
		}
		j.cookies = append(j.cookies, c)
	}
	sortJar(j.cookies)
	return j, issued, true
}

// setCookie is the field value that gives the browser value, or with value
// "" takes the cookie from it. persist of 0 is a browser-session cookie.
func (o *Options) setCookie(value string, persist time.Duration) string {
	b := make([]byte, 0, len(value)+100)
	b = append(append(append(b, o.CookieName...), '='), value...)
	b = append(b, "; Path=/"...)
	if value == "" {
		b = append(b, "; Max-Age=0"...)
	} else if secs := int64(persist / time.Second); persist > 0 {
		b = strconv.AppendInt(append(b, "; Max-Age="...), max(secs, 1), 10)
	}
	b = append(b, "; HttpOnly"...)
	if o.CookieSecure {
		b = append(b, "; Secure"...)
	}
	switch o.SameSite {
	case http.SameSiteStrictMode:
		b = append(b, "; SameSite=Strict"...)
	case http.SameSiteNoneMode:
		b = append(b, "; SameSite=None"...)
	default:
		b = append(b, "; SameSite=Lax"...)
	}
	if o.Partitioned {
		b = append(b, "; Partitioned"...)
	}
	return string(b)
}
