package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"umbral/proxy/store/storetest"
)

// identitySpellings are names under which a visitor could try to be somebody.
var identitySpellings = []string{
	"X-Edge-User", "x-edge-user", "X-EDGE-USER", "X_Edge_User", "X-Edge_User", "X_EDGE_USER", "X.Edge.User", "X~Edge~User",
	"X!edge!user", "X-Edge-Auth", "X_Edge_Auth", "X-Edge-Session", "X-Edge-Identity", "X-Edge-Anything", "X-Edge-Session-User",
	"X-Edge-Session-Logout", "X-Edge-Session-Set", "Remote-User", "REMOTE_USER", "X-Remote-User", "X_Remote_User",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Authenticated-User", "Proxy",
	"Client-Cert-Chain", "Iv-User", "Sm-User", "X-Consumer-Username", "X-Pomerium-Jwt-Assertion", "Ssl-Client-S-Dn", "X-Ssl-Client-Cert", "Cookie_", "Any_Thing", "Any.Thing",
}

// SESSIONS.md §9, point 9: whatever a visitor calls themselves, the app sees
// exactly what the edge says.
func TestIdentityHeadersAreTheEdgesAlone(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	cert, key := siteCertificate(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "COOKIE_SECURE=true", "TLS_CERT="+cert, "TLS_KEY="+key)
	e.URL = strings.Replace(e.URL, "http:", "https:", 1)
	dial := func(h2 bool) *http.Client {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2}
		if !h2 {
			tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: patience}
	}
	ask := func(c *http.Client, method, path string, header http.Header, body string) answer {
		t.Helper()
		r, err := http.NewRequest(method, e.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = site
		for name, values := range header {
			r.Header[name] = values
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got json.RawMessage
		_ = json.NewDecoder(resp.Body).Decode(&got)
		return answer{resp, string(got)}
	}
	h1, h2 := dial(false), dial(true)
	a := ask(h2, "POST", "/login?user=ana", http.Header{"Origin": {"https://" + site}}, "")
	if a.ProtoMajor != 2 || len(a.setCookies()) != 1 {
		t.Fatalf("HTTP/%d %v", a.ProtoMajor, a.setCookies())
	}
	cookie, _, _ := strings.Cut(a.setCookies()[0], ";")

	check := func(what string, a answer, signedIn bool) {
		t.Helper()
		if a.StatusCode == 400 {
			return
		}
		got := a.said(t)
		if strings.Contains(fmt.Sprint(got.Header, got.Trailer, got.Cookie), "forged") {
			t.Errorf("%s: the app saw %v", what, got.Header)
		}
		want := map[string]int{"X-Edge-Auth": 1, "X-Edge-User": 0, "X-Edge-Session": 0, "X-Edge-Identity": 0}
		if signedIn {
			want = map[string]int{"X-Edge-Auth": 1, "X-Edge-User": 1, "X-Edge-Session": 1, "X-Edge-Identity": 1}
		}
		for name, n := range want {
			if len(got.Header[name]) != n {
				t.Errorf("%s: %s %v", what, name, got.Header[name])
			}
		}
		if auth := got.field("X-Edge-Auth"); auth != "anonymous" && !signedIn || signedIn && (auth != "user" || got.field("X-Edge-User") != "ana") {
			t.Errorf("%s: %v", what, got.Header)
		}
	}
	for _, signedIn := range []bool{false, true} {
		for proto, c := range map[string]*http.Client{"1.1": h1, "2": h2} {
			header := func() http.Header {
				h := http.Header{}
				if signedIn {
					h["Cookie"] = []string{cookie}
				}
				return h
			}
			all := header()
			for _, name := range identitySpellings {
				one := header()
				one[name] = []string{"forged", "forged, twice"}
				all[name] = []string{"forged"}
				if proto == "1.1" {
					one["Connection"] = []string{"X-Edge-User, X-Edge-Auth, " + name}
				}
				check(proto+" "+name, ask(c, "GET", "/", one, ""), signedIn)
			}
			check(proto+" all at once", ask(c, "GET", "/x", all, ""), signedIn)
			check(proto+" all on POST", ask(c, "POST", "/x", all, "body"), signedIn)
			for _, path := range []string{"/mine/" + proto, "/mine/" + proto} { // miss and hit
				check(proto+" "+path, ask(c, "GET", path, all, ""), signedIn)
			}
		}
	}

	// Trailers, on the wire as they are.
	conn, err := tls.Dial("tcp", strings.TrimPrefix(e.URL, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\nTrailer: X-Edge-User, Cookie\r\n"+
		"Connection: X-Edge-Auth, X-Edge-User, Cookie\r\nX-Edge-User: forged\r\n\r\n4\r\nbody\r\n0\r\nX-Edge-User: forged\r\nCookie: a=forged\r\n\r\n", site)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body json.RawMessage
	_ = json.NewDecoder(resp.Body).Decode(&body)
	check("trailers", answer{resp, string(body)}, false)
}

// SESSIONS.md §9, point 9: control headers from where they may not come are
// ignored, and no visitor ever sees one.
func TestControlHeadersAreObeyedWhereAllowedAndNeverSeen(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	routes := strings.Replace(sessionRoutes, "source: header", "source: none", 1)
	e := startEdge(t, app.URL, redisURL(redis), routes)
	c := e.browser()
	if a := c.post("/control/login?user=ana", nil); len(a.setCookies()) != 1 {
		t.Fatalf("sign-in: %v", a.setCookies())
	}
	before := c.token()
	user := func() string { return c.get("/").said(t).field("X-Edge-User") }
	if user() != "ana" {
		t.Fatalf("signed in as %q", user())
	}
	controls := []string{
		"X-Edge-Session-User:mallory", "X-Edge-Session-User:anonymous", "X-Edge-Session-Logout:all", "X-Edge-Session-Logout:current",
		`X-Edge-Session-Set:a="forged"`, "x-edge-session-user:mallory", "X_Edge_Session_User:mallory", "X-Edge-Other:forged",
	}
	seen := func(what string, h http.Header) {
		t.Helper()
		for name := range h {
			if folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name)); strings.HasPrefix(folded, "x-edge-") {
				t.Errorf("%s: the visitor saw %s", what, name)
			}
		}
		for _, line := range h.Values("Set-Cookie") {
			if !strings.HasPrefix(line, "umbral=") {
				t.Errorf("%s: the visitor got %q", what, line)
			}
		}
	}
	for _, control := range controls {
		for _, path := range []string{"/", "/public/", "/mine/", "/tab/", "/control/../"} { // none of them control: on
			path = fmt.Sprintf("%sx?h=%s", path, url.QueryEscape(control))
			for range 2 { // miss and hit
				a := c.get(path)
				seen(path, a.Header)
				seen(path+" trailer", a.Trailer)
			}
			if a, err := c.do("POST", path, "x"); err == nil {
				seen("POST "+path, a.Header)
			}
		}
		name, value, _ := strings.Cut(control, ":")
		if a := c.get("/control/", name+": "+value); strings.Contains(a.Body, "forged") || strings.Contains(a.Body, "mallory") {
			t.Errorf("a visitor's own %s went up: %s", control, a.Body)
		}
	}
	if user() != "ana" || c.token() != before {
		t.Errorf("after control headers from everywhere else: %q, rotated %v", user(), c.token() != before)
	}

	// Where it is allowed: obeyed, and as invisible.
	for _, query := range []string{
		"h=X-Edge-Session-Set:role%3D%22editor%22", "h=X-Edge-Session-User:ana", "h=X-Edge-Session-Logout:others",
		"h=X-Edge-Session-Logout:nonsense", "h=X-Edge-Session-User:b%C3%A1d", "h=X-Edge-Session-Set:%22", "h=X-Edge-Session-User:a&h=X-Edge-Session-User:b",
		"h=X-Edge-Session-Set:big%3D%22" + strings.Repeat("x", 1100) + "%22", "h=X-Edge-Session-User:" + strings.Repeat("u", 300),
	} {
		for _, path := range []string{"/control/", "/control-mine/x"} {
			for range 2 {
				a := c.get(path + "?" + query)
				if a.StatusCode != 200 {
					t.Errorf("%s?%.60s: %d", path, query, a.StatusCode)
				}
				seen(path+"?"+query, a.Header)
			}
		}
	}
	if user() != "ana" {
		t.Errorf("after broken control headers: %q", user())
	}
	// What the app keeps with the session comes back in the token.
	if claims := claimsOf(t, c.get("/").said(t).field("X-Edge-Identity")); fmt.Sprint(claims["data"]) != "map[role:editor]" {
		t.Errorf("the session's data: %v", claims)
	}
	c.get("/control/?h=X-Edge-Session-Set:role%3D%3F0")
	if claims := claimsOf(t, c.get("/").said(t).field("X-Edge-Identity")); claims["data"] != nil {
		t.Errorf("the forgotten datum: %v", claims)
	}
	if c.post("/control/?h=X-Edge-Session-User:luis", nil); user() != "luis" {
		t.Errorf("a user switch: %q", user())
	}
	if c.post("/control/?h=X-Edge-Session-User:anonymous", nil); user() != "" {
		t.Errorf("signed out by the app: %q", user())
	}
}

