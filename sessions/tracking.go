package sessions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// Redis pushes the names of changed keys (CLIENT TRACKING ON BCAST) over a
// connection of its own to each master. A push must be acted on as it comes,
// not at the next command, which is why the connection is read here and not
// by the client's pool.
const (
	pingEvery   = 250 * time.Millisecond
	pingTimeout = 700 * time.Millisecond
	retryEvery  = 250 * time.Millisecond
	masterEvery = time.Second
)

// follow keeps a tracking connection to each master, and local records only
// while all of them are heard. While one is not, it looks whether Redis
// answers at all, and reads the marks by itself.
func (t *Terminator) follow(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		err := t.trackAll(ctx)
		t.deaf()
		if ctx.Err() != nil {
			return
		}
		if msg := err.Error(); msg != said { // once for each state
			said = msg
			t.opt().Logger.Warn("session records are not cached: Redis's tracking pushes cannot be heard", zap.Error(err))
		}
		t.probe(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryEvery):
		}
	}
}

// deaf says that pushes are heard no more. Redis counts as silent until it has
// answered something, so that nobody need find that out by waiting.
func (t *Terminator) deaf() {
	if t.link.tracking.Load() {
		t.link.lost.Store(t.opt().Now().UnixMilli())
		t.link.silences.CompareAndSwap(0, 1)
		t.link.tracking.Store(false)
	}
}

// probe looks for Redis while there is no tracking.
func (t *Terminator) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := t.loadMarks(ctx)
	t.heard(ctx, err)
	if err == nil {
		t.watch.pushAll()
	}
}

// masters are the options of each Redis that holds sessions.
func (t *Terminator) masters(ctx context.Context) (map[string]*redis.Options, error) {
	out := make(map[string]*redis.Options)
	switch c := t.opt().Client.(type) {
	case *redis.Client:
		out[c.Options().Addr] = c.Options()
	case *redis.ClusterClient:
		var mu sync.Mutex
		err := c.ForEachMaster(ctx, func(_ context.Context, n *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			out[n.Options().Addr] = n.Options()
			return nil
		})
		if err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("a client of type %T has no masters to track", c)
	}
	if len(out) == 0 {
		return nil, errors.New("no master")
	}
	return out, nil
}

// trackAll returns, with the reason, when one of the masters is not heard any
// more, or when they are others.
func (t *Terminator) trackAll(ctx context.Context) error {
	if t.opt().Alone {
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer func() {
		cancel(nil) // first: a connection that is fine would be listened to for ever
		running.Wait()
	}()
	masters, err := t.masters(ctx)
	if err != nil {
		return err
	}
	ready := make(chan struct{}, len(masters))
	for _, o := range masters {
		running.Add(1)
		go func() {
			defer running.Done()
			cancel(t.track(ctx, o, ready))
		}()
	}
	for range masters {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ready:
		}
	}
	// What was kept before is from a time without pushes.
	t.local.clear()
	if err := t.loadMarks(ctx); err != nil {
		return err
	}
	t.link.silences.Store(0)
	t.link.tracking.Store(true)
	t.watch.pushAll()
	defer t.deaf()
	return t.sameMasters(ctx, masters)
}

// sameMasters returns when the masters of a cluster are others than these.
func (t *Terminator) sameMasters(ctx context.Context, masters map[string]*redis.Options) error {
	defer context.AfterFunc(ctx, t.deaf)()
	tick := time.NewTicker(masterEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if _, single := t.opt().Client.(*redis.Client); single {
			continue
		}
		now, err := t.masters(ctx)
		if err != nil || len(now) != len(masters) {
			return errors.New("the cluster's masters changed")
		}
		for addr := range now {
			if masters[addr] == nil {
				return errors.New("the cluster's masters changed")
			}
		}
	}
}

// track follows the pushes of one master until it is not heard any more.
func (t *Terminator) track(ctx context.Context, o *redis.Options, ready chan<- struct{}) error {
	dial, cancel := context.WithTimeout(ctx, min(max(o.DialTimeout, pingTimeout), 5*time.Second))
	defer cancel()
	nc, err := o.Dialer(dial, o.Network, o.Addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	c := newResp(nc)
	_ = nc.SetDeadline(time.Now().Add(max(o.ReadTimeout, pingTimeout)))
	if err := hello(dial, c, o); err != nil {
		return err
	}
	if _, err := c.do("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", t.prefix+"s:", "PREFIX", t.prefix+"nb:"); err != nil {
		return fmt.Errorf("client tracking: %w", err)
	}
	ready <- struct{}{}
	return t.listen(ctx, nc, c)
}

// hello speaks RESP3 and signs in as the client does.
func hello(ctx context.Context, c *resp, o *redis.Options) error {
	user, password := o.Username, o.Password
	var err error
	switch {
	case o.CredentialsProviderContext != nil:
		user, password, err = o.CredentialsProviderContext(ctx)
	case o.CredentialsProvider != nil:
		user, password = o.CredentialsProvider()
	}
	if err != nil {
		return err
	}
	args := []string{"HELLO", "3"}
	if password != "" {
		if user == "" {
			user = "default"
		}
		args = append(args, "AUTH", user, password)
	}
	if _, err := c.do(args...); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	return nil
}

// listen acts on pushes, and asks for a sign of life four times a second.
func (t *Terminator) listen(ctx context.Context, nc net.Conn, c *resp) error {
	var alive atomic.Int64
	alive.Store(time.Now().UnixNano())
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(pingEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if time.Since(time.Unix(0, alive.Load())) > pingTimeout || c.send("PING") != nil {
				nc.Close()
				return
			}
		}
	}()
	for {
		_ = nc.SetDeadline(time.Now().Add(pingEvery + pingTimeout))
		v, err := c.read()
		if err != nil {
			return fmt.Errorf("tracking: %w", err)
		}
		alive.Store(time.Now().UnixNano())
		if push, ok := v.([]any); ok && len(push) == 2 && push[0] == "invalidate" {
			t.invalidate(push[1])
		}
	}
}

// invalidate drops what Redis says has changed; nil is everything (FLUSHALL).
func (t *Terminator) invalidate(names any) {
	list, ok := names.([]any)
	if !ok {
		t.local.clear()
		t.watch.pushAll()
		return
	}
	for _, n := range list {
		name, _ := n.(string)
		rest, _ := strings.CutPrefix(name, t.prefix)
		if session, ok := strings.CutPrefix(rest, "s:"); ok {
			if i, ok := parseID(session); ok {
				t.local.drop(i)
				t.watch.push(i)
			}
			continue
		}
		if rest == "nb:marks" {
			// Not on this connection, whose pushes would wait for it.
			t.spawn(t.probe)
		}
	}
}
