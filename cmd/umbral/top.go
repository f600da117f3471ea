package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// routeFigures is one member of GET /v1/routes.
type routeFigures struct {
	Pattern  string  `json:"pattern"`
	TTL      string  `json:"ttl"`
	Vary     string  `json:"vary"`
	Requests uint64  `json:"requests"`
	Hits     uint64  `json:"hits"`
	Misses   uint64  `json:"misses"`
	Bytes    uint64  `json:"bytes"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// topRoutes is how many routes are shown, the busiest first.
const topRoutes = 15

func newTopCommand() *cobra.Command {
	var every time.Duration
	var times int
	cmd := &cobra.Command{
		Use:     "top",
		Short:   "Show the figures of edge, Redis and routes live",
		Long:    "Shows the figures of 'umbral stats' and the busiest routes, and again every second, until Ctrl-C.",
		Example: "  umbral top --every 5s",
		Args:    takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every <= 0 || times < 0 {
				return usagef("--every and --times are above zero")
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return top(ctx, cmd.OutOrStdout(), client, every, times)
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look")
	cmd.Flags().IntVar(&times, "times", 0, "look so many times, then end (default: until Ctrl-C)")
	addAdminFlags(cmd, "ADMIN_LISTEN", "ADMIN_TOKEN")
	return cmd
}

func top(ctx context.Context, w io.Writer, client *adminClient, every time.Duration, times int) error {
	screen := isTerminal(w)
	var before *figures
	for n := 1; ; n++ {
		text, now, err := topPage(ctx, client, before)
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		before = now
		if screen {
			text = "\x1b[H\x1b[2J" + text // home, clear
		} else if n > 1 {
			text = "\n" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		if n == times || pause(ctx, every) != nil {
			return nil
		}
	}
}

// topPage is one screenful; before is the one before, nil at first.
func topPage(ctx context.Context, client *adminClient, before *figures) (string, *figures, error) {
	now, _, err := client.figures(ctx)
	if err != nil {
		return "", nil, err
	}
	var list struct {
		Routes []routeFigures `json:"routes"`
	}
	if _, err := client.call(ctx, "GET", "/v1/routes", nil, &list); err != nil {
		return "", nil, err
	}
	var b strings.Builder
	b.WriteString(now.text())
	if before != nil && now.At.After(before.At) && now.Requests >= before.Requests {
		over := now.At.Sub(before.At).Seconds()
		fmt.Fprintf(&b, "%-10s %.1f requests a second\n", "now", float64(now.Requests-before.Requests)/over)
	}
	sort.SliceStable(list.Routes, func(i, j int) bool { return list.Routes[i].Requests > list.Routes[j].Requests })
	fmt.Fprintf(&b, "\n%10s %8s %10s %9s %9s  %s\n", "requests", "hits", "sent", "p50 ms", "p99 ms", "route")
	for _, r := range list.Routes[:min(len(list.Routes), topRoutes)] {
		name := r.Pattern
		if name == "-" {
			name = "(unlisted)"
		}
		fmt.Fprintf(&b, "%10d %8s %10s %9.2f %9.2f  %s\n", r.Requests, ratio(r.Hits, r.Misses), byteSize(r.Bytes), r.P50, r.P99, name)
	}
	return b.String(), now, nil
}
