package cachepolicy

import (
	"testing"
	"time"
)

func TestReuse(t *testing.T) {
	type row struct {
		name, response string
		after          int // seconds since it was stored
		request        string
		verdict        Verdict
		reason         Reason
		edit           func(*Request, *Candidate)
	}
	soft := func(_ *Request, c *Candidate) { c.SoftPurged = true }
	lost := func(_ *Request, c *Candidate) { c.LogLost = true }
	untrusted := func(r *Request, _ *Candidate) { r.Trusted = false }
	const tag, swr = "ETag: \"a\"\nCache-Control: max-age=60", "Cache-Control: max-age=60, stale-while-revalidate=30"
	for _, row := range []row{
		{"9111 §4.2 fresh", tag, 59, "", Serve, None, nil},
		{"9111 §4.2 as old as its lifetime is stale", tag, 60, "", Validate, Stale, nil},
		{"9111 §4.3 stale, no validator", "Cache-Control: max-age=60", 60, "", Forward, Stale, nil},
		{"9111 §4.3 stale, Last-Modified", "Cache-Control: max-age=60\nLast-Modified: " + at(-9), 60, "", Validate, Stale, nil},
		{"9111 §4.2.3 Age counts", "Age: 50\n" + tag, 10, "", Validate, Stale, nil},
		{"9111 §4.2.3 Age counts, fresh", "Age: 50\n" + tag, 9, "", Serve, None, nil},
		{"9111 §4 HEAD from GET's", tag, 1, "", Serve, None, func(r *Request, _ *Candidate) { r.Method = "HEAD" }},
		{"9111 §4 POST is written through", tag, 1, "", Forward, UncacheableMethod, func(r *Request, _ *Candidate) { r.Method = "POST" }},
		{"9111 §4 nothing stored", tag, 1, "", Forward, NotStored, func(_ *Request, c *Candidate) { c.Stored = nil }},
		{"9111 §5.2.2.4 no-cache", tag + ", no-cache", 1, "", Validate, MustValidate, nil},
		{"9111 §5.2.2.4 no-cache, even with max-stale", tag + ", no-cache", 1, "Cache-Control: max-stale", Validate, MustValidate, nil},
		{"9111 §5.2.1.4 no-cache", tag, 1, "Cache-Control: no-cache", Validate, RequestNoCache, nil},
		{"9111 §5.2.1.4 no-cache with an argument", tag, 1, "Cache-Control: no-cache=\"x\"", Validate, RequestNoCache, nil},
		{"9111 §5.2.1.4 no-cache, no validator", "Cache-Control: max-age=60", 1, "Cache-Control: no-cache", Forward, RequestNoCache, nil},
		{"house: no-cache from anybody", tag, 1, "Cache-Control: no-cache", Serve, None, untrusted},
		{"house: max-age from anybody", tag, 30, "Cache-Control: max-age=0", Serve, None, untrusted},
		{"9111 §5.2.1.1 max-age", tag, 30, "Cache-Control: max-age=29", Validate, RequestMaxAge, nil},
		{"9111 §5.2.1.1 max-age, just", tag, 30, "Cache-Control: max-age=30", Serve, None, nil},
		{"9111 §5.2.1.1 max-age=0", tag, 1, "Cache-Control: max-age=0", Validate, RequestMaxAge, nil},
		{"9111 §5.2.1.1 max-age is malformed", tag, 1, "Cache-Control: max-age=x", Validate, RequestMaxAge, nil},
		{"9111 §5.2.1.1 max-age counts Age", "Age: 20\n" + tag, 1, "Cache-Control: max-age=20", Validate, RequestMaxAge, nil},
		{"9111 §5.2.1.1 the lesser of two", tag, 30, "Cache-Control: max-age=50, max-age=10", Validate, RequestMaxAge, nil},
		{"9111 §5.2.1.1 max-age does not make fresh", tag, 70, "Cache-Control: max-age=100", Validate, Stale, nil},
		{"9111 §5.2.1.3 min-fresh", tag, 30, "Cache-Control: min-fresh=31", Validate, RequestMaxAge, nil},
		{"9111 §5.2.1.3 min-fresh, just", tag, 30, "Cache-Control: min-fresh=30", Serve, None, nil},
		{"9111 §5.2.1.3 min-fresh is malformed", tag, 30, "Cache-Control: min-fresh=x", Validate, RequestNoCache, nil},
		{"9111 §5.2.1.2 max-stale", tag, 80, "Cache-Control: max-stale=20", ServeStale, RequestMaxAge, nil},
		{"9111 §5.2.1.2 max-stale, too stale", tag, 81, "Cache-Control: max-stale=20", Validate, Stale, nil},
		{"9111 §5.2.1.2 max-stale without a value", tag, 9999, "Cache-Control: max-stale", ServeStale, RequestMaxAge, nil},
		{"9111 §5.2.1.2 max-stale is malformed", tag, 80, "Cache-Control: max-stale=x", Validate, Stale, nil},
		{"9111 §5.2.1.2 max-stale against must-revalidate", tag + ", must-revalidate", 80, "Cache-Control: max-stale", Validate, Stale, nil},
		{"9111 §5.2.1.2 max-stale against proxy-revalidate", tag + ", proxy-revalidate", 80, "Cache-Control: max-stale", Validate, Stale, nil},
		{"9111 §5.2.1.2 max-stale against s-maxage", tag + ", s-maxage=60", 80, "Cache-Control: max-stale", Validate, Stale, nil},
		{"9111 §5.2.1.2 max-stale widens max-age", tag, 80, "Cache-Control: max-age=10, max-stale=20", ServeStale, RequestMaxAge, nil},
		{"house: max-stale from anybody", tag, 80, "Cache-Control: max-stale", Validate, Stale, untrusted},
		{"9111 §5.2.1.7 only-if-cached, fresh", tag, 1, "Cache-Control: only-if-cached", Serve, None, nil},
		{"9111 §5.2.1.7 only-if-cached, stale", tag, 60, "Cache-Control: only-if-cached", GatewayTimeout, RequestOnlyIfCached, nil},
		{"9111 §5.2.1.7 only-if-cached, nothing", tag, 1, "Cache-Control: only-if-cached", GatewayTimeout, RequestOnlyIfCached, func(_ *Request, c *Candidate) { c.Stored = nil }},
		{"9111 §5.2.1.7 only-if-cached, max-stale", tag, 80, "Cache-Control: only-if-cached, max-stale", ServeStale, RequestMaxAge, nil},
		{"9111 §5.2.1.7 only-if-cached, no-cache", tag, 1, "Cache-Control: only-if-cached, no-cache", GatewayTimeout, RequestOnlyIfCached, nil},
		{"9111 §5.2.1.7 only-if-cached of anybody", tag, 60, "Cache-Control: only-if-cached", GatewayTimeout, RequestOnlyIfCached, untrusted},
		{"9111 §5.2.1 other case", tag, 1, "Cache-Control: NO-CACHE", Validate, RequestNoCache, nil},
		{"9111 §5.2.1 on a second line", tag, 1, "Cache-Control: foo\nCache-Control: no-cache", Validate, RequestNoCache, nil},
		{"9111 §5.2.3 unknown", tag, 1, "Cache-Control: foo, bar=\"no-cache\"", Serve, None, nil},
		{"5861 §3 stale-while-revalidate", swr, 89, "", ServeStale, Stale, nil},
		{"5861 §3 stale-while-revalidate is over", swr, 90, "", Forward, Stale, nil},
		{"5861 §3 stale-while-revalidate, must-revalidate", swr + ", must-revalidate", 61, "", Forward, Stale, nil},
		{"5861 §3 stale-while-revalidate, s-maxage", swr + ", s-maxage=60", 61, "", Forward, Stale, nil},
		{"5861 §3 stale-while-revalidate, max-age of the client", swr, 61, "Cache-Control: max-age=100", Forward, Stale, nil},
		{"5861 §3 stale-while-revalidate, no-cache of the client", swr, 61, "Cache-Control: no-cache", Forward, RequestNoCache, nil},
		{"8246 §2 immutable, reload", tag + ", immutable", 30, "Cache-Control: max-age=0", Serve, None, nil},
		{"8246 §2 immutable, forced reload", tag + ", immutable", 30, "Cache-Control: no-cache", Validate, RequestNoCache, nil},
		{"8246 §2 immutable, stale", tag + ", immutable", 61, "Cache-Control: max-age=0", Validate, RequestMaxAge, nil},
		{"house §3 soft purge", tag, 1, "", Validate, SoftPurged, soft},
		{"house §3 soft purge, no validator", "Cache-Control: max-age=60", 1, "", Forward, SoftPurged, soft},
		{"house §3 soft purge within stale-while-revalidate", swr, 1, "", ServeStale, SoftPurged, soft},
		{"house §3 soft purge, must-revalidate", tag + ", must-revalidate", 1, "", Validate, SoftPurged, soft},
		{"house §3 log lost", tag, 1, "", Validate, LogLost, lost},
		{"house §3 log lost, stale-while-revalidate", swr, 61, "", Forward, LogLost, lost},
		{"9111 §3.3 a part for the whole", partial, 1, "", Forward, PartMismatch, nil},
		{"9111 §3.3 a part for a range within", partial, 1, "Range: bytes=2-4", Serve, None, nil},
		{"9111 §3.3 a part for two ranges within", partial, 1, "Range: bytes=0-1,3-4", Serve, None, nil},
		{"9111 §3.3 a part for a range beyond", partial, 1, "Range: bytes=2-7", Forward, PartMismatch, nil},
		{"9111 §3.3 a part for a suffix", partial, 1, "Range: bytes=-2", Forward, PartMismatch, nil},
		{"9110 §13.1.5 a part, If-Range holds", partial, 1, "Range: bytes=2-4\nIf-Range: \"a\"", Serve, None, nil},
		{"9110 §13.1.5 a part, If-Range asks for the whole", partial, 1, "Range: bytes=2-4\nIf-Range: \"b\"", Forward, PartMismatch, nil},
		{"9111 §3.3 a part for another unit", partial, 1, "Range: lines=2-4", Forward, PartMismatch, nil},
		{"9111 §3.3 a part, stale", partial, 61, "Range: bytes=2-4", Validate, Stale, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPolicy(t, pureRule)
			status, first := 200, get(t, "")
			if row.response == partial {
				status, first = 206, get(t, "Range: bytes=0-5")
			}
			c := Candidate{Stored: store(t, p, first, answer(t, status, row.response))}
			r := get(t, row.request)
			r.Trusted = true
			if row.edit != nil {
				row.edit(r, &c)
			}
			d := p.Reuse(r, c, t0.Add(time.Duration(row.after)*time.Second))
			if d.Verdict != row.verdict || d.Reason != row.reason {
				t.Errorf("verdict %v because of %v, want %v because of %v", d.Verdict, d.Reason, row.verdict, row.reason)
			}
			if d.Verdict == ServeStale && row.request == "" && !d.Refresh {
				t.Error("stale-while-revalidate without a refresh")
			}
		})
	}
}

