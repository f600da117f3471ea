package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store/storetest"
)

// told is an app that answers with the fields of X-Say, parted by "|".
func told(w http.ResponseWriter, r *http.Request) {
	for field := range strings.SplitSeq(r.Header.Get("X-Say"), "|") {
		name, value, _ := strings.Cut(field, ": ")
		w.Header().Set(name, value)
	}
	if r.Header.Get("If-None-Match") != "" {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	fmt.Fprint(w, r.URL)
}

// TestAnIndexLivesAsLongAsWhatItLeadsTo, whatever came last, in both tiers.
func TestAnIndexLivesAsLongAsWhatItLeadsTo(t *testing.T) {
	const long, short = "Cache-Control: max-age=5000|Vary: X-Side", "Cache-Control: max-age=5|Vary: X-Side"
	left := "X-Side: left"
	for _, row := range []struct {
		name string
		asks []string
	}{
		{"a short-lived variant after a long-lived one", []string{
			plain("/app/a", left, "X-Say: "+long), plain("/app/a", "X-Say: "+short)}},
		{"one without Vary", []string{
			plain("/app/b", left, "X-Say: "+long), plain("/app/b", "X-Say: Cache-Control: max-age=5")}},
		{"a validation", []string{
			plain("/app/c", left, `X-Say: Cache-Control: max-age=0|Vary: X-Side|Etag: "a"`),
			plain("/app/c", left, `X-Say: Cache-Control: max-age=200000|Vary: X-Side|Etag: "a"`)}},
		{"another path of a search", []string{
			plain("/app/d?x=1&u=1", "X-Say: Cache-Control: max-age=5000|No-Vary-Search: params=(\"u\")"),
			plain("/app/d?x=2&u=1", "X-Say: Cache-Control: max-age=5|No-Vary-Search: params=(\"u\")")}},
		{"a validation of a search", []string{
			plain("/app/e?u=1", `X-Say: Cache-Control: max-age=0|Etag: "a"|No-Vary-Search: params`),
			plain("/app/e?u=2", `X-Say: Cache-Control: max-age=200000|Etag: "a"`)}},
		{"a short-lived variant of a search", []string{
			plain("/app/f?u=1", left, "X-Say: "+long+"|No-Vary-Search: params"),
			plain("/app/f?u=2", "X-Say: "+short+"|No-Vary-Search: params"),
			plain("/app/f?u=3", "X-Side: right", "X-Say: Cache-Control: max-age=5|No-Vary-Search: params")}},
	} {
		for _, memory := range []int64{64 << 20, 0} {
			t.Run(fmt.Sprint(row.name, "/", memory), func(t *testing.T) {
				b := newBed(t, memory, told, expressRules...)
				c := b.dial(t)
				for _, raw := range row.asks {
					c.ask(raw)
				}
				_, rest, _ := strings.Cut(row.asks[0], " ")
				target, _, _ := strings.Cut(rest, " ")
				ask := cachepolicy.Request{Method: "GET", Scheme: "http", Host: "site.test"}
				ask.Path, ask.Query, _ = strings.Cut(target, "?")
				route := b.Rules().Match("GET", ask.Host, ask.Path)
				keys := []cachepolicy.Key{route.Key(&ask), route.PathKey(&ask), route.SearchKey(&ask, "params"), route.SearchKey(&ask, `params=("u")`)}
				indexes := 0
				for _, key := range keys {
					e, err := b.store.Lookup(context.Background(), key)
					if err != nil {
						t.Fatal(err)
					}
					if e == nil || e.Index == nil {
						continue
					}
					indexes++
					if e.Keep < 5000*time.Second-time.Minute || strings.Contains(row.name, "validation") && e.Keep < 200_000*time.Second {
						t.Errorf("an index is kept for %v", e.Keep)
					}
				}
				if indexes == 0 {
					t.Error("no index")
				}
			})
		}
	}
}

// TestTheNewestAnswerIsServed although an older one, without No-Vary-Search, may
// still be served stale.
func TestTheNewestAnswerIsServed(t *testing.T) {
	for _, memory := range []int64{64 << 20, 0} {
		t.Run(fmt.Sprint(memory), func(t *testing.T) {
			b := newBed(t, memory, told, expressRules...)
			c := b.dial(t)
			c.ask(plain("/app/n?u=1", "X-Say: Cache-Control: max-age=60, stale-while-revalidate=600|Age: 70|X-Version: 1"))
			again := plain("/app/n?u=1", "X-Say: Cache-Control: max-age=60|No-Vary-Search: params|X-Version: 2")
			storetest.Eventually(t, "the new version", func() bool {
				head, _ := c.ask(again)
				return strings.Contains(head, "X-Version: 2") && strings.Contains(head, "umbral; hit; ttl=")
			})
			asked := b.asked.Load()
			for _, target := range []string{"/app/n?u=1", "/app/n?u=2", "/app/n?u=1"} {
				if head, _ := c.ask(plain(target)); !strings.Contains(head, "X-Version: 2") || b.asked.Load() != asked {
					t.Errorf("%s: the app was asked %d times more\n%s", target, b.asked.Load()-asked, head)
				}
			}
		})
	}
}

// TestAMissSeldomAsksWhetherOthersSearch: no look at Redis for a hit, and of
// all the misses of a route one in a while costs one more.
func TestAMissSeldomAsksWhetherOthersSearch(t *testing.T) {
	b := newBed(t, 64<<20, told, expressRules...)
	now := time.Now()
	b.Proxy.now = func() time.Time { return now }
	c := b.dial(t)
	say := "X-Say: Cache-Control: max-age=60"
	const misses = 20
	var looks [3]uint64
	for batch := range looks {
		before := b.store.Stats().Gets
		for i := range misses {
			c.ask(plain(fmt.Sprint("/app/", batch*misses+i), say))
		}
		looks[batch] = b.store.Stats().Gets - before
		if batch == 1 {
			now = now.Add(learnEvery)
		}
	}
	if looks[0] != looks[1]+1 || looks[2] != looks[1]+1 {
		t.Errorf("%d misses at a time looked %v times", misses, looks)
	}
	before := b.store.Stats().Gets
	for i := range misses {
		if head, _ := c.ask(plain(fmt.Sprint("/app/", i), say)); !strings.Contains(head, "umbral; hit") {
			t.Errorf("no hit:\n%s", head)
		}
	}
	if got := b.store.Stats().Gets - before; got != 0 {
		t.Errorf("hits looked %d times", got)
	}
	c.ask(plain("/app/s?u=1", say+"|No-Vary-Search: params"))
	before = b.store.Stats().Gets
	for i := range misses {
		for _, target := range []string{fmt.Sprint("/app/", i), fmt.Sprint("/app/s?u=", i)} {
			if head, _ := c.ask(plain(target)); !strings.Contains(head, "umbral; hit") {
				t.Errorf("no hit:\n%s", head)
			}
		}
	}
	if got := b.store.Stats().Gets - before; got != 0 {
		t.Errorf("hits looked %d times", got)
	}
}
