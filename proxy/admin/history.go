package admin

import (
	"context"
	"sync"
	"time"
)

// An hour of samples, one each five seconds.
const (
	sampleEvery = 5 * time.Second
	maxSamples  = 720
)

// Sample is what happened between two looks at the figures.
type Sample struct {
	At       time.Time `json:"at"`
	Over     Millis    `json:"over_ms"`
	Requests uint64    `json:"requests"`
	Hits     uint64    `json:"hits"`
	Errors   uint64    `json:"errors"`
	P50      Millis    `json:"p50_ms"`
	P99      Millis    `json:"p99_ms"`
}

// history is the recent past of Stats, for the dashboard's charts.
type history struct {
	mu      sync.Mutex
	last    Stats
	samples []Sample // oldest first, at most maxSamples
}

// Run takes samples until ctx ends. Without it the dashboard's charts begin
// when the page is opened.
func (a *API) Run(ctx context.Context) {
	if a.Stats == nil {
		return
	}
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		a.history.add(a.figures(ctx))
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// add makes a sample of the difference to the stats before; counters that
// fell are those of a new start.
func (h *history) add(s Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.last
	h.last = s
	if last.At.IsZero() || s.Requests < last.Requests || !s.At.After(last.At) {
		return
	}
	if len(h.samples) >= maxSamples {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, Sample{
		At: s.At, Over: Millis(s.At.Sub(last.At)),
		Requests: s.Requests - last.Requests,
		Hits:     s.Hits - min(last.Hits, s.Hits),
		Errors:   s.Errors - min(last.Errors, s.Errors),
		P50:      s.P50, P99: s.P99,
	})
}

// since returns the samples after t.
func (h *history) since(t time.Time) []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []Sample{}
	for _, s := range h.samples {
		if s.At.After(t) {
			out = append(out, s)
		}
	}
	return out
}
