package proxy

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// SetForwarded puts on a request to the app who asks for what, in the edge's
// own words: X-Forwarded-For, -Host, -Proto, Forwarded (RFC 7239), Via (RFC
// 9110 §7.6.3) and X-Request-Id. Of what came in only a trusted proxy's chain
// is kept, from the visitor's address on: what stands left of that was
// written by a stranger. It must be called after what Connection names has
// been dropped (in ReverseProxy's Rewrite).
func (f *Front) SetForwarded(out http.Header, x *Exchange) {
	proto := "http"
	if x.Secure {
		proto = "https"
	}
	chain, client := "", "unknown"
	var addrs [1]netip.Addr
	hops := f.chain(x, addrs[:0])
	if len(hops) > 0 {
		chain = hops[0].String()
		client = node(hops[0], chain)
	}
	forwarded := "for=" + client + ";host=" + quoted(x.R.Host) + ";proto=" + proto
	for _, addr := range hops[min(1, len(hops)):] {
		name := addr.String()
		chain += ", " + name
		forwarded += ", for=" + node(addr, name)
	}
	via := f.viaMember(x.R)
	if theirs := x.R.Header["Via"]; x.TrustedPeer && len(theirs) > 0 {
		via = strings.Join(theirs, ", ") + ", " + via
	}
	values := [...]string{x.R.Host, proto, forwarded, x.ID, via, chain} // in one piece
	for i, name := range [...]string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Request-Id", "Via", "X-Forwarded-For"} {
		out[name] = values[i : i+1 : i+1]
	}
	if chain == "" { // the peer is no IP: a unix socket
		delete(out, "X-Forwarded-For")
	}
}

// chain appends the addresses between the visitor and here: the visitor first,
// then the trusted proxies, the peer last.
func (f *Front) chain(x *Exchange, to []netip.Addr) []netip.Addr {
	if !x.TrustedPeer {
		if !x.Client.IsValid() {
			return nil
		}
		return append(to, x.Client)
	}
	peer, _ := f.peer(x.R.RemoteAddr)
	back := append(to, peer) // from the right, as client walks
	for addr := range fromRight(x.R.Header["X-Forwarded-For"]) {
		back = append(back, addr)
		if !f.trusts(addr) {
			break
		}
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// node is an address as Forwarded spells it (RFC 7239 §6).
func node(addr netip.Addr, name string) string {
	if addr.Is6() {
		return `"[` + name + `]"`
	}
	return name
}

// quoted is a token as it is, anything else as a quoted string; a normalised
// host has nothing in it that would need a backslash.
func quoted(host string) string {
	if strings.ContainsAny(host, ":[]") {
		return `"` + host + `"`
	}
	return host
}

// newPseudonym is what one edge calls itself in Via (RFC 9110 §7.6.3). Edges in
// front of each other have each their own, so that only a request that an edge
// has sent up itself comes with its name. The app alone is told: who learns of
// it can have requests of their own refused, and nothing else.
func newPseudonym() string { return "umbral-" + strings.ToLower(rand.Text()[:13]) }

// viaMember names the protocol that the request came by, and us.
func (f *Front) viaMember(r *http.Request) string {
	switch {
	case r.ProtoMajor == 1 && r.ProtoMinor == 1:
		return f.via11
	case r.ProtoMajor == 2:
		return f.via20
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor) + " " + f.pseudonym
}

// returns reports whether Via names this edge: an upstream leads back to it.
//
//	Via = protocol RWS received-by [ RWS comment ], …
func (f *Front) returns(via []string) bool {
	for _, line := range via {
		for member := range strings.SplitSeq(line, ",") {
			if words := strings.Fields(member); len(words) > 1 && strings.EqualFold(words[1], f.pseudonym) {
				return true
			}
		}
	}
	return false
}
