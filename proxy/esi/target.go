package esi

import (
	"errors"
	"net/url"
	"strings"
)

// errRefused says that an address is none that may be fetched.
var errRefused = errors.New("esi: not an address of this site")

// maxAddress bounds an address with its variables filled in, in bytes.
const maxAddress = 8 << 10

// target is the request target ("/path?query") that an attribute stands for.
// Only http and https addresses of the page's own host are taken, whole or
// relative. A value that came from the visitor fills in a path segment, or a
// part of one, or something in the query; it never changes which.
func (e *Env) target(parts []part) (string, error) {
	if len(parts) == 1 && parts[0].target {
		return parts[0].literal, nil
	}
	raw, err := e.address(parts)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Opaque != "" {
		return "", errRefused
	}
	if u.Scheme != "" || u.Host != "" {
		if u.Scheme != "http" && u.Scheme != "https" || !sameHost(u.Host, e.Host, u.Scheme) {
			return "", errRefused
		}
		// What is left is relative to the root, even if it is empty.
		u.Scheme, u.Host, u.Path = "", "", "/"+strings.TrimPrefix(u.Path, "/")
		if u.RawPath != "" {
			u.RawPath = "/" + strings.TrimPrefix(u.RawPath, "/")
		}
	}
	base, err := url.Parse(e.Path)
	if err != nil || base.Host != "" || base.Scheme != "" || !strings.HasPrefix(base.Path, "/") {
		return "", errRefused
	}
	u = base.ResolveReference(u)
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "", errRefused
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, nil
}

// parseAddress reads src or alt. One that is the same for every visitor and on
// every page is worked out here, once.
func parseAddress(s string) []part {
	parts := parseParts(s)
	if len(parts) == 1 && parts[0].name == "" && strings.HasPrefix(parts[0].literal, "/") {
		if t, err := (&Env{Path: "/"}).target(parts); err == nil {
			return []part{{literal: t, target: true}}
		}
	}
	return parts
}

// address fills the variables in. It ends where a fragment identifier begins.
func (e *Env) address(parts []part) (string, error) {
	var b strings.Builder
	query, filled := false, false
	for i := range parts {
		p := &parts[i]
		own, given := p.literal, false
		if p.name != "" {
			own, given = e.value(p)
		}
		if !given {
			text, _, cut := strings.Cut(own, "#")
			if !appendLiteral(&b, text) {
				return "", errRefused
			}
			if cut {
				break
			}
			query = query || strings.Contains(text, "?")
			continue
		}
		if !query && p.name != "HTTP_HOST" {
			if strings.ContainsFunc(own, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }) {
				return "", errRefused // two programs could read it as two paths
			}
			filled = true
		}
		p.escape(&b, own, query)
	}
	raw := b.String()
	if raw == "" || len(raw) > maxAddress {
		return "", errRefused
	}
	if path, _, _ := strings.Cut(raw, "?"); filled && dotted(path) {
		return "", errRefused
	}
	return raw, nil
}

// appendLiteral writes what the page says itself, bytes that no address may
// hold (RFC 3986 §2) percent-encoded; false: it holds a blank, a control
// character or a backslash, which programs read differently.
func appendLiteral(b *strings.Builder, s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c <= ' ' || c == 0x7f || c == '\\':
			return false
		case c > 0x7f || strings.IndexByte("\"<>^`{|}", c) >= 0:
			appendPercent(b, c)
		default:
			b.WriteByte(c)
		}
	}
	return true
}

// escape writes the value of a variable: unreserved characters (RFC 3986 §2.3)
// as they are, and besides them what a host needs, or what gives a query its
// form where the whole query is put into a query.
func (p *part) escape(b *strings.Builder, v string, query bool) {
	also := ""
	switch {
	case p.name == "HTTP_HOST":
		also = ":[]"
	case p.name == "QUERY_STRING" && !p.keyed && query:
		also = "!$%&()*+,/:;=?@"
	}
	for _, c := range []byte(v) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(also, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		appendPercent(b, c)
	}
}

func appendPercent(b *strings.Builder, c byte) {
	const hex = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(hex[c>>4])
	b.WriteByte(hex[c&15])
}

// dotted reports whether a path has a segment "." or "..", in any spelling.
func dotted(path string) bool {
	for s := range strings.SplitSeq(path, "/") {
		s = strings.ReplaceAll(strings.ToLower(s), "%2e", ".")
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// sameHost compares without case and with the scheme's default port spelled out.
func sameHost(a, b, scheme string) bool {
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	return strings.EqualFold(strings.TrimSuffix(a, port), strings.TrimSuffix(b, port))
}
