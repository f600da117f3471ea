package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
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
	// With certificates net/http has it up to 4 KiB larger in HTTP/1.1, and in
	// HTTP/2 counts by RFC 9113 §6.5.2, 32 bytes more a field.
	MaxHeaderBytes int
	// MaxStreams bounds the requests at once on one HTTP/2 connection, 128
	// if zero.
	MaxStreams int
	// Logger gets net/http's own complaints, at debug; nil: nobody does.
	Logger *zap.Logger
}

// headerSlop is what net/http lets a header section be above MaxHeaderBytes:
// it bounds what is read, and leaves room for what is read ahead. None is
// needed, for it looks at the bound only where the section is not complete.
const headerSlop = 4 << 10

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
		ConnState:                    followState,
		ConnContext:                  withConn,
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
		s.MaxHeaderBytes = max(o.MaxHeaderBytes-headerSlop, 1)
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
