package esi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// site answers from a map; what it does not hold is a 404, and a body that
// begins with "esi!" is a page of a route that switches ESI on.
type site map[string]string

func (s site) fetch(_ context.Context, target string, _ int) (Fragment, error) {
	body, ok := s[target]
	if !ok {
		return Fragment{Status: http.StatusNotFound, Body: []byte("not found")}, nil
	}
	if page, on := strings.CutPrefix(body, "esi!"); on {
		return Fragment{Status: http.StatusOK, Template: Parse([]byte(page))}, nil
	}
	return Fragment{Status: http.StatusOK, Body: []byte(body)}, nil
}

var visitor = Env{Host: "site.example", Path: "/page/one", Query: "x=1&nombre=Ana+Mar%C3%ADa&bad=%3Cesi%3Aremove%3E%22&p=a%2Fb&dots=..", User: "ana"}

func assembled(t testing.TB, page string, s site) (string, Report) {
	t.Helper()
	out, report, err := Assemble(context.Background(), Parse([]byte(page)), Options{Env: visitor, Fetch: s.fetch})
	if err != nil {
		t.Fatal(err)
	}
	return string(out), report
}

func TestAssemble(t *testing.T) {
	s := site{
		"/a": "A", "/b": "B", "/page/c": "C", "/d?x=1&y=2": "D", "/q?n=Ana%20Mar%C3%ADa": "Q", "/é": "never", "/%C3%A9": "E",
		"/nested": "esi![<esi:include src=\"/a\"/><esi:include src=\"/missing\"/>]", "/vars?x=7": "esi!<esi:vars>$(QUERY_STRING{x})$(HTTP_HOST)</esi:vars>",
		"/raw": `R<esi:include src="/a"/><esi:remove>r</esi:remove><!--esi c-->`, "/empty": "", "/all?x=1&nombre=Ana+Mar%C3%ADa&bad=%3Cesi%3Aremove%3E%22&p=a%2Fb&dots=..": "ALL",
		"/u/ana": "U", "/u/nobody": "N", "/sub/x": "X",
	}
	for _, c := range []struct{ name, page, want string }{
		{"no tag", "<p>esi: <!-- esi --> $(HTTP_HOST)", "<p>esi: <!-- esi --> $(HTTP_HOST)"},
		{"include", `1<esi:include src="/a"/>2`, "1A2"},
		{"include with single quotes and blanks", "1<esi:include\n\tsrc = '/a' />2", "1A2"},
		{"include without slash", `1<esi:include src="/a">2`, "1A2"},
		{"include with end tag", `1<esi:include src="/a"></esi:include>2`, "1A2"},
		{"what stands in an include is left out", `1<esi:include src="/a">x<b>y</b></esi:include>2`, "1A2"},
		{"an end belongs to the last start", `<esi:include src="/a">1<esi:include src="/b"></esi:include>2`, "A1B2"},
		{"page order", `<esi:include src="/b"/><esi:include src="/a"/><esi:include src="/b"/>`, "BAB"},
		{"relative", `<esi:include src="c"/><esi:include src="../sub/x"/>`, "CX"},
		{"whole address of the same host", `<esi:include src="http://Site.example/a"/><esi:include src="https://site.example:443/b#f"/>`, "AB"},
		{"XML entities in an address", `<esi:include src="/d?x=1&amp;y=2"/><esi:include src="/d?x=1&y=2"/>`, "DD"},
		{"letters beyond ASCII", `<esi:include src="/é"/>`, "E"},
		{"empty fragment", `1<esi:include src="/empty"/>2`, "12"},
		{"alt", `<esi:include src="/missing" alt="/b"/>`, "B"},
		{"alt after a refused src", `<esi:include src="//other/x" alt="/b"/>`, "B"},
		{"onerror", `1<esi:include src="/missing" onerror="continue"/>2`, "12"},
		{"nothing at the top level", `1<esi:include src="/missing"/>2`, "12"},
		{"neither src nor alt", `1<esi:include src="/missing" alt="/gone"/>2`, "12"},

		{"attempt", `<esi:try> <esi:attempt>1<esi:include src="/a"/></esi:attempt> x <esi:except>2</esi:except> </esi:try>`, "1A"},
		{"except", `<esi:try><esi:attempt>1<esi:include src="/a"/><esi:include src="/missing"/>3</esi:attempt><esi:except>2<esi:include src="/b"/></esi:except></esi:try>`, "2B"},
		{"onerror keeps the attempt", `<esi:try><esi:attempt>1<esi:include src="/missing" onerror="continue"/></esi:attempt><esi:except>2</esi:except></esi:try>`, "1"},
		{"attempt alone", `1<esi:try><esi:attempt><esi:include src="/missing"/>x</esi:attempt></esi:try>2`, "12"},
		{"except first", `<esi:try><esi:except>2</esi:except><esi:attempt><esi:include src="/a"/></esi:attempt></esi:try>`, "A"},
		{"inner except", `<esi:try><esi:attempt>1<esi:try><esi:attempt><esi:include src="/missing"/></esi:attempt><esi:except>in</esi:except></esi:try></esi:attempt><esi:except>out</esi:except></esi:try>`, "1in"},
		{"inner except fails too", `<esi:try><esi:attempt>1<esi:try><esi:attempt><esi:include src="/missing"/></esi:attempt><esi:except><esi:include src="/gone"/></esi:except></esi:try></esi:attempt><esi:except>out</esi:except></esi:try>`, "out"},
		{"what follows a failed attempt", `<esi:try><esi:attempt><esi:include src="/missing"/><esi:include src="/a"/><esi:try><esi:attempt><esi:include src="/a"/></esi:attempt></esi:try></esi:attempt><esi:except>E</esi:except></esi:try><esi:include src="/b"/>`, "EB"},
		{"the except at the top level shows what it can", `<esi:try><esi:attempt><esi:include src="/missing"/></esi:attempt><esi:except>1<esi:include src="/gone"/>2</esi:except></esi:try>`, "12"},

		{"remove", `1<esi:remove><a href="/a">a</a><esi:include src="/a"/></esi:remove>2`, "12"},
		{"remove in remove", `1<esi:remove>x<esi:remove>y</esi:remove>z</esi:remove>2`, "12"},
		{"comment", `1<esi:comment text="<b"/><esi:comment text="it's > this"/>2`, `1<b"/>2`},
		{"ESI comment", `1<!--esi <p><esi:include src="/a"/></p>-->2`, "1 <p>A</p>2"},
		{"ESI comment in ESI comment", `1<!--esi a<!--esi b-->c-->2`, "1 a bc2"},
		{"HTML comments stay", `<!-- x --><!--esi-->--><!---->`, `<!-- x -->--><!---->`},
		{"ESI comment without end", `1<!--esi <b>2</b>`, "1 <b>2</b>"},

		{"vars", `<esi:vars>$(HTTP_HOST) $(QUERY_STRING{x}) $(EDGE_USER)</esi:vars> $(HTTP_HOST)`, "site.example 1 ana $(HTTP_HOST)"},
		{"decoded", `<esi:vars>$(QUERY_STRING{nombre})</esi:vars>`, "Ana María"},
		{"never a tag", `<esi:vars>$(QUERY_STRING{bad})</esi:vars>`, "&lt;esi:remove&gt;&#34;"},
		{"whole query", `<esi:vars>$(QUERY_STRING)</esi:vars>`, "x=1&amp;nombre=Ana+Mar%C3%ADa&amp;bad=%3Cesi%3Aremove%3E%22&amp;p=a%2Fb&amp;dots=.."},
		{"default", `<esi:vars>$(QUERY_STRING{none}|<i>nobody</i>)$(QUERY_STRING{none}|'a)b')$(QUERY_STRING{none})$(QUERY_STRING{x}|2)</esi:vars>`, "<i>nobody</i>a)b1"},
		{"no variable", `<esi:vars>$(document).ready($('#a'), $(A{), $(A|'x), $(), $(QUERY_STRING{x}</esi:vars>`, "$(document).ready($('#a'), $(A{), $(A|'x), $(), $(QUERY_STRING{x}"},
		{"not our variable", `<esi:vars>[$(HTTP_COOKIE{sessionid})][$(HTTP_USER_AGENT|x)][$(EDGE_USER{a})][$(HTTP_HOST{a})]</esi:vars>`, "[][x][][]"},
		{"include in vars", `<esi:vars>$(QUERY_STRING{x})<esi:include src="/a"/>$(QUERY_STRING{x})</esi:vars>`, "1A1"},
		{"vars in comment and try", `<esi:vars><!--esi $(EDGE_USER)--><esi:try><esi:attempt>$(EDGE_USER)</esi:attempt></esi:try></esi:vars>`, " anaana"},
		{"in src", `<esi:include src="/q?n=$(QUERY_STRING{nombre})"/><esi:include src="http://$(HTTP_HOST)/a"/><esi:include src="/u/$(EDGE_USER)"/>`, "QAU"},
		{"in alt", `<esi:include src="/missing" alt="/u/$(EDGE_USER)"/>`, "U"},
		{"default in src", `<esi:include src="/u/$(QUERY_STRING{none}|nobody)"/><esi:include src="$(QUERY_STRING{none}|'/u/nobody')"/>`, "NN"},
		{"query handed on", `<esi:include src="/all?$(QUERY_STRING)"/>`, "ALL"},
		{"a value is one segment", `1<esi:include src="/u/$(QUERY_STRING{p})"/><esi:include src="/sub/$(QUERY_STRING{dots})/a"/><esi:include src="/$(QUERY_STRING)"/>2`, "12"},
		{"no host from nothing", `1<esi:include src="/$(QUERY_STRING{none})/a"/>2`, "12"},

		{"nested", `<esi:include src="/nested"/>`, "[A]"},
		{"a fragment's own query", `<esi:include src="/vars?x=7"/>`, "7site.example"},
		{"tags of a fragment that may have none", `<esi:include src="/raw"/>`, `Rr<!-- c-->`},

		{"unknown", `1<esi:inline name="x"/>2<esi:choose><esi:when test="$(EDGE_USER)=='root'">secret</esi:when></esi:choose>3<esi:foo>4`, "1234"},
		{"in the wrong place", `1<esi:attempt>x</esi:attempt><esi:except>y</esi:except></esi:try></esi:include>2`, "12"},
		{"without src", `1<esi:include/><esi:include alt="/a"/><esi:include src=""/><esi:include src=" "/>2`, "12"},
		{"broken", `1<esi:include src=/a/>2<esi:include src="/a"alt="/b"/>3<esi:include src="/a" src="/b"/>4<esi:>5</esi:>6<esi:include src="/a>7`, "1234567"},
		{"broken ends before the next tag", `1<esi:include src="/a <p>2</p>`, `1<p>2</p>`},
		{"broken at the end", `1<esi:include src="/a`, "1"},
		{"case counts", `<ESI:include src="/a"/>`, `<ESI:include src="/a"/>`},
		{"starts without end", `1<esi:remove>2<esi:vars>3<esi:try>4<esi:attempt>5<esi:include src="/a"/>`, "12345A"},
		{"crossed", `1<esi:vars>2<esi:remove>3</esi:vars>4</esi:remove>5`, "12345"},
		{"an end in a comment", `<esi:try>1<!--esi </esi:try>-->2`, "2"},
		{"a tag made of pieces", `<es<esi:remove>x</esi:remove>i:include src="/a"/>`, `<es i:include src="/a"/>`},
		{"a comment made of pieces", `<!<esi:comment text=""/>--<esi:comment text=""/>esi x-->`, `<!-- esi x-->`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := assembled(t, c.page, s); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.page, got, c.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	fetch := func(_ context.Context, target string, depth int) (Fragment, error) {
		f := Fragment{Status: 200, Body: []byte("12345"), HasTTL: true}
		switch target {
		case "/long":
			f.TTL = time.Hour
		case "/short":
			f.TTL = time.Minute
		case "/mine":
			f.Personal, f.HasTTL = true, false
		case "/deep":
			f.Template, f.Body = Parse([]byte(`ab<esi:include src="/short"/><esi:include src="/none"/>`)), nil
			f.HasTTL = false
		default:
			return Fragment{}, errors.New("refused at " + fmt.Sprint(depth))
		}
		return f, nil
	}
	for _, c := range []struct {
		page string
		want Report
		err  string
	}{
		{page: "nothing"},
		{page: `<esi:include src="/long"/><esi:include src="/short"/>`, want: Report{Included: 2, Bytes: 10, TTL: time.Minute, HasTTL: true}},
		{page: `<esi:include src="/none" alt="/long"/>`, want: Report{Included: 1, Alternatives: 1, Bytes: 5, TTL: time.Hour, HasTTL: true}},
		{page: `<esi:include src="/none"/><esi:include src="/none2" onerror="continue"/>`, want: Report{Failed: 2}, err: "esi: /none: refused at 1"},
		{page: `<esi:include src="/mine"/>`, want: Report{Included: 1, Bytes: 5, Personal: true}},
		{page: `<esi:vars>$(EDGE_USER)$(QUERY_STRING{x})</esi:vars>`, want: Report{Bytes: 4, Personal: true}},
		{page: `<esi:vars>$(QUERY_STRING{x})</esi:vars>`, want: Report{Bytes: 1}},
		{page: `<esi:include src="/$(EDGE_USER)"/>`, want: Report{Failed: 1, Personal: true}, err: "esi: /ana: refused at 1"},
		{page: `<esi:include src="/deep"/>`, want: Report{Included: 2, Failed: 1, Bytes: 7, TTL: time.Minute, HasTTL: true}, err: "esi: /none: refused at 2"},
		{page: `<esi:try><esi:attempt><esi:include src="/short"/><esi:include src="/none"/></esi:attempt><esi:except><esi:include src="/long"/></esi:except></esi:try>`,
			want: Report{Included: 1, Failed: 1, Bytes: 5, TTL: time.Hour, HasTTL: true}, err: "esi: /none: refused at 1"},
	} {
		_, got, err := Assemble(context.Background(), Parse([]byte(c.page)), Options{Env: visitor, Fetch: fetch})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if got.Err != nil {
			text = got.Err.Error()
		}
		if got.Err = nil; got != c.want || text != c.err {
			t.Errorf("%s\n got %+v %s\nwant %+v %s", c.page, got, text, c.want, c.err)
		}
	}
}

func includes(n int, src string) string {
	return strings.Repeat(`<esi:include src="`+src+`"/>`, n)
}

func TestFragmentsAreFetchedInParallelWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		fetch := func(context.Context, string, int) (Fragment, error) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second) // of the bubble's clock
			now.Add(-1)
			return Fragment{Status: 200, Body: []byte(".")}, nil
		}
		began := time.Now()
		out, _, err := Assemble(t.Context(), Parse([]byte(includes(12, "/a"))), Options{Env: visitor, Fetch: fetch, Limits: Limits{Concurrent: 4}})
		if err != nil || len(out) != 12 || most.Load() != 4 || time.Since(began) != 3*time.Second {
			t.Errorf("%q, %v, %d at a time, %s", out, err, most.Load(), time.Since(began))
		}
	})
}

