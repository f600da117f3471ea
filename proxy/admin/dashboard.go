package admin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html"
	"net/http"
	"strconv"
	"strings"
)

//go:embed index.html
var indexHTML string

//go:embed dashboard.css
var dashboardCSS string

//go:embed charts.js
var chartsJS string

//go:embed dashboard.js
var figuresJS string

//go:embed actions.js
var actionsJS string

// page is the dashboard: one page with its style and its script inside, which
// the policy allows by their digests; nothing is loaded from elsewhere.
type page struct {
	html   string
	policy string
}

func newPage() page {
	script := chartsJS + figuresJS + actionsJS
	return page{
		html: strings.NewReplacer("/*style*/", dashboardCSS, "/*script*/", script).Replace(indexHTML),
		policy: "default-src 'none'; style-src '" + digest(dashboardCSS) + "'; script-src '" + digest(script) +
			"'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
	}
}

// digest is a hash-source of CSP level 3 §2.3.1.
func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// write sends the page. view is "app" or "signin"; message is plain text.
func (p page) write(w http.ResponseWriter, status int, view, message string) {
	body := strings.NewReplacer("{{view}}", view, "{{message}}", html.EscapeString(message)).Replace(p.html)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Vary", "Cookie")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func (p page) signIn(w http.ResponseWriter, status int, message string) {
	p.write(w, status, "signin", message)
}

// dashboard answers GET /: the page itself, or its sign-in form.
func (a *API) dashboard(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Token == "" {
		if !wantsPage(r) {
			return errNoToken
		}
		a.page.signIn(w, errNoToken.Status, errNoToken.Detail)
		return nil
	}
	if !a.knownHost(r.Host) {
		if !wantsPage(r) {
			return errHost
		}
		a.page.signIn(w, errHost.Status, errHost.Detail)
		return nil
	}
	if _, ok := a.desk.find(r, a.cookieName(), a.Now()); !ok {
		a.page.signIn(w, http.StatusOK, "")
		return nil
	}
	a.page.write(w, http.StatusOK, "app", "")
	return nil
}

// wantsPage reports whether a browser asks, for a page.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