// The app's interim answers and trailers show a visitor nothing of ours, and
// none of the app's cookies.
func TestInterimAnswersAndTrailersCarryNothingOfSessions(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for in := bufio.NewReader(conn); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					fmt.Fprint(conn, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nSet-Cookie: sessionid=early\r\nX-Edge-Session-User: early\r\n\r\n")
					if r.URL.Path == "/sse" {
						fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie, X-Edge-Session-User, X-Other\r\n\r\n"+
							"2\r\nok\r\n0\r\nSet-Cookie: sessionid=late\r\nX-Edge-Session-User: late\r\nX-Other: x\r\n\r\n")
						continue
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}()
		}
	}()
	e := startEdge(t, "http://"+l.Addr().String(), redisURL(storetest.StartRedis(t)), sessionRoutes)
	for _, path := range []string{"/", "/sse", "/public/x", "/mine/x"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nTE: trailers\r\nConnection: close\r\n\r\n", path, site)
		var all strings.Builder
		_, _ = bufio.NewReader(conn).WriteTo(&all)
		for _, forbidden := range []string{"sessionid", "early", "late", "X-Edge", "x-edge"} {
			if strings.Contains(all.String(), forbidden) {
				t.Errorf("%s: the visitor saw %q in\n%s", path, forbidden, all.String())
			}
		}
	}
}

