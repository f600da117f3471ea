package cachepolicy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	patterns := []string{"/", "/{$}", "/a/", "/a/{id}", "/a/{id}/edit", "/a/new", "GET /g", "POST /p/", "/p/{x...}", "example.com/a/", "EXAMPLE.org/x", "/files/{rest...}", "/caf%C3%A9", "HEAD /g"}
	var rules []Rule
	for _, pattern := range patterns {
		rules = append(rules, Rule{Pattern: pattern, TTL: time.Minute})
	}
	rs, faults := NewRoutes(rules)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for _, row := range []struct{ method, host, path, want string }{
		{"GET", "h", "/", "/{$}"}, {"GET", "h", "/zzz", "/"}, {"GET", "h", "/a", "/"}, {"GET", "h", "/a/", "/a/"},
		{"GET", "h", "/a/1", "/a/{id}"}, {"GET", "h", "/a/new", "/a/new"}, {"GET", "h", "/a/1/edit", "/a/{id}/edit"}, {"GET", "h", "/a/1/x", "/a/"},
		{"GET", "h", "/g", "GET /g"}, {"HEAD", "h", "/g", "HEAD /g"}, {"POST", "h", "/g", "/"}, {"POST", "h", "/p/1", "POST /p/"}, {"GET", "h", "/p/1", "/p/{x...}"},
		{"GET", "example.com", "/a/1", "example.com/a/"}, {"GET", "example.com:8080", "/a/1", "example.com/a/"}, {"GET", "example.com", "/g", "GET /g"},
		{"GET", "example.org", "/x", "EXAMPLE.org/x"}, {"GET", "[::1]:80", "/g", "GET /g"}, {"GET", "h", "/a/%6eew", "/a/new"}, {"GET", "h", "/caf%c3%a9", "/caf%C3%A9"},
		{"GET", "h", "/a//edit", "/a/"}, {"GET", "h", "//", "/"}, {"GET", "h", "/x/../a/new", "/"}, {"GET", "h", "", ""}, {"OPTIONS", "h", "*", ""}, {"GET", "h", "a", ""},
	} {
		if got := rs.Match(row.method, row.host, row.path); got.Rule.Pattern != row.want {
			t.Errorf("%s %s%s = %q, want %q", row.method, row.host, row.path, got.Rule.Pattern, row.want)
		}
	}
	for i, p := range rs.All() {
		if p.ID() != i || i > 0 && p.Rule.Pattern != patterns[i-1] {
			t.Errorf("policy %d: ID %d, %q", i, p.ID(), p.Rule.Pattern)
		}
	}
	empty, _ := NewRoutes(nil)
	if p := empty.Match("GET", "h", "/"); p.ID() != 0 || p.Rule.Listed() || p.Rule.TTL != AppTTL {
		t.Errorf("without routes: %+v", p.Rule)
	}
}

// TestMatchIsServeMux compares with net/http itself on random patterns and
// clean paths without ServeMux's redirects.
func TestMatchIsServeMux(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	makePath := func(wild bool) string {
		var b strings.Builder
		for i := range 1 + rnd.IntN(4) {
			seg := pick("a", "b", "c", "%61", "a%2Fb")
			if wild && rnd.IntN(3) == 0 {
				seg = fmt.Sprintf("{w%d}", i)
			}
			b.WriteString("/" + seg)
		}
		if wild {
			b.WriteString(pick("", "", "/", "/{$}", "/{r...}"))
		} else {
			b.WriteString(pick("", "", "/"))
		}
		return b.String()
	}
	for range 300 {
		mux := http.NewServeMux()
		var rules []Rule
		for range 12 {
			pattern := pick("", "", "GET ", "POST ", "HEAD ") + pick("", "", "h.example") + makePath(true)
			if _, faults := NewRoutes(append(rules[:len(rules):len(rules)], Rule{Pattern: pattern})); len(faults) > 0 {
				continue
			}
			mux.Handle(pattern, http.NotFoundHandler())
			rules = append(rules, Rule{Pattern: pattern})
		}
		rs, faults := NewRoutes(rules)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		for range 60 {
			method, host, escaped := pick("GET", "HEAD", "POST", "PUT"), pick("h.example", "h.example:81", "i.example"), makePath(false)
			if c := path.Clean(escaped); c != escaped && c+"/" != escaped {
				continue
			}
			u, err := url.Parse(escaped)
			if err != nil {
				t.Fatal(err)
			}
			handler, want := mux.Handler(&http.Request{Method: method, Host: host, URL: u})
			if strings.Contains(fmt.Sprintf("%T", handler), "redirect") {
				continue
			}
			if got := rs.Match(method, host, escaped).Rule.Pattern; got != want {
				t.Fatalf("%s %s%s = %q, ServeMux says %q, of %v", method, host, escaped, got, want, rules)
			}
		}
	}
}

