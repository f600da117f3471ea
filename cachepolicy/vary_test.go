package cachepolicy

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestVaryFields(t *testing.T) {
	for _, row := range []struct {
		name, vary string
		scope      Scope
		want       []string
	}{
		{"none", "", Public, nil},
		{"one", "Vary: Foo", Public, []string{"foo"}},
		{"sorted, distinct, folded", "Vary: foo, BAR, Foo\nVary: baz", Public, []string{"bar", "baz", "foo"}},
		{"empty members", "Vary: , foo ,,", Public, []string{"foo"}},
		{"Accept-Encoding is the edge's", "Vary: Accept-Encoding, foo", Public, []string{"foo"}},
		{"Accept-Encoding of what the app has encoded unasked", "Vary: Accept-Encoding\nContent-Encoding: gzip", Public, []string{"accept-encoding"}},
		{"Accept-Encoding with no-transform", "Vary: Accept-Encoding\nCache-Control: no-transform", Public, []string{"accept-encoding"}},
		{"Cookie on a public route", "Vary: Cookie", Public, []string{"cookie"}},
		{"Cookie on a user's route", "Vary: Cookie, foo", PerUser, []string{"foo"}},
		{"Cookie on a session's route", "Vary: Cookie", PerSession, nil},
		{"what the key covers", "Vary: Host, X-Forwarded-Proto, X-Forwarded-Host, Via, X-Keyed", Public, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			rule := pureRule
			rule.Scope, rule.VaryHeaders = row.scope, []string{"X-Keyed"}
			r := get(t, "")
			r.Identity = Identity{Auth: SignedIn, Session: "s", User: "u"}
			resp := answer(t, 200, row.vary)
			resp.Header.Add("Cache-Control", "max-age=60")
			s := store(t, mustPolicy(t, rule), r, resp)
			if !slices.Equal(s.VaryFields, row.want) || len(s.VaryValues) != len(s.VaryFields) {
				t.Errorf("%q, values %q; want %q", s.VaryFields, s.VaryValues, row.want)
			}
		})
	}
}

