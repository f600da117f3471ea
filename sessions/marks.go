package sessions

import (
	"context"
	"strconv"
)

// marks are the not-before marks in force, as this edge knows them: whoever
// signed in at or before the mark is out, whatever records there are. Times
// are milliseconds.
type marks struct {
	all   int64
	users map[string]int64 // by a user's key in Redis
}

const everybody = "*"

func (m *marks) hit(r *record) bool {
	since := r.meta.signedIn
	if since == 0 {
		since = r.meta.created
	}
	if since <= m.all {
		return true
	}
	if len(m.users) == 0 || r.userKey == "" {
		return false
	}
	mark, has := m.users[r.userKey]
	return has && since <= mark
}

// loadMarks reads all marks: there are as many as revocations in the last
// absolute lifetime.
func (t *Terminator) loadMarks(ctx context.Context) error {
	all, err := t.opt().Client.HGetAll(ctx, t.marksKey()).Result()
	if err != nil {
		return err
	}
	m := &marks{users: make(map[string]int64, len(all))}
	for who, when := range all {
		ms, err := strconv.ParseInt(when, 10, 64)
		if err != nil {
			continue
		}
		if who == everybody {
			m.all = ms
		} else {
			m.users[who] = ms
		}
	}
	// Marks that this edge set itself stay, were they not to be read yet.
	for {
		old := t.marks.Load()
		next := &marks{all: max(m.all, old.all), users: m.users}
		oldest := t.opt().Now().Add(-t.opt().Lifetime.Absolute).UnixMilli()
		for who, ms := range old.users {
			if ms > next.users[who] && ms > oldest {
				next.users[who] = ms
			}
		}
		if t.marks.CompareAndSwap(old, next) {
			return nil
		}
	}
}

// mark sets a not-before mark here and in Redis.
func (t *Terminator) mark(ctx context.Context, who string, ms int64) error {
	for {
		old := t.marks.Load()
		next := &marks{all: old.all, users: make(map[string]int64, len(old.users)+1)}
		for k, v := range old.users {
			next.users[k] = v
		}
		if who == everybody {
			next.all = max(next.all, ms)
		} else {
			next.users[who] = max(next.users[who], ms)
		}
		if t.marks.CompareAndSwap(old, next) {
			break
		}
	}
	life := t.opt().Lifetime.Absolute.Milliseconds()
	if err := t.run(ctx, scriptMark, t.marksKey(), who, ms, ms-life, life).Err(); err != nil {
		return t.unavailable(err)
	}
	return nil
}
