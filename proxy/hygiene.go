package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// fate is what becomes of a field of a visitor's request.
type fate uint8

const (
	// fatePass: it goes up to the app, and into a key where a Vary says so.
	fatePass fate = iota
	// fateDrop: nobody behind the front door sees it.
	fateDrop
	// fateTrusted: it passes where a trusted proxy sent it.
	fateTrusted
	// The rest is looked at by name.
	fateConnection
	fateUpgrade
	fateHost
	fateProto
	fateAuthorization
	fateVia
)

// usualFields are those whose fate is worked out once: what browsers, their
// tools and the proxies in between send.
var usualFields = [...]string{
	"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection", "Content-Length",
	"Content-Type", "Cookie", "Dnt", "Forwarded", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
	"If-Unmodified-Since", "Origin", "Pragma", "Priority", "Range", "Referer", "Save-Data", "Sec-Ch-Ua",
	"Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User",
	"Sec-Gpc", "Sec-Purpose", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "Via", "X-Forwarded-For",
	"X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "X-Requested-With",
}

// fateOf says what becomes of a field by its canonical name.
func (f *Front) fateOf(name string) fate {
	if known, ok := f.fates[name]; ok {
		return known
	}
	return f.judgeField(name)
}

func (f *Front) judgeField(name string) fate {
	switch name {
	case "Connection":
		return fateConnection
	case "Upgrade", "Http2-Settings":
		return fateUpgrade
	case "Host":
		return fateHost
	case "X-Forwarded-Proto":
		return fateProto
	case "Authorization":
		if f.token != nil {
			return fateAuthorization
		}
	case "Via":
		return fateVia
	}
	switch {
	case f.forbidden != nil && f.forbidden(name):
		return fateDrop
	case f.keep[name]:
		return fatePass
	case fromProxies(name):
		return fateTrusted
	case unkeyed(name):
		return fateDrop
	}
	return fatePass
}

// What clean came by while it looked at every field once.
const (
	sawConnection = 1 << iota
	sawHost
	sawForwardedProto
	sawToken
	sawOurselves
)

// clean drops the fields that change what an app answers without being in
// anyone's key (CACHING.md §9), and those that only the edge may say, in one
// pass, and reports what it saw.
func (f *Front) clean(h http.Header, trusted bool) (seen uint8) {
	for name, lines := range h {
		switch f.fateOf(name) {
		case fatePass:
		case fateDrop:
			delete(h, name)
		case fateTrusted:
			if !trusted {
				delete(h, name)
			}
		case fateConnection:
			if len(lines) != 1 || lines[0] != "keep-alive" && lines[0] != "close" {
				seen |= sawConnection
			}
		case fateUpgrade:
			seen |= sawConnection
		case fateHost:
			seen |= sawHost
		case fateProto:
			seen |= sawForwardedProto
			if !trusted && !f.keep[name] {
				delete(h, name)
			}
		case fateAuthorization:
			// The token is for the edge alone: no app gets it, and the page is
			// shared as if it had not been sent (RFC 9111 §3.5).
			if slices.ContainsFunc(lines, f.isToken) {
				seen |= sawToken
				delete(h, name)
			}
		case fateVia:
			if f.returns(lines) { // whoever sent it: we need not trust ourselves
				seen |= sawOurselves
			}
			if !trusted && !f.keep[name] {
				delete(h, name)
			}
		}
	}
	return seen
}

