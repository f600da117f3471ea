package sessions

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// carrying is what was written to a record between its being read and its
// going, on the way into the one that takes its place.
type carrying struct {
	old, next *record
	left      map[string]string // what old held when it went
	known     map[string]bool   // its fields of which the name can be told
	args      []any             // of scriptPatch
}

// carry brings over what was written to old after it was read, and takes away
// what was deleted there, but for what next's own answer has set. Cookies in
// auth stay as next has them; data are one user's.
func (t *Terminator) carry(ctx context.Context, old, next *record, left map[string]string) error {
	last, _, _ := cutVersion(left[fieldMeta])
	if last <= old.version {
		return nil // nothing was
	}
	c := carrying{old: old, next: next, left: left, known: make(map[string]bool), args: []any{last, next.version}}
	c.cookies(t.opt().Cookies.Auth)
	if old.meta.user == next.meta.user && (next.meta.user != "" || sameAuth(old.jar, next.jar, t.opt().Cookies.Auth)) {
		c.data()
	}
	c.floor()
	next.version = max(next.version, last)
	next.finish(t)
	if err := t.run(ctx, scriptPatch, t.recordKey(next.id), c.args...).Err(); err != nil {
		return t.unavailable(err)
	}
	return nil
}

// since gives the fields of a kind that were set after old was read, opened.
func (c *carrying) since(kind byte, yield func(plain []byte, version uint64)) {
	for field, value := range c.left {
		version, blob, ok := cutVersion(value)
		if !ok || version <= c.old.version || field == "" || field[0] != kind || blob == "" {
			continue
		}
		if plain, err := c.old.keys.open(field, []byte(blob)); err == nil {
			yield(plain, version)
		}
	}
}

// deleted reports whether a field that old had when it was read was deleted
// after that, and at which version.
func (c *carrying) deleted(field string) (version uint64, yes bool) {
	c.known[field] = true
	value, has := c.left[field]
	if !has { // and forgotten
		version, _, _ = cutVersion(c.left[fieldMeta])
		return version, true
	}
	version, blob, _ := cutVersion(value)
	return version, blob == ""
}

func (c *carrying) put(field string, version uint64, blob []byte) {
	c.args = append(c.args, field, prefixed(version, blob))
}

func (c *carrying) cookies(auth []string) {
	old, next := c.old, c.next
	for i := range old.jar {
		was := &old.jar[i]
		version, gone := c.deleted(old.keys.name(kindCookie, was.name, was.path))
		is := inJar(next.jar, was.name, was.path)
		if !gone || is < 0 || next.jar[is].value != was.value || slices.Contains(auth, was.name) {
			continue
		}
		next.jar = slices.Delete(next.jar, is, is+1)
		c.put(next.keys.name(kindCookie, was.name, was.path), version, nil)
	}
	c.since(kindCookie, func(plain []byte, version uint64) {
		set, ok := decodeCookie(plain)
		if !ok || slices.Contains(auth, set.name) {
			return
		}
		was, is := inJar(old.jar, set.name, set.path), inJar(next.jar, set.name, set.path)
		if is >= 0 && (was < 0 || old.jar[was].value != next.jar[is].value) {
			return
		}
		set.version = version
		if is >= 0 {
			next.jar[is] = set
		} else {
			next.jar = append(next.jar, set)
		}
		field, blob := next.sealCookie(&set)
		c.put(field, version, blob)
	})
}

func (c *carrying) data() {
	old, next := c.old, c.next
	next.data = slices.Clone(next.data)
	at := func(data []datum, name string) int {
		return slices.IndexFunc(data, func(d datum) bool { return d.name == name })
	}
	for _, was := range old.data {
		version, gone := c.deleted(old.keys.name(kindDatum, was.name, ""))
		if is := at(next.data, was.name); gone && is >= 0 && next.data[is] == was {
			next.data = slices.Delete(next.data, is, is+1)
			c.put(next.keys.name(kindDatum, was.name, ""), version, nil)
		}
	}
	c.since(kindDatum, func(plain []byte, version uint64) {
		name, value, ok := cutString(plain)
		was, is := at(old.data, name), at(next.data, name)
		if !ok || is >= 0 && (was < 0 || old.data[was] != next.data[is]) {
			return
		}
		set := datum{name, string(value)}
		if is >= 0 {
			next.data[is] = set
		} else if len(next.data) < maxData {
			next.data = append(next.data, set)
		} else {
			return
		}
		field, blob := next.sealDatum(&set)
		c.put(field, version, blob)
	})
	slices.SortFunc(next.data, func(a, b datum) int { return strings.Compare(a.name, b.name) })
}

// floor stands for what was deleted under names that cannot be told any more:
// set and deleted since old was read, or forgotten.
func (c *carrying) floor() {
	next := c.next
	for field, value := range c.left {
		version, blob, ok := cutVersion(value)
		if ok && (field == fieldFloor || blob == "" && !c.known[field]) {
			next.floor = max(next.floor, version)
		}
	}
	if next.floor > 0 {
		c.args = append(c.args, fieldFloor, strconv.FormatUint(next.floor, 10))
	}
}
