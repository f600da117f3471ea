package e2e

// RFC 9111 §4.3, RFC 9110 §8.8, §13.
var validationCases = []play1{
	// The edge asks (9111 4.3.1).
	c("9111 4.3.1 If-None-Match", `GET <- 200 | Cache-Control: max-age=0 | ETag: "abc"
		GET <- 304 | ETag: "abc" => up If-None-Match: "abc" | up If-Modified-Since: -`),
	c("9111 4.3.1 a weak tag", `GET <- 200 | Cache-Control: max-age=0 | ETag: W/"abc"
		GET <- 304 | ETag: W/"abc" => up If-None-Match: W/"abc"`),
	c("9111 4.3.1 If-Modified-Since", `GET <- 200 | Cache-Control: max-age=0 | Last-Modified: {-1000}
		GET <- 304 => up If-Modified-Since: {-1000} | up If-None-Match: -`),
	c("9111 4.3.1 both", `GET <- 200 | Cache-Control: max-age=0 | ETag: "abc" | Last-Modified: {-1000}
		GET <- 304 => up If-Modified-Since: {-1000} | up If-None-Match: "abc"`),
	c("9111 4.3.1 neither", "GET <- 200 | Cache-Control: max-age=0\nGET <- 200 => plain"),
	c("9110 8.8.3 a tag without quotes", "GET <- 200 | Cache-Control: max-age=0 | ETag: abc\nGET <- 304 | ETag: abc => up If-None-Match: abc"),
	c("9110 8.8.3 a star is no tag", `GET <- 200 | Cache-Control: max-age=0 | ETag: * | Last-Modified: {-1000} => ETag: -
		GET <- 304 => up If-None-Match: - | up If-Modified-Since: {-1000} | ETag: -`),
	c("9110 8.8.3 no tag, and so one of the edge's own", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a b" => ETag~ "
		GET | If-None-Match: "a b" => 200`),
	c("9110 8.8.3 an empty tag", "GET <- 200 | Cache-Control: max-age=0 | ETag: \"\"\nGET <- 304 | ETag: \"\" => up If-None-Match: \"\""),
	c("9110 8.8.3 a tag with a comma", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a,b"
		GET <- 304 | ETag: "a,b" => up If-None-Match: "a,b"`),
	c("9110 8.8.3 a tag with a backslash", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a\\"
		GET | If-None-Match: "a\\" => 304`),
	c("9110 8.8.3 w/ is no weak tag", `GET <- 200 | Cache-Control: max-age=60 | ETag: w/"a"
		GET | If-None-Match: W/"a" => 200`),
	c("9111 4.3.1 the visitor's condition is not the edge's", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET | If-None-Match: "zzz" <- 304 | ETag: "a" => up If-None-Match~ "a" | 200 | body=1`),
	c("9111 4.3.3 a new answer replaces the stored one", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 200 | Cache-Control: max-age=60 | ETag: "b" => valid
		GET => body=2 | ETag: "b"`),
	c("9111 4.3.3 an error is passed on and the stored one stays", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 500 => valid
		GET <- 304 | ETag: "a" => body=1`),
	c("9111 4.3.3 a 404 is a full answer", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 404 | Cache-Control: max-age=60 => valid
		GET => 404 | body=2`),
	c("9111 4.3.3 a full answer that may not be stored ends what was", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 200 | Cache-Control: no-store => valid
		GET <- 200 => plain`),

	// A 304 freshens (9111 4.3.4, 3.2).
	c("9111 4.3.4 new freshness", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" => Cache-Control: max-age=60 | body=1
		GET => body=1 | Cache-Control: max-age=60`),
	c("9111 4.3.4 freshness from a new Expires", `GET <- 200 | Expires: {-60} | ETag: "a"
		GET <- 304 | Expires: {+60} | ETag: "a"
		GET => body=1`),
	c("9111 4.3.4 freshness from what was stored", `GET <- 200 | Cache-Control: max-age=60 | Age: 100 | ETag: "a"
		GET <- 304 | ETag: "a" => Age: -
		GET => age=0`),
	c("9111 3.2 fields are replaced, in the answer too", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1 | X-B: 1 | X-B: 2
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | X-B: 3 | X-C: 4 => X-A: 1 | X-B: 3 | X-C: 4
		GET => X-A: 1 | X-B: 3 | X-C: 4`),
	c("9111 3.2 Content-Length never", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | * 0123456789
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | Content-Length: 3 => "0123456789" | Content-Length: 10
		GET => "0123456789" | Content-Length: 10`),
	c("9111 3.2 Content-Encoding not, the bytes depend on it", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | Content-Encoding: x-foo
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | Content-Encoding: x-bar => Content-Encoding: x-foo
		GET => Content-Encoding: x-foo`),
	c("9111 3.2 Content-Range not", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | Content-Range: bytes 0-1/2 => Content-Range: -
		GET => Content-Range: -`),
	c("9111 3.2 Content-Type and others", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | Content-Type: text/plain | Content-Language: de | Content-Location: /a
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | Content-Type: text/html | Content-Language: en | Content-Location: /b => Content-Type: text/html | Content-Language: en | Content-Location: /b
		GET => Content-Type: text/html`),
	c("9111 3.2 connection fields not", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | Connection: X-A | X-A: 2 | Keep-Alive: timeout=5 => X-A: 1 | Keep-Alive: -
		GET => X-A: 1 | Keep-Alive: -`),
	c("9111 3.2 what no-cache names not", `GET <- 200 | Cache-Control: max-age=0, no-cache="X-A" | ETag: "a" | X-A: 1
		GET <- 304 | Cache-Control: max-age=60, no-cache="X-A" | ETag: "a" | X-A: 2
		GET => X-A: -`),
	c("9111 3.2 Date is the 304's", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | Date: {-1000}
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" | Date: {-10} => Date: {-10} | age=10
		GET => Date: {-10} | age=10`),
	c("9111 3.2 the same with Last-Modified", `GET <- 200 | Cache-Control: max-age=0 | Last-Modified: {-1000} | X-A: 1
		GET <- 304 | Cache-Control: max-age=60 | Last-Modified: {-1000} | X-A: 2 => X-A: 2
		GET => X-A: 2`),
	c("9111 4.3.4 Age of the 304", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: max-age=600 | ETag: "a" | Age: 300
		GET => age=300`),
	c("9111 4.3.4 an old Age is forgotten", `GET <- 200 | Cache-Control: max-age=60 | Age: 100 | ETag: "a"
		GET <- 304 | ETag: "a" | Cache-Control: max-age=60
		GET => age=0`),
	c("9111 4.3.4 another strong tag selects nothing", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		GET <- 304 | Cache-Control: max-age=60 | ETag: "b" | X-A: 2 <- 200 | Cache-Control: max-age=60 | ETag: "b" | X-A: 3 => X-A: 3
		GET => X-A: 3`),
	c("9111 4.3.4 a strong tag does not select a weak one", `GET <- 200 | Cache-Control: max-age=0 | ETag: W/"a"
		GET <- 304 | Cache-Control: max-age=60 | ETag: "a" <- 200 | Cache-Control: max-age=60
		GET => "body of 2.2"`),
	c("9111 4.3.4 a weak tag selects the same weak one", `GET <- 200 | Cache-Control: max-age=0 | ETag: W/"a"
		GET <- 304 | Cache-Control: max-age=60 | ETag: W/"a"
		GET => body=1`),
	c("9111 4.3.4 a weak tag selects a strong one", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: max-age=60 | ETag: W/"a"
		GET => body=1`),
	c("9111 4.3.4 a 304 without a tag answers the one that was sent", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: max-age=60
		GET => body=1`),
	c("9111 4.3.4 another Last-Modified selects nothing", `GET <- 200 | Cache-Control: max-age=0 | Last-Modified: {-1000}
		GET <- 304 | Cache-Control: max-age=60 | Last-Modified: {-500} <- 200 | Cache-Control: max-age=60
		GET => "body of 2.2"`),
	c("9111 4.3.4 a 304 that forbids storing", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: no-store | ETag: "a" => body=1
		GET <- 200 => plain`),
	c("9111 4.3.4 a 304 that makes it private", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET <- 304 | Cache-Control: private, max-age=60 | ETag: "a" => body=1
		GET <- 200 => plain`),
	c("9111 4.3.4 a 304 with another Vary", `GET | Foo: 1 <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET | Foo: 1 <- 304 | Cache-Control: max-age=60 | ETag: "a" | Vary: Foo
		GET | Foo: 1 => body=1
		GET | Foo: 2 <- 200`),
	c("9110 15.4.5 a 304 that nobody asked for", "GET <- 304 => 502 | "+badGateway),

	// The visitor asks (9111 4.3.2, 9110 13).
	c("9111 4.3.2 If-None-Match", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 1 | Expires: {+60} | Vary: Foo | Content-Location: /a
		GET | If-None-Match: "a" => 304 | "" | ETag: "a" | Cache-Control: max-age=60 | Expires: {+60} | Vary: Foo | Content-Location: /a | Date~ GMT | age=0`),
	c("9111 4.3.2 another tag", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | If-None-Match: "b" => 200`),
	c("9111 4.3.2 a list", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | If-None-Match: "b", "a" => 304
		GET | If-None-Match: "b","a","c" => 304
		GET | If-None-Match: "b" | If-None-Match: "a" => 304
		GET | If-None-Match: ,, "a" ,, => 304
		GET | If-None-Match: "b", "c" => 200`),
	c("9110 13.1.2 weak comparison", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | If-None-Match: W/"a" => 304`),
	c("9110 13.1.2 weak comparison the other way", `GET <- 200 | Cache-Control: max-age=60 | ETag: W/"a"
		GET | If-None-Match: "a" => 304
		GET | If-None-Match: W/"a" => 304
		GET | If-None-Match: W/"b" => 200`),
	c("9110 13.1.2 *", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | If-None-Match: * => 304`),
	c("9110 13.1.2 a tag without quotes", `GET <- 200 | Cache-Control: max-age=60 | ETag: abc
		GET | If-None-Match: abc => 304`),
	c("9110 8.8.3 quotes make a difference", `GET <- 200 | Cache-Control: max-age=60 | ETag: "abc"
		GET | If-None-Match: abc => 200`),
	c("9110 13.1.2 a tag with a comma", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a,b"
		GET | If-None-Match: "x", "a,b" => 304
		GET | If-None-Match: "a", "b" => 200`),
	c("9110 13.1.2 tags have case", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | If-None-Match: "A" => 200`),
	c("9111 4.3.2 If-Modified-Since, the same", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}
		GET | If-Modified-Since: {-1000} => 304 | Last-Modified: {-1000}`),
	c("9111 4.3.2 If-Modified-Since, later", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}
		GET | If-Modified-Since: {-500} => 304`),
	c("9111 4.3.2 If-Modified-Since, before", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}
		GET | If-Modified-Since: {-2000} => 200`),
	c("9110 13.1.3 in the old forms", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}
		GET | If-Modified-Since: {850:-1000} => 304
		GET | If-Modified-Since: {asc:-1000} => 304`),
	c("9110 13.1.3 a date that is none is ignored", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}
		GET | If-Modified-Since: yesterday => 200`),
	c("9111 4.3.2 without Last-Modified by Date", `GET <- 200 | Cache-Control: max-age=6000 | Date: {-1000}
		GET | If-Modified-Since: {-500} => 304
		GET | If-Modified-Since: {-2000} => 200`),
	c("9110 13.2.2 If-None-Match beats If-Modified-Since", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a" | Last-Modified: {-1000}
		GET | If-None-Match: "b" | If-Modified-Since: {-500} => 200
		GET | If-None-Match: "a" | If-Modified-Since: {-2000} => 304`),
	c("9110 13.1.3 If-None-Match that matches nothing, no tag stored", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}
		GET | If-None-Match: "b" | If-Modified-Since: {-500} => 200`),
	c("9110 13.1.1 If-Match", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET | If-Match: "a" => 200
		GET | If-Match: "b" => 412 | ""
		GET | If-Match: * => 200`),
	c("9110 13.1.1 If-Match compares strongly", `GET <- 200 | Cache-Control: max-age=60 | ETag: W/"a"
		GET | If-Match: W/"a" => 412 | ""`),
	c("9110 13.1.4 If-Unmodified-Since", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000}
		GET | If-Unmodified-Since: {-500} => 200
		GET | If-Unmodified-Since: {-2000} => 412 | ""`),
	c("9110 13.2.1 not on an answer that is no 2xx", `GET <- 404 | Cache-Control: max-age=60 | ETag: "a"
		GET | If-None-Match: "a" => 404`),
	c("9110 9.3.2 HEAD with a condition", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a"
		HEAD | If-None-Match: "a" => 304
		HEAD | If-None-Match: "b" => 200`),
	c("9111 4.3.2 on a first request", `GET | If-None-Match: "a" <- 200 | Cache-Control: max-age=60 | ETag: "a" => 304 | ""
		GET => "body of 1.1"`),
	c("9111 4.3.2 on a first request, another tag", `GET | If-None-Match: "b" <- 200 | Cache-Control: max-age=60 | ETag: "a"
		GET`),
	c("9111 4.3.2 the visitor has what the app validates", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET | If-None-Match: "a" <- 304 | Cache-Control: max-age=60 | ETag: "a" | X-A: 1 => 304 | "" | X-A: 1
		GET | If-None-Match: "a" => 304 | ""`),
	c("9111 4.3.2 the visitor has what is new", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		GET | If-None-Match: "b" <- 200 | Cache-Control: max-age=60 | ETag: "b" => 304 | ""
		GET => "body of 2.1"`),
	c("9111 4.3.2 the visitor's If-Modified-Since and the edge's tag", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | Last-Modified: {-1000}
		GET | If-Modified-Since: {-1000} <- 304 | ETag: "a" => up If-None-Match: "a" | 304 | ""`),
	c("9110 13.1 a condition on what may not be stored goes to the app", `GET <- 200 | Cache-Control: no-store | ETag: "a"
		GET | If-None-Match: "a" <- 304 | Cache-Control: no-store | ETag: "a" => up If-None-Match: "a" | 304 | ""`),
	c("9110 13.1.1 a condition on an unsafe request goes to the app", `PUT | If-Match: "a" | If-None-Match: * | * x <- 412 => up If-Match: "a" | up If-None-Match: *`),
	c("9110 8.8.3 the edge's own tag where there is no validator", `GET <- 200 | Cache-Control: max-age=60 => ETag~ "
		GET => ETag~ "`),

	// HEAD freshens (9111 4.3.5).
	c("9111 4.3.5 HEAD freshens", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		HEAD <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 2 | Content-Length: 11
		GET => X-A: 2 | body=1`),
	c("9111 4.3.5 HEAD without a length", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		HEAD <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 2 | chunked
		GET => X-A: 2 | body=1`),
	c("9111 4.3.5 another tag", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		HEAD <- 200 | Cache-Control: max-age=60 | ETag: "b" | Content-Length: 11
		GET <- 200 => plain`),
	c("9111 4.3.5 another length", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		HEAD <- 200 | Cache-Control: max-age=60 | ETag: "a" | Content-Length: 12
		GET <- 200 => plain`),
	c("9111 4.3.5 another Last-Modified", `GET <- 200 | Cache-Control: max-age=0 | Last-Modified: {-1000}
		HEAD <- 200 | Cache-Control: max-age=60 | Last-Modified: {-500} | Content-Length: 11
		GET <- 200 => plain`),
	c("9111 4.3.5 another length than that of a body that declared none", `GET <- 200 | Cache-Control: max-age=0 | Last-Modified: {-1000} | chunked
		HEAD <- 200 | Cache-Control: max-age=60 | Content-Length: 12
		GET <- 200 => plain`),
	c("9111 4.3.5 a part of the whole that HEAD speaks of", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Age: 100 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		HEAD <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 1 | Content-Length: 10
		GET | Range: bytes=0-4 => 206 | "01234" | Content-Range: bytes 0-4/10 | X-A: 1`),
	c("9111 4.3.5 a part of another whole", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		HEAD <- 200 | Cache-Control: max-age=60 | ETag: "a" | Content-Length: 11
		GET | Range: bytes=0-4 <- 206 | Content-Range: bytes 0-4/11 | * 01234`),
	c("9111 3.5 HEAD with Authorization is one visitor's", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		HEAD | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 2 | Content-Length: 11 => X-A: 2
		HEAD | Authorization: Basic YTpi <- 404
		GET <- 304 | ETag: "a" => valid | body=1 | X-A: 1`),
	c("9111 3.5 HEAD with Authorization, public", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		HEAD | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60, public | ETag: "a" | X-A: 2 | Content-Length: 11
		GET => body=1 | X-A: 2`),
	c("9111 4.1 HEAD whose answer names its visitor's origin", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		HEAD | Origin: https://b.test <- 200 | Cache-Control: max-age=60 | ETag: "a" | Access-Control-Allow-Origin: https://b.test | Content-Length: 11
		GET <- 304 | ETag: "a" => valid | body=1 | Access-Control-Allow-Origin: -`),
	c("9111 4.1 HEAD with another Vary", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		HEAD | Foo: 1 <- 200 | Cache-Control: max-age=60 | ETag: "a" | Vary: Foo | Content-Length: 11
		GET <- 200 => plain`),
	c("9111 7.3 HEAD that sets a cookie", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | X-A: 1
		HEAD <- 200 | Cache-Control: max-age=60 | ETag: "a" | X-A: 2 | Set-Cookie: a=1 | Content-Length: 11
		GET <- 200 => plain`),
	c("9111 4.3.5 an error says nothing", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		HEAD <- 500
		GET <- 304 | ETag: "a" => valid | body=1`),
	c("9111 4.3.5 gone", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a"
		HEAD <- 410
		GET <- 410 => plain`),
}
