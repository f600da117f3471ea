package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// AccessOptions sets up an [Access].
type AccessOptions struct {
	// Log takes one entry a request, best one of NewAccessCore; nil: no
	// access log, at no cost.
	Log zapcore.Core
	// Metrics counts; nil: nothing does.
	Metrics *Metrics
	// Events hears of each request while anybody listens; may be nil.
	Events *Events
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Access sees every answer: it logs, counts and tells it. All that it says
// comes from the Exchange's one Status. It is safe for concurrent use.
type Access struct {
	log     zapcore.Core
	metrics *Metrics
	events  *Events
	now     func() time.Time
	pool    sync.Pool
}

// NewAccess returns an Access.
func NewAccess(o AccessOptions) *Access {
	a := &Access{log: o.Log, metrics: o.Metrics, events: o.Events, now: o.Now}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log != nil && !a.log.Enabled(zapcore.InfoLevel) {
		a.log = nil
	}
	a.pool.New = func() any {
		r := new(Recorder)
		r.fields[0] = zap.Inline(&r.line)
		return r
	}
	return a
}

// NewLogSink buffers a log so that a request costs no system call: what is
// written goes out when 256 KiB have come together, or within a second. Stop
// it at the end; it writes out what is left.
func NewLogSink(to zapcore.WriteSyncer) *zapcore.BufferedWriteSyncer {
	return &zapcore.BufferedWriteSyncer{WS: to, Size: 256 << 10, FlushInterval: time.Second}
}

// Recorder is a ResponseWriter that remembers what was answered. It belongs
// to one request: after End it must not be touched.
type Recorder struct {
	http.ResponseWriter
	// Upstream is how long the app took to answer, zero if it was not asked.
	Upstream time.Duration

	conn   *visitorConn
	status int
	bytes  int64
	fields [1]zapcore.Field
	line   line
}

// Begin returns the writer that the chain answers x on. End must follow.
func (a *Access) Begin(w http.ResponseWriter, x *Exchange) *Recorder {
	r := a.pool.Get().(*Recorder)
	r.ResponseWriter, r.Upstream, r.status, r.bytes = w, 0, 0, 0
	if w != nil && !hasBody(x.R) { // who reads content may write "100 Continue" beside us
		r.conn = connOf(x.R)
	}
	if a.metrics != nil {
		a.metrics.inFlight.Add(1)
	}
	return r
}

// End logs, counts and tells what was answered.
func (a *Access) End(r *Recorder, x *Exchange) {
	took := a.now().Sub(x.Start)
	code := r.status
	if code == 0 {
		code = http.StatusInternalServerError // a panic: the connection is cut
		if x.R.Context().Err() != nil {
			code = statusClientGone
		}
	}
	verdict := verdictOf(&x.Status, code)
	route := "-"
	if x.Route != nil {
		route = x.Route.Name()
	}
	if a.metrics != nil {
		a.metrics.inFlight.Add(-1)
		a.metrics.observe(x, observation{route: route, verdict: verdict, code: code, bytes: r.bytes, took: took})
	}
	if a.log != nil || a.events.Listening() {
		r.line = line{x: x, route: route, verdict: verdict, code: code, bytes: r.bytes, took: took, upstream: r.Upstream}
		if a.log != nil {
			_ = a.log.Write(zapcore.Entry{Level: zapcore.InfoLevel, Time: x.Start, LoggerName: "access", Message: "request"}, r.fields[:])
		}
		if a.events.Listening() {
			a.events.Publish(EventRequest, x.Start, r.line.event())
		}
		r.line = line{}
	}
	r.ResponseWriter, r.conn = nil, nil
	a.pool.Put(r)
}

// line is one request in the access log.
type line struct {
	x              *Exchange
	route          string
	verdict        verdict
	code           int
	bytes          int64
	took, upstream time.Duration
	buf            [48]byte // room for an address
}

// MarshalLogObject implements zapcore.ObjectMarshaler. No field of the header
// section goes into the log, so that no cookie and no Authorization can.
func (l *line) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	x := l.x
	enc.AddString("method", x.R.Method)
	enc.AddString("host", x.R.Host)
	enc.AddString("path", redacted(x.R.RequestURI))
	enc.AddInt("status", l.code)
	enc.AddInt64("bytes", l.bytes)
	enc.AddFloat64("ms", milliseconds(l.took))
	enc.AddString("verdict", l.verdict.String())
	if x.Status.Detail != cachepolicy.None {
		enc.AddString("reason", reasonName(x.Status.Detail))
	}
	if x.Tier != store.TierNone {
		enc.AddString("tier", tierName(x.Tier))
	}
	enc.AddString("route", l.route)
	enc.AddString("id", x.ID)
	if l.upstream > 0 {
		enc.AddFloat64("upstream_ms", milliseconds(l.upstream))
	}
	if x.Client.IsValid() {
		enc.AddByteString("client", x.Client.AppendTo(l.buf[:0]))
	}
	if s := x.Ask.Identity.Session; s != "" {
		enc.AddString("session", short(s))
	}
	return nil
}

