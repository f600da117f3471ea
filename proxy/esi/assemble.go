package esi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Fetch asks the site itself for a fragment, as the visitor of the page, where
// target is "/path?query". depth is 1 for what the visitor's page includes. It
// must return when ctx ends, and is called by several goroutines at once.
type Fetch func(ctx context.Context, target string, depth int) (Fragment, error)

// Fragment is what a Fetch returns.
type Fragment struct {
	// Status other than 2xx is a failure.
	Status int
	// Template is set where the fragment's own route switches ESI on; Body is
	// then not looked at.
	Template *Template
	// Body is shown as it is but for tags of ours, which nobody obeys. It is
	// not changed.
	Body []byte
	// TTL is how long the fragment stays fresh, where HasTTL.
	TTL    time.Duration
	HasTTL bool
	// Personal: the fragment is not everybody's.
	Personal bool
}

// Options say for whom and from what a page is assembled.
type Options struct {
	Env   Env
	Fetch Fetch
	// Depth is how deep the page itself is: 0 for a visitor's.
	Depth  int
	Limits Limits
}

// Why an include can fail, besides what Fetch says.
var (
	errDepth = errors.New("esi: fragments stand too deep in each other")
	errCount = errors.New("esi: too many fragments")
	errBytes = errors.New("esi: fragments are too large")
)

// Assemble fills a template in. Fragments are fetched in parallel and shown in
// page order. One that fails shows its alt, else nothing if its onerror says
// continue, else it turns the attempt around it into the except; without one it
// shows nothing. Whatever fails, there is a page: the only error is that of ctx.
// What has something to stand in for it takes at most three quarters of the time
// that is left. No goroutine outlives the call. The result holds no tag of ours; where two
// pieces would make one by meeting, a blank stands between them.
func Assemble(ctx context.Context, t *Template, o Options) ([]byte, Report, error) {
	o.Limits = o.Limits.withDefaults()
	timed, cancel := context.WithTimeout(ctx, o.Limits.Time)
	a := &assembly{fetch: o.Fetch, limits: o.Limits, slots: make(chan struct{}, o.Limits.Concurrent)}
	s := a.page(timed, t, o.Env, o.Depth)
	cancel()
	a.running.Wait()
	if err := ctx.Err(); err != nil {
		return nil, s.report, err
	}
	return s.out, s.report, nil
}

// assembly is what a page and the fragments in it share.
type assembly struct {
	fetch   Fetch
	limits  Limits
	slots   chan struct{} // held during a fetch, never while waiting for another
	count   atomic.Int64
	bytes   atomic.Int64
	running sync.WaitGroup
}

// pending is an include under way, or what bounds those of an attempt.
type pending struct {
	done   chan struct{} // closed with shown, nil: it has not been begun
	shown  sheet
	err    error
	within context.Context
	cancel context.CancelFunc
}

// page assembles one template.
func (a *assembly) page(ctx context.Context, t *Template, env Env, depth int) *sheet {
	s := &sheet{a: a, env: env, depth: depth, alone: t.includes == 1, out: make([]byte, 0, t.size+t.size/4)}
	queue := s.begin(ctx, t.nodes, nil)
	s.write(ctx, t.nodes, &queue, false)
	return s
}

// begin starts the includes of nodes, in page order, but for those of excepts.
func (s *sheet) begin(ctx context.Context, nodes []node, queue []*pending) []*pending {
	for i := range nodes {
		switch n := &nodes[i]; n.kind {
		case include:
			p := &pending{}
			queue = append(queue, p)
			if s.alone {
				continue
			}
			p.done = make(chan struct{})
			s.a.running.Go(func() {
				defer close(p.done)
				p.shown, p.err = s.include(ctx, n)
			})
		case try:
			within, cancel := leaveTime(ctx)
			queue = append(queue, &pending{within: within, cancel: cancel})
			queue = s.begin(within, n.attempt, queue)
		}
	}
	return queue
}

// write writes nodes, whose includes come first in queue, and reports whether
// none has failed that matters within an attempt.
func (s *sheet) write(ctx context.Context, nodes []node, queue *[]*pending, within bool) bool {
	for i := range nodes {
		ok := true
		switch n := &nodes[i]; n.kind {
		case literal:
			s.put(n.text)
		case variable:
			s.variable(&n.value)
		case include:
			ok = s.show(ctx, n, next(queue))
		case try:
			ok = s.try(ctx, n, queue, within)
		}
		if !ok && within {
			return false
		}
	}
	return true
}

func next(queue *[]*pending) *pending {
	p := (*queue)[0]
	*queue = (*queue)[1:]
	return p
}

