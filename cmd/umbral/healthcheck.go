package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheckCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the edge of this container whether it is alive",
		Long: `Asks http://ADMIN_LISTEN/healthz. The exit code is 0 if it answers 200, else 1:
what the image's HEALTHCHECK needs, which has no shell and no curl.`,
		Example: "  umbral healthcheck --admin-listen 127.0.0.1:8081",
		Args:    takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := adminURL(cmd)
			if err != nil {
				return err
			}
			client := http.Client{Timeout: timeout}
			answer, err := client.Get(base + "/healthz")
			if err != nil {
				return fmt.Errorf("the edge does not answer at %s: %s", base, plainNetError(err))
			}
			defer func() { _ = answer.Body.Close() }()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("the edge is not well: %s/healthz answers %s", base, answer.Status)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "alive")
			return err
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait")
	addAdminFlags(cmd, "ADMIN_LISTEN")
	return cmd
}
