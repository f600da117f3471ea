package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// preface says what was measured, on what and how.
func (b *bed) preface(out io.Writer) {
	fmt.Fprintf(out, "# Umbral beside others\n\n`%s`\n\n", b.o.command)
	fmt.Fprintf(out, "- Machine: %d CPUs (%s), %.0f GiB of memory, Linux %s, shared by wrk, the origin and the server under test; load average at the start %s\n",
		runtime.NumCPU(), procField("/proc/cpuinfo", "model name"), memory(), firstLine("/proc/sys/kernel/osrelease"), load())
	fmt.Fprintf(out, "- Load: wrk, 1 thread, %d keep-alive connections; medians of %d interleaved rounds of %d s after a warm-up\n", connections, b.o.rounds, b.o.seconds)
	fmt.Fprintf(out, "- Versions: %s\n", strings.Join(b.versions(), ", "))
	fmt.Fprintln(out, "- CPU: user and system time of the server's whole process tree, per request; in brackets the cheapest and the dearest round")
}

func (b *bed) versions() []string {
	number := regexp.MustCompile(`\d+\.\d+[\w.+~-]*`)
	v := []string{"net/http of " + runtime.Version()}
	for _, p := range []struct{ name, program, flag string }{
		{"nginx", "nginx", "-v"}, {"Varnish", "varnishd", "-V"}, {"HAProxy", "haproxy", "-v"},
		{"Redis", "redis-server", "-v"}, {"wrk", "wrk", "-v"},
	} {
		path := lookPath(p.program)
		if path == "" {
			continue
		}
		text, _ := exec.Command(path, p.flag).CombinedOutput() // wrk -v ends with 1
		if n := number.Find(text); n != nil {
			v = append(v, p.name+" "+string(n))
		}
	}
	if text, err := exec.Command(b.o.umbral, "version").Output(); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		v = append(v, line)
	}
	return v
}

// printTable prints one size of one scenario. The ratios of a server that
// writes an access log are to the nginx that writes one.
func printTable(out io.Writer, sc scenario, z size, rows []row) {
	find := func(name string) *row {
		if i := slices.IndexFunc(rows, func(r row) bool { return r.name == name }); i >= 0 {
			return &rows[i]
		}
		return nil
	}
	redis := slices.ContainsFunc(rows, func(r row) bool { return strings.HasPrefix(r.name, "umbral") })
	fmt.Fprintf(out, "\n%d KiB:\n\n", z.bytes>>10)
	head := fmt.Sprintf("| server | req/s | p99 ms | CPU µs/req | req/s ÷ nginx | CPU ÷ nginx | CPU ÷ %[1]s | CPU − %[1]s, µs |", sc.bare)
	rule := "|---|--:|--:|--:|--:|--:|--:|--:|"
	if redis {
		head, rule = head+" Redis commands/req |", rule+"--:|"
	}
	fmt.Fprintln(out, head+"\n"+rule)
	bare := find(sc.bare)
	for i := range rows {
		r := &rows[i]
		nginx := find("nginx")
		if logged := find("nginx+log"); logged != nil && (strings.HasSuffix(r.name, "+log") || nginx == nil) {
			nginx = logged
		}
		fmt.Fprintf(out, "| %s | %.0f | %.2f | %.1f (%.1f–%.1f) |%s%s%s%s", r.name, r.perSecond, r.p99, r.cpu, r.least, r.most,
			compare(r, nginx, "%.2f", func(a, b *row) float64 { return a.perSecond / b.perSecond }),
			compare(r, nginx, "%.2f", func(a, b *row) float64 { return a.cpu / b.cpu }),
			compare(r, bare, "%.2f", func(a, b *row) float64 { return a.cpu / b.cpu }),
			compare(r, bare, "%+.1f", func(a, b *row) float64 { return a.cpu - b.cpu }))
		switch {
		case redis && strings.HasPrefix(r.name, "umbral"):
			fmt.Fprintf(out, " %.3f |", r.commands)
		case redis:
			fmt.Fprint(out, " |")
		}
		fmt.Fprintln(out)
	}
	printNotes(out, sc, rows)
}

func compare(r, to *row, format string, f func(a, b *row) float64) string {
	if to == nil {
		return " – |"
	}
	return " " + fmt.Sprintf(format, f(r, to)) + " |"
}

// printNotes says what does not fit the table, above all where a server did
// not do what was asked of it.
func printNotes(out io.Writer, sc scenario, rows []row) {
	for _, r := range rows {
		if r.commands > 0.01 {
			fmt.Fprintf(out, "\nredis-server spent %.1f µs more for each request to %s.\n", r.redisCPU, r.name)
		}
		switch {
		case r.name == "bare":
		case sc.misses && r.asked < 0.99:
			fmt.Fprintf(out, "\n**%s asked the origin for only %.1f %% of the requests.**\n", r.name, 100*r.asked)
		case !sc.misses && r.asked > 0:
			fmt.Fprintf(out, "\n**%s asked the origin for %.3f %% of the requests.**\n", r.name, 100*r.asked)
		}
	}
}

// procField is the value of a "name : value" line.
func procField(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// memory is what the machine has, in GiB.
func memory() float64 {
	kib, _, _ := strings.Cut(procField("/proc/meminfo", "MemTotal"), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	return n / (1 << 20)
}

// load is the load average of one, five and fifteen minutes.
func load() string {
	f := strings.Fields(firstLine("/proc/loadavg"))
	return strings.Join(f[:min(3, len(f))], " ")
}

func firstLine(file string) string {
	b, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
