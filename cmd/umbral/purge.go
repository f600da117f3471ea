package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// purgeRequest is the body of POST /v1/purge.
type purgeRequest struct {
	URLs     []string `json:"urls,omitempty"`
	Prefixes []string `json:"prefixes,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Users    []string `json:"users,omitempty"`
	Sessions []string `json:"sessions,omitempty"`
	All      bool     `json:"all,omitempty"`
	Soft     bool     `json:"soft,omitempty"`
	DryRun   bool     `json:"dry_run,omitempty"`
	Refresh  bool     `json:"refresh,omitempty"`
	Wait     string   `json:"wait,omitempty"`
}

// empty reports whether nothing is selected.
func (p *purgeRequest) empty() bool {
	return !p.All && len(p.URLs)+len(p.Prefixes)+len(p.Tags)+len(p.Users)+len(p.Sessions) == 0
}

// receipt is what the edge answers.
type receipt struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Selectors []struct {
		URL, Prefix, Tag, User, Session string
		All                             bool
	} `json:"selectors"`
	Edges    []edgeAck `json:"edges"`
	Complete bool      `json:"complete"`
	Matched  struct {
		Memory int `json:"memory"`
	} `json:"matched"`
	Refresh string `json:"refresh"` // the job that fetches again
}

// edgeAck says that an edge has applied a purge, and how soon.
type edgeAck struct {
	ID      string  `json:"id"`
	Applied bool    `json:"applied"`
	MS      float64 `json:"ms"`
}

func newPurgeCommand() *cobra.Command {
	var p purgeRequest
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Make stored pages go, on every edge, and print the receipt",
		Long: `Purges what the flags select; each may be given several times, and what any of
them selects goes. With --wait the exit code is 1 if not every live edge has
applied the purge by then.`,
		Example: `  umbral purge --tag certificado:7 --wait 2s
  umbral purge --prefix www.example.org/verificar/ --soft
  umbral purge --url https://www.example.org/certificados/ --refresh
  umbral purge --all --dry-run`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.empty() {
				return usagef("name what to purge: --url, --prefix, --tag, --user, --session or --all")
			}
			if wait < 0 {
				return usagef("--wait is negative")
			}
			if wait > 0 {
				p.Wait = wait.String()
			}
			return purge(cmd, p)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&p.URLs, "url", nil, "one page, all its variants")
	f.StringArrayVar(&p.Prefixes, "prefix", nil, "all pages whose host and path begin so")
	f.StringArrayVar(&p.Tags, "tag", nil, "all pages that carry the tag")
	f.StringArrayVar(&p.Users, "user", nil, "a user's personal pages")
	f.StringArrayVar(&p.Sessions, "session", nil, "a session's personal pages")
	f.BoolVar(&p.All, "all", false, "everything")
	f.BoolVar(&p.Soft, "soft", false, "make pages stale instead of dead")
	f.BoolVar(&p.DryRun, "dry-run", false, "count what would go, and purge nothing")
	f.BoolVar(&p.Refresh, "refresh", false, "fetch again what went")
	f.DurationVar(&wait, "wait", 0, "how long to wait for every edge to have applied it, such as 2s")
	addAPIFlags(cmd)
	return cmd
}

func purge(cmd *cobra.Command, p purgeRequest) error {
	client, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	var r receipt
	data, err := client.call(cmd.Context(), "POST", "/v1/purge", p, &r)
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		_, err = cmd.OutOrStdout().Write(data)
	} else {
		err = printReceipt(cmd.OutOrStdout(), &p, &r)
	}
	if err != nil {
		return err
	}
	if p.Wait != "" && !r.Complete && !p.DryRun {
		return fmt.Errorf("not every edge had applied the purge after %s", p.Wait)
	}
	return nil
}

func printReceipt(w io.Writer, p *purgeRequest, r *receipt) error {
	var b strings.Builder
	if p.DryRun {
		fmt.Fprintf(&b, "dry run: %s in this edge's memory would go; nothing was purged\n", count(r.Matched.Memory, "page"))
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "purge %s at %s\n", r.ID, r.At.Local().Format(time.DateTime))
	fmt.Fprintf(&b, "  matched: %s in this edge's memory\n", count(r.Matched.Memory, "page"))
	printAcks(&b, r.Edges)
	if r.Refresh != "" {
		fmt.Fprintf(&b, "  fetching what went again: job %s\n", r.Refresh)
	}
	switch {
	case r.Complete:
		b.WriteString("  complete: every live edge has applied it\n")
	case p.Wait == "":
		b.WriteString("  on its way: --wait 2s waits for every edge\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printAcks(b *strings.Builder, edges []edgeAck) {
	for _, e := range edges {
		state := "not yet"
		if e.Applied {
			state = fmt.Sprintf("applied after %.1f ms", e.MS)
		}
		fmt.Fprintf(b, "  edge %s: %s\n", e.ID, state)
	}
}
