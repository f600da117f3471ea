package cachepolicy

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSetValidators(t *testing.T) {
	p := mustPolicy(t, pureRule)
	for _, row := range []struct {
		name, stored string
		tags         string
		want         string
	}{
		{"9111 §4.3.1 entity-tag", `ETag: "a"`, "", `If-None-Match: "a"`},
		{"9111 §4.3.1 weak entity-tag", `ETag: W/"a"`, "", `If-None-Match: W/"a"`},
		{"9111 §4.3.1 Last-Modified", "Last-Modified: " + at(-5), "", "If-Modified-Since: " + at(-5)},
		{"9111 §4.3.1 both", "ETag: \"a\"\nLast-Modified: " + at(-5), "", "If-None-Match: \"a\"\nIf-Modified-Since: " + at(-5)},
		{"9111 §4.3.1 the one selected, whatever others there are", `ETag: "a"`, `"b"`, `If-None-Match: "a"`},
		{"9111 §4.1 none selected: every variant", "", `"b" W/"c" "b"`, `If-None-Match: "b", W/"c"`},
		{"9110 §13.1.2 a star is no entity-tag", "ETag: *\nLast-Modified: " + at(-5), "", "If-Modified-Since: " + at(-5)},
		{"9110 §8.8.2 Last-Modified is no date", "ETag: \"a\"\nLast-Modified: 5", "", `If-None-Match: "a"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s *Stored
			if row.stored != "" {
				s = store(t, p, get(t, ""), answer(t, 200, "Cache-Control: max-age=60\n"+row.stored))
			}
			ix := new(Index)
			for _, tag := range strings.Fields(row.tags) {
				ix.Variants = append(ix.Variants, Variant{ETag: tag})
			}
			h := header(t, "If-Match: x\nIf-Range: x\nIf-None-Match: x\nIf-Modified-Since: x\nIf-Unmodified-Since: x\nFoo: 1")
			p.SetValidators(h, s, ix)
			want := header(t, row.want+"\nFoo: 1\nIf-Range: x") // If-Range belongs to Range (9110 §13.1.5)
			for name := range want {
				if h.Get(name) != want.Get(name) {
					t.Errorf("%s: %q, want %q", name, h.Get(name), want.Get(name))
				}
			}
			if len(h) != len(want) {
				t.Errorf("%v, want %v", h, want)
			}
		})
	}
	h := http.Header{}
	if p.SetValidators(h, nil, nil) || len(h) != 0 {
		t.Errorf("nothing stored: %v", h)
	}
}

func TestFreshenSelects(t *testing.T) {
	p := mustPolicy(t, pureRule)
	for _, row := range []struct {
		name, stored, notModified, asked string
		want                             bool
	}{
		{"9111 §4.3.4 the same strong tag", `ETag: "a"`, `ETag: "a"`, "", true},
		{"9111 §4.3.4 another strong tag", `ETag: "a"`, `ETag: "b"`, `"a"`, false},
		{"9111 §4.3.4 a strong tag for a weak one", `ETag: W/"a"`, `ETag: "a"`, `W/"a"`, false},
		{"9111 §4.3.4 the same weak tag", `ETag: W/"a"`, `ETag: W/"a"`, "", true},
		{"9111 §4.3.4 a weak tag for a strong one", `ETag: "a"`, `ETag: W/"a"`, "", true},
		{"9111 §4.3.4 another weak tag", `ETag: W/"a"`, `ETag: W/"b"`, `W/"a"`, false},
		{"9111 §4.3.4 strong tag, nothing stored with one", "Last-Modified: " + at(-5), `ETag: "a"`, "", false},
		{"9111 §4.3.4 the same Last-Modified", "Last-Modified: " + at(-5), "Last-Modified: " + at(-5), "", true},
		{"9111 §4.3.4 another Last-Modified", "Last-Modified: " + at(-5), "Last-Modified: " + at(-4), "", false},
		{"9111 §4.3.4 strong tag beats Last-Modified", "ETag: \"a\"\nLast-Modified: " + at(-5), "ETag: \"a\"\nLast-Modified: " + at(-4), "", true},
		{"9111 §4.3.4 no validator, only this one asked for", `ETag: "a"`, "", `"a"`, true},
		{"9111 §4.3.4 no validator, several asked for", `ETag: "a"`, "", `"a", "b"`, false},
		{"9111 §4.3.4 no validator, it is not known what was asked", `ETag: "a"`, "", "", false},
		{"9111 §4.3.4 no validator, asked by date alone", "Last-Modified: " + at(-5), "", "", true},
		{"9111 §4.3.4 Last-Modified agrees, tag left out", "ETag: \"a\"\nLast-Modified: " + at(-5), "Last-Modified: " + at(-5), `"a"`, true},
		{"9111 §4.3.4 Last-Modified disagrees, tag left out", "ETag: \"a\"\nLast-Modified: " + at(-5), "Last-Modified: " + at(-4), `"a"`, false},
		{"9111 §4.3.4 a tag that is none", `ETag: "a"`, `ETag: "a" "b"`, `"a"`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := store(t, p, get(t, ""), answer(t, 200, "Cache-Control: max-age=60\n"+row.stored))
			nm := answer(t, 304, row.notModified)
			nm.IfNoneMatch = row.asked
			if _, got := p.Freshen(get(t, ""), s, nm); got != row.want {
				t.Errorf("selected: %v", got)
			}
		})
	}
	s := store(t, p, get(t, ""), withTag(answer(t, 200, "Cache-Control: max-age=60")))
	if _, ok := p.Freshen(get(t, ""), s, withTag(answer(t, 200, ""))); ok {
		t.Error("a 200 freshens nothing")
	}
}

// TestFreshenAnotherVariant: each row says whether a 304 to the second request,
// with the tag of a response to the first, makes of it an answer to the second.
func TestFreshenAnotherVariant(t *testing.T) {
	const (
		basic = "Authorization: Basic "
		stars = "Access-Control-Allow-Origin: *"
	)
	for _, row := range []struct {
		name, stored, first, second, notModified string
		want                                     bool
	}{
		{"9111 §4.1 the tag of another variant", "Vary: Foo", "Foo: 1", "Foo: 2", "", true},
		{"9111 §4.1 another's Authorization", "Vary: Authorization", basic + "eA==", basic + "eQ==", "", false},
		{"9111 §4.1 nobody's Authorization", "Vary: Authorization", "", basic + "eQ==", "", false},
		{"9111 §4.1 the same Authorization, for another language", "Vary: Authorization, Accept-Language", basic + "eA==\nAccept-Language: de", basic + "eA==\nAccept-Language: en", "", true},
		{"Fetch §3.2.6 another's origin", allow("a"), origin("a"), origin("b"), "", false},
		{"Fetch §3.2.6 another's origin, and the 304 names the visitor's", allow("a"), origin("a"), origin("b"), allow("b"), true},
		{"Fetch §3.2.6 any origin", "Vary: Origin\n" + stars, origin("a"), origin("b"), "", true},
		{"Fetch §3.2.6 no origin", "Vary: Origin", origin("a"), origin("b"), "", true},
		{"9110 §12.5.3 a coding that was not asked for", "Vary: Accept-Encoding\nContent-Encoding: gzip", "Accept-Encoding: gzip", "", "", false},
		{"9110 §12.5.3 a coding, whatever Vary says", "Content-Encoding: gzip", "Accept-Encoding: gzip", "", "", false},
		{"9110 §12.5.3 a coding that was asked for", "Vary: Accept-Encoding, Foo\nContent-Encoding: gzip", "Accept-Encoding: gzip\nFoo: 1", "Accept-Encoding: gzip\nFoo: 2", "", true},
		{"9110 §12.5.3 no coding", "Vary: Accept-Encoding", "", "Accept-Encoding: gzip", "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPolicy(t, Rule{}) // no route: the app's own codings
			s := store(t, p, get(t, row.first), withTag(answer(t, 200, "Cache-Control: max-age=60, public\n"+row.stored)))
			r := get(t, row.second)
			out, ok := p.Freshen(r, s, withTag(answer(t, 304, "Cache-Control: max-age=600, public\n"+row.notModified)))
			if ok != row.want {
				t.Fatalf("freshened: %v", ok)
			}
			if ok && (out.Unkept != None || !p.Matches(r, out) || p.Matches(get(t, row.first), out)) {
				t.Errorf("unkept because of %v, %q by %q", out.Unkept, out.VaryFields, out.VaryValues)
			}
			if !p.Matches(get(t, row.first), s) || s.Lifetime.Fresh != time.Minute {
				t.Error("the stored response was changed")
			}
		})
	}
	p, r := mustPolicy(t, Rule{}), get(t, "")
	r.Cookie = "a=1"
	s := store(t, p, r, withTag(answer(t, 200, "Cache-Control: max-age=60, public\nVary: Cookie")))
	if _, ok := p.Freshen(get(t, ""), s, withTag(answer(t, 304, ""))); ok {
		t.Error("9111 §4.1 another's jar: freshened")
	}
}

func TestFreshen(t *testing.T) {
	p := mustPolicy(t, pureRule)
	r := get(t, "Foo: 1")
	s := store(t, p, r, answer(t, 200, `Cache-Control: max-age=60
		ETag: "a"
		Vary: Foo
		Cache-Tag: x
		Content-Type: text/html
		Content-Length: 5
		Content-Encoding: gzip
		X-Old: 1
		X-Both: 1
		X-Both: 2`))
	nm := answer(t, 304, `Cache-Control: max-age=600, stale-if-error=60
		ETag: "a"
		Age: 7
		Content-Type: text/plain
		Content-Length: 999
		Content-Encoding: br
		Content-Range: bytes 0-1/2
		Content-Digest: sha-256=:none:
		Repr-Digest: sha-256=:a:
		Connection: X-Hop
		X-Hop: 1
		Set-Cookie2: a=b
		X-Edge-Session-User: 1
		X-New: 1
		X-Both: 3`)
	nm.ResponseTime = t0.Add(90 * time.Second)
	nm.RequestTime = nm.ResponseTime
	out, ok := p.Freshen(r, s, nm)
	if !ok || out.Unkept != None {
		t.Fatalf("%v, unkept: %v", ok, out.Unkept)
	}
	for name, want := range map[string]string{
		"Cache-Control": "max-age=600, stale-if-error=60", "Content-Type": "text/plain", "Content-Length": "5", "Content-Encoding": "gzip",
		"X-Old": "1", "X-New": "1", "X-Both": "3", "X-Hop": "", "Connection": "", "Content-Range": "", "Set-Cookie2": "", "Age": "",
		"X-Edge-Session-User": "", "Date": at(90), "Content-Digest": "", "Repr-Digest": "sha-256=:a:",
	} {
		if got := out.Fields.Get(name); got != want {
			t.Errorf("9111 §3.2: %s: %q, want %q", name, got, want)
		}
	}
	if len(out.Fields.Values("X-Both")) != 1 {
		t.Error("9111 §3.2: all lines of a field are replaced")
	}
	if out.Lifetime.Fresh != 600*time.Second || out.Lifetime.StaleIfError != time.Minute || out.InitialAge != 7*time.Second {
		t.Errorf("9111 §4.3.4: %+v, initial age %v", out.Lifetime, out.InitialAge)
	}
	if len(out.Tags) != 1 || out.Tags[0] != "x" || !p.Matches(r, out) || out.ETag != `"a"` {
		t.Errorf("lost: tags %q, vary %q, tag %q", out.Tags, out.VaryFields, out.ETag)
	}
	if s.Fields.Get("Content-Type") != "text/html" || s.Fields.Get("X-New") != "" {
		t.Error("the stored response was changed")
	}
	if d := p.Reuse(r, Candidate{Stored: out}, t0.Add(100*time.Second)); d.Verdict != Serve || d.Age != 17*time.Second {
		t.Errorf("reuse after a validation: %+v", d)
	}

	t.Run("a 304 that forbids storing", func(t *testing.T) {
		for fields, want := range map[string]Reason{
			"Cache-Control: no-store": ResponseNoStore, "Cache-Control: private": ResponsePrivate, "Vary: *": VaryStar, "Set-Cookie: a=b": SetsCookie,
		} {
			nm := withTag(answer(t, 304, fields))
			out, ok := p.Freshen(r, s, nm)
			if !ok || out.Unkept != want || out.Keep(t0) != 0 || out.Fields.Get("Set-Cookie") != "" {
				t.Errorf("%q: %v, unkept because of %v, want %v", fields, ok, out.Unkept, want)
			}
			if d := p.Reuse(r, Candidate{Stored: out}, t0); d.Verdict != Forward {
				t.Errorf("%q: reused", fields)
			}
		}
	})
	t.Run("9111 §3.5 a 304 to Authorization allows sharing itself", func(t *testing.T) {
		s := store(t, p, get(t, ""), withTag(answer(t, 200, "Cache-Control: max-age=60, public")))
		for fields, want := range map[string]Reason{"X-User: bob": Authorization, "Cache-Control: max-age=60": Authorization, "Cache-Control: max-age=60, public": None} {
			out, ok := p.Freshen(get(t, "Authorization: Basic eA=="), s, withTag(answer(t, 304, fields)))
			if !ok || out.Unkept != want {
				t.Errorf("%q: %v, unkept because of %v, want %v", fields, ok, out.Unkept, want)
			}
		}
	})
	t.Run("a 304 without Cache-Control keeps the stored lifetime", func(t *testing.T) {
		out, _ := p.Freshen(r, s, withTag(answer(t, 304, "")))
		if out.Lifetime != s.Lifetime {
			t.Errorf("%+v", out.Lifetime)
		}
	})
	t.Run("the edge's own entity-tag", func(t *testing.T) {
		s := store(t, p, r, answer(t, 200, "Cache-Control: max-age=60\nLast-Modified: "+at(-5)))
		s.Fields = s.Fields.With("Etag", `"made"`)
		out, ok := p.Freshen(r, s, answer(t, 304, ""))
		if !ok || out.ETag != "" || out.Tag() != `"made"` {
			t.Errorf("%v: app's %q, visitors' %q", ok, out.ETag, out.Tag())
		}
		h := http.Header{}
		if p.SetValidators(h, out, nil); h.Get("If-None-Match") != "" {
			t.Error("the app is asked about a tag it does not know")
		}
	})
}

func TestPrecondition(t *testing.T) {
	p := mustPolicy(t, pureRule)
	const both = "ETag: \"a\"\nLast-Modified: "
	for _, row := range []struct {
		name, stored, request string
		status, want          int
	}{
		{"none", `ETag: "a"`, "", 200, 0},
		{"9110 §13.1.2 same", `ETag: "a"`, `If-None-Match: "a"`, 200, 304},
		{"9110 §13.1.2 another", `ETag: "a"`, `If-None-Match: "b"`, 200, 0},
		{"9110 §13.1.2 first of a list", `ETag: "a"`, `If-None-Match: "a", "b"`, 200, 304},
		{"9110 §13.1.2 last of a list", `ETag: "a"`, `If-None-Match: "b" , "a"`, 200, 304},
		{"9110 §13.1.2 list without spaces", `ETag: "a"`, `If-None-Match: "b",W/"c","a"`, 200, 304},
		{"9110 §13.1.2 empty members", `ETag: "a"`, `If-None-Match: ,, "a"`, 200, 304},
		{"9110 §13.1.2 over lines", `ETag: "a"`, "If-None-Match: \"b\"\nIf-None-Match: \"a\"", 200, 304},
		{"9110 §13.1.2 comma in a tag", `ETag: "a,b"`, `If-None-Match: "a,b"`, 200, 304},
		{"9110 §13.1.2 comma in a tag is not a list", `ETag: "a"`, `If-None-Match: "b,"a"`, 200, 0},
		{"9110 §13.1.2 star", `ETag: "a"`, "If-None-Match: *", 200, 304},
		{"9110 §13.1.2 star without a tag", "", "If-None-Match: *", 200, 304},
		{"9110 §13.1.2 star among others", `ETag: "a"`, `If-None-Match: "b", *`, 200, 0},
		{"9110 §8.8.3.2 weak, stored strong", `ETag: "a"`, `If-None-Match: W/"a"`, 200, 304},
		{"9110 §8.8.3.2 strong, stored weak", `ETag: W/"a"`, `If-None-Match: "a"`, 200, 304},
		{"9110 §8.8.3.2 weak, both", `ETag: W/"a"`, `If-None-Match: W/"a"`, 200, 304},
		{"9110 §8.8.3 w/ in lower case is no tag", `ETag: "a"`, `If-None-Match: w/"a"`, 200, 0},
		{"9110 §8.8.3 no quotes for quotes", `ETag: "a"`, `If-None-Match: a`, 200, 0},
		{"9110 §8.8.3 quotes for no quotes", `ETag: a`, `If-None-Match: "a"`, 200, 0},
		{"9110 §8.8.3 no quotes on either side", `ETag: a`, `If-None-Match: a`, 200, 304},
		{"9110 §8.8.3 case", `ETag: "a"`, `If-None-Match: "A"`, 200, 0},
		{"9110 §8.8.3 empty tag", `ETag: ""`, `If-None-Match: ""`, 200, 304},
		{"9110 §8.8.3 unterminated", `ETag: "a"`, `If-None-Match: "a`, 200, 0},
		{"9110 §13.1.2 nothing stored", "", `If-None-Match: "a"`, 200, 0},
		{"9110 §13.1.3 same", both + at(-5), "If-Modified-Since: " + at(-5), 200, 304},
		{"9110 §13.1.3 later", both + at(-5), "If-Modified-Since: " + at(-4), 200, 304},
		{"9110 §13.1.3 earlier", both + at(-5), "If-Modified-Since: " + at(-6), 200, 0},
		{"9110 §13.1.3 no date", both + at(-5), "If-Modified-Since: yesterday", 200, 0},
		{"9110 §13.1.3 two dates", both + at(-5), "If-Modified-Since: " + at(-4) + "\nIf-Modified-Since: " + at(-4), 200, 0},
		{"9110 §13.1.3 another form", "Last-Modified: " + at(-5), "If-Modified-Since: Sunday, 01-Mar-26 12:00:00 GMT", 200, 304},
		{"9111 §4.3.2 by Date", "Date: " + at(-5), "If-Modified-Since: " + at(-5), 200, 304},
		{"9111 §4.3.2 by Date, earlier", "Date: " + at(-5), "If-Modified-Since: " + at(-6), 200, 0},
		{"9111 §4.3.2 by arrival", "", "If-Modified-Since: " + at(0), 200, 304},
		{"9110 §13.2.2 If-None-Match first, matches", both + at(-5), "If-None-Match: \"a\"\nIf-Modified-Since: " + at(-6), 200, 304},
		{"9110 §13.2.2 If-None-Match first, does not", both + at(-5), "If-None-Match: \"b\"\nIf-Modified-Since: " + at(-5), 200, 0},
		{"9110 §13.1.3 ignored with If-None-Match, malformed", both + at(-5), "If-None-Match: \nIf-Modified-Since: " + at(-5), 200, 0},
		{"9110 §13.1.1 same", `ETag: "a"`, `If-Match: "a"`, 200, 0},
		{"9110 §13.1.1 another", `ETag: "a"`, `If-Match: "b"`, 200, 412},
		{"9110 §13.1.1 list", `ETag: "a"`, `If-Match: "b", "a"`, 200, 0},
		{"9110 §13.1.1 star", `ETag: "a"`, `If-Match: *`, 200, 0},
		{"9110 §13.1.1 weak", `ETag: W/"a"`, `If-Match: W/"a"`, 200, 412},
		{"9110 §13.1.4 unmodified", both + at(-5), "If-Unmodified-Since: " + at(-5), 200, 0},
		{"9110 §13.1.4 modified", both + at(-5), "If-Unmodified-Since: " + at(-6), 200, 412},
		{"9110 §13.1.4 no date", both + at(-5), "If-Unmodified-Since: x", 200, 0},
		{"9110 §13.1.4 ignored with If-Match", both + at(-5), "If-Match: \"a\"\nIf-Unmodified-Since: " + at(-6), 200, 0},
		{"9110 §13.2.2 If-Match before If-None-Match", `ETag: "a"`, "If-Match: \"b\"\nIf-None-Match: \"a\"", 200, 412},
		{"9110 §13.2.2 If-Match holds, then If-None-Match", `ETag: "a"`, "If-Match: \"a\"\nIf-None-Match: \"a\"", 200, 304},
		{"9110 §13.2.1 ignored on 404", `ETag: "a"`, `If-None-Match: "a"`, 404, 0},
		{"9110 §13.2.1 ignored on 301", `ETag: "a"`, `If-None-Match: *`, 301, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := store(t, p, get(t, ""), answer(t, row.status, "Cache-Control: max-age=60\n"+row.stored))
			r := get(t, row.request)
			if got := Precondition(r, s); got != row.want {
				t.Errorf("GET: %d, want %d", got, row.want)
			}
			r.Method = "HEAD"
			if got := Precondition(r, s); got != row.want {
				t.Errorf("HEAD: %d, want %d", got, row.want)
			}
			r.Method = "POST"
			if got := Precondition(r, s); got != 0 {
				t.Errorf("POST: %d", got)
			}
		})
	}
}
