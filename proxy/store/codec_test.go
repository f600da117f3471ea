package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"umbral/cachepolicy"
)

func testCodec(t testing.TB, secrets ...string) (*codec, *keyring) {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	var list [][]byte
	for _, s := range secrets {
		list = append(list, []byte(strings.Repeat(s, 32)))
	}
	ring, err := newKeyring(list)
	if err != nil {
		t.Fatal(err)
	}
	return c, ring
}

// fill sets every exported field under v to something that is not zero, so
// that a field which the codec forgets, or which is new, is noticed.
func fill(v reflect.Value, n *int) {
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(int64(1e9+*n), int64(*n)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n)
			fill(value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString("text " + strings.Repeat("x", *n%7) + string(rune('a'+*n)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Uint64:
		v.SetUint(uint64(*n) << 40)
	default:
		panic("the codec's test does not know " + v.Type().String())
	}
}

func fullResponse() *Entry {
	n := 0
	e := &Entry{Key: cachepolicy.Key{1, 2, 3}, Body: []byte("body"), URL: "h/p?q", Owner: &Owner{Session: "s", User: "u"},
		Position: Position{1 << 63, 1 << 52}, Keep: time.Hour, Stored: 1e9 + 2,
		Response: &cachepolicy.Stored{}}
	fill(reflect.ValueOf(e.Response).Elem(), &n)
	e.Response.Unkept = cachepolicy.None // what is not to be kept is never put
	return e
}

func fullIndex() *Entry {
	n := 0
	e := &Entry{Key: cachepolicy.Key{4}, URL: "h/p", Position: Position{1, 2}, Keep: time.Minute,
		Stored: 5e9, Index: &cachepolicy.Index{}}
	fill(reflect.ValueOf(e.Index).Elem(), &n)
	return e
}

// bare copies what a record holds of e.
func bare(e *Entry) Entry {
	return Entry{Key: e.Key, Response: e.Response, Index: e.Index, Body: e.Body, URL: e.URL, Owner: e.Owner,
		Position: e.Position, Keep: e.Keep, Stored: e.Stored}
}

func roundTrip(t testing.TB, c *codec, ring *keyring, e *Entry) {
	t.Helper()
	value, err := c.encode(e, ring)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.decode(e.Key, value, ring)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := bare(e), bare(got); !reflect.DeepEqual(&a, &b) {
		t.Fatalf("put  %+v %+v\ngot  %+v %+v", &a, a.Response, &b, b.Response)
	}
}

func TestCodec(t *testing.T) {
	c, ring := testCodec(t, "a")
	text := bytes.Repeat([]byte("certificado "), 1000)
	noise := make([]byte, 40<<10)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	page := func(body []byte, header ...string) *Entry {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Add(header[i], header[i+1])
		}
		return &Entry{Key: cachepolicy.Key{9}, Body: body, URL: "h/", Stored: 0,
			Response: &cachepolicy.Stored{Status: 200, Fields: cachepolicy.Pack(h)}}
	}
	for name, e := range map[string]*Entry{
		"every field of a response": fullResponse(),
		"every field of an index":   fullIndex(),
		"nothing but a status":      page(nil),
		"text":                      page(text, "Content-Type", "text/html; charset=utf-8"),
		"noise that claims text":    page(noise, "Content-Type", "text/html"),
		"noise":                     page(noise, "Content-Type", "image/png", "Set-Thing", "a", "Set-Thing", "b"),
		"small noise":               page(noise[:100]),
		"zeros":                     page(make([]byte, 3<<20), "Content-Type", "application/json"),
	} {
		t.Run(name, func(t *testing.T) { roundTrip(t, c, ring, e) })
	}
	t.Run("compresses where it pays", func(t *testing.T) {
		for _, tt := range []struct {
			e       *Entry
			smaller bool
		}{
			{page(text, "Content-Type", "text/html"), true},
			{page(text, "Content-Type", "application/ld+json"), true},
			{page(text[:500], "Content-Type", "text/html"), false},
			{page(text, "Content-Type", "image/png"), false},
			{page(text), false},
			{page(text, "Content-Type", "text/html", "Content-Encoding", "gzip"), false},
			{page(noise, "Content-Type", "text/html"), false},
		} {
			value, err := c.encode(tt.e, ring)
			if err != nil {
				t.Fatal(err)
			}
			if smaller := len(value) < len(tt.e.Body); smaller != tt.smaller {
				t.Errorf("%d bytes of %v became %d", len(tt.e.Body), tt.e.Response.Fields, len(value))
			}
		}
	})
	t.Run("refuses an entry that is neither or both", func(t *testing.T) {
		both := fullResponse()
		both.Index = fullIndex().Index
		for _, e := range []*Entry{{}, both} {
			if _, err := c.encode(e, ring); err == nil {
				t.Error("encoded")
			}
		}
	})
	t.Run("refuses more fields than it would read", func(t *testing.T) {
		e := fullResponse()
		e.Response.Tags = make([]string, maxFields+1)
		if _, err := c.encode(e, ring); err != errTooMuch {
			t.Error(err)
		}
	})
}

func TestCodecRoundTripsAnything(t *testing.T) {
	c, ring := testCodec(t, "a")
	check := func(key [32]byte, url, user string, body []byte, header map[string][]string, tags []string, keep int64) bool {
		h := http.Header{}
		for name, values := range header {
			h[fmt.Sprintf("X-%x", name)] = values
		}
		e := &Entry{Key: key, URL: url, Owner: ownedBy(user), Body: body, Keep: time.Duration(keep), Stored: keep ^ 5,
			Response: &cachepolicy.Stored{Fields: cachepolicy.Pack(h), Tags: tags}}
		if len(e.Body) == 0 {
			e.Body = nil
		}
		if len(tags) == 0 {
			e.Response.Tags = nil
		}
		roundTrip(t, c, ring, e)
		return true
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func TestCodecRefusesWhatIsNotWhole(t *testing.T) {
	c, ring := testCodec(t, "a")
	open := fullResponse()
	open.Owner, open.Response.Scope = nil, cachepolicy.Public
	for name, e := range map[string]*Entry{"open": open, "sealed": fullResponse()} {
		value, err := c.encode(e, ring)
		if err != nil {
			t.Fatal(err)
		}
		for i := range value {
			for _, bit := range []byte{1, 0x80} {
				bad := bytes.Clone(value)
				bad[i] ^= bit
				if _, err := c.decode(e.Key, bad, ring); err == nil {
					t.Fatalf("%s: a changed byte %d went unnoticed", name, i)
				}
			}
			if _, err := c.decode(e.Key, value[:i], ring); err == nil {
				t.Fatalf("%s: cut to %d bytes it was read", name, i)
			}
		}
		if _, err := c.decode(e.Key, append(bytes.Clone(value), 0), ring); err == nil {
			t.Errorf("%s: read with a byte too many", name)
		}
		if _, err := c.decode(cachepolicy.Key{7}, value, ring); err == nil {
			t.Errorf("%s: read under another key", name)
		}
	}
}

func TestSealed(t *testing.T) {
	c, both := testCodec(t, "b", "a")
	_, old := testCodec(t, "a")
	_, fresh := testCodec(t, "b")
	_, none := testCodec(t)
	e := fullResponse()
	value, err := c.encode(e, old)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"body", "h/p?q", "text"} {
		if bytes.Contains(value, []byte(secret)) {
			t.Errorf("a sealed page shows %q", secret)
		}
	}
	t.Run("an old secret still opens", func(t *testing.T) {
		if _, err := c.decode(e.Key, value, both); err != nil {
			t.Error(err)
		}
	})
	t.Run("another does not", func(t *testing.T) {
		for _, ring := range []*keyring{fresh, none} {
			if _, err := c.decode(e.Key, value, ring); err != errSealed {
				t.Error(err)
			}
		}
	})
	t.Run("the first secret seals", func(t *testing.T) {
		value, _ := c.encode(e, both)
		if _, err := c.decode(e.Key, value, fresh); err != nil {
			t.Error(err)
		}
	})
	t.Run("without a secret nothing personal is encoded", func(t *testing.T) {
		for _, change := range []func(*Entry){
			func(e *Entry) { e.Owner, e.Response.Scope = &Owner{User: "u"}, 0 },
			func(e *Entry) { e.Owner, e.Response.Scope = &Owner{Session: "s"}, 0 },
			func(e *Entry) { e.Owner, e.Response.Scope = nil, cachepolicy.PerSession },
		} {
			e := fullResponse()
			change(e)
			if _, err := c.encode(e, none); err != errSealed {
				t.Error(err)
			}
		}
	})
	t.Run("two sealings differ", func(t *testing.T) {
		again, _ := c.encode(e, old)
		if bytes.Equal(again, value) {
			t.Error("the same bytes twice")
		}
	})
	t.Run("a short secret is refused", func(t *testing.T) {
		if _, err := newKeyring([][]byte{make([]byte, 31)}); err == nil {
			t.Error("taken")
		}
	})
}

func FuzzDecode(f *testing.F) {
	c, ring := testCodec(f, "a")
	open := fullResponse()
	open.Owner, open.Response.Scope = nil, cachepolicy.Public
	index := fullIndex()
	text := fullResponse()
	text.Owner, text.Response.Scope = nil, cachepolicy.Public
	text.Body = bytes.Repeat([]byte("abc "), 500)
	text.Response.Fields = cachepolicy.Pack(http.Header{"Content-Type": {"text/plain"}})
	for _, e := range []*Entry{open, index, text} {
		value, err := c.encode(e, ring)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value[12:])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := c.decodePayload(payload)
		if err != nil {
			return
		}
		if (e.Response == nil) == (e.Index == nil) {
			t.Fatal("neither response nor index, or both")
		}
		if uint64(len(e.Body)) > maxRaw && len(e.Body) > len(payload) {
			t.Fatal("a body out of nothing")
		}
		// What was read can be written, and reads the same.
		e.Key = cachepolicy.Key{1}
		roundTrip(t, c, ring, e)
	})
}

func FuzzSelectors(f *testing.F) {
	text, _ := encodeSelectors([]Selector{{URL: "h/", Soft: true}, {Prefix: "/"}, {Tag: "t"}, {User: "u"}, {Session: "s"}, {All: true}})
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := decodeSelectors(text)
		if err != nil {
			return
		}
		again, err := encodeSelectors(list)
		if err != nil {
			return // longer than one may write
		}
		if same, err := decodeSelectors(again); err != nil || !reflect.DeepEqual(same, list) {
			t.Fatalf("%v became %v (%v)", list, same, err)
		}
	})
}

func ownedBy(user string) *Owner {
	if user == "" {
		return nil
	}
	return &Owner{User: user}
}
