package e2e

import "fmt"

// RFC 9111 §3, §5.2.2: what may be stored.
var storingCases = append(append(statusCases(), fieldCases()...), []play1{
	unkept("9111 5.2.2.5 no-store", "Cache-Control: no-store"),
	unkept("9111 5.2.2.5 no-store beats max-age", "Cache-Control: no-store, max-age=60"),
	unkept("9111 5.2.2.5 no-store behind max-age", "Cache-Control: max-age=60, no-store"),
	unkept("9111 5.2.2.5 No-Store", "Cache-Control: max-age=60, No-Store"),
	unkept("9111 5.2.2.5 no-store with a value", "Cache-Control: max-age=60, no-store=1"),
	unkept("9111 5.2.2.5 no-store and Expires", "Cache-Control: no-store | Expires: {+60}"),
	unkept("9111 5.2.2.5 no-store and public", "Cache-Control: public, max-age=60, no-store"),
	kept("9111 5.2 no-store within a string", `Cache-Control: foo="no-store", max-age=60`),
	kept("9111 5.2 no-store within another name", "Cache-Control: x-no-store, no-store-x, max-age=60"),
	unkept("9111 5.2.2.7 private", "Cache-Control: private, max-age=60"),
	unkept("9111 5.2.2.7 private and public", "Cache-Control: public, private, max-age=60"),
	unkept("9111 5.2.2.7 private and s-maxage", "Cache-Control: private, s-maxage=60"),
	unkept("9111 5.2.2.7 PRIVATE", "Cache-Control: PRIVATE, max-age=60"),
	unkept("9111 5.2.2.7 private with an empty list", `Cache-Control: private="", max-age=60`),
	c("9111 5.2.2.7 private with a field", `GET <- 200 | Cache-Control: private="X-A", max-age=60 | X-A: 1 | X-B: 2 => X-A: 1
		GET => X-A: - | X-B: 2`),
	c("9111 5.2.2.7 private with a token", `GET <- 200 | Cache-Control: private=X-A, max-age=60 | X-A: 1 | X-B: 2
		GET => X-A: - | X-B: 2`),
	c("9111 5.2.2.7 private with two fields", `GET <- 200 | Cache-Control: max-age=60, private="x-a , X-C" | X-A: 1 | X-B: 2 | X-C: 3
		GET => X-A: - | X-B: 2 | X-C: -`),
	c("9111 5.2.2.4 no-cache with a field", `GET <- 200 | Cache-Control: no-cache="X-A", max-age=60 | X-A: 1 | X-B: 2 => X-A: 1
		GET => X-A: - | X-B: 2`),
	c("9111 5.2.2.4 no-cache with a field of another case", `GET <- 200 | Cache-Control: NO-CACHE="x-a", max-age=60 | X-A: 1
		GET => X-A: -`),
	c("9111 5.2.2.4 no-cache is validated", `GET <- 200 | Cache-Control: no-cache, max-age=60 | ETag: "a"
		GET <- 304 | ETag: "a" => valid
		GET <- 304 | ETag: "a" => valid`),
	c("9111 5.2.2.4 no-cache and Last-Modified", `GET <- 200 | Cache-Control: max-age=60, no-cache | Last-Modified: {-1000}
		GET <- 304 => valid`),
	c("9111 5.2.2.4 no-cache with an empty list", `GET <- 200 | Cache-Control: max-age=60, no-cache="" | ETag: "a"
		GET <- 304 => valid`),
	c("9111 5.2.2.4 no-cache beside no-cache with a field", `GET <- 200 | Cache-Control: max-age=60, no-cache="X-A", no-cache | ETag: "a"
		GET <- 304 => valid`),
	c("9111 5.2.2.4 No-Cache and Expires", `GET <- 200 | Cache-Control: No-Cache | Expires: {+60} | ETag: "a"
		GET <- 304 => valid`),
	unkept("9111 5.2.2.4 no-cache without a validator", "Cache-Control: no-cache, max-age=60"),
	c("9111 5.2.2.4 a whole new answer replaces what was stored", `GET <- 200 | Cache-Control: max-age=60, no-cache | ETag: "a"
		GET <- 200 | Cache-Control: max-age=60 | ETag: "b" => valid
		GET => body=2`),
	kept("9111 5.4 Pragma in an answer means nothing", "Cache-Control: max-age=60 | Pragma: no-cache"),
	kept("9111 5.2.2.9 public", "Cache-Control: public, max-age=60"),
	kept("9111 5.2.2.2 must-revalidate while fresh", "Cache-Control: must-revalidate, max-age=60"),
	kept("9111 5.2.2.8 proxy-revalidate while fresh", "Cache-Control: proxy-revalidate, max-age=60"),
	kept("8246 2 immutable", "Cache-Control: immutable, max-age=60"),
	unkept("8246 2 immutable gives no freshness", "Cache-Control: immutable"),
	kept("9111 5.2.2.6 no-transform", "Cache-Control: no-transform, max-age=60"),

	// must-understand (9111 5.2.2.3).
	kept("9111 5.2.2.3 must-understand and a status that is known", "Cache-Control: must-understand, no-store, max-age=60"),
	kept("9111 5.2.2.3 must-understand behind no-store", "Cache-Control: no-store, must-understand, max-age=60"),
	kept("9111 5.2.2.3 must-understand alone", "Cache-Control: must-understand, max-age=60"),
	c("9111 5.2.2.3 must-understand, status unknown", `GET <- 299 | Cache-Control: must-understand, max-age=60
		GET <- 299 | Cache-Control: max-age=60`),
	c("9111 5.2.2.3 must-understand and no-store, status unknown", `GET <- 499 | Cache-Control: must-understand, no-store, max-age=60
		GET <- 499 | Cache-Control: max-age=60`),
	c("9111 5.2.2.3 must-understand, 404", `GET <- 404 | Cache-Control: must-understand, no-store, max-age=60
		GET => 404`),

	// Authorization (9111 3.5).
	c("9111 3.5 not stored", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60 => up Authorization: Basic YTpi
		GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60`),
	c("9111 3.5 not for others", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60
		GET <- 200`),
	c("9111 3.5 Expires is no consent", `GET | Authorization: Basic YTpi <- 200 | Expires: {+60}
		GET <- 200`),
	c("9111 3.5 public", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, public
		GET`),
	c("9111 3.5 public, for another", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, public
		GET | Authorization: Basic Yzpk`),
	c("9111 3.5 s-maxage", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: s-maxage=60
		GET | Authorization: Basic YTpi`),
	c("9111 3.5 must-revalidate", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, must-revalidate
		GET | Authorization: Basic YTpi`),
	c("9111 3.5 proxy-revalidate is no consent", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, proxy-revalidate
		GET <- 200`),
	c("9111 3.5 no-transform and immutable are none", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, no-transform, immutable
		GET <- 200`),
	c("9111 3.5 private", `GET | Authorization: Basic YTpi <- 200 | Cache-Control: s-maxage=60, private
		GET <- 200`),
	c("9111 3.5 an answer to a request without", `GET <- 200 | Cache-Control: max-age=60
		GET | Authorization: Basic YTpi`),
	c("9111 3.5 a validation with Authorization leaves what is stored as it was", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		GET | Authorization: Basic YTpi <- 304 | Cache-Control: max-age=60 | ETag: "a" | X-A: 2 => valid | body=1 | X-A: 2
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" => valid | body=1 | X-A: 1`),
	c("9111 3.5 also where what is stored may be shared, and the validation does not say so", `GET <- 200 | Cache-Control: max-age=0, public | ETag: "a" | X-A: 1
		GET | Authorization: Basic YTpi <- 304 | ETag: "a" | X-A: 2 => valid | body=1 | X-A: 2
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" => valid | body=1 | X-A: 1`),
	c("9111 3.5 so does another answer to it", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60 | ETag: "b"
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" => valid | body=1`),
	c("9111 3.5 an empty Authorization is one", `GET | Authorization: <- 200 | Cache-Control: max-age=60
		GET <- 200`),

	// Set-Cookie is kept by nobody, and its answer is not either (doc.go).
	c("9111 7.3 Set-Cookie is not replayed", `GET <- 200 | Cache-Control: max-age=60 | Set-Cookie: a=1
		GET <- 200 | Cache-Control: max-age=60 => Set-Cookie: -`),

	// Methods (9111 3, 9110 9.3).
	c("9110 9.3.2 HEAD from GET", `GET <- 200 | Cache-Control: max-age=60 | X-A: 1
		HEAD => X-A: 1 | Content-Length: 11 | age=0`),
	c("9110 9.3.2 GET is not answered from HEAD", `HEAD <- 200 | Cache-Control: max-age=60
		GET <- 200 | Cache-Control: max-age=60`),
	c("9110 9.3.3 POST without Content-Location", `POST | * a=1 <- 200 | Cache-Control: max-age=60
		GET <- 200`),
	c("9110 9.3.3 POST with its own Content-Location", `POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: {self}
		GET => body=1`),
	c("9110 9.3.3 POST that sets a cookie", `POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: {self} | Set-Cookie: a=1
		GET <- 200`),
	c("9110 9.3.3 POST, HEAD", `POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: {self}
		HEAD`),
	c("9110 9.3.3 POST with the absolute form of it", `POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: http://{site}{self}
		GET => body=1`),
	c("9110 9.3.3 POST with Expires", `POST | * a=1 <- 200 | Expires: {+60} | Content-Location: {self}
		GET => body=1`),
	c("9110 9.3.3 POST is never answered", `POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: {self}
		POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: {self}`),
	c("9110 9.3.3 POST is not answered from GET", `GET <- 200 | Cache-Control: max-age=60
		POST | * a=1 <- 200`),
	c("9110 9.3.3 POST without a lifetime", `POST | * a=1 <- 200 | Content-Location: {self} | Last-Modified: {-100000}
		GET <- 200`),
	c("9110 9.3.3 POST with another Content-Location", `POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: {self}other
		GET <- 200
		GET other <- 200`),
	c("9110 9.3.3 POST with Content-Location of another host", `POST | * a=1 <- 200 | Cache-Control: max-age=60 | Content-Location: http://elsewhere.test{self}
		GET <- 200`),
	c("9110 9.3.3 POST and no-store", `POST | * a=1 <- 200 | Cache-Control: max-age=60, no-store | Content-Location: {self}
		GET <- 200`),
	c("9110 9.3.4 PUT", `PUT | * a <- 200 | Cache-Control: max-age=60 | Content-Location: {self}
		GET <- 200`),
	c("9110 9.3.7 OPTIONS", `OPTIONS <- 200 | Cache-Control: max-age=60
		OPTIONS <- 200
		GET <- 200`),
	c("9110 9.3.5 DELETE", `DELETE <- 200 | Cache-Control: max-age=60
		DELETE <- 200
		GET <- 200`),
	c("9110 9.3.1 content of a GET", `GET | * a <- 200 | Cache-Control: max-age=60
		GET <- 200`),

	// Cookies (9111 has no word on requests with them).
	c("9111 3 a request with a cookie", `GET | Cookie: a=1 <- 200 | Cache-Control: max-age=60 => up Cookie: -
		GET | Cookie: a=2
		GET`),
	c("9111 4.1 Vary: Cookie speaks of what went up", `GET | Cookie: a=1 <- 200 | Cache-Control: max-age=60 | Vary: Cookie
		GET | Cookie: a=2`),

	// Keys (9111 2, 4).
	c("9111 4 another query", `GET ?a=1 <- 200 | Cache-Control: max-age=60
		GET ?a=2 <- 200 | Cache-Control: max-age=60
		GET ?a=1 => body=1
		GET ?a=2 => body=2`),
	c("9111 4 the order of a query", `GET ?a=1&b=2 <- 200 | Cache-Control: max-age=60
		GET ?b=2&a=1 <- 200`),
	kept("9111 4 a query", "Cache-Control: max-age=60"),
	c("9111 4 another path", `GET a <- 200 | Cache-Control: max-age=60
		GET b <- 200 | Cache-Control: max-age=60
		GET a => body=1`),
	c("9111 4 the case of a path", `GET a <- 200 | Cache-Control: max-age=60
		GET A <- 200`),

	// Complete or not (9111 3.3).
	c("9111 3.3 an answer that is cut off", `GET <- 200 | Cache-Control: max-age=60 | Content-Length: 100 | * short | Connection: close => 502 | `+badGateway+`
		GET <- 200 | Cache-Control: max-age=60`),
	kept("9112 7.1 chunks", "Cache-Control: max-age=60 | chunked"),
	kept("9112 6.3 up to the end of the connection", "Cache-Control: max-age=60 | close"),
	kept("9110 8.6 no content at all", "Cache-Control: max-age=60 | *"),

	// What is kept comes back as it was (9111 3.1).
	c("9111 3.1 every field, lines apart", `GET <- 200 | Cache-Control: max-age=60 | X-A: 1 | X-B: | X-C: a, b | X-A: 2 | Content-Language: de | Link: </a>; rel=b
		GET => X-A: 1 & 2 | X-B: | X-C: a, b | Content-Language: de | Link: </a>; rel=b`),
	c("9111 3.1 a field that nobody knows", `GET <- 200 | Cache-Control: max-age=60 | Foo-Bar: "qu;ux"
		GET => Foo-Bar: "qu;ux"`),
	c("9110 8.3 no Content-Type is guessed", `GET <- 200 | Cache-Control: max-age=60 | * <html>a => Content-Type: -
		GET => Content-Type: -`),
	c("9110 8.3 no Content-Type is guessed for what is not stored", `GET <- 200 | Cache-Control: no-store | * <html>a => Content-Type: -`),
	c("9110 14.4 Content-Range on what is no part says nothing", `GET <- 200 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10
		GET => 200`),
	c("9110 10.2.2 Location is the visitor's to resolve", `GET <- 302 | Cache-Control: max-age=60 | Location: ../b?c#d
		GET => 302 | Location: ../b?c#d`),
	c("9111 3.1 Cache-Control goes on as it was", `GET <- 200 | Cache-Control: max-age=60, foo="b, c" => Cache-Control: max-age=60, foo="b, c"
		GET => Cache-Control: max-age=60, foo="b, c"`),
}...)

// fieldCases: every field that is no connection's comes back from the store,
// one that nobody knows too (9111 3.1), and a 304 replaces it (9111 3.2).
func fieldCases() (cases []play1) {
	for _, name := range []string{
		"Test-Header", "X-Test-Header", "Content-Foo", "X-Content-Foo", "Accept-Ranges", "Access-Control-Allow-Origin", "Allow", "Alt-Svc",
		"Clear-Site-Data", "Content-Disposition", "Content-Language", "Content-Location", "Content-MD5", "Content-Security-Policy", "Content-Type",
		"Digest", "Expires", "Link", "Location", "NEL", "Permissions-Policy", "Priority", "Public-Key-Pins", "Referrer-Policy", "Report-To",
		"Retry-After", "Server", "Server-Timing", "Strict-Transport-Security", "Timing-Allow-Origin", "Warning", "WWW-Authenticate",
		"X-Content-Type-Options", "X-Frame-Options", "X-Powered-By", "X-XSS-Protection", "P3P", "Pragma", "Sourcemap", "odd!name",
	} {
		cases = append(cases,
			c("9111 3.1 "+name+" is stored", fmt.Sprintf(`GET <- 200 | Cache-Control: max-age=60 | %[1]s: a, "b" c; d=e => %[1]s: a, "b" c; d=e
				GET => %[1]s: a, "b" c; d=e`, name)),
			c("9111 3.2 "+name+" is updated", fmt.Sprintf(`GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | %[1]s: old | X-Other: 1
				GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | %[1]s: new => %[1]s: new | X-Other: 1
				GET => %[1]s: new | X-Other: 1`, name)))
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "TE", "Upgrade", "Trailer"} {
		cases = append(cases,
			c("9111 3.1 "+name+" is not stored", fmt.Sprintf("GET <- 200 | Cache-Control: max-age=60 | %[1]s: x-foo\nGET => %[1]s: -", name)),
			c("9111 3.2 "+name+" is not updated", fmt.Sprintf("GET <- 200 | Cache-Control: max-age=0 | ETag: \"a\"\nGET <- 304 | Cache-Control: max-age=60 | ETag: \"a\" | %[1]s: x-foo => %[1]s: -\nGET => %[1]s: -", name)))
	}
	return cases
}

// statusCases: explicit freshness keeps every final status, known or not
// (9111 3); without it, only what 9110 15.1 lists is guessed at.
func statusCases() (cases []play1) {
	for _, status := range []int{200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 399, 400, 401, 402, 403, 404, 405, 406, 409, 410, 414, 418, 421, 451, 499, 500, 501, 502, 503, 504, 505, 599} {
		cases = append(cases,
			c(fmt.Sprintf("9111 3 status %d with max-age", status), fmt.Sprintf("GET <- %d | Cache-Control: max-age=60\nGET => %d | age=0", status, status)),
			c(fmt.Sprintf("9111 3 status %d with Expires in the past", status), fmt.Sprintf("GET <- %d | Expires: {-60}\nGET <- %d", status, status)))
	}
	for _, status := range []int{428, 429, 431, 511} {
		cases = append(cases, c(fmt.Sprintf("6585 3 status %d is never stored", status), fmt.Sprintf("GET <- %d | Cache-Control: max-age=60\nGET <- %d", status, status)))
	}
	return cases
}

// statusHeuristics are for listed routes.
func statusHeuristics() (cases []play1) {
	for _, status := range []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501} {
		cases = append(cases, c(fmt.Sprintf("9110 15.1 status %d is heuristically cacheable", status),
			fmt.Sprintf("GET <- %d | Last-Modified: {-100000}\nGET => %d", status, status)))
	}
	for _, status := range []int{201, 202, 299, 302, 303, 307, 400, 401, 402, 403, 406, 409, 418, 422, 451, 499, 500, 502, 503, 504, 599} {
		cases = append(cases,
			c(fmt.Sprintf("9110 15.1 status %d is not heuristically cacheable", status),
				fmt.Sprintf("GET <- %d | Last-Modified: {-100000}\nGET <- %d", status, status)),
			c(fmt.Sprintf("9111 4.2.2 status %d with public", status),
				fmt.Sprintf("GET <- %d | Last-Modified: {-100000} | Cache-Control: public\nGET => %d", status, status)))
	}
	return cases
}
