package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// requestEvent is the data of an event of type request.
type requestEvent struct {
	Method  string  `json:"method"`
	Host    string  `json:"host"`
	Path    string  `json:"path"`
	Route   string  `json:"route"`
	Status  int     `json:"status"`
	Verdict string  `json:"verdict"`
	Reason  string  `json:"reason"`
	Tier    string  `json:"tier"`
	User    string  `json:"user"`
	Bytes   int64   `json:"bytes"`
	MS      float64 `json:"ms"`
}

// tailFilter says which requests are shown; an empty member lets all pass.
type tailFilter struct {
	path, user string
	verdicts   []string
}

// match: a path without a star is a prefix, one with a star a glob in which
// "*" stands for anything but "/".
func (f *tailFilter) match(e *requestEvent) bool {
	if f.user != "" && e.User != f.user {
		return false
	}
	if len(f.verdicts) > 0 {
		found := false
		for _, v := range f.verdicts {
			found = found || v == e.Verdict
		}
		if !found {
			return false
		}
	}
	if !strings.ContainsAny(f.path, "*?[") {
		return strings.HasPrefix(e.Path, f.path)
	}
	ok, err := path.Match(f.path, e.Path)
	return ok && err == nil
}

func newTailCommand() *cobra.Command {
	var f tailFilter
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show requests with their verdicts as they come",
		Long: `Shows every request with its verdict, and purges, reloads and changes of state,
until Ctrl-C. Filters hold for requests, and with one only requests are shown.`,
		Example: `  umbral tail --path '/certificado/*' --verdict miss
  umbral tail --user 42 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := path.Match(f.path, ""); err != nil {
				return usagef("--path %q is not a glob", f.path)
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			err = tail(ctx, cmd.OutOrStdout(), client, &f, asJSON(cmd))
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().StringVar(&f.path, "path", "", "only paths that begin so, or match the glob")
	cmd.Flags().StringVar(&f.user, "user", "", "only requests of this user")
	cmd.Flags().StringSliceVar(&f.verdicts, "verdict", nil, "only these verdicts: hit, stale, revalidated, miss, bypass, refused, error")
	addAPIFlags(cmd)
	return cmd
}

// maxEvent bounds one line of the stream.
const maxEvent = 1 << 20

// tail follows the stream until it ends, which is an error.
//
//	stream = *( *( "event:" TYPE LF / "data:" JSON LF / ":" COMMENT LF ) LF )
func tail(ctx context.Context, w io.Writer, client *adminClient, f *tailFilter, raw bool) error {
	answer, err := client.open(ctx, "GET", "/v1/events", nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if kind := answer.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("%s does not answer as an Umbral edge does: is it another server?", client.base)
	}
	scan := bufio.NewScanner(answer.Body)
	scan.Buffer(nil, maxEvent)
	var kind, data string
	for scan.Scan() {
		name, value, _ := strings.Cut(scan.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "event":
			kind = value
		case name == "data":
			data += value
		case scan.Text() == "":
			if err := show(w, kind, data, f, raw); err != nil {
				return err
			}
			kind, data = "", ""
		}
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("the stream of events broke off: %s", plainNetError(err))
	}
	return errors.New("the stream of events ended: the edge is shutting down")
}

// show prints one event.
func show(w io.Writer, kind, data string, f *tailFilter, raw bool) error {
	if data == "" {
		return nil
	}
	var event struct {
		Time time.Time       `json:"time"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(data), &event); err != nil {
		return nil // not for us
	}
	filtered := f.path != "" || f.user != "" || len(f.verdicts) > 0
	if kind != "request" {
		if filtered {
			return nil
		}
		return showOther(w, kind, data, event.Time, event.Data, raw)
	}
	var e requestEvent
	if err := json.Unmarshal(event.Data, &e); err != nil || !f.match(&e) {
		return nil
	}
	if raw {
		_, err := fmt.Fprintln(w, data)
		return err
	}
	why := e.Verdict
	for _, more := range []string{e.Reason, e.Tier} {
		if more != "" {
			why += " " + more
		}
	}
	who := ""
	if e.User != "" {
		who = " user=" + printable(e.User)
	}
	_, err := fmt.Fprintf(w, "%s %d %-7s %s %s%s %.1f ms %s\n", event.Time.Local().Format("15:04:05.000"),
		e.Status, e.Method, printable(e.Host+e.Path), why, who, e.MS, byteSize(e.Bytes))
	return err
}

func showOther(w io.Writer, kind, data string, when time.Time, body json.RawMessage, raw bool) error {
	if raw {
		_, err := fmt.Fprintln(w, data)
		return err
	}
	if len(body) == 0 {
		body = json.RawMessage(data)
	}
	stamp := "            "
	if !when.IsZero() {
		stamp = when.Local().Format("15:04:05.000")
	}
	_, err := fmt.Fprintf(w, "%s --- %s %s\n", stamp, printable(kind), body)
	return err
}

// printable keeps what visitors wrote from commanding the terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, s)
}
