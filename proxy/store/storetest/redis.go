// Package storetest has what tests of anything on Redis need: real
// redis-server processes of their own (one, with Sentinels, or a Cluster), and
// one suite that every store passes.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long anything here may take before the test fails.
const patience = 30 * time.Second

// Redis is one redis-server process on a port of loopback, which the end of
// the test ends.
type Redis struct {
	// Addr is HOST:PORT, URL the same as redis://HOST:PORT. Both stay over
	// Restart.
	Addr, URL string

	t    testing.TB
	dir  string
	args []string
	mu   sync.Mutex
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// StartRedis starts a redis-server without persistence; args add to or change
// its settings ("--maxmemory", "10mb").
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := newRedis(t, args...)
	r.start()
	return r
}

func newRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("this test needs redis-server in the PATH: install Redis 7 (Debian: apt install redis-server)")
	}
	port := FreePort(t)
	r := &Redis{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), t: t, dir: t.TempDir()}
	r.URL = "redis://" + r.Addr
	r.args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", r.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, args...)
	t.Cleanup(r.Kill)
	return r
}

// FreePort gives a TCP port of loopback that nobody listens on just now, nor
// on its companion for a Cluster's bus (port + 10000). Both are below those
// that the kernel gives to connections by itself (from 32768 on): while the
// server is away, who dials it in vain would be given its port sooner or later,
// and then be connected with itself.
func FreePort(t interface {
	Fatalf(format string, args ...any)
}) int {
	for range 1000 {
		port := 10500 + rand.IntN(10000)
		if free(port) && free(port+10000) {
			return port
		}
	}
	t.Fatalf("no free port from 10500 to 20500")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func (r *Redis) start() {
	r.t.Helper()
	r.launch(exec.Command("redis-server", r.args...))
	r.Await("PONG", "PING")
}

func (r *Redis) launch(cmd *exec.Cmd) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &lockedWriter{r: r}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("start %s: %v", cmd.Path, err)
	}
	r.cmd = cmd
}

type lockedWriter struct {
	r  *Redis
	mu sync.Mutex
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.r.log.Write(p)
}

// Client gives a plain client of its own, which the end of the test closes.
func (r *Redis) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: r.Addr, DisableIdentity: true})
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Do runs one command and fails the test if Redis does not take it.
func (r *Redis) Do(args ...any) any {
	r.t.Helper()
	v, err := r.try(args...)
	if err != nil && !errors.Is(err, redis.Nil) {
		r.t.Fatalf("redis %v: %v", args, err)
	}
	return v
}

func (r *Redis) try(args ...any) (any, error) {
	c := redis.NewClient(&redis.Options{Addr: r.Addr, Protocol: 2, MaxRetries: -1, DisableIdentity: true})
	defer c.Close()
	return c.Do(context.Background(), args...).Result()
}

// As runs one command as another user.
func (r *Redis) As(user, password string, args ...any) (any, error) {
	c := redis.NewClient(&redis.Options{
		Addr: r.Addr, Username: user, Password: cmp.Or(password, "none"), Protocol: 2, MaxRetries: -1, DisableIdentity: true,
	})
	defer c.Close()
	return c.Do(context.Background(), args...).Result()
}

// Await runs a command until its answer contains want.
func (r *Redis) Await(want string, args ...any) {
	r.t.Helper()
	var got any
	var err error
	r.Eventually(fmt.Sprintf("%v to answer %q", args, want), func() bool {
		got, err = r.try(args...)
		return err == nil && strings.Contains(fmt.Sprint(got), want)
	})
}

// Eventually waits until done says so, and fails the test after half a minute.
func (r *Redis) Eventually(what string, done func() bool) {
	r.t.Helper()
	Eventually(r.t, what, done)
}

// Eventually waits until done says so, and fails the test after half a minute.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if done() {
			return
		}
	}
	t.Fatalf("waited %v in vain for %s", patience, what)
}

// Kill ends the process as a crash would (SIGKILL). It may be called twice.
func (r *Redis) Kill() { r.end(syscall.SIGKILL) }

// Stop ends the process as an operator would (SIGTERM).
func (r *Redis) Stop() { r.end(syscall.SIGTERM) }

