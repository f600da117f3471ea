package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pulse is the answer to a heartbeat.
type pulse struct {
	last  Record // Position and word alone
	first uint64
	now   int64 // Redis's clock in ms
	edges map[string]member
	run   string // the server's run_id, "-" where it does not tell
}

// forgetEdge is when a silent edge's name is forgotten.
func (l *Log) forgetEdge() time.Duration { return max(6*l.lagLimit, time.Minute) }

// pulse tells Redis how far this edge is, and the other edges too if tell is
// set, and hears how far they and the log are. Now and then it does the log's
// chores.
func (l *Log) pulse(ctx context.Context, tell bool) (pulse, error) {
	var channel, count string
	at, word, there := l.Position(), "", ""
	if h := l.head.Load(); h != nil {
		word = h.word
	}
	if !l.Lost(l.now()) {
		there = "1"
	}
	if tell && at.Epoch != 0 {
		channel = l.acks
	}
	age, now := int64(0), l.now()
	l.chores.Lock()
	if now.Sub(l.chores.trimmed) > trimEvery {
		l.chores.trimmed, age = now, forgetAge.Milliseconds()
	}
	if now.Sub(l.chores.counted) > countEvery {
		l.chores.counted, count = now, "1"
	}
	l.chores.Unlock()
	limited, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	freshEpoch, freshWord := newEpoch()
	reply, err := beatScript.Run(limited, l.client, []string{l.stream, l.edges},
		freshEpoch, freshWord, l.edge, fmt.Sprint(at.Epoch), fmt.Sprint(at.Number), channel,
		l.forgetEdge().Milliseconds(), age, count, word, l.lagLimit.Milliseconds(), there).Slice()
	if err != nil {
		return pulse{}, l.mend(limited, err)
	}
	p, replicas, err := readPulse(reply)
	if err != nil {
		return pulse{}, err
	}
	if count != "" {
		l.haveReplicas(replicas)
	}
	l.members.replace(p.edges, p.now, p.run)
	return p, nil
}

func readPulse(reply []any) (p pulse, replicas int64, err error) {
	if len(reply) != 8 {
		return p, 0, errCorrupt
	}
	var errs [5]error
	text := func(i int) string { s, _ := reply[i].(string); return s }
	p.last.Position.Number, errs[0] = strconv.ParseUint(text(0), 10, 64)
	p.last.Position.Epoch, errs[1] = strconv.ParseUint(text(1), 10, 64)
	p.last.word = text(2)
	p.first, errs[2] = strconv.ParseUint(text(3), 10, 64)
	p.now, errs[3] = strconv.ParseInt(text(4), 10, 64)
	replicas, errs[4] = strconv.ParseInt(text(5), 10, 64)
	p.edges, p.run = readEdges(reply[6]), text(7)
	return p, replicas, errors.Join(errs[:]...)
}

// member is an edge as the others know it.
type member struct {
	Position
	seen  int64     // Redis's clock in ms
	heard time.Time // when it last sent a message itself, by our clock
}

func readEdges(reply any) map[string]member {
	flat, _ := reply.([]any)
	edges := make(map[string]member, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		name, _ := flat[i].(string)
		value, _ := flat[i+1].(string)
		var m member
		if n, err := fmt.Sscanf(value, "%d %d %d", &m.Epoch, &m.Number, &m.seen); n == 3 && err == nil {
			edges[name] = m
		}
	}
	return edges
}

// since is when the hash of edges began, in ms by Redis's clock, where it says
// so; else it may have begun just now.
func since(reply any) int64 {
	flat, _ := reply.([]any)
	for i := 0; i+1 < len(flat); i += 2 {
		if name, _ := flat[i].(string); name == ":since" {
			value, _ := flat[i+1].(string)
			if at, err := strconv.ParseInt(value, 10, 64); err == nil {
				return at
			}
		}
	}
	return math.MaxInt64
}

