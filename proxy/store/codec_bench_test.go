package store

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"umbral/cachepolicy"
)

func BenchmarkCodec(b *testing.B) {
	c, ring := testCodec(b, "a")
	var text bytes.Buffer
	for i := 0; text.Len() < 16<<10; i++ {
		fmt.Fprintf(&text, "<li><a href=\"/certificado/%d\">Certificado %d</a></li>\n", i*i*7919, i)
	}
	for _, tt := range []struct{ name, kind, user string }{
		{"text", "text/html", ""}, {"image", "image/png", ""}, {"personal", "text/html", "u"},
	} {
		e := &Entry{Key: cachepolicy.Key{1}, URL: "example.org/certificados/", Owner: ownedBy(tt.user), Body: text.Bytes(),
			Position: Position{1 << 60, 1 << 40}, Keep: time.Hour, Stored: time.Now().UnixNano(),
			Response: &cachepolicy.Stored{Status: 200, Fields: cachepolicy.Pack(http.Header{
				"Content-Type": {tt.kind}, "Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}, "Server": {"gunicorn"},
				"Vary": {"Accept-Language"}, "Content-Language": {"es"}, "X-Frame-Options": {"DENY"},
			}), Tags: []string{"certificados"}, ETag: `"0123456789abcdef"`}}
		value, err := c.encode(e, ring)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode "+tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(e.Body)))
			for b.Loop() {
				_, _ = c.encode(e, ring)
			}
			b.ReportMetric(float64(len(value)), "bytes/value")
		})
		b.Run("decode "+tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(e.Body)))
			for b.Loop() {
				if _, err := c.decode(e.Key, value, ring); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
