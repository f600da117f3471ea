package sessions

import (
	"net/http"
	"strings"
)

// Fields of the conversation between edge and app (CONTRACT.md §4).
const (
	HeaderAuth     = "X-Edge-Auth"     // up: anonymous | session | user
	HeaderUser     = "X-Edge-User"     // up: the uid, as the app announced it
	HeaderSession  = "X-Edge-Session"  // up: a digest, useless as a cookie
	HeaderIdentity = "X-Edge-Identity" // up: a JWT

	HeaderSessionUser   = "X-Edge-Session-User"   // down: signed in as
	HeaderSessionLogout = "X-Edge-Session-Logout" // down: current | others | all
	HeaderSessionSet    = "X-Edge-Session-Set"    // down: key="value"
)

// identityNames are what apps and their servers take for a proxy's word on
// who is asking: lower case, with "-" for all that is no letter or digit.
var identityNames = map[string]bool{
	"authenticated-user": true, "auth-user": true, "proxy": true, "proxy-user": true,
	"x-access-token": true, "x-client-verify": true, "x-email": true, "x-forwarded-access-token": true,
	"x-forwarded-client-cert": true, "x-forwarded-email": true, "x-forwarded-groups": true,
	"x-forwarded-preferred-username": true, "x-forwarded-user": true, "x-groups": true, "x-proxy-user": true,
	"x-roles": true, "x-user": true, "x-user-email": true, "x-user-id": true, "x-user-name": true,
	"x-username": true, "x-webobjects-remote-user": true, "x-edge": true,
}

// identityStems begin such names.
var identityStems = []string{
	"client-cert", "iv-", "sm-", "x-consumer-", "x-pomerium-", // RFC 9440, WebSEAL, SiteMinder, Kong, Pomerium
	"x-edge-", "x-auth-", "x-authenticated-", "x-remote-", "x-client-cert", "x-forwarded-tls-client-cert",
	"x-goog-authenticated-", "x-goog-iap-", "x-ms-client-principal", "x-amzn-oidc-", "x-ssl-", "x-vouch-",
	"x-webauth-", "cf-access-", "oidc-", "remote-", "ssl-client-", "tailscale-user-",
}

// Forbidden reports whether only the edge may say a field of this name:
// whatever, lower-cased and with "-" for each byte that is neither letter nor
// digit, begins with x-edge- or is an identity name, and every name that a
// WSGI or CGI server could take for another ("_", ".").
func Forbidden(name string) bool {
	for i := range len(name) {
		if c := name[i]; c == '_' || c == '.' {
			return true
		}
	}
	if name == "" {
		return true
	}
	switch name[0] | 0x20 {
	case 'x', 'a', 'c', 'i', 'o', 'p', 'r', 's', 't':
	default:
		return false
	}
	var buf [64]byte
	folded := fold(buf[:0], name)
	if identityNames[string(folded)] {
		return true
	}
	for _, stem := range identityStems {
		if len(folded) >= len(stem) && string(folded[:len(stem)]) == stem {
			return true
		}
	}
	return false
}

// fold lower-cases name and turns what is neither letter nor digit into "-".
func fold(dst []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		default:
			c = '-'
		}
		dst = append(dst, c)
	}
	return dst
}

// StripControl drops every X-Edge-Session-* field, however spelled, and our
// own request fields, from an answer of the app: no visitor ever sees one.
func StripControl(h http.Header) {
	for name := range h {
		if isControl(name) {
			delete(h, name)
		}
	}
}

func isControl(name string) bool {
	if len(name) < len("x-edge") || name[0]|0x20 != 'x' {
		return false
	}
	var buf [64]byte
	return strings.HasPrefix(string(fold(buf[:0], name)), "x-edge-")
}
