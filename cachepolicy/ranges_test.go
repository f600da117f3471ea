package cachepolicy

import (
	"reflect"
	"strings"
	"testing"
)

func TestSelectRanges(t *testing.T) {
	p := mustPolicy(t, pureRule)
	type spans = []Span
	const validators = "ETag: \"a\"\nLast-Modified: "
	for _, row := range []struct {
		name, stored, request string
		size                  int64
		spans                 spans
		status                int
	}{
		{"no range", "", "", 100, nil, 200},
		{"9110 §14.1.2 first bytes", "", "Range: bytes=0-9", 100, spans{{0, 9}}, 206},
		{"9110 §14.1.2 one byte", "", "Range: bytes=5-5", 100, spans{{5, 5}}, 206},
		{"9110 §14.1.2 open end", "", "Range: bytes=90-", 100, spans{{90, 99}}, 206},
		{"9110 §14.1.2 the whole", "", "Range: bytes=0-", 100, spans{{0, 99}}, 206},
		{"9110 §14.1.2 past the end", "", "Range: bytes=90-200", 100, spans{{90, 99}}, 206},
		{"9110 §14.1.2 suffix", "", "Range: bytes=-10", 100, spans{{90, 99}}, 206},
		{"9110 §14.1.2 suffix longer than the whole", "", "Range: bytes=-1000", 100, spans{{0, 99}}, 206},
		{"9110 §14.1.2 suffix of nothing", "", "Range: bytes=-0", 100, nil, 416},
		{"9110 §14.1.2 beyond", "", "Range: bytes=100-", 100, nil, 416},
		{"9110 §14.1.2 beyond, two", "", "Range: bytes=100-, 200-300", 100, nil, 416},
		{"9110 §14.1.2 one beyond, one within", "", "Range: bytes=100-, 1-2", 100, spans{{1, 2}}, 206},
		{"9110 §14.1.2 backwards", "", "Range: bytes=9-0", 100, nil, 200},
		{"9110 §14.1.2 past 2^63", "", "Range: bytes=0-99999999999999999999", 100, spans{{0, 99}}, 206},
		{"9110 §14.1.2 from past 2^63", "", "Range: bytes=99999999999999999999-", 100, nil, 416},
		{"9110 §14.1.2 suffix past 2^63", "", "Range: bytes=-99999999999999999999", 100, spans{{0, 99}}, 206},
		{"9110 §14.1.2 nothing stored", "", "Range: bytes=0-", 0, nil, 416},
		{"9110 §14.1.2 nothing stored, suffix", "", "Range: bytes=-5", 0, nil, 200},
		{"9110 §14.1 unit in another case", "", "Range: BYTES=0-9", 100, spans{{0, 9}}, 206},
		{"9110 §14.1 another unit", "", "Range: lines=0-9", 100, nil, 200},
		{"9110 §14.2 no unit", "", "Range: 0-9", 100, nil, 200},
		{"9110 §14.2 no set", "", "Range: bytes=", 100, nil, 200},
		{"9110 §14.2 commas only", "", "Range: bytes=,,", 100, nil, 200},
		{"9110 §14.2 dash only", "", "Range: bytes=-", 100, nil, 200},
		{"9110 §14.2 letters", "", "Range: bytes=a-b", 100, nil, 200},
		{"9110 §14.2 plus", "", "Range: bytes=+1-5", 100, nil, 200},
		{"9110 §14.2 two dashes", "", "Range: bytes=1-2-3", 100, nil, 200},
		{"9110 §14.2 negative", "", "Range: bytes=--5", 100, nil, 200},
		{"9110 §14.2 space before =", "", "Range: bytes =0-9", 100, nil, 200},
		{"9110 §14.2 space within", "", "Range: bytes=0 -9", 100, nil, 200},
		{"9110 §14.2 one good, one malformed", "", "Range: bytes=0-9,x", 100, nil, 200},
		{"9110 §14.2 lines", "", "Range: bytes=0-9\nRange: bytes=20-29", 100, nil, 200},
		{"9110 §14.2 space after commas", "", "Range: bytes=0-9 ,\t 200-209", 1000, spans{{0, 9}, {200, 209}}, 206},
		{"9110 §15.3.7.2 in the order asked", "", "Range: bytes=200-209,0-9", 1000, spans{{200, 209}, {0, 9}}, 206},
		{"9110 §15.3.7.2 three", "", "Range: bytes=0-9,200-209,-10", 1000, spans{{0, 9}, {200, 209}, {990, 999}}, 206},
		{"9110 §15.3.7.2 near ones are one", "", "Range: bytes=0-9,20-29", 1000, spans{{0, 29}}, 206},
		{"9110 §15.3.7.2 touching ones are one", "", "Range: bytes=10-19,0-9", 1000, spans{{0, 19}}, 206},
		{"9110 §15.3.7.2 overlapping ones are one", "", "Range: bytes=0-99,50-149", 1000, spans{{0, 149}}, 206},
		{"9110 §15.3.7.2 one within another", "", "Range: bytes=0-99,50-60", 1000, spans{{0, 99}}, 206},
		{"9110 §14.2 many overlapping", "", "Range: bytes=0-,1-,2-,3-", 1000, nil, 200},
		{"9110 §14.2 the whole, thrice", "", "Range: bytes=0-,0-,0-", 1000, nil, 200},
		{"9110 §14.2 too many", "", "Range: bytes=" + strings.Repeat("0-0,", 17), 1000, nil, 200},
		{"9110 §13.1.5 tag", validators + at(-5), "Range: bytes=0-9\nIf-Range: \"a\"", 100, spans{{0, 9}}, 206},
		{"9110 §13.1.5 another tag", validators + at(-5), "Range: bytes=0-9\nIf-Range: \"b\"", 100, nil, 200},
		{"9110 §13.1.5 weak tag", "ETag: W/\"a\"", "Range: bytes=0-9\nIf-Range: W/\"a\"", 100, nil, 200},
		{"9110 §13.1.5 weak for strong", validators + at(-5), "Range: bytes=0-9\nIf-Range: W/\"a\"", 100, nil, 200},
		{"9110 §13.1.5 a list is none", validators + at(-5), "Range: bytes=0-9\nIf-Range: \"a\", \"b\"", 100, nil, 200},
		{"9110 §13.1.5 no tag stored", "", "Range: bytes=0-9\nIf-Range: \"a\"", 100, nil, 200},
		{"9110 §13.1.5 date", validators + at(-5), "Range: bytes=0-9\nIf-Range: " + at(-5), 100, spans{{0, 9}}, 206},
		{"9110 §13.1.5 later date", validators + at(-5), "Range: bytes=0-9\nIf-Range: " + at(-4), 100, nil, 200},
		{"9110 §13.1.5 earlier date", validators + at(-5), "Range: bytes=0-9\nIf-Range: " + at(-6), 100, nil, 200},
		{"9110 §8.8.2.2 date of the same second is weak", validators + at(0), "Range: bytes=0-9\nIf-Range: " + at(0), 100, nil, 200},
		{"9110 §13.1.5 neither", validators + at(-5), "Range: bytes=0-9\nIf-Range: a", 100, nil, 200},
		{"9110 §13.1.5 does not hold, beyond", validators + at(-5), "Range: bytes=100-\nIf-Range: \"b\"", 100, nil, 200},
		{"9110 §13.1.5 without a range", validators + at(-5), "If-Range: \"b\"", 100, nil, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := store(t, p, get(t, ""), answer(t, 200, "Cache-Control: max-age=60\n"+row.stored))
			r := get(t, row.request)
			spans, status := SelectRanges(r, s, row.size)
			if status != row.status || !reflect.DeepEqual(spans, row.spans) {
				t.Errorf("%v, %d; want %v, %d", spans, status, row.spans, row.status)
			}
			r.Method = "HEAD"
			if spans, status := SelectRanges(r, s, row.size); status != 200 || spans != nil {
				t.Error("9110 §14.2: Range is for GET only")
			}
		})
	}
	s := store(t, p, get(t, ""), answer(t, 404, "Cache-Control: max-age=60"))
	if _, status := SelectRanges(get(t, "Range: bytes=0-9"), s, 100); status != 200 {
		t.Error("9110 §14.2: Range is for what would be a 200")
	}
	part := store(t, p, get(t, "Range: bytes=10-19"), answer(t, 206, "Cache-Control: max-age=60\nContent-Range: bytes 10-19/100"))
	if spans, status := SelectRanges(get(t, "Range: bytes=12-15"), part, 10); status != 206 || !reflect.DeepEqual(spans, []Span{{12, 15}}) {
		t.Errorf("9111 §3.3: a range within a part: %v, %d", spans, status)
	}
}

