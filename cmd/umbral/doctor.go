package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"umbral/config"
	"umbral/proxy/store"
)

// finding is how one check went.
type finding struct {
	mark   string // ✓ ✗ or !
	name   string
	detail string
	advice string
}

func good(name, detail string) finding         { return finding{"✓", name, detail, ""} }
func bad(name, detail, advice string) finding  { return finding{"✗", name, detail, advice} }
func warn(name, detail, advice string) finding { return finding{"!", name, detail, advice} }

func newDoctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at the health of the whole set-up",
		Long: `Makes the six checks of Redis, then those of the edge's own set-up. Each line is ✓, ✗ or !,
with what to do about it. The exit code is 1 if any is ✗.`,
		Example: "  umbral doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := loadSettings(cmd, "REDIS_URL")
			if err != nil {
				return err
			}
			ok := true
			for _, f := range examine(cmd.Context(), set) {
				ok = ok && f.mark != "✗"
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s\n", f.mark, f.name, f.detail)
				if f.advice != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "    %s\n", f.advice)
				}
			}
			if !ok {
				return errNo
			}
			return nil
		},
	}
	addSettings(cmd)
	return cmd
}

// examine makes every check that can be made.
func examine(ctx context.Context, set *config.Settings) []finding {
	var out []finding
	if set.RedisURL.Reveal() == "embedded:" {
		out = append(out, warn("Redis", "embedded in the edge's process", "For trying out only: set REDIS_URL to a real one."))
	} else {
		out = append(out, examineRedis(ctx, set)...)
	}
	out = append(out, examineApp(ctx, set)...)
	file, err := config.Load(set.RoutesFile, set.Options())
	switch {
	case err != nil:
		out = append(out, bad("Routes file", strings.SplitN(err.Error(), "\n", 2)[0], "Run 'umbral check' to see every fault."))
	default:
		out = append(out, good("Routes file", fmt.Sprintf("%s, no fault", count(len(file.Rules), "route"))))
	}
	if len(set.EdgeSecrets) == 0 {
		out = append(out, bad("Secrets", "EDGE_SECRETS is not set", "Set EDGE_SECRETS to what 'umbral secret' prints."))
	} else {
		out = append(out, examineSecrets(set))
	}
	switch {
	case set.CookieSecure && set.TLSCert == "" && len(set.TrustedProxies) == 0:
		out = append(out, warn("Cookie", "Secure, and TLS does not end here", "Visitors must come by https: set TLS_CERT, or TRUSTED_PROXIES where a proxy ends TLS."))
	case !set.CookieSecure:
		out = append(out, warn("Cookie", "not Secure", "COOKIE_SECURE=false is for plain-http development only."))
	default:
		out = append(out, good("Cookie", "Secure, and visitors come by https"))
	}
	return out
}

func examineSecrets(set *config.Settings) finding {
	for i, s := range set.EdgeSecrets {
		seen := map[rune]bool{}
		for _, c := range s.Reveal() {
			seen[c] = true
		}
		if len(seen) < 12 {
			return bad("Secrets", fmt.Sprintf("number %d of EDGE_SECRETS has only %d different characters", i+1, len(seen)), "Set EDGE_SECRETS to what 'umbral secret' prints.")
		}
	}
	return good("Secrets", count(len(set.EdgeSecrets), "secret")+", long enough")
}

