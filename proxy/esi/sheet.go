package esi

import "bytes"

// sheet is a page or fragment being written.
type sheet struct {
	a      *assembly
	env    Env
	depth  int
	alone  bool // only one include: nothing is gained by a goroutine
	out    []byte
	report Report
}

// variable writes a value as text. A default is the page's own and stands as it
// is written.
func (s *sheet) variable(p *part) {
	if p.name == "EDGE_USER" {
		s.report.Personal = true
	}
	v, given := s.env.value(p)
	b := []byte(v)
	if given {
		b = appendHTML(nil, v)
	}
	if !s.a.afford(len(b)) {
		return
	}
	s.report.Bytes += int64(len(b))
	s.put(b)
}

// joint is how much of each of two pieces a tag that they make together can
// take up: one byte less than the longest beginning of a tag.
const joint = len("<!--esi") - 1

// put writes a piece that holds no tag of ours.
func (s *sheet) put(b []byte) {
	tail := s.out[max(0, len(s.out)-joint):]
	if bytes.IndexByte(tail, '<') >= 0 {
		var both [2 * joint]byte
		n := copy(both[:], tail)
		n += copy(both[n:], b[:min(len(b), joint)])
		if marked(both[:n]) {
			s.out = append(s.out, ' ')
		}
	}
	s.out = append(s.out, b...)
}

// strip returns b without our tags; what stands between them stays, as for a
// browser that knows none of them. b itself is left alone.
func strip(b []byte) []byte {
	if !marked(b) {
		return b
	}
	s := sheet{out: make([]byte, 0, len(b))}
	for at := 0; at < len(b); {
		next := nextMark(b, at)
		s.put(b[at:next])
		if next == len(b) {
			break
		}
		t, length := tag(b[next:])
		if t.kind == open {
			s.put([]byte("<!--"))
		}
		at = next + length
	}
	return s.out
}
