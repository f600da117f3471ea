package proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// maxRawFields bounds the fields of a request that readRaw takes.
const maxRawFields = 48

// rawRequest is a plain GET as readRaw finds it, with room for its parts, so
// that one can serve many requests.
type rawRequest struct {
	r      http.Request
	url    url.URL
	header http.Header
	values [maxRawFields]string
}

// readRaw reads raw, all that a connection has brought, as exactly one GET
// without content, spelled as browsers and proxies spell it:
//
//	request      = "GET" SP origin-form SP "HTTP/1.1" CRLF *( field-line CRLF ) CRLF
//	origin-form  = "/" *( %x21-22 / %x24-7E )
//	field-line   = 1*( ALPHA / DIGIT / "-" ) ":" *( SP / HTAB ) *( HTAB / %x20-7E / %x80-FF ) *( SP / HTAB )
//
// with one Host, no field twice, and none that concerns the connection, the
// framing, or a part of the content. What it takes it reads as net/http does
// (FuzzReadRaw); anything else, which may be right as well, gives false.
func (q *rawRequest) readRaw(raw string) bool {
	rest, ok := strings.CutPrefix(raw, "GET /")
	if !ok {
		return false
	}
	end := strings.IndexByte(rest, ' ')
	if end < 0 || !strings.HasPrefix(rest[end:], " HTTP/1.1\r\n") {
		return false
	}
	target := raw[len("GET ") : len("GET /")+end]
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	rest = rest[end+len(" HTTP/1.1\r\n"):]
	if q.header == nil {
		q.header = make(http.Header, maxRawFields)
	}
	clear(q.header)
	host := ""
	for n := 0; ; n++ {
		end := strings.IndexByte(rest, '\r')
		if end < 0 || end+1 >= len(rest) || rest[end+1] != '\n' || n == maxRawFields {
			return false
		}
		line := rest[:end]
		rest = rest[end+2:]
		if line == "" {
			break
		}
		colon := strings.IndexByte(line, ':')
		if colon <= 0 {
			return false
		}
		name, ok := fieldName(line[:colon])
		if !ok {
			return false
		}
		value := strings.Trim(line[colon+1:], " \t")
		for i := range len(value) {
			if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
				return false
			}
		}
		switch name {
		case "Host":
			if host != "" || value == "" {
				return false
			}
			host = value
			continue
		case "Connection":
			if value != "keep-alive" {
				return false
			}
			continue
		case "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Expect", "Upgrade", "Http2-Settings",
			"Range", "If-Range", "Pragma", "Keep-Alive", "Proxy-Connection":
			return false
		}
		if _, twice := q.header[name]; twice {
			return false
		}
		q.values[n] = value
		q.header[name] = q.values[n : n+1 : n+1]
	}
	if rest != "" || host == "" {
		return false
	}
	q.url = url.URL{}
	_, q.url.RawQuery, _ = strings.Cut(target, "?")
	q.r = http.Request{
		Method: http.MethodGet, URL: &q.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: q.header, Body: http.NoBody, Host: host, RequestURI: target,
	}
	return true
}

// fieldName gives a name of letters, digits and "-" in canonical form.
func fieldName(name string) (string, bool) {
	canonical, upper := true, true
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z':
			canonical = canonical && !upper
		case c >= 'A' && c <= 'Z':
			canonical = canonical && upper
		case c == '-', c >= '0' && c <= '9':
		default:
			return "", false
		}
		upper = c == '-'
	}
	if canonical {
		return name, true
	}
	return http.CanonicalHeaderKey(name), true
}
