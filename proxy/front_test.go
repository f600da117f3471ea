package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"umbral/cachepolicy"
)

// seen is what a request looked like behind the front door.
type seen struct {
	Method, Host, Path, Query string
	Header                    http.Header
	Body, BodyError           string
	Trailer                   http.Header
	Client, Scheme, ID        string
	Trusted, Upgrade          bool
	Up                        http.Header // what SetForwarded makes of it
}

// door serves a front door on a real socket; behind it every request is
// answered with what it looked like.
func door(t *testing.T, o FrontOptions, server ServerOptions) (addr string) {
	t.Helper()
	f := NewFront(o)
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{Start: time.Now(), R: r, Route: &Route{Policy: &cachepolicy.Policy{}, Methods: []string{"M-SEARCH"}}}
		no := f.Admit(x)
		f.Guard(w, x)
		if no == nil {
			no = f.AllowMethod(x)
		}
		if no != nil {
			no.Write(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			RefusalFor(err).Write(w, r)
			return
		}
		s := seen{
			Method: r.Method, Host: r.Host, Path: x.Ask.Path, Query: x.Ask.Query, Header: r.Header, Body: string(body), Trailer: r.Clone(context.Background()).Trailer,
			Client: x.Client.String(), Scheme: x.Ask.Scheme, ID: x.ID, Trusted: x.TrustedPeer, Upgrade: x.Upgrade, Up: http.Header{},
		}
		f.SetForwarded(s.Up, x)
		json.NewEncoder(w).Encode(s)
	})
	s, err := NewServer(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(Listen(l, nil))
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// send writes raw bytes and reads one response.
func send(t *testing.T, addr, raw string) (*http.Response, seen) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(raw, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var s seen
	if resp.StatusCode == http.StatusOK && len(body) > 0 {
		if err := json.Unmarshal(body, &s); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
	}
	return resp, s
}

func TestFrontRefuses(t *testing.T) {
	addr := door(t, FrontOptions{MaxURL: 100, Guard: GuardOptions{MaxBody: 10}}, ServerOptions{})
	for _, tt := range []struct {
		name, raw string
		status    int
	}{
		{"connect", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405},
		{"trace", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
		{"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
		{"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
		{"a method that the route names", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		{"options star", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"absolute form", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"absolute form of another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"authority form", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"no host in 1.0", "GET / HTTP/1.0\r\n\r\n", 400},
		{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
		{"two ports", "GET / HTTP/1.1\r\nHost: a:b:c\r\n\r\n", 400},
		{"open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		{"user-info", "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n", 400},
		{"control character", "GET / HTTP/1.1\r\nHost: a\x01b\r\n\r\n", 400},
		{"space in host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"slash in host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
		{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 200},
		{"long target", "GET /" + strings.Repeat("x", 100) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"large header section", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", 431},
		{"large content", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413},
		{"large chunked content", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n", 413},
		{"content that just fits", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n", 200},
		{"a bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"content lengths that differ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12", 400},
		{"a content length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n1", 400},
		{"unknown transfer coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{"h2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"another expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417},
		{"max-forwards spent", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 204},
		{"max-forwards left", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, s := send(t, addr, tt.raw)
			if resp.StatusCode != tt.status {
				t.Errorf("%d, want %d", resp.StatusCode, tt.status)
			}
			if resp.StatusCode == 405 && resp.Header.Get("Allow") == "" {
				t.Error("405 without Allow (RFC 9110 §15.5.6)")
			}
			if tt.name == "max-forwards left" && s.Header.Get("Max-Forwards") != "0" {
				t.Errorf("Max-Forwards %q goes up", s.Header["Max-Forwards"])
			}
		})
	}
}

func TestFrontClosesAfterTransferEncoding(t *testing.T) {
	addr := door(t, FrontOptions{}, ServerOptions{})
	for _, raw := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, raw+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
		all, err := io.ReadAll(c)
		c.Close()
		if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		if n := bytes.Count(all, []byte("HTTP/1.1 ")); n != 1 || !bytes.Contains(all, []byte("Connection: close")) {
			t.Errorf("%q: %d answers: %s", raw, n, all)
		}
	}
}

func TestFrontCleans(t *testing.T) {
	const get = "GET /p?q=1 HTTP/1.1\r\nHost: Example.COM:80\r\n"
	addr := door(t, FrontOptions{Keep: []string{"x-real-ip", "my_field"}}, ServerOptions{})
	_, s := send(t, addr, get+strings.Join([]string{
		"X-Forwarded-Host: evil", "X-Forwarded-Server: evil", "X-Forwarded-Scheme: evil", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil",
		"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "Forwarded: for=9.9.9.9", "Via: 1.1 evil", "X-Request-Id: evil",
		"X-Host: evil", "X-HTTP-Host-Override: evil", "X-Original-URL: /evil", "x-rewrite-url: /evil", "X-Original-Host: evil",
		"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "SCRIPT_NAME: /evil", "X-Script-Name: /evil",
		"X-Middleware-Subrequest: 1", "Surrogate-Control: evil", "X_Under: evil", "X_FORWARDED_FOR: evil", "TE: trailers", "Proxy: evil",
		"X-Envoy-Original-Path: /evil", "X-Matched-Path: /evil", "X-Azure-ClientIP: 9.9.9.9", "X-Vercel-Forwarded-For: 9.9.9.9", "X-Arr-Ssl: 1", "Base-Url: evil",
		"X-Real-IP: kept", "my_field: kept", "Accept: kept", "X-Custom: kept",
	}, "\r\n")+"\r\n\r\n")
	for name, lines := range s.Header {
		if len(lines) != 1 || lines[0] != "kept" {
			t.Errorf("%s: %q came through", name, lines)
		}
	}
	if len(s.Header) != 4 {
		t.Errorf("kept: %v", s.Header)
	}
	if s.Host != "example.com" || s.Path != "/p" || s.Query != "q=1" || s.Scheme != "http" || s.Trusted {
		t.Errorf("%+v", s)
	}
	if len(s.ID) != 32 || s.Client != "127.0.0.1" {
		t.Errorf("id %q, client %q", s.ID, s.Client)
	}
	if got := s.Up.Get("X-Forwarded-For"); got != "127.0.0.1" {
		t.Errorf("X-Forwarded-For goes up as %q", got)
	}
}

func TestFrontDropsTrailers(t *testing.T) {
	addr := door(t, FrontOptions{}, ServerOptions{})
	_, s := send(t, addr, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Edge-User\r\n\r\n2\r\nhi\r\n0\r\nX-Edge-User: 1\r\n\r\n")
	if s.Body != "hi" || s.Header["Trailer"] != nil || s.Header["X-Edge-User"] != nil {
		t.Errorf("%+v", s)
	}
}

func TestFrontUpgrade(t *testing.T) {
	addr := door(t, FrontOptions{}, ServerOptions{})
	for _, tt := range []struct {
		name, lines string
		websocket   bool
		connection  string
	}{
		{"websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true, "Upgrade"},
		{"websocket, keep-alive", "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n", true, "Upgrade"},
		{"h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", false, ""},
		{"h2c and websocket", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", false, ""},
		{"two upgrades", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", false, ""},
		{"not named by Connection", "Upgrade: websocket\r\n", false, ""},
		{"with content", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", false, ""},
		{"close stays", "Connection: close, Upgrade\r\nUpgrade: h2c\r\n", false, "close"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s := send(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+tt.lines+"\r\nx")
			if s.Upgrade != tt.websocket || (s.Header.Get("Upgrade") != "") != tt.websocket || s.Header.Get("Connection") != tt.connection || s.Header["Http2-Settings"] != nil {
				t.Errorf("%v %v", s.Upgrade, s.Header)
			}
		})
	}
}

// What Connection names never reaches the app, so it must not be in the key.
func TestFrontTakesOffWhatConnectionNames(t *testing.T) {
	addr := door(t, FrontOptions{}, ServerOptions{})
	_, s := send(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Accept-Language, X-Forwarded-For\r\nAccept-Language: de\r\nAccept: kept\r\n\r\n")
	if s.Header["Accept-Language"] != nil || s.Header["Connection"] != nil || s.Header.Get("Accept") != "kept" {
		t.Errorf("%v", s.Header)
	}
	if s.Up.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("ours is gone: %v", s.Up)
	}
}

func TestFrontTrustedProxy(t *testing.T) {
	addr := door(t, FrontOptions{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}, ServerOptions{})
	for _, tt := range []struct{ name, lines, client, scheme, up, forwarded string }{
		{"nothing said", "", "127.0.0.1", "http", "127.0.0.1", "for=127.0.0.1;host=a;proto=http"},
		{"one", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "1.2.3.4", "https", "1.2.3.4, 127.0.0.1", "for=1.2.3.4;host=a;proto=https, for=127.0.0.1"},
		{"a stranger's word before", "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n", "1.2.3.4", "http", "1.2.3.4, 127.0.0.1", "for=1.2.3.4;host=a;proto=http, for=127.0.0.1"},
		{"through two of ours", "X-Forwarded-For: 6.6.6.6, 1.2.3.4,10.1.1.1\r\n", "1.2.3.4", "http", "1.2.3.4, 10.1.1.1, 127.0.0.1", ""},
		{"two lines", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 10.1.1.1\r\n", "1.2.3.4", "http", "1.2.3.4, 10.1.1.1, 127.0.0.1", ""},
		{"all ours", "X-Forwarded-For: 10.2.2.2, 10.1.1.1\r\n", "10.2.2.2", "http", "10.2.2.2, 10.1.1.1, 127.0.0.1", ""},
		{"no address", "X-Forwarded-For: 1.2.3.4, unknown\r\n", "127.0.0.1", "http", "127.0.0.1", ""},
		{"with port", "X-Forwarded-For: [2001:db8::1]:99\r\n", "2001:db8::1", "http", "2001:db8::1, 127.0.0.1", `for="[2001:db8::1]";host=a;proto=http, for=127.0.0.1`},
		{"two protocols", "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "127.0.0.1", "http", "127.0.0.1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s := send(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: my.id-1\r\nVia: 1.0 front\r\n"+tt.lines+"\r\n")
			if s.Client != tt.client || s.Scheme != tt.scheme || !s.Trusted || s.ID != "my.id-1" {
				t.Errorf("client %s, %s, id %s", s.Client, s.Scheme, s.ID)
			}
			if s.Up.Get("X-Forwarded-For") != tt.up || s.Up.Get("X-Forwarded-Proto") != tt.scheme || !strings.HasPrefix(s.Up.Get("Via"), "1.0 front, 1.1 umbral-") {
				t.Errorf("up: %v", s.Up)
			}
			if tt.forwarded != "" && s.Up.Get("Forwarded") != tt.forwarded {
				t.Errorf("Forwarded %q", s.Up.Get("Forwarded"))
			}
		})
	}
	for _, id := range []string{"", "a b", `a"b`, strings.Repeat("x", 129), "ä"} {
		if saneID(id) {
			t.Errorf("%q is kept", id)
		}
	}
}

func TestNormalHost(t *testing.T) {
	for _, tt := range []struct {
		host   string
		secure bool
		want   string
		ok     bool
	}{
		{"a", false, "a", true},
		{"A.Example", false, "a.example", true},
		{"a:80", false, "a", true},
		{"a:80", true, "a:80", true},
		{"a:443", true, "a", true},
		{"a:443", false, "a:443", true},
		{"a:8080", false, "a:8080", true},
		{"a:", false, "a", true},
		{"a:080", false, "", false},
		{"a:65536", false, "", false},
		{"a:1x", false, "", false},
		{"[::1]", false, "[::1]", true},
		{"[2001:DB8::1]:443", true, "[2001:db8::1]", true},
		{"[::1]x", false, "", false},
		{"[::1%25eth0]", false, "", false},
		{"[1.2.3.4]", false, "", false},
		{"1.2.3.4:5", false, "1.2.3.4:5", true},
		{"A.Example.", false, "a.example", true},
		{"a.:443", true, "a", true},
		{"a..", false, "", false},
		{".", false, "", false},
		{"my_host-1", false, "my_host-1", true},
		{"a,b", false, "", false},
		{"a%62", false, "", false},
		{"ä", false, "", false},
		{":80", false, "", false},
		{strings.Repeat("a", 256), false, "", false},
	} {
		got, ok := normalHost(tt.host, tt.secure)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%q: %q %v", tt.host, got, ok)
		}
	}
}

func FuzzNormalHost(f *testing.F) {
	for _, s := range []string{"a", "A:80", "[::1]:443", "a:b:c", "[::1", "me@a", "a:", "\x00"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, host string, secure bool) {
		got, ok := normalHost(host, secure)
		if !ok {
			return
		}
		if again, ok := normalHost(got, secure); !ok || again != got {
			t.Errorf("%q becomes %q becomes %q", host, got, again)
		}
		if strings.ContainsAny(got, "@/\\?# \t\r\n,") || strings.ToLower(got) != got {
			t.Errorf("%q is let through as %q", host, got)
		}
	})
}

// Content that stalls is cut with 408, and so is a header section.
func TestStallsAreCut(t *testing.T) {
	addr := door(t, FrontOptions{Guard: GuardOptions{Stall: 50 * time.Millisecond}}, ServerOptions{ReadHeaderTimeout: 50 * time.Millisecond})
	for name, raw := range map[string]string{
		"content":       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12",
		"chunked":       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
		"header":        "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
		"half a name":   "GET / HTTP/1.1\r\nHost: a\r\nX-S",
		"second header": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, raw)
			br := bufio.NewReader(c)
			if name == "second header" {
				resp, err := http.ReadResponse(br, nil)
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				io.Copy(io.Discard, resp.Body)
				io.WriteString(c, "GET /2 HTTP/1.1\r\nHost: a\r\nX-Sl")
			}
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
				t.Errorf("%s, close %v", resp.Status, resp.Close)
			}
			if h := resp.Header; name != "content" && name != "chunked" &&
				(h.Get("Cache-Status") != "umbral; detail=request-refused" || len(h.Get("X-Request-Id")) != 32) {
				t.Errorf("%v", h)
			}
			if rest, _ := io.ReadAll(br); len(rest) > 0 && name != "content" && name != "chunked" {
				t.Errorf("something follows: %q", rest)
			}
		})
	}
}

// Requests that wait in net/http's buffer are not taken for late ones: the
// Read that watches for the visitor's leave ends by a deadline, too.
func TestPipelinedRequestsAreNotLate(t *testing.T) {
	addr := door(t, FrontOptions{}, ServerOptions{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	const n = 20
	io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", n))
	br := bufio.NewReader(c)
	for range n {
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// drip is content that comes a byte at a time, by a clock of its own.
type drip struct {
	deadline time.Time
	sets     int
}

func (d *drip) Read(p []byte) (int, error)        { p[0] = 'x'; return 1, nil }
func (d *drip) Close() error                      { return nil }
func (d *drip) SetReadDeadline(t time.Time) error { d.deadline = t; d.sets++; return nil }

func TestGuardWantsARate(t *testing.T) {
	d := &drip{}
	began := time.Now()
	b := &guardedBody{
		ReadCloser: d, o: GuardOptions{MaxBody: 1 << 20, Stall: time.Minute, MinRate: 10}, left: 1 << 20, began: began,
		rc: http.NewResponseController(deadliner{httptest.NewRecorder(), d}),
	}
	for range 500 {
		if _, err := b.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	// 500 bytes at 10 a second buy 50 s on top of the first minute; but no
	// more than a minute of silence.
	b.extend(began.Add(100 * time.Second))
	if want := began.Add(110 * time.Second); d.deadline.After(want) || d.deadline.Before(want.Add(-5*time.Second)) {
		t.Errorf("deadline after %s", d.deadline.Sub(began))
	}
	if d.sets > 20 {
		t.Errorf("%d deadlines set for 500 reads", d.sets)
	}
}

type deadliner struct {
	http.ResponseWriter
	d *drip
}

func (d deadliner) SetReadDeadline(t time.Time) error { return d.d.SetReadDeadline(t) }

func plainGet() *http.Request {
	r := httptest.NewRequest("GET", "/certificado/7?page=2", nil)
	r.RemoteAddr = "192.0.2.1:40000"
	for name, value := range map[string]string{
		"Accept":          "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Encoding": "gzip, deflate, br, zstd", "Accept-Language": "es-CL,es;q=0.9", "Connection": "keep-alive",
		"Cookie": "__Host-umbral=xyz", "User-Agent": "Mozilla/5.0", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate",
		"Sec-Fetch-Site": "none", "Upgrade-Insecure-Requests": "1",
	} {
		r.Header.Set(name, value)
	}
	return r
}

func BenchmarkAdmit(b *testing.B) {
	f := NewFront(FrontOptions{})
	x := &Exchange{R: plainGet()}
	b.ReportAllocs()
	for b.Loop() {
		if no := f.Admit(x); no != nil {
			b.Fatal(no)
		}
	}
}

func TestAdmitAllocatesOnlyTheID(t *testing.T) {
	f := NewFront(FrontOptions{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	x := &Exchange{R: plainGet()}
	if n := testing.AllocsPerRun(100, func() { f.Admit(x) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
