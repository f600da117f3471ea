package esi

import "testing"

func TestTarget(t *testing.T) {
	env := Env{Host: "site.example:8080", Path: "/dir/page", Query: "v=a%26b%3D/..%5Cc&crlf=%0d%0aX:&up=%2e%2e&host=evil.example&ok=a.b&utf=%ff", User: "ana@example"}
	for src, want := range map[string]string{
		"/a":                               "/a",
		"/a?b=c#d":                         "/a?b=c",
		" /a\n":                            "/a",
		"a":                                "/dir/a",
		"./a":                              "/dir/a",
		"../../../a":                       "/a",
		"?b":                               "/dir/page?b",
		"http://site.example:8080/a":       "/a",
		"https://SITE.example:8080/a":      "/a",
		"http://site.example:8080":         "/",
		"http://site.example:8080?x":       "/?x",
		"/a%2fb/%20":                       "/a%2fb/%20",
		"/a?x=\"<>{}|":                     "/a?x=%22%3C%3E%7B%7D%7C",
		"/a:b;c=d":                         "/a:b;c=d",
		"http://$(HTTP_HOST)/a":            "/a",
		"/a?x=$(QUERY_STRING{v})":          "/a?x=a%26b%3D%2F..%5Cc",
		"/a?x=$(QUERY_STRING{crlf})":       "/a?x=%0D%0AX%3A",
		"/a?$(QUERY_STRING)":               "/a?v=a%26b%3D/..%5Cc&crlf=%0d%0aX:&up=%2e%2e&host=evil.example&ok=a.b&utf=%ff",
		"/a?x=$(EDGE_USER)":                "/a?x=ana%40example",
		"/u/$(EDGE_USER)":                  "/u/ana%40example",
		"/u/$(QUERY_STRING{ok})":           "/u/a.b",
		"/u/$(QUERY_STRING{utf})":          "/u/%FF",
		"/u/$(QUERY_STRING{none}|x/y)":     "/u/x/y",
		"/u/$(QUERY_STRING{none}|'a?b')=c": "/u/a?b=c",
		"/$(document)":                     "/$(document)",

		"":                                     "",
		"#a":                                   "",
		"//site.example:8080/a":                "",
		"//evil.example/a":                     "",
		"///evil.example/a":                    "",
		"/\\evil.example":                      "",
		"\\\\evil.example":                     "",
		"/.//evil.example":                     "",
		"http:/a":                              "",
		"http:a":                               "",
		"http://evil.example/a":                "",
		"http://site.example/a":                "",
		"http://site.example:8080@evil/a":      "",
		"http://ana@site.example:8080/a":       "",
		"ftp://site.example:8080/a":            "",
		"file:///etc/passwd":                   "",
		"javascript:alert(1)":                  "",
		"data:text/html,x":                     "",
		"/a b":                                 "",
		"/a\nb":                                "",
		"/a\x00":                               "",
		"/a\x7f":                               "",
		"/%zz":                                 "",
		"http://[::1/a":                        "",
		"http://$(QUERY_STRING{host})/a":       "",
		"/$(QUERY_STRING{none})/evil.example":  "",
		"/u/$(QUERY_STRING{v})":                "",
		"/u/$(QUERY_STRING{up})/a":             "",
		"/u/.$(QUERY_STRING{none})./a?x":       "/a?x",
		"/u/.$(QUERY_STRING{ok})/$(EDGE_USER)": "/u/.a.b/ana%40example",
		"/u/$(QUERY_STRING)":                   "",
		"$(QUERY_STRING{crlf})":                "",
	} {
		got, err := env.target(parseAddress(src))
		if (err != nil) != (want == "") || got != want {
			t.Errorf("%q: %q, %v, want %q", src, got, err, want)
		}
	}
	for _, path := range []string{"", "page", "//evil.example/page", "http://evil.example/", "/%zz"} {
		env := Env{Host: "site.example", Path: path}
		if got, err := env.target(parseAddress("a")); err == nil {
			t.Errorf("from %q: %q", path, got)
		}
	}
}

func TestAppendHTML(t *testing.T) {
	for in, want := range map[string]string{
		"Ana María":               "Ana María",
		`<script>alert('1')`:      "&lt;script&gt;alert(&#39;1&#39;)",
		`" onload="x`:             "&#34; onload=&#34;x",
		`\"`:                      "&#92;&#34;",
		"`${x}`":                  "&#96;&#36;{x}&#96;",
		"$(EDGE_USER)":            "&#36;(EDGE_USER)",
		"a\r\nb\x00c\u2028d\x7fe": "a  b c d e",
		"\xff\xc0\xbcesi:":        "\ufffd\ufffd\ufffdesi:",
		"&lt;":                    "&amp;lt;",
	} {
		if got := string(appendHTML(nil, in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
