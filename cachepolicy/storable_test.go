package cachepolicy

import (
	"net/http"
	"reflect"
	"strconv"
	"testing"
	"time"
)

func TestStorable(t *testing.T) {
	type row struct {
		name   string // begins with the section
		status int    // 0 is 200
		header string
		want   Reason
		edit   func(*Rule, *Request, *Response)
	}
	user := func(_ *Rule, r *Request, _ *Response) { r.Identity = Identity{Auth: SignedIn, Session: "s", User: "u"} }
	perUser := func(rule *Rule, r *Request, resp *Response) { rule.Scope = PerUser; user(rule, r, resp) }
	unlistedRoute := func(rule *Rule, _ *Request, _ *Response) { *rule = Rule{} }
	operator := func(rule *Rule, _ *Request, _ *Response) { *rule = operatorRule }
	with := func(fields string) func(*Rule, *Request, *Response) {
		return func(_ *Rule, r *Request, _ *Response) { r.Header = header(t, fields) }
	}
	method := func(m string) func(*Rule, *Request, *Response) {
		return func(_ *Rule, r *Request, _ *Response) { r.Method = m }
	}
	both := func(edits ...func(*Rule, *Request, *Response)) func(*Rule, *Request, *Response) {
		return func(rule *Rule, r *Request, resp *Response) {
			for _, edit := range edits {
				edit(rule, r, resp)
			}
		}
	}
	const fresh = "Cache-Control: max-age=60"
	rows := []row{
		{"9111 §3 explicit freshness", 0, fresh, None, nil},
		{"9111 §3 Expires", 0, "Expires: " + at(60), None, nil},
		{"9111 §3 s-maxage", 0, "Cache-Control: s-maxage=60", None, nil},
		{"9111 §3 public alone, with a validator", 0, "Cache-Control: public\nETag: \"a\"", None, nil},
		{"9111 §3 HEAD is not stored", 0, fresh, UncacheableMethod, method("HEAD")},
		{"9111 §3 PUT", 0, fresh, UncacheableMethod, method("PUT")},
		{"9111 §3 DELETE", 0, fresh, UncacheableMethod, method("DELETE")},
		{"9111 §3 OPTIONS", 0, fresh, UncacheableMethod, method("OPTIONS")},
		{"9111 §3 unknown method", 0, fresh, UncacheableMethod, method("FOO")},
		{"9111 §3 method is case-sensitive", 0, fresh, UncacheableMethod, method("get")},
		{"9110 §9.3.3 POST without Content-Location", 0, fresh, UncacheableMethod, method("POST")},
		{"9110 §9.3.3 POST with its own Content-Location", 0, fresh + "\nContent-Location: /a", None, method("POST")},
		{"9110 §9.3.3 POST with its own Content-Location, absolute", 0, fresh + "\nContent-Location: https://example.com/a", None, method("POST")},
		{"9110 §9.3.3 POST with another Content-Location", 0, fresh + "\nContent-Location: /b", UncacheableMethod, method("POST")},
		{"9110 §9.3.3 POST with another's Content-Location", 0, fresh + "\nContent-Location: https://evil.example/a", UncacheableMethod, method("POST")},
		{"9110 §9.3.3 POST with a query's Content-Location", 0, fresh + "\nContent-Location: /a?x", UncacheableMethod, method("POST")},
		{"9110 §9.3.3 POST without explicit freshness", 0, "Content-Location: /a\nLast-Modified: " + at(-9999), UncacheableMethod, method("POST")},
		{"9110 §9.3.3 POST 201", 201, fresh + "\nContent-Location: /a", UncacheableMethod, method("POST")},
		{"house: POST by a signed-in visitor", 0, fresh + "\nContent-Location: /a", UncacheableMethod, both(method("POST"), user)},
		{"9111 §5.2.2.5 no-store", 0, "Cache-Control: no-store, max-age=60", ResponseNoStore, nil},
		{"9111 §5.2.2.5 no-store, other case", 0, "Cache-Control: max-age=60, No-STORE", ResponseNoStore, nil},
		{"9111 §5.2.2.5 no-store on another line", 0, fresh + "\nCache-Control: no-store", ResponseNoStore, nil},
		{"9111 §5.2.2.5 no-store with an argument", 0, "Cache-Control: no-store=1, max-age=60", ResponseNoStore, nil},
		{"9111 §5.2.2.5 no-store with a quoted argument", 0, "Cache-Control: no-store=\"x\", max-age=60", ResponseNoStore, nil},
		{"9111 §5.2.2.5 no-store with rubbish behind", 0, "Cache-Control: no-store foo, max-age=60", ResponseNoStore, nil},
		{"9111 §5.2.2.5 no-store within a quoted string is none", 0, "Cache-Control: x=\"no-store\", max-age=60", None, nil},
		{"9111 §5.2.2.5 no-store behind a stray quote", 0, "Cache-Control: x=\"a, no-store, max-age=60", ResponseNoStore, nil},
		{"9111 §5.2.2.5 no-store as a prefix of another", 0, "Cache-Control: no-storex, max-age=60", None, nil},
		{"9111 §5.2.2.5 empty members", 0, "Cache-Control: ,, ,no-store,,", ResponseNoStore, nil},
		{"9111 §5.2.2.7 private", 0, "Cache-Control: private, max-age=60", ResponsePrivate, nil},
		{"9111 §5.2.2.7 private beats public", 0, "Cache-Control: public, private, max-age=60", ResponsePrivate, nil},
		{"9111 §5.2.2.7 private beats s-maxage", 0, "Cache-Control: private, s-maxage=60", ResponsePrivate, nil},
		{"9111 §5.2.2.7 qualified private", 0, "Cache-Control: private=\"x-a\", max-age=60", None, nil},
		{"9111 §5.2.2.7 qualified private as a token", 0, "Cache-Control: private=x-a, max-age=60", None, nil},
		{"9111 §5.2.2.7 private with an empty list", 0, "Cache-Control: private=\"\", max-age=60", ResponsePrivate, nil},
		{"9111 §5.2.2.7 private with no names", 0, "Cache-Control: private=\"a b\", max-age=60", ResponsePrivate, nil},
		{"9111 §5.2.2.7 private naming what cannot be missed", 0, "Cache-Control: private=\"content-type\", max-age=60", ResponsePrivate, nil},
		{"9111 §5.2.2.7 private, qualified and not", 0, "Cache-Control: private=\"x-a\", private, max-age=60", ResponsePrivate, nil},
		{"9111 §5.2.2.7 private on a user's route", 0, "Cache-Control: private, max-age=60", None, perUser},
		{"9111 §5.2.2.4 no-cache with a validator", 0, "Cache-Control: no-cache\nETag: \"a\"", None, nil},
		{"9111 §5.2.2.4 no-cache without", 0, "Cache-Control: no-cache, max-age=60", MustValidate, nil},
		{"9111 §5.2.2.4 no-cache naming what cannot be missed", 0, "Cache-Control: no-cache=\"vary\", max-age=60", MustValidate, nil},
		{"9111 §5.2.2.3 must-understand, understood, no-store", 0, "Cache-Control: must-understand, no-store, max-age=60", None, nil},
		{"9111 §5.2.2.3 must-understand, not understood", 299, "Cache-Control: must-understand, max-age=60", NotUnderstood, nil},
		{"9111 §5.2.2.3 must-understand, 599", 599, "Cache-Control: must-understand, no-store, max-age=60", NotUnderstood, nil},
		{"9111 §5.2.2.3 must-understand with an argument is none", 0, "Cache-Control: must-understand=1, no-store, max-age=60", ResponseNoStore, nil},
		{"9111 §5.2.1.5 no-store of a trusted client", 0, fresh, RequestNoStore, func(_ *Rule, r *Request, _ *Response) {
			r.Header, r.Trusted = header(t, "Cache-Control: no-store"), true
		}},
		{"house: no-store of anybody else", 0, fresh, None, with("Cache-Control: no-store")},
		{"9111 §3.5 Authorization", 0, fresh, Authorization, with("Authorization: Basic eA==")},
		{"9111 §3.5 Authorization, public", 0, fresh + ", public", None, with("Authorization: Basic eA==")},
		{"9111 §3.5 Authorization, s-maxage", 0, "Cache-Control: s-maxage=60", None, with("Authorization: Basic eA==")},
		{"9111 §3.5 Authorization, must-revalidate", 0, fresh + ", must-revalidate", None, with("Authorization: Basic eA==")},
		{"9111 §3.5 Authorization, proxy-revalidate is not enough", 0, fresh + ", proxy-revalidate", Authorization, with("Authorization: Basic eA==")},
		{"9111 §3.5 Authorization, public with an argument is none", 0, fresh + ", public=1", Authorization, with("Authorization: Basic eA==")},
		{"9111 §3.5 Authorization, Expires", 0, "Expires: " + at(60), Authorization, with("Authorization: Basic eA==")},
		{"9111 §3.5 Authorization, operator's ttl", 0, "", Authorization, both(operator, with("Authorization: Basic eA=="))},
		{"9111 §3.5 empty Authorization", 0, fresh, Authorization, with("Authorization:")},
		{"house §2 unlisted, a session", 0, fresh, Authorization, both(unlistedRoute, user)},
		{"house §2 unlisted, a session, public", 0, fresh + ", public", None, both(unlistedRoute, user)},
		{"house §2 unlisted, a jar", 0, fresh, Authorization, both(unlistedRoute, func(_ *Rule, r *Request, _ *Response) { r.Cookie = "a=b" })},
		{"house §2 unlisted, nobody", 0, fresh, None, unlistedRoute},
		{"house §2 unlisted, no explicit freshness", 0, "Last-Modified: " + at(-9999), NoFreshness, unlistedRoute},
		{"house §2 unlisted, validator only", 0, "ETag: \"a\"", NoFreshness, unlistedRoute},
		{"9111 §4.1 Vary: *", 0, fresh + "\nVary: *", VaryStar, nil},
		{"9111 §4.1 * among others", 0, fresh + "\nVary: a, *", VaryStar, nil},
		{"9111 §4.1 * before others", 0, fresh + "\nVary: *, a", VaryStar, nil},
		{"9111 §4.1 * on a second line", 0, fresh + "\nVary: a\nVary: *", VaryStar, nil},
		{"9111 §4.1 * with space", 0, fresh + "\nVary:   *  ", VaryStar, nil},
		{"9111 §4.1 not a name", 0, fresh + "\nVary: a b", VaryStar, nil},
		{"9111 §4.1 * with an operator's ttl", 0, "Vary: *", VaryStar, operator},
		{"9111 §4.1 what the edge sets anew", 0, fresh + "\nVary: X-Forwarded-For", VaryStar, nil},
		{"9111 §4.1 too many names", 0, fresh + "\nVary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", VaryStar, nil},
		{"sessions §8 Set-Cookie", 0, fresh + "\nSet-Cookie: a=b", SetsCookie, nil},
		{"sessions §8 Set-Cookie, public", 0, "Cache-Control: public, max-age=60\nSet-Cookie: a=b", SetsCookie, nil},
		{"sessions §8 Set-Cookie, operator's ttl", 0, "Set-Cookie: a=b", SetsCookie, operator},
		{"sessions §8 Set-Cookie on a user's route, nothing changes", 0, fresh + "\nSet-Cookie: a=b", None, perUser},
		{"sessions §8 Set-Cookie on a user's route, something changes", 0, fresh + "\nSet-Cookie: a=b", SetsCookie,
			both(perUser, func(_ *Rule, _ *Request, resp *Response) { resp.CookieChange = true })},
		{"sessions §3 control where it is obeyed", 0, fresh + "\nX-Edge-Session-User: 1", ControlFields, func(rule *Rule, _ *Request, _ *Response) { rule.Control = true }},
		{"sessions §3 control where it is ignored", 0, fresh + "\nX-Edge-Session-User: 1", None, nil},
		{"house: no session to tell by", 0, fresh, NoIdentity, func(rule *Rule, r *Request, _ *Response) { rule.Scope = PerSession; r.Cookie = "a=b" }},
		{"house: off", 0, fresh, RouteOff, func(rule *Rule, _ *Request, _ *Response) { rule.Off = true }},
		{"house: ambiguous path", 0, fresh, AmbiguousPath, func(_ *Rule, r *Request, _ *Response) { r.Path = "/a//b" }},
		{"house: body on GET", 0, fresh, BodyOnGet, func(_ *Rule, r *Request, _ *Response) { r.Body = true }},
		{"house: upgrade", 0, fresh, UpgradeRequest, with("Upgrade: websocket")},
		{"house: too large", 0, fresh, TooLarge, func(rule *Rule, _ *Request, resp *Response) { rule.MaxObject = 10; resp.Length = 11 }},
		{"house: as large as may be", 0, fresh, None, func(rule *Rule, _ *Request, resp *Response) { rule.MaxObject = 10; resp.Length = 10 }},
		{"house: too large, a part of no declared length", 206, fresh + "\nContent-Range: bytes 5-15/20", TooLarge,
			both(with("Range: bytes=5-"), func(rule *Rule, _ *Request, _ *Response) { rule.MaxObject = 10 })},
		{"house: as large as may be, a part", 206, fresh + "\nContent-Range: bytes 5-14/20", None,
			both(with("Range: bytes=5-"), func(rule *Rule, _ *Request, _ *Response) { rule.MaxObject = 10 })},
		{"9111 §3 1xx is not final", 103, fresh, BadAnswer, nil},
		{"9111 §3 101", 101, fresh, BadAnswer, nil},
		{"9110 §15 600 is no status", 600, fresh, BadAnswer, nil},
		{"9110 §15.4.5 304 is no response of its own", 304, fresh, BadAnswer, nil},
		{"6585 §3 428", 428, fresh, ResponseNoStore, nil},
		{"6585 §4 429", 429, fresh, ResponseNoStore, nil},
		{"6585 §5 431", 431, fresh, ResponseNoStore, nil},
		{"6585 §6 511", 511, fresh, ResponseNoStore, nil},
		{"9111 §3.3 206 not asked for", 206, fresh + "\nContent-Range: bytes 0-4/10", BadAnswer, nil},
		{"9111 §3.3 206", 206, fresh + "\nContent-Range: bytes 0-4/10", None, with("Range: bytes=0-4")},
		{"9111 §3.3 206 of the right length", 206, fresh + "\nContent-Range: bytes 0-4/10", None,
			both(with("Range: bytes=0-4"), func(_ *Rule, _ *Request, resp *Response) { resp.Length = 5 })},
		{"9111 §3.3 206 of another length", 206, fresh + "\nContent-Range: bytes 0-4/10", PartialContent,
			both(with("Range: bytes=0-4"), func(_ *Rule, _ *Request, resp *Response) { resp.Length = 6 })},
		{"9111 §3.3 206 of unknown whole", 206, fresh + "\nContent-Range: bytes 0-4/*", PartialContent, with("Range: bytes=0-4")},
		{"9111 §3.3 206 past the whole", 206, fresh + "\nContent-Range: bytes 0-10/10", PartialContent, with("Range: bytes=0-4")},
		{"9111 §3.3 206 backwards", 206, fresh + "\nContent-Range: bytes 4-0/10", PartialContent, with("Range: bytes=0-4")},
		{"9111 §3.3 206 of another unit", 206, fresh + "\nContent-Range: lines 0-4/10", PartialContent, with("Range: bytes=0-4")},
		{"9111 §3.3 206 of several parts", 206, fresh + "\nContent-Type: multipart/byteranges", PartialContent, with("Range: bytes=0-4,6-7")},
		{"9111 §3.3 206 twice Content-Range", 206, fresh + "\nContent-Range: bytes 0-4/10\nContent-Range: bytes 0-4/10", PartialContent, with("Range: bytes=0-4")},
		{"9110 §15.5.17 416 to a range", 416, fresh, PartialContent, with("Range: bytes=100-")},
		{"9110 §15.5.13 412 to a condition", 412, fresh, PartialContent, with("If-Match: \"a\"")},
		{"9110 §8.6 two lengths", 0, fresh + "\nContent-Length: 5\nContent-Length: 6", BadAnswer, func(_ *Rule, _ *Request, resp *Response) { resp.Length = 5 }},
		{"9110 §8.6 no length", 0, fresh + "\nContent-Length: five", BadAnswer, nil},
		{"9112 §6.1 unknown transfer coding", 0, fresh + "\nTransfer-Encoding: gzip, chunked", UnknownCoding, nil},
		{"9111 §4.2.2 nothing to go by", 0, "", NoFreshness, nil},
		{"9111 §4.2.2 Last-Modified now", 0, "Last-Modified: " + at(0), None, nil},
		{"9111 §4.2.2 a cookie went up", 0, "Last-Modified: " + at(-9999), NoFreshness, both(perUser, func(_ *Rule, r *Request, _ *Response) { r.Cookie = "a=b" })},
		{"9111 §4.2.2 identity went up", 0, "Last-Modified: " + at(-9999), NoFreshness, perUser},
		{"9111 §4.2.4 stale on arrival, but may be served when cut off", 0, "Cache-Control: max-age=0", AlreadyStale, nil},
		{"9111 §4.2.4 stale, cut off for an hour", 0, "Cache-Control: max-age=0", None, func(rule *Rule, _ *Request, _ *Response) { rule.StaleIfUnreachable = time.Hour }},
		{"9111 §4.2.4 stale on arrival, s-maxage", 0, "Cache-Control: s-maxage=0", AlreadyStale, func(rule *Rule, _ *Request, _ *Response) { rule.StaleIfUnreachable = time.Hour }},
		{"9111 §4.3 stale on arrival, validator", 0, "Cache-Control: max-age=0\nETag: \"a\"", None, nil},
		{"9111 §4.3 stale on arrival, weak validator", 0, "Cache-Control: max-age=0\nETag: W/\"a\"", None, nil},
		{"9111 §4.3 stale on arrival, Last-Modified", 0, "Cache-Control: max-age=0\nLast-Modified: " + at(-5), None, nil},
		{"house §1 operator's 200", 0, "", None, operator},
		{"house §1 operator's 404", 404, "", None, operator},
		{"house §1 operator's 500", 500, "Cache-Control: max-age=60", StatusNotListed, operator},
		{"house §1 operator's 301, not named", 301, "Cache-Control: max-age=60", StatusNotListed, operator},
		{"house §1 operator: no-store", 0, "Cache-Control: no-store", ResponseNoStore, operator},
		{"house §1 operator: private", 0, "Cache-Control: private", ResponsePrivate, operator},
		{"house §1 operator: private on a user's route", 0, "Cache-Control: private", None, both(operator, perUser)},
		{"house §1 operator: no-cache, no validator", 0, "Cache-Control: no-cache", MustValidate, operator},
		{"house §1 operator: no-cache, validator", 0, "Cache-Control: no-cache\nETag: \"a\"", None, operator},
		{"house §1 operator: max-age=0 is overridden", 0, "Cache-Control: max-age=0", None, operator},
		{"9213 §2.2 targeted no-store", 0, "CDN-Cache-Control: no-store\n" + fresh, ResponseNoStore, nil},
		{"9213 §2.2 Cache-Control: no-store is ignored", 0, "CDN-Cache-Control: max-age=60\nCache-Control: no-store", None, nil},
		{"9213 §2.2 any valid field is enough", 0, "CDN-Cache-Control: none\nCache-Control: no-store\nETag: \"a\"", None, nil},
		{"9213 §2.1 a parse error is no field", 0, "CDN-Cache-Control: max-age=60,\nCache-Control: no-store", ResponseNoStore, nil},
		{"9213 §2.1 an empty field is none", 0, "CDN-Cache-Control:\nCache-Control: no-store", ResponseNoStore, nil},
		{"9213 §2.1 upper case is no key", 0, "CDN-Cache-Control: Max-Age=60\nCache-Control: no-store", ResponseNoStore, nil},
		{"9213 §2.2 targeted private", 0, "CDN-Cache-Control: private, max-age=60\n" + fresh, ResponsePrivate, nil},
		{"9213 §2.2 ours before CDN's", 0, "Umbral-Cache-Control: no-store\nCDN-Cache-Control: max-age=60", ResponseNoStore, nil},
		{"9213 §2.2 CDN's where ours is wrong", 0, "Umbral-Cache-Control: =\nCDN-Cache-Control: max-age=60\nCache-Control: no-store", None, nil},
		{"9213 §2.2 a list we are not on", 0, "Surrogate-Control: max-age=60\nFoo-Cache-Control: max-age=60\nCache-Control: no-store", ResponseNoStore, nil},
		{"9111 §3.5 targeted public", 0, "CDN-Cache-Control: public, max-age=60", None, with("Authorization: x y")},
		{"house: too many tags", 0, fresh + "\nCache-Tag: " + longList(200), TooLarge, nil},
	}
	for _, status := range []int{200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 416, 451, 499, 500, 501, 502, 503, 504, 599} {
		code := strconv.Itoa(status)
		rows = append(rows, row{"9111 §3 any final status with explicit freshness: " + code, status, fresh, None, nil})
		want := NoFreshness
		switch status {
		case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
			want = None
		}
		rows = append(rows,
			row{"9110 §15.1 heuristically cacheable: " + code, status, "Last-Modified: " + at(-1000), want, nil},
			row{"9111 §4.2.2 explicitly cacheable: " + code, status, "Cache-Control: public\nLast-Modified: " + at(-1000), None, nil})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			rule, r, resp := pureRule, get(t, ""), answer(t, 200, row.header)
			if row.status != 0 {
				resp.Status = row.status
			}
			if row.edit != nil {
				row.edit(&rule, r, resp)
			}
			before := resp.Header.Clone()
			s, got := mustPolicy(t, rule).Storable(r, resp)
			if got != row.want || (s != nil) != (got == None) {
				t.Errorf("Storable = %v, %v; want %v", s != nil, got, row.want)
			}
			if !reflect.DeepEqual(before, resp.Header) {
				t.Errorf("the response's header was changed")
			}
		})
	}
}

