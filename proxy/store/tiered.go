package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"umbral/cachepolicy"
)

// Options says what a store stands on. The zero value of every field but
// Client works.
type Options struct {
	// Client is Redis, as [Connect] makes it. The store does not close it.
	Client redis.UniversalClient
	// LogClient carries the purge log, so that it waits for no page's
	// connection; a pool of 4 is enough. Nil: Client carries it.
	LogClient redis.UniversalClient
	// Prefix is CACHE_KEY_PREFIX; "certificados" if empty.
	Prefix string
	// MemoryBytes bounds the memory tier; 0: none.
	MemoryBytes int64
	// Secrets are EDGE_SECRETS: the first seals personal pages, all open
	// them. Without any, personal pages stay in memory.
	Secrets [][]byte
	// Timeout bounds every exchange with Redis; 500ms if 0.
	Timeout time.Duration
	// LagLimit is purge_lag_limit; 10s if 0.
	LagLimit time.Duration
	// MaxPurges bounds the records of the purge log; 100,000 if 0.
	MaxPurges int
	// QueueBytes bounds the bodies that wait to be written; 32 MiB if 0.
	QueueBytes int64
	// EdgeID names this edge to the others; the host's name and a random
	// part if empty. No two edges may share one.
	EdgeID string
	// Logger gets changes of state, once each; none if nil.
	Logger *zap.Logger
	// OnState is told when Redis goes and comes, one call at a time. It must
	// not block.
	OnState func(State)
	// OnApply is told of every purge applied here, in order, before that is
	// acknowledged. It must be quick, and not call the log.
	OnApply func(Record)
	// Clock is time.Now if nil.
	Clock func() time.Time
}

