package store

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// bus is the edge's one subscription, to the few channels that edges wake
// each other by. Messages may be lost whenever the connection is: whoever
// waits for one has another way to notice, and is woken when a connection
// begins.
type bus struct {
	client   redis.UniversalClient
	handlers map[string]func(payload string)
	// onConnect is called when messages begin to arrive, after any time in
	// which they were lost.
	onConnect []func()

	up     atomic.Bool   // messages arrive
	first  chan struct{} // closed when they do for the first time
	once   sync.Once
	cancel context.CancelFunc
	done   sync.WaitGroup
}

const (
	busSilence = 2 * time.Second // before the connection is asked whether it lives
	busRetry   = 100 * time.Millisecond
)

func newBus(o *Options) *bus {
	return &bus{client: o.LogClient, handlers: make(map[string]func(string)), first: make(chan struct{}), cancel: func() {}}
}

// on has handle called for every message of channel, one at a time. It is
// called before start.
func (b *bus) on(channel string, handle func(payload string)) { b.handlers[channel] = handle }

func (b *bus) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.done.Go(func() {
		for ctx.Err() == nil {
			b.listen(ctx)
			pause(ctx, busRetry)
		}
	})
}

// listen subscribes and hands on messages until the connection fails.
func (b *bus) listen(ctx context.Context) {
	channels := make([]string, 0, len(b.handlers))
	for name := range b.handlers {
		channels = append(channels, name)
	}
	sub := b.client.Subscribe(ctx, channels...)
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		b.up.Store(false)
		if stop() {
			_ = sub.Close()
		}
	}()
	confirmed, asked := 0, false
	for {
		message, err := sub.ReceiveTimeout(ctx, busSilence)
		if err != nil {
			// One silence asks for a sign of life, the next is death.
			timeout, ok := err.(net.Error)
			if !ok || !timeout.Timeout() || asked || sub.Ping(ctx) != nil {
				return
			}
			asked = true
			continue
		}
		asked = false
		switch m := message.(type) {
		case *redis.Subscription:
			if confirmed++; confirmed == len(channels) {
				b.up.Store(true)
				b.once.Do(func() { close(b.first) })
				for _, f := range b.onConnect {
					f()
				}
			}
		case *redis.Message:
			if handle := b.handlers[m.Channel]; handle != nil {
				handle(m.Payload)
			}
		}
	}
}

// close ends the subscription and returns when it has ended, or with ctx: one
// that is being made ends on its own, but not before Redis's time is over.
func (b *bus) close(ctx context.Context) {
	b.cancel()
	ended := make(chan struct{})
	go func() {
		b.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