func examineRedis(ctx context.Context, set *config.Settings) []finding {
	c, err := store.Connect(store.Address{
		URL: set.RedisURL.Reveal(), Mode: set.RedisMode, Connections: 2,
		ConnectTimeout: set.RedisConnectTimeout, Timeout: max(set.RedisTimeout, time.Second),
	})
	if err != nil {
		return []finding{bad("1 Redis answers", err.Error(), "Correct REDIS_URL.")}
	}
	defer func() { _ = c.Close() }()
	began := time.Now()
	if err := c.Ping(ctx).Err(); err != nil {
		return []finding{bad("1 Redis answers", "no: "+redisFault(err), "Is it running, and does REDIS_URL say where? The edge serves without it, but nothing is shared or kept.")}
	}
	out := []finding{good("1 Redis answers", fmt.Sprintf("in %.1f ms", float64(time.Since(began).Microseconds())/1000))}
	info, err := c.Info(ctx, "all").Result()
	if err != nil {
		info, err = c.Info(ctx).Result()
	}
	if err != nil {
		return append(out, bad("2 Redis settings", redisFault(err), "Let this user call INFO."))
	}
	f := infoFields(info)
	out = append(out, settingsFinding(ctx, c, set, f), persistenceFinding(f), roundTrip(ctx, c, set))
	out = append(out, good("5 Statistics", fmt.Sprintf("used_memory %s, connected_clients %s, total_commands_processed %s, keyspace_hits %s, keyspace_misses %s, evicted_keys %s",
		f["used_memory_human"], f["connected_clients"], f["total_commands_processed"], f["keyspace_hits"], f["keyspace_misses"], f["evicted_keys"])))
	out = append(out, directoryFinding(ctx, c, f))
	return append(out, protection(ctx, c, set)...)
}

func settingsFinding(ctx context.Context, c redis.UniversalClient, set *config.Settings, f map[string]string) finding {
	policy, most := f["maxmemory_policy"], f["maxmemory"]
	if v, err := c.ConfigGet(ctx, "maxmemory*").Result(); err == nil {
		policy, most = v["maxmemory-policy"], v["maxmemory"]
	}
	said := fmt.Sprintf("version %s, maxmemory %s, maxmemory-policy %s", f["redis_version"], most, policy)
	switch {
	case strings.HasPrefix(policy, "allkeys") && set.SessionsRedisURL == set.RedisURL:
		return warn("2 Redis settings", said, "Sessions can be evicted, which signs people out: use a volatile-* policy, or set SESSIONS_REDIS_URL to a Redis with noeviction.")
	case most == "0" || most == "":
		return warn("2 Redis settings", said, "Without maxmemory the cache grows until the machine is full: set it, with volatile-lfu.")
	case policy == "noeviction" && set.SessionsRedisURL == set.RedisURL:
		return warn("2 Redis settings", said, "A full Redis refuses writes: volatile-lfu lets pages go and keeps what has no end.")
	}
	return good("2 Redis settings", said)
}

func persistenceFinding(f map[string]string) finding {
	said := fmt.Sprintf("appendonly %s, last save %s, last AOF rewrite %s", onOff(f["aof_enabled"]), f["rdb_last_bgsave_status"], f["aof_last_bgrewrite_status"])
	if size := f["aof_current_size"]; size != "" {
		said += ", AOF size " + size
	}
	switch {
	case f["rdb_last_bgsave_status"] == "err" || f["aof_last_bgrewrite_status"] == "err" || f["aof_last_write_status"] == "err":
		return bad("3 Persistence", said, "Look at the space on Redis's disk and at its log.")
	case f["aof_enabled"] != "1":
		return warn("3 Persistence", said, "Sessions are lost with Redis: start it with --appendonly yes.")
	}
	return good("3 Persistence", said)
}

func onOff(flag string) string {
	if flag == "1" {
		return "yes"
	}
	return "no"
}

// roundTrip sets, gets, expires and deletes a key of the edge's own.
func roundTrip(ctx context.Context, c redis.UniversalClient, set *config.Settings) finding {
	const name = "4 Round trip"
	key, value := set.CacheKeyPrefix+":edge:doctor:"+rand.Text(), rand.Text()
	began := time.Now()
	err := c.Set(ctx, key, value, time.Minute).Err()
	var got string
	if err == nil {
		got, err = c.Get(ctx, key).Result()
	}
	if err == nil && got != value {
		return bad(name, "what was read is not what was written", "Is REDIS_URL a replica, or another server than it seems?")
	}
	if err == nil {
		err = c.PExpire(ctx, key, time.Second).Err()
	}
	if err == nil {
		err = c.Unlink(ctx, key).Err()
	}
	if err != nil {
		return bad(name, redisFault(err), "Let this user write keys that begin with "+set.CacheKeyPrefix+":edge: (see deploy/redis).")
	}
	return good(name, fmt.Sprintf("set, get, expire, delete in %.1f ms", float64(time.Since(began).Microseconds())/1000))
}

