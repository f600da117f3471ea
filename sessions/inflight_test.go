package sessions

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// data are those of the session, as the app is told them.
func (a *answer) data(t testing.TB) map[string]string {
	t.Helper()
	parts := strings.Split(a.value("identity"), ".")
	if len(parts) != 3 {
		t.Fatalf("no identity: %s", a.body)
	}
	plain, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c claims
	if err := json.Unmarshal(plain, &c); err != nil {
		t.Fatal(err)
	}
	return c.Data
}

// meanwhile sends a request whose answer waits until f has run.
func (b *browser) meanwhile(a *app, path string, f func()) *answer {
	b.t.Helper()
	name, _, _ := strings.Cut(path, "?")
	came, letGo := a.hold(name)
	defer letGo()
	done := make(chan *answer)
	before := &browser{t: b.t, edge: b.edge, cookies: map[string]string{"umbral": b.cookies["umbral"]}}
	go func() { done <- before.send("POST", path) }()
	<-came
	f()
	letGo()
	late := <-done
	for _, c := range late.set {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return late
}

// A sign-out that was asked for in so many words is not lost because the
// session has another token by then. One that shows in a deleted cookie alone
// is for the session that went up, and for no sign-in after it (SESSIONS.md §4).
func TestASignOutUnderWayWhileTheTokenChanges(t *testing.T) {
	s := startRedis(t)
	const (
		deleted = "/control/slow?set=sessionid%3D%3B+Max-Age%3D0%3B+Path%3D/"
		nobody  = "/control/slow?h=" + HeaderSessionUser + ":anonymous"
		logout  = "/control/slow?h=" + HeaderSessionLogout + ":"
	)
	type out struct{ here, elsewhere bool }
	for what, meanwhile := range map[string]struct {
		do   func(e *edge, b *browser)
		want map[string]out
	}{
		"a new csrftoken": {
			func(_ *edge, b *browser) { b.do("GET", "/?set=csrftoken=new") },
			map[string]out{
				deleted: {true, false}, nobody: {true, false}, logout + "current": {true, false},
				logout + "all": {true, true}, logout + "others": {false, true},
			},
		},
		"two of them": {
			func(_ *edge, b *browser) { b.do("GET", "/?set=csrftoken=new"); b.do("GET", "/?set=csrftoken=newer") },
			map[string]out{deleted: {true, false}, logout + "current": {true, false}, logout + "others": {false, true}},
		},
		"a changed password": {
			func(_ *edge, b *browser) { b.do("POST", "/login?user=ana") },
			map[string]out{
				deleted: {false, false}, nobody: {false, false}, logout + "current": {true, false},
				logout + "all": {true, true}, logout + "others": {false, true},
			},
		},
		"a new csrftoken and a changed password": {
			func(_ *edge, b *browser) { b.do("GET", "/?set=csrftoken=new"); b.do("POST", "/login?user=ana") },
			map[string]out{deleted: {false, false}, logout + "current": {true, false}},
		},
		"a new first secret": {
			func(e *edge, b *browser) {
				if err := e.term.Reload([][]byte{secondSecret, testSecret}); err != nil {
					b.t.Fatal(err)
				}
				b.do("GET", "/")
			},
			map[string]out{
				deleted: {true, false}, nobody: {true, false}, logout + "current": {true, false},
				logout + "all": {true, true}, logout + "others": {false, true},
			},
		},
		"a new csrftoken and a new first secret": {
			func(e *edge, b *browser) {
				b.do("GET", "/?set=csrftoken=new")
				if err := e.term.Reload([][]byte{secondSecret, testSecret}); err != nil {
					b.t.Fatal(err)
				}
				b.do("GET", "/")
			},
			map[string]out{deleted: {true, false}, logout + "current": {true, false}, logout + "all": {true, true}, logout + "others": {false, true}},
		},
		"a sign-in as another": {
			func(_ *edge, b *browser) { b.do("POST", "/login?user=luis") },
			map[string]out{
				deleted: {false, false}, nobody: {false, false}, logout + "current": {false, false},
				logout + "all": {false, true}, logout + "others": {false, true},
			},
		},
		"a sign-out": {
			func(_ *edge, b *browser) { b.do("GET", "/logout") },
			map[string]out{deleted: {true, false}, logout + "current": {true, false}, logout + "all": {true, true}, logout + "others": {true, true}},
		},
	} {
		for path, want := range meanwhile.want {
			t.Run(what+"/"+path[len("/control/slow?"):], func(t *testing.T) {
				a := &app{}
				e := newEdge(t, s, a, func(o *Options) { o.Identity.Source = SourceHeader })
				b, other := signedIn(t, e, "ana"), signedIn(t, e, "ana")
				late := b.meanwhile(a, path, func() { meanwhile.do(e, b) })
				if late.StatusCode != 200 || len(late.set) > 1 {
					t.Errorf("the late answer: %d %v", late.StatusCode, late.set)
				}
				if a := b.send("GET", "/"); (a.value("user") == "") != want.here {
					t.Errorf("this device: %s", a.body)
				}
				if a := other.send("GET", "/"); (a.value("user") == "") != want.elsewhere {
					t.Errorf("the other device: %s", a.body)
				}
			})
		}
	}
	t.Run("the edge's own, with a token that has just been replaced", func(t *testing.T) {
		e := newEdge(t, s, &app{}, func(o *Options) { o.Identity.Source = SourceHeader })
		b := signedIn(t, e, "ana")
		old := &browser{t: t, edge: e, cookies: map[string]string{"umbral": b.cookies["umbral"]}}
		b.do("GET", "/?set=csrftoken=new")
		if a := old.do("POST", LogoutPath, "Origin: http://app.test"); a.StatusCode != 204 || len(a.set) != 1 || a.set[0].MaxAge >= 0 {
			t.Errorf("%d %v", a.StatusCode, a.set)
		}
		if a := b.send("GET", "/"); a.value("user") != "" {
			t.Errorf("still in: %s", a.body)
		}
	})
}

// SESSIONS.md §8: a new first secret moves the record, and the session goes
// on: what was under way at the app finds it.
func TestAnAnswerUnderWayWhileTheRecordMoves(t *testing.T) {
	s := startRedis(t)
	for _, tt := range []struct {
		name, late string
		before     []string // by others, after the jar went up
		want, not  string
	}{
		{"a cookie", "/slow?set=theme=x", nil, "theme=x", ""},
		{"a cookie deleted", "/slow?set=x=%3B+Max-Age%3D0", nil, "", "x="},
		{"a cookie beside another's", "/slow?set=theme=x", []string{"/?set=y=1"}, "theme=x", ""},
		{"a value that is newer there", "/slow?set=x=late", []string{"/?set=x=new"}, "x=new", "x=late"},
		{"a cookie that was deleted there", "/slow?set=x=late", []string{"/?set=x=%3B+Max-Age%3D0"}, "", "x=late"},
		{"a changed password", "/slow?set=sessionid=changed", []string{"/?set=y=1"}, "sessionid=changed", ""},
		{"what was set there outlives a changed password", "/slow?set=sessionid=changed", []string{"/?set=y=1"}, "y=1", ""},
		{"a new csrftoken", "/slow?set=csrftoken=changed", nil, "csrftoken=changed", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{}
			e := newEdge(t, s, a, nil)
			b := signedIn(t, e, "1")
			b.do("GET", "/?set=x=first")
			late := b.meanwhile(a, tt.late, func() {
				for _, path := range tt.before {
					b.do("GET", path)
				}
				if err := e.term.Reload([][]byte{secondSecret, testSecret}); err != nil {
					t.Fatal(err)
				}
				b.do("GET", "/")
			})
			if late.StatusCode != 200 {
				t.Errorf("%d %v", late.StatusCode, late.set)
			}
			line := b.do("GET", "/").value("cookie")
			if !strings.Contains(line, tt.want) || tt.not != "" && strings.Contains(line, tt.not) || !strings.Contains(line, "sessionid=") {
				t.Errorf("the jar sends %q", line)
			}
		})
	}
}

