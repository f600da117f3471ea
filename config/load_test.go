package config

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"umbral/cachepolicy"
)

var update = flag.Bool("update", false, "write testdata/bad/*.want anew")

// TestBadFiles holds each faulty file against all of its messages.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad files", err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(name+".yaml", data, Options{})
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got error %v, want faults", err)
			}
			want := strings.TrimSuffix(path, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, readErr := os.ReadFile(want)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if got := err.Error() + "\n"; got != string(golden) {
				t.Errorf("got:\n%swant:\n%s", got, golden)
			}
		})
	}
}

const manual = `version: 1
defaults:
  stale_while_revalidate: 30s
  stale_if_error: 1h
  max_object: 8MiB
  query: {drop: [utm_*, gclid, fbclid], sort: true}
routes:
  - match: /certificados/
    ttl: 15m
    vary: user
    tags: [certificados]
  - match: /certificado/{id}
    ttl: 1h
    tags: ["certificado:{id}"]
    vary_headers: [accept-language]
    vary_cookies: [django_language]
    query: {keep: [page]}
  - match: /verificar/{codigo}
    ttl: 24h
    status: {404: 30s, 301: 1d}
    refresh_ahead: 10%
  - match: POST /accounts/login/
    rate_limit: {rate: 10/m, by: ip}
  - match: /admin/
    cache: off
  - match: /panel/
    vary: user
    ttl: app
    esi: on
    control: on
    stale_if_error: 0s
sessions: {}
warm: {sitemap: /sitemap.xml, every: 1h, concurrency: 2}
tests:
  - request: GET /certificado/7?utm_source=x
    expect: {route: "/certificado/{id}", ttl: 1h, tags: ["certificado:7"], key_query: ""}
`

