package proxy

import (
	"context"
	"net/http"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// Tiers looks into each tier apart, at what is dead too.
type Tiers interface {
	Tiers(ctx context.Context, key cachepolicy.Key) (memory, redis *store.Entry, err error)
}

// Explanation is what the edge would do with a request at a moment, and why.
// Nothing is fetched, counted or touched to find out.
type Explanation struct {
	Route *Route
	Ask   cachepolicy.Request
	// Key is that of the response that would answer.
	Key           cachepolicy.Key
	Memory, Redis *store.Entry
	RedisErr      error
	// Life is what the purge log says of the entry that would be used.
	Life     store.Life
	Decision cachepolicy.Decision
	Status   cachepolicy.Status
	Refused  *Refusal
	At       time.Time
}

// Explain says what would become of r if identity asked. r must be as the
// server would hand it over.
func (p *Proxy) Explain(ctx context.Context, r *http.Request, identity cachepolicy.Identity, tiers Tiers) Explanation {
	x := &Exchange{Start: p.now(), R: r.WithContext(ctx)}
	ex := Explanation{At: x.Start}
	if no := p.front.Admit(x); no != nil {
		ex.Refused = no
		return ex
	}
	x.Route = p.Rules().Match(r.Method, x.Ask.Host, x.Ask.Path)
	x.Visitor = p.sessions.Visit(ctx, x.R)
	if !x.Route.Rule.Listed() || x.Route.Rule.Scope != cachepolicy.Public {
		x.Ask.Identity = identity
	}
	if len(x.Route.Rule.VaryCookies) > 0 {
		x.Ask.VaryCookies = x.Visitor.CookieValues(x.Ask.Path, x.Route.Rule.VaryCookies)
	}
	ex.Route, ex.Ask = x.Route, x.Ask
	if ex.Refused = p.front.AllowMethod(x); ex.Refused != nil {
		return ex
	}
	if reason := p.bypass(x); reason != cachepolicy.None {
		ex.Decision = cachepolicy.Pass(&x.Ask, reason)
		ex.Status.Detail = ex.Decision.Reason
		if ex.Decision.Verdict == cachepolicy.Forward {
			ex.Status.Fwd = fwdOfBypass(reason)
		}
		return ex
	}
	f := p.find(ctx, x.Route, &x.Ask, x.Route.Key(&x.Ask), far)
	ex.Key = f.key
	ex.Memory, ex.Redis, ex.RedisErr = tiers.Tiers(ctx, f.key)
	ex.Decision = p.judge(x, f, ex.At)
	if f.soft {
		ex.Life = store.SoftPurged
	}
	ex.Status.Detail = ex.Decision.Reason
	switch ex.Decision.Verdict {
	case cachepolicy.Serve, cachepolicy.ServeStale:
		ex.Status.Hit, ex.Status.TTL, ex.Status.HasTTL = true, ex.Decision.TTL, true
	case cachepolicy.GatewayTimeout:
	default:
		ex.Status.Fwd = fwdFor(plan{found: f, decision: ex.Decision})
	}
	return ex
}
