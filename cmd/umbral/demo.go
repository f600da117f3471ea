package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"umbral/config"
	"umbral/deploy/certapp"
)

func newDemoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the edge, a sample app and an in-process Redis, nothing to install",
		Long: `One process: the sample certificates app, an in-process Redis, the edge on :8080,
admin and dashboard on 127.0.0.1:8081. Everything is gone when it ends.`,
		Example: "  umbral demo --listen :9090",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return demo(cmd) },
	}
	addSettings(cmd, "LISTEN", "ADMIN_LISTEN", "ADMIN_TOKEN", "ROUTES_FILE", "LOG_LEVEL", "LOG_FORMAT", "ACCESS_LOG", "MEMORY_CACHE_BYTES")
	return cmd
}

func demo(cmd *cobra.Command) error {
	dir, err := os.MkdirTemp("", "umbral-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	routes := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(routes, certapp.Routes, 0o600); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app := &http.Server{Handler: certapp.New(certapp.Options{}), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = app.Serve(l) }()
	defer func() { _ = app.Close() }()

	own := map[string]string{
		"UPSTREAM_URL": "http://" + l.Addr().String(), "REDIS_URL": "embedded:", "EDGE_SECRETS": rand.Text() + rand.Text(),
		"ADMIN_TOKEN": "demo-" + rand.Text(), "ROUTES_FILE": routes, "COOKIE_SECURE": "false",
		"LOG_LEVEL": "warn", "LOG_FORMAT": "console", "ACCESS_LOG": "off",
	}
	env := func(name string) (string, bool) {
		switch name { // what of the environment the demo has a use for
		case "LISTEN", "ADMIN_LISTEN", "LOG_LEVEL", "LOG_FORMAT", "ACCESS_LOG", "MEMORY_CACHE_BYTES":
			if v, ok := os.LookupEnv(name); ok && v != "" {
				return v, true
			}
		}
		v, ok := own[name]
		return v, ok
	}
	set, err := config.LoadSettings(env, flagLookup(cmd), config.ServeNeeds()...)
	if err != nil {
		return usageError{err}
	}
	return serve(cmd.Context(), set, func(e *edge) {
		site, admin, token := "http://"+hostPort(e.listen.Addr()), "http://"+hostPort(e.adminListen.Addr()), set.AdminToken.Reveal()
		ana := certapp.People()[0]
		fmt.Fprintf(cmd.OutOrStdout(), `
Umbral demo: a certificates site behind the edge

  site         %[1]s/
  dashboard    %[2]s/
  admin token  %[3]s
  sign in as   %[4]s / %[5]s

Try:
  curl -si %[1]s/certificados/ | grep -i cache-status      # twice: a miss, then a hit
  curl -si %[1]s/certificado/7 | grep -i -e cache-status -e etag
  curl -s -X POST -H 'Authorization: Bearer %[3]s' -d '{"tags":["certificado:7"],"wait":"2s"}' %[2]s/v1/purge
  curl -s -H 'Authorization: Bearer %[3]s' '%[2]s/v1/explain?url=%[1]s/certificado/7'
  ADMIN_TOKEN=%[3]s ADMIN_LISTEN=%[6]s %[7]s purge --prefix /certificado/

`, site, admin, token, ana.Login, ana.Password, hostPort(e.adminListen.Addr()), os.Args[0])
	})
}
