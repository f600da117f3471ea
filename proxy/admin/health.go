package admin

import (
	"context"
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openapiJSON []byte

// Check is one line of /readyz?verbose.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Optional checks do not make the edge unready: it serves without Redis,
	// and with the rules it had before a faulty reload.
	Optional bool   `json:"optional,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// readiness is the answer of /readyz.
type readiness struct {
	// Status is ready, unready or draining.
	Status string  `json:"status"`
	Checks []Check `json:"checks,omitempty"`
}

func (a *API) healthz(w http.ResponseWriter, _ *http.Request, _ caller) error {
	return reply(w, http.StatusOK, map[string]string{"status": "alive"})
}

// readyz answers 503 while draining or where a check that is not optional
// fails; what failed is told only to who has the token, with ?verbose.
func (a *API) readyz(w http.ResponseWriter, r *http.Request, _ caller) error {
	verbose := r.URL.Query().Has("verbose")
	if verbose {
		if _, err := a.admit(r); err != nil {
			return err
		}
	}
	out, status := a.readiness(r.Context()), http.StatusOK
	if out.Status != "ready" {
		status = http.StatusServiceUnavailable
	}
	if !verbose {
		out.Checks = nil
	}
	return reply(w, status, out)
}

func (a *API) readiness(ctx context.Context) readiness {
	out := readiness{Status: "ready"}
	if a.Ready != nil {
		out.Checks = a.Ready(ctx)
	}
	for _, c := range out.Checks {
		if !c.OK && !c.Optional {
			out.Status = "unready"
		}
	}
	if a.Draining != nil && a.Draining() {
		out.Status = "draining"
	}
	return out
}

// jwks answers with the public keys (RFC 7517 §8.5.2): no token, since the
// app that verifies X-Edge-Identity has none.
func (a *API) jwks(w http.ResponseWriter, _ *http.Request, _ caller) error {
	if a.JWKS == nil {
		return absent("identity keys")
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	return reply(w, http.StatusOK, a.JWKS())
}

func (a *API) openapi(w http.ResponseWriter, _ *http.Request, _ caller) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openapiJSON)
	return nil
}

func (a *API) metrics(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Metrics == nil {
		return absent("metrics")
	}
	a.Metrics.ServeHTTP(w, r)
	return nil
}
