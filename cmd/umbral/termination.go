package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/config"
	"umbral/proxy/store"
	"umbral/sessions"
)

// endWait is the longest that a logout or revocation waits for the other
// edges (SESSIONS.md §8).
const endWait = time.Second

// sessionOptions is what the file's section says of sessions.
func (e *edge) sessionOptions(file *config.File, client redis.UniversalClient) (o sessions.Options, err error) {
	s := &file.Sessions
	o = sessions.Options{
		Client: client, Prefix: e.set.CacheKeyPrefix, Secrets: secrets(e.set), CookieSecure: e.set.CookieSecure,
		CookieName: s.Cookie.Name, SameSite: sameSite(s.Cookie.SameSite), Partitioned: s.Cookie.Partitioned,
		Lifetime: sessions.Lifetime{
			Mode: sessions.LifetimeMode(s.Lifetime.Mode), Absolute: s.Lifetime.Absolute, Idle: s.Lifetime.Idle,
			Anonymous: s.Lifetime.Anonymous, Probation: s.Lifetime.Probation,
		},
		Limits: sessions.Limits{
			Cookies: s.Limits.Cookies, CookieBytes: int(s.Limits.CookieBytes), JarBytes: int(s.Limits.JarBytes),
			CookieHeader: int(s.Limits.CookieHeader), PerUser: s.Limits.PerUser,
			NewPerIP:     sessions.Rate{N: orNone(s.Limits.NewPerIP.Count), Per: s.Limits.NewPerIP.Per},
			MaxAnonymous: orNone(s.Limits.MaxAnonymous),
		},
		Cookies: sessions.AppCookies{
			Auth: list(s.AppCookies.Auth), RotateOn: list(s.AppCookies.RotateOn), Sealed: list(s.AppCookies.Sealed),
			Expose: s.AppCookies.Expose, ClientAllow: s.AppCookies.ClientAllow, Bypass: list(s.AppCookies.Bypass),
			AdoptOnce: s.AppCookies.AdoptOnce,
		},
		CSRF: sessions.CSRFMode(s.CSRF),
		Identity: sessions.IdentityOptions{
			Source: sessions.IdentitySource(s.Identity.Source), Header: s.Identity.Header,
			ProbeURL: s.Identity.Probe.URL, ProbePointer: s.Identity.Probe.Pointer, ProbeEvery: s.Identity.Probe.Every,
			DjangoKey: s.Identity.DjangoRedis.Key,
		},
		JWT: sessions.JWTOptions{
			Alg: s.Identity.JWT.Alg, TTL: s.Identity.JWT.TTL, Audience: s.Identity.JWT.Audience,
		},
		Timeout: e.set.RedisTimeout, OfflineGrace: s.OfflineGrace, Upstream: e.set.Upstreams[0].Host, Alone: e.embedded != nil,
		Logger: e.log.Named("sessions"), Ended: e.sessionsEnded,
		Probe: func(ctx context.Context, r *http.Request) (*http.Response, error) {
			return e.origin.RoundTrip(r.WithContext(ctx))
		},
	}
	if o.OfflineGrace == 0 {
		o.OfflineGrace = -1 // zero in the file means none at all
	}
	if o.Identity.Source == sessions.SourceDjango {
		url := s.Identity.DjangoRedis.URL
		if url == "" {
			url = e.set.RedisURL
		}
		if e.django == nil || e.djangoURL != url {
			if e.django, err = e.connect("identity.django_redis.url", url, 8); err != nil {
				return o, err
			}
			e.djangoURL = url
		}
		o.Identity.Django = e.django
	}
	return o, nil
}

// sessionsEnded makes the pages of ended sessions unreachable on every edge
// before the logout is answered.
func (e *edge) sessionsEnded(ctx context.Context, end sessions.End) error {
	receipt, err := e.purgeEnded(ctx, end)
	if err == nil && !receipt.Complete {
		err = errors.New("purge the pages of ended sessions: not every edge has acknowledged it yet")
	}
	return err
}

// purgeEnded tells every edge what has ended, and gathers their receipts.
func (e *edge) purgeEnded(ctx context.Context, end sessions.End) (store.Receipt, error) {
	var selectors []store.Selector
	for _, s := range end.Sessions {
		selectors = append(selectors, store.Selector{Session: s})
	}
	for _, u := range end.Users {
		selectors = append(selectors, store.Selector{User: u})
	}
	if end.All {
		selectors = append(selectors, store.Selector{All: true})
	}
	if len(selectors) == 0 {
		return store.Receipt{Complete: true}, nil
	}
	receipt, err := e.store.Log().Append(ctx, selectors, endWait)
	if err != nil {
		return receipt, fmt.Errorf("purge the pages of ended sessions: %w", err)
	}
	return receipt, nil
}

// endedElsewhere takes out of a purge what it says of sessions.
func endedElsewhere(selectors []store.Selector) (end sessions.End) {
	for _, s := range selectors {
		switch {
		case s.Session != "":
			end.Sessions = append(end.Sessions, s.Session)
		case s.All && !s.Soft:
			end.All = true
		}
	}
	return end
}

func sameSite(word string) http.SameSite {
	switch word {
	case "Strict":
		return http.SameSiteStrictMode
	case "None":
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

// orNone: the file's 0 is no limit, which sessions spells -1.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// list tells an empty list from one that takes the default.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
