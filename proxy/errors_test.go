package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

func TestRefusalFor(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		reason cachepolicy.Reason
		retry  bool
	}{
		{fmt.Errorf("%w: refused", ErrUnreachable), 502, cachepolicy.AppUnreachable, false},
		{fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded), 504, cachepolicy.AppTimeout, false},
		{fmt.Errorf("%w: two lengths", ErrBadAnswer), 502, cachepolicy.BadAnswer, false},
		{ErrOverloaded, 503, cachepolicy.Overloaded, true},
		{ErrOverloadedEdge, 503, cachepolicy.Overloaded, true},
		{fmt.Errorf("x: %w", sessions.ErrUnavailable), 503, cachepolicy.SessionsDown, true},
		{fmt.Errorf("x: %w", store.ErrUnavailable), 503, cachepolicy.StoreDown, true},
		{ErrBodyTooLarge, 413, cachepolicy.RequestRefused, false},
		{&http.MaxBytesError{Limit: 1}, 413, cachepolicy.RequestRefused, false},
		// The app's Transport wraps what reading the visitor's content met.
		{fmt.Errorf("%w: %w", ErrUnreachable, ErrBodyStalled), 408, cachepolicy.RequestRefused, false},
		{errors.Join(errBodyBroken, io.ErrUnexpectedEOF), 400, cachepolicy.RequestRefused, false},
		{errOnlyIfCached, 504, cachepolicy.RequestOnlyIfCached, false},
		{context.DeadlineExceeded, 504, cachepolicy.AppTimeout, false},
		{fmt.Errorf("x: %w", context.Canceled), 499, cachepolicy.None, false},
		{errors.New("anything else"), 502, cachepolicy.BadAnswer, false},
	} {
		got := RefusalFor(tt.err)
		if got.Status != tt.status || got.Reason != tt.reason || got.RetryAfter > 0 != tt.retry || got.Cause != tt.err {
			t.Errorf("%v: %+v", tt.err, got)
		}
	}
}

func TestRefusalWrite(t *testing.T) {
	no := RefusalFor(fmt.Errorf("%w: dial tcp 10.0.0.7:8000: secret", ErrUnreachable))
	for _, tt := range []struct{ method, accept, kind string }{
		{"GET", "text/html,*/*", "text/html; charset=utf-8"},
		{"GET", "*/*", "text/plain; charset=utf-8"},
		{"GET", "", "text/plain; charset=utf-8"},
		{"HEAD", "text/html", "text/html; charset=utf-8"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(tt.method, "/", nil)
		r.Header.Set("Accept", tt.accept)
		w.Header().Set("Etag", `"theirs"`)
		w.Header().Set("Content-Encoding", "br")
		no.Write(w, r)
		if w.Code != 502 || w.Header().Get("Content-Type") != tt.kind || w.Header().Get("Cache-Control") != "no-store" ||
			w.Header().Get("Etag")+w.Header().Get("Content-Encoding") != "" || w.Header().Get("Content-Length") == "" {
			t.Errorf("%s %s: %d %v", tt.method, tt.accept, w.Code, w.Header())
		}
		if body := w.Body.String(); strings.Contains(body, "10.0.0.7") || strings.Contains(body, "secret") || (body == "") != (tt.method == "HEAD") {
			t.Errorf("%q", body)
		}
	}
	w := httptest.NewRecorder()
	(&Refusal{Status: 503, RetryAfter: 1500 * time.Millisecond}).Write(w, httptest.NewRequest("GET", "/", nil))
	if w.Header().Get("Retry-After") != "2" {
		t.Errorf("%v", w.Header())
	}
	w = httptest.NewRecorder()
	(&Refusal{Status: statusClientGone}).Write(w, httptest.NewRequest("GET", "/", nil))
	if w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Error("something was written to a visitor who has gone")
	}
}
