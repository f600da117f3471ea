package store

import (
	"encoding/binary"
	"errors"
	"time"
)

// errCorrupt says that bytes are not a record of ours.
var errCorrupt = errors.New("store: not a record of ours")

// The primitives of both records, the stored response's and the purge's:
//
//	uint   = unsigned varint
//	string = uint length, bytes
//	list   = uint count, strings
//	time   = varint seconds since 1970, uint nanoseconds

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader takes primitives off a text. The first fault sticks: every later
// read gives zero, so that callers ask for bad once, at the end. Strings are
// parts of text and cost no memory of their own.
type reader struct {
	text string
	bad  bool
}

func (r *reader) fail() { r.bad, r.text = true, "" }

func (r *reader) uint() uint64 {
	var v uint64
	for i := 0; i < len(r.text) && i < binary.MaxVarintLen64; i++ {
		c := r.text[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.text = r.text[i+1:]
			return v
		}
	}
	r.fail()
	return 0
}

func (r *reader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) byte() byte {
	if r.text == "" {
		r.fail()
		return 0
	}
	c := r.text[0]
	r.text = r.text[1:]
	return c
}

func (r *reader) bool() bool {
	c := r.byte()
	if c > 1 {
		r.fail()
	}
	return c == 1
}

func (r *reader) string() string {
	n := r.uint()
	if n > uint64(len(r.text)) {
		r.fail()
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

// count reads the length of a list of at most limit things, each of at least
// one byte, so that a lying count reserves no memory.
func (r *reader) count(limit int) int {
	n := r.uint()
	if n > uint64(limit) || n > uint64(len(r.text)) {
		r.fail()
		return 0
	}
	return int(n)
}

// strings gives nil for an empty list.
func (r *reader) strings(limit int) []string {
	n := r.count(limit)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.string()
	}
	return list
}

func (r *reader) time() time.Time {
	sec, nsec := r.int(), r.uint()
	if nsec >= 1e9 {
		r.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

func (r *reader) duration() time.Duration { return time.Duration(r.int()) }
