package main

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"umbral/proxy/store"
)

// redisFigure is a figure of INFO as a metric.
type redisFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	field string
}

// redisCollector gives doctor's check 5 as metrics; none while Redis does not
// answer, since a counter that falls to 0 would be a restart.
type redisCollector struct {
	e       *edge
	figures []redisFigure
}

func newRedisCollector(e *edge) *redisCollector {
	figure := func(name, help string, kind prometheus.ValueType, field string) redisFigure {
		return redisFigure{prometheus.NewDesc("umbral_redis_"+name, help+" (Redis's "+field+").", nil, nil), kind, field}
	}
	return &redisCollector{e, []redisFigure{
		figure("used_memory_bytes", "Memory that Redis uses", prometheus.GaugeValue, "used_memory"),
		figure("connected_clients", "Connections to Redis", prometheus.GaugeValue, "connected_clients"),
		figure("commands_processed_total", "Commands that Redis has processed", prometheus.CounterValue, "total_commands_processed"),
		figure("keyspace_hits_total", "Keys that Redis has looked up and found", prometheus.CounterValue, "keyspace_hits"),
		figure("keyspace_misses_total", "Keys that Redis has looked up in vain", prometheus.CounterValue, "keyspace_misses"),
		figure("evicted_keys_total", "Keys that Redis has dropped for want of memory", prometheus.CounterValue, "evicted_keys"),
	}}
}

// Describe implements prometheus.Collector.
func (c *redisCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *redisCollector) Collect(out chan<- prometheus.Metric) {
	if c.e.store.Stats().State == store.Down {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.e.set.RedisTimeout)
	defer cancel()
	info, err := c.e.redisInfo(ctx)
	if err != nil {
		return
	}
	for _, f := range c.figures {
		if v, err := strconv.ParseFloat(info[f.field], 64); err == nil {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, v)
		}
	}
}

// memoryCollector gives the memory tier's figures, labelled as hits are.
type memoryCollector struct {
	e                         *edge
	entries, bytes, evictions *prometheus.Desc
}

func newMemoryCollector(e *edge) *memoryCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("umbral_tier_"+name, help, nil, prometheus.Labels{"tier": "memory"})
	}
	return &memoryCollector{e, desc("entries", "Pages in a tier."), desc("bytes", "Bytes in a tier."), desc("evictions_total", "Pages pushed out of a tier to make room.")}
}

// Describe implements prometheus.Collector.
func (c *memoryCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.entries
	out <- c.bytes
	out <- c.evictions
}

// Collect implements prometheus.Collector.
func (c *memoryCollector) Collect(out chan<- prometheus.Metric) {
	m := c.e.store.Stats().Memory
	out <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(m.Entries))
	out <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(m.Bytes))
	out <- prometheus.MustNewConstMetric(c.evictions, prometheus.CounterValue, float64(m.Evictions))
}

// sessionCollector counts what happened to sessions, or was refused.
type sessionCollector struct {
	e      *edge
	events *prometheus.Desc
}

func newSessionCollector(e *edge) *sessionCollector {
	return &sessionCollector{e, prometheus.NewDesc("umbral_session_events_total", "What happened to sessions, or was refused.", []string{"reason"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *sessionCollector) Describe(out chan<- *prometheus.Desc) { out <- c.events }

// Collect implements prometheus.Collector.
func (c *sessionCollector) Collect(out chan<- prometheus.Metric) {
	for reason, n := range c.e.sessions.Stats().Counts {
		out <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(n), reason)
	}
}
