package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// warmRequest is the body of POST /v1/warm.
type warmRequest struct {
	Sitemap     string   `json:"sitemap,omitempty"`
	URLs        []string `json:"urls,omitempty"`
	Concurrency int      `json:"concurrency,omitempty"`
}

// warmJob is how far a job has come.
type warmJob struct {
	ID      string         `json:"id"`
	State   string         `json:"state"` // reading, running, done, failed or stopped
	Total   int            `json:"total"`
	Done    int            `json:"done"`
	OK      int            `json:"ok"`
	Failed  int            `json:"failed"`
	Skipped int            `json:"skipped"`
	Cache   map[string]int `json:"cache"`
	Errors  []struct {
		URL    string `json:"url"`
		Status int    `json:"status"`
		Error  string `json:"error"`
	} `json:"errors"`
	Detail   string     `json:"detail"`
	Started  time.Time  `json:"started"`
	Finished *time.Time `json:"finished"`
}

func (j *warmJob) over() bool { return j.State != "reading" && j.State != "running" }

func newWarmCommand() *cobra.Command {
	var p warmRequest
	var file string
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "warm",
		Short: "Fetch pages through the edge before visitors ask for them",
		Long: `Lets the edge fetch the pages of a sitemap, or those of a file with one URL or
path a line ("-" is standard input), and prints a summary. The exit code is 1
if a page could not be fetched.`,
		Example: `  umbral warm --sitemap https://www.example.org/sitemap.xml
  umbral warm --urls pages.txt --concurrency 4`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (p.Sitemap == "") == (file == "") {
				return usagef("name one of --sitemap and --urls")
			}
			if p.Concurrency < 0 || every <= 0 {
				return usagef("--concurrency and --every are above zero")
			}
			if file != "" {
				var err error
				if p.URLs, err = readLines(cmd, file); err != nil {
					return err
				}
			}
			client, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			return warm(cmd, client, p, every)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.Sitemap, "sitemap", "", "URL or path of a sitemap")
	f.StringVar(&file, "urls", "", "file with one URL or path a line")
	f.IntVar(&p.Concurrency, "concurrency", 0, "pages at a time (default: the edge's)")
	f.DurationVar(&every, "every", 200*time.Millisecond, "how often to ask for progress")
	addAPIFlags(cmd)
	return cmd
}

// readLines reads the lines of a file that are neither empty nor comments.
func readLines(cmd *cobra.Command, path string) ([]string, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			var at *os.PathError
			if errors.As(err, &at) {
				err = at.Err
			}
			return nil, fmt.Errorf("--urls: file %q: %w", path, err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	var lines []string
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		if line := strings.TrimSpace(scan.Text()); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("--urls: file %q: %w", path, err)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("--urls: file %q holds no URL", path)
	}
	return lines, nil
}

func warm(cmd *cobra.Command, client *adminClient, p warmRequest, every time.Duration) error {
	var job warmJob
	data, err := client.call(cmd.Context(), "POST", "/v1/warm", p, &job)
	if err != nil {
		return err
	}
	bar := isTerminal(cmd.ErrOrStderr()) && !asJSON(cmd)
	for !job.over() {
		if bar {
			progress(cmd.ErrOrStderr(), &job)
		}
		if err := pause(cmd.Context(), every); err != nil {
			return err
		}
		job = warmJob{ID: job.ID}
		if data, err = client.call(cmd.Context(), "GET", "/v1/warm/"+url.PathEscape(job.ID), nil, &job); err != nil {
			return err
		}
	}
	if bar {
		progress(cmd.ErrOrStderr(), &job)
		_, _ = fmt.Fprintln(cmd.ErrOrStderr())
	}
	if asJSON(cmd) {
		_, err = cmd.OutOrStdout().Write(data)
	} else {
		err = printWarm(cmd.OutOrStdout(), &job)
	}
	switch {
	case err != nil:
		return err
	case job.State != "done":
		return fmt.Errorf("warming has %s: %s", job.State, job.Detail)
	case job.Failed > 0:
		return fmt.Errorf("%s could not be warmed", count(job.Failed, "page"))
	}
	return nil
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// progress redraws the bar.
func progress(w io.Writer, job *warmJob) {
	const width = 40
	full := 0
	if job.Total > 0 {
		full = min(width, width*job.Done/job.Total)
	}
	_, _ = fmt.Fprintf(w, "\r[%s%s] %d/%d %s\x1b[K", strings.Repeat("█", full), strings.Repeat("░", width-full), job.Done, job.Total, job.State)
}

func printWarm(w io.Writer, job *warmJob) error {
	var b strings.Builder
	took := ""
	if job.Finished != nil {
		took = fmt.Sprintf(" in %s", job.Finished.Sub(job.Started).Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "%s%s: %d fetched, %d failed, %d skipped\n", count(job.Total, "page"), took, job.OK, job.Failed, job.Skipped)
	kinds := make([]string, 0, len(job.Cache))
	for kind := range job.Cache {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		fmt.Fprintf(&b, "  %-12s %d\n", kind, job.Cache[kind])
	}
	for _, e := range job.Errors {
		said := e.Error
		if said == "" {
			said = fmt.Sprintf("status %d", e.Status)
		}
		fmt.Fprintf(&b, "  %s: %s\n", e.URL, said)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