// show waits for an include and writes what has come.
func (s *sheet) show(ctx context.Context, n *node, p *pending) bool {
	if p.done == nil {
		p.shown, p.err = s.include(ctx, n)
	} else {
		<-p.done
	}
	s.report.add(p.shown.report)
	if p.err != nil {
		return n.goOn
	}
	s.put(p.shown.out)
	return true
}

// try writes the attempt, or if that fails the except in its place.
func (s *sheet) try(ctx context.Context, n *node, queue *[]*pending, within bool) bool {
	attempt := next(queue)
	defer attempt.cancel()
	includes, tries := census(n.attempt)
	rest := (*queue)[includes+tries:]
	length, report := len(s.out), s.report
	ok := s.write(attempt.within, n.attempt, queue, true)
	*queue = rest
	if ok {
		return true
	}
	attempt.cancel()
	s.out = s.out[:length]
	failed := s.report
	s.report = report
	s.report.Failed, s.report.Err = failed.Failed, failed.Err
	s.report.Personal = failed.Personal
	includes, _ = weigh(n.except)
	s.alone = includes == 1
	again := s.begin(ctx, n.except, nil)
	return s.write(ctx, n.except, &again, within)
}

// census counts what begin puts into the queue.
func census(nodes []node) (includes, tries int) {
	for i := range nodes {
		switch n := &nodes[i]; n.kind {
		case include:
			includes++
		case try:
			in, tr := census(n.attempt)
			includes, tries = includes+in, tries+tr+1
		}
	}
	return includes, tries
}

// leaveTime ends early enough for what comes instead.
func leaveTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-time.Until(end)/4))
}

// include fetches src or else alt.
func (s *sheet) include(ctx context.Context, n *node) (sheet, error) {
	first, cancel := ctx, func() {}
	if n.alt != nil {
		first, cancel = leaveTime(ctx)
	}
	shown, err := s.fetch(first, n.src)
	cancel()
	if err == nil {
		return shown, nil
	}
	asked := personal(n.src)
	if n.alt != nil {
		asked = asked || personal(n.alt)
		if other, altErr := s.fetch(ctx, n.alt); altErr == nil {
			other.report.Alternatives++
			other.report.Personal = other.report.Personal || asked
			return other, nil
		}
	}
	return sheet{report: Report{Failed: 1, Err: err, Personal: asked}}, err
}

// personal reports whether an address depends on who is asking.
func personal(parts []part) bool {
	for i := range parts {
		if parts[i].name == "EDGE_USER" {
			return true
		}
	}
	return false
}

// fetch gets one address and assembles what comes, if it is a template.
func (s *sheet) fetch(ctx context.Context, parts []part) (sheet, error) {
	a, depth := s.a, s.depth+1
	target, err := s.env.target(parts)
	if err != nil {
		return sheet{}, err
	}
	if depth > a.limits.Depth {
		return sheet{}, errDepth
	}
	if a.count.Add(1) > int64(a.limits.Count) {
		return sheet{}, errCount
	}
	f, err := a.ask(ctx, target, depth)
	if err != nil {
		return sheet{}, fmt.Errorf("esi: %s: %w", target, err)
	}
	if f.Status/100 != 2 {
		return sheet{}, fmt.Errorf("esi: %s: status %d", target, f.Status)
	}
	shown := sheet{out: f.Body}
	switch {
	case f.Template == nil:
		if !a.afford(len(f.Body)) {
			return sheet{}, errBytes
		}
		shown.out = strip(f.Body)
		shown.report.Bytes = int64(len(f.Body))
	case !a.afford(f.Template.size):
		return sheet{}, errBytes
	default:
		env := s.env
		env.Path, env.Query, _ = strings.Cut(target, "?")
		inner := a.page(ctx, f.Template, env, depth)
		shown.out, shown.report = inner.out, inner.report
		shown.report.Bytes += int64(f.Template.size)
	}
	shown.report.add(Report{Included: 1, TTL: f.TTL, HasTTL: f.HasTTL, Personal: f.Personal || personal(parts)})
	return shown, nil
}

// ask calls the Fetch when there is room. A handler that gives up by panicking
// (http.ErrAbortHandler) has failed; it must not take the whole edge with it.
func (a *assembly) ask(ctx context.Context, target string, depth int) (f Fragment, err error) {
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return f, ctx.Err()
	}
	defer func() {
		<-a.slots
		if p := recover(); p != nil {
			err = fmt.Errorf("fetch panicked: %v", p)
		}
	}()
	if err := ctx.Err(); err != nil {
		return f, err
	}
	return a.fetch(ctx, target, depth)
}

// afford takes n bytes from what may still be shown.
func (a *assembly) afford(n int) bool {
	if a.bytes.Add(int64(n)) > a.limits.Bytes {
		a.bytes.Add(-int64(n))
		return false
	}
	return true
}
