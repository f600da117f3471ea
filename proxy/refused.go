package proxy

import (
	"sync"
	"time"

	"umbral/cachepolicy"
)

// refusal says what is remembered of a key whose answer was not stored.
type refusal uint8

const (
	refusedNot refusal = iota
	// refusedStore: the answer could not be stored; nobody waits for another.
	refusedStore
	// refusedPersonal: a public page that sets a cookie; it is asked for with
	// the visitor's own jar.
	refusedPersonal
)

const (
	// refusedFor is how long a refusal is remembered.
	refusedFor = 10 * time.Second
	// refusedMost bounds the memory that visitors can make it take: two
	// generations of so many keys of 48 bytes.
	refusedMost = 1 << 15
)

// refusals remembers which keys are uncacheable for a while (hit-for-miss).
// It is exact within its bound and forgets the oldest half beyond it.
type refusals struct {
	mu         sync.RWMutex
	young, old map[cachepolicy.Key]refused
}

type refused struct {
	what  refusal
	until time.Time
}

func newRefusals() *refusals {
	return &refusals{young: make(map[cachepolicy.Key]refused)}
}

func (r *refusals) get(key cachepolicy.Key, now time.Time) refusal {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, ok := r.young[key]
	if !ok {
		v, ok = r.old[key]
	}
	if !ok || !now.Before(v.until) {
		return refusedNot
	}
	return v.what
}

func (r *refusals) remove(key cachepolicy.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, key)
	delete(r.old, key)
}

func (r *refusals) add(key cachepolicy.Key, what refusal, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= refusedMost {
		r.old, r.young = r.young, make(map[cachepolicy.Key]refused)
	}
	r.young[key] = refused{what, now.Add(refusedFor)}
}
