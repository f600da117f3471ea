package esi

import "io"

// Strip reads a page and gives it without our tags, as it comes: for pages too
// large to be assembled. What stands between tags stays, as for a browser that
// knows none of them. It holds back at most one tag (8 KiB).
func Strip(page io.Reader) io.Reader { return &stripper{page: page, in: make([]byte, 0, stripChunk)} }

// stripChunk is how much of the page is read at a time, in bytes.
const stripChunk = 32 << 10

type stripper struct {
	page  io.Reader
	in    []byte // read, and not yet looked at to its end
	s     sheet  // written; its end may yet make a tag with what comes
	given int    // of s.out
	err   error
}

// Read implements io.Reader.
func (r *stripper) Read(p []byte) (int, error) {
	for {
		ready := len(r.s.out) - joint
		if r.err != nil {
			ready = len(r.s.out)
		}
		if ready > r.given {
			n := copy(p, r.s.out[r.given:ready])
			r.given += n
			return n, nil
		}
		if r.err != nil {
			return 0, r.err
		}
		r.s.out = append(r.s.out[:0], r.s.out[r.given:]...)
		r.given = 0
		if len(r.in) == cap(r.in) {
			r.in = append(r.in, 0)[:len(r.in)]
		}
		n, err := r.page.Read(r.in[len(r.in):cap(r.in)])
		r.in, r.err = r.in[:len(r.in)+n], err
		r.in = append(r.in[:0], r.s.strip(r.in, err != nil)...)
	}
}
