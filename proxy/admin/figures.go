package admin

import (
	"context"
	"net/http"
	"time"
)

// Route is one rule in force and what it has served since the start.
type Route struct {
	// Pattern is "-" for what no route lists.
	Pattern string `json:"pattern"`
	// TTL is "15m", "app", or "off" under cache: off.
	TTL string `json:"ttl"`
	// Vary is public, session or user.
	Vary string   `json:"vary"`
	Tags []string `json:"tags"`
	// Notes are what else holds, in the file's words: "esi", "control",
	// "refresh_ahead 10%", "rate_limit 10/m by ip".
	Notes []string `json:"notes,omitempty"`

	Requests uint64 `json:"requests"`
	// Hits were answered from the store, stale ones included; Misses went
	// to the app although they might have been stored; Passes are the rest.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	Passes uint64 `json:"passes"`
	Errors uint64 `json:"errors"`
	Bytes  uint64 `json:"bytes"`
	// P50 and P99 are of the newest requests, hits and misses together.
	P50 Millis `json:"p50_ms"`
	P99 Millis `json:"p99_ms"`
}

// Stats are the figures of one edge and what it sees of Redis. Counters run
// from the start of the edge.
type Stats struct {
	Edge    string    `json:"edge"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	Started time.Time `json:"started,omitzero"`

	// Hits count stale and revalidated ones too.
	Requests  uint64 `json:"requests"`
	Hits      uint64 `json:"hits"`
	Stale     uint64 `json:"stale"`
	Misses    uint64 `json:"misses"`
	Passes    uint64 `json:"passes"`
	Collapsed uint64 `json:"collapsed"`
	Errors    uint64 `json:"errors"`
	Bytes     uint64 `json:"bytes"`
	InFlight  int    `json:"in_flight"`
	// P50 and P99 are of the newest requests, up to a minute's worth.
	P50 Millis `json:"p50_ms"`
	P99 Millis `json:"p99_ms"`

	Memory    Memory     `json:"memory"`
	Redis     Redis      `json:"redis"`
	Sessions  Jars       `json:"sessions"`
	Purges    Log        `json:"purges"`
	Upstreams []Upstream `json:"upstreams"`
	Reload    Reload     `json:"reload"`

	// History is filled in by the API, oldest first, where ?history= asks.
	History []Sample `json:"history,omitempty"`
}

// Memory is the memory tier.
type Memory struct {
	Entries   int    `json:"entries"`
	Bytes     int64  `json:"bytes"`
	Limit     int64  `json:"limit"`
	Personal  int64  `json:"personal_bytes"`
	Evictions uint64 `json:"evictions"`
}

// Redis is how Redis does: its own figures are those of doctor's check 5.
type Redis struct {
	Up bool `json:"up"`
	// Since is when Up last changed.
	Since time.Time `json:"since,omitzero"`
	// Breaker is closed, half-open or open.
	Breaker string `json:"breaker"`
	// Error is the newest failure in plain words, "" if none.
	Error   string `json:"error,omitempty"`
	Version string `json:"version,omitempty"`
	Mode    string `json:"mode,omitempty"`
	Latency Millis `json:"latency_ms"`

	UsedMemory       uint64 `json:"used_memory"`
	MaxMemory        uint64 `json:"maxmemory"`
	MaxMemoryPolicy  string `json:"maxmemory_policy,omitempty"`
	ConnectedClients uint64 `json:"connected_clients"`
	TotalCommands    uint64 `json:"total_commands_processed"`
	KeyspaceHits     uint64 `json:"keyspace_hits"`
	KeyspaceMisses   uint64 `json:"keyspace_misses"`
	EvictedKeys      uint64 `json:"evicted_keys"`
}

// Jars counts sessions.
type Jars struct {
	Active  int    `json:"active"`
	Created uint64 `json:"created"`
	Ended   uint64 `json:"ended"`
}

// Log is the purge log as this edge follows it.
type Log struct {
	Position string `json:"position"`
	// Records is how many names the live ones select.
	Records int    `json:"records"`
	Lag     Millis `json:"lag_ms"`
	// Lost: out of reach for longer than the limit; all is taken for stale.
	Lost  bool   `json:"lost"`
	Total uint64 `json:"total"`
}

// Upstream is one of the app's servers.
type Upstream struct {
	URL      string `json:"url"`
	Healthy  bool   `json:"healthy"`
	InFlight int    `json:"in_flight"`
	Detail   string `json:"detail,omitempty"`
}

// Reload is how the last reading of the routes file went.
type Reload struct {
	At     time.Time `json:"at,omitzero"`
	OK     bool      `json:"ok"`
	Faults []Fault   `json:"faults,omitempty"`
	// Restart names the sections that have changed since the start and that
	// only a restart puts into force.
	Restart []string `json:"restart,omitempty"`
}

// Fault is one fault of the routes file, or where Setting names one, of that
// setting's. Line and Column are 0 where it has no place.
type Fault struct {
	Setting string `json:"setting,omitempty"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

// Edge is one live edge.
type Edge struct {
	ID      string    `json:"id"`
	Self    bool      `json:"self"`
	Addr    string    `json:"addr,omitempty"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Seen    time.Time `json:"seen,omitzero"`
	// Position is what it has applied of the purge log; Behind how many
	// records that leaves; Lag, of this edge only, how far it is behind in time.
	Position string `json:"position"`
	Behind   uint64 `json:"behind"`
	Lag      Millis `json:"lag_ms"`
}

func (a *API) listRoutes(w http.ResponseWriter, _ *http.Request, _ caller) error {
	if a.Routes == nil {
		return absent("routes")
	}
	routes := orEmpty(a.Routes())
	for i := range routes {
		routes[i].Tags = orEmpty(routes[i].Tags)
	}
	return reply(w, http.StatusOK, map[string]any{"routes": routes})
}

// stats answers GET /v1/stats?history=15m.
func (a *API) stats(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Stats == nil {
		return absent("figures")
	}
	q, err := parseParams(r, []string{"history"})
	if err != nil {
		return err
	}
	s := a.figures(r.Context())
	if q.Has("history") {
		back, err := time.ParseDuration(q.Get("history"))
		if err != nil || back <= 0 {
			return badField("history", `must be a duration such as "15m"`)
		}
		s.History = a.history.since(s.At.Add(-back))
	}
	return reply(w, http.StatusOK, s)
}

// figures are Stats with what the API itself knows.
func (a *API) figures(ctx context.Context) Stats {
	s := a.Stats(ctx)
	if s.At.IsZero() {
		s.At = a.Now().UTC()
	}
	if s.Edge == "" {
		s.Edge = a.Edge
	}
	if s.Version == "" {
		s.Version = a.Version
	}
	s.Upstreams = orEmpty(s.Upstreams)
	return s
}

func (a *API) edges(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Edges == nil {
		return absent("a list of edges")
	}
	edges, err := a.Edges(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"edges": orEmpty(edges)})
}

// reload answers POST /v1/reload: 422 with every fault (RFC 9110 §15.5.21).
func (a *API) reload(w http.ResponseWriter, r *http.Request, by caller) error {
	if a.Reload == nil {
		return absent("a routes file")
	}
	if err := decode(w, r, &struct{}{}); err != nil {
		return err
	}
	if faults := a.Reload(r.Context()); len(faults) > 0 {
		no := &Problem{
			Status: http.StatusUnprocessableEntity, Setting: "ROUTES_FILE", Faults: faults,
			Detail: "the routes file has faults; the rules in force are unchanged",
		}
		if s := faults[0].Setting; s != "" {
			no.Setting, no.Detail = s, "the file of "+s+" has a fault; what is in force is unchanged"
		}
		return no
	}
	n := 0
	if a.Routes != nil {
		for _, route := range a.Routes() {
			if route.Pattern != "-" {
				n++
			}
		}
	}
	out := map[string]any{"ok": true, "routes": n}
	if a.Restart != nil {
		if sections := a.Restart(); len(sections) > 0 {
			out["restart"] = sections
		}
	}
	return reply(w, http.StatusOK, out)
}
