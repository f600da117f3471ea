package main

import (
	"github.com/redis/go-redis/v9"

	"umbral/config"
	"umbral/proxy/store"
)

// connectRedis makes a client as the edge does, without any I/O. Its errors
// never hold what the URL does.
func connectRedis(rawURL string, s *config.Settings) (redis.UniversalClient, error) {
	return store.Connect(store.Address{
		URL: rawURL, Mode: s.RedisMode, Connections: s.RedisMaxConnections,
		ConnectTimeout: s.RedisConnectTimeout, Timeout: s.RedisTimeout,
	})
}
