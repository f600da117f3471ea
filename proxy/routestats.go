package proxy

import (
	"sort"
	"time"
)

// RouteStat is one route's figures since the process began; the quantiles, in
// milliseconds, are of the last half minute to minute, and of all there was
// where nothing came in that time.
type RouteStat struct {
	Route    string
	Requests uint64
	Hits     uint64 // stale and revalidated ones too
	Stale    uint64
	Misses   uint64
	Bypassed uint64
	Refused  uint64
	Errors   uint64
	Bytes    uint64
	P50, P99 float64
}

// durations are the buckets of a histogram at one moment.
type durations [len(histogramBounds) + 1]uint64

func (b *durations) add(o *durations) {
	for i := range b {
		b[i] += o[i]
	}
}

// recentSpan is how old the counts are at least that recent quantiles are
// counted from; at most they are twice as old, while somebody looks.
const recentSpan = 30 * time.Second

// recent keeps what the histograms held at two earlier looks, so that the
// newest requests can be told from all: no request pays for it.
type recent struct {
	at           time.Time // of newer
	older, newer map[string]*durations
}

// since is what route's counts have grown by since the older look.
func (w *recent) since(route string, now *durations) *durations {
	out := *now
	var grown uint64
	if before := w.older[route]; before != nil {
		for i := range out {
			out[i] -= before[i]
		}
	}
	for _, n := range out {
		grown += n
	}
	if grown == 0 {
		return now
	}
	return &out
}

// turn makes this look the newer one, if that is old enough.
func (w *recent) turn(at time.Time, now map[string]*durations) {
	if at.Sub(w.at) >= recentSpan {
		w.at, w.older, w.newer = at, w.newer, now
	}
}

// totalName is the key of all routes together, which is no pattern.
const totalName = ""

// RouteStats lists the figures of every route that has been asked for, by
// name, and those of all together. Quantiles are read off the histogram: as
// exact as its buckets.
func (m *Metrics) RouteStats() (stats []RouteStat, total RouteStat) {
	looks := map[string]*durations{totalName: {}}
	for name, r := range *m.routes.Load() {
		s := RouteStat{Route: name}
		looks[name] = s.count(r)
		looks[totalName].add(looks[name])
		total.add(&s)
		stats = append(stats, s)
	}
	m.recentMu.Lock()
	defer m.recentMu.Unlock()
	for i := range stats {
		stats[i].quantiles(m.recent.since(stats[i].Route, looks[stats[i].Route]))
	}
	total.quantiles(m.recent.since(totalName, looks[totalName]))
	m.recent.turn(time.Now(), looks)
	sort.Slice(stats, func(i, j int) bool { return stats[i].Route < stats[j].Route })
	return stats, total
}

// count fills in what r has counted, and returns its durations.
func (s *RouteStat) count(r *routeMetrics) *durations {
	all := new(durations)
	for v := range numVerdicts {
		var n uint64
		for i := range all {
			k := r[v].took.buckets[i].Load()
			all[i] += k
			n += k
		}
		s.Requests += n
		s.Bytes += r[v].bytes.Load()
		switch v {
		case verdictHit, verdictRevalidated:
			s.Hits += n
		case verdictStale:
			s.Hits += n
			s.Stale += n
		case verdictMiss:
			s.Misses += n
		case verdictBypass:
			s.Bypassed += n
		case verdictRefused:
			s.Refused += n
		case verdictError:
			s.Errors += n
		}
	}
	return all
}

func (s *RouteStat) add(o *RouteStat) {
	s.Requests += o.Requests
	s.Hits += o.Hits
	s.Stale += o.Stale
	s.Misses += o.Misses
	s.Bypassed += o.Bypassed
	s.Refused += o.Refused
	s.Errors += o.Errors
	s.Bytes += o.Bytes
}

func (s *RouteStat) quantiles(b *durations) {
	s.P50, s.P99 = quantile(b[:], .5), quantile(b[:], .99)
}

// quantile reads a quantile off buckets, in milliseconds, linear within a
// bucket; what exceeds every bound counts as the last.
func quantile(buckets []uint64, q float64) float64 {
	var total uint64
	for _, n := range buckets {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank, below, lower := q*float64(total), 0.0, 0.0
	for i, bound := range histogramBounds {
		n := float64(buckets[i])
		if below+n >= rank && n > 0 {
			return (lower + (bound-lower)*(rank-below)/n) * float64(time.Second/time.Millisecond)
		}
		below += n
		lower = bound
	}
	return lower * float64(time.Second/time.Millisecond)
}
