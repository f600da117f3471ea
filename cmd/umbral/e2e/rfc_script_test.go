package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A case is a name, which begins with the section that it comes from, and a
// play of one exchange a line:
//
//	REQUEST <- ANSWER <- ANSWER => EXPECTATION
//
// A request is its method, perhaps with a query (?a=1) or a path below the
// case's own (/x), and fields; an answer its status and fields; all parted by
// " | ". Of an answer the app has Date (unless it names Date, or -Date) and
// Content-Length added, and a body that tells which exchange it comes from;
// a field "* TEXT" is the body, "close" ends it by closing the connection,
// "chunked" chunks it, "hang up" is no answer at all. Before a final answer
// may stand 1xx ones, parted by " + ".
//
// Where answers stand, the app must be asked for each of them; where none
// does, it must not be asked. The visitor must get the last answer's status
// and body (that of some exchange before, where it is a 304), or, where none
// stands, a body that some exchange before had.
// Beyond that an expectation, parted by " | ", is one of
//
//	304            the status                 valid, plain  went up with a condition, or without
//	body=2         the second exchange's body "TEXT"         this very body
//	Name: value    a field                    age=100       Age, within 20 seconds
//	Name: -        no such field              1xx=103,103   the interim answers
//	Name~ text     a field that contains it   soon          the app is asked behind the visitor's back
//	up Name: …     the same for what the app saw
//	closed         no answer, or a broken one
//
// {+60}, {-60} is a date so many seconds away, {850:-60} and {asc:-60} in the
// old forms; {self} the case's path and {site} the host. \t, \n, \r as in Go.
type play1 struct{ name, lines string }

// c makes a case.
func c(name, lines string) play1 { return play1{name, lines} }

// kept: an answer with these fields is used again without the app.
func kept(name, fields string) play1 { return play1{name, "GET <- 200 | " + fields + "\nGET"} }

// unkept: it is not.
func unkept(name, fields string) play1 {
	return play1{name, "GET <- 200 | " + fields + "\nGET <- 200 | " + fields}
}

// stage runs cases against one edge.
type stage struct {
	edge *edge
	app  *scripted
	name string
	n    int
}

type exchange struct {
	method, target string
	fields         []string
	body           string
	answers        []string // raw
	status         int      // of the last answer, 0 where the app hangs up
	said           string   // body of the last answer
	wants          []string
}

func (s *stage) run(t *testing.T, row play1) {
	t.Helper()
	s.n++
	id := fmt.Sprintf("%s-%d", s.name, s.n)
	p := s.app.play(id)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.edge.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	v := &rawVisitor{conn: conn, in: bufio.NewReader(conn), edge: s.edge}
	defer func() { v.conn.Close() }()
	var bodies []string
	began := time.Now()
	for i, line := range playLines(row.lines) {
		x, err := parseExchange(fill(line, "/"+id+"/", began), "/"+id+"/", i+1)
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		p.script(x.answers)
		got, err := v.ask(x)
		var faults []string
		if slices.Contains(x.wants, "soon") {
			select {
			case <-p.heard:
			case <-time.After(patience):
				faults = append(faults, "nothing was asked behind the visitor's back")
			}
		}
		seen, left := p.asked()
		faults = append(faults, x.check(got, err, seen, left, &bodies)...)
		if slices.Contains(x.wants, "soon") {
			s.settle(t)
		}
		if len(faults) > 0 {
			t.Errorf("line %d: %s\n  %s\n  got %s", i+1, strings.Join(faults, "; "), strings.TrimSpace(line), got)
			return
		}
	}
}

// settle waits until nothing is at the app any more: a background answer is
// stored before its request ends.
func (s *stage) settle(t *testing.T) {
	s.edge.eventually("background requests end", func() bool {
		r, _ := http.NewRequest("GET", s.edge.Admin+"/metrics", nil)
		r.Header.Set("Authorization", "Bearer "+adminToken)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(b), "umbral_upstream_requests_in_flight 0\n")
	})
}

