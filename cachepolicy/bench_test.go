package cachepolicy

import (
	"net/http"
	"testing"
	"time"
)

func mustPolicy(tb testing.TB, rule Rule) *Policy {
	tb.Helper()
	p, err := NewPolicy(rule)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func benchRoutes(tb testing.TB) *Routes {
	tb.Helper()
	var rules []Rule
	for _, pattern := range []string{"/certificados/", "/certificado/{id}", "/verificar/{codigo}", "POST /accounts/login/", "/admin/", "/panel/", "/{$}", "/static/{rest...}", "GET /api/v1/{kind}/{id}"} {
		rules = append(rules, Rule{Pattern: pattern, TTL: time.Minute, StaleWhileRevalidate: -1, StaleIfError: -1,
			Query: QueryRule{Drop: []string{"utm_*", "gclid", "fbclid"}, Sort: true}})
	}
	rs, faults := NewRoutes(rules)
	if len(faults) > 0 {
		tb.Fatal(faults)
	}
	return rs
}

var browserHeader = http.Header{
	"Accept":          {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	"Accept-Encoding": {"gzip, deflate, br, zstd"},
	"Accept-Language": {"es-ES,es;q=0.8,en-US;q=0.5,en;q=0.3"},
	"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	"Cache-Control":   {"max-age=0"},
}

func BenchmarkMatch(b *testing.B) {
	rs := benchRoutes(b)
	b.ReportAllocs()
	for b.Loop() {
		if rs.Match("GET", "example.com", "/certificado/1234").ID() != 2 {
			b.Fatal()
		}
	}
}

func BenchmarkKey(b *testing.B) {
	rs := benchRoutes(b)
	for _, bench := range []struct{ name, query string }{{"plain", ""}, {"query", "page=2&utm_source=x&b=1"}} {
		b.Run(bench.name, func(b *testing.B) {
			r := &Request{Method: "GET", Scheme: "https", Host: "example.com", Path: "/certificado/1234", Query: bench.query, Header: browserHeader}
			p := rs.Match("GET", r.Host, r.Path)
			b.ReportAllocs()
			for b.Loop() {
				p.Key(r)
			}
		})
	}
}

func BenchmarkReuse(b *testing.B) {
	p := mustPolicy(b, Rule{Pattern: "/", TTL: AppTTL, StaleWhileRevalidate: -1, StaleIfError: -1})
	for _, bench := range []struct {
		name, vary string
		trusted    bool
	}{{"plain", "", false}, {"trusted", "", true}, {"vary", "Accept-Language", false}} {
		b.Run(bench.name, func(b *testing.B) {
			r := &Request{Method: "GET", Scheme: "https", Host: "example.com", Path: "/", Header: browserHeader, Trusted: bench.trusted}
			h := http.Header{"Cache-Control": {"max-age=3600"}, "Date": {t0.Format(http.TimeFormat)}}
			if bench.vary != "" {
				h["Vary"] = []string{bench.vary}
			}
			s, reason := p.Storable(r, &Response{Status: 200, Header: h, Length: -1, RequestTime: t0, ResponseTime: t0})
			if s == nil {
				b.Fatal(reason)
			}
			now := t0.Add(time.Minute)
			b.ReportAllocs()
			for b.Loop() {
				p.Reuse(r, Candidate{Stored: s}, now)
			}
		})
	}
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func BenchmarkVariantKey(b *testing.B) {
	p := mustPolicy(b, Rule{})
	r := &Request{Method: "GET", Scheme: "https", Host: "example.com", Path: "/", Header: browserHeader}
	primary := p.Key(r)
	fields := []string{"accept-language", "user-agent"}
	b.ReportAllocs()
	for b.Loop() {
		p.VariantKey(primary, r, fields)
	}
}

func BenchmarkPathAmbiguous(b *testing.B) {
	for b.Loop() {
		if PathAmbiguous("/certificado/1234/caf%C3%A9") {
			b.Fatal()
		}
	}
}
