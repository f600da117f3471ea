package proxy

import (
	"context"
	"net/http"
	"strings"

	"umbral/cachepolicy"
	"umbral/sessions"
)

// refresh fetches behind the visitor's back what has just been served: stale
// while it is revalidated (RFC 5861 §3), or popular and near its end. One
// fetch serves all who ask meanwhile, and its answer is judged like any other.
func (p *Proxy) refresh(x *Exchange, f found, d cachepolicy.Decision) {
	fl, leader, _ := p.flights.join(f.primary, f.key, p.flights.mark(f.primary))
	if !leader {
		return
	}
	bg := *x
	bg.plan = plan{mode: lead, found: f, decision: d, flight: fl, validate: true, background: true}
	bg.plan.access = sessions.AccessFull
	if x.Route.Rule.Listed() && x.Route.Rule.Scope == cachepolicy.Public {
		bg.plan.access = sessions.AccessPublic
	}
	bg.Status = cachepolicy.Status{Fwd: cachepolicy.FwdStale}
	bg.redisBy = p.now().Add(p.redisTime)
	out := x.R.Clone(context.WithoutCancel(x.R.Context()))
	out.RequestURI, out.Body, out.Close, out.Method = "", nil, false, http.MethodGet
	bg.Ask.Method = http.MethodGet
	dropHopByHop(out.Header)
	p.outgoing(out, &bg)
	fetch := p.newFetch(&bg, out)
	go fetch.run()
	fetch.abandon()
}

// dropHopByHop removes what must not be forwarded (RFC 9110 §7.6.1).
func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		delete(h, name)
	}
}
