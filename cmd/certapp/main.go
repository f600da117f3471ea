// Command certapp serves the sample upstream, a register of certificates.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"umbral/deploy/certapp"
)

const usage = `certapp serves a sample certificates site for an edge to stand in front of.

Usage:
  certapp [flags]              serve the site
  certapp [flags] healthcheck  ask a running one; exit 1 if it does not answer

Example:
  certapp --listen 127.0.0.1:8000 --delay 400ms

Each flag may be given as an environment variable: LISTEN, DELAY, BASE_URL.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 good, 1 failed, 2 wrong usage.
func run(ctx context.Context, args []string, env func(string) string, stderr io.Writer) int {
	or := func(name, fallback string) string {
		if v := env(name); v != "" {
			return v
		}
		return fallback
	}
	flags := flag.NewFlagSet("certapp", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	listen := flags.String("listen", or("LISTEN", ":8000"), "`address` to serve on")
	delay := flags.String("delay", or("DELAY", "400ms"), "how `long` the list takes to render")
	base := flags.String("base-url", env("BASE_URL"), "public `URL` of the site, for sitemap.xml (default: the request's own)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	wait, err := time.ParseDuration(*delay)
	if err != nil || wait < 0 {
		fmt.Fprintf(stderr, "certapp: --delay %q is not a duration such as 400ms or 0s.\n", *delay)
		return 2
	}
	if wait == 0 {
		wait = -1
	}
	switch {
	case flags.NArg() == 1 && flags.Arg(0) == "healthcheck":
		err = healthcheck(ctx, *listen)
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "certapp: %q is not a command; try --help.\n", flags.Arg(0))
		return 2
	default:
		err = serve(ctx, *listen, certapp.New(certapp.Options{ListDelay: wait, BaseURL: *base}), stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "certapp: %v\n", err)
		return 1
	}
	return 0
}

// serve runs until ctx ends, then lets requests in flight finish. Event streams
// would never finish, so their contexts end with ctx.
func serve(ctx context.Context, address string, handler http.Handler, stderr io.Writer) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	streams, end := context.WithCancel(context.Background())
	defer end()
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return streams },
	}
	fmt.Fprintf(stderr, "certapp: serving on http://%s\n", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	time.AfterFunc(time.Second, end)
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// healthcheck asks the site on this machine, at the port that it listens on.
func healthcheck(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("read --listen: %w", err)
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: the site answered %s", resp.Status)
	}
	return nil
}