func directoryFinding(ctx context.Context, c redis.UniversalClient, f map[string]string) finding {
	const name = "6 Data directory"
	v, err := c.ConfigGet(ctx, "dir").Result()
	if err != nil || v["dir"] == "" {
		return warn(name, "not to be seen: "+redisFault(err), "Allow CONFIG GET to this user, or look at it by hand.")
	}
	said := v["dir"]
	if f["rdb_last_bgsave_status"] == "err" {
		return bad(name, said+" cannot be written", "Look at its owner and at the space.")
	}
	if changes, _ := strconv.Atoi(f["rdb_changes_since_last_save"]); f["aof_enabled"] != "1" && changes > 0 {
		said += fmt.Sprintf(", %d changes not saved yet", changes)
	}
	if strings.HasPrefix(v["dir"], "/tmp") || v["dir"] == "/" {
		return warn(name, said, "It does not look as if it survived a restart: give Redis a volume.")
	}
	return good(name, said)
}

// protection looks at what a stranger could do.
func protection(ctx context.Context, c redis.UniversalClient, set *config.Settings) []finding {
	var out []finding
	u := set.RedisURL.Reveal()
	if !strings.Contains(u, "@") && !strings.HasPrefix(u, "unix:") && !loopback(u) {
		out = append(out, bad("Redis password", "none, and Redis is not on loopback", "Set requirepass or an ACL user, and put it into REDIS_URL."))
	} else {
		out = append(out, good("Redis password", "set, or Redis is reachable from this machine only"))
	}
	if err := c.Do(ctx, "ACL", "DRYRUN", "default", "FLUSHALL").Err(); err == nil {
		out = append(out, warn("Dangerous commands", "allowed to the default user", "Take FLUSHALL, KEYS, CONFIG SET and SHUTDOWN away by ACL (see deploy/redis)."))
	} else {
		out = append(out, good("Dangerous commands", "FLUSHALL is refused, or the ACL may not be asked"))
	}
	if at, err := c.Time(ctx).Result(); err == nil {
		skew := time.Since(at).Abs().Round(time.Millisecond)
		if skew > 2*time.Second {
			out = append(out, bad("Clock", fmt.Sprintf("differs from Redis's by %s", skew), "Run NTP on both machines: sessions and lifetimes are measured by the clock."))
		} else {
			out = append(out, good("Clock", fmt.Sprintf("within %s of Redis's", skew)))
		}
	}
	return out
}

func loopback(redisURL string) bool {
	return strings.Contains(redisURL, "//127.") || strings.Contains(redisURL, "//localhost") || strings.Contains(redisURL, "//[::1]")
}

// examineApp asks each upstream as a visitor by https would.
func examineApp(ctx context.Context, set *config.Settings) []finding {
	var out []finding
	if len(set.Upstreams) == 0 {
		return []finding{bad("App", "UPSTREAM_URL is not set", "Set UPSTREAM_URL to where the app listens.")}
	}
	client := http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, u := range set.Upstreams {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String()+"/", nil)
		if err != nil {
			out = append(out, bad("App", u.Host+": "+err.Error(), "Correct UPSTREAM_URL."))
			continue
		}
		r.Header.Set("X-Forwarded-Proto", "https")
		resp, err := client.Do(r)
		if err != nil {
			out = append(out, bad("App", u.Host+" does not answer: "+plainNetError(err), "Is it running, and does UPSTREAM_URL say where?"))
			continue
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(bufio.NewReader(resp.Body), 1<<20))
		_ = resp.Body.Close()
		out = append(out, good("App", fmt.Sprintf("%s answers %s", u.Host, resp.Status)))
		if to := resp.Header.Get("Location"); set.CookieSecure && resp.StatusCode/100 == 3 && strings.HasPrefix(to, "https://"+u.Host) {
			out = append(out, warn("X-Forwarded-Proto", "the app redirects a request that came by https to https", "Let it trust the header: SECURE_PROXY_SSL_HEADER in Django."))
		}
	}
	return out
}

// redisFault is Redis's error without addresses.
func redisFault(err error) string {
	if err == nil {
		return "no value"
	}
	if os.IsTimeout(err) {
		return "no answer in time"
	}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "connect: "); ok {
		return rest
	}
	return strings.SplitN(text, "\n", 2)[0]
}
