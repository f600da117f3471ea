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
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// connections that wrk keeps open.
const connections = 64

// sample is what one round of load on one server came to.
type sample struct {
	perSecond float64
	p99       float64 // ms
	cpu       float64 // µs a request, whole tree
	redisCPU  float64 // µs a request, of the Redis beside it
	commands  float64 // to Redis, a request
	asked     float64 // of the origin, a request
}

// row is a server with the medians of its rounds.
type row struct {
	name string
	sample
	least, most float64 // cpu of the cheapest and of the dearest round
}

// measure warms every server of the scenario up, looks whether it does what is
// asked of it, and then loads one after the other, round by round.
func (b *bed) measure(ctx context.Context, sc scenario, z size) ([]row, error) {
	path := "/" + strings.Replace(sc.name, "redis", "hit", 1) + "/" + z.name
	samples := map[string][]sample{}
	for _, name := range sc.servers {
		s := b.under[name]
		if sc.cookie && s.cookie == "" {
			if err := b.signIn(ctx, s); err != nil {
				return nil, err
			}
		}
		if err := b.warmUp(ctx, s, sc, path); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := b.load(ctx, s, sc, path, 1); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for range b.o.rounds {
		for _, name := range sc.servers {
			one, err := b.load(ctx, b.under[name], sc, path, b.o.seconds)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			samples[name] = append(samples[name], one)
		}
	}
	var rows []row
	for _, name := range sc.servers {
		rows = append(rows, summarise(name, samples[name]))
	}
	return rows, nil
}

func summarise(name string, all []sample) row {
	of := func(f func(sample) float64) []float64 {
		var v []float64
		for _, s := range all {
			v = append(v, f(s))
		}
		slices.Sort(v)
		return v
	}
	middle := func(f func(sample) float64) float64 {
		v := of(f)
		return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	costs := of(func(s sample) float64 { return s.cpu })
	return row{name: name, least: costs[0], most: costs[len(costs)-1], sample: sample{
		perSecond: middle(func(s sample) float64 { return s.perSecond }),
		p99:       middle(func(s sample) float64 { return s.p99 }),
		cpu:       middle(func(s sample) float64 { return s.cpu }),
		redisCPU:  middle(func(s sample) float64 { return s.redisCPU }),
		commands:  middle(func(s sample) float64 { return s.commands }),
		asked:     middle(func(s sample) float64 { return s.asked }),
	}}
}

// warmUp asks until the answers are hits (or, where misses are wanted, sees that
// each one is asked of the origin), and demands the right bytes every time.
func (b *bed) warmUp(ctx context.Context, s *server, sc scenario, path string) error {
	want := b.expected(path)
	for inARow, tries := 0, 0; inARow < 8; tries++ {
		if tries == 200 {
			if sc.misses {
				return errors.New("answers from its store what may not be stored")
			}
			return errors.New("the page does not become a hit")
		}
		before, err := b.asked()
		if err != nil {
			return err
		}
		if err := b.look(ctx, s, sc, path, want); err != nil {
			return err
		}
		after, err := b.asked()
		if err != nil {
			return err
		}
		inARow++
		if missed := after > before; missed != sc.misses && s.name != "bare" {
			inARow = 0
			time.Sleep(settle)
		}
	}
	return nil
}

func (b *bed) expected(path string) []byte {
	for _, z := range allSizes() {
		if strings.HasSuffix(path, "/"+z.name) {
			return content(z.bytes)
		}
	}
	return nil
}

// look fetches the page once, as wrk will.
func (b *bed) look(ctx context.Context, s *server, sc scenario, path string, want []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		return err
	}
	if sc.cookie {
		r.Header.Set("Cookie", s.cookie)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
		return fmt.Errorf("%s gave %s and %d bytes that are not the %d expected", path, resp.Status, len(got), len(want))
	}
	return nil
}

// asked is how many pages the origin has been asked for.
func (b *bed) asked() (int64, error) {
	resp, err := b.client.Get("http://" + b.origin.address + "/asked")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// gauge is what is read before and after a load.
type gauge struct {
	cpu, redisCPU   time.Duration
	commands, asked int64
}

func (b *bed) gauge(s *server) (g gauge, err error) {
	var errs [4]error
	g.asked, errs[0] = b.asked()
	if s.redis {
		g.commands, errs[1] = redisCommands(b.redis.address)
		g.redisCPU, errs[2] = b.redis.proc.cpu()
	}
	g.cpu, errs[3] = s.proc.cpu()
	return g, errors.Join(errs[:]...)
}

// load runs wrk on one page of one server.
func (b *bed) load(ctx context.Context, s *server, sc scenario, path string, seconds int) (sample, error) {
	before, err := b.gauge(s)
	if err != nil {
		return sample{}, err
	}
	cookie := ""
	if sc.cookie {
		cookie = s.cookie
	}
	w, err := b.wrk(ctx, "http://"+s.address+path, cookie, seconds)
	if err != nil {
		return sample{}, err
	}
	after, err := b.gauge(s)
	if err != nil {
		return sample{}, err
	}
	n := float64(w.Requests)
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / n }
	return sample{
		perSecond: n / (float64(w.Micros) / 1e6),
		p99:       float64(w.P99) / 1000,
		cpu:       micros(after.cpu - before.cpu),
		redisCPU:  micros(after.redisCPU - before.redisCPU),
		// Less the one that reads the counter.
		commands: max(0, float64(after.commands-before.commands-1)) / n,
		asked:    float64(after.asked-before.asked) / n,
	}, nil
}

// wrkResult is the line that wrkScript prints.
type wrkResult struct{ Requests, Micros, P99, Errors int64 }

const wrkScript = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\nresult {"requests":%d,"micros":%d,"p99":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`

func (b *bed) wrk(ctx context.Context, url, cookie string, seconds int) (wrkResult, error) {
	var w wrkResult
	script, err := write(b.dir, "wrk.lua", wrkScript)
	if err != nil {
		return w, err
	}
	args := []string{"-t1", fmt.Sprint("-c", connections), fmt.Sprintf("-d%ds", seconds), "--latency", "-s", script}
	if cookie != "" {
		args = append(args, "-H", "Cookie: "+cookie)
	}
	out, err := exec.CommandContext(ctx, lookPath("wrk"), append(args, url)...).CombinedOutput()
	if err != nil {
		return w, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	_, result, _ := strings.Cut(string(out), "\nresult ")
	if err := json.Unmarshal([]byte(result), &w); err != nil {
		return w, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	if w.Requests == 0 || w.Errors*1000 > w.Requests {
		return w, fmt.Errorf("wrk saw %d errors in %d requests", w.Errors, w.Requests)
	}
	return w, nil
}

// redisCommands is total_commands_processed.
func redisCommands(address string) (int64, error) {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "INFO stats\r\nQUIT\r\n"); err != nil {
		return 0, err
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`total_commands_processed:(\d+)`).FindSubmatch(text)
	if m == nil {
		return 0, errors.New("redis does not count its commands")
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}
