package e2e

import (
	"context"
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

// three starts three edges on one Redis. That the machine is slow is not to
// look like a lost Redis: these tests count what reaches the app.
func three(t *testing.T, app *app, routes string) []*edge {
	t.Helper()
	redis := storetest.StartRedis(t)
	var edges []*edge
	for range 3 {
		edges = append(edges, startEdge(t, app.URL, redisURL(redis), routes, "REDIS_TIMEOUT=20s"))
	}
	return edges
}

func TestFirstVisitorsOfThreeEdgesAreOneRequest(t *testing.T) {
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	edges := three(t, app, simpleRoutes)
	for _, a := range visits(t, edges, 1000, "/page/first") {
		if a.StatusCode != 200 || a.Body != "page" {
			t.Fatalf("%d %q", a.StatusCode, a.Body)
		}
	}
	if got := app.Asked.Load(); got != 1 {
		t.Errorf("1000 visitors were %d requests", got)
	}
}

// TestAStalePageIsFetchedOnceForThreeEdges has each edge hold a page that has
// gone stale, and a thousand visitors come at once.
func TestAStalePageIsFetchedOnceForThreeEdges(t *testing.T) {
	app := startApp(t, numbered())
	edges := three(t, app, simpleRoutes)
	for _, e := range edges {
		e.visitor().get("/page/7")
	}
	e := edges[0]
	e.eventually("each edge has it in memory", func() bool {
		for _, e := range edges {
			if !e.visitor().get("/page/7").Hit() {
				return false
			}
		}
		return true
	})
	asked := app.Asked.Load()
	e.purge(map[string]any{"tags": []string{"page:7"}, "soft": true})
	bodies := map[string]int{}
	for _, a := range visits(t, edges, 1000, "/page/7") {
		bodies[a.Body]++
	}
	if got := app.Asked.Load() - asked; got != 1 || len(bodies) != 1 {
		t.Errorf("1000 visitors of a stale page were %d requests, and saw %d versions", got, len(bodies))
	}
}

func TestUncacheableAnswersGoInParallel(t *testing.T) {
	const n = 300
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
	for _, a := range visits(t, three(t, app, simpleRoutes), n, "/page/first") {
		if a.Body != "mine" {
			t.Fatalf("%q", a.Body)
		}
	}
}

// stalling is an app whose first answer waits for stall to be closed.
func stalling(t *testing.T) (a *app, stall chan struct{}) {
	stall = make(chan struct{})
	first := make(chan struct{}, 1)
	first <- struct{}{}
	a = startApp(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-first:
			<-stall
		default:
		}
		fmt.Fprint(w, "page")
	})
	return a, stall
}

func TestAStalledLeaderHoldsNobodyPastTheDeadline(t *testing.T) {
	t.Parallel()
	app, stall := stalling(t)
	t.Cleanup(func() { close(stall) }) // before the app is closed, which waits for it
	edges := three(t, app, simpleRoutes)
	go func() { _, _ = edges[0].visitor().do("GET", "/page/stalled", "") }()
	edges[0].eventually("the leader is at the app", func() bool { return app.Asked.Load() == 1 })
	for _, a := range visits(t, edges, 60, "/page/stalled") {
		if a.Body != "page" {
			t.Errorf("%q", a.Body)
		}
	}
}

// TestALostLeaseCostsOneFetch has the edge killed that fetches a page for which
// visitors of the others wait.
func TestALostLeaseCostsOneFetch(t *testing.T) {
	t.Parallel()
	app, stall := stalling(t)
	t.Cleanup(func() { close(stall) })
	edges := three(t, app, simpleRoutes)
	go func() { _, _ = edges[0].visitor().do("GET", "/page/lost", "") }()
	edges[0].eventually("the leader is at the app", func() bool { return app.Asked.Load() == 1 })
	answered := make(chan []answer, 1)
	go func() {
		defer close(answered)
		answered <- visits(t, edges[1:], 40, "/page/lost")
	}()
	for _, e := range edges[1:] {
		e.eventually("all wait", func() bool { return e.metrics()["umbral_requests_in_flight"] == 20 })
	}
	_ = edges[0].cmd.Process.Kill()
	for _, a := range <-answered {
		if a.Body != "page" {
			t.Errorf("%q", a.Body)
		}
	}
	if got := app.Asked.Load(); got != 2 {
		t.Errorf("the app was asked %d times", got)
	}
}

// TestWhoGoesAwayEndsNothing has the leader's visitor and all but one of its
// followers leave: the one fetch goes on, for the one who stays.
func TestWhoGoesAwayEndsNothing(t *testing.T) {
	app, stall := stalling(t)
	var once sync.Once
	release := func() { once.Do(func() { close(stall) }) }
	t.Cleanup(release)
	edges := three(t, app, simpleRoutes)
	leave, cancel := context.WithCancel(t.Context())
	var gone sync.WaitGroup
	visit := func(e *edge) {
		r, _ := http.NewRequestWithContext(leave, "GET", e.URL+"/page/first", nil)
		r.Host = site
		gone.Go(func() {
			if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
				resp.Body.Close()
				t.Error("who left was answered")
			}
		})
	}
	visit(edges[0])
	edges[0].eventually("the leader is at the app", func() bool { return app.Asked.Load() == 1 })
	for i := range 60 {
		visit(edges[i%3])
	}
	stays := make(chan answer, 1)
	go func() {
		a, _ := edges[1].visitor().do("GET", "/page/first", "")
		stays <- a
	}()
	edges[1].eventually("all wait", func() bool { return edges[1].metrics()["umbral_requests_in_flight"] == 21 })
	cancel()
	gone.Wait()
	edges[1].eventually("all but one are gone", func() bool { return edges[1].metrics()["umbral_requests_in_flight"] == 1 })
	release()
	if a := <-stays; a.Response == nil || a.Body != "page" {
		t.Errorf("who stayed got %q", a.Body)
	}
	for _, e := range edges {
		if a := e.visitor().get("/page/first"); !a.Hit() {
			t.Errorf("no hit afterwards: %s", a.Umbral())
		}
	}
	if got := app.Asked.Load(); got != 1 {
		t.Errorf("the app was asked %d times", got)
	}
}
