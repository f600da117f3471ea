package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"umbral/proxy/store/storetest"
)

// visits sends n simultaneous first visits, spread over the edges, and
// returns the answers.
func visits(t *testing.T, edges []*edge, n int, path string) []answer {
	t.Helper()
	answers := make([]answer, n)
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		v := edges[i%len(edges)].visitor()
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			answers[i], errs[i] = v.do("GET", path, "")
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

func TestFirstVisitorsOfThreeEdgesAreOneRequest(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	var edges []*edge
	for range 3 {
		edges = append(edges, startEdge(t, app.URL, redisURL(redis), simpleRoutes))
	}
	for _, a := range visits(t, edges, 300, "/page/first") {
		if a.StatusCode != 200 || a.Body != "page" {
			t.Fatalf("%d %q", a.StatusCode, a.Body)
		}
	}
	if got := app.Asked.Load(); got != 1 {
		t.Errorf("300 visitors were %d requests", got)
	}
}

func TestUncacheableAnswersGoInParallel(t *testing.T) {
	redis := storetest.StartRedis(t)
	const n = 60
	var all sync.WaitGroup
	all.Add(n)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		all.Done()
		all.Wait() // ends only if all of them are here at once
		fmt.Fprint(w, "mine")
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	for _, a := range visits(t, []*edge{e}, n, "/page/first") {
		if a.Body != "mine" {
			t.Fatalf("%q", a.Body)
		}
	}
}

func TestAStalledLeaderHoldsNobodyPastTheDeadline(t *testing.T) {
	redis := storetest.StartRedis(t)
	stall := make(chan struct{})
	t.Cleanup(func() { close(stall) })
	first := make(chan struct{}, 1)
	first <- struct{}{}
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-first:
			<-stall
		default:
			fmt.Fprint(w, "page")
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	go func() { _, _ = e.visitor().do("GET", "/page/stalled", "") }()
	e.eventually("the leader is at the app", func() bool { return app.Asked.Load() == 1 })
	if a := e.visitor().get("/page/stalled"); a.Body != "page" {
		t.Errorf("%q", a.Body)
	}
}
