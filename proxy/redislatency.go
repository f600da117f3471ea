package proxy

import (
	"context"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

var descRedisTook = desc("redis_duration_seconds", "How long Redis took to answer.")

// RedisLatency is a hook of Redis clients that measures each exchange, a
// pipeline as one; errors are counted by whoever meets them. It is not for
// clients that wait in blocking commands. The zero RedisLatency is ready.
type RedisLatency struct{ took histogram }

// DialHook implements redis.Hook.
func (l *RedisLatency) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

// ProcessHook implements redis.Hook.
func (l *RedisLatency) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		l.took.observe(time.Since(began))
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (l *RedisLatency) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		l.took.observe(time.Since(began))
		return err
	}
}

// Describe implements prometheus.Collector.
func (l *RedisLatency) Describe(c chan<- *prometheus.Desc) { c <- descRedisTook }

// Collect implements prometheus.Collector.
func (l *RedisLatency) Collect(c chan<- prometheus.Metric) {
	if h, ok := l.took.metric(descRedisTook); ok {
		c <- h
	}
}
