package proxy

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// net/http takes Connection off an answer that says close there, and with it
// what else it names: that is hop-by-hop all the same (RFC 9110 §7.6.1).
func TestOriginTellsWhatConnectionNamesBesideClose(t *testing.T) {
	const end = "X-Hop: 1\r\nContent-Length: 0\r\n\r\n"
	for _, tt := range []struct {
		name, answer string
		early, want  []string // the lines of Connection
	}{
		{"alone", "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\n" + end, nil, []string{"X-Hop"}},
		{"before close", "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\n" + end, nil, []string{"X-Hop, close"}},
		{"behind close", "HTTP/1.1 200 OK\r\nconnection:Close,X-Hop\t\r\n" + end, nil, []string{"Close,X-Hop"}},
		{"on another line", "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: X-Hop\r\n" + end, nil, []string{"X-Hop"}},
		{"on a folded line", "HTTP/1.1 200 OK\r\nConnection: close,\r\n\t X-Hop\r\n" + end, nil, []string{"close, X-Hop"}},
		{"far behind", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 3*readBuffer) + "\r\nConnection: close, X-Hop\r\n" + end, nil, []string{"close, X-Hop"}},
		{"in HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: close, X-Hop\r\n" + end, nil, []string{"close, X-Hop"}},
		{"with bare LF", "HTTP/1.1 200 OK\nConnection: close, X-Hop\n" + end, nil, []string{"close, X-Hop"}},
		{"in an interim answer", "HTTP/1.1 103 Early Hints\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\n\r\nHTTP/1.1 200 OK\r\n" + end, []string{"X-Hop, close"}, nil},
		{"in the answer to an interim one", "HTTP/1.1 103 Early Hints\r\nX-Hop: 1\r\n\r\nHTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\n" + end, nil, []string{"X-Hop, close"}},
	} {
		for _, w := range waysToTheApp {
			for _, method := range []string{"GET", "HEAD"} {
				t.Run(tt.name+", "+w.name+", "+method, func(t *testing.T) {
					og := newTestOrigin(t, OriginOptions{URLs: []string{rawApp(t, tt.answer, false)}})
					w.take(og)
					r := outgoing(method, "")
					var early []string
					r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
						early = h["Connection"]
						return nil
					}}))
					resp, err := og.RoundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if got := resp.Header["Connection"]; !slices.Equal(got, tt.want) || !slices.Equal(early, tt.early) {
						t.Errorf("%q early and %q, want %q and %q", early, got, tt.early, tt.want)
					}
				})
			}
		}
	}
}

// The framing of such an answer is faulty, and its connection is closed
// (RFC 9112 §6.1), also where net/http thinks that it could go on.
func TestOriginLeavesAConnectionOnWhichFramingIsFaulty(t *testing.T) {
	for _, w := range waysToTheApp {
		for _, method := range []string{"GET", "HEAD"} {
			a := newWireApp(t, func(_ *http.Request, nth int) (string, bool) {
				if nth > 0 {
					return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true
				}
				return "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", true
			})
			og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}})
			w.take(og)
			for i := range 3 {
				if status, _, err := ask(t, og, outgoing(method, "")); !errors.Is(err, ErrBadAnswer) {
					t.Errorf("%s %s, request %d: %d, %v", method, w.name, i, status, err)
				}
			}
		}
	}
}
