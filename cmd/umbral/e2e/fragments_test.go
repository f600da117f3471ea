package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

func TestFragmentsHaveTheirOwnLifetimes(t *testing.T) {
	redis := storetest.StartRedis(t)
	n := make(chan int, 1)
	n <- 0
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		i := <-n + 1
		n <- i
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/page":
			fmt.Fprintf(w, `page #%d [<esi:include src="/news"/>][<esi:include src="/gone" onerror="continue"/>]<esi:remove>never</esi:remove>`, i)
		case "/news":
			fmt.Fprintf(w, "news #%d", i)
		default:
			http.NotFound(w, r)
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), `
version: 1
routes:
  - {match: /page, ttl: 1h, esi: on}
  - {match: /news, ttl: 1h, tags: [news]}
`)
	v := e.visitor()
	first := v.get("/page")
	if first.Body != "page #1 [news #2][]" && !strings.HasPrefix(first.Body, "page #1 [news #") {
		t.Fatalf("first: %q", first.Body)
	}
	if again := v.get("/page"); again.Body != first.Body || !again.Hit() {
		t.Errorf("again: %q (%s)", again.Body, again.Umbral())
	}
	e.purge(map[string]any{"tags": []string{"news"}})
	after := v.get("/page")
	if !strings.HasPrefix(after.Body, "page #1 [news #") || after.Body == first.Body {
		t.Errorf("after the purge of one fragment: %q", after.Body)
	}
	if after.Header.Get("Etag") != "" || strings.Contains(after.Body, "esi") || strings.Contains(after.Body, "never") {
		t.Errorf("etag %q, body %q", after.Header.Get("Etag"), after.Body)
	}
}

// TestAConditionOnAPageOfFragmentsEndsAtTheEdge: what a visitor holds of such
// a page is assembled, so that the app could only answer for a part of it.
func TestAConditionOnAPageOfFragmentsEndsAtTheEdge(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
		if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, `page [<esi:remove>never</esi:remove>]`)
	})
	e := startEdge(t, app.URL, redisURL(redis), "version: 1\nroutes:\n  - {match: /, ttl: app, esi: on}\n")
	for range 3 { // from the second on the edge knows that the page is not stored
		a := e.visitor().get("/", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT", `If-None-Match: "a"`)
		if a.StatusCode != 200 || a.Body != "page []" {
			t.Errorf("%d %q %s", a.StatusCode, a.Body, a.Umbral())
		}
	}
}
