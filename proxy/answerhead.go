package proxy

import (
	"bytes"
	"net/http"
	"strconv"
)

// heads follows an answer's header sections, those of 1xx answers before the
// final one, through the bytes in which they come. What breaks the grammar is
// left to net/http, which ends the connection.
type heads struct {
	lines
	section
	said   *unsaid
	value  []byte // of the field at hand, as far as it has come
	asides int    // 1xx answers that have come
	final  bool   // the last section has come
}

// maxAsides bounds them, for net/http does not where each is passed on.
const maxAsides = 32

// section is what one header section says.
type section struct {
	status  int   // 0 before the status line
	since   int   // minor version
	chunked bool  // the only Transfer-Encoding that net/http takes
	length  int64 // -1: not named
	unclear bool  // where the answer ends; such an answer is refused
	foreign bool  // no answer of HTTP/1
	field   watched
}

// watched is a field that the framing depends on.
type watched uint8

const (
	another watched = iota
	contentLength
	transferEncoding
	connectionField
)

var watchedNames = [...]string{contentLength: "Content-Length", transferEncoding: "Transfer-Encoding", connectionField: "Connection"}

// begin readies h for the answer to another request; said takes what it says.
func (h *heads) begin(said *unsaid) {
	h.section = section{length: -1}
	h.said, h.asides, h.final = said, 0, false
	h.begun, h.value = h.begun[:0], h.value[:0]
}

// follow returns how much of b belongs to the sections.
func (h *heads) follow(b []byte) (n int) {
	for n < len(b) && !h.final {
		line, k, whole := h.next(b[n:])
		n += k
		switch {
		case !whole:
		case len(line) == 0:
			h.endField()
			h.endSection()
		case h.status == 0:
			h.statusLine(line)
		case line[0] == ' ' || line[0] == '\t': // goes on (RFC 9112 §5.2), as net/http joins it
			if h.field != another {
				h.value = append(append(h.value, ' '), bytes.Trim(line, " \t")...)
			}
		default:
			h.endField()
			h.beginField(line)
		}
	}
	return n
}

// statusLine reads "HTTP/1.x SP status" as net/http does.
func (h *heads) statusLine(line []byte) {
	version, status, _ := bytes.Cut(line, []byte(" "))
	status, _, _ = bytes.Cut(bytes.TrimLeft(status, " "), []byte(" "))
	n, err := strconv.Atoi(string(status))
	if err != nil || n <= 0 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		h.foreign, h.final = true, true
		return
	}
	h.status = n
	if string(version) != "HTTP/1.0" {
		h.since = 1
	}
}

func (h *heads) beginField(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	h.field = another
	for f := contentLength; f <= connectionField; f++ {
		if known := watchedNames[f]; len(name) == len(known) && bytes.EqualFold(name, []byte(known)) {
			h.field, h.value = f, append(h.value[:0], bytes.Trim(value, " \t")...)
			return
		}
	}
}

// endField takes in the field at hand, now that no line of it can follow.
func (h *heads) endField() {
	value := bytes.Trim(h.value, " \t")
	switch h.field {
	case contentLength:
		n, err := strconv.ParseUint(string(value), 10, 63)
		h.length, h.unclear = int64(n), h.unclear || err != nil
	case transferEncoding:
		h.chunked = bytes.EqualFold(value, []byte("chunked"))
		h.unclear = h.unclear || !h.chunked || h.since == 0
		if h.since == 0 {
			h.said.add(h.asides, transferEncoding, value)
		}
	case connectionField:
		if s := string(value); s != "close" && s != "keep-alive" { // which name no field
			h.said.add(h.asides, connectionField, value)
		}
	}
	h.field = another
}

// endSection begins another section after that of a 1xx answer.
func (h *heads) endSection() {
	if h.status < 100 || h.status >= 200 || h.status == http.StatusSwitchingProtocols {
		h.final = true
		return
	}
	h.asides++
	h.section = section{length: -1}
}

// lines puts together the lines of what comes in pieces.
type lines struct{ begun []byte }

// keptLine is the most memory, in bytes, that stays for the next line.
const keptLine = 4 << 10

// next returns the first line of b without its end, and how much of b it
// takes. One that is not whole yet goes on with the next b. A line is of use
// until the next is asked for.
func (l *lines) next(b []byte) (line []byte, n int, whole bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 { // net/http bounds how long a line may get
		l.begun = append(l.begun, b...)
		return nil, len(b), false
	}
	line = b[:i]
	if len(l.begun) > 0 {
		l.begun = append(l.begun, line...)
		line, l.begun = l.begun, l.begun[:0]
		if cap(l.begun) > keptLine {
			l.begun = nil
		}
	}
	return bytes.TrimSuffix(line, []byte("\r")), i + 1, true
}

// unsaid holds the fields of an answer that net/http takes off its header
// without a word: a Connection that says close, whatever else it names, and
// the Transfer-Encoding of HTTP/1.0. The zero unsaid is ready for use.
type unsaid struct {
	lines    []unsaidLine
	sections int // that have been restored
}

type unsaidLine struct {
	section int
	name    string
	value   string
}

func (u *unsaid) add(section int, field watched, value []byte) {
	u.lines = append(u.lines, unsaidLine{section, watchedNames[field], string(value)})
}

// restore puts on the header of the answer's next section what it lacks.
func (u *unsaid) restore(h http.Header) {
	nth := u.sections
	u.sections++
	_, told := h["Connection"]
	for _, l := range u.lines {
		if l.section != nth || told && l.name == watchedNames[connectionField] {
			continue
		}
		h[l.name] = append(h[l.name], l.value)
	}
}
