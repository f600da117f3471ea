package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// session is one member of GET /v1/sessions.
type session struct {
	ID       string     `json:"id"`
	User     string     `json:"user"`
	Created  time.Time  `json:"created"`
	SignedIn *time.Time `json:"signed_in_at"`
	Expires  *time.Time `json:"expires"`
}

func newSessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List or revoke sessions",
		Example: `  umbral sessions list --user 42
  umbral sessions revoke --user 42`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("there is no command %q: name list or revoke", "sessions "+args[0])
			}
			return nil
		},
		RunE: needsSubcommand,
	}
	cmd.AddCommand(newSessionsListCommand(), newSessionsRevokeCommand())
	return cmd
}

func newSessionsListCommand() *cobra.Command {
	var user, id string
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List sessions: all, a user's, or one",
		Example: `  umbral sessions list
  umbral sessions list --user 42`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"user": user, "session": id} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if len(query) > 1 || all && len(query) > 0 {
				return usagef("name one of --user, --session and --all")
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			if limit > 0 {
				query.Set("limit", fmt.Sprint(limit))
			}
			var list struct {
				Sessions []session `json:"sessions"`
			}
			path := strings.TrimSuffix("/v1/sessions?"+query.Encode(), "?")
			data, err := client.call(cmd.Context(), "GET", path, nil, &list)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				_, err = cmd.OutOrStdout().Write(data)
				return err
			}
			return printSessions(cmd.OutOrStdout(), list.Sessions)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "only this user's, as the app names the user")
	cmd.Flags().StringVar(&id, "session", "", "only this one")
	cmd.Flags().BoolVar(&all, "all", false, "everybody's, which is the default")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many (default: the edge's)")
	addAPIFlags(cmd)
	return cmd
}

func printSessions(w io.Writer, list []session) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no session")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "SESSION\tUSER\tCREATED\tSIGNED IN\tEXPIRES")
	for _, s := range list {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", printable(s.ID), printable(cmp.Or(s.User, "–")),
			moment(&s.Created), moment(s.SignedIn), moment(s.Expires))
	}
	return t.Flush()
}

func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return t.Local().Format(time.DateTime)
}

func newSessionsRevokeCommand() *cobra.Command {
	var user, id string
	var all bool
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Sign out a session, a user everywhere, or everybody",
		Example: `  umbral sessions revoke --user 42
  umbral sessions revoke --session k3J9…
  umbral sessions revoke --all`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var path string
			switch {
			case id != "" && user == "" && !all:
				path = "/v1/sessions/" + url.PathEscape(id)
			case user != "" && id == "" && !all:
				path = "/v1/users/" + url.PathEscape(user) + "/sessions"
			case all && id == "" && user == "":
				path = "/v1/sessions"
			default:
				return usagef("name one of --user, --session and --all")
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			return revoke(cmd, client, path)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "every session of this user, as the app names the user")
	cmd.Flags().StringVar(&id, "session", "", "this session, as 'sessions list' names it")
	cmd.Flags().BoolVar(&all, "all", false, "every session of everybody")
	addAPIFlags(cmd)
	return cmd
}

func revoke(cmd *cobra.Command, client *adminClient, path string) error {
	var done struct {
		Revoked  int       `json:"revoked"`
		Complete bool      `json:"complete"`
		Edges    []edgeAck `json:"edges"`
	}
	data, err := client.call(cmd.Context(), "DELETE", path, nil, &done)
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		_, err = cmd.OutOrStdout().Write(data)
	} else {
		var b strings.Builder
		fmt.Fprintf(&b, "%s revoked\n", count(done.Revoked, "session"))
		printAcks(&b, done.Edges)
		_, err = io.WriteString(cmd.OutOrStdout(), b.String())
	}
	if err == nil && !done.Complete {
		return fmt.Errorf("not every edge has acknowledged yet: those that have not will have within a second of being reachable")
	}
	return err
}
