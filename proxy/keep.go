package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// collect stores what c brings, and answers the visitor with it if nothing has
// been given to them yet.
func (f *fetch) collect(ctx context.Context, c *capture, e *store.Entry) (bool, error) {
	body, err := c.fill()
	if errors.Is(err, errTooLarge) && f.given {
		f.p.refused.add(f.plan.found.primary, refusedStore, f.p.now())
		f.unstorable()
		return false, nil // the visitor drains the rest
	}
	if err != nil {
		return false, err
	}
	e.Body = body
	if part := e.Response.Part; part != nil && part.Len() != int64(len(body)) {
		return false, ErrBadAnswer
	}
	f.combine(e)
	madeTag(e.Response, e.Body)
	why := f.p.place(ctx, f.route, &f.ask, &f.plan.found, e)
	f.p.refused.remove(f.plan.found.primary)
	if why != cachepolicy.None {
		f.notKept(why)
	}
	if why == cachepolicy.None || why == cachepolicy.Purged {
		f.landed() // before the visitor asks for more; what is purged one of the others fetches again
	} else {
		f.ended() // there will be nothing to find
	}
	if !f.given {
		f.give(answer{entry: e, news: true})
	}
	f.cancel()
	return why == cachepolicy.None, nil
}

// notKept has the status say that an answer which might have been stored is
// not (RFC 9211 §2.5), and why.
func (f *fetch) notKept(why cachepolicy.Reason) {
	if f.given {
		return
	}
	f.status.Stored, f.status.TTL, f.status.HasTTL = false, 0, false
	if f.status.Detail != cachepolicy.LogLost { // that is why the store refuses it
		f.status.Detail = why
	}
}

// combine puts a part and a stored part of the same representation together
// (RFC 9111 §3.4).
func (f *fetch) combine(e *store.Entry) {
	old := f.plan.found.entry
	e.Response = e.Response.Whole()
	if old == nil || e.Response.Part == nil {
		return
	}
	whole, ok := f.route.Combine(old.Response, e.Response)
	if !ok {
		return
	}
	if _, status := cachepolicy.SelectRanges(&f.ask, whole, 0); whole.Part != nil && status != http.StatusPartialContent {
		return // the app sent less than was asked for, of which this would be another part
	}
	first, second := old.Response.Part, e.Response.Part
	from := min(first.First, second.First)
	body := make([]byte, max(first.Last, second.Last)-from+1)
	copy(body[first.First-from:], old.Body)
	copy(body[second.First-from:], e.Body)
	e.Response, e.Body = whole, body
}

// storable asks the policy, and knows what only the fetch knows.
func (f *fetch) storable(r *cachepolicy.Response) (*cachepolicy.Stored, cachepolicy.Reason) {
	if f.route.Rule.Scope == cachepolicy.Public && f.route.Rule.Listed() && f.plan.access == sessions.AccessFull {
		return nil, cachepolicy.SetsCookie
	}
	if r.Length > f.route.Rule.MaxObject {
		return nil, cachepolicy.TooLarge
	}
	return f.route.Storable(&f.ask, r)
}

// refuse lets the followers go and remembers that waiting is of no use here.
func (f *fetch) refuse(reason cachepolicy.Reason, status int) {
	f.status.Detail = reason
	if status >= 500 || f.plan.mode == pass || ownFault(reason, status) {
		f.ended()
		return // the app's bad moment, or this visitor's request, says nothing of the page
	}
	f.unstorable()
	if f.p.refused.get(f.plan.found.primary, f.p.now()) == refusedNot {
		f.p.refused.add(f.plan.found.primary, refusedStore, f.p.now())
	}
}

// ownFault reports whether an answer was not stored for what its visitor sent:
// nobody may keep a page from being shared by asking for it in an odd way.
func ownFault(reason cachepolicy.Reason, status int) bool {
	switch reason {
	case cachepolicy.Authorization, cachepolicy.PartialContent, cachepolicy.RequestNoStore:
		return true
	}
	switch status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return false
	}
	return status >= 400
}

// passOn gives an answer that is not stored to its visitor; the app's
// connection ends with them.
func (f *fetch) passOn(resp *http.Response, r *cachepolicy.Response) {
	f.route.PresentLive(&f.ask, r)
	if !f.alone {
		resp.Body = &cancelBody{ReadCloser: resp.Body, cancel: f.cancel}
	}
	e, err := tagged(f.route, resp, r)
	switch {
	case err != nil:
		f.give(answer{err: err})
	case e != nil:
		f.give(answer{entry: e})
	default:
		f.give(answer{resp: resp})
	}
}

// entry is the stored response as the store keeps it, still without a body.
func (f *fetch) entry(s *cachepolicy.Stored) *store.Entry {
	return &store.Entry{
		Key:      f.plan.found.primary,
		Response: s,
		URL:      f.route.URL(&f.ask),
		Position: f.pos,
		Keep:     s.Keep(f.p.now()),
		Owner:    owner(f.route, &f.ask),
	}
}