func TestNestedFragmentsDoNotStarveEachOther(t *testing.T) {
	s := site{"/a": "esi!(" + includes(2, "/b") + ")", "/b": "esi!" + includes(1, "/c"), "/c": "c"}
	out, _, err := Assemble(context.Background(), Parse([]byte(includes(3, "/a"))), Options{Env: visitor, Fetch: s.fetch, Limits: Limits{Concurrent: 1}})
	if err != nil || string(out) != "(cc)(cc)(cc)" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestLimits(t *testing.T) {
	s := site{"/self": "esi!x" + includes(1, "/self"), "/two": "esi!y" + includes(2, "/two"), "/ten": "0123456789"}
	for _, c := range []struct {
		name   string
		page   string
		limits Limits
		want   string
		err    error
	}{
		{"depth", includes(1, "/self"), Limits{}, "xxx", errDepth},
		{"depth of one", includes(1, "/self"), Limits{Depth: 1}, "x", errDepth},
		{"count", "<p>" + includes(9, "/ten"), Limits{Count: 2, Concurrent: 1}, "<p>01234567890123456789", errCount},
		{"bytes", includes(3, "/ten"), Limits{Bytes: 25}, "01234567890123456789", errBytes},
		{"bytes of variables", "<esi:vars>$(HTTP_HOST)$(HTTP_HOST)$(QUERY_STRING{x})</esi:vars>", Limits{Bytes: 14}, "site.example1", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, report, err := Assemble(context.Background(), Parse([]byte(c.page)), Options{Env: visitor, Fetch: s.fetch, Limits: c.limits})
			if err != nil || string(out) != c.want || !errors.Is(report.Err, c.err) {
				t.Errorf("%q, %v, %+v", out, err, report)
			}
		})
	}
	t.Run("count holds for all that is nested", func(t *testing.T) {
		var asked atomic.Int64
		fetch := func(ctx context.Context, target string, depth int) (Fragment, error) {
			asked.Add(1)
			return s.fetch(ctx, target, depth)
		}
		_, report, _ := Assemble(context.Background(), Parse([]byte(includes(2, "/two"))), Options{Env: visitor, Fetch: fetch, Limits: Limits{Depth: 30}})
		if asked.Load() != 64 || report.Included != 64 {
			t.Errorf("%d fetches, %+v", asked.Load(), report)
		}
	})
}

