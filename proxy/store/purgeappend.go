package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Purge is a purge with all that is known of it.
type Purge struct {
	Selectors []Selector
	// Wait is as in [PurgeLog].
	Wait time.Duration
	// By and From say who asked and from where, for the audit: cut to a
	// kilobyte together, and sealed.
	By, From string
}

// Append implements [PurgeLog].
func (l *Log) Append(ctx context.Context, selectors []Selector, wait time.Duration) (Receipt, error) {
	return l.Purge(ctx, Purge{Selectors: selectors, Wait: wait})
}

// Purge adds p to the log, as Append does. Where Redis does not take it the
// error is ErrUnavailable, and the purge holds on this edge at once and on the
// others when Redis is back. Selectors that say nothing, or too much, are an
// ErrSelector.
func (l *Log) Purge(ctx context.Context, p Purge) (Receipt, error) {
	selectors, err := encodeSelectors(p.Selectors)
	if err != nil {
		return Receipt{}, err
	}
	if p.Wait > 0 {
		// Who hears no messages yet cannot tell who has heard of the purge.
		select {
		case <-l.begun:
		case <-ctx.Done():
		}
	}
	a, err := l.append(ctx, selectors, &p)
	if err == nil {
		began := l.now()
		if err = l.applyOwn(ctx, a.Position); err == nil {
			l.members.replace(a.edges, a.now, a.run)
			receipt := Receipt{ID: a.ID(), At: time.UnixMilli(a.now)}
			receipt = l.gather(ctx, receipt, a, began, p.Wait)
			receipt.Complete = receipt.Complete && !a.alone
			return receipt, nil
		}
	}
	l.keep(p.Selectors)
	return Receipt{At: l.now(), Edges: []Ack{{Edge: l.edge, Applied: true}}}, err
}

// keep has selectors hold here until Redis takes them.
func (l *Log) keep(selectors []Selector) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsent = append(slices.Clip(l.unsent), selectors...)
	if _, err := encodeSelectors(l.unsent); err != nil {
		l.unsent = []Selector{{All: true}} // too much for one record
	}
	l.resetUnsent()
}

// resetUnsent is called with mu held.
func (l *Log) resetUnsent() {
	if h := l.head.Load(); h != nil {
		next := *h
		next.unsent = unsentIndex(l.unsent)
		l.head.Store(&next)
	}
}

