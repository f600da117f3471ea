package sessions

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strconv"
)

// A Django session in a cache is a pickled dict, plain or under zlib. Pickle
// is a program; this machine runs only those of its instructions that build
// plain values: dict, list, tuple, set, str, bytes, int, float, bool, None.
// Whatever would name, call or build anything else ends it.

var (
	errPickle = errors.New("a pickle with more than plain values, or a broken one")
	errBig    = errors.New("a session that is too big")
)

const (
	mostPickle = 1 << 20
	mostSteps  = 1 << 16
)

type (
	pickleMark  struct{}
	pickleDict  struct{ m map[string]any } // string keys; others are dropped
	pickleOther struct{}                   // a value that nobody asks for
)

// djangoUser is _auth_user_id of a Django session, "" if nobody has signed in.
func djangoUser(blob []byte) (string, error) {
	if len(blob) > 0 && blob[0] == 0x78 { // zlib's first byte
		z, err := zlib.NewReader(bytes.NewReader(blob))
		if err != nil {
			return "", errPickle
		}
		if blob, err = io.ReadAll(io.LimitReader(z, mostPickle+1)); err != nil {
			return "", errPickle
		}
	}
	if len(blob) > mostPickle {
		return "", errBig
	}
	p := pickle{in: blob, memo: make(map[uint64]any)}
	v, err := p.run()
	if err != nil {
		return "", err
	}
	d, ok := v.(*pickleDict)
	if !ok {
		return "", errPickle
	}
	switch id := d.m["_auth_user_id"].(type) {
	case string:
		return id, nil
	case int64:
		return strconv.FormatInt(id, 10), nil
	}
	return "", nil
}

type pickle struct {
	in    []byte
	stack []any
	memo  map[uint64]any
}

func (p *pickle) take(n uint64) ([]byte, error) {
	if n > uint64(len(p.in)) {
		return nil, errPickle
	}
	b := p.in[:n]
	p.in = p.in[n:]
	return b, nil
}

// number reads a little-endian number of n bytes.
func (p *pickle) number(n uint64) (uint64, error) {
	b, err := p.take(n)
	if err != nil {
		return 0, err
	}
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:]), nil
}

func (p *pickle) push(v any) error {
	p.stack = append(p.stack, v)
	return nil
}

func (p *pickle) pop() (any, error) {
	if len(p.stack) == 0 {
		return nil, errPickle
	}
	v := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	return v, nil
}

// toMark takes everything above the last mark, and the mark.
func (p *pickle) toMark() ([]any, error) {
	for i := len(p.stack) - 1; i >= 0; i-- {
		if _, ok := p.stack[i].(pickleMark); ok {
			above := p.stack[i+1:]
			p.stack = p.stack[:i]
			return above, nil
		}
	}
	return nil, errPickle
}

func (p *pickle) run() (any, error) {
	for range mostSteps {
		op, err := p.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' { // STOP
			if len(p.stack) != 1 {
				return nil, errPickle
			}
			return p.stack[0], nil
		}
		if err := p.step(op[0]); err != nil {
			return nil, err
		}
	}
	return nil, errBig
}

func (p *pickle) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := p.number(1)
		if err != nil || v > 5 {
			return errPickle
		}
		return nil
	case 0x95: // FRAME
		_, err := p.take(8)
		return err
	case '(': // MARK
		return p.push(pickleMark{})
	case 'N': // NONE
		return p.push(pickleOther{})
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return p.push(op == 0x88)
	case '}': // EMPTY_DICT
		return p.push(&pickleDict{m: make(map[string]any)})
	case ']', ')', 0x8f: // EMPTY_LIST, EMPTY_TUPLE, EMPTY_SET
		return p.push(pickleOther{})
	case 'K', 'M', 'J', 0x8a: // BININT1, BININT2, BININT, LONG1
		return p.integer(op)
	case 'G': // BINFLOAT
		b, err := p.take(8)
		if err != nil {
			return err
		}
		return p.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case 0x8c, 'X', 0x8d: // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
		return p.text(op)
	case 'C', 'B', 0x8e, 0x96: // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
		return p.blob(op)
	case 0x94, 'q', 'r', 'h', 'j': // MEMOIZE, BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
		return p.remember(op)
	}
	return p.build(op)
}