// TestMatches: each row says whether a response to the first request answers
// the second; VariantKey must never say more.
func TestMatches(t *testing.T) {
	for _, row := range []struct {
		name, vary, first, second string
		want                      bool
	}{
		{"9111 §4.1 the same", "Foo", "Foo: 1", "Foo: 1", true},
		{"9111 §4.1 another", "Foo", "Foo: 1", "Foo: 2", false},
		{"9111 §4.1 absent from both", "Foo", "", "", true},
		{"9111 §4.1 absent from the first", "Foo", "", "Foo: 1", false},
		{"9111 §4.1 absent from the second", "Foo", "Foo: 1", "", false},
		{"9111 §4.1 empty is not absent", "Foo", "Foo:", "", false},
		{"9111 §4.1 both empty", "Foo", "Foo:", "Foo: ", true},
		{"9111 §4.1 not named", "Foo", "Foo: 1\nBar: 1", "Foo: 1\nBar: 2", true},
		{"9111 §4.1 two, same", "Foo, Bar", "Foo: 1\nBar: 2", "Bar: 2\nFoo: 1", true},
		{"9111 §4.1 two, second differs", "Foo, Bar", "Foo: 1\nBar: 2", "Foo: 1\nBar: 3", false},
		{"9111 §4.1 two, values swapped", "Foo, Bar", "Foo: 1\nBar: 2", "Foo: 2\nBar: 1", false},
		{"9111 §4.1 case of a value", "Foo", "Foo: a", "Foo: A", false},
		{"9111 §4.1 order of a value", "Foo", "Foo: 1, 2", "Foo: 2, 1", false},
		{"9111 §4.1 white space around commas", "Foo", "Foo: 1,2", "Foo: 1 ,  2", true},
		{"9111 §4.1 white space at the ends", "Foo", "Foo: 1", "Foo:   1  ", true},
		{"9111 §4.1 white space within", "Foo", "Foo: 1 2", "Foo: 1  2", false},
		{"9111 §4.1 white space in quotes", "Foo", "Foo: \"1, 2\"", "Foo: \"1,2\"", false},
		{"9111 §4.1 lines", "Foo", "Foo: 1\nFoo: 2", "Foo: 1, 2", true},
		{"9111 §4.1 lines in another order", "Foo", "Foo: 1\nFoo: 2", "Foo: 2\nFoo: 1", false},
		{"9111 §4.1 an empty member", "Foo", "Foo: 1,,2", "Foo: 1,2", false},
		{"9111 §4.1 an empty member at the end", "Foo", "Foo: 1,", "Foo: 1", false},
		{"9111 §4.1 empty members only", "Foo", "Foo: ,", "Foo: ,,", false},
		{"9110 §12.5.4 case of languages", "Accept-Language", "Accept-Language: EN-us, De", "Accept-Language: en-US, de", true},
		{"9110 §12.5.4 white space of languages", "Accept-Language", "Accept-Language: en , de;q=0.5", "Accept-Language: en,de ; q=0.5", true},
		{"9110 §12.5.4 order of languages", "Accept-Language", "Accept-Language: en, de", "Accept-Language: de, en", false},
		{"9110 §12.4.2 a weight of one", "Accept-Language", "Accept-Language: en;q=1.000, de;q=0.50", "Accept-Language: en, de;q=0.5", true},
		{"9110 §12.4.2 another weight", "Accept-Language", "Accept-Language: en, de;q=0.5", "Accept-Language: en, de;q=0.51", false},
		{"9110 §12.4.2 case of q", "Accept-Language", "Accept-Language: en;Q=0.5", "Accept-Language: en;q=0.5", true},
		{"9110 §12.5.1 Accept, white space", "Accept", "Accept: text/html, */*;q=0.1", "Accept: text/html,*/* ; q=0.10", true},
		{"9110 §12.5.1 Accept, case", "Accept", "Accept: Text/HTML", "Accept: text/html", true},
		{"9110 §12.5.1 Accept, another parameter", "Accept", "Accept: text/html;level=1", "Accept: text/html;level=2", false},
		{"9110 §12.5.1 Accept, order", "Accept", "Accept: text/html, text/plain", "Accept: text/plain, text/html", false},
		{"9110 §12.5.2 Accept-Charset, order", "Accept-Charset", "Accept-Charset: utf-8, x", "Accept-Charset: X, UTF-8", true},
		{"9110 §12.5.3 Accept-Encoding, which the edge asks with itself", "Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: br", true},
		{"house §2 a cookie field is not looked at", "Cookie", "Cookie: a=1", "Cookie: a=2", true},
		{"house §2 identity fields are not looked at", "X-Edge-User", "X-Edge-User: 1", "X-Edge-User: 2", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPolicy(t, pureRule)
			first, second := get(t, row.first), get(t, row.second)
			s := store(t, p, first, answer(t, 200, "Cache-Control: max-age=60\nVary: "+row.vary))
			if got := p.Matches(second, s); got != row.want {
				t.Errorf("Matches = %v; stored by %q", got, s.VaryValues)
			}
			if !p.Matches(first, s) {
				t.Error("does not match its own request")
			}
			primary := p.Key(first)
			same := p.VariantKey(primary, first, s.VaryFields) == p.VariantKey(primary, second, s.VaryFields)
			if same != row.want {
				t.Errorf("same variant key: %v", same)
			}
		})
	}
}