const partial = "Content-Range: bytes 0-5/10\nETag: \"a\"\nCache-Control: max-age=60"

func TestDecision(t *testing.T) {
	rule := operatorRule
	rule.RefreshAhead = 0.1
	p := mustPolicy(t, rule)
	s := store(t, p, get(t, ""), answer(t, 200, "Age: 10"))
	for _, row := range []struct {
		after   int
		ttl     int
		refresh bool
	}{{0, 50, false}, {44, 6, false}, {46, 4, true}, {49, 1, true}, {60, -10, false}, {-100, 50, false}} {
		d := p.Reuse(get(t, ""), Candidate{Stored: s}, t0.Add(time.Duration(row.after)*time.Second))
		if d.TTL != time.Duration(row.ttl)*time.Second || d.Age+d.TTL != s.Lifetime.Fresh || d.Refresh != row.refresh {
			t.Errorf("after %ds: %+v, want a ttl of %d, refresh %v", row.after, d, row.ttl, row.refresh)
		}
	}
}

func TestStaleOnError(t *testing.T) {
	rule := pureRule
	rule.StaleIfUnreachable = time.Hour
	for _, row := range []struct {
		name, header string
		failure      Failure
		after        int
		want         bool
	}{
		{"5861 §4 stale-if-error", "Cache-Control: max-age=60, stale-if-error=30", ServerError, 89, true},
		{"5861 §4 stale-if-error is over", "Cache-Control: max-age=60, stale-if-error=30", ServerError, 90, false},
		{"9111 §4.2.4 a server error without stale-if-error", "Cache-Control: max-age=60", ServerError, 61, false},
		{"9111 §4.2.4 unreachable", "Cache-Control: max-age=60", Unreachable, 3659, true},
		{"9111 §4.2.4 unreachable for too long", "Cache-Control: max-age=60", Unreachable, 3660, false},
		{"5861 §4 stale-if-error where unreachable", "Cache-Control: max-age=60, stale-if-error=7200", Unreachable, 7000, true},
		{"9111 §5.2.2.2 must-revalidate", "Cache-Control: max-age=60, must-revalidate", Unreachable, 61, false},
		{"9111 §5.2.2.8 proxy-revalidate", "Cache-Control: max-age=60, proxy-revalidate", Unreachable, 61, false},
		{"9111 §5.2.2.10 s-maxage", "Cache-Control: s-maxage=60", Unreachable, 61, false},
		{"9111 §5.2.2.4 no-cache", "Cache-Control: no-cache, stale-if-error=30", Unreachable, 1, false},
		{"9111 §4.2.4 must-revalidate and stale-if-error", "Cache-Control: max-age=60, must-revalidate, stale-if-error=30", ServerError, 61, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPolicy(t, rule)
			s := store(t, p, get(t, ""), withTag(answer(t, 200, row.header)))
			if got := p.StaleOnError(s, row.failure, t0.Add(time.Duration(row.after)*time.Second)); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if mustPolicy(t, rule).StaleOnError(nil, Unreachable, t0) {
		t.Error("nothing stored")
	}
}

func TestBypass(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*Rule, *Request)
		want Reason
	}{
		{"GET", func(*Rule, *Request) {}, None},
		{"HEAD", func(_ *Rule, r *Request) { r.Method = "HEAD" }, None},
		{"POST", func(_ *Rule, r *Request) { r.Method = "POST" }, UncacheableMethod},
		{"unknown method", func(_ *Rule, r *Request) { r.Method = "FOO" }, UncacheableMethod},
		{"off", func(rule *Rule, _ *Request) { rule.Off = true }, RouteOff},
		{"ambiguous path", func(_ *Rule, r *Request) { r.Path = "/a/../b" }, AmbiguousPath},
		{"body", func(_ *Rule, r *Request) { r.Body = true }, BodyOnGet},
		{"upgrade", func(_ *Rule, r *Request) { r.Header.Set("Upgrade", "websocket") }, UpgradeRequest},
		{"no-store, trusted", func(_ *Rule, r *Request) { r.Header.Set("Cache-Control", "no-store"); r.Trusted = true }, RequestNoStore},
		{"no-store of anybody", func(_ *Rule, r *Request) { r.Header.Set("Cache-Control", "no-store") }, None},
		{"a jar without a session on a session route", func(rule *Rule, r *Request) { rule.Scope = PerSession; r.Cookie = "a=b" }, NoIdentity},
		{"signed in without digests on a user route", func(rule *Rule, r *Request) { rule.Scope = PerUser; r.Identity.Auth = SignedIn }, NoIdentity},
		{"nobody on a user route", func(rule *Rule, _ *Request) { rule.Scope = PerUser }, None},
	} {
		t.Run(row.name, func(t *testing.T) {
			rule, r := pureRule, get(t, "")
			row.edit(&rule, r)
			if got := mustPolicy(t, rule).Bypass(r); got != row.want {
				t.Errorf("Bypass = %v, want %v", got, row.want)
			}
		})
	}
}

