package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"umbral/proxy/admin"
	"umbral/proxy/store"
)

// stats are the figures of GET /v1/stats.
func (e *edge) stats(ctx context.Context) admin.Stats {
	s := e.store.Stats()
	out := admin.Stats{At: time.Now().UTC(), Started: e.started.UTC(), InFlight: int(e.metrics.InFlight())}
	_, all := e.metrics.RouteStats()
	out.Requests, out.Bytes, out.Collapsed = all.Requests, all.Bytes, e.metrics.Collapsed()
	out.Hits, out.Stale, out.Misses, out.Passes, out.Errors = all.Hits, all.Stale, all.Misses, all.Bypassed, all.Errors
	out.P50, out.P99 = millis(all.P50), millis(all.P99)
	out.Memory = admin.Memory{
		Entries: s.Memory.Entries, Bytes: int64(s.Memory.Bytes), Limit: int64(s.Memory.Bound),
		Personal: int64(s.Memory.PersonalBytes), Evictions: s.Memory.Evictions,
	}
	out.Redis = e.redisFigures(ctx, s.State)
	counts := e.sessions.Stats().Counts
	out.Sessions = admin.Jars{
		Active: e.sessions.Stats().Cached, Created: counts["created"], Ended: counts["ended"] + counts["revoked"],
	}
	log := e.store.Log()
	out.Purges = admin.Log{
		Position: strconv.FormatUint(log.Position().Number, 10), Records: log.Stats().Live, Lag: admin.Millis(e.lag()),
		Lost: log.Lost(time.Now()), Total: e.purges.Load(),
	}
	for _, u := range e.origin.Upstreams() {
		out.Upstreams = append(out.Upstreams, admin.Upstream{URL: u.URL, Healthy: u.Healthy, InFlight: int(u.InFlight)})
	}
	r := e.reloader.Status()
	out.Reload = admin.Reload{At: r.At.UTC(), OK: r.Err == nil, Faults: faultsOf(r.Err), Restart: e.fixedChanges(e.reloader.File())}
	return out
}

// pulse is how long the purge log may be silent, and is not behind.
const pulse = time.Second

// lag is how far this edge is behind the purge log.
func (e *edge) lag() time.Duration {
	lag := time.Duration(e.purgeLag.Load())
	if silence := e.store.Log().Stats().Silence; silence > pulse {
		lag = max(lag, silence)
	}
	return lag
}

// redisFigures asks Redis for the figures of doctor's check 5.
func (e *edge) redisFigures(ctx context.Context, state store.State) admin.Redis {
	out := admin.Redis{Up: state == store.Up, Mode: e.set.RedisMode, Breaker: "closed"}
	if at := e.redisSince.Load(); at != 0 {
		out.Since = time.Unix(0, at).UTC()
	}
	if state == store.Down {
		out.Breaker, out.Error = "open", "Redis is out of reach"
		return out
	}
	began := time.Now()
	if e.clients[0].Ping(ctx).Err() != nil {
		out.Up, out.Error = false, "Redis does not answer"
		return out
	}
	out.Latency = admin.Millis(time.Since(began))
	f, err := e.redisInfo(ctx)
	if err != nil {
		out.Error = "Redis does not tell its figures: INFO is refused"
		return out
	}
	out.Version, out.MaxMemoryPolicy = f["redis_version"], f["maxmemory_policy"]
	for name, to := range map[string]*uint64{
		"used_memory": &out.UsedMemory, "maxmemory": &out.MaxMemory, "connected_clients": &out.ConnectedClients,
		"total_commands_processed": &out.TotalCommands, "keyspace_hits": &out.KeyspaceHits,
		"keyspace_misses": &out.KeyspaceMisses, "evicted_keys": &out.EvictedKeys,
	} {
		*to, _ = strconv.ParseUint(f[name], 10, 64)
	}
	return out
}

// redisInfo reads INFO; of a cluster the numbers of all masters together.
func (e *edge) redisInfo(ctx context.Context) (map[string]string, error) {
	cluster, ok := e.clients[0].(*redis.ClusterClient)
	if !ok {
		text, err := e.clients[0].Info(ctx).Result()
		return parseInfo(text), err
	}
	var mu sync.Mutex
	all := make(map[string]string)
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		for name, value := range parseInfo(text) {
			n, err := strconv.ParseUint(value, 10, 64)
			before, _ := strconv.ParseUint(all[name], 10, 64)
			if err == nil {
				value = strconv.FormatUint(before+n, 10)
			}
			all[name] = value
		}
		return err
	})
	return all, err
}

// register adds to the metrics what the rooms below the proxy measure.
func (e *edge) register() {
	gauge := func(name, help string, value func() float64) {
		if err := e.metrics.Gauge(name, help, value); err != nil {
			panic(err) // two of one name: a mistake in this function
		}
	}
	counter := func(name, help string, value func() float64) {
		if err := e.metrics.Counter(name, help, value); err != nil {
			panic(err)
		}
	}
	for _, c := range []prometheus.Collector{e.origin, &e.latency, newRedisCollector(e), newMemoryCollector(e), newSessionCollector(e)} {
		if err := e.metrics.Register(c); err != nil {
			panic(err)
		}
	}
	flag := func(on bool) float64 {
		if on {
			return 1
		}
		return 0
	}
	gauge("breaker_open", "1 while Redis is taken to be out of reach.", func() float64 { return flag(e.store.Stats().State == store.Down) })
	gauge("purge_lag_seconds", "How far this edge is behind the purge log: what the newest purge took to arrive, or how long nothing has been heard.", func() float64 { return e.lag().Seconds() })
	gauge("purge_log_lost", "1 while the purge log has been out of reach for too long.", func() float64 { return flag(e.store.Log().Lost(time.Now())) })
	counter("purges_total", "Purges applied.", func() float64 { return float64(e.purges.Load()) })
	counter("reloads_total", "Reloads of the routes file that went well.", func() float64 { return float64(e.reloader.Status().Good) })
	counter("reloads_failed_total", "Reloads of the routes file that changed nothing, for it had faults.", func() float64 { return float64(e.reloader.Status().Failed) })
	gauge("reload_failed", "1 while the routes file has faults.", func() float64 { return flag(e.reloader.Status().Err != nil) })
	counter("redis_errors_total", "Exchanges that Redis failed or refused.", func() float64 { return float64(e.store.Stats().Errors) })
	counter("redis_dropped_writes_total", "Pages not written to Redis because too many waited.", func() float64 { return float64(e.store.Stats().Dropped) })
	session := func(names ...string) func() float64 {
		return func() (n float64) {
			counts := e.sessions.Stats().Counts
			for _, name := range names {
				n += float64(counts[name])
			}
			return n
		}
	}
	counter("sessions_created_total", "Session records made.", session("created"))
	counter("sessions_ended_total", "Session records ended.", session("ended", "revoked"))
	gauge("sessions_active", "Session records in use on this edge: those held in its memory.", func() float64 { return float64(e.sessions.Stats().Cached) })
}
