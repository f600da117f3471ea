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
	s.strip(b, true)
	return s.out
}

// strip puts b without our tags and returns what cannot be judged before more
// has come; nothing of that where b is the last.
func (s *sheet) strip(b []byte, last bool) (rest []byte) {
	for {
		next := nextMark(b, 0)
		if next == len(b) {
			held := 0
			if !last {
				held = begun(b)
			}
			s.put(b[:len(b)-held])
			return b[len(b)-held:]
		}
		s.put(b[:next])
		b = b[next:]
		t, length := tag(b)
		switch {
		case t.kind == open:
			s.put([]byte("<!--"))
		case !last && length == len(b) && b[length-1] != '>' && length < maxTag:
			return b // its end has yet to come
		}
		b = b[length:]
	}
}

// begun is how many bytes at the end of b may be the beginning of a tag.
func begun(b []byte) int {
	tail := b[max(0, len(b)-joint):]
	if i := bytes.IndexByte(tail, '<'); i >= 0 {
		return len(tail) - i
	}
	return 0
}
