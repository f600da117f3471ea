package certapp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Person may sign in to the demo. The password is no secret: the sign-in page
// prints it.
type Person struct {
	ID       int    `json:"id"`
	Login    string `json:"-"`
	Name     string `json:"name"`
	Password string `json:"-"`
}

// People returns everyone who may sign in.
func People() []Person {
	return []Person{
		{ID: 1, Login: "ana", Name: "Ana García", Password: "girasol-7"},
		{ID: 2, Login: "luis", Name: "Luis Ortega", Password: "lavanda-9"},
	}
}

// sessions maps an opaque id to a person until its deadline. It is bounded: at
// maxSessions the one that ends first makes room.
type sessions struct {
	mu       sync.Mutex
	lifetime time.Duration
	byID     map[string]session
}

type session struct {
	person  Person
	expires time.Time
}

const maxSessions = 10000

func newSessions(lifetime time.Duration) *sessions {
	return &sessions{lifetime: lifetime, byID: make(map[string]session)}
}

func (s *sessions) start(p Person, now time.Time) string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= maxSessions {
		var first string
		for id, known := range s.byID {
			if first == "" || known.expires.Before(s.byID[first].expires) {
				first = id
			}
		}
		delete(s.byID, first)
	}
	s.byID[id] = session{person: p, expires: now.Add(s.lifetime)}
	return id
}

func (s *sessions) find(id string, now time.Time) (Person, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.byID[id]
	if ok && !now.Before(known.expires) {
		delete(s.byID, id)
		ok = false
	}
	return known.person, ok
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// person is who asks, by the app's own cookie and nothing else.
func (a *App) person(r *http.Request) (Person, bool) {
	c, err := r.Cookie("sessionid")
	if err != nil {
		return Person{}, false
	}
	return a.sessions.find(c.Value, a.opts.Now())
}

// signedIn lets a signed-in person through, and sends anyone else to sign in.
func (a *App) signedIn(next func(http.ResponseWriter, *http.Request, Person)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Cookie")
		p, ok := a.person(r)
		if !ok {
			neverCache(w)
			http.Redirect(w, r, "/accounts/login/?next="+url.QueryEscape(r.URL.Path), http.StatusFound)
			return
		}
		next(w, r, p)
	}
}

// cookie sets one of the app's cookies with Django's attributes; a life of zero
// lasts as long as the browser does, a negative one deletes.
func (a *App) cookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: name != "csrftoken",
		Secure: a.opts.SecureCookies, SameSite: http.SameSiteLaxMode}
	switch {
	case life < 0:
		c.MaxAge, c.Expires = -1, time.Unix(0, 0)
	case life > 0:
		c.MaxAge, c.Expires = int(life.Seconds()), a.opts.Now().Add(life)
	}
	http.SetCookie(w, c)
}

func neverCache(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "max-age=0, no-cache, no-store, must-revalidate, private")
}

const csrfLife = 364 * 24 * time.Hour

// csrfToken is the visitor's token for a form. As in Django, the answer that
// uses it also sets its cookie again.
func (a *App) csrfToken(w http.ResponseWriter, r *http.Request) string {
	c, err := r.Cookie("csrftoken")
	if err != nil || len(c.Value) < 26 || len(c.Value) > 64 {
		return a.rotateCSRF(w)
	}
	a.cookie(w, "csrftoken", c.Value, csrfLife)
	return c.Value
}

func (a *App) rotateCSRF(w http.ResponseWriter) string {
	token := rand.Text()
	a.cookie(w, "csrftoken", token, csrfLife)
	return token
}

// csrfProven compares cookie and form field, or answers 403 itself.
func (a *App) csrfProven(w http.ResponseWriter, r *http.Request) bool {
	c, err := r.Cookie("csrftoken")
	sent := r.PostFormValue("csrfmiddlewaretoken")
	if sent == "" {
		sent = r.Header.Get("X-CSRFToken")
	}
	if err == nil && len(c.Value) >= 26 && subtle.ConstantTimeCompare([]byte(c.Value), []byte(sent)) == 1 {
		return true
	}
	neverCache(w)
	a.fail(w, http.StatusForbidden, "Forbidden", "The form has expired, or did not come from this site. Go back, reload, and send it again.")
	return false
}

type loginData struct {
	Next, Login, Error string
	People             []Person
}

func (a *App) showLogin(w http.ResponseWriter, r *http.Request, status int, data loginData) {
	neverCache(w)
	w.Header().Add("Vary", "Cookie")
	p := a.page("Sign in", "panel")
	p.CSRF = a.csrfToken(w, r)
	data.People = People()
	p.Data = data
	a.render(w, status, "login", p)
}

func (a *App) loginForm(w http.ResponseWriter, r *http.Request) {
	a.showLogin(w, r, http.StatusOK, loginData{Next: r.URL.Query().Get("next")})
}

// login ends any session that came in and starts a new one: an id from before
// the sign-in is worth nothing after it.
func (a *App) login(w http.ResponseWriter, r *http.Request) {
	if !a.csrfProven(w, r) {
		return
	}
	login, password := r.PostFormValue("username"), r.PostFormValue("password")
	next := r.PostFormValue("next")
	for _, p := range People() {
		if p.Login != login || subtle.ConstantTimeCompare([]byte(p.Password), []byte(password)) != 1 {
			continue
		}
		if old, err := r.Cookie("sessionid"); err == nil {
			a.sessions.end(old.Value)
		}
		a.cookie(w, "sessionid", a.sessions.start(p, a.opts.Now()), a.opts.SessionLifetime)
		a.rotateCSRF(w)
		neverCache(w)
		w.Header().Add("Vary", "Cookie")
		w.Header().Set("X-Edge-Session-User", strconv.Itoa(p.ID))
		http.Redirect(w, r, localPath(next), http.StatusFound)
		return
	}
	a.showLogin(w, r, http.StatusOK, loginData{Next: next, Login: login, Error: "Please enter a correct username and password."})
}

// localPath is next if it is a path of this site, else the panel. "//host" and
// "/\host" leave the site in a browser, and so do tabs that browsers remove.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\t\r\n") {
		return "/panel/"
	}
	return next
}

// logoutForm asks once more. The button lives here, not on the panel, so that
// the panel needs no token and its page can be cached per person.
func (a *App) logoutForm(w http.ResponseWriter, r *http.Request) {
	neverCache(w)
	w.Header().Add("Vary", "Cookie")
	p := a.page("Sign out", "panel")
	p.CSRF = a.csrfToken(w, r)
	a.render(w, http.StatusOK, "logout", p)
}

func (a *App) logout(w http.ResponseWriter, r *http.Request) {
	if !a.csrfProven(w, r) {
		return
	}
	if c, err := r.Cookie("sessionid"); err == nil {
		a.sessions.end(c.Value)
		a.cookie(w, "sessionid", "", -1)
	}
	neverCache(w)
	w.Header().Add("Vary", "Cookie")
	w.Header().Set("X-Edge-Session-User", "anonymous")
	http.Redirect(w, r, "/", http.StatusFound)
}

// whoami answers an identity probe: who holds this session cookie.
func (a *App) whoami(w http.ResponseWriter, r *http.Request) {
	neverCache(w)
	w.Header().Add("Vary", "Cookie")
	w.Header().Set("Content-Type", "application/json")
	who, ok := a.person(r)
	if !ok {
		_, _ = w.Write([]byte("{\"id\":null,\"name\":\"\"}\n"))
		return
	}
	_ = json.NewEncoder(w).Encode(who)
}
