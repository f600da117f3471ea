package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"umbral/proxy/store"
)

// ErrNotFound is for Explain, Sessions and the like: what was named is not
// there. It becomes 404.
var ErrNotFound = errors.New("admin: not found")

// Problem is a problem detail (RFC 9457 §3). Its type is about:blank, so that
// the title is the status's phrase (§4.2.1), unless Type says otherwise.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Setting is the setting to change.
	Setting string `json:"setting,omitempty"`
	// Field is the member of the body, or the parameter, at fault.
	Field string `json:"field,omitempty"`
	// Faults are those of the routes file.
	Faults []Fault `json:"faults,omitempty"`

	retry     time.Duration
	challenge string
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// badField is a 400 that names what is at fault.
func badField(field, detail string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Field: field, Detail: field + ": " + detail}
}

// absent is the 501 of what the edge runs without.
func absent(what string) *Problem {
	return &Problem{Status: http.StatusNotImplemented, Detail: "this edge runs without " + what}
}

// problemOf maps an error to its problem. What it does not know is a 500
// whose text stays in the log.
func problemOf(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrUnavailable):
		return &Problem{Status: http.StatusServiceUnavailable, Detail: "Redis cannot be reached; ask again", Setting: "REDIS_URL", retry: 2 * time.Second}
	case errors.Is(err, store.ErrSelector):
		return &Problem{Status: http.StatusBadRequest, Detail: "the purge is too large for one record of the log"}
	case errors.Is(err, ErrNotFound):
		return &Problem{Status: http.StatusNotFound, Detail: "there is none of that name"}
	case errors.Is(err, context.DeadlineExceeded):
		return &Problem{Status: http.StatusGatewayTimeout, Detail: "it did not end in time", retry: 2 * time.Second}
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: "something went wrong inside; the log says what"}
}

// fail answers with err's problem.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody is there to read it
	}
	p := *problemOf(err)
	if p.Status >= 500 {
		a.Log.Error("admin call failed", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Error(err))
	}
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	h := w.Header()
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	body, err := json.Marshal(&p)
	if err != nil {
		panic(err) // only strings and numbers are in it
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
	return nil
}
