package cachepolicy

import (
	"net/http"
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	const year = 365 * 24 * 3600
	maxLife := int(MaxLife / time.Second)
	for _, row := range []struct {
		name   string
		header string
		want   int // seconds
	}{
		{"9111 §4.2.1 max-age", "Cache-Control: max-age=60", 60},
		{"9111 §4.2.1 s-maxage before max-age", "Cache-Control: max-age=1, s-maxage=60", 60},
		{"9111 §4.2.1 s-maxage=0 before max-age", "Cache-Control: max-age=60, s-maxage=0", 0},
		{"9111 §4.2.1 max-age before Expires", "Cache-Control: max-age=60\nExpires: " + at(5), 60},
		{"9111 §5.3 max-age=0 before Expires", "Cache-Control: max-age=0\nExpires: " + at(60), 0},
		{"9111 §4.2.1 s-maxage before Expires", "Cache-Control: s-maxage=60\nExpires: " + at(5), 60},
		{"9111 §4.2.1 Expires", "Expires: " + at(60), 60},
		{"9111 §4.2.1 Expires less Date", "Expires: " + at(60) + "\nDate: " + at(10), 50},
		{"9111 §4.2.1 Expires by a slow clock", "Expires: " + at(-3540) + "\nDate: " + at(-3600), 60},
		{"9111 §4.2.1 Expires by a fast clock", "Expires: " + at(3660) + "\nDate: " + at(3600), 60},
		{"9111 §4.2.1 Expires is Date", "Expires: " + at(0) + "\nDate: " + at(0), 0},
		{"9111 §4.2.1 Expires before Date", "Expires: " + at(-1) + "\nDate: " + at(0), 0},
		{"9110 §6.6.1 Expires with a wrong Date", "Expires: " + at(60) + "\nDate: yesterday", 60},
		{"9110 §6.6.1 Expires with two Dates", "Expires: " + at(60) + "\nDate: " + at(-100) + "\nDate: " + at(-200), 60},
		{"9111 §5.3 Expires: 0", "Expires: 0", 0},
		{"9111 §5.3 Expires: -1", "Expires: -1", 0},
		{"9111 §5.3 empty Expires", "Expires:", 0},
		{"9111 §5.3 two Expires", "Expires: " + at(60) + "\nExpires: " + at(60), 0},
		{"9111 §5.3 Expires with other directives", "Cache-Control: public\nExpires: " + at(60), 60},
		{"9111 §5.2 other case", "Cache-Control: MaX-aGe=60", 60},
		{"9111 §5.2 quoted", "Cache-Control: max-age=\"60\"", 60},
		{"9111 §5.2 quoted, escaped", "Cache-Control: max-age=\"\\6\\0\"", 60},
		{"9111 §5.2 quoted s-maxage", "Cache-Control: s-maxage=\"60\"", 60},
		{"9111 §5.2 single quotes", "Cache-Control: max-age='60'", 0},
		{"9111 §5.2 single quotes, s-maxage", "Cache-Control: s-maxage='60', max-age=50", 0},
		{"9111 §5.2 stray quote", "Cache-Control: max-age=\"60", 0},
		{"9111 §5.2 stray quote elsewhere", "Cache-Control: x=\", max-age=60", 0},
		{"9111 §5.2 quoted, spaces", "Cache-Control: max-age=\" 60\"", 0},
		{"9111 §5.2 in another's quoted string", "Cache-Control: x=\"max-age=60\", max-age=5", 5},
		{"9111 §5.2 comma in another's quoted string", "Cache-Control: x=\"a,max-age=60,b\", max-age=5", 5},
		{"9111 §5.2 escaped quote in another's", "Cache-Control: x=\"a\\\",max-age=60\", max-age=5", 5},
		{"9111 §5.2 as a token's value", "Cache-Control: x=max-age, max-age=5", 5},
		{"9111 §5.2 another directive's suffix", "Cache-Control: xmax-age=60, max-age=5", 5},
		{"9111 §5.2 another directive's prefix", "Cache-Control: max-agex=60, max-age=5", 5},
		{"9111 §5.2 space before =", "Cache-Control: max-age =60", 0},
		{"9111 §5.2 space after =", "Cache-Control: max-age= 60", 0},
		{"9111 §5.2 no value", "Cache-Control: max-age", 0},
		{"9111 §5.2 empty value", "Cache-Control: max-age=", 0},
		{"9111 §5.2 semicolon", "Cache-Control: max-age=60; public", 0},
		{"9111 §1.2.2 leading zeros", "Cache-Control: max-age=0060", 60},
		{"9111 §1.2.2 many leading zeros", "Cache-Control: max-age=00000000000000000000000060", 60},
		{"9111 §1.2.2 negative", "Cache-Control: max-age=-60", 0},
		{"9111 §1.2.2 plus", "Cache-Control: max-age=+60", 0},
		{"9111 §1.2.2 fraction", "Cache-Control: max-age=60.0", 0},
		{"9111 §1.2.2 exponent", "Cache-Control: max-age=6e1", 0},
		{"9111 §1.2.2 hex", "Cache-Control: max-age=0x60", 0},
		{"9111 §1.2.2 letters before", "Cache-Control: max-age=a60", 0},
		{"9111 §1.2.2 letters behind", "Cache-Control: max-age=60a", 0},
		{"9111 §1.2.2 past 2^31", "Cache-Control: max-age=2147483648", maxLife},
		{"9111 §1.2.2 2^32", "Cache-Control: max-age=4294967296", maxLife},
		{"9111 §1.2.2 past 2^63", "Cache-Control: max-age=9223372036854775808", maxLife},
		{"9111 §1.2.2 past 2^64", "Cache-Control: max-age=99999999999999999999999", maxLife},
		{"house: a year is a month", "Cache-Control: max-age=31536000", maxLife},
		{"house: Expires in a thousand years", "Expires: Thu, 01 Jan 3026 00:00:00 GMT", maxLife},
		{"9111 §4.2.1 duplicates: the first", "Cache-Control: max-age=60, max-age=5", 60},
		{"9111 §4.2.1 duplicates over lines: the first", "Cache-Control: max-age=5\nCache-Control: max-age=60", 5},
		{"9111 §4.2.1 duplicates: the first is malformed", "Cache-Control: max-age=x, max-age=60", 0},
		{"9111 §4.2.1 duplicates: the second is malformed", "Cache-Control: max-age=60, max-age=x", 60},
		{"9111 §4.2.1 duplicates of s-maxage", "Cache-Control: s-maxage=60, s-maxage=5", 60},
		{"9111 §5.2.3 unknown directives", "Cache-Control: foo, bar=1, baz=\"x, y\", max-age=60", 60},
		{"9111 §5.2.3 unknown and malformed", "Cache-Control: =, ==, foo=, =bar, @, max-age=60", 60},
		{"9110 §5.6.1 empty members", "Cache-Control: ,, max-age=60 ,,", 60},
		{"9110 §5.6.3 tabs", "Cache-Control: \tmax-age=60\t,\tpublic", 60},
		{"9110 §5.2 over lines", "Cache-Control: public\nCache-Control: max-age=60", 60},
		{"9111 §4.2.2 a tenth of the time since Last-Modified", "Last-Modified: " + at(-1000), 100},
		{"9111 §4.2.2 by the app's clock", "Last-Modified: " + at(-1000) + "\nDate: " + at(-500), 50},
		{"9111 §4.2.2 a day at most", "Last-Modified: " + at(-year), 24 * 3600},
		{"9111 §4.2.2 Last-Modified ahead", "Last-Modified: " + at(100) + "\nETag: \"a\"", 0},
		{"9111 §4.2.2 Last-Modified is no date", "Last-Modified: 5\nETag: \"a\"", 0},
		{"9111 §4.2.2 none where there is explicit freshness", "Cache-Control: max-age=5\nLast-Modified: " + at(-1000), 5},
		{"9111 §4.2.2 none where explicit freshness is malformed", "Cache-Control: max-age=x\nLast-Modified: " + at(-1000), 0},
		{"9111 §4.2.2 none where Expires is malformed", "Expires: x\nLast-Modified: " + at(-1000), 0},
		{"9213 §2.2 targeted max-age", "CDN-Cache-Control: max-age=60\nCache-Control: max-age=5", 60},
		{"9213 §2.2 targeted, shorter", "CDN-Cache-Control: max-age=5\nCache-Control: max-age=60", 5},
		{"9213 §2.2 targeted s-maxage", "CDN-Cache-Control: max-age=5, s-maxage=60", 60},
		{"9213 §2.2 Expires is ignored", "CDN-Cache-Control: public\nExpires: " + at(60) + "\nETag: \"a\"", 0},
		{"9213 §2.2 our own first", "Umbral-Cache-Control: max-age=60\nCDN-Cache-Control: max-age=5", 60},
		{"9213 §2.2 our own first, in any order", "CDN-Cache-Control: max-age=5\nUmbral-Cache-Control: max-age=60", 60},
		{"9213 §2.1 over lines", "CDN-Cache-Control: public\nCDN-Cache-Control: max-age=60", 60},
		{"9213 §2.1 parameters", "CDN-Cache-Control: max-age=60;x=1", 60},
		{"9213 §2.1 decimal", "CDN-Cache-Control: max-age=60.0", 0},
		{"9213 §2.1 string", "CDN-Cache-Control: max-age=\"60\"", 0},
		{"9213 §2.1 negative", "CDN-Cache-Control: max-age=-60", 0},
		{"9213 §2.1 boolean", "CDN-Cache-Control: max-age", 0},
		{"9213 §2.1 token", "CDN-Cache-Control: max-age=sixty", 0},
		{"9213 §2.1 inner list", "CDN-Cache-Control: max-age=(60)", 0},
		{"9651 §4.2.2 the last of duplicates", "CDN-Cache-Control: max-age=5, max-age=60", 60},
		{"9651 §4.2.4 too long a number is an error", "CDN-Cache-Control: max-age=9999999999999999\nCache-Control: max-age=5", 5},
		{"9651 §4.2.4 fifteen digits", "CDN-Cache-Control: max-age=999999999999999", maxLife},
		{"9651 §4.2 single quotes are an error", "CDN-Cache-Control: max-age='60'\nCache-Control: max-age=5", 5},
		{"9651 §4.2 space around = is an error", "CDN-Cache-Control: max-age = 60\nCache-Control: max-age=5", 5},
		{"9213 §2.2 unknown directives", "CDN-Cache-Control: foo, bar=?0, max-age=60", 60},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp := answer(t, 200, row.header)
			rule := pureRule
			rule.StaleIfUnreachable = time.Hour
			s := store(t, mustPolicy(t, rule), get(t, ""), withTag(resp))
			if s.Lifetime.Fresh != time.Duration(row.want)*time.Second {
				t.Errorf("fresh for %v, want %ds", s.Lifetime.Fresh, row.want)
			}
		})
	}
}

