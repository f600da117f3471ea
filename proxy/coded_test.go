package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
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
