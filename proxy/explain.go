package proxy

import (
	"context"
	"net/http"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
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

// Explain says what would become of r: asked by identity, or where that is nil
// by whoever its cookie makes of it. r must be as the server would hand it
// over.
func (p *Proxy) Explain(ctx context.Context, r *http.Request, identity *cachepolicy.Identity, tiers Tiers) Explanation {
	x := &Exchange{Start: p.now(), R: r.WithContext(ctx)}
	x.redisBy = x.Start.Add(p.redisTime)
	ex := Explanation{At: x.Start}
	if no := p.front.Admit(x); no != nil {
		return ex.refused(no)
	}
	x.Route = p.Rules().Match(r.Method, x.Ask.Host, x.Ask.Path)
	ex.Route, ex.Ask = x.Route, x.Ask
	if no := p.front.AllowMethod(x); no != nil {
		return ex.refused(no)
	}
	if x.Ask.Path == sessions.LogoutPath {
		return ex.refused(&Refusal{Reason: cachepolicy.EdgeAnswer})
	}
	if reason := p.bypass(x); reason != cachepolicy.None {
		return ex.passed(reason)
	}
	x.Visitor = p.sessions.Look(ctx, x.R)
	err := p.identify(ctx, x)
	if identity != nil {
		err = nil
		if !x.Route.Rule.Listed() || x.Route.Rule.Scope != cachepolicy.Public {
			x.Ask.Identity = *identity
		}
	}
	ex.Ask = x.Ask
	if err != nil {
		return ex.refused(RefusalFor(err))
	}
	primary, refused, reason := p.recognise(x)
	l := looked{found: found{key: primary}}
	if reason == cachepolicy.None {
		if l = p.look(ctx, x, primary, refused); l.fit == others {
			reason = cachepolicy.SetsCookie
		}
	}
	ex.Key = l.key
	ex.Memory, ex.Redis, ex.RedisErr = tiers.Tiers(ctx, l.key)
	if reason != cachepolicy.None {
		return ex.passed(reason)
	}
	ex.Decision = l.d
	if l.soft {
		ex.Life = store.SoftPurged
	}
	ex.Status.Detail = ex.Decision.Reason
	switch ex.Decision.Verdict {
	case cachepolicy.Serve, cachepolicy.ServeStale:
		ex.Status.Hit, ex.Status.TTL, ex.Status.HasTTL = true, ex.Decision.TTL, true
	case cachepolicy.GatewayTimeout:
	default:
		ex.Status.Fwd = fwdFor(plan{found: l.found, decision: ex.Decision})
	}
	return ex
}

// refused says that the edge answers with no.
func (ex Explanation) refused(no *Refusal) Explanation {
	ex.Refused = no
	ex.Status = cachepolicy.Status{Detail: no.Reason}
	return ex
}

// passed says what becomes of a request that gets nothing from the store.
func (ex Explanation) passed(why cachepolicy.Reason) Explanation {
	ex.Decision = cachepolicy.Pass(&ex.Ask, why)
	ex.Status = cachepolicy.Status{Detail: ex.Decision.Reason}
	if ex.Decision.Verdict == cachepolicy.Forward {
		ex.Status.Fwd = fwdOfBypass(why)
	}
	return ex
}
