package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ExplainQuery is a request that somebody asks about.
type ExplainQuery struct {
	// URL is "https://host/path?query" or "/path?query", as it was given.
	URL    string
	Method string
	// User is a uid as the app announced it, "" for an anonymous visitor.
	User   string
	Header http.Header
}

// Explanation says what the edge would do with a request, and why.
type Explanation struct {
	// Route is the pattern, "" where no route lists the request.
	Route  string `json:"route"`
	Method string `json:"method"`
	URL    string `json:"url"`
	// Scope is public, session or user.
	Scope string `json:"scope"`
	// TTL is the rule's, "app" where the app's headers say.
	TTL string `json:"ttl"`
	// KeyParts are what tells this request's page from others, in the key's
	// order.
	KeyParts []KeyPart `json:"key_parts"`
	Tags     []string  `json:"tags"`
	// Tiers says what each holds for it, memory first.
	Tiers []TierView `json:"tiers"`
	// Verdict is serve, serve_stale, validate, forward or gateway_timeout, as
	// the tests of routes.yaml name them, or refuse where the front door does;
	// Reason why it is not serve; CacheStatus what the visitor would see.
	Verdict     string `json:"verdict"`
	Reason      string `json:"reason,omitempty"`
	CacheStatus string `json:"cache_status"`
	// Notes are for people: what of the request plays no part, and why.
	Notes []string `json:"notes,omitempty"`
}

// KeyPart is one part of a key.
type KeyPart struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TierView is what one tier holds for a request.
type TierView struct {
	// Tier is memory or redis.
	Tier  string `json:"tier"`
	Found bool   `json:"found"`
	// Error says why the tier could not be asked.
	Error  string `json:"error,omitempty"`
	Status int    `json:"status,omitempty"`
	// Age and TTL are in seconds; TTL is negative once stale.
	Age      Seconds    `json:"age"`
	TTL      Seconds    `json:"ttl"`
	StoredAt *time.Time `json:"stored_at,omitempty"`
	Size     int64      `json:"size,omitempty"`
	Hits     uint32     `json:"hits,omitempty"`
	ETag     string     `json:"etag,omitempty"`
	Tags     []string   `json:"tags,omitempty"`
	Vary     []string   `json:"vary,omitempty"`
	// Position is where the purge log stood when its fetch began; Life what
	// the log makes of it: alive, soft purged or dead.
	Position string `json:"position,omitempty"`
	Life     string `json:"life,omitempty"`
}

// explain answers GET /v1/explain?url=&method=&user=&header=Name:value….
func (a *API) explain(w http.ResponseWriter, r *http.Request, _ caller) error {
	if a.Explain == nil {
		return absent("explain")
	}
	p, err := parseParams(r, []string{"url", "method", "user"}, "header")
	if err != nil {
		return err
	}
	q := ExplainQuery{URL: p.Get("url"), Method: p.Get("method"), User: p.Get("user"), Header: http.Header{}}
	if _, err := PlainURL(q.URL); err != nil {
		return badField("url", err.Error())
	}
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	if !isToken(q.Method) {
		return badField("method", "is no HTTP method")
	}
	if len(p.Values["header"]) > 64 {
		return badField("header", "at most 64 of them")
	}
	for _, line := range p.Values["header"] {
		if line == "" {
			continue // as with the others, nothing is named
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || len(value) > 0 && plainText(strings.ReplaceAll(value, "\t", " ")) != nil {
			return badField("header", fmt.Sprintf("%q must be Name:value", clip(line, 80)))
		}
		q.Header.Add(name, value)
	}
	e, err := a.Options.Explain(r.Context(), q)
	if err != nil {
		return err
	}
	e.KeyParts = orEmpty(e.KeyParts)
	e.Tags = orEmpty(e.Tags)
	e.Tiers = orEmpty(e.Tiers)
	return reply(w, http.StatusOK, e)
}

// orEmpty makes JSON say [] where there is nothing.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(s[i])) {
			return false
		}
	}
	return s != ""
}
