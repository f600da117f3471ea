package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// An upstream that fails this often in a row is asked no more for a while,
// longer each time; one that fails this often at being checked, until a check
// goes well. The only one is asked on, and said to fail.
const (
	failuresToEject = 3
	ejectFirst      = 5 * time.Second
	ejectMost       = time.Minute
	checksToFail    = 2
)

// health is what is known of an upstream. It is written by requests (passive)
// and by the watcher (active).
type health struct {
	failures atomic.Int32 // in a row, of requests
	undialed atomic.Bool  // of these the newest got no connection
	ejected  atomic.Int64 // until then, in unix nanoseconds
	times    atomic.Int32 // ejections in a row
	checks   atomic.Int32 // failed in a row
}

// inService reports whether the upstream may be asked.
func (h *health) inService(now time.Time) bool {
	return h.ejected.Load() <= now.UnixNano() && h.checks.Load() < checksToFail
}

// healthy reports whether nothing speaks against the upstream.
func (h *health) healthy(now time.Time) bool {
	return h.inService(now) && h.failures.Load() < failuresToEject
}

// succeeded clears the passive state, and what failed checks say that asked for
// less than an answer; it is two loads in the usual case.
func (u *upstream) succeeded(og *Origin) {
	unchecked := og.o.HealthPath == "" && u.health.checks.Load() > 0
	if u.health.failures.Load() == 0 && !unchecked {
		return
	}
	said := u.health.failures.Swap(0) >= failuresToEject
	if unchecked {
		said = u.health.checks.Swap(0) >= checksToFail || said
	}
	if u.health.times.Swap(0) > 0 || said {
		u.health.ejected.Store(0)
		og.o.Logger.Info("upstream is back", zap.String("upstream", u.url))
	}
}

// failedOnce counts a failure against u. One more after an ejection ejects it
// again, for twice as long.
func (u *upstream) failedOnce(og *Origin, err error) {
	h := &u.health
	h.undialed.Store(errors.Is(err, errDial))
	n := h.failures.Add(1)
	if n < failuresToEject {
		return
	}
	if len(*og.upstreams.Load()) == 1 {
		if n == failuresToEject {
			og.o.Logger.Warn("the only upstream fails: it is asked on", zap.String("upstream", u.url))
		}
		return
	}
	now := og.o.Now()
	until := h.ejected.Load()
	if until > now.UnixNano() {
		return
	}
	d := min(ejectFirst<<min(h.times.Load(), 8), ejectMost)
	if h.ejected.CompareAndSwap(until, now.Add(d).UnixNano()) {
		h.times.Add(1)
		og.o.Logger.Warn("upstream ejected", zap.String("upstream", u.url), zap.Duration("for", d))
	}
}

// watch checks all upstreams every HealthEvery: also a single one, which is
// never taken out of service, for what is said of it.
func (og *Origin) watch(ctx context.Context) {
	defer close(og.closed)
	tick := time.NewTicker(og.o.HealthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			og.checkAll(ctx)
		}
	}
}

// checkAll asks all upstreams at once and returns when it knows.
func (og *Origin) checkAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, og.o.ConnectTimeout)
	defer cancel()
	all := *og.upstreams.Load()
	done := make(chan struct{}, len(all))
	for _, u := range all {
		go func() {
			u.checked(og, og.check(ctx, u))
			done <- struct{}{}
		}()
	}
	for range all {
		<-done
	}
}

// check asks u for HealthPath, or for a connection where there is none. Any
// answer below 500 is one of a living app: it may not know the Host.
func (og *Origin) check(ctx context.Context, u *upstream) error {
	if og.o.HealthPath == "" {
		conn, err := u.dial(ctx)
		if err == nil {
			conn.Close()
		}
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.scheme+"://"+u.host+og.o.HealthPath, nil)
	if err != nil {
		return err
	}
	resp, err := u.roundTrip(r, nil)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
	if resp.StatusCode >= 500 {
		return ErrBadAnswer
	}
	return nil
}

// checked takes in the outcome of a check. A good one ends an ejection too, if
// it proves what the failures disproved: a connection alone is no answer.
func (u *upstream) checked(og *Origin, err error) {
	h := &u.health
	if err != nil {
		if h.checks.Add(1) == checksToFail {
			og.o.Logger.Warn("upstream fails its health checks", zap.String("upstream", u.url), zap.Error(err))
		}
		return
	}
	if h.checks.Swap(0) >= checksToFail {
		og.o.Logger.Info("upstream passes its health check", zap.String("upstream", u.url))
	}
	if og.o.HealthPath != "" || h.undialed.Load() {
		u.succeeded(og)
	}
}

// Probe asks each upstream once, as the health checks do, and returns nil if
// one of them answers: for readiness and doctor.
func (og *Origin) Probe(ctx context.Context) error {
	var first error
	for _, u := range *og.upstreams.Load() {
		err := og.check(ctx, u)
		if err == nil {
			return nil
		}
		if first == nil {
			first = classify(ctx, err)
		}
	}
	return first
}

// UpstreamState is one upstream as the dashboard shows it.
type UpstreamState struct {
	URL       string    `json:"url"`
	InService bool      `json:"in_service"` // it is asked
	Healthy   bool      `json:"healthy"`    // nothing speaks against it
	Ejected   time.Time `json:"ejected_until,omitzero"`
	InFlight  int64     `json:"in_flight"`
	Requests  uint64    `json:"requests"`
	Failures  uint64    `json:"failures"`
}

// Upstreams lists the upstreams in the order of their configuration.
func (og *Origin) Upstreams() []UpstreamState {
	all := *og.upstreams.Load()
	now := og.o.Now()
	states := make([]UpstreamState, len(all))
	for i, u := range all {
		states[i] = UpstreamState{
			URL: u.url, InService: len(all) == 1 || u.health.inService(now), Healthy: u.health.healthy(now),
			InFlight: u.inFlight.Load(), Requests: u.requests.Load(), Failures: u.failed.Load(),
		}
		if until := u.health.ejected.Load(); until > now.UnixNano() {
			states[i].Ejected = time.Unix(0, until)
		}
	}
	return states
}
