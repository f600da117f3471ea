package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Coding is a content coding that the edge can apply (RFC 9110 §8.4.1).
type Coding uint8

// The codings; Plain is identity.
const (
	Plain Coding = iota
	Gzip
	Zstd
	Brotli
	numCodings
)

// String is the coding's registered name, "identity" for Plain.
func (c Coding) String() string {
	switch c {
	case Gzip:
		return "gzip"
	case Zstd:
		return "zstd"
	case Brotli:
		return "br"
	}
	return "identity"
}

// minEncode is the smallest body worth a coding: below it head and body fit
// into one packet anyway.
const minEncode = 512

// compressible reports whether content of this header and size is worth a
// coding. Whether it may be transformed at all (no-transform, personal pages,
// a coding that the app has applied) is the caller's to say.
func compressible(h http.Header, size int) bool {
	return size >= minEncode && compressibleType(h)
}

// compressibleType judges one Content-Type; none at all is none of ours.
func compressibleType(h http.Header) bool {
	lines := h["Content-Type"]
	if len(lines) != 1 {
		return false
	}
	kind, _, _ := strings.Cut(lines[0], ";")
	kind = strings.ToLower(strings.Trim(kind, " \t"))
	if rest, ok := strings.CutPrefix(kind, "text/"); ok {
		return rest != "event-stream" // must not wait for a block to fill
	}
	if strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml") {
		return true
	}
	switch kind {
	case "application/json", "application/javascript", "application/x-javascript", "application/xml",
		"application/wasm", "application/x-ndjson", "application/rtf", "application/vnd.ms-fontobject",
		"font/ttf", "font/otf", "font/sfnt", "application/x-font-ttf", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon":
		return true
	}
	return false
}

// Negotiate picks the coding that Accept-Encoding likes best (RFC 9110
// §12.5.3); of those that it likes equally br, then zstd, then gzip. No field
// at all would allow any coding, but who sends none seldom decodes one: Plain.
// What cannot be read is not accepted.
//
//	Accept-Encoding = #( codings [ weight ] )
//	weight          = OWS ";" OWS "q=" qvalue
func Negotiate(lines []string) Coding {
	if len(lines) == 1 {
		// What browsers send, spelled as they spell it.
		switch lines[0] {
		case "gzip, deflate, br, zstd", "gzip, deflate, br", "br, gzip, deflate":
			return Brotli
		case "gzip, deflate", "gzip":
			return Gzip
		}
	}
	return negotiate(lines, smallest)
}

// What wins among codings that are liked equally.
var (
	smallest = [...]Coding{Brotli, Zstd, Gzip}
	fastest  = [...]Coding{Zstd, Gzip, Brotli}
)

func negotiate(lines []string, order [numCodings - 1]Coding) Coding {
	const unnamed = -1
	q := [numCodings]int{unnamed, unnamed, unnamed, unnamed}
	star := unnamed
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			name, weight, ok := codingMember(member)
			if !ok {
				continue
			}
			if name == "*" {
				star = lower(star, weight)
				continue
			}
			if c, ok := codingNamed(name); ok {
				q[c] = lower(q[c], weight)
			}
		}
	}
	best, bestQ := Plain, 0
	for _, c := range order {
		w := q[c]
		if w == unnamed {
			w = max(star, 0)
		}
		if w > bestQ {
			best, bestQ = c, w
		}
	}
	if q[Plain] > bestQ {
		return Plain
	}
	return best
}

// lower is the stricter of two weights of one coding.
func lower(had, now int) int {
	if had >= 0 && had < now {
		return had
	}
	return now
}

func codingNamed(name string) (Coding, bool) {
	switch {
	case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
		return Gzip, true
	case strings.EqualFold(name, "br"):
		return Brotli, true
	case strings.EqualFold(name, "zstd"):
		return Zstd, true
	case strings.EqualFold(name, "identity"):
		return Plain, true
	}
	return 0, false
}

// codingMember reads one member: its name and its weight in thousandths. A
// weight that breaks the grammar counts as 0.
func codingMember(s string) (name string, weight int, ok bool) {
	name, params, weighted := strings.Cut(s, ";")
	name = strings.Trim(name, " \t")
	if name == "" {
		return "", 0, false
	}
	if !weighted {
		return name, 1000, true
	}
	params = strings.Trim(params, " \t")
	if len(params) < 3 || params[0]|0x20 != 'q' || params[1] != '=' {
		return name, 0, true
	}
	return name, qvalue(params[2:]), true
}

// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in
// thousandths (RFC 9110 §12.4.2); 0 for anything else.
func qvalue(s string) int {
	if len(s) == 0 || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0
	}
	n := int(s[0]-'0') * 1000
	for i, unit := 2, 100; i < len(s); i, unit = i+1, unit/10 {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n += int(s[i]-'0') * unit
	}
	if n > 1000 {
		return 0
	}
	return n
}

// Encode returns body in coding c, or nil where that saves less than a tenth.
// It is for copies that are kept: made once, served often.
func Encode(c Coding, body []byte) []byte { return encode(c, body, thorough) }

func encode(c Coding, body []byte, e effort) []byte {
	var out []byte
	if c == Zstd {
		out = zstdWhole().EncodeAll(body, make([]byte, 0, len(body)/2))
	} else {
		var b bytes.Buffer
		b.Grow(len(body) / 2)
		w := newEncoderOf(c, &b, e)
		if w == nil {
			return nil
		}
		_, _ = w.Write(body) // a bytes.Buffer takes everything
		_ = w.Close()
		out = b.Bytes()
	}
	if len(out) > len(body)-len(body)/10 {
		return nil
	}
	return out
}

// NewEncoder returns a writer that writes in coding c to w, nil for Plain. It
// must be closed, which does not close w; it must not be used after.
func NewEncoder(c Coding, w io.Writer) *Encoder { return newEncoderOf(c, w, thorough) }

func newEncoderOf(c Coding, w io.Writer, e effort) *Encoder {
	if c == Plain || c >= numCodings {
		return nil
	}
	pool := &encoders[e][c]
	under, _ := pool.Get().(encoder)
	if under == nil {
		under = newEncoder(c, e)
	}
	under.Reset(w)
	return &Encoder{encoder: under, pool: pool}
}

// effort is how hard an encoder tries.
type effort uint8

const (
	thorough effort = iota
	quick
	numEfforts
)

// Encoder is a pooled writer in one coding. One goroutine uses it.
type Encoder struct {
	encoder
	pool *sync.Pool
}

type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// Close ends the coded content and gives the encoder back.
func (e *Encoder) Close() error {
	if e.encoder == nil {
		return nil
	}
	err := e.encoder.Close()
	e.encoder.Reset(nil)
	e.pool.Put(e.encoder)
	e.encoder = nil
	return err
}

var encoders [numEfforts][numCodings]sync.Pool

// zstdWindow stays far below the 8 MiB that every decoder must have (RFC 9659).
const zstdWindow = 1 << 20

func newEncoder(c Coding, e effort) encoder {
	switch c {
	case Gzip:
		w, err := gzip.NewWriterLevel(nil, [numEfforts]int{thorough: 6, quick: 1}[e])
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	case Zstd:
		return newZstd()
	default:
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: [numEfforts]int{thorough: 5, quick: 1}[e], LGWin: 19})
	}
}

func newZstd() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return w
}

// zstdWhole is shared: EncodeAll may be called by many at once.
var zstdWhole = sync.OnceValue(newZstd)
