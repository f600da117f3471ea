package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestOnlyNarrowsByEachSortOfName(t *testing.T) {
	p, err := makePlan(&options{log: "both", only: []string{"hit", "miss", "1k", "nginx", "umbral"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.scenarios) != 2 || len(p.sizes) != 1 || !slices.Equal(p.servers(), []string{"nginx", "umbral"}) {
		t.Errorf("%+v", p)
	}
	for _, only := range [][]string{{"nothing"}, {"redis", "varnish"}} {
		if _, err := makePlan(&options{log: "both", only: only}); err == nil {
			t.Errorf("-only %s is taken", only)
		}
	}
}

func TestLogChoosesTheLoggingServers(t *testing.T) {
	for log, want := range map[string]string{
		"on":   "nginx+log varnish haproxy bare umbral+log",
		"off":  "nginx varnish haproxy bare umbral",
		"both": "nginx nginx+log varnish haproxy bare umbral umbral+log",
	} {
		p, err := makePlan(&options{log: log, only: []string{"hit"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.servers(), " "); got != want {
			t.Errorf("-log %s: %s", log, got)
		}
	}
}

func TestSummariseTakesMedians(t *testing.T) {
	r := summarise("x", []sample{{cpu: 9, perSecond: 1}, {cpu: 2, perSecond: 3}, {cpu: 4, perSecond: 2}, {cpu: 6, perSecond: 40}})
	if r.cpu != 5 || r.least != 2 || r.most != 9 || r.perSecond != 2.5 {
		t.Errorf("%+v", r)
	}
}

func TestTableComparesLikeWithLike(t *testing.T) {
	var out bytes.Buffer
	rows := []row{
		{name: "nginx", sample: sample{perSecond: 100, cpu: 10}}, {name: "nginx+log", sample: sample{perSecond: 80, cpu: 12}},
		{name: "bare", sample: sample{perSecond: 90, cpu: 15, asked: 1}},
		{name: "umbral", sample: sample{perSecond: 110, cpu: 11}}, {name: "umbral+log", sample: sample{perSecond: 88, cpu: 12, asked: 0.5}},
	}
	printTable(&out, allScenarios()[0], allSizes()[0], rows)
	for _, want := range []string{
		"| umbral | 110 | 0.00 | 11.0 (0.0–0.0) | 1.10 | 1.10 | 0.73 | -4.0 | 0.000 |",
		"| umbral+log | 88 | 0.00 | 12.0 (0.0–0.0) | 1.10 | 1.00 | 0.80 | -3.0 | 0.000 |",
		"**umbral+log asked the origin for 50.000 % of the requests.**",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestDescendantsHoldTheChildren(t *testing.T) {
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	tree := descendants(os.Getpid())
	in.Close()
	_ = c.Wait()
	if tree[0] != os.Getpid() || !slices.Contains(tree, c.Process.Pid) {
		t.Errorf("%d is not among %v", c.Process.Pid, tree)
	}
}
