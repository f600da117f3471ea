package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"umbral/proxy/store"
)

// Audit keeps who changed what. It seals what it writes outside this process:
// entries name users.
type Audit interface {
	// Record keeps e. It is called after the change, also after a failed one.
	Record(ctx context.Context, e AuditEntry) error
	// Recent returns up to limit entries, newest first.
	Recent(ctx context.Context, limit int) ([]AuditEntry, error)
}

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	// ID is the purge's position, "" for what was not appended.
	ID string    `json:"id,omitempty"`
	At time.Time `json:"at"`
	// Action is "purge" or "revoke".
	Action string `json:"action"`
	// Edge is the edge that was asked.
	Edge string `json:"edge,omitempty"`
	// Who is "token", "dashboard", or "app" for what an unsafe request
	// invalidated; From the address of the connection;
	// Agent the User-Agent, at most 120 printable characters.
	Who       string     `json:"who"`
	From      string     `json:"from"`
	Agent     string     `json:"agent,omitempty"`
	Selectors []Selected `json:"selectors"`
	// Failed says that the caller was told of an error.
	Failed bool `json:"failed,omitempty"`
}

// record fills in by and keeps e. The change has happened: that it cannot be
// recorded is logged, with the entry itself, and does not undo it.
func (a *API) record(ctx context.Context, e AuditEntry, by caller, failure error) {
	e.At, e.Edge = a.Now().UTC(), a.Edge
	e.Who, e.From, e.Agent = by.who, by.from, by.agent
	e.Failed = failure != nil
	// The visitor's going away must not lose the entry.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := a.Audit.Record(ctx, e); err != nil {
		a.Log.Error("admin: audit entry not kept", zap.Error(err), zap.String("action", e.Action),
			zap.String("id", e.ID), zap.String("who", e.Who), zap.String("from", e.From))
	}
}

// Ledger is a purge log that keeps its own audit: [store.Log].
type Ledger interface {
	// Purge is [store.Log.Purge].
	Purge(ctx context.Context, p store.Purge) (store.Receipt, error)
	// Audit lists up to limit purges, newest first, whoever made them.
	Audit(ctx context.Context, limit int) ([]store.Audited, error)
}

// The parts of a ledger's By: who, agent, then "u" + uid or "s" + id for the
// users and sessions of whom the record itself has only digests. None of them
// holds a control character.
const auditMark = "\n"

// auditText is By for a purge of shown.
func auditText(by caller, shown []Selected) string {
	parts := []string{by.who, by.agent}
	for _, s := range shown {
		if s.User != "" {
			parts = append(parts, "u"+s.User)
		}
		if s.Session != "" {
			parts = append(parts, "s"+s.Session)
		}
	}
	return strings.Join(parts, auditMark)
}

// entryOf reads a ledger's record. Text that was cut loses its last ids, and a
// purge that nobody asked for here is the app's own: an unsafe request's.
func entryOf(p store.Audited) AuditEntry {
	e := AuditEntry{ID: p.Position.ID(), At: p.At.UTC(), Action: "purge", Edge: p.Edge, Who: "app", From: p.From, Selectors: []Selected{}}
	soft, digests, named := false, 0, 0
	for _, s := range p.Selectors {
		soft = s.Soft
		if s.User != "" || s.Session != "" {
			digests++
			continue
		}
		e.Selectors = append(e.Selectors, Selected{URL: s.URL, Prefix: s.Prefix, Tag: s.Tag, All: s.All, Soft: s.Soft})
	}
	parts := strings.Split(p.By, auditMark)
	if len(parts) > 1 {
		e.Who, e.Agent = parts[0], parts[1]
		for _, id := range parts[2:] {
			switch {
			case strings.HasPrefix(id, "u"):
				e.Selectors = append(e.Selectors, Selected{User: id[1:], Soft: soft})
				named++
			case strings.HasPrefix(id, "s"):
				e.Selectors = append(e.Selectors, Selected{Session: id[1:], Soft: soft})
				named++
			}
		}
	}
	if digests > 0 && named == 0 {
		e.Selectors = append(e.Selectors, Selected{Session: "…", Soft: soft})
	}
	return e
}

// purges answers GET /v1/purges?limit=.
func (a *API) purges(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := parseParams(r, []string{"limit"})
	if err != nil {
		return err
	}
	limit, err := q.number("limit", 100, 1000)
	if err != nil {
		return err
	}
	entries, err := a.Audit.Recent(r.Context(), limit)
	if err != nil {
		return err
	}
	if a.Ledger != nil {
		purges, err := a.Ledger.Audit(r.Context(), limit)
		if err != nil {
			return err
		}
		for _, p := range purges {
			entries = append(entries, entryOf(p))
		}
		slices.SortStableFunc(entries, func(x, y AuditEntry) int { return y.At.Compare(x.At) })
		entries = entries[:min(len(entries), limit)]
	}
	return reply(w, http.StatusOK, map[string]any{"purges": orEmpty(entries)})
}

// memoryAudit keeps this edge's newest 500 entries, until a restart.
type memoryAudit struct {
	mu      sync.Mutex
	entries []AuditEntry
}

const maxMemoryAudit = 500

// Record implements [Audit].
func (m *memoryAudit) Record(_ context.Context, e AuditEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.entries) >= maxMemoryAudit {
		m.entries = slices.Delete(m.entries, 0, 1)
	}
	m.entries = append(m.entries, e)
	return nil
}

// Recent implements [Audit].
func (m *memoryAudit) Recent(_ context.Context, limit int) ([]AuditEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.Clone(m.entries[max(0, len(m.entries)-limit):])
	slices.Reverse(out)
	return out, nil
}
