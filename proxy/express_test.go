package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

var (
	expressRules = []cachepolicy.Rule{
		{Pattern: "/public/", TTL: time.Hour, MaxObject: 8 << 20, Tags: []string{"t"}, StaleWhileRevalidate: -1, StaleIfError: -1, StaleIfUnreachable: time.Hour},
		{Pattern: "/mine/", TTL: time.Hour, Scope: cachepolicy.PerSession, MaxObject: 8 << 20, StaleWhileRevalidate: -1, StaleIfError: -1, StaleIfUnreachable: time.Hour},
		{Pattern: "/app/", TTL: cachepolicy.AppTTL, MaxObject: 8 << 20, StaleWhileRevalidate: -1, StaleIfError: -1, StaleIfUnreachable: time.Hour},
		{Pattern: "/off/", Off: true},
	}
	changing = regexp.MustCompile(`(?m)^(X-Request-Id: \w+|Age: \d+|Cache-Status: umbral; hit;( collapsed;)? ttl=\d+)\r\n`)
)

func pages(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	switch {
	case strings.HasSuffix(r.URL.Path, "/login"):
		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "of-" + r.URL.RawQuery, Path: "/"})
	case strings.HasSuffix(r.URL.Path, "/typeless"):
		h["Content-Type"] = nil
	case strings.HasSuffix(r.URL.Path, "/vary"):
		h.Set("Vary", "X-Side, Accept-Language")
	case strings.HasSuffix(r.URL.Path, "/validated"):
		h.Set("Cache-Control", "no-cache")
		h.Set("Etag", `"v"`)
	case strings.HasSuffix(r.URL.Path, "/gone"):
		w.WriteHeader(http.StatusGone)
	}
	if r.URL.Path[:5] == "/app/" && h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "max-age=60")
	}
	h.Set("Cache-Status", "inner; fwd=miss")
	cookie, _ := r.Cookie("sessionid")
	size := 600
	if strings.Contains(r.URL.Path, "large") {
		size = 40 << 10
	}
	fmt.Fprintf(w, "%s %v %s", r.URL, cookie, strings.Repeat("all work and no play ", size/21))
}

// TestExpressAnswersAsTheWholeWay asks for each thing twice on one connection:
// net/http handles a connection's first request in any case, express those
// after it, if it can. Both must give the same, byte for byte.
func TestExpressAnswersAsTheWholeWay(t *testing.T) {
	b := newBed(t, 64<<20, pages, expressRules...)
	login, _ := b.dial(t).ask(plain("/off/login?anna"))
	cookie := "Cookie: " + regexp.MustCompile(`Set-Cookie: (umbral=[^;]+)`).FindStringSubmatch(login)[1]
	for _, row := range []struct {
		name, raw string
		express   bool
	}{
		{"a page", plain("/public/a"), true},
		{"a page with a query", plain("/public/a?x=1"), true},
		{"a large page", plain("/public/large"), true},
		{"plain for who takes nothing else", "GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n", true},
		{"a visitor with somebody else's cookies", plain("/public/a", "Cookie: _ga=1; sessionid=x"), true},
		{"a signed-in visitor on a public page", plain("/public/a", cookie), true},
		{"a page of one's own", plain("/mine/a", cookie), true},
		{"a page of nobody's", plain("/mine/a"), true},
		{"the pure RFC", plain("/app/a"), true},
		{"a variant", plain("/app/vary", "X-Side: left"), true},
		{"another variant", plain("/app/vary", "X-Side: right", "Accept-Language: de"), true},
		{"no type", plain("/public/typeless"), true},
		{"a forged identity", plain("/public/a", "X-Edge-User: 1"), true},
		{"a bad cookie", plain("/public/a", "Cookie: umbral=x"), false},
		{"what must be validated", plain("/app/validated"), false},
		{"what is off", plain("/off/a"), false},
		{"an ambiguous path", plain("/public//a"), false},
		{"a reload by a stranger", plain("/public/a", "Cache-Control: no-cache"), true},
		{"a range", plain("/public/a", "Range: bytes=1-3"), false},
		{"a condition that fails", plain("/public/a", `If-None-Match: "other"`), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b.dial(t).ask(row.raw) // fills the cache
			c := b.dial(t)
			head, body := c.ask(row.raw)
			head2, body2, express := b.again(c, row.raw)
			if express != row.express {
				t.Errorf("express: %v, want %v", express, row.express)
			}
			if row.express && !strings.Contains(head2, "Cache-Status: umbral; hit; ttl=") {
				t.Errorf("no hit:\n%s", head2)
			}
			if express && same(head) != same(head2) || body != body2 {
				t.Errorf("the whole way says\n%s%.80s\nexpress says\n%s%.80s", head, body, head2, body2)
			}
		})
	}
	t.Run("304", func(t *testing.T) {
		head, _ := b.dial(t).ask(plain("/public/a"))
		raw := plain("/public/a", "If-None-Match: "+regexp.MustCompile(`Etag: (\S+)`).FindStringSubmatch(head)[1])
		c := b.dial(t)
		head, _ = c.ask(raw)
		head2, _, express := b.again(c, raw)
		if !strings.HasPrefix(head, "HTTP/1.1 304") || same(head) != same(head2) || !express {
			t.Errorf("the whole way says\n%s\nexpress (%v) says\n%s", head, express, head2)
		}
	})
}

