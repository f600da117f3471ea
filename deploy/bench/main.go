// Command bench sets Umbral beside nginx, Varnish, HAProxy and bare net/http on
// one machine in one run, and prints what each costs: requests per second, 99th
// percentile, and CPU time of the process tree per request. The rounds of all
// servers are interleaved and medians taken, so that a machine that slows down
// or hurries does so for everybody.
//
//	go run ./deploy/bench -only hit,1k
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// childArgument, hidden, makes this program one of its own servers.
const childArgument = "-as-child"

func main() {
	if len(os.Args) > 2 && os.Args[1] == childArgument {
		fail(child(os.Args[2], os.Args[3:]), 1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	fail(err, 2)
	p, err := makePlan(o)
	fail(err, 2)
	err = run(ctx, o, p)
	if ctx.Err() != nil {
		err = errors.New("interrupted; what was started has been ended")
	}
	fail(err, 1)
}

func fail(err error, code int) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(code)
}

// options are the flags.
type options struct {
	rounds, seconds int
	umbral          string
	log             string
	only            []string
	command         string
}

func parseOptions(args []string) (*options, error) {
	o := &options{command: strings.Join(append([]string{"go run ./deploy/bench"}, args...), " ")}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "interleaved `rounds`; the median of them is shown")
	f.IntVar(&o.seconds, "seconds", 3, "`seconds` of load per server and round")
	f.StringVar(&o.umbral, "umbral", "bin/umbral", "`path` of the binary to measure")
	f.StringVar(&o.log, "log", "both", "access log, to a file, of nginx and Umbral: on, off or both")
	only := f.String("only", "", "comma-separated `names` of scenarios (hit, session, redis, miss), sizes (1k, 16k, 64k) and servers; those of one sort are alternatives")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not understood; see -help", f.Arg(0))
	}
	if o.rounds < 1 || o.seconds < 1 {
		return nil, errors.New("-rounds and -seconds are 1 at least")
	}
	if !slices.Contains([]string{"on", "off", "both"}, o.log) {
		return nil, errors.New("-log is on, off or both")
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	return o, nil
}

// run measures every scenario of the plan and prints its tables.
func run(ctx context.Context, o *options, p *plan) error {
	out := os.Stdout
	if err := missing(p.servers(), o.umbral); err != nil {
		return err
	}
	b, err := newBed(o)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.start(ctx, p.servers()); err != nil {
		return err
	}
	b.preface(out)
	for _, s := range p.scenarios {
		fmt.Fprintf(out, "\n## %s\n\n%s\n", s.title, s.what)
		for _, size := range p.sizes {
			rows, err := b.measure(ctx, s, size)
			if err != nil {
				return fmt.Errorf("%s %s: %w", s.name, size.name, err)
			}
			printTable(out, s, size, rows)
		}
	}
	fmt.Fprintf(out, "\nLoad average at the end: %s\n", load())
	return nil
}
