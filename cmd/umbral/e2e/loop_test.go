package e2e

import (
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// TestARequestThatComesBackIsRefused has the way to the app lead back to the
// edge: whoever asks is told at once, and so is the log. The page must not wait
// for itself as for another visitor's fetch.
func TestARequestThatComesBackIsRefused(t *testing.T) {
	redis := storetest.StartRedis(t)
	for name, env := range map[string]string{"from a stranger": "", "from a trusted proxy": "127.0.0.0/8"} {
		t.Run(name, func(t *testing.T) {
			addr := "127.0.0.1:" + freePort(t)
			way := startSluice(t, addr)
			e := startEdge(t, "http://"+way.Addr, redisURL(redis), simpleRoutes, "LISTEN="+addr, "TRUSTED_PROXIES="+env)
			for _, path := range []string{"/page/1", "/unlisted", "/off/1"} {
				a := e.visitor().get(path)
				if lines := strings.Join(a.Header.Values("Cache-Status"), ", "); a.StatusCode != 508 || !strings.Contains(lines, "umbral; detail=loop") {
					t.Errorf("%s: %d %s", path, a.StatusCode, lines)
				}
			}
			if said := strings.Count(e.logs.String(), "has come back to this edge"); said != 1 {
				t.Errorf("the log says it %d times", said)
			}
		})
	}
}

// TestAnEdgeInFrontOfAnotherIsNoLoop: each has a name of its own.
func TestAnEdgeInFrontOfAnotherIsNoLoop(t *testing.T) {
	app := startApp(t, numbered())
	e := startEdge(t, app.URL, redisURL(storetest.StartRedis(t)), simpleRoutes, "TRUSTED_PROXIES=127.0.0.0/8")
	for range 2 {
		e = startEdge(t, e.URL, redisURL(storetest.StartRedis(t)), simpleRoutes, "TRUSTED_PROXIES=127.0.0.0/8")
	}
	if a := e.visitor().get("/page/1"); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.Umbral())
	}
	if via := app.last().Header.Get("Via"); strings.Count(via, "1.1 umbral-") != 3 {
		t.Errorf("Via: %s", via)
	}
}