func (r *Redis) end(sig syscall.Signal) {
	r.mu.Lock()
	cmd := r.cmd
	r.cmd = nil
	r.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	if sig != syscall.SIGKILL {
		_ = cmd.Process.Signal(syscall.SIGCONT)
	}
	_ = cmd.Wait()
}

// Pause halts the process (SIGSTOP): connections stay open and nothing is
// answered.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(sig syscall.Signal) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		r.t.Fatal("redis-server does not run")
	}
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

// Restart starts the process again, on the same port, after Kill or Stop.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Stop()
	r.start()
}

// Sentinel is a master with two replicas under three Sentinels.
type Sentinel struct {
	// Nodes are the data nodes; the first is master at the start.
	Nodes []*Redis
	// Sentinels watch them, under the name "umbral".
	Sentinels []*Redis
	// URL is what [store.Connect] takes with mode sentinel.
	URL string
}

// StartSentinel starts the set and waits until every Sentinel knows all, and
// both replicas have what the master has.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	// Every node may become the master, and a replica has nothing before its
	// first synchronization: by default a master waits 5 s with that.
	const delay = "--repl-diskless-sync-delay"
	s := &Sentinel{Nodes: []*Redis{StartRedis(t, delay, "0", "--repl-timeout", "5")}}
	host, port, _ := net.SplitHostPort(s.Nodes[0].Addr)
	for range 2 {
		s.Nodes = append(s.Nodes, StartRedis(t, "--replicaof", host+" "+port, delay, "0", "--repl-timeout", "5"))
	}
	s.Nodes[0].Await("connected_slaves:2", "INFO", "replication")
	for range 3 {
		r := newRedis(t)
		_, own, _ := net.SplitHostPort(r.Addr)
		conf := filepath.Join(r.dir, "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor umbral %s %s 2\n"+
			"sentinel down-after-milliseconds umbral 500\nsentinel failover-timeout umbral 3000\n"+
			"sentinel parallel-syncs umbral 2\n", own, r.dir, host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.args = []string{conf, "--sentinel"}
		r.start()
		s.Sentinels = append(s.Sentinels, r)
	}
	s.URL = "redis://" + s.Sentinels[0].Addr + "?master_name=umbral&addr=" + s.Sentinels[1].Addr +
		"&addr=" + s.Sentinels[2].Addr
	for _, r := range s.Sentinels {
		r.Await("slaves=2,sentinels=3", "INFO", "sentinel")
	}
	// A replica counts as connected before it has been given the data.
	Eventually(t, "both replicas to have the master's data", s.Whole)
	return s
}

// Master is the node that the Sentinels take for the master, nil for none.
func (s *Sentinel) Master() *Redis {
	for _, sentinel := range s.Sentinels {
		v, err := sentinel.try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "umbral")
		parts, ok := v.([]any)
		if err != nil || !ok || len(parts) != 2 {
			continue
		}
		addr := net.JoinHostPort(fmt.Sprint(parts[0]), fmt.Sprint(parts[1]))
		for _, n := range s.Nodes {
			if n.Addr == addr {
				return n
			}
		}
	}
	return nil
}

// Cluster is three masters with a replica each.
type Cluster struct {
	Nodes []*Redis
	// URL is what [store.Connect] takes with mode cluster.
	URL string
}

// StartCluster starts it and waits until every node serves.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Fatal("this test needs redis-cli in the PATH: install Redis 7 (Debian: apt install redis-tools)")
	}
	c := &Cluster{}
	args := []string{"--cluster", "create"}
	for range 6 {
		r := StartRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			"--cluster-config-file", "nodes.conf", "--repl-diskless-sync-delay", "0")
		c.Nodes = append(c.Nodes, r)
		args = append(args, r.Addr)
	}
	out, err := exec.Command("redis-cli", append(args, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("create cluster: %v\n%s", err, out)
	}
	c.URL = c.Nodes[0].URL
	sep := "?"
	for _, r := range c.Nodes[1:] {
		c.URL += sep + "addr=" + r.Addr
		sep = "&"
	}
	for _, r := range c.Nodes {
		r.Await("cluster_state:ok", "CLUSTER", "INFO")
	}
	return c
}
