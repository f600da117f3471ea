package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"umbral/cachepolicy"
)

// beatEvery is an edge's pulse: how soon at the latest it notices that the
// stream is gone or has been rolled back. With a short lag limit it is faster.
const beatEvery = 500 * time.Millisecond

// How old a record must be to be forgotten, and how often the chores are done.
const (
	forgetAge  = cachepolicy.MaxLife + 24*time.Hour
	trimEvery  = time.Minute
	countEvery = 10 * time.Second
)

// Log is the purge log as one edge follows it: a copy in memory of what the
// live records say, brought up to date when a message says that there are more
// and checked against the stream by a heartbeat, so that a lost message costs
// half a second. (XREAD BLOCK would need no message, but keeps a connection,
// cannot be ended by the one who waits, and does not notice that the stream
// has gone.) It implements [PurgeLog].
//
// There is one way in for records, catchUp, under one lock. It reads from the
// newest record that it knows, that one included, so that every read proves
// that the stream still is the one that was followed.
type Log struct {
	client        redis.UniversalClient
	breaker       *breaker
	ring          *atomic.Pointer[keyring]
	stream, edges string
	acks          string
	newsChannel   string
	edge          string
	timeout       time.Duration
	lagLimit      time.Duration
	every         time.Duration // between heartbeats
	bound         int
	now           func() time.Time
	logger        *zap.Logger
	onApply       func(Record)
	bus           *bus

	head  atomic.Pointer[head] // nil until the log has been read once
	heard atomic.Pointer[time.Time]

	readMu sync.Mutex // one reader of the stream at a time
	mu     sync.RWMutex
	index  *purgeIndex // guarded by mu; changes together with head
	unsent []Selector  // guarded by mu; purges that Redis has yet to take

	members  members
	replicas atomic.Int64 // when the log's node was last seen to have any, in unix nanoseconds

	cancel    context.CancelFunc
	done      sync.WaitGroup
	ready     chan struct{}
	readyOnce sync.Once
	begun     chan struct{}
	beginOnce sync.Once
	news      chan struct{} // there may be a new record
	first     uint64        // number of the stream's first record; the follower's own
	owed      atomic.Bool   // another edge waits for word of what was applied
	lost      atomic.Bool   // said so in the log
	chores    struct {
		sync.Mutex
		trimmed, counted time.Time
	}
	stats logStats
}

// head is the newest record applied.
type head struct {
	epoch, number uint64
	word          string
	// unsent judges by the purges that Redis has yet to take: whatever they
	// match is dead, however young. Nil for none, and never changed.
	unsent *purgeIndex
}

type logStats struct{ applied, epochs atomic.Uint64 }

// LogStats are the log's figures.
type LogStats struct {
	// Applied records, and Epochs begun anew, since the start.
	Applied, Epochs uint64
	// Live is how many names the live records select.
	Live int
	// Unsent purges wait for Redis to take them.
	Unsent int
	// Silence is for how long the log has not been heard from, -1 where it
	// never was. Half a second is its pulse.
	Silence time.Duration
}

// Stats gives the log's figures.
func (l *Log) Stats() LogStats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := LogStats{
		Applied: l.stats.applied.Load(), Epochs: l.stats.epochs.Load(),
		Live: l.index.size(), Unsent: len(l.unsent), Silence: -1,
	}
	if heard := l.heard.Load(); heard != nil {
		s.Silence = l.now().Sub(*heard)
	}
	return s
}

func newLog(o *Options, b *breaker, ring *atomic.Pointer[keyring], bus *bus) *Log {
	base := o.base() + "{log}:"
	l := &Log{
		client: o.LogClient, breaker: b, ring: ring, bus: bus,
		stream: base + "purges", edges: base + "edges", acks: base + "acks", newsChannel: base + "news",
		edge: o.EdgeID, timeout: o.Timeout, lagLimit: o.LagLimit, bound: max(o.MaxPurges, 10),
		now: o.Clock, logger: o.Logger, onApply: o.OnApply,
		every: min(beatEvery, o.LagLimit/4),
		index: newPurgeIndex(), cancel: func() {}, ready: make(chan struct{}), begun: make(chan struct{}), news: make(chan struct{}, 1),
	}
	l.members.init()
	bus.on(l.acks, l.members.message)
	bus.on(l.newsChannel, l.hear)
	bus.onConnect = append(bus.onConnect, l.wake)
	return l
}

// Edge is this edge's name among the others.
func (l *Log) Edge() string { return l.edge }

// Position implements [PurgeLog]. It is zero until the log has been read.
func (l *Log) Position() Position {
	h := l.head.Load()
	if h == nil {
		return Position{}
	}
	return Position{Epoch: h.epoch, Number: h.number}
}

