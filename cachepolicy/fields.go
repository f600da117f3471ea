package cachepolicy

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Fields is a header section, packed: a map of it costs four hundred bytes
// more, for each of a hundred thousand pages. Its text is
//
//	fields = *( name ":" SP value CRLF )
//
// sorted by name, the values of one name in their order. The zero Fields has
// no field. Fields are immutable and compare by ==.
type Fields struct{ text string }

// oneLine makes a value fit into a line; net/http would do the same on the
// way out.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// Pack packs h. Names are taken as they are: in canonical form.
func Pack(h http.Header) Fields {
	size := 0
	for name, lines := range h {
		for _, line := range lines {
			size += len(name) + len(line) + len(": \r\n")
		}
	}
	var b strings.Builder
	b.Grow(size)
	var room [32]string
	names := room[:0]
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, line := range h[name] {
			b.WriteString(name)
			b.WriteString(": ")
			b.WriteString(oneLine.Replace(line))
			b.WriteString("\r\n")
		}
	}
	return Fields{b.String()}
}

// ParseFields takes what String gave. ok is false where that is not so.
func ParseFields(text string) (f Fields, ok bool) {
	for rest := text; rest != ""; {
		var line string
		if line, rest, ok = strings.Cut(rest, "\r\n"); !ok {
			return Fields{}, false
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n") {
			return Fields{}, false
		}
	}
	return Fields{text}, true
}

// String is the fields as they go over the wire in HTTP/1.1, without the
// empty line that ends them.
func (f Fields) String() string { return f.text }

// All yields the fields in their order, a name with several lines several
// times.
func (f Fields) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for rest := f.text; rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\r\n")
			name, value, _ := strings.Cut(line, ": ")
			if !yield(name, value) {
				return
			}
		}
	}
}

// Get is the first line of a field, "" if there is none.
func (f Fields) Get(name string) string {
	for n, value := range f.All() {
		if n == name {
			return value
		}
	}
	return ""
}

// Values are all lines of a field, nil if there is none.
func (f Fields) Values(name string) (lines []string) {
	for n, value := range f.All() {
		if n == name {
			lines = append(lines, value)
		}
	}
	return lines
}

// Header unpacks the fields into a map of its own.
func (f Fields) Header() http.Header {
	h := make(http.Header, strings.Count(f.text, "\r\n"))
	f.AddTo(h)
	return h
}

// AddTo adds the fields to h.
func (f Fields) AddTo(h http.Header) {
	all := make([]string, 0, strings.Count(f.text, "\r\n"))
	for name, value := range f.All() {
		all = append(all, value)
		if before, ok := h[name]; ok {
			h[name] = append(before, value)
			continue
		}
		h[name] = all[len(all)-1 : len(all) : len(all)]
	}
}

// Without is f less the lines of some fields.
func (f Fields) Without(names ...string) Fields {
	h := f.Header()
	before := len(h)
	for _, name := range names {
		delete(h, name)
	}
	if len(h) == before {
		return f
	}
	return Pack(h)
}

// With is f with one line for name in place of those that it has.
func (f Fields) With(name, value string) Fields {
	h := f.Header()
	h[name] = []string{value}
	return Pack(h)
}
