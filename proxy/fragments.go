package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"umbral/cachepolicy"
	"umbral/proxy/esi"
	"umbral/proxy/store"
)

// templateOf is the page's template where the route switches ESI on and the
// page has a tag, else nil. It is made once for each stored copy.
func templateOf(route *Route, r *cachepolicy.Stored, body []byte) *esi.Template {
	if !route.Rule.ESI || r.Part != nil || !mayHoldTags(r.Fields) || r.Fields.Get("Content-Encoding") != "" {
		return nil
	}
	t := esi.Parse(body)
	if t.Plain() {
		return nil
	}
	return t
}

// mayHoldTags reports whether a browser would read content of this header as
// HTML; one looks into what has no type.
func mayHoldTags(h interface{ Get(string) string }) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	kind = strings.TrimSpace(kind)
	return kind == "" || strings.EqualFold(kind, "text/html") || strings.EqualFold(kind, "application/xhtml+xml")
}

// askForPage makes a request on a route with fragments ask for the whole page,
// as it is: part of a template is no part of the page, no visitor ever had the
// template's validator, and in a coding no tag is found.
func askForPage(out *http.Request) {
	h := out.Header
	h["Accept-Encoding"] = identityOnly
	if out.Method == http.MethodGet || out.Method == http.MethodHead {
		delete(h, "Range")
		delete(h, "If-Range")
		dropConditions(h)
	}
}

// Fields that speak of the bytes of a template, and of how long an answer may
// be kept; neither hold for a page made of it.
var (
	aboutTemplate = [...]string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Length", "Content-Digest", "Content-Md5", "Repr-Digest", "Digest"}
	aboutKeeping  = [...]string{"Expires", "Pragma", "Cdn-Cache-Control", "Surrogate-Control", "No-Vary-Search", "Cache-Groups"}
)

func dropFields(h http.Header, names []string) {
	for _, name := range names {
		delete(h, name)
	}
}

// decodePage takes off the coding that an app has applied unasked to a page
// that may have fragments. More than can be assembled must not come of it.
func decodePage(route *Route, resp *http.Response) {
	h := resp.Header
	if !route.Rule.ESI || !mayHoldTags(h) || resp.Request != nil && resp.Request.Method == http.MethodHead {
		return
	}
	if d := decoderOf(h, resp.Body); d != nil {
		d.left = max(route.Rule.MaxObject, maxFragment)
		resp.Body, resp.ContentLength = d, -1
		delete(h, "Content-Encoding")
		dropFields(h, aboutTemplate[1:])
	}
}

// decoderOf returns what takes off the one coding that h names, nil where that
// is none, or none of those known here.
func decoderOf(h http.Header, body io.ReadCloser) *decoder {
	d := &decoder{from: body, left: maxFragment}
	switch lines := h["Content-Encoding"]; {
	case len(lines) != 1:
		return nil
	case strings.EqualFold(lines[0], "gzip"), strings.EqualFold(lines[0], "x-gzip"):
		d.begin = func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case strings.EqualFold(lines[0], "br"):
		d.begin = func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }
	case strings.EqualFold(lines[0], "zstd"):
		d.begin = func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		}
	default:
		return nil
	}
	return d
}

// decoder reads from its source not before it is read itself.
type decoder struct {
	from  io.ReadCloser
	begin func(io.Reader) (io.Reader, error)
	plain io.Reader
	left  int64 // how much may come yet, in bytes
}

func (d *decoder) Read(p []byte) (int, error) {
	if d.plain == nil {
		plain, err := d.begin(d.from)
		if err != nil {
			return 0, fmt.Errorf("%w: not in the coding that it names: %w", ErrBadAnswer, err)
		}
		d.plain = plain
	}
	n, err := d.plain.Read(p)
	if d.left -= int64(n); d.left < 0 {
		return 0, fmt.Errorf("%w: %w", ErrBadAnswer, errLargeFragment)
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: not in the coding that it names: %w", ErrBadAnswer, err)
	}
	return n, err
}

func (d *decoder) Close() error {
	if z, ok := d.plain.(*zstd.Decoder); ok {
		z.Close()
	}
	return d.from.Close()
}

