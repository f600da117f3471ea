package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// checkFor is how long each checker runs: the environment's CHECKER, or a few
// seconds.
func checkFor(t testing.TB) time.Duration {
	text := os.Getenv("CHECKER")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CHECKER: %v", err)
	}
	return d
}

// checker reads, writes and purges while trouble makes trouble. What it checks
// holds whatever happens to edges and Redis, as long as the app is there: no
// visitor sees a version of a page that is older than one which an acknowledged
// purge has announced before the visitor asked; nobody sees another's page; no
// public page is a 5xx.
type checker struct {
	t     *testing.T
	app   *pages
	posts []*post
	// floor is the version of each page that every answer must have reached.
	floor []atomic.Int64
	// mine is the same for what is one user's alone.
	mine  [][]atomic.Int64
	users []string
	// asleep is the edge that stands still, nil for none: who does not mean it
	// asks another and is not held up.
	asleep atomic.Pointer[post]

	stop                        chan struct{}
	reads, hits, purges, failed atomic.Int64
	faults                      atomic.Int64
}

func newChecker(t *testing.T, pages int, redisURL string, env ...string) *checker {
	c := &checker{
		t: t, app: startPages(t, pages), floor: make([]atomic.Int64, pages),
		users: []string{"ana", "luis", "eva"}, stop: make(chan struct{}),
	}
	for range c.users {
		c.mine = append(c.mine, make([]atomic.Int64, pages))
	}
	env = append([]string{"REDIS_TIMEOUT=200ms"}, env...)
	for range 3 {
		c.posts = append(c.posts, startPost(t, c.app.URL, redisURL, fleetRoutes, env...))
	}
	return c
}

func (c *checker) fault(format string, args ...any) {
	if c.faults.Add(1) > 20 {
		return
	}
	c.t.Errorf(format, args...)
	if c.faults.Load() == 1 { // what each edge knows at the first
		for i, p := range c.posts {
			_, edges, _ := p.now().ask("GET", "/v1/edges", "")
			c.t.Logf("%v edge %d at %s:\n%s\n%s", time.Now().UTC(), i, p.now().URL, edges, p.now().logs)
		}
	}
}

// until runs work again and again until the end.
func (c *checker) until(work func()) {
	for {
		select {
		case <-c.stop:
			return
		default:
			work()
		}
	}
}

