package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"umbral/config"
	"umbral/proxy"
	"umbral/proxy/admin"
	"umbral/proxy/store"
)

// newAdmin wires the admin API to what it acts upon.
func (e *edge) newAdmin() *admin.API {
	e.register()
	return admin.New(admin.Options{
		Token: e.set.AdminToken.Reveal(), Edge: e.store.Log().Edge(), Version: buildInfo().Version, Log: e.log.Named("admin"),
		Hosts:     adminHosts(e.set),
		Ledger:    e.store.Log(),
		Holdings:  e.store,
		NormalURL: e.normalURL,
		UserDigests: func(_ context.Context, uid string) ([]string, error) {
			return e.sessions.UserDigests(uid), nil
		},
		SessionDigests: func(_ context.Context, id string) ([]string, error) { return []string{id}, nil },
		Explain:        e.explain,
		Warm:           e.warmer,
		Routes:         e.routes,
		Stats:          e.stats,
		Edges:          e.edges,
		Reload:         e.reload,
		Restart:        func() []string { return e.fixedChanges(e.reloader.File()) },
		Sessions:       sessionsAdmin{e},
		Subscribe:      e.subscribe,
		JWKS:           func() any { return json.RawMessage(e.sessions.JWKS()) },
		Ready:          e.ready,
		Draining:       e.draining.Load,
		Metrics:        e.metrics.Handler(),
	})
}

// adminHosts is the name in ADMIN_LISTEN, if it has one: the dashboard may be
// reached by it.
func adminHosts(set *config.Settings) []string {
	host, _, err := net.SplitHostPort(set.AdminListen)
	if err != nil || host == "" {
		return nil
	}
	return []string{host}
}

// normalURL brings a URL into the form that stored pages carry, through the
// query rule of the route that it belongs to.
func (e *edge) normalURL(raw string) (string, error) {
	plain, err := admin.StoredURL(raw)
	if err != nil {
		return "", err
	}
	target, query, found := strings.Cut(plain, "?")
	if !found {
		return plain, nil
	}
	host, path := "", target
	if i := strings.IndexByte(target, '/'); i > 0 {
		host, path = target[:i], target[i:]
	}
	if query = e.proxy.Rules().Match(http.MethodGet, host, path).NormalQuery(query); query != "" {
		target += "?" + query
	}
	return target, nil
}

func (e *edge) routes() []admin.Route {
	figures := map[string]proxy.RouteStat{}
	stats, _ := e.metrics.RouteStats()
	for _, s := range stats {
		figures[s.Route] = s
	}
	all := e.proxy.Rules().Routes()
	out := make([]admin.Route, 0, len(all))
	for _, r := range append(all[1:len(all):len(all)], all[0]) {
		f := figures[r.Name()]
		a := admin.Route{
			Pattern: r.Name(), TTL: ttlWord(&r.Rule), Vary: scopeWord(r.Rule.Scope), Tags: r.Rule.Tags,
			Requests: f.Requests, Hits: f.Hits, Misses: f.Misses, Passes: f.Bypassed, Errors: f.Errors, Bytes: f.Bytes,
			P50: millis(f.P50), P99: millis(f.P99),
		}
		if r.Rule.ESI {
			a.Notes = append(a.Notes, "esi")
		}
		if r.Rule.Control {
			a.Notes = append(a.Notes, "control")
		}
		if r.Rule.RefreshAhead > 0 {
			a.Notes = append(a.Notes, fmt.Sprintf("refresh_ahead %g%%", r.Rule.RefreshAhead*100))
		}
		if l := r.Limit; l != nil {
			a.Notes = append(a.Notes, fmt.Sprintf("rate_limit %d/%s by %s", l.Rate, strings.TrimPrefix(shortDuration(l.Per), "1"), [...]string{"ip", "session", "user"}[l.By]))
		}
		out = append(out, a)
	}
	return out
}

func millis(ms float64) admin.Millis { return admin.Millis(ms * float64(time.Millisecond)) }