func TestMatchesIdentity(t *testing.T) {
	p := mustPolicy(t, Rule{})
	asks := func(cookie string, id Identity) *Request {
		r := get(t, "")
		r.Cookie, r.Identity = cookie, id
		return r
	}
	a := asks("a=1", Identity{Auth: SignedIn, Session: "s1", User: "u1"})
	for _, row := range []struct {
		vary string
		r    *Request
		want bool
	}{
		{"Cookie", asks("a=1", Identity{}), true},
		{"Cookie", asks("a=2", a.Identity), false},
		{"Cookie", asks("", a.Identity), false},
		{"X-Edge-Auth", asks("", Identity{Auth: SignedIn, User: "u2"}), true},
		{"X-Edge-Auth", asks("", Identity{}), false},
		{"X-Edge-User", asks("", Identity{Auth: SignedIn, Session: "s2", User: "u1"}), true},
		{"X-Edge-User", asks("", Identity{Auth: SignedIn, Session: "s1", User: "u2"}), false},
		{"X-Edge-Session", asks("", Identity{Auth: SignedIn, Session: "s2", User: "u1"}), false},
		{"X-Edge-Identity", asks("", Identity{Auth: SignedIn, Session: "s2", User: "u1"}), false},
		{"x_edge_user", asks("", Identity{Auth: SignedIn, Session: "s1", User: "u2"}), false},
	} {
		s := store(t, p, a, answer(t, 200, "Cache-Control: public, max-age=60\nVary: "+row.vary))
		if got := p.Matches(row.r, s); got != row.want {
			t.Errorf("Vary: %s: %+v matches: %v", row.vary, row.r.Identity, got)
		}
	}
	s := store(t, p, asks("", Identity{}), answer(t, 200, "Cache-Control: max-age=60"))
	rule := pureRule
	rule.Scope = PerUser
	if mustPolicy(t, rule).Matches(a, s) {
		t.Error("a public response matches on a user's route")
	}
}

// TestLanguages: 9111 §4.1 lets a cache select by what it knows of a field.
func TestLanguages(t *testing.T) {
	p := mustPolicy(t, pureRule)
	var ix *Index
	stored := map[Key]string{}
	put := func(accept, language string) {
		r := get(t, "Accept-Language: "+accept)
		resp := answer(t, 200, "Cache-Control: max-age=60\nVary: Accept-Language")
		if language != "" {
			resp.Header.Set("Content-Language", language)
		}
		s := store(t, p, r, resp)
		ix = ix.Add(s, Key{})
		stored[p.VariantKey(p.Key(r), r, s.VaryFields)] = accept + "/" + language
		if !p.Matches(r, s) {
			t.Errorf("%q does not match its own request", accept)
		}
	}
	look := func(accept string) string {
		r := get(t, "Accept-Language: "+accept)
		for _, fields := range ix.Vary {
			if found, ok := stored[p.VariantKey(p.Key(r), r, fields)]; ok {
				return found
			}
		}
		return ""
	}
	put("de", "de")
	put("en-GB, en;q=0.5", "en-gb")
	put("fr, es;q=0.5", "es")
	put("it, pt", "")
	for accept, want := range map[string]string{
		"de": "de/de", "DE;q=1.0": "de/de", "en;q=0.5, de": "de/de", "de, en;q=0.9, *;q=0.1": "de/de",
		"de, en": "", "en, de": "", "de-CH": "", "*": "", "de;q=0": "", "de;q=x": "", "": "",
		"en-GB": "en-GB, en;q=0.5/en-gb", "en": "", "fr, es;q=0.5": "fr, es;q=0.5/es", "fr": "", "es": "",
		"it,pt": "it, pt/", "pt, it": "",
	} {
		if got := look(accept); got != want {
			t.Errorf("%q finds %q, want %q", accept, got, want)
		}
	}
	if want := [][]string{{"accept-language;en-gb;de"}}; !reflect.DeepEqual(ix.Vary, want) {
		t.Errorf("index %q, want %q", ix.Vary, want)
	}
}