func longList(n int) string {
	list := "t0"
	for i := 1; i < n; i++ {
		list += ",t" + strconv.Itoa(i)
	}
	return list
}

func TestStoredHeader(t *testing.T) {
	p := mustPolicy(t, pureRule)
	resp := answer(t, 200, `Cache-Control: max-age=60, private="x-secret", no-cache="x-other"
		Connection: close, X-Hop, Cache-Control, Content-Type
		Keep-Alive: 1
		X-Hop: 1
		X-Secret: 1
		X-Other: 1
		Proxy-Authenticate: Basic
		Proxy-Authentication-Info: a
		Proxy-Connection: a
		TE: a
		Trailer: X-T
		Upgrade: a
		Transfer-Encoding: chunked
		Age: 1
		Cache-Tag: a
		Surrogate-Key: b
		xkey: c
		X-Edge-Session-Set: a="b"
		X_Edge_User: 1
		Umbral-Cache-Control: max-age=90
		Content-Type: text/html
		X-Unknown: 1
		X-Unknown: 2`)
	s := store(t, p, get(t, ""), resp)
	want := http.Header{
		"Cache-Control": {`max-age=60, private="x-secret", no-cache="x-other"`}, "Umbral-Cache-Control": {"max-age=90"},
		"Content-Type": {"text/html"}, "X-Unknown": {"1", "2"}, "Date": {at(0)}, "X-Secret": {"1"}, "X-Other": {"1"},
	}
	if !reflect.DeepEqual(s.Fields.Header(), want) {
		t.Errorf("stored %v\nwant   %v", s.Fields, want)
	}
	delete(resp.Header, "Umbral-Cache-Control")
	s = store(t, p, get(t, ""), resp)
	if s.Fields.Get("X-Secret") != "" || s.Fields.Get("X-Other") != "" {
		t.Errorf("9111 §5.2.2.4, §5.2.2.7: fields named by no-cache and private are stored: %v", s.Fields)
	}
	if s.Lifetime.NoCache {
		t.Error("9111 §5.2.2.4: a qualified no-cache allows reuse without the field")
	}
}

