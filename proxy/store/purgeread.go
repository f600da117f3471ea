package store

import (
	"context"
	"fmt"
)

// pageSize is how many records are read at once.
const pageSize = 512

// catchUp applies what is new in the stream.
func (l *Log) catchUp(ctx context.Context) error {
	l.readMu.Lock()
	defer l.readMu.Unlock()
	for {
		h := l.head.Load()
		if h == nil {
			return l.reload(ctx)
		}
		records, more, err := l.page(ctx, id(h.number))
		if err != nil {
			return err
		}
		if len(records) == 0 || !records[0].is(h) {
			return l.diverged(ctx, h)
		}
		l.apply(records[1:])
		if !more {
			return nil
		}
	}
}

// is reports whether r is the record that h stands at.
func (r *Record) is(h *head) bool {
	return r.Position == Position{h.epoch, h.number} && r.word == h.word
}

// page reads records from an id on, that one included.
func (l *Log) page(ctx context.Context, from string) (records []Record, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	messages, err := l.client.XRangeN(ctx, l.stream, from, "+", pageSize).Result()
	if err != nil {
		return nil, false, l.mend(ctx, err)
	}
	records = make([]Record, len(messages))
	for i, m := range messages {
		if records[i], err = readRecord(m); err != nil {
			// Somebody else wrote into the stream. It begins anew.
			_ = l.client.Unlink(ctx, l.stream).Err()
			return nil, false, err
		}
	}
	return records, len(messages) == pageSize, nil
}

// mend removes a foreign value under the log's keys.
func (l *Log) mend(ctx context.Context, err error) error {
	if classify(err) == aboutKey {
		_ = l.client.Unlink(ctx, l.stream).Err()
		_ = l.client.Unlink(ctx, l.edges).Err()
	}
	return err
}

// apply makes records the newest, which follow on those applied. readMu is
// held.
func (l *Log) apply(records []Record) {
	if len(records) == 0 {
		return
	}
	owed := false
	l.mu.Lock()
	epoch := l.head.Load().epoch
	for i := range records {
		r := &records[i]
		if r.Position.Epoch != epoch {
			// Whatever was stored before is dead by its epoch.
			epoch, l.index = r.Position.Epoch, newPurgeIndex()
			l.stats.epochs.Add(1)
		}
		l.note(l.index, r)
		owed = owed || r.waited && r.Edge != l.edge
	}
	l.setHead(&records[len(records)-1])
	l.mu.Unlock()
	if owed {
		l.owed.Store(true)
	}
	l.stats.applied.Add(uint64(len(records)))
	if l.onApply != nil {
		for _, r := range records {
			l.onApply(r)
		}
	}
}

func (l *Log) note(index *purgeIndex, r *Record) {
	index.add(r.Selectors, r.Position.Number)
	// A record may name many things; four for each is more than any log of
	// use has. Rather all dead than memory without bound.
	if r.floor > 0 {
		index.floor(r.floor)
	} else if index.size() > 4*l.bound+maxSelectors {
		index.floor(r.Position.Number)
	}
}

// setHead is called with mu held.
func (l *Log) setHead(r *Record) {
	l.head.Store(&head{
		epoch: r.Position.Epoch, number: r.Position.Number, word: r.word, unsent: unsentIndex(l.unsent),
	})
}

func unsentIndex(unsent []Selector) *purgeIndex {
	if len(unsent) == 0 {
		return nil
	}
	index := newPurgeIndex()
	index.add(unsent, ^uint64(0))
	return index
}

// reload reads the whole stream anew. readMu is held.
func (l *Log) reload(ctx context.Context) error {
	index, from := newPurgeIndex(), "-"
	var last Record
	for {
		records, more, err := l.page(ctx, from)
		if err != nil {
			return err
		}
		if from != "-" {
			if len(records) == 0 || records[0].word != last.word {
				return fmt.Errorf("read purge log: %w", errCorrupt) // it changed meanwhile: again
			}
			records = records[1:]
		}
		for i := range records {
			r := &records[i]
			if r.Position.Epoch != last.Position.Epoch {
				index = newPurgeIndex()
			}
			l.note(index, r)
			last = *r
		}
		if !more {
			break
		}
		from = id(last.Position.Number)
	}
	if last.Position.Epoch == 0 {
		return fmt.Errorf("read purge log: %w", errCorrupt) // gone again
	}
	l.mu.Lock()
	before := l.head.Load()
	l.index = index
	l.setHead(&last)
	l.mu.Unlock()
	l.owed.Store(true)
	if before != nil && before.epoch != last.Position.Epoch {
		l.stats.epochs.Add(1)
		l.logger.Warn("the purge log began anew: everything stored before is dead")
		if l.onApply != nil {
			l.onApply(Record{Position: last.Position, At: last.At, Selectors: []Selector{{All: true}}, newEpoch: true})
		}
	}
	return nil
}

// diverged is for a stream that does not hold the newest record that this edge
// has applied: it is gone, or it is another, or Redis has lost records, or has
// trimmed beyond this edge while that was cut off. readMu is held.
func (l *Log) diverged(ctx context.Context, h *head) error {
	epoch, word := newEpoch()
	limited, cancel := context.WithTimeout(ctx, l.timeout)
	err := rebaseScript.Run(limited, l.client, []string{l.stream, l.edges},
		epoch, word, fmt.Sprint(h.epoch), fmt.Sprint(h.number), h.word).Err()
	if err != nil {
		err = l.mend(limited, err)
		cancel()
		return err
	}
	cancel()
	return l.reload(ctx)
}
