package config

import "time"

// Sessions is the section of routes.yaml that says how sessions end at the
// edge (SESSIONS.md §7). A loaded file's Sessions has every default filled in.
type Sessions struct {
	Cookie       Cookie        `yaml:"cookie" doc:"The one cookie that the browser holds."`
	Lifetime     Lifetime      `yaml:"lifetime" doc:"How long a session lives."`
	Limits       SessionLimits `yaml:"limits" doc:"Bounds on jars and records."`
	AppCookies   AppCookies    `yaml:"app_cookies" doc:"What the app's cookies mean."`
	CSRF         string        `yaml:"csrf" jsonschema:"enum=off,enum=inject,enum=shared" doc:"off; inject: the edge adds X-CSRFToken from the jar once the origin is proven; shared: one synthetic token per page for anonymous visitors."`
	Control      bool          `yaml:"control" doc:"The app's answers may carry X-Edge-Session-*; a route may say otherwise."`
	OfflineGrace time.Duration `yaml:"offline_grace" doc:"How long a locally cached record serves while Redis cannot be reached."`
	Identity     Identity      `yaml:"identity" doc:"Who the user is, for 'vary: user'."`
}

// Cookie is the edge's own cookie.
type Cookie struct {
	Name        string `yaml:"name" doc:"__Host-umbral; umbral where COOKIE_SECURE=false."`
	SameSite    string `yaml:"same_site" jsonschema:"enum=Lax,enum=Strict,enum=None" doc:"The SameSite attribute."`
	Partitioned bool   `yaml:"partitioned" doc:"The Partitioned attribute (CHIPS)."`
}

// Lifetime says how long a session lives.
type Lifetime struct {
	Mode      string        `yaml:"mode" jsonschema:"enum=follow,enum=fixed" doc:"follow: as long as the app's own session cookie, at most the absolute lifetime; fixed: the absolute and idle lifetimes alone."`
	Absolute  time.Duration `yaml:"absolute" doc:"The end, counted from sign-in, whatever happens."`
	Idle      time.Duration `yaml:"idle" doc:"The end, counted from the last use; 0: none."`
	Anonymous time.Duration `yaml:"anonymous" doc:"Life of a session in which nobody has signed in."`
	Probation time.Duration `yaml:"probation" doc:"Life of a new record until its cookie has come back once."`
}

// SessionLimits bounds jars and records.
type SessionLimits struct {
	Cookies      int  `yaml:"cookies" jsonschema:"minimum=1,maximum=1024" doc:"Cookies in a jar."`
	CookieBytes  Size `yaml:"cookie_bytes" doc:"One cookie, name and value."`
	JarBytes     Size `yaml:"jar_bytes" doc:"One jar."`
	CookieHeader Size `yaml:"cookie_header" doc:"The Cookie line sent up; gunicorn refuses 8190 bytes."`
	NewPerIP     Rate `yaml:"new_per_ip" doc:"New anonymous records from one address; 0: no limit."`
	PerUser      int  `yaml:"per_user" jsonschema:"minimum=0" doc:"Sessions of one user, the oldest goes; 0: no limit."`
	MaxAnonymous int  `yaml:"max_anonymous" jsonschema:"minimum=0" doc:"Anonymous records in all; 0: no limit."`
}

// AppCookies says what the app's cookies mean.
type AppCookies struct {
	Auth        []string `yaml:"auth" doc:"Cookies that mean that somebody is signed in."`
	RotateOn    []string `yaml:"rotate_on" doc:"Cookies whose new value makes a new token."`
	Sealed      []string `yaml:"sealed" doc:"Cookies that need no store while nobody is signed in: they are encrypted into the edge's own."`
	Expose      []string `yaml:"expose" doc:"Cookies that the browser is shown as well. Its copy is never trusted."`
	ClientAllow []string `yaml:"client_allow" doc:"Cookies of the browser that go up to the app."`
	Bypass      []string `yaml:"bypass" doc:"While one of these is in the jar, stored pages are not served to that visitor."`
	AdoptOnce   bool     `yaml:"adopt_once" doc:"Take over the browser's old session cookie once, so that putting Umbral in front signs nobody out."`
}

// Identity says who the user is.
type Identity struct {
	Source      string      `yaml:"source" jsonschema:"enum=none,enum=header,enum=probe,enum=django_redis" doc:"none: the user is the session; header: the app says so; probe: a URL is asked; django_redis: Django's own session is read."`
	Header      string      `yaml:"header" doc:"The answer's header that names the user, for source header."`
	Probe       Probe       `yaml:"probe" doc:"For source probe."`
	DjangoRedis DjangoRedis `yaml:"django_redis" doc:"For source django_redis."`
	JWT         JWT         `yaml:"jwt" doc:"The X-Edge-Identity token."`
}

// Probe asks a URL of the app who the user is.
type Probe struct {
	URL     string        `yaml:"url" doc:"Path that is asked with the visitor's jar after a sign-in."`
	Pointer string        `yaml:"pointer" doc:"JSON pointer (RFC 6901) to the user in its answer."`
	Every   time.Duration `yaml:"every" doc:"How long the answer holds."`
}

// DjangoRedis reads Django's own session.
type DjangoRedis struct {
	URL Secret `yaml:"url" doc:"Redis that holds Django's sessions; REDIS_URL unless named."`
	Key string `yaml:"key" doc:"The session's key; {sessionid} stands for the cookie's value."`
}

// JWT describes X-Edge-Identity.
type JWT struct {
	Alg      string        `yaml:"alg" jsonschema:"enum=EdDSA,enum=HS256" doc:"The signature."`
	TTL      time.Duration `yaml:"ttl" doc:"How long a token holds."`
	Audience string        `yaml:"audience" doc:"The aud claim; the upstream's host unless named."`
}

// DefaultSessions is what an absent sessions section means. Cookie.Name is
// filled in by [Load], which knows COOKIE_SECURE.
func DefaultSessions() Sessions {
	return Sessions{
		Cookie: Cookie{SameSite: "Lax"},
		Lifetime: Lifetime{
			Mode: "follow", Absolute: 24 * time.Hour,
			Anonymous: 30 * time.Minute, Probation: time.Minute,
		},
		Limits: SessionLimits{
			Cookies: 64, CookieBytes: 4096, JarBytes: 64 << 10, CookieHeader: 8000,
			NewPerIP: Rate{Count: 30, Per: time.Minute}, MaxAnonymous: 200_000,
		},
		AppCookies: AppCookies{
			Auth:     []string{"sessionid"},
			RotateOn: []string{"sessionid", "csrftoken"},
			Sealed:   []string{"csrftoken", "django_language", "messages"},
			Bypass:   []string{"messages"},
		},
		CSRF:         "inject",
		OfflineGrace: 5 * time.Second,
		Identity: Identity{
			Source: "none", Header: "X-Edge-Session-User",
			Probe:       Probe{URL: "/whoami/", Pointer: "/id", Every: time.Minute},
			DjangoRedis: DjangoRedis{Key: ":1:django.contrib.sessions.cache{sessionid}"},
			JWT:         JWT{Alg: "EdDSA", TTL: time.Minute},
		},
	}
}
