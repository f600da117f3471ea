package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"umbral/proxy/admin"
	"umbral/proxy/store"
)

// stats are the figures of GET /v1/stats.
func (e *edge) stats(ctx context.Context) admin.Stats {
	s := e.store.Stats()
	out := admin.Stats{At: time.Now().UTC(), Started: e.started.UTC(), InFlight: int(e.metrics.InFlight())}
	var busiest uint64
	for _, r := range e.metrics.RouteStats() {
		out.Requests += r.Requests
		out.Hits += r.Hits
		out.Misses += r.Misses
		out.Passes += r.Bypassed
		out.Errors += r.Errors
		out.Bytes += r.Bytes
		if r.Requests > busiest {
			busiest, out.P50, out.P99 = r.Requests, millis(r.P50), millis(r.P99)
		}
	}
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
		Position: strconv.FormatUint(log.Position().Number, 10), Lag: admin.Millis(e.purgeLag.Load()),
		Lost: log.Lost(time.Now()), Total: e.purges.Load(),
	}
	for _, u := range e.origin.Upstreams() {
		out.Upstreams = append(out.Upstreams, admin.Upstream{URL: u.URL, Healthy: u.InService, InFlight: int(u.InFlight)})
	}
	r := e.reloader.Status()
	out.Reload = admin.Reload{At: r.At.UTC(), OK: r.Err == nil, Faults: faultsOf(r.Err)}
	return out
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
	info, err := e.clients[0].Info(ctx).Result()
	if err != nil {
		out.Up, out.Error = false, "Redis does not answer"
		return out
	}
	out.Latency = admin.Millis(time.Since(began))
	f := infoFields(info)
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

// infoFields reads the answer of INFO.
func infoFields(info string) map[string]string {
	f := make(map[string]string)
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			f[name] = value
		}
	}
	return f
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
	if err := e.metrics.Register(e.origin); err != nil {
		panic(err)
	}
	flag := func(on bool) float64 {
		if on {
			return 1
		}
		return 0
	}
	gauge("breaker_open", "1 while Redis is taken to be out of reach.", func() float64 { return flag(e.store.Stats().State == store.Down) })
	gauge("purge_lag_seconds", "How long the newest purge took to arrive here.", func() float64 { return time.Duration(e.purgeLag.Load()).Seconds() })
	gauge("purge_log_lost", "1 while the purge log has been out of reach for too long.", func() float64 { return flag(e.store.Log().Lost(time.Now())) })
	counter("purges_total", "Purges applied.", func() float64 { return float64(e.purges.Load()) })
	counter("reloads_total", "Reloads of the routes file that went well.", func() float64 { return float64(e.reloader.Status().Good) })
	gauge("reload_failed", "1 while the routes file has faults.", func() float64 { return flag(e.reloader.Status().Err != nil) })
	gauge("memory_entries", "Pages in the memory tier.", func() float64 { return float64(e.store.Stats().Memory.Entries) })
	gauge("memory_bytes", "Bytes in the memory tier.", func() float64 { return float64(e.store.Stats().Memory.Bytes) })
	counter("memory_evictions_total", "Pages pushed out of the memory tier.", func() float64 { return float64(e.store.Stats().Memory.Evictions) })
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
	gauge("sessions_cached", "Session records held in this edge's memory.", func() float64 { return float64(e.sessions.Stats().Cached) })
	for name, field := range map[string]string{
		"used_memory_bytes": "used_memory", "connected_clients": "connected_clients", "commands_processed": "total_commands_processed",
		"keyspace_hits": "keyspace_hits", "keyspace_misses": "keyspace_misses", "evicted_keys": "evicted_keys",
	} {
		gauge("redis_"+name, "Redis's own "+field+".", func() float64 { return e.redisInfo(field) })
	}
}

// redisInfo is one figure of INFO, asked for at most once a second.
func (e *edge) redisInfo(field string) float64 {
	e.info.Lock()
	defer e.info.Unlock()
	if time.Since(e.info.at) > time.Second {
		e.info.at, e.info.fields = time.Now(), nil
		ctx, cancel := context.WithTimeout(context.Background(), e.set.RedisTimeout)
		defer cancel()
		if text, err := e.clients[0].Info(ctx).Result(); err == nil {
			e.info.fields = infoFields(text)
		}
	}
	v, _ := strconv.ParseFloat(e.info.fields[field], 64)
	return v
}