func TestWithheld(t *testing.T) {
	p := mustPolicy(t, pureRule)
	for fields, want := range map[string]bool{
		"Cache-Control: max-age=60": false,
		"Cache-Control: max-age=60\nConnection: X-A\nX-A: 1\nAge: 3\nXkey: a": false,
		"Cache-Control: max-age=60, no-cache=\"X-A\"":                         false,
		"Cache-Control: max-age=60, no-cache=\"X-A\"\nX-A: 1":                 true,
		"Cache-Control: max-age=60, private=X-A\nX-A: 1":                      true,
	} {
		resp := answer(t, 200, fields)
		if got := store(t, p, get(t, ""), resp).Withheld(resp); got != want {
			t.Errorf("9111 §5.2.2.4, §5.2.2.7 %q: %v", fields, got)
		}
	}
}

func TestTags(t *testing.T) {
	rule := pureRule
	rule.Pattern, rule.Tags = "/certificado/{id}/{rest...}", []string{"certificado:{id}", "all", "{rest}-{id}"}
	p := mustPolicy(t, rule)
	r := get(t, "")
	r.Path = "/certificado/caf%C3%A9/x/y%20z"
	s := store(t, p, r, answer(t, 200, "Cache-Control: max-age=60\nCache-Tag: a, b,,c d\nSurrogate-Key: e  f,g\nxkey: h i,j\nCache-Groups: \"k l\";x, \"a\""))
	want := []string{"certificado:café", "all", "x/y z-café", "a", "b", "c d", "e", "f,g", "h", "i", "j", "k l"}
	if !reflect.DeepEqual(s.Tags, want) {
		t.Errorf("tags %q\nwant %q", s.Tags, want)
	}
}
