package esi

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces are what pages of the property tests are made of: all that means
// something to the parser, and what comes near it.
func pieces() []string {
	return []string{
		"<esi:include src=\"/a\"/>", "<esi:include src='/b' alt=\"/a\" onerror=\"continue\">", "</esi:include>", "<esi:include", " src=\"/", "\"", "'", "/>", ">",
		"<esi:try>", "</esi:try>", "<esi:attempt>", "</esi:attempt>", "<esi:except>", "</esi:except>", "<esi:remove>", "</esi:remove>",
		"<esi:comment text=\"x\"/>", "<esi:vars>", "</esi:vars>", "$(HTTP_HOST)", "$(QUERY_STRING{x}|'d')", "$(EDGE_USER", "$(QUERY_STRING)", "<!--esi", "-->", "<!--",
		"<esi:", "</esi:", "<es", "i:", "esi", "<", "</", "<!", "--", "e", "si:", "text ", "<p>", "\xff", "\x00", "é",
	}
}

func somePage(r *rand.Rand) string {
	all := pieces()
	var b strings.Builder
	for range r.IntN(40) {
		b.WriteString(all[r.IntN(len(all))])
	}
	return b.String()
}

// check holds what must hold of any page and any fragment.
func check(t *testing.T, page, fragment, value string) {
	t.Helper()
	tpl := Parse([]byte(page))
	if tpl.Plain() == marked([]byte(page)) {
		t.Fatalf("%q: plain %v", page, tpl.Plain())
	}
	nested := Parse([]byte(fragment))
	fetch := func(_ context.Context, target string, _ int) (Fragment, error) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
			t.Errorf("%q: fetches %q (%v)", page, target, err)
		}
		if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '#' }) {
			t.Errorf("%q: fetches %q", page, target)
		}
		switch {
		case strings.HasPrefix(target, "/a"):
			return Fragment{Status: 200, Body: []byte(fragment)}, nil
		case strings.HasPrefix(target, "/b"):
			return Fragment{Status: 200, Template: nested}, nil
		}
		return Fragment{Status: 404}, nil
	}
	env := Env{Host: "site.example", Path: "/p", Query: "x=" + value, User: value}
	out, report, err := Assemble(context.Background(), tpl, Options{Env: env, Fetch: fetch})
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"<esi:", "</esi:", "<!--esi"} {
		if bytes.Contains(out, []byte(mark)) {
			t.Errorf("%q with %q and %q shows %q", page, fragment, value, out)
		}
	}
	if tpl.Plain() && string(out) != page {
		t.Errorf("%q became %q", page, out)
	}
	if report.Included > 64 || report.Bytes > 8<<20 {
		t.Errorf("%q: %+v", page, report)
	}
}

func TestWhateverComesNoTagIsShown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		check(t, somePage(r), somePage(r), somePage(r))
		if t.Failed() {
			return
		}
	}
}

// TestStripIsTheSameHoweverThePageComes: whole, byte by byte, or in halves of
// what is asked for, but for where a blank keeps two pieces apart.
func TestStripIsTheSameHoweverThePageComes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	long := strings.Repeat("x", stripChunk-4) + `<esi:include src="/` + strings.Repeat("y", maxTag-30)
	for i := range 3000 {
		page := somePage(r)
		switch i % 100 {
		case 1:
			page = long + page
		case 2:
			page = long + "z" + page
		}
		blanks := strings.NewReplacer(" ", "")
		want := blanks.Replace(string(strip([]byte(page))))
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "halves": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(Strip(reader(strings.NewReader(page))))
			if err != nil || marked(got) || blanks.Replace(string(got)) != want {
				t.Fatalf("%q %s: %q, want %q (%v)", page, name, got, want, err)
			}
		}
	}
	broken := errors.New("broken off")
	if got, err := io.ReadAll(Strip(io.MultiReader(strings.NewReader("a<esi:b"), iotest.ErrReader(broken)))); string(got) != "a" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAVisitorsTextStaysText lets the visitor say anything, and demands that a
// page which asks for it has the same tags as one where nothing was said.
func TestAVisitorsTextStaysText(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	tpl := Parse([]byte(`<p title="<esi:vars>$(QUERY_STRING{q})</esi:vars>"><esi:vars>$(QUERY_STRING{q})$(QUERY_STRING)$(EDGE_USER)</esi:vars></p>`))
	for range 2000 {
		said := somePage(r)
		out, _, err := Assemble(context.Background(), tpl, Options{Env: Env{Path: "/", Query: "q=" + url.QueryEscape(said) + "&" + said, User: said}})
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(out), "<"); n != 2 || strings.Count(string(out), `"`) != 2 {
			t.Fatalf("%q became %q", said, out)
		}
		if strings.Contains(html.UnescapeString(string(out)), "\x00") {
			t.Fatalf("%q became %q", said, out)
		}
	}
}

// TestTextAroundAPageChangesNothing: what stands before and after all tags is
// shown, whatever they are.
func TestTextAroundAPageChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s := site{"/a": "A", "/b": "B"}
	for range 2000 {
		page := somePage(r)
		plain, _ := assembled(t, page, s)
		around, _ := assembled(t, "before "+page+"\n<p>after", s)
		if strings.Contains(page, "<esi:") || strings.Contains(page, "<!--esi") || strings.Contains(page, "</esi:") {
			if !strings.HasPrefix(around, "before ") || !strings.HasSuffix(around, "<p>after") {
				t.Fatalf("%q around became %q", page, around)
			}
			continue
		}
		if around != "before "+plain+"\n<p>after" {
			t.Fatalf("%q became %q and %q", page, plain, around)
		}
	}
}

func FuzzAssemble(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		f.Add(somePage(r), somePage(r), somePage(r))
	}
	f.Add(`<esi:try><esi:attempt><esi:include src="/a"/></esi:attempt><esi:except><esi:include src="/b"/></esi:except></esi:try>`, `<es<esi:x/>i:`, `"><esi:`)
	f.Fuzz(check)
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/a", "//b", "http://h/a", "$(QUERY_STRING{x})", "/u/$(QUERY_STRING{x})?$(QUERY_STRING)", "http://$(HTTP_HOST)/\\"} {
		f.Add(s, "v=1", "/p/q")
	}
	f.Fuzz(func(t *testing.T, src, query, path string) {
		env := Env{Host: "h", Path: path, Query: query}
		target, err := env.target(parseAddress(src))
		if err != nil {
			return
		}
		if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || strings.ContainsAny(target, "#\\ \r\n\x00") {
			t.Errorf("%q from %q: %q", src, path, target)
		}
		if u, err := url.ParseRequestURI(target); err != nil || u.Host != "" {
			t.Errorf("%q from %q: %q, %v", src, path, target, err)
		}
	})
}
