package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"umbral/sessions"
)

// secretBytes of randomness make 64 characters without padding.
const secretBytes = 48

func newSecretCommand() *cobra.Command {
	var jwtKey bool
	c := &cobra.Command{
		Use:   "secret",
		Short: "Print a fresh secret for EDGE_SECRETS or ADMIN_TOKEN",
		Example: `  export EDGE_SECRETS=$(umbral secret)
  umbral secret > /run/secrets/edge && export EDGE_SECRETS=file:/run/secrets/edge
  umbral secret --jwt-key   # what an app verifies X-Edge-Identity with, under jwt: {alg: HS256}`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if jwtKey {
				return printJWTKey(cmd)
			}
			var b [secretBytes]byte
			if _, err := rand.Read(b[:]); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), base64.RawURLEncoding.EncodeToString(b[:]))
			return err
		},
	}
	c.Flags().BoolVar(&jwtKey, "jwt-key", false, "print the key of HS256 that belongs to the first of EDGE_SECRETS, in base64url, instead of a fresh secret")
	addSettings(c, "EDGE_SECRETS")
	return c
}

func printJWTKey(cmd *cobra.Command) error {
	set, err := loadSome(cmd, "EDGE_SECRETS")
	if err != nil {
		return err
	}
	if len(set.EdgeSecrets) == 0 {
		return usagef("EDGE_SECRETS is not set: the key belongs to its first secret")
	}
	key, err := sessions.JWTKey([]byte(set.EdgeSecrets[0].Reveal()))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), base64.RawURLEncoding.EncodeToString(key))
	return err
}
