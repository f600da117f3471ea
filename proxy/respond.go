package proxy

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/esi"
	"umbral/proxy/store"
)

// served is what can be worked out once for a copy in memory, so that a hit
// need not: the header as visitors see it, and the body in each coding. It is
// kept from a copy's second hit on, or once it has been coded: most pages are
// never used again.
type served struct {
	route *Route // whose rule it follows
	plain form
	// transformable: the edge may serve it, or what is assembled of it, in
	// other codings; encodable: and copies in them are kept.
	transformable, encodable bool
	template                 *esi.Template // nil where there are no fragments
	forms                    [numCodings]atomic.Pointer[form]
}

// form is a body in one coding with what speaks of it.
type form struct {
	view *cachepolicy.Stored // as stored, with the validator that is shown
	// shown is the header without Age, Cache-Status, and what stands below.
	shown  cachepolicy.Fields
	body   []byte
	tag    string // Etag, "" for none
	coding Coding // that the edge added
}

// servedOf returns what was worked out for e, or works it out.
func (p *Proxy) servedOf(route *Route, e *store.Entry) *served {
	if kept := e.Served.Load(); kept != nil {
		if s := (*kept).(*served); s.route == route {
			return s
		}
	}
	s := newServed(route, e)
	if e.Hits.Load() > 1 {
		s.keep(e)
	}
	return s
}

func (s *served) keep(e *store.Entry) {
	var kept any = s
	e.Served.Store(&kept)
}

func newServed(route *Route, e *store.Entry) *served {
	r := e.Response
	h := route.Present(r)
	s := &served{route: route, template: templateOf(route, r, e.Body)}
	s.plain = form{view: r, body: e.Body, tag: h.Get("Etag")}
	for _, name := range [...]string{"Content-Length", "Etag", "Age", "X-Request-Id"} {
		delete(h, name)
	}
	s.transformable = r.Scope == cachepolicy.Public && r.Status == http.StatusOK && r.Part == nil &&
		h.Get("Content-Encoding") == "" && compressibleType(h) && !r.Lifetime.NoTransform
	s.encodable = s.transformable && s.template == nil && compressible(h, len(e.Body))
	if s.encodable || s.transformable && s.template != nil {
		h["Vary"] = addField(h["Vary"], "Accept-Encoding")
	}
	s.plain.shown = cachepolicy.Pack(h)
	return s
}

// digests hold for the bytes that the app made (RFC 9530): the first two for
// its message's content, the others for the representation in its coding.
var digests = [...]string{"Content-Digest", "Content-Md5", "Repr-Digest", "Digest"}

// contentDigests hold for no part of the content, and where there is none.
var contentDigests = digests[:2]

// fill puts on h what is the same for all whom f answers.
func (f *form) fill(h http.Header) {
	f.shown.AddTo(h)
	if f.tag != "" {
		h["Etag"] = []string{f.tag}
	}
	if f.coding != Plain {
		h["Content-Encoding"] = []string{f.coding.String()}
	}
}

// choose returns the form that the visitor's Accept-Encoding asks for.
func (p *Proxy) choose(s *served, x *Exchange) *form {
	h := x.R.Header
	if !s.encodable {
		return &s.plain
	}
	if _, ranged := h["Range"]; ranged {
		return &s.plain // ranges are of the plain form (RFC 9110 §14.2)
	}
	c := Negotiate(h["Accept-Encoding"])
	if c == Plain {
		return &s.plain
	}
	if f := s.forms[c].Load(); f != nil {
		return f
	}
	if p.encoded.Load() >= p.encodedMost {
		return p.unkept(s, x)
	}
	return p.encode(s, c)
}

// encode makes a form and keeps it beside the plain one.
func (p *Proxy) encode(s *served, c Coding) *form {
	body := Encode(c, s.plain.body)
	if body == nil || len(body) >= len(s.plain.body) {
		s.forms[c].Store(&s.plain)
		return &s.plain
	}
	f := s.form(c, codedETag(s.plain.view.Tag(), c, s.plain.body))
	f.body = body
	p.encoded.Add(int64(len(body)))
	runtime.AddCleanup(f, func(n int64) { p.encoded.Add(-n) }, int64(len(body)))
	s.forms[c].Store(f)
	return f
}

// form is one in coding c, still without a body.
func (s *served) form(c Coding, tag string) *form {
	f := &form{view: s.plain.view, shown: s.plain.shown.Without(digests[:]...), coding: c, tag: tag}
	coded := *f.view
	coded.Fields = coded.Fields.With("Etag", tag)
	f.view = &coded
	return f
}

// codedETag is the tag in coding c of content that has the given tag where it
// is plain: a strong tag names one sequence of bytes (RFC 9110 §8.8.3.3).
// Where there is none, or what is no entity-tag, the edge makes one, for a date
// does not tell a coding from another (§8.8.1).
func codedETag(tag string, c Coding, plain []byte) string {
	switch {
	case strings.HasPrefix(tag, `W/"`):
		return tag
	case strings.HasPrefix(tag, `"`):
		return tag[:len(tag)-1] + "-" + c.String() + `"`
	}
	return codedETag(digestTag(plain), c, nil)
}

// noAge is the age of what the app has only just said: Age would deny that
// (RFC 9111 §5.1).
const noAge = -1

