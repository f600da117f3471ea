package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"umbral/config"
	"umbral/proxy"
	"umbral/proxy/store"
)

func newServeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "serve",
		Short:   "Run the edge",
		Example: "  umbral serve --upstream-url http://web:8000 --redis-url redis://redis:6379/1 --edge-secrets $(umbral secret)",
		Args:    takes(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			set, err := loadSettings(c, config.ServeNeeds()...)
			if err != nil {
				return err
			}
			return serve(c.Context(), set, nil)
		},
	}
	addSettings(c)
	return c
}

// serve runs the edge until a signal ends it; started, if not nil, is told
// once it serves.
func serve(ctx context.Context, set *config.Settings, started func(*edge)) error {
	store.Silence() // go-redis tells every failed dial: the store says what matters, once
	log, access, flush := newLogs(set)
	defer flush()
	e, err := newEdge(set, log, access)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	if err := e.start(ctx); err != nil {
		e.release()
		return err
	}
	log.Info("serving", zap.String("listen", e.listen.Addr().String()), zap.String("admin", e.adminListen.Addr().String()),
		zap.Int("routes", len(e.file.Rules)), zap.String("version", buildInfo().Version))
	if started != nil {
		started(e)
	}
	if e.reloader.Status().Missing {
		log.Warn("there is no routes file: only what the app's own headers allow is cached", zap.String("ROUTES_FILE", set.RoutesFile))
	}
	if set.AdminToken == "" {
		log.Warn("ADMIN_TOKEN is not set: the admin API refuses all but /healthz and /readyz")
	}
	for {
		select {
		case <-reload:
			_ = e.reloader.Reload() // told by e.reloaded
		case <-ctx.Done():
			stop() // a second signal ends the process at once
			log.Info("draining")
			e.stop()
			log.Info("stopped")
			return nil
		}
	}
}

// newLogs makes the two logs: what happens to the edge, and the access log,
// which costs a request no system call.
func newLogs(set *config.Settings) (log *zap.Logger, access zapcore.Core, flush func()) {
	level, err := zapcore.ParseLevel(set.LogLevel)
	if err != nil {
		level = zapcore.InfoLevel
	}
	form := zap.NewProductionEncoderConfig()
	form.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder
	if set.LogFormat == "console" {
		form = zap.NewDevelopmentEncoderConfig()
		encoder = zapcore.NewConsoleEncoder
	}
	out := zapcore.Lock(os.Stderr)
	log = zap.New(zapcore.NewCore(encoder(form), out, level))
	if !set.AccessLog {
		return log, nil, func() { _ = log.Sync() }
	}
	sink := proxy.NewLogSink(zapcore.Lock(os.Stdout))
	access = proxy.NewAccessCore(sink)
	if set.LogFormat == "console" {
		access = zapcore.NewCore(encoder(form), sink, zapcore.InfoLevel)
	}
	return log, access, func() {
		_ = sink.Stop()
		_ = log.Sync()
	}
}
