package admin

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"umbral/cachepolicy"
)

var (
	errURLForm   = errors.New("must be a URL, http://host/path or host/path, or a path, /path, which is meant on every host")
	errURLHost   = errors.New("the host is malformed")
	errGlob      = errors.New("a prefix matches what begins with it: leave the * away")
	errEmpty     = errors.New("must not be empty")
	errTooLong   = errors.New("is too long")
	errBadSymbol = errors.New("holds a space or a control character")
)

// bareHost is a host in front of a path: localhost, or one with a dot or a port.
var bareHost = regexp.MustCompile(`^(localhost|[^/?#]+\.[^/?#:]+|[^/?#]+:\d+)([/?#]|$)`)

// PlainURL turns a URL or a path into host, path and query as keys are made of
// them: the host in lower case without its scheme's default port, then the
// rest, byte for byte but for letters beyond ASCII, which browsers escape.
//
//	raw = [ [ ( "http" / "https" ) "://" ] host [ ":" port ] ] path [ "?" query ] [ "#" fragment ]
func PlainURL(raw string) (string, error) {
	if err := plainText(raw); err != nil {
		return "", err
	}
	if strings.ContainsRune(raw, ' ') {
		return "", errBadSymbol
	}
	raw, _, _ = strings.Cut(raw, "#")
	if strings.HasPrefix(raw, "/") {
		if strings.HasPrefix(raw, "//") {
			return "", errURLForm // //host/path: whether host or path is anybody's guess
		}
		return escape(strings.TrimSuffix(raw, "?")), nil
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	port := ""
	switch strings.ToLower(scheme) {
	case "http":
		port = ":80"
	case "https":
		port = ":443"
	}
	switch {
	case !ok && bareHost.MatchString(raw):
		rest = raw
	case !ok || port == "":
		return "", errURLForm
	}
	host, target := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, target = rest[:i], rest[i:]
		if target[0] == '?' {
			target = "/" + target
		}
	}
	host = strings.TrimSuffix(strings.ToLower(host), port)
	host = strings.Replace(strings.TrimSuffix(host, "."), ".:", ":", 1) // an absolute name is no other
	if host == "" || strings.ContainsAny(host, "@\\%\"<>^`{|}") || strings.HasPrefix(host, ":") || escape(host) != host {
		return "", errURLHost
	}
	return host + escape(strings.TrimSuffix(target, "?")), nil
}

// escape percent-encodes what is not ASCII (RFC 3986 §2.1).
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < 0x80 {
			b.WriteByte(s[i])
			continue
		}
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// StoredURL is PlainURL in the spelling that stored pages carry, whatever they
// were asked for by.
func StoredURL(raw string) (string, error) {
	u, err := PlainURL(raw)
	return cachepolicy.NormalSpelling(u), err
}

// storedPrefix is StoredURL for a prefix: a host alone ends with "/", so that
// example.org never matches example.org.evil.
func storedPrefix(raw string) (string, error) {
	if strings.HasSuffix(raw, "*") {
		return "", errGlob
	}
	return StoredURL(raw)
}

// plainText refuses what can be no part of a stored page's URL, tag or owner.
func plainText(s string) error {
	if s == "" {
		return errEmpty
	}
	if len(s) > maxSelector {
		return errTooLong
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return errBadSymbol
		}
	}
	return nil
}