// tagged reads an answer that is not stored, where its route has fragments: if
// it has tags it becomes an entry that nobody keeps, for no browser is to see
// them; else resp has its content back, and there is no entry. A page too large
// to be assembled streams through without them.
func tagged(route *Route, resp *http.Response, r *cachepolicy.Response) (*store.Entry, error) {
	if !route.Rule.ESI || !mayHoldTags(resp.Header) || !bodyAllowed(resp.StatusCode) {
		return nil, nil
	}
	c := newCapture(resp.Body, max(route.Rule.MaxObject, maxFragment), resp.ContentLength)
	body, err := c.fill()
	switch {
	case errors.Is(err, errTooLarge):
		resp.Body, resp.ContentLength = newStripped(c.reader()), -1
		dropFields(resp.Header, aboutTemplate[:])
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if esi.Parse(body).Plain() {
		resp.Body, resp.ContentLength = wholeBody(body), int64(len(body))
		return nil, nil
	}
	return &store.Entry{Body: body, Response: &cachepolicy.Stored{
		Status: r.Status, Fields: cachepolicy.Pack(resp.Header), ResponseTime: cachepolicy.InstantOf(r.ResponseTime), Scope: route.Rule.Scope,
		Lifetime: cachepolicy.Lifetime{NoStore: cachepolicy.NoStore(resp.Header)},
	}}, nil
}

// stripped is a page without its tags.
type stripped struct {
	io.Reader
	io.Closer
}

func newStripped(page io.ReadCloser) stripped { return stripped{esi.Strip(page), page} }

// untagged takes off the answer to a HEAD what it says of a template: whether
// the page has tags is not known.
func untagged(route *Route, resp *http.Response) {
	if route.Rule.ESI && mayHoldTags(resp.Header) {
		resp.ContentLength = -1
		dropFields(resp.Header, aboutTemplate[:])
		dropFields(resp.Header, aboutKeeping[:])
		delete(resp.Header, "Content-Encoding") // as decodePage does
	}
}

// assemble answers with a page whose fragments are this visitor's: it has no
// validator and no ranges, and nobody may keep it unasked.
func (p *Proxy) assemble(w http.ResponseWriter, x *Exchange, s *served) {
	var cookies fragmentCookies
	body, report, err := esi.Assemble(x.R.Context(), s.template, esi.Options{
		Env:   esi.Env{Host: x.Ask.Host, Path: x.Ask.Path, Query: x.Ask.Query, User: x.Visitor.User()},
		Fetch: p.fragment(x, &cookies),
	})
	if err != nil {
		p.fail(w, x, err)
		return
	}
	h := w.Header()
	dropFields(h, aboutTemplate[:])
	told := "no-cache"
	if report.Personal || x.Route.Rule.Scope != cachepolicy.Public {
		told = "private, no-cache"
	}
	if cachepolicy.NoStore(h) {
		told += ", no-store"
	}
	dropFields(h, aboutKeeping[:])
	h["Cache-Control"] = []string{told}
	cookies.add(h)
	// A page that may be somebody's own is not coded (BREACH).
	if s.transformable && !report.Personal && (x.Status.Hit || x.Status.Stored) && compressible(h, len(body)) && len(body) <= unkeptMost {
		if c := negotiate(x.R.Header["Accept-Encoding"], fastest); c != Plain {
			if coded, _ := p.codeOnce(c, body); coded != nil {
				body = coded
				h["Content-Encoding"] = []string{c.String()}
			}
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(s.plain.view.Status)
	if x.R.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// fragment asks this same edge for a fragment as the visitor of x: each has
// its own route, rule and lifetime.
func (p *Proxy) fragment(x *Exchange, cookies *fragmentCookies) esi.Fetch {
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
		r.Host, r.RequestURI, r.RemoteAddr, r.TLS = x.R.Host, target, x.R.RemoteAddr, x.R.TLS
		w := &page{header: make(http.Header)}
		y := &Exchange{Start: p.now(), R: r, ID: x.ID, pos: p.log.Position(), rec: &Recorder{ResponseWriter: w}}
		y.redisBy = y.Start.Add(x.redisLeft)
		if no := p.front.Admit(y); no != nil {
			return esi.Fragment{Status: no.Status}, nil
		}
		y.Ask.Trusted = x.Ask.Trusted // the token is off the header by now
		// A visitor of its own, for fragments are asked for side by side.
		y.Client, y.Secure, y.Visitor = x.Client, x.Secure, p.sessions.Visit(ctx, r)
		y.Route = p.Rules().Match(r.Method, y.Ask.Host, y.Ask.Path)
		y.inner = true
		p.cached(y.rec, y)
		cookies.note(w.header)
		content, err := w.plain()
		if err != nil {
			return esi.Fragment{}, err
		}
		// What is neither stored nor from the store may be the visitor's own.
		f := esi.Fragment{Status: w.status, Body: content, Personal: !y.Route.AsksPlain() || !y.Status.Hit && !y.Status.Stored}
		if y.Status.HasTTL {
			f.TTL, f.HasTTL = max(0, y.Status.TTL), true
		}
		if y.Route.Rule.ESI && mayHoldTags(w.header) {
			f.Template = esi.Parse(f.Body)
		}
		return f, nil
	}
}

var (
	errCodedFragment = errors.New("proxy: a fragment in a coding that nobody asked for or knows")
	errLargeFragment = errors.New("proxy: a page or fragment is too large")
)

// maxFragment bounds one fragment, in bytes: what all of a page may come to.
const maxFragment = 8 << 20

// fragmentCookies is what the fragments of a page say to their visitor's
// browser: one cookie, ours, whose newest value holds.
type fragmentCookies struct {
	mu    sync.Mutex
	lines []string
}

func (c *fragmentCookies) note(h http.Header) {
	if lines := h["Set-Cookie"]; len(lines) > 0 {
		c.mu.Lock()
		c.lines = lines
		c.mu.Unlock()
	}
}

// add puts them on the page's answer, unless that has a word of its own.
func (c *fragmentCookies) add(h http.Header) {
	if len(c.lines) > 0 && len(h["Set-Cookie"]) == 0 {
		h["Set-Cookie"] = c.lines
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

// plain is the content without the coding that the app has applied to it
// unasked.
func (p *page) plain() ([]byte, error) {
	if p.header.Get("Content-Encoding") == "" {
		return p.body.Bytes(), nil
	}
	d := decoderOf(p.header, io.NopCloser(&p.body))
	if d == nil {
		return nil, errCodedFragment
	}
	defer d.Close()
	return io.ReadAll(d)
}

// Write implements io.Writer.
func (p *page) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.body.Len()+len(b) > maxFragment {
		return 0, errLargeFragment
	}
	return p.body.Write(b)
}

// SetWriteDeadline lets http.ResponseController find nothing amiss.
func (p *page) SetWriteDeadline(time.Time) error { return nil }
