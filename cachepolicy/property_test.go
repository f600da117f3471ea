package cachepolicy

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// generator makes requests and responses out of the words that matter.
type generator struct{ *rand.Rand }

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

var directiveWords = []string{
	"max-age=60", "max-age=\"30\"", "max-age=0", "s-maxage=90", "public", "private", "private=\"x-a\"", "no-cache", "no-cache=\"x-b\"", "no-store",
	"must-revalidate", "proxy-revalidate", "must-understand", "immutable", "no-transform", "stale-while-revalidate=20", "stale-if-error=40", "foo=\"max-age=5, bar\"", "baz",
}

func (g generator) directives() []string {
	words := append([]string(nil), directiveWords...)
	g.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	seen := map[string]bool{}
	var out []string
	for _, word := range words[:1+g.IntN(5)] {
		if name, _, _ := strings.Cut(word, "="); !seen[name] { // of duplicates, the order does matter
			seen[name] = true
			out = append(out, word)
		}
	}
	return out
}

func (g generator) response(tb testing.TB) *Response {
	resp := answer(tb, 200, "")
	resp.Header["Cache-Control"] = []string{strings.Join(g.directives(), ", ")}
	for _, line := range []string{"ETag: \"a\"", "Last-Modified: " + at(-500), "Expires: " + at(50), "Age: 10", "Date: " + at(-20), "Vary: Foo, Accept-Language", "Vary: Cookie", "Vary: *", "CDN-Cache-Control: max-age=70", "No-Vary-Search: params"} {
		if g.IntN(4) == 0 {
			name, value, _ := strings.Cut(line, ": ")
			resp.Header.Add(name, value)
		}
	}
	return resp
}

func (g generator) request(tb testing.TB) *Request {
	r := get(tb, "")
	r.Query = g.pick("", "a=1", "b=2")
	for _, name := range []string{"Foo", "Accept-Language"} {
		if g.IntN(3) > 0 {
			r.Header.Set(name, g.pick("de", "en", "de, en;q=0.5", "DE", "en ,de"))
		}
	}
	r.Cookie = g.pick("", "", "a=1", "a=2")
	r.Trusted = g.IntN(2) == 0
	if g.IntN(3) == 0 {
		r.Header.Set("Cache-Control", g.pick("max-age=20", "min-fresh=20", "max-stale=20", "max-stale", "only-if-cached", "no-cache", "max-age=0"))
	}
	if n := g.IntN(4); n > 0 {
		r.Identity = Identity{Auth: Auth(n - 1), Session: g.pick("s1", "s2"), User: g.pick("", "u1", "u2")}
	}
	return r
}

// TestFreshnessNeverGrows: the older, the less a response may be used: once
// it is not served as fresh, it never is again; and so for stale use.
func TestFreshnessNeverGrows(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(3, 4))}
	rank := map[Verdict]int{Serve: 3, ServeStale: 2, Validate: 1, Forward: 1, GatewayTimeout: 1}
	stored := 0
	for range 4000 {
		p := mustPolicy(t, pureRule)
		r := g.request(t)
		s, _ := p.Storable(r, g.response(t))
		if s == nil {
			continue
		}
		stored++
		c := Candidate{Stored: s, SoftPurged: g.IntN(8) == 0, LogLost: g.IntN(8) == 0}
		last, lastTTL, alive := 3, time.Duration(1<<62), true
		for seconds := -5; seconds < 200; seconds += 1 + g.IntN(9) {
			now := t0.Add(time.Duration(seconds) * time.Second)
			d := p.Reuse(r, c, now)
			if rank[d.Verdict] > last || d.TTL > lastTTL || d.Age < 0 {
				t.Fatalf("younger with age: %+v after %ds, %+v", d, seconds, s.Lifetime)
			}
			last, lastTTL = rank[d.Verdict], d.TTL
			ok := p.StaleOnError(s, ServerError, now)
			if ok && !alive || ok && !p.StaleOnError(s, Unreachable, now) {
				t.Fatalf("stale-if-error comes back after %ds: %+v", seconds, s.Lifetime)
			}
			alive = ok
			if d.Verdict == ServeStale && (s.Lifetime.MustRevalidate || s.Lifetime.NoCache) {
				t.Fatalf("stale against the app's word: %+v", s.Lifetime)
			}
			if s.Lifetime.NoCache && d.Verdict == Serve {
				t.Fatal("no-cache served")
			}
		}
	}
	if stored < 500 {
		t.Errorf("only %d responses were stored: the test proves little", stored)
	}
}

