package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

const refreshRoutes = `
version: 1
routes:
  - match: /swr/{id}
    ttl: 1s
    stale_while_revalidate: 10m
  - match: /ahead/{id}
    ttl: 3s
    refresh_ahead: 60%
`

// TestRefreshingIsOneRequestForAllEdges has three edges hold a page past its
// time, and then near its end: visitors never wait, and each new version costs
// the app one request, however many edges and visitors ask.
func TestRefreshingIsOneRequestForAllEdges(t *testing.T) {
	for _, tt := range []struct{ path, verdict string }{{"/swr/1", "stale"}, {"/ahead/1", "fresh"}} {
		t.Run(tt.verdict, func(t *testing.T) {
			t.Parallel()
			app := startApp(t, numbered())
			edges := three(t, app, refreshRoutes)
			for _, e := range edges {
				e.visitor().get(tt.path)
			}
			if n := app.Asked.Load(); n != 1 {
				t.Fatalf("the first visitors were %d requests", n)
			}
			bodies := map[string]bool{}
			edges[0].eventually("four versions on each edge", func() bool {
				for _, e := range edges {
					a := e.visitor().get(tt.path)
					if !a.Hit() {
						t.Fatalf("a visitor waited: %s", a.Umbral())
					}
					bodies[a.Body] = true
				}
				return len(bodies) >= 4
			})
			// One request a version; one may be under way.
			if n := int(app.Asked.Load()); n > len(bodies)+1 {
				t.Errorf("%d versions were seen, and the app was asked %d times", len(bodies), n)
			}
		})
	}
}

// TestAForeignValueIsAMissAndGoes puts what is none of the edge's, or broken,
// under the key of a page.
func TestAForeignValueIsAMissAndGoes(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, "MEMORY_CACHE_BYTES=0", "REDIS_TIMEOUT=20s")
	v := e.visitor()
	v.get("/page/1")
	e.eventually("the page is in Redis", func() bool { return len(pagesIn(t, redis)) == 1 })
	key := pagesIn(t, redis)[0]
	whole := fmt.Sprint(redis.Do("GET", key))
	for name, put := range map[string][]any{
		"text":       {"SET", key, "hello"},
		"cut":        {"SET", key, whole[:len(whole)/2]},
		"one bit":    {"SET", key, whole[:len(whole)-1] + string(whole[len(whole)-1]^1)},
		"a list":     {"RPUSH", key, "a"},
		"nothing":    {"SET", key, ""},
		"longer":     {"SET", key, whole + "x"},
		"other kind": {"SET", key, strings.Replace(whole, "UE", "XX", 1)},
	} {
		redis.Do("DEL", key)
		redis.Do(put...)
		asked := app.Asked.Load()
		if a := v.get("/page/1"); a.StatusCode != http.StatusOK || a.Hit() || app.Asked.Load() != asked+1 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.Umbral())
		}
		e.eventually(name+" to be replaced", func() bool { return v.get("/page/1").Hit() })
	}
}
