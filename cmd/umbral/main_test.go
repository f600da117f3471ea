package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"umbral/proxy/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"umbral": main})
}

// TestScripts runs testdata/script/*.txtar through the real binary. Besides
// testscript's own commands there are:
//
//	redis NAME [option…]   a redis-server of its own; NAME becomes its port
//	app NAME [trusting|broken]   an app that redirects http to https, or answers
//	                       500; NAME is its URL
//	await PORT SECTION LINE   waits until INFO of this Redis has the line
//	skewed NAME PORT       a way to this Redis by which its clock is an hour
//	                       late; NAME becomes its port
//	clusterup PORT…        waits until each of these nodes finds its cluster whole
//	exitcode N command …   runs a command that must end with this exit code
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"redis": scriptRedis, "app": scriptApp, "exitcode": scriptExitCode, "clusterup": scriptClusterUp,
			"await": scriptAwait, "skewed": scriptSkewed,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("REDIS_URL", "")
			return nil
		},
	})
}

func scriptRedis(ts *testscript.TestScript, _ bool, args []string) {
	port := strconv.Itoa(storetest.FreePort(ts))
	dir := ts.MkAbs("redis-" + args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	options := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", dir}, args[1:]...) // the last of two holds
	if slices.Contains(args, "--sentinel") {                                                      // has no data, but writes its configuration
		own := filepath.Join(dir, "sentinel.conf")
		ts.Check(os.WriteFile(own, nil, 0o600))
		options = append([]string{own}, options...)
	} else {
		options = append(options, "--save", "")
	}
	server := exec.Command("redis-server", options...)
	out, err := server.StdoutPipe()
	ts.Check(err)
	ts.Check(server.Start())
	ts.Defer(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	scan := bufio.NewScanner(out)
	ready := false
	for !ready && scan.Scan() {
		ready = strings.Contains(scan.Text(), "Ready to accept connections") || strings.Contains(scan.Text(), "Sentinel ID is")
	}
	if !ready {
		ts.Fatalf("redis-server ended before it was ready")
	}
	ts.Setenv(args[0], port)
}

func scriptApp(ts *testscript.TestScript, _ bool, args []string) {
	trusting, broken := slices.Contains(args, "trusting"), slices.Contains(args, "broken")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		if trusting && r.Header.Get("X-Forwarded-Proto") == "https" {
			return
		}
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	}))
	ts.Defer(app.Close)
	ts.Setenv(args[0], app.URL)
}

// TestEveryCommandHelps: each has an example, and its help is good.
func TestEveryCommandHelps(t *testing.T) {
	for _, cmd := range commands() {
		var out, err bytes.Buffer
		if code := run([]string{cmd.Name(), "--help"}, &out, &err); code != exitGood || err.Len() > 0 {
			t.Errorf("%s --help: code %d, %s", cmd.Name(), code, &err)
		}
		if !strings.Contains(out.String(), "Examples:\n  umbral "+cmd.Name()) && cmd.Name() != "secret" {
			t.Errorf("%s has no example:\n%s", cmd.Name(), &out)
		}
	}
}

// TestUsageIsOneSentence: wrong usage is code 2, one line, on stderr alone.
func TestUsageIsOneSentence(t *testing.T) {
	t.Setenv("ADMIN_LISTEN", "127.0.0.1:1")
	for line, want := range map[string]string{
		"chekc":                          `there is no command "chekc": did you mean check?`,
		"frobnicate":                     `there is no command "frobnicate": 'umbral --help' lists all`,
		"check --nope":                   "unknown flag: --nope",
		"check a b":                      "name one file, not 2: umbral check [routes.yaml] [flags]",
		"explain":                        "name the URL: umbral explain URL [flags]",
		"explain http://a --header x":    `--header "x" is not 'Name: value'`,
		"purge":                          "name what to purge: --url, --prefix, --tag, --user, --session or --all",
		"purge --all --wait soon":        `invalid argument "soon" for "--wait" flag: time: invalid duration "soon"`,
		"warm":                           "name one of --sitemap and --urls",
		"sessions revoke":                "name one of --user, --session and --all",
		"sessions revoke --all --user 1": "name one of --user, --session and --all",
		"sessions lst":                   `there is no command "sessions lst": name list or revoke`,
		"stats --admin ftp://x":          "--admin is not a URL such as http://127.0.0.1:8081",
		"stats --admin-token short":      "ADMIN_TOKEN has 5 characters: at least 24 are needed, and 'umbral secret' makes some",
		"tail --path [":                  `--path "[" is not a glob`,
		"help nope":                      `there is no command "nope": 'umbral --help' lists all`,
		"help sessions lst":              `there is no command "sessions lst": 'umbral --help' lists all`,
		"top --every 0s":                 "--every and --times are above zero",
	} {
		var out, stderr bytes.Buffer
		if code := run(strings.Fields(line), &out, &stderr); code != exitUsage {
			t.Errorf("%s: code %d", line, code)
		}
		if got := stderr.String(); got != "umbral: "+want+"\n" || out.Len() > 0 {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

func TestNoCommandShowsHelp(t *testing.T) {
	var out, stderr bytes.Buffer
	if code := run(nil, &out, &stderr); code != exitUsage || out.Len() > 0 || !strings.Contains(stderr.String(), "Available Commands") {
		t.Errorf("code %d, %s", code, &stderr)
	}
}

func TestReadLinesOfFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	var out, stderr bytes.Buffer
	if code := run([]string{"warm", "--urls", path}, &out, &stderr); code != exitNo || stderr.String() != fmt.Sprintf("umbral: --urls: file %q: no such file or directory\n", path) {
		t.Errorf("code %d, %s", code, &stderr)
	}
}

// scriptExitCode runs a command and wants this very exit code.
//
//	clusterup PORT…        waits until each of these nodes finds its cluster whole
//	exitcode N command [args…]
func scriptExitCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func scriptClusterUp(ts *testscript.TestScript, _ bool, ports []string) {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for _, port := range ports {
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
		for tries := 0; ; tries++ {
			info, err := client.ClusterInfo(context.Background()).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") {
				break
			}
			if tries > 2000 {
				ts.Fatalf("the cluster does not come up: %s %v", info, err)
			}
			<-look.C
		}
		ts.Check(client.Close())
	}
}

// scriptAwait asks until INFO says so.
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + args[0]})
	defer func() { ts.Check(client.Close()) }()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for range 2000 {
		info, err := client.Info(context.Background(), args[1]).Result()
		ts.Check(err)
		if strings.Contains(info, args[2]) {
			return
		}
		<-look.C
	}
	ts.Fatalf("INFO %s never says %s", args[1], args[2])
}

// scriptSkewed passes everything on but TIME, which it answers itself.
func scriptSkewed(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", "127.0.0.1:"+args[1])
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(client, server) }()
			go func() {
				defer func() { _, _ = client.Close(), server.Close() }()
				b := make([]byte, 64<<10)
				for {
					n, err := client.Read(b)
					if err != nil {
						return
					}
					if strings.EqualFold(string(b[:n]), "*1\r\n$4\r\nTIME\r\n") {
						late := time.Now().Add(-time.Hour)
						_, err = fmt.Fprintf(client, "*2\r\n$10\r\n%d\r\n$6\r\n%06d\r\n", late.Unix(), late.Nanosecond()/1000)
					} else {
						_, err = server.Write(b[:n])
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
}
