package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/cachepolicy"
)

// Leases let one edge fetch what several miss: the fetch of a key is leased
// in Redis under PREFIX:edge:l:KEY, for at most its deadline, and the end of
// a lease is told on the channel PREFIX:edge:released. Nobody polls: but for
// each term those who wait see whether the holder has renewed its lease, so
// that one that is gone holds nobody for longer. A lost lease, or a lost
// message, costs at most one fetch more.
type Leases struct {
	client  redis.UniversalClient
	breaker *breaker
	bus     *bus
	queue   *queue
	prefix  string
	channel string

	closed  atomic.Bool // nothing is renewed any more
	mu      sync.Mutex
	waiters map[cachepolicy.Key][]chan Outcome
}

// Outcome says how the fetch that somebody waited for has ended.
type Outcome uint8

// The outcomes.
const (
	// LookAgain: nothing is known, or the time is over. Look up, and if
	// nothing is there, acquire.
	LookAgain Outcome = iota
	// Stored: the response is there to be looked up.
	Stored
	// Uncacheable: the response is not for sharing; everybody for himself.
	Uncacheable
	// Abandoned: this once there was nothing to share; everybody for himself.
	Abandoned
)

// leaseTerm is how long a lease lasts unless its holder renews it, which it
// does in each third of that.
const leaseTerm = 2 * time.Second

// Lease is the right to be the one who fetches.
type Lease struct {
	leases *Leases
	key    cachepolicy.Key
	token  string // "" where Redis was not there to be asked
	once   sync.Once

	until   time.Time   // when it ends at the latest
	renewal *time.Timer // nil where the first term is the last
	over    atomic.Bool
}

func newLeases(o *Options, b *breaker, bus *bus, q *queue) *Leases {
	l := &Leases{
		client: o.Client, breaker: b, bus: bus, queue: q,
		prefix: o.base() + "l:", channel: o.base() + "released",
		waiters: make(map[cachepolicy.Key][]chan Outcome),
	}
	bus.on(l.channel, l.message)
	bus.onConnect = append(bus.onConnect, l.wakeAll)
	return l
}

func (l *Leases) name(key cachepolicy.Key) string {
	return l.prefix + base64.RawURLEncoding.EncodeToString(key[:])
}

// Acquire asks for the lease of key, which ends after d if it is not released
// before, and soon where the holder is gone. Held says that the caller is the one to fetch; it looks up once more
// first, for the lease may have been released just after a Put. Where Redis
// cannot be asked everybody holds a lease, at once: each edge goes on alone.
// Not held, the caller may Wait. The error is ctx's.
func (l *Leases) Acquire(ctx context.Context, key cachepolicy.Key, d time.Duration) (lease *Lease, held bool, err error) {
	token := rand.Text()
	name := l.name(key)
	until := time.Now().Add(d)
	err = l.breaker.write(ctx, name, func(ctx context.Context) error {
		held, err = l.client.SetNX(ctx, name, token, max(min(d, leaseTerm), time.Millisecond)).Result()
		return err
	})
	switch {
	case err == nil && !held:
		return nil, false, nil
	case err == nil:
		lease = &Lease{leases: l, key: key, token: token, until: until}
		if d > leaseTerm {
			lease.renewal = time.AfterFunc(d, lease.renew)
			lease.renewal.Reset(leaseTerm / 3) // once renew can see it
		}
		return lease, true, nil
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	}
	return &Lease{leases: l, key: key}, true, nil
}

// Alone says that Redis could not be asked: other edges may fetch the same.
func (l *Lease) Alone() bool { return l.token == "" }

// renewScript lengthens a lease that is still the caller's. ARGV: 1 token, 2
// milliseconds.
var renewScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

// renew begins the next term. A lease that was lost is not taken back: another
// may be about to.
func (l *Lease) renew() {
	left := time.Until(l.until)
	if left <= 0 || l.over.Load() || l.leases.closed.Load() {
		return
	}
	name, kept := l.leases.name(l.key), int64(1)
	// What Redis cannot be told now it is told the next time.
	_ = l.leases.breaker.do(context.Background(), name, func(ctx context.Context) (err error) {
		kept, err = renewScript.Run(ctx, l.leases.client, []string{name}, l.token, min(left, leaseTerm).Milliseconds()+1).Int64()
		if err != nil {
			kept = 1
		}
		return err
	})
	if kept == 0 {
		return
	}
	l.renewal.Reset(leaseTerm / 3)
	if l.over.Load() {
		l.renewal.Stop()
	}
}