func TestIfRangeByDate(t *testing.T) {
	for fields, want := range map[string]bool{
		"":                                 false,
		"Range: bytes=0-9":                 false,
		"If-Range: \"a\"":                  false,
		"If-Range: W/\"a\"":                false,
		"If-Range: " + at(-5):              true,
		"If-Range: a":                      true,
		"If-Range: \"a\"\nIf-Range: \"b\"": false,
	} {
		if got := IfRangeByDate(get(t, fields)); got != want {
			t.Errorf("9110 §13.1.5 %q: %v", fields, got)
		}
	}
}

func TestCombine(t *testing.T) {
	p := mustPolicy(t, pureRule)
	part := func(fields, contentRange string) *Stored {
		return store(t, p, get(t, "Range: bytes=0-1"), answer(t, 206, "Cache-Control: max-age=60\nContent-Range: bytes "+contentRange+"\n"+fields))
	}
	p.Rule.MaxObject = 1000
	for _, row := range []struct {
		name   string
		a, b   *Stored
		ok     bool
		status int
		part   *Part
	}{
		{"9111 §3.4 touching", part(`ETag: "a"`, "0-4/20"), part(`ETag: "a"`, "5-9/20"), true, 206, &Part{0, 9, 20}},
		{"9111 §3.4 touching in front", part(`ETag: "a"`, "5-9/20"), part(`ETag: "a"`, "0-4/20"), true, 206, &Part{0, 9, 20}},
		{"9111 §3.4 overlapping", part(`ETag: "a"`, "0-7/20"), part(`ETag: "a"`, "5-9/20"), true, 206, &Part{0, 9, 20}},
		{"9111 §3.4 whole", part(`ETag: "a"`, "0-4/10"), part(`ETag: "a"`, "5-9/10"), true, 200, nil},
		{"9111 §3.4 a gap", part(`ETag: "a"`, "0-4/20"), part(`ETag: "a"`, "6-9/20"), false, 0, nil},
		{"9111 §3.4 another tag", part(`ETag: "a"`, "0-4/20"), part(`ETag: "b"`, "5-9/20"), false, 0, nil},
		{"9111 §3.4 weak tags", part(`ETag: W/"a"`, "0-4/20"), part(`ETag: W/"a"`, "5-9/20"), false, 0, nil},
		{"9111 §3.4 no tags", part("", "0-4/20"), part("", "5-9/20"), false, 0, nil},
		{"9111 §3.4 dates", part("Last-Modified: "+at(-99), "0-4/20"), part("Last-Modified: "+at(-99), "5-9/20"), false, 0, nil},
		{"CACHING §4 as large as may be", part(`ETag: "a"`, "0-499/2000"), part(`ETag: "a"`, "500-999/2000"), true, 206, &Part{0, 999, 2000}},
		{"CACHING §4 too large", part(`ETag: "a"`, "0-499/2000"), part(`ETag: "a"`, "500-1000/2000"), false, 0, nil},
		{"CACHING §4 little to much", part(`ETag: "a"`, "0-499/2000"), part(`ETag: "a"`, "500-504/2000"), false, 0, nil},
		{"CACHING §4 little to much, and so the whole", part(`ETag: "a"`, "0-499/505"), part(`ETag: "a"`, "500-504/505"), true, 200, nil},
		{"9111 §3.4 another length", part(`ETag: "a"`, "0-4/20"), part(`ETag: "a"`, "5-9/21"), false, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, ok := p.Combine(row.a, row.b)
			if ok != row.ok {
				t.Fatalf("combined: %v", ok)
			}
			if ok && (out.Status != row.status || !reflect.DeepEqual(out.Part, row.part)) {
				t.Errorf("%d %v, want %d %v", out.Status, out.Part, row.status, row.part)
			}
		})
	}
	a := part("ETag: \"a\"\nX-A: 1\nX-Both: 1\nContent-MD5: a", "0-4/20")
	b := part("ETag: \"a\"\nX-Both: 2\nContent-Digest: sha-256=:b:\nRepr-Digest: sha-256=:ab:", "5-9/20")
	out, _ := p.Combine(a, b)
	if out.Fields.Get("X-A") != "1" || out.Fields.Get("X-Both") != "2" || out.Fields.Get("Content-Range") != "bytes 0-9/20" {
		t.Errorf("9111 §3.4: the new header wins: %v", out.Fields)
	}
	if out.Fields.Get("Content-Digest") != "" || out.Fields.Get("Content-Md5") != "" || out.Fields.Get("Repr-Digest") != "sha-256=:ab:" {
		t.Errorf("9530 §2: a digest of one part's content: %v", out.Fields)
	}
}

