package cachepolicy

import (
	"testing"
)

func TestPathAmbiguous(t *testing.T) {
	for path, want := range map[string]bool{
		"/": false, "/a": false, "/a/": false, "/a/b.c": false, "/.well-known/x": false, "/a/...": false, "/a/..b": false, "/a/b..": false, "/.a": false,
		"/caf%C3%A9": false, "/caf\xc3\xa9": false, "/100%25": false, "/a%25zz": false, "/a%20b": false, "/a+b": false, "/~a": false, "/a:b@c": false, "/%61": false, "/a,b=c": false,
		"": true, "*": true, "a": true, "//": true, "/a//b": true, "/a/b//": true, "/./a": true, "/a/./b": true, "/a/.": true, "/.": true,
		"/../a": true, "/a/../b": true, "/a/..": true, "/..": true, "/%2e/a": true, "/%2E%2e/a": true, "/.%2e": true, "/a/%2e": true,
		"/a%2fb": true, "/a%2Fb": true, "/%2f": true, "/a\\b": true, "/a%5cb": true, "/a%5Cb": true, "/a;b": true, "/a;": true, "/a%3bb": true, "/a;x=1/b": true,
		"/a%00": true, "/a\x00": true, "/a%0a": true, "/a%0d%0a": true, "/a%7f": true, "/a\x7f": true, "/a\n": true, "/a%09": true,
		"/a%": true, "/a%4": true, "/a%zz": true, "/a%4g": true, "/a%%41": true, "/a%u0041": true,
		"/a%252fb": true, "/a%2541": true, "/%252e%252e/": true, "/a%25%32%66": true, "/a%252%66": true, "/a%25%3": true, "/a%25%20b": false,
		"/a%ff": true, "/a\xff": true, "/a%c0%af": true, "/a%c0%2f": true, "/a%e0%80%af": true, "/a%ed%a0%80": true, "/caf%C3": true,
		"/a%3fb": true, "/a%23b": true, "/a?b": true, "/a#b": true,
	} {
		if got := PathAmbiguous(path); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}

func TestQueryRule(t *testing.T) {
	drop := QueryRule{Drop: []string{"utm_*", "gclid"}}
	for _, row := range []struct {
		name      string
		rule      QueryRule
		raw, want string
	}{
		{"no rule: order and all kept", QueryRule{}, "b=2&a=1&&utm_x=1", "b=2&a=1&&utm_x=1"},
		{"nothing", QueryRule{Sort: true}, "", ""},
		{"ignore", QueryRule{Ignore: true}, "a=1", ""},
		{"drop", drop, "a=1&utm_source=x&b=2&gclid=3", "a=1&b=2"},
		{"drop nothing", drop, "b=1&a=2", "b=1&a=2"},
		{"drop all", drop, "utm_a&gclid", ""},
		{"drop is exact", drop, "gclid2=1&xutm_=1&Gclid=1", "gclid2=1&xutm_=1&Gclid=1"},
		{"drop looks at names as they came", drop, "gcli%64=1", "gcli%64=1"},
		{"drop a name without value", drop, "gclid&a", "a"},
		{"drop, semicolons are no separators", drop, "a=1;gclid=2", "a=1;gclid=2"},
		{"drop, bad escapes stay", drop, "a=%zz&gclid=%", "a=%zz"},
		{"keep", QueryRule{Keep: []string{"page", "q?"}}, "x=1&page=2&q1=a&q12=b&page=3", "page=2&q1=a&page=3"},
		{"keep none", QueryRule{Keep: []string{}}, "x=1", ""},
		{"keep and drop", QueryRule{Keep: []string{"*"}, Drop: []string{"a"}}, "a=1&b=2", "b=2"},
		{"sort by name, values in order", QueryRule{Sort: true}, "b=2&a=2&b=1&a=1", "a=2&a=1&b=2&b=1"},
		{"sort, prefix of another", QueryRule{Sort: true}, "ab=1&a=2&a", "a=2&a&ab=1"},
		{"sort, empty parameters go", QueryRule{Sort: true}, "&b&&a&", "a&b"},
		{"sort, no name", QueryRule{Sort: true}, "b=1&=2", "=2&b=1"},
		{"more than a handful", QueryRule{Sort: true}, "s&r&q&p&o&n&m&l&k&j&i&h&g&f&e&d&c&b&a", "a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q&r&s"},
	} {
		if got := row.rule.Apply(row.raw); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	for _, row := range []struct {
		glob, name string
		want       bool
	}{
		{"*", "", true}, {"*", "a", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"*a*", "xax", true}, {"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxbyy", false}, {"?", "", false}, {"?", "a", true}, {"a?c", "abc", true}, {"**", "x", true}, {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false}, {"", "", true}, {"", "a", false},
	} {
		if got := globMatch(row.glob, row.name); got != row.want {
			t.Errorf("%q matches %q: %v", row.glob, row.name, got)
		}
	}
}

// TestNoVarySearch: each row says what the field comes to, "" for the
// default search variance.
func TestNoVarySearch(t *testing.T) {
	for _, row := range []struct{ field, want string }{
		{"params", "params"}, {"params=?1", "params"}, {"key-order", "key-order"}, {"key-order=?1", "key-order"},
		{`params=("a")`, `params=("a")`}, {`params=("b" "a" "b")`, `params=("a" "b")`}, {`params, except=("x")`, `params, except=("x")`},
		{`except=("x"), params`, `params, except=("x")`}, {`params, key-order, except=("x")`, `key-order, params, except=("x")`}, {"params, except=()", "params"},
		{`params=("%C3%A9+a")`, `params=("%C3%A9%20a")`}, {`params=("a%2Bb" "a%25b")`, `params=("a%25b" "a%2Bb")`},
		{"params;x=1, foo=1", "params"}, {`params=("a";x=1)`, `params=("a")`},
		{"unknown-key", ""}, {`key-order="x"`, ""}, {`params="x"`, ""}, {"params=(a)", ""}, {`params=("a"), except=("x")`, ""}, {"params=(), except=()", ""},
		{`params=?0, except=("x")`, ""}, {"params, except=(a)", ""}, {`params, except="x"`, ""}, {"params, except=?1", ""}, {`except=("x")`, ""}, {"except=()", ""},
		{"params=?0", ""}, {"params=()", ""}, {"key-order=?0", ""}, {"", ""}, {"params,", ""}, {"Params", ""}, {"params=1", ""}, {`key-order, params="x"`, ""},
	} {
		v, ok := parseNoVarySearch([]string{row.field})
		got := ""
		if ok {
			got = v.text()
		}
		if got != row.want {
			t.Errorf("%q = %q, want %q", row.field, got, row.want)
		}
		if again, _ := parseNoVarySearch([]string{got}); ok && again.text() != got {
			t.Errorf("%q does not read back", got)
		}
	}
	for _, row := range []struct {
		field, a, b string
		want        bool
	}{
		{"params", "a=1", "b=2", true}, {"params", "a=1", "", true},
		{`params=("a")`, "a=1&b=2", "b=2&a=5", true}, {`params=("a")`, "b=2", "b=3", false}, {`params=("a")`, "b=2", "b=2&a", true},
		{`params, except=("id")`, "id=1&x=2", "id=1&y=3", true}, {`params, except=("id")`, "id=1", "id=2", false}, {`params, except=("id")`, "id=1", "", false},
		{"key-order", "a=1&b=2", "b=2&a=1", true}, {"key-order", "a=1&a=2", "a=2&a=1", false}, {"key-order", "a=1", "a=1&b=1", false},
		{`params=("x")`, "a=1&b=2", "b=2&a=1", false}, {`params=("x")`, "a=%41", "a=A", true}, {`params=("x")`, "a=+", "a=%20", true}, {`params=("x")`, "a", "a=", true},
		{`params=("x")`, "a&&b", "a&b", true}, {`params=("%C3%A9")`, "%c3%a9=1", "\xc3\xa9=2", true}, {`params=("x")`, "a=%ff", "a=%fe", true}, {`params=("x")`, "a=%", "a=%25", true},
		{"", "a=%41", "a=A", false}, {"", "a=1&b=2", "b=2&a=1", false},
	} {
		p := mustPolicy(t, pureRule)
		a, b := get(t, ""), get(t, "")
		a.Query, b.Query = row.a, row.b
		if got := p.SearchKey(a, row.field) == p.SearchKey(b, row.field); got != row.want {
			t.Errorf("%q: %q and %q are one: %v", row.field, row.a, row.b, got)
		}
	}
	p := mustPolicy(t, pureRule)
	r := get(t, "")
	if s := store(t, p, r, answer(t, 200, "Cache-Control: max-age=60\nNo-Vary-Search: params=(\"b\" \"a\")")); s.NoVarySearch != `params=("a" "b")` {
		t.Errorf("stored %q", s.NoVarySearch)
	}
	if p.SearchKey(r, "") != p.Key(r) || p.SearchKey(r, "nonsense=") != p.Key(r) || p.SearchKey(r, "params") == p.Key(r) || p.PathKey(r) == p.Key(r) {
		t.Error("kinds of keys")
	}
}

func TestKey(t *testing.T) {
	base := func() (*Rule, *Request) {
		rule := pureRule
		rule.VaryHeaders, rule.VaryCookies = []string{"Accept-Language"}, []string{"lang", "x"}
		r := get(t, "Accept-Language: de")
		r.Query, r.VaryCookies = "q=1", []string{"es", "\x00"}
		r.Identity = Identity{Auth: SignedIn, Session: "s1", User: "u1"}
		return &rule, r
	}
	key := func(edit func(*Rule, *Request)) Key {
		rule, r := base()
		edit(rule, r)
		return mustPolicy(t, *rule).Key(r)
	}
	same := func(*Rule, *Request) {}
	for _, row := range []struct {
		name  string
		edit  func(*Rule, *Request)
		equal bool
	}{
		{"the same", same, true},
		{"HEAD", func(_ *Rule, r *Request) { r.Method = "HEAD" }, true},
		{"another visitor of a public page", func(_ *Rule, r *Request) { r.Identity = Identity{}; r.Cookie = "a=b" }, true},
		{"another field", func(_ *Rule, r *Request) { r.Header.Set("X-Forwarded-Host", "evil") }, true},
		{"a language that means the same", func(_ *Rule, r *Request) { r.Header.Set("Accept-Language", " DE;q=1.0 ") }, true},
		{"scheme", func(_ *Rule, r *Request) { r.Scheme = "http" }, false},
		{"host", func(_ *Rule, r *Request) { r.Host = "example.org" }, false},
		{"path", func(_ *Rule, r *Request) { r.Path = "/a/" }, false},
		{"path's spelling", func(_ *Rule, r *Request) { r.Path = "/%61" }, false},
		{"query", func(_ *Rule, r *Request) { r.Query = "q=2" }, false},
		{"no query", func(_ *Rule, r *Request) { r.Query = "" }, false},
		{"host and path moved", func(_ *Rule, r *Request) { r.Host, r.Path = "example.com/a", "" }, false},
		{"path and query moved", func(_ *Rule, r *Request) { r.Path, r.Query = "/a?q=1", "" }, false},
		{"language", func(_ *Rule, r *Request) { r.Header.Set("Accept-Language", "en") }, false},
		{"no language", func(_ *Rule, r *Request) { r.Header.Del("Accept-Language") }, false},
		{"empty language", func(_ *Rule, r *Request) { r.Header.Set("Accept-Language", "") }, false},
		{"cookie", func(_ *Rule, r *Request) { r.VaryCookies = []string{"en", "\x00"} }, false},
		{"cookie moved", func(_ *Rule, r *Request) { r.VaryCookies = []string{"\x00", "es"} }, false},
		{"cookie empty, not absent", func(_ *Rule, r *Request) { r.VaryCookies = []string{"es", ""} }, false},
		{"scope", func(rule *Rule, _ *Request) { rule.Scope = PerSession }, false},
	} {
		if got := key(row.edit) == key(same); got != row.equal {
			t.Errorf("%s: equal keys: %v", row.name, got)
		}
	}
	scoped := func(scope Scope, id Identity) Key {
		return key(func(rule *Rule, r *Request) { rule.Scope, r.Identity = scope, id })
	}
	var (
		a1 = Identity{Auth: SignedIn, Session: "s1", User: "a"}
		a2 = Identity{Auth: SignedIn, Session: "s2", User: "a"}
		b1 = Identity{Auth: SignedIn, Session: "s1", User: "b"}
		u1 = Identity{Auth: InSession, Session: "s1"}
	)
	if scoped(PerUser, a1) != scoped(PerUser, a2) {
		t.Error("a user's two devices do not share")
	}
	distinct := map[Key]string{}
	for name, k := range map[string]Key{
		"user a": scoped(PerUser, a1), "user b": scoped(PerUser, b1), "unknown user": scoped(PerUser, u1), "nobody": scoped(PerUser, Identity{}),
		"a user called s1": scoped(PerUser, Identity{Auth: SignedIn, Session: "x", User: "s1"}), "public": scoped(Public, a1),
	} {
		if other, ok := distinct[k]; ok {
			t.Errorf("%s and %s share a key", name, other)
		}
		distinct[k] = name
	}
	if scoped(PerSession, a1) == scoped(PerSession, a2) || scoped(PerSession, a1) != scoped(PerSession, b1) {
		t.Error("sessions")
	}
}

func TestURL(t *testing.T) {
	p := mustPolicy(t, Rule{Pattern: "/", Query: QueryRule{Drop: []string{"utm_*"}, Sort: true}})
	for query, want := range map[string]string{"": "example.com/a", "utm_x=1": "example.com/a", "b=1&utm_x=1&a=2": "example.com/a?a=2&b=1"} {
		r := get(t, "")
		if r.Query = query; p.URL(r) != want {
			t.Errorf("%q: %q, want %q", query, p.URL(r), want)
		}
	}
}

func TestLoosePath(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b/": "/a/b/", "/a%2fb%2F": "/a/b/", "//a///b": "/a/b", "/a/./b/.": "/a/b/", "/x/../a/b/..": "/a/",
		"/../../a": "/a", "/a;x=1/b;y": "/a/b", "/a/..;/b": "/b", `/a\b`: "/a/b", "/a%5cb": "/a/b", "/a%252fb": "/a/b",
		"/a%25252fb": "/a/b", "/a%00.css": "/a", "/a%3fb": "/a", "/a%23b": "/a", "/": "/", "//": "/", "/..": "/", "/a%zz": "/a%zz",
		"/%2e%2e/a": "/a", "/a/;x": "/a/",
	} {
		if got := LoosePath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