// withTag gives the response a validator, so that it is stored however short
// its life.
func withTag(resp *Response) *Response {
	resp.Header["Etag"] = []string{`"a"`}
	return resp
}

func TestLifetimeFlags(t *testing.T) {
	min := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	for _, row := range []struct {
		name, header string
		edit         func(*Rule)
		want         Lifetime
	}{
		{"5861 §3 stale-while-revalidate", "Cache-Control: max-age=60, stale-while-revalidate=120", nil, Lifetime{Fresh: min(1), StaleWhileRevalidate: min(2)}},
		{"5861 §4 stale-if-error", "Cache-Control: max-age=60, stale-if-error=120", nil, Lifetime{Fresh: min(1), StaleIfError: min(2)}},
		{"5861 malformed", "Cache-Control: max-age=60, stale-if-error=x, stale-while-revalidate", nil, Lifetime{Fresh: min(1)}},
		{"5861 quoted", "Cache-Control: max-age=60, stale-if-error=\"120\"", nil, Lifetime{Fresh: min(1), StaleIfError: min(2)}},
		{"5861 the operator's word", "Cache-Control: max-age=60, stale-if-error=120, stale-while-revalidate=120",
			func(r *Rule) { r.StaleIfError, r.StaleWhileRevalidate = min(5), 0 }, Lifetime{Fresh: min(1), StaleIfError: min(5)}},
		{"9111 §5.2.2.2 must-revalidate", "Cache-Control: max-age=60, must-revalidate, stale-if-error=120, stale-while-revalidate=120",
			func(r *Rule) { r.StaleIfError = min(5) }, Lifetime{Fresh: min(1), MustRevalidate: true}},
		{"9111 §5.2.2.2 must-revalidate, other case, with an argument", "Cache-Control: max-age=60, Must-Revalidate=1", nil, Lifetime{Fresh: min(1), MustRevalidate: true}},
		{"9111 §5.2.2.8 proxy-revalidate", "Cache-Control: max-age=60, proxy-revalidate, stale-if-error=120", nil, Lifetime{Fresh: min(1), MustRevalidate: true}},
		{"9111 §5.2.2.10 s-maxage", "Cache-Control: s-maxage=60, stale-if-error=120", nil, Lifetime{Fresh: min(1), MustRevalidate: true}},
		{"9111 §5.2.2.4 no-cache", "Cache-Control: max-age=60, no-cache, stale-if-error=120", nil, Lifetime{Fresh: min(1), NoCache: true}},
		{"9111 §5.2.2.4 no-cache on another line", "Cache-Control: max-age=60\nCache-Control: NO-CACHE", nil, Lifetime{Fresh: min(1), NoCache: true}},
		{"9111 §5.2.2.4 qualified no-cache", "Cache-Control: max-age=60, no-cache=\"a, b\"", nil, Lifetime{Fresh: min(1)}},
		{"9111 §5.2.2.4 no-cache, empty list", "Cache-Control: max-age=60, no-cache=\"\"", nil, Lifetime{Fresh: min(1), NoCache: true}},
		{"8246 §2 immutable", "Cache-Control: max-age=60, immutable", nil, Lifetime{Fresh: min(1), Immutable: true}},
		{"8246 §2 immutable with an argument", "Cache-Control: max-age=60, immutable=1", nil, Lifetime{Fresh: min(1)}},
		{"9111 §4.2.4 cut off", "Cache-Control: max-age=60", func(r *Rule) { r.StaleIfUnreachable = min(60) }, Lifetime{Fresh: min(1), StaleIfUnreachable: min(60)}},
		{"9111 §4.2.4 cut off, must-revalidate", "Cache-Control: max-age=60, must-revalidate", func(r *Rule) { r.StaleIfUnreachable = min(60) }, Lifetime{Fresh: min(1), MustRevalidate: true}},
		{"house §1 operator's ttl", "Cache-Control: max-age=5", func(r *Rule) { r.TTL = min(3) }, Lifetime{Fresh: min(3), Operator: true}},
		{"house §1 operator's ttl before targeted", "Umbral-Cache-Control: max-age=5", func(r *Rule) { r.TTL = min(3) }, Lifetime{Fresh: min(3), Operator: true}},
		{"house §1 operator's ttl, no-cache holds", "Cache-Control: no-cache", func(r *Rule) { r.TTL = min(3) }, Lifetime{Fresh: min(3), Operator: true, NoCache: true}},
		{"house §1 operator's ttl, must-revalidate holds", "Cache-Control: must-revalidate", func(r *Rule) { r.TTL = min(3) }, Lifetime{Fresh: min(3), Operator: true, MustRevalidate: true}},
		{"house §1 operator's ttl, proxy-revalidate holds", "Cache-Control: proxy-revalidate", func(r *Rule) { r.TTL, r.StaleIfError = min(3), min(5) }, Lifetime{Fresh: min(3), Operator: true, MustRevalidate: true}},
		{"house §1 operator's ttl above s-maxage, and the operator's windows", "Cache-Control: s-maxage=60",
			func(r *Rule) {
				r.TTL, r.StaleWhileRevalidate, r.StaleIfError, r.StaleIfUnreachable = min(3), min(4), min(5), min(6)
			},
			Lifetime{Fresh: min(3), Operator: true, StaleWhileRevalidate: min(4), StaleIfError: min(5), StaleIfUnreachable: min(6)}},
		{"house §1 operator's ttl above s-maxage, which still forbids the app's windows", "Cache-Control: s-maxage=60, stale-if-error=120, stale-while-revalidate=120",
			func(r *Rule) { r.TTL = min(3) }, Lifetime{Fresh: min(3), Operator: true}},
		{"house §1 operator's ttl above s-maxage and must-revalidate", "Cache-Control: s-maxage=60, must-revalidate",
			func(r *Rule) { r.TTL, r.StaleIfError = min(3), min(5) }, Lifetime{Fresh: min(3), Operator: true, MustRevalidate: true}},
		{"house §1 operator's windows alone, s-maxage holds", "Cache-Control: s-maxage=60",
			func(r *Rule) { r.StaleIfError, r.StaleIfUnreachable = min(5), min(6) }, Lifetime{Fresh: min(1), MustRevalidate: true}},
		{"house §1 operator's status on ttl: app", "Cache-Control: max-age=5", func(r *Rule) { r.Status = map[int]time.Duration{200: min(2)} }, Lifetime{Fresh: min(2), Operator: true}},
		{"9213 targeted windows", "CDN-Cache-Control: max-age=60, stale-while-revalidate=120\nCache-Control: max-age=1, stale-if-error=9", nil, Lifetime{Fresh: min(1), StaleWhileRevalidate: min(2)}},
		{"9213 targeted no-cache", "CDN-Cache-Control: max-age=60, no-cache\nCache-Control: max-age=1", nil, Lifetime{Fresh: min(1), NoCache: true}},
		{"9213 targeted qualified no-cache", "CDN-Cache-Control: max-age=60, no-cache=\"a\"", nil, Lifetime{Fresh: min(1)}},
		{"9213 targeted must-revalidate", "CDN-Cache-Control: max-age=60, must-revalidate", nil, Lifetime{Fresh: min(1), MustRevalidate: true}},
		{"9213 Cache-Control's must-revalidate is ignored", "CDN-Cache-Control: max-age=60\nCache-Control: must-revalidate", nil, Lifetime{Fresh: min(1)}},
		{"9111 §4.2.2 heuristic", "Last-Modified: " + at(-600), nil, Lifetime{Fresh: min(1), Heuristic: true}},
		{"house: MaxLife with its windows", "Cache-Control: max-age=99999999, stale-if-error=60", nil, Lifetime{Fresh: MaxLife}},
	} {
		t.Run(row.name, func(t *testing.T) {
			rule := pureRule
			if row.edit != nil {
				row.edit(&rule)
			}
			s := store(t, mustPolicy(t, rule), get(t, ""), withTag(answer(t, 200, row.header)))
			if s.Lifetime != row.want {
				t.Errorf("lifetime %+v\nwant     %+v", s.Lifetime, row.want)
			}
		})
	}
	p := mustPolicy(t, operatorRule)
	for header, want := range map[string]bool{"Cache-Control: s-maxage=60": true, "Cache-Control: s-maxage=60, public": false} {
		if s := store(t, p, get(t, "Authorization: Basic eA=="), answer(t, 200, header)); s.Lifetime.MustRevalidate != want {
			t.Errorf("9111 §5.2.2.10 %q shares the answer to Authorization: must-revalidate %v", header, s.Lifetime.MustRevalidate)
		}
	}
}

