package proxy

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestADigestIsOfTheBytesThatAreSent: RFC 9530 §2, §3. What the app's digests
// speak of is the plain form.
func TestADigestIsOfTheBytesThatAreSent(t *testing.T) {
	b := newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"text/html"}
		for _, name := range digests {
			h[name] = []string{"of-the-plain-form"}
		}
		fmt.Fprint(w, strings.Repeat("all work and no play ", 100))
	}, expressRules...)
	for _, row := range []struct {
		name, raw string
		digests   int
	}{
		{"plain", "GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n", 4},
		{"coded", plain("/public/a"), 0},
	} {
		c := b.dial(t)
		first, _ := c.ask(row.raw)
		second, _, express := b.again(c, row.raw)
		if !express {
			t.Errorf("%s: express does not answer", row.name)
		}
		for _, head := range []string{first, second} {
			if n := strings.Count(head, ": of-the-plain-form\r\n"); n != row.digests {
				t.Errorf("%s: %d digests, expected %d:\n%s", row.name, n, row.digests, head)
			}
			if coded := strings.Contains(head, "Content-Encoding: br"); coded != (row.name == "coded") {
				t.Errorf("%s: %s", row.name, head)
			}
		}
	}
}

// etag is the ETag of a head, "" for none.
func etag(head string) string {
	found := regexp.MustCompile(`\r\nEtag: ([^\r]*)`).FindStringSubmatch(head)
	if found == nil {
		return ""
	}
	return found[1]
}

// TestACodedFormHasAnEntityTagOfItsOwn: RFC 9110 §8.8.3, whatever the app says.
func TestACodedFormHasAnEntityTagOfItsOwn(t *testing.T) {
	b := newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"text/html"}
		if tag := r.URL.Query().Get("tag"); tag != "" {
			h["Etag"] = []string{tag}
		} else {
			h.Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		}
		fmt.Fprint(w, strings.Repeat("all work and no play on ", 100), r.URL)
	}, expressRules...)
	seen := map[string]bool{}
	for _, row := range []struct{ name, query, plain, coded string }{
		{"a strong tag", "%22abc%22", `^"abc"$`, `^"abc-br"$`},
		{"a weak tag", "W/%22abc%22", `^W/"abc"$`, `^W/"abc"$`},
		{"a tag without quotes", "abc1", `^abc1$`, `^"[^"]+"$`},
		{"another", "abc2", `^abc2$`, `^"[^"]+"$`},
		{"a tag without quotes that seems weak", "W/abc", `^W/abc$`, `^"[^"]+"$`},
		{"no tag at all", "%22a+b%22", `^"[^"]+"$`, `^"[^"]+-br"$`},
		{"a date", "", `^$`, `^"[^"]+"$`},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := "/public/a?tag=" + row.query
			if head, _ := b.dial(t).ask("GET " + path + " HTTP/1.1\r\nHost: site.test\r\n\r\n"); !regexp.MustCompile(row.plain).MatchString(etag(head)) {
				t.Errorf("plain: %s", head)
			}
			head, _ := b.dial(t).ask(plain(path))
			tag := etag(head)
			if !strings.Contains(head, "Content-Encoding: br") || !regexp.MustCompile(row.coded).MatchString(tag) || seen[tag] {
				t.Errorf("coded: %s", head)
			}
			seen[tag] = true
			if head, _ := b.dial(t).ask(plain(path, "If-None-Match: "+tag)); !strings.HasPrefix(head, "HTTP/1.1 304") || etag(head) != tag {
				t.Errorf("asked with %s: %s", tag, head)
			}
		})
	}
}

// TestADateDoesNotTellCodingsApart: RFC 9110 §8.8.1, §13.1.5. Who resumes by
// date may hold the beginning of another coding.
func TestADateDoesNotTellCodingsApart(t *testing.T) {
	modified := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	b := newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", modified)
		w.Header().Set("Content-Type", strings.TrimPrefix(r.URL.Path, "/public/"))
		fmt.Fprint(w, strings.Repeat("0123456789", 200))
	}, expressRules...)
	head, _ := b.dial(t).ask(plain("/public/text/html"))
	for _, row := range []struct{ name, path, fields, want string }{
		{"a range", "text/html", "Range: bytes=0-9", "206"},
		{"by date", "text/html", "Range: bytes=0-9\r\nIf-Range: " + modified, "200"},
		{"by the coded form's tag", "text/html", "Range: bytes=0-9\r\nIf-Range: " + etag(head), "200"},
		{"by date, of what is never coded", "video/mp4", "Range: bytes=0-9\r\nIf-Range: " + modified, "206"},
	} {
		if head, body := b.dial(t).ask(plain("/public/"+row.path, row.fields)); !strings.HasPrefix(head, "HTTP/1.1 "+row.want) || strings.Contains(head, "Content-Encoding") || len(body) != map[string]int{"200": 2000, "206": 10}[row.want] {
			t.Errorf("%s: %d bytes\n%s", row.name, len(body), head)
		}
	}
}
