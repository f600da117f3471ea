package main

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"umbral/config"
)

// connectRedis makes a client as the edge does, without any I/O. Its errors
// never hold what the URL does.
func connectRedis(rawURL string, s *config.Settings) (redis.UniversalClient, error) {
	bad := errors.New("the URL is not what go-redis reads")
	switch s.RedisMode {
	case "cluster":
		o, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, bad
		}
		o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled = s.RedisMaxConnections, 1, true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = s.RedisConnectTimeout, s.RedisTimeout, s.RedisTimeout
		return redis.NewClusterClient(o), nil
	case "sentinel":
		o, err := redis.ParseFailoverURL(rawURL)
		if err != nil || o.MasterName == "" {
			return nil, bad
		}
		if o.Username == "" && o.Password == "" {
			o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
		}
		o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled = s.RedisMaxConnections, 1, true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = s.RedisConnectTimeout, s.RedisTimeout, s.RedisTimeout
		return redis.NewFailoverClient(o), nil
	}
	o, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, bad
	}
	o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled = s.RedisMaxConnections, 1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = s.RedisConnectTimeout, s.RedisTimeout, s.RedisTimeout
	o.DialerRetries = 1
	return redis.NewClient(o), nil
}
