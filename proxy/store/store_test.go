package store_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

func TestMain(m *testing.M) {
	store.Silence()
	os.Exit(m.Run())
}

var secret = []byte("a secret that is 32 bytes long!!")

// edge is one edge's store.
type edge struct {
	*store.Tiered
	client redis.UniversalClient
}

func connect(t testing.TB, a store.Address) redis.UniversalClient {
	t.Helper()
	c, err := store.Connect(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// startEdge opens and starts a store; change may alter its options.
func startEdge(t testing.TB, a store.Address, change func(*store.Options)) *edge {
	t.Helper()
	o := store.Options{
		Client: connect(t, a), Prefix: "test", MemoryBytes: 16 << 20, Secrets: [][]byte{secret},
	}
	if change != nil {
		change(&o)
	}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	<-s.Log().Begun()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return &edge{s, o.Client}
}

func single(r *storetest.Redis) store.Address { return store.Address{URL: r.URL} }

// prefixes gives every call another prefix, so that stores on one Redis share
// nothing.
func prefixes(t testing.TB) func(*store.Options) {
	var n atomic.Int64
	return func(o *store.Options) { o.Prefix = fmt.Sprint(t.Name(), "-", n.Add(1)) }
}

func TestStores(t *testing.T) {
	r := storetest.StartRedis(t)
	own := prefixes(t)
	tiered := func(change func(*store.Options)) func(*testing.T) storetest.Subject {
		return func(t *testing.T) storetest.Subject {
			s := startEdge(t, single(r), func(o *store.Options) {
				own(o)
				change(o)
			})
			<-s.Log().Ready() // Start does not wait for a slow machine
			return storetest.Subject{Store: s, Log: s.Log()}
		}
	}
	t.Run("tiered", func(t *testing.T) { storetest.Run(t, tiered(func(*store.Options) {})) })
	t.Run("tiered without memory", func(t *testing.T) {
		storetest.Run(t, tiered(func(o *store.Options) { o.MemoryBytes = 0 }))
	})
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			log := startEdge(t, single(r), own).Log()
			<-log.Ready()
			m := store.NewMemory(16<<20, log, nil)
			t.Cleanup(m.Close)
			return storetest.Subject{Store: m, Log: log}
		})
	})
	t.Run("redis", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			log := startEdge(t, single(r), own).Log()
			<-log.Ready()
			o := store.Options{Client: connect(t, single(r)), Secrets: [][]byte{secret}}
			own(&o)
			s, err := store.NewRedis(o, log)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			return storetest.Subject{Store: s, Log: log}
		})
	})
	t.Run("embedded", func(t *testing.T) {
		emb, err := store.StartEmbedded(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(emb.Close)
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			s := startEdge(t, store.Address{URL: emb.URL()}, func(o *store.Options) {
				own(o)
				o.MemoryBytes = 0
			})
			<-s.Log().Ready()
			return storetest.Subject{Store: s, Log: s.Log()}
		})
	})
}
