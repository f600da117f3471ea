package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"umbral/proxy/store"
)

// TestStaleSaysWhatTheAppDid (RFC 9211 §2): why a stale page is served, and
// nothing of the answer that was to be stored in its place.
func TestStaleSaysWhatTheAppDid(t *testing.T) {
	var bad atomic.Pointer[http.HandlerFunc]
	b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		if h := bad.Load(); h != nil {
			(*h)(w, r)
			return
		}
		fmt.Fprint(w, "page")
	}, expressRules...)
	(*b.origin.(*Origin).upstreams.Load())[0].client.header = 100 * time.Millisecond
	for _, tt := range []struct {
		name, want string
		app        http.HandlerFunc
	}{
		{"truncated", "umbral; fwd=stale; detail=bad-answer", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "short")
		}},
		{"silent", "umbral; fwd=stale; detail=app-timeout", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"gone", "umbral; fwd=stale; detail=app-unreachable", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad.Store(nil)
			b.dial(t).ask(plain("/public/" + tt.name))
			if _, err := b.store.Log().Append(context.Background(), []store.Selector{{Tag: "t", Soft: true}}, 0); err != nil {
				t.Fatal(err)
			}
			bad.Store(&tt.app)
			head, body := b.dial(t).ask(plain("/public/" + tt.name))
			if !strings.Contains(head+"\r\n", "Cache-Status: "+tt.want+"\r\n") || body != "page" {
				t.Errorf("%s\n%s", head, body)
			}
		})
	}
}
