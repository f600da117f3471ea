// Package config reads what the operator says: the settings of environment
// and flags ([LoadSettings]) and the rules of routes.yaml ([Load], [Watch]).
// Everything is read strictly, and every fault is reported at once, those of
// routes.yaml with file, line and column.
//
// The types of this file are routes.yaml: the loader and the JSON Schema are
// both made from their tags, so that they cannot disagree. `yaml` names the
// key, `doc` describes it, `jsonschema` bounds it (required, enum, minimum,
// maximum).
package config

import (
	"time"

	"gopkg.in/yaml.v3"
)

// Document is routes.yaml as it is written.
type Document struct {
	Version     int      `yaml:"version" jsonschema:"required,enum=1" doc:"The version of this format: 1."`
	Defaults    Shared   `yaml:"defaults" doc:"What listed routes are where they do not say otherwise themselves."`
	Routes      []Route  `yaml:"routes" doc:"The routes. The most specific pattern wins, whatever the order."`
	Sessions    Sessions `yaml:"sessions" doc:"How sessions end at the edge."`
	Warm        Warm     `yaml:"warm" doc:"Pages to fetch before visitors ask for them."`
	Purge       Purge    `yaml:"purge" doc:"How purges are followed."`
	Methods     []string `yaml:"methods" doc:"Methods to let in besides GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS. CONNECT and TRACE never are."`
	KeepHeaders []string `yaml:"keep_headers" doc:"Request headers that the edge would drop because they change the app's answers without being in any key, such as X-Forwarded-Prefix. Name them only where the app ignores them on cached pages."`
	Limits      Limits   `yaml:"limits" doc:"Bounds on what comes in. What is absent has the edge's default."`
	Tests       []Test   `yaml:"tests" doc:"Requests and what is to become of them; run by 'umbral test'."`
}

// Shared is what a route may say and the defaults may say for all of them.
type Shared struct {
	TTL                  TTL           `yaml:"ttl" doc:"How long a page is fresh, whatever max-age the app sends; 'app': as the app's headers say (RFC 9111). Without it CACHE_TIMEOUT."`
	Vary                 string        `yaml:"vary" jsonschema:"enum=public,enum=session,enum=user" doc:"Whose a page is: everybody's, one session's, one user's."`
	StaleWhileRevalidate time.Duration `yaml:"stale_while_revalidate" doc:"How long a stale page is served while it is fetched again. Without it the app's own directive holds."`
	StaleIfError         time.Duration `yaml:"stale_if_error" doc:"How long a stale page is served when the app fails. Without it the app's own directive holds."`
	StaleIfUnreachable   time.Duration `yaml:"stale_if_unreachable" doc:"How long a stale page is served when the app cannot be reached at all; 1h unless named."`
	MaxObject            Size          `yaml:"max_object" doc:"The largest body that is stored; 8MiB unless named."`
	Query                Query         `yaml:"query" doc:"Which query parameters are part of the key. The others do not go up where the answer may be stored."`
	VaryHeaders          []string      `yaml:"vary_headers" doc:"Request headers that are part of the key."`
	VaryCookies          []string      `yaml:"vary_cookies" doc:"Cookies of the visitor's jar that are part of the key, and on a public route the only ones that go up."`
	Status               Statuses      `yaml:"status" doc:"Lifetimes by status: 200, 203, 204, 300, 301, 308, 404 and 410 may be named. Only 200 and what is named is stored."`
	RefreshAhead         Percent       `yaml:"refresh_ahead" doc:"Popular pages are fetched again in this last part of their life."`
	ESI                  bool          `yaml:"esi" doc:"The app's pages are searched for Edge Side Includes."`
	Control              bool          `yaml:"control" doc:"The app's X-Edge-Session-* answers are obeyed here. Without it sessions.control holds."`
}

// Route is one member of routes.
type Route struct {
	Match     string     `yaml:"match" jsonschema:"required" doc:"A pattern of Go's net/http.ServeMux: [METHOD ][HOST]/[PATH], with {wildcards}, {rest...} and {$}."`
	Cache     Switch     `yaml:"cache" doc:"off: never looked up, never stored."`
	Tags      []string   `yaml:"tags" doc:"Names to purge the page by; {wildcard} stands for what the pattern's wildcard matched."`
	RateLimit *RateLimit `yaml:"rate_limit" doc:"How often one visitor may ask."`
	Shared    `yaml:",inline"`

	at places
}

// Query says which query parameters are part of the key. A route that names
// one of keep, drop and ignore replaces what defaults says of all three; sort
// is a word of its own.
type Query struct {
	Keep   []string `yaml:"keep" doc:"Globs of the only parameters that are part of the key."`
	Drop   []string `yaml:"drop" doc:"Globs of parameters that are not part of the key."`
	Ignore AllWord  `yaml:"ignore" doc:"'all': no parameter is part of the key."`
	Sort   bool     `yaml:"sort" doc:"The order of parameters does not matter."`
}

// RateLimit bounds how often one visitor may ask. The zero RateLimit is none.
type RateLimit struct {
	Rate Rate   `yaml:"rate" jsonschema:"required" doc:"So many requests in so much time, such as 10/m."`
	By   string `yaml:"by" jsonschema:"enum=ip,enum=session,enum=user" doc:"Who is counted: ip unless named."`
}

