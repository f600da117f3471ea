package config

import (
	"slices"
	"strings"
	"time"
)

// sessions looks at what single values of the section cannot show.
func (d *decoder) sessions(s *Sessions, o Options) {
	d.cookie(&s.Cookie, o)
	d.lifetime(&s.Lifetime)
	l := &s.Limits
	for _, v := range []struct {
		key  string
		size *Size
	}{{"cookie_bytes", &l.CookieBytes}, {"jar_bytes", &l.JarBytes}, {"cookie_header", &l.CookieHeader}} {
		if *v.size < 64 {
			d.wrong(v.size, "%s is %d bytes: at least 64 are needed", v.key, *v.size)
		}
	}
	if l.JarBytes < l.CookieBytes {
		where, ok := d.named(&l.JarBytes)
		if !ok {
			where = d.where[&l.CookieBytes]
		}
		d.fault(where, "jar_bytes is smaller than cookie_bytes: one cookie would not fit")
	}
	d.appCookies(s)
	d.identity(&s.Identity)
}

func (d *decoder) cookie(c *Cookie, o Options) {
	switch lower := strings.ToLower(c.Name); {
	case !isToken(c.Name):
		d.wrong(&c.Name, "%s is not the name of a cookie", quoted(c.Name))
	case o.PlainHTTP && (strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__secure-")):
		d.wrong(&c.Name, "cookie name %s needs a Secure cookie, and COOKIE_SECURE is false", quoted(c.Name))
	}
	if o.PlainHTTP && c.SameSite == "None" {
		d.wrong(&c.SameSite, "same_site None needs a Secure cookie, and COOKIE_SECURE is false")
	}
	if o.PlainHTTP && c.Partitioned {
		d.wrong(&c.Partitioned, "partitioned needs a Secure cookie, and COOKIE_SECURE is false")
	}
}

// maxSession is the longest that browsers keep a cookie: 400 days.
const maxSession = 400 * 24 * time.Hour

func (d *decoder) lifetime(l *Lifetime) {
	for _, v := range []struct {
		key  string
		life *time.Duration
	}{{"absolute", &l.Absolute}, {"anonymous", &l.Anonymous}, {"probation", &l.Probation}} {
		if *v.life < time.Second || *v.life > maxSession {
			d.wrong(v.life, "%s is %s: from 1s to 400d is possible", v.key, FormatDuration(*v.life))
		}
	}
	if l.Idle > l.Absolute {
		d.wrong(&l.Idle, "idle is longer than absolute (%s): it would never come to bear", FormatDuration(l.Absolute))
	}
	if where, ok := d.named(&l.Idle); ok && l.Idle != 0 && l.Idle < time.Second {
		d.fault(where, "idle is %s: 0, or at least 1s, is possible", FormatDuration(l.Idle))
	}
}

func (d *decoder) appCookies(s *Sessions) {
	c := &s.AppCookies
	for _, names := range [][]string{c.Auth, c.RotateOn, c.Sealed, c.Expose, c.ClientAllow, c.Bypass} {
		d.cookieNames(names)
		for i, name := range names {
			if name == s.Cookie.Name {
				d.wrong(&names[i], "%s is the edge's own cookie", quoted(name))
			}
		}
	}
	both := func(names []string, key, why string) {
		for i, name := range names {
			if !slices.Contains(c.Auth, name) {
				continue
			}
			v := &names[i]
			if _, ok := d.named(v); !ok {
				v = &c.Auth[slices.Index(c.Auth, name)]
			}
			d.wrong(v, "cookie %s is in auth and in %s: %s", quoted(name), key, why)
		}
	}
	both(c.Sealed, "sealed", "a cookie that signs in needs the store")
	both(c.ClientAllow, "client_allow", "the browser could then say who is signed in")
}

func (d *decoder) identity(id *Identity) {
	if !isToken(id.Header) {
		d.wrong(&id.Header, "%s is not the name of a header", quoted(id.Header))
	}
	if !strings.HasPrefix(id.Probe.URL, "/") {
		d.wrong(&id.Probe.URL, "probe url %s is not a path of the app: it begins with /", quoted(id.Probe.URL))
	}
	if id.Probe.Pointer != "" && !strings.HasPrefix(id.Probe.Pointer, "/") {
		d.wrong(&id.Probe.Pointer, "pointer %s is not a JSON pointer: it begins with /", quoted(id.Probe.Pointer))
	}
	if id.Probe.Every < time.Second {
		d.wrong(&id.Probe.Every, "every is %s: at least 1s is needed", FormatDuration(id.Probe.Every))
	}
	if !strings.Contains(id.DjangoRedis.Key, "{sessionid}") {
		d.wrong(&id.DjangoRedis.Key, "key has no {sessionid}: every visitor would be the same")
	}
	if raw := id.DjangoRedis.URL.Reveal(); raw != "" {
		if err := checkRedisURL(raw, "single"); err != nil {
			d.wrong(&id.DjangoRedis.URL, "django_redis url %v", err)
		}
	}
	if id.JWT.TTL < time.Second || id.JWT.TTL > time.Hour {
		d.wrong(&id.JWT.TTL, "jwt ttl is %s: from 1s to 1h is possible", FormatDuration(id.JWT.TTL))
	}
}