// send appends what Redis has not taken before.
func (l *Log) send(ctx context.Context) error {
	l.mu.RLock()
	unsent := l.unsent
	l.mu.RUnlock()
	if len(unsent) == 0 {
		return nil
	}
	selectors, err := encodeSelectors(unsent)
	if err != nil {
		return err
	}
	a, err := l.append(ctx, selectors, &Purge{})
	if err == nil {
		err = l.applyOwn(ctx, a.Position)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// More may have come meanwhile, behind these; or all has taken their place.
	if len(l.unsent) >= len(unsent) && slices.Equal(l.unsent[:len(unsent)], unsent) {
		l.unsent = slices.Clone(l.unsent[len(unsent):])
	}
	l.resetUnsent()
	return nil
}

// appended is what Redis says of a new record.
type appended struct {
	Position
	now   int64 // Redis's clock in ms
	edges map[string]member
	age   int64  // of that list, in ms
	run   string // the server's run_id
	alone bool   // no replica has it, and there should be one
	// hearers is how many edges at least were there to hear of it; it counts
	// until sure, by this edge's clock, for the hash may lack some so long.
	hearers int
	sure    time.Time
}

// How long an append waits for one replica to have it, where there is one: a
// record that only a dying master has is lost with it, and a master that its
// replicas have left may have been replaced, together with the edges that it
// does not see. Without a replica's word no purge is complete, until there has
// been none for so long that there is none to be expected.
const (
	replicaWait   = 50 * time.Millisecond
	replicaMissed = time.Minute
)

// haveReplicas notes how many replicas the log's node has.
func (l *Log) haveReplicas(n int64) {
	if n > 0 {
		l.replicas.Store(l.now().UnixNano())
	}
}

func (l *Log) expectReplica() bool {
	seen := l.replicas.Load()
	return seen != 0 && l.now().UnixNano()-seen < int64(replicaMissed)
}

func (l *Log) append(ctx context.Context, selectors string, p *Purge) (a appended, err error) {
	word := newWord()
	audit := l.sealAudit(p, word)
	listening, sent := l.bus.up.Load(), l.now()
	epoch, epochWord := newEpoch()
	waited := ""
	if p.Wait > 0 {
		waited = "1"
	}
	args := []any{epoch, epochWord, word, selectors, l.edge, audit, waited, l.bound, newWord(), l.newsChannel}
	err = l.breaker.write(ctx, l.stream, func(ctx context.Context) error {
		wait := replicaWait
		if p.Wait > 0 {
			wait = max(wait, l.timeout/2)
		}
		reply, alone, err := l.evalAndWait(ctx, args, wait)
		if err != nil {
			return l.mend(ctx, err)
		}
		a, err = readAppended(reply)
		a.alone = alone
		// Within a lag limit an edge that lives has been heard of, or is lost.
		a.sure = sent.Add(l.lagLimit - time.Duration(a.age)*time.Millisecond)
		if !listening {
			a.hearers = math.MaxInt // this edge among them, or not
		}
		return err
	})
	if err != nil && classify(err) == aboutKey {
		err = ErrUnavailable // a foreign value stood there; it is gone now
	}
	return a, err
}

// evalAndWait runs the script, and WAIT on the same connection where the
// log's node should have replicas; alone says that none has the record.
func (l *Log) evalAndWait(ctx context.Context, args []any, wait time.Duration) (reply []any, alone bool, err error) {
	keys := []string{l.stream, l.edges}
	if l.expectReplica() {
		if node := l.node(ctx); node != nil {
			pipe := node.Pipeline()
			eval := pipe.Eval(ctx, appendScript, keys, args...)
			have := pipe.Do(ctx, "WAIT", 1, wait.Milliseconds())
			_, _ = pipe.Exec(ctx)
			reply, err := eval.Slice()
			if err == nil || !redirected(err) {
				n, _ := have.Int()
				return reply, n == 0, err
			}
		}
	}
	reply, err = l.client.Eval(ctx, appendScript, keys, args...).Slice()
	return reply, l.expectReplica(), err
}

// node is the client of the node that holds the log.
func (l *Log) node(ctx context.Context) *redis.Client {
	switch c := l.client.(type) {
	case *redis.Client:
		return c
	case *redis.ClusterClient:
		node, err := c.MasterForKey(ctx, l.stream)
		if err == nil {
			return node
		}
	}
	return nil
}

func redirected(err error) bool {
	return strings.HasPrefix(err.Error(), "MOVED ") || strings.HasPrefix(err.Error(), "ASK ") ||
		strings.HasPrefix(err.Error(), "TRYAGAIN ")
}

func readAppended(reply []any) (a appended, err error) {
	if len(reply) != 6 {
		return a, errCorrupt
	}
	var errs [4]error
	text := func(i int) string { s, _ := reply[i].(string); return s }
	a.Number, errs[0] = strconv.ParseUint(text(0), 10, 64)
	a.Epoch, errs[1] = strconv.ParseUint(text(1), 10, 64)
	a.now, errs[2] = strconv.ParseInt(text(2), 10, 64)
	a.edges, a.run = readEdges(reply[3]), text(4)
	a.hearers, errs[3] = strconv.Atoi(text(5))
	a.age = max(0, a.now-since(reply[3]))
	return a, errors.Join(errs[:]...)
}

// applyOwn brings this edge to where its own record is applied.
func (l *Log) applyOwn(ctx context.Context, at Position) error {
	if err := l.catchUp(ctx); err != nil {
		return ErrUnavailable
	}
	if l.owed.Swap(false) {
		// The follower will find these records applied and see no reason to
		// tell the edges that wait for them. A failure here costs them the
		// time to its next heartbeat.
		_, _ = l.pulse(ctx, true)
	}
	if h := l.head.Load(); !reached(Position{h.epoch, h.number}, at, h.epoch) {
		return ErrUnavailable // Redis has lost it again: a failover in between
	}
	return nil
}

// reached reports whether an edge that is at p has applied the record at. In
// the newest epoch, where that is not at's, all that at concerns is dead.
func reached(p, at Position, newest uint64) bool {
	if p.Epoch == at.Epoch {
		return p.Number >= at.Number
	}
	return newest != at.Epoch && p.Epoch == newest
}

// gather waits until every edge that lives has applied the record a, or for
// wait. With no wait it says how things stand.
func (l *Log) gather(ctx context.Context, r Receipt, a appended, began time.Time, wait time.Duration) Receipt {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	acks := map[string]Ack{l.edge: {Edge: l.edge, Applied: true}}
	for {
		live, _, run, changed := l.members.snapshot(l.lagLimit)
		known := len(live)
		if _, ok := live[l.edge]; !ok {
			known++
		}
		r.Complete = run == a.run && (known >= a.hearers || l.now().After(a.sure))
		for name, m := range live {
			ack := acks[name]
			if ack.Applied {
				continue
			}
			ack = Ack{Edge: name, Applied: run == a.run && reached(m.Position, a.Position, l.Position().Epoch)}
			if ack.Applied {
				ack.After = l.now().Sub(began)
			}
			acks[name] = ack
			r.Complete = r.Complete && ack.Applied
		}
		// An edge that has left, or has not been heard of for so long that
		// it serves nothing stored, is waited for no more.
		for name, ack := range acks {
			if _, alive := live[name]; !alive && !ack.Applied {
				delete(acks, name)
			}
		}
		if !r.Complete && wait > 0 {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
			}
		}
		break
	}
	for _, ack := range acks {
		r.Edges = append(r.Edges, ack)
	}
	slices.SortFunc(r.Edges, func(a, b Ack) int { return strings.Compare(a.Edge, b.Edge) })
	return r
}

