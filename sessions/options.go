package sessions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// ErrUnavailable says that a verified session cookie's record can neither be
// read nor written, because Redis cannot be asked. The visitor gets 503 with
// Retry-After, and the cookie is left alone.
var ErrUnavailable = errors.New("sessions: redis unavailable")

// Options sets a Terminator up. Durations and counts of zero take the default
// that their comment names; a nil list takes the default, an empty one is
// empty.
type Options struct {
	// Client reaches the Redis that holds the sessions. Required.
	Client redis.UniversalClient
	// Prefix begins every key, as PREFIX:edge:. Default "certificados".
	Prefix string
	// Secrets: the first signs, all verify; each at least 32 bytes. Required.
	Secrets [][]byte
	// CookieSecure sets Secure and the __Host- prefix.
	CookieSecure bool
	// CookieName is __Host-umbral, or umbral without CookieSecure.
	CookieName string
	// SameSite is http.SameSiteLaxMode.
	SameSite    http.SameSite
	Partitioned bool

	Lifetime Lifetime
	Limits   Limits
	Cookies  AppCookies
	CSRF     CSRFMode
	Identity IdentityOptions
	JWT      JWTOptions
	// Timeout is the longest that one request waits for Redis, all that it asks
	// together. 500ms.
	Timeout time.Duration
	// OfflineGrace is how long a locally cached record serves while Redis
	// cannot be reached. 5s; negative: not at all.
	OfflineGrace time.Duration

	// Upstream is the app's host, the JWT's audience where JWT has none.
	Upstream string
	// Alone says that no other edge writes to this Redis (embedded:): records
	// are then cached locally without Redis's tracking.
	Alone bool
	// LocalRecords bounds the records cached in this edge. 100000; negative:
	// none.
	LocalRecords int

	// Logger is zap.NewNop().
	Logger *zap.Logger
	// Now is time.Now.
	Now func() time.Time
	// Ended is called, and waited for, before a logout, rotation or
	// revocation is answered: what belongs to these digests must be
	// unreachable on every live edge when it returns. An error is logged and
	// changes nothing else. It must be safe for concurrent use.
	Ended func(context.Context, End) error
	// Probe sends a request to the app, for identity.source: probe.
	Probe func(context.Context, *http.Request) (*http.Response, error)
}

// End names, by digest, whose personal pages are over.
type End struct {
	Sessions []string
	Users    []string
	// All: everybody's.
	All bool
}

// LifetimeMode says what a session's end follows.
type LifetimeMode string

// The modes: Follow ends a session with the app's own cookie, Fixed only with
// the absolute and idle lifetimes.
const (
	Follow LifetimeMode = "follow"
	Fixed  LifetimeMode = "fixed"
)

// Lifetime says how long sessions live.
type Lifetime struct {
	Mode      LifetimeMode  // Follow
	Absolute  time.Duration // 24h, from sign-in on
	Idle      time.Duration // 0: no idle time-out
	Anonymous time.Duration // 30m without use, for records of nobody signed in
	Probation time.Duration // 60s until the cookie has come back once
}

// Limits bound what visitors and the app can make the edge keep. A negative
// number is no limit.
type Limits struct {
	Cookies      int  // 64 in a jar
	CookieBytes  int  // 4096, name and value
	JarBytes     int  // 64 KiB
	CookieHeader int  // 8000 bytes of Cookie sent up
	NewPerIP     Rate // 30 a minute: new anonymous records
	PerUser      int  // 0: any number of sessions of one user
	MaxAnonymous int  // 200000 anonymous records
}

// Rate is so many in so long.
type Rate struct {
	N   int
	Per time.Duration
}

// AppCookies says what the app's cookies are to the edge, by name.
type AppCookies struct {
	Auth        []string // sessionid
	RotateOn    []string // sessionid, csrftoken
	Sealed      []string // csrftoken, django_language, messages
	Expose      []string // none: may be seen by the browser
	ClientAllow []string // none: the browser's own, sent up
	Bypass      []string // messages: while in the jar, no stored page
	// AdoptOnce takes over the browser's own auth cookie on the day of the
	// roll-out.
	AdoptOnce bool
}

// CSRFMode is sessions.csrf.
type CSRFMode string

// The modes of CSRFMode; Inject is the default.
const (
	CSRFOff    CSRFMode = "off"
	CSRFInject CSRFMode = "inject"
	CSRFShared CSRFMode = "shared"
)

// IdentitySource is identity.source.
type IdentitySource string

// The sources of a user's identity; SourceNone is the default.
const (
	SourceNone   IdentitySource = "none"
	SourceHeader IdentitySource = "header"
	SourceProbe  IdentitySource = "probe"
	SourceDjango IdentitySource = "django_redis"
)

// IdentityOptions say how the edge learns who is signed in.
type IdentityOptions struct {
	Source IdentitySource
	// Realm sets the users of one app apart from another's in digests.
	Realm string
	// Header is the control header of sign-in, X-Edge-Session-User.
	Header string
	// ProbeURL is a path of the app that answers JSON; ProbePointer finds the
	// uid in it (RFC 6901); ProbeEvery is 60s.
	ProbeURL, ProbePointer string
	ProbeEvery             time.Duration
	// ProbeTimeout is 2s.
	ProbeTimeout time.Duration
	// Django reads the app's own sessions; DjangoKey holds "{sessionid}":
	// ":1:django.contrib.sessions.cache{sessionid}".
	Django    redis.UniversalClient
	DjangoKey string
}

