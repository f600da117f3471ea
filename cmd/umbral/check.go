package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"umbral/config"
)

// routesSettings are the settings that routes.yaml has to do with.
var routesSettings = []string{"ROUTES_FILE", "CACHE_TIMEOUT", "COOKIE_SECURE"}

func newCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [routes.yaml]",
		Short: "Show every fault of the routes file at once",
		Long: `Reads the routes file as 'umbral serve' would and prints every fault as
file:line:column: message. The exit code is 1 if there is any.`,
		Example: "  umbral check deploy/routes.yaml",
		Args:    takes(0, 1, "file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := loadRoutes(cmd, args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: no fault in %s and %s\n",
				file.Path, count(len(file.Rules), "route"), count(len(file.Tests), "test"))
			return err
		},
	}
	addSettings(cmd, routesSettings...)
	return cmd
}

// loadRoutes loads the file that is named, or ROUTES_FILE.
func loadRoutes(cmd *cobra.Command, args []string) (*config.File, error) {
	s, err := loadSome(cmd, routesSettings...)
	if err != nil {
		return nil, err
	}
	path := s.RoutesFile
	if len(args) > 0 {
		path = args[0]
	}
	return config.Load(path, s.Options())
}

// count says 1 route, 2 routes.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
