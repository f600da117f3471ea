package esi

import (
	"context"
	"strings"
	"testing"
)

// page16k is a page of 16 KiB with n includes spread over it.
func page16k(n int) []byte {
	row := "<tr><td class=\"name\">Ana</td><td>certificado</td></tr>\n"
	var b strings.Builder
	for b.Len() < 16<<10 {
		b.WriteString(row)
		if n > 0 && b.Len() > 1024 {
			b.WriteString(`<esi:include src="/fragment" onerror="continue"/>`)
			n--
		}
	}
	return []byte(b.String())
}

func fragmentOf(n int) Fetch {
	f := Fragment{Status: 200, Body: []byte(strings.Repeat("x", n))}
	return func(context.Context, string, int) (Fragment, error) { return f, nil }
}

func BenchmarkParse(b *testing.B) {
	for name, page := range map[string][]byte{
		"plain": page16k(0), "three": page16k(3),
		"starts": []byte(strings.Repeat("<esi:vars>", 100000)), "broken": []byte(strings.Repeat(`<esi:include src="`, 60000)),
		"comments": []byte(strings.Repeat("<!--esi", 4000) + strings.Repeat("-->x", 250000)),
		"ends":     []byte(strings.Repeat("<esi:try><esi:vars></esi:remove></esi:try>", 25000)),
		"dollars":  []byte("<esi:vars>" + strings.Repeat("$(A|", 250000) + "</esi:vars>"),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(page)
			}
		})
	}
}

func BenchmarkAssemble(b *testing.B) {
	for name, page := range map[string][]byte{
		"one": page16k(1), "three": page16k(3), "ten": page16k(10),
		"vars": []byte("<esi:vars>$(EDGE_USER) $(QUERY_STRING{x})</esi:vars>" + string(page16k(0))),
	} {
		b.Run(name, func(b *testing.B) {
			t, o := Parse(page), Options{Env: visitor, Fetch: fragmentOf(1024)}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Assemble(context.Background(), t, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestAssembleAllocs(t *testing.T) {
	for n, most := range map[int]float64{1: 14, 3: 36} {
		tpl, o := Parse(page16k(n)), Options{Env: visitor, Fetch: fragmentOf(1024)}
		got := testing.AllocsPerRun(100, func() { _, _, _ = Assemble(context.Background(), tpl, o) })
		if got > most {
			t.Errorf("%d includes take %.0f allocations, %.0f at most", n, got, most)
		}
	}
}
