package store

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Embedded is a Redis in this process, on loopback, for trying out and for
// quick tests: nothing survives it, and nothing else should connect to it.
// Time passes in it by itself, and what it holds is bounded: beyond its bytes
// it forgets cached pages, in no order, and refuses values as a full Redis
// does if that does not suffice.
type Embedded struct {
	redis *miniredis.Miniredis
	bound int64
	stop  chan struct{}
	done  sync.WaitGroup

	mu    sync.Mutex
	bytes int64 // written since the last count, and what that found
}

const embeddedTick = 250 * time.Millisecond

// StartEmbedded starts one of bound bytes, 64 MiB if 0.
func StartEmbedded(bound int64) (*Embedded, error) {
	if bound <= 0 {
		bound = 64 << 20
	}
	e := &Embedded{redis: miniredis.NewMiniRedis(), bound: bound, stop: make(chan struct{})}
	if err := e.redis.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start embedded redis: %w", err)
	}
	e.redis.Server().SetPreHook(e.admit)
	e.done.Go(e.tick)
	return e, nil
}

// URL is what to connect to.
func (e *Embedded) URL() string { return "redis://" + e.redis.Addr() }

// Close ends it.
func (e *Embedded) Close() {
	close(e.stop)
	e.done.Wait()
	e.redis.Close()
}

// tick lets time pass, which miniredis does not do by itself.
func (e *Embedded) tick() {
	ticker := time.NewTicker(embeddedTick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-e.stop:
			return
		case now := <-ticker.C:
			e.redis.FastForward(now.Sub(last))
			last = now
			e.shrink()
		}
	}
}

// admit counts what is written, and refuses what would go far beyond the
// bound before the next tick. It runs before every command.
func (e *Embedded) admit(peer *server.Peer, command string, args ...string) bool {
	switch strings.ToUpper(command) {
	case "SET", "SETNX", "HSET", "XADD", "EVAL", "EVALSHA", "SETEX", "PSETEX", "SADD", "ZADD":
	default:
		return false
	}
	n := int64(0)
	for _, a := range args {
		n += int64(len(a))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.bytes+n > 2*e.bound {
		peer.WriteError("OOM command not allowed: the embedded redis is full")
		return true
	}
	e.bytes += n
	return false
}

// shrink counts what is held and forgets cached pages beyond the bound.
func (e *Embedded) shrink() {
	e.mu.Lock()
	over := e.bytes > e.bound
	e.mu.Unlock()
	if !over {
		return
	}
	var held int64
	keys := e.redis.Keys()
	pages := make(map[string]int64)
	for _, key := range keys {
		value, err := e.redis.Get(key)
		if err != nil {
			held += int64(len(key)) + 256 // not a string: small, and not ours to weigh
			continue
		}
		size := int64(len(key) + len(value))
		held += size
		if strings.Contains(key, ":edge:c:") {
			pages[key] = size
		}
	}
	for key, size := range pages {
		if held <= e.bound/4*3 {
			break
		}
		e.redis.Del(key)
		held -= size
	}
	e.mu.Lock()
	e.bytes = held
	e.mu.Unlock()
}
