package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
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

// TestNoTagIsShownWhateverThePageIs: of any type that a browser reads as HTML,
// of any size, with fragments in any coding.
func TestNoTagIsShownWhateverThePageIs(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		h, q := w.Header(), r.URL.Query()
		h["Content-Type"] = q["type"]
		text := "fragment"
		if r.URL.Path != "/f" {
			size, _ := strconv.Atoi(q.Get("size"))
			text = q.Get("tag") + strings.Repeat("x", size) + q.Get("tag")
		}
		content := []byte(text)
		if r.URL.Path == "/f" && q.Has("gzip") {
			h.Set("Content-Encoding", "gzip")
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(content)
			z.Close()
			content = b.Bytes()
		}
		if q.Has("declared") {
			h.Set("Content-Length", strconv.Itoa(len(content)))
		}
		_, _ = w.Write(content[:len(content)/2])
		w.(http.Flusher).Flush()
		_, _ = w.Write(content[len(content)/2:])
	})
	e := startEdge(t, app.URL, redisURL(redis), `
version: 1
routes:
  - {match: /page/, ttl: 1h, esi: on, max_object: 4KiB}
  - {match: /off/, cache: off, esi: on, max_object: 4KiB}
  - {match: /f, ttl: 1h}
`)
	const huge = 9 << 20
	for _, route := range []string{"/page/", "/off/"} {
		for _, tt := range []struct{ name, query, shown string }{
			{"HTML", "type=text/html", "fragment"},
			{"XHTML", "type=Application/XHTML%2Bxml;charset=utf-8", "fragment"},
			{"no type", "", "fragment"},
			{"text, which no browser reads for tags", "type=text/plain", `<esi:include src="/f"/>`},
			{"larger than max_object", "type=text/html&size=5000", "fragment"},
			{"larger than what is assembled", fmt.Sprint("type=text/html&size=", huge), ""},
		} {
			for _, declared := range []string{"", "&declared"} {
				for _, tag := range []string{`<esi:include src="/f"/>`, `<esi:include src="/f?gzip"/>`, ""} {
					shown := tt.shown
					switch {
					case tag == "":
						shown = ""
					case strings.HasPrefix(shown, "<"):
						shown = tag
					}
					v := e.visitor()
					for range 2 {
						a := v.get(route + "?" + tt.query + declared + "&tag=" + url.QueryEscape(tag))
						middle, ok := strings.CutPrefix(a.Body, shown)
						middle, also := strings.CutSuffix(middle, shown)
						if a.StatusCode != 200 || !ok || !also || strings.Trim(middle, "x") != "" || strings.Contains(tt.query, "size") != (middle != "") {
							t.Errorf("%s%s %s, tag %s: %d %.80q (%s)", route, declared, tt.name, tag, a.StatusCode, a.Body, a.Umbral())
						}
					}
				}
			}
		}
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
