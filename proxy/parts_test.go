package proxy

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"umbral/cachepolicy"
)

// fileRules: routes on which the app's parts are stored.
var fileRules = []cachepolicy.Rule{
	{Pattern: "/app/", TTL: cachepolicy.AppTTL, MaxObject: 8 << 20, StaleWhileRevalidate: -1, StaleIfError: -1},
	{Pattern: "/off/", Off: true},
}

// files is an app with one file everywhere, of which it sends what it is asked
// for. Below /personal/ it sets a cookie with all but its beginning.
func files(file string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			pages(w, r)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "max-age=60")
		h.Set("Content-Type", "video/mp4")
		h.Set("Etag", `"file"`)
		if strings.Contains(r.URL.Path, "/personal/") && !strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1", Path: "/"})
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(file))
	}
}

// TestARestIsNeverTheAnswerToTheWhole: what is asked for to complete a part
// that some other visitor left is of no use to who asked for all, and it turns
// out that nothing can be stored for them (RFC 9111 §3.4, §3.5).
func TestARestIsNeverTheAnswerToTheWhole(t *testing.T) {
	file := strings.Repeat("0123456789", 100)
	b := newBed(t, 64<<20, files(file), fileRules...)
	login, _ := b.dial(t).ask(plain("/off/login?anna"))
	cookie := "Cookie: " + regexp.MustCompile(`Set-Cookie: (umbral=[^;]+)`).FindStringSubmatch(login)[1]
	for _, row := range []struct {
		name, path string
		asked      int64
	}{
		{"a signed-in visitor on an unlisted path", "/elsewhere", 1},
		{"a public file that turns out to be personal", "/app/personal/file", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			if head, body := b.dial(t).ask(plain(row.path, "Range: bytes=0-9")); !strings.HasPrefix(head, "HTTP/1.1 206") || body != file[:10] {
				t.Fatalf("%s%s", head, body)
			}
			before := b.asked.Load()
			if head, body := b.dial(t).ask(plain(row.path, cookie)); !strings.HasPrefix(head, "HTTP/1.1 200") || body != file {
				t.Errorf("%s%d bytes", head, len(body))
			}
			if n := b.asked.Load() - before; n != row.asked {
				t.Errorf("the app was asked %d times, expected %d", n, row.asked)
			}
		})
	}
}

// undeclared is a ResponseWriter that declares no length.
type undeclared struct{ http.ResponseWriter }

func (u undeclared) WriteHeader(status int) {
	u.Header().Del("Content-Length")
	u.ResponseWriter.WriteHeader(status)
}

// TestALargePartStreams: what is larger than max_object goes on as it comes,
// whether its length is declared or not.
func TestALargePartStreams(t *testing.T) {
	file := strings.Repeat("0123456789abcdef", 10_000)
	b := newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/chunked") {
			w = undeclared{w}
		}
		files(file)(w, r)
	}, cachepolicy.Rule{Pattern: "/app/", TTL: cachepolicy.AppTTL, MaxObject: 64 << 10, StaleWhileRevalidate: -1, StaleIfError: -1})
	for _, path := range []string{"/app/declared", "/app/chunked"} {
		for range 2 {
			head, body := b.dial(t).ask(plain(path, "Range: bytes=16-"))
			if !strings.HasPrefix(head, "HTTP/1.1 206") || body != file[16:] || !strings.Contains(head, "detail=too-large") && !strings.Contains(head, "detail=hit-for-miss") {
				t.Errorf("%s: %s%d bytes", path, head, len(body))
			}
			if chunked := strings.Contains(head, "Transfer-Encoding: chunked"); chunked != strings.HasSuffix(path, "/chunked") {
				t.Errorf("%s is chunked: %v", path, chunked)
			}
		}
	}
}

// TestPartsDoNotAddUpToMoreThanIsStored: RFC 9111 §3.4 within max_object.
func TestPartsDoNotAddUpToMoreThanIsStored(t *testing.T) {
	const step = 30 << 10
	file := strings.Repeat("0123456789abcdef", 10_000)
	b := newBed(t, 64<<20, files(file),
		cachepolicy.Rule{Pattern: "/app/", TTL: cachepolicy.AppTTL, MaxObject: 64 << 10, StaleWhileRevalidate: -1, StaleIfError: -1})
	for from := 0; from < len(file); from += step {
		last := min(from+step, len(file)) - 1
		head, body := b.dial(t).ask(plain("/app/file", fmt.Sprintf("Range: bytes=%d-%d", from, last)))
		if !strings.HasPrefix(head, "HTTP/1.1 206") || body != file[from:last+1] || !strings.Contains(head, "; stored") {
			t.Errorf("%s%d bytes", head, len(body))
		}
	}
	if head, body := b.dial(t).ask(plain("/app/file", "Range: bytes=0-10")); strings.Contains(head, "umbral; hit") || body != file[:11] {
		t.Errorf("%s%s", head, body)
	}
	if head, body := b.dial(t).ask(plain("/app/file")); !strings.HasPrefix(head, "HTTP/1.1 200") || body != file || strings.Contains(head, "stored") {
		t.Errorf("%s%d bytes", head, len(body))
	}
}
