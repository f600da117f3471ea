package sessions

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// A signed-in session with Django's two cookies, everything counted that it
// puts into Redis: the record, its user and the lists it is in.
func TestASessionCostsRedisAtMostAKilobyte(t *testing.T) {
	s := startRedis(t)
	ctx := context.Background()
	term := newTerminator(t, s, func(o *Options) { o.Identity.Source = SourceHeader })
	const sessions = 8000
	signIn := func(n int) {
		req, _ := http.NewRequest("POST", "http://app.test/login", nil)
		resp := &http.Response{Header: http.Header{}, StatusCode: 302, Request: req}
		resp.Header.Add("Set-Cookie", fmt.Sprintf("sessionid=%032d; HttpOnly; Max-Age=1209600; Path=/; SameSite=Lax", n))
		resp.Header.Add("Set-Cookie", fmt.Sprintf("csrftoken=%064d; Max-Age=31449600; Path=/; SameSite=Lax", n))
		resp.Header.Set(HeaderSessionUser, strconv.Itoa(n))
		v := term.Visit(ctx, req).Own(ctx, netip.MustParseAddr("192.0.2.1"))
		if _, err := v.Absorb(ctx, req, resp, true); err != nil {
			t.Fatal(err)
		}
	}
	signIn(0) // scripts, buffers and lists are there now
	before := s.used()
	for n := range sessions {
		signIn(n + 1)
	}
	each := (s.used() - before) / sessions
	var sample int64
	keys := s.client.Keys(ctx, "test:edge:s:*").Val()
	for _, key := range keys[:100] {
		sample += s.client.MemoryUsage(ctx, key, 0).Val()
	}
	t.Logf("%d bytes a session; its record alone %d (MEMORY USAGE)", each, sample/100)
	if each > 1024 {
		t.Errorf("a session costs %d bytes", each)
	}
}

// used is used_memory: all that Redis holds.
func (s *server) used() int {
	s.t.Helper()
	for line := range strings.Lines(s.client.Info(context.Background(), "memory").Val()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err := strconv.Atoi(v)
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatal("no used_memory")
	return 0
}