func TestRuleFaults(t *testing.T) {
	for _, row := range []struct {
		name  string
		rules []Rule
		want  []string
	}{
		{"conflict", []Rule{{Pattern: "/a/{x}"}, {Pattern: "/{y}/b"}},
			[]string{`1 match: "/{y}/b" conflicts with "/a/{x}": /{y}/b and /a/{x} both match some paths, like "/a/b"`}},
		{"the same twice", []Rule{{Pattern: "/a/{x}"}, {Pattern: "/ok"}, {Pattern: "/a/{y}"}},
			[]string{`2 match: "/a/{y}" conflicts with "/a/{x}": /a/{y} matches the same requests as /a/{x}`}},
		{"conflict by method", []Rule{{Pattern: "GET /"}, {Pattern: "/a"}},
			[]string{`1 match: "/a" conflicts with "GET /": /a matches more methods than GET /, but has a more specific path pattern`}},
		{"no pattern", []Rule{{}}, []string{"0 match: the pattern is missing"}},
		{"no slash", []Rule{{Pattern: "a"}}, []string{`0 match: "a" is not a pattern: host/path missing /`}},
		{"bad wildcard", []Rule{{Pattern: "/a{x}"}}, []string{`0 match: "/a{x}" is not a pattern: bad wildcard segment (must start with '{')`}},
		{"wildcard twice", []Rule{{Pattern: "/{x}/{x}"}}, []string{`0 match: "/{x}/{x}" is not a pattern: duplicate wildcard name "x"`}},
		{"bad method", []Rule{{Pattern: "G@T /"}}, []string{`0 match: "G@T /" is not a pattern: invalid method "G@T"`}},
		{"tags", []Rule{{Pattern: "/a/{id}", Tags: []string{"x:{nr}", "y:{id", "", "{id}"}}},
			[]string{`0 tags: "x:{nr}" names the wildcard {nr}, which the pattern does not have`, `0 tags: "y:{id" has a { without its }`, "0 tags: a tag is empty"}},
		{"times", []Rule{{Pattern: "/", TTL: -2, StaleIfError: MaxLife + 1, StaleIfUnreachable: -1, Status: map[int]time.Duration{404: -1, 500: 1}}},
			[]string{"0 ttl: -2ns is not between 0 and 720h0m0s", "0 stale_if_error: 720h0m0.000000001s is not between 0 and 720h0m0s",
				"0 stale_if_unreachable: -1ns is not between 0 and 720h0m0s", "0 status: -1ns is not between 0 and 720h0m0s",
				"0 status: 500 cannot be given a lifetime; 200, 203, 204, 300, 301, 308, 404 and 410 can"}},
		{"the rest", []Rule{{Pattern: "/", Scope: 9, RefreshAhead: 2, MaxObject: -1, VaryHeaders: []string{"a b", "Cookie", "X-Edge-User"}, VaryCookies: []string{"a=b"}, Query: QueryRule{Drop: []string{""}}}},
			[]string{"0 vary: is neither public, session nor user", "0 refresh_ahead: 2 is not between 0% and 100%", "0 max_object: -1 is negative",
				`0 vary_headers: "a b" is not a field name`, "0 vary_headers: Cookie cannot be part of a key", "0 vary_headers: X-Edge-User cannot be part of a key",
				`0 vary_cookies: "a=b" is not a cookie name`, "0 query: a name is empty"}},
		{"all good", []Rule{{Pattern: "/", TTL: AppTTL, StaleIfError: -1, StaleWhileRevalidate: -1, Status: map[int]time.Duration{404: 0}}, {Pattern: "GET example.com/{x}", TTL: MaxLife, Tags: []string{"a{x}b"}}}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, faults := NewRoutes(row.rules)
			var got []string
			for _, f := range faults {
				got = append(got, fmt.Sprintf("%d %v", f.Index, f))
			}
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
		})
	}
	if _, err := NewPolicy(Rule{Pattern: "x", TTL: -2}); err == nil {
		t.Error("NewPolicy takes anything")
	}
}