// close ends all renewals.
func (l *Leases) close() { l.closed.Store(true) }

// releaseScript ends a lease that is nobody else's by now, and says so.
// ARGV: 1 token, 2 channel, 3 message.
var releaseScript = redis.NewScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
`)

// Release ends the lease, at most once: with stored after the Put, without as
// soon as it is known that there is nothing to store. It returns at once; what
// was Put before is in Redis before the others hear of it.
func (l *Lease) Release(stored bool) {
	if l.token == "" {
		return
	}
	l.once.Do(func() {
		outcome := Uncacheable
		if stored {
			outcome = Stored
		}
		l.end(outcome)
	})
}

// Abandon ends the lease where the fetch has failed, or its answer says nothing
// of the page.
func (l *Lease) Abandon() {
	if l.token == "" {
		return
	}
	l.once.Do(func() { l.end(Abandoned) })
}

// Yield ends the lease where this edge could not even ask: the next may try.
func (l *Lease) Yield() {
	if l.token == "" {
		return
	}
	l.once.Do(func() { l.end(LookAgain) })
}

func (l *Lease) end(outcome Outcome) {
	l.over.Store(true)
	if l.renewal != nil {
		l.renewal.Stop()
	}
	run := func() {
		name := l.leases.name(l.key)
		message := string(append(l.key[:], byte(outcome)))
		// A release that fails leaves the lease to its deadline.
		_ = l.leases.breaker.do(context.Background(), name, func(ctx context.Context) error {
			return releaseScript.Run(ctx, l.leases.client, []string{name},
				l.token, l.leases.channel, message).Err()
		})
	}
	l.leases.queue.then(l.key, run)
}

// Wait waits for the end of key's lease: by message, by the end of a term in
// which it was not renewed, or by ctx, whose error it then gives. Where Redis
// is not there it says LookAgain at once.
func (l *Leases) Wait(ctx context.Context, key cachepolicy.Key) (Outcome, error) {
	woken := make(chan Outcome, 1)
	l.mu.Lock()
	l.waiters[key] = append(l.waiters[key], woken)
	l.mu.Unlock()
	defer l.leave(key, woken)
	for {
		// The lease may have been released between the caller's Acquire and the
		// lines above, and the message come too early to be heard: look now
		// that it would be heard.
		left, err := l.left(ctx, key)
		if err != nil || left < 0 {
			select {
			case outcome := <-woken:
				return outcome, nil
			default:
				return LookAgain, ctx.Err()
			}
		}
		term := time.NewTimer(left + time.Millisecond) // Redis cuts it to one
		select {
		case outcome := <-woken:
			term.Stop()
			return outcome, nil
		case <-term.C:
		case <-ctx.Done():
			term.Stop()
			return LookAgain, ctx.Err()
		}
	}
}

// left is how long key's lease still holds, negative if it does not.
func (l *Leases) left(ctx context.Context, key cachepolicy.Key) (left time.Duration, err error) {
	name := l.name(key)
	err = l.breaker.do(ctx, name, func(ctx context.Context) error {
		left, err = l.client.PTTL(ctx, name).Result()
		return err
	})
	if err == redis.Nil {
		err = nil
	}
	return left, err
}

func (l *Leases) leave(key cachepolicy.Key, woken chan Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.waiters[key]
	for i, w := range list {
		if w == woken {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(l.waiters, key)
	} else {
		l.waiters[key] = list
	}
}

// message wakes those who wait for the key in payload: 32 bytes of key, one
// of outcome.
func (l *Leases) message(payload string) {
	var key cachepolicy.Key
	if len(payload) != len(key)+1 || Outcome(payload[len(key)]) > Abandoned {
		return
	}
	copy(key[:], payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake(key, Outcome(payload[len(key)]))
}

// wakeAll is for after messages may have been lost.
func (l *Leases) wakeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.waiters {
		l.wake(key, LookAgain)
	}
}

// wake is called with mu held. Each waiter is told once.
func (l *Leases) wake(key cachepolicy.Key, outcome Outcome) {
	for _, woken := range l.waiters[key] {
		select {
		case woken <- outcome:
		default:
		}
	}
}
