package proxy

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/esi"
)

// templateOf is the page's template where the route switches ESI on and the
// page has a tag, else nil. It is made once for each stored copy.
func templateOf(route *Route, r *cachepolicy.Stored, body []byte) *esi.Template {
	if !route.Rule.ESI || r.Part != nil || !isHTML(r.Fields) || r.Fields.Get("Content-Encoding") != "" {
		return nil
	}
	t := esi.Parse(body)
	if t.Plain() {
		return nil
	}
	return t
}

func isHTML(h interface{ Get(string) string }) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/html")
}

// assemble answers with a page whose fragments are this visitor's: it has no
// validator and no ranges, and nobody may keep it unasked.
func (p *Proxy) assemble(w http.ResponseWriter, x *Exchange, s *served) {
	body, report, err := esi.Assemble(x.R.Context(), s.template, esi.Options{
		Env:   esi.Env{Host: x.Ask.Host, Path: x.Ask.Path, Query: x.Ask.Query, User: x.Visitor.User()},
		Fetch: p.fragment(x),
	})
	if err != nil {
		p.fail(w, x, err)
		return
	}
	h := w.Header()
	for _, name := range [...]string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Digest", "Repr-Digest", "Expires"} {
		delete(h, name)
	}
	h["Cache-Control"] = []string{"no-cache"}
	if report.Personal || x.Route.Rule.Scope != cachepolicy.Public {
		h["Cache-Control"] = []string{"private, no-cache"}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(s.plain.view.Status)
	if x.R.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// fragment asks this same edge for a fragment as the visitor of x: each has
// its own route, rule and lifetime.
func (p *Proxy) fragment(x *Exchange) esi.Fetch {
	return func(ctx context.Context, target string, _ int) (esi.Fragment, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return esi.Fragment{}, err
		}
		r.Header = x.R.Header.Clone()
		dropConditions(r.Header)
		for _, name := range [...]string{"Range", "If-Range", "Accept-Encoding", "Upgrade", "Connection", "Content-Length", "Content-Type"} {
			delete(r.Header, name)
		}
		r.Host, r.RequestURI, r.RemoteAddr = x.R.Host, target, x.R.RemoteAddr
		w := &page{header: make(http.Header)}
		y := &Exchange{Start: p.now(), R: r, ID: x.ID, pos: p.log.Position(), rec: &Recorder{ResponseWriter: w}}
		if no := p.front.Admit(y); no != nil {
			return esi.Fragment{Status: no.Status}, nil
		}
		// A visitor of its own, for fragments are asked for side by side.
		y.Client, y.Secure, y.Visitor = x.Client, x.Secure, p.sessions.Visit(ctx, r)
		y.Route = p.Rules().Match(r.Method, y.Ask.Host, y.Ask.Path)
		y.inner = true
		p.cached(y.rec, y)
		f := esi.Fragment{Status: w.status, Body: w.body.Bytes(), Personal: y.Route.Rule.Scope != cachepolicy.Public || !y.Route.Rule.Listed()}
		if y.Status.HasTTL {
			f.TTL, f.HasTTL = max(0, y.Status.TTL), true
		}
		if y.Route.Rule.ESI && isHTML(w.header) {
			f.Template = esi.Parse(f.Body)
		}
		return f, nil
	}
}

// page is a ResponseWriter that keeps the answer.
type page struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (p *page) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter; 1xx are not the answer.
func (p *page) WriteHeader(status int) {
	if p.status == 0 && status >= 200 {
		p.status = status
	}
}

// Write implements io.Writer.
func (p *page) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.body.Write(b)
}

// SetWriteDeadline lets http.ResponseController find nothing amiss.
func (p *page) SetWriteDeadline(time.Time) error { return nil }
