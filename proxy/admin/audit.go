package admin

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
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
	// Who is "token" or "dashboard"; From the address of the connection;
	// Agent the User-Agent, at most 120 printable characters.
	Who       string     `json:"who"`
	From      string     `json:"from"`
	Agent     string     `json:"agent,omitempty"`
	Selectors []Selected `json:"selectors"`
	Complete  bool       `json:"complete"`
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
	if entries == nil {
		entries = []AuditEntry{}
	}
	return reply(w, http.StatusOK, map[string]any{"purges": entries})
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