func TestInitialAge(t *testing.T) {
	for _, row := range []struct {
		name, header string
		delay        int
		want         int
	}{
		{"9111 §4.2.3 nothing", "", 0, 0},
		{"9111 §4.2.3 Date now", "Date: " + at(0), 0, 0},
		{"9111 §4.2.3 apparent age", "Date: " + at(-30), 0, 30},
		{"9111 §4.2.3 Date ahead", "Date: " + at(30), 0, 0},
		{"9111 §4.2.3 response delay", "Date: " + at(0), 5, 5},
		{"9111 §4.2.3 Age", "Age: 30", 0, 30},
		{"9111 §4.2.3 Age and delay", "Age: 30", 5, 35},
		{"9111 §4.2.3 Age above apparent", "Age: 30\nDate: " + at(-10), 0, 30},
		{"9111 §4.2.3 apparent above Age", "Age: 10\nDate: " + at(-30), 0, 30},
		{"9111 §4.2.3 Age with Date ahead", "Age: 30\nDate: " + at(100), 0, 30},
		{"9110 §6.6.1 Date is none", "Date: x\nAge: 3", 0, 3},
		{"9111 §5.1 the first member", "Age: 30, 60", 0, 30},
		{"9111 §5.1 the first member, though smaller", "Age: 0, 60", 0, 0},
		{"9111 §5.1 the first line", "Age: 30\nAge: 60", 0, 30},
		{"9111 §5.1 spaces", "Age:  30 ", 0, 30},
		{"9111 §5.1 leading zeros", "Age: 0030", 0, 30},
		{"9111 §5.1 negative is ignored", "Age: -30", 0, 0},
		{"9111 §5.1 plus is ignored", "Age: +30", 0, 0},
		{"9111 §5.1 fraction is ignored", "Age: 30.5", 0, 0},
		{"9111 §5.1 quoted is ignored", "Age: \"30\"", 0, 0},
		{"9111 §5.1 letters before are ignored", "Age: a30", 0, 0},
		{"9111 §5.1 letters behind are ignored", "Age: 30s", 0, 0},
		{"9111 §5.1 a parameter is ignored", "Age: 30;x=1", 0, 0},
		{"9111 §5.1 two numbers are ignored", "Age: 30 60", 0, 0},
		{"9111 §5.1 first member is none", "Age: x, 30", 0, 0},
		{"9111 §5.1 empty", "Age:", 0, 0},
		{"9111 §5.1 empty first member", "Age: ,30", 0, 0},
		{"9111 §1.2.2 2^31", "Age: 2147483648", 0, 1 << 31},
		{"9111 §1.2.2 past 2^63", "Age: 99999999999999999999", 0, 1 << 31},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := arrive(header(t, row.header), t0.Add(-time.Duration(row.delay)*time.Second), t0)
			if a.initialAge != time.Duration(row.want)*time.Second {
				t.Errorf("initial age %v, want %ds", a.initialAge, row.want)
			}
		})
	}
	t.Run("a clock that went back", func(t *testing.T) {
		if a := arrive(header(t, ""), t0.Add(time.Hour), t0); a.initialAge != 0 {
			t.Errorf("initial age %v", a.initialAge)
		}
	})
	t.Run("house §1 the operator's time runs from arrival", func(t *testing.T) {
		p := mustPolicy(t, operatorRule)
		for _, row := range []struct {
			header string
			want   time.Duration
		}{{"Date: " + at(-7200), time.Minute}, {"Age: 20", 40 * time.Second}, {"Age: 20\nDate: " + at(-7200), 40 * time.Second}} {
			s := store(t, p, get(t, ""), answer(t, 200, row.header))
			if got := s.Lifetime.Fresh - s.InitialAge; got != row.want {
				t.Errorf("%q: fresh for %v, want %v", row.header, got, row.want)
			}
		}
	})
}

