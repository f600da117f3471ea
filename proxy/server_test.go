package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// writePair writes a self-signed certificate for 127.0.0.1 with a name of its own.
func writePair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func serveTLS(t *testing.T, o ServerOptions) (addr string, s *http.Server) {
	t.Helper()
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.ServeTLS(Listen(l, nil), "", "")
	t.Cleanup(func() { s.Close() })
	return l.Addr().String(), s
}

func TestServerSpeaksHTTP2(t *testing.T) {
	cert, key := writePair(t, t.TempDir(), "one")
	addr, _ := serveTLS(t, ServerOptions{TLSCert: cert, TLSKey: key, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{R: r, Start: time.Now()}
		f := NewFront(FrontOptions{})
		if no := f.Admit(x); no != nil {
			no.Write(w, r)
			return
		}
		f.Guard(w, x)
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Proto, " ", x.Ask.Scheme, " ", x.Ask.Host, " ", string(body), err)
	})})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	r, _ := http.NewRequest("POST", "https://"+addr+"/", strings.NewReader("hi"))
	r.Host = "Site.Example:443"
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "HTTP/2.0 https site.example hi<nil>" {
		t.Errorf("%d %q", resp.StatusCode, b)
	}
}

func TestOnlyHost(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  bool
	}{{[]string{"a"}, true}, {[]string{"A"}, true}, {[]string{"b"}, false}, {[]string{"a", "a"}, false}} {
		h := http.Header{"Host": tt.lines}
		if got := onlyHost(h, "a"); got != tt.want || h["Host"] != nil {
			t.Errorf("%q: %v, %v", tt.lines, got, h)
		}
	}
}

func TestServerFollowsItsCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, "one")
	pair := &keyPair{cert: cert, key: key}
	now := time.Now()
	name := func() string {
		c, err := x509.ParseCertificate(pair.current.Load().Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return c.Subject.CommonName
	}
	if err := pair.load(now); err != nil || name() != "one" {
		t.Fatal(err)
	}
	writePair(t, dir, "second")
	if err := pair.load(now); err != nil || name() != "second" {
		t.Error(name(), err)
	}
	if err := os.WriteFile(key, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pair.load(now); err == nil || name() != "second" {
		t.Error("a pair that is none is in force")
	}
	writePair(t, dir, "third one")
	if err := pair.load(now); err != nil || name() != "third one" {
		t.Error(name(), err)
	}
	if _, err := NewServer(ServerOptions{TLSCert: filepath.Join(dir, "none"), TLSKey: key}); err == nil {
		t.Error("a server without its certificate starts")
	}
}

func TestServerIsLateOverTLS(t *testing.T) {
	cert, key := writePair(t, t.TempDir(), "one")
	// The handshake has to come in the same time: a slow machine needs more.
	for patience := 50 * time.Millisecond; ; patience *= 2 {
		addr, _ := serveTLS(t, ServerOptions{TLSCert: cert, TLSKey: key, ReadHeaderTimeout: patience, Handler: http.NotFoundHandler()})
		code, err := halfHeadOverTLS(addr)
		if code == http.StatusRequestTimeout {
			return
		}
		if code != 0 || patience > 5*time.Second {
			t.Fatal(code, err)
		}
	}
}

// halfHeadOverTLS gives the status that a header section gets that never ends,
// 0 where the connection did.
func halfHeadOverTLS(addr string) (int, error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHo"); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

// A websocket passes through the front door, ReverseProxy and the origin, and
// works in both directions.
func TestWebsocketPassesThrough(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		c, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		line, _ := brw.ReadString('\n')
		io.WriteString(c, "echo "+line)
	})
	og := newTestOrigin(t, OriginOptions{URLs: []string{a.URL}})
	f, access := NewFront(FrontOptions{}), NewAccess(AccessOptions{})
	s, err := NewServer(ServerOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{R: r, Start: time.Now()}
		rec := access.Begin(w, x)
		defer access.End(rec, x)
		if no := f.Admit(x); no != nil || !x.Upgrade {
			t.Error(no, x.Upgrade)
		}
		rp := &httputil.ReverseProxy{Transport: og, Rewrite: func(pr *httputil.ProxyRequest) { f.SetForwarded(pr.Out.Header, x) }}
		rp.ServeHTTP(rec, r)
	})})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(Listen(l, nil))
	defer s.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	io.WriteString(c, "hello\n")
	if line, err := br.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q %v", line, err)
	}
}

