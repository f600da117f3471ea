package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"umbral/cachepolicy"
	"umbral/config"
)

func newTestCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test [routes.yaml]",
		Short: "Run the tests that the routes file holds, with no server",
		Long: `Runs the file's own tests: which route a request meets, what is in its key,
and what becomes of it when it is made again. Nothing is asked: the app's answer
is the test's "response", or a plain 200. The exit code is 1 if a test fails.`,
		Example: `  umbral test deploy/routes.yaml

  tests:
    - request: GET /certificado/7?utm_source=x
      expect: {route: "/certificado/{id}", ttl: 1h, tags: ["certificado:7"], key_query: "", verdict: hit}`,
		Args: takes(0, 1, "file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := loadRoutes(cmd, args)
			if err != nil {
				return err
			}
			return runTests(cmd, file, verbose)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "name the tests that pass as well")
	addSettings(cmd, routesSettings...)
	return cmd
}

func runTests(cmd *cobra.Command, file *config.File, verbose bool) error {
	routes, faults := cachepolicy.NewRoutes(file.Rules)
	if len(faults) > 0 {
		return file.Fault(faults[0].Index, faults[0].Field, faults[0].Err)
	}
	failed := 0
	for i := range file.Tests {
		test := &file.Tests[i]
		wrong := newTrial(routes, file, test).compare(test.Expect)
		for _, text := range wrong {
			at := test.At()
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d:%d: %s: %s\n", file.Path, at.Line, at.Column, test.Request, text)
		}
		if len(wrong) > 0 {
			failed++
		} else if verbose {
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "ok   %s\n", test.Request)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, count(len(file.Tests), "test"))
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s passed\n", file.Path, count(len(file.Tests), "test"))
	return err
}

// trial is what becomes of a test's request: judged, stored if it may be, and
// made again.
type trial struct {
	routes  *cachepolicy.Routes
	bypass  []string // cookies that keep stored pages from their visitor
	test    *config.Test
	policy  *cachepolicy.Policy
	request *cachepolicy.Request
	path    string

	stored  *cachepolicy.Stored // nil: not stored
	verdict string
	reason  cachepolicy.Reason
}

// began is when the first request of every test is made.
var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newTrial(routes *cachepolicy.Routes, file *config.File, test *config.Test) *trial {
	method, target, _ := test.Split() // the loader has looked at it
	t := &trial{routes: routes, bypass: file.Sessions.AppCookies.Bypass, test: test}
	t.policy, t.request = t.prepare(method, target)
	t.path = t.request.Path
	response := &cachepolicy.Response{
		Status: http.StatusOK, Header: http.Header{}, Length: -1, RequestTime: began, ResponseTime: began,
	}
	if test.Response != nil {
		response.Status = test.Response.Status
		for name, value := range test.Response.Headers {
			response.Header.Add(textproto.CanonicalMIMEHeaderKey(name), value)
		}
	}
	// A Set-Cookie that the jar does not hold yet changes it.
	response.CookieChange = response.Header["Set-Cookie"] != nil
	t.judge(response)
	return t
}

// prepare makes of a URL what the edge would make of the visitor's request.
func (t *trial) prepare(method string, target *url.URL) (*cachepolicy.Policy, *cachepolicy.Request) {
	r := &cachepolicy.Request{
		Method: method, Scheme: cmp.Or(target.Scheme, "http"), Host: strings.ToLower(target.Host),
		Path: cmp.Or(target.EscapedPath(), "/"), Query: target.RawQuery, Header: http.Header{},
	}
	for name, value := range t.test.Headers {
		r.Header.Add(textproto.CanonicalMIMEHeaderKey(name), value)
	}
	switch {
	case t.test.User != "":
		r.Identity = cachepolicy.Identity{Auth: cachepolicy.SignedIn, User: t.test.User, Session: cmp.Or(t.test.Session, "session of "+t.test.User)}
	case t.test.Session != "":
		r.Identity = cachepolicy.Identity{Auth: cachepolicy.InSession, Session: t.test.Session}
	}
	policy := t.routes.Match(method, r.Host, r.Path)
	public := policy.Rule.Listed() && policy.Rule.Scope == cachepolicy.Public && (method == http.MethodGet || method == http.MethodHead)
	for _, name := range policy.Rule.VaryCookies {
		value, ok := t.test.Cookies[name]
		if !ok {
			value = "\x00"
		}
		r.VaryCookies = append(r.VaryCookies, value)
	}
	var up []string
	for _, name := range sorted(t.test.Cookies) {
		// A public page is asked for without any cookie but those in its key.
		if !public || slices.Contains(policy.Rule.VaryCookies, name) {
			up = append(up, name+"="+t.test.Cookies[name])
		}
	}
	r.Cookie = strings.Join(up, "; ")
	if public {
		r.Identity = cachepolicy.Identity{}
	}
	return policy, r
}

// judge stores the answer if it may be, and makes the request again. The
// verdicts are those of the access log.
func (t *trial) judge(response *cachepolicy.Response) {
	bypass := t.policy.Bypass(t.request)
	for _, name := range t.bypass {
		if _, held := t.test.Cookies[name]; held && bypass == cachepolicy.None {
			bypass = cachepolicy.FlashCookie
		}
	}
	var why cachepolicy.Reason
	t.stored, why = t.policy.Storable(t.request, response)
	if bypass != cachepolicy.None {
		t.verdict, t.reason = "bypass", bypass
		return
	}
	var c cachepolicy.Candidate
	if t.stored != nil {
		c.Stored = t.stored
	}
	d := t.policy.Reuse(t.request, c, began.Add(t.test.After))
	t.verdict, t.reason = verdictWords[d.Verdict], d.Reason
	if t.stored == nil && d.Verdict == cachepolicy.Forward {
		t.reason = why
	}
}

