package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"umbral/config"
)

// asGiven looks settings up as serve would: flags first, then environment.
func asGiven(cmd *cobra.Command) config.Lookup {
	flags := flagLookup(cmd)
	return func(name string) (string, bool) {
		if v, ok := flags(name); ok {
			return v, true
		}
		return os.LookupEnv(name)
	}
}

// app looks whether each upstream answers, and what it makes of
// X-Forwarded-Proto.
func (r *report) app(ctx context.Context, s *config.Settings) {
	for _, u := range s.Upstreams {
		r.upstream(ctx, s, u)
	}
}

func (r *report) upstream(ctx context.Context, s *config.Settings, u *url.URL) {
	plain, err := askApp(ctx, u, "http") //nolint:bodyclose // closed there
	if err != nil {
		r.bad("App", fmt.Sprintf("%s does not answer: %s", u, plainNetError(err)), "see whether the app runs, and whether UPSTREAM_URL is right from here")
		return
	}
	switch code := plain.StatusCode; {
	case code >= 500:
		r.warn("App", fmt.Sprintf("%s answers / with %s", u, plain.Status), "look at the app's own log")
	case code == http.StatusBadRequest:
		r.warn("App", fmt.Sprintf("%s answers / with %s", u, plain.Status), "where the app checks the Host (Django's ALLOWED_HOSTS), this is the doctor's, not a visitor's")
	default:
		r.good("App", "%s answers / with %s", u, plain.Status)
	}
	const check = "X-Forwarded-Proto"
	secure, err := askApp(ctx, u, "https") //nolint:bodyclose // closed there
	if err != nil {
		r.warn(check, fmt.Sprintf("%s does not answer when it is https: %s", u, plainNetError(err)), "look at the app's own log")
		return
	}
	to, from := redirect(secure), redirect(plain)
	const do = "tell the app to trust it; in Django: SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")"
	switch {
	case to == "https" && from == "https":
		r.bad(check, fmt.Sprintf("%s redirects to https what came by https already: visitors go round for ever", u), do)
	case to == "http":
		r.bad(check, fmt.Sprintf("%s redirects to http what came by https", u), do)
	case from == "https":
		r.good(check, "%s trusts it", u)
		if !s.CookieSecure && s.TLSCert == "" {
			r.warn(check, "the app wants https, and COOKIE_SECURE is false", "set COOKIE_SECURE=true, or the app's SECURE_SSL_REDIRECT off for development")
		}
	default:
		r.good(check, "%s makes no difference by it at /", u)
	}
}

// askApp asks for / as a visitor of the given scheme would through the edge.
func askApp(ctx context.Context, u *url.URL, scheme string) (*http.Response, error) {
	client := http.Client{
		Timeout:       5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	target := u.String() + "/"
	if u.Scheme == "unix" {
		target = "http://localhost/"
		client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Forwarded-Proto", scheme)
	r.Header.Set("User-Agent", "umbral-doctor")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
	return answer, err
}

// redirect is the scheme that the answer sends its visitor to on the same
// host, "" where it does not.
func redirect(answer *http.Response) string {
	if answer.StatusCode < 300 || answer.StatusCode > 399 {
		return ""
	}
	to, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || to.Hostname() != answer.Request.URL.Hostname() {
		return ""
	}
	return to.Scheme
}

// routes reads the routes file.
func (r *report) routes(s *config.Settings) {
	const check = "Routes file"
	file, err := config.Load(s.RoutesFile, s.Options())
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		for _, f := range faults {
			r.bad(check, f.Error(), "")
		}
	case errors.Is(err, fs.ErrNotExist) && !s.Named("ROUTES_FILE"):
		r.warn(check, "there is no "+s.RoutesFile+" here: no route is listed", "write one, or name it in ROUTES_FILE")
	case err != nil:
		r.bad(check, err.Error(), "ROUTES_FILE says where it is")
	default:
		r.good(check, "%s: %s and no fault", file.Path, count(len(file.Rules), "route"))
	}
}

// settings looks at what the settings say by themselves.
func (r *report) settings(s *config.Settings, faults config.Faults) {
	for _, f := range faults {
		if f.Message != "" && !strings.HasPrefix(f.Message, "REDIS_URL is not set") {
			r.bad("Settings", f.Message, "")
		}
	}
	for i, secret := range s.EdgeSecrets {
		name := "EDGE_SECRETS"
		if len(s.EdgeSecrets) > 1 {
			name = fmt.Sprintf("EDGE_SECRETS, number %d", i+1)
		}
		r.strength(name, secret.Reveal())
	}
	switch token := s.AdminToken.Reveal(); {
	case token != "":
		r.strength("ADMIN_TOKEN", token)
	case len(faults) == 0 || !s.Named("ADMIN_TOKEN"):
		r.warn("Secrets", "ADMIN_TOKEN is not set: the admin API refuses everything but its health", "set it to what 'umbral secret' prints")
	}
	const check = "Cookie and TLS"
	tls := s.TLSCert != "" && s.TLSKey != ""
	switch {
	case tls && !s.CookieSecure:
		r.bad(check, "TLS ends here, and COOKIE_SECURE is false: the session cookie would travel over plain http as well", "set COOKIE_SECURE=true")
	case !s.CookieSecure:
		r.warn(check, "COOKIE_SECURE is false: for development only", "serve HTTPS, and set COOKIE_SECURE=true")
	case !tls && len(s.TrustedProxies) == 0:
		r.warn(check, "cookies are for https only, but TLS does not end here and no proxy is trusted: over plain http nobody stays signed in",
			"set TLS_CERT and TLS_KEY, or TRUSTED_PROXIES where something before the edge ends TLS")
	default:
		r.good(check, "cookies are for https only, and visitors come by it")
	}
}

// strength guesses whether a secret was made by chance: words and patterns
// have few different characters, or repeat.
func (r *report) strength(name, secret string) {
	distinct := make(map[rune]bool)
	for _, c := range secret {
		distinct[c] = true
	}
	// Text that stands in itself doubled, ends cut off, is a repetition.
	twice := secret + secret
	if len(distinct) < 12 || strings.Contains(twice[1:len(twice)-1], secret) {
		r.bad("Secrets", name+" is long enough, but looks like a pattern", "replace it by what 'umbral secret' prints")
		return
	}
	r.good("Secrets", "%s: %d characters, %d different ones", name, len(secret), len(distinct))
}

// edge asks whether an edge runs with these settings, and what it finds wrong
// itself.
func (r *report) edge(ctx context.Context, s *config.Settings) {
	const check = "Edge"
	base := reachable(s.AdminListen)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client := adminClient{base: base, token: s.AdminToken.Reveal()}
	path := "/readyz"
	if client.token != "" {
		path += "?verbose"
	}
	var ready struct {
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	if _, err := client.call(ctx, "GET", path, nil, &ready); err != nil {
		if strings.Contains(err.Error(), "this ADMIN_TOKEN") {
			r.bad(check, base+": "+err.Error(), "set ADMIN_TOKEN here to the edge's own")
			return
		}
		r.warn(check, "none is ready at "+base, "start it with 'umbral serve', or ask /readyz?verbose with the token what it lacks")
		return
	}
	r.good(check, "ready at %s", base)
	for _, c := range ready.Checks {
		if !c.OK {
			r.warn(check, c.Name+": "+cmp.Or(c.Detail, "it is not well"), "see what its log says")
		}
	}
}