// A visitor who takes nothing is cut off: each Write has a deadline, which
// net/http does not take back, and which costs a call only now and then.
func TestVisitorsMustTakeWhatIsSent(t *testing.T) {
	c := &deadlineConn{}
	v := &visitorConn{Conn: c}
	for range 100 {
		v.Write([]byte("x"))
		v.SetWriteDeadline(time.Time{})
	}
	if c.sets != 1 || time.Until(c.until) < writeStall/2 {
		t.Errorf("%d deadlines, %s", c.sets, time.Until(c.until))
	}
}

type deadlineConn struct {
	net.Conn
	until time.Time
	sets  int
}

func (c *deadlineConn) Write(p []byte) (int, error)        { return len(p), nil }
func (c *deadlineConn) SetWriteDeadline(t time.Time) error { c.until = t; c.sets++; return nil }

// serveRecorded serves h, which writes through an access log, on l.
func serveRecorded(t *testing.T, l net.Listener, h http.HandlerFunc) {
	access := NewAccess(AccessOptions{})
	s, err := NewServer(ServerOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{R: r, Start: time.Now()}
		rec := access.Begin(w, x)
		defer access.End(rec, x)
		h(rec, r)
	})})
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(Listen(l, nil))
	t.Cleanup(func() { s.Close() })
}

// stalledListener's connections take nothing of the first write, and all of
// the others.
type stalledListener struct{ net.Listener }

type stalledConn struct {
	net.Conn
	stalled atomic.Bool
}

func (l stalledListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &stalledConn{Conn: c}, err
}

func (c *stalledConn) Write(p []byte) (int, error) {
	if !c.stalled.Swap(true) {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Write(p)
}

// Where a write has been lost nothing follows it: the rest would be taken for
// something else, and with it the next answer.
func TestNothingFollowsALostWrite(t *testing.T) {
	for _, size := range []int{1000, 6000, 100_000} { // written by net/http later, in part, and at once
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		serveRecorded(t, stalledListener{l}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = w.Write(make([]byte, size))
		})
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if n, err := c.Read(make([]byte, 1)); n > 0 || timedOut(err) {
			t.Errorf("of %d bytes: some followed, or the connection is still open: %d %v", size, n, err)
		}
	}
}

// The content of a request may be read beside the answer, and net/http then
// writes "100 Continue" from there.
func TestContinueBesideAnAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Repeat("x", 10_000)
	serveRecorded(t, l, func(w http.ResponseWriter, r *http.Request) {
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = r.Body.Read(make([]byte, 1)) })
		runtime.Gosched()
		_, _ = w.Write([]byte(page))
		reading.Wait()
	})
	for range 100 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx")
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		if err == nil && resp.StatusCode == http.StatusContinue {
			resp, err = http.ReadResponse(in, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != page {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		c.Close()
	}
}

func TestServerStops(t *testing.T) {
	s, err := NewServer(ServerOptions{Handler: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(Listen(l, nil)) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-done; err != http.ErrServerClosed {
		t.Error(err)
	}
}

// TestServerBoundsTheHeaderSection: CACHING.md §7, 431, to the byte.
func TestServerBoundsTheHeaderSection(t *testing.T) {
	const most = 8 << 10
	addr := door(t, FrontOptions{}, ServerOptions{MaxHeaderBytes: most})
	for _, size := range []int{most, most + 1} {
		const around = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
		raw := strings.Replace(around, "X: ", "X: "+strings.Repeat("x", size-len(around)), 1)
		want := http.StatusOK
		if size > most {
			want = http.StatusRequestHeaderFieldsTooLarge
		}
		if resp, _ := send(t, addr, raw); resp.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", len(raw), resp.StatusCode, want)
		}
	}
	// What comes behind the section is not counted.
	raw := "POST / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("y", 10000)
	if resp, s := send(t, addr, raw); resp.StatusCode != http.StatusOK || len(s.Body) != 10000 {
		t.Errorf("with content: %d, %d bytes", resp.StatusCode, len(s.Body))
	}
}
