package e2e

import (
	"fmt"
	"net/http"
	"slices"
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
	known := map[string]bool{}
	for i, row := range []struct {
		name  string
		value func(whole string) []any // but for the key
	}{
		{"text", func(string) []any { return []any{"SET", "hello"} }},
		{"cut", func(whole string) []any { return []any{"SET", whole[:len(whole)/2]} }},
		{"one bit", func(whole string) []any { return []any{"SET", whole[:len(whole)-1] + string(whole[len(whole)-1]^1)} }},
		{"a list", func(string) []any { return []any{"RPUSH", "a"} }},
		{"nothing", func(string) []any { return []any{"SET", ""} }},
		{"longer", func(whole string) []any { return []any{"SET", whole + "x"} }},
		{"other kind", func(whole string) []any { return []any{"SET", strings.Replace(whole, "UE", "XX", 1)} }},
	} {
		page := fmt.Sprint("/page/", i) // of its own: no write of an earlier one is under way
		v.get(page)
		key := ""
		e.eventually("the page is in Redis", func() bool {
			for _, k := range pagesIn(t, redis) {
				if !known[k] {
					key = k
				}
			}
			return key != ""
		})
		known[key] = true
		put := row.value(fmt.Sprint(redis.Do("GET", key)))
		redis.Do("DEL", key)
		redis.Do(slices.Insert(put, 1, any(key))...)
		asked := app.Asked.Load()
		if a := v.get(page); a.StatusCode != http.StatusOK || a.Hit() || app.Asked.Load() != asked+1 {
			t.Errorf("%s: %d %s", row.name, a.StatusCode, a.Umbral())
		}
		e.eventually(row.name+" to be replaced", func() bool { return v.get(page).Hit() })
	}
}
