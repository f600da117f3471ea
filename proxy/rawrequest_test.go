package proxy

import (
	"bufio"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"umbral/cachepolicy"
)

func TestReadRaw(t *testing.T) {
	const head = "GET /a?b HTTP/1.1\r\nHost: x\r\n"
	for _, row := range []struct {
		name, raw string
		want      bool
	}{
		{"plain", head + "\r\n", true},
		{"keep-alive", head + "Connection: keep-alive\r\n\r\n", true},
		{"names in any case", head + "aCCEPT-encoding: br\r\n\r\n", true},
		{"white space around a value", head + "Accept: \t x \t \r\n\r\n", true},
		{"no value", head + "Accept:\r\n\r\n", true},
		{"bytes over 7 bits in a value", head + "Accept: \xff\r\n\r\n", true},
		{"not whole", head, false},
		{"more than one", head + "\r\nG", false},
		{"two", head + "\r\n" + head + "\r\n", false},
		{"another method", strings.Replace(head, "GET", "PUT", 1) + "\r\n", false},
		{"HTTP/1.0", strings.Replace(head, "1.1", "1.0", 1) + "\r\n", false},
		{"absolute form (RFC 9112 §3.2.2)", "GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"two spaces", strings.Replace(head, " HTTP", "  HTTP", 1) + "\r\n", false},
		{"a fragment", strings.Replace(head, "?b", "#b", 1) + "\r\n", false},
		{"raw UTF-8 in the target", strings.Replace(head, "?b", "é", 1) + "\r\n", false},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", false},
		{"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", false},
		{"two Hosts (RFC 9112 §3.2)", head + "Host: x\r\n\r\n", false},
		{"a field twice", head + "Accept: a\r\nAccept: b\r\n\r\n", false},
		{"a field twice in other case", head + "Accept: a\r\naccept: b\r\n\r\n", false},
		{"bare LF (RFC 9112 §2.2)", head + "Accept: a\n\r\n", false},
		{"bare CR", head + "Accept: a\rb\r\n\r\n", false},
		{"LF alone at the end", "GET / HTTP/1.1\nHost: x\n\n", false},
		{"obs-fold (RFC 9112 §5.2)", head + "Accept: a\r\n b\r\n\r\n", false},
		{"space before the colon (RFC 9112 §5.1)", head + "Accept : a\r\n\r\n", false},
		{"no colon", head + "Accept\r\n\r\n", false},
		{"no name", head + ": a\r\n\r\n", false},
		{"an underscore", head + "X_Edge_User: a\r\n\r\n", false},
		{"NUL", head + "Accept: a\x00\r\n\r\n", false},
		{"DEL", head + "Accept: a\x7f\r\n\r\n", false},
		{"Content-Length", head + "Content-Length: 0\r\n\r\n", false},
		{"Transfer-Encoding", head + "Transfer-Encoding: chunked\r\n\r\n", false},
		{"Connection: close", head + "Connection: close\r\n\r\n", false},
		{"Connection names a field", head + "Connection: keep-alive, cookie\r\n\r\n", false},
		{"Upgrade", head + "Upgrade: websocket\r\n\r\n", false},
		{"Expect", head + "Expect: 100-continue\r\n\r\n", false},
		{"Range", head + "Range: bytes=0-1\r\n\r\n", false},
		{"Pragma", head + "Pragma: no-cache\r\n\r\n", false}, // net/http makes a Cache-Control of it
		{"too many fields", head + strings.Repeat("A: b\r\n", maxRawFields+1) + "\r\n", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var q rawRequest
			if got := q.readRaw(row.raw); got != row.want {
				t.Fatalf("got %v, want %v", got, row.want)
			}
			if row.want {
				sameAsNetHTTP(t, &q, row.raw)
			}
		})
	}
}

// sameAsNetHTTP: what readRaw takes it reads as net/http does.
func sameAsNetHTTP(t *testing.T, q *rawRequest, raw string) {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(raw))
	r, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", raw, err)
	}
	if in.Buffered() != 0 {
		t.Fatalf("net/http reads another request behind %q", raw)
	}
	delete(r.Header, "Connection") // keep-alive, which means nothing in HTTP/1.1
	got := &q.r
	if got.Method != r.Method || got.RequestURI != r.RequestURI || got.Host != r.Host || got.URL.RawQuery != r.URL.RawQuery ||
		got.ContentLength != r.ContentLength || r.Close || len(r.TransferEncoding) > 0 || got.ProtoMajor != r.ProtoMajor || got.ProtoMinor != r.ProtoMinor {
		t.Fatalf("%q: got %+v, net/http reads %+v", raw, got, r)
	}
	if !maps.EqualFunc(got.Header, r.Header, slices.Equal) {
		t.Fatalf("%q: got %q, net/http reads %q", raw, got.Header, r.Header)
	}
}

func FuzzReadRaw(f *testing.F) {
	f.Add(plain("/a?b=c"))
	f.Add(plain("/%41", "Cookie: a=b", "If-None-Match: \"x\""))
	f.Add("GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: keep-alive\r\n\r\n")
	f.Add("GET //x/y HTTP/1.1\r\nhost:a\r\n\r\n")
	f.Add("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		var q rawRequest
		if !q.readRaw(raw) {
			return
		}
		path, host := rawPath(&q.r), q.r.Host
		if x := (&Exchange{R: &q.r}); NewFront(FrontOptions{}).Admit(x) != nil || cachepolicy.PathAmbiguous(path) {
			return // net/http need not take it either: it is not answered
		}
		q.r.Host = host // Admit normalises it
		sameAsNetHTTP(t, &q, raw)
	})
}