func TestIndex(t *testing.T) {
	var ix *Index
	add := func(tag string, key byte, fields ...string) {
		ix = ix.Add(&Stored{VaryFields: fields, ETag: tag}, Key{key})
	}
	add(`"1"`, 1, "a")
	add(`"2"`, 2)
	add(`"3"`, 3, "b", "c")
	add(`"1"`, 4, "a")
	add(`W/"4"`, 2)
	want := &Index{Vary: [][]string{{"a"}, {"b", "c"}}, Variants: []Variant{{`W/"4"`, Key{2}}, {`"1"`, Key{4}}, {`"3"`, Key{3}}, {`"1"`, Key{1}}}}
	if !reflect.DeepEqual(ix, want) {
		t.Errorf("got %v, want %v", ix, want)
	}
	for tag, want := range map[string][]Key{"": nil, `"1"`: {{4}, {1}}, `W/"1"`: {{4}, {1}}, `"4"`: nil, `W/"4"`: {{2}}, `"5"`: nil} {
		if got := ix.Tagged(header(t, "ETag: "+tag)); !reflect.DeepEqual(got, want) {
			t.Errorf("9111 §4.3.4 a 304 with %s speaks of %v, want %v", tag, got, want)
		}
	}
	old := ix
	for _, name := range []string{"d", "e", "f", "g", "h"} {
		add("", 9, name)
	}
	if want := [][]string{{"h"}, {"g"}, {"f"}, {"e"}}; !reflect.DeepEqual(ix.Vary, want) {
		t.Errorf("got %q, want %q", ix.Vary, want)
	}
	if !reflect.DeepEqual(old, want) {
		t.Error("an index was changed")
	}
	for i := range 40 {
		add(`"x`+string(rune('A'+i))+`"`, byte(100+i))
	}
	if len(ix.Variants) != maxIndexVariants || len(ix.Vary) > maxIndexVary {
		t.Errorf("unbounded: %d variants, %d sets", len(ix.Variants), len(ix.Vary))
	}
	if ix = ix.Add(&Stored{NoVarySearch: "params"}, Key{}); ix.Add(&Stored{}, Key{}).NoVarySearch != "params" {
		t.Error("No-Vary-Search is forgotten")
	}
}

// TestAdopt: 9111 §4.1, a response without Vary does not stand for others
// where the resource is known to vary.
func TestAdopt(t *testing.T) {
	p := mustPolicy(t, pureRule)
	bare := func() *Stored { return store(t, p, get(t, ""), answer(t, 200, "Cache-Control: max-age=60")) }
	s := bare()
	if p.Adopt(get(t, ""), s, nil); len(s.VaryFields) != 0 {
		t.Errorf("no index: %q", s.VaryFields)
	}
	ix := (*Index)(nil).Add(&Stored{VaryFields: []string{"accept-language;de", "foo"}}, Key{})
	s = bare()
	p.Adopt(get(t, "Foo: 1"), s, ix)
	if !p.Matches(get(t, "Foo: 1"), s) || p.Matches(get(t, ""), s) || p.Matches(get(t, "Foo: 1\nAccept-Language: de"), s) {
		t.Errorf("%q = %q", s.VaryFields, s.VaryValues)
	}
	s.VaryFields = []string{"bar"}
	if p.Adopt(get(t, ""), s, ix); s.VaryFields[0] != "bar" {
		t.Error("a Vary was replaced")
	}
}

func TestUpstreamAcceptEncoding(t *testing.T) {
	for fields, want := range map[string]string{
		"": "identity", "Accept-Encoding:": "identity", "Accept-Encoding: gzip": "gzip", "Accept-Encoding: br": "identity",
		"Accept-Encoding: br, GZIP;q=0.5": "gzip", "Accept-Encoding: gzip;q=0": "identity", "Accept-Encoding: gzip ; q=0.000, *": "identity",
		"Accept-Encoding: *": "gzip", "Accept-Encoding: *;q=0": "identity", "Accept-Encoding: *, gzip;q=0": "identity",
		"Accept-Encoding: gzip;q=x": "identity", "Accept-Encoding: br\nAccept-Encoding: gzip": "gzip", "Accept-Encoding: gzip;q=0.001": "gzip",
	} {
		if got := UpstreamAcceptEncoding(get(t, fields)); got != want {
			t.Errorf("%q: %s, want %s", fields, got, want)
		}
	}
}

// TestNewer: 9111 §4.1, of several that match the most recent Date counts.
func TestNewer(t *testing.T) {
	p := mustPolicy(t, pureRule)
	made := func(date string, arrived time.Duration) *Stored {
		resp := answer(t, 200, "Cache-Control: max-age=600\nDate: "+date)
		resp.RequestTime, resp.ResponseTime = t0.Add(arrived), t0.Add(arrived)
		return store(t, p, get(t, ""), resp)
	}
	late, early, tie := made(at(-10), 0), made(at(-20), time.Minute), made(at(-10), time.Second)
	if !late.Newer(early) || early.Newer(late) || !tie.Newer(late) || late.Newer(tie) {
		t.Error("not the one with the later Date, nor of two the one that came last")
	}
}
