package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// receipt is the answer to a purge.
type receipt struct {
	ID    string
	Edges []struct {
		ID      string
		Applied bool
		MS      float64
	}
	Complete bool
	Matched  struct{ Memory int }
	DryRun   bool `json:"dry_run"`
	Refresh  string
}

func newPurgeCommand() *cobra.Command {
	var urls, prefixes, tags, users, sessions []string
	var all, soft, dry, refresh bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Make stored pages unreachable on every edge, and print the receipt",
		Long: `Purges by URL (with all its variants), prefix, tag, user or session, or all. The exit
code is 1 where --wait ended before every live edge had applied it.`,
		Example: "  umbral purge --tag certificado:7 --wait 2s\n  umbral purge --prefix /certificados/ --soft",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(urls)+len(prefixes)+len(tags)+len(users)+len(sessions) == 0 && !all {
				return usagef("say what to purge: --url, --prefix, --tag, --user, --session or --all")
			}
			c, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			var r receipt
			text, err := c.call(cmd.Context(), "POST", "/v1/purge", map[string]any{
				"urls": orEmpty(urls), "prefixes": orEmpty(prefixes), "tags": orEmpty(tags), "users": orEmpty(users),
				"sessions": orEmpty(sessions), "all": all, "soft": soft, "dry_run": dry, "refresh": refresh, "wait": wait.String(),
			}, &r)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case asJSON(cmd):
				_, err = fmt.Fprintf(out, "%s\n", text)
			case r.DryRun:
				_, err = fmt.Fprintf(out, "would purge %s in this edge's memory\n", count(r.Matched.Memory, "page"))
			default:
				_, err = fmt.Fprintf(out, "purge %s: %s in this edge's memory\n", r.ID, count(r.Matched.Memory, "page"))
				for _, e := range r.Edges {
					state := "not yet"
					if e.Applied {
						state = fmt.Sprintf("%.1f ms", e.MS)
					}
					fmt.Fprintf(out, "  %s  %s\n", e.ID, state)
				}
				if r.Refresh != "" {
					fmt.Fprintf(out, "  fetched again by warm job %s\n", r.Refresh)
				}
			}
			if err == nil && !r.DryRun && wait > 0 && !r.Complete {
				return fmt.Errorf("not every edge had applied the purge after %s", wait)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&urls, "url", nil, "URL, or path on every host; may be repeated, like all selectors")
	f.StringArrayVar(&prefixes, "prefix", nil, "beginning of URLs or paths")
	f.StringArrayVar(&tags, "tag", nil, "tag")
	f.StringArrayVar(&users, "user", nil, "pages of a user")
	f.StringArrayVar(&sessions, "session", nil, "pages of a session")
	f.BoolVar(&all, "all", false, "everything")
	f.BoolVar(&soft, "soft", false, "turn stale instead of unreachable")
	f.BoolVar(&dry, "dry-run", false, "only count")
	f.BoolVar(&refresh, "refresh", false, "fetch again what was purged")
	f.DurationVar(&wait, "wait", 2*time.Second, "how long to wait for every edge")
	addAPIFlags(cmd)
	return cmd
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
