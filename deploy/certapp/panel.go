package certapp

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (a *App) panel(w http.ResponseWriter, r *http.Request, who Person) {
	w.Header().Set("Cache-Control", "private")
	p := a.page("My panel", "panel")
	p.Data = struct {
		Person       Person
		Flash        string
		Certificates []Certificate
	}{who, a.takeFlash(w, r), a.register.all()[:6]}
	tag(w, "panel", "certificados")
	a.render(w, http.StatusOK, "panel", p)
}

// flash leaves a message for the next page that shows messages.
func (a *App) flash(w http.ResponseWriter, text string) {
	a.cookie(w, "messages", base64.RawURLEncoding.EncodeToString([]byte(text)), 0)
}

// takeFlash returns the message waiting for this visitor and drops it.
func (a *App) takeFlash(w http.ResponseWriter, r *http.Request) string {
	c, err := r.Cookie("messages")
	if err != nil {
		return ""
	}
	a.cookie(w, "messages", "", -1)
	text, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || !utf8.Valid(text) {
		return ""
	}
	return string(text)
}

// editData is the edit form: the certificate as typed, and what is wrong with it.
type editData struct {
	Certificate Certificate
	Error       string
}

func (a *App) showEdit(w http.ResponseWriter, r *http.Request, status int, data editData) {
	neverCache(w)
	p := a.page("Edit certificate "+strconv.Itoa(data.Certificate.ID), "panel")
	p.CSRF = a.csrfToken(w, r)
	p.Data = data
	a.render(w, status, "edit", p)
}

func (a *App) editForm(w http.ResponseWriter, r *http.Request, _ Person) {
	if c, ok := a.named(w, r); ok {
		a.showEdit(w, r, http.StatusOK, editData{Certificate: c})
	}
}

// edit stores the form and tells every cache which groups are now old
// (RFC 9875 §3), so the next visitor of any of these pages sees the change.
func (a *App) edit(w http.ResponseWriter, r *http.Request, who Person) {
	if !a.csrfProven(w, r) {
		return
	}
	c, ok := a.named(w, r)
	if !ok {
		return
	}
	var err error
	c.Holder, c.Course = strings.TrimSpace(r.PostFormValue("holder")), strings.TrimSpace(r.PostFormValue("course"))
	c.Revoked = r.PostFormValue("revoked") != ""
	c.Hours, err = strconv.Atoi(r.PostFormValue("hours"))
	if err != nil || c.Hours < 1 || c.Hours > 2000 || !fits(c.Holder, 80) || !fits(c.Course, 120) {
		a.showEdit(w, r, http.StatusUnprocessableEntity, editData{c, "Name and course are needed (80 and 120 characters at most), and between 1 and 2000 hours."})
		return
	}
	a.register.update(c.ID, who.Name, a.opts.Now().UTC(), func(stored *Certificate) { *stored = c })
	neverCache(w)
	w.Header().Set("Cache-Group-Invalidation", sfStrings([]string{certificateGroup(c.ID), "certificados"}))
	a.flash(w, "Certificate "+strconv.Itoa(c.ID)+" was changed.")
	http.Redirect(w, r, "/panel/", http.StatusSeeOther)
}

func fits(s string, most int) bool {
	n := utf8.RuneCountInString(s)
	return utf8.ValidString(s) && n >= 1 && n <= most
}
