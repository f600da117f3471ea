package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"umbral/cachepolicy"
)

// What a record may hold at most. The encoder refuses what the decoder would.
const (
	maxFields = 4096     // header lines, tags, names of Vary
	maxRaw    = 64 << 20 // a compressed body's content; more is stored plain
	// ratio bounds what a compressed body may claim to hold, so that a short
	// lie reserves little memory.
	maxRatio     = 1000
	freeRaw      = 1 << 20
	minCompress  = 512
	cloneBelow   = 16 << 10
	recordOpen   = 0
	recordSealed = 1
)

// errTooMuch says that an entry has more fields than a record may hold.
var errTooMuch = errors.New("store: too many fields for a record")

// codec turns entries into values of Redis and back:
//
//	record = "UE" version kind (sum payload | box)
//	sum    = xxHash64 of key and payload, 8 bytes, big-endian
//	box    = payload, sealed and bound to the key, where the page is personal
//	payload = string head, coding, uint length, body
//	coding = 0 plain | 1 zstd
//
// The sum finds accidents, the box also malice. It is safe for concurrent use.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

const codecVersion = 2

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(512<<10), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(4), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &codec{enc: enc, dec: dec}, nil
}

func (c *codec) close() {
	c.dec.Close()
}

// encode gives e's value. A personal entry without a secret to seal it is an
// error: it is not stored where others can read.
func (c *codec) encode(e *Entry, ring *keyring) ([]byte, error) {
	head, err := appendHead(make([]byte, 0, 1024), e)
	if err != nil {
		return nil, err
	}
	body, coding := e.Body, byte(0)
	if small, ok := c.compress(e); ok {
		body, coding = small, 1
	}
	const before = 4 + 8
	out := make([]byte, before, before+len(head)+len(body)+3*binary.MaxVarintLen64)
	copy(out, "UE")
	out[2], out[3] = codecVersion, recordOpen
	out = appendString(out, string(head))
	out = append(out, coding)
	out = binary.AppendUvarint(out, uint64(len(e.Body)))
	out = append(out, body...)
	if !e.personal() {
		binary.BigEndian.PutUint64(out[4:], sum(e.Key, out[before:]))
		return out, nil
	}
	box := make([]byte, 4, len(out)+64)
	copy(box, out[:3])
	box[3] = recordSealed
	return ring.seal(box, out[before:], "page", e.Key[:])
}

// decode reads value as key's. Any error means that it is none of ours, or no
// longer, or for other eyes. Value belongs to the entry from then on.
func (c *codec) decode(key cachepolicy.Key, value []byte, ring *keyring) (*Entry, error) {
	if len(value) < 4 || string(value[:2]) != "UE" || value[2] != codecVersion {
		return nil, errCorrupt
	}
	kind, payload := value[3], value[4:]
	switch kind {
	case recordSealed:
		var err error
		if payload, err = ring.open(payload, "page", key[:]); err != nil {
			return nil, err
		}
	case recordOpen:
		if len(payload) < 8 || binary.BigEndian.Uint64(payload) != sum(key, payload[8:]) {
			return nil, errCorrupt
		}
		payload = payload[8:]
	default:
		return nil, errCorrupt
	}
	e, err := c.decodePayload(payload)
	if err != nil {
		return nil, err
	}
	if e.personal() != (kind == recordSealed) {
		return nil, errCorrupt
	}
	e.Key = key
	return e, nil
}

func sum(key cachepolicy.Key, payload []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(key[:])
	_, _ = d.Write(payload)
	return d.Sum64()
}

func (c *codec) decodePayload(payload []byte) (*Entry, error) {
	size, n := binary.Uvarint(payload)
	if n <= 0 || size > uint64(len(payload)-n) {
		return nil, errCorrupt
	}
	head, rest := payload[n:n+int(size)], payload[n+int(size):]
	if len(rest) < 2 {
		return nil, errCorrupt
	}
	coding := rest[0]
	raw, n := binary.Uvarint(rest[1:])
	if n <= 0 {
		return nil, errCorrupt
	}
	body, err := c.body(coding, raw, rest[1+n:])
	if err != nil {
		return nil, err
	}
	// One copy holds every string of the head.
	r := &reader{text: string(head)}
	e := readHead(r)
	if r.bad || r.text != "" {
		return nil, errCorrupt
	}
	if e.Index != nil && len(body) != 0 {
		return nil, errCorrupt
	}
	e.Body = body
	return e, nil
}

