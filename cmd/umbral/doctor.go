package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"umbral/config"
)

// mark is how a finding is meant.
type mark string

const (
	good mark = "✓"
	warn mark = "!"
	bad  mark = "✗"
)

// finding is one line of the doctor's report.
type finding struct {
	Mark  mark   `json:"mark"`
	Check string `json:"check"`
	Says  string `json:"says"`
	// Do is what to do about it; empty where there is nothing to do.
	Do string `json:"do,omitempty"`
}

// report gathers findings in the order of the checks.
type report struct{ findings []finding }

func (r *report) good(check, says string, args ...any) {
	r.findings = append(r.findings, finding{good, check, fmt.Sprintf(says, args...), ""})
}

func (r *report) warn(check, says, do string) {
	r.findings = append(r.findings, finding{warn, check, says, do})
}

func (r *report) bad(check, says, do string) {
	r.findings = append(r.findings, finding{bad, check, says, do})
}

// count is the number of findings of a mark.
func (r *report) count(m mark) (n int) {
	for _, f := range r.findings {
		if f.Mark == m {
			n++
		}
	}
	return n
}

func newDoctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the whole set-up and say what to do",
		Long: `Examines Redis, the app, the routes file and the settings as 'umbral serve' would
use them, changes nothing, and prints a line for each check: ✓ good, ! worth a
look, ✗ wrong, each with what to do about it. The exit code is 1 if anything is ✗.`,
		Example: `  umbral doctor
  umbral doctor --redis-url redis://127.0.0.1:6379 --upstream-url http://127.0.0.1:8000`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := diagnose(cmd)
			if asJSON(cmd) {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(map[string]any{"findings": r.findings, "ok": r.count(bad) == 0}); err != nil {
					return err
				}
			} else if err := r.print(cmd.OutOrStdout()); err != nil {
				return err
			}
			if r.count(bad) > 0 {
				return errNo
			}
			return nil
		},
	}
	addSettings(cmd)
	addJSON(cmd)
	return cmd
}

// patience is how long all of the doctor's checks may take.
const patience = 60 * time.Second

func diagnose(cmd *cobra.Command) *report {
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	logging.Disable() // go-redis's own lines would stand between ours
	r := new(report)
	s, err := config.LoadSettings(asGiven(cmd), nil, config.ServeNeeds()...)
	faults, _ := err.(config.Faults)
	r.redis(ctx, s)
	r.app(ctx, s)
	r.routes(s)
	r.settings(s, faults)
	r.edge(ctx, s)
	return r
}

func (r *report) print(w io.Writer) error {
	for _, f := range r.findings {
		text := fmt.Sprintf("%s %s: %s\n", f.Mark, f.Check, f.Says)
		if f.Do != "" {
			text += "    → " + f.Do + "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%d good, %d worth a look, %d wrong\n", r.count(good), r.count(warn), r.count(bad))
	return err
}
