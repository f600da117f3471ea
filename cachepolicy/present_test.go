package cachepolicy

import (
	"reflect"
	"testing"
)

func TestPresent(t *testing.T) {
	const common = "\nContent-Type: text/html\nContent-Length: 5\nUmbral-Cache-Control: max-age=9\nCache-Tag: a\nX-Edge-Session-Set: a=\"b\"\nAge: 3\nCache-Groups: \"a\"\nETag: \"a\""
	user := Identity{Auth: SignedIn, Session: "s", User: "u"}
	for _, row := range []struct {
		name   string
		rule   Rule
		id     Identity
		header string
		want   string // Cache-Control
	}{
		{"9111 §5.2 the app's own", pureRule, Identity{}, "Cache-Control: max-age=60, foo", "max-age=60, foo"},
		{"the operator's ttl", operatorRule, Identity{}, "Cache-Control: max-age=60", "no-cache"},
		{"the operator's ttl, no word of the app's", operatorRule, Identity{}, "Expires: " + at(60), "no-cache"},
		{"the operator's ttl, no-transform", operatorRule, Identity{}, "Umbral-Cache-Control: no-transform", "no-cache, no-transform"},
		{"a user's page", Rule{Pattern: "/", TTL: AppTTL, Scope: PerUser}, user, "Cache-Control: public, max-age=60", "private, no-cache"},
		{"a session's page, operator's ttl", Rule{Pattern: "/", TTL: 60e9, Scope: PerSession}, user, "Cache-Control: public, max-age=60", "private, no-cache"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustPolicy(t, row.rule)
			r := get(t, "")
			r.Identity = row.id
			resp := answer(t, 200, row.header+common)
			s := store(t, p, r, resp)
			before := s.Fields
			h := p.Present(s)
			if h.Get("Cache-Control") != row.want {
				t.Errorf("Cache-Control: %q, want %q", h["Cache-Control"], row.want)
			}
			for _, name := range []string{"Umbral-Cache-Control", "Cache-Tag", "X-Edge-Session-Set", "Age", "Content-Length"} {
				if h[name] != nil {
					t.Errorf("shows %s", name)
				}
			}
			if h.Get("Content-Type") != "text/html" || h.Get("Date") == "" || h.Get("Etag") != `"a"` {
				t.Errorf("lost something: %v", h)
			}
			if row.want != "max-age=60, foo" && h["Expires"] != nil {
				t.Error("Expires contradicts Cache-Control")
			}
			if before != s.Fields {
				t.Error("the stored header was changed")
			}
			p.PresentLive(r, resp)
			if resp.Header.Get("Cache-Control") != row.want {
				t.Errorf("live, Cache-Control: %q, want %q", resp.Header["Cache-Control"], row.want)
			}
			for _, name := range []string{"Umbral-Cache-Control", "Cache-Tag", "X-Edge-Session-Set"} {
				if resp.Header[name] != nil {
					t.Errorf("live, shows %s", name)
				}
			}
		})
	}
}

func TestPresentLive(t *testing.T) {
	user := operatorRule
	user.Scope = PerUser
	for _, row := range []struct {
		name   string
		rule   Rule
		method string
		status int
		header string
		want   string
	}{
		{"operator's ttl, no-store stays", operatorRule, "GET", 200, "Cache-Control: no-store", "Cache-Control: no-store"},
		{"operator's ttl, private stays", operatorRule, "GET", 200, "Cache-Control: private, max-age=5", "Cache-Control: private, max-age=5"},
		{"operator's ttl, a status not named", operatorRule, "GET", 500, "Cache-Control: max-age=5", "Cache-Control: max-age=5"},
		{"operator's ttl, a status named", operatorRule, "GET", 404, "", "Cache-Control: no-cache"},
		{"operator's ttl, POST", operatorRule, "POST", 200, "Cache-Control: max-age=5", "Cache-Control: max-age=5"},
		{"a user's page, no-store", user, "GET", 200, "Cache-Control: no-store", "Cache-Control: private, no-cache, no-store"},
		{"a user's page, any status", user, "POST", 500, "", "Cache-Control: private, no-cache"},
		{"unlisted", Rule{}, "GET", 200, "Cache-Control: max-age=5\nCDN-Cache-Control: max-age=6", "Cache-Control: max-age=5\nCDN-Cache-Control: max-age=6"},
		{"hop by hop", Rule{}, "GET", 200, "Connection: X-A, Content-Type\nX-A: 1\nKeep-Alive: 1\nContent-Type: a\nX-B: 1", "Content-Type: a\nX-B: 1"},
		{"9110 §13.1.2 a star is no entity-tag", Rule{}, "GET", 200, "ETag: *\nX-B: 1", "X-B: 1"},
		{"an upgrade", Rule{}, "GET", 101, "Connection: Upgrade\nUpgrade: websocket\nX-Edge-User: 1", "Connection: Upgrade\nUpgrade: websocket"},
		{"groups", Rule{}, "POST", 200, "Cache-Groups: \"a\"\nCache-Group-Invalidation: \"a\"\nSurrogate-Control: a\nSurrogate-Key: a\nxkey: a", "Cache-Groups: \"a\""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, resp := get(t, ""), answer(t, row.status, row.header)
			r.Method = row.method
			mustPolicy(t, row.rule).PresentLive(r, resp)
			if want := header(t, row.want); !reflect.DeepEqual(resp.Header, want) {
				t.Errorf("%v, want %v", resp.Header, want)
			}
		})
	}
}

func TestStripInterim(t *testing.T) {
	for _, row := range []struct{ name, header, want string }{
		{"hop by hop (9110 §7.6.1)", "Connection: X-A, close\nX-A: 1\nKeep-Alive: 1\nLink: </a>", "Link: </a>"},
		{"the edge's own", "X-Edge-Session-Set: a\nX-Edge-User: 1\nLink: </a>", "Link: </a>"},
		{"cookies", "Set-Cookie: a=b\nSet-Cookie2: a=b\nLink: </a>", "Link: </a>"},
		{"a length of no content", "Content-Length: 0\nLink: </a>", "Link: </a>"},
	} {
		h := header(t, row.header)
		StripInterim(h)
		if want := header(t, row.want); !reflect.DeepEqual(h, want) {
			t.Errorf("%s: %v, want %v", row.name, h, want)
		}
	}
}
