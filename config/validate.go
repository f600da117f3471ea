package config

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"umbral/cachepolicy"
)

// maxRoutes bounds what comparing each pattern with each other may cost.
const maxRoutes = 5000

// usualMethods are let in without being named.
var usualMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// validate looks at what single values cannot show.
func (d *decoder) validate(doc *Document, o Options) {
	d.decoded = true
	for i, method := range doc.Methods {
		if !isToken(method) || method != strings.ToUpper(method) || method == "CONNECT" || method == "TRACE" {
			d.wrong(&doc.Methods[i], "method %s cannot be let in", quoted(method))
		}
	}
	if len(doc.Routes) > maxRoutes {
		d.fault(d.where[&doc.Routes[maxRoutes]], "route %d: a file lists at most %d", maxRoutes+1, maxRoutes)
		doc.Routes = doc.Routes[:maxRoutes]
	}
	mux, lines := http.NewServeMux(), make(map[string]int)
	for i := range doc.Routes {
		d.pattern(&doc.Routes[i], mux, lines, doc.Methods)
		d.routeRules(&doc.Routes[i])
	}
	d.shared(&doc.Defaults)
	d.headerNames(doc.KeepHeaders)
	d.limits(&doc.Limits)
	d.sessions(&doc.Sessions, o)
	d.warm(&doc.Warm)
	if where, ok := d.named(&doc.Purge.LagLimit); ok && doc.Purge.LagLimit < time.Second {
		d.fault(where, "lag_limit is %s: at least 1s is needed", FormatDuration(doc.Purge.LagLimit))
	}
	for i := range doc.Tests {
		d.test(&doc.Tests[i])
	}
}

var conflictWith = regexp.MustCompile(`conflicts with pattern ("(?:[^"\\]|\\.)*")`)
var conflictPath = regexp.MustCompile(`both match some paths, like ("(?:[^"\\]|\\.)*")`)

// pattern registers r's pattern beside those before it, as the edge will.
func (d *decoder) pattern(r *Route, mux *http.ServeMux, lines map[string]int, methods []string) {
	where := r.at.of("match")
	if r.Match == "" {
		if _, named := r.at["match"]; named {
			d.fault(where, "match is empty: a pattern such as /panel/ is needed")
		}
		return
	}
	method, rest, spaced := strings.Cut(r.Match, " ")
	if !spaced {
		method, rest = "", r.Match
	}
	rest = strings.TrimLeft(rest, " \t")
	host, path, slash := strings.Cut(rest, "/")
	switch {
	case method == "CONNECT" || method == "TRACE":
		d.fault(where, "%s never comes in", method)
	case method != "" && isToken(method) && !slices.Contains(usualMethods, method) && !slices.Contains(methods, method):
		d.fault(where, "%s does not come in: name it in methods, at the top of the file", quoted(method))
	case slash && strings.Contains(host, ":"):
		d.fault(where, "host %s never matches: write it without a port", quoted(host))
	case slash && strings.ContainsFunc(host, notInHost) && !strings.Contains(host, "{"):
		d.fault(where, "host %s never matches: a host is a name, of letters, digits, dashes and dots", quoted(host))
	case strings.ContainsAny(path, "?#"):
		d.fault(where, "match %s never matches: a pattern is of the path alone, and query says what of the rest counts", quoted(r.Match))
	}
	registered := r.Match
	if slash { // hosts have no case
		registered = strings.TrimSuffix(r.Match, rest) + strings.ToLower(host) + rest[len(host):]
	}
	if err := register(mux, registered); err != "" {
		d.fault(where, "%s", conflict(r.Match, err, lines))
		return
	}
	lines[registered] = where.Line
}

// notInHost reports whether no Host that comes in holds c.
func notInHost(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._", c))
}

// register gives the panic's text where the mux refuses a pattern.
func register(mux *http.ServeMux, pattern string) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	mux.Handle(pattern, http.NotFoundHandler())
	return ""
}

// conflict says in one sentence why ServeMux refuses a pattern.
func conflict(pattern, text string, lines map[string]int) string {
	m := conflictWith.FindStringSubmatch(text)
	if m == nil {
		_, reason, ok := strings.Cut(text, `": `)
		if !ok {
			reason = text
		}
		return fmt.Sprintf("pattern %s cannot be read: %s", quoted(pattern), reason)
	}
	other, _ := strconv.Unquote(m[1])
	line := lines[other]
	if path := conflictPath.FindStringSubmatch(text); path != nil {
		return fmt.Sprintf("pattern %s conflicts with %s on line %d: both match %s, and neither is more specific",
			quoted(pattern), quoted(other), line, path[1])
	}
	if strings.Contains(text, "matches the same requests") {
		return fmt.Sprintf("pattern %s matches the same requests as %s on line %d", quoted(pattern), quoted(other), line)
	}
	return fmt.Sprintf("pattern %s conflicts with %s on line %d: one has fewer methods, the other the more specific path",
		quoted(pattern), quoted(other), line)
}

