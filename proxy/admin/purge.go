package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"umbral/proxy/store"
)

// Limits of one purge.
const (
	maxSelectors = 1000
	maxSelector  = 8 << 10
	maxWait      = 30 * time.Second
	maxRefresh   = 10_000
)

// Holdings is this edge's memory tier as purging sees it.
type Holdings interface {
	// Match is asked before a purge. What it returns says how many stored
	// responses, of those that lived then, the selectors match, and lists up
	// to urls distinct URLs ([store.Entry.URL]) of the public ones among
	// them, most used first; it may be called beside the purge or after it.
	Match(selectors []store.Selector, urls int) func() (n int, public []string)
}

// PurgeRequest is the body of POST /v1/purge.
type PurgeRequest struct {
	URLs     []string `json:"urls"`
	Prefixes []string `json:"prefixes"`
	Tags     []string `json:"tags"`
	Users    []string `json:"users"`
	Sessions []string `json:"sessions"`
	All      bool     `json:"all"`
	Soft     bool     `json:"soft"`
	DryRun   bool     `json:"dry_run"`
	Refresh  bool     `json:"refresh"`
	Wait     Duration `json:"wait"`
}

// Selected is one selector as a receipt and the audit log show it: the uid
// and the session's id as they were given, URLs as they were compared.
type Selected struct {
	URL     string `json:"url,omitempty"`
	Prefix  string `json:"prefix,omitempty"`
	Tag     string `json:"tag,omitempty"`
	User    string `json:"user,omitempty"`
	Session string `json:"session,omitempty"`
	All     bool   `json:"all,omitempty"`
	Soft    bool   `json:"soft,omitempty"`
}

// PurgeReceipt is the answer to a purge. A dry run has no ID and no edges.
type PurgeReceipt struct {
	ID        string     `json:"id"`
	At        time.Time  `json:"at"`
	Selectors []Selected `json:"selectors"`
	Edges     []EdgeAck  `json:"edges"`
	// Complete: every live edge has applied it.
	Complete bool    `json:"complete"`
	Matched  Matched `json:"matched"`
	DryRun   bool    `json:"dry_run,omitempty"`
	// Refresh is the warm job that fetches what was purged again.
	Refresh string `json:"refresh,omitempty"`
}

// EdgeAck is one edge's acknowledgement.
type EdgeAck struct {
	ID      string `json:"id"`
	Applied bool   `json:"applied"`
	MS      Millis `json:"ms"`
}

// Matched counts stored responses that a purge matched, on this edge.
type Matched struct {
	Memory int `json:"memory"`
}

func (a *API) purge(w http.ResponseWriter, r *http.Request, by caller) error {
	var q PurgeRequest
	if err := decode(w, r, &q); err != nil {
		return err
	}
	receipt, err := a.runPurge(r.Context(), q, by)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, receipt)
}

// purgeOne is PURGE /path: one URL of the host that Host names, and of every
// host where that is the admin listener's own address. The dashboard's cookie
// is not taken: only programs speak PURGE.
func (a *API) purgeOne(w http.ResponseWriter, r *http.Request, by caller) error {
	if by.who != "token" {
		return unauthorized("PURGE needs Authorization: Bearer TOKEN")
	}
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") { // absolute-form (RFC 9112 §3.2.2)
		target = r.URL.RequestURI()
	}
	if !strings.HasPrefix(target, "/") { // "*"
		return &Problem{Status: http.StatusBadRequest, Detail: "PURGE takes the path of one page: umbral purge knows the rest"}
	}
	if !ownAddress(r) {
		target = "http://" + r.Host + target
	}
	receipt, err := a.runPurge(r.Context(), PurgeRequest{URLs: []string{target}}, by)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, receipt)
}

// ownAddress reports that Host is the address of this very listener, so that
// it names no site.
func ownAddress(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	_, port, err := net.SplitHostPort(local.String())
	if err != nil {
		return false
	}
	host, hostPort, err := net.SplitHostPort(r.Host)
	return err == nil && hostPort == port && (host == "localhost" || net.ParseIP(host) != nil)
}

// runPurge checks, purges, counts what was hit, records and refreshes, in this
// order: the purge must not wait for the count.
func (a *API) runPurge(ctx context.Context, q PurgeRequest, by caller) (PurgeReceipt, error) {
	if a.Purge == nil && a.Ledger == nil {
		return PurgeReceipt{}, absent("a purge log")
	}
	if d := time.Duration(q.Wait); d < 0 || d > maxWait {
		return PurgeReceipt{}, badField("wait", "must be from 0s to "+maxWait.String())
	}
	shown, selectors, err := a.selectors(ctx, q)
	if err != nil {
		return PurgeReceipt{}, err
	}
	out := PurgeReceipt{At: a.Now().UTC(), Selectors: shown, Edges: []EdgeAck{}, DryRun: q.DryRun}
	if q.Refresh && a.Warm == nil && !q.DryRun {
		return PurgeReceipt{}, absent("warming, which refresh needs")
	}
	count := a.match(selectors, q.Refresh)
	if q.DryRun {
		out.Matched.Memory, _ = count()
		return out, nil
	}
	receipt, err := a.appendPurge(ctx, store.Purge{
		Selectors: selectors, Wait: time.Duration(q.Wait), By: auditText(by, shown), From: by.from,
	})
	if a.Ledger == nil || err != nil {
		a.record(ctx, AuditEntry{ID: receipt.ID, Action: "purge", Selectors: shown}, by, err)
	}
	if err != nil {
		return PurgeReceipt{}, err
	}
	out.ID, out.At, out.Complete = receipt.ID, receipt.At.UTC(), receipt.Complete
	for _, e := range receipt.Edges {
		out.Edges = append(out.Edges, EdgeAck{ID: e.Edge, Applied: e.Applied, MS: Millis(e.After)})
	}
	n, public := count()
	out.Matched.Memory = n
	if again := a.toRefresh(q, public); len(again) > 0 {
		job, err := a.Warm.Start(WarmRequest{URLs: again})
		if err != nil {
			// The purge is done, and must not look as if it were not.
			a.Log.Warn("admin: refresh after purge not started", zap.Error(err))
			return out, nil
		}
		out.Refresh = job.ID
	}
	return out, nil
}

