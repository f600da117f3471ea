package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The dashboard's sessions live in this process: a restart signs out.
const (
	signedInFor = 12 * time.Hour
	maxSignedIn = 64
	maxForm     = 8 << 10
)

// desk holds the dashboard's sessions by the digest of their cookie, so that
// looking one up compares nothing secret.
type desk struct {
	mu       sync.Mutex
	sessions map[[32]byte]*signedIn
}

type signedIn struct {
	until time.Time
	done  chan struct{} // closed when it ends by sign-out or for want of room
}

func newDesk() *desk { return &desk{sessions: map[[32]byte]*signedIn{}} }

// open starts a session and returns its cookie's value.
func (d *desk) open(now time.Time) string {
	var id [32]byte
	rand.Read(id[:])
	value := base64.RawURLEncoding.EncodeToString(id[:])
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(now)
	d.sessions[sha256.Sum256([]byte(value))] = &signedIn{until: now.Add(signedInFor), done: make(chan struct{})}
	return value
}

// sweep ends what is over, and the oldest where there is no room.
func (d *desk) sweep(now time.Time) {
	var oldest [32]byte
	var first *signedIn
	for k, s := range d.sessions {
		if !now.Before(s.until) {
			close(s.done)
			delete(d.sessions, k)
			continue
		}
		if first == nil || s.until.Before(first.until) {
			oldest, first = k, s
		}
	}
	if len(d.sessions) >= maxSignedIn {
		close(first.done)
		delete(d.sessions, oldest)
	}
}

// find returns the session of the request's cookie, which must come once.
func (d *desk) find(r *http.Request, name string, now time.Time) (*signedIn, bool) {
	k, ok := deskKey(r, name)
	if !ok {
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[k]
	if s == nil || !now.Before(s.until) {
		return nil, false
	}
	return s, true
}

// end ends the session of the request's cookie, and the streams it opened.
func (d *desk) end(r *http.Request, name string) {
	k, ok := deskKey(r, name)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sessions[k]; s != nil {
		close(s.done)
		delete(d.sessions, k)
	}
}

func deskKey(r *http.Request, name string) ([32]byte, bool) {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 || len(cookies[0].Value) > 64 {
		return [32]byte{}, false
	}
	return sha256.Sum256([]byte(cookies[0].Value)), true
}

// cookieName: cookies know no port, so it must not be the visitors' name.
func (a *API) cookieName() string {
	if a.CookieSecure {
		return "__Host-umbral-admin"
	}
	return "umbral-admin"
}

func (a *API) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: a.cookieName(), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: a.CookieSecure, SameSite: http.SameSiteStrictMode,
	})
}

// signIn takes the form of the sign-in page: POST /login, token=….
func (a *API) signIn(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Token == "" {
		return errNoToken
	}
	if err := a.sameOrigin(r); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return &Problem{Status: http.StatusBadRequest, Detail: "the form could not be read"}
	}
	if err := a.checkToken(r, r.PostForm.Get("token")); err != nil {
		p := problemOf(err)
		p.challenge = "" // a browser would show a prompt of its own
		if !wantsPage(r) {
			return p
		}
		a.page.signIn(w, p.Status, p.Detail)
		return nil
	}
	a.desk.end(r, a.cookieName())
	a.setCookie(w, a.desk.open(a.Now()), 0)
	a.Log.Info("admin: signed in to the dashboard", zap.String("from", r.RemoteAddr))
	w.Header().Set("Location", "/")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// signOut ends the dashboard's session.
func (a *API) signOut(w http.ResponseWriter, r *http.Request, _ caller) error {
	a.desk.end(r, a.cookieName())
	a.setCookie(w, "", -1)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
