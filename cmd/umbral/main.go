// Umbral is an edge container: a caching reverse proxy and session terminator
// in front of one web app. This package is its command line.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"umbral/config"
)

// Exit codes of every command.
const (
	exitGood  = 0
	exitNo    = 1 // the answer is no: a check failed, or what was asked could not be done
	exitUsage = 2 // a wrong flag, argument or setting
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// commands is the table: one command a file.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newServeCommand(),
		newDemoCommand(),
		newCheckCommand(),
		newTestCommand(),
		newExplainCommand(),
		newPurgeCommand(),
		newWarmCommand(),
		newDoctorCommand(),
		newStatsCommand(),
		newTopCommand(),
		newTailCommand(),
		newSessionsCommand(),
		newSecretCommand(),
		newSchemaCommand(),
		newHealthcheckCommand(),
		newVersionCommand(),
	}
}

// usageError makes the exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errNo makes the exit code 1 where the answer has been printed already.
var errNo = errors.New("the answer is no")

// run runs one command line and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	began := false
	root := &cobra.Command{
		Use:   "umbral",
		Short: "An edge that caches pages and ends sessions in front of a web app", Version: buildInfo().text(),
		Example: `  umbral serve --upstream-url http://127.0.0.1:8000 --redis-url redis://127.0.0.1:6379
  umbral check routes.yaml`,
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRun:  func(*cobra.Command, []string) { began = true },
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return fmt.Errorf("there is no command %q: did you mean %s?", args[0], near[0])
			}
			return fmt.Errorf("there is no command %q: 'umbral --help' lists all", args[0])
		},
		RunE: needsSubcommand,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(commands()...)
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" { // cobra's own finds nothing wrong in a command that there is not
			cmd.Run, cmd.RunE = nil, help
		}
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitGood
	}
	if !errors.Is(err, errNo) {
		complain(stderr, err)
	}
	var usage usageError
	if !began || errors.As(err, &usage) {
		return exitUsage
	}
	return exitNo
}

// takes wants so many arguments, each a what.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("name the %s: %s", what, cmd.UseLine())
		case len(args) > most && most == 0:
			return fmt.Errorf("%q is not a flag of '%s': '%s --help' lists them", args[0], cmd.CommandPath(), cmd.CommandPath())
		case len(args) > most:
			return fmt.Errorf("name one %s, not %d: %s", what, len(args), cmd.UseLine())
		}
		return nil
	}
}

// needsSubcommand is what a command that only holds others does by itself.
func needsSubcommand(cmd *cobra.Command, _ []string) error {
	cmd.SetOut(cmd.ErrOrStderr())
	if err := cmd.Help(); err != nil {
		return err
	}
	return usagef("name a command")
}

// help shows the help of the command that args name.
func help(cmd *cobra.Command, args []string) error {
	named, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return usagef("there is no command %q: 'umbral --help' lists all", strings.Join(args, " "))
	}
	return named.Help()
}

// complain prints one plain sentence for an error, or one for each fault.
// Faults with a place in a file stand alone, so that editors find the place.
func complain(w io.Writer, err error) {
	var faults config.Faults
	if !errors.As(err, &faults) {
		_, _ = fmt.Fprintf(w, "umbral: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	for _, fault := range faults {
		if fault.File == "" {
			_, _ = fmt.Fprint(w, "umbral: ")
		}
		_, _ = fmt.Fprintln(w, fault.Error())
	}
}

// isTerminal reports whether w is a screen that somebody watches.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
