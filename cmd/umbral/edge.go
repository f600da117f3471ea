package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"umbral/cachepolicy"
	"umbral/config"
	"umbral/proxy"
	"umbral/proxy/admin"
	"umbral/proxy/store"
	"umbral/sessions"
)

// edge is everything that serve runs, wired together: config → policy, store,
// sessions, proxy, admin. Nothing of it is started by newEdge.
type edge struct {
	set      *config.Settings
	reloader *config.Reloader
	log      *zap.Logger
	access   zapcore.Core
	flush    func()

	embedded  *store.Embedded // nil but for embedded:
	clients   []redis.UniversalClient
	django    redis.UniversalClient // of identity.django_redis, nil but for that
	djangoURL config.Secret
	store     *store.Tiered
	origin    *proxy.Origin
	sessions  *sessions.Terminator
	proxy     *proxy.Proxy
	metrics   *proxy.Metrics
	events    *proxy.Events
	warmer    *admin.Warmer
	api       *admin.API

	visitors, operators  *http.Server
	listen, adminListen  net.Listener
	draining             atomic.Bool
	started              time.Time
	redisSince, purgeLag atomic.Int64 // unix nanoseconds; nanoseconds
	purges               atomic.Uint64

	background sync.WaitGroup
	latency    proxy.RedisLatency
	rewarm     chan struct{} // the file's section warm has changed
	mu         sync.Mutex    // orders apply, guards file
	file       *config.File
	first      *config.File // that of the start
}

// newEdge wires the edge from checked settings and a faultless file. It
// occupies the two ports, so that an occupied one is found before anything
// runs; on an error nothing is left behind.
func newEdge(set *config.Settings, log *zap.Logger, access zapcore.Core) (e *edge, err error) {
	e = &edge{set: set, log: log, access: access, started: time.Now(), events: &proxy.Events{}, metrics: proxy.NewMetrics(), rewarm: make(chan struct{}, 1)}
	half := e
	defer func() {
		if err != nil {
			half.release()
		}
	}()
	if e.reloader, err = config.NewReloader(config.ReloadOptions{
		Path: set.RoutesFile, Options: set.Options(), Optional: !set.Named("ROUTES_FILE"),
		Also: alsoFollowed(set), Done: e.reloaded,
	}); err != nil {
		var faults config.Faults
		if errors.As(err, &faults) {
			return nil, err // each has its place in the file
		}
		return nil, fmt.Errorf("ROUTES_FILE: %w", err)
	}
	e.file = e.reloader.File()
	e.first = e.file
	if e.listen, err = listen("LISTEN", set.Listen); err != nil {
		return nil, err
	}
	if e.adminListen, err = listen("ADMIN_LISTEN", set.AdminListen); err != nil {
		return nil, err
	}
	main, err := e.connect("REDIS_URL", set.RedisURL, set.RedisMaxConnections)
	if err != nil {
		return nil, err
	}
	main.AddHook(&e.latency)
	logClient, err := e.connect("REDIS_URL", set.RedisURL, 4)
	if err != nil {
		return nil, err
	}
	jars := main
	if set.SessionsRedisURL != set.RedisURL {
		if jars, err = e.connect("SESSIONS_REDIS_URL", set.SessionsRedisURL, set.RedisMaxConnections); err != nil {
			return nil, err
		}
	}
	if e.store, err = store.Open(store.Options{
		Client: main, LogClient: logClient, Prefix: set.CacheKeyPrefix, MemoryBytes: set.MemoryCacheBytes - codedShare(set.MemoryCacheBytes),
		Secrets: secrets(set), Timeout: set.RedisTimeout, LagLimit: e.file.Purge.LagLimit, Logger: log.Named("store"),
		OnState: e.redisState, OnApply: e.purgeApplied,
	}); err != nil {
		return nil, err
	}
	if e.origin, err = proxy.NewOrigin(proxy.OriginOptions{
		URLs: upstreams(set), ResponseHeaderTimeout: e.file.Bounds.AppTime,
		MaxInFlight: e.file.Bounds.AppInFlight, Logger: log.Named("origin"),
	}); err != nil {
		return nil, fmt.Errorf("UPSTREAM_URL: %w", err)
	}
	jar, err := e.sessionOptions(e.file, jars)
	if err != nil {
		return nil, err
	}
	if e.sessions, err = sessions.New(jar); err != nil {
		return nil, err
	}
	rules, err := newRules(e.file)
	if err != nil {
		return nil, err
	}
	e.proxy = proxy.New(proxy.Options{
		Store: e.store, Log: e.store.Log(), Leases: e.store.Leases(), Sessions: e.sessions, Origin: e.origin,
		Begun: e.store.Log().Begun(),
		Front: proxy.NewFront(proxy.FrontOptions{
			TrustedProxies: set.TrustedProxies, CookieSecure: set.CookieSecure || set.TLSCert != "", MaxURL: int(e.file.Bounds.URL),
			Guard: proxy.GuardOptions{MaxBody: int64(e.file.Bounds.Body), Stall: e.file.Bounds.BodyTime},
			Keep:  e.file.KeepHeaders, AdminToken: set.AdminToken.Reveal(), Ambiguous: cachepolicy.PathAmbiguous, Forbidden: sessions.Forbidden,
		}),
		Access: proxy.NewAccess(proxy.AccessOptions{Log: access, Metrics: e.metrics, Events: e.events}),
		Limiter: proxy.NewLimiter(proxy.LimiterOptions{
			Redis: main, Prefix: set.CacheKeyPrefix, Secret: secrets(set)[0], Logger: log.Named("limits"),
			MaxInFlight: int64(e.file.Bounds.InFlight),
		}),
		Logger: log.Named("proxy"), EncodedBytes: codedShare(set.MemoryCacheBytes), RedisTimeout: set.RedisTimeout,
	}, rules)
	if e.visitors, err = proxy.NewServer(proxy.ServerOptions{
		Handler: e.proxy, TLSCert: set.TLSCert, TLSKey: set.TLSKey, Logger: log.Named("http"),
		ReadHeaderTimeout: e.file.Bounds.HeaderTime, MaxHeaderBytes: int(e.file.Bounds.Header),
	}); err != nil {
		return nil, fmt.Errorf("TLS_CERT: %w", err)
	}
	e.warmer = admin.NewWarmer(admin.WarmOptions{Handler: e.proxy, Site: e.site, Apps: appHosts(set), Log: log.Named("warm")})
	e.api = e.newAdmin()
	e.operators = &http.Server{Handler: e.api, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: zap.NewStdLog(zap.NewNop())}
	e.operators.RegisterOnShutdown(e.api.Close)
	return e, nil
}