func TestPass(t *testing.T) {
	for _, row := range []struct {
		name, method, request string
		verdict               Verdict
		reason                Reason
	}{
		{"9111 §4 forwarded", "GET", "", Forward, RouteOff},
		{"9111 §5.2.1.7 only-if-cached", "GET", "Cache-Control: only-if-cached", GatewayTimeout, RequestOnlyIfCached},
		{"9111 §5.2.1.7 only-if-cached, HEAD", "HEAD", "Cache-Control: max-age=0, Only-If-Cached", GatewayTimeout, RequestOnlyIfCached},
		{"9111 §4 what is unsafe is written through", "POST", "Cache-Control: only-if-cached", Forward, RouteOff},
		{"9111 §5.2.1 another directive", "GET", "Cache-Control: no-cache", Forward, RouteOff},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := get(t, row.request)
			r.Method = row.method
			if d := Pass(r, RouteOff); d.Verdict != row.verdict || d.Reason != row.reason {
				t.Errorf("verdict %v because of %v, want %v because of %v", d.Verdict, d.Reason, row.verdict, row.reason)
			}
		})
	}
}

func TestErrorStatus(t *testing.T) {
	for status := 100; status < 600; status++ {
		if got, want := ErrorStatus(status), status == 500 || status == 502 || status == 503 || status == 504; got != want {
			t.Errorf("5861 §4 status %d: %v", status, got)
		}
	}
}
