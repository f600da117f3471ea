package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"umbral/cachepolicy"
)

// FrontOptions sets up a [Front]. The zero value trusts nobody.
type FrontOptions struct {
	// TrustedProxies are the peers whose X-Forwarded-For, X-Forwarded-Proto
	// and X-Request-Id are believed.
	TrustedProxies []netip.Prefix
	// CookieSecure: visitors come by https even where TLS does not end here.
	CookieSecure bool
	// MaxURL bounds the request target, in bytes; 0 means 8 KiB.
	MaxURL int
	// Guard bounds what is read of a request's content.
	Guard GuardOptions
	// Keep lists field names that are passed on although the front door
	// would drop them.
	Keep []string
	// Ambiguous reports whether two programs could read an escaped path
	// differently; nil finds none ambiguous.
	Ambiguous func(path string) bool
	// Forbidden names the fields that a visitor may not send
	// (sessions.Forbidden); nil names none.
	Forbidden func(name string) bool
	// AdminToken is the operator's: who sends it may ask what a trusted proxy
	// may ask of the store (CACHING.md §1). "" is nobody's.
	AdminToken string
}

// Front is the front door: it refuses what Go's defaults let through, drops
// what could change an answer without being in its key, and finds out who is
// at the other end (CACHING.md §9). It is immutable and safe for concurrent
// use.
type Front struct {
	trusted   []netip.Prefix
	secure    bool
	maxURL    int
	guard     GuardOptions
	keep      map[string]bool // canonical names; nil where nothing is kept
	ambiguous func(string) bool
	forbidden func(string) bool
	fates     map[string]fate    // of the fields that everybody sends
	token     *[sha256.Size]byte // the digest of the admin token; nil where there is none

	pseudonym    string // in Via
	via11, via20 string // our member of it, by the protocol
}

// NewFront returns a front door.
func NewFront(o FrontOptions) *Front {
	f := &Front{
		trusted: o.TrustedProxies, secure: o.CookieSecure, maxURL: o.MaxURL,
		guard: o.Guard.withDefaults(), ambiguous: o.Ambiguous, forbidden: o.Forbidden,
	}
	f.pseudonym = newPseudonym()
	f.via11, f.via20 = "1.1 "+f.pseudonym, "2.0 "+f.pseudonym
	if f.maxURL == 0 {
		f.maxURL = 8 << 10
	}
	for _, name := range o.Keep {
		if f.keep == nil {
			f.keep = make(map[string]bool)
		}
		f.keep[http.CanonicalHeaderKey(name)] = true
	}
	if o.AdminToken != "" {
		digest := sha256.Sum256([]byte(o.AdminToken))
		f.token = &digest
	}
	f.fates = make(map[string]fate, len(usualFields))
	for _, name := range usualFields {
		f.fates[name] = f.judgeField(name)
	}
	return f
}

// Admit fills in what the connection and the header section say of x, cleans
// the request's header, and returns nil; or says why the request goes no
// further. x.R is changed in place: Host is normalised (what the key holds is
// what the app sees), and dropped fields are gone. It sets x.ID, Client,
// Secure, TrustedPeer, Ambiguous, Upgrade and x.Ask but for what sessions
// know.
func (f *Front) Admit(x *Exchange) *Refusal {
	r := x.R
	if !x.met {
		x.Client, x.TrustedPeer = f.peer(r.RemoteAddr)
	}
	seen := f.clean(r.Header, x.TrustedPeer)
	if seen&sawConnection != 0 {
		x.Upgrade = connection(r)
	}
	x.ID = f.requestID(r.Header, x.TrustedPeer)
	if x.TrustedPeer {
		x.Client = f.client(r.Header["X-Forwarded-For"], x.Client)
	}
	x.Secure = f.secure || r.TLS != nil
	if x.TrustedPeer && seen&sawForwardedProto != 0 {
		x.Secure = forwardedSecure(r.Header["X-Forwarded-Proto"], x.Secure)
	}
	r.Trailer = nil
	if seen&sawOurselves != 0 {
		return &Refusal{Status: http.StatusLoopDetected, Reason: cachepolicy.Loop}
	}

	if refusal := f.target(r); refusal != nil {
		return refusal
	}
	scheme := "http"
	if x.Secure {
		scheme = "https"
	}
	host, ok := normalHost(r.Host, x.Secure)
	if !ok || seen&sawHost != 0 && !onlyHost(r.Header, r.Host) {
		return refuse(http.StatusBadRequest)
	}
	r.Host = host
	if r.ProtoMajor == 2 && !plainLength(r.Header["Content-Length"]) {
		return refuse(http.StatusBadRequest)
	}
	if r.ContentLength > f.guard.MaxBody {
		return refuse(http.StatusRequestEntityTooLarge)
	}

	path := rawPath(r)
	x.Ambiguous = f.ambiguous != nil && f.ambiguous(path)
	x.Ask.Method, x.Ask.Scheme, x.Ask.Host = r.Method, scheme, host
	x.Ask.Path, x.Ask.Query, x.Ask.Header = path, r.URL.RawQuery, r.Header
	x.Ask.Trusted = x.TrustedPeer || seen&sawToken != 0
	return nil
}

