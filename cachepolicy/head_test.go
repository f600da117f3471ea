package cachepolicy

import (
	"testing"
	"time"
)

func TestFreshenByHead(t *testing.T) {
	const (
		updated = "updated"
		left    = "left" // as it is
		ended   = "ended"
	)
	const stored = "Cache-Control: max-age=60\nETag: \"a\"\nContent-Length: 5\nX-Old: 1"
	const shared = "Cache-Control: max-age=60, public\nETag: \"a\"\nX-Old: 1"
	const fresh = "Cache-Control: max-age=600\nETag: \"a\""
	const basic = "Authorization: Basic eA=="
	for _, row := range []struct {
		name, asked, stored, request, head string
		status                             int
		want                               string
	}{
		{"9111 §4.3.5 all agree", "", stored, "", fresh + "\nContent-Length: 5", 200, updated},
		{"9111 §4.3.5 nothing disagrees", "", stored, "", "Cache-Control: max-age=600", 200, updated},
		{"9111 §4.3.5 another tag", "", stored, "", "ETag: \"b\"\nCache-Control: max-age=600", 200, ended},
		{"9111 §4.3.5 another length", "", stored, "", fresh + "\nContent-Length: 6", 200, ended},
		{"9111 §4.3.5 another length than that of the body", "", "Cache-Control: max-age=60\nX-Old: 1", "", "Cache-Control: max-age=600\nContent-Length: 6", 200, ended},
		{"9111 §4.3.5 the length of the body", "", "Cache-Control: max-age=60\nX-Old: 1", "", "Cache-Control: max-age=600\nContent-Length: 5", 200, updated},
		{"9111 §4.3.5 a length that is none", "", stored, "", fresh + "\nContent-Length: x", 200, ended},
		{"9111 §4.3.5 another Last-Modified", "", stored + "\nLast-Modified: " + at(-5), "", "Last-Modified: " + at(-4), 200, ended},
		{"9111 §4.3.5 the same Last-Modified", "", stored + "\nLast-Modified: " + at(-5), "", "Cache-Control: max-age=600\nLast-Modified: " + at(-5), 200, updated},
		{"9111 §4.3.5 a tag where there was none", "", "Cache-Control: max-age=60", "", "ETag: \"b\"", 200, ended},
		{"9111 §4.3.5 gone", "", stored, "", "", 410, ended},
		{"9111 §4.3.5 not found", "", stored, "", "", 404, ended},
		{"9111 §4.3.5 moved", "", stored, "", "Location: /b", 302, ended},
		{"9111 §4.3.5 an error says nothing", "", stored, "", "", 503, left},
		{"9111 §4.3.5 an authentication says nothing", "", stored, "", "", 401, left},
		{"9111 §4.3.5 no-store now", "", stored, "", "ETag: \"a\"\nCache-Control: no-store", 200, ended},
		{"9111 §4.3.5 a cookie now", "", stored, "", fresh + "\nSet-Cookie: a=b", 200, ended},
		{"9111 §4.3.5 a part, of the same whole", "Range: bytes=0-4", part, "", fresh + "\nContent-Length: 10", 200, updated},
		{"9111 §4.3.5 a part, of another whole", "Range: bytes=0-4", part, "", fresh + "\nContent-Length: 5", 200, ended},
		{"9111 §4.3.5 a part, of another version", "Range: bytes=0-4", part, "", "ETag: \"b\"\nContent-Length: 10", 200, ended},
		{"9110 §14.2 a part for a HEAD", "Range: bytes=0-4", part, "Range: bytes=0-4", fresh + "\nContent-Range: bytes 0-4/10", 206, left},

		{"9111 §3.5 Authorization", "", stored, basic, fresh, 200, left},
		{"9111 §3.5 Authorization, another tag", "", stored, basic, "ETag: \"b\"", 200, left},
		{"9111 §3.5 Authorization, not found", "", stored, basic, "", 404, left},
		{"9111 §3.5 Authorization, public", "", stored, basic, "ETag: \"a\"\nCache-Control: max-age=600, public", 200, updated},
		{"9111 §3.5 Authorization, public is what the stored one was", "", shared, basic, "ETag: \"a\"", 200, left},
		{"9111 §3.5 consent withdrawn", "", shared, "", "ETag: \"a\"\nCache-Control: max-age=60", 200, ended},

		{"9111 §4.1 the same Vary", "Foo: 1", stored + "\nVary: Foo", "Foo: 1", fresh + "\nVary: Foo", 200, updated},
		{"9111 §4.1 Vary is left out", "Foo: 1", stored + "\nVary: Foo", "Foo: 1", fresh, 200, updated},
		{"9111 §4.1 Vary where there was none", "", stored, "Foo: 1", fresh + "\nVary: Foo", 200, ended},
		{"9111 §4.1 another Vary", "Foo: 1", stored + "\nVary: Foo", "Foo: 1", fresh + "\nVary: Bar", 200, ended},
		{"9111 §4.1 Vary: *", "", stored, "", fresh + "\nVary: *", 200, ended},
		{"9111 §4.1 another variant's request", "Foo: 1", stored + "\nVary: Foo", "Foo: 2", fresh, 200, left},
		{"9110 §12.5.4 in another language", german, stored + "\nVary: Accept-Language\nContent-Language: de", german, fresh + "\nContent-Language: en", 200, left},
		{"Fetch §3.2.6 the visitor's origin", "", stored, origin("b"), fresh + "\n" + allow("b"), 200, left},
		{"Fetch §3.2.6 the visitor's origin, another Vary", "", stored + "\nVary: Accept-Encoding", origin("b"), fresh + "\nVary: Accept-Encoding\n" + allow("b"), 200, left},
		{"Fetch §3.2.6 the same origin as ever", origin("b"), stored + "\n" + allow("b"), origin("b"), fresh + "\n" + allow("b"), 200, updated},
		{"Fetch §3.2.6 any origin", "", stored, origin("b"), fresh + "\nAccess-Control-Allow-Origin: *", 200, updated},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPolicy(t, pureRule)
			status := 200
			if row.stored == part {
				status = 206
			}
			s := store(t, p, get(t, row.asked), answer(t, status, row.stored))
			r := get(t, row.request)
			r.Method = "HEAD"
			out, ok := p.FreshenByHead(r, s, 5, answer(t, row.status, row.head))
			switch got := map[bool]string{true: left, false: updated}[out == s]; {
			case !ok && row.want != ended, ok && got != row.want:
				t.Fatalf("%v, %s; want %s", ok, got, row.want)
			case row.want != updated:
				return
			}
			if out.Lifetime.Fresh != 600*time.Second || out.Unkept != None || !p.Matches(get(t, row.asked), out) || out.Part != s.Part {
				t.Errorf("lifetime %v, unkept %v, by %q", out.Lifetime.Fresh, out.Unkept, out.VaryValues)
			}
			if out.Fields.Get("X-Old") != "1" {
				t.Error("a stored field is lost")
			}
		})
	}
}

