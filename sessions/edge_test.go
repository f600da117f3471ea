package sessions

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const redisTimeout = 500 * time.Millisecond

var testSecret = []byte("0123456789abcdef0123456789abcdef")

// clock is the injected time.
type clockAt struct{ offset atomic.Int64 }

func (c *clockAt) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clockAt) advance(d time.Duration) { c.offset.Add(int64(d)) }

// edge is a Terminator as a proxy would use it, without a cache.
type edge struct {
	*httptest.Server
	term  *Terminator
	clock *clockAt
	mu    sync.Mutex
	ended []End
}

func newTerminator(t testing.TB, s *server, change func(*Options)) *Terminator {
	t.Helper()
	o := Options{Client: s.client, Prefix: "test", Secrets: [][]byte{testSecret}, Upstream: "app.test"}
	if change != nil {
		change(&o)
	}
	term, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return term
}

// newEdge puts an edge in front of app.
func newEdge(t testing.TB, s *server, app http.Handler, change func(*Options)) *edge {
	t.Helper()
	up := httptest.NewServer(app)
	t.Cleanup(up.Close)
	target, _ := url.Parse(up.URL)
	e := &edge{clock: &clockAt{}}
	e.term = newTerminator(t, s, func(o *Options) {
		o.Now = e.clock.now
		o.Ended = func(_ context.Context, end End) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.ended = append(e.ended, end)
			return nil
		}
		o.Probe = func(ctx context.Context, r *http.Request) (*http.Response, error) {
			r.URL.Host = target.Host
			return http.DefaultTransport.RoundTrip(r.WithContext(ctx))
		}
		if change != nil {
			change(o)
		}
	})
	type key struct{}
	rp := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.Out.Host = pr.In.Host
			pr.In.Context().Value(key{}).(*Visitor).Prepare(pr.Out, AccessFull, nil)
		},
		ModifyResponse: func(resp *http.Response) error {
			v := resp.Request.Context().Value(key{}).(*Visitor)
			control := strings.HasPrefix(resp.Request.URL.Path, "/control/")
			_, err := v.Absorb(resp.Request.Context(), resp.Request, resp, control)
			return err
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if Forbidden(name) {
				delete(r.Header, name)
			}
		}
		v := e.term.Visit(r.Context(), r).Own(r.Context(), netip.MustParseAddr("192.0.2.1"))
		if r.URL.Path == LogoutPath {
			e.term.ServeLogout(w, r, v)
			return
		}
		if !e.term.CheckCSRF(r, v) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if v.Resolve(r.Context()) != nil {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		rp.ServeHTTP(&finisher{ResponseWriter: w, v: v}, r.WithContext(context.WithValue(r.Context(), key{}, v)))
	}))
	t.Cleanup(func() {
		e.Server.Close()
		_ = e.term.Close()
	})
	return e
}

type finisher struct {
	http.ResponseWriter
	v    *Visitor
	once sync.Once
}

func (f *finisher) WriteHeader(code int) {
	if code >= 200 {
		f.once.Do(func() { f.v.Finish(f.Header()) })
	}
	f.ResponseWriter.WriteHeader(code)
}

// browser keeps the one cookie of the edge, and whatever else it is given.
type browser struct {
	t       testing.TB
	edge    *edge
	cookies map[string]string
}

func (e *edge) browser(t testing.TB) *browser {
	return &browser{t: t, edge: e, cookies: map[string]string{}}
}

type answer struct {
	*http.Response
	body string
	set  []*http.Cookie
}

// do sends a request with the browser's cookies; fields are "Name: value".
func (b *browser) do(method, path string, fields ...string) *answer {
	b.t.Helper()
	a := b.send(method, path, fields...)
	for _, c := range a.set {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return a
}

// send is do without keeping the answer's cookies.
func (b *browser) send(method, path string, fields ...string) *answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.edge.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Host = "app.test"
	for _, f := range fields {
		k, v, _ := strings.Cut(f, ": ")
		req.Header.Add(k, v)
	}
	for k, v := range b.cookies {
		req.Header.Add("Cookie", k+"="+v)
	}
	tr := b.edge.Client().Transport
	resp, err := tr.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var sb strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		sb.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return &answer{Response: resp, body: sb.String(), set: resp.Cookies()}
}

// app is an app in the manner of Django: sessionid, csrftoken, sign-in and
// sign-out, and a page that tells what came up.
type app struct {
	n    atomic.Int64
	gate sync.Map // path → chan struct{}: the answer waits for it
	here sync.Map // path → chan struct{}: closed when the request has come
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := a.here.Load(r.URL.Path); ok {
		close(c.(chan struct{}))
	}
	if c, ok := a.gate.Load(r.URL.Path); ok {
		<-c.(chan struct{})
	}
	set := func(line string) { w.Header().Add("Set-Cookie", line) }
	q := r.URL.Query()
	switch strings.TrimPrefix(r.URL.Path, "/control") {
	case "/form":
		set("csrftoken=form" + fmt.Sprint(a.n.Add(1)) + "; Max-Age=31449600; Path=/; SameSite=Lax")
	case "/login":
		set(fmt.Sprintf("sessionid=sess%d; HttpOnly; Max-Age=%s; Path=/; SameSite=Lax", a.n.Add(1), or2(q.Get("age"), "1209600")))
		set(fmt.Sprintf("csrftoken=rot%d; Max-Age=31449600; Path=/; SameSite=Lax", a.n.Load()))
		if u := q.Get("user"); u != "" {
			w.Header().Set(HeaderSessionUser, u)
		}
	case "/logout":
		set(`sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax`)
	}
	for _, line := range q["set"] {
		set(line)
	}
	for _, line := range q["h"] {
		k, v, _ := strings.Cut(line, ":")
		w.Header().Add(k, v)
	}
	fmt.Fprintf(w, "cookie=%s\nauth=%s\nuser=%s\nsession=%s\nidentity=%s\ncsrf=%s\n", strings.Join(r.Header["Cookie"], " & "),
		strings.Join(r.Header[HeaderAuth], ","), strings.Join(r.Header[HeaderUser], ","),
		strings.Join(r.Header[HeaderSession], ","), strings.Join(r.Header[HeaderIdentity], ","), r.Header.Get("X-CSRFToken"))
}

func or2(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (a *answer) value(name string) string {
	for line := range strings.SplitSeq(a.body, "\n") {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return v
		}
	}
	return ""
}

func (a *answer) anonymous() bool { return a.value("cookie") == "" && a.value("auth") == "anonymous" }