func (c *codec) body(coding byte, raw uint64, b []byte) ([]byte, error) {
	switch {
	case coding == 0 && raw != uint64(len(b)), coding > 1:
		return nil, errCorrupt
	case coding == 0 && len(b) == 0:
		return nil, nil
	case coding == 0 && len(b) < cloneBelow:
		return append(make([]byte, 0, len(b)), b...), nil // lets go of the value with its head
	case coding == 0:
		return b, nil
	case raw > maxRaw || raw > freeRaw && raw > maxRatio*uint64(len(b)):
		return nil, errCorrupt
	}
	out, err := c.dec.DecodeAll(b, make([]byte, 0, raw))
	if err != nil || uint64(len(out)) != raw {
		return nil, errCorrupt
	}
	return out, nil
}

// compress gives e's body in zstd where that pays: a body of some size, of a
// type that is not compressed already, made at least a tenth smaller.
func (c *codec) compress(e *Entry) ([]byte, bool) {
	if e.Response == nil || len(e.Body) < minCompress || len(e.Body) > maxRaw ||
		e.Response.Fields.Get("Content-Encoding") != "" ||
		!compressible(e.Response.Fields.Get("Content-Type")) {
		return nil, false
	}
	small := c.enc.EncodeAll(e.Body, make([]byte, 0, len(e.Body)/2))
	if len(small) > len(e.Body)-len(e.Body)/10 ||
		len(e.Body) > freeRaw && len(e.Body) > maxRatio*len(small) {
		return nil, false
	}
	return small, true
}

func compressible(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "+json") ||
		strings.HasSuffix(t, "+xml") {
		return true
	}
	switch t {
	case "application/json", "application/javascript", "application/xml", "application/wasm",
		"application/x-javascript", "application/x-ndjson", "image/bmp", "image/x-icon",
		"image/vnd.microsoft.icon", "font/ttf", "font/otf", "application/vnd.ms-fontobject":
		return true
	}
	return false
}

func appendHead(b []byte, e *Entry) ([]byte, error) {
	b = appendString(b, e.URL)
	owner := Owner{}
	if e.Owner != nil {
		owner = *e.Owner
	}
	b = appendString(b, owner.Session)
	b = appendString(b, owner.User)
	b = binary.AppendUvarint(b, e.Position.Epoch)
	b = binary.AppendUvarint(b, e.Position.Number)
	b = binary.AppendVarint(b, int64(e.Keep))
	b = binary.AppendVarint(b, e.Stored)
	switch {
	case e.Response != nil && e.Index == nil:
		return appendStored(append(b, 'r'), e.Response)
	case e.Index != nil && e.Response == nil:
		return appendIndex(append(b, 'i'), e.Index)
	}
	return nil, errors.New("store: an entry is either a response or an index")
}

func readHead(r *reader) *Entry {
	e := &Entry{URL: r.string()}
	if owner := (Owner{Session: r.string(), User: r.string()}); owner != (Owner{}) {
		e.Owner = &owner
	}
	e.Position = Position{Epoch: r.uint(), Number: r.uint()}
	e.Keep = r.duration()
	e.Stored = r.int()
	switch r.byte() {
	case 'r':
		e.Response = readStored(r)
	case 'i':
		e.Index = readIndex(r)
	default:
		r.fail()
	}
	return e
}

func appendStored(b []byte, s *cachepolicy.Stored) ([]byte, error) {
	if max(len(s.VaryFields), len(s.VaryValues), len(s.Tags)) > maxFields {
		return nil, errTooMuch
	}
	b = binary.AppendVarint(b, int64(s.Status))
	b = appendString(b, s.Fields.String())
	b = appendTime(b, s.ResponseTime.Time())
	b = binary.AppendVarint(b, int64(s.InitialAge))
	b = appendLifetime(b, &s.Lifetime)
	b = append(b, byte(s.Scope))
	b = appendStrings(b, s.VaryFields)
	b = appendStrings(b, s.VaryValues)
	b = appendStrings(b, s.Tags)
	b = appendString(b, s.NoVarySearch)
	b = appendString(b, s.ETag)
	b = appendTime(b, s.LastModified.Time())
	b = appendBool(b, s.Part != nil)
	if s.Part != nil {
		b = binary.AppendVarint(b, s.Part.First)
		b = binary.AppendVarint(b, s.Part.Last)
		b = binary.AppendVarint(b, s.Part.Total)
	}
	return b, nil
}