// hang waits for the end of the context, as a fetch must.
func hang(ctx context.Context, _ string, _ int) (Fragment, error) {
	<-ctx.Done()
	return Fragment{}, ctx.Err()
}

func TestASlowFragmentCostsItsOwnPlaceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch := func(ctx context.Context, target string, depth int) (Fragment, error) {
			if target == "/slow" {
				return hang(ctx, target, depth)
			}
			return Fragment{Status: 200, Body: []byte("A")}, ctx.Err()
		}
		for page, took := range map[string]time.Duration{
			`1<esi:include src="/slow"/>2<esi:include src="/a"/>`: 4 * time.Second,
			`1<esi:include src="/slow"/>2A`:                       4 * time.Second, // alone: without a goroutine
			// What stands in for it has a quarter of the time.
			`1<esi:try><esi:attempt><esi:include src="/slow"/></esi:attempt><esi:except>2</esi:except></esi:try>A`:                       3 * time.Second,
			`1<esi:try><esi:attempt><esi:include src="/slow"/></esi:attempt><esi:except>2<esi:include src="/a"/></esi:except></esi:try>`: 3 * time.Second,
			`12<esi:include src="/slow" alt="/a"/>`: 3 * time.Second,
			`12<esi:try><esi:attempt><esi:include src="/slow" alt="/slow"/></esi:attempt><esi:except><esi:include src="/a"/></esi:except></esi:try>`: 3 * time.Second,
		} {
			began := time.Now()
			out, report, err := Assemble(t.Context(), Parse([]byte(page)), Options{Env: visitor, Fetch: fetch, Limits: Limits{Time: 4 * time.Second}})
			if err != nil || string(out) != "12A" || report.Failed+report.Alternatives != 1 || time.Since(began) != took {
				t.Errorf("%s: %q, %v, %+v after %s", page, out, err, report, time.Since(began))
			}
		}
	})
}

func TestAFailedAttemptEndsWhatItHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch := func(ctx context.Context, target string, depth int) (Fragment, error) {
			if target == "/slow" {
				return hang(ctx, target, depth)
			}
			return Fragment{}, errors.New("down")
		}
		page := `<esi:try><esi:attempt><esi:include src="/down"/><esi:include src="/slow"/></esi:attempt><esi:except>E</esi:except></esi:try>`
		began := time.Now()
		out, _, err := Assemble(t.Context(), Parse([]byte(page)), Options{Env: visitor, Fetch: fetch})
		if err != nil || string(out) != "E" || time.Since(began) != 0 {
			t.Errorf("%q, %v after %s", out, err, time.Since(began))
		}
	})
}

func TestTheVisitorLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := Assemble(ctx, Parse([]byte(includes(20, "/slow"))), Options{Env: visitor, Fetch: hang})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestAPanicOfTheHandlerIsAFailure(t *testing.T) {
	fetch := func(context.Context, string, int) (Fragment, error) { panic(http.ErrAbortHandler) }
	for _, n := range []int{1, 3} {
		out, report, err := Assemble(context.Background(), Parse([]byte("1"+includes(n, "/a")+"2")), Options{Env: visitor, Fetch: fetch, Limits: Limits{Concurrent: 1}})
		if err != nil || string(out) != "12" || report.Failed != n {
			t.Errorf("%q, %v, %+v", out, err, report)
		}
	}
}

func TestATemplateServesManyAtOnce(t *testing.T) {
	page := []byte(`<!--esi <esi:vars>$(EDGE_USER)</esi:vars><esi:include src="/u/$(EDGE_USER)"/><esi:include src="/raw"/>-->`)
	before := bytes.Clone(page)
	tpl := Parse(page)
	raw := []byte(`<esi:x/>raw`)
	fetch := func(_ context.Context, target string, _ int) (Fragment, error) {
		if target == "/raw" {
			return Fragment{Status: 200, Body: raw}, nil
		}
		return Fragment{Status: 200, Body: []byte(target)}, nil
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			user := fmt.Sprint("user", i)
			out, _, err := Assemble(context.Background(), tpl, Options{Env: Env{Host: "h", Path: "/", User: user}, Fetch: fetch})
			if want := " " + user + "/u/" + user + "raw"; err != nil || string(out) != want {
				t.Errorf("%q, %v, want %q", out, err, want)
			}
		})
	}
	all.Wait()
	if !bytes.Equal(page, before) || string(raw) != `<esi:x/>raw` {
		t.Error("what was lent has been written to")
	}
}
