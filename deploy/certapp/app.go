package certapp

import (
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Routes is the demo's routes.yaml: the edge's rules for this app.
//
//go:embed routes.yaml
var Routes []byte

//go:embed templates static
var files embed.FS

// Options of an App. The zero value is a working demo.
type Options struct {
	// ListDelay is how long the list takes to "compute", so that a cache shows.
	// Zero means 400ms, negative none.
	ListDelay time.Duration
	// EventInterval is the pace of /eventos. Zero means 1s.
	EventInterval time.Duration
	// SessionLifetime runs from sign-in and does not slide. Zero means 14 days.
	SessionLifetime time.Duration
	// BaseURL is the site's public address, for sitemap.xml. Empty means the
	// request's Host, with X-Forwarded-Proto.
	BaseURL string
	// SecureCookies marks the app's cookies Secure.
	SecureCookies bool
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// App is the site. It is safe for concurrent use, and holds all its state in
// memory: a restart forgets edits and signs everybody out.
type App struct {
	opts     Options
	mux      *http.ServeMux
	pages    map[string]*template.Template
	assets   assets
	register *register
	sessions *sessions
	renders  atomic.Int64
}

// New returns the site, ready to serve.
func New(opts Options) *App {
	if opts.ListDelay == 0 {
		opts.ListDelay = 400 * time.Millisecond
	}
	if opts.EventInterval <= 0 {
		opts.EventInterval = time.Second
	}
	if opts.SessionLifetime <= 0 {
		opts.SessionLifetime = 14 * 24 * time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &App{
		opts:     opts,
		mux:      http.NewServeMux(),
		assets:   loadAssets(),
		register: newRegister(),
		sessions: newSessions(opts.SessionLifetime),
	}
	a.pages = parsePages(a.assets)
	a.routes()
	return a
}

// Renders returns how many HTML pages the app has rendered since it started.
// Every page also carries it as X-App-Renders, so that a test sees whether the
// app was asked.
func (a *App) Renders() int64 { return a.renders.Load() }

func (a *App) routes() {
	a.mux.HandleFunc("GET /{$}", a.home)
	a.mux.HandleFunc("GET /certificados/{$}", a.list)
	a.mux.HandleFunc("GET /certificado/{id}", a.certificate)
	a.mux.HandleFunc("GET /certificado/{id}/descargar", a.download)
	a.mux.HandleFunc("GET /certificado/{id}/editar", a.signedIn(a.editForm))
	a.mux.HandleFunc("POST /certificado/{id}/editar", a.signedIn(a.edit))
	a.mux.HandleFunc("GET /verificar/{$}", a.verifyForm)
	a.mux.HandleFunc("GET /verificar/{codigo}", a.verify)
	a.mux.HandleFunc("GET /accounts/login/{$}", a.loginForm)
	a.mux.HandleFunc("POST /accounts/login/{$}", a.login)
	a.mux.HandleFunc("GET /accounts/logout/{$}", a.logoutForm)
	a.mux.HandleFunc("POST /accounts/logout/{$}", a.logout)
	a.mux.HandleFunc("GET /panel/{$}", a.signedIn(a.panel))
	a.mux.HandleFunc("GET /fragmentos/actividad", a.activity)
	a.mux.HandleFunc("GET /whoami/{$}", a.whoami)
	a.mux.HandleFunc("GET /eventos", a.events)
	a.mux.HandleFunc("GET /healthz", a.healthz)
	a.mux.HandleFunc("GET /robots.txt", a.robots)
	a.mux.HandleFunc("GET /sitemap.xml", a.sitemap)
	a.mux.HandleFunc("GET /static/{name}", a.static)
	a.mux.HandleFunc("/", a.notFound)
}

// ServeHTTP serves one request of the site.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	a.mux.ServeHTTP(w, r)
}

// tag names what a page shows, for the edge to purge by: Cache-Tag as the CDNs
// write it, Cache-Groups as RFC 9875 does.
func tag(w http.ResponseWriter, groups ...string) {
	w.Header().Set("Cache-Tag", strings.Join(groups, ","))
	w.Header().Set("Cache-Groups", sfStrings(groups))
}

// sfStrings writes names as an RFC 9651 list of strings. The names are our own:
// printable ASCII without quotes, so nothing needs escaping.
func sfStrings(names []string) string {
	return `"` + strings.Join(names, `", "`) + `"`
}

func certificateGroup(id int) string { return "certificado:" + strconv.Itoa(id) }
