package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
	"umbral/sessions"
)

// bed is a whole edge in this process: app, Redis, store, sessions, proxy and
// the visitors' server, without configuration and admin.
type bed struct {
	*Proxy
	redis   *storetest.Redis
	store   *store.Tiered
	express *Express
	addr    string
	app     *httptest.Server
	asked   atomic.Int64 // the app
	whole   atomic.Int64 // requests that net/http handled
}

// bedToken is the bed's admin token.
const bedToken = "an-admin-token-of-tests"

func newBed(t testing.TB, memory int64, app http.HandlerFunc, rules ...cachepolicy.Rule) *bed {
	t.Helper()
	b := &bed{redis: storetest.StartRedis(t)}
	b.app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		app(w, r)
	}))
	t.Cleanup(b.app.Close)
	secrets := [][]byte{[]byte("0123456789abcdef0123456789abcdef")}
	var err error
	if b.store, err = store.Open(store.Options{Client: b.redis.Client(), MemoryBytes: memory, Secrets: secrets}); err != nil {
		t.Fatal(err)
	}
	b.store.Start()
	<-b.store.Log().Begun()
	t.Cleanup(func() { b.store.Close(context.Background()) })
	term, err := sessions.New(sessions.Options{Client: b.redis.Client(), Secrets: secrets, Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	origin, err := NewOrigin(OriginOptions{URLs: []string{b.app.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { origin.Close() })
	routes, faults := cachepolicy.NewRoutes(rules)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	b.Proxy = New(Options{
		Store: b.store, Log: b.store.Log(), Leases: b.store.Leases(), Sessions: term, Origin: origin,
		Front:   NewFront(FrontOptions{Ambiguous: cachepolicy.PathAmbiguous, Forbidden: sessions.Forbidden, AdminToken: bedToken}),
		Access:  NewAccess(AccessOptions{Log: NewAccessCore(zapcore.AddSync(io.Discard)), Metrics: NewMetrics(), Events: &Events{}}),
		Limiter: NewLimiter(LimiterOptions{}), EncodedBytes: 1 << 20,
	}, NewRules(routes, nil, nil))
	server, err := NewServer(ServerOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.whole.Add(1)
		b.ServeHTTP(w, r)
	})})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr, b.express = l.Addr().String(), NewExpress(b.Proxy, server.IdleTimeout)
	go server.Serve(Listen(l, b.express))
	t.Cleanup(func() { server.Close() })
	return b
}

// wire is a connection of a visitor's.
type wire struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (b *bed) dial(t testing.TB) *wire {
	t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, bufio.NewReader(c)}
}

// ask writes raw in one piece and reads one answer: its head as it came, and
// its body.
func (w *wire) ask(raw string) (head, body string) {
	w.t.Helper()
	if _, err := io.WriteString(w, raw); err != nil {
		w.t.Fatal(err)
	}
	return w.answer("GET")
}

func (w *wire) answer(method string) (head, body string) {
	w.t.Helper()
	head = w.head()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"\r\n")), &http.Request{Method: method})
	if err != nil {
		w.t.Fatal(err)
	}
	var b []byte
	switch {
	case method == http.MethodHead, resp.StatusCode == http.StatusNotModified:
	case resp.ContentLength >= 0:
		b = make([]byte, resp.ContentLength)
		_, err = io.ReadFull(w.in, b)
	default:
		if b, err = io.ReadAll(httputil.NewChunkedReader(w.in)); err == nil {
			_, err = w.in.ReadString('\n')
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return head, string(b)
}

// head reads a head, less the empty line that ends it.
func (w *wire) head() string {
	w.t.Helper()
	var b strings.Builder
	for {
		line, err := w.in.ReadString('\n')
		if err != nil {
			w.t.Fatalf("after %q: %v", b.String(), err)
		}
		if line == "\r\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// plain is a request as browsers send them.
func plain(path string, more ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: site.test\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Encoding: gzip, deflate, br\r\n%s\r\n",
		path, strings.Join(append(more, ""), "\r\n"))
}

// commands is how many commands the bed's Redis has been given.
func (b *bed) commands() (n int) {
	info := b.redis.Do("INFO", "stats").(string)
	_, rest, _ := strings.Cut(info, "total_commands_processed:")
	fmt.Sscan(rest, &n)
	return n
}

// nowhere is a connection that takes everything.
type nowhere struct{ net.Conn }

func (nowhere) Write(p []byte) (int, error)      { return len(p), nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }
func (nowhere) SetReadDeadline(time.Time) error  { return nil }
func (nowhere) Close() error                     { return nil }

// calls is how often the bed's Redis has been given a command.
func (b *bed) calls(command string) (n int) {
	info := b.redis.Do("INFO", "commandstats").(string)
	_, rest, _ := strings.Cut(info, "cmdstat_"+command+":calls=")
	fmt.Sscan(rest, &n)
	return n
}
