package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	bits "encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// h2Certificate writes a pair for 127.0.0.1 and returns the settings for it.
func h2Certificate(t *testing.T) []string {
	t.Helper()
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return []string{
		"TLS_CERT=" + write("cert.pem", "CERTIFICATE", pair.Certificate[0]), "TLS_KEY=" + write("key.pem", "PRIVATE KEY", key), "COOKIE_SECURE=true",
	}
}

// Frame types and flags of RFC 9113 §6.
const (
	h2Data, h2Headers, h2Reset, h2Settings, h2GoAway, h2Continuation = 0x0, 0x1, 0x3, 0x4, 0x7, 0x9
	h2EndStream, h2EndHeaders                                        = 0x1, 0x4
)

// h2conn speaks HTTP/2 frame by frame.
type h2conn struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dialH2(t *testing.T, e *edge) *h2conn {
	t.Helper()
	raw, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := c.Handshake(); err != nil || c.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatalf("no h2: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	h := &h2conn{Conn: c, t: t, in: bufio.NewReader(c)}
	_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	h.frame(h2Settings, 0, 0, nil)
	return h
}

func (c *h2conn) frame(kind, flags byte, stream uint32, payload []byte) bool {
	head := bits.BigEndian.AppendUint32([]byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}, stream)
	_, err := c.Write(append(head, payload...))
	return err == nil
}

// h2Fields is a header block of literals without indexing (RFC 7541 §6.2.2).
func h2Fields(pairs ...string) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, 0)
		for _, s := range pairs[i : i+2] {
			b = append(hpackInt(b, 7, 0, len(s)), s...)
		}
	}
	return b
}

func hpackInt(b []byte, prefix uint, first byte, n int) []byte {
	most := 1<<prefix - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n&127|128))
	}
	return append(b, byte(n))
}

// outcome reads until the stream has ended: with content, by a reset, or with
// the connection.
func (c *h2conn) outcome(stream uint32) (content string, reset bool) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return content, true
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c.in, payload); err != nil {
			return content, true
		}
		on := bits.BigEndian.Uint32(head[5:]) & (1<<31 - 1)
		switch {
		case head[3] == h2GoAway && bits.BigEndian.Uint32(payload[4:8]) != 0:
			return content, true
		case on != stream:
		case head[3] == h2Reset:
			return content, content == ""
		case head[3] == h2Data:
			content += string(payload)
		}
		if on == stream && (head[3] == h2Data || head[3] == h2Headers) && head[4]&h2EndStream != 0 {
			return content, false
		}
	}
}