func readStored(r *reader) *cachepolicy.Stored {
	s := &cachepolicy.Stored{Status: int(r.int())}
	var ok bool
	if s.Fields, ok = cachepolicy.ParseFields(r.string()); !ok {
		r.fail()
	}
	s.ResponseTime = cachepolicy.InstantOf(r.time())
	s.InitialAge = r.duration()
	s.Lifetime = readLifetime(r)
	s.Scope = cachepolicy.Scope(r.byte())
	if s.Scope > cachepolicy.PerUser {
		r.fail()
	}
	s.VaryFields, s.VaryValues = r.strings(maxFields), r.strings(maxFields)
	if len(s.VaryFields) != len(s.VaryValues) {
		r.fail()
	}
	s.Tags = r.strings(maxFields)
	s.NoVarySearch = r.string()
	s.ETag = r.string()
	s.LastModified = cachepolicy.InstantOf(r.time())
	if r.bool() {
		s.Part = &cachepolicy.Part{First: r.int(), Last: r.int(), Total: r.int()}
	}
	return s
}

// The flags of a lifetime, in one byte.
const (
	flagNoCache = 1 << iota
	flagMustRevalidate
	flagImmutable
	flagOperator
	flagHeuristic
	flagNoTransform
	flagNoStore
	flagsEnd
)

func appendLifetime(b []byte, l *cachepolicy.Lifetime) []byte {
	b = binary.AppendVarint(b, int64(l.Fresh))
	b = binary.AppendVarint(b, int64(l.StaleWhileRevalidate))
	b = binary.AppendVarint(b, int64(l.StaleIfError))
	b = binary.AppendVarint(b, int64(l.StaleIfUnreachable))
	var flags byte
	for i, on := range []bool{l.NoCache, l.MustRevalidate, l.Immutable, l.Operator, l.Heuristic, l.NoTransform, l.NoStore} {
		if on {
			flags |= 1 << i
		}
	}
	return append(b, flags)
}

func readLifetime(r *reader) cachepolicy.Lifetime {
	l := cachepolicy.Lifetime{
		Fresh: r.duration(), StaleWhileRevalidate: r.duration(),
		StaleIfError: r.duration(), StaleIfUnreachable: r.duration(),
	}
	flags := r.byte()
	if flags >= flagsEnd {
		r.fail()
	}
	l.NoCache = flags&flagNoCache != 0
	l.MustRevalidate = flags&flagMustRevalidate != 0
	l.Immutable = flags&flagImmutable != 0
	l.Operator = flags&flagOperator != 0
	l.Heuristic = flags&flagHeuristic != 0
	l.NoTransform = flags&flagNoTransform != 0
	l.NoStore = flags&flagNoStore != 0
	return l
}

func appendIndex(b []byte, x *cachepolicy.Index) ([]byte, error) {
	fields := len(x.Vary) + len(x.Variants)
	for _, set := range x.Vary {
		fields += len(set)
	}
	if fields > maxFields {
		return nil, errTooMuch
	}
	b = binary.AppendUvarint(b, uint64(len(x.Vary)))
	for _, set := range x.Vary {
		b = appendStrings(b, set)
	}
	b = appendString(b, x.NoVarySearch)
	b = binary.AppendUvarint(b, uint64(len(x.Variants)))
	for _, v := range x.Variants {
		b = appendString(appendString(b, v.ETag), string(v.Key[:]))
	}
	return b, nil
}

func readIndex(r *reader) *cachepolicy.Index {
	x := &cachepolicy.Index{}
	if n := r.count(maxFields); n > 0 {
		x.Vary = make([][]string, n)
		for i := range x.Vary {
			x.Vary[i] = r.strings(maxFields)
		}
	}
	x.NoVarySearch = r.string()
	if n := r.count(maxFields); n > 0 {
		x.Variants = make([]cachepolicy.Variant, n)
		for i := range x.Variants {
			x.Variants[i].ETag = r.string()
			r.bad = r.bad || copy(x.Variants[i].Key[:], r.string()) != len(cachepolicy.Key{})
		}
	}
	return x
}
