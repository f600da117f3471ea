package store

import (
	"context"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/cachepolicy"
)

// values is the tier in Redis: one string per entry, under
// PREFIX:edge:c:KEY, for as long as the entry is kept. Every method is one
// command, and one round trip.
type values struct {
	client  redis.UniversalClient
	prefix  string
	breaker *breaker
	codec   *codec
	ring    *atomic.Pointer[keyring]

	gets, hits, sets, corrupt, failedSets atomic.Uint64
}

func (v *values) name(key cachepolicy.Key) string {
	b := make([]byte, 0, len(v.prefix)+48)
	b = append(b, v.prefix...)
	b = append(b, "c:"...)
	return string(base64.RawURLEncoding.AppendEncode(b, key[:]))
}

// errForeign says that a value under our key is not ours: it is to be deleted.
var errForeign = errors.New("store: a value that cannot be read")

// load gives what key holds, nil for nothing, and counts that. It does not
// judge.
func (v *values) load(ctx context.Context, key cachepolicy.Key) (*Entry, error) {
	v.gets.Add(1)
	e, err := v.read(ctx, key)
	if e != nil {
		v.hits.Add(1)
		e.FromRedis = true
	}
	return e, err
}

func (v *values) read(ctx context.Context, key cachepolicy.Key) (*Entry, error) {
	name := v.name(key)
	var value []byte
	err := v.breaker.do(ctx, name, func(ctx context.Context) (err error) {
		value, err = v.client.Get(ctx, name).Bytes()
		return err
	})
	switch {
	case err == redis.Nil:
		return nil, nil
	case err != nil && classify(err) == aboutKey:
		v.corrupt.Add(1)
		return nil, errForeign
	case err != nil:
		return nil, err
	}
	e, err := v.codec.decode(key, value, v.ring.Load())
	switch {
	case errors.Is(err, errSealed):
		// Another edge's newer secret may have sealed it, which we are about
		// to learn: it stays.
		v.corrupt.Add(1)
		return nil, nil
	case err != nil:
		v.corrupt.Add(1)
		return nil, errForeign
	}
	return e, nil
}

// jitter is how much of its time a value may lose in Redis, so that what was
// stored in one burst does not end in one. It only ever takes: nothing
// outlives Keep.
const jitter = 0.05

// save writes e, which must have been stamped.
func (v *values) save(ctx context.Context, e *Entry, now time.Time) error {
	left := min(e.Keep, e.StoredAt().Add(e.Keep).Sub(now))
	if e.Index == nil { // which must not end before what it leads to
		left -= time.Duration(float64(left) * jitter * rand.Float64())
	}
	if left < time.Millisecond {
		return nil
	}
	value, err := v.codec.encode(e, v.ring.Load())
	if err != nil {
		v.failedSets.Add(1)
		return err
	}
	name := v.name(e.Key)
	err = v.breaker.write(ctx, name, func(ctx context.Context) error {
		return v.client.Set(ctx, name, value, left).Err()
	})
	if err != nil {
		v.failedSets.Add(1)
		return err
	}
	v.sets.Add(1)
	return nil
}

// writable reports whether a write of key may go well, as far as is known.
func (v *values) writable(key cachepolicy.Key) bool {
	p := v.breaker.part(v.name(key))
	return !p.open.Load() && !p.refusing.Load()
}

func (v *values) remove(ctx context.Context, key cachepolicy.Key) error {
	name := v.name(key)
	return v.breaker.do(ctx, name, func(ctx context.Context) error {
		return v.client.Unlink(ctx, name).Err()
	})
}

// Redis is the Redis tier alone, as a Store that waits for its writes.
type Redis struct {
	values *values
	judge  Judge
	now    func() time.Time
}

// NewRedis makes the tier that o describes; of o only Client, Prefix,
// Secrets, Timeout, Logger, OnState and Clock count. Close ends it, but not
// the client.
func NewRedis(o Options, judge Judge) (*Redis, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	v, err := newValues(&o, newBreaker(o.Client, &o))
	if err != nil {
		return nil, err
	}
	return &Redis{values: v, judge: judge, now: o.Clock}, nil
}

func newValues(o *Options, b *breaker) (*values, error) {
	ring, err := newKeyring(o.Secrets)
	if err != nil {
		return nil, err
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	v := &values{
		client: o.Client, prefix: o.base(), breaker: b, codec: c, ring: &atomic.Pointer[keyring]{},
	}
	v.ring.Store(ring)
	return v, nil
}

// Lookup implements [Store].
func (r *Redis) Lookup(ctx context.Context, key cachepolicy.Key) (*Entry, error) {
	e, err := r.values.load(ctx, key)
	if errors.Is(err, errForeign) {
		return nil, r.values.remove(ctx, key)
	}
	if e == nil || err != nil {
		return nil, err
	}
	if expired(e, r.now()) {
		return nil, nil
	}
	if r.judge.Judge(e) == Dead {
		return nil, r.values.remove(ctx, key)
	}
	return e, nil
}

// Recall implements [Store]: nothing is in this process.
func (r *Redis) Recall(cachepolicy.Key) *Entry { return nil }

// Put implements [Store].
func (r *Redis) Put(ctx context.Context, e *Entry) error {
	if r.judge.Judge(e) == Dead {
		return nil
	}
	e.stamp(r.now())
	return r.values.save(ctx, e, e.StoredAt())
}

// Delete implements [Store].
func (r *Redis) Delete(ctx context.Context, key cachepolicy.Key) error {
	return r.values.remove(ctx, key)
}

// Reload implements [Store]: Lookup finds it anyhow.
func (r *Redis) Reload(context.Context, *Entry) {}

// Close ends the breaker.
func (r *Redis) Close() {
	r.values.breaker.close()
	r.values.codec.close()
}

func expired(e *Entry, now time.Time) bool { return !now.Before(e.StoredAt().Add(e.Keep)) }