func TestParseHTTPDate(t *testing.T) {
	want := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"sun, 06 nov 1994 08:49:37 gmt", "SUN, 06 NOV 1994 08:49:37 GMT", "sUnDaY, 06-nOv-94 08:49:37 gMt", "SUN NOV  6 08:49:37 1994", // 9111 §4.2
		"Mon, 06 Nov 1994 08:49:37 GMT", "Monday, 06-Nov-94 08:49:37 GMT", "Mon Nov  6 08:49:37 1994", "Sun Nov 06 08:49:37 1994",
	} {
		if got, ok := ParseHTTPDate(s); !ok || !got.Equal(want) {
			t.Errorf("%q = %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", " ", "0", "-1", "now", "Sun", "Sun,", "Sunday,", ",",
		"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 ", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 EST",
		"Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 Nov 1994 08:49:37 GMT GMT", "Sun, 06 Nov 1994 08:49:37 AEST",
		"Sun,  06 Nov 1994 08:49:37 GMT", "Sun, 06  Nov 1994 08:49:37 GMT", "Sun, 06 Nov  1994 08:49:37 GMT", "Sun, 06 Nov 1994  08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37  GMT", "Sun,06 Nov 1994 08:49:37 GMT", " Sun, 06 Nov 1994 08:49:37 GMT", "Sun , 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
		"Sun, 06 Nov 1994 08.49.37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT", "Sun, 06 November 1994 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nvo 1994 08:49:37 GMT", "Sum, 06 Nov 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 1995 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 0a:49:37 GMT", "Sun, 06 Nov 1994 08:49:-7 GMT",
		"Sun, +6 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday, 6-Nov-94 08:49:37 GMT",
		"Sunday, 06 Nov 94 08:49:37 GMT", "Sunda, 06-Nov-94 08:49:37 GMT", "Sundays, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 UTC",
		"Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 1994 GMT", "Sun Nov   6 08:49:37 1994", "Sun  Nov  6 08:49:37 1994", "Sun Nov  6 8:49:37 1994",
		"Sun Nov  6 08:49:37 94", "Sunday Nov  6 08:49:37 1994", "Sun, Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z", "784111777",
	} {
		if got, ok := ParseHTTPDate(s); ok {
			t.Errorf("%q is no date, got %v", s, got)
		}
	}
	for _, row := range []struct {
		s            string
		seenFrom, is int
	}{
		{"Sunday, 06-Nov-76 08:49:37 GMT", 2026, 2076}, {"Sunday, 06-Nov-77 08:49:37 GMT", 2026, 1977}, {"Sunday, 06-Nov-00 08:49:37 GMT", 2026, 2000},
		{"Sunday, 06-Nov-77 08:49:37 GMT", 2027, 2077}, {"Sunday, 06-Nov-99 08:49:37 GMT", 1994, 1999},
	} {
		if got, ok := parseDate(row.s, row.seenFrom); !ok || got.Year() != row.is {
			t.Errorf("9110 §5.6.7: %q seen from %d = %v, want %d", row.s, row.seenFrom, got.Year(), row.is)
		}
	}
	if got, ok := ParseHTTPDate("Sat, 31 Dec 2016 23:59:60 GMT"); !ok || !got.Equal(time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("leap second: %v %v", got, ok)
	}
}

// An answer made at the end of a second carries the Date of its beginning.
func TestInitialAgeOverTheEndOfASecond(t *testing.T) {
	second := time.Unix(1_700_000_000, 0).UTC()
	for _, row := range []struct {
		asked, answered time.Duration // since second, which Date names
		want            time.Duration
	}{
		{950 * time.Millisecond, 1010 * time.Millisecond, 60 * time.Millisecond},
		{0, 0, 0},
		{999 * time.Millisecond, 2 * time.Second, 1001 * time.Millisecond},
		{time.Second, 1010 * time.Millisecond, 1010 * time.Millisecond}, // made before it was asked for
	} {
		h := http.Header{"Date": {second.Format(http.TimeFormat)}}
		if got := arrive(h, second.Add(row.asked), second.Add(row.answered)).initialAge; got != row.want {
			t.Errorf("asked at %v, answered at %v: %v, want %v", row.asked, row.answered, got, row.want)
		}
	}
}
