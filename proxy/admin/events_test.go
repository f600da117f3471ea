package admin

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"umbral/proxy"
)

// listen opens a stream and returns the lines of its body.
func listen(t *testing.T, url string, field, value string) (lines <-chan string, status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(field, value)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 10_000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out, res.StatusCode
}

// until reads lines up to the one that has want.
func until(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	for line := range lines {
		if strings.Contains(line, want) {
			return
		}
	}
	t.Fatalf("the stream ended without %q", want)
}

func TestEvents(t *testing.T) {
	f := newFake()
	h := New(f.options())
	srv := httptest.NewServer(h)
	defer srv.Close()
	lines, status := listen(t, srv.URL+"/v1/events?type=request&type=purge&path=/a&verdict=hit&user=42", "Authorization", "Bearer "+testToken)
	until(t, lines, ": umbral")
	if status != 200 || !f.hub.Listening() {
		t.Fatal(status)
	}
	f.hub.Publish(proxy.EventState, f.now, "not asked for")
	f.hub.Publish(proxy.EventRequest, f.now, proxy.RequestEvent{Path: "/b", Verdict: "hit", User: "u1:42"})
	f.hub.Publish(proxy.EventRequest, f.now, proxy.RequestEvent{Path: "/a", Verdict: "miss", User: "u1:42"})
	f.hub.Publish(proxy.EventRequest, f.now, proxy.RequestEvent{Path: "/a", Verdict: "hit", User: "u1:43"})
	f.hub.Publish(proxy.EventRequest, f.now, proxy.RequestEvent{ID: "x", Path: "/a/\nevent: x", Verdict: "hit", User: "u2:42"})
	f.hub.Publish(proxy.EventPurge, f.now, map[string]string{"tag": "a"})
	f.hub.Publish(proxy.EventPurge, f.now, []int{1})
	f.hub.Publish(proxy.EventPurge, f.now, struct{}{})
	const at = `data: {"time":"2027-01-15T08:00:00Z"`
	want := []string{"event: request", at + `,"id":"x","method":"","host":"","path":"/a/\nevent: x"`, "", "event: purge", at + `,"tag":"a"}`, "", "event: purge", at + `,"data":[1]}`, "", "event: purge", at + "}"}
	until(t, lines, "") // the rest of the greeting
	for _, w := range want {
		if got := <-lines; !strings.HasPrefix(got, w) {
			t.Errorf("got %q, want %q", got, w)
		}
	}
	h.Close()
	until(t, closedAs(lines), "end")
}

// closedAs gives "end" once lines is closed.
func closedAs(lines <-chan string) <-chan string {
	out := make(chan string, 1)
	for range lines {
	}
	out <- "end"
	return out
}

func TestEvents_end_with_the_dashboards_session(t *testing.T) {
	f := newFake()
	h := New(f.options())
	srv := httptest.NewServer(h)
	defer srv.Close()
	cookie := signedInCookie(t, h)
	lines, status := listen(t, srv.URL+"/v1/events", "Cookie", strings.TrimPrefix(cookie, "Cookie: "))
	until(t, lines, ": umbral")
	if status != 200 {
		t.Fatal(status)
	}
	ask(h, "POST", "/logout", "", "Authorization: ", cookie, "Sec-Fetch-Site: same-origin", csrfHeader+": 1")
	until(t, closedAs(lines), "end")
}

func TestEvents_have_a_limit_of_listeners(t *testing.T) {
	f := newFake()
	h := New(f.options())
	srv := httptest.NewServer(h)
	defer srv.Close()
	for range maxStreams {
		lines, _ := listen(t, srv.URL+"/v1/events", "Authorization", "Bearer "+testToken)
		until(t, lines, ": umbral")
	}
	if _, status := listen(t, srv.URL+"/v1/events", "Authorization", "Bearer "+testToken); status != 503 {
		t.Errorf("one more: %d", status)
	}
	h.Close()
}

func TestEvents_faults(t *testing.T) {
	h := New(newFake().options())
	for _, q := range []string{"?type=nothing", "?since=1", "?path=/a&path=/b", "?verdict=good"} {
		if w := ask(h, "GET", "/v1/events"+q, ""); w.Code != 400 {
			t.Errorf("%s: %d", q, w.Code)
		}
	}
}

func TestEvents_beat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequest("GET", "/v1/events", nil).WithContext(ctx)
		r.Header.Set("Authorization", "Bearer "+testToken)
		w := httptest.NewRecorder()
		done := make(chan struct{})
		h := New(f.options())
		go func() { defer close(done); h.ServeHTTP(w, r) }()
		<-time.After(2*heartbeat + time.Second)
		cancel()
		<-done
		if n := strings.Count(w.Body.String(), ": beat\n\n"); n != 2 {
			t.Errorf("%d beats", n)
		}
		synctest.Wait()
		if f.hub.Listening() {
			t.Error("still subscribed")
		}
	})
}

func TestStream_is_bounded_a_second(t *testing.T) {
	w := httptest.NewRecorder()
	s := sse{w: w, rc: http.NewResponseController(w)}
	now := time.Unix(100, 0)
	for range streamBurst + 5 {
		s.event(Event{proxy.EventRequest, now, nil})
	}
	s.event(Event{proxy.EventPurge, now, nil})
	s.event(Event{proxy.EventRequest, now.Add(time.Second), nil})
	body := w.Body.String()
	if n := strings.Count(body, "event: request"); n != streamBurst+1 {
		t.Errorf("%d requests", n)
	}
	if !strings.Contains(body, "event: purge") || !strings.Contains(body, "event: missed\ndata: {\"events\":5}") {
		t.Errorf("ends %q", body[len(body)-200:])
	}
}
