package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// exposure looks whether somebody else on the network could use this Redis
// without a password.
func (r *report) exposure(ctx context.Context, i *instance) {
	check := "Password" + i.label
	u, err := url.Parse(i.url.Reveal())
	given := false
	if err == nil && u.User != nil {
		_, given = u.User.Password()
	}
	const do = "set requirepass or an ACL user, put it into REDIS_URL, and let Redis listen on a private network only"
	switch {
	case given && !i.openToAll(ctx):
		r.good(check, "Redis is asked with a password")
	case given:
		r.bad(check, "REDIS_URL has a password, but Redis does without it just as well", do)
	case !isLocal(i.url.Reveal()):
		r.bad(check, "Redis serves whoever reaches it over the network, without a password", do)
	case i.listensOutside(ctx):
		r.bad(check, "Redis listens beyond this machine, without a password and without protected-mode", do)
	default:
		r.good(check, "none, and Redis is reached from this machine only")
	}
}

// openToAll reports whether the default user needs no password. Where Redis
// does not say, it is taken to need one.
func (i *instance) openToAll(ctx context.Context) bool {
	user, err := i.nodes[0].do(ctx, "ACL", "GETUSER", "default")
	if err != nil {
		return false
	}
	text := fmt.Sprint(user)
	return strings.Contains(text, "nopass") && !strings.Contains(text, "[off")
}

func (i *instance) listensOutside(ctx context.Context) bool {
	set, err := i.nodes[0].client.ConfigGet(ctx, "*").Result()
	if err != nil || set["protected-mode"] != "no" {
		return false
	}
	for _, address := range strings.Fields(set["bind"]) {
		if ip := net.ParseIP(strings.TrimPrefix(address, "-")); ip == nil || !ip.IsLoopback() {
			return true
		}
	}
	return strings.TrimSpace(set["bind"]) == ""
}

// do sends a command that go-redis has no method for.
func (n *node) do(ctx context.Context, args ...any) (any, error) {
	c, ok := n.client.(interface {
		Do(context.Context, ...any) *redis.Cmd
	})
	if !ok {
		return nil, redis.ErrClosed
	}
	return c.Do(ctx, args...).Result()
}

// dangerous are commands that the edge never sends and an intruder would.
var dangerous = [][]any{
	{"FLUSHALL"}, {"FLUSHDB"}, {"KEYS", "*"}, {"CONFIG", "SET", "maxmemory", "0"}, {"DEBUG", "SLEEP", "0"}, {"SHUTDOWN"},
}

// commands looks whether this user may do more than the edge needs. ACL DRYRUN
// tells without doing it (Redis 7).
func (r *report) commands(ctx context.Context, i *instance) {
	check := "Dangerous commands" + i.label
	n := i.nodes[0]
	user, err := n.do(ctx, "ACL", "WHOAMI")
	if err != nil {
		r.good(check, "ACL is refused to this user, and so most likely they are")
		return
	}
	var allowed []string
	for _, command := range dangerous {
		said, err := n.do(ctx, append([]any{"ACL", "DRYRUN", user}, command...)...)
		switch {
		case err != nil && strings.HasPrefix(err.Error(), "NOPERM"):
			r.good(check, "ACL is refused to this user, and so most likely they are")
			return
		case err != nil && strings.Contains(strings.ToLower(err.Error()), "subcommand"):
			r.warn(check, "this Redis cannot say whether they are allowed", "use Redis 7 or later")
			return
		case err == nil && fmt.Sprint(said) == "OK":
			allowed = append(allowed, fmt.Sprint(command[0]))
		}
	}
	if len(allowed) > 0 {
		r.warn(check, "this user may "+strings.Join(allowed, ", "), "give the edge an ACL user with -@dangerous +info, on ~PREFIX:edge:* only")
		return
	}
	r.good(check, "refused to this user")
}

// clock compares Redis's clock with ours; half of the round trip is taken off.
func (r *report) clock(ctx context.Context, i *instance) {
	check := "Clock" + i.label
	for _, n := range i.nodes {
		began := time.Now()
		theirs, err := n.client.Time(ctx).Result()
		if err != nil {
			r.warn(check, n.name+"Redis does not tell its time: "+plainRedisError(err), "")
			continue
		}
		took := time.Since(began)
		skew := theirs.Sub(began.Add(took / 2))
		if math.Abs(skew.Seconds()) > 2 {
			r.warn(check, fmt.Sprintf("%sRedis's clock and this machine's are %s apart", n.name, skew.Abs().Round(time.Second)),
				"let both follow NTP: ages and lifetimes of pages are counted by them")
			continue
		}
		r.good(check, "%sRedis's and this machine's agree to %d ms", n.name, max(1, skew.Abs().Milliseconds()))
	}
}
