package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/signal"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// requestEvent is an event of type request.
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

// tailFilter says which requests are shown; an empty member lets all pass. The
// user is the edge's to tell: events carry a digest.
type tailFilter struct {
	path, user string
	verdicts   []string
}

// tailVerdicts are those of the access log.
var tailVerdicts = []string{"hit", "stale", "revalidated", "miss", "bypass", "refused", "edge", "error"}

// match: a path without a star is a prefix, one with a star a glob in which
// "*" stands for anything but "/".
func (f *tailFilter) match(e *requestEvent) bool {
	if len(f.verdicts) > 0 && !slices.Contains(f.verdicts, e.Verdict) {
		return false
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
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := path.Match(f.path, ""); err != nil {
				return usagef("--path %q is not a glob", f.path)
			}
			for _, v := range f.verdicts {
				if !slices.Contains(tailVerdicts, v) {
					return usagef("--verdict %q is none of %s", v, strings.Join(tailVerdicts, ", "))
				}
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
	cmd.Flags().StringSliceVar(&f.verdicts, "verdict", nil, "only these verdicts: "+strings.Join(tailVerdicts, ", "))
	addAPIFlags(cmd)
	return cmd
}

// maxEvent bounds one line of the stream.
const maxEvent = 1 << 20

// tail follows the stream until it ends, which is an error.
//
//	stream = *( *( "event:" TYPE LF / "data:" JSON LF / ":" COMMENT LF ) LF )
func tail(ctx context.Context, w io.Writer, client *adminClient, f *tailFilter, raw bool) error {
	path := "/v1/events"
	if f.user != "" {
		path += "?user=" + url.QueryEscape(f.user)
	}
	answer, err := client.open(ctx, "GET", path, nil)
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

// show prints one event: its members, with the time in front.
func show(w io.Writer, kind, data string, f *tailFilter, raw bool) error {
	var event struct {
		Time time.Time `json:"time"`
		requestEvent
	}
	if data == "" || json.Unmarshal([]byte(data), &event) != nil {
		return nil // not for us
	}
	e := &event.requestEvent
	filtered := f.path != "" || f.user != "" || len(f.verdicts) > 0
	if kind == "request" && !f.match(e) || kind != "request" && filtered {
		return nil
	}
	stamp := "            "
	if !event.Time.IsZero() {
		stamp = event.Time.Local().Format("15:04:05.000")
	}
	switch {
	case raw:
		_, err := fmt.Fprintf(w, "{\"type\":%q,%s\n", kind, strings.TrimPrefix(data, "{"))
		return err
	case kind != "request":
		_, err := fmt.Fprintf(w, "%s --- %s %s\n", stamp, printable(kind), printable(data))
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
		who = " user=" + printable(e.User[:min(len(e.User), 12)])
	}
	_, err := fmt.Fprintf(w, "%s %d %-7s %s %s%s %.1f ms %s\n", stamp,
		e.Status, printable(e.Method), printable(e.Host+e.Path), why, who, e.MS, byteSize(e.Bytes))
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
