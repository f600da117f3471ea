package store

import (
	"context"
	"sync"
	"sync/atomic"

	"umbral/cachepolicy"
)

const (
	queueShards = 4
	queueTasks  = 1024 // writes waiting in one shard
)

// queue carries out writes behind the visitor's back. What concerns one key is
// done in the order in which it came: a lease that is released after a Put is
// released after the value is in Redis. Writes beyond the bounds are dropped
// and counted; calls never are, being as few as there are fetches in flight.
type queue struct {
	shards  [queueShards]shard
	bytes   int64 // bound of the bodies waiting in one shard
	save    func(*Entry)
	dropped atomic.Uint64
	done    sync.WaitGroup
}

type task struct {
	e    *Entry // a write, or
	call func()
}

type shard struct {
	mu     sync.Mutex
	tasks  []task
	writes int
	bytes  int64
	// pending holds the newest write of each key that waits, and an empty
	// entry where that is a deletion.
	pending map[cachepolicy.Key]*Entry
	deleted uint64 // counts deletions
	wake    chan struct{}
	closed  bool
}

// newQueue starts the workers, which close ends.
func newQueue(bytes int64, save func(*Entry)) *queue {
	q := &queue{bytes: max(bytes/queueShards, 1), save: save}
	for i := range q.shards {
		s := &q.shards[i]
		s.pending = make(map[cachepolicy.Key]*Entry)
		s.wake = make(chan struct{}, 1)
		q.done.Go(func() { q.work(s) })
	}
	return q
}

func (q *queue) shard(key cachepolicy.Key) *shard { return &q.shards[key[0]%queueShards] }

// put has e written. It reports false where the queue is full.
func (q *queue) put(e *Entry) bool {
	s := q.shard(e.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(len(e.Body)) + Overhead
	if s.closed || s.writes >= queueTasks || s.writes > 0 && s.bytes+size > q.bytes {
		q.dropped.Add(1)
		return false
	}
	s.writes++
	s.bytes += size
	s.pending[e.Key] = e
	s.push(task{e: e})
	return true
}

// then has call made after all that waits for key. After close it is made at
// once.
func (q *queue) then(key cachepolicy.Key, call func()) {
	s := q.shard(key)
	s.mu.Lock()
	if !s.closed {
		s.push(task{call: call})
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	call()
}

// try is then for a call that may be dropped where the queue is full.
func (q *queue) try(key cachepolicy.Key, call func()) {
	s := q.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && len(s.tasks) < 2*queueTasks {
		s.push(task{call: call})
	}
}

// delete has remove called after all that waits for key, which counts as
// deleted from now on. Forget is called at once, with fills held off.
func (q *queue) delete(key cachepolicy.Key, forget, remove func()) {
	s := q.shard(key)
	tomb := &Entry{Key: key}
	s.mu.Lock()
	forget()
	s.deleted++
	s.pending[key] = tomb
	s.mu.Unlock()
	q.then(key, func() {
		remove()
		s.mu.Lock()
		s.settle(tomb)
		s.mu.Unlock()
	})
}

// waiting is the newest write of key that has not been made yet, or nil; one
// without content is a deletion. Mark is for fill.
func (q *queue) waiting(key cachepolicy.Key) (e *Entry, mark uint64) {
	s := q.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending[key], s.deleted
}

// fill calls keep with what was read from Redis since mark, unless that may
// have been deleted meanwhile.
func (q *queue) fill(key cachepolicy.Key, mark uint64, keep func()) {
	s := q.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted == mark && s.pending[key] == nil {
		keep()
	}
}

func (s *shard) push(t task) {
	s.tasks = append(s.tasks, t)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (q *queue) work(s *shard) {
	for {
		s.mu.Lock()
		tasks, closed := s.tasks, s.closed
		s.tasks = nil
		s.mu.Unlock()
		for _, t := range tasks {
			if t.call != nil {
				t.call()
				continue
			}
			q.save(t.e)
			s.wrote(t.e)
		}
		if len(tasks) > 0 {
			continue
		}
		if closed {
			return
		}
		<-s.wake
	}
}

func (s *shard) wrote(e *Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes--
	s.bytes -= int64(len(e.Body)) + Overhead
	s.settle(e)
}

// settle is called with mu held.
func (s *shard) settle(e *Entry) {
	if s.pending[e.Key] == e {
		delete(s.pending, e.Key)
	}
}

// length is how many writes wait.
func (q *queue) length() int {
	n := 0
	for i := range q.shards {
		s := &q.shards[i]
		s.mu.Lock()
		n += s.writes
		s.mu.Unlock()
	}
	return n
}

// close takes no more writes and returns when those waiting are made, or when
// ctx ends: the workers then end on their own, each write being bounded.
func (q *queue) close(ctx context.Context) error {
	for i := range q.shards {
		s := &q.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	ended := make(chan struct{})
	go func() {
		q.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
