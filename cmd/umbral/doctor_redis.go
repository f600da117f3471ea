package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/config"
)

// instance is one Redis that the edge uses.
type instance struct {
	url      config.Secret
	label    string // " (sessions)" behind the name of each check, or ""
	sessions bool   // sessions are kept here
	client   redis.UniversalClient
	nodes    []node
}

// node is one server of it: each master of a cluster, else the only one.
type node struct {
	name   string
	client redis.Cmdable
	info   map[string]string
}

// redis makes the checks of every Redis that the settings name.
func (r *report) redis(ctx context.Context, s *config.Settings) {
	if s.RedisURL == "" {
		r.bad("Redis", "REDIS_URL is not set", "set it, such as redis://127.0.0.1:6379/0; embedded: is for trying out")
		return
	}
	both := s.SessionsRedisURL == s.RedisURL
	instances := []*instance{{url: s.RedisURL, sessions: both}}
	if !both {
		instances = append(instances, &instance{url: s.SessionsRedisURL, label: " (sessions)", sessions: true})
	}
	for _, i := range instances {
		r.instance(ctx, s, i)
	}
}

func (r *report) instance(ctx context.Context, s *config.Settings, i *instance) {
	if i.url == config.Embedded {
		r.warn("Redis"+i.label, "embedded: keeps everything in the edge's own process and forgets it at its end",
			"use a real Redis for anything but trying out")
		return
	}
	client, err := connectRedis(i.url.Reveal(), s)
	if err != nil {
		r.bad("Redis"+i.label, err.Error(), "write redis://user:password@host:6379/0, with special characters of the password percent-encoded")
		return
	}
	defer func() { _ = client.Close() }()
	i.client = client
	if !r.answers(ctx, i) {
		r.warn("Redis settings, persistence, round trip, statistics, data directory"+i.label, "not looked at, since Redis does not answer", "")
		return
	}
	r.redisSettings(i)
	r.persistence(i)
	r.roundTrip(ctx, s, i)
	r.statistics(i)
	r.dataDirectory(ctx, i)
	r.exposure(ctx, i)
	r.commands(ctx, i)
	r.clock(ctx, i)
}

// answers is check 1. It fills in the nodes.
func (r *report) answers(ctx context.Context, i *instance) bool {
	check, where := "Redis answers"+i.label, config.RedactURL(i.url.Reveal())
	began := time.Now()
	// MISCONF is an answer, also to PING: persistence says what is wrong.
	if err := i.client.Ping(ctx).Err(); err != nil && !strings.HasPrefix(err.Error(), "MISCONF") {
		r.bad(check, fmt.Sprintf("%s: %s", where, plainRedisError(err)), advice(err))
		return false
	}
	took := time.Since(began)
	if err := i.ask(ctx); err != nil {
		r.bad(check, fmt.Sprintf("%s answers, but not to INFO: %s", where, plainRedisError(err)), advice(err))
		return false
	}
	versions := i.distinct("redis_version")
	r.good(check, "%s, version %s, after %.1f ms%s", where, versions, took.Seconds()*1000, i.shape())
	for _, n := range i.nodes {
		if major, _, _ := strings.Cut(n.info["redis_version"], "."); len(major) == 1 && major < "6" {
			r.bad(check, n.name+"version "+n.info["redis_version"]+" has no client-side caching (RESP3)", "use Redis 7 or later")
		}
		if _, ok := i.client.(*redis.ClusterClient); !ok && n.info["cluster_enabled"] == "1" {
			r.bad(check, "this is a node of a cluster, and holds a part of the keys only", "set REDIS_MODE=cluster")
		}
		if n.info["role"] == "slave" {
			r.bad(check, n.name+"this is a replica, which refuses writes", "name the primary in REDIS_URL, or use REDIS_MODE=sentinel")
		}
		if n.info["loading"] == "1" {
			r.warn(check, n.name+"Redis is still loading its data", "wait until it has")
		}
	}
	return true
}

// ask reads INFO of every node.
func (i *instance) ask(ctx context.Context) error {
	read := func(ctx context.Context, name string, c redis.Cmdable) (node, error) {
		text, err := c.Info(ctx).Result()
		return node{name, c, parseInfo(text)}, err
	}
	cluster, ok := i.client.(*redis.ClusterClient)
	if !ok {
		n, err := read(ctx, "", i.client)
		i.nodes = []node{n}
		return err
	}
	var mu sync.Mutex
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		n, err := read(ctx, c.Options().Addr+": ", c)
		mu.Lock()
		defer mu.Unlock()
		i.nodes = append(i.nodes, n)
		return err
	})
	sort.Slice(i.nodes, func(a, b int) bool { return i.nodes[a].name < i.nodes[b].name })
	return err
}

