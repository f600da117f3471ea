package proxy

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		field string
		want  Coding
	}{
		{"", Plain},
		{"gzip, deflate, br, zstd", Brotli},
		{"gzip, deflate, br", Brotli},
		{"gzip, deflate", Gzip},
		{"gzip", Gzip},
		{"GZIP", Gzip},
		{"x-gzip", Gzip},
		{"zstd, gzip", Zstd},
		{"gzip;q=1, br;q=0.5", Gzip},
		{"gzip;q=0.5, br;q=0.5", Brotli},
		{"br;q=0, gzip", Gzip},
		{"br;q=0", Plain},
		{"*", Brotli},
		{"*;q=0", Plain},
		{"*, br;q=0", Zstd},
		{"gzip, *;q=0", Gzip},
		{"identity", Plain},
		{"identity;q=0, gzip;q=0.1", Gzip},
		{"identity;q=0.5, gzip;q=0.1", Plain},
		{"identity;q=0.5, gzip;q=0.5", Gzip},
		{"deflate", Plain},
		{"gzip ; q=0.8 , br ; q=0.9", Brotli},
		{"gzip;q=1.5", Plain},
		{"gzip;q=x", Plain},
		{"gzip;q=0.0001", Plain},
		{"gzip;q=.5", Plain},
		{"gzip;q", Plain},
		{"gzip;level=9", Plain},
		{"gzip;Q=1", Gzip},
		{"gzip;q=1.", Gzip},
		{"gzip, gzip;q=0", Plain},
		{"gzip;q=0, gzip", Plain},
		{",,gzip,,", Gzip},
		{"br gzip", Plain},
		{"bröt", Plain},
	} {
		if got := Negotiate([]string{tt.field}); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.field, got, tt.want)
		}
	}
	if got := Negotiate(nil); got != Plain {
		t.Error(got)
	}
	if got := Negotiate([]string{"gzip", "br"}); got != Brotli {
		t.Error(got)
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0", ";q=", "gzip;q=1.0000", "zstd;q=0.001,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		c := Negotiate([]string{field})
		if c >= numCodings {
			t.Fatal(c)
		}
		if c != Plain && !strings.Contains(strings.ToLower(field), c.String()) && !strings.Contains(field, "*") {
			t.Errorf("%q gets %v, which it does not name", field, c)
		}
		if lines := strings.Split(field, ","); Negotiate(lines) != c && len(lines) > 1 {
			t.Errorf("%q: %v in one line, %v in several", field, c, Negotiate(lines))
		}
	})
}

func decoded(t *testing.T, c Coding, b []byte) string {
	t.Helper()
	var r io.Reader
	switch c {
	case Gzip:
		g, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		r = g
	case Zstd:
		// RFC 9659: nobody has to have a window above 8 MiB.
		z, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	case Brotli:
		r = brotli.NewReader(bytes.NewReader(b))
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(c, err)
	}
	return string(all)
}

func TestEncode(t *testing.T) {
	page := strings.Repeat("<li>certificado emitido</li>\n", 10000)
	for c := Gzip; c < numCodings; c++ {
		for range 3 { // the pool's encoders too
			if b := Encode(c, []byte(page)); len(b) > len(page)/10 || decoded(t, c, b) != page {
				t.Errorf("%v: %d bytes of %d", c, len(b), len(page))
			}
		}
		noise := make([]byte, 4096)
		for i, x := 0, uint32(1); i < len(noise); i++ {
			x = x*1664525 + 1013904223
			noise[i] = byte(x >> 24)
		}
		if b := Encode(c, noise); b != nil {
			t.Errorf("%v makes %d of 4096 bytes of noise", c, len(b))
		}
		var out bytes.Buffer
		w := NewEncoder(c, &out)
		io.WriteString(w, "first")
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.Len() == 0 {
			t.Errorf("%v: nothing comes at a flush", c)
		}
		io.WriteString(w, ", second")
		w.Close()
		w.Close()
		if got := decoded(t, c, out.Bytes()); got != "first, second" {
			t.Errorf("%v: %q", c, got)
		}
	}
	if NewEncoder(Plain, io.Discard) != nil || Encode(Plain, []byte(page)) != nil {
		t.Error("Plain is no coding")
	}
}

func TestCompressible(t *testing.T) {
	for kind, want := range map[string]bool{
		"text/html; charset=utf-8": true, "TEXT/CSS": true, "application/json": true, "application/ld+json": true, "image/svg+xml": true,
		"text/event-stream": false, "image/png": false, "application/zip": false, "": false, "font/woff2": false,
	} {
		if got := compressible(http.Header{"Content-Type": {kind}}, 1000); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
	if compressible(http.Header{"Content-Type": {"text/html"}}, minEncode-1) || compressible(http.Header{"Content-Type": {"text/html", "image/png"}}, 1000) || compressible(nil, 1000) {
		t.Error("too small, two types, or none")
	}
}

func TestNegotiateAllocatesNothing(t *testing.T) {
	lines := []string{"gzip;q=0.8, br;q=0.9, *;q=0.1"}
	if n := testing.AllocsPerRun(100, func() { Negotiate(lines) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNegotiate(b *testing.B) {
	for name, field := range map[string]string{"browser": "gzip, deflate, br, zstd", "weights": "gzip;q=0.8, br;q=0.9, *;q=0.1"} {
		lines := []string{field}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Negotiate(lines)
			}
		})
	}
}
