package proxy

import (
	"net/http"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// verdict is the one word that log, metrics and dashboard have for what
// became of a request. It is made of the Exchange's Status.
type verdict uint8

const (
	verdictRefused     verdict = iota // by the edge
	verdictEdge                       // answered by the edge itself
	verdictHit                        // from the store
	verdictStale                      // from the store although stale
	verdictRevalidated                // from the store, the app's 304 said so
	verdictMiss                       // from the app
	verdictBypass                     // from the app, not looked up
	verdictError                      // the app failed, nothing stored would do
	numVerdicts
)

func (v verdict) String() string {
	return [numVerdicts]string{"refused", "edge", "hit", "stale", "revalidated", "miss", "bypass", "error"}[v]
}

func verdictOf(s *cachepolicy.Status, code int) verdict {
	if s.Hit {
		if s.HasTTL && s.TTL < 0 {
			return verdictStale
		}
		return verdictHit
	}
	if s.Fwd == cachepolicy.FwdNone {
		if code < 400 {
			return verdictEdge
		}
		return verdictRefused
	}
	switch s.Detail {
	case cachepolicy.AppUnreachable, cachepolicy.AppError, cachepolicy.AppTimeout, cachepolicy.BadAnswer,
		cachepolicy.Overloaded, cachepolicy.SessionsDown:
		if code < 500 && s.Fwd == cachepolicy.FwdStale {
			return verdictStale
		}
		return verdictError
	}
	switch {
	case s.Fwd == cachepolicy.FwdBypass, s.Fwd == cachepolicy.FwdMethod:
		return verdictBypass
	case s.FwdStatus == http.StatusNotModified && s.Fwd == cachepolicy.FwdStale:
		return verdictRevalidated
	}
	return verdictMiss
}

// metricCodes are the statuses with a series of their own; any other counts
// under its class, "4xx".
var metricCodes = [...]int{
	101, 200, 201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308,
	400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 414, 416, 422, 429, 431, 499,
	500, 501, 502, 503, 504,
}

const numCodes = len(metricCodes) + 6 // and 0xx to 5xx

func codeIndex(code int) int {
	if i := sort.SearchInts(metricCodes[:], code); i < len(metricCodes) && metricCodes[i] == code {
		return i
	}
	class := code / 100
	if class < 0 || class > 5 {
		class = 0
	}
	return len(metricCodes) + class
}

func codeLabel(i int) string {
	if i < len(metricCodes) {
		return strconv.Itoa(metricCodes[i])
	}
	return strconv.Itoa(i-len(metricCodes)) + "xx"
}

var metricMethods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "other",
}

func methodIndex(method string) int {
	for i, m := range metricMethods {
		if m == method {
			return i
		}
	}
	return len(metricMethods) - 1
}

// routesMost bounds the routes with series of their own over the life of the
// process, reloads included; what comes later counts as "other".
const routesMost = 1000

// Metrics counts requests. The hot path is a map lookup and atomic additions;
// Prometheus's own types are made when it asks. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	mu       sync.Mutex // guards additions to routes
	routes   atomic.Pointer[map[string]*routeMetrics]

	inFlight  atomic.Int64
	collapsed atomic.Uint64
	methods   [len(metricMethods)]atomic.Uint64
	reasons   [256]atomic.Uint64 // by cachepolicy.Reason
	tiers     [store.TierRedis + 1]atomic.Uint64

	recentMu sync.Mutex
	recent   recent
}

// routeMetrics is one route's.
type routeMetrics [numVerdicts]struct {
	codes [numCodes]atomic.Uint64
	bytes atomic.Uint64
	took  histogram
}

// NewMetrics returns Metrics with a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.routes.Store(&map[string]*routeMetrics{})
	m.registry.MustRegister(m)
	return m
}

// Register adds what other rooms measure; Origin is such a collector.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// Gauge and Counter add one figure that is asked for when Prometheus does;
// name goes without the prefix "umbral_", which they add.
func (m *Metrics) Gauge(name, help string, value func() float64) error {
	return m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "umbral", Name: name, Help: help}, value))
}

// Counter is like Gauge, for what only grows.
func (m *Metrics) Counter(name, help string, value func() float64) error {
	return m.registry.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "umbral", Name: name, Help: help}, value))
}

// Collapsed is how many requests have waited for another's fetch.
func (m *Metrics) Collapsed() uint64 { return m.collapsed.Load() }

// Handler serves GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Requests is how many requests have been answered.
func (m *Metrics) Requests() (n uint64) {
	for i := range m.methods {
		n += m.methods[i].Load()
	}
	return n
}

// InFlight is how many requests are being answered.
func (m *Metrics) InFlight() int64 { return m.inFlight.Load() }

// observation is what access knows of an answer besides the Exchange.
type observation struct {
	route   string
	verdict verdict
	code    int
	bytes   int64
	took    time.Duration
}

func (m *Metrics) observe(x *Exchange, o observation) {
	v := &m.route(o.route)[o.verdict]
	v.codes[codeIndex(o.code)].Add(1)
	v.bytes.Add(uint64(o.bytes))
	v.took.observe(o.took)
	m.methods[methodIndex(x.R.Method)].Add(1)
	if d := x.Status.Detail; d != cachepolicy.None {
		m.reasons[d].Add(1)
	}
	if int(x.Tier) < len(m.tiers) {
		m.tiers[x.Tier].Add(1)
	}
	if x.Status.Collapsed {
		m.collapsed.Add(1)
	}
}

// route returns the counters of a route, made at its first request.
func (m *Metrics) route(name string) *routeMetrics {
	if r := (*m.routes.Load())[name]; r != nil {
		return r
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := *m.routes.Load()
	if len(known) >= routesMost && known[name] == nil {
		name = "other"
	}
	if r := known[name]; r != nil {
		return r
	}
	grown := make(map[string]*routeMetrics, len(known)+1)
	for k, v := range known {
		grown[k] = v
	}
	r := new(routeMetrics)
	grown[name] = r
	m.routes.Store(&grown)
	return r
}

// histogramBounds are the upper bounds in seconds: from a hit in memory to an
// app that is about to time out.
var histogramBounds = [...]float64{
	.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30,
}

// histogram counts durations. The last bucket is what exceeds every bound.
type histogram struct {
	buckets [len(histogramBounds) + 1]atomic.Uint64
	sum     atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	s := d.Seconds()
	i := 0
	for i < len(histogramBounds) && s > histogramBounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// metric is the histogram as Prometheus has it; ok is false while it is empty.
func (h *histogram) metric(desc *prometheus.Desc, labels ...string) (prometheus.Metric, bool) {
	cumulative := make(map[float64]uint64, len(histogramBounds))
	var n uint64
	for i, bound := range histogramBounds {
		n += h.buckets[i].Load()
		cumulative[bound] = n
	}
	n += h.buckets[len(histogramBounds)].Load()
	if n == 0 {
		return nil, false
	}
	return prometheus.MustNewConstHistogram(desc, n, time.Duration(h.sum.Load()).Seconds(), cumulative, labels...), true
}