// shape says what stands behind the URL.
func (i *instance) shape() string {
	if len(i.nodes) > 1 {
		return fmt.Sprintf(", a cluster of %d masters", len(i.nodes))
	}
	if n := i.nodes[0].info["connected_slaves"]; n != "" && n != "0" {
		return ", replicas: " + n
	}
	return ""
}

func (i *instance) distinct(field string) string {
	var values []string
	for _, n := range i.nodes {
		values = append(values, n.info[field])
	}
	sort.Strings(values)
	return strings.Join(slices.Compact(values), " and ")
}

// parseInfo reads INFO's text: lines of "field:value", and of "# Section".
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok && line[0] != '#' {
			info[name] = value
		}
	}
	return info
}

func (n *node) number(field string) uint64 {
	v, err := strconv.ParseUint(n.info[field], 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// redisSettings is check 2.
func (r *report) redisSettings(i *instance) {
	check := "Redis settings" + i.label
	for _, n := range i.nodes {
		policy, limit := n.info["maxmemory_policy"], n.number("maxmemory")
		r.good(check, "%smaxmemory %s, maxmemory-policy %s, version %s", n.name, limitOf(limit), policy, n.info["redis_version"])
		switch {
		case i.sessions && strings.HasPrefix(policy, "allkeys-"):
			r.warn(check, n.name+"sessions are kept here, and "+policy+" evicts them when memory is full: people are signed out",
				"set SESSIONS_REDIS_URL to a Redis with maxmemory-policy noeviction")
		case i.sessions && strings.HasPrefix(policy, "volatile-"):
			r.warn(check, n.name+"sessions are kept here, and have a lifetime: "+policy+" may evict them when memory is full",
				"set SESSIONS_REDIS_URL to a Redis with maxmemory-policy noeviction, or leave ample room")
		case !i.sessions && policy == "noeviction" && limit > 0:
			r.warn(check, n.name+"a full cache refuses to store instead of making room", "set maxmemory-policy allkeys-lfu where only the cache lives")
		}
		if limit == 0 {
			r.warn(check, n.name+"without maxmemory Redis grows until the system stops it", "set maxmemory, such as 512mb")
		}
	}
}

// persistence is check 3.
func (r *report) persistence(i *instance) {
	check := "Persistence" + i.label
	for _, n := range i.nodes {
		aof, before := n.info["aof_enabled"] == "1", len(r.findings)
		if s := n.info["rdb_last_bgsave_status"]; s != "ok" && s != "" {
			r.bad(check, n.name+"the last save failed", "look at Redis's own log: most often the disk is full or dir may not be written")
		}
		if aof && n.info["aof_last_bgrewrite_status"] != "ok" {
			r.bad(check, n.name+"the last rewrite of the append-only file failed", "look at Redis's own log, and at the space on its disk")
		}
		if aof && n.info["aof_last_write_status"] != "ok" {
			r.bad(check, n.name+"the append-only file cannot be written", "look at the space on Redis's disk: it refuses writes until it has some")
		}
		if !aof && i.sessions {
			r.warn(check, n.name+"appendonly is off, and sessions are kept here: a crash of Redis signs people out",
				"start Redis with --appendonly yes")
			continue
		}
		switch {
		case len(r.findings) > before:
		case aof:
			r.good(check, "%sappendonly is on, %s; the last save and rewrite went well", n.name, byteSize(n.number("aof_current_size")))
		default:
			r.good(check, "%sappendonly is off, which a cache can do without; the last save went well", n.name)
		}
	}
}

// roundTrip is check 4.
func (r *report) roundTrip(ctx context.Context, s *config.Settings, i *instance) {
	check, began := "Round trip"+i.label, time.Now()
	key, value := s.CacheKeyPrefix+":edge:doctor:"+rand.Text(), rand.Text()
	steps := []struct {
		name string
		do   func() error
	}{
		{"set", func() error { return i.client.Set(ctx, key, value, time.Minute).Err() }},
		{"get", func() error {
			got, err := i.client.Get(ctx, key).Result()
			if err == nil && got != value {
				err = errors.New("something else came back than was set")
			}
			return err
		}},
		{"expire", func() error {
			ok, err := i.client.Expire(ctx, key, 30*time.Second).Result()
			if err == nil && !ok {
				err = errors.New("the key is gone")
			}
			return err
		}},
		{"ttl", func() error {
			left, err := i.client.TTL(ctx, key).Result()
			if err == nil && (left <= 0 || left > 30*time.Second) {
				err = errors.New("the key would not expire as told")
			}
			return err
		}},
		{"delete", func() error {
			n, err := i.client.Del(ctx, key).Result()
			if err == nil && n != 1 {
				err = errors.New("the key is gone")
			}
			return err
		}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			r.bad(check, step.name+": "+plainRedisError(err), advice(err))
			return
		}
	}
	r.good(check, "set, get, expire and delete under %s:edge: in %.1f ms", s.CacheKeyPrefix, time.Since(began).Seconds()*1000)
}

// statistics is check 5.
func (r *report) statistics(i *instance) {
	check := "Statistics" + i.label
	for _, n := range i.nodes {
		r.good(check, "%sused_memory %s, connected_clients %d, total_commands_processed %d, keyspace_hits %d, keyspace_misses %d, evicted_keys %d",
			n.name, byteSize(n.number("used_memory")), n.number("connected_clients"), n.number("total_commands_processed"),
			n.number("keyspace_hits"), n.number("keyspace_misses"), n.number("evicted_keys"))
		if i.sessions && n.number("evicted_keys") > 0 {
			r.warn(check, n.name+"keys have been evicted where sessions are kept", "give Redis more memory, or sessions a Redis of their own")
		}
		if n.number("rejected_connections") > 0 {
			r.warn(check, n.name+"Redis has refused connections", "raise its maxclients, or lower REDIS_MAX_CONNECTIONS")
		}
	}
}

// dataDirectory is check 6.
func (r *report) dataDirectory(ctx context.Context, i *instance) {
	check := "Data directory" + i.label
	for _, n := range i.nodes {
		set, err := n.client.ConfigGet(ctx, "dir").Result()
		if err != nil {
			r.warn(check, n.name+"Redis does not say where it is, since CONFIG is refused", "see to it that Redis's dir is a volume that outlives it")
			continue
		}
		dir := set["dir"]
		written := n.info["rdb_last_bgsave_status"] == "ok" && (n.info["aof_enabled"] != "1" || n.info["aof_last_write_status"] == "ok")
		switch {
		case !written:
			r.bad(check, n.name+dir+" cannot be written", "look at its owner and at the space on the disk")
		case dir == "/" || dir == "/tmp" || strings.HasPrefix(dir, "/tmp/") || strings.HasPrefix(dir, "/dev/shm"):
			r.warn(check, n.name+dir+" does not outlive a restart of the machine or the container", "set Redis's dir to a volume, such as /data")
		default:
			r.good(check, "%s%s, last written well; data take %s in memory and %s in the append-only file", n.name, dir,
				byteSize(n.number("used_memory_dataset")), byteSize(n.number("aof_current_size")))
		}
	}
}

// plainRedisError is the error in a few words, without what it may quote.
func plainRedisError(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no answer in time"
	case strings.HasPrefix(text, "NOAUTH"):
		return "it wants a password"
	case strings.HasPrefix(text, "WRONGPASS"), strings.Contains(text, "invalid password"), strings.Contains(text, "without any password configured"):
		return "it refuses the user or the password"
	case strings.HasPrefix(text, "NOPERM"):
		return "the user may not do this"
	case strings.HasPrefix(text, "MISCONF"):
		return "it refuses writes, since it cannot save to its disk"
	case strings.HasPrefix(text, "OOM"):
		return "it is full, and makes no room"
	case strings.HasPrefix(text, "READONLY"):
		return "it is a replica, which refuses writes"
	case strings.HasPrefix(text, "LOADING"):
		return "it is still loading its data"
	}
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "the host's name is not known"
	case errors.As(err, &op):
		return plainNetError(err)
	}
	return text
}