// isToken reports whether credentials are the admin token:
//
//	credentials = "Bearer" 1*SP token    (RFC 6750 §2.1; the scheme has no case)
//
// in a time that does not depend on how much of it is right.
func (f *Front) isToken(credentials string) bool {
	scheme, token, _ := strings.Cut(credentials, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	digest := sha256.Sum256([]byte(strings.Trim(token, " ")))
	return subtle.ConstantTimeCompare(digest[:], f.token[:]) == 1
}

// fromProxies names the fields that the edge sets itself and believes from
// trusted proxies only.
func fromProxies(name string) bool {
	switch name {
	case "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "Forwarded", "Via":
		return true
	}
	return false
}

// unkeyed reports whether a field, by its canonical name, could change the
// app's answer and is in nobody's key.
func unkeyed(name string) bool {
	switch name {
	case "X-Host", "X-Method-Override", "X-Forwarded", "X-Override-Url", "X-Rewrite-Url", "X-Amz-Website-Redirect-Location",
		"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
		"Fastly-Client-Ip", "X-Originating-Ip", "X-Proxyuser-Ip",
		"X-Scheme", "X-Url-Scheme", "Front-End-Https", "X-Https",
		"Script-Name", "X-Script-Name", "Path-Info", "X-Sendfile-Type", "X-Matched-Path", "Base-Url",
		"Surrogate-Control", "Surrogate-Capability",
		"Te", "Trailer", "Keep-Alive", "Proxy", "Proxy-Connection", "Proxy-Authorization":
		return true
	}
	for _, stem := range [...]string{
		"X-Forwarded-", "X-Original-", "X-Http-", "X-Middleware-", "X-Accel-",
		"X-Appengine-", "X-Arr-", "X-Azure-", "X-Envoy-", "X-Invoke-", "X-Now-", "X-Vercel-", // what platforms put before their apps
	} {
		if strings.HasPrefix(name, stem) {
			return true
		}
	}
	return strings.IndexByte(name, '_') >= 0
}

// connection takes off r whatever Connection names (RFC 9110 §7.6.1), before
// anything of ours is set and before anything is read from the header, so that
// what the key is made of is what the app sees. It reports whether r is a
// websocket handshake (RFC 6455 §4.1), whose fields stay. Any other upgrade,
// h2c above all, is taken off too: the request goes on as a plain one.
func connection(r *http.Request) (websocket bool) {
	up := r.Header["Upgrade"]
	websocket = r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor == 1 &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		len(up) == 1 && strings.EqualFold(up[0], "websocket") &&
		hasToken(r.Header["Connection"], "upgrade")
	lines := r.Header["Connection"]
	delete(r.Header, "Connection")
	closes := hasToken(lines, "close")
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			token = http.CanonicalHeaderKey(strings.Trim(token, " \t"))
			if token != "Upgrade" {
				delete(r.Header, token)
			}
		}
	}
	delete(r.Header, "Http2-Settings")
	switch {
	case websocket:
		r.Header["Connection"] = []string{"Upgrade"}
	default:
		delete(r.Header, "Upgrade")
		if closes {
			r.Header["Connection"] = []string{"close"}
		}
	}
	return websocket
}

// hasToken reports whether a list field names token, in lower case.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(t, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// onlyHost takes the Host field that HTTP/2 leaves beside :authority off the
// request, and reports whether it said the same (RFC 9113 §8.3.1).
func onlyHost(h http.Header, authority string) bool {
	lines := h["Host"]
	delete(h, "Host")
	return len(lines) == 1 && strings.EqualFold(lines[0], authority)
}

// normalHost returns host in lower case without the scheme's default port and
// without the dot of an absolute name (RFC 1034 §3.1), or false where it is not
//
//	host [ ":" port ]    host = reg-name | IPv4address | "[" IPv6address "]"
//
// with a reg-name of letters, digits, "-", "." and "_": narrower than RFC 3986
// §3.2.2, as wide as names that resolve.
func normalHost(host string, secure bool) (string, bool) {
	name, port := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", false
		}
		addr, err := netip.ParseAddr(host[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		name, port = host[:end+1], host[end+1:]
	} else {
		if colon := strings.IndexByte(host, ':'); colon >= 0 {
			name, port = host[:colon], host[colon:]
		}
		if name == "" || len(name) > 255 {
			return "", false
		}
		for i := range len(name) {
			if c := name[i]; !isAlnum(c) && c != '-' && c != '.' && c != '_' {
				return "", false
			}
		}
		if name[len(name)-1] == '.' {
			name = name[:len(name)-1]
			host = name + port
		}
		if name == "" || name[len(name)-1] == '.' {
			return "", false
		}
	}
	if port != "" && !validPort(port) {
		return "", false
	}
	if port == ":" || secure && port == ":443" || !secure && port == ":80" {
		host = name
	}
	return strings.ToLower(host), true
}

// validPort reads ":" *5DIGIT, at most 65535, without leading zeros, so that
// one port has one spelling.
func validPort(port string) bool {
	if port[0] != ':' || len(port) > 6 || len(port) > 1 && port[1] == '0' {
		return false
	}
	n := 0
	for i := 1; i < len(port); i++ {
		c := port[i]
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}
