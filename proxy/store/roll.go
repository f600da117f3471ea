package store

import (
	"hash/maphash"
	"sync"
)

// roll lists what the memory tier holds, in one array, for the one question
// that needs all of it: how much does a purge match? Walking the cache itself
// costs a miss of the processor's caches for every node; here an entry that
// cannot match is passed over by its signature alone, unread.
type roll struct {
	seed maphash.Seed
	mu   sync.Mutex
	rows []row
}

type row struct {
	names uint64 // two bits for each name that a selector may have for it
	e     *Entry
}

func newRoll() *roll { return &roll{seed: maphash.MakeSeed()} }

// The kinds of names; a tag and a user of the same text are two names.
const (
	nameURL = iota
	nameTag
	nameUser
	nameSession
	namePath // of what has a No-Vary-Search
)

func (r *roll) bits(kind int, name string) uint64 {
	h := maphash.String(r.seed, name) >> (kind * 12)
	return 1<<(h&63) | 1<<(h>>6&63)
}

func (r *roll) signature(e *Entry) uint64 {
	names := r.bits(nameURL, e.URL) | r.bits(nameURL, anyHost(e.URL))
	if e.searched() {
		path := pathOf(e.URL)
		names |= r.bits(namePath, path) | r.bits(namePath, anyHost(path))
	}
	if e.Response != nil {
		for _, tag := range e.Response.Tags {
			names |= r.bits(nameTag, tag)
		}
	}
	if o := e.Owner; o != nil {
		names |= r.bits(nameUser, o.User) | r.bits(nameSession, o.Session)
	}
	return names
}

// wanted is what an entry's signature holds if s may match it; 0, which every
// signature holds, for a selector that is no name.
func (r *roll) wanted(s *Selector) uint64 {
	switch {
	case s.URL != "":
		return r.bits(nameURL, s.URL)
	case s.Tag != "":
		return r.bits(nameTag, s.Tag)
	case s.User != "":
		return r.bits(nameUser, s.User)
	case s.Session != "":
		return r.bits(nameSession, s.Session)
	}
	return 0
}

// add enters e, before the cache has it: it may be pushed out at once.
func (r *roll) add(e *Entry) {
	names := r.signature(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.row != 0 {
		return
	}
	r.rows = append(r.rows, row{names, e})
	e.row = uint32(len(r.rows))
}

// remove strikes e out; the last row takes its place.
func (r *roll) remove(e *Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.row == 0 {
		return
	}
	last := len(r.rows) - 1
	r.rows[e.row-1] = r.rows[last]
	r.rows[e.row-1].e.row = e.row
	r.rows[last] = row{}
	r.rows, e.row = r.rows[:last], 0
	if cap(r.rows) > 4*len(r.rows)+1024 {
		r.rows = append(make([]row, 0, 2*len(r.rows)), r.rows...)
	}
}

// rowsAtOnce is how many rows are looked at under the lock.
const rowsAtOnce = 1024

// length is how many rows there are.
func (r *roll) length() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rows)
}

// each calls yield with every entry that one of selectors may match, some at a
// time, in no order, of the share'th of shares parts of the roll. What comes or
// goes meanwhile may be missed, or come twice.
func (r *roll) each(selectors []Selector, share, shares int, yield func([]*Entry)) {
	wanted := make([]uint64, 0, len(selectors))
	for i := range selectors {
		w := r.wanted(&selectors[i])
		if w == 0 {
			wanted = []uint64{0}
			break
		}
		wanted = append(wanted, w)
		if url := selectors[i].URL; url != "" {
			wanted = append(wanted, r.bits(namePath, pathOf(url)))
		}
	}
	var maybe []*Entry
	for from := share * rowsAtOnce; ; from += shares * rowsAtOnce {
		maybe = maybe[:0]
		r.mu.Lock()
		rows := r.rows[min(from, len(r.rows)):min(from+rowsAtOnce, len(r.rows))]
		for i := range rows {
			for _, w := range wanted {
				if rows[i].names&w == w {
					maybe = append(maybe, rows[i].e)
					break
				}
			}
		}
		r.mu.Unlock()
		yield(maybe)
		if len(rows) < rowsAtOnce {
			return
		}
	}
}
