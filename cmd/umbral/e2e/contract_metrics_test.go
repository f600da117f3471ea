package e2e

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"umbral/proxy/store/storetest"
)

// raw makes a call of the admin API as the header lines say, and no others.
func (e *edge) raw(method, path, body string, headers ...string) answer {
	e.t.Helper()
	c := e.visitor()
	c.base = e.Admin
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Host: ") }) {
		headers = append(headers, "Host: "+strings.TrimPrefix(e.Admin, "http://"))
	}
	a, err := c.do(method, path, body, headers...)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

const bearer = "Authorization: Bearer " + adminToken

// metrics scrapes the edge: the value of each series, as it is written, and
// the sum over all series of each name.
func (e *edge) metrics() map[string]float64 {
	e.t.Helper()
	a := e.raw("GET", "/metrics", "", bearer)
	if a.StatusCode != 200 {
		e.t.Fatalf("GET /metrics: %d", a.StatusCode)
	}
	if problems, err := promlint.New(strings.NewReader(a.Body)).Lint(); err != nil || len(problems) > 0 {
		e.t.Errorf("promlint: %v %v", problems, err)
	}
	all := make(map[string]float64)
	for line := range strings.Lines(a.Body) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			e.t.Fatalf("metric %q: %v", line, err)
		}
		all[line[:i]] = v
		if name, _, labelled := strings.Cut(line[:i], "{"); labelled {
			all[name] += v
		}
	}
	return all
}