func parse(t *testing.T, text string, o Options) *File {
	t.Helper()
	f, err := Parse("routes.yaml", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRulesHaveDefaultsFilledIn(t *testing.T) {
	f := parse(t, manual, Options{TTL: 7 * time.Minute})
	utm := []string{"utm_*", "gclid", "fbclid"}
	base := cachepolicy.Rule{
		TTL: 7 * time.Minute, StaleWhileRevalidate: 30 * time.Second, StaleIfError: time.Hour,
		StaleIfUnreachable: time.Hour, MaxObject: 8 << 20,
		Query: cachepolicy.QueryRule{Drop: utm, Sort: true},
	}
	rule := func(change func(*cachepolicy.Rule)) cachepolicy.Rule {
		r := base
		change(&r)
		return r
	}
	want := []cachepolicy.Rule{
		rule(func(r *cachepolicy.Rule) {
			r.Pattern, r.TTL, r.Scope, r.Tags = "/certificados/", 15*time.Minute, cachepolicy.PerUser, []string{"certificados"}
		}),
		rule(func(r *cachepolicy.Rule) {
			r.Pattern, r.TTL, r.Tags = "/certificado/{id}", time.Hour, []string{"certificado:{id}"}
			r.VaryHeaders, r.VaryCookies = []string{"Accept-Language"}, []string{"django_language"}
			r.Query = cachepolicy.QueryRule{Keep: []string{"page"}, Sort: true}
		}),
		rule(func(r *cachepolicy.Rule) {
			r.Pattern, r.TTL, r.RefreshAhead = "/verificar/{codigo}", 24*time.Hour, 0.1
			r.Status = map[int]time.Duration{404: 30 * time.Second, 301: 24 * time.Hour}
		}),
		rule(func(r *cachepolicy.Rule) { r.Pattern = "POST /accounts/login/" }),
		rule(func(r *cachepolicy.Rule) { r.Pattern, r.Off = "/admin/", true }),
		rule(func(r *cachepolicy.Rule) {
			r.Pattern, r.TTL, r.Scope, r.ESI, r.Control = "/panel/", cachepolicy.AppTTL, cachepolicy.PerUser, true, true
			r.StaleIfError = 0
		}),
	}
	if !reflect.DeepEqual(f.Rules, want) {
		t.Errorf("got  %+v\nwant %+v", f.Rules, want)
	}
	if got := f.Limits[3]; got != (RateLimit{Rate{10, time.Minute}, "ip"}) || f.Limits[0] != (RateLimit{}) {
		t.Errorf("limits: %+v", f.Limits)
	}
	if f.Unlisted.Listed() || f.Unlisted.TTL != cachepolicy.AppTTL || f.Unlisted.StaleIfError != -1 {
		t.Errorf("unlisted: %+v", f.Unlisted)
	}
	if f.Sessions.Cookie.Name != "__Host-umbral" || f.Purge.LagLimit != 10*time.Second {
		t.Errorf("sessions %+v, purge %+v", f.Sessions, f.Purge)
	}
	if got := f.At(1, "TTL"); got != (Position{13, 10}) {
		t.Errorf("the ttl of the second rule is at %v", got)
	}
	if got := f.Fault(4, "Tags", errors.New("no")).Error(); got != "routes.yaml:24:5: no" {
		t.Errorf("fault: %s", got)
	}
}

func TestNothingSaidMeansBuiltIns(t *testing.T) {
	for _, f := range []*File{
		Empty("routes.yaml", Options{}),
		parse(t, "version: 1\nroutes:\ndefaults:\nsessions:\nwarm:\ntests:\n", Options{}),
	} {
		if len(f.Rules) != 0 || f.Warm.Concurrency != 0 || f.Sessions.CSRF != "inject" || f.Bounds != (Limits{}) {
			t.Errorf("got %+v", f)
		}
	}
	r := parse(t, "version: 1\nroutes: [{match: /}]", Options{PlainHTTP: true})
	want := cachepolicy.Rule{
		Pattern: "/", TTL: 5 * time.Minute, StaleWhileRevalidate: -1, StaleIfError: -1,
		StaleIfUnreachable: time.Hour, MaxObject: 8 << 20,
	}
	if !reflect.DeepEqual(r.Rules[0], want) {
		t.Errorf("got %+v\nwant %+v", r.Rules[0], want)
	}
	if r.Sessions.Cookie.Name != "umbral" {
		t.Errorf("plain http: cookie %q", r.Sessions.Cookie.Name)
	}
}

func TestDefaultsGiveWay(t *testing.T) {
	f := parse(t, `
routes:
  - {match: /a, query: {ignore: all}, vary: public, stale_if_unreachable: 0, status: {410: 1m}}
  - {match: /b, query: {sort: false}, control: off}
  - {match: /c}
defaults: {ttl: 1m, vary: session, query: {drop: [x], sort: on}, status: {404: 10s}, stale_if_unreachable: 2h}
sessions: {control: on}
version: 1
`, Options{})
	a, b, c := f.Rules[0], f.Rules[1], f.Rules[2]
	if !reflect.DeepEqual(a.Query, cachepolicy.QueryRule{Ignore: true, Sort: true}) || a.Scope != cachepolicy.Public || a.StaleIfUnreachable != 0 {
		t.Errorf("a: %+v", a)
	}
	if !reflect.DeepEqual(a.Status, map[int]time.Duration{410: time.Minute}) {
		t.Errorf("a's own statuses replace those of defaults: %v", a.Status)
	}
	if !reflect.DeepEqual(b.Query, cachepolicy.QueryRule{Drop: []string{"x"}}) || b.Control {
		t.Errorf("b: %+v", b)
	}
	if c.TTL != time.Minute || c.Scope != cachepolicy.PerSession || c.Status[404] != 10*time.Second || !c.Control || !f.Unlisted.Control {
		t.Errorf("c: %+v", c)
	}
}

func TestSessionsOfSection7(t *testing.T) {
	f := parse(t, `version: 1
sessions:
  cookie: {name: __Host-umbral, same_site: Lax, partitioned: false}
  lifetime: {mode: follow, absolute: 24h, idle: 0, anonymous: 30m, probation: 60s}
  limits: {cookies: 64, cookie_bytes: 4096, jar_bytes: 64KiB, cookie_header: 8000, new_per_ip: 30/m, per_user: 0, max_anonymous: 200000}
  app_cookies: {auth: [sessionid], rotate_on: [sessionid, csrftoken], sealed: [csrftoken, django_language, messages], expose: [], client_allow: [], bypass: [messages], adopt_once: false}
  csrf: inject
  control: off
  offline_grace: 5s
  identity: {source: none, header: X-Edge-Session-User, probe: {url: /whoami/, pointer: /id, every: 60s}, jwt: {alg: EdDSA, ttl: 60s}}
`, Options{})
	want := Empty("", Options{}).Sessions
	want.AppCookies.Expose, want.AppCookies.ClientAllow = []string{}, []string{}
	if !reflect.DeepEqual(f.Sessions, want) {
		t.Errorf("the documented section differs from the defaults:\n%+v\n%+v", f.Sessions, want)
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	f := parse(t, "version: 1\nroutes:\n  - {match: /a, query: &q {keep: [page]}}\n  - {match: /b, query: *q}\n", Options{})
	if got := f.Rules[1].Query.Keep; len(got) != 1 || got[0] != "page" {
		t.Errorf("got %v", got)
	}
}

func TestLoadSaysWhatIsWrongWithTheFileItself(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"), Options{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), "none.yaml: there is no such file") {
		t.Errorf("got %v", err)
	}
	if _, err = Load(dir, Options{}); err == nil || !strings.HasSuffix(err.Error(), ": is a directory") {
		t.Errorf("got %v", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte("#"+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(large, Options{}); err == nil || !strings.HasSuffix(err.Error(), "larger than 1024 KiB") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(manual))
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("routes.yaml", data, Options{})
		if (file == nil) == (err == nil) {
			t.Fatal("neither a file nor a fault, or both")
		}
		var faults Faults
		if err != nil && (!errors.As(err, &faults) || len(faults) == 0 || len(faults) > maxFaults) {
			t.Fatalf("%d faults: %v", len(faults), err)
		}
		for _, fault := range faults {
			if fault.Line < 0 || fault.Message == "" || strings.ContainsAny(fault.Message, "\n\r") {
				t.Errorf("fault %q", fault)
			}
		}
	})
}