// SESSIONS.md §9, point 10.
func TestIdentityTokens(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	audience, _ := url.Parse(app.URL)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	c := e.browser()
	c.login("ana")
	said := c.get("/").said(t)
	token := said.field("X-Edge-Identity")

	resp, err := http.Get(e.Admin + "/v1/jwks") // no token needed
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("jwks: %v", err)
	}
	defer resp.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&keys); err != nil || len(keys.Keys) != 1 || !keys.Keys[0].IsPublic() {
		t.Fatalf("jwks: %v %d keys", err, len(keys.Keys))
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := parsed.Verify(keys.Key(parsed.Signatures[0].Header.KeyID)[0])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Iss, Aud, Sub, Sid string
		Iat, Exp           int64
	}
	_ = json.Unmarshal(payload, &claims)
	if claims.Iss != "umbral" || claims.Aud != audience.Host || claims.Sub != "ana" || claims.Sid != said.field("X-Edge-Session") || claims.Exp-claims.Iat != 60 {
		t.Errorf("claims %+v, want aud %s", claims, audience.Host)
	}
	if now := time.Now().Unix(); claims.Iat > now || claims.Exp <= now {
		t.Errorf("not valid now: %+v", claims)
	}

	other := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "EDGE_SECRETS=another-secret-of-more-than-32-bytes-length", "CACHE_KEY_PREFIX=other")
	var foreign jose.JSONWebKeySet
	_ = json.Unmarshal([]byte(other.adminText("/v1/jwks")), &foreign)
	if _, err := parsed.Verify(foreign.Keys[0]); err == nil {
		t.Error("another edge's key verifies")
	}
	parts := strings.Split(token, ".")
	none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + "."
	if _, err := jose.ParseSignedCompact(none, []jose.SignatureAlgorithm{jose.EdDSA}); err == nil {
		t.Error("alg none parses")
	}
	if e.visitor().get("/").said(t).field("X-Edge-Identity") != "" {
		t.Error("an anonymous request carries a token")
	}
	if again := c.get("/x").said(t).field("X-Edge-Identity"); again == "" {
		t.Error("the next request has none")
	}

	named := startEdge(t, app.URL, redisURL(redis), strings.Replace(sessionRoutes, "{source: header}", "{source: header, jwt: {alg: HS256, ttl: 10s, audience: certificates}}", 1), "CACHE_KEY_PREFIX=named")
	c = named.browser()
	c.login("ana")
	text := c.get("/").said(t).field("X-Edge-Identity")
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatalf("HS256: %v", err)
	}
	cmd := exec.Command(binary, "secret", "--jwt-key")
	cmd.Env = []string{"EDGE_SECRETS=" + edgeSecret}
	out, err := cmd.Output()
	shared, _ := base64.RawURLEncoding.DecodeString(strings.TrimSpace(string(out)))
	if _, verify := signed.Verify(shared); err != nil || verify != nil {
		t.Errorf("HS256 under the key that the command prints: %v %v", err, verify)
	}
	if _, err := signed.Verify([]byte(edgeSecret)); err == nil {
		t.Error("HS256 is signed with the secret itself")
	}
	got := claimsOf(t, text)
	if got["aud"] != "certificates" || got["exp"].(float64)-got["iat"].(float64) != 10 {
		t.Errorf("claims %v", got)
	}
	if keys := named.adminText("/v1/jwks"); strings.TrimSpace(keys) != `{"keys":[]}` {
		t.Errorf("with HS256 the public keys are %s", keys)
	}
}

// claimsOf are the claims of a JWT, unverified.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	claims := map[string]any{}
	if raw, err := base64.RawURLEncoding.DecodeString(parts[1]); err != nil || json.Unmarshal(raw, &claims) != nil {
		t.Fatalf("no claims: %q", token)
	}
	return claims
}

// siteCertificate writes a certificate for the site and its key.
func siteCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{site}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := x509.MarshalECPrivateKey(k)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