// TestOrderOfDirectives: 9111 §5.2, directives have no order.
func TestOrderOfDirectives(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(5, 6))}
	p := mustPolicy(t, pureRule)
	for range 2000 {
		words := g.directives()
		judge := func(lines ...string) (Lifetime, Reason) {
			resp := withTag(answer(t, 200, ""))
			resp.Header["Cache-Control"] = lines
			s, reason := p.Storable(get(t, ""), resp)
			if s == nil {
				return Lifetime{}, reason
			}
			return s.Lifetime, reason
		}
		wantLife, wantReason := judge(strings.Join(words, ", "))
		g.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		for _, lines := range [][]string{{strings.Join(words, ",")}, words, {strings.ToUpper(strings.Join(words, " ,, "))}} {
			if life, reason := judge(lines...); life != wantLife || reason != wantReason {
				t.Fatalf("%q: %+v %v, in another order %+v %v", lines, life, reason, wantLife, wantReason)
			}
		}
	}
}

// TestNeverAnothers: a response is never reused where a key or a field of
// Vary differs; and never, on a personal route, for another.
func TestNeverAnothers(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(7, 8))}
	served := 0
	for range 20000 {
		rule := pureRule
		rule.Scope = Scope(g.IntN(3))
		p := mustPolicy(t, rule)
		a, b := g.request(t), g.request(t)
		if p.Bypass(a) != None || p.Bypass(b) != None {
			continue
		}
		s, _ := p.Storable(a, g.response(t))
		if s == nil {
			continue
		}
		samePrimary := p.Key(a) == p.Key(b)
		samePerson := a.Identity.Session == b.Identity.Session
		if rule.Scope == PerUser && (a.Identity.User != "" || b.Identity.User != "") {
			samePerson = a.Identity.User == b.Identity.User
		}
		if rule.Scope != Public && samePrimary && !samePerson {
			t.Fatalf("%+v and %+v share a key", a.Identity, b.Identity)
		}
		sameVariant := p.VariantKey(p.Key(a), a, s.VaryFields) == p.VariantKey(p.Key(a), b, s.VaryFields)
		if p.Matches(b, s) != sameVariant {
			t.Fatalf("Matches and VariantKey disagree over %q", s.VaryFields)
		}
		if d := p.Reuse(b, Candidate{Stored: s}, t0); d.Verdict == Serve || d.Verdict == ServeStale {
			served++
			if !sameVariant {
				t.Fatalf("reused although %q differ", s.VaryFields)
			}
			for _, field := range s.VaryFields {
				if field == "foo" && a.Header.Get("Foo") != b.Header.Get("Foo") && !strings.Contains(a.Header.Get("Foo")+b.Header.Get("Foo"), ",") {
					t.Fatalf("reused although Foo differs")
				}
				if field == "cookie" && a.Cookie != b.Cookie {
					t.Fatalf("reused although Cookie differs")
				}
			}
		}
	}
	if served < 500 {
		t.Errorf("only %d were served: the test proves little", served)
	}
}

func mayShare(resp *Response) bool {
	d, _ := govern(resp.Header)
	return d.sharedConsent()
}

// TestFreshenIsStorable: what a 304 makes of a stored response is what
// Storable makes of the whole response with the same fields.
func TestFreshenIsStorable(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(9, 10))}
	p := mustPolicy(t, pureRule)
	compared := 0
	for range 4000 {
		r := g.request(t)
		s, _ := p.Storable(r, withTag(g.response(t)))
		if s == nil {
			continue
		}
		nm := withTag(g.response(t))
		nm.Status = http.StatusNotModified
		got, ok := p.Freshen(r, s, nm)
		if !ok {
			continue
		}
		whole := answer(t, 200, "")
		for name, lines := range s.Fields.Header() {
			whole.Header[name] = lines
		}
		delete(whole.Header, "Date")
		for name, lines := range nm.Header {
			whole.Header[name] = lines
		}
		want, reason := p.Storable(r, whole)
		if reason != got.Unkept {
			if reason == RequestNoStore || got.Unkept == Authorization && !mayShare(nm) {
				continue // §3.5: a 304 must allow sharing itself
			}
			t.Fatalf("unkept because of %v, Storable says %v", got.Unkept, reason)
		}
		if want != nil {
			compared++
			if want.Lifetime != got.Lifetime || want.InitialAge != got.InitialAge {
				t.Fatalf("%+v, Storable says %+v", got.Lifetime, want.Lifetime)
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d were compared", compared)
	}
}
