package sessions

import (
	"errors"
	"net/http"
	"strings"
)

// LogoutPath is where POST signs out.
const LogoutPath = "/.umbral/logout"

// ServeLogout answers [LogoutPath]: a POST that the browser proves to be from
// a page of this origin ends the session. Any other request changes nothing.
func (t *Terminator) ServeLogout(w http.ResponseWriter, r *http.Request, v *Visitor) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		http.Error(w, "Signing out takes a POST.", http.StatusMethodNotAllowed)
		return
	}
	if proven, _ := t.sameOrigin(r); !proven {
		t.count(CrossSite)
		http.Error(w, "This request does not come from a page of this site.", http.StatusForbidden)
		return
	}
	err := v.Resolve(r.Context())
	if err == nil {
		err = v.logout(r)
	}
	if err != nil {
		if !errors.Is(err, ErrUnavailable) {
			t.warn("a sign-out failed", err)
		}
		h.Set("Retry-After", "5")
		http.Error(w, "Signing out is not possible right now. Please try again.", http.StatusServiceUnavailable)
		return
	}
	v.Finish(h)
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Set("Location", "/")
	w.WriteHeader(http.StatusSeeOther)
}

func (v *Visitor) logout(r *http.Request) error {
	if v.shared {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rec != nil {
		return v.signOut(r.Context(), &plan{}, current)
	}
	if v.adopting {
		v.forgetAdoption()
		v.sealed = nil
		return nil
	}
	if !v.silent || v.mode != inSession {
		return nil
	}
	// It has another token since a moment ago.
	short, done := v.within(r.Context())
	defer done()
	tomb, err := v.t.tomb(short, v.secret.id(&v.token))
	if err != nil {
		return err
	}
	ended, err := v.t.signOutHeir(short, tomb, current)
	if ended {
		v.leave(r.Context(), nil)
	}
	return err
}