const (
	part   = "Cache-Control: max-age=60\nETag: \"a\"\nContent-Range: bytes 0-4/10\nX-Old: 1"
	german = "Accept-Language: de, en;q=0.5"
)

func origin(host string) string { return "Origin: https://" + host + ".test" }
func allow(host string) string  { return "Access-Control-Allow-Origin: https://" + host + ".test" }

// TestFreshenByHeadOfOneVisitor: what went up with a HEAD and is in no key
// makes its answer that visitor's, as it would a GET's.
func TestFreshenByHeadOfOneVisitor(t *testing.T) {
	head := func(rule Rule, edit func(*Request, *Response)) (left bool) {
		p := mustPolicy(t, rule)
		s := store(t, p, get(t, ""), withTag(answer(t, 200, "Cache-Control: max-age=60")))
		r, resp := get(t, ""), withTag(answer(t, 200, "Cache-Control: max-age=600\nX-User: bob"))
		r.Method = "HEAD"
		edit(r, resp)
		out, ok := p.FreshenByHead(r, s, 5, resp)
		return ok && out == s
	}
	for _, row := range []struct {
		name string
		rule Rule
		edit func(*Request, *Response)
		left bool
	}{
		{"house §2 a jar on an unlisted path", Rule{}, func(r *Request, _ *Response) { r.Cookie = "a=b" }, true},
		{"house §2 a session on an unlisted path", Rule{}, func(r *Request, _ *Response) { r.Identity = Identity{Auth: InSession, Session: "s"} }, true},
		{"house §2 nobody on an unlisted path", Rule{}, func(*Request, *Response) {}, false},
		{"house §1 Authorization under the operator's ttl", operatorRule, func(r *Request, _ *Response) { r.Header.Set("Authorization", "Basic eA==") }, true},
		{"house §1 nobody under the operator's ttl", operatorRule, func(*Request, *Response) {}, false},
		{"9111 §5.2.1.5 no-store from a trusted client", pureRule, func(r *Request, _ *Response) { r.Header.Set("Cache-Control", "no-store"); r.Trusted = true }, true},
		{"house: a body", pureRule, func(r *Request, _ *Response) { r.Body = true }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := head(row.rule, row.edit); got != row.left {
				t.Errorf("left as it is: %v", got)
			}
		})
	}
}
