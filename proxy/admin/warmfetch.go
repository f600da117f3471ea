package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/dunglas/httpsfv"
)

var errWarmPanic = errors.New("the edge gave the request up")

// fetched is the edge's answer to a fetch.
type fetched struct {
	status      int
	cacheStatus []string
	body        []byte
	err         error
}

// fetch asks the edge for t as a visitor without cookies would, and keeps up
// to limit bytes of the body; 0: none.
func (m *Warmer) fetch(t warmTarget, limit int) (got fetched) {
	ctx, cancel := context.WithTimeout(m.ctx, m.o.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.host+t.target, nil)
	if err != nil {
		return fetched{err: errURLForm}
	}
	// As net/http's server would have made it of an origin-form target.
	r.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	r.RequestURI, r.RemoteAddr, r.Body = t.target, "127.0.0.1:0", http.NoBody
	r.Header.Set("User-Agent", "umbral-warm")
	w := &sink{header: http.Header{}, limit: limit}
	defer func() {
		// http.ErrAbortHandler is how a truncated answer ends.
		if recover() != nil {
			got = fetched{status: w.status, err: cmp.Or(ctx.Err(), errWarmPanic)}
		}
	}()
	m.o.Handler.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	got = fetched{status: w.status, cacheStatus: w.header.Values("Cache-Status"), body: w.body}
	if err := ctx.Err(); err != nil {
		got.err = err
	} else if w.over {
		got.err = errSitemapLarge
	}
	return got
}

// sink is a ResponseWriter that keeps the head and some of the body.
type sink struct {
	header http.Header
	status int
	body   []byte
	limit  int
	over   bool
}

func (s *sink) Header() http.Header { return s.header }

// WriteHeader lets 1xx answers pass: the final one is yet to come.
func (s *sink) WriteHeader(status int) {
	if s.status == 0 && status >= 200 {
		s.status = status
	}
}

func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if s.limit > 0 {
		if len(s.body)+len(p) > s.limit {
			s.over = true
			return 0, errSitemapLarge
		}
		s.body = append(s.body, p...)
	}
	return len(p), nil
}

// Flush implements [http.Flusher].
func (s *sink) Flush() {}

// cacheWord says in a word what the edge's member of Cache-Status, the last
// one (RFC 9211 §2), says of storing.
func cacheWord(fields []string) string {
	list, err := httpsfv.UnmarshalList(fields)
	if err != nil || len(list) == 0 {
		return "not stored"
	}
	item, ok := list[len(list)-1].(httpsfv.Item)
	if !ok {
		return "not stored"
	}
	for _, word := range []string{"hit", "stored"} {
		if v, ok := item.Params.Get(word); ok && v == true {
			return word
		}
	}
	return "not stored"
}