// owner is whose the answers to ask are, nil for everybody's.
func owner(route *Route, ask *cachepolicy.Request) *store.Owner {
	if route.Rule.Scope == cachepolicy.Public {
		return nil
	}
	return &store.Owner{Session: ask.Identity.Session, User: ask.Identity.Owner}
}

// madeTag gives a whole 200 for which the app sent no validator one of its
// own (RFC 9110 §8.8.3).
func madeTag(s *cachepolicy.Stored, body []byte) {
	if s.Status == http.StatusOK && s.Part == nil && s.LastModified.IsZero() && s.Tag() == "" {
		s.Fields = s.Fields.With("Etag", digestTag(body))
	}
}

// digestTag is a strong entity-tag: the content's digest.
func digestTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
}

// put keeps e, or says why it is not kept. What waits to be written to Redis is
// kept: that it may fail yet nobody can know.
func (p *Proxy) put(ctx context.Context, e *store.Entry) cachepolicy.Reason {
	if p.store.Put(ctx, e) != nil {
		return cachepolicy.StoreDown
	}
	return p.unstored(e)
}

// unstored says why the store will not keep e as things are.
func (p *Proxy) unstored(e *store.Entry) cachepolicy.Reason {
	switch {
	case e.Position.Epoch == 0 || p.log.Lost(p.now()):
		return cachepolicy.StoreDown
	case p.log.Judge(e) == store.Dead:
		return cachepolicy.Purged // while it was fetched
	}
	return cachepolicy.None
}

// place keeps e where requests like ask find it: under their own key, or the
// one that its No-Vary-Search makes of them, and there under the key of its
// variant where it varies, or others do. It says why e is not kept.
func (p *Proxy) place(ctx context.Context, route *Route, ask *cachepolicy.Request, f *found, e *store.Entry) cachepolicy.Reason {
	s := e.Response
	e.Key = f.primary
	if s.NoVarySearch != "" {
		if !route.searched.Swap(true) { // find has not looked there yet
			look, looked := context.WithTimeout(ctx, p.redisTime)
			now := p.find(look, route, ask, f.primary, far)
			looked()
			f.index, f.beside, f.path = now.index, now.beside, now.path
		}
		e.Key = route.SearchKey(ask, s.NoVarySearch)
	}
	// Two that are placed at once must not each put an index in the place of
	// the other's.
	p.indexing.Lock()
	defer p.indexing.Unlock()
	if s.NoVarySearch != "" {
		says := &cachepolicy.Index{NoVarySearch: s.NoVarySearch}
		path := route.PathKey(ask)
		p.put(ctx, p.indexOf(path, says, e, p.listed(f, path)))
		p.put(ctx, &store.Entry{Key: route.SearchedKey(), Index: says, Position: e.Position, Keep: e.Keep})
	}
	if old := p.listed(f, e.Key); old != nil || len(s.VaryFields) > 0 {
		var ix *cachepolicy.Index
		if old != nil {
			ix = old.Index
		}
		route.Adopt(ask, s, ix) // one without Vary must not push the others out
		primary := e.Key
		e.Key = route.VariantKey(primary, ask, s.VaryFields)
		p.put(ctx, p.indexOf(primary, ix.Add(s, e.Key), e, old))
	}
	return p.put(ctx, e)
}

// listed is the index that key holds, nil if none: as memory has it, or as it
// was found.
func (p *Proxy) listed(f *found, key cachepolicy.Key) *store.Entry {
	if e := p.store.Recall(key); e != nil {
		if e.Index == nil {
			return nil
		}
		return e
	}
	for _, e := range [...]*store.Entry{f.index, f.beside, f.path} {
		if e != nil && e.Key == key {
			return e
		}
	}
	return nil
}

// indexOf is the entry of an index that leads to e and takes old's place. It
// lives as long as the longest-lived of what it leads to.
func (p *Proxy) indexOf(key cachepolicy.Key, ix *cachepolicy.Index, e, old *store.Entry) *store.Entry {
	keep := e.Keep
	if old != nil {
		keep = max(keep, old.StoredAt().Add(old.Keep).Sub(p.now()))
	}
	return &store.Entry{Key: key, Index: ix, URL: e.URL, Owner: e.Owner, Position: e.Position, Keep: keep}
}

// prolong has the indexes that led to e live as long as a validation has it
// live.
func (p *Proxy) prolong(ctx context.Context, f *found, e *store.Entry) {
	for _, ix := range [...]*store.Entry{f.index, f.beside, f.path} {
		if ix == nil {
			continue
		}
		p.indexing.Lock()
		if now := p.listed(f, ix.Key); now != nil && now.StoredAt().Add(now.Keep).Before(p.now().Add(e.Keep)) {
			p.put(ctx, p.indexOf(now.Key, now.Index, e, now))
		}
		p.indexing.Unlock()
	}
}

// policyResponse is the app's answer as the policy sees it.
func policyResponse(resp *http.Response, began, arrived time.Time) *cachepolicy.Response {
	return &cachepolicy.Response{
		Status: resp.StatusCode, Header: resp.Header, Length: resp.ContentLength,
		RequestTime: began, ResponseTime: arrived,
	}
}

// cancelBody ends the request's context with its body.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
