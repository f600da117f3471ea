package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/cachepolicy"
)

// Leases let one edge fetch what several miss: the fetch of a key is leased
// in Redis under PREFIX:edge:l:KEY, for at most its deadline, and the end of
// a lease is told on the channel PREFIX:edge:released. Nobody polls. A lost
// lease, or a lost message, costs at most one fetch more.
type Leases struct {
	client  redis.UniversalClient
	breaker *breaker
	bus     *bus
	queue   *queue
	prefix  string
	channel string

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
)

// Lease is the right to be the one who fetches.
type Lease struct {
	leases *Leases
	key    cachepolicy.Key
	token  string // "" where Redis was not there to be asked
	once   sync.Once
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
// before. Held says that the caller is the one to fetch; it looks up once more
// first, for the lease may have been released just after a Put. Where Redis
// cannot be asked everybody holds a lease, at once: each edge goes on alone.
// Not held, the caller may Wait. The error is ctx's.
func (l *Leases) Acquire(ctx context.Context, key cachepolicy.Key, d time.Duration) (lease *Lease, held bool, err error) {
	token := rand.Text()
	name := l.name(key)
	err = l.breaker.write(ctx, name, func(ctx context.Context) error {
		held, err = l.client.SetNX(ctx, name, token, max(d, time.Millisecond)).Result()
		return err
	})
	switch {
	case err == nil && !held:
		return nil, false, nil
	case err == nil:
		return &Lease{leases: l, key: key, token: token}, true, nil
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	}
	return &Lease{leases: l, key: key}, true, nil
}

// Alone says that Redis could not be asked: other edges may fetch the same.
func (l *Lease) Alone() bool { return l.token == "" }

// releaseScript ends a lease that is still the caller's, and says so.
// ARGV: 1 token, 2 channel, 3 message.
var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
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

// Abandon ends the lease with nothing known: the fetch has failed, and the
// next may try.
func (l *Lease) Abandon() {
	if l.token == "" {
		return
	}
	l.once.Do(func() { l.end(LookAgain) })
}

func (l *Lease) end(outcome Outcome) {
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

// Wait waits for the end of key's lease: by message, by the lease's own
// deadline, or by ctx, whose error it then gives. While no messages arrive
// it waits for them to, or for the deadline; where Redis is not there it says
// LookAgain at once.
func (l *Leases) Wait(ctx context.Context, key cachepolicy.Key) (Outcome, error) {
	woken := make(chan Outcome, 1)
	l.mu.Lock()
	l.waiters[key] = append(l.waiters[key], woken)
	l.mu.Unlock()
	defer l.leave(key, woken)
	// The lease may have been released between the caller's Acquire and the
	// lines above, and the message come too early to be heard: look once,
	// now that it would be heard.
	left, err := l.left(ctx, key)
	if err != nil || left <= 0 {
		select {
		case outcome := <-woken:
			return outcome, nil
		default:
			return LookAgain, ctx.Err()
		}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case outcome := <-woken:
		return outcome, nil
	case <-timer.C:
		return LookAgain, nil
	case <-ctx.Done():
		return LookAgain, ctx.Err()
	}
}

// left is how long key's lease still holds, 0 if it does not.
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
	if len(payload) != len(key)+1 || Outcome(payload[len(key)]) > Uncacheable {
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
