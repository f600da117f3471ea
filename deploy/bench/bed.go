package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// server is a running server under test.
type server struct {
	name    string
	address string
	proc    *process
	// cookie is what somebody signed in sends to it, "" before signing in.
	cookie string
	// redis is set where it uses the one that was started.
	redis bool
}

// bed is where the servers lie: a directory, an origin, a Redis if one of them
// needs it, and a client to look at them with.
type bed struct {
	o       *options
	dir     string
	client  *http.Client
	started []*process // in order
	origin  *server
	redis   *server
	under   map[string]*server
}

func newBed(o *options) (*bed, error) {
	dir, err := os.MkdirTemp("", "umbral-bench-")
	if err != nil {
		return nil, err
	}
	if o.umbral, err = filepath.Abs(o.umbral); err != nil {
		return nil, err
	}
	return &bed{
		o: o, dir: dir, under: map[string]*server{},
		client: &http.Client{
			Timeout:       patience,
			Transport:     &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// close ends every process, the last started first, and removes what they wrote.
func (b *bed) close() {
	b.client.CloseIdleConnections()
	for i := len(b.started) - 1; i >= 0; i-- {
		b.started[i].stop()
	}
	os.RemoveAll(b.dir)
}

// start starts the origin and then the servers named.
func (b *bed) start(ctx context.Context, names []string) error {
	var err error
	if b.origin, err = b.startChild(ctx, "origin", "site"); err != nil {
		return err
	}
	for _, name := range names {
		s, err := b.startServer(ctx, name)
		if err != nil {
			return err
		}
		b.under[name] = s
	}
	return nil
}

func (b *bed) startServer(ctx context.Context, name string) (*server, error) {
	base, logging := strings.CutSuffix(name, "+log")
	switch base {
	case "nginx":
		return b.startNginx(ctx, name, logging)
	case "varnish":
		return b.startVarnish(ctx, name)
	case "haproxy":
		return b.startHAProxy(ctx, name)
	case "bare":
		return b.startChild(ctx, name, "site")
	case "reverseproxy":
		return b.startChild(ctx, name, "reverseproxy", b.origin.address)
	default:
		if b.redis == nil {
			var err error
			if b.redis, err = b.startRedis(ctx); err != nil {
				return nil, err
			}
		}
		return b.startUmbral(ctx, name, logging)
	}
}

// room makes the directory of one server.
func (b *bed) room(name string) (string, error) {
	dir := filepath.Join(b.dir, name)
	return dir, os.Mkdir(dir, 0o700)
}

// launch runs args in dir as the server called name and waits until it answers.
func (b *bed) launch(ctx context.Context, s *server, dir string, args ...string) (*server, error) {
	var err error
	if s.proc, err = startProcess(s.name, dir, nil, args...); err != nil {
		return nil, err
	}
	b.started = append(b.started, s.proc)
	return s, s.proc.until(ctx, func() error { return b.answers(s) })
}

func (b *bed) startChild(ctx context.Context, name, role string, args ...string) (*server, error) {
	dir, err := b.room(name)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(name, dir, nil, append([]string{self, childArgument, role}, args...)...)
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, p)
	s := &server{name: name, proc: p}
	return s, p.until(ctx, func() error {
		line, err := p.line("listening")
		s.address = strings.TrimPrefix(line, "listening ")
		return err
	})
}

// answers reports whether the server passes a request on to the origin.
func (b *bed) answers(s *server) error {
	resp, err := b.client.Get("http://" + s.address + "/asked")
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", s.name, resp.Status)
	}
	return nil
}

// signIn signs somebody in through the server and keeps the cookie that a
// browser would.
func (b *bed) signIn(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	base := "http://" + s.address
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/login/", strings.NewReader("username=ana&password=ana"))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", base)
	resp, err := b.client.Do(r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	cookies := resp.Cookies()
	if len(cookies) != 1 {
		return fmt.Errorf("%s: signing in gave %d cookies with %s", s.name, len(cookies), resp.Status)
	}
	s.cookie = cookies[0].Name + "=" + cookies[0].Value
	return nil
}

// settle is how long a server that stores behind the visitor's back may take.
const settle = 20 * time.Millisecond
