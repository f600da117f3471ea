package sessions

import (
	"strings"
	"testing"
)

func TestOneCookieFromSignInToSignOut(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, func(o *Options) { o.Identity.Source = SourceHeader; o.CookieSecure = true })
	b := e.browser(t)

	if a := b.do("GET", "/"); !a.anonymous() || len(a.set) != 0 {
		t.Fatalf("first visit: %s %v", a.body, a.set)
	}
	a := b.do("GET", "/form")
	if len(a.set) != 1 || a.set[0].Name != "__Host-umbral" || s.commands() != 0 {
		t.Fatalf("form: %v, %d commands", a.set, s.commands())
	}
	if a := b.do("GET", "/"); a.value("cookie") != "csrftoken=form1" || a.value("auth") != "anonymous" {
		t.Fatalf("sealed: %s", a.body)
	}
	a = b.do("POST", "/login?user=42")
	if len(a.set) != 1 {
		t.Fatalf("sign-in set %v", a.set)
	}
	line := a.Header.Get("Set-Cookie")
	for _, want := range []string{"; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Max-Age="} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
	if strings.Contains(line, "Domain") || len(b.cookies["__Host-umbral"]) != 112 || a.Header.Get(HeaderSessionUser) != "" {
		t.Errorf("%q %v", line, a.Header)
	}
	a = b.do("GET", "/")
	if a.value("auth") != "user" || a.value("user") != "42" || len(a.value("session")) != 32 || len(a.set) != 0 ||
		!strings.Contains(a.value("cookie"), "sessionid=sess2") || !strings.Contains(a.value("cookie"), "csrftoken=rot2") ||
		a.value("identity") == "" {
		t.Fatalf("signed in: %s %v", a.body, a.set)
	}
	old := b.cookies["__Host-umbral"]
	a = b.do("GET", "/logout")
	if a.Header.Get("Clear-Site-Data") != `"cache"` {
		t.Errorf("sign-out: %v", a.Header)
	}
	if a = b.do("GET", "/"); a.value("auth") != "anonymous" || strings.Contains(a.value("cookie"), "sessionid") {
		t.Errorf("after sign-out: %s", a.body)
	}
	b.cookies["__Host-umbral"] = old
	if a = b.do("GET", "/"); !a.anonymous() || len(a.set) != 0 {
		t.Errorf("replay: %s %v", a.body, a.set)
	}
}
