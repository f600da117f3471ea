package cachepolicy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzDirectives(f *testing.F) {
	for _, seed := range []string{"max-age=60, no-store", "private=\"a, b\", no-cache=c", "x=\"\\\"", "max-age=\"1", ",,=,\x00", "s-maxage=99999999999999999999, must-understand"} {
		f.Add(seed, "max-age=1, public;a=1")
	}
	f.Fuzz(func(t *testing.T, line, other string) {
		d := cacheControl([]string{line, other})
		joined := cacheControl([]string{line + ", " + other})
		if d.noStore != joined.noStore || d.noCache != joined.noCache || d.private != joined.private || d.maxAge != joined.maxAge {
			t.Fatalf("lines and list differ: %q, %q", line, other)
		}
		// What restricts is never lost by what stands beside it.
		for _, s := range []seconds{d.maxAge, d.sMaxage, d.staleErr, d.staleWhile} {
			if s.d < 0 || s.d > maxDelta {
				t.Fatalf("%q: %v", line, s.d)
			}
		}
		if whole := cacheControl([]string{line + ", no-store, no-cache, private"}); !whole.noStore || !whole.noCache || !whole.private {
			t.Fatalf("%q hides a restriction", line)
		}
		if strings.Count(line, `"`) == 0 && !cacheControl([]string{"no-store," + line}).noStore {
			t.Fatalf("%q hides no-store", line)
		}
		targetedControl([]string{line, other})
		requestControl(http.Header{"Cache-Control": {line, other}})
		sfStrings([]string{line})
	})
}

