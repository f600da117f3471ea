package certapp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const perPage = 8

func (a *App) home(w http.ResponseWriter, _ *http.Request) {
	p := a.page("Registro de Certificados", "home")
	p.Live = true
	all := a.register.all()
	p.Data = struct {
		Total  int
		Latest []Certificate
	}{len(all), all[:3]}
	tag(w, "portada", "certificados")
	a.render(w, http.StatusOK, "home", p)
}

func (a *App) list(w http.ResponseWriter, r *http.Request) {
	p := a.page("Certificates", "list")
	p.Live = true
	all := a.register.all()
	pages := (len(all) + perPage - 1) / perPage
	at := 1
	if q := r.URL.Query().Get("page"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 1 || n > pages {
			a.fail(w, http.StatusNotFound, "Not found", "The list has no such page.")
			return
		}
		at = n
	}
	select { // the expensive report that a cache is there for
	case <-time.After(a.opts.ListDelay):
	case <-r.Context().Done():
		return
	}
	numbers := make([]int, pages)
	for i := range numbers {
		numbers[i] = i + 1
	}
	first := (at - 1) * perPage
	p.Data = struct {
		Certificates []Certificate
		Total, Page  int
		Pages        []int
		Delay        int64
	}{all[first:min(first+perPage, len(all))], len(all), at, numbers, max(a.opts.ListDelay, 0).Milliseconds()}
	tag(w, "certificados")
	a.render(w, http.StatusOK, "list", p)
}

// named finds the certificate that {id} names, or answers 404 itself.
func (a *App) named(w http.ResponseWriter, r *http.Request) (Certificate, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	c, ok := a.register.byID(id)
	if err != nil || !ok || strconv.Itoa(id) != r.PathValue("id") {
		a.fail(w, http.StatusNotFound, "Not found", "There is no certificate with this number.")
		return Certificate{}, false
	}
	return c, true
}

func (a *App) certificate(w http.ResponseWriter, r *http.Request) {
	c, ok := a.named(w, r)
	if !ok {
		return
	}
	p := a.page("Certificate "+strconv.Itoa(c.ID), "list")
	p.Data = c
	tag(w, certificateGroup(c.ID))
	a.render(w, http.StatusOK, "certificate", p)
}

func (a *App) download(w http.ResponseWriter, r *http.Request) {
	c, ok := a.named(w, r)
	if !ok {
		return
	}
	body := document(c)
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="certificado-%d.pdf"`, c.ID))
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	tag(w, certificateGroup(c.ID))
	http.ServeContent(w, r, "", c.Updated, bytes.NewReader(body))
}

// verifyForm sends a typed code to its own address, which can be cached.
func (a *App) verifyForm(w http.ResponseWriter, r *http.Request) {
	if typed := canonicalCode(r.URL.Query().Get("codigo")); typed != "" {
		http.Redirect(w, r, "/verificar/"+url.PathEscape(typed), http.StatusSeeOther)
		return
	}
	p := a.page("Verify a certificate", "verify")
	p.Data = verification{Example: code(7)}
	a.render(w, http.StatusOK, "verify", p)
}

type verification struct {
	Asked   string
	Example string
	Found   *Certificate
}

func (a *App) verify(w http.ResponseWriter, r *http.Request) {
	asked := r.PathValue("codigo")
	if canonical := canonicalCode(asked); canonical != asked && canonical != "" {
		http.Redirect(w, r, "/verificar/"+url.PathEscape(canonical), http.StatusMovedPermanently)
		return
	}
	p := a.page("Verification", "verify")
	c, ok := a.register.byCode(asked)
	if !ok {
		p.Data = verification{Asked: asked, Example: code(7)}
		a.render(w, http.StatusNotFound, "verify", p)
		return
	}
	p.Data = verification{Asked: asked, Example: code(7), Found: &c}
	tag(w, certificateGroup(c.ID))
	a.render(w, http.StatusOK, "verify", p)
}

// activity is a fragment for edge-side includes: not a page of its own.
func (a *App) activity(w http.ResponseWriter, _ *http.Request) {
	p := a.page("", "")
	p.Data = a.register.recent()
	tag(w, "actividad", "certificados")
	a.render(w, http.StatusOK, "fragment-activity", p)
}

// events streams the render counter, so that an open page shows whether the
// app was asked while somebody reloads. It ends with the request's context.
func (a *App) events(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	flush := http.NewResponseController(w)
	tick := time.NewTicker(a.opts.EventInterval)
	defer tick.Stop()
	fmt.Fprint(w, "retry: 3000\n\n")
	for n := 1; ; n++ {
		data, err := json.Marshal(map[string]any{"renders": a.Renders(), "at": a.opts.Now().UTC().Format(time.RFC3339)})
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "id: %d\nevent: renders\ndata: %s\n\n", n, data); err != nil {
			return
		}
		if err := flush.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func (a *App) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

func (a *App) robots(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "User-agent: *\nDisallow: /panel/\nDisallow: /accounts/\nSitemap: %s/sitemap.xml\n", a.base(r))
}

func (a *App) sitemap(w http.ResponseWriter, r *http.Request) {
	type entry struct {
		Loc     string `xml:"loc"`
		LastMod string `xml:"lastmod,omitempty"`
	}
	doc := struct {
		XMLName xml.Name `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
		URLs    []entry  `xml:"url"`
	}{}
	base := a.base(r)
	for _, path := range []string{"/", "/certificados/", "/certificados/?page=2", "/certificados/?page=3", "/verificar/"} {
		doc.URLs = append(doc.URLs, entry{Loc: base + path})
	}
	for _, c := range a.register.all() {
		doc.URLs = append(doc.URLs, entry{Loc: base + "/certificado/" + strconv.Itoa(c.ID), LastMod: c.Updated.Format(time.DateOnly)})
	}
	body, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		http.Error(w, "The site map could not be written.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	tag(w, "certificados")
	fmt.Fprintf(w, "%s%s\n", xml.Header, body)
}

// base is the site's own address as visitors see it.
func (a *App) base(r *http.Request) string {
	if a.opts.BaseURL != "" {
		return a.opts.BaseURL
	}
	if r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
