package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"umbral/cachepolicy"
)

// LimiterOptions sets up a [Limiter].
type LimiterOptions struct {
	// Redis counts for all edges together; nil: each edge for itself.
	Redis redis.UniversalClient
	// Prefix is CACHE_KEY_PREFIX; keys begin with Prefix + ":edge:rl:".
	Prefix string
	// Secret keys the digests that stand for addresses and sessions.
	Secret []byte
	// Timeout is the longest that a request waits for Redis; 100 ms if zero.
	Timeout time.Duration
	// Logger is told when Redis goes and comes; nil: nobody is.
	Logger *zap.Logger
	// MaxInFlight bounds the requests in flight on this edge; 8192 if zero.
	MaxInFlight int64
	// Now is the clock of what is counted here; time.Now if nil.
	Now func() time.Time
}

// Limiter counts requests for the routes that have a Limit: in Redis, and
// here while Redis cannot be asked. It is safe for concurrent use.
type Limiter struct {
	// Gate bounds the requests in flight on this edge.
	Gate
	shared  *redis_rate.Limiter
	prefix  string
	secret  []byte
	timeout time.Duration
	logger  *zap.Logger
	now     func() time.Time
	local   buckets
	// downUntil: Redis is not asked before, in unix nanoseconds; 0 while it
	// answers.
	downUntil atomic.Int64
}

// retryRedis is how long a Redis that failed is left alone.
const retryRedis = time.Second

// NewLimiter returns a Limiter.
func NewLimiter(o LimiterOptions) *Limiter {
	l := &Limiter{prefix: o.Prefix + ":edge:rl:", secret: o.Secret, timeout: o.Timeout, logger: o.Logger, now: o.Now}
	setDefault(&o.MaxInFlight, 8192)
	l.Most = o.MaxInFlight
	if o.Redis != nil {
		l.shared = redis_rate.NewLimiter(ownKeys{o.Redis})
	}
	if l.timeout == 0 {
		l.timeout = 100 * time.Millisecond
	}
	if l.logger == nil {
		l.logger = zap.NewNop()
	}
	if l.now == nil {
		l.now = time.Now
	}
	return l
}

// ownKeys takes redis_rate's own prefix off the keys: every key of ours
// begins with CACHE_KEY_PREFIX.
type ownKeys struct{ redis.UniversalClient }

func own(keys []string) []string {
	return []string{strings.TrimPrefix(keys[0], "rate:")}
}

func (c ownKeys) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return c.UniversalClient.Eval(ctx, script, own(keys), args...)
}

func (c ownKeys) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return c.UniversalClient.EvalSha(ctx, sha1, own(keys), args...)
}

// Allowance is what a limit says of one request. The zero Allowance is that
// of a route without a limit.
type Allowance struct {
	Limit     *Limit
	Denied    bool
	Remaining int
	// Reset is when all is allowed again, Retry when one request is.
	Reset, Retry time.Duration
}

// Allow counts x against its route's limit. It waits for Redis until ctx's
// deadline at most, and no longer than the Limiter's Timeout. The caller shows the outcome with Fields, and
// answers with Refusal where that is not nil.
func (l *Limiter) Allow(ctx context.Context, x *Exchange) Allowance {
	limit := x.limited().Limit
	if limit == nil || limit.Rate <= 0 || limit.Per <= 0 {
		return Allowance{}
	}
	now := l.now()
	digest := l.subject(x, limit)
	if l.shared != nil && now.UnixNano() >= l.downUntil.Load() {
		if a, ok := l.askRedis(ctx, digest, limit, now); ok {
			return a
		}
	}
	return l.local.allow(digest, limit, now)
}

// subject is the digest of whom x counts for: never the address or the
// session itself. Who has no session or user counts by address.
func (l *Limiter) subject(x *Exchange, limit *Limit) [16]byte {
	mac := hmac.New(sha256.New, l.secret)
	field := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		mac.Write(n[:])
		mac.Write([]byte(s))
	}
	field(x.limited().Rule.Pattern)
	id := &x.Ask.Identity
	switch {
	case limit.By == ByUser && id.User != "":
		field("user")
		field(id.User)
	case limit.By != ByIP && id.Session != "":
		field("session")
		field(id.Session)
	default:
		field("ip")
		field(network(x.Client))
	}
	return [16]byte(mac.Sum(nil))
}

