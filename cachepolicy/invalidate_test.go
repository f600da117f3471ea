package cachepolicy

import (
	"reflect"
	"testing"
)

func TestInvalidates(t *testing.T) {
	p := mustPolicy(t, pureRule)
	self := Target{"example.com", "/a", "q=1"}
	type targets = []Target
	for _, row := range []struct {
		name, method string
		status       int
		header       string
		want         targets
		groups       []string
	}{
		{"9111 §4.4 POST", "POST", 200, "", targets{self}, nil},
		{"9111 §4.4 PUT", "PUT", 204, "", targets{self}, nil},
		{"9111 §4.4 DELETE", "DELETE", 200, "", targets{self}, nil},
		{"9111 §4.4 PATCH", "PATCH", 200, "", targets{self}, nil},
		{"9111 §4.4 a method not known", "M-SEARCH", 200, "", targets{self}, nil},
		{"9111 §4.4 a redirection", "POST", 303, "", targets{self}, nil},
		{"9111 §4.4 399", "POST", 399, "", targets{self}, nil},
		{"9111 §4.4 GET", "GET", 200, "", nil, nil},
		{"9111 §4.4 HEAD", "HEAD", 200, "", nil, nil},
		{"9111 §4.4 OPTIONS", "OPTIONS", 200, "", nil, nil},
		{"9111 §4.4 TRACE", "TRACE", 200, "", nil, nil},
		{"9111 §4.4 a method is case-sensitive", "get", 200, "", targets{self}, nil},
		{"9111 §4.4 a client's error", "POST", 404, "", nil, nil},
		{"9111 §4.4 a server's error", "POST", 500, "", nil, nil},
		{"9111 §4.4 1xx", "POST", 103, "", nil, nil},
		{"9111 §4.4 Location", "POST", 201, "Location: /b", targets{self, {"example.com", "/b", ""}}, nil},
		{"9111 §4.4 Location with a query", "POST", 201, "Location: /b?x=1", targets{self, {"example.com", "/b", "x=1"}}, nil},
		{"9111 §4.4 Location, relative", "POST", 201, "Location: b", targets{self, {"example.com", "/b", ""}}, nil},
		{"9111 §4.4 Location, query only", "POST", 201, "Location: ?x", targets{self, {"example.com", "/a", "x"}}, nil},
		{"9111 §4.4 Location, absolute", "POST", 201, "Location: https://example.com/b", targets{self, {"example.com", "/b", ""}}, nil},
		{"9111 §4.4 Location, default port", "POST", 201, "Location: https://EXAMPLE.com:443/b", targets{self, {"example.com", "/b", ""}}, nil},
		{"9111 §4.4 Location, no scheme", "POST", 201, "Location: //example.com/b", targets{self, {"example.com", "/b", ""}}, nil},
		{"9111 §4.4 Location, fragment", "POST", 201, "Location: /b#c", targets{self, {"example.com", "/b", ""}}, nil},
		{"9111 §4.4 Location, root", "POST", 201, "Location: https://example.com", targets{self, {"example.com", "/", ""}}, nil},
		{"9111 §4.4 Location, escapes stay", "POST", 201, "Location: /caf%C3%A9%2fx", targets{self, {"example.com", "/caf%C3%A9%2fx", ""}}, nil},
		{"9111 §4.4 Location, another host", "POST", 201, "Location: https://evil.example/b", targets{self}, nil},
		{"9111 §4.4 Location, another host, no scheme", "POST", 201, "Location: //evil.example/b", targets{self}, nil},
		{"9111 §4.4 Location, another scheme", "POST", 201, "Location: http://example.com/b", targets{self}, nil},
		{"9111 §4.4 Location, another port", "POST", 201, "Location: https://example.com:8443/b", targets{self}, nil},
		{"9111 §4.4 Location, a subdomain", "POST", 201, "Location: https://x.example.com/b", targets{self}, nil},
		{"9111 §4.4 Location, itself", "POST", 201, "Location: /a?q=1", targets{self}, nil},
		{"9111 §4.4 Location, malformed", "POST", 201, "Location: http://[::1", targets{self}, nil},
		{"9111 §4.4 Location, not http", "POST", 201, "Location: mailto:a@example.com", targets{self}, nil},
		{"9111 §4.4 Content-Location", "PUT", 200, "Content-Location: /b", targets{self, {"example.com", "/b", ""}}, nil},
		{"9111 §4.4 Content-Location, another host", "PUT", 200, "Content-Location: https://evil.example/b", targets{self}, nil},
		{"9111 §4.4 both", "POST", 201, "Location: /b\nContent-Location: /c", targets{self, {"example.com", "/b", ""}, {"example.com", "/c", ""}}, nil},
		{"9111 §4.4 Location of an error", "POST", 500, "Location: /b", nil, nil},
		{"9111 §4.4 Location of a GET", "GET", 302, "Location: /b", nil, nil},
		{"9875 §3 groups", "POST", 200, `Cache-Group-Invalidation: "a", "b c";x, "a"`, targets{self}, []string{"a", "b c"}},
		{"9875 §3 groups over lines", "POST", 200, "Cache-Group-Invalidation: \"a\"\nCache-Group-Invalidation: \"b\"", targets{self}, []string{"a", "b"}},
		{"9875 §3 not strings", "POST", 200, "Cache-Group-Invalidation: a, b", targets{self}, nil},
		{"9875 §3 malformed", "POST", 200, "Cache-Group-Invalidation: \"a\",", targets{self}, nil},
		{"9875 §3 a safe method", "GET", 200, `Cache-Group-Invalidation: "a"`, nil, nil},
		{"9875 §3 an error", "POST", 500, `Cache-Group-Invalidation: "a"`, nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := get(t, "")
			r.Method, r.Query = row.method, "q=1"
			got, groups := p.Invalidates(r, answer(t, row.status, row.header))
			if !reflect.DeepEqual(got, row.want) || len(groups) != len(row.groups) || len(groups) > 0 && !reflect.DeepEqual(groups, row.groups) {
				t.Errorf("%v %q\nwant %v %q", got, groups, row.want, row.groups)
			}
		})
	}
	rs, _ := NewRoutes([]Rule{{Pattern: "/b", Query: QueryRule{Drop: []string{"utm_*"}}}})
	if got := rs.TargetURL(Target{"example.com", "/b", "utm_x=1&a=2"}); got != "example.com/b?a=2" {
		t.Errorf("the target's own route says what its key is: %q", got)
	}
}
