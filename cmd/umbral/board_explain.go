package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy"
	"umbral/proxy/admin"
	"umbral/proxy/store"
)

func (e *edge) explain(ctx context.Context, q admin.ExplainQuery) (admin.Explanation, error) {
	plain, err := admin.PlainURL(q.URL)
	if err != nil {
		return admin.Explanation{}, err
	}
	host, target := plain[:strings.IndexByte(plain, '/')], plain[strings.IndexByte(plain, '/'):]
	if host == "" || slices.Contains(appHosts(e.set), host) {
		host = e.site()
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, "/", nil)
	if err != nil {
		return admin.Explanation{}, err
	}
	if r.URL, err = url.ParseRequestURI(target); err != nil { // net/http's server would refuse it as well
		return admin.Explanation{}, &admin.Problem{Status: http.StatusBadRequest, Field: "url", Detail: "url: an escape in it is malformed"}
	}
	r.Host, r.RequestURI, r.RemoteAddr, r.Header = host, target, "127.0.0.1:0", q.Header
	if scheme, _, ok := strings.Cut(q.URL, "://"); ok && strings.EqualFold(scheme, "https") {
		r.TLS = &tls.ConnectionState{}
	}
	var who *cachepolicy.Identity
	if q.User != "" {
		digests, err := e.sessions.UserKeys(ctx, q.User)
		if err != nil {
			return admin.Explanation{}, err
		}
		who = &cachepolicy.Identity{Auth: cachepolicy.SignedIn, User: "nobody signed in under this name"}
		if len(digests) > 0 {
			who.User = digests[0]
		}
	}
	x := e.proxy.Explain(ctx, r, who, e.store)
	out := admin.Explanation{Method: q.Method, URL: x.Ask.Host + x.Ask.Path, CacheStatus: x.Status.String()}
	if x.Route != nil {
		rule := &x.Route.Rule
		out.Route, out.URL, out.Tags = rule.Pattern, x.Route.URL(&x.Ask), x.Route.FillTags(x.Ask.Path)
		out.Scope, out.TTL = scopeWord(rule.Scope), ttlWord(rule)
		out.KeyParts = keyParts(x)
	}
	if no := x.Refused; no != nil {
		out.Verdict, out.Reason = "refuse", no.Reason.String()
		out.Notes = []string{"the edge answers it itself"}
		if no.Status != 0 {
			out.Notes[0] += fmt.Sprintf(", with %d %s", no.Status, http.StatusText(no.Status))
		}
		return out, nil
	}
	out.Verdict = verdictWord(x.Decision.Verdict)
	if x.Decision.Reason != cachepolicy.None {
		out.Reason = x.Decision.Reason.String()
	}
	out.Tiers = []admin.TierView{e.tierView("memory", x.Memory, x), e.tierView("redis", x.Redis, x)}
	if x.RedisErr != nil {
		out.Tiers[1].Error = "Redis is out of reach"
	}
	out.Notes = explainNotes(plain, host, x, out.Tiers)
	return out, nil
}

// explainNotes says what people would stumble over.
func explainNotes(asked, host string, x proxy.Explanation, tiers []admin.TierView) (notes []string) {
	if !strings.HasPrefix(asked, host+"/") {
		notes = append(notes, "meant on "+host+", the site as far as it is known")
	}
	if key := x.Route.NormalQuery(x.Ask.Query); key != x.Ask.Query {
		notes = append(notes, fmt.Sprintf("the query %q stands in the key as %q", x.Ask.Query, key))
	}
	for _, t := range tiers {
		if t.Life == "dead" {
			notes = append(notes, "what "+t.Tier+" holds has been purged")
		}
	}
	return notes
}

func keyParts(x proxy.Explanation) []admin.KeyPart {
	rule := &x.Route.Rule
	parts := []admin.KeyPart{
		{Name: "scheme", Value: x.Ask.Scheme}, {Name: "host", Value: x.Ask.Host}, {Name: "path", Value: x.Ask.Path},
		{Name: "query", Value: x.Route.NormalQuery(x.Ask.Query)}, {Name: "scope", Value: scopeWord(rule.Scope)},
	}
	for _, name := range rule.VaryHeaders {
		parts = append(parts, admin.KeyPart{Name: "header " + name, Value: x.Ask.Header.Get(name)})
	}
	for _, name := range rule.VaryCookies {
		parts = append(parts, admin.KeyPart{Name: "cookie " + name}) // cookies are nobody's to see
	}
	return parts
}

func (e *edge) tierView(tier string, entry *store.Entry, x proxy.Explanation) admin.TierView {
	v := admin.TierView{Tier: tier}
	if entry == nil || entry.Response == nil {
		return v
	}
	s := entry.Response
	stored := entry.StoredAt()
	v.Found, v.Status, v.StoredAt, v.Size, v.Hits = true, s.Status, &stored, int64(len(entry.Body)), entry.Hits.Load()
	v.ETag, v.Tags, v.Vary = s.Tag(), s.Tags, s.VaryFields
	age := s.Age(x.At)
	v.Age, v.TTL = admin.Seconds(age), admin.Seconds(s.Lifetime.Fresh-age)
	v.Position = fmt.Sprint(entry.Position.Number)
	v.Life = [...]string{store.Alive: "alive", store.SoftPurged: "soft purged", store.Dead: "dead"}[e.store.Log().Judge(entry)]
	return v
}

func scopeWord(s cachepolicy.Scope) string {
	return [...]string{cachepolicy.Public: "public", cachepolicy.PerSession: "session", cachepolicy.PerUser: "user"}[s]
}

func ttlWord(r *cachepolicy.Rule) string {
	method, _, some := strings.Cut(r.Pattern, " ")
	switch {
	case r.Off, some && method != http.MethodGet && method != http.MethodHead:
		return "off" // nothing but GET and HEAD is ever stored
	case r.TTL == cachepolicy.AppTTL:
		return "app"
	}
	return shortDuration(r.TTL)
}

// shortDuration writes 15m, not 15m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func verdictWord(v cachepolicy.Verdict) string {
	return [...]string{
		cachepolicy.Forward: "forward", cachepolicy.Serve: "serve", cachepolicy.ServeStale: "serve_stale",
		cachepolicy.Validate: "validate", cachepolicy.GatewayTimeout: "gateway_timeout",
	}[v]
}