// target judges method and form of the request line. Only the origin form
// (RFC 9112 §3.2.1) comes through: an absolute form could name another host
// than Host does, and nobody behind a gateway is asked by the others.
func (f *Front) target(r *http.Request) *Refusal {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodConnect, http.MethodTrace:
		return &Refusal{Status: http.StatusMethodNotAllowed, Reason: cachepolicy.RequestRefused, Allow: usualMethods}
	}
	uri := r.RequestURI
	if len(uri) > f.maxURL {
		return refuse(http.StatusRequestURITooLong)
	}
	if uri == "" || uri[0] != '/' {
		return refuse(http.StatusBadRequest)
	}
	for i := range len(uri) {
		// A blank, which HTTP/2 lets through, would end the target in the
		// request line that goes up.
		if c := uri[i]; c <= ' ' || c == 0x7f || c == '#' {
			return refuse(http.StatusBadRequest)
		}
	}
	if strings.HasPrefix(uri, "//") && r.URL.EscapedPath() != rawPath(r) {
		return refuse(http.StatusBadRequest) // net/http could not send it on byte for byte
	}
	return nil
}

// plainLength reports whether Content-Length is absent, or one number (RFC 9110
// §8.6): in HTTP/2 net/http looks at the first line alone, and takes what is no
// number for 0.
func plainLength(lines []string) bool {
	if len(lines) == 0 {
		return true
	}
	_, err := strconv.ParseUint(lines[0], 10, 63)
	return err == nil && len(lines) == 1
}

// usualMethods is what every route may be asked with.
const usualMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// AllowMethod judges the method once the route is known: a method beyond the
// usual ones needs a route that names it (501, RFC 9110 §15.6.2: such a
// method is not recognised anywhere else). OPTIONS that may go no further
// ends here (RFC 9110 §7.6.2).
func (f *Front) AllowMethod(x *Exchange) *Refusal {
	switch x.R.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return nil
	case http.MethodOptions:
		return x.hop()
	}
	rule := &x.Route.Rule
	switch {
	case slices.Contains(x.Route.Methods, x.R.Method), strings.HasPrefix(rule.Pattern, x.R.Method+" "):
		return nil
	case rule.Listed() && rule.TTL == cachepolicy.AppTTL:
		return nil // the pure RFC: an unknown method goes through, and invalidates (RFC 9111 §4.4)
	}
	return &Refusal{Status: http.StatusNotImplemented, Reason: cachepolicy.RequestRefused, Allow: usualMethods}
}

// hop counts down Max-Forwards.
func (x *Exchange) hop() *Refusal {
	lines := x.R.Header["Max-Forwards"]
	if len(lines) == 0 {
		return nil
	}
	n, err := strconv.ParseUint(lines[0], 10, 31)
	switch {
	case err != nil || len(lines) > 1:
		return refuse(http.StatusBadRequest)
	case n == 0:
		return &Refusal{Status: http.StatusNoContent, Reason: cachepolicy.EdgeAnswer, Allow: usualMethods}
	}
	x.R.Header["Max-Forwards"] = []string{strconv.FormatUint(n-1, 10)}
	return nil
}

// rawPath is the path as it came, byte for byte.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// peer is who holds the other end of the connection, the zero Addr where that
// is no IP (a unix socket), and whether that peer is a trusted proxy.
func (f *Front) peer(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, false
	}
	addr := ap.Addr().Unmap().WithZone("")
	return addr, f.trusts(addr)
}

func (f *Front) trusts(addr netip.Addr) bool {
	for _, p := range f.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// client walks X-Forwarded-For from the right, for as long as each address is
// a trusted proxy's: what stands left of the first that is not was written by
// a stranger.
func (f *Front) client(lines []string, peer netip.Addr) netip.Addr {
	client := peer
	for addr := range fromRight(lines) {
		client = addr
		if !f.trusts(addr) {
			break
		}
	}
	return client
}

// fromRight yields the addresses of X-Forwarded-For from the last to the
// first, and ends at what is none.
func fromRight(lines []string) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for i := len(lines) - 1; i >= 0; i-- {
			for rest, more := lines[i], true; more; {
				last := rest
				if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
					rest, last = rest[:comma], rest[comma+1:]
				} else {
					more = false
				}
				addr, ok := forwardedAddr(last)
				if !ok || !yield(addr) {
					return
				}
			}
		}
	}
}

// forwardedAddr reads one member of X-Forwarded-For: an IP address, and some
// proxies add the port.
func forwardedAddr(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = ap.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// forwardedSecure reads a trusted proxy's X-Forwarded-Proto: one field, one
// value, else it is no word at all.
func forwardedSecure(lines []string, otherwise bool) bool {
	if len(lines) != 1 {
		return otherwise
	}
	switch {
	case strings.EqualFold(lines[0], "https"), strings.EqualFold(lines[0], "wss"):
		return true
	case strings.EqualFold(lines[0], "http"), strings.EqualFold(lines[0], "ws"):
		return false
	}
	return otherwise
}

// requestID keeps a trusted peer's X-Request-Id where it is sane, else makes
// one.
func (f *Front) requestID(h http.Header, trusted bool) string {
	if trusted {
		if lines := h["X-Request-Id"]; len(lines) == 1 && saneID(lines[0]) {
			return lines[0]
		}
	}
	return newID()
}

// newID makes an X-Request-Id. The number only has to be unlike others, so it
// costs no system call.
func newID() string {
	var raw [16]byte
	for i, n := 0, rand.Uint64(); i < 8; i++ {
		raw[i] = byte(n >> (8 * i))
	}
	for i, n := 0, rand.Uint64(); i < 8; i++ {
		raw[8+i] = byte(n >> (8 * i))
	}
	var text [32]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

func saneID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && strings.IndexByte("-_.:/+=@", c) < 0 {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
