package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"umbral/proxy"
)

// Event is one thing that happened on this edge. Type is one of proxy's kinds,
// and Data, which goes through encoding/json, must not change any more: a
// [proxy.RequestEvent] where Type is [proxy.EventRequest].
type Event struct {
	Type string
	Time time.Time
	Data any
}

var (
	eventTypes = []string{proxy.EventRequest, proxy.EventPurge, proxy.EventReload, proxy.EventState}
	verdicts   = []string{"hit", "stale", "revalidated", "miss", "bypass", "refused", "edge", "error"}
)

// Limits of GET /v1/events.
const (
	maxStreams    = 32
	streamBurst   = 500 // request events a second; the rest is counted
	heartbeat     = 15 * time.Second
	writePatience = 30 * time.Second
)

// filter is what a stream lets through.
type filter struct {
	types         []string
	path, verdict string
	user          func(digest string) bool // nil: everybody
}

func (f *filter) match(e Event) bool {
	if len(f.types) > 0 && !slices.Contains(f.types, e.Type) {
		return false
	}
	q, ok := e.Data.(proxy.RequestEvent)
	if !ok {
		return true
	}
	return strings.HasPrefix(q.Path, f.path) &&
		(f.verdict == "" || q.Verdict == f.verdict) &&
		(f.user == nil || f.user(q.User))
}

// maxOthers bounds the digests that a stream remembers as somebody else's.
const maxOthers = 10_000

// userFilter tells whether a digest is the user's. A sign-in may give the user
// a new one, so that each digest not met before is asked about once.
func (a *API) userFilter(ctx context.Context, uid string) (func(string) bool, error) {
	own, err := a.UserDigests(ctx, uid)
	if err != nil {
		return nil, err
	}
	others := map[string]bool{}
	return func(digest string) bool {
		if digest == "" || others[digest] {
			return false
		}
		if slices.Contains(own, digest) {
			return true
		}
		if now, err := a.UserDigests(ctx, uid); err == nil {
			own = now
		}
		if slices.Contains(own, digest) {
			return true
		}
		if len(others) >= maxOthers {
			clear(others)
		}
		others[digest] = true
		return false
	}, nil
}

// filter reads ?type=&path=&user=&verdict=; user is a uid, for which events
// carry a digest.
func (a *API) filter(r *http.Request) (*filter, error) {
	q, err := parseParams(r, []string{"path", "user", "verdict"}, "type")
	if err != nil {
		return nil, err
	}
	f := &filter{types: q.Values["type"], path: q.Get("path"), verdict: q.Get("verdict")}
	for _, t := range f.types {
		if !slices.Contains(eventTypes, t) {
			return nil, badField("type", "must be one of "+strings.Join(eventTypes, ", "))
		}
	}
	if f.verdict != "" && !slices.Contains(verdicts, f.verdict) {
		return nil, badField("verdict", "must be one of "+strings.Join(verdicts, ", "))
	}
	if user := q.Get("user"); user != "" {
		if a.UserDigests == nil {
			return nil, absent("sessions: it cannot filter by user")
		}
		if f.user, err = a.userFilter(r.Context(), user); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// events answers GET /v1/events with what [API.filter] lets through, as server-sent
// events (WHATWG HTML §9.2) until the client, the dashboard's session or the
// edge ends.
func (a *API) events(w http.ResponseWriter, r *http.Request, by caller) error {
	if a.Subscribe == nil {
		return absent("events")
	}
	f, err := a.filter(r)
	if err != nil {
		return err
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
	if e.Type == proxy.EventRequest {
		if s.sent++; s.sent > streamBurst {
			s.dropped++
			return
		}
	}
	data, err := line(e)
	if err != nil {
		return // an event that JSON cannot say is no reason to end the stream
	}
	s.write("event: " + e.Type + "\ndata: " + data + "\n\n")
}

// line is Data with the time in front: {"time":…,members of Data}, or
// {"time":…,"data":…} where Data is no object.
func line(e Event) (string, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return "", err
	}
	head := `{"time":"` + e.Time.UTC().Format(time.RFC3339Nano) + `"`
	switch {
	case string(data) == "{}":
		return head + "}", nil
	case data[0] == '{':
		return head + "," + string(data[1:]), nil
	}
	return head + `,"data":` + string(data) + "}", nil
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
