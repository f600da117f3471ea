package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// figures is the answer of GET /v1/stats.
type figures struct {
	Edge      string    `json:"edge"`
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	At        time.Time `json:"at"`
	Requests  uint64    `json:"requests"`
	Hits      uint64    `json:"hits"`
	Stale     uint64    `json:"stale"`
	Misses    uint64    `json:"misses"`
	Passes    uint64    `json:"passes"`
	Collapsed uint64    `json:"collapsed"`
	Errors    uint64    `json:"errors"`
	Bytes     uint64    `json:"bytes"`
	InFlight  int       `json:"in_flight"`
	P50       float64   `json:"p50_ms"`
	P99       float64   `json:"p99_ms"`
	Memory    struct {
		Entries   int    `json:"entries"`
		Bytes     int64  `json:"bytes"`
		Limit     int64  `json:"limit"`
		Evictions uint64 `json:"evictions"`
	} `json:"memory"`
	Redis struct {
		Up               bool    `json:"up"`
		Error            string  `json:"error"`
		Version          string  `json:"version"`
		Latency          float64 `json:"latency_ms"`
		UsedMemory       uint64  `json:"used_memory"`
		MaxMemory        uint64  `json:"maxmemory"`
		ConnectedClients uint64  `json:"connected_clients"`
		TotalCommands    uint64  `json:"total_commands_processed"`
		KeyspaceHits     uint64  `json:"keyspace_hits"`
		KeyspaceMisses   uint64  `json:"keyspace_misses"`
		EvictedKeys      uint64  `json:"evicted_keys"`
	} `json:"redis"`
	Sessions struct {
		Active  int    `json:"active"`
		Created uint64 `json:"created"`
		Ended   uint64 `json:"ended"`
	} `json:"sessions"`
	Upstreams []struct {
		URL      string `json:"url"`
		Healthy  bool   `json:"healthy"`
		InFlight int    `json:"in_flight"`
		Detail   string `json:"detail"`
	} `json:"upstreams"`
}

func newStatsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stats",
		Short:   "Print the figures of edge and Redis once",
		Example: "  umbral stats --json",
		Args:    takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			f, data, err := client.figures(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				_, err = cmd.OutOrStdout().Write(data)
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), f.text())
			return err
		},
	}
	addAPIFlags(cmd)
	return cmd
}

func (c *adminClient) figures(ctx context.Context) (f *figures, data []byte, err error) {
	f = new(figures)
	data, err = c.call(ctx, "GET", "/v1/stats", nil, f)
	return f, data, err
}

// text lays the figures out for people.
func (f *figures) text() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	up := ""
	if !f.Started.IsZero() {
		up = ", up " + f.At.Sub(f.Started).Round(time.Second).String()
	}
	line("edge", "%s, %s%s", f.Edge, f.Version, up)
	line("requests", "%d, %d in flight, %s sent", f.Requests, f.InFlight, byteSize(f.Bytes))
	line("hit ratio", "%s: %d hits (%d stale), %d misses, %d passed by, %d errors", ratio(f.Hits, f.Misses), f.Hits, f.Stale, f.Misses, f.Passes, f.Errors)
	line("collapsed", "%d", f.Collapsed)
	line("latency", "%.2f ms median, %.2f ms for 99 of 100", f.P50, f.P99)
	line("memory", "%d entries, %s of %s, %d evicted", f.Memory.Entries, byteSize(f.Memory.Bytes), byteSize(f.Memory.Limit), f.Memory.Evictions)
	line("sessions", "%d active, %d created, %d ended", f.Sessions.Active, f.Sessions.Created, f.Sessions.Ended)
	r := &f.Redis
	if r.Up {
		line("redis", "%s, answers in %.2f ms, %s used of %s", cmp.Or(r.Version, "embedded"), r.Latency, byteSize(r.UsedMemory), limitOf(r.MaxMemory))
		line("", "%d clients, %d commands, %d keyspace hits, %d misses, %d evicted", r.ConnectedClients, r.TotalCommands, r.KeyspaceHits, r.KeyspaceMisses, r.EvictedKeys)
	} else {
		line("redis", "down: %s", cmp.Or(r.Error, "no answer"))
	}
	for _, u := range f.Upstreams {
		state := "healthy"
		if !u.Healthy {
			state = "down: " + cmp.Or(u.Detail, "no answer")
		}
		line("app", "%s %s, %d in flight", u.URL, state, u.InFlight)
	}
	return b.String()
}

func limitOf(max uint64) string {
	if max == 0 {
		return "no limit"
	}
	return byteSize(max)
}

// ratio is hits among all, in percent; a dash where there is nothing yet.
func ratio(hits, misses uint64) string {
	if hits+misses == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(hits)/float64(hits+misses))
}