func (d *decoder) routeRules(r *Route) {
	d.shared(&r.Shared)
	if r.Cache == Off {
		for _, key := range []string{"ttl", "status", "tags", "refresh_ahead"} {
			if p, named := r.at[key]; named {
				d.fault(p, "%s makes no sense where cache is off", key)
			}
		}
	}
	for i := range r.Tags {
		d.tag(r, &r.Tags[i])
	}
	if r.RateLimit == nil {
		return
	}
	if where, ok := d.named(&r.RateLimit.Rate); ok && r.RateLimit.Rate == (Rate{}) {
		d.fault(where, "rate is 0: leave rate_limit out where there is none")
	}
}

var wildcard = regexp.MustCompile(`\{([^{}]*)\}`)

// tag looks for wildcards that the pattern does not have.
func (d *decoder) tag(r *Route, tag *string) {
	if *tag == "" || strings.ContainsFunc(*tag, isTagBreak) {
		d.wrong(tag, "tag %s: a tag is not empty and holds no spaces and no commas", quoted(*tag))
	}
	if strings.ContainsAny(wildcard.ReplaceAllString(*tag, ""), "{}") {
		d.wrong(tag, "tag %s has a brace without its other half", quoted(*tag))
	}
	var known []string
	for _, m := range wildcard.FindAllStringSubmatch(r.Match, -1) {
		if name := strings.TrimSuffix(m[1], "..."); name != "$" && name != "" {
			known = append(known, name)
		}
	}
	for _, m := range wildcard.FindAllStringSubmatch(*tag, -1) {
		if slices.Contains(known, m[1]) {
			continue
		}
		has := "has none"
		if len(known) > 0 {
			has = "has " + anyOf(known)
		}
		d.wrong(tag, "tag %s: unknown wildcard %s: pattern %s %s", quoted(*tag), quoted(m[0]), quoted(r.Match), has)
	}
}

func isTagBreak(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) || c == ',' }

// maxValue is the most that Redis holds in one value.
const maxValue = 512 << 20

// shared looks at what routes and defaults have in common, each where it is
// said, so that a faulty default is one fault.
func (d *decoder) shared(s *Shared) {
	ttl := time.Duration(s.TTL)
	if where, ok := d.named(&s.TTL); ok {
		if ttl == 0 {
			d.fault(where, `ttl is 0: write "cache: off" where nothing is to be stored`)
		}
		d.life(where, "ttl", ttl)
	}
	for _, v := range []struct {
		key  string
		life *time.Duration
	}{
		{"stale_while_revalidate", &s.StaleWhileRevalidate},
		{"stale_if_error", &s.StaleIfError},
		{"stale_if_unreachable", &s.StaleIfUnreachable},
	} {
		if where, ok := d.named(v.life); ok {
			d.life(where, v.key, *v.life)
		}
	}
	if where, ok := d.named(&s.Status); ok {
		for code, life := range s.Status {
			d.life(where, "status "+strconv.Itoa(code), life)
		}
	}
	if where, ok := d.named(&s.MaxObject); ok && (s.MaxObject == 0 || s.MaxObject > maxValue) {
		d.fault(where, "max_object is %d bytes: from 1 byte to 512MiB can be stored", s.MaxObject)
	}
	d.query(&s.Query)
	if _, ok := d.named(&s.VaryHeaders); ok {
		d.headerNames(s.VaryHeaders)
		for i, name := range s.VaryHeaders {
			d.varyHeader(&s.VaryHeaders[i], strings.ToLower(name))
		}
	}
	if _, ok := d.named(&s.VaryCookies); ok {
		d.cookieNames(s.VaryCookies)
	}
}

func (d *decoder) life(where Position, key string, life time.Duration) {
	if life > cachepolicy.MaxLife {
		d.fault(where, "%s is longer than %s: nothing is kept for longer", key, FormatDuration(cachepolicy.MaxLife))
	}
}

func (d *decoder) varyHeader(v *string, lower string) {
	switch {
	case lower == "cookie":
		d.wrong(v, "vary_headers cannot name Cookie: name cookies in vary_cookies, or write vary: session")
	case lower == "authorization" || strings.HasPrefix(lower, "x-edge-"):
		d.wrong(v, "vary_headers cannot name %s: write vary: session or vary: user", *v)
	case lower == "host":
		d.wrong(v, "vary_headers need not name Host: it is in every key")
	}
}