// JWTOptions describe X-Edge-Identity.
type JWTOptions struct {
	Alg      string        // EdDSA, or HS256
	TTL      time.Duration // 60s
	Audience string        // Options.Upstream
	// Key is the shared key of HS256, at least 32 bytes; without it, one is
	// derived from the first secret.
	Key []byte
	// Off sends no X-Edge-Identity at all.
	Off bool
}

func or[T comparable](p *T, d T) {
	var zero T
	if *p == zero {
		*p = d
	}
}

func (o *Options) defaults() {
	or(&o.Prefix, "certificados")
	if o.CookieSecure {
		or(&o.CookieName, "__Host-umbral")
	}
	or(&o.CookieName, "umbral")
	or(&o.SameSite, http.SameSiteLaxMode)
	or(&o.Lifetime.Mode, Follow)
	or(&o.Lifetime.Absolute, 24*time.Hour)
	or(&o.Lifetime.Anonymous, 30*time.Minute)
	or(&o.Lifetime.Probation, time.Minute)
	or(&o.Limits.Cookies, 64)
	or(&o.Limits.CookieBytes, 4096)
	or(&o.Limits.JarBytes, 64<<10)
	or(&o.Limits.CookieHeader, 8000)
	or(&o.Limits.NewPerIP, Rate{30, time.Minute})
	or(&o.Limits.MaxAnonymous, 200000)
	lists := []struct {
		p *[]string
		d []string
	}{
		{&o.Cookies.Auth, []string{"sessionid"}},
		{&o.Cookies.RotateOn, []string{"sessionid", "csrftoken"}},
		{&o.Cookies.Sealed, []string{"csrftoken", "django_language", "messages"}},
		{&o.Cookies.Bypass, []string{"messages"}},
	}
	for _, l := range lists {
		if *l.p == nil {
			*l.p = l.d
		}
	}
	or(&o.CSRF, CSRFInject)
	or(&o.Identity.Source, SourceNone)
	or(&o.Identity.Header, HeaderSessionUser)
	or(&o.Identity.ProbeEvery, time.Minute)
	or(&o.Identity.ProbeTimeout, 2*time.Second)
	or(&o.Identity.DjangoKey, ":1:django.contrib.sessions.cache{sessionid}")
	or(&o.JWT.Alg, "EdDSA")
	or(&o.JWT.TTL, time.Minute)
	or(&o.JWT.Audience, o.Upstream)
	or(&o.Timeout, 500*time.Millisecond)
	or(&o.OfflineGrace, 5*time.Second)
	or(&o.LocalRecords, 100000)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ended == nil {
		o.Ended = func(context.Context, End) error { return nil }
	}
}

// check finds settings that contradict each other; the caller's config has
// said the rest with line and column.
func (o *Options) check() error {
	switch {
	case o.Client == nil:
		return errors.New("sessions: no redis client")
	case !validCookieName(o.CookieName):
		return fmt.Errorf("sessions: cookie name %q is no token", o.CookieName)
	case strings.HasPrefix(o.CookieName, "__") && !o.CookieSecure:
		return fmt.Errorf("sessions: cookie name %q needs COOKIE_SECURE=true", o.CookieName)
	case o.SameSite == http.SameSiteNoneMode && !o.CookieSecure:
		return errors.New("sessions: same_site None needs COOKIE_SECURE=true")
	case o.Lifetime.Mode != Follow && o.Lifetime.Mode != Fixed:
		return fmt.Errorf("sessions: lifetime mode %q is neither follow nor fixed", o.Lifetime.Mode)
	case o.Lifetime.Absolute < 0 || o.Lifetime.Idle < 0 || o.Lifetime.Anonymous < 0 || o.Lifetime.Probation < 0:
		return errors.New("sessions: a lifetime is negative")
	case o.CSRF != CSRFOff && o.CSRF != CSRFInject && o.CSRF != CSRFShared:
		return fmt.Errorf("sessions: csrf %q is none of off, inject, shared", o.CSRF)
	case o.JWT.Alg != "EdDSA" && o.JWT.Alg != "HS256":
		return fmt.Errorf("sessions: jwt alg %q is neither EdDSA nor HS256", o.JWT.Alg)
	case len(o.JWT.Key) > 0 && len(o.JWT.Key) < 32:
		return errors.New("sessions: jwt key is shorter than 32 bytes")
	}
	return o.checkIdentity()
}

func (o *Options) checkIdentity() error {
	switch o.Identity.Source {
	case SourceNone, SourceHeader:
	case SourceProbe:
		u, err := url.Parse(o.Identity.ProbeURL)
		switch {
		case o.Probe == nil:
			return errors.New("sessions: identity probe has no way to the app")
		case err != nil || !strings.HasPrefix(o.Identity.ProbeURL, "/") || u.Host != "":
			return fmt.Errorf("sessions: identity probe url %q is no path of the app", o.Identity.ProbeURL)
		case o.Identity.ProbePointer != "" && o.Identity.ProbePointer[0] != '/':
			return fmt.Errorf("sessions: identity probe pointer %q does not begin with /", o.Identity.ProbePointer)
		}
	case SourceDjango:
		if o.Identity.Django == nil {
			return errors.New("sessions: identity django_redis has no redis client")
		}
		if !strings.Contains(o.Identity.DjangoKey, "{sessionid}") {
			return fmt.Errorf("sessions: identity django_redis key %q has no {sessionid}", o.Identity.DjangoKey)
		}
	default:
		return fmt.Errorf("sessions: identity source %q is none of header, probe, django_redis, none", o.Identity.Source)
	}
	return nil
}
