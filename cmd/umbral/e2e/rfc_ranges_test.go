package e2e

// RFC 9110 §14, RFC 9111 §3.3, §3.4.
var rangeCases = []play1{
	c("9110 14.2 from the store", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a" | * 0123456789
		GET | Range: bytes=0-0 => 206 | "0" | Content-Range: bytes 0-0/10 | Content-Length: 1 | ETag: "a" | Cache-Control: max-age=60 | Date~ GMT | age=0
		GET | Range: bytes=2-5 => 206 | "2345" | Content-Range: bytes 2-5/10
		GET | Range: bytes=7- => 206 | "789" | Content-Range: bytes 7-9/10
		GET | Range: bytes=-3 => 206 | "789" | Content-Range: bytes 7-9/10
		GET | Range: bytes=0- => 206 | "0123456789" | Content-Range: bytes 0-9/10
		GET | Range: bytes=-100 => 206 | "0123456789" | Content-Range: bytes 0-9/10
		GET | Range: bytes=5-100 => 206 | "56789" | Content-Range: bytes 5-9/10
		GET | Range: bytes=9-9 => 206 | "9" | Content-Range: bytes 9-9/10
		GET | Range: Bytes=2-5 => 206 | "2345"
		GET | Range: bytes=2-5, => 206 | "2345"
		GET | Range: bytes= ,2-5 => 206 | "2345"`),
	c("9110 15.5.17 none that can be had", `GET <- 200 | Cache-Control: max-age=60 | * 0123456789
		GET | Range: bytes=10- => 416 | "" | Content-Range: bytes */10
		GET | Range: bytes=10-20 => 416 | "" | Content-Range: bytes */10
		GET | Range: bytes=-0 => 416 | "" | Content-Range: bytes */10
		GET | Range: bytes=99999999999999999999- => 416 | ""`),
	c("9110 14.2 what is no range is ignored", `GET <- 200 | Cache-Control: max-age=60 | * 0123456789
		GET | Range: bytes=5-2 => 200
		GET | Range: bytes=a-b => 200
		GET | Range: bytes=- => 200
		GET | Range: bytes= => 200
		GET | Range: bytes=1 => 200
		GET | Range: bytes 1-2 => 200
		GET | Range: lines=1-2 => 200
		GET | Range: bytes=1-2, x => 200
		GET | Range: => 200
		GET | Range: bytes=+1-2 => 200
		GET | Range: bytes=1-2 | Range: bytes=4-5 => 200`),
	c("9110 14.6 several", `GET <- 200 | Cache-Control: max-age=60 | Content-Type: text/plain | * 0123456789_123456789_123456789_123456789_123456789_123456789_123456789_123456789_123456789_123456789_123456789_123456789
		GET | Range: bytes=0-1,110-111 => 206 | Content-Type~ multipart/byteranges; boundary= | Content-Range: -
		GET | Range: bytes=0-1,2-3 => 206 | "0123" | Content-Range: bytes 0-3/120
		GET | Range: bytes=0-1,500- => 206 | "01"
		GET | Range: bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0 => 200`),
	c("9110 14.2 HEAD has no ranges", `GET <- 200 | Cache-Control: max-age=60 | * 0123456789
		HEAD | Range: bytes=0-1 => 200 | Content-Length: 10`),
	c("9110 14.2 only of a 200", `GET <- 404 | Cache-Control: max-age=60 | * 0123456789
		GET | Range: bytes=0-1 => 404`),
	c("9110 13.1.5 If-Range, the same tag", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a" | * 0123456789
		GET | Range: bytes=0-1 | If-Range: "a" => 206 | "01"
		GET | Range: bytes=0-1 | If-Range: "b" => 200
		GET | Range: bytes=0-1 | If-Range: W/"a" => 200
		GET | Range: bytes=0-1 | If-Range: => 200
		GET | Range: bytes=0-1 | If-Range: foo => 200
		GET | If-Range: "a" => 200`),
	c("9110 13.1.5 If-Range needs a strong tag", `GET <- 200 | Cache-Control: max-age=60 | ETag: W/"a" | * 0123456789
		GET | Range: bytes=0-1 | If-Range: W/"a" => 200`),
	c("9110 13.1.5 If-Range, a date", `GET <- 200 | Cache-Control: max-age=60 | Last-Modified: {-1000} | * 0123456789
		GET | Range: bytes=0-1 | If-Range: {-1000} => 206 | "01"
		GET | Range: bytes=0-1 | If-Range: {-500} => 200
		GET | Range: bytes=0-1 | If-Range: {-2000} => 200`),
	c("9110 13.1.5 If-Range, of a part", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Range: bytes=1-2 | If-Range: "a" => 206 | "12"
		GET | Range: bytes=1-2 | If-Range: "b" <- 200 | Cache-Control: max-age=60 | ETag: "c" | * abcdefghij => up If-Range: "b" | 200 | "abcdefghij"`),
	c("9110 13.1.5 If-Range goes up when a part is validated", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Age: 100 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Range: bytes=1-2 | If-Range: "a" <- 304 | Age: 100 | ETag: "a" => up If-Range: "a" | up If-None-Match: "a" | 206 | "12"
		GET | Range: bytes=1-2 | If-Range: "a" <- 200 | Cache-Control: max-age=60 | ETag: "b" | * abcdefghij => up If-Range: "a" | up If-None-Match: "a" | 200 | "abcdefghij"`),
	c("9110 13.1.5 If-Range goes up for another variant", `GET | Foo: 1 <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a" | * 0123456789
		GET | Foo: 2 | Range: bytes=1-2 | If-Range: "b" <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "c" | * abcdefghij => up Range: bytes=1-2 | up If-Range: "b" | up If-None-Match: "a" | 200 | "abcdefghij"`),
	c("9530 2 a digest of the content holds for all of it", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a" | Content-Digest: d | Content-MD5: m | Repr-Digest: r | Digest: i | * 0123456789 => Content-Digest: d | Content-MD5: m | Repr-Digest: r | Digest: i
		GET => Content-Digest: d | Content-MD5: m | Repr-Digest: r | Digest: i
		GET | Range: bytes=0-0 => 206 | "0" | Content-Digest: - | Content-MD5: - | Repr-Digest: r | Digest: i
		GET | Range: bytes=10- => 416 | "" | Content-Digest: - | Content-MD5: - | Repr-Digest: - | Digest: -
		GET | If-None-Match: "a" => 304 | "" | Content-Digest: - | Content-MD5: - | Repr-Digest: r | Digest: i
		HEAD => 200 | Content-Digest: - | Content-MD5: - | Repr-Digest: r | Digest: i`),
	c("9110 13.2.2 conditions come before ranges", `GET <- 200 | Cache-Control: max-age=60 | ETag: "a" | * 0123456789
		GET | Range: bytes=0-1 | If-None-Match: "a" => 304 | ""
		GET | Range: bytes=0-1 | If-None-Match: "b" => 206 | "01"
		GET | Range: bytes=0-1 | If-Match: "b" => 412 | ""`),
	c("9110 14.2 a range of what is stale is validated", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | * 0123456789
		GET | Range: bytes=0-1 <- 304 | ETag: "a" | Cache-Control: max-age=60 => up Range: - | 206 | "01"
		GET | Range: bytes=2-3 => 206 | "23"`),
	c("9110 14.2 a range of what is stale and has changed", `GET <- 200 | Cache-Control: max-age=0 | ETag: "a" | * 0123456789
		GET | Range: bytes=0-1 <- 200 | ETag: "b" | Cache-Control: max-age=60 | * abcdefghij => 206 | "ab" | ETag: "b"
		GET => "abcdefghij"`),

	// Parts that the app sends (9111 3.3).
	c("9111 3.3 the app's part goes on, and answers the same range", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234 => 206 | Content-Range: bytes 0-4/10
		GET | Range: bytes=0-4 => 206 | "01234" | Content-Range: bytes 0-4/10`),
	c("9111 3.3 it answers what lies within", `GET | Range: bytes=2-7 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 2-7/10 | ETag: "a" | * 234567
		GET | Range: bytes=3-4 => 206 | "34" | Content-Range: bytes 3-4/10
		GET | Range: bytes=2-2 => 206 | "2"`),
	c("9111 3.3 it does not answer what lies beyond", `GET | Range: bytes=2-7 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 2-7/10 | * 234567
		GET | Range: bytes=3-8 <- 206 | Content-Range: bytes 3-8/10 | * 345678`),
	c("9111 3.3 it is never the whole", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | * 01234
		GET <- 200 | Cache-Control: max-age=60 | * 0123456789
		GET => "0123456789"`),
	c("9111 3.3 HEAD is not answered from it", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | * 01234
		HEAD <- 200 | * 0123456789`),
	c("9111 3.3 a whole answer to a range is stored, and goes on as it may", `GET | Range: bytes=0-4 <- 200 | Cache-Control: max-age=60 | * 0123456789 => up Range: bytes=0-4 | 206 | "01234"
		GET => "0123456789"`),
	c("9110 15.3.7 a part that nobody asked for", "GET <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | * 01234 => 502 | "+badGateway),
	c("9111 3.3 a part whose length does not agree", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | * 0123
		GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | * 01234`),
	c("9110 14.4 a part without Content-Range", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | * 01234
		GET | Range: bytes=0-4 <- 206 | Content-Range: bytes 0-4/10 | * 01234`),
	c("9110 14.4 a Content-Range that is none", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 4-0/10 | * 01234
		GET | Range: bytes=0-4 <- 206 | Content-Range: bytes 0-4/10 | * 01234`),
	c("9110 14.4 of an unknown whole", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/* | * 01234
		GET | Range: bytes=0-4 <- 206 | Content-Range: bytes 0-4/* | * 01234`),
	c("9111 5.2.2.5 a part with no-store", `GET | Range: bytes=0-4 <- 206 | Cache-Control: no-store | Content-Range: bytes 0-4/10 | * 01234
		GET | Range: bytes=0-4 <- 206 | Content-Range: bytes 0-4/10 | * 01234`),
	c("9110 14.2 If-Range goes to the app where nothing is stored", `GET | Range: bytes=0-4 | If-Range: "a" <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234 => up If-Range: "a"`),

	// Parts are put together (9111 3.4).
	c("9111 3.4 two parts that touch, and so the whole", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Range: bytes=5-9 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | ETag: "a" | * 56789
		GET => "0123456789" | Content-Range: - | Content-Length: 10
		GET | Range: bytes=3-6 => 206 | "3456"`),
	c("9111 3.4 two parts that overlap", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Range: bytes=3-7 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 3-7/10 | ETag: "a" | * 34567
		GET | Range: bytes=1-7 => 206 | "1234567" | Content-Range: bytes 1-7/10`),
	c("9111 3.4 a part of what was asked for goes on as it came", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/20 | ETag: "a" | * 01234
		GET | Range: bytes=5-15 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/20 | ETag: "a" | * 56789 => 206 | "56789" | Content-Range: bytes 5-9/20`),
	c("9111 3.4 the rest is fetched for a request for the whole", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | ETag: "a" | * 56789 => up Range: bytes=5- | up If-Range: "a" | 200 | "0123456789"
		GET => "0123456789"`),
	c("9111 3.4 the beginning is fetched for a request for the whole", `GET | Range: bytes=-5 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | ETag: "a" | X-A: 1 | * 56789
		GET | Range: bytes=-5 => 206 | "56789"
		GET | Range: bytes=-2 => 206 | "89" | Content-Range: bytes 8-9/10
		GET <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | X-B: 2 | * 01234 => up Range: bytes=0-4 | up If-Range: "a" | 200 | "0123456789" | X-A: 1 | X-B: 2
		GET => "0123456789" | Content-Range: -`),
	c("9111 3.4 what lies in the middle is not asked about", `GET | Range: bytes=3-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 3-4/10 | ETag: "a" | * 34
		GET <- 200 | * 0123456789 => up Range: -`),
	c("9111 3.4 a part may be stale, and is asked about", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Age: 100 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "b" | * abcde => 206 | "abcde"
		GET | Range: bytes=0-4 => 206 | "abcde"`),
	c("9111 4.3.4 a part is freshened by a 304", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Age: 100 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Range: bytes=0-4 <- 304 | Cache-Control: max-age=60 | ETag: "a" => valid | 206 | "01234" | Content-Range: bytes 0-4/10
		GET | Range: bytes=1-2 => 206 | "12"`),
	c("9111 3.4 a part that is the whole", `GET | Range: bytes=0- <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-9/10 | ETag: "a" | * 0123456789 => 206 | Content-Range: bytes 0-9/10
		GET => 200 | "0123456789" | Content-Range: -
		HEAD => 200 | Content-Length: 10`),
	c("9111 3.4 the rest cannot be had", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 416 <- 200 | Cache-Control: max-age=60 | * 012 => 200 | "012"
		GET => "012"`),
	c("9111 3.4 the rest is another's", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | ETag: "b" | * fghij <- 200 | Cache-Control: max-age=60 | ETag: "b" | * abcdefghij => 200 | "abcdefghij"
		GET => "abcdefghij"`),
	c("9111 3.4 the rest is too short", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | ETag: "a" | * 56 | chunked => 502 | `+badGateway+`
		GET | Range: bytes=0-4 => 206 | "01234"`),
	c("9111 3.4 the rest is not to be found", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 404 => 404`),
	c("9111 3.4 the rest may not be stored", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: no-store | Content-Range: bytes 5-9/10 | ETag: "a" | * 56789 <- 200 | Cache-Control: no-store | * 0123456789 => up Range: bytes=5- | 200 | "0123456789" | Content-Range: -`),
	c("9111 3.4 the rest is one visitor's", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: private, max-age=60 | Content-Range: bytes 5-9/10 | ETag: "a" | * 56789 <- 200 | Cache-Control: no-store | * 0123456789 => up Range: bytes=5- | 200 | "0123456789" | Content-Range: -`),
	c("9111 3.4 the rest sets a cookie", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: max-age=60 | Set-Cookie: a=b | Content-Range: bytes 5-9/10 | ETag: "a" | * 56789 <- 200 | Cache-Control: no-store | * 0123456789 => up Range: bytes=5- | 200 | "0123456789" | Content-Range: -`),
	c("9111 3.4 the rest varies by everything", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: max-age=60 | Vary: * | Content-Range: bytes 5-9/10 | ETag: "a" | * 56789 <- 200 | Cache-Control: no-store | * 0123456789 => up Range: bytes=5- | 200 | "0123456789" | Content-Range: -`),
	c("9111 3.4 the rest does not say where it lies", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: max-age=60 | ETag: "a" | * 56789 <- 200 | Cache-Control: no-store | * 0123456789 => up Range: bytes=5- | 200 | "0123456789" | Content-Range: -`),
	c("9111 3.4 the rest comes in several parts", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 206 | Cache-Control: max-age=60 | ETag: "a" | Content-Type: multipart/byteranges; boundary=x | * --x-- <- 200 | Cache-Control: no-store | * 0123456789 => up Range: bytes=5- | 200 | "0123456789" | Content-Range: -`),
	c("9111 3.5 the rest is not asked for where it could not be kept", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Authorization: Basic YTpi <- 200 | Cache-Control: max-age=60 | ETag: "a" | * 0123456789 => up Range: - | 200 | "0123456789"`),
	c("9111 3.5 the rest is asked for where all may have it", `GET | Range: bytes=0-4 <- 206 | Cache-Control: public, max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Authorization: Basic YTpi <- 206 | Cache-Control: public, max-age=60 | Content-Range: bytes 5-9/10 | ETag: "a" | * 56789 => up Range: bytes=5- | 200 | "0123456789"
		GET => "0123456789"`),
	c("9111 3.3 a part is not the whole of a new variant", `GET | Foo: 1 | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Vary: Foo | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Foo: 2 <- 304 | ETag: "a" | Vary: Foo <- 200 | Cache-Control: max-age=60 | Vary: Foo | ETag: "a" | * 0123456789 => 200 | "0123456789"`),
	c("9111 3.4 the rest has changed", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET <- 200 | Cache-Control: max-age=60 | ETag: "b" | * abcdefghij => "abcdefghij"
		GET => "abcdefghij"`),
	c("9111 3.4 not with other tags", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: "a" | * 01234
		GET | Range: bytes=5-9 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | ETag: "b" | * 56789
		GET <- 200 | * 0123456789`),
	c("9111 3.4 not with weak tags", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | ETag: W/"a" | * 01234
		GET | Range: bytes=5-9 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | ETag: W/"a" | * 56789
		GET <- 200 | * 0123456789 => up Range: -`),
	c("9111 3.4 not without tags", `GET | Range: bytes=0-4 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-4/10 | * 01234
		GET | Range: bytes=5-9 <- 206 | Cache-Control: max-age=60 | Content-Range: bytes 5-9/10 | * 56789
		GET <- 200 | * 0123456789`),
}