// again asks until express answers: it cannot where the request comes before
// net/http has done with the one before.
func (b *bed) again(c *wire, raw string) (head, body string, express bool) {
	for range 20 {
		before := b.whole.Load()
		head, body = c.ask(raw)
		if b.whole.Load() == before {
			return head, body, true
		}
	}
	return head, body, false
}

// same takes off a head what differs from answer to answer, and its order.
func same(head string) string {
	lines := strings.Split(changing.ReplaceAllString(head, ""), "\r\n")
	sortLines(lines[1:])
	return strings.Join(lines, "\n")
}

func sortLines(lines []string) {
	for i := range lines {
		for j := i; j > 0 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
}

// TestExpressReadsOnlyWholeRequests: nothing of a request's content, of a half
// request or of a second one is ever taken for a request between two.
func TestExpressReadsOnlyWholeRequests(t *testing.T) {
	b := newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		in, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(in))
	}, expressRules...)
	page := plain("/public/a")
	want := "GET /public/a 0"
	b.dial(t).ask(page)
	t.Run("in pieces", func(t *testing.T) {
		for cut := 1; cut < len(page); cut += 7 {
			c := b.dial(t)
			c.ask(page)
			io.WriteString(c, page[:cut])
			io.WriteString(c, page[cut:])
			if _, body := c.answer("GET"); body != want {
				t.Fatalf("cut at %d: %q", cut, body)
			}
			if _, body := c.ask(page); body != want {
				t.Fatalf("after a cut at %d: %q", cut, body)
			}
		}
	})
	t.Run("two at once", func(t *testing.T) {
		c := b.dial(t)
		c.ask(page)
		io.WriteString(c, page+plain("/off/b")+page)
		for _, want := range []string{want, "GET /off/b 0", want} {
			if _, body := c.answer("GET"); body != want {
				t.Fatalf("got %q, want %q", body, want)
			}
		}
		if _, body := c.ask(page); body != want {
			t.Fatal(body)
		}
	})
	t.Run("content that looks like a request", func(t *testing.T) {
		c := b.dial(t)
		c.ask(page)
		head := fmt.Sprintf("POST /off/post HTTP/1.1\r\nHost: site.test\r\nContent-Length: %d\r\n\r\n", len(page))
		io.WriteString(c, head)
		io.WriteString(c, page)
		if _, body := c.answer("POST"); body != fmt.Sprintf("POST /off/post %d", len(page)) {
			t.Fatal(body)
		}
		if _, body, express := b.again(c, page); body != want || !express {
			t.Errorf("after it: %q, express: %v", body, express)
		}
	})
	t.Run("content behind the next request's head", func(t *testing.T) {
		c := b.dial(t)
		c.ask(page)
		io.WriteString(c, fmt.Sprintf("POST /off/post HTTP/1.1\r\nHost: site.test\r\nContent-Length: %d\r\n\r\n%s%s", len(page), page, page[:10]))
		if _, body := c.answer("POST"); body != fmt.Sprintf("POST /off/post %d", len(page)) {
			t.Fatal(body)
		}
		io.WriteString(c, page[10:])
		if _, body := c.answer("GET"); body != want {
			t.Fatal(body)
		}
	})
}

// TestExpressObeysPurges: what a purge has killed is served by neither way.
func TestExpressObeysPurges(t *testing.T) {
	var version sync.Map
	b := newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		v, _ := version.Load("v")
		fmt.Fprintf(w, "version %v", v)
	}, expressRules...)
	c := b.dial(t)
	for i := range 50 {
		version.Store("v", i)
		if _, err := b.store.Log().Append(context.Background(), []store.Selector{{Tag: "t"}}, 0); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, body := c.ask(plain("/public/a")); body != fmt.Sprintf("version %d", i) {
				t.Fatalf("after purge %d: %s", i, body)
			}
		}
	}
}