// run checks for d at least while trouble, called again and again, does its worst.
func (c *checker) run(d time.Duration, trouble func(*rand.Rand)) {
	var all sync.WaitGroup
	c.app.dwell = c.dwell
	for i := range 8 {
		all.Go(func() { c.read(rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	for i := range len(c.users) {
		all.Go(func() { c.readMine(i, rand.New(rand.NewPCG(2, uint64(i)))) })
	}
	for i := range writers {
		all.Go(func() { c.write(i, rand.New(rand.NewPCG(3, uint64(i)))) })
	}
	all.Go(func() {
		random := rand.New(rand.NewPCG(4, uint64(time.Now().UnixNano())))
		c.until(func() { trouble(random) })
	})
	defer func() {
		close(c.stop)
		all.Wait()
		c.t.Logf("%d reads, %d of them hits; %d purges acknowledged, %d not; %d requests at the app",
			c.reads.Load(), c.hits.Load(), c.purges.Load(), c.failed.Load(), c.app.Asked.Load())
	}()
	timer := time.NewTimer(d)
	<-timer.C
	// One failover can take all of a short d: a run goes on until it has
	// checked something.
	within(c.t, "a hit and an acknowledged purge, without which this checks nothing", func() bool {
		return c.hits.Load() > 0 && c.purges.Load() > 0
	})
}

// dwell has the app take its time now and then over a page that it has read,
// so that purges come while it is fetched.
func (c *checker) dwell() {
	if random := rand.New(rand.NewPCG(5, rand.Uint64())); random.IntN(10) == 0 {
		c.rest(random, 100*time.Millisecond)
	}
}

// awake is a random edge that does not stand still.
func (c *checker) awake(random *rand.Rand) (i int, p *post) {
	for p == nil || p == c.asleep.Load() {
		i = random.IntN(len(c.posts))
		p = c.posts[i]
	}
	return i, p
}

// ask makes one request of an edge; ok is false where the edge ended
// meanwhile, and nothing can be said.
func (c *checker) ask(p *post, v *client, path string) (a answer, ok bool) {
	life := p.life.Load()
	v.base = p.now().URL
	a, err := v.do("GET", path, "")
	if life%2 == 0 || p.life.Load() != life {
		return a, false
	}
	if err != nil {
		c.fault("GET %s: %v", path, err)
		return a, false
	}
	return a, true
}

func (c *checker) visitors() []*client {
	var list []*client
	for _, p := range c.posts {
		list = append(list, p.now().visitor())
	}
	return list
}

func (c *checker) read(random *rand.Rand) {
	visitors := c.visitors()
	c.until(func() {
		i, p := c.awake(random)
		c.readOne(random, p, visitors[i])
	})
}

func (c *checker) readOne(random *rand.Rand, p *post, v *client) {
	n := random.IntN(len(c.floor))
	least := c.floor[n].Load()
	a, ok := c.ask(p, v, fmt.Sprint("/p/", n))
	if !ok {
		return
	}
	c.reads.Add(1)
	if a.Hit() {
		c.hits.Add(1)
	}
	c.check(a, shown{"p", n, least, "nobody"})
}

// check compares an answer with what it may be.
func (c *checker) check(a answer, want shown) {
	if a.StatusCode != http.StatusOK {
		c.fault("page %d: status %d, %s", want.page, a.StatusCode, a.Umbral())
		return
	}
	got, err := readPage(a.Body)
	switch {
	case err != nil:
		c.fault("page %d: %v in %.80q", want.page, err, a.Body)
	case got.kind != want.kind || got.page != want.page || got.user != want.user:
		c.fault("asked for %+v and got %+v: %s", want, got, a.Umbral())
	case got.version < want.version:
		c.fault("page %d: version %d after a purge announced %d: %s %s from %s", want.page, got.version, want.version, a.Umbral(), a.Header["Age"], a.Request.URL)
	}
}

// readMine reads as one user, signed in on one edge at a time. That Redis is
// not there may cost a 503, and that it was flushed the session.
func (c *checker) readMine(who int, random *rand.Rand) {
	user := c.users[who]
	var v *client
	c.until(func() {
		_, p := c.awake(random)
		n := random.IntN(len(c.floor))
		if v == nil {
			v = p.now().browser()
			if a, ok := c.ask(p, v, "/in/"+user); !ok || a.StatusCode != 200 {
				v = nil
				return
			}
		}
		least := max(c.floor[n].Load(), c.mine[who][n].Load())
		a, ok := c.ask(p, v, fmt.Sprint("/mine/", n))
		if !ok || a.StatusCode == http.StatusServiceUnavailable {
			return
		}
		c.reads.Add(1)
		if got, err := readPage(a.Body); err == nil && got.user == "nobody" {
			v = nil // signed out by a lost session
			return
		}
		c.check(a, shown{"mine", n, least, user})
	})
}

// writers work side by side, for a purge takes as long as the slowest edge. Each
// has its own share of the pages.
const writers = 6

// write changes pages at the app, purges them in one of the ways that there
// are, and notes what every later answer must show if the purge is
// acknowledged by all.
func (c *checker) write(share int, random *rand.Rand) {
	c.until(func() {
		n := writers*random.IntN(len(c.floor)/writers) + share
		pages, what := []int{n}, map[string]any{"wait": "3s", "soft": random.IntN(3) == 0}
		c.rest(random, 200*time.Millisecond)
		switch random.IntN(20) {
		case 0, 1, 2:
			what["prefixes"] = []string{fmt.Sprint("/p/", n), fmt.Sprint("/mine/", n)}
		case 3, 4, 5:
			what["urls"] = []string{fmt.Sprint("/p/", n), fmt.Sprint("/mine/", n)}
		case 6:
			pages = c.share(share)
			what["tags"] = []string{"pages"}
		case 7:
			pages = c.share(share)
			what["all"] = true
		case 8, 9:
			c.writeMine(share, random)
			return
		default:
			what["tags"] = []string{fmt.Sprint("page:", n)}
		}
		versions := make([]int64, len(pages))
		for i, n := range pages {
			versions[i] = c.app.versions[n].Add(1)
		}
		body, _ := json.Marshal(what)
		_, p := c.awake(random)
		code, answer, err := p.now().ask("POST", "/v1/purge", string(body))
		var got receipt
		if err != nil || code != http.StatusOK || json.Unmarshal(answer, &got) != nil || !got.Complete {
			c.failed.Add(1)
			return
		}
		c.purges.Add(1)
		for i, n := range pages {
			c.floor[n].Store(versions[i])
		}
	})
}

// writeMine changes pages and purges what one user has of them.
func (c *checker) writeMine(share int, random *rand.Rand) {
	who := random.IntN(len(c.users))
	pages := c.share(share)
	versions := make([]int64, len(pages))
	for i, n := range pages {
		versions[i] = c.app.versions[n].Add(1)
	}
	body, _ := json.Marshal(map[string]any{"users": []string{c.users[who]}, "wait": "3s"})
	_, p := c.awake(random)
	code, answer, err := p.now().ask("POST", "/v1/purge", string(body))
	var got receipt
	if err != nil || code != http.StatusOK || json.Unmarshal(answer, &got) != nil || !got.Complete {
		c.failed.Add(1)
		return
	}
	c.purges.Add(1)
	for i, n := range pages {
		c.mine[who][n].Store(versions[i])
	}
}

func (c *checker) share(share int) (list []int) {
	for n := share; n < len(c.floor); n += writers {
		list = append(list, n)
	}
	return list
}

// edges has one edge crash and start again, or stand still for a while.
func (c *checker) edges(random *rand.Rand) {
	if random.IntN(2) == 0 {
		c.sleep(random, func() {})
		return
	}
	p := c.posts[random.IntN(len(c.posts))]
	p.crash()
	c.rest(random, 200*time.Millisecond)
	p.start()
}

// sleep has one edge stand still while something happens. Those who ask it
// just before it goes on, over connections that it has, know of purges that it
// has not heard of.
func (c *checker) sleep(random *rand.Rand, happens func()) {
	p := c.posts[random.IntN(len(c.posts))]
	var crowd []*client
	for range 16 {
		v := p.now().visitor()
		c.readOne(random, p, v)
		crowd = append(crowd, v)
	}
	c.asleep.Store(p)
	p.signal(syscall.SIGSTOP)
	happens()
	c.rest(random, 4*time.Second) // the lag limit is 2 s
	var early sync.WaitGroup
	for _, v := range crowd {
		early.Go(func() { c.readOne(rand.New(rand.NewPCG(6, rand.Uint64())), p, v) })
	}
	c.rest(random, 100*time.Millisecond)
	p.signal(syscall.SIGCONT)
	c.asleep.Store(nil)
	early.Wait()
}

// rest lets time pass, up to most.
func (c *checker) rest(random *rand.Rand, most time.Duration) {
	timer := time.NewTimer(time.Duration(random.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.stop:
	}
}

func TestCheckerSingle(t *testing.T) {
	redis := storetest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "everysec")
	c := newChecker(t, 60, redisURL(redis))
	c.run(checkFor(t), func(random *rand.Rand) {
		c.rest(random, 300*time.Millisecond)
		switch random.IntN(8) {
		case 0:
			redis.Pause()
			c.rest(random, 3*time.Second)
			redis.Resume()
		case 1:
			redis.Kill()
			c.rest(random, time.Second)
			redis.Restart()
		case 2:
			redis.Do("FLUSHALL")
		case 3:
			redis.Do("DEL", "certificados:edge:{log}:purges")
		case 4:
			c.sleep(random, func() { redis.Do("FLUSHALL") })
		default:
			c.edges(random)
		}
	})
}

func TestCheckerSentinel(t *testing.T) {
	s := storetest.StartSentinel(t)
	c := newChecker(t, 60, s.URL, "REDIS_MODE=sentinel")
	c.run(checkFor(t), func(random *rand.Rand) {
		c.rest(random, 500*time.Millisecond)
		master := s.Master()
		switch {
		case random.IntN(3) > 0 || master == nil:
			c.edges(random)
		case random.IntN(3) == 0:
			master.Pause()
			c.rest(random, 5*time.Second)
			master.Resume()
		default:
			// A replica stands still and misses what the master takes last.
			var lagging *storetest.Redis
			for _, n := range s.Nodes {
				if n != master && random.IntN(2) == 0 {
					lagging = n
				}
			}
			if lagging != nil {
				lagging.Pause()
				c.rest(random, 500*time.Millisecond)
			}
			master.Kill()
			if lagging != nil {
				lagging.Resume()
			}
			within(t, "another master", func() bool { m := s.Master(); return m != nil && m != master })
			c.rest(random, time.Second)
			master.Restart()
			s.Nodes[0].Eventually("all to be replicas of one master again", func() bool { return s.Whole() })
		}
	})
}

func TestCheckerCluster(t *testing.T) {
	cluster := storetest.StartCluster(t)
	log := cluster.Slot("{log}")
	c := newChecker(t, 60, cluster.URL, "REDIS_MODE=cluster")
	c.run(checkFor(t), func(random *rand.Rand) {
		c.rest(random, 500*time.Millisecond)
		switch random.IntN(4) {
		case 0:
			c.edges(random)
		case 1:
			n := cluster.Nodes[random.IntN(len(cluster.Nodes))]
			n.Kill()
			within(t, "the cluster to serve every slot", func() bool { return cluster.Whole() })
			c.rest(random, time.Second)
			n.Restart()
			within(t, "the node to be back", func() bool { return cluster.Whole() && cluster.Replicated() })
		default:
			slots := []int{log}
			for range 50 {
				slots = append(slots, random.IntN(16384))
			}
			cluster.Move(random.IntN(3), slots...)
		}
	})
}
