package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"umbral/proxy/store/storetest"
)

// instance is one of several upstreams; it says its name and counts what it is
// asked.
type instance struct {
	*stoppable
	asked atomic.Int64
}

func startInstances(t *testing.T, n int, h func(i *instance, w http.ResponseWriter, r *http.Request)) (list []*instance, urls string) {
	for range n {
		i := &instance{}
		i.stoppable = startStoppable(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			i.asked.Add(1)
			h(i, w, r)
		}))
		list = append(list, i)
		urls += "," + i.URL
	}
	return list, urls[1:]
}

func total(list []*instance) (n int64) {
	for _, i := range list {
		n += i.asked.Load()
	}
	return n
}

// TestUpstreamsDieAndReturnUnseen kills two of three upstreams in turns, and
// has them return, while visitors ask for pages that are stored and for others:
// no visitor sees anything of it. (Of content without a declared length, or too
// long to be read before it is passed on, a visitor sees where it broke off.)
func TestUpstreamsDieAndReturnUnseen(t *testing.T) {
	redis := storetest.StartRedis(t)
	list, urls := startInstances(t, 3, func(i *instance, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer := r.Method + " " + r.URL.Path
		if r.Method == "GET" { // breaks off at any byte, and is seen to
			answer += strings.Repeat(" and more", 1000)
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		}
		_, _ = io.WriteString(w, answer)
	})
	e := startEdge(t, urls, redisURL(redis), simpleRoutes, "REDIS_TIMEOUT=20s", "ACCESS_LOG=off")
	var visitors sync.WaitGroup
	stop := make(chan struct{})
	var answered atomic.Int64
	for i := range 8 {
		visitors.Go(func() {
			v := e.visitor()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				method, path, body := "GET", fmt.Sprintf("/off/%d-%d", i, n), ""
				switch n % 4 {
				case 1:
					path = fmt.Sprintf("/page/%d-%d", i, n)
				case 2:
					method = "PUT"
				case 3:
					method = "DELETE"
				}
				a, err := v.do(method, path, body)
				if err != nil || a.StatusCode != 200 || !strings.HasPrefix(a.Body, method+" "+path) {
					t.Errorf("%s %s: %v", method, path, err)
					if err == nil {
						t.Errorf("%d %.40q %s", a.StatusCode, a.Body, a.Umbral())
					}
					return
				}
				answered.Add(1)
			}
		})
	}
	on := func(n int64) {
		t.Helper()
		until := answered.Load() + n
		within(t, "visitors to be answered", func() bool { return answered.Load() >= until || t.Failed() })
	}
	on(100)
	for _, i := range list {
		if i.asked.Load() == 0 {
			t.Error("an upstream is asked nothing: the load is not balanced")
		}
	}
	for round := range killRounds {
		one, two := list[round], list[(round+1)%3]
		one.kill()
		on(50)
		two.kill() // one is left
		on(200)
		for _, i := range []*instance{one, two} {
			if err := i.start(); err != nil {
				t.Fatal(err)
			}
		}
		asked := one.asked.Load()
		within(t, "who is back to be asked again", func() bool { return one.asked.Load() > asked || t.Failed() })
	}
	close(stop)
	visitors.Wait()
	t.Logf("%d answers, none of them an error", answered.Load())
}

// TestWhatAskingTwiceCouldDoTwiceIsAskedOnce has every upstream take a request
// and break off without an answer.
func TestWhatAskingTwiceCouldDoTwiceIsAskedOnce(t *testing.T) {
	redis := storetest.StartRedis(t)
	list, urls := startInstances(t, 3, func(i *instance, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	e := startEdge(t, urls, redisURL(redis), simpleRoutes)
	for _, tt := range []struct {
		method, body string
		want         int64
	}{
		{"POST", "x=1", 1}, {"POST", "", 1}, {"PATCH", "x=1", 1}, {"PUT", "x=1", 1},
		{"GET", "", 3}, {"DELETE", "", 3},
	} {
		before := total(list)
		a, err := e.visitor().do(tt.method, "/off/", tt.body)
		if err != nil || a.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %v %d", tt.method, err, a.StatusCode)
		}
		if n := total(list) - before; n != tt.want {
			t.Errorf("%s with %q was asked %d times, want %d", tt.method, tt.body, n, tt.want)
		}
	}
}

// TestARequestThatReachedNobodyIsAskedElsewhere sends content while all
// upstreams but one are gone: nothing of it had been sent, so that it may be.
func TestARequestThatReachedNobodyIsAskedElsewhere(t *testing.T) {
	redis := storetest.StartRedis(t)
	list, urls := startInstances(t, 3, func(i *instance, w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(errors.Join(http.ErrAbortHandler, err))
		}
		fmt.Fprintf(w, "took %s", b)
	})
	e := startEdge(t, urls, redisURL(redis), simpleRoutes)
	list[0].kill()
	list[1].kill()
	v := e.visitor()
	for n := range 12 {
		body := fmt.Sprint("x=", n)
		if a, err := v.do("POST", "/off/", body); err != nil || a.Body != "took "+body {
			t.Errorf("%v %d %q", err, a.StatusCode, a.Body)
		}
	}
	if n := list[2].asked.Load(); n != 12 {
		t.Errorf("12 requests were %d", n)
	}
}

// TestAnAnswerThatBreaksOffIsFetchedElsewhere: as long as nobody has seen any
// of it.
func TestAnAnswerThatBreaksOffIsFetchedElsewhere(t *testing.T) {
	redis := storetest.StartRedis(t)
	var broken atomic.Pointer[instance]
	list, urls := startInstances(t, 2, func(i *instance, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		if broken.CompareAndSwap(nil, i) || broken.Load() == i {
			fmt.Fprint(w, "pa")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "whole")
	})
	e := startEdge(t, urls, redisURL(redis), simpleRoutes)
	for n := range 10 {
		if a := e.visitor().get(fmt.Sprint("/page/", n)); a.StatusCode != 200 || a.Body != "whole" {
			t.Errorf("%d %q", a.StatusCode, a.Body)
		}
	}
	if broken.Load() == nil || total(list) < 11 {
		t.Error("nothing broke off")
	}
}
