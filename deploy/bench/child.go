package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// child is this program as one of the servers: the origin, the bare handler,
// or a bare reverse proxy in front of the address in args.
func child(role string, args []string) error {
	var h http.Handler
	switch {
	case role == "site":
		h = newSite()
	case role == "reverseproxy" && len(args) == 1:
		h = bareProxy(args[0])
	default:
		return fmt.Errorf("no child is called %q", role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		s.Close()
	}()
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	os.Exit(0)
	return nil
}

// page is an answer worked out beforehand.
type page struct {
	header http.Header
	body   []byte
}

// site is a very small web site: the origin of all, and the bare handler.
//
//	/hit/SIZE /session/SIZE   may be kept for an hour
//	/miss/SIZE                may not be kept
//	/login/                   signs anybody in
//	/asked                    how many pages have been asked for
type site struct {
	pages map[string]*page
	asked atomic.Int64
}

func newSite() *site {
	s := &site{pages: map[string]*page{}}
	for _, z := range allSizes() {
		body := content(z.bytes)
		for kind, cc := range map[string]string{"hit": "max-age=3600", "session": "max-age=3600", "miss": "no-store"} {
			s.pages["/"+kind+"/"+z.name] = &page{body: body, header: http.Header{
				"Content-Type":   {"text/html; charset=utf-8"},
				"Content-Length": {strconv.Itoa(len(body))},
				"Cache-Control":  {cc},
				"Etag":           {`"` + z.name + `"`},
				"Last-Modified":  {"Mon, 01 Jan 2024 00:00:00 GMT"},
			}}
		}
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := s.pages[r.URL.Path]; p != nil {
		s.asked.Add(1)
		h := w.Header()
		for name, values := range p.header {
			h[name] = values
		}
		_, _ = w.Write(p.body)
		return
	}
	switch r.URL.Path {
	case "/asked":
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, strconv.FormatInt(s.asked.Load(), 10))
	case "/login/":
		w.Header().Set("Cache-Control", "no-store")
		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "k3v9y1n0u5w8q2d7b4m6", Path: "/", HttpOnly: true, MaxAge: 14 * 86400, SameSite: http.SameSiteLaxMode})
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

// content is n bytes that look and compress like a page.
func content(n int) []byte {
	b := bytes.NewBufferString("<!doctype html><html lang=\"es\"><title>Certificados</title><table>\n")
	for i := uint32(1); b.Len() < n; i++ {
		x := i * 2654435761
		fmt.Fprintf(b, "<tr><td>%08x</td><td>Nombre %d</td><td>%d</td></tr>\n", x, x%997, x>>20)
	}
	return b.Bytes()[:n]
}

// bareProxy is httputil.ReverseProxy with the Transport that Umbral uses and
// nothing else: what a miss costs at least.
func bareProxy(origin string) http.Handler {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	target := &url.URL{Scheme: "http", Host: strings.TrimSpace(origin)}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    256,
			IdleConnTimeout:        90 * time.Second,
			ResponseHeaderTimeout:  60 * time.Second,
			ExpectContinueTimeout:  time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		BufferPool: &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
		ErrorLog:   log.New(os.Stderr, "", 0),
	}
}

type buffers struct{ sync.Pool }

func (b *buffers) Get() []byte  { return b.Pool.Get().(*[32 << 10]byte)[:] }
func (b *buffers) Put(p []byte) { b.Pool.Put((*[32 << 10]byte)(p)) }
