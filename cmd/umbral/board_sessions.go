package main

import (
	"context"
	"errors"
	"net/http"

	"umbral/proxy/admin"
	"umbral/sessions"
)

// sessionsAdmin lists and revokes sessions for the admin API.
type sessionsAdmin struct{ e *edge }

// List implements [admin.Sessions].
func (s sessionsAdmin) List(ctx context.Context, of admin.Target, limit int) ([]admin.Session, error) {
	infos, err := s.e.sessions.List(ctx, sessions.Selector{Session: of.Session, User: of.User, All: of.All})
	if err != nil {
		return nil, sessionsDown(err)
	}
	out := make([]admin.Session, 0, min(limit, len(infos)))
	for i := len(infos) - 1; i >= 0 && len(out) < limit; i-- {
		in := infos[i]
		a := admin.Session{ID: in.ID, User: in.User, Auth: "session", Created: in.Created}
		if in.User != "" {
			a.Auth = "user"
		}
		if !in.SignedIn.IsZero() {
			a.SignedInAt = &in.SignedIn
		}
		if !in.Expires.IsZero() {
			a.Expires = &in.Expires
		}
		out = append(out, a)
	}
	return out, nil
}

// Revoke implements [admin.Sessions].
func (s sessionsAdmin) Revoke(ctx context.Context, target admin.Target) (admin.Revoked, error) {
	sel := sessions.Selector{Session: target.Session, User: target.User, All: target.All}
	var all []sessions.Info
	if target.All { // ended by a mark, which counts nothing
		all, _ = s.e.sessions.List(ctx, sel)
	}
	n, end, err := s.e.sessions.Revoke(ctx, sel)
	if err != nil {
		return admin.Revoked{}, sessionsDown(err)
	}
	n += len(all)
	if n == 0 && target.Session != "" {
		return admin.Revoked{}, admin.ErrNotFound
	}
	// The sessions are out whatever becomes of their pages' purge: that is
	// kept and sent once Redis can be reached.
	receipt, err := s.e.purgeEnded(ctx, end)
	out := admin.Revoked{Revoked: n, Complete: err == nil && receipt.Complete}
	for _, a := range receipt.Edges {
		out.Edges = append(out.Edges, admin.EdgeAck{ID: a.Edge, Applied: a.Applied, MS: admin.Millis(a.After)})
	}
	return out, nil
}

// sessionsDown is what an operator is told while the sessions' Redis is out of
// reach.
func sessionsDown(err error) error {
	if errors.Is(err, sessions.ErrUnavailable) {
		return &admin.Problem{
			Status: http.StatusServiceUnavailable, Detail: "the Redis of the sessions cannot be reached; ask again", Setting: "SESSIONS_REDIS_URL",
		}
	}
	return err
}
