package cachepolicy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestFields(t *testing.T) {
	h := http.Header{"B": {"2", "", "3"}, "A": {"1: one"}, "C": {}, "D": {"cr\r\nlf"}}
	f := Pack(h)
	if want := "A: 1: one\r\nB: 2\r\nB: \r\nB: 3\r\nD: cr  lf\r\n"; f.String() != want {
		t.Errorf("%q, want %q", f, want)
	}
	if f.Get("B") != "2" || f.Get("A") != "1: one" || f.Get("b") != "" || f.Get("C") != "" {
		t.Error("Get gives another line")
	}
	if !slices.Equal(f.Values("B"), h["B"]) || f.Values("C") != nil {
		t.Error("Values gives other lines")
	}
	if got := f.With("B", "x"); !slices.Equal(got.Values("B"), []string{"x"}) || f.Get("B") != "2" {
		t.Errorf("With: %q", got)
	}
	if got := f.Without("D", "B", "E"); got.String() != "A: 1: one\r\n" || f.Without("b") != f {
		t.Errorf("Without: %q", got)
	}
	if again, ok := ParseFields(f.String()); !ok || again != f {
		t.Error("does not read what it wrote")
	}
	unpacked := f.Header()
	unpacked["B"] = append(unpacked["B"][:1], "changed")
	if unpacked.Get("D") != "cr  lf" || f.Get("B") != "2" {
		t.Error("lines of an unpacked header share their room")
	}
	for _, text := range []string{"A", "A: b", "A: b\n", "A:b\r\n", ": b\r\n", "A: b\nc\r\n", "A b: c\r\n", "\r\n"} {
		if _, ok := ParseFields(text); ok {
			t.Errorf("takes %q", text)
		}
	}
	if (Fields{}).Header() == nil || (Fields{}).Get("A") != "" {
		t.Error("the zero Fields is not empty")
	}
}

func FuzzFields(f *testing.F) {
	f.Add("A: b\r\nA: c\r\nB: \r\n")
	f.Fuzz(func(t *testing.T, text string) {
		fields, ok := ParseFields(text)
		if !ok {
			return
		}
		h := fields.Header()
		again := Pack(h)
		if strings.Count(again.String(), "\r\n") != strings.Count(text, "\r\n") {
			t.Fatalf("%q became %q", text, again)
		}
		if !maps.EqualFunc(again.Header(), h, slices.Equal) {
			t.Fatalf("%q became %q", h, again.Header())
		}
	})
}
