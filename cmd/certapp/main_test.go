package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

func none(string) string { return "" }

func TestRunWrongUse(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"help":            {[]string{"--help"}, 0, "Example:"},
		"unknown flag":    {[]string{"--nope"}, 2, "nope"},
		"unknown command": {[]string{"dance"}, 2, `"dance" is not a command`},
		"bad delay":       {[]string{"--delay", "soon"}, 2, `--delay "soon" is not a duration`},
		"bad address":     {[]string{"--listen", "nowhere"}, 1, "listen on nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			if code := run(t.Context(), tt.args, none, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit %d, want %d, saying %q:\n%s", code, tt.code, tt.says, stderr.String())
			}
		})
	}
}

func TestServeHealthcheckStop(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	exited := make(chan int, 1)
	env := func(name string) string { return map[string]string{"LISTEN": address, "DELAY": "0s"}[name] }
	go func() { exited <- run(ctx, nil, env, &strings.Builder{}) }()
	healthy := func() bool { return run(t.Context(), []string{"healthcheck"}, env, &strings.Builder{}) == 0 }
	deadline := time.After(10 * time.Second)
	for !healthy() {
		select {
		case code := <-exited:
			t.Fatalf("exit %d before it served", code)
		case <-deadline:
			t.Fatal("never healthy")
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	if code := <-exited; code != 0 {
		t.Errorf("exit %d after a stop, want 0", code)
	}
	if healthy() {
		t.Error("healthy after it stopped")
	}
}
