package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"umbral/config"
)

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of routes.yaml",
		Long: `Prints the JSON Schema (draft 2020-12) of routes.yaml. Editors complete and
check the file with it; name it in the first line of the file:

  # yaml-language-server: $schema=routes.schema.json`,
		Example: "  umbral schema > routes.schema.json",
		Args:    takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
			return err
		},
	}
}
