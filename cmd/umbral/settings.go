package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"umbral/config"
)

// addSettings gives cmd a flag for each of the named settings, all of them
// where none is named.
func addSettings(cmd *cobra.Command, names ...string) {
	for _, v := range config.Variables() {
		if len(names) > 0 && !slices.Contains(names, v.Name) {
			continue
		}
		usage := fmt.Sprintf("%s [%s]", v.Usage, v.Name)
		if v.Default != "" {
			usage = fmt.Sprintf("%s (default %s) [%s]", v.Usage, v.Default, v.Name)
		}
		cmd.Flags().String(v.Flag(), "", usage)
	}
}

// flagLookup finds settings among the flags that were given.
func flagLookup(cmd *cobra.Command) config.Lookup {
	flags := make(map[string]string)
	for _, v := range config.Variables() {
		flags[v.Name] = v.Flag()
	}
	return func(name string) (string, bool) {
		flag := cmd.Flags().Lookup(flags[name])
		if flag == nil || !flag.Changed {
			return "", false
		}
		return flag.Value.String(), true
	}
}

// loadSettings reads the settings of environment and flags. What is wrong
// with them is wrong usage.
func loadSettings(cmd *cobra.Command, needs ...string) (*config.Settings, error) {
	s, err := config.LoadSettings(os.LookupEnv, flagLookup(cmd), needs...)
	if err != nil {
		return s, usageError{err}
	}
	return s, nil
}

// loadSome reads the named settings only, so that a client does not stumble
// over a setting that it has no use for.
func loadSome(cmd *cobra.Command, names ...string) (*config.Settings, error) {
	env := func(name string) (string, bool) {
		if !slices.Contains(names, name) {
			return "", false
		}
		return os.LookupEnv(name)
	}
	s, err := config.LoadSettings(env, flagLookup(cmd))
	if err != nil {
		return s, usageError{err}
	}
	return s, nil
}