func (d *decoder) query(q *Query) {
	where, ok := d.named(q)
	if !ok {
		return
	}
	said := 0
	for _, v := range []any{&q.Keep, &q.Drop, &q.Ignore} {
		if _, ok := d.named(v); ok {
			said++
		}
	}
	if said > 1 {
		d.fault(where, "query names more than one of keep, drop and ignore: one of them says all")
	}
	for _, globs := range [][]string{q.Keep, q.Drop} {
		for i, glob := range globs {
			if glob == "" || strings.ContainsAny(glob, "&=#") || strings.ContainsFunc(glob, isTagBreak) {
				d.wrong(&globs[i], "query: %s is not the glob of a parameter's name", quoted(glob))
			}
		}
	}
}

func (d *decoder) headerNames(names []string) {
	for i, name := range names {
		if !isToken(name) {
			d.wrong(&names[i], "%s is not the name of a header", quoted(name))
		}
	}
}

func (d *decoder) cookieNames(names []string) {
	for i, name := range names {
		if !isToken(name) {
			d.wrong(&names[i], "%s is not the name of a cookie", quoted(name))
		}
	}
}

// limits refuses a zero that is written: it reads as "none" and would mean
// "the default".
func (d *decoder) limits(l *Limits) {
	for _, v := range []struct {
		key  string
		size *Size
	}{{"body", &l.Body}, {"url", &l.URL}, {"header", &l.Header}} {
		if where, ok := d.named(v.size); ok && *v.size == 0 {
			d.fault(where, "limits: %s is 0: nothing would come in", v.key)
		}
	}
	for _, v := range []struct {
		key  string
		time *time.Duration
	}{{"header_time", &l.HeaderTime}, {"body_time", &l.BodyTime}, {"app_time", &l.AppTime}} {
		if where, ok := d.named(v.time); ok && *v.time == 0 {
			d.fault(where, "limits: %s is 0: nothing would come in", v.key)
		}
	}
}

func (d *decoder) warm(w *Warm) {
	check := func(v *string) {
		if *v != "" && !strings.HasPrefix(*v, "/") {
			d.wrong(v, "warm: %s is not a path: it begins with /", quoted(*v))
		}
	}
	if u, err := url.Parse("http://" + w.Site + "/"); w.Site != "" && (err != nil || u.Host != w.Site || u.User != nil || u.Path != "/") {
		d.wrong(&w.Site, "warm: %s is not a host such as www.example.org", quoted(w.Site))
	}
	check(&w.Sitemap)
	for i := range w.URLs {
		check(&w.URLs[i])
	}
	if where, ok := d.named(&w.Every); ok && w.Every != 0 && w.Every < time.Second {
		d.fault(where, "every is %s: at least 1s is needed", FormatDuration(w.Every))
	}
}

func (d *decoder) test(t *Test) {
	if _, _, err := t.Split(); err != nil && t.Request != "" {
		d.wrong(&t.Request, "%v", err)
	}
	for _, other := range []*string{t.Expect.SameAs, t.Expect.NotSameAs} {
		if other == nil {
			continue
		}
		if _, err := parseTarget(*other); err != nil {
			d.wrong(other, "%v", err)
		}
	}
	if reason := t.Expect.Reason; reason != nil && *reason != cachepolicy.None.String() &&
		!slices.ContainsFunc(cachepolicy.Reasons(), func(r cachepolicy.Reason) bool { return r.String() == *reason }) {
		d.wrong(reason, "reason is %s: no answer ever has it", quoted(*reason))
	}
	if where, ok := d.named(&t.Expect); ok && reflect.ValueOf(t.Expect).IsZero() {
		d.fault(where, "expect names nothing to look at")
	}
}

// Split is the request's method and its URL; a path alone has no host.
func (t *Test) Split() (method string, target *url.URL, err error) {
	method, rest, ok := strings.Cut(t.Request, " ")
	if !ok {
		method, rest = "GET", t.Request
	}
	if !isToken(method) {
		return "", nil, fmt.Errorf("request %s: write a method and a path, such as GET /panel/", quoted(t.Request))
	}
	target, err = parseTarget(strings.TrimLeft(rest, " "))
	return method, target, err
}

func parseTarget(s string) (*url.URL, error) {
	u, err := url.ParseRequestURI(s)
	if err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, fmt.Errorf("request %s: a path or an http URL is needed", quoted(s))
	}
	return u, nil
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
	})
}
