// Package store keeps responses: in memory, in Redis, and in the two tiers
// together, with the purge log that makes both coherent over every edge.
package store

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"umbral/cachepolicy"
)

// ErrUnavailable says that Redis cannot be reached, or not in time, or
// answers errors; the breaker may have said so without asking. Callers go on
// without it.
var ErrUnavailable = errors.New("store: redis unavailable")

// Store is one tier, or several. Not found is nil and no error. All methods
// are safe for concurrent use and return within the time that the store was
// set up with.
type Store interface {
	// Lookup returns what key holds: an Entry with a Response, or one with an
	// Index. What a hard purge has killed, and what cannot be decoded, is
	// deleted and not found. The entry is shared: it must not be changed.
	Lookup(ctx context.Context, key cachepolicy.Key) (*Entry, error)
	// Recall is Lookup in this process alone, without I/O.
	Recall(key cachepolicy.Key) *Entry
	// Put keeps e for e.Keep from now on, unless a purge since e.Position
	// matches it. It replaces what was there.
	Put(ctx context.Context, e *Entry) error
	// Delete forgets key.
	Delete(ctx context.Context, key cachepolicy.Key) error
	// Reload has Lookup find what another edge has stored in the place of e,
	// which a Lookup here gave, if there is any such thing.
	Reload(ctx context.Context, e *Entry)
}

// Position is a place in the purge log: the epoch of the stream and the
// number of the last record that was known. The zero Position is before
// everything, in no epoch: whatever carries it is dead once a log exists.
type Position struct {
	Epoch  uint64
	Number uint64
}

// Entry is what a key holds: a response or an index. It is immutable once it
// has been Put or returned by Lookup, but for the atomics.
type Entry struct {
	// What judging and counting look at stands first, for one look at memory.

	// Exactly one of Response and Index is set.
	Response *cachepolicy.Stored
	// Position is where the purge log stood, as this edge knew it, when the
	// fetch began.
	Position Position
	checked  atomic.Uint64 // the log's number up to which no record matches
	row      uint32        // its place in the roll, from 1 on; guarded by the roll
	soft     atomic.Bool

	// FromRedis: this copy was read from Redis, not made here.
	FromRedis bool
	// Hits counts the uses of this copy in memory.
	Hits atomic.Uint32

	Key   cachepolicy.Key
	Index *cachepolicy.Index
	// Body is the response's content, in the coding of its Content-Encoding.
	Body []byte
	// URL is host + path + "?" + the query as the route's rule normalises it
	// ("?" only with a query): what purges by URL and prefix compare. An
	// index carries it too, and dies with a purge that names it.
	URL string
	// Owner says whose it is, nil for public ones.
	Owner *Owner
	// Keep is how long it stays stored, stale windows included.
	Keep time.Duration
	// Stored is when it was Put, by the clock of the edge that did, in
	// nanoseconds since 1970.
	Stored int64
	// Served is what the proxy worked out for serving this copy: head bytes,
	// encoded bodies. The store only keeps it with the entry.
	Served atomic.Pointer[any]
}

// Owner is whose an entry is: the digests of a session, of a user, or of both.
type Owner struct{ Session, User string }

// StoredAt is Stored as a time.
func (e *Entry) StoredAt() time.Time { return time.Unix(0, e.Stored).UTC() }

// personal reports whether e is one person's, and so sealed at rest.
func (e *Entry) personal() bool {
	return e.Owner != nil || e.Response != nil && e.Response.Scope != cachepolicy.Public
}

// Life says what the purge log makes of an entry.
type Life uint8

// The lives of an entry.
const (
	Alive Life = iota
	SoftPurged
	Dead
)

// Selector says what a purge hits. Exactly one field is set, Soft aside.
type Selector struct {
	// URL is host + path + query as in Entry.URL; a URL that begins with "/"
	// is meant on every host. What has a No-Vary-Search is hit by every URL of
	// its path.
	URL string
	// Prefix is like URL and matches what begins with it, and where it holds a
	// query, what a URL that begins with it would.
	Prefix string
	Tag    string
	// User and Session are digests, never a uid or a token.
	User, Session string
	All           bool
	// Soft: matches turn stale instead of dead.
	Soft bool
}

// Receipt says how far a purge has come.
type Receipt struct {
	ID       string // the position, as text
	At       time.Time
	Edges    []Ack
	Complete bool // every live edge has applied it
}

// Ack is one edge's acknowledgement.
type Ack struct {
	Edge    string
	Applied bool
	After   time.Duration // since the purge was appended
}

// PurgeLog is the one log in Redis that every edge appends to and follows.
type PurgeLog interface {
	// Append adds one record with all selectors and returns when Redis has
	// it and this edge has applied it; with wait > 0, when every live edge
	// has, or after wait with an incomplete receipt.
	Append(ctx context.Context, selectors []Selector, wait time.Duration) (Receipt, error)
	// Position is the newest record applied here. It makes no I/O.
	Position() Position
	// Judge says what has become of e. It makes no I/O and costs two atomic
	// loads where nothing was purged since e was last judged.
	Judge(e *Entry) Life
	// Lost reports that this edge has not heard from the log for longer than
	// the lag limit. It makes no I/O.
	Lost(now time.Time) bool
}

// Tier names where an entry was found.
type Tier uint8

// The tiers.
const (
	TierNone Tier = iota
	TierMemory
	TierRedis
)