func (e *edge) edges(ctx context.Context) ([]admin.Edge, error) {
	live, err := e.store.Log().Edges(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	out := make([]admin.Edge, 0, len(live))
	for _, l := range live {
		a := admin.Edge{
			ID: l.ID, Self: l.ID == e.store.Log().Edge(), Seen: now.Add(-l.Silent),
			Position: fmt.Sprint(l.Position.Number), Behind: l.Behind,
		}
		if a.Self {
			a.Version, a.Started, a.Addr, a.Lag = buildInfo().Version, e.started.UTC(), e.listen.Addr().String(), admin.Millis(e.lag())
		}
		out = append(out, a)
	}
	return out, nil
}

// reload is POST /v1/reload.
func (e *edge) reload(context.Context) []admin.Fault { return faultsOf(e.reloader.Reload()) }

// reloaded is told of every reload, however it came about.
func (e *edge) reloaded(err error) {
	faults := faultsOf(err)
	for _, f := range faults {
		if f.Setting != "" {
			e.log.Error("a file that is read with the routes file has a fault; what is in force stays",
				zap.String("setting", f.Setting), zap.String("file", f.File), zap.String("fault", f.Message))
			continue
		}
		e.log.Error("the routes file has a fault; the rules in force stay", zap.String("file", f.File),
			zap.Int("line", f.Line), zap.Int("column", f.Column), zap.String("fault", f.Message))
	}
	if err == nil {
		e.log.Info("the routes file has been read again")
	}
	e.events.Publish(proxy.EventReload, time.Now(), admin.Reload{At: time.Now().UTC(), OK: err == nil, Faults: faults})
}

// secretsFault says that a reload failed for the file of EDGE_SECRETS.
type secretsFault struct {
	file string
	error
}

func (f secretsFault) Unwrap() error { return f.error }

func faultsOf(err error) []admin.Fault {
	if err == nil {
		return nil
	}
	var secrets secretsFault
	if errors.As(err, &secrets) {
		return []admin.Fault{{Setting: "EDGE_SECRETS", File: secrets.file, Message: err.Error()}}
	}
	var faults config.Faults
	if !errors.As(err, &faults) {
		return []admin.Fault{{Message: err.Error()}}
	}
	out := make([]admin.Fault, len(faults))
	for i, f := range faults {
		out[i] = admin.Fault{File: f.File, Line: f.Line, Column: f.Column, Message: f.Message}
	}
	return out
}

// subscribe hands the proxy's events to the admin's live views.
func (e *edge) subscribe() (<-chan admin.Event, func()) {
	out := make(chan admin.Event, 64)
	sub, err := e.events.Subscribe(0)
	if err != nil {
		close(out)
		return out, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer sub.Close()
		for {
			select {
			case ev := <-sub.C:
				select {
				case out <- admin.Event{Type: ev.Kind, Time: ev.At, Data: ev.Data}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, cancel
}

func (e *edge) ready(context.Context) []admin.Check {
	state := e.store.Stats().State
	checks := []admin.Check{
		{Name: "redis", OK: state == store.Up, Optional: true},
		{Name: "purge log", OK: !e.store.Log().Lost(time.Now()), Optional: true},
		e.routesCheck(),
		{Name: "app", OK: slices.ContainsFunc(e.origin.Upstreams(), func(u proxy.UpstreamState) bool { return u.Healthy }), Optional: true},
	}
	if state != store.Up {
		checks[0].Detail = "Redis is out of reach or refuses writes; pages come from memory and from the app"
	}
	if !checks[1].OK {
		checks[1].Detail = "it has been out of reach for too long: all that is stored is taken for stale"
	}
	if !checks[3].OK {
		checks[3].Detail = "every upstream fails; visitors get stored pages or none"
	}
	if e.set.EdgeSecretsFile != "" {
		var fault secretsFault
		c := admin.Check{Name: "secrets file", OK: !errors.As(e.reloader.Status().Err, &fault), Optional: true}
		if !c.OK {
			c.Detail = fault.Error()
		}
		checks = append(checks, c)
	}
	return checks
}

// routesCheck says whether the routes file is in force, all of it.
func (e *edge) routesCheck() admin.Check {
	c := admin.Check{Name: "routes file", OK: true, Optional: true}
	err := e.reloader.Status().Err
	if old := e.fixedChanges(e.reloader.File()); len(old) > 0 {
		c.Detail = "read at the start only, so that a restart puts their changes into force: " + strings.Join(old, ", ")
	}
	if err != nil && !errors.As(err, new(secretsFault)) {
		c.OK, c.Detail = false, err.Error()
	}
	return c
}

// warmAgain is when warming that has failed is tried again: at the start the
// app may not be there yet.
const warmAgain = 30 * time.Second

// warm fetches pages ahead of their visitors, as the file's section says, and
// begins anew when a reload changes it.
func (e *edge) warm(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.rewarm:
		case <-timer.C:
		}
		timer.Stop()
		e.mu.Lock()
		w := e.file.Warm
		e.mu.Unlock()
		switch again := w.Every; {
		case w.Sitemap == "" && len(w.URLs) == 0:
		case !e.warmOnce(ctx, w) && (again == 0 || again > warmAgain):
			timer.Reset(warmAgain)
		case again > 0:
			timer.Reset(again)
		}
	}
}

// warmOnce fetches the sitemap's pages, then those that are named, and
// reports whether all could be begun.
func (e *edge) warmOnce(ctx context.Context, w config.Warm) bool {
	good := true
	for _, q := range []admin.WarmRequest{{Sitemap: w.Sitemap}, {URLs: w.URLs}} {
		if q.Sitemap == "" && len(q.URLs) == 0 {
			continue
		}
		q.Concurrency = w.Concurrency
		job, err := e.warmer.Start(q)
		if err == nil {
			if job = e.warmer.Wait(ctx, job); job.State == "failed" {
				err = errors.New(job.Detail)
			}
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("warming has failed", zap.Error(err))
			good = false
		}
	}
	return good
}

// redisState is told when Redis goes and comes.
func (e *edge) redisState(s store.State) {
	word := [...]string{store.Up: "up", store.Down: "down", store.ReadOnly: "read-only"}[s]
	e.redisSince.Store(time.Now().UnixNano())
	e.events.Publish(proxy.EventState, time.Now(), map[string]string{"redis": word})
}

// purgeApplied is told of every purge that this edge obeys from now on.
func (e *edge) purgeApplied(r store.Record) {
	e.sessions.Ended(context.Background(), endedElsewhere(r.Selectors))
	e.purges.Add(1)
	if !r.At.IsZero() {
		e.purgeLag.Store(max(0, time.Since(r.At).Nanoseconds()))
	}
	if e.events.Listening() {
		e.events.Publish(proxy.EventPurge, time.Now(), map[string]any{"id": fmt.Sprint(r.Position.Number), "edge": r.Edge, "selectors": len(r.Selectors)})
	}
}

// hostPort is where an address can be reached from this machine.
func hostPort(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
