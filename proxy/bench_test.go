package proxy

import (
	"regexp"
	"testing"
)

func BenchmarkExpress(b *testing.B) {
	d := newBed(b, 64<<20, pages, expressRules...)
	login, _ := d.dial(b).ask(plain("/off/login?anna"))
	cookie := "Cookie: " + regexp.MustCompile(`Set-Cookie: (umbral=[^;]+)`).FindStringSubmatch(login)[1]
	c := &visitorConn{Conn: nowhere{}, express: d.express}
	for _, row := range []struct {
		name, raw string
		most      float64 // allocations
	}{
		{"public", plain("/public/a"), 2},
		{"session", plain("/mine/a", cookie), 3},
		{"304", plain("/public/a", "If-None-Match: *"), 3},
	} {
		for range 3 { // what a copy's second hit works out is kept
			d.dial(b).ask(plain("/public/a"))
			d.dial(b).ask(plain("/mine/a", cookie))
		}
		raw := []byte(row.raw)
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !d.express.serve(c, raw) {
					b.Fatal("express does not answer")
				}
			}
			if n := testing.AllocsPerRun(100, func() { d.express.serve(c, raw) }); n > row.most {
				b.Errorf("%v allocations, %v at most", n, row.most)
			}
		})
	}
}
