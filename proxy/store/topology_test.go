package store_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

func TestSentinelFailover(t *testing.T) {
	s := storetest.StartSentinel(t)
	a := store.Address{URL: s.URL, Mode: "sentinel"}
	list := threeEdges(t, a, nil)
	shared(t, "page", list[0], list[1], list[2])
	shared(t, "purged", list[0], list[1], list[2])
	storetest.Eventually(t, "a purge to be complete", func() bool {
		return purge(t, list[0], 5*time.Second, store.Selector{Tag: "purged"}).Complete
	})
	before := s.Master()
	before.Kill()
	if !has(list[0], "page") {
		t.Error("memory does not answer during the failover")
	}
	storetest.Eventually(t, "another master", func() bool { m := s.Master(); return m != nil && m != before })
	storetest.Eventually(t, "purges to be taken again by all", func() bool {
		r, err := list[1].Log().Append(bg, []store.Selector{{Tag: "another"}}, time.Second)
		return err == nil && r.Complete && len(r.Edges) == 3
	})
	for _, e := range list {
		if has(e, "purged") {
			t.Error("a purge is lost")
		}
	}
	storetest.Eventually(t, "writes to be taken again", func() bool {
		_ = list[2].Put(bg, storetest.Page(list[2].Log(), "new"))
		return has(list[0], "new")
	})
}

// A Sentinel answers nil where it knows no such master, and the client wraps
// that in its own error: it is no answer of Redis's, as a nil alone would be.
func TestSentinelThatKnowsNoSuchMaster(t *testing.T) {
	s := storetest.StartSentinel(t)
	e := startEdge(t, store.Address{URL: strings.Replace(s.URL, "=umbral", "=another", 1), Mode: "sentinel"}, nil)
	if _, err := e.Log().Append(bg, []store.Selector{{All: true}}, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a purge: %v", err)
	}
	if _, err := e.Log().Edges(bg); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the edges: %v", err)
	}
	if state := e.Stats().State; state != store.Down {
		t.Errorf("Redis is %s", state)
	}
}

// A record that its master alone has goes with it: while no replica has it no
// purge is complete, whatever the edges say. A master whose replicas have been
// gone for a minute is one that has none.
func TestPurgeThatNoReplicaHas(t *testing.T) {
	master := storetest.StartRedis(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master.Addr)
	replica := storetest.StartRedis(t, "--replicaof", host, port)
	storetest.Eventually(t, "the replica", func() bool {
		return strings.Contains(fmt.Sprint(master.Do("INFO", "replication")), "state=online")
	})
	storetest.AwaitReplicas(t, []*storetest.Redis{master})
	var later atomic.Int64
	e := startEdge(t, single(master), func(o *store.Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	<-e.Log().Ready()
	try := func() (applied, complete bool) {
		r := purge(t, e, time.Millisecond, store.Selector{Tag: "any"})
		return len(r.Edges) == 1 && r.Edges[0].Applied, r.Complete
	}
	whole := func() bool { _, complete := try(); return complete }
	storetest.Eventually(t, "a purge that the replica has", whole)
	replica.Pause()
	if applied, complete := try(); !applied || complete {
		t.Errorf("the replica is silent: applied %v, complete %v", applied, complete)
	}
	replica.Resume()
	storetest.Eventually(t, "another", whole)
	replica.Kill()
	storetest.Eventually(t, "the master to see that", func() bool {
		return strings.Contains(fmt.Sprint(master.Do("INFO", "replication")), "connected_slaves:0")
	})
	if applied, complete := try(); !applied || complete {
		t.Errorf("the replica has just gone: applied %v, complete %v", applied, complete)
	}
	later.Store(int64(time.Minute))
	storetest.Eventually(t, "no replica to be expected", whole)
}

func TestCluster(t *testing.T) {
	c := storetest.StartCluster(t)
	list := threeEdges(t, store.Address{URL: c.URL, Mode: "cluster"}, nil)
	const pages = 100 // over all slots
	for i := range pages {
		shared(t, fmt.Sprint("page", i), list[0], list[1], list[2])
	}
	receipt := purge(t, list[1], 10*time.Second, store.Selector{Tag: "all-of-them"})
	if !receipt.Complete || len(receipt.Edges) != 3 {
		t.Errorf("%+v", receipt)
	}
	for i := range pages {
		name := fmt.Sprint("page", i)
		for _, s := range list {
			if has(s, name) {
				t.Fatal("an old page after the receipt")
			}
		}
		lease, held, err := list[i%3].Leases().Acquire(bg, storetest.Key(name), time.Minute)
		if err != nil || !held || lease.Alone() {
			t.Fatalf("lease %s: %v %v", name, held, err)
		}
		lease.Release(true)
	}
	t.Run("a master dies", func(t *testing.T) {
		c.Nodes[0].Kill()
		storetest.Eventually(t, "every key to be served", func() bool {
			for i := range pages {
				if _, err := list[0].Lookup(bg, storetest.Key(fmt.Sprint("none", i))); err != nil {
					return false
				}
			}
			return true
		})
		storetest.Eventually(t, "purges to be taken by all", func() bool {
			r, err := list[2].Log().Append(bg, []store.Selector{{All: true}}, time.Second)
			return err == nil && r.Complete && len(r.Edges) == 3
		})
	})
}
