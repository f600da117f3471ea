package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// explanation is the answer of GET /v1/explain.
type explanation struct {
	Route  string `json:"route"`
	Method string `json:"method"`
	URL    string `json:"url"`
	Scope  string `json:"scope"`
	TTL    string `json:"ttl"`

	KeyParts []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"key_parts"`
	Tags  []string `json:"tags"`
	Tiers []struct {
		Tier     string     `json:"tier"`
		Found    bool       `json:"found"`
		Error    string     `json:"error"`
		Status   int        `json:"status"`
		Age      int64      `json:"age"`
		TTL      int64      `json:"ttl"`
		StoredAt *time.Time `json:"stored_at"`
		Size     int64      `json:"size"`
		Hits     uint64     `json:"hits"`
		ETag     string     `json:"etag"`
		Vary     []string   `json:"vary"`
		Life     string     `json:"life"`
	} `json:"tiers"`

	Verdict     string   `json:"verdict"`
	Reason      string   `json:"reason"`
	CacheStatus string   `json:"cache_status"`
	Notes       []string `json:"notes"`
}

func newExplainCommand() *cobra.Command {
	var method, user string
	var headers []string
	cmd := &cobra.Command{
		Use:   "explain URL",
		Short: "Ask a running edge what it would do with a request, and why",
		Example: `  umbral explain https://www.example.org/certificado/7?utm_source=x
  umbral explain https://www.example.org/panel/ --user 42 --header 'Accept-Language: es'`,
		Args: takes(1, 1, "URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"url": args}
			if method != "" {
				query.Set("method", method)
			}
			if user != "" {
				query.Set("user", user)
			}
			for _, line := range headers {
				if !strings.Contains(line, ":") {
					return usagef("--header %q is not 'Name: value'", line)
				}
				query.Add("header", line)
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			var e explanation
			data, err := client.call(cmd.Context(), "GET", "/v1/explain?"+query.Encode(), nil, &e)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				_, err = cmd.OutOrStdout().Write(data)
				return err
			}
			return printExplanation(cmd.OutOrStdout(), &e)
		},
	}
	cmd.Flags().StringVar(&method, "method", "", "method of the request (default GET)")
	cmd.Flags().StringVar(&user, "user", "", "who is signed in")
	cmd.Flags().StringArrayVar(&headers, "header", nil, "header of the request, 'Name: value'; may be given several times")
	addAPIFlags(cmd)
	return cmd
}

func printExplanation(w io.Writer, e *explanation) error {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-13s %s\n", name, value)
		}
	}
	line("request", e.Method+" "+e.URL)
	line("route", cmp.Or(e.Route, "none lists it"))
	line("vary", e.Scope)
	line("ttl", e.TTL)
	for i, part := range e.KeyParts {
		name := ""
		if i == 0 {
			name = "key"
		}
		fmt.Fprintf(&b, "%-13s %s = %s\n", name, part.Name, part.Value)
	}
	line("tags", strings.Join(e.Tags, " "))
	for _, t := range e.Tiers {
		switch {
		case t.Error != "":
			line(t.Tier, "cannot be asked: "+t.Error)
		case !t.Found:
			line(t.Tier, "nothing stored")
		default:
			said := fmt.Sprintf("status %d, age %ds, %ds left, %s, %s", t.Status, t.Age, t.TTL, byteSize(t.Size), count(int(t.Hits), "hit"))
			if t.Life != "" {
				said += ", " + t.Life
			}
			line(t.Tier, said)
		}
	}
	line("verdict", e.Verdict)
	line("reason", e.Reason)
	line("Cache-Status", e.CacheStatus)
	for _, note := range e.Notes {
		line("note", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byteSize writes a size for people: 512 B, 1.5 KiB, 8.0 MiB.
func byteSize[N int64 | uint64](n N) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