// start sets everything to work, and waits for nothing: neither Redis nor the
// app need be there.
func (e *edge) start(ctx context.Context) error {
	boundMemory(e.set.MemoryCacheBytes)
	e.background.Go(func() { tidy(ctx, e.metrics.Requests) })
	e.store.Start()
	e.sessions.Start(context.WithoutCancel(ctx))
	if err := e.reloader.Watch(e.apply); err != nil {
		e.log.Warn("changes of the routes file are not followed; SIGHUP still reloads it", zap.Error(err))
	}
	e.background.Go(func() { e.warm(ctx) })
	e.background.Go(func() { e.api.Run(ctx) })
	go func() { _ = e.operators.Serve(e.adminListen) }()
	go func() {
		l := proxy.Listen(e.listen, proxy.NewExpress(e.proxy, e.visitors.IdleTimeout))
		if e.set.TLSCert != "" {
			_ = e.visitors.ServeTLS(l, "", "")
			return
		}
		_ = e.visitors.Serve(l)
	}()
	return nil
}

// drainTime is how long requests in flight may take to end.
const drainTime = 30 * time.Second

// stop lets requests in flight end, then ends everything.
func (e *edge) stop() {
	e.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := e.visitors.Shutdown(ctx); err != nil {
		_ = e.visitors.Close()
	}
	e.api.Close()
	_ = e.operators.Close()
	e.release()
}

// release gives back what newEdge and start took; it may find some of it
// missing.
func (e *edge) release() {
	if e.reloader != nil {
		_ = e.reloader.Close()
	}
	if e.warmer != nil {
		e.warmer.Close()
	}
	for _, l := range []net.Listener{e.listen, e.adminListen} {
		if l != nil {
			_ = l.Close()
		}
	}
	e.leaveRedis()
	if e.origin != nil {
		_ = e.origin.Close()
	}
	for _, c := range e.clients {
		_ = c.Close()
	}
	if e.embedded != nil {
		e.embedded.Close()
	}
	if e.flush != nil {
		e.flush()
	}
}

// leaveTime is how long Redis may take for what is left to be said to it.
const leaveTime = 3 * time.Second