// Judge implements [PurgeLog]. Where the log has not been read yet everything
// is dead.
func (l *Log) Judge(e *Entry) Life {
	h := l.head.Load()
	if h == nil || h.epoch != e.Position.Epoch {
		return Dead
	}
	if h.unsent != nil {
		if life := h.unsent.judge(e); life != Alive {
			return life
		}
	}
	// Numbers of one epoch only rise, and checked is of e's own epoch.
	if max(e.Position.Number, e.checked.Load()) < h.number {
		return l.judge(e)
	}
	if e.soft.Load() {
		return SoftPurged
	}
	return Alive
}

func (l *Log) judge(e *Entry) Life {
	l.mu.RLock()
	h := l.head.Load() // what the index stands at
	life := l.index.judge(e)
	l.mu.RUnlock()
	if h.epoch != e.Position.Epoch || life == Dead {
		return Dead
	}
	// Soft before checked: who sees checked sees soft. It is never taken
	// back, so a slower judge with an older head does no harm.
	if life == SoftPurged {
		e.soft.Store(true)
	}
	e.checked.Store(h.number)
	if e.soft.Load() {
		return SoftPurged
	}
	return Alive
}

// aliveAt leaves of some those that were alive when the log stood at at, as far
// as that can still be told: of several later purges by one name, only one is
// seen through.
func (l *Log) aliveAt(some []*Entry, at Position) []*Entry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	before := l.index.latest.hardBy(at.Number) // no entry so new can have been hit
	return slices.DeleteFunc(some, func(e *Entry) bool {
		if e.Position.Epoch != at.Epoch {
			return true
		}
		if max(e.Position.Number, e.checked.Load()) >= min(at.Number, before) {
			return false
		}
		hard := l.index.mark(e).hardBy(at.Number)
		return hard > e.Position.Number && hard <= at.Number
	})
}

// Lost implements [PurgeLog]: also true before the log has been read.
func (l *Log) Lost(now time.Time) bool {
	heard := l.heard.Load()
	return heard == nil || now.Sub(*heard) > l.lagLimit
}

// Ready is closed once the log has been read.
func (l *Log) Ready() <-chan struct{} { return l.ready }

func id(number uint64) string { return fmt.Sprintf("%d-0", number) }

// newEpoch gives a random epoch and a random word.
func newEpoch() (epoch, word string) {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprint(binary.BigEndian.Uint64(b[:]) | 1), newWord()
}

func newWord() string { return rand.Text() }

// beat is one heartbeat: this edge is alive and has applied so much. It brings
// the edge up to date where the answer shows that it is not.
//
// The first one makes the edge known before it has read the log: a purge that
// comes in between is either in what it reads, or waits for it.
func (l *Log) beat(ctx context.Context) error {
	sent := l.now()
	b, err := l.pulse(ctx, l.owed.Swap(false))
	if outOfRoom(err) {
		return l.faint(ctx, sent)
	}
	if err != nil {
		return err
	}
	h := l.head.Load()
	if h == nil || !b.last.is(h) {
		if err := l.catchUp(ctx); err != nil {
			return err
		}
	}
	l.wasHeard(sent)
	if err := l.send(ctx); err != nil {
		return err
	}
	if b.first > l.first && l.head.Load().number >= b.last.Position.Number {
		// What Redis has trimmed matters no more.
		if l.first = b.first; l.first > 0 {
			l.mu.Lock()
			l.index.sweep(l.first)
			l.mu.Unlock()
		}
	}
	return nil
}

func (l *Log) wasHeard(sent time.Time) {
	l.heard.Store(&sent)
	l.readyOnce.Do(func() { close(l.ready) })
	if l.lost.CompareAndSwap(true, false) {
		l.logger.Info("the purge log is followed again")
	}
}

// faint is a heartbeat where Redis has no room to note it. Nobody can append a
// purge then, but the log can be read; and a published pulse needs no room, so
// that the others know of this edge when Redis takes purges again. A server
// that refuses writes for any other reason may have been replaced by one that
// takes them, and is no proof of anything.
func (l *Log) faint(ctx context.Context, sent time.Time) error {
	h := l.head.Load()
	if h == nil {
		return ErrUnavailable
	}
	limited, cancel := context.WithTimeout(ctx, l.timeout)
	err := l.client.Publish(limited, l.acks, fmt.Sprintf("%d %d %s %s", h.epoch, h.number, l.members.server(), l.edge)).Err()
	cancel()
	if err == nil {
		err = l.catchUp(ctx)
	}
	if err == nil {
		l.wasHeard(sent)
	}
	return err
}

// sayLost logs once that the log is out of reach for too long.
func (l *Log) sayLost() {
	if l.Lost(l.now()) && l.heard.Load() != nil && l.lost.CompareAndSwap(false, true) {
		l.logger.Warn("the purge log is out of reach for longer than its lag limit: everything stored counts as stale")
	}
}
