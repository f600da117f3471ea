package store

import (
	"slices"
	"strings"
)

// purgeIndex is what the live records of the purge log say, by what they
// select: the newest hard and the newest soft record of each. Judging an entry
// costs a look-up for each of its names, whatever the number of entries and
// records. It is guarded by the log's lock.
type purgeIndex struct {
	urls, prefixes, tags, users, sessions map[string]mark
	// queried are the URLs and prefixes that hold a query, by what is before
	// it: they hit every response with a No-Vary-Search that lies there.
	queried map[string]mark
	// lengths are those of the prefixes, ascending, each once: an entry's URL
	// is looked up cut to each.
	lengths []int
	all     mark
	latest  mark // the newest records of all
}

// mark holds the numbers of the newest records, 0 for none, and of the hard
// one before.
type mark struct{ hard, soft, before uint64 }

func (m mark) newest() uint64 { return max(m.hard, m.soft) }

// hardBy is the newest hard record up to number, or where that is not known a
// later one.
func (m mark) hardBy(number uint64) uint64 {
	if m.hard > number {
		return m.before
	}
	return m.hard
}

func (m mark) or(n mark) mark {
	out := mark{hard: max(m.hard, n.hard), soft: max(m.soft, n.soft), before: max(m.before, n.before)}
	if low := min(m.hard, n.hard); low != out.hard {
		out.before = max(out.before, low)
	}
	return out
}

func newPurgeIndex() *purgeIndex {
	return &purgeIndex{
		urls: map[string]mark{}, prefixes: map[string]mark{}, tags: map[string]mark{},
		users: map[string]mark{}, sessions: map[string]mark{}, queried: map[string]mark{},
	}
}

// add notes one record.
func (x *purgeIndex) add(selectors []Selector, number uint64) {
	for i := range selectors {
		s := &selectors[i]
		m := mark{hard: number}
		// What is personal dies: softness is for public pages.
		if s.Soft && s.User == "" && s.Session == "" {
			m = mark{soft: number}
		}
		if m.hard != x.latest.hard {
			x.latest = x.latest.or(m)
		}
		switch {
		case s.All:
			x.all = x.all.or(m)
		case s.URL != "":
			x.urls[s.URL] = x.urls[s.URL].or(m)
			x.query(s.URL, m)
		case s.Prefix != "":
			if at, known := slices.BinarySearch(x.lengths, len(s.Prefix)); !known {
				x.lengths = slices.Insert(x.lengths, at, len(s.Prefix))
			}
			x.prefixes[s.Prefix] = x.prefixes[s.Prefix].or(m)
			x.query(s.Prefix, m)
		case s.Tag != "":
			x.tags[s.Tag] = x.tags[s.Tag].or(m)
		case s.User != "":
			x.users[s.User] = x.users[s.User].or(m)
		case s.Session != "":
			x.sessions[s.Session] = x.sessions[s.Session].or(m)
		}
	}
}

func (x *purgeIndex) query(url string, m mark) {
	if path, _, found := strings.Cut(url, "?"); found {
		x.queried[path] = x.queried[path].or(m)
	}
}

// floor notes that everything up to number is dead, and forgets what that
// makes needless.
func (x *purgeIndex) floor(number uint64) {
	x.all = x.all.or(mark{hard: number})
	x.latest = x.latest.or(mark{hard: number})
	x.sweep(number + 1)
}

// sweep forgets the records before first.
func (x *purgeIndex) sweep(first uint64) {
	for _, marks := range []map[string]mark{x.urls, x.prefixes, x.tags, x.users, x.sessions, x.queried} {
		for name, m := range marks {
			if m.newest() < first {
				delete(marks, name)
			}
		}
	}
	x.lengths = x.lengths[:0]
	for prefix := range x.prefixes {
		x.lengths = append(x.lengths, len(prefix))
	}
	slices.Sort(x.lengths)
	x.lengths = slices.Compact(x.lengths)
}

// size is how many names the index holds.
func (x *purgeIndex) size() int {
	return len(x.urls) + len(x.prefixes) + len(x.tags) + len(x.users) + len(x.sessions)
}

// searched reports whether e answers URLs that differ from its own in the
// query: a purge by any URL of its path hits it, for it may answer that one.
// Which it does is not worked out: rather too much than too little.
func (e *Entry) searched() bool {
	return e.Response != nil && e.Response.NoVarySearch != "" || e.Index != nil && e.Index.NoVarySearch != ""
}

// pathOf is url without its query.
func pathOf(url string) string {
	path, _, _ := strings.Cut(url, "?")
	return path
}

// anyHost is url without its host: as purges name it on every host.
func anyHost(url string) string { return url[max(strings.IndexByte(url, '/'), 0):] }

// judge compares e with every record later than its position.
func (x *purgeIndex) judge(e *Entry) Life {
	m := x.mark(e)
	switch {
	case m.hard > e.Position.Number:
		return Dead
	case m.soft > e.Position.Number:
		return SoftPurged
	}
	return Alive
}

// mark is what the records say of e's names.
func (x *purgeIndex) mark(e *Entry) mark {
	m := x.all
	if len(x.urls)+len(x.lengths) > 0 {
		m = m.or(x.url(e.URL))
		if path := anyHost(e.URL); len(path) < len(e.URL) {
			m = m.or(x.url(path))
		}
		if e.searched() {
			path := pathOf(e.URL)
			m = m.or(x.urls[path]).or(x.queried[path])
			path = anyHost(path)
			m = m.or(x.urls[path]).or(x.queried[path])
		}
	}
	if e.Response != nil && len(x.tags) > 0 {
		for _, tag := range e.Response.Tags {
			m = m.or(x.tags[tag])
		}
	}
	if o := e.Owner; o != nil {
		if o.User != "" {
			m = m.or(x.users[o.User])
		}
		if o.Session != "" {
			m = m.or(x.sessions[o.Session])
		}
	}
	return m
}

func (x *purgeIndex) url(url string) mark {
	m := x.urls[url]
	for _, n := range x.lengths {
		if n > len(url) {
			break
		}
		m = m.or(x.prefixes[url[:n]])
	}
	return m
}