var verdictWords = map[cachepolicy.Verdict]string{
	cachepolicy.Serve: "hit", cachepolicy.ServeStale: "stale", cachepolicy.Validate: "revalidated",
	cachepolicy.Forward: "miss", cachepolicy.GatewayTimeout: "refused",
}

// decisionWords are the decisions behind the access log's verdicts; a test may
// name either.
var decisionWords = map[string]string{
	"hit": "serve", "stale": "serve_stale", "revalidated": "validate",
	"miss": "forward", "bypass": "forward", "refused": "gateway_timeout",
}

// compare says what is other than expected.
func (t *trial) compare(want config.Expect) (wrong []string) {
	differ := func(what, got, want string) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", what, got, want))
		}
	}
	rule := &t.policy.Rule
	if want.Route != nil {
		differ("route", quote(rule.Pattern), quote(*want.Route))
	}
	if want.Vary != nil {
		differ("vary", scopeWords[rule.Scope], *want.Vary)
	}
	if want.TTL != nil {
		differ("ttl", t.ttl(time.Duration(*want.TTL)), config.FormatDuration(time.Duration(*want.TTL)))
	}
	if want.Tags != nil {
		differ("tags", set(t.tags()), set(want.Tags))
	}
	if want.Stored != nil {
		differ("stored", t.said(t.stored != nil), fmt.Sprint(*want.Stored))
	}
	if want.Verdict != nil && decisionWords[t.verdict] != *want.Verdict {
		got := t.verdict
		if got != *want.Verdict && t.reason != cachepolicy.None {
			got += " (" + t.reason.String() + ")"
		}
		differ("verdict", got, *want.Verdict)
	}
	if want.Reason != nil {
		differ("reason", quote(t.reason.String()), quote(*want.Reason))
	}
	return append(wrong, t.compareKey(want)...)
}

func (t *trial) compareKey(want config.Expect) (wrong []string) {
	if want.KeyQuery != nil {
		if got := t.policy.NormalQuery(t.request.Query); got != *want.KeyQuery {
			wrong = append(wrong, fmt.Sprintf("key_query is %q, want %q", got, *want.KeyQuery))
		}
	}
	for _, name := range sorted(want.KeyHeaders) {
		field := textproto.CanonicalMIMEHeaderKey(name)
		if !slices.Contains(t.policy.Rule.VaryHeaders, field) {
			wrong = append(wrong, fmt.Sprintf("key_headers: %s is not in the key", field))
		} else if got := strings.Join(t.request.Header[field], ", "); got != want.KeyHeaders[name] {
			wrong = append(wrong, fmt.Sprintf("key_headers: %s is %q, want %q", field, got, want.KeyHeaders[name]))
		}
	}
	for _, name := range sorted(want.KeyCookies) {
		if !slices.Contains(t.policy.Rule.VaryCookies, name) {
			wrong = append(wrong, fmt.Sprintf("key_cookies: %s is not in the key", name))
		} else if got := t.test.Cookies[name]; got != want.KeyCookies[name] {
			wrong = append(wrong, fmt.Sprintf("key_cookies: %s is %q, want %q", name, got, want.KeyCookies[name]))
		}
	}
	for _, other := range []struct {
		target *string
		same   bool
	}{{want.SameAs, true}, {want.NotSameAs, false}} {
		if other.target != nil && t.sameKey(*other.target) != other.same {
			word := "another key than"
			if !other.same {
				word = "the same key as"
			}
			wrong = append(wrong, fmt.Sprintf("it has %s %s", word, *other.target))
		}
	}
	return wrong
}

// sameKey compares keys with the same request for another target; one without
// a host means the same host.
func (t *trial) sameKey(target string) bool {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return false
	}
	if u.Host == "" {
		u.Scheme, u.Host = t.request.Scheme, t.request.Host
	}
	policy, r := t.prepare(t.request.Method, u)
	return policy.Key(r) == t.policy.Key(t.request)
}

// ttl is the lifetime of what was stored. A route of "ttl: app" is called so
// where that is what the test asks about.
func (t *trial) ttl(want time.Duration) string {
	switch {
	case want == cachepolicy.AppTTL:
		return config.FormatDuration(t.policy.Rule.TTL)
	case t.stored == nil:
		return t.because("0s")
	}
	return config.FormatDuration(t.stored.Lifetime.Fresh)
}

// tags are those of the stored answer, else those that the route would give.
func (t *trial) tags() []string {
	if t.stored != nil {
		return t.stored.Tags
	}
	return t.policy.FillTags(t.path)
}

func (t *trial) said(stored bool) string {
	if stored {
		return "true"
	}
	return t.because("false")
}

// because adds why nothing was stored.
func (t *trial) because(word string) string {
	if word == "0s" && t.test.Expect.TTL != nil && *t.test.Expect.TTL == 0 ||
		word == "false" && t.test.Expect.Stored != nil && !*t.test.Expect.Stored {
		return word
	}
	return fmt.Sprintf("%s (not stored: %s)", word, t.reason)
}

var scopeWords = map[cachepolicy.Scope]string{
	cachepolicy.Public: "public", cachepolicy.PerSession: "session", cachepolicy.PerUser: "user",
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

// set writes words in one order, so that sets compare.
func set(words []string) string {
	words = slices.Clone(words)
	sort.Strings(words)
	return fmt.Sprintf("%q", slices.Compact(words))
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
