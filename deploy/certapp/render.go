package certapp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// page is what a template sees: the frame's own fields, and the page's Data.
type page struct {
	Title  string
	Here   string // the menu entry to mark
	Live   bool   // connect to /eventos
	CSRF   string // set by forms only: using it sets a cookie
	Data   any
	Render int64
	now    func() time.Time
	start  time.Time
}

func (p *page) At() string { return p.start.UTC().Format("15:04:05.000 MST") }

// Instant is the same for the script, which compares it with the visit's own.
func (p *page) Instant() string { return p.start.UTC().Format("2006-01-02T15:04:05.000Z") }

// Took is asked for in the footer, at the very end of the page, and so covers
// nearly all of the work.
func (p *page) Took() string {
	return strconv.FormatInt(p.now().Sub(p.start).Milliseconds(), 10)
}

func (a *App) page(title, here string) *page {
	return &page{Title: title, Here: here, now: a.opts.Now, start: a.opts.Now()}
}

// render writes a whole page or, if its template fails, a plain 500: never half
// a page that a cache might keep.
func (a *App) render(w http.ResponseWriter, status int, name string, p *page) {
	p.Render = a.renders.Add(1)
	t, root := a.pages[name], "layout"
	if t.Lookup(root) == nil {
		root = name
	}
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, root, p); err != nil {
		http.Error(w, "The page could not be rendered.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-App-Renders", strconv.FormatInt(p.Render, 10))
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// fail renders the error page.
func (a *App) fail(w http.ResponseWriter, status int, title, text string) {
	p := a.page(title, "")
	p.Data = struct {
		Status int
		Text   string
	}{status, text}
	a.render(w, status, "error", p)
}

func (a *App) notFound(w http.ResponseWriter, _ *http.Request) {
	a.fail(w, http.StatusNotFound, "Not found", "There is no page at this address.")
}

// parsePages reads every template once: each page with a layout of its own, so
// that each may define "main", and fragments (no "main") alone.
func parsePages(static assets) map[string]*template.Template {
	funcs := template.FuncMap{
		"asset": static.url,
		"seal":  seal,
		"esi":   include,
		"date":  func(t time.Time) string { return t.Format("2 January 2006") },
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err)
	}
	pages := make(map[string]*template.Template)
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" {
			continue
		}
		t := template.New(name).Funcs(funcs)
		if strings.HasPrefix(name, "fragment-") {
			text, err := fs.ReadFile(files, file)
			if err != nil {
				panic(err)
			}
			pages[name] = template.Must(t.Parse(string(text)))
			continue
		}
		pages[name] = template.Must(t.ParseFS(files, "templates/layout.html", file))
	}
	return pages
}

// include asks the edge to put a fragment here. It is written as a comment, so
// that a browser that meets it without an edge in between sees nothing of it.
func include(src string) template.HTML {
	return template.HTML(`<!--esi <esi:include src="` + template.HTMLEscapeString(src) + `" onerror="continue"/> -->`)
}

// assets maps a content-hashed name (site.1a2b3c4d.css) to its bytes: a changed
// file has a new address, so each may be kept for ever.
type assets struct {
	byURL map[string][]byte
	urls  map[string]string
}

func loadAssets() assets {
	found := assets{byURL: map[string][]byte{}, urls: map[string]string{}}
	entries, err := files.ReadDir("static")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		body, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		stem, ext, _ := strings.Cut(e.Name(), ".")
		hashed := stem + "." + hex.EncodeToString(sum[:4]) + "." + ext
		found.byURL[hashed] = body
		found.urls[e.Name()] = "/static/" + hashed
	}
	return found
}

func (s assets) url(name string) string { return s.urls[name] }

func (a *App) static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	body, ok := a.assets.byURL[name]
	if !ok {
		a.notFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+strings.Split(name, ".")[1]+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}
