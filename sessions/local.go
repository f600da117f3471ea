package sessions

import (
	"sync"
	"sync/atomic"
)

const shards = 64

// local holds records in this edge's memory. A record may be kept only while
// Redis's pushes about it are heard, or where no other edge writes.
type local struct {
	shard [shards]struct {
		sync.RWMutex
		m map[id]*record
		// epoch counts what was dropped. A reader takes it before it asks
		// Redis and hands it in with the record: had a push for that record
		// come in between, what the reader holds may be from before it, and
		// no further push would ever correct it.
		epoch uint64
	}
	most int // records in one shard
}

func newLocal(most int) *local {
	l := &local{most: (most + shards - 1) / shards}
	for i := range l.shard {
		l.shard[i].m = make(map[id]*record)
	}
	return l
}

func (l *local) get(i id) *record {
	s := &l.shard[i[0]%shards]
	s.RLock()
	r := s.m[i]
	s.RUnlock()
	return r
}

func (l *local) epoch(i id) uint64 {
	s := &l.shard[i[0]%shards]
	s.RLock()
	defer s.RUnlock()
	return s.epoch
}

// put keeps r unless something was dropped since epoch.
func (l *local) put(r *record, epoch uint64) {
	s := &l.shard[r.id[0]%shards]
	s.Lock()
	defer s.Unlock()
	if s.epoch != epoch || l.most <= 0 {
		return
	}
	if _, has := s.m[r.id]; !has && len(s.m) >= l.most {
		for victim := range s.m { // any: the order of a map is random
			delete(s.m, victim)
			break
		}
	}
	s.m[r.id] = r
}

func (l *local) drop(i id) {
	s := &l.shard[i[0]%shards]
	s.Lock()
	delete(s.m, i)
	s.epoch++
	s.Unlock()
}

func (l *local) clear() {
	for i := range l.shard {
		s := &l.shard[i]
		s.Lock()
		clear(s.m)
		s.epoch++
		s.Unlock()
	}
}

func (l *local) len() (n int) {
	for i := range l.shard {
		s := &l.shard[i]
		s.RLock()
		n += len(s.m)
		s.RUnlock()
	}
	return n
}

// link is what this edge knows of Redis.
type link struct {
	watched  atomic.Bool  // a watcher looks for Redis
	silences atomic.Int32 // in a row
	tracking atomic.Bool  // pushes are heard
	lost     atomic.Int64 // when they stopped, ms
}

// trusted says whether local records are current.
func (t *Terminator) trusted() bool { return t.opt().Alone || t.link.tracking.Load() }

// inGrace says whether a local record may serve although Redis is gone.
func (t *Terminator) inGrace(now int64) bool {
	return t.link.watched.Load() &&
		(t.trusted() || now-t.link.lost.Load() <= t.opt().OfflineGrace.Milliseconds())
}