func (p *pickle) integer(op byte) error {
	var size uint64
	switch op {
	case 'K':
		size = 1
	case 'M':
		size = 2
	case 'J':
		v, err := p.number(4)
		if err != nil {
			return err
		}
		return p.push(int64(int32(uint32(v))))
	default:
		n, err := p.number(1)
		if err != nil {
			return err
		}
		return p.long(n)
	}
	v, err := p.number(size)
	if err != nil {
		return err
	}
	return p.push(int64(v))
}

// long reads a two's complement of n bytes; one over 64 bits is nobody's id.
func (p *pickle) long(n uint64) error {
	b, err := p.take(n)
	if err != nil {
		return err
	}
	if n > 8 {
		return p.push(pickleOther{})
	}
	var v int64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | int64(b[i])
	}
	if n > 0 && n < 8 && b[n-1]&0x80 != 0 {
		v -= 1 << (8 * n)
	}
	return p.push(v)
}

func (p *pickle) text(op byte) error {
	n, err := p.number(map[byte]uint64{0x8c: 1, 'X': 4, 0x8d: 8}[op])
	if err != nil {
		return err
	}
	b, err := p.take(n)
	if err != nil {
		return err
	}
	return p.push(string(b))
}

func (p *pickle) blob(op byte) error {
	n, err := p.number(map[byte]uint64{'C': 1, 'B': 4, 0x8e: 8, 0x96: 8}[op])
	if err != nil {
		return err
	}
	if _, err := p.take(n); err != nil {
		return err
	}
	return p.push(pickleOther{})
}

func (p *pickle) remember(op byte) error {
	key := uint64(len(p.memo))
	var err error
	switch op {
	case 'q', 'h':
		key, err = p.number(1)
	case 'r', 'j':
		key, err = p.number(4)
	}
	if err != nil {
		return err
	}
	if op == 'h' || op == 'j' {
		v, ok := p.memo[key]
		if !ok {
			return errPickle
		}
		return p.push(v)
	}
	if len(p.stack) == 0 {
		return errPickle
	}
	p.memo[key] = p.stack[len(p.stack)-1]
	return nil
}

// build fills containers. Only dicts are looked into.
func (p *pickle) build(op byte) error {
	switch op {
	case 'u', 'e', 't', 0x90, 0x91: // SETITEMS, APPENDS, TUPLE, ADDITEMS, FROZENSET
		items, err := p.toMark()
		if err != nil {
			return err
		}
		if op == 't' || op == 0x91 {
			return p.push(pickleOther{})
		}
		if op == 'u' {
			return p.setItems(items)
		}
		return p.needsContainer()
	case 's': // SETITEM
		if len(p.stack) < 3 {
			return errPickle
		}
		items := p.stack[len(p.stack)-2:]
		p.stack = p.stack[:len(p.stack)-2]
		return p.setItems(items)
	case 'a': // APPEND
		if _, err := p.pop(); err != nil {
			return err
		}
		return p.needsContainer()
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		for range int(op) - 0x84 {
			if _, err := p.pop(); err != nil {
				return err
			}
		}
		return p.push(pickleOther{})
	}
	return errPickle
}

func (p *pickle) needsContainer() error {
	if len(p.stack) == 0 {
		return errPickle
	}
	if _, ok := p.stack[len(p.stack)-1].(pickleOther); !ok {
		return errPickle
	}
	return nil
}

func (p *pickle) setItems(items []any) error {
	if len(items)%2 != 0 || len(p.stack) == 0 {
		return errPickle
	}
	d, ok := p.stack[len(p.stack)-1].(*pickleDict)
	if !ok {
		return errPickle
	}
	for i := 0; i < len(items); i += 2 {
		if k, ok := items[i].(string); ok {
			d.m[k] = items[i+1]
		}
	}
	return nil
}
