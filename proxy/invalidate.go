package proxy

import (
	"context"

	"go.uber.org/zap"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// invalidate purges what the answer to an unsafe request makes invalid (RFC
// 9111 §4.4, RFC 9875 §3), on every edge, before that answer goes back: who
// changes a page sees the change.
func (p *Proxy) invalidate(ctx context.Context, x *Exchange, r *cachepolicy.Response) {
	targets, groups := x.Route.Invalidates(&x.Ask, r)
	if len(targets)+len(groups) == 0 {
		return
	}
	rules := p.Rules()
	var selectors []store.Selector
	for _, t := range targets {
		if rules.Match("GET", t.Host, t.Path).Rule.Off {
			continue
		}
		selectors = append(selectors, store.Selector{URL: rules.routes.TargetURL(t)})
	}
	for _, group := range groups {
		selectors = append(selectors, store.Selector{Tag: group})
	}
	if len(selectors) == 0 {
		return
	}
	if _, err := p.log.Append(ctx, selectors, 0); err == nil {
		return
	} else if p.trouble.begin() {
		p.logger.Warn("pages that an unsafe request made invalid could not be purged everywhere", zap.Error(err))
	}
	// At least this edge forgets its own copies.
	for _, t := range targets {
		ask := cachepolicy.Request{Method: "GET", Scheme: x.Ask.Scheme, Host: t.Host, Path: t.Path, Query: t.Query, Header: x.Ask.Header}
		route := rules.Match("GET", t.Host, t.Path)
		_ = p.store.Delete(ctx, route.Key(&ask))
		_ = p.store.Delete(ctx, route.PathKey(&ask))
	}
}
