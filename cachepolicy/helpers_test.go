package cachepolicy

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// header reads "Name: value" lines.
func header(tb testing.TB, text string) http.Header {
	tb.Helper()
	h := http.Header{}
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimLeft(line, " \t"); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			tb.Fatalf("no field: %q", line)
		}
		h.Add(name, strings.TrimPrefix(value, " "))
	}
	return h
}

// pureRule is a route of "ttl: app": RFC 9111 and nothing else.
var pureRule = Rule{Pattern: "/", TTL: AppTTL, StaleWhileRevalidate: -1, StaleIfError: -1}

var operatorRule = Rule{Pattern: "/", TTL: time.Minute, StaleWhileRevalidate: -1, StaleIfError: -1, Status: map[int]time.Duration{404: 10 * time.Second}}

func get(tb testing.TB, fields string) *Request {
	return &Request{Method: "GET", Scheme: "https", Host: "example.com", Path: "/a", Header: header(tb, fields)}
}

func answer(tb testing.TB, status int, fields string) *Response {
	return &Response{Status: status, Header: header(tb, fields), Length: -1, RequestTime: t0, ResponseTime: t0}
}

// at is t0 plus so many seconds as an HTTP-date.
func at(seconds int) string {
	return t0.Add(time.Duration(seconds) * time.Second).Format(http.TimeFormat)
}

// store stores or fails the test.
func store(tb testing.TB, p *Policy, r *Request, resp *Response) *Stored {
	tb.Helper()
	s, reason := p.Storable(r, resp)
	if reason != None || s == nil {
		tb.Fatalf("not stored: %v", reason)
	}
	return s
}
