package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// echoTarget answers with method, target and content.
func echoTarget(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s [%s]", r.Method, r.RequestURI, body)
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n"

// A request whose end two programs could see at different places is refused,
// or is the last on its connection: what follows it is never a request.
func TestHostileFraming(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, echoTarget)
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	const post = "POST /form HTTP/1.1\r\nHost: site.test\r\n"
	for i, tt := range []struct {
		name, source, raw string
		status            int    // of the only answer
		asked             string // what the app is asked, "" for nothing
	}{
		{"CL.TE", "RFC 9112 §6.3, Linhart 2005", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG" + smuggled, 200, "POST /form"},
		{"TE.CL", "RFC 9112 §6.3, Kettle 2019", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + fmt.Sprintf("%x", len(smuggled)) + "\r\n" + smuggled + "\r\n0\r\n\r\n" + smuggled, 200, "POST /form"},
		{"TE alone", "CACHING §9", post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 200, "POST /form"},
		{"TE in capitals", "RFC 9112 §6.1", post + "TRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n" + smuggled, 200, "POST /form"},
		{"TE on GET", "RFC 9112 §6.1", "GET /form HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 200, "GET /form"},
		{"TE folded", "RFC 9112 §5.2", post + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + smuggled, 200, "POST /form"},
		{"TE refused before it is read", "CACHING §9", "POST /a#b HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400, ""},
		{"TE twice", "Kettle 2019 TE.TE", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled, 501, ""},
		{"TE chunked twice", "RFC 9112 §6.1", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + smuggled, 501, ""},
		{"TE xchunked", "Kettle 2019 TE.TE", post + "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + smuggled, 501, ""},
		{"TE gzip, chunked", "RFC 9112 §6.1", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + smuggled, 501, ""},
		{"TE identity", "RFC 9112 §7", post + "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n" + smuggled, 501, ""},
		{"TE empty", "CVE-2020-1944", post + "Transfer-Encoding:\r\nContent-Length: 0\r\n\r\n" + smuggled, 501, ""},
		{"TE quoted", "Kettle 2019 TE.TE", post + "Transfer-Encoding: \"chunked\"\r\n\r\n" + smuggled, 501, ""},
		{"TE with vertical tab", "Kettle 2019 TE.TE", post + "Transfer-Encoding: \x0bchunked\r\nContent-Length: 0\r\n\r\n" + smuggled, 400, ""},
		{"TE with NUL", "CVE-2021-30180", post + "Transfer-Encoding: chunked\x00\r\nContent-Length: 0\r\n\r\n" + smuggled, 400, ""},
		{"TE, space before the colon", "RFC 9112 §5.1, CVE-2019-16869", post + "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n" + smuggled, 400, ""},
		{"TE, tab before the colon", "RFC 9112 §5.1", post + "Transfer-Encoding\t: chunked\r\nContent-Length: 0\r\n\r\n" + smuggled, 400, ""},
		{"TE behind a space", "RFC 9112 §2.2", "POST /form HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: site.test\r\n\r\n" + smuggled, 400, ""},
		{"TE with a bare CR", "CVE-2022-32214", post + "Transfer-Encoding: chunked\rX: y\r\nContent-Length: 0\r\n\r\n" + smuggled, 400, ""},
		{"TE in HTTP/1.0", "RFC 9112 §6.1", "POST /form HTTP/1.0\r\nHost: site.test\r\nConnection: keep-alive\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, 200, "POST /form"},
		{"TE in HTTP/1.0 without length", "RFC 9112 §6.1", "POST /form HTTP/1.0\r\nHost: site.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, 200, "POST /form"},
		{"CL that differ", "RFC 9112 §6.3", post + "Content-Length: 0\r\nContent-Length: 47\r\n\r\n" + smuggled, 400, ""},
		{"CL as a list", "RFC 9112 §6.3", post + "Content-Length: 0, 47\r\n\r\n" + smuggled, 400, ""},
		{"CL with plus", "RFC 9110 §8.6", post + "Content-Length: +0\r\n\r\n" + smuggled, 400, ""},
		{"CL negative", "RFC 9110 §8.6", post + "Content-Length: -1\r\n\r\n" + smuggled, 400, ""},
		{"CL hexadecimal", "RFC 9110 §8.6", post + "Content-Length: 0x0\r\n\r\n" + smuggled, 400, ""},
		{"CL with underscore", "CVE-2018-20699", post + "Content-Length: 1_0\r\n\r\n" + smuggled, 400, ""},
		{"CL empty", "CVE-2020-1944", post + "Content-Length:\r\n\r\n" + smuggled, 400, ""},
		{"CL past 2^63", "CVE-2021-40346", post + "Content-Length: 9223372036854775808\r\n\r\n" + smuggled, 400, ""},
		{"CL with trailing junk", "RFC 9110 §8.6", post + "Content-Length: 0 0\r\n\r\n" + smuggled, 400, ""},
		{"CL, name with NUL", "CVE-2021-40346", post + "Content-Length\x00: 0\r\n\r\n" + smuggled, 400, ""},
		{"CL with underscore in the name", "CACHING §9", post + "Content_Length: 47\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" + smuggled, 200, "POST /form"},
		{"chunk size with sign", "RFC 9112 §7.1", post + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + smuggled, 400, "POST /form"},
		{"chunk size with 0x", "RFC 9112 §7.1", post + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + smuggled, 400, "POST /form"},
		{"chunk size past 64 bits", "CVE-2013-2028", post + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + smuggled, 400, "POST /form"},
		{"chunk extension with a bare LF", "CVE-2025-22871", post + "Transfer-Encoding: chunked\r\n\r\n0;\n\r\n" + smuggled, 400, "POST /form"},
		{"chunk extension", "RFC 9112 §7.1.1", post + "Transfer-Encoding: chunked\r\n\r\n0;a=b\r\n\r\n" + smuggled, 200, "POST /form"},
		{"chunk data without its end", "RFC 9112 §7.1", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n" + smuggled, 400, "POST /form"},
		{"trailers", "RFC 9110 §6.5.1", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nX-Edge-User: 1\r\n\r\n" + smuggled, 200, "POST /form"},
		{"NUL in a value", "RFC 9110 §5.5", post + "X: a\x00b\r\nContent-Length: 0\r\n\r\n" + smuggled, 400, ""},
		{"bare CR in a value", "RFC 9112 §2.2", post + "X: a\rb\r\nContent-Length: 0\r\n\r\n" + smuggled, 400, ""},
		{"a line without colon", "RFC 9112 §5", post + "Nonsense\r\n\r\n" + smuggled, 400, ""},
		{"an empty name", "RFC 9110 §5.1", post + ": x\r\n\r\n" + smuggled, 400, ""},
		{"two spaces in the request line", "RFC 9112 §3", "GET  /form HTTP/1.1\r\nHost: site.test\r\n\r\n" + smuggled, 400, ""},
		{"a tab in the request line", "RFC 9112 §3", "GET\t/form HTTP/1.1\r\nHost: site.test\r\n\r\n" + smuggled, 400, ""},
		{"a bare CR in the request line", "RFC 9112 §2.2", "GET /form\r HTTP/1.1\r\nHost: site.test\r\n\r\n" + smuggled, 400, ""},
		{"HTTP/0.9", "RFC 9112 §2.3", "GET /form\r\n" + smuggled, 400, ""},
		{"HTTP/1.2", "RFC 9110 §2.5", "GET /form HTTP/1.2\r\nHost: site.test\r\nConnection: close\r\n\r\n" + smuggled, 200, "GET /form"},
		{"HTTP/2 preface without TLS", "RFC 9113 §3.3", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + smuggled, 400, ""},
		{"GET with content whose length is a lie", "CACHING §9", "GET /form HTTP/1.1\r\nHost: site.test\r\nContent-Length: " + fmt.Sprint(len(smuggled)) + "\r\nConnection: close\r\n\r\n" + smuggled, 200, "GET /form"},
		{"upgrade to h2c", "Bishop Fox 2020", "GET /form HTTP/1.1\r\nHost: site.test\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + smuggled, 200, "GET /form"},
		{"Expect of something else", "RFC 9110 §10.1.1", post + "Expect: tea\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" + smuggled, 417, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			own := fmt.Sprintf("/form/%d", i)
			got := wireAnswers(t, e.wire(t, strings.ReplaceAll(tt.raw, "/form", own)), "POST")
			if !slices.Equal(statusesOf(got), []int{tt.status}) {
				t.Errorf("answers %v, want only %d (%s)", statusesOf(got), tt.status, tt.source)
			}
			for _, a := range got {
				if !a.Close {
					t.Errorf("the connection was to go on after %d (%s)", a.StatusCode, tt.source)
				}
			}
			if tt.status >= 400 && tt.asked != "" {
				return // whether the app hears of a request that breaks off is open
			}
			if asked := strings.Join(app.askedFor(own), ", "); asked != strings.ReplaceAll(tt.asked, "/form", own) {
				t.Errorf("the app was asked %q, want %q (%s)", asked, tt.asked, tt.source)
			}
		})
	}
	if asked := app.askedFor("/smuggled"); len(asked) > 0 {
		t.Errorf("%d requests were smuggled", len(asked))
	}
}
