package cachepolicy

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
)

// Every key is SHA-256 over a kind and length-prefixed parts. The kinds keep
// a primary key, a variant, a search key, an index of paths and a route apart;
// the version changes whenever the same request would get other parts.
const (
	keyVersion  = "\x01"
	primaryKind = keyVersion + "P"
	variantKind = keyVersion + "V"
	searchKind  = keyVersion + "S"
	pathKind    = keyVersion + "N"
	routeKind   = keyVersion + "R"
)

// appendPart appends a part with its length before it.
func appendPart(b []byte, part string) []byte {
	b = binary.AppendUvarint(b, uint64(len(part)))
	return append(b, part...)
}

// NormalQuery is the part of the raw query that is in the key.
func (p *Policy) NormalQuery(raw string) string { return p.Rule.Query.Apply(raw) }

// URL is host + path, and "?" + the normal query where there is one, in their
// [NormalSpelling]: what purges by URL and prefix compare.
func (p *Policy) URL(r *Request) string {
	path, query := NormalSpelling(r.Path), p.NormalQuery(NormalSpelling(r.Query))
	if query == "" {
		return r.Host + path
	}
	return r.Host + path + "?" + query
}

// Key is the primary key of a request: scheme, host, path, normal query, the
// scope's partition, and the values of the rule's VaryHeaders (normalised)
// and VaryCookies. The method is no part of it: HEAD is answered from GET's.
func (p *Policy) Key(r *Request) Key {
	var buf [512]byte
	b := p.appendTarget(append(buf[:0], primaryKind...), r)
	b = appendPart(b, p.NormalQuery(r.Query))
	return sha256.Sum256(b)
}

// PathKey is the key of the Index that holds No-Vary-Search for a host and
// path: Key with the query left out.
func (p *Policy) PathKey(r *Request) Key {
	var buf [512]byte
	return sha256.Sum256(p.appendTarget(append(buf[:0], pathKind...), r))
}

// SearchedKey is the key of what says that some response of the route carried
// No-Vary-Search.
func (p *Policy) SearchedKey() Key {
	var buf [256]byte
	return sha256.Sum256(appendPart(append(buf[:0], routeKind...), p.Rule.Pattern))
}

// SearchKey is the primary key with the normal query brought into the one
// form that a No-Vary-Search value gives it; Key where that is "" or says
// nothing.
func (p *Policy) SearchKey(r *Request, noVarySearch string) Key {
	if noVarySearch == "" {
		return p.Key(r)
	}
	v, ok := parseNoVarySearch([]string{noVarySearch})
	if !ok {
		return p.Key(r)
	}
	var buf [512]byte
	b := p.appendTarget(append(buf[:0], searchKind...), r)
	b = appendPart(b, v.text())
	return sha256.Sum256(v.canonical(b, p.NormalQuery(r.Query)))
}

// VariantKey is the secondary key (RFC 9111 §4.1) for one entry of
// [Index.Vary], or for the VaryFields of a response, under a primary key.
func (p *Policy) VariantKey(primary Key, r *Request, fields []string) Key {
	var buf [512]byte
	var scratch [256]byte
	b := append(append(buf[:0], variantKind...), primary[:]...)
	for _, field := range fields {
		b = appendPart(b, fieldName(field))
		value, present := p.appendValue(scratch[:0], r, field)
		b = appendPresence(b, value, present)
	}
	return sha256.Sum256(b)
}

func appendPresence[S string | []byte](b []byte, value S, present bool) []byte {
	if !present {
		return append(b, 0)
	}
	b = binary.AppendUvarint(append(b, 1), uint64(len(value)))
	return append(b, value...)
}

// appendTarget appends all of the primary key but the query.
func (p *Policy) appendTarget(b []byte, r *Request) []byte {
	var scratch [256]byte
	b = appendPart(b, r.Scheme)
	b = appendPart(b, r.Host)
	b = appendPart(b, r.Path)
	b = p.appendScope(b, r)
	for i, name := range p.vary {
		lines := r.Header[p.Rule.VaryHeaders[i]]
		if lines == nil {
			lines = r.Header[http.CanonicalHeaderKey(name)]
		}
		b = appendPresence(b, appendNormal(scratch[:0], name, lines), len(lines) > 0)
	}
	for i := range p.Rule.VaryCookies {
		if i < len(r.VaryCookies) && r.VaryCookies[i] != "\x00" {
			b = appendPresence(b, r.VaryCookies[i], true)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// appendScope appends whose the page is. A user who is not known is the
// session; who has no session either shares only with others of whom
// nothing at all would go up.
func (p *Policy) appendScope(b []byte, r *Request) []byte {
	switch {
	case p.Rule.Scope == Public:
		return append(b, 'p')
	case p.Rule.Scope == PerUser && r.Identity.User != "":
		return appendPart(append(b, 'u'), r.Identity.User)
	case r.Identity.Session != "":
		return appendPart(append(b, 's'), r.Identity.Session)
	case r.Identity.User != "":
		return appendPart(append(b, 'u'), r.Identity.User)
	}
	return append(b, 'a')
}

// nobody reports whether a visitor of a personal page cannot be told from
// others although something of theirs would go up: no key may be made then.
func (p *Policy) nobody(r *Request) bool {
	return p.Rule.Scope != Public && r.Identity.Session == "" && r.Identity.User == "" &&
		(r.Identity.Auth != Anonymous || r.Cookie != "")
}
