package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// csrfHeader must come with every change that the dashboard's cookie makes. A
// page of another origin cannot send it without a preflight, which nobody
// here answers.
const csrfHeader = "Umbral-Csrf"

// caller is who makes a call, for the audit log.
type caller struct {
	// who is "token" or "dashboard".
	who string
	// from is the address of the connection.
	from string
	// agent is the User-Agent, cut short.
	agent string
	// done is closed when the dashboard's session is ended, and until is when
	// it ends by itself; nil and zero for the token.
	done  <-chan struct{}
	until time.Time
}

var errNoToken = &Problem{
	Status:  http.StatusForbidden,
	Setting: "ADMIN_TOKEN",
	Detail:  "ADMIN_TOKEN is not set: the admin API refuses everything but /healthz and /readyz (umbral secret prints a good one)",
}

var errHost = &Problem{
	Status:  http.StatusMisdirectedRequest,
	Setting: "ADMIN_LISTEN",
	Detail:  "the dashboard is reached by localhost, by IP address, or by the host named in ADMIN_LISTEN",
}

func unauthorized(detail string) *Problem {
	return &Problem{Status: http.StatusUnauthorized, Setting: "ADMIN_TOKEN", Detail: detail, challenge: `Bearer realm="umbral admin"`}
}

// admit says who makes the request, or why it may not be made. The token
// counts before the cookie: a wrong token is refused though the cookie is
// good.
func (a *API) admit(r *http.Request) (caller, error) {
	by := caller{who: "token", from: r.RemoteAddr, agent: clip(r.UserAgent(), 120)}
	if a.Token == "" {
		return by, errNoToken
	}
	switch fields := r.Header.Values("Authorization"); len(fields) {
	case 0:
	case 1:
		scheme, token, _ := strings.Cut(fields[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return by, unauthorized("the admin API takes Authorization: Bearer TOKEN")
		}
		return by, a.checkToken(r, strings.Trim(token, " "))
	default:
		return by, unauthorized("several Authorization fields")
	}
	s, ok := a.desk.find(r, a.cookieName(), a.Now())
	if !ok {
		return by, unauthorized("this call needs Authorization: Bearer TOKEN")
	}
	by.who, by.done, by.until = "dashboard", s.done, s.until
	if err := a.sameOrigin(r); err != nil {
		return by, err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(csrfHeader) == "" {
		return by, &Problem{Status: http.StatusForbidden, Detail: "a change with the dashboard's cookie needs the field " + csrfHeader}
	}
	return by, nil
}

// checkToken compares in constant time, counts wrong tokens, and logs each
// that counts, without the token.
func (a *API) checkToken(r *http.Request, token string) error {
	good, fresh, wait := a.gate.try(addressOf(r), token, a.Now())
	if good {
		return nil
	}
	if fresh {
		a.Log.Warn("admin: wrong token", zap.String("from", r.RemoteAddr), zap.String("method", r.Method), zap.String("path", r.URL.Path))
	}
	if wait > 0 {
		return &Problem{Status: http.StatusTooManyRequests, Detail: "too many wrong tokens from this address", retry: wait}
	}
	return unauthorized("the token is wrong")
}

// sameOrigin refuses what a page of another origin caused: another port of
// localhost is the same site, so SameSite=Strict alone does not. It refuses a
// Host by which only DNS rebinding would get here.
func (a *API) sameOrigin(r *http.Request) error {
	if !a.knownHost(r.Host) {
		return errHost
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	foreign := &Problem{Status: http.StatusForbidden, Detail: "the request comes from a page of another origin, or does not say from where"}
	site := r.Header.Values("Sec-Fetch-Site")
	origin := r.Header.Values("Origin")
	if len(site) > 1 || len(origin) > 1 {
		return foreign
	}
	if len(site) == 1 && site[0] != "same-origin" && (!safe || site[0] != "none") {
		return foreign
	}
	if len(origin) == 1 && origin[0] != "http://"+r.Host && origin[0] != "https://"+r.Host {
		return foreign
	}
	if !safe && len(site) == 0 && len(origin) == 0 {
		return foreign
	}
	return nil
}

// knownHost reports whether a browser may reach the dashboard by this Host.
func (a *API) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, known := range a.Hosts {
		if strings.EqualFold(known, host) {
			return true
		}
	}
	return false
}

// Ten different wrong tokens a minute from one address; the same wrong token
// again is a job with an old setting, no guess, and locks nobody out.
const (
	maxGuesses   = 10
	guessWindow  = time.Minute
	maxAddresses = 4096
)

// gate knows the token by its digest and counts the guesses at it.
type gate struct {
	salt  [32]byte
	token [32]byte

	mu      sync.Mutex
	guesses map[netip.Prefix]*guesses
	swept   time.Time
}

type guesses struct {
	since time.Time
	wrong map[[32]byte]struct{}
}

func newGate(token string) *gate {
	g := &gate{guesses: map[netip.Prefix]*guesses{}}
	rand.Read(g.salt[:])
	g.token = g.digest(token)
	return g
}

// digest makes tokens of any length comparable in constant time.
func (g *gate) digest(token string) [32]byte {
	return sha256.Sum256(append(g.salt[:], token...))
}

// try judges a token from an address. fresh: it is a wrong one not seen in
// this window. wait > 0: the address has used up its guesses, and the token,
// even if it is right, was not looked at.
func (g *gate) try(from netip.Prefix, token string, now time.Time) (good, fresh bool, wait time.Duration) {
	d := g.digest(token)
	right := subtle.ConstantTimeCompare(d[:], g.token[:]) == 1
	g.mu.Lock()
	defer g.mu.Unlock()
	from = g.slot(from, now)
	at := g.guesses[from]
	if at != nil && now.Sub(at.since) >= guessWindow {
		delete(g.guesses, from)
		at = nil
	}
	if at != nil && len(at.wrong) >= maxGuesses {
		if _, again := at.wrong[d]; !again {
			return false, false, at.since.Add(guessWindow).Sub(now)
		}
		return false, false, 0
	}
	if right {
		return true, false, 0
	}
	if at == nil {
		at = &guesses{since: now, wrong: map[[32]byte]struct{}{}}
		g.guesses[from] = at
	}
	_, again := at.wrong[d]
	at.wrong[d] = struct{}{}
	return false, !again, 0
}

// slot keeps the guesses in bounded memory: past maxAddresses everybody new
// shares one count. What is over is dropped then, once a window.
func (g *gate) slot(from netip.Prefix, now time.Time) netip.Prefix {
	if _, known := g.guesses[from]; known || len(g.guesses) < maxAddresses {
		return from
	}
	if now.Sub(g.swept) >= guessWindow {
		g.swept = now
		for p, at := range g.guesses {
			if now.Sub(at.since) >= guessWindow {
				delete(g.guesses, p)
			}
		}
		if len(g.guesses) < maxAddresses {
			return from
		}
	}
	return netip.Prefix{}
}

// addressOf is what guesses are counted by: an IPv4 address, an IPv6 /64.
func addressOf(r *http.Request) netip.Prefix {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// clip cuts s to n bytes and drops what is no printable ASCII.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), n)]
}
