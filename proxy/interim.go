package proxy

import (
	"maps"
	"net/http"

	"umbral/cachepolicy"
)

// interim is the ResponseWriter that ReverseProxy gets: it passes the app's
// 1xx answers on (RFC 9110 §15.2), less what no visitor may see, and keeps
// what the edge has set already out of them and in the final answer, for
// ReverseProxy clears the header after each.
type interim struct {
	http.ResponseWriter
	own     http.Header // what the edge has set, nil for nothing
	cleared bool
	never   bool // the visitor speaks HTTP/1.0, which has no 1xx
}

func newInterim(w http.ResponseWriter, r *http.Request) interim {
	i := interim{ResponseWriter: w, never: !r.ProtoAtLeast(1, 1)}
	if h := w.Header(); len(h) > 0 {
		i.own = maps.Clone(h)
	}
	return i
}

// WriteHeader implements http.ResponseWriter.
func (i *interim) WriteHeader(code int) {
	h := i.Header()
	if code >= 200 || code == http.StatusSwitchingProtocols {
		if i.cleared {
			for name, lines := range i.own {
				if _, has := h[name]; !has {
					h[name] = lines
				}
			}
		}
		i.ResponseWriter.WriteHeader(code)
		return
	}
	i.cleared = true
	if i.never {
		return
	}
	for name := range i.own {
		delete(h, name)
	}
	cachepolicy.StripInterim(h)
	i.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (i *interim) Unwrap() http.ResponseWriter { return i.ResponseWriter }