// appendPurge adds p to the purge log.
func (a *API) appendPurge(ctx context.Context, p store.Purge) (r store.Receipt, err error) {
	if a.Ledger != nil {
		r, err = a.Ledger.Purge(ctx, p)
	} else {
		r, err = a.Purge(ctx, p.Selectors, p.Wait)
	}
	if errors.Is(err, store.ErrUnavailable) {
		return r, &Problem{
			Status: http.StatusServiceUnavailable, Setting: "REDIS_URL", retry: 2 * time.Second,
			Detail: "Redis cannot be reached: the purge holds on this edge, and on the others once Redis is back",
		}
	}
	return r, err
}

// match returns how to count what selectors match now; urls asks for the public
// URLs too.
func (a *API) match(selectors []store.Selector, urls bool) func() (n int, public []string) {
	if a.Holdings == nil {
		return func() (int, []string) { return 0, nil }
	}
	limit := 0
	if urls {
		limit = maxRefresh
	}
	return a.Holdings.Match(selectors, limit)
}

// toRefresh lists what to fetch again: the URLs named, and the public pages in
// memory that matched.
func (a *API) toRefresh(q PurgeRequest, public []string) []string {
	if !q.Refresh {
		return nil
	}
	var again []string
	for _, u := range q.URLs {
		// A path is meant on every host, and without a site no host is known
		// but those of the pages in memory.
		if _, err := a.Warm.target(u); err == nil {
			again = append(again, u)
		}
	}
	for _, u := range public {
		again = append(again, "http://"+u)
	}
	return again
}

// selectors checks q and turns it into the log's terms; shown is what the
// receipt says of them, one for one but for users and sessions of several
// digests.
func (a *API) selectors(ctx context.Context, q PurgeRequest) (shown []Selected, out []store.Selector, err error) {
	n := len(q.URLs) + len(q.Prefixes) + len(q.Tags) + len(q.Users) + len(q.Sessions)
	if n == 0 && !q.All {
		return nil, nil, &Problem{Status: http.StatusBadRequest, Detail: "nothing to purge: name urls, prefixes, tags, users or sessions, or say all"}
	}
	if n > maxSelectors {
		return nil, nil, &Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("%d selectors are too many for one purge; at most %d", n, maxSelectors)}
	}
	add := func(s Selected, sel store.Selector) {
		s.Soft, sel.Soft = q.Soft, q.Soft
		if s != (Selected{Soft: q.Soft}) {
			shown = append(shown, s)
		}
		out = append(out, sel)
	}
	if q.All {
		add(Selected{All: true}, store.Selector{All: true})
	}
	for i, raw := range q.URLs {
		u, err := a.NormalURL(raw)
		if err == nil {
			err = plainText(raw)
		}
		if err != nil {
			return nil, nil, badField(fmt.Sprintf("urls[%d]", i), err.Error())
		}
		add(Selected{URL: u}, store.Selector{URL: u})
	}
	for i, raw := range q.Prefixes {
		p, err := storedPrefix(raw)
		if err != nil {
			return nil, nil, badField(fmt.Sprintf("prefixes[%d]", i), err.Error())
		}
		add(Selected{Prefix: p}, store.Selector{Prefix: p})
	}
	for i, tag := range q.Tags {
		if err := plainText(tag); err != nil {
			return nil, nil, badField(fmt.Sprintf("tags[%d]", i), err.Error())
		}
		add(Selected{Tag: tag}, store.Selector{Tag: tag})
	}
	err = digests(ctx, "users", q.Users, a.UserDigests, func(id, digest string) {
		add(Selected{User: id}, store.Selector{User: digest})
	})
	if err != nil {
		return nil, nil, err
	}
	err = digests(ctx, "sessions", q.Sessions, a.SessionDigests, func(id, digest string) {
		add(Selected{Session: id}, store.Selector{Session: digest})
	})
	return shown, out, err
}

// digests calls add with each id's digests; the id itself only the first
// time. An id without digests has no pages: it is shown, and matches nothing.
func digests(ctx context.Context, field string, ids []string, of func(context.Context, string) ([]string, error), add func(id, digest string)) error {
	if len(ids) > 0 && of == nil {
		return absent("sessions: it cannot purge by " + field)
	}
	for i, id := range ids {
		if err := plainText(id); err != nil {
			return badField(fmt.Sprintf("%s[%d]", field, i), err.Error())
		}
		all, err := of(ctx, id)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			all = []string{rand.Text()} // nobody's: the caller gets a receipt all the same
		}
		for _, digest := range all {
			add(id, digest)
			id = ""
		}
	}
	return nil
}
