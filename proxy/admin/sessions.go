package admin

import (
	"context"
	"net/http"
	"time"
)

// Sessions lists and revokes what the edge holds for visitors.
type Sessions interface {
	// List returns up to limit sessions of those that of names, newest first.
	List(ctx context.Context, of Target, limit int) ([]Session, error)
	// Revoke ends what target names and makes its pages unreachable. It
	// returns when every live edge has applied it, or with Complete false
	// after a second. No such session: [ErrNotFound].
	Revoke(ctx context.Context, target Target) (Revoked, error)
}

// Session is one session as GET /v1/sessions shows it. Nothing in it is of
// use as a cookie.
type Session struct {
	// ID names the session in DELETE /v1/sessions/{id}.
	ID string `json:"id"`
	// User is the uid as the app announced it, "" where it is not known.
	User string `json:"user"`
	// Auth is anonymous, session or user.
	Auth       string     `json:"auth"`
	Created    time.Time  `json:"created"`
	SignedInAt *time.Time `json:"signed_in_at,omitempty"`
	// Expires is when it ends if it is not used again.
	Expires *time.Time `json:"expires,omitempty"`
}

// Target is what a list shows, or a revocation ends. Exactly one field is set.
type Target struct {
	Session string
	User    string
	All     bool
}

// Revoked says how far a revocation has come.
type Revoked struct {
	Revoked  int       `json:"revoked"`
	Complete bool      `json:"complete"`
	Edges    []EdgeAck `json:"edges,omitempty"`
}

// sessions answers GET /v1/sessions?user=&session=&limit=: all where neither
// is named.
func (a *API) sessions(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Sessions == nil {
		return absent("sessions")
	}
	q, err := parseParams(r, []string{"user", "session", "limit"})
	if err != nil {
		return err
	}
	limit, err := q.number("limit", 100, 1000)
	if err != nil {
		return err
	}
	of := Target{User: q.Get("user"), Session: q.Get("session")}
	of.All = of.User+of.Session == ""
	switch err := plainText(of.User + of.Session); {
	case of.User != "" && of.Session != "":
		return badField("session", "give user or session, not both")
	case err != nil && !of.All:
		return badField("user", err.Error())
	}
	list, err := a.Sessions.List(r.Context(), of, limit)
	if err != nil {
		return err
	}
	if list == nil {
		list = []Session{}
	}
	return reply(w, http.StatusOK, map[string]any{"sessions": list})
}

func (a *API) revokeSession(w http.ResponseWriter, r *http.Request, by caller) error {
	id := r.PathValue("id")
	return a.revoke(w, r, by, Target{Session: id}, Selected{Session: id})
}

func (a *API) revokeUser(w http.ResponseWriter, r *http.Request, by caller) error {
	id := r.PathValue("id")
	return a.revoke(w, r, by, Target{User: id}, Selected{User: id})
}

// revokeAll takes no parameter, so that a mistyped ?user= signs nobody out.
func (a *API) revokeAll(w http.ResponseWriter, r *http.Request, by caller) error {
	return a.revoke(w, r, by, Target{All: true}, Selected{All: true})
}

func (a *API) revoke(w http.ResponseWriter, r *http.Request, by caller, target Target, shown Selected) error {
	if a.Sessions == nil {
		return absent("sessions")
	}
	if _, err := parseParams(r, nil); err != nil {
		return err
	}
	if id := target.Session + target.User; !target.All {
		if err := plainText(id); err != nil {
			return badField("id", err.Error())
		}
	}
	done, err := a.Sessions.Revoke(r.Context(), target)
	a.record(r.Context(), AuditEntry{Action: "revoke", Selectors: []Selected{shown}}, by, err)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, done)
}