func (o *Options) complete() error {
	if o.Client == nil {
		return errors.New("store: no Redis client")
	}
	if o.LogClient == nil {
		o.LogClient = o.Client
	}
	o.Prefix = cmp.Or(o.Prefix, "certificados")
	o.Timeout = cmp.Or(o.Timeout, 500*time.Millisecond)
	o.LagLimit = cmp.Or(o.LagLimit, 10*time.Second)
	o.MaxPurges = cmp.Or(o.MaxPurges, 100_000)
	o.QueueBytes = cmp.Or(o.QueueBytes, 32<<20)
	if o.EdgeID == "" {
		host, _ := os.Hostname()
		o.EdgeID = cmp.Or(host, "edge") + "-" + strings.ToLower(rand.Text()[:8])
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return nil
}

// base is what every key begins with.
func (o *Options) base() string { return o.Prefix + ":edge:" }

// Tiered is memory over Redis, made coherent by the purge log.
//
// A Lookup that memory answers makes no call to Redis. A Put is in memory at
// once and goes to Redis behind the visitor's back. Whether Redis is there or
// not never changes what a memory hit gives.
type Tiered struct {
	memory  *memory
	values  *values
	queue   *queue
	breaker *breaker
	log     *Log
	leases  *Leases
	bus     *bus
	now     func() time.Time
	refused atomic.Uint64
}

// Open makes the store without any I/O: Redis may be down. Start sets it to
// work.
func Open(o Options) (*Tiered, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	t := &Tiered{now: o.Clock, breaker: newBreaker(o.Client, &o)}
	var err error
	if t.values, err = newValues(&o, t.breaker); err != nil {
		return nil, err
	}
	t.memory = newMemory(o.MemoryBytes, o.Clock)
	t.queue = newQueue(o.QueueBytes, t.save)
	t.bus = newBus(&o)
	t.log = newLog(&o, t.breaker, t.values.ring, t.bus)
	t.leases = newLeases(&o, t.breaker, t.bus, t.queue)
	return t, nil
}

// Start begins to follow the purge log, and returns at once. Until the log has
// been read the store stores and finds nothing; who would rather wait has the
// log's Begun. It is called once at most.
func (t *Tiered) Start() {
	t.bus.start()
	t.log.start()
}

// Close writes what waits to be written, takes leave of the other edges and
// ends everything that the store started, in the time that ctx gives.
func (t *Tiered) Close(ctx context.Context) error {
	t.leases.close()
	err := t.queue.close(ctx)
	t.log.close(ctx)
	t.bus.close(ctx)
	t.breaker.close()
	t.memory.close()
	if err == nil {
		t.values.codec.close()
	}
	return err
}

// Log is the purge log that the store obeys.
func (t *Tiered) Log() *Log { return t.log }

// Leases collapse fetches over all edges.
func (t *Tiered) Leases() *Leases { return t.leases }

// SetSecrets replaces EDGE_SECRETS.
func (t *Tiered) SetSecrets(secrets [][]byte) error {
	ring, err := newKeyring(secrets)
	if err == nil {
		t.values.ring.Store(ring)
	}
	return err
}

// Lookup implements [Store]. Its error is ErrUnavailable, or ctx's own; a
// memory hit has none.
func (t *Tiered) Lookup(ctx context.Context, key cachepolicy.Key) (*Entry, error) {
	if e := t.Recall(key); e != nil {
		return e, nil
	}
	return t.lookupBelow(ctx, key)
}

// Recall implements [Store].
func (t *Tiered) Recall(key cachepolicy.Key) *Entry {
	e := t.memory.lookup(key)
	if e != nil && t.log.Judge(e) == Dead {
		// Another edge may have stored a newer one since the purge.
		t.memory.forget(e)
		return nil
	}
	return e
}

func (t *Tiered) lookupBelow(ctx context.Context, key cachepolicy.Key) (*Entry, error) {
	waiting, mark := t.queue.waiting(key)
	if waiting != nil {
		if expired(waiting, t.now()) || t.log.Judge(waiting) == Dead {
			return nil, nil // a deletion too: what Redis holds is older
		}
		return waiting, nil
	}
	if t.log.Position().Epoch == 0 {
		// Without the log nothing in Redis can be judged.
		return nil, ErrUnavailable
	}
	e, err := t.values.load(ctx, key)
	switch {
	case errors.Is(err, errForeign):
		t.removeLater(key)
		return nil, nil
	case err != nil:
		return nil, err
	case e == nil || expired(e, t.now()):
		return nil, nil
	}
	if t.log.Judge(e) == Dead {
		// Of another epoch it may be from an edge that knows more than this
		// one does yet: only what a record has killed is deleted.
		if e.Position.Epoch == t.log.Position().Epoch {
			t.removeLater(key)
		}
		return nil, nil
	}
	t.queue.fill(key, mark, func() {
		// A Put since we asked Redis is newer than what it answered.
		if old := t.memory.lookup(key); old == nil || old.Stored <= e.Stored {
			t.memory.put(e)
		}
	})
	return e, nil
}

// Reload implements [Store]: what is in Redis takes the place of e in memory,
// if it is another.
func (t *Tiered) Reload(ctx context.Context, e *Entry) {
	if t.memory.lookup(e.Key) != e {
		return // Lookup finds another already
	}
	waiting, mark := t.queue.waiting(e.Key)
	if waiting != nil {
		return // e itself: it has yet to be written
	}
	other, err := t.values.load(ctx, e.Key)
	if err != nil || other == nil || other.Stored == e.Stored || other.Position.Number < e.Position.Number ||
		expired(other, t.now()) || t.log.Judge(other) == Dead {
		return
	}
	t.queue.fill(e.Key, mark, func() {
		if t.memory.lookup(e.Key) == e {
			t.memory.put(other)
		}
	})
}

// Put implements [Store]. An entry is Put once and must not be changed after.
// It is refused with ErrUnavailable while the purge log is out of reach:
// nobody could tell when it dies. The error is the same where memory has no
// room for such an entry and Redis takes none.
func (t *Tiered) Put(_ context.Context, e *Entry) error {
	now := t.now()
	if e.Position.Epoch == 0 || t.log.Lost(now) {
		t.refused.Add(1)
		return ErrUnavailable
	}
	if e.Keep <= 0 || t.log.Judge(e) == Dead {
		return nil
	}
	e.stamp(now)
	kept := t.memory.put(e)
	queued := t.queue.put(e)
	if !kept && !(queued && t.values.writable(e.Key)) {
		return ErrUnavailable
	}
	return nil
}

// save is the queue's write.
func (t *Tiered) save(e *Entry) {
	if t.log.Judge(e) == Dead {
		return
	}
	if e.Index != nil {
		e = t.outlasting(e)
	}
	// Counted and, where it is a change of state, logged below.
	_ = t.values.save(context.Background(), e, t.now())
}

// outlasting is index e, kept for as long as the one that it replaces in Redis:
// another edge may have put that there, for a variant that outlives all that
// this edge knows.
func (t *Tiered) outlasting(e *Entry) *Entry {
	old, err := t.values.read(context.Background(), e.Key)
	if err != nil || old == nil || old.Index == nil || t.log.Judge(old) == Dead {
		return e
	}
	keep := old.StoredAt().Add(old.Keep).Sub(e.StoredAt())
	if keep <= e.Keep {
		return e
	}
	return &Entry{
		Key: e.Key, Index: e.Index, URL: e.URL, Owner: e.Owner, Position: e.Position,
		Stored: e.Stored, Keep: min(keep, cachepolicy.MaxLife),
	}
}

// Delete implements [Store]: at once in memory, soon in Redis. To make a page
// unreachable on every edge, append to the log.
func (t *Tiered) Delete(_ context.Context, key cachepolicy.Key) error {
	t.queue.delete(key, func() { t.memory.remove(key) },
		func() { _ = t.values.remove(context.Background(), key) })
	return nil
}

// removeLater has what nobody can use removed when there is time.

func (t *Tiered) removeLater(key cachepolicy.Key) {
	t.queue.try(key, func() { _ = t.values.remove(context.Background(), key) })
}

// Tiers gives what each tier holds under key, dead entries too: for explain.
func (t *Tiered) Tiers(ctx context.Context, key cachepolicy.Key) (memory, redis *Entry, err error) {
	memory = t.memory.lookup(key)
	redis, err = t.values.load(ctx, key)
	if errors.Is(err, errForeign) {
		err = nil
	}
	return memory, redis, err
}

// Match notes where the purge log stands, and returns how to count the
// responses of the memory tier that were alive then and that a purge of selectors hits,
// and to list up to urls distinct URLs of the public pages among them, most
// used first. The counting may go on beside the purge itself, or after it.
func (t *Tiered) Match(selectors []Selector, urls int) func() (n int, public []string) {
	at := t.log.Position()
	return func() (n int, public []string) {
		dry := newPurgeIndex()
		dry.add(selectors, ^uint64(0))
		counts := make([]int, min(runtime.GOMAXPROCS(0), 1+t.memory.roll.length()/rowsAtOnce))
		used := make([]map[string]uint32, len(counts)) // hits by URL
		var counting sync.WaitGroup
		for i := range counts {
			counting.Go(func() {
				n, hits := 0, map[string]uint32{}
				t.memory.roll.each(selectors, i, len(counts), func(some []*Entry) {
					some = slices.DeleteFunc(some, func(e *Entry) bool { return e.Response == nil || dry.judge(e) == Alive })
					some = t.log.aliveAt(some, at)
					n += len(some)
					for _, e := range some {
						if urls > 0 && !e.personal() {
							hits[e.URL] = max(hits[e.URL], e.Hits.Load())
						}
					}
				})
				counts[i], used[i] = n, hits
			})
		}
		counting.Wait()
		hits := used[0]
		for i, more := range used {
			n += counts[i]
			for url, k := range more {
				hits[url] = max(hits[url], k)
			}
		}
		public = slices.Collect(maps.Keys(hits))
		slices.SortFunc(public, func(a, b string) int { return cmp.Or(cmp.Compare(hits[b], hits[a]), cmp.Compare(a, b)) })
		return n, public[:min(len(public), urls)]
	}
}

// Stats are the store's figures, counted from the start.
type Stats struct {
	Memory MemoryStats
	// State is Redis's, as the breaker knows it.
	State State
	// Errors are exchanges that Redis failed or refused.
	Errors uint64
	// Gets and Hits are lookups in Redis; Sets are writes made.
	Gets, Hits, Sets uint64
	// FailedSets are writes that failed, Dropped those that found the queue
	// full, Refused the Puts while the purge log was out of reach.
	FailedSets, Dropped, Refused uint64
	// Corrupt values could not be read.
	Corrupt uint64
	// Queued writes wait now.
	Queued int
}

// Stats gives the store's figures.
func (t *Tiered) Stats() Stats {
	v := t.values
	return Stats{
		Memory: t.memory.stats(), State: t.breaker.current(), Errors: t.breaker.errs.Load(),
		Gets: v.gets.Load(), Hits: v.hits.Load(), Sets: v.sets.Load(),
		FailedSets: v.failedSets.Load(), Dropped: t.queue.dropped.Load(), Refused: t.refused.Load(),
		Corrupt: v.corrupt.Load(), Queued: t.queue.length(),
	}
}