// network is what one visitor can be held to own: an IPv4 address, or a /64.
func network(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return addr.String()
	}
	return p.String()
}

// askRedis counts in Redis; ok is false where Redis did not say.
func (l *Limiter) askRedis(ctx context.Context, digest [16]byte, limit *Limit, now time.Time) (a Allowance, ok bool) {
	timeout := l.timeout
	if by, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(by))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	key := l.prefix + base64.RawURLEncoding.EncodeToString(digest[:])
	res, err := l.shared.Allow(ctx, key, redis_rate.Limit{Rate: limit.Rate, Burst: limit.Rate, Period: limit.Per})
	if err != nil {
		if l.downUntil.Swap(now.Add(retryRedis).UnixNano()) == 0 {
			l.logger.Warn("rate limits are counted on this edge alone", zap.Error(err))
		}
		return Allowance{}, false
	}
	if l.downUntil.Load() != 0 && l.downUntil.Swap(0) != 0 {
		l.logger.Info("rate limits are shared again")
	}
	return Allowance{
		Limit: limit, Denied: res.Allowed == 0, Remaining: res.Remaining,
		Reset: res.ResetAfter, Retry: max(res.RetryAfter, 0),
	}, true
}

// Fields sets RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers)
// on an answer.
func (a Allowance) Fields(h http.Header) {
	if a.Limit == nil {
		return
	}
	name := [...]string{ByIP: `"ip"`, BySession: `"session"`, ByUser: `"user"`}[a.Limit.By]
	h["Ratelimit-Policy"] = []string{name + ";q=" + strconv.Itoa(a.Limit.Rate) + ";w=" + seconds(a.Limit.Per)}
	h["Ratelimit"] = []string{name + ";r=" + strconv.Itoa(a.Remaining) + ";t=" + seconds(a.Reset)}
}

// Refusal is the answer to a request over the limit, nil for one within.
func (a Allowance) Refusal() *Refusal {
	if !a.Denied {
		return nil
	}
	return &Refusal{Status: http.StatusTooManyRequests, Reason: cachepolicy.RateLimited, RetryAfter: max(a.Retry, time.Second)}
}

// seconds rounds up, as a promise must.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// buckets counts on this edge, by the same algorithm as Redis does (GCRA):
// for each subject the one time at which all it has used is paid back. Memory
// is bounded: two generations of at most bucketsMost entries, 2 MiB in all.
// Who is forgotten with the older generation starts afresh.
type buckets struct {
	mu       sync.Mutex
	now, old map[[16]byte]int64
}

const bucketsMost = 16 << 10

func (b *buckets) allow(subject [16]byte, limit *Limit, now time.Time) Allowance {
	interval := max(int64(limit.Per)/int64(limit.Rate), 1)
	burst := interval * int64(limit.Rate)
	b.mu.Lock()
	defer b.mu.Unlock()
	t := now.UnixNano()
	paid, ok := b.now[subject]
	if !ok {
		paid = b.old[subject]
	}
	next := max(paid, t) + interval
	a := Allowance{Limit: limit}
	if room := t - (next - burst); room < 0 {
		a.Denied, a.Retry, a.Reset = true, time.Duration(-room), time.Duration(max(paid, t)-t)
		return a
	} else {
		a.Remaining, a.Reset = int(room/interval), time.Duration(next-t)
	}
	if b.now == nil || len(b.now) >= bucketsMost && !ok {
		b.old, b.now = b.now, make(map[[16]byte]int64)
	}
	b.now[subject] = next
	return a
}

// Gate bounds the requests in flight on this edge. The zero Gate lets
// everything through.
type Gate struct {
	// Most is the bound; 0: none.
	Most int64
	n    atomic.Int64
}

// Enter lets one request in, which must Leave, or returns ErrOverloadedEdge.
func (g *Gate) Enter() error {
	if n := g.n.Add(1); g.Most > 0 && n > g.Most {
		g.n.Add(-1)
		return ErrOverloadedEdge
	}
	return nil
}

// Leave ends what Enter let in.
func (g *Gate) Leave() { g.n.Add(-1) }

// InFlight is how many are in.
func (g *Gate) InFlight() int64 { return g.n.Load() }
