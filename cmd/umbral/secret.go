package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"
)

// secretBytes of randomness make 64 characters without padding.
const secretBytes = 48

func newSecretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Print a fresh secret for EDGE_SECRETS or ADMIN_TOKEN",
		Example: `  export EDGE_SECRETS=$(umbral secret)
  umbral secret > /run/secrets/edge && export EDGE_SECRETS=file:/run/secrets/edge`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var b [secretBytes]byte
			if _, err := rand.Read(b[:]); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), base64.RawURLEncoding.EncodeToString(b[:]))
			return err
		},
	}
}