// advice says what to do about a Redis error.
func advice(err error) string {
	text := err.Error()
	for _, a := range []struct{ begins, do string }{
		{"NOAUTH", "put the password into REDIS_URL: redis://user:password@host:6379/0"},
		{"WRONGPASS", "put the right user and password into REDIS_URL"},
		{"ERR AUTH", "leave the password out of REDIS_URL, or set one in Redis"},
		{"NOPERM", "allow this user its commands on ~PREFIX:edge:* by ACL SETUSER"},
		{"OOM", "raise maxmemory, or set a maxmemory-policy that makes room"},
		{"READONLY", "name the primary in REDIS_URL, or use REDIS_MODE=sentinel"},
		{"MISCONF", "make room on Redis's disk: it cannot save"},
		{"LOADING", "wait until Redis has loaded its data"},
		{"MOVED", "set REDIS_MODE=cluster"},
		{"CLUSTERDOWN", "look at the cluster's nodes: not all slots are served"},
	} {
		if strings.HasPrefix(text, a.begins) {
			return a.do
		}
	}
	return "see whether Redis runs, and whether REDIS_URL and REDIS_MODE are right"
}

// isLocal reports whether the URL leads no further than this machine.
func isLocal(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "unix" || u.Hostname() == "localhost" || u.Hostname() == "" || ip != nil && ip.IsLoopback()
}
