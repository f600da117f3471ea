package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// adminClient speaks to the admin API of a running edge.
type adminClient struct {
	base  string // without a slash at the end
	token string
	http  http.Client
}

// addAdminFlags gives cmd what finds the edge: --admin, and the flags of the
// named settings.
func addAdminFlags(cmd *cobra.Command, settings ...string) {
	cmd.Flags().String("admin", "", "URL of the edge's admin API (default http://ADMIN_LISTEN)")
	addSettings(cmd, settings...)
}

// addAPIFlags gives cmd what a call of the admin API needs.
func addAPIFlags(cmd *cobra.Command) {
	addAdminFlags(cmd, "ADMIN_LISTEN", "ADMIN_TOKEN")
	addJSON(cmd)
}

func addJSON(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "print JSON")
}

func asJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}

// adminURL is where --admin or ADMIN_LISTEN say that the edge is.
func adminURL(cmd *cobra.Command) (string, error) {
	raw, err := cmd.Flags().GetString("admin")
	if err != nil {
		return "", err
	}
	if raw != "" {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return "", usagef("--admin is not a URL such as http://127.0.0.1:8081")
		}
		return strings.TrimRight(raw, "/"), nil
	}
	s, err := loadSome(cmd, "ADMIN_LISTEN")
	if err != nil {
		return "", err
	}
	return reachable(s.AdminListen), nil
}

// reachable is the URL of an address that is listened on: an address that
// means all interfaces is asked on this machine.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func newAdminClient(cmd *cobra.Command) (*adminClient, error) {
	base, err := adminURL(cmd)
	if err != nil {
		return nil, err
	}
	s, err := loadSome(cmd, "ADMIN_TOKEN")
	if err != nil {
		return nil, err
	}
	// A redirect would be another server's; the token does not follow it.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &adminClient{base: base, token: s.AdminToken.Reveal(), http: http.Client{CheckRedirect: stay}}, nil
}

// callTimeout is the longest that a call which is no stream may take.
const callTimeout = 60 * time.Second

// call makes a call and decodes its answer into out, if that is not nil. It
// returns the answer's text as well, for --json.
func (c *adminClient) call(ctx context.Context, method, path string, in, out any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.open(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("the edge's answer broke off: %s", plainNetError(err))
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			return nil, fmt.Errorf("%s does not answer as an Umbral edge does: is it another server?", c.base)
		}
	}
	return data, nil
}

// open makes a call and leaves the answer's body to the caller.
func (c *adminClient) open(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("no edge answers at %s: %s; ADMIN_LISTEN or --admin says where it is", c.base, plainNetError(err))
	}
	if answer.StatusCode >= 300 {
		defer func() { _ = answer.Body.Close() }()
		return nil, c.problem(answer)
	}
	return answer, nil
}

// problem makes a sentence of problem details (RFC 9457).
func (c *adminClient) problem(answer *http.Response) error {
	var p struct {
		Title, Detail, Setting string
		Faults                 []struct {
			File         string
			Line, Column int
			Message      string
		}
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	said := strings.TrimSpace(strings.ReplaceAll(p.Detail, "\n", " "))
	if said == "" {
		said = p.Title
	}
	switch {
	case answer.StatusCode == http.StatusUnauthorized && c.token == "":
		return errors.New("the edge wants its token: set ADMIN_TOKEN")
	case answer.StatusCode == http.StatusUnauthorized:
		return errors.New("the edge refuses this ADMIN_TOKEN: it is not the one that it was started with")
	case err != nil || said == "":
		return fmt.Errorf("%s answers %s, and not as an Umbral edge does", c.base, answer.Status)
	case answer.StatusCode == http.StatusBadRequest: // what was asked for makes no sense
		return usagef("the edge says: %s", said)
	case p.Setting != "" && !strings.Contains(said, p.Setting):
		return fmt.Errorf("the edge says: %s (%s)", said, p.Setting)
	}
	return fmt.Errorf("the edge says: %s", said)
}

// plainNetError leaves the method and the URL out of an HTTP client's error,
// and the names of system calls.
func plainNetError(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no answer in time"
	case errors.As(err, &op):
		text := op.Err.Error()
		if _, rest, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(text, "connect") {
			text = rest
		}
		return text
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