// TestExpressTellsVisitorsApart: a connection may bring one visitor after the
// other, as from a proxy; what it remembers of the last is no other's.
func TestExpressTellsVisitorsApart(t *testing.T) {
	b := newBed(t, 64<<20, pages, expressRules...)
	who := map[string]string{"nobody": plain("/mine/a")}
	for _, name := range []string{"anna", "bert"} {
		login, _ := b.dial(t).ask(plain("/off/login?" + name))
		cookie := regexp.MustCompile(`Set-Cookie: (umbral=[^;]+)`).FindStringSubmatch(login)[1]
		who[name] = plain("/mine/a", "Cookie: "+cookie)
		// One character changed: nobody's, whatever came before.
		at := len(cookie) - 10
		who["forged "+name] = plain("/mine/a", "Cookie: "+cookie[:at]+string(cookie[at]^1)+cookie[at+1:])
	}
	c := b.dial(t)
	for range 5 {
		for name, raw := range who {
			_, body := c.ask(raw)
			own := "/mine/a sessionid=of-" + name + " "
			if strings.Contains(name, "forged") || name == "nobody" {
				own = "/mine/a  all work" // without a cookie
			}
			if !strings.HasPrefix(body, own) {
				t.Fatalf("%s is shown %.60s", name, body)
			}
		}
	}
}

// TestExpressCost guards what a hit costs: a page for all and one of one's
// own. The request's text, its id and the visitor are what remains; the race
// detector empties pools at random, so the benchmark guards that to the letter.
func TestExpressCost(t *testing.T) {
	b := newBed(t, 64<<20, pages, expressRules...)
	login, _ := b.dial(t).ask(plain("/off/login?anna"))
	cookie := "Cookie: " + regexp.MustCompile(`Set-Cookie: (umbral=[^;]+)`).FindStringSubmatch(login)[1]
	c := &visitorConn{Conn: nowhere{}, express: b.express}
	for _, row := range []struct {
		name, raw string
		most      float64
	}{
		{"public", plain("/public/a"), 10},
		{"session", plain("/mine/a", cookie), 16},
	} {
		for range 3 { // what a copy's second hit works out is kept
			b.dial(t).ask(row.raw)
		}
		raw := []byte(row.raw)
		commands := b.commands()
		n := testing.AllocsPerRun(200, func() {
			if !b.express.serve(c, raw) {
				t.Fatal("express does not answer")
			}
		})
		if n > row.most {
			t.Errorf("%s: %v allocations, %v at most", row.name, n, row.most)
		}
		if got := b.commands() - commands; got > 20 {
			t.Errorf("%s: 200 hits and %d commands of Redis", row.name, got)
		}
	}
}

// TestVisitorsLeaveIsNoticed: the app learns that nobody waits any more.
func TestVisitorsLeaveIsNoticed(t *testing.T) {
	asked, left := make(chan bool), make(chan bool)
	b := newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
		left <- true
	}, expressRules...)
	c := b.dial(t)
	io.WriteString(c, plain("/off/a"))
	<-asked
	c.Close()
	<-left
}

// TestRedisHitCost guards what a page costs that only Redis holds: one round
// trip, and at most 60 allocations (issue 2).
func TestRedisHitCost(t *testing.T) {
	b := newBed(t, 0, pages, expressRules...)
	b.dial(t).ask(plain("/public/a"))
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/public/a", nil)
		r.Header.Set("User-Agent", "Mozilla/5.0")
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w
	}
	storetest.Eventually(t, "the page to be in Redis", func() bool {
		before := b.calls("get") // a page that waits to be written is found without
		return strings.Contains(strings.Join(ask().Header()["Cache-Status"], ","), "umbral; hit") && b.calls("get") > before
	})
	const n = 500
	gets, asked := b.calls("get"), b.asked.Load()
	allocations := testing.AllocsPerRun(n-1, func() { ask() })
	if got := b.calls("get") - gets; got < n || got > n+n/20 { // the edge's heartbeat is among them
		t.Errorf("%d hits and %d times GET", n, got)
	}
	if b.asked.Load() != asked {
		t.Error("the app was asked")
	}
	own := testing.AllocsPerRun(100, func() {
		httptest.NewRequest("GET", "/public/a", nil).Header.Set("User-Agent", "Mozilla/5.0")
		w := httptest.NewRecorder()
		w.Header()["Etag"] = nil
		w.WriteHeader(200)
		_, _ = w.Write(make([]byte, 1000))
	})
	t.Logf("%v allocations, %v of them the test's own", allocations, own)
	if allocations-own > 60 {
		t.Errorf("%v allocations, 60 at most", allocations-own)
	}
}
