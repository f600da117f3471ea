package sessions

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"umbral/proxy/store/storetest"
)

// server is a real redis-server of a test's own.
type server struct {
	t      testing.TB
	addr   string
	cmd    *exec.Cmd
	client *redis.Client
}

func startRedis(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, addr: freeAddr(t)}
	s.start()
	s.client = redis.NewClient(&redis.Options{
		Addr: s.addr, ContextTimeoutEnabled: true, MaxRetries: -1, Protocol: 3,
		DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout, PoolSize: 20,
	})
	t.Cleanup(func() {
		_ = s.client.Close()
		s.stop()
	})
	return s
}

func freeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(storetest.FreePort(t)))
}

// start returns when the server says that it is ready.
func (s *server) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.t.TempDir(), "--hz", "100")
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("a real redis-server is needed: %v", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() {
				for lines.Scan() {
				}
			}()
			return
		}
	}
	s.t.Fatal("redis-server ended before it was ready")
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// commands counts what the server was asked since it started, but for what
// the tracking connections send.
func (s *server) commands() (n int) {
	info := s.client.Info(context.Background(), "commandstats").Val()
	for line := range strings.SplitSeq(info, "\n") {
		name, rest, ok := strings.Cut(line, ":calls=")
		if !ok {
			continue
		}
		switch name {
		case "cmdstat_ping", "cmdstat_info", "cmdstat_hello", "cmdstat_client|tracking", "cmdstat_client|setinfo",
			"cmdstat_client|maint_notifications", "cmdstat_client|setname", "cmdstat_config|resetstat":
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		c, _ := strconv.Atoi(calls)
		n += c
	}
	return n
}
