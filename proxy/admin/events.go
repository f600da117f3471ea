package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The types of events.
const (
	EventRequest = "request" // Data is a [RequestEvent]
	EventPurge   = "purge"   // a purge applied here
	EventReload  = "reload"  // Data is a [Reload]
	EventState   = "state"   // Redis, breaker, upstreams, draining
)

var eventTypes = []string{EventRequest, EventPurge, EventReload, EventState}

// Event is one thing that happened on this edge. Data goes through
// encoding/json and must not change once published.
type Event struct {
	Type string
	Time time.Time
	Data any
}

// RequestEvent is a request that was answered.
type RequestEvent struct {
	ID     string `json:"id,omitempty"`
	Method string `json:"method"`
	Host   string `json:"host"`
	// Path is without the query, which may hold secrets.
	Path  string `json:"path"`
	Route string `json:"route"`
	// Status is the answer's; Verdict is hit, stale, miss, pass or error;
	// Reason and Tier as in Cache-Status and explain.
	Status  int    `json:"status"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	Tier    string `json:"tier,omitempty"`
	User    string `json:"user,omitempty"`
	Client  string `json:"client,omitempty"`
	Bytes   int64  `json:"bytes"`
	Took    Millis `json:"ms"`
}

// Limits of GET /v1/events.
const (
	maxStreams    = 32
	streamBuffer  = 256
	streamBurst   = 500 // request events a second; the rest is counted
	heartbeat     = 15 * time.Second
	writePatience = 30 * time.Second
)

// Hub hands each event to all who listen. The zero Hub is ready.
type Hub struct {
	listening atomic.Int32
	mu        sync.Mutex
	streams   map[*stream]struct{}
}

type stream struct {
	events chan Event
	missed uint64
}

// Listening reports whether anybody listens: where nobody does, an event need
// not be made. It costs one atomic load.
func (h *Hub) Listening() bool { return h.listening.Load() > 0 }

// Publish hands e on and never waits: who does not read fast enough misses
// events, and is told how many by an event of type "missed".
func (h *Hub) Publish(e Event) {
	if !h.Listening() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		if s.missed > 0 {
			select {
			case s.events <- Event{Type: "missed", Time: e.Time, Data: map[string]uint64{"events": s.missed}}:
				s.missed = 0
			default:
			}
		}
		select {
		case s.events <- e:
		default:
			s.missed++
		}
	}
}

// Subscribe joins; cancel leaves, and closes the channel. cancel may be called
// twice.
func (h *Hub) Subscribe() (events <-chan Event, cancel func()) {
	s := &stream{events: make(chan Event, streamBuffer)}
	h.mu.Lock()
	if h.streams == nil {
		h.streams = map[*stream]struct{}{}
	}
	h.streams[s] = struct{}{}
	h.mu.Unlock()
	h.listening.Add(1)
	return s.events, sync.OnceFunc(func() {
		h.listening.Add(-1)
		h.mu.Lock()
		delete(h.streams, s)
		close(s.events)
		h.mu.Unlock()
	})
}

// filter is what a stream lets through.
type filter struct {
	types               []string
	path, user, verdict string
}

func (f *filter) match(e Event) bool {
	if len(f.types) > 0 && !slices.Contains(f.types, e.Type) && e.Type != "missed" {
		return false
	}
	q, ok := e.Data.(RequestEvent)
	if !ok {
		return true
	}
	return strings.HasPrefix(q.Path, f.path) &&
		(f.user == "" || q.User == f.user) &&
		(f.verdict == "" || q.Verdict == f.verdict)
}

// events answers GET /v1/events?type=&path=&user=&verdict= with server-sent
// events (WHATWG HTML §9.2) until the client, the dashboard's session or the
// edge ends.
func (a *API) events(w http.ResponseWriter, r *http.Request, by caller) error {
	if a.Subscribe == nil {
		return absent("events")
	}
	q, err := parseParams(r, []string{"path", "user", "verdict"}, "type")
	if err != nil {
		return err
	}
	f := filter{types: q.Values["type"], path: q.Get("path"), user: q.Get("user"), verdict: q.Get("verdict")}
	for _, t := range f.types {
		if !slices.Contains(eventTypes, t) {
			return badField("type", "must be one of "+strings.Join(eventTypes, ", "))
		}
	}
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		return &Problem{Status: http.StatusServiceUnavailable, Detail: "too many listen already", retry: heartbeat}
	}
	defer a.streams.Add(-1)
	source, cancel := a.Subscribe()
	defer cancel()

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	out := sse{w: w, rc: http.NewResponseController(w)}
	out.write("retry: 2000\n: umbral\n\n")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for out.err == nil {
		if len(source) == 0 {
			out.flush()
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-by.done:
			return nil
		case <-a.closed:
			return nil
		case <-beat.C:
			out.write(": beat\n\n")
			if !by.until.IsZero() && a.Now().After(by.until) {
				return nil
			}
		case e, ok := <-source:
			if !ok {
				return nil
			}
			if f.match(e) {
				out.event(e)
			}
		}
	}
	return nil
}

// sse writes events. A client that takes none for writePatience is cut.
type sse struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error

	second  int64 // which the counts are of
	sent    int
	dropped int
}

// event writes e; past streamBurst requests in a second it only counts.
func (s *sse) event(e Event) {
	if now := e.Time.Unix(); now != s.second {
		if s.dropped > 0 {
			s.write(fmt.Sprintf("event: missed\ndata: {\"events\":%d}\n\n", s.dropped))
		}
		s.second, s.sent, s.dropped = now, 0, 0
	}
	if e.Type == EventRequest {
		if s.sent++; s.sent > streamBurst {
			s.dropped++
			return
		}
	}
	data, err := json.Marshal(struct {
		Time time.Time `json:"time"`
		Data any       `json:"data"`
	}{e.Time.UTC(), e.Data})
	if err != nil {
		return // an event that JSON cannot say is no reason to end the stream
	}
	s.write("event: " + e.Type + "\ndata: " + string(data) + "\n\n")
}

func (s *sse) write(text string) {
	if s.err != nil {
		return
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writePatience)) // where the writer knows deadlines
	_, s.err = s.w.Write([]byte(text))
}

func (s *sse) flush() {
	if s.err == nil {
		s.err = s.rc.Flush()
	}
}
