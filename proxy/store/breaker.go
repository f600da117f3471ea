package store

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// State says whether Redis is there, as the breaker knows it.
type State uint8

// The states.
const (
	// Up: every key's node answers.
	Up State = iota
	// Down: at least one node does not; its keys are not asked for.
	Down
	// ReadOnly: reads are answered and writes refused (out of memory, a
	// replica, a failed snapshot).
	ReadOnly
)

func (s State) String() string {
	return [...]string{"up", "down", "read-only"}[s]
}

// The breaker's pace: the first probe follows a failure closely, for it may
// have been no more than one connection that broke.
const (
	firstProbe  = 50 * time.Millisecond
	lastProbe   = time.Second
	clusterBits = 6 // a Cluster is watched in 64 parts of its slots
)

// breaker keeps a dead Redis from costing more than the first time-out: one
// failure opens it, and only its own prober closes it again, so that no
// visitor ever pays for a try. In a Cluster each range of slots has a breaker
// of its own: one dead node takes a third of the keys, not all.
type breaker struct {
	client  redis.UniversalClient
	timeout time.Duration
	log     *zap.Logger
	// onState is told of every change of state, one call at a time.
	onState func(State)
	shift   uint // of a slot, to its part; slots have 14 bits
	parts   []part

	errs   atomic.Uint64
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	open     int // parts that are open
	refusing int // parts whose newest write was refused
	state    State
	closed   bool
}

type part struct{ open, refusing atomic.Bool }

func newBreaker(client redis.UniversalClient, o *Options) *breaker {
	b := &breaker{
		client: client, timeout: o.Timeout, log: o.Logger, onState: o.OnState,
		shift: 14, parts: make([]part, 1),
	}
	if _, ok := client.(*redis.ClusterClient); ok {
		b.shift, b.parts = 14-clusterBits, make([]part, 1<<clusterBits)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// do runs one exchange with Redis that concerns key, within the time-out. The
// error is nil, redis.Nil, an answer of Redis about this key alone, the
// caller's own context's, or ErrUnavailable.
func (b *breaker) do(ctx context.Context, key string, op func(context.Context) error) error {
	p := b.part(key)
	if p.open.Load() {
		return ErrUnavailable
	}
	limited, cancel := context.WithTimeout(ctx, b.timeout)
	err := op(limited)
	cancel()
	switch kind := classify(err); {
	case kind == fine, kind == aboutKey:
		return err
	case ctx.Err() != nil && kind == broken:
		return ctx.Err() // the visitor went away; Redis is not to blame
	case kind == refusal:
		b.errs.Add(1)
		return errors.Join(ErrUnavailable, errRefused)
	default:
		b.errs.Add(1)
		b.trip(p, key, err)
		return ErrUnavailable
	}
}

func (b *breaker) part(key string) *part {
	if len(b.parts) == 1 {
		return &b.parts[0]
	}
	return &b.parts[slot(key)>>b.shift]
}

// write is do for a command that makes something new, and keeps the state
// ReadOnly. One that only deletes goes by do: a Redis without memory takes it,
// which says nothing.
func (b *breaker) write(ctx context.Context, key string, op func(context.Context) error) error {
	err := b.do(ctx, key, op)
	refused := errors.Is(err, errRefused)
	p := b.part(key)
	if err != nil && !refused || p.refusing.Load() == refused {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.refusing.Swap(refused) != refused {
		if refused {
			b.refusing++
		} else {
			b.refusing--
		}
		b.report()
	}
	return err
}

// failed is for an exchange that did not go through do: it opens what do would
// have opened.
func (b *breaker) failed(key string, err error) {
	if classify(err) == broken {
		b.errs.Add(1)
		b.trip(b.part(key), key, err)
	}
}

// trip opens p and starts its prober, which asks for the key that failed.
func (b *breaker) trip(p *part, key string, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || p.open.Swap(true) {
		return
	}
	b.open++
	if b.open == 1 {
		b.log.Warn("redis does not answer: going on without it", zap.String("cause", plain(cause)))
	}
	b.report()
	b.wg.Go(func() { b.probe(p, key) })
}

func (b *breaker) probe(p *part, key string) {
	timer := time.NewTimer(firstProbe)
	defer timer.Stop()
	for wait := firstProbe; ; wait = min(2*wait, lastProbe) {
		timer.Reset(wait)
		select {
		case <-b.ctx.Done():
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(b.ctx, b.timeout)
		err := b.client.Exists(ctx, key).Err()
		cancel()
		if kind := classify(err); kind == fine || kind == aboutKey {
			break
		}
		refreshTopology(b.ctx, b.client)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.open.Store(false)
	b.open--
	if b.open == 0 {
		b.log.Info("redis answers again")
	}
	b.report()
}

// refreshTopology has a Cluster's client ask who serves what now: by itself it
// goes on asking a dead master until a living node corrects it.
func refreshTopology(ctx context.Context, client redis.UniversalClient) {
	if c, ok := client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
}

// report tells the new state, if it is one. b.mu is held.
func (b *breaker) report() {
	state := Up
	switch {
	case b.open > 0:
		state = Down
	case b.refusing > 0:
		state = ReadOnly
	}
	if state == b.state {
		return
	}
	if state == ReadOnly {
		b.log.Warn("redis refuses writes: nothing new is stored there")
	} else if b.state == ReadOnly && state == Up {
		b.log.Info("redis takes writes again")
	}
	b.state = state
	if b.onState != nil {
		b.onState(state)
	}
}

func (b *breaker) current() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

func (b *breaker) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
}

// errRefused says that Redis answered and would not write.
var errRefused = errors.New("store: redis refuses writes")

type errorKind uint8

const (
	fine     errorKind = iota
	aboutKey           // an answer that blames the value, not the server
	refusal            // an answer that refuses a write
	broken             // no answer, nonsense, or a server that cannot serve
)

func classify(err error) errorKind {
	// Nil itself is an answer; within another error it is what a Sentinel says
	// that knows no such master, to a client that could not connect.
	if err == nil || err == redis.Nil {
		return fine
	}
	var answer redis.Error
	if !errors.As(err, &answer) {
		return broken
	}
	switch word, _, _ := strings.Cut(answer.Error(), " "); word {
	case "WRONGTYPE":
		return aboutKey
	case "OOM", "READONLY", "MISCONF", "NOREPLICAS":
		return refusal
	}
	return broken
}

// outOfRoom says that Redis refuses writes for want of memory or disk.
func outOfRoom(err error) bool {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return false
	}
	word, _, _ := strings.Cut(answer.Error(), " ")
	return word == "OOM" || word == "MISCONF"
}

// plain says what went wrong in words that hold neither address nor secret.
func plain(err error) string {
	var answer redis.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, redis.Nil):
		return "its Sentinels know no such master"
	case errors.As(err, &answer):
		word, _, _ := strings.Cut(answer.Error(), " ")
		return "answers " + word
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err),
		errors.Is(err, redis.ErrPoolTimeout):
		return "no answer in time"
	case errors.As(err, &dns):
		return "its name cannot be resolved"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return "the connection broke"
}

// slot is the Cluster's hash slot of key.
func slot(key string) uint16 {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if n := strings.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	return crc16(key) & 0x3fff
}

// crc16 is CRC-16/XMODEM, as the Cluster specification has it.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
