package sessions

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

// perIP bounds how fast one address can make anonymous records: a token
// bucket each, on this edge, at most mostIPs of them.
type perIP struct {
	mu sync.Mutex
	m  map[netip.Prefix]bucket
}

type bucket struct {
	level float64
	at    int64
}

const mostIPs = 1 << 16

// allow takes one token of ip's bucket. An IPv6 visitor is its /64.
func (p *perIP) allow(ip string, rate Rate, now int64) bool {
	if rate.N < 0 || rate.Per <= 0 {
		return true
	}
	var key netip.Prefix // whoever has no address shares one bucket
	if a, err := netip.ParseAddr(ip); err == nil {
		bits := 32
		if a = a.Unmap(); a.Is6() {
			bits = 64
		}
		key, _ = a.WithZone("").Prefix(bits)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	full := float64(rate.N)
	b, has := p.m[key]
	if !has {
		b = bucket{level: full, at: now}
		if p.m == nil {
			p.m = make(map[netip.Prefix]bucket)
		}
		if len(p.m) >= mostIPs {
			p.thin(rate, now)
		}
	}
	b.level = min(full, b.level+full*float64(max(now-b.at, 0))/float64(rate.Per.Milliseconds()))
	b.at = max(now, b.at)
	ok := b.level >= 1
	if ok {
		b.level--
	}
	p.m[key] = b
	return ok
}

// thin forgets full buckets, and some others if that is not enough.
func (p *perIP) thin(rate Rate, now int64) {
	for k, b := range p.m {
		if now-b.at >= rate.Per.Milliseconds() {
			delete(p.m, k)
		}
	}
	for k := range p.m {
		if len(p.m) < mostIPs*3/4 {
			return
		}
		delete(p.m, k)
	}
}

// told remembers what the log has been told lately, so that a state takes a
// line and not one for each request in it.
type told struct {
	mu sync.Mutex
	m  map[string]time.Time
}

const (
	tellEvery = time.Minute
	mostTold  = 256
)

// again reports whether what may be told now.
func (d *told) again(what string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last, has := d.m[what]; has && now.Sub(last) < tellEvery {
		return false
	}
	if d.m == nil || len(d.m) >= mostTold {
		d.m = make(map[string]time.Time)
	}
	d.m[what] = now
	return true
}

// tooMuch counts cookies of the app that went over a limit, and logs their
// names, never their values.
func (t *Terminator) tooMuch(why Reason, names []string) {
	for _, name := range names {
		t.count(why)
		if t.told.again(why.String()+" "+name, t.opt().Now()) {
			t.opt().Logger.Warn("a cookie of the app is over a limit and was left out",
				zap.String("limit", why.String()), zap.String("cookie", name))
		}
	}
}

// admit says whether this address may have another anonymous record.
func (t *Terminator) admit(_ context.Context, ip string) bool {
	if t.perIP.allow(ip, t.opt().Limits.NewPerIP, t.opt().Now().UnixMilli()) {
		return true
	}
	t.count(TooManyPerIP)
	return false
}

// admitRecord counts an anonymous record among all there are.
func (t *Terminator) admitRecord(ctx context.Context, r *record) (bool, error) {
	now := t.opt().Now().UnixMilli()
	until := now + t.ttl(r, now).Milliseconds()
	n, err := t.run(ctx, scriptAdmit, t.anonKey(), r.session, until, now, t.opt().Limits.MaxAnonymous).Int()
	if err != nil {
		return false, t.unavailable(err)
	}
	return n == 1, nil
}