// Warm says which pages are fetched before visitors ask. The zero Warm is
// none.
type Warm struct {
	Site        string        `yaml:"site" doc:"The host that visitors name, such as www.example.org. Without it the one that the sitemap lists, or that most stored pages belong to."`
	Sitemap     string        `yaml:"sitemap" doc:"Path of the app's sitemap."`
	URLs        []string      `yaml:"urls" doc:"Paths to fetch, besides those of the sitemap."`
	Every       time.Duration `yaml:"every" doc:"How often; 0: once, at the start."`
	Concurrency int           `yaml:"concurrency" jsonschema:"minimum=1,maximum=64" doc:"How many at a time; 2 unless named."`
}

// Purge says how the purge log is followed.
type Purge struct {
	LagLimit time.Duration `yaml:"lag_limit" doc:"How long an edge may be without the purge log before it treats all that is stored as stale; 10s unless named."`
}

// Limits bounds what comes in. Zero: the edge's default.
type Limits struct {
	Body        Size          `yaml:"body" doc:"The largest request body (413)."`
	URL         Size          `yaml:"url" doc:"The longest request target (414)."`
	Header      Size          `yaml:"header" doc:"The largest header section, with the request line (431); over HTTPS up to 4KiB more come through."`
	HeaderTime  time.Duration `yaml:"header_time" doc:"How long a request's header section may take (408)."`
	BodyTime    time.Duration `yaml:"body_time" doc:"How long a request's body may stand still (408)."`
	AppTime     time.Duration `yaml:"app_time" doc:"How long the app may take to begin its answer (504)."`
	InFlight    int           `yaml:"in_flight" jsonschema:"minimum=1" doc:"Requests at a time in this edge (503)."`
	AppInFlight int           `yaml:"app_in_flight" jsonschema:"minimum=1" doc:"Requests at a time from this edge to the app (503)."`
}

// Test is a request and what is to become of it.
type Test struct {
	Request  string            `yaml:"request" jsonschema:"required" doc:"METHOD and path or URL, such as GET /certificado/7?page=2."`
	Headers  map[string]string `yaml:"headers" doc:"Header fields of the request."`
	Cookies  map[string]string `yaml:"cookies" doc:"Cookies of the visitor's jar."`
	User     string            `yaml:"user" doc:"Who is signed in."`
	Session  string            `yaml:"session" doc:"The visitor's session; user implies one."`
	Response *TestResponse     `yaml:"response" doc:"What the app answers; a plain 200 with no header fields unless named."`
	After    time.Duration     `yaml:"after" doc:"How much later the same request is made again, for verdict; 1s unless named."`
	Expect   Expect            `yaml:"expect" jsonschema:"required" doc:"What is to become of it. What is absent is not looked at."`

	at places
}

// TestResponse is the app's answer in a [Test].
type TestResponse struct {
	Status  int               `yaml:"status" jsonschema:"minimum=200,maximum=599" doc:"200 unless named."`
	Headers map[string]string `yaml:"headers" doc:"Header fields of the answer."`
}

// Expect is what a [Test] is to find. Nil is not looked at.
type Expect struct {
	Route      *string           `yaml:"route" doc:"The pattern that matches; empty: none does."`
	Vary       *string           `yaml:"vary" jsonschema:"enum=public,enum=session,enum=user" doc:"Whose the page is."`
	TTL        *TTL              `yaml:"ttl" doc:"How long the answer is fresh; 0s: it is not stored."`
	Tags       []string          `yaml:"tags" doc:"All of its tags, in any order."`
	Verdict    *string           `yaml:"verdict" jsonschema:"enum=hit,enum=stale,enum=revalidated,enum=miss,enum=bypass,enum=refused,enum=serve,enum=serve_stale,enum=validate,enum=forward,enum=gateway_timeout" doc:"What becomes of the same request when it is made again, in the words of the access log (hit, stale, revalidated, miss, bypass, refused) or of the decision (serve, serve_stale, validate, forward, gateway_timeout)."`
	Reason     *string           `yaml:"reason" doc:"Why the verdict is not hit: the detail of Cache-Status."`
	Stored     *bool             `yaml:"stored" doc:"Whether the answer is stored."`
	KeyQuery   *string           `yaml:"key_query" doc:"The query as it stands in the key."`
	KeyHeaders map[string]string `yaml:"key_headers" doc:"Request headers in the key."`
	KeyCookies map[string]string `yaml:"key_cookies" doc:"Cookies in the key."`
	SameAs     *string           `yaml:"same_as" doc:"A path or URL that has the same key."`
	NotSameAs  *string           `yaml:"not_same_as" doc:"A path or URL that has another key."`
}

// begin forgets what defaults says of keep, drop and ignore where one of them
// is named.
func (q *Query) begin(n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case "keep", "drop", "ignore":
			*q = Query{Sort: q.Sort}
		}
	}
}

func (l *RateLimit) begin(*yaml.Node)    { l.By = "ip" }
func (t *TestResponse) begin(*yaml.Node) { t.Status = 200 }
func (t *Test) begin(*yaml.Node)         { t.After = time.Second }