func TestMissing(t *testing.T) {
	const signed = "Authorization: Basic YTpi"
	bounded, unlisted := pureRule, Rule{StaleWhileRevalidate: -1, StaleIfError: -1}
	bounded.MaxObject = 10
	for _, row := range []struct {
		name            string
		rule            Rule
		fields, request string
		want            string
	}{
		{"9111 §3.4 the end", pureRule, "Content-Range: bytes 0-4/10\nETag: \"a\"", "", "bytes=5-"},
		{"9111 §3.4 the beginning", pureRule, "Content-Range: bytes 5-9/10\nETag: \"a\"", "", "bytes=0-4"},
		{"9111 §3.4 both", pureRule, "Content-Range: bytes 3-4/10\nETag: \"a\"", "", ""},
		{"9111 §3.4 nothing: it is the whole", pureRule, "Content-Range: bytes 0-9/10\nETag: \"a\"", "", ""},
		{"9111 §3.4 a weak tag", pureRule, "Content-Range: bytes 0-4/10\nETag: W/\"a\"", "", ""},
		{"9111 §3.4 no tag", pureRule, "Content-Range: bytes 0-4/10", "", ""},
		{"9111 §3.4 for a range", pureRule, "Content-Range: bytes 0-4/10\nETag: \"a\"", "Range: bytes=0-5", ""},
		{"9111 §3.5 with Authorization", pureRule, "Content-Range: bytes 0-4/10\nETag: \"a\"", signed, ""},
		{"9111 §3.5 with Authorization, public", pureRule, "Content-Range: bytes 0-4/10\nETag: \"a\"\nCache-Control: public", signed, "bytes=5-"},
		{"9111 §3.5 with a cookie on an unlisted path", unlisted, "Content-Range: bytes 0-4/10\nETag: \"a\"", "Cookie: a=b", ""},
		{"CACHING §4 as much as is stored", bounded, "Content-Range: bytes 0-4/10\nETag: \"a\"", "", "bytes=5-"},
		{"CACHING §4 more than is stored", bounded, "Content-Range: bytes 0-4/11\nETag: \"a\"", "", ""},
	} {
		p := mustPolicy(t, row.rule)
		resp := answer(t, 206, "Cache-Control: max-age=60\n"+row.fields)
		s := store(t, p, get(t, "Range: bytes=0-"), resp)
		r := get(t, row.request)
		r.Cookie = r.Header.Get("Cookie")
		if got, tag, ok := p.Missing(r, s); got != row.want || ok != (row.want != "") || ok && tag != `"a"` {
			t.Errorf("%s: %q %q %v, want %q", row.name, got, tag, ok, row.want)
		}
	}
}