// A request that HTTP/1.1 could not carry as it is gets no further (RFC 9113
// §8.2, §10.3; Kettle 2021, "HTTP/2: The Sequel is Always Worse").
func TestHostileHTTP2Requests(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "app: %s %s %s %v [%s] %v", r.Method, r.Host, r.RequestURI, r.Header, body, r.Trailer)
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, h2Certificate(t)...)
	get := func(more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", "/off/a"}, more...)
	}
	post := func(more ...string) []string {
		return append([]string{":method", "POST", ":scheme", "https", ":authority", "site.test", ":path", "/off/a"}, more...)
	}
	for _, tt := range []struct {
		name    string
		head    []string
		content string   // of one DATA frame, where it is not ""
		trailer []string // of a second HEADERS frame
		passes  string   // what the app's answer holds; "": the app is not asked
	}{
		{"plain", get(), "", nil, "app: GET site.test /off/a"},
		{"with content", post("content-length", "3"), "abc", nil, "[abc]"},
		{"CR LF in a value", get("x", "a\r\nx-evil: 1"), "", nil, ""},
		{"LF in a value", get("x", "a\nx-evil: 1"), "", nil, ""},
		{"CR in a value", get("x", "a\rx-evil: 1"), "", nil, ""},
		{"NUL in a value", get("x", "a\x00b"), "", nil, ""},
		{"CR LF in a name", get("x: a\r\nx-evil", "1"), "", nil, ""},
		{"colon in a name", get("x:y", "1"), "", nil, ""},
		{"blank in a name", get("x y", "1"), "", nil, ""},
		{"upper case in a name", get("X-Evil", "1"), "", nil, ""},
		{"empty name", get("", "1"), "", nil, ""},
		{"CR LF in :path", get()[:6:6], "", nil, ""},
		{"transfer-encoding", post("transfer-encoding", "chunked"), "0\r\n\r\n" + smuggled, nil, ""},
		{"connection", get("connection", "x-forwarded-for"), "", nil, ""},
		{"keep-alive", get("keep-alive", "timeout=5"), "", nil, ""},
		{"proxy-connection", get("proxy-connection", "close"), "", nil, ""},
		{"upgrade", get("upgrade", "websocket"), "", nil, ""},
		{"te: chunked", get("te", "chunked"), "", nil, ""},
		{"te: trailers", get("te", "trailers"), "", nil, "app: GET"},
		{"content-length too large", post("content-length", "9"), "abc", nil, ""},
		{"content-length too small", post("content-length", "1"), "abc", nil, ""},
		{"content-length 0 with content", post("content-length", "0"), smuggled, nil, ""},
		{"content-lengths that differ", post("content-length", "3", "content-length", "4"), "abc", nil, ""},
		{"content-length empty", post("content-length", ""), "abc", nil, ""},
		{"content-length that is none", post("content-length", "3a"), "abc", nil, ""},
		{"content-length with sign", post("content-length", "+3"), "abc", nil, ""},
		{":authority beside another host", get("host", "evil.test"), "", nil, ""},
		{":authority beside two hosts", get("host", "site.test", "host", "site.test"), "", nil, ""},
		{":authority beside the same host", get("host", "site.test"), "", nil, "app: GET site.test"},
		{"host alone", []string{":method", "GET", ":scheme", "https", ":path", "/off/a", "host", "site.test"}, "", nil, "app: GET site.test"},
		{"no host at all", []string{":method", "GET", ":scheme", "https", ":path", "/off/a"}, "", nil, ""},
		{":authority with user-info", []string{":method", "GET", ":scheme", "https", ":authority", "me@site.test", ":path", "/off/a"}, "", nil, ""},
		{":authority with a path", []string{":method", "GET", ":scheme", "https", ":authority", "site.test/evil", ":path", "/off/a"}, "", nil, ""},
		{":authority with CR LF", []string{":method", "GET", ":scheme", "https", ":authority", "site.test\r\nx: y", ":path", "/off/a"}, "", nil, ""},
		{"two :path", get(":path", "/off/b"), "", nil, ""},
		{"two :method", get(":method", "POST"), "", nil, ""},
		{":path behind a field", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", "x", "y", ":path", "/off/a"}, "", nil, ""},
		{"an unknown pseudo-field", get(":evil", "1"), "", nil, ""},
		{":status", get(":status", "200"), "", nil, ""},
		{":protocol without being asked", []string{":method", "CONNECT", ":scheme", "https", ":authority", "site.test", ":path", "/off/a", ":protocol", "websocket"}, "", nil, ""},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "evil.test:443"}, "", nil, ""},
		{"empty :path", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", ""}, "", nil, ""},
		{":path without slash", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", "off/a"}, "", nil, ""},
		{":path with a host", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", "http://evil.test/"}, "", nil, ""},
		{":path *", []string{":method", "OPTIONS", ":scheme", "https", ":authority", "site.test", ":path", "*"}, "", nil, ""},
		{":path with a request line", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", "/off/a HTTP/1.1\r\nHost: evil\r\n\r\n"}, "", nil, ""},
		{":path with a blank", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", "/evil HTTP/1.1 /off/a"}, "", nil, ""},
		{":path with a blank in the query", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", "/off/a?x HTTP/1.1"}, "", nil, ""},
		{":path with a tab", []string{":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", "/off/\ta"}, "", nil, ""},
		{":method with a request line", []string{":method", "GET /evil HTTP/1.1\r\nx: ", ":scheme", "https", ":authority", "site.test", ":path", "/off/a"}, "", nil, ""},
		{":method with a blank", []string{":method", "GET /evil", ":scheme", "https", ":authority", "site.test", ":path", "/app/a"}, "", nil, ""},
		{":scheme of our making", []string{":method", "GET", ":scheme", "https://evil.test/?", ":authority", "site.test", ":path", "/off/a"}, "", nil, ""},
		{"identity, however spelled", get("x-edge-user", "evil", "x_edge_user", "evil", "x.edge.user", "evil", "x-edge_user", "evil", "remote-user", "evil"), "", nil, "app: GET"},
		{"forwarding fields", get("x-forwarded-host", "evil", "forwarded", "host=evil", "x-original-url", "/evil"), "", nil, "app: GET"},
		{"trailers", post(), "abc", []string{"x-edge-user", "evil", "content-length", "9", "x-forwarded-host", "evil"}, "[abc]"},
		{"a pseudo-field in trailers", post(), "abc", []string{":path", "/evil"}, ""},
		{"crumbs of a cookie", get("cookie", "umbral=evil", "cookie", "b=evil; __Host-umbral=evil"), "", nil, "app: GET"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "CR LF in :path" {
				tt.head = append(tt.head, ":path", "/off/a\r\nx-evil: 1")
			}
			app.takeTargets()
			c := dialH2(t, e)
			flags := byte(h2EndHeaders)
			if tt.content == "" {
				flags |= h2EndStream
			}
			c.frame(h2Headers, flags, 1, h2Fields(tt.head...))
			if tt.content != "" {
				last := byte(h2EndStream)
				if tt.trailer != nil {
					last = 0
				}
				c.frame(h2Data, last, 1, []byte(tt.content))
			}
			if tt.trailer != nil {
				c.frame(h2Headers, h2EndStream|h2EndHeaders, 1, h2Fields(tt.trailer...))
			}
			content, reset := c.outcome(1)
			if tt.passes == "" {
				if tt.name == "content-length 0 with content" && strings.Contains(content, " [] ") {
					return // it was whole before its content came, none of which went up
				}
				if strings.Contains(content, "app:") {
					t.Errorf("the app answered %q", content)
				}
				if !reset && !strings.HasPrefix(content, "4") && !strings.HasPrefix(content, "request header") && !strings.HasPrefix(content, "501") && !strings.HasPrefix(content, "502") {
					t.Errorf("content %q", content)
				}
				return
			}
			if reset || !strings.Contains(content, tt.passes) || strings.Contains(content, "evil") || strings.Contains(content, "Te:") {
				t.Errorf("reset %v, %q", reset, content)
			}
		})
	}
}

// Floods end their connection and nobody else's (CVE-2023-44487,
// CVE-2023-45288, CVE-2016-6581).
func TestHostileHTTP2Floods(t *testing.T) {
	redis := storetest.StartRedis(t)
	var inside, most atomic.Int64
	release := make(chan struct{})
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/off/held") {
			n := inside.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			select {
			case <-release:
			case <-r.Context().Done():
			}
			inside.Add(-1)
		}
		fmt.Fprint(w, "app")
	})
	t.Cleanup(func() { close(release) })
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, h2Certificate(t)...)
	head := func(path string) []byte {
		return h2Fields(":method", "GET", ":scheme", "https", ":authority", "site.test", ":path", path)
	}
	well := func(when string) {
		t.Helper()
		c := dialH2(t, e)
		c.frame(h2Headers, h2EndStream|h2EndHeaders, 1, head("/off/well"))
		if content, reset := c.outcome(1); reset || content != "app" {
			t.Errorf("%s another visitor got %q", when, content)
		}
	}

	t.Run("rapid reset", func(t *testing.T) {
		c := dialH2(t, e)
		for i := range uint32(3000) {
			if !c.frame(h2Headers, h2EndStream|h2EndHeaders, 2*i+1, head("/off/held")) || !c.frame(h2Reset, 0, 2*i+1, []byte{0, 0, 0, 8}) {
				break // the edge has had enough
			}
		}
		well("after rapid resets")
		if n := most.Load(); n > 128 {
			t.Errorf("%d requests were with the app at once", n)
		}
	})
	t.Run("more streams than allowed", func(t *testing.T) {
		most.Store(inside.Load())
		c := dialH2(t, e)
		for i := range uint32(400) {
			c.frame(h2Headers, h2EndStream|h2EndHeaders, 2*i+1, head("/off/held"))
		}
		if _, reset := c.outcome(799); !reset {
			t.Error("400 streams at once were taken")
		}
		well("after many streams")
	})
	t.Run("continuation", func(t *testing.T) {
		c := dialH2(t, e)
		c.frame(h2Headers, h2EndStream, 1, head("/off/well"))
		sent := 0
		for block := h2Fields("x", strings.Repeat("y", 16000)); sent < 64<<20 && c.frame(h2Continuation, 0, 1, block); sent += len(block) {
		}
		if sent >= 64<<20 {
			t.Error("64 MiB of CONTINUATION were taken")
		}
		well("after CONTINUATION")
	})
	t.Run("empty continuation", func(t *testing.T) {
		c := dialH2(t, e)
		c.frame(h2Headers, h2EndStream, 1, head("/off/well"))
		for n := 0; n < 20_000 && c.frame(h2Continuation, 0, 1, nil); n++ {
		}
		c.Close()
		well("after empty CONTINUATION")
	})
	t.Run("a bomb of table references", func(t *testing.T) {
		app.takeTargets()
		c := dialH2(t, e)
		block := head("/off/bomb")
		block = append(block, 0x40, 1, 'x') // literal with incremental indexing
		block = append(hpackInt(block, 7, 0, 3000), strings.Repeat("y", 3000)...)
		for len(block) < 15000 {
			block = append(block, 0x80|62) // the newest entry of the table
		}
		c.frame(h2Headers, h2EndStream|h2EndHeaders, 1, block)
		if content, reset := c.outcome(1); !reset && !strings.Contains(content, "431") && !strings.Contains(content, "large") {
			t.Errorf("%q", content)
		}
		if asked := app.askedFor("/off/bomb"); len(asked) > 0 {
			t.Error("36 MB of header went up")
		}
		well("after the bomb")
	})
}
