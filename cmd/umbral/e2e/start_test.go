package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// TestAnEdgeStartsWithoutItsApp: an app that is not there yet is no reason not
// to start; visitors, readyz and doctor are told, and it is found when it comes.
func TestAnEdgeStartsWithoutItsApp(t *testing.T) {
	redis := storetest.StartRedis(t)
	addr := "127.0.0.1:" + freePort(t)
	e := startEdge(t, "http://"+addr, redisURL(redis), simpleRoutes)
	v := e.visitor()
	a := v.get("/page/7")
	if a.StatusCode != http.StatusBadGateway || strings.Contains(a.Body, "127.0.0.1") || strings.Contains(a.Body, "refused") {
		t.Errorf("without an app: %d %q", a.StatusCode, a.Body)
	}

	// told says what readyz and the figures make of the app.
	told := func() (ready, healthy bool) {
		var checks struct {
			Checks []struct {
				Name string
				OK   bool
			}
		}
		var figures struct{ Upstreams []struct{ Healthy bool } }
		e.admin("GET", "/readyz?verbose", nil, &checks)
		e.admin("GET", "/v1/stats", nil, &figures)
		for _, c := range checks.Checks {
			ready = ready || c.Name == "app" && c.OK
		}
		return ready, figures.Upstreams[0].Healthy
	}
	e.eventually("the app is said to fail", func() bool {
		v.get("/page/7")
		ready, healthy := told()
		return !ready && !healthy
	})

	doctor := exec.Command(binary, "doctor")
	doctor.Env = append(e.cmd.Env, "ADMIN_LISTEN="+strings.TrimPrefix(e.Admin, "http://"))
	said, err := doctor.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(said), "✗ App: http://"+addr+" does not answer: connection refused") {
		t.Errorf("doctor: %v\n%s", err, said)
	}

	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	app := &httptest.Server{Listener: l, Config: &http.Server{Handler: numbered()}}
	app.Start()
	t.Cleanup(app.Close)
	e.eventually("the app is found", func() bool { return v.get("/page/7").StatusCode == 200 })
	if ready, healthy := told(); !ready || !healthy {
		t.Error("the app answers, and is said to fail")
	}
	if code := e.stop(); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

// TestARefusedStartLeavesNothing: an occupied admin port is found before
// anything is done, in Redis or on the visitors' port.
func TestARefusedStartLeavesNothing(t *testing.T) {
	redis := storetest.StartRedis(t)
	free := "127.0.0.1:" + freePort(t)
	cmd := exec.Command(binary, "serve", "--listen", free, "--admin-listen", redis.Addr, "--upstream-url", "http://127.0.0.1:9",
		"--redis-url", redisURL(redis), "--edge-secrets", edgeSecret)
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Count(string(said), "\n") != 1 || !strings.HasPrefix(string(said), "umbral: ADMIN_LISTEN: ") {
		t.Errorf("%v\n%s", err, said)
	}
	if keys := keysOf(t, redis); len(keys) > 0 {
		t.Errorf("keys %v", keys)
	}
	l, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// mute takes connections and says nothing.
func mute(t *testing.T) (redisURL string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "redis://" + l.Addr().String()
}

// TestAnEdgeStartsAndEndsWhateverRedisDoes: neither waits for a Redis that says
// nothing, and nor does what has no use for it. The time-out is longer than any
// wait of a test.
func TestAnEdgeStartsAndEndsWhateverRedisDoes(t *testing.T) {
	app := startApp(t, numbered())
	e := startEdge(t, app.URL, mute(t), simpleRoutes, "REDIS_TIMEOUT="+(2*patience).String())
	if a, err := e.visitor().do("GET", "/off/1", ""); err != nil || a.StatusCode != 200 {
		t.Errorf("%v %v", a, err)
	}
	if code := e.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// TestTheFirstPageWaitsForRedisOnce has Redis say nothing from the start on:
// the first visitor waits for it one
// time-out, and the next for nothing.
func TestTheFirstPageWaitsForRedisOnce(t *testing.T) {
	app := startApp(t, numbered())
	const timeout = 4 * time.Second
	began := time.Now()
	e := startEdge(t, app.URL, mute(t), simpleRoutes, "REDIS_TIMEOUT="+timeout.String())
	for i := range 20 {
		if a := e.visitor().get(fmt.Sprint("/page/", i)); a.StatusCode != 200 || a.Hit() {
			t.Errorf("%d %s", a.StatusCode, a.Umbral())
		}
	}
	if took := time.Since(began); took > timeout*3/2 {
		t.Errorf("the start and 20 pages took %v, with a time-out of %v", took, timeout)
	}
}