func playLines(text string) (lines []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

var place = regexp.MustCompile(`\{(850:|asc:)?([+-]\d+)\}`)

// fill puts names in, and dates as seen from now.
func fill(s, self string, now time.Time) string {
	s = strings.NewReplacer("{self}", self, "{site}", site, `\t`, "\t", `\n`, "\n", `\r`, "\r", `\0`, "\x00").Replace(s)
	return place.ReplaceAllStringFunc(s, func(m string) string {
		part := place.FindStringSubmatch(m)
		n, _ := strconv.Atoi(part[2])
		at := now.UTC().Add(time.Duration(n) * time.Second)
		switch part[1] {
		case "850:":
			return at.Format("Monday, 02-Jan-06 15:04:05 GMT")
		case "asc:":
			return at.Format(time.ANSIC)
		}
		return at.Format(http.TimeFormat)
	})
}

func parseExchange(line, self string, n int) (x exchange, err error) {
	line, wants, found := strings.Cut(line+" ", " => ")
	if found {
		for want := range strings.SplitSeq(wants, " | ") {
			x.wants = append(x.wants, strings.Trim(want, " "))
		}
	}
	parts := strings.Split(line, " <- ")
	ask := fields(parts[0])
	x.method, x.target, _ = strings.Cut(ask[0], " ")
	if x.target = strings.TrimSpace(x.target); !strings.HasPrefix(x.target, "//") {
		x.target = self + strings.TrimPrefix(x.target, "/")
	}
	for _, f := range ask[1:] {
		if body, ok := strings.CutPrefix(f, "* "); ok {
			x.body = body
			f = fmt.Sprintf("Content-Length: %d", len(body))
		}
		x.fields = append(x.fields, f)
	}
	for i, part := range parts[1:] {
		raw, status, body, err := rawAnswer(part, fmt.Sprintf("body of %d.%d", n, i+1))
		if err != nil {
			return x, err
		}
		x.answers, x.status, x.said = append(x.answers, raw), status, body
	}
	return x, nil
}

// fields splits at " | "; a field may be empty at its end.
func fields(s string) []string {
	list := strings.Split(s, " | ")
	for i := range list {
		list[i] = strings.Trim(list[i], " ")
	}
	return list
}

// rawAnswer makes the bytes of an answer.
func rawAnswer(text, body string) (raw string, status int, said string, err error) {
	text = strings.TrimSpace(text)
	if text == sayNothing {
		return sayNothing, 0, "", nil
	}
	for {
		interim, rest, found := strings.Cut(text, " + ")
		if !found {
			break
		}
		list := fields(interim)
		raw += "HTTP/1.1 " + list[0] + " Interim\r\n" + lines(list[1:]) + "\r\n"
		text = rest
	}
	list := fields(text)
	if status, err = strconv.Atoi(list[0]); err != nil {
		return "", 0, "", fmt.Errorf("answer %q: no status", text)
	}
	if status == http.StatusNotModified || status == http.StatusNoContent {
		body = ""
	}
	head, dated, framing := []string{}, false, "length"
	for _, f := range list[1:] {
		name, _, _ := strings.Cut(f, ":")
		switch {
		case strings.HasPrefix(f, "* "):
			body = f[2:]
			continue
		case f == "*":
			body = ""
			continue
		case f == "-Date":
			dated = true
			continue
		case f == "close", f == "chunked":
			framing = f
			continue
		case strings.EqualFold(name, "Date"):
			dated = true
		case strings.EqualFold(name, "Content-Length"):
			framing = "given"
		}
		head = append(head, f)
	}
	if !dated {
		head = append(head, "Date: "+time.Now().UTC().Format(http.TimeFormat))
	}
	content := body
	switch {
	case framing == "chunked":
		head = append(head, "Transfer-Encoding: chunked")
		content = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case framing == "length" && status != 304 && status != 204:
		head = append(head, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	return raw + fmt.Sprintf("HTTP/1.1 %d Scripted\r\n%s\r\n%s", status, lines(head), content), status, body, nil
}

func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\r\n") + "\r\n"
}

// rawVisitor writes requests as they stand in the script.
type rawVisitor struct {
	conn net.Conn
	in   *bufio.Reader
	edge *edge
}

// got is what came back.
type got struct {
	status  int
	header  http.Header
	body    string
	interim []string
	leaked  http.Header // fields of 1xx answers
	err     error
}

func (g got) String() string {
	return fmt.Sprintf("%d %v %q %v", g.status, g.header, g.body, g.err)
}

func (v *rawVisitor) ask(x exchange) (got, error) {
	var g got
	_ = v.conn.SetDeadline(time.Now().Add(patience))
	raw := x.method + " " + x.target + " HTTP/1.1\r\nHost: " + site + "\r\n" + lines(x.fields) + "\r\n" + x.body
	if _, err := io.WriteString(v.conn, raw); err != nil {
		return g, err
	}
	g.leaked = http.Header{}
	for {
		resp, err := http.ReadResponse(v.in, &http.Request{Method: x.method})
		if err != nil {
			v.redial()
			return g, err
		}
		if resp.StatusCode >= 200 {
			b, err := io.ReadAll(resp.Body)
			g.status, g.header, g.body, g.err = resp.StatusCode, resp.Header, string(b), err
			if err != nil || resp.Close {
				v.redial()
			}
			return g, err
		}
		g.interim = append(g.interim, strconv.Itoa(resp.StatusCode))
		for name, values := range resp.Header {
			g.leaked[name] = append(g.leaked[name], values...)
		}
	}
}

// redial takes a new connection after one that has ended.
func (v *rawVisitor) redial() {
	v.conn.Close()
	if conn, err := net.Dial("tcp", strings.TrimPrefix(v.edge.URL, "http://")); err == nil {
		v.conn, v.in = conn, bufio.NewReader(conn)
	}
}

func (x *exchange) check(g got, err error, seen []*http.Request, left int, bodies *[]string) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if err != nil && !slices.Contains(x.wants, "closed") {
		bad("%v", err)
	}
	if silent := x.status == 0 && len(x.answers) > 0; (left > 0 || len(seen) > len(x.answers)) && !silent {
		bad("the app was asked %d times, expected %d", len(seen), len(x.answers))
	}
	var up http.Header
	if len(seen) > 0 {
		up = seen[0].Header
	}
	status, body := x.status, true
	if status == http.StatusNotModified {
		status = http.StatusOK // the edge's own validation, unless the case says otherwise
	}
	for _, want := range x.wants {
		if n, err := strconv.Atoi(want); err == nil {
			body = body && n == status
			status = n
			continue
		}
		switch name, value, _ := strings.Cut(want, "="); {
		case want == "":
		case want == "soon", want == "closed":
			status, body = 0, false
			if want == "closed" && err == nil {
				bad("an answer came")
			}
		case want == "valid", want == "plain":
			if conditional := up["If-None-Match"] != nil || up["If-Modified-Since"] != nil; conditional != (want == "valid") {
				bad("went up %v", up)
			}
		case strings.HasPrefix(want, `"`):
			body = false
			if g.body != want[1:len(want)-1] {
				bad("body %q, expected %s", g.body, want)
			}
		case name == "body":
			body = false
			if n, _ := strconv.Atoi(value); n < 1 || n > len(*bodies) || (*bodies)[n-1] != g.body {
				bad("body %q, expected that of %s", g.body, value)
			}
		case name == "age":
			least, _ := strconv.Atoi(value)
			if age, err := strconv.Atoi(strings.Join(g.header["Age"], "|")); err != nil || age < least || age > least+20 {
				bad("Age %q, expected %s", g.header["Age"], value)
			}
		case name == "1xx":
			if strings.Join(g.interim, ",") != value {
				bad("interim answers %q, expected %s", g.interim, value)
			}
		case strings.HasPrefix(want, "up "):
			if fault := fieldFault(up, want[3:]); fault != "" {
				bad("the app saw %s", fault)
			}
		case strings.HasPrefix(want, "early "):
			if fault := fieldFault(g.leaked, want[6:]); fault != "" {
				bad("an interim answer had %s", fault)
			}
		default:
			if fault := fieldFault(g.header, want); fault != "" {
				bad("%s", fault)
			}
		}
	}
	if status != 0 && g.status != status {
		bad("status %d, expected %d", g.status, status)
	}
	switch {
	case !body || x.method == "HEAD":
	case len(x.answers) == 0:
		if !slices.Contains(*bodies, g.body) {
			bad("body %q is none that came before", g.body)
		}
	case x.status == http.StatusNotModified:
		if !slices.Contains(*bodies, g.body) {
			bad("body %q is none that came before", g.body)
		}
	case x.status != 0 && g.body != x.said:
		bad("body %q, expected %q", g.body, x.said)
	}
	if x.status == http.StatusNotModified || len(x.answers) == 0 {
		*bodies = append(*bodies, g.body)
	} else {
		*bodies = append(*bodies, x.said)
	}
	return faults
}

// fieldFault compares a field with "Name: value", "Name: -" or "Name~ text".
func fieldFault(h http.Header, want string) string {
	name, value, exact := strings.Cut(want, ":")
	if tilde := strings.IndexByte(want, '~'); tilde >= 0 && (!exact || tilde < len(name)) {
		name, value, exact = want[:tilde], want[tilde+1:], false
	}
	value = strings.Trim(value, " ")
	got := strings.Join(h.Values(name), " & ")
	switch _, there := h[http.CanonicalHeaderKey(name)]; {
	case value == "-" && exact:
		if there {
			return fmt.Sprintf("%s: %s", name, got)
		}
	case exact && (got != value || !there), !exact && !strings.Contains(got, value):
		return fmt.Sprintf("%s: %q, expected %q", name, got, value)
	}
	return ""
}