// TestEveryMetricOfTheContractMoves makes each happen of which CONTRACT.md §8
// wants a metric.
func TestEveryMetricOfTheContractMoves(t *testing.T) {
	redis := storetest.StartRedis(t)
	hold := make(chan struct{})
	var holding sync.Once
	arrived := make(chan struct{})
	app := contractApp(t)
	h := app.h
	app.set(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page/held":
			holding.Do(func() { close(arrived) })
			<-hold
		case "/off/aborted":
			panic(http.ErrAbortHandler)
		case "/page/large":
			_, _ = w.Write([]byte(strings.Repeat(fmt.Sprint(r.URL), 1<<20/len(fmt.Sprint(r.URL)))))
		}
		h(w, r)
	})
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes, "MEMORY_CACHE_BYTES=2MiB", "REDIS_TIMEOUT=200ms")
	v := e.visitor()
	before := e.metrics()

	v.get("/page/1")
	v.get("/page/1")
	v.get("/verify/none")
	v.get("/off/x")
	v.get("/off/aborted")
	if a, err := v.do("TRACE", "/", ""); err != nil || a.StatusCode < 400 {
		t.Errorf("TRACE: %v %v", a.Response, err)
	}
	for i := range 8 { // more than the tier holds
		v.get(fmt.Sprintf("/page/large?%d", i))
	}
	ana, ben := e.signIn("ana"), e.signIn("ben")
	// Active are the records that this edge holds: a touch of one, which every
	// edge hears of, takes it away until the next request.
	e.eventually("two active sessions", func() bool {
		ana.get("/mine/x")
		ben.get("/mine/x")
		return e.metrics()["umbral_sessions_active"] == 2
	})
	e.purge(map[string]any{"tags": []string{"page:1"}})
	e.admin("DELETE", "/v1/users/ben/sessions", nil, nil)
	if code := e.admin("POST", "/v1/reload", nil, nil); code != 200 {
		t.Errorf("reload: %d", code)
	}
	good, _ := os.ReadFile(e.Routes)
	if err := os.WriteFile(e.Routes, []byte("version: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := e.admin("POST", "/v1/reload", nil, nil); code != 422 {
		t.Errorf("reload of a faulty file: %d", code)
	}
	faulty := e.metrics()
	if err := os.WriteFile(e.Routes, good, 0o600); err != nil {
		t.Fatal(err)
	}

	// Two for one page: the one fetches, the other waits.
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { v.get("/page/held") })
	}
	<-arrived
	e.eventually("one request at the app, two here", func() bool {
		m := e.metrics()
		return m["umbral_upstream_requests_in_flight"] == 1 && m["umbral_requests_in_flight"] == 2
	})
	close(hold)
	both.Wait()
	e.eventually("one active session after the other was revoked", func() bool {
		ana.get("/mine/x")
		return e.metrics()["umbral_sessions_active"] == 1
	})
	after := e.metrics()

	grown := func(m map[string]float64, series string, by float64) {
		t.Helper()
		if got := m[series] - before[series]; got < by {
			t.Errorf("%s has grown by %v, want %v", series, got, by)
		}
	}
	for _, series := range []string{
		`umbral_requests_total{code="200",route="/page/{id}",verdict="hit"}`,
		`umbral_requests_total{code="200",route="/page/{id}",verdict="miss"}`,
		`umbral_requests_total{code="404",route="/verify/{code}",verdict="miss"}`,
		`umbral_requests_total{code="200",route="/off/",verdict="bypass"}`,
		`umbral_requests_total{code="502",route="/off/",verdict="error"}`,
		`umbral_request_duration_seconds_count{route="/page/{id}",verdict="hit"}`,
		`umbral_request_duration_seconds_bucket{route="/page/{id}",verdict="hit",le="+Inf"}`,
		`umbral_response_bytes_total{route="/page/{id}",verdict="hit"}`,
		`umbral_request_methods_total{method="POST"}`, `umbral_request_methods_total{method="other"}`,
		`umbral_request_reasons_total{reason="route-off"}`, `umbral_request_reasons_total{reason="nothing-stored"}`,
		`umbral_tier_hits_total{tier="memory"}`, `umbral_tier_entries{tier="memory"}`, `umbral_tier_bytes{tier="memory"}`,
		`umbral_tier_evictions_total{tier="memory"}`,
		`umbral_collapsed_requests_total`, `umbral_upstream_requests_total`, `umbral_upstream_duration_seconds_count`,
		`umbral_upstream_errors_total`, `umbral_redis_duration_seconds_count`,
		`umbral_sessions_created_total`, `umbral_sessions_ended_total`,
		`umbral_purges_total`, `umbral_purge_lag_seconds`, `umbral_reloads_total`, `umbral_reloads_failed_total`,
		`umbral_redis_commands_processed_total`, `umbral_redis_keyspace_hits_total`, `umbral_redis_keyspace_misses_total`,
	} {
		grown(after, series, 1e-9)
	}
	if faulty["umbral_reload_failed"] != 1 {
		t.Error("the faulty file does not show")
	}
	for _, series := range []string{"umbral_redis_used_memory_bytes", "umbral_redis_connected_clients"} {
		if after[series] <= 0 {
			t.Errorf("%s is %v", series, after[series])
		}
	}
	if _, ok := after["umbral_redis_evicted_keys_total"]; !ok {
		t.Error("evicted keys are not told")
	}
	for series := range after {
		if !strings.HasPrefix(series, "umbral_") {
			t.Errorf("%s has another prefix", series)
		}
		for _, label := range regexp.MustCompile(`[{,](\w+)=`).FindAllStringSubmatch(series, -1) {
			if !slices.Contains([]string{"route", "verdict", "reason", "tier", "method", "code", "le"}, label[1]) {
				t.Errorf("%s has the label %s", series, label[1])
			}
		}
	}

	// Without Redis: the breaker opens, and its own figures are absent.
	redis.Stop()
	e.eventually("the breaker opens", func() bool { v.get("/page/x"); return e.metrics()["umbral_breaker_open"] == 1 })
	down := e.metrics()
	grown(down, "umbral_redis_errors_total", 1)
	if _, ok := down["umbral_redis_commands_processed_total"]; ok {
		t.Error("figures of a Redis that is not there")
	}

	// What dashboard and alerts name exists.
	for _, file := range []string{"../../../deploy/grafana/umbral.json", "../../../deploy/prometheus/alerts.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bumbral_[a-z_]+`).FindAllString(string(text), -1) {
			if _, ok := after[name]; !ok {
				t.Errorf("%s names %s, which is not there", file, name)
			}
		}
	}
}