// sealAudit gives the record's audit text, sealed and bound to its word; ""
// where there is nothing to say or no secret.
func (l *Log) sealAudit(p *Purge, word string) string {
	if p.By == "" && p.From == "" {
		return ""
	}
	by, from := p.By, p.From
	by = by[:min(len(by), maxAuditText/2)]
	from = from[:min(len(from), maxAuditText/2)]
	plain := appendString(appendString(nil, by), from)
	box, err := l.ring.Load().seal(nil, plain, "audit", []byte(word))
	if err != nil {
		return ""
	}
	return string(box)
}

// Audited is one purge of the audit log.
type Audited struct {
	Record
	// By and From are empty where the purge said nothing, or no secret in
	// force opens it.
	By, From string
}

// Audit lists the newest purges, at most n, newest first.
func (l *Log) Audit(ctx context.Context, n int) ([]Audited, error) {
	var list []Audited
	end := "+"
	for len(list) < n {
		var page []redis.XMessage
		err := l.breaker.do(ctx, l.stream, func(ctx context.Context) (err error) {
			page, err = l.client.XRevRangeN(ctx, l.stream, end, "-", pageSize).Result()
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read audit: %w", err)
		}
		for _, m := range page {
			if m.ID == end {
				continue
			}
			end = m.ID
			rec, err := readRecord(m)
			if err != nil || m.Values["k"] != "purge" || len(list) >= n {
				continue
			}
			list = append(list, l.audited(rec))
		}
		if len(page) < pageSize {
			break
		}
	}
	return list, nil
}

func (l *Log) audited(rec Record) Audited {
	a := Audited{Record: rec}
	if rec.audit == "" {
		return a
	}
	plain, err := l.ring.Load().open([]byte(rec.audit), "audit", []byte(rec.word))
	if err != nil {
		return a
	}
	r := &reader{text: string(plain)}
	a.By, a.From = r.string(), r.string()
	return a
}
