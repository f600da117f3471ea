package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"testing"
)

func BenchmarkExpress(b *testing.B) {
	d := newBed(b, 64<<20, pages, expressRules...)
	login, _ := d.dial(b).ask(plain("/off/login?anna"))
	cookie := "Cookie: " + regexp.MustCompile(`Set-Cookie: (umbral=[^;]+)`).FindStringSubmatch(login)[1]
	c := &visitorConn{Conn: nowhere{}, express: d.express}
	for _, row := range []struct {
		name, raw string
		most      float64 // allocations
	}{
		{"public", plain("/public/a"), 2},
		{"session", plain("/mine/a", cookie), 3},
		{"304", plain("/public/a", "If-None-Match: *"), 3},
	} {
		for range 3 { // what a copy's second hit works out is kept
			d.dial(b).ask(plain("/public/a"))
			d.dial(b).ask(plain("/mine/a", cookie))
		}
		raw := []byte(row.raw)
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !d.express.serve(c, raw) {
					b.Fatal("express does not answer")
				}
			}
			if n := testing.AllocsPerRun(100, func() { d.express.serve(c, raw) }); n > row.most {
				b.Errorf("%v allocations, %v at most", n, row.most)
			}
		})
	}
}

// BenchmarkMiss is a page that may not be stored, beside a bare
// httputil.ReverseProxy over the same connections to the app.
func BenchmarkMiss(b *testing.B) {
	d := newBed(b, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{"text/html"}
		w.Header()["Cache-Control"] = []string{"no-store"}
		io.WriteString(w, "all work and no play")
	}, expressRules...)
	target, _ := url.Parse(d.app.URL)
	bare := &httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target); pr.SetXForwarded() },
		Transport: d.Proxy.origin, BufferPool: newBufferPool(),
	}
	ask := func(h http.Handler) {
		r := httptest.NewRequest("GET", "/app/miss", nil)
		r.Header.Set("User-Agent", "Mozilla/5.0")
		r.Header.Set("Accept-Encoding", "gzip, br")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, row := range []struct {
		name string
		h    http.Handler
	}{{"umbral", d.Proxy}, {"bare", bare}} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(row.h)
			}
		})
	}
	const most = 32
	more := testing.AllocsPerRun(200, func() { ask(d.Proxy) }) - testing.AllocsPerRun(200, func() { ask(bare) })
	if more > most {
		b.Errorf("%v allocations more than a bare ReverseProxy, %d at most", more, most)
	}
}