func FuzzDate(f *testing.F) {
	for _, seed := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "0", "Sat, 31 Dec 2016 23:59:60 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseHTTPDate(s)
		if !ok {
			return
		}
		again, ok := ParseHTTPDate(got.Format(http.TimeFormat))
		if got.Year() <= 9999 && (!ok || !again.Equal(got)) {
			t.Fatalf("%q = %v does not read back", s, got)
		}
		if got.Location() != time.UTC {
			t.Fatal("a time zone")
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/a/b", "/a%2fb", "/..%c0%af", "/a%252f", "/é", "/%e9", "/a%25%32%66"} {
		f.Add(seed)
	}
	rs, _ := NewRoutes([]Rule{{Pattern: "/"}, {Pattern: "/a/{id}/{rest...}", Tags: []string{"t:{id}:{rest}"}}})
	f.Fuzz(func(t *testing.T, path string) {
		p := rs.Match("GET", path, path)
		p.FillTags(path)
		if PathAmbiguous(path) {
			return
		}
		// Whoever decodes such a path once, finds nothing to decode again,
		// to clean or to split otherwise.
		once, err := url.PathUnescape(path)
		if err != nil || !utf8.ValidString(once) || strings.ContainsAny(once, "\\;\x00\r\n?#") || strings.Count(once, "/") != strings.Count(path, "/") {
			t.Fatalf("%q is %q", path, once)
		}
		if twice, err := url.PathUnescape(once); err == nil && twice != once {
			t.Fatalf("%q decodes twice, to %q", path, twice)
		}
		for _, seg := range strings.Split(once, "/")[1:] {
			if seg == "." || seg == ".." {
				t.Fatalf("%q has dots", path)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("a=1&b=2&utm_x=3", `params=("a")`)
	f.Add("&&=&a;b=%zz", "key-order, params, except=(\"b\")")
	rule := QueryRule{Drop: []string{"utm_*", "*x*y*"}, Sort: true}
	f.Fuzz(func(t *testing.T, raw, field string) {
		once := rule.Apply(raw)
		if rule.Apply(once) != once {
			t.Fatalf("%q is not stable", raw)
		}
		if all := (QueryRule{}); all.Apply(raw) != raw {
			t.Fatal("no rule, yet changed")
		}
		v, ok := parseNoVarySearch([]string{field})
		if !ok {
			return
		}
		again, ok := parseNoVarySearch([]string{v.text()})
		if !ok || again.text() != v.text() {
			t.Fatalf("%q does not read back", v.text())
		}
		if string(v.canonical(nil, raw)) != string(v.canonical(nil, raw+"&")) {
			t.Fatal("an empty parameter matters")
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-9", "bytes=-5,1-2", "bytes=99999999999999999999-", "bytes=0-,1-,2-", "lines=1-2"} {
		f.Add(seed, "bytes 0-4/10", int64(100))
	}
	f.Fuzz(func(t *testing.T, value, contentRange string, size int64) {
		if size < 0 {
			return
		}
		r := &Request{Method: "GET", Header: http.Header{"Range": {value}}}
		spans, status := SelectRanges(r, &Stored{Status: 200}, size)
		if (status == 206) != (len(spans) > 0) || len(spans) > maxSpans {
			t.Fatalf("%d with %v", status, spans)
		}
		for i, span := range spans {
			if span.First < 0 || span.Last < span.First || span.Last >= size {
				t.Fatalf("%q of %d: %v", value, size, spans)
			}
			for _, other := range spans[i+1:] {
				if span.First <= other.Last && other.First <= span.Last {
					t.Fatalf("%q: %v overlap", value, spans)
				}
			}
		}
		part, ok := parseContentRange([]string{contentRange})
		if ok && (part.First < 0 || part.Len() < 1 || part.Last >= part.Total) {
			t.Fatalf("%q: %+v", contentRange, part)
		}
		if s := (&Stored{Status: 206, Part: &part}); ok && s.answers(r) {
			spans, status := SelectRanges(r, s, part.Len())
			if status != 206 || slices.ContainsFunc(spans, func(s Span) bool { return s.First < part.First || s.Last > part.Last }) {
				t.Fatalf("%q of %+v: %v, %d", value, part, spans, status)
			}
		}
	})
}

func FuzzEntityTags(f *testing.F) {
	for _, seed := range []string{`"a"`, `W/"a", "b"`, "*", `"a`, `a,b`, `,, "x" "y"`} {
		f.Add(seed, `"a"`)
	}
	f.Fuzz(func(t *testing.T, list, tag string) {
		s := &Stored{Status: 200, Fields: Pack(http.Header{"Etag": {tag}})}
		r := &Request{Method: "GET", Header: http.Header{"If-None-Match": {list}, "If-Match": {list}, "If-Range": {list}, "If-Modified-Since": {list}}}
		Precondition(r, s)
		SelectRanges(r, s, 10)
		own := s.Tag()
		if own == "" {
			return
		}
		if strings.ContainsAny(own, "\r\n \t") {
			t.Fatalf("%q is no tag", own)
		}
		r = &Request{Method: "GET", Header: http.Header{"If-None-Match": {own}}}
		if own != "*" && Precondition(r, s) != http.StatusNotModified {
			t.Fatalf("%q does not match itself", own)
		}
	})
}

// FuzzVary: normalising is stable, and keys agree with Matches.
func FuzzVary(f *testing.F) {
	for _, seed := range []string{"de, en;q=0.5", "DE;q=1.0,,*", "a\",b", ";;q=", "en ; q = 1", "\x00\x00"} {
		f.Add(seed, "en", "accept-language, foo")
	}
	p, err := NewPolicy(pureRule)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b, vary string) {
		for _, name := range []string{"accept", "accept-language", "accept-charset", "foo"} {
			once := string(appendNormal(nil, name, []string{a}))
			if twice := string(appendNormal(nil, name, []string{once})); twice != once {
				t.Fatalf("%s: %q, then %q", name, once, twice)
			}
		}
		fields, ok := p.varyFields(http.Header{"Vary": {vary}}, true)
		if !ok {
			return
		}
		first := &Request{Header: http.Header{"Accept-Language": {a}, "Foo": {a}, "Accept": {b}}}
		second := &Request{Header: http.Header{"Accept-Language": {b}, "Foo": {b}, "Accept": {a}}}
		markLanguage(fields, first, http.Header{"Content-Language": {b}})
		s := &Stored{VaryFields: fields, VaryValues: p.varyValues(first, fields)}
		if !p.Matches(first, s) {
			t.Fatal("does not match its own request")
		}
		if same := p.VariantKey(Key{}, first, fields) == p.VariantKey(Key{}, second, fields); same != p.Matches(second, s) {
			t.Fatalf("%q: same key %v", fields, same)
		}
		UpstreamAcceptEncoding(&Request{Header: http.Header{"Accept-Encoding": {a, b}}})
	})
}

// FuzzResponse throws whole header sections at everything.
func FuzzResponse(f *testing.F) {
	f.Add("Cache-Control: max-age=60\nVary: a\nETag: \"a\"", "If-None-Match: \"a\"\nRange: bytes=0-1", 200, "GET")
	f.Add("Location: http://[::1\nContent-Location: /a\nExpires: 0\nDate: x\nAge: -1\nConnection: ,a", "Cache-Control: max-age=x", 304, "POST")
	policies := []*Policy{}
	for _, rule := range []Rule{pureRule, operatorRule, {}, {Pattern: "/", TTL: AppTTL, Scope: PerUser, Control: true}} {
		p, err := NewPolicy(rule)
		if err != nil {
			f.Fatal(err)
		}
		policies = append(policies, p)
	}
	parse := func(text string) http.Header {
		h := http.Header{}
		for _, line := range strings.Split(text, "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok {
				h.Add(name, value)
			}
		}
		return h
	}
	f.Fuzz(func(t *testing.T, fields, request string, status int, method string) {
		for _, p := range policies {
			r := &Request{Method: method, Scheme: "https", Host: "example.com", Path: "/a", Header: parse(request), Trusted: true, Identity: Identity{Auth: SignedIn, Session: "s", User: "u"}}
			resp := &Response{Status: status, Header: parse(fields), Length: -1, RequestTime: t0, ResponseTime: t0}
			p.Key(r)
			p.Bypass(r)
			targets, _ := p.Invalidates(r, resp)
			for _, target := range targets {
				if target.Host != r.Host || target.Path == "" {
					t.Fatalf("another's: %+v", target)
				}
			}
			s, reason := p.Storable(r, resp)
			if (s == nil) == (reason == None) {
				t.Fatal("both or neither")
			}
			if s == nil {
				continue
			}
			if s.Lifetime.Fresh < 0 || s.InitialAge < 0 || s.Keep(t0) < 0 || s.Keep(t0) > MaxLife {
				t.Fatalf("%+v", s.Lifetime)
			}
			for name := range s.Fields.Header() {
				if hopByHop(name) || name == "Set-Cookie" || edgeField(strings.ToLower(name)) {
					t.Fatalf("stored %s", name)
				}
			}
			if s.Scope == Public && s.Lifetime.Fresh > 0 && cacheControl(resp.Header["Cache-Control"]).noStore && len(resp.Header) == 1 && !cacheControl(resp.Header["Cache-Control"]).mustUnderstand {
				t.Fatal("no-store is stored")
			}
			d := p.Reuse(r, Candidate{Stored: s}, t0.Add(time.Hour))
			if d.Verdict == ServeStale && (s.Lifetime.MustRevalidate || s.Lifetime.NoCache) {
				t.Fatal("stale against the app's word")
			}
			Precondition(r, s)
			SelectRanges(r, s, 10)
			p.SetValidators(http.Header{}, s, (*Index)(nil).Add(s, Key{}))
			nm := *resp
			nm.Status = http.StatusNotModified
			p.Freshen(r, s, &nm)
			p.FreshenByHead(r, s, 10, resp)
			p.Present(s)
			p.Combine(s, s)
			p.Missing(r, s)
			p.PresentLive(r, resp)
		}
	})
}