// respond answers from a stored response: 200 and its kin, 206, 304, 412 or
// 416, and the head alone for HEAD.
func (p *Proxy) respond(w http.ResponseWriter, x *Exchange, e *store.Entry, age time.Duration) {
	s := p.servedOf(x.Route, e)
	f := p.choose(s, x)
	if f.coding != Plain && e.Served.Load() == nil && s.forms[f.coding].Load() == f {
		s.keep(e) // a coding is dear
	}
	h := w.Header()
	f.fill(h)
	if age != noAge {
		h["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
	}
	p.finish(h, x)
	if s.template != nil && !x.inner {
		p.assemble(w, x, s)
		return
	}
	status := cachepolicy.Precondition(&x.Ask, f.view)
	if status == 0 && f != &s.plain {
		// The browser may hold the same content in another coding.
		if status = cachepolicy.Precondition(&x.Ask, s.plain.view); status == http.StatusNotModified {
			h["Etag"] = []string{s.plain.tag}
		} else {
			status = 0
		}
	}
	switch {
	case status == http.StatusNotModified:
		delete(h, "Content-Encoding")
		delete(h, "Content-Type")
		dropFields(h, contentDigests)
		w.WriteHeader(status)
		return
	case status == http.StatusPreconditionFailed:
		bare(w, status)
		return
	}
	_, ranged := x.R.Header["Range"]
	if ranged && s.encodable && cachepolicy.IfRangeByDate(&x.Ask) {
		ranged = false // of which form the visitor has the rest is not known
	}
	if ranged || e.Response.Part != nil {
		if p.respondRange(w, x, e, f) {
			return
		}
	}
	content := bodyAllowed(e.Response.Status)
	if content {
		h["Content-Length"] = []string{strconv.Itoa(len(f.body))}
	}
	if x.R.Method == http.MethodHead {
		dropFields(h, contentDigests)
		content = false
	}
	w.WriteHeader(e.Response.Status)
	if content {
		_, _ = w.Write(f.body)
	}
}

// respondRange answers a Range from a stored response (RFC 9110 §14); false:
// the whole is to be sent.
func (p *Proxy) respondRange(w http.ResponseWriter, x *Exchange, e *store.Entry, f *form) bool {
	size, offset := int64(len(f.body)), int64(0)
	if part := e.Response.Part; part != nil {
		size, offset = part.Total, part.First
	}
	spans, status := cachepolicy.SelectRanges(&x.Ask, f.view, size)
	h := w.Header()
	switch {
	case status == http.StatusRequestedRangeNotSatisfiable:
		h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(size, 10)}
		bare(w, status)
		return true
	case status != http.StatusPartialContent:
		return false
	}
	dropFields(h, contentDigests)
	if len(spans) == 1 {
		sp := spans[0]
		h["Content-Range"] = []string{contentRange(sp, size)}
		h["Content-Length"] = []string{strconv.FormatInt(sp.Last-sp.First+1, 10)}
		w.WriteHeader(status)
		if x.R.Method != http.MethodHead {
			_, _ = w.Write(f.body[sp.First-offset : sp.Last-offset+1])
		}
		return true
	}
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, sp := range spans {
		part, _ := m.CreatePart(textproto.MIMEHeader{
			"Content-Type":  h["Content-Type"],
			"Content-Range": {contentRange(sp, size)},
		})
		_, _ = part.Write(f.body[sp.First-offset : sp.Last-offset+1])
	}
	m.Close()
	delete(h, "Content-Range")
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + m.Boundary()}
	h["Content-Length"] = []string{strconv.Itoa(b.Len())}
	w.WriteHeader(status)
	if x.R.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes())
	}
	return true
}

// bare answers with a status and no content.
func bare(w http.ResponseWriter, status int) {
	h := w.Header()
	delete(h, "Content-Encoding")
	delete(h, "Content-Type")
	dropFields(h, digests[:])
	h["Content-Length"] = []string{"0"}
	w.WriteHeader(status)
}

func contentRange(sp cachepolicy.Span, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", sp.First, sp.Last, size)
}

// finish puts on an answer what the edge says on every one.
func (p *Proxy) finish(h http.Header, x *Exchange) {
	label(h, x)
	if x.Visitor != nil {
		x.Visitor.Finish(h)
	}
}

// label is Cache-Status and X-Request-Id.
func label(h http.Header, x *Exchange) {
	var b [96]byte
	lines := [...]string{string(x.Status.Append(b[:0])), x.ID} // in one piece
	if theirs := h["Cache-Status"]; len(theirs) > 0 {
		h["Cache-Status"] = append(theirs[:len(theirs):len(theirs)], lines[0]) // ours comes last (RFC 9211 §2)
	} else {
		h["Cache-Status"] = lines[0:1:1]
	}
	h["X-Request-Id"] = lines[1:2:2]
}

// bodyAllowed reports whether a status may have content (RFC 9110 §6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// addField adds a member to a list field's lines unless it is there.
func addField(lines []string, name string) []string {
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if m := strings.TrimSpace(member); m == "*" || strings.EqualFold(m, name) {
				return lines
			}
		}
	}
	return append(lines[:len(lines):len(lines)], name)
}
