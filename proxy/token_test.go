package proxy

import "testing"

// The admin token makes a request's own directives count (CACHING.md §1), and
// goes no further; whatever else is in Authorization is the app's.
func TestFrontKnowsTheAdminToken(t *testing.T) {
	const token = bedToken
	for _, tt := range []struct {
		name, set  string
		lines      []string
		connection string
		trusted    bool
		passes     bool
	}{
		{name: "the token", set: token, lines: []string{"Bearer " + token}, trusted: true},
		{name: "the scheme has no case", set: token, lines: []string{"bEARER   " + token}, trusted: true},
		{name: "named by Connection", set: token, lines: []string{"Bearer " + token}, connection: "Authorization", trusted: true},
		{name: "beside another", set: token, lines: []string{"Basic eA==", "Bearer " + token}, trusted: true},
		{name: "another token", set: token, lines: []string{"Bearer " + token + "x"}, passes: true},
		{name: "the beginning of it", set: token, lines: []string{"Bearer an-admin"}, passes: true},
		{name: "no token", set: token, lines: []string{"Bearer "}, passes: true},
		{name: "another scheme", set: token, lines: []string{"Basic " + token}, passes: true},
		{name: "none is set", lines: []string{"Bearer "}, passes: true},
		{name: "none is set, and none sent", lines: []string{""}, passes: true},
		{name: "none is set, a good one sent", lines: []string{"Bearer " + token}, passes: true},
		{name: "nothing sent", set: token},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFront(FrontOptions{AdminToken: tt.set})
			r := plainGet()
			if tt.lines != nil {
				r.Header["Authorization"] = tt.lines
			}
			if tt.connection != "" {
				r.Header["Connection"] = []string{tt.connection}
			}
			x := &Exchange{R: r}
			if no := f.Admit(x); no != nil {
				t.Fatal(no)
			}
			if _, passes := x.Ask.Header["Authorization"]; x.Ask.Trusted != tt.trusted || passes != tt.passes {
				t.Errorf("trusted: %v, passed on: %v", x.Ask.Trusted, passes)
			}
			if x.TrustedPeer {
				t.Error("the token makes nobody a trusted proxy")
			}
		})
	}
}

// A hit is as fast with the token as without, and its directives hold there.
func TestExpressHonoursTheAdminToken(t *testing.T) {
	b := newBed(t, 64<<20, pages, expressRules...)
	const token = "Authorization: Bearer " + bedToken
	c := b.dial(t)
	c.ask(plain("/public/a", token))
	asked := b.asked.Load()
	if _, _, express := b.again(c, plain("/public/a", token)); !express || b.asked.Load() != asked {
		t.Errorf("what was stored by a request with the token: express %v", express)
	}
	head, _ := c.ask(plain("/public/a", token, "Cache-Control: no-cache"))
	if b.asked.Load() != asked+1 {
		t.Errorf("no-cache with the token: the app was not asked\n%s", head)
	}
	head, _ = c.ask(plain("/public/a", token[:len(token)-1], "Cache-Control: no-cache"))
	if b.asked.Load() != asked+1 {
		t.Errorf("no-cache with a wrong token: the app was asked\n%s", head)
	}
}
