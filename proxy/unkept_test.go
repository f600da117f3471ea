package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"umbral/cachepolicy"
)

// Where there is no room to keep coded copies, pages are coded all the same
// (CACHING.md §4), for each answer anew.
func TestPagesAreCodedWhereNoCopyCanBeKept(t *testing.T) {
	page := strings.Repeat("<li>certificado emitido</li>\n", 100)
	app := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/tagged":
			w.Header().Set("Etag", `"a"`)
		case "/weak":
			w.Header().Set("Etag", `W/"a"`)
		case "/dated":
			w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		case "/huge":
			fmt.Fprint(w, strings.Repeat(page, unkeptMost/len(page)+1))
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(page))) // else it streams to who asks first
		fmt.Fprint(w, page)
	}
	for name, memory := range map[string]int64{"no memory tier": 0, "a full share": 64 << 20} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, memory, app, cachepolicy.Rule{Pattern: "/", TTL: time.Hour, MaxObject: 8 << 20})
			b.encodedMost = 0
			ask := func(method, path string, fields ...string) *http.Response {
				r := httptest.NewRequest(method, path, nil)
				r.Header.Set("User-Agent", "Mozilla/5.0")
				for i := 0; i < len(fields); i += 2 {
					r.Header.Set(fields[i], fields[i+1])
				}
				w := httptest.NewRecorder()
				b.ServeHTTP(w, r)
				return w.Result()
			}
			for _, row := range []struct {
				path, accept, tag string
				want              Coding
			}{
				{"/tagged", "gzip, deflate, br", `W/"a-gzip"`, Gzip},
				{"/tagged", "gzip, deflate, br, zstd", `W/"a-zstd"`, Zstd},
				{"/tagged", "br", `W/"a-br"`, Brotli},
				{"/tagged", "gzip;q=0.5, br", `W/"a-br"`, Brotli},
				{"/tagged", "identity", `"a"`, Plain},
				{"/weak", "gzip", `W/"a"`, Gzip},
				{"/dated", "gzip", unkeptETag("", Gzip, []byte(page)), Gzip},
				{"/huge", "gzip", "", Plain},
			} {
				for range 3 {
					resp := ask("GET", row.path, "Accept-Encoding", row.accept)
					raw, _ := io.ReadAll(resp.Body)
					h := resp.Header
					coding := h.Get("Content-Encoding")
					if row.want == Plain && coding != "" || row.want != Plain && coding != row.want.String() {
						t.Fatalf("%s, %s: coded %q, want %v", row.path, row.accept, coding, row.want)
					}
					if row.path == "/huge" {
						continue
					}
					got := string(raw)
					if row.want != Plain {
						got = decoded(t, row.want, raw)
					}
					if got != page {
						t.Errorf("%s, %s: %q", row.path, row.accept, got)
					}
					if h.Get("Etag") != row.tag || !strings.Contains(h.Get("Vary"), "Accept-Encoding") || h.Get("Content-Length") != fmt.Sprint(len(raw)) {
						t.Errorf("%s, %s: %v", row.path, row.accept, h)
					}
					head := ask("HEAD", row.path, "Accept-Encoding", row.accept)
					if head.Header.Get("Content-Length") != h.Get("Content-Length") || head.Header.Get("Content-Encoding") != coding {
						t.Errorf("HEAD %s, %s: %v", row.path, row.accept, head.Header)
					}
				}
			}
			for _, tag := range []string{`W/"a-gzip"`, `"a-gzip"`, `"a"`} {
				if resp := ask("GET", "/tagged", "Accept-Encoding", "gzip", "If-None-Match", tag); resp.StatusCode != 304 || resp.Header.Get("Content-Encoding") != "" {
					t.Errorf("If-None-Match %s: %d %v", tag, resp.StatusCode, resp.Header)
				}
			}
			if resp := ask("GET", "/tagged", "Accept-Encoding", "gzip", "Range", "bytes=0-9", "If-Range", `W/"a-gzip"`); resp.StatusCode != 200 {
				t.Errorf("a weak If-Range: %d", resp.StatusCode)
			}
			for range cap(b.unkeptNow) {
				b.unkeptNow <- struct{}{}
			}
			if resp := ask("GET", "/tagged", "Accept-Encoding", "gzip"); resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("Etag") != `"a"` {
				t.Errorf("with no processor to spare: %v", resp.Header)
			}
			if n := b.encoded.Load(); n != 0 {
				t.Errorf("%d bytes of copies are kept", n)
			}
		})
	}
}

// A page of fragments is coded as any other, unless a fragment, or the page
// itself, may be one person's own.
func TestAssembledPagesAreCoded(t *testing.T) {
	text := strings.Repeat("<li>certificado emitido</li>\n", 100)
	app := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/no-transform" {
			w.Header().Set("Cache-Control", "no-transform")
		}
		if r.URL.Path == "/no-store" {
			w.Header().Set("Cache-Control", "no-store")
		}
		switch r.URL.Path {
		case "/open", "/mine/":
			fmt.Fprint(w, text)
		case "/of-mine":
			fmt.Fprint(w, text, `<esi:include src="/mine/"/>`)
		case "/image":
			w.Header().Set("Content-Type", "application/xhtml+xml")
			fallthrough
		default:
			fmt.Fprint(w, text, `<esi:include src="/open"/>`)
		}
	}
	b := newBed(t, 64<<20, app,
		cachepolicy.Rule{Pattern: "/", TTL: time.Hour, MaxObject: 8 << 20, ESI: true},
		cachepolicy.Rule{Pattern: "/open", TTL: time.Hour, MaxObject: 8 << 20},
		cachepolicy.Rule{Pattern: "/mine/", TTL: time.Hour, MaxObject: 8 << 20, Scope: cachepolicy.PerSession})
	for path, coded := range map[string]bool{"/page": true, "/image": true, "/of-mine": false, "/no-transform": false, "/no-store": false} {
		for _, method := range []string{"GET", "GET", "HEAD"} {
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			b.ServeHTTP(w, r)
			h := w.Result().Header
			raw, _ := io.ReadAll(w.Result().Body)
			if got := h.Get("Content-Encoding") == "gzip"; method == "GET" && got != coded {
				t.Errorf("%s: coded %v, want %v (%v)", path, got, coded, h)
			}
			if strings.Contains(strings.Join(h["Vary"], ","), "Accept-Encoding") != (coded || path == "/of-mine") && path != "/no-store" {
				t.Errorf("%s: Vary %q", path, h["Vary"])
			}
			if method == "HEAD" {
				continue
			}
			if coded {
				raw = []byte(decoded(t, Gzip, raw))
			}
			if string(raw) != text+text {
				t.Errorf("%s: %.80q", path, raw)
			}
		}
	}
}