// SESSIONS.md §2, no lost updates among parallel requests: what others write
// and delete while an answer is under way that gives the session a new token.
func TestWhatIsWrittenDuringARotationIsKept(t *testing.T) {
	s := startRedis(t)
	const cookie, datum = "/?set=", "/control/?h=" + HeaderSessionSet + ":"
	for _, tt := range []struct {
		name, late string
		during     []string
		cookie     string // that the jar has, or with a minus has not
		data       string // of the session
	}{
		{"a cookie set", "/control/slow?set=sessionid=new%3B+Path%3D/", []string{cookie + "y=1"}, "y=1", "first"},
		{"a cookie changed", "/control/slow?set=sessionid=new%3B+Path%3D/", []string{cookie + "x=2"}, "x=2", "first"},
		{"a cookie deleted", "/control/slow?set=sessionid=new%3B+Path%3D/", []string{cookie + "x=%3B+Max-Age%3D0"}, "-x=", "first"},
		{"a cookie deleted, and set by the answer", "/control/slow?set=sessionid=new%3B+Path%3D/&set=x=mine%3B+Path%3D/", []string{cookie + "x=%3B+Max-Age%3D0"}, "x=mine", "first"},
		{"a datum changed", "/control/slow?set=sessionid=new%3B+Path%3D/", []string{datum + "note%3D%22second%22"}, "x=1", "second"},
		{"a datum deleted", "/control/slow?set=sessionid=new%3B+Path%3D/", []string{datum + "note%3D%3F0"}, "x=1", ""},
		{"a datum changed, and set by the answer", "/control/slow?set=sessionid=new%3B+Path%3D/&h=" + HeaderSessionSet + ":note%3D%22mine%22", []string{datum + "note%3D%22second%22"}, "x=1", "mine"},
		{"a datum changed, and another signs in", "/control/slow?set=sessionid=new%3B+Path%3D/&h=" + HeaderSessionUser + ":luis", []string{datum + "note%3D%22second%22"}, "x=1", ""},
		{"a datum, with a new csrftoken", "/control/slow?set=csrftoken=new%3B+Path%3D/", []string{datum + "note%3D%22second%22"}, "x=1", "second"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{}
			e := newEdge(t, s, a, func(o *Options) { o.Identity.Source = SourceHeader })
			b := signedIn(t, e, "ana")
			b.do("GET", cookie+"x=1")
			b.do("GET", datum+"note%3D%22first%22")
			path := tt.late
			if !strings.Contains(path, HeaderSessionUser) {
				path += "&h=" + HeaderSessionUser + ":ana"
			}
			before := b.cookies["umbral"]
			if late := b.meanwhile(a, path, func() {
				for _, path := range tt.during {
					b.do("GET", path)
				}
			}); late.StatusCode != 200 || b.cookies["umbral"] == before {
				t.Fatalf("no new token: %d %v", late.StatusCode, late.set)
			}
			for range 2 { // as it is, and after another write
				after := b.do("GET", "/?set=z=1")
				name, gone := strings.CutPrefix(tt.cookie, "-")
				if line := after.value("cookie"); strings.Contains(line, name) == gone {
					t.Errorf("the jar sends %q", line)
				}
				if got := after.data(t)["note"]; got != tt.data {
					t.Errorf("the datum is %q, want %q", got, tt.data)
				}
			}
		})
	}
}
