package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync/atomic"
	"time"
)

// upstream is one instance of the app.
type upstream struct {
	url       string
	scheme    string
	host      string
	transport *http.Transport
	client    *appClient // nil: the transport is asked for everything
	dial      func(context.Context) (net.Conn, error)

	inFlight         atomic.Int64
	requests, failed atomic.Uint64
	gone             atomic.Bool // no longer configured: drains
	health           health
}

func (og *Origin) newUpstream(raw string) (*upstream, error) {
	target, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("upstream is not a URL: %w", err)
	}
	if target.User != nil || target.RawQuery != "" || target.Fragment != "" {
		return nil, fmt.Errorf("upstream %s: only scheme, host and port may be given", target.Redacted())
	}
	u := &upstream{url: raw, scheme: target.Scheme, host: target.Host}
	network, addr := "tcp", target.Host
	switch {
	case target.Scheme == "unix" && target.Host == "" && target.Path != "":
		network, addr = "unix", target.Path
		u.scheme, u.host = "http", "localhost"
	case (target.Scheme == "http" || target.Scheme == "https") && target.Hostname() != "":
		if target.Path != "" && target.Path != "/" {
			return nil, fmt.Errorf("upstream %s: a path cannot be given", raw)
		}
		if target.Port() == "" {
			addr = net.JoinHostPort(target.Hostname(), map[string]string{"http": "80", "https": "443"}[target.Scheme])
		}
	default:
		return nil, fmt.Errorf("upstream %s: not an http://, https:// or unix:/// URL", raw)
	}
	secure := og.o.TLS.Clone()
	if secure == nil {
		secure = &tls.Config{}
	}
	if secure.ServerName == "" {
		secure.ServerName = target.Hostname()
	}
	dialer := &net.Dialer{Timeout: og.o.ConnectTimeout, KeepAlive: 30 * time.Second}
	u.dial = func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, network, addr) }
	u.transport = &http.Transport{
		Proxy:       nil, // the environment does not choose who hears visitors' cookies
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return u.connect(ctx, nil, 0) },
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return u.connect(ctx, secure, og.o.ConnectTimeout)
		},
		DisableCompression:     true,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    og.o.MaxIdle,
		IdleConnTimeout:        idleFor,
		ResponseHeaderTimeout:  og.o.ResponseHeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
	if u.scheme == "http" && watches {
		u.client = &appClient{
			dial: u.dial, header: og.o.ResponseHeaderTimeout, idleFor: idleFor, maxIdle: og.o.MaxIdle, maxHeader: maxAnswerHeader,
		}
	}
	return u, nil
}

// closeIdle closes the connections that no request has.
func (u *upstream) closeIdle() {
	u.transport.CloseIdleConnections()
	if u.client != nil {
		u.client.closeIdle()
	}
}

// connect opens a connection, with TLS where secure is not nil.
func (u *upstream) connect(ctx context.Context, secure *tls.Config, timeout time.Duration) (net.Conn, error) {
	c, err := u.dial(ctx)
	if err != nil {
		return nil, err
	}
	if secure == nil {
		return newAppConn(c, c), nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := tls.Client(c, secure)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return newAppConn(t, c), nil
}

// roundTrip asks with r's content, or with what is held of it.
func (u *upstream) roundTrip(r *http.Request, held *heldBody) (*http.Response, error) {
	if u.client != nil && u.client.takes(r) {
		return u.client.roundTrip(r, cmp.Or(r.Host, u.host))
	}
	w := following{head: r.Method == http.MethodHead}
	out := r.WithContext(httptrace.WithClientTrace(r.Context(), w.trace()))
	target := *r.URL
	target.Scheme, target.Host = u.scheme, u.host
	out.URL = &target
	if out.Host == "" {
		out.Host = u.host
	}
	if held != nil {
		out.Body = held
	}
	if _, has := out.Header["User-Agent"]; !has { // net/http would name itself
		out.Header = out.Header.Clone()
		out.Header["User-Agent"] = []string{""}
	}
	resp, err := u.transport.RoundTrip(out)
	if err == nil {
		w.restore(resp.Header)
	}
	return resp, err
}

// following goes with a request of the Transport's to the connections by which
// it is sent: another one where the first has been closed meanwhile.
type following struct {
	head bool
	said atomic.Pointer[unsaid] // by the newest connection
}

func (w *following) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if c, ok := info.Conn.(*appConn); ok {
				said := new(unsaid)
				w.said.Store(said)
				c.ask(w.head, info.Reused, said)
			}
		},
		Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { // before whoever passes it on
			w.restore(http.Header(h))
			return nil
		},
	}
}

func (w *following) restore(h http.Header) {
	if said := w.said.Load(); said != nil {
		said.restore(h)
	}
}
