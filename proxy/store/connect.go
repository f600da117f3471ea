package store

import (
	"cmp"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Address says where Redis is, in the words of CONTRACT.md §2.
type Address struct {
	// URL is REDIS_URL: redis://, rediss:// or unix://, in the form that
	// go-redis has for the mode. For "embedded:" start an [Embedded] and put
	// its URL here.
	URL string
	// Mode is REDIS_MODE: single (also if empty), sentinel or cluster.
	Mode string
	// Connections is the pool's size; 50 if 0.
	Connections int
	// ConnectTimeout is 5s and Timeout 500ms if 0. The URL's own parameters
	// win over neither.
	ConnectTimeout, Timeout time.Duration
}

// Connect makes a client without any I/O: Redis may be down. Its errors never
// hold what the URL does, for that may be a password.
func Connect(a Address) (redis.UniversalClient, error) {
	a.Connections = cmp.Or(a.Connections, 50)
	a.ConnectTimeout = cmp.Or(a.ConnectTimeout, 5*time.Second)
	a.Timeout = cmp.Or(a.Timeout, 500*time.Millisecond)
	switch a.Mode {
	case "", "single":
		o, err := redis.ParseURL(a.URL)
		if err != nil {
			return nil, a.fault("redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… or unix://[USER:PASSWORD@]/PATH[?db=DB]")
		}
		o.PoolSize, o.MaxRetries, o.MinRetryBackoff = a.Connections, 1, -1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = a.ConnectTimeout, a.Timeout, a.Timeout
		o.PoolTimeout, o.DialerRetries = a.Timeout, 1
		o.ContextTimeoutEnabled, o.DisableIdentity = true, true
		o.MaintNotificationsConfig = noMaintenance()
		return redis.NewClient(o), nil
	case "sentinel":
		o, err := redis.ParseFailoverURL(a.URL)
		if err != nil || o.MasterName == "" {
			return nil, a.fault("redis://[USER:PASSWORD@]SENTINEL[:PORT][/DB]?master_name=NAME[&addr=SENTINEL:PORT…]")
		}
		// The URL's credentials are meant for Redis as well as its Sentinels:
		// go-redis's form has no other place for them.
		if o.Username == "" && o.Password == "" {
			o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
		}
		o.PoolSize, o.MaxRetries, o.MinRetryBackoff = a.Connections, 1, -1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = a.ConnectTimeout, a.Timeout, a.Timeout
		o.PoolTimeout, o.DialerRetries = a.Timeout, 1
		o.ContextTimeoutEnabled, o.DisableIdentity = true, true
		return redis.NewFailoverClient(o), nil
	case "cluster":
		o, err := redis.ParseClusterURL(a.URL)
		if err != nil {
			return nil, a.fault("redis://[USER:PASSWORD@]HOST:PORT[?addr=HOST:PORT…]")
		}
		// Of redirections there may be a few while slots move.
		o.PoolSize, o.MaxRetries, o.MaxRedirects, o.MinRetryBackoff = a.Connections, 1, 4, -1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = a.ConnectTimeout, a.Timeout, a.Timeout
		o.PoolTimeout, o.DialerRetries = a.Timeout, 1
		o.ContextTimeoutEnabled, o.DisableIdentity = true, true
		o.MaintNotificationsConfig = noMaintenance()
		return redis.NewClusterClient(o), nil
	}
	return nil, fmt.Errorf("redis mode %q is none of single, sentinel, cluster", a.Mode)
}

// Silence ends the client library's own log, which has a line for every failed
// connection: the breaker says once what there is to say. It is for all
// clients of the process; call it before the first Connect.
func Silence() { logging.Disable() }

// fault names the form that the URL should have, and of the URL only its
// scheme.
func (a *Address) fault(form string) error {
	u, err := url.Parse(a.URL)
	if err == nil && u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return fmt.Errorf("redis URL has the scheme %q; it must be like %s", u.Scheme, form)
	}
	return fmt.Errorf("redis URL cannot be read; it must be like %s, special characters percent-encoded", form)
}

// noMaintenance turns off a feature of hosted Redis that costs each connection
// a command.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
