package proxy

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// What else can end a request here.
var (
	// ErrOverloadedEdge says that as many requests are in flight as may be.
	ErrOverloadedEdge = errors.New("proxy: too many requests in flight")
	// errOnlyIfCached says that only-if-cached found nothing (RFC 9111 §5.2.1.7).
	errOnlyIfCached = errors.New("proxy: only-if-cached and nothing stored")
)

// statusClientGone is what the log says where the visitor left before there
// was an answer: nginx's word, and nothing is written; see [Proxy.recorded].
const statusClientGone = 499

// Refusal is an answer of the edge's own.
type Refusal struct {
	Status int
	Reason cachepolicy.Reason
	// RetryAfter is left out where zero, else rounded up to a second.
	RetryAfter time.Duration
	// Allow is the field of that name, "" for none.
	Allow string
	// Cause is for the log only, nil where the request itself is at fault.
	Cause error
	// Close ends the connection after the answer.
	Close bool
}

func refuse(status int) *Refusal {
	return &Refusal{Status: status, Reason: cachepolicy.RequestRefused, Close: status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge}
}

// faults maps errors to answers, the first that matches holds.
var faults = []struct {
	is error
	to Refusal
}{
	{ErrBodyTooLarge, Refusal{Status: http.StatusRequestEntityTooLarge, Reason: cachepolicy.RequestRefused, Close: true}},
	{ErrBodyStalled, Refusal{Status: http.StatusRequestTimeout, Reason: cachepolicy.RequestRefused, Close: true}},
	{errBodyBroken, Refusal{Status: http.StatusBadRequest, Reason: cachepolicy.RequestRefused, Close: true}},
	{errOnlyIfCached, Refusal{Status: http.StatusGatewayTimeout, Reason: cachepolicy.RequestOnlyIfCached}},
	{ErrOverloadedEdge, Refusal{Status: http.StatusServiceUnavailable, Reason: cachepolicy.Overloaded, RetryAfter: time.Second}},
	{ErrOverloaded, Refusal{Status: http.StatusServiceUnavailable, Reason: cachepolicy.Overloaded, RetryAfter: time.Second}},
	{sessions.ErrUnavailable, Refusal{Status: http.StatusServiceUnavailable, Reason: cachepolicy.SessionsDown, RetryAfter: 2 * time.Second}},
	{store.ErrUnavailable, Refusal{Status: http.StatusServiceUnavailable, Reason: cachepolicy.StoreDown, RetryAfter: 2 * time.Second}},
	{ErrTimeout, Refusal{Status: http.StatusGatewayTimeout, Reason: cachepolicy.AppTimeout}},
	{errNoStale, Refusal{Status: http.StatusGatewayTimeout, Reason: cachepolicy.AppUnreachable}},
	{ErrBadAnswer, Refusal{Status: http.StatusBadGateway, Reason: cachepolicy.BadAnswer}},
	{ErrUnreachable, Refusal{Status: http.StatusBadGateway, Reason: cachepolicy.AppUnreachable}},
	{context.DeadlineExceeded, Refusal{Status: http.StatusGatewayTimeout, Reason: cachepolicy.AppTimeout}},
	{context.Canceled, Refusal{Status: statusClientGone}},
}

// RefusalFor is the one mapper from an error to what the visitor is told.
func RefusalFor(err error) *Refusal {
	for i := range faults {
		if errors.Is(err, faults[i].is) {
			to := faults[i].to
			to.Cause = err
			return &to
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &Refusal{Status: http.StatusRequestEntityTooLarge, Reason: cachepolicy.RequestRefused, Close: true, Cause: err}
	}
	return &Refusal{Status: http.StatusBadGateway, Reason: cachepolicy.BadAnswer, Cause: err}
}

// Write answers r with the refusal's plain page: no address, no error text,
// never stored. The caller has set what else belongs into the header
// (Cache-Status, X-Request-Id). Where the visitor has gone it writes nothing.
func (f *Refusal) Write(w http.ResponseWriter, r *http.Request) {
	if f.Status == statusClientGone {
		return
	}
	f.discard(w, r)
	h := w.Header()
	for _, name := range representationFields {
		delete(h, name)
	}
	h["Cache-Control"] = []string{"no-store"}
	if f.Allow != "" {
		h["Allow"] = []string{f.Allow}
	}
	if f.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(int64(math.Ceil(f.RetryAfter.Seconds())), 10)}
	}
	if (f.Close || len(r.TransferEncoding) > 0) && r.ProtoMajor < 2 {
		h["Connection"] = []string{"close"}
	}
	if f.Status == http.StatusNoContent {
		w.WriteHeader(f.Status)
		return
	}
	page, kind := f.page(r.Header["Accept"])
	h["Content-Type"] = []string{kind}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(page))}
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, page)
	}
}

// discard bounds the time in which net/http, to find the next request, reads
// content that a refused request has and nobody else will read.
func (f *Refusal) discard(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(discardTime))
}

const discardTime = 5 * time.Second

// representationFields speak of an answer that is not sent after all.
var representationFields = []string{
	"Content-Encoding", "Content-Language", "Content-Range", "Content-Disposition", "Etag", "Last-Modified",
	"Content-Digest", "Content-Md5", "Repr-Digest", "Digest", "Accept-Ranges", "Age", "Expires", "Vary", "Trailer", "Set-Cookie", "Link",
}

// page is the body in the form that Accept asks for: HTML where it names
// text/html, else text.
func (f *Refusal) page(accept []string) (body, kind string) {
	title, advice := http.StatusText(f.Status), "The request cannot be answered."
	switch {
	case f.Status == http.StatusTooManyRequests:
		advice = "There were too many requests. Please try again in a moment."
	case f.Status == http.StatusRequestTimeout:
		advice = "The request took too long to arrive."
	case f.Status >= 500 && f.Status != http.StatusNotImplemented:
		advice = "The site is not available right now. Please try again in a moment."
	}
	code := strconv.Itoa(f.Status)
	for _, line := range accept {
		if strings.Contains(line, "text/html") {
			return "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">" +
				"<meta name=\"viewport\" content=\"width=device-width\"><title>" + title + "</title>" +
				"<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}</style>" +
				"<h1>" + code + " " + title + "</h1><p>" + advice + "</p></html>\n", "text/html; charset=utf-8"
		}
	}
	return code + " " + title + "\n" + advice + "\n", "text/plain; charset=utf-8"
}
