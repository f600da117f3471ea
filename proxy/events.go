package proxy

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Kinds of events.
const (
	EventRequest = "request" // Data is a RequestEvent
	EventPurge   = "purge"
	EventReload  = "reload"
	EventState   = "state"
)

// Event is something that the admin's live views show.
type Event struct {
	ID   uint64    `json:"id"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Data any       `json:"data"`
}

// RequestEvent is an answered request, as its line in the access log says it.
type RequestEvent struct {
	ID      string  `json:"id"`
	Method  string  `json:"method"`
	Host    string  `json:"host"`
	Path    string  `json:"path"`
	Status  int     `json:"status"`
	Bytes   int64   `json:"bytes"`
	MS      float64 `json:"ms"`
	Verdict string  `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	Tier    string  `json:"tier,omitempty"`
	Route   string  `json:"route"`
	Client  string  `json:"client"`
	Session string  `json:"session,omitempty"` // digest, shortened
	User    string  `json:"user,omitempty"`    // digest
}

// subscribersMost bounds the live views; each may hold eventsMost events.
const (
	subscribersMost = 64
	eventsMost      = 1024
)

// ErrTooManySubscribers says that subscribersMost live views are open.
var ErrTooManySubscribers = errors.New("proxy: too many event streams")

// Events hands each event to whoever listens, and waits for nobody: who does
// not keep up loses events, and is told how many. With no subscriber it costs
// one atomic load. The zero Events is ready, and a nil one hears nothing.
type Events struct {
	listening atomic.Int32
	mu        sync.Mutex
	last      uint64
	subs      map[*Subscription]struct{}
}

// Subscription is one listener.
type Subscription struct {
	// C brings the events in their order. It is never closed.
	C       <-chan Event
	c       chan Event
	events  *Events
	dropped atomic.Uint64
}

// Subscribe listens from now on, until Close. buffer is how many events may
// wait, 256 if zero, 1024 at most.
func (e *Events) Subscribe(buffer int) (*Subscription, error) {
	if buffer <= 0 {
		buffer = 256
	}
	s := &Subscription{c: make(chan Event, min(buffer, eventsMost)), events: e}
	s.C = s.c
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.subs) >= subscribersMost {
		return nil, ErrTooManySubscribers
	}
	if e.subs == nil {
		e.subs = make(map[*Subscription]struct{})
	}
	e.subs[s] = struct{}{}
	e.listening.Store(int32(len(e.subs)))
	return s, nil
}

// Close ends the subscription; it may be called twice.
func (s *Subscription) Close() {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	delete(s.events.subs, s)
	s.events.listening.Store(int32(len(s.events.subs)))
}

// Dropped is how many events the subscriber was too slow for.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Listening reports whether anybody does: ask before making up an event.
func (e *Events) Listening() bool { return e != nil && e.listening.Load() > 0 }

// Publish hands an event to every subscriber that has room for it. data must
// not be changed any more.
func (e *Events) Publish(kind string, at time.Time, data any) {
	if !e.Listening() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	ev := Event{ID: e.last, At: at, Kind: kind, Data: data}
	for s := range e.subs {
		select {
		case s.c <- ev:
		default:
			s.dropped.Add(1)
		}
	}
}