// leaveRedis ends all that waits for Redis, then writes what waits to be
// written and takes leave of the other edges. A command that waits for its
// answer only ends with its connection, so that the clients are closed under
// it: after leaveTime, and at once those of a Redis that does not answer.
func (e *edge) leaveRedis() {
	hangUp := func(clients []redis.UniversalClient) {
		for _, c := range clients {
			_ = c.Close()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	defer time.AfterFunc(leaveTime, func() { hangUp(e.clients) }).Stop()
	if e.store != nil && !e.redisTalks() {
		hangUp(e.clients[:2]) // the store's own
		cancel()
	}
	e.background.Wait()
	if e.sessions != nil {
		_ = e.sessions.Close()
	}
	if e.store != nil {
		_ = e.store.Close(ctx)
	}
}

// redisTalks reports whether the store's Redis answers: it has done so within
// its pulse, or does when it is asked.
func (e *edge) redisTalks() bool {
	if e.store.Stats().State == store.Down {
		return false
	}
	if silence := e.store.Log().Stats().Silence; silence >= 0 && silence <= pulse {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), pulse/2)
	defer cancel()
	return e.clients[0].Ping(ctx).Err() == nil
}

// embeddedBytes bounds what the in-process Redis keeps.
const embeddedBytes = 256 << 20

// connect makes a Redis client without asking Redis anything.
func (e *edge) connect(name string, url config.Secret, pool int) (redis.UniversalClient, error) {
	raw := url.Reveal()
	if raw == "embedded:" {
		if e.embedded == nil {
			var err error
			if e.embedded, err = store.StartEmbedded(embeddedBytes); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			e.log.Warn("Redis is embedded in this process: for trying out only; all is gone when it ends")
		}
		raw = e.embedded.URL()
	}
	c, err := store.Connect(store.Address{
		URL: raw, Mode: e.set.RedisMode, Connections: pool,
		ConnectTimeout: e.set.RedisConnectTimeout, Timeout: e.set.RedisTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	e.clients = append(e.clients, c)
	return c, nil
}

// apply puts a new routes file into force, or leaves all as it is.
func (e *edge) apply(file *config.File) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	rules, err := newRules(file)
	if err != nil {
		return err
	}
	if e.set.EdgeSecretsFile != "" {
		fresh, err := e.set.ReadSecrets()
		if err != nil {
			return secretsFault{e.set.EdgeSecretsFile, err}
		}
		if !reflect.DeepEqual(fresh, e.set.EdgeSecrets) {
			e.set.EdgeSecrets = fresh
			if err := errors.Join(e.store.SetSecrets(secrets(e.set)), e.sessions.Reload(secrets(e.set))); err != nil {
				return err
			}
		}
	}
	if !reflect.DeepEqual(file.Sessions, e.file.Sessions) {
		o, err := e.sessionOptions(file, nil)
		if err == nil {
			err = e.sessions.Configure(o)
		}
		if err != nil {
			return err
		}
	}
	e.proxy.SetRules(rules)
	if old := e.fixedChanges(file); len(old) > 0 {
		e.log.Warn("some sections are read at the start only: restart to put their changes into force", zap.Strings("sections", old))
	}
	if !reflect.DeepEqual(file.Warm, e.file.Warm) {
		select {
		case e.rewarm <- struct{}{}:
		default: // it will look anyway
		}
	}
	e.file = file
	return nil
}

// fixedChanges names the sections that only a restart puts into force, and
// that file says otherwise than the one of the start.
func (e *edge) fixedChanges(file *config.File) (sections []string) {
	for _, s := range []struct {
		name string
		same bool
	}{
		{"limits", file.Bounds == e.first.Bounds},
		{"purge", file.Purge == e.first.Purge},
		{"keep_headers", slices.Equal(file.KeepHeaders, e.first.KeepHeaders)},
	} {
		if !s.same {
			sections = append(sections, s.name)
		}
	}
	return sections
}

// site is the host that visitors name, as far as it is known: where paths are
// meant that are warmed or explained.
func (e *edge) site() string {
	e.mu.Lock()
	named := e.file.Warm.Site
	e.mu.Unlock()
	if named != "" {
		return named
	}
	if _, most := e.store.Match([]store.Selector{{All: true}}, 1)(); len(most) > 0 {
		host, _, _ := strings.Cut(most[0], "/")
		return host
	}
	port := ":80"
	if e.set.TLSCert != "" {
		port = ":443"
	}
	return strings.TrimSuffix(hostPort(e.listen.Addr()), port)
}
