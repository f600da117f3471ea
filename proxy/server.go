package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// ServerOptions sets up the visitors' server; zero values have sane defaults.
type ServerOptions struct {
	Handler http.Handler
	// TLSCert and TLSKey are files; both empty: plain HTTP. They are read
	// again when they change.
	TLSCert, TLSKey string
	// ReadHeaderTimeout is 10 s if zero, IdleTimeout 75 s.
	ReadHeaderTimeout, IdleTimeout time.Duration
	// MaxHeaderBytes bounds request line and header section, 64 KiB if zero.
	MaxHeaderBytes int
	// MaxStreams bounds the requests at once on one HTTP/2 connection, 128
	// if zero.
	MaxStreams int
	// Logger gets net/http's own complaints, at debug; nil: nobody does.
	Logger *zap.Logger
}

// NewServer returns the server. Its Serve wants a listener that went through
// [Listen]; with certificates ServeTLS(l, "", "") is to be called. How long a
// request's content may take is the front door's to say (Front.Guard), for a
// deadline on the whole would end every long upload and every stream.
func NewServer(o ServerOptions) (*http.Server, error) {
	setDefault(&o.ReadHeaderTimeout, 10*time.Second)
	setDefault(&o.IdleTimeout, 75*time.Second)
	setDefault(&o.MaxHeaderBytes, 64<<10)
	setDefault(&o.MaxStreams, 128)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	complaints, err := zap.NewStdLogAt(o.Logger, zapcore.DebugLevel)
	if err != nil {
		complaints = log.New(io.Discard, "", 0)
	}
	s := &http.Server{
		Handler:                      o.Handler,
		ReadHeaderTimeout:            o.ReadHeaderTimeout,
		IdleTimeout:                  o.IdleTimeout,
		MaxHeaderBytes:               o.MaxHeaderBytes,
		ErrorLog:                     complaints,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the front door's to refuse
		ConnState:                    answerTimeout,
		Protocols:                    new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          o.MaxStreams,
			MaxDecoderHeaderTableSize:     4 << 10,
			MaxEncoderHeaderTableSize:     4 << 10,
			MaxReadFrameSize:              16 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     256 << 10,
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
			WriteByteTimeout:              writeStall,
		},
	}
	s.Protocols.SetHTTP1(true)
	if o.TLSCert == "" && o.TLSKey == "" {
		return s, nil
	}
	s.Protocols.SetHTTP2(true)
	pair := &keyPair{cert: o.TLSCert, key: o.TLSKey, logger: o.Logger}
	if err := pair.load(time.Now()); err != nil {
		return nil, err
	}
	s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	return s, nil
}

// keyPair is a certificate that follows its files.
type keyPair struct {
	cert, key string
	logger    *zap.Logger

	current atomic.Pointer[tls.Certificate]
	looked  atomic.Int64 // when the files were last looked at, unix nanoseconds

	mu    sync.Mutex // one load at a time
	stamp [2]fileStamp
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	changed time.Time
	size    int64
}

// lookEvery is how often a handshake looks whether the files have changed.
const lookEvery = 10 * time.Second

func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := time.Now()
	looked := k.looked.Load()
	if now.UnixNano()-looked > int64(lookEvery) && k.looked.CompareAndSwap(looked, now.UnixNano()) {
		if err := k.load(now); err != nil {
			k.logger.Error("the certificate is kept as it was", zap.Error(err))
		}
	}
	return k.current.Load(), nil
}

// load reads the files if they have changed. A pair that is not one, as while
// only one of the files has been replaced, leaves the old in force until they
// change again.
func (k *keyPair) load(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked.Store(now.UnixNano())
	var stamp [2]fileStamp
	for i, name := range []string{k.cert, k.key} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("load certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	if stamp == k.stamp {
		return nil
	}
	k.stamp = stamp
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	k.current.Store(&pair)
	return nil
}

// writeStall is the longest that a visitor may leave what is sent to them
// untaken.
const writeStall = 60 * time.Second

// Listen wraps the visitors' listener: a visitor who takes nothing is cut off
// after a while, and one whose header section does not come in time is told
// so with 408, where net/http would just hang up.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &visitorConn{Conn: c}, nil
}

// visitorConn is a visitor's connection. One goroutine reads, one writes.
type visitorConn struct {
	net.Conn
	late     atomic.Bool  // the last Read ran into its deadline
	aborting atomic.Bool  // that deadline is net/http's way to wake its own Read
	until    atomic.Int64 // the write deadline, unix nanoseconds
}

func (c *visitorConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.late.Store(timedOut(err) && !c.aborting.Load())
	} else if c.late.Load() {
		c.late.Store(false)
	}
	return n, err
}

// Write moves the deadline at most every quarter of it.
func (c *visitorConn) Write(p []byte) (int, error) {
	now := time.Now()
	if c.until.Load()-now.UnixNano() < int64(writeStall*3/4) {
		until := now.Add(writeStall)
		if err := c.Conn.SetWriteDeadline(until); err != nil {
			return 0, err
		}
		c.until.Store(until.UnixNano())
	}
	return c.Conn.Write(p)
}

// SetReadDeadline notes the deadlines in 1970 by which net/http ends the Read
// that watches for a visitor's leave: nobody is late then, and the next
// request may be waiting in a buffer.
func (c *visitorConn) SetReadDeadline(t time.Time) error {
	c.aborting.Store(!t.IsZero() && t.Unix() < 1000)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline leaves the deadline to Write where net/http takes its own
// back, which it does after each request.
func (c *visitorConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite is what net/http closes gently with.
func (c *visitorConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// answerTimeout is the server's ConnState hook. net/http calls it with
// StateActive once it is done with a header section of which at least one
// byte came, for better or worse; if the last Read was late, it is about to
// hang up without a word.
func answerTimeout(c net.Conn, state http.ConnState) {
	if state != http.StateActive {
		return
	}
	under := c
	t, overTLS := c.(*tls.Conn)
	if overTLS {
		under = t.NetConn()
	}
	if vc, ok := under.(*visitorConn); !ok || !vc.late.Load() || overTLS && t.ConnectionState().NegotiatedProtocol == "h2" {
		return
	}
	c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n")
}