func (l *line) event() RequestEvent {
	x := l.x
	path, _, _ := strings.Cut(redacted(x.R.RequestURI), "?") // a query may hold a secret
	ev := RequestEvent{
		ID: x.ID, Method: x.R.Method, Host: x.R.Host, Path: path, Status: l.code, Bytes: l.bytes,
		MS: milliseconds(l.took), Verdict: l.verdict.String(), Tier: tierName(x.Tier), Route: l.route,
		Session: short(x.Ask.Identity.Session), User: x.Ask.Identity.Owner,
	}
	if x.Visitor != nil && ev.User == "" { // a public page takes no identity, and who watches wants one
		who := x.Visitor.Identity()
		ev.Session, ev.User = short(who.Session), who.Owner
	}
	if x.Status.Detail != cachepolicy.None {
		ev.Reason = reasonName(x.Status.Detail)
	}
	if x.Client.IsValid() {
		ev.Client = x.Client.String()
	}
	return ev
}

// milliseconds keeps three digits after the point: microseconds.
func milliseconds(d time.Duration) float64 { return float64(d/time.Microsecond) / 1000 }

// short is enough of a digest to tell sessions apart in a log.
func short(digest string) string { return digest[:min(len(digest), 12)] }

// reasonName is the reason's word in Cache-Status, log, metrics and events.
func reasonName(r cachepolicy.Reason) string { return r.String() }

func tierName(t store.Tier) string {
	switch t {
	case store.TierMemory:
		return "memory"
	case store.TierRedis:
		return "redis"
	}
	return ""
}

// Status is the status written so far, 0 before.
func (r *Recorder) Status() int { return r.status }

// WriteHeader implements http.ResponseWriter. 1xx but 101 are not the answer.
func (r *Recorder) WriteHeader(code int) {
	if r.status == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		r.status = code
		if h := r.Header(); len(h["Content-Type"]) == 0 {
			h["Content-Type"] = nil // net/http would guess, and a gateway does not
		}
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (r *Recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	var n int
	var err error
	if r.conn != nil && len(p) > gatherFrom {
		n, err = r.conn.gather(r.ResponseWriter.Write, p)
	} else {
		n, err = r.ResponseWriter.Write(p)
	}
	r.bytes += int64(n)
	return n, err
}

// gatherFrom is the size of net/http's buffer for content, in bytes: what is
// larger goes out before its Write returns.
const gatherFrom = 2 << 10

// WriteString implements io.StringWriter.
func (r *Recorder) WriteString(s string) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.WriteString(r.ResponseWriter, s)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, by the connection's own where it has one.
func (r *Recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src)
	r.bytes += n
	return n, err
}

// Flush implements http.Flusher; it does nothing where the connection cannot.
func (r *Recorder) Flush() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_ = http.NewResponseController(r.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker where the connection does. Whoever takes it
// writes 101 there.
func (r *Recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Unwrap is for http.ResponseController.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

var (
	_ http.Flusher  = (*Recorder)(nil)
	_ http.Hijacker = (*Recorder)(nil)
	_ io.ReaderFrom = (*Recorder)(nil)
)
