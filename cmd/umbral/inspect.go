package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newExplainCommand() *cobra.Command {
	var method, user string
	var headers []string
	cmd := &cobra.Command{
		Use:     "explain URL",
		Short:   "Ask a running edge what it would do with a request, and why",
		Example: "  umbral explain https://example.org/certificado/7?page=2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"url": args, "method": {method}, "header": headers}
			if user != "" {
				q.Set("user", user)
			}
			return show(cmd, "GET", "/v1/explain?"+q.Encode())
		},
	}
	cmd.Flags().StringVar(&method, "method", "GET", "the request's method")
	cmd.Flags().StringVar(&user, "user", "", "as this user")
	cmd.Flags().StringArrayVar(&headers, "header", nil, "Name:value, may be repeated")
	addAPIFlags(cmd)
	return cmd
}

func newStatsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "stats", Short: "Print the figures of Redis and the edge once",
		Example: "  umbral stats --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd, "GET", "/v1/stats") },
	}
	addAPIFlags(cmd)
	return cmd
}

func newSessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sessions", Short: "List and revoke sessions",
		Example: "  umbral sessions list --user 42\n  umbral sessions revoke --user 42",
		RunE:    needsSubcommand,
	}
	var user, session string
	var all bool
	list := &cobra.Command{
		Use: "list", Short: "List a user's sessions", Example: "  umbral sessions list --user 42", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if user == "" {
				return usagef("say whose sessions: --user")
			}
			return show(cmd, "GET", "/v1/sessions?user="+url.QueryEscape(user))
		},
	}
	list.Flags().StringVar(&user, "user", "", "the uid, as the app announced it")
	revoke := &cobra.Command{
		Use: "revoke", Short: "Sign out a session, a user everywhere, or everybody",
		Example: "  umbral sessions revoke --user 42", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case user != "" && session == "" && !all:
				return show(cmd, "DELETE", "/v1/users/"+url.PathEscape(user)+"/sessions")
			case session != "" && user == "" && !all:
				return show(cmd, "DELETE", "/v1/sessions/"+url.PathEscape(session))
			case all && user == "" && session == "":
				return show(cmd, "DELETE", "/v1/sessions")
			}
			return usagef("say whom to sign out, by one of --user, --session and --all")
		},
	}
	revoke.Flags().StringVar(&user, "user", "", "the uid, as the app announced it")
	revoke.Flags().StringVar(&session, "session", "", "the session's id, as list shows it")
	revoke.Flags().BoolVar(&all, "all", false, "everybody")
	addAPIFlags(list)
	addAPIFlags(revoke)
	cmd.AddCommand(list, revoke)
	return cmd
}

func newWarmCommand() *cobra.Command {
	var sitemap, file string
	var concurrency int
	cmd := &cobra.Command{
		Use: "warm", Short: "Have the edge fetch pages before visitors ask",
		Example: "  umbral warm --sitemap /sitemap.xml", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := map[string]any{"sitemap": sitemap, "urls": []string{}, "concurrency": concurrency}
			if (sitemap == "") == (file == "") {
				return usagef("give one of --sitemap and --urls")
			}
			if file != "" {
				urls, err := readLines(file)
				if err != nil {
					return usagef("--urls: %v", err)
				}
				q["urls"] = urls
			}
			c, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			text, err := c.call(cmd.Context(), "POST", "/v1/warm", q, nil)
			if err != nil {
				return err
			}
			return printJSON(cmd, text)
		},
	}
	cmd.Flags().StringVar(&sitemap, "sitemap", "", "URL or path of a sitemap")
	cmd.Flags().StringVar(&file, "urls", "", "file with one URL a line")
	cmd.Flags().IntVar(&concurrency, "concurrency", 0, "requests at a time")
	addAPIFlags(cmd)
	return cmd
}

func newTailCommand() *cobra.Command {
	var path, verdict string
	cmd := &cobra.Command{
		Use: "tail", Short: "Follow requests with their verdict",
		Example: "  umbral tail --path /certificado/ --verdict miss", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			answer, err := c.open(cmd.Context(), http.MethodGet, "/v1/events", nil)
			if err != nil {
				return err
			}
			defer func() { _ = answer.Body.Close() }()
			in := bufio.NewScanner(answer.Body)
			in.Buffer(nil, 1<<20)
			for in.Scan() {
				data, ok := strings.CutPrefix(in.Text(), "data:")
				var ev struct {
					Method, Path, Verdict, Reason string
					Status                        int
					MS                            float64
				}
				if !ok || json.Unmarshal([]byte(data), &ev) != nil || ev.Method == "" ||
					!strings.HasPrefix(ev.Path, path) || verdict != "" && ev.Verdict != verdict {
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%3d %-11s %7.2fms %s %s %s\n", ev.Status, ev.Verdict, ev.MS, ev.Method, ev.Path, ev.Reason)
			}
			return in.Err()
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "only paths that begin so")
	cmd.Flags().StringVar(&verdict, "verdict", "", "only this verdict")
	addAPIFlags(cmd)
	return cmd
}

// show makes a call and prints its answer.
func show(cmd *cobra.Command, method, path string) error {
	c, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	text, err := c.call(cmd.Context(), method, path, nil, nil)
	if err != nil {
		return err
	}
	return printJSON(cmd, text)
}

// printJSON prints an answer indented, and as it is under --json.
func printJSON(cmd *cobra.Command, text []byte) error {
	var b bytes.Buffer
	if asJSON(cmd) || json.Indent(&b, text, "", "  ") != nil {
		b.Reset()
		b.Write(text)
	}
	_, err := io.WriteString(cmd.OutOrStdout(), strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

// readLines reads a file of one word a line; empty lines and # lines are none.
func readLines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines, nil
}
