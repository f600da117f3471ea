package proxy

import (
	"context"
	"errors"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// found is what the store holds for a request.
type found struct {
	// primary is the key of the request, key that of the response that would
	// answer it: the same, or that of a variant, or either as a
	// No-Vary-Search makes it.
	primary, key cachepolicy.Key
	// entry holds a response that is not dead, nil if there is none; older
	// is another that would answer, were it not for entry.
	entry, older *store.Entry
	// index lists the variants that entry is of, or might be; beside those
	// under the other of the request's own key and its search key; and path
	// leads to the latter. Each is nil where there is none.
	index, beside, path *store.Entry
	// reason says why entry is nil.
	reason cachepolicy.Reason
	soft   bool
}

// variants are those that a validation may choose from.
func (f *found) variants() *cachepolicy.Index {
	if f.index == nil {
		return nil
	}
	return f.index.Index
}

// reach says how far a look at the store goes.
type reach bool

const (
	near reach = false // in memory
	far  reach = true  // in both tiers
)

func (p *Proxy) lookup(ctx context.Context, key cachepolicy.Key, in reach) (*store.Entry, error) {
	if in == near {
		return p.store.Recall(key), nil
	}
	return p.store.Lookup(ctx, key)
}

// find looks for a response to ask: under its own key, or through the index
// of its variants, or under the key that a No-Vary-Search makes of it. Of two
// it takes the newer (RFC 9111 §4).
func (p *Proxy) find(ctx context.Context, route *Route, ask *cachepolicy.Request, primary cachepolicy.Key, in reach) found {
	f := p.findUnder(ctx, route, ask, primary, in)
	if !route.searched.Load() && !p.learns(ctx, route, &f, in) {
		return f
	}
	if f.entry != nil && !f.soft && f.entry.Response.Fresh(p.now()) {
		in = near // another edge's newer one must not cost every hit a look at Redis
	}
	f.path, _ = p.lookup(ctx, route.PathKey(ask), in)
	if f.path == nil || f.path.Index == nil {
		f.path = nil
		return f
	}
	value := f.path.Index.NoVarySearch
	other := p.findUnder(ctx, route, ask, route.SearchKey(ask, value), in)
	if other.entry != nil && other.entry.Response.NoVarySearch != value {
		other.entry = nil // a validation has made it answer other queries than these
	}
	switch {
	case other.entry != nil && (f.entry == nil || other.entry.Response.Newer(f.entry.Response)):
		f.entry, f.older, f.key, f.soft = other.entry, f.entry, other.key, other.soft
		f.index, f.beside = other.index, f.index
		return f
	case f.entry != nil, f.index != nil:
		f.older, f.beside = other.entry, other.index
	default:
		f.index = other.index
	}
	if f.reason == cachepolicy.NotStored {
		f.reason = other.reason
	}
	return f
}

// learnEvery is how long a route is taken to have no response with a
// No-Vary-Search since another edge was last known to have stored none: misses
// ask Redis no oftener, and a copy of another edge's is found after so long.
const learnEvery = 250 * time.Millisecond

// learns reports whether another edge, or this one under other rules or before
// it was started, has stored a response of the route with a No-Vary-Search.
func (p *Proxy) learns(ctx context.Context, route *Route, f *found, in reach) bool {
	if in == near || f.entry != nil || f.reason == cachepolicy.StoreDown {
		return false
	}
	now, last := p.now().UnixNano(), route.learnt.Load()
	if now-last < int64(learnEvery) || !route.learnt.CompareAndSwap(last, now) {
		return false
	}
	e, _ := p.lookup(ctx, route.SearchedKey(), far)
	if e != nil {
		route.searched.Store(true)
	}
	return e != nil
}

func (p *Proxy) findUnder(ctx context.Context, route *Route, ask *cachepolicy.Request, key cachepolicy.Key, in reach) found {
	f := found{primary: key, key: key, reason: cachepolicy.NotStored}
	e, err := p.lookup(ctx, key, in)
	if err != nil && !errors.Is(err, context.Canceled) { // then it is the visitor who has gone
		f.reason = cachepolicy.StoreDown
	}
	if e == nil {
		return f
	}
	if e.Response != nil {
		if !route.Matches(ask, e.Response) {
			f.reason = cachepolicy.VaryMismatch
			return f
		}
		return p.alive(f, e)
	}
	f.index = e
	f.reason = cachepolicy.VaryMismatch
	for i, fields := range e.Index.Vary {
		if len(fields) == 0 && f.entry != nil {
			break // where some responses omit Vary, those that have it decide
		}
		vk := route.VariantKey(key, ask, fields)
		if i == 0 {
			f.key = vk
		}
		v, _ := p.lookup(ctx, vk, in)
		if v == nil || v.Response == nil || !route.Matches(ask, v.Response) {
			continue
		}
		if f.entry == nil || v.Response.Newer(f.entry.Response) {
			f.key = vk
			f = p.alive(f, v)
		}
	}
	return f
}

// alive fills in e unless a hard purge has killed it.
func (p *Proxy) alive(f found, e *store.Entry) found {
	switch p.log.Judge(e) {
	case store.Dead:
		f.reason = cachepolicy.Purged
		return f
	case store.SoftPurged:
		f.soft = true
	}
	f.entry = e
	return f
}