// members is what is known of all edges, by their messages and by the hash in
// Redis. Changed wakes everybody who waits for one of them.
type members struct {
	mu      sync.Mutex
	edges   map[string]member
	now     int64  // Redis's clock at the newest reading
	run     string // the server that was read, whose edges alone these are
	changed chan struct{}
}

func (s *members) init() {
	s.edges, s.changed = make(map[string]member), make(chan struct{})
}

// server is the run_id of the server that was read last.
func (s *members) server() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// wake is called with mu held.
func (s *members) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// message notes "epoch number run edge", if it is of the server that was read
// last; an epoch of 0 is an edge that goes.
func (s *members) message(payload string) {
	f := strings.SplitN(payload, " ", 4)
	if len(f) != 4 {
		return
	}
	epoch, err := strconv.ParseUint(f[0], 10, 64)
	number, err2 := strconv.ParseUint(f[1], 10, 64)
	if err != nil || err2 != nil {
		return
	}
	run, edge := f[2], f[3]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case epoch == 0:
		delete(s.edges, edge)
	case run == s.run:
		m := s.edges[edge]
		m.Position = Position{Epoch: epoch, Number: number}
		m.seen, m.heard = max(m.seen, s.now), time.Now()
		s.edges[edge] = m
	}
	s.wake()
}

// replace takes a reading of the hash, keeping what messages said since. An
// edge that was there a moment ago and is not in the hash has not said
// farewell: the hash may be younger than the edge (Redis was flushed, or came
// back empty), and that edge may not know it yet. It counts as silent from the
// time when it was last heard of.
//
// Another server than before may have lost what edges last said to its
// forerunner (an append-only file is behind by a second or two, a replica by
// less), who go by that and serve on: each counts as heard of just now.
func (s *members) replace(edges map[string]member, now int64, run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	here := time.Now()
	for name, m := range edges {
		m.heard = here
		if run == s.run {
			m.heard = here.Add(-time.Duration(max(now-m.seen, 0)) * time.Millisecond)
		}
		if old, ok := s.edges[name]; ok {
			m.heard = later(m.heard, old.heard)
			if run == s.run && old.Epoch == m.Epoch && old.Number > m.Number {
				m.Position = old.Position
			}
		}
		edges[name] = m
	}
	for name, old := range s.edges {
		if _, ok := edges[name]; !ok && here.Sub(old.heard) < keepUnseen {
			old.Position = Position{} // what was said of another log
			if run != s.run {
				old.heard = here
			}
			edges[name] = old
		}
	}
	s.edges, s.now, s.run = edges, now, run
	s.wake()
}

// keepUnseen is longer than any lag limit of use.
const keepUnseen = time.Minute

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// snapshot gives the edges heard of within limit, the clock, the server that
// said so, and the channel that is closed at the next change.
func (s *members) snapshot(limit time.Duration) (live map[string]member, now int64, run string, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live = make(map[string]member, len(s.edges))
	for name, m := range s.edges {
		if time.Since(m.heard) <= limit {
			live[name] = m
		}
	}
	return live, s.now, s.run, s.changed
}

// Edge is one live edge.
type Edge struct {
	ID       string
	Position Position // what it has applied
	// Behind is how many records it has yet to apply, as far as this edge
	// knows.
	Behind uint64
	// Silent is for how long it has not been heard of.
	Silent time.Duration
}

// Edges lists the live edges, this one too, by name.
func (l *Log) Edges(ctx context.Context) ([]Edge, error) {
	err := l.breaker.do(ctx, l.stream, func(ctx context.Context) error {
		_, err := l.pulse(ctx, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	newest := l.Position()
	live, now, _, _ := l.members.snapshot(l.lagLimit)
	edges := make([]Edge, 0, len(live))
	for name, m := range live {
		e := Edge{ID: name, Position: m.Position, Silent: time.Duration(now-m.seen) * time.Millisecond}
		if newest.Epoch == m.Epoch && newest.Number > m.Number {
			e.Behind = newest.Number - m.Number
		}
		edges = append(edges, e)
	}
	slices.SortFunc(edges, func(a, b Edge) int { return strings.Compare(a.ID, b.ID) })
	return edges, nil
}
